# SPDX-License-Identifier: Apache-2.0
"""The log: JSON lines, on structlog, through one renderer and one sink.

`Log.logger()` is what services take; `access_line` is the lean way of the hot route. Other libraries' messages
and uncaught exceptions come in by `telemetry.capture`. Nothing here can print an unscrubbed value.
"""

import os
import sys
from collections.abc import Mapping, MutableMapping
from types import MappingProxyType
from typing import Any, Final, cast

import structlog
from structlog.contextvars import get_contextvars, merge_contextvars
from structlog.typing import FilteringBoundLogger

from strongroom.kernel.cardlike import Detector
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import is_id
from strongroom.kernel.principal import Principal
from strongroom.kernel.schemes import DEFAULT_TABLE
from strongroom.telemetry.fields import NAMES
from strongroom.telemetry.render import (
    LEVELS,
    UNNAMED,
    Renderer,
    RenderObserver,
    exception_fields,
    is_event_type,
)
from strongroom.telemetry.scrub import CardScrubber, Scrubber
from strongroom.telemetry.sink import Sink
from strongroom.telemetry.trace import new_request_id, trace_hash

Logger = FilteringBoundLogger

_NUMBERS: Final = MappingProxyType(
    {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
)
_URGENT: Final = frozenset(LEVELS[2:])
_METHODS: Final = frozenset("DELETE GET HEAD OPTIONS PATCH POST PUT".split())
_NO_FACTS: Final[Mapping[str, object]] = MappingProxyType({})
#: What a caller cannot set by a keyword.
_OURS: Final = ("timestamp", "level", "event_type")
_SERVER_ERROR: Final = 500


class LogObserver(RenderObserver):
    """Who counts what the log had to do. This one counts nothing; `metrics` has one that does."""

    def scrubbed(self) -> None:
        """Something was taken out of a line."""

    def dropped(self, fields: int) -> None:
        """Fields were not on the allow-list."""

    def redaction_failed(self) -> None:
        """A line was withheld."""

    def lost(self, lines: int) -> None:
        """Lines could not be written."""


class Log:
    """One process's log."""

    def __init__(
        self,
        sink: Sink,
        *,
        clock: Clock,
        level: str = "info",
        observer: LogObserver | None = None,
        scrubber: Scrubber | None = None,
        names: frozenset[str] = NAMES,
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._observer = observer or LogObserver()
        self._renderer = Renderer(
            scrubber or CardScrubber(Detector(DEFAULT_TABLE)), self._observer, names
        )
        self._lost = 0
        self.level = level
        #: Stands on lines outside a request.
        self.run_id = new_request_id()
        self._run_hash = trace_hash(self.run_id)
        self._wrapper = structlog.make_filtering_bound_logger(_NUMBERS[level])

    def outlet(self, *_arguments: object) -> "_Outlet":
        """Return what structlog hands finished lines to (a logger factory)."""
        return _Outlet(self)

    def logger(self, **bound: Any) -> Logger:
        """Return a logger: `logger.info("vault.token.created", token_id=…)`. Fields are those of `fields`."""
        return cast(
            "Logger",
            structlog.wrap_logger(
                self.outlet(),
                processors=[merge_contextvars, self.rendered],
                wrapper_class=self._wrapper,
                context_class=dict,
                cache_logger_on_first_use=True,
                **bound,
            ),
        )

    def access_line(
        self,
        *,
        request_id: str,
        trace_hash: str,
        listener: str,
        method: str,
        route: str,
        status: int,
        seconds: float,
        principal: Principal | None = None,
        facts: Mapping[str, object] = _NO_FACTS,
    ) -> None:
        """Log that a request was answered. `route` is the template; `facts` are further fields."""
        level = "info" if status < _SERVER_ERROR else "error"
        fields: dict[str, object] = {
            "timestamp": self._clock.now(),
            "level": level,
            "event_type": "http.answered",
            "request_id": request_id,
            "trace_hash": trace_hash,
        }
        if principal is not None:
            fields["user_id"] = principal.actor
            fields["merchant_id"] = principal.merchant
            fields["mode"] = str.__str__(principal.mode)
        fields["listener"] = listener
        fields["method"] = method if method in _METHODS else "OTHER"
        fields["route"] = route
        fields["status"] = status
        fields["duration_ms"] = seconds * 1000
        if facts:  # what the line is about cannot be overwritten by a handler's facts
            fields = {**fields, **facts, **fields}
        self._write(self._renderer.line(fields), urgent=level != "info")

    def emit(self, level: str, event_type: str, fields: Mapping[str, object]) -> None:
        """Log an event outside structlog: hooks and other libraries' messages."""
        if _NUMBERS[level] >= _NUMBERS[self.level]:
            always = self._always(level, event_type)
            line = self._renderer.line({**always, **get_contextvars(), **fields})
            self._write(line, urgent=level in _URGENT)

    def flush(self) -> None:
        """Return when every line so far is handed to the stream."""
        self._sink.flush()

    def close(self) -> None:
        """Flush, and log nothing more."""
        self._sink.close()

    def _always(self, level: str, event_type: str) -> dict[str, object]:
        return {
            "timestamp": self._clock.now(),
            "level": level,
            "event_type": event_type,
            "request_id": self.run_id,
            "trace_hash": self._run_hash,
        }

    def rendered(self, _logger: Any, method: str, event: MutableMapping[str, Any]) -> bytes:
        """Be structlog's last processor: from its event dictionary to a line."""
        level = method if method in _NUMBERS else "error"
        event_type = event.pop("event", UNNAMED)
        fields = self._always(level, event_type)
        if not is_event_type(event_type):  # free text is no event's name
            fields["event_type"] = UNNAMED
            fields["reason"] = event_type
        error = _exception_of(event.pop("exc_info", None))
        for name in _OURS:
            event.pop(name, None)
        request_id = event.get("request_id")
        if isinstance(request_id, str) and is_id("req", request_id):
            fields["trace_hash"] = trace_hash(request_id)
        fields.update(event)
        if error is not None:
            fields.update(exception_fields(error))
        return self._renderer.line(fields)

    def _write(self, line: bytes, *, urgent: bool) -> None:
        if not self._sink.write(line, urgent=urgent):
            self._lost += 1
            self._observer.lost(1)
        elif self._lost:
            lost, self._lost = self._lost, 0
            self.emit("warning", "log.lines_lost", {"lines_lost": lost})


class _Outlet:
    """What structlog hands finished lines to."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def info(self, line: bytes) -> None:
        self._log._write(line, urgent=False)  # noqa: SLF001 - the other half of Log

    def warning(self, line: bytes) -> None:
        self._log._write(line, urgent=True)  # noqa: SLF001 - likewise

    debug = info
    error = critical = fatal = exception = warning


def _exception_of(exc_info: object) -> BaseException | None:
    match exc_info:
        case BaseException():
            return exc_info
        case (_, BaseException() as error, _):
            return error
        case None | False:
            return None
        case _:
            return sys.exc_info()[1]


def start_line(log: Log, *, role: str, version: str, port: int | None = None) -> None:
    """Log that the process started."""
    log.emit(
        "info",
        "process.started",
        {"role": role, "version": version, "pid": os.getpid(), "port": port},
    )
