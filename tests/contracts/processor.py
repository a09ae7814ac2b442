# SPDX-License-Identifier: Apache-2.0
"""What every adapter must do, whatever its processor speaks. An adapter is done when this is green for its name.

`Peer` says in the processor's own words what the suite needs: answers, findings and notices of each kind.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payment_makers import payment
from strongroom.crypto.ids import new_id
from strongroom.kernel.ids import AttemptId, ConnectionId
from strongroom.kernel.mode import Mode
from strongroom.payments.model import Attempt, Basis, Finding, Found, Operation, Outcome
from strongroom.payments.ports import Adapter, AnswerSurprising, Command, Prepares, Report
from strongroom.vault import Forwarded, Slot, Template
from strongroom.vault.destinations import Destinations
from strongroom.vault.template import slots_of
from strongroom.webhooks.inbound import VERIFIERS

NOW: Final = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


class Peer(Protocol):
    """A processor's side of the contract."""

    @property
    def adapter(self) -> Adapter:
        """The adapter."""

    def answered(self, command: Command, outcome: Outcome) -> Forwarded:
        """Return what it answers when an operation ends so."""

    def found(self, attempt: Attempt, outcome: Outcome | None) -> Forwarded:
        """Return what it answers when it is asked for our reference; None: it knows nothing of it."""

    def notice(self, attempt: Attempt, outcome: Outcome, account: str) -> bytes:
        """Return the verified bytes of a notice; it is not asked for one of `untold`."""

    def prepared(self, command: Command) -> Forwarded:
        """Return what it answers to a preparation; only asked where the adapter prepares."""

    def refusals(self) -> list[int]:
        """Return the statuses that are documented as not executed."""

    @property
    def refusal(self) -> bytes:
        """The body of such an answer."""

    @property
    def never(self) -> frozenset[tuple[Operation, Outcome]]:
        """What it never answers."""

    @property
    def untold(self) -> frozenset[tuple[Operation, Outcome]]:
        """Of what no notice tells, because its answer is final."""

    @property
    def keyed_only(self) -> frozenset[Operation]:
        """The operations whose request has no place for a reference but its idempotency key."""


def attempt(operation: Operation, **more: Any) -> Attempt:
    made = payment()
    return Attempt(
        **{
            "merchant_id": made.merchant_id,
            "mode": made.mode,
            "attempt_id": AttemptId(new_id("att")),
            "payment_id": made.payment_id,
            "operation": operation,
            "wish": "w",
            "connection_id": ConnectionId(new_id("con")),
            "amount": amount_of(operation),
            "currency": "AED",
            "raises_to": 3_000 if operation is Operation.INCREMENT else None,
            "created_at": NOW,
            "lease_until": NOW + timedelta(seconds=25),
            **more,
        }
    )


def amount_of(operation: Operation) -> int:
    """What a test asks for: nothing, where it is only asked whether a card is good."""
    return 0 if operation is Operation.VERIFY else 1_000


def command(asked: Attempt, authorization: str) -> Command:
    return Command(
        attempt=asked,
        payment=payment(),
        authorization=None if asked.operation.authorizes else authorization,
        with_cvc=asked.operation.authorizes,
        return_url="https://pay.example/v1/returns/x",
    )


@dataclass(frozen=True, slots=True)
class Case:
    peer: Peer
    authorization: str
    #: What an account is called there: whatever its notices can name.
    account: str = "acct_shop"


class ProcessorContract:
    """Subclassed for each adapter, with its `case`."""

    case: Case

    @property
    def adapter(self) -> Adapter:
        return self.case.peer.adapter

    def asked(self, operation: Operation, **more: Any) -> Command:
        """A command that is ready for the call that moves money."""
        made = command(attempt(operation, **more), self.case.authorization)
        if self.preparation(made) is None:
            return made
        assert isinstance(self.adapter, Prepares)
        name = self.adapter.prepared(made, self.case.peer.prepared(made))
        assert isinstance(name, str)
        named = msgspec.structs.replace(made.attempt, instrument=name)
        return replace(made, attempt=named, with_cvc=False)

    def preparation(self, made: Command) -> Template | None:
        return self.adapter.prepare(made) if isinstance(self.adapter, Prepares) else None

    def requests(self, operation: Operation) -> list[Template]:
        """Every request of a command, as it is asked for with a CVC."""
        made = command(attempt(operation), self.case.authorization)
        before = self.preparation(made)
        if before is None:
            return [self.adapter.template(made)]
        return [before, self.adapter.template(self.asked(operation))]

    @pytest.mark.parametrize("operation", list(Operation))
    def test_its_requests_are_registered_routes(self, operation: Operation) -> None:
        """The vault takes each template as it stands; slots stand in authorizations only, and never in a URL."""
        destinations = Destinations([self.adapter.destination])
        slots = []
        for template in self.requests(operation):
            matched = destinations.matched(self.adapter.name, Mode.TEST, template)
            slots.append(set(matched.slots))
            assert not re.search(r"authorization|host", " ".join(template.headers), re.IGNORECASE)
            assert "$slot" not in template.path + repr(template.query)
        assert not any(slots[1:]), "what follows a preparation carries no card"
        assert bool(slots[0]) == operation.authorizes
        if operation.authorizes:
            assert {Slot.CARD_NUMBER, Slot.CARD_CVC} <= slots[0]

    @pytest.mark.parametrize("operation", list(Operation))
    def test_every_call_that_moves_money_carries_its_key_and_our_reference(
        self, operation: Operation
    ) -> None:
        """Deterministic: the same command twice is the same request, and another attempt is another."""
        made = self.asked(operation)
        template = self.adapter.template(made)
        assert made.attempt.attempt_id in template.headers.values()
        assert (operation in self.case.peer.keyed_only) != (
            made.attempt.attempt_id in repr(template.body)
        )
        assert self.adapter.template(made) == template
        other = self.adapter.template(self.asked(operation))
        assert other.headers != template.headers

    def test_a_request_without_a_cvc_has_no_slot_for_one(self) -> None:
        made = command(attempt(Operation.AUTHORIZE), self.case.authorization)
        made = replace(made, with_cvc=False)
        template = self.preparation(made) or self.adapter.template(made)
        slots = slots_of(template.body).values()
        assert Slot.CARD_NUMBER in slots
        assert Slot.CARD_CVC not in slots

    @pytest.mark.parametrize("operation", list(Operation))
    @pytest.mark.parametrize("outcome", [Outcome.APPROVED, Outcome.DECLINED, Outcome.PENDING])
    def test_its_answers_are_read(self, operation: Operation, outcome: Outcome) -> None:
        if (operation, outcome) in self.case.peer.never:
            pytest.skip("it never answers so")
        made = self.asked(operation)
        found = self.adapter.answer(made, self.case.peer.answered(made, outcome))
        assert found.outcome is outcome
        assert found.basis is Basis.ANSWER
        if outcome is Outcome.APPROVED:
            assert found.amount == amount_of(operation)
            assert found.processor_reference
        if outcome is Outcome.DECLINED:
            assert found.decline_code

    @pytest.mark.parametrize("status", [500, 502, 503, 504, 302, 418])
    def test_whatever_is_not_documented_is_unknown(self, status: int) -> None:
        made = self.asked(Operation.CAPTURE)
        reply = replace(self.case.peer.answered(made, Outcome.APPROVED), status=status)
        assert outcome_of(self.adapter, made, reply) is Outcome.UNKNOWN

    @pytest.mark.parametrize("operation", list(Operation))
    def test_an_answer_about_something_else_is_not_believed(self, operation: Operation) -> None:
        """Another reference, another currency, another amount, another kind of thing: surprising, never a guess."""
        made = self.asked(operation)
        for other in (
            self.asked(operation),
            self.asked(operation, attempt_id=made.attempt.attempt_id, currency="KWD"),
            self.asked(
                Operation.REFUND if operation is not Operation.REFUND else Operation.CAPTURE,
                attempt_id=made.attempt.attempt_id,
            ),
        ):
            reply = self.case.peer.answered(other, Outcome.APPROVED)
            if reply.body == self.case.peer.answered(made, Outcome.APPROVED).body:
                continue  # its answers do not speak of what differs
            with pytest.raises(AnswerSurprising):
                self.adapter.answer(made, reply)
        if operation is not Operation.VOID:
            other_amount = {"amount": 1_001}
            if operation is Operation.INCREMENT:
                other_amount["raises_to"] = 3_001
            more = self.asked(operation, attempt_id=made.attempt.attempt_id, **other_amount)
            reply = self.case.peer.answered(more, Outcome.APPROVED)
            if reply.body == self.case.peer.answered(made, Outcome.APPROVED).body:
                return  # its answers say no amount: what was taken is told later
            with pytest.raises(AnswerSurprising):
                self.adapter.answer(made, reply)

    # One function for every adapter's class: an example that one of them finds is worth trying on all.
    @settings(suppress_health_check=[HealthCheck.differing_executors])
    @given(body=st.binary(max_size=400), status=st.sampled_from([200, 201, 400, 402, 404, 500]))
    def test_any_bytes_are_read_or_surprising(self, body: bytes, status: int) -> None:
        """Fuzzed: an answer, a finding and a notice raise `AnswerSurprising` and nothing else."""
        made = self.asked(Operation.AUTHORIZE)
        reply = Forwarded("answered", status, {}, body, "", 0.1, "absent")
        for read in (
            lambda: self.adapter.answer(made, reply),
            lambda: self.adapter.found(made.attempt, reply),
            lambda: self.adapter.report(body),
        ):
            try:
                read()
            except AnswerSurprising:
                continue

    def test_its_notices_can_be_verified(self) -> None:
        assert self.adapter.verification_scheme in VERIFIERS

    def test_it_declares_how_outcomes_are_found_and_keeps_to_it(self) -> None:
        assert self.adapter.findings
        if Finding.BY_REFERENCE in self.adapter.findings:
            self._found_by_reference()
        if Finding.BY_REPLAY in self.adapter.findings:
            assert self.adapter.replay_seconds >= 3_600

    def _found_by_reference(self) -> None:
        assert self.adapter.visibility_seconds >= 1
        for operation in Operation:
            asked = attempt(operation)
            template = self.adapter.find(asked)
            assert isinstance(template, Template)
            Destinations([self.adapter.destination]).matched(
                self.adapter.name, asked.mode, template
            )
            assert self.adapter.found(asked, self.case.peer.found(asked, None)) is None
            for outcome in (Outcome.APPROVED, Outcome.DECLINED, Outcome.PENDING):
                found = self.adapter.found(asked, self.case.peer.found(asked, outcome))
                assert isinstance(found, Found)
                assert (found.outcome, found.basis) == (outcome, Basis.LOOKUP)

    @pytest.mark.parametrize("operation", list(Operation))
    @pytest.mark.parametrize("outcome", [Outcome.APPROVED, Outcome.DECLINED])
    def test_its_notices_say_what_they_are_about(
        self, operation: Operation, outcome: Outcome
    ) -> None:
        if (operation, outcome) in self.case.peer.untold:
            pytest.skip("the answer is final, and no notice follows")
        asked = attempt(operation)
        account = self.case.account
        report = self.adapter.report(self.case.peer.notice(asked, outcome, account))
        assert isinstance(report, Report)
        assert (report.account, report.mode, report.reference) == (
            account,
            "test",
            asked.attempt_id,
        )
        amount = asked.raises_to if report.of_total else amount_of(operation)
        assert (report.operation, report.amount, report.currency) == (operation, amount, "AED")
        assert (report.found.outcome, report.found.basis) == (outcome, Basis.NOTICE)

    def test_what_is_documented_as_not_executed_is_not_sent(self) -> None:
        made = self.asked(Operation.CAPTURE)
        body = self.case.peer.refusal
        for status in self.case.peer.refusals():
            reply = Forwarded("answered", status, {}, body, "", 0.1, "absent")
            assert outcome_of(self.adapter, made, reply) is Outcome.NOT_SENT


def outcome_of(adapter: Adapter, made: Command, reply: Forwarded) -> Outcome:
    """What an answer comes to in the end: surprising is unknown."""
    try:
        return adapter.answer(made, reply).outcome
    except AnswerSurprising:
        return Outcome.UNKNOWN
