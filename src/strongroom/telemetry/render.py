# SPDX-License-Identifier: Apache-2.0
"""From an event's fields to one line of JSON: allow-listed, of known types, scrubbed, without control characters.

An object of a type not known here shows as its class name, an exception as its class and frames. There is no
way to have a message, a repr or a local variable printed.
"""

import enum
import re
import traceback
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, Protocol

import msgspec

from strongroom.kernel.clock import rfc3339
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.ids import is_id
from strongroom.telemetry.fields import FREE_TEXT, NAMES
from strongroom.telemetry.scrub import Scrubber

TEXT_CHARACTERS_MAX: Final = 1_000
ITEMS_MAX: Final = 40
DEPTH_MAX: Final = 3
FRAMES_MAX: Final = 30
CAUSES_MAX: Final = 10
FLOAT_DECIMALS: Final = (
    3  # seventeen digits of a float would look like a card number one time in ten
)
_INTEGER_MAX: Final = 2**63 - 1

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
UNNAMED: Final = "unnamed"

_EVENT_TYPE: Final = re.compile(r"(?=.{1,64}\Z)[a-z][a-z_]*(?:\.[a-z][a-z_]*)*")
_TRACE_HASH: Final = re.compile(r"[0-9a-f]{64}")
_UNPRINTABLE: Final = re.compile(
    "[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
_ENCODE: Final = msgspec.json.Encoder().encode
_FILE: Final = re.compile(r"(?:^|/)(?:site-packages|dist-packages|src|lib/python[0-9.]+)/")


class RenderObserver(Protocol):
    """Who counts what the renderer had to do. Must not raise."""

    def scrubbed(self) -> None:
        """Something was taken out of a line."""

    def dropped(self, fields: int) -> None:
        """Fields were not on the allow-list."""

    def redaction_failed(self) -> None:
        """A line was withheld."""


class Renderer:
    """Renders lines. Never raises: what cannot be rendered safely is withheld, and the line says so."""

    def __init__(
        self, scrubber: Scrubber, observer: RenderObserver, names: frozenset[str] = NAMES
    ) -> None:
        self._scrubber = scrubber
        self._observer = observer
        self._names = names

    def line(self, fields: Mapping[str, object]) -> bytes:
        """Return the line, without a newline. The caller has put the fields of `ALWAYS` first."""
        try:
            return self._line(fields)
        except Exception:  # noqa: BLE001 - whatever went wrong: nothing unscrubbed may pass
            self._observer.redaction_failed()
            return _withheld(fields)

    def _line(self, fields: Mapping[str, object]) -> bytes:
        record: dict[str, object] = {}
        dropped = 0
        names = self._names
        for name, value in fields.items():
            if name not in names:
                dropped += 1
            # Spelt out, because nearly every value is of one of these types.
            elif (
                type(value) is str and len(value) <= TEXT_CHARACTERS_MAX and name not in FREE_TEXT
            ) or (type(value) is int and -_INTEGER_MAX <= value <= _INTEGER_MAX):
                record[name] = value
            elif type(value) is datetime:
                record[name] = _time(value)
            elif name in FREE_TEXT and isinstance(value, str):
                record[name] = self._text(value, free=True)
            else:
                record[name] = self._safe(value, DEPTH_MAX)
        if dropped:
            self._observer.dropped(dropped)
            record["fields_dropped"] = dropped
        try:
            line = _ENCODE(record)
        except UnicodeEncodeError:  # a lone surrogate
            line = _ENCODE(_wash(record, _without_surrogates))
        if self._scrubber.dirty(line):
            self._observer.scrubbed()
            record = {name: _wash(value, self._scrubber.clean) for name, value in record.items()}
            record["redaction"] = "removed"
            line = _ENCODE(_wash(record, _without_surrogates))
            if self._scrubber.dirty(line):
                raise ValueError("scrubbing did not help")
        if not line.isascii() or b"\x7f" in line:
            line = _UNPRINTABLE.sub(_escaped, line.decode()).encode()
        return line

    def _safe(self, value: object, depth: int) -> object:
        """Return what may be shown of a value: text, numbers, ids, times, lists and mappings of these."""
        match value:
            case bool() | None:
                return value
            case float():
                return round(float(value), FLOAT_DECIMALS)
            case int() if not isinstance(value, enum.Enum):
                return int(value) if abs(value) <= _INTEGER_MAX else "[integer]"
            case enum.Enum():
                return self._safe(value.value, depth)
            case str():
                return self._text(str.__str__(value))
            case datetime():
                return _time(value)
            case uuid.UUID():
                return str(value)
            case Mapping() if depth:
                return self._mapping(value, depth)
            case list() | tuple() | set() | frozenset() if depth:
                return [self._safe(item, depth - 1) for item in list(value)[:ITEMS_MAX]]
            case _:
                return f"[{type(value).__qualname__}]"

    def _text(self, text: str, *, free: bool = False) -> str:
        if len(text) <= TEXT_CHARACTERS_MAX and not free:
            return text
        # Clean before cutting: half a card number is not recognised any more.
        cleaned = self._scrubber.clean(text)
        if cleaned != text:
            self._observer.scrubbed()
        return (
            cleaned if len(cleaned) <= TEXT_CHARACTERS_MAX else cleaned[:TEXT_CHARACTERS_MAX] + "…"
        )

    def _mapping(self, mapping: Mapping[object, object], depth: int) -> dict[str, object]:
        kept: dict[str, object] = {}
        dropped = 0
        for name, value in mapping.items():
            if isinstance(name, str) and name in self._names:
                kept[str.__str__(name)] = self._safe(value, depth - 1)
            else:
                dropped += 1
        if dropped:
            self._observer.dropped(dropped)
            kept["fields_dropped"] = dropped
        return kept


class _Clean(Protocol):
    def __call__(self, text: str, /) -> str: ...


def _wash(value: object, clean: _Clean) -> object:
    """Return the value with every text in it cleaned, and every number whose digits had to go as text."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(name): _wash(item, clean) for name, item in value.items()}
    if isinstance(value, list):
        return [_wash(item, clean) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    digits = str(value)
    return value if (cleaned := clean(digits)) == digits else cleaned


def _time(moment: datetime) -> datetime | str:
    """Return what encodes as RFC 3339 with six decimals; the encoder's own way leaves out six zeros."""
    moment = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return moment if moment.microsecond else rfc3339(moment)


def _without_surrogates(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _escaped(character: re.Match[str]) -> str:
    return f"\\u{ord(character[0]):04x}"


def _withheld(fields: Mapping[str, object]) -> bytes:
    """Return the line that stands for one that could not be made safe; each value is checked by its own grammar."""
    level, event_type = fields.get("level"), fields.get("event_type")
    request_id, trace_hash = fields.get("request_id"), fields.get("trace_hash")
    timestamp = fields.get("timestamp")
    return _ENCODE(
        {
            "timestamp": _time(timestamp) if isinstance(timestamp, datetime) else None,
            "level": level if level in LEVELS else "error",
            "event_type": event_type if is_event_type(event_type) else UNNAMED,
            "request_id": request_id
            if isinstance(request_id, str) and is_id("req", request_id)
            else None,
            "trace_hash": trace_hash
            if isinstance(trace_hash, str) and _TRACE_HASH.fullmatch(trace_hash)
            else None,
            "redaction": "redaction_failed",
        }
    )


def is_event_type(value: object) -> bool:
    """Tell whether a value is an event's name: dotted lower-case words, no digits, at most 64 characters."""
    return isinstance(value, str) and _EVENT_TYPE.fullmatch(value) is not None


def exception_fields(error: BaseException) -> dict[str, object]:
    """Return what a line says of an exception: classes and places. Never a message, a source line or a local."""
    fields: dict[str, object] = {"error_class": _class_name(error), "frames": _frames(error)}
    causes = [_class_name(cause) for cause in _causes(error)]
    if causes:
        fields["causes"] = causes
    if isinstance(error, StrongroomError):
        fields["code"] = error.code
    return fields


def _class_name(error: BaseException) -> str:
    kind = type(error)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def _frames(error: BaseException) -> list[str]:
    steps = list(traceback.walk_tb(error.__traceback__))[-FRAMES_MAX:]
    return [
        f"{_short(frame.f_code.co_filename)}:{line}:{frame.f_code.co_qualname}"
        for frame, line in steps
    ]


def _short(path: str) -> str:
    ends = [found.end() for found in _FILE.finditer(path)]
    return path[ends[-1] :] if ends else path.rpartition("/")[2]


def _causes(error: BaseException) -> list[BaseException]:
    """Return what led to it, nearest first: causes, contexts that were not suppressed, members of a group."""
    found: list[BaseException] = []
    seen = {id(error)}
    waiting = [*_led_to(error)]
    while waiting and len(found) < CAUSES_MAX:
        cause = waiting.pop(0)
        if id(cause) not in seen:
            seen.add(id(cause))
            found.append(cause)
            waiting.extend(_led_to(cause))
    return found


def _led_to(error: BaseException) -> Iterator[BaseException]:
    if error.__cause__ is not None:
        yield error.__cause__
    elif error.__context__ is not None and not error.__suppress_context__:
        yield error.__context__
    if isinstance(error, BaseExceptionGroup):
        yield from error.exceptions
