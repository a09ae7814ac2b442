# SPDX-License-Identifier: Apache-2.0
"""Translates between our words and the simulator's. Decides nothing, calls nobody, keeps nothing."""

from typing import Final, TypeVar

import msgspec

from strongroom.payments.model import (
    Attempt,
    Basis,
    Check,
    Connection,
    DisputeStatus,
    DisputeTold,
    Finding,
    Found,
    Operation,
    Outcome,
    ThreeDs,
)
from strongroom.payments.ports import Account, AnswerSurprising, Command, Report
from strongroom.payments.processors.simulator.wire import (
    AccountOut,
    CaptureOut,
    DisputeOut,
    FoundOut,
    IncrementOut,
    NoticeIn,
    PaymentOut,
    ProblemOut,
    RefundOut,
    ThingOut,
    VoidOut,
)
from strongroom.payments.published import decoded
from strongroom.payments.stored import StoredCredential
from strongroom.vault import Destination, Forwarded, Json, Route, Slot, Template, slot

Shape = TypeVar("Shape")
NAME: Final = "simulator"
JSON: Final = "application/json"
_KEYED: Final = frozenset({"idempotency-key"})
_CARD_SLOTS: Final = {
    "/card/number": Slot.CARD_NUMBER,
    "/card/exp_month": Slot.CARD_EXP_MONTH,
    "/card/exp_year": Slot.CARD_EXP_YEAR,
    "/card/cvc": Slot.CARD_CVC,
}
_PAYMENT: Final = r"/v1/payments/sp_[0-9A-Z]{26}"
DESTINATION: Final = Destination(
    processor=NAME,
    routes=(
        Route("authorize", "POST", r"/v1/payments", JSON, _CARD_SLOTS, _KEYED, frozenset()),
        Route("capture", "POST", _PAYMENT + "/captures", JSON, {}, _KEYED, frozenset()),
        Route("void", "POST", _PAYMENT + "/voids", JSON, {}, _KEYED, frozenset()),
        Route("refund", "POST", _PAYMENT + "/refunds", JSON, {}, _KEYED, frozenset()),
        Route("increment", "POST", _PAYMENT + "/increments", JSON, {}, _KEYED, frozenset()),
        Route("find", "GET", r"/v1/operations", "", {}, frozenset(), frozenset({"reference"})),
        Route("account", "GET", r"/v1/account", "", {}, frozenset(), frozenset()),
    ),
    credential_fields=frozenset({"api_key"}),
    credential_headers={"authorization": "Bearer {api_key}"},
    body_signature=None,
    answer_headers=frozenset({"content-type", "idempotent-replayed", "retry-after"}),
    answer_bytes_max=65_536,
)
#: Refusals that are documented as not executed.
_NOT_EXECUTED: Final = frozenset({400, 401, 403, 404, 409, 422, 429})
_SHAPES: Final = {
    Operation.AUTHORIZE: PaymentOut,
    Operation.SALE: PaymentOut,
    Operation.CAPTURE: CaptureOut,
    Operation.VOID: VoidOut,
    Operation.REFUND: RefundOut,
    Operation.VERIFY: PaymentOut,
    Operation.INCREMENT: IncrementOut,
}
_OPERATIONS: Final = {
    CaptureOut: Operation.CAPTURE,
    VoidOut: Operation.VOID,
    RefundOut: Operation.REFUND,
    IncrementOut: Operation.INCREMENT,
}
_thing: Final = msgspec.json.Decoder(ThingOut).decode
_found: Final = msgspec.json.Decoder(FoundOut).decode
_notice: Final = msgspec.json.Decoder(NoticeIn).decode
_problem: Final = msgspec.json.Decoder(ProblemOut).decode
_account: Final = msgspec.json.Decoder(AccountOut).decode


class SimulatorAdapter:
    """The simulator. `finding` of a connection may be any of the three, so that each way of recovery can be tried."""

    name = NAME
    destination = DESTINATION
    findings = frozenset(Finding)
    verification_scheme = NAME

    def __init__(self, *, visibility_seconds: int = 3, replay_seconds: int = 86_400) -> None:
        self.visibility_seconds = visibility_seconds
        self.replay_seconds = replay_seconds

    def template(self, command: Command) -> Template:
        """Return the request. The same command gives the same request."""
        attempt = command.attempt
        headers = {"idempotency-key": attempt.attempt_id}
        if attempt.operation.authorizes:
            return Template("authorize", "/v1/payments", {}, headers, _authorization(command))
        body: dict[str, Json] = {"reference": attempt.attempt_id}
        if attempt.operation is not Operation.VOID:
            body["amount"] = attempt.amount
        if attempt.operation is Operation.CAPTURE:
            body["final"] = attempt.releases > 0
        word = attempt.operation.value
        path = f"/v1/payments/{command.authorization}/{word}s"
        return Template(word, path, {}, headers, body)

    def increment(self, command: Command) -> Template:
        """Return the request that holds more: by how much, like every other amount there."""
        return self.template(command)

    def answer(self, command: Command, reply: Forwarded) -> Found:
        """Read an answer."""
        if reply.status in _NOT_EXECUTED:
            return _refusal(reply)
        if reply.status not in (200, 201):
            # A 5xx may have acted before it failed.
            return Found(Outcome.UNKNOWN, Basis.ANSWER, reason="processor_error")
        return _checked(command.attempt, decoded(_thing, reply.body), Basis.ANSWER)

    def find(self, attempt: Attempt) -> Template:
        """Return the request that asks for our reference."""
        return Template("find", "/v1/operations", {"reference": attempt.attempt_id}, {}, None)

    def found(self, attempt: Attempt, reply: Forwarded) -> Found | None:
        """Read what was found."""
        if reply.status != 200:  # noqa: PLR2004 - HTTP
            raise AnswerSurprising
        things = [
            each
            for each in decoded(_found, reply.body).data
            if isinstance(each, _SHAPES[attempt.operation])
        ]
        if not things:
            return None
        if len(things) > 1:
            raise AnswerSurprising
        return _checked(attempt, things[0], Basis.LOOKUP)

    def report(self, body: bytes) -> Report | None:
        """Read a verified notice."""
        notice = decoded(_notice, body)
        thing = notice.data
        if thing.account != notice.account:
            raise AnswerSurprising
        if isinstance(thing, DisputeOut):
            return _disputed(notice, thing)
        operation = _begun(thing) if isinstance(thing, PaymentOut) else _OPERATIONS[type(thing)]
        return Report(
            account=notice.account,
            mode=notice.mode,
            reference=thing.reference,
            operation=operation,
            amount=thing.amount,
            currency=thing.currency,
            found=_known(thing, Basis.NOTICE),
            event_type=notice.type,
        )

    def probe(self) -> Template:
        """Return the request that asks for the account."""
        return Template("account", "/v1/account", {}, {}, None)

    def account(self, connection: Connection, reply: Forwarded) -> Account:
        """Read the account."""
        if reply.status != 200:  # noqa: PLR2004 - HTTP
            raise AnswerSurprising
        account = decoded(_account, reply.body)
        missing = []
        if account.account != connection.account:
            missing.append("the credentials are of another account")
        if account.mode != connection.mode:
            missing.append("the account is of the other mode")
        if not account.raw_cards:
            missing.append("the account may not send card numbers")
        if not account.webhook.configured:
            missing.append("the account has no webhook: notices will not come")
        return Account(account.account, account.mode, missing, account.raw_cards)


def _authorization(command: Command) -> dict[str, Json]:
    attempt = command.attempt
    card: dict[str, Json] = {
        "number": slot(Slot.CARD_NUMBER),
        "exp_month": slot(Slot.CARD_EXP_MONTH),
        "exp_year": slot(Slot.CARD_EXP_YEAR),
    }
    if command.with_cvc:
        card["cvc"] = slot(Slot.CARD_CVC)
    body: dict[str, Json] = {
        "reference": attempt.attempt_id,
        "amount": attempt.amount,
        "currency": attempt.currency,
        "capture": attempt.operation is Operation.SALE,
        "card": card,
    }
    stored = command.payment.stored_credential
    if stored is not None:
        body["stored"] = _stored(stored, attempt)
    if command.three_ds is ThreeDs.CHALLENGE and not command.nobody_there:
        body["three_ds"] = "challenge"
    if command.return_url is not None and not command.nobody_there:
        body["return_url"] = command.return_url
    return body


def _stored(stored: StoredCredential, attempt: Attempt) -> dict[str, Json]:
    told: dict[str, Json] = {
        "initiator": stored.initiator.value,
        "reason": stored.reason.value,
        "stage": stored.stage.value,
    }
    if attempt.initial_transaction_id is not None:
        told["network_transaction_id"] = attempt.initial_transaction_id
    return told


def _begun(payment: PaymentOut) -> Operation:
    """Say which of ours began a payment there."""
    if not payment.amount:
        return Operation.VERIFY
    return Operation.SALE if payment.capture else Operation.AUTHORIZE


def _disputed(notice: NoticeIn, dispute: DisputeOut) -> Report:
    return Report(
        account=notice.account,
        mode=notice.mode,
        reference=dispute.reference,
        operation=None,
        amount=dispute.amount,
        currency=dispute.currency,
        found=Found(Outcome.UNKNOWN, Basis.NOTICE, reason=notice.type),
        event_type=notice.type,
        dispute=DisputeTold(
            processor_reference=dispute.id,
            status=DisputeStatus(dispute.status),
            step=dispute.step,
            amount=dispute.amount,
            currency=dispute.currency,
            reason=dispute.reason,
            evidence_due_by=dispute.evidence_due_by,
        ),
    )


def _refusal(reply: Forwarded) -> Found:
    reason = decoded(_problem, reply.body).error.code
    if reason == "idempotency_in_flight":
        # The first request under this key still runs: what becomes of it is not known yet.
        return Found(Outcome.UNKNOWN, Basis.ANSWER, reason=reason)
    if reason == "idempotency_mismatch":
        # The key was seen with another body, so something was executed under it: never "not sent".
        return Found(Outcome.UNKNOWN, Basis.ANSWER, reason=reason)
    return Found(Outcome.NOT_SENT, Basis.ANSWER, reason=reason)


def _checked(attempt: Attempt, thing: ThingOut, basis: Basis) -> Found:
    """Believe an object only where it is what we asked about, in amount and currency too (DESIGN promise 5, C4)."""
    shaped = isinstance(thing, _SHAPES[attempt.operation])
    if not shaped or thing.reference != attempt.attempt_id:
        raise AnswerSurprising
    if thing.currency != attempt.currency:
        raise AnswerSurprising
    if isinstance(thing, PaymentOut) and (
        thing.amount != attempt.amount or thing.capture is not (attempt.operation is Operation.SALE)
    ):
        raise AnswerSurprising
    # A release is of whatever was left there: what it says is recorded, and shows where the two books differ.
    if isinstance(thing, CaptureOut | IncrementOut | RefundOut) and (
        thing.status == "succeeded" and thing.amount != attempt.amount
    ):
        raise AnswerSurprising
    return _known(thing, basis)


def _known(thing: ThingOut, basis: Basis) -> Found:
    if isinstance(thing, PaymentOut):
        return _payment_known(thing, basis)
    outcome = {
        "succeeded": Outcome.APPROVED,
        "failed": Outcome.DECLINED,
        "pending": Outcome.PENDING,
    }[thing.status]
    return Found(
        outcome,
        basis,
        processor_reference=thing.id,
        amount=thing.amount if outcome is Outcome.APPROVED else None,
        currency=thing.currency,
        decline_code=thing.decline_code,
        # A final capture releases the rest; where it fails afterwards, that stays released.
        released=thing.totals.voided if isinstance(thing, CaptureOut) else None,
    )


def _payment_known(payment: PaymentOut, basis: Basis) -> Found:
    if payment.status == "declined":
        outcome = Outcome.DECLINED
    elif payment.status in ("requires_action", "pending"):
        outcome = Outcome.PENDING
    else:
        # Voided and expired were authorized first: releasing is an operation of its own.
        outcome = Outcome.APPROVED
    # What increments added is theirs: here counts what was approved at first.
    authorized = payment.authorized - payment.incremented
    verified = payment.status == "verified"
    if verified is not (outcome is Outcome.APPROVED and not payment.amount):
        raise AnswerSurprising
    if outcome is Outcome.APPROVED and not (verified or 0 < authorized <= payment.amount):
        raise AnswerSurprising
    return Found(
        outcome,
        basis,
        processor_reference=payment.id,
        amount=authorized if outcome is Outcome.APPROVED else None,
        currency=payment.currency,
        decline_code=payment.decline_code,
        advice=payment.advice,
        action_url=payment.action.url if payment.action and outcome is Outcome.PENDING else None,
        released=payment.voided if outcome is Outcome.APPROVED and not verified else None,
        scheme_transaction_id=payment.network_transaction_id,
        cvc_result=None if payment.cvc_check is None else Check(payment.cvc_check),
        captured=payment.captured if outcome is Outcome.APPROVED and payment.capture else None,
        capture_before=payment.capture_before if outcome is Outcome.APPROVED else None,
        avs_result=payment.avs_check,
    )


__all__ = ["DESTINATION", "SimulatorAdapter"]
