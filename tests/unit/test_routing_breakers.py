# SPDX-License-Identifier: Apache-2.0
"""The breaker before a connection: what counts as an answer, who is kept away, who probes, and what is told of it."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from payment_makers import CARD, NOW, loaded
from strongroom.crypto.ids import new_id
from strongroom.kernel.clock import SystemClock
from strongroom.kernel.ids import AttemptId, ConnectionId
from strongroom.payments.decisions import Asking
from strongroom.payments.model import Attempt, Operation
from strongroom.payments.route import Route
from strongroom.payments.routing.breakers import Breakers, ConnectionResting, answers
from strongroom.payments.wishes import start_authorization
from strongroom.telemetry.log import Log
from strongroom.telemetry.sink import MemorySink
from strongroom.telemetry.work_metrics import PaymentMetrics
from strongroom.vault import Forwarded

A = ConnectionId(new_id("con"))


class Ground:
    """Breakers over a clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sink = MemorySink()
        self.registry = CollectorRegistry()
        self.log = Log(self.sink, clock=SystemClock())
        self.breakers = Breakers(self.log, PaymentMetrics(self.registry), now=lambda: self.now)

    def call(self, attempt: Attempt, reply: Forwarded | None) -> None:
        self.breakers.told(attempt, self.breakers.admit(attempt), reply)

    def fail(self, times: int) -> None:
        for _ in range(times):
            self.call(routed(), replied("not_sent", 0))

    def counted(self, state: str) -> float | None:
        return self.registry.get_sample_value("strongroom_connection_breakers", {"state": state})

    def lines(self) -> list[dict[str, Any]]:
        self.log.flush()
        return [json.loads(line) for line in self.sink.lines]


def routed(by: Any = "rule", operation: Operation = Operation.AUTHORIZE) -> Attempt:
    asking = Asking(AttemptId(new_id("att")), "a wish", A, NOW, NOW + timedelta(seconds=25))
    (attempt,) = start_authorization(loaded(), CARD, asking).attempts
    return msgspec.structs.replace(attempt, route=Route(by=by), operation=operation)


def replied(outcome: Any, status: int = 201) -> Forwarded:
    return Forwarded(outcome, status, {}, b"", "", 0.1, "absent")


@pytest.mark.parametrize(
    ("outcome", "status", "answered"),
    [
        ("answered", 201, True),
        ("answered", 402, True),
        ("answered", 422, True),
        ("answered", 409, True),
        ("answered", 401, False),
        ("answered", 403, False),
        ("answered", 429, False),
        ("answered", 500, False),
        ("answered", 503, False),
        ("not_sent", 0, False),
        ("unknown", 0, False),
    ],
)
def test_what_is_an_answer(outcome: str, status: int, *, answered: bool) -> None:
    assert answers(replied(outcome, status)) is answered


def test_a_connection_that_fails_in_a_row_rests_and_one_payment_probes() -> None:
    ground = Ground()
    ground.fail(4)
    ground.call(routed(), replied("answered", 402))  # a decline is an answer: counting begins anew
    ground.fail(4)
    assert not ground.breakers.rests(A)
    assert not ground.lines()
    ground.fail(1)
    assert ground.breakers.rests(A)
    assert ground.breakers.seconds_left(A) == 1.0
    (line,) = ground.lines()
    assert (line["event_type"], line["level"]) == ("payments.connection_resting", "error")
    assert line["object_id"] == A
    assert (ground.counted("open"), ground.counted("closed")) == (1, 0)
    with pytest.raises(ConnectionResting):
        ground.breakers.admit(routed())

    ground.now = 1.0
    assert not ground.breakers.rests(A)
    probe = routed()
    ticket = ground.breakers.admit(probe)
    assert ground.counted("half_open") == 1
    assert ground.breakers.rests(A), "one probes, the others are passed over"
    with pytest.raises(ConnectionResting):
        ground.breakers.admit(routed())
    ground.breakers.told(probe, ticket, replied("unknown", 0))
    assert ground.breakers.seconds_left(A) == 2.0, "longer after each probe that fails"
    assert len(ground.lines()) == 1, "it rests on: told once"

    ground.now = 3.0
    ground.call(routed(), replied("answered"))
    assert not ground.breakers.rests(A)
    assert (ground.counted("open"), ground.counted("closed")) == (0, 1)
    assert ground.registry.get_sample_value("strongroom_connection_breaker_opened_total") == 1


def test_a_probe_that_was_given_up_makes_room() -> None:
    ground = Ground()
    ground.fail(5)
    ground.now = 1.0
    ground.call(routed(), None)  # the vault refused, or the caller left
    assert not ground.breakers.rests(A)
    assert isinstance(ground.breakers.admit(routed()), object)


@pytest.mark.parametrize(
    ("by", "operation"),
    [
        ("request", Operation.AUTHORIZE),
        ("default", Operation.SALE),
        ("rule", Operation.CAPTURE),
        ("rule", Operation.VOID),
        ("rule", Operation.REFUND),
    ],
)
def test_what_has_nowhere_else_to_go_is_sent_all_the_same(by: str, operation: Operation) -> None:
    ground = Ground()
    ground.fail(5)
    attempt = routed(by, operation)
    ticket = ground.breakers.admit(attempt)
    assert ticket is None
    ground.breakers.told(attempt, ticket, replied("answered"))
    assert ground.breakers.rests(A), "and says nothing of the connection"


def test_connections_that_nobody_asks_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strongroom.payments.routing.breakers.REMEMBERED_MAX", 3)
    ground = Ground()
    for _ in range(10):
        attempt = msgspec.structs.replace(routed(), connection_id=ConnectionId(new_id("con")))
        ground.call(attempt, replied("answered"))
    assert ground.counted("closed") == 3
