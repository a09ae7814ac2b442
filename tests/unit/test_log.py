# SPDX-License-Identifier: Apache-2.0
"""The log: its form, and what it does to each thing that must not be in it.

The leak table plants a card number in every place a program can put one. Each row is run twice: as shipped it
must not be in what was written; with the row's guard taken away it must be, or the row tests nothing.
"""

import asyncio
import datetime as dt
import json
import logging
import subprocess
import sys
import threading
import traceback
import uuid
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from strongroom.kernel.cardlike import REMOVED, has_cardlike, has_cardlike_bytes
from strongroom.kernel.clock import SteppedClock, SystemClock
from strongroom.kernel.errors import NotThere
from strongroom.kernel.ids import is_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import CallerKind, Principal
from strongroom.kernel.secret import Secret
from strongroom.telemetry import fields
from strongroom.telemetry.capture import captured, watch_loop
from strongroom.telemetry.log import Log, LogObserver, start_line
from strongroom.telemetry.scrub import CREDENTIAL_REMOVED
from strongroom.telemetry.sink import MemorySink
from strongroom.telemetry.trace import new_request_id, request_bound, trace_hash

PAN = "4242424242424242"
SPACED = "4242 4242 4242 4242"
START = dt.datetime(2026, 11, 20, 22, 7, 31, 5, tzinfo=dt.UTC)


class NoScrubber:
    """The sabotage: lets everything pass."""

    def dirty(self, line: bytes) -> bool:
        return not line

    def clean(self, text: str) -> str:
        return text


class BrokenScrubber:
    """A detector that fails, with the text in its message."""

    def dirty(self, line: bytes) -> bool:
        raise RuntimeError(line)

    def clean(self, text: str) -> str:
        raise RuntimeError(text)


class Counting(LogObserver):
    def __init__(self) -> None:
        self.counts = {"scrubbed": 0, "dropped": 0, "failed": 0, "lost": 0}

    def scrubbed(self) -> None:
        self.counts["scrubbed"] += 1

    def dropped(self, fields: int) -> None:
        self.counts["dropped"] += fields

    def redaction_failed(self) -> None:
        self.counts["failed"] += 1

    def lost(self, lines: int) -> None:
        self.counts["lost"] += lines


@dataclass
class Written:
    log: Log
    sink: MemorySink
    observer: Counting

    def lines(self) -> list[dict[str, object]]:
        return [msgspec.json.decode(line, type=dict[str, object]) for line in self.sink.lines]

    def last(self) -> dict[str, object]:
        return self.lines()[-1]


def make(
    scrubber: object = None, names: frozenset[str] = fields.NAMES, level: str = "info"
) -> Written:
    sink, observer = MemorySink(), Counting()
    log = Log(
        sink,
        clock=SteppedClock(START),
        level=level,
        observer=observer,
        scrubber=scrubber,  # type: ignore[arg-type]
        names=names,
    )
    return Written(log, sink, observer)


# --- the form of a line


def test_every_line_says_when_what_and_in_which_request() -> None:
    written = make()
    written.log.logger().info("vault.token.created", token_id="tok_1")
    assert list(written.last())[:5] == list(fields.ALWAYS)
    assert written.last() == {
        "timestamp": "2026-11-20T22:07:31.000005Z",
        "level": "info",
        "event_type": "vault.token.created",
        "request_id": written.log.run_id,
        "trace_hash": trace_hash(written.log.run_id),
        "token_id": "tok_1",
    }


def test_a_timestamp_always_has_six_decimals() -> None:
    written = make()
    written.log = Log(written.sink, clock=SteppedClock(START.replace(microsecond=0)))
    written.log.logger().info("x.y")
    assert written.last()["timestamp"] == "2026-11-20T22:07:31.000000Z"


def test_the_request_is_named_by_context_or_by_the_caller() -> None:
    written = make()
    logger = written.log.logger()
    request_id = new_request_id()
    assert is_id("req", request_id)
    with request_bound(request_id):
        logger.info("x.y")
        written.log.emit("warning", "x.z", {})
    logger.info("x.y", request_id=request_id)
    logger.info("x.y")
    named = {"request_id": request_id, "trace_hash": trace_hash(request_id)}
    assert [named.items() <= line.items() for line in written.lines()] == [True, True, True, False]


def test_an_access_line() -> None:
    written = make()
    request_id = new_request_id()
    principal = Principal("key_1", CallerKind.SECRET, "mer_1", Mode.TEST, frozenset())  # type: ignore[arg-type]
    written.log.access_line(
        request_id=request_id,
        trace_hash=trace_hash(request_id),
        listener="vault",
        method="POST",
        route="/v1/tokens",
        status=201,
        seconds=0.003_214_159,
        principal=principal,
        facts={"token_id": "tok_1", "status": 500, "path": "/v1/tokens?x"},
    )
    assert written.last() == {
        "timestamp": "2026-11-20T22:07:31.000005Z",
        "level": "info",
        "event_type": "http.answered",
        "request_id": request_id,
        "trace_hash": trace_hash(request_id),
        "user_id": "key_1",
        "merchant_id": "mer_1",
        "mode": "test",
        "listener": "vault",
        "method": "POST",
        "route": "/v1/tokens",
        "status": 201,
        "duration_ms": 3.214,
        "token_id": "tok_1",
        "fields_dropped": 1,
    }


def test_an_access_line_of_a_stranger_with_a_method_of_his_own() -> None:
    written = make()
    request_id = new_request_id()
    written.log.access_line(
        request_id=request_id,
        trace_hash=trace_hash(request_id),
        listener="vault",
        method=f"GET{PAN}",
        route="unmatched",
        status=503,
        seconds=0.1,
    )
    assert written.last()["method"] == "OTHER"
    assert written.last()["level"] == "error"
    assert "user_id" not in written.last()


def test_levels() -> None:
    written = make(level="warning")
    logger = written.log.logger()
    logger.debug("a.a")
    logger.info("a.b")
    logger.warning("a.c")
    logger.error("a.d")
    logger.critical("a.e")
    written.log.emit("info", "a.f", {})
    assert [(line["level"], line["event_type"]) for line in written.lines()] == [
        ("warning", "a.c"),
        ("error", "a.d"),
        ("critical", "a.e"),
    ]


def test_what_is_not_on_the_list_is_dropped_and_counted() -> None:
    written = make()
    written.log.logger(merchant_id="mer_1").info("x.y", body="secret", number=1, rows=2)
    assert written.last()["fields_dropped"] == 2
    assert (written.last()["rows"], written.last()["merchant_id"]) == (2, "mer_1")
    assert written.observer.counts["dropped"] == 2
    assert "secret" not in written.sink.text()


def test_a_caller_cannot_set_what_is_ours() -> None:
    written = make()
    written.log.logger().info("x.y", level="debug", timestamp="yesterday", event_type="z")
    assert (written.last()["level"], written.last()["event_type"]) == ("info", "x.y")


def test_the_list_of_fields_is_the_golden_one() -> None:
    golden = Path(__file__).parents[1] / "golden" / "log_fields.txt"
    assert fields.describe() == golden.read_text(), "a field was added, removed or redefined"
    assert set(fields.ALWAYS) <= fields.NAMES


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, True),
        (None, None),
        (7, 7),
        (2**63, "[integer]"),
        (10**4_000, "[integer]"),
        (0.123_456_789_012_345_6, 0.123),
        (float("nan"), None),
        (Mode.LIVE, "live"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (START, "2026-11-20T22:07:31.000005Z"),
        (START.astimezone(dt.timezone(dt.timedelta(hours=4))), "2026-11-20T22:07:31.000005Z"),
        (b"bytes", "[bytes]"),
        (Secret("s"), "[Secret]"),
        (ValueError("m"), "[ValueError]"),
        (object(), "[object]"),
        ((1, "a"), [1, "a"]),
        ({"rows": 1, "other": 2}, {"rows": 1, "fields_dropped": 1}),
        (MappingProxyType({"rows": b""}), {"rows": "[bytes]"}),
        ([[[[1]]]], [[["[list]"]]]),
        ("a\nb", "a\nb"),
        ("\ud800", "?"),
        ("x" * 1_001, "x" * 1_000 + "…"),
    ],
)
def test_what_is_shown_of_a_value(value: object, shown: object) -> None:
    written = make()
    written.log.logger().info("x.y", outcome=value)
    assert written.last()["outcome"] == shown


@pytest.mark.parametrize(
    "character", ["\n", "\r", "\x00", "\x1b", "\x7f", "\x85", "\u2028", "\u202e"]
)
def test_control_characters_are_escaped(character: str) -> None:
    written = make()
    written.log.logger().info("x.y", reason=f"a{character}b é")
    (line,) = written.sink.lines
    assert character not in line.decode()
    assert "é" in line.decode()
    assert written.last()["reason"] == f"a{character}b é"


def test_free_text_is_no_event_type() -> None:
    written = make()
    written.log.logger().info("The card %s was bad", "x")
    assert written.last()["event_type"] == "unnamed"
    assert written.last()["reason"] == "The card x was bad"


def test_an_exception_gives_classes_and_places() -> None:
    written = make()
    try:
        try:
            int("not a number")
        except ValueError as error:
            raise ExceptionGroup("two", [NotThere("the token"), KeyError("k")]) from error
    except ExceptionGroup:
        written.log.logger().exception("x.failed")
    line = written.last()
    assert line["error_class"] == "ExceptionGroup"
    assert line["causes"] == ["ValueError", "strongroom.kernel.errors.NotThere", "KeyError"]
    (frame,) = msgspec.convert(line["frames"], list[str])
    assert frame.startswith("test_log.py:")
    assert frame.endswith(":test_an_exception_gives_classes_and_places")
    assert "two" not in written.sink.text()


def test_an_error_of_ours_gives_its_code() -> None:
    written = make()
    written.log.logger().error("x.failed", exc_info=NotThere("the token"))
    assert written.last()["code"] == "not_found"


def test_the_process_says_that_it_started() -> None:
    written = make()
    start_line(written.log, role="vault", version="0.1.0", port=8443)
    assert (written.last()["event_type"], written.last()["port"]) == ("process.started", 8443)


# --- the leak table


def raise_with(message: object) -> None:
    local_number = PAN  # a local variable of the frame
    raise ValueError(message, len(local_number))


def caught(message: object) -> ValueError:
    try:
        raise_with(message)
    except ValueError as error:
        return error
    raise AssertionError


class Describing:
    def __repr__(self) -> str:
        return PAN

    __str__ = __repr__


class Named(str):
    """A str that shows itself otherwise than it is."""

    __slots__ = ()

    def __str__(self) -> str:
        return PAN


def log_event(written: Written) -> None:
    written.log.logger().info(f"card {PAN}")


def log_positional(written: Written) -> None:
    written.log.logger().info("card %s", PAN)


def log_value(written: Written) -> None:
    written.log.logger().info("x.y", reason=f"card {PAN} declined")


def log_bound(written: Written) -> None:
    written.log.logger(outcome=PAN).info("x.y")


def log_bare(written: Written) -> None:
    written.log.logger().info("x.y", token_id=PAN)


def log_number(written: Written) -> None:
    written.log.logger().info("x.y", total=int(PAN))


def log_nested(written: Written) -> None:
    written.log.logger().info("x.y", outcome={"reason": [PAN]})


def log_nested_number(written: Written) -> None:
    written.log.logger().info("x.y", outcome=[[int(PAN)]])


def log_spaced(written: Written) -> None:
    written.log.logger().info("x.y", reason=SPACED)


def log_after_newline(written: Written) -> None:
    written.log.logger().info("x.y", outcome=f"a\n{PAN}")


def log_after_control(written: Written) -> None:
    written.log.logger().info("x.y", outcome=f"\x01{PAN}")


def log_arabic(written: Written) -> None:
    written.log.logger().info("x.y", outcome=PAN.translate(str.maketrans("24", "٢٤")))


def log_beyond_the_cut(written: Written) -> None:
    written.log.logger().info("x.y", outcome="x" * 984 + " " + PAN)


def log_request_id(written: Written) -> None:
    written.log.logger().info("x.y", request_id=PAN)


def log_library(written: Written) -> None:
    with captured(written.log):
        logging.getLogger("somebody.elses").warning("sending %s", {"number": PAN})


def log_library_own_handler(written: Written) -> None:
    logger = logging.getLogger("own.handler")
    logger.addHandler(logging.StreamHandler())
    logger.propagate = False
    with captured(written.log):
        logger.error("sending %s", PAN)


def log_library_structlog(written: Written) -> None:
    with captured(written.log):
        structlog.get_logger().error("sending", reason=PAN)


def log_warning(written: Written) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with captured(written.log):
            warnings.warn(f"bad number {PAN}", UserWarning, stacklevel=1)


SCRUBBED: dict[str, Callable[[Written], None]] = {
    function.__name__: function
    for function in (
        log_event,
        log_positional,
        log_value,
        log_bound,
        log_bare,
        log_number,
        log_nested,
        log_nested_number,
        log_spaced,
        log_after_newline,
        log_after_control,
        log_arabic,
        log_request_id,
        log_library,
        log_library_own_handler,
        log_library_structlog,
        log_warning,
    )
}


def digits_in(written: Written) -> str:
    text = written.sink.text().replace("\\n", " ").replace("\\u0001", " ")
    return text.translate(str.maketrans("٢٤", "24")).replace(" ", "")


@pytest.mark.parametrize("how", SCRUBBED)
def test_the_scrubber_takes_it_out(how: str) -> None:
    written = make()
    SCRUBBED[how](written)
    assert written.sink.lines
    assert PAN not in digits_in(written)
    assert REMOVED in written.sink.text()
    assert written.observer.counts["scrubbed"] == 1


@pytest.mark.parametrize("how", SCRUBBED)
def test_without_the_scrubber_it_would_appear(how: str) -> None:
    written = make(scrubber=NoScrubber())
    SCRUBBED[how](written)
    assert PAN in digits_in(written)


def test_a_number_at_the_cut_is_not_halved() -> None:
    written = make()
    log_beyond_the_cut(written)
    assert "4242" not in written.sink.text()
    written = make(scrubber=NoScrubber())
    log_beyond_the_cut(written)
    assert PAN[:15] in written.sink.text()


#: By type or structure: (what is logged, what it would be like if the guard were not there)
STRUCTURAL: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "key": ({PAN: 1}, {"reason": PAN}),
    "bytes": ({"outcome": PAN.encode()}, {"outcome": PAN.encode().decode()}),
    "bytearray": ({"outcome": bytearray(PAN.encode())}, {"outcome": PAN}),
    "secret": ({"outcome": Secret(PAN)}, {"outcome": Secret(PAN).expose()}),
    "object": ({"outcome": Describing()}, {"outcome": repr(Describing())}),
    "str subclass": ({"outcome": Named("x")}, {"outcome": str(Named("x"))}),
    "exception value": ({"outcome": caught(PAN)}, {"outcome": str(caught(PAN))}),
    "exception message": (
        {"exc_info": caught(PAN)},
        {"reason": "".join(traceback.format_exception(caught(PAN)))},
    ),
    "exception locals": (
        {"exc_info": caught("harmless")},
        {
            "reason": str(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=True)(
                    (ValueError, (error := caught("harmless")), error.__traceback__)
                )
            )[:900]
        },
    ),
}


@pytest.mark.parametrize("place", STRUCTURAL)
def test_types_keep_it_out_even_without_the_scrubber(place: str) -> None:
    guarded, naked = STRUCTURAL[place]
    written = make(scrubber=NoScrubber())
    written.log.logger().error("x.y", **guarded)
    assert PAN not in written.sink.text()
    written.log.logger().error("x.y", **naked)
    assert PAN in written.sink.text()


def test_the_allow_list_keeps_a_key_out() -> None:
    written = make(scrubber=NoScrubber(), names=fields.NAMES | {PAN})
    written.log.logger().info("x.y", **{PAN: 1})
    assert PAN in written.sink.text()


def test_a_nested_key_is_scrubbed_if_it_were_allowed() -> None:
    written = make(names=fields.NAMES | {PAN})
    written.log.logger().info("x.y", outcome={PAN: 1})
    assert PAN not in written.sink.text()


@pytest.mark.parametrize(
    "credential",
    [
        "sk_live_0123456789abcdefABCDEF",
        "Authorization: Bearer abcdefghijklmnop",
        "postgresql://vault:hunter2hunter2@db/vault",
        "AKIAABCDEFGHIJKLMNOP",
        "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----",
    ],
)
def test_credentials_are_taken_out_of_free_text(credential: str) -> None:
    written = make()
    written.log.logger().warning("x.y", reason=f"cannot connect: {credential}")
    reason = str(written.last()["reason"])
    assert CREDENTIAL_REMOVED in reason
    assert credential[-16:] not in reason


def test_an_api_key_is_taken_out_of_any_field() -> None:
    written = make()
    written.log.logger().info("x.y", user_id="sk_test_0123456789abcdefABCDEF")
    assert written.last()["user_id"] == CREDENTIAL_REMOVED
    assert written.observer.counts["scrubbed"] == 1


@pytest.mark.parametrize("event", ["x.y", f"card {PAN}", PAN, "a.b4242424242424242"])
def test_when_the_scrubber_fails_the_line_is_withheld(event: str) -> None:
    written = make(scrubber=BrokenScrubber())
    written.log.logger().error(event, reason=PAN, outcome=PAN)
    written.log.emit("error", "x.y", {"reason": PAN, "request_id": PAN, "trace_hash": PAN})
    assert PAN not in written.sink.text()
    first, second = written.lines()
    assert first["redaction"] == "redaction_failed"
    assert first["event_type"] == ("x.y" if event == "x.y" else "unnamed")
    assert first["request_id"] == written.log.run_id
    assert (second["request_id"], second["trace_hash"]) == (None, None)
    assert written.observer.counts["failed"] == 2


values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=30),
        st.text("0123456789 -\n\\٢٤", max_size=30),
        st.sampled_from([PAN, SPACED, int(PAN), f"\n{PAN}", f"%B{PAN}^A^2512?"]),
        st.binary(max_size=20),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from([*sorted(fields.NAMES), PAN]), inner, max_size=3),
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["reason", "outcome", "rows", "x", PAN]), values))
def test_any_line_is_one_line_of_json_without_a_card_number(event: dict[str, object]) -> None:
    written = make()
    written.log.emit("info", "x.y", event)
    (line,) = written.sink.lines
    assert b"\n" not in line
    assert written.last()["event_type"] == "x.y"
    assert not has_cardlike_bytes(line)
    # As it is printed: Python prints an exponent with a sign, which no digits of a card touch.
    as_printed = json.loads(line, parse_float=str)
    assert not any(has_cardlike(str(value)) for value in as_printed.values())


# --- what Python and libraries would print


def test_library_messages_below_warning_are_not_taken() -> None:
    written = make()
    logger = logging.getLogger("somebody.elses")
    logger.setLevel(logging.DEBUG)
    with captured(written.log):
        logger.debug("body %s", PAN)
        logger.info("body %s", PAN)
        logger.warning("slow")
    assert [line["reason"] for line in written.lines()] == ["slow"]
    logger.setLevel(logging.NOTSET)


def test_a_message_that_cannot_be_formatted_prints_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    written = make()
    with captured(written.log):
        logging.getLogger("somebody.elses").error("%d", PAN)
    assert PAN not in written.sink.text() + "".join(capfd.readouterr())
    assert written.last()["logger"] == "somebody.elses"


def test_a_library_s_exception_gives_class_and_frames() -> None:
    written = make(scrubber=NoScrubber())
    with captured(written.log):
        logging.getLogger("somebody.elses").error("failed", exc_info=caught(PAN))
    assert PAN not in written.sink.text()
    assert written.last()["error_class"] == "ValueError"


def test_capturing_ends() -> None:
    before = (sys.excepthook, threading.excepthook, sys.unraisablehook, logging.root.handlers[:])
    with captured(make().log):
        assert sys.excepthook is not before[0]
    assert before == (
        sys.excepthook,
        threading.excepthook,
        sys.unraisablehook,
        logging.root.handlers[:],
    )


def test_uncaught_exceptions_of_threads_and_destructors() -> None:
    class Resource:
        def __del__(self) -> None:
            raise_with(PAN)

    written = make(scrubber=NoScrubber())
    with captured(written.log):
        thread = threading.Thread(target=raise_with, args=(PAN,))
        thread.start()
        thread.join()
        resource = Resource()
        del resource
    assert [line["event_type"] for line in written.lines()] == [
        "thread.uncaught",
        "process.unraisable",
    ]
    assert {line["error_class"] for line in written.lines()} == {"ValueError"}
    assert PAN not in written.sink.text()


async def test_uncaught_exceptions_of_the_loop() -> None:
    written = make(scrubber=NoScrubber())
    loop = asyncio.new_event_loop()
    watch_loop(loop, written.log)

    def run() -> None:
        loop.call_soon(raise_with, PAN)
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    await asyncio.to_thread(run)
    assert written.last()["event_type"] == "asyncio.uncaught"
    assert written.last()["error_class"] == "ValueError"
    assert PAN not in written.sink.text()


PROGRAM = f"""
import sys
from strongroom.kernel.clock import SystemClock
from strongroom.telemetry.capture import captured
from strongroom.telemetry.log import Log
from strongroom.telemetry.sink import open_sink
number = "{PAN}"
if sys.argv[1] == "guarded":
    capture = captured(Log(open_sink(None), clock=SystemClock()))
    capture.__enter__()
raise ValueError(number)
"""


def test_a_process_that_dies_says_where_and_not_what() -> None:
    def run(how: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, how],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert done.returncode == 1
        return done.stdout + done.stderr

    guarded = run("guarded")
    assert '"process.uncaught"' in guarded
    assert '"<string>:' in guarded
    assert PAN not in guarded
    assert PAN in run("naked")


def test_the_clock_of_the_machine_serves() -> None:
    sink = MemorySink()
    Log(sink, clock=SystemClock()).logger().info("x.y")
    assert sink.text().startswith('{"timestamp":"20')
