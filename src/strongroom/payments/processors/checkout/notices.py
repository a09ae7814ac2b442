# SPDX-License-Identifier: Apache-2.0
"""Reads Checkout.com's events. They come late, doubled and in any order: each is read for what it says by itself."""

import re
from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

import msgspec

from strongroom.kernel.mode import Mode
from strongroom.payments.declines import ADVICE, DeclineCode
from strongroom.payments.model import (
    Basis,
    DisputeStatus,
    DisputeTold,
    Found,
    Operation,
    Outcome,
)
from strongroom.payments.ports import AnswerSurprising, Report
from strongroom.payments.processors.checkout.declines import declined
from strongroom.payments.processors.checkout.wire import (
    APPROVED,
    Balances,
    EventData,
    EventIn,
    EventKind,
    Link,
    Place,
)
from strongroom.payments.published import decoded

Shape = TypeVar("Shape")
#: What the account is called whose API has no prefix of its own.
UNPREFIXED: Final = "api"
_HOST: Final = re.compile(
    r"https://(?:(?P<prefix>[a-z0-9]{1,32})\.)?api(?P<sandbox>\.sandbox)?\.checkout\.com/.*"
)
_kind: Final = msgspec.json.Decoder(EventKind).decode
_event: Final = msgspec.json.Decoder(EventIn).decode

_VERIFICATIONS: Final = ("card_verification_declined", "card_verified")
_AUTHORIZATIONS: Final[Mapping[str, Outcome]] = {
    "card_verification_declined": Outcome.DECLINED,
    "card_verified": Outcome.APPROVED,
    "payment_approved": Outcome.APPROVED,
    "payment_canceled": Outcome.DECLINED,
    "payment_declined": Outcome.DECLINED,
    "payment_expired": Outcome.DECLINED,
}
_CAPTURES: Final[Mapping[str, Outcome]] = {
    "payment_capture_declined": Outcome.DECLINED,
    "payment_capture_pending": Outcome.PENDING,
    "payment_captured": Outcome.APPROVED,
}
_RELEASES: Final[Mapping[str, Outcome]] = {
    "payment_void_declined": Outcome.DECLINED,
    "payment_voided": Outcome.APPROVED,
}
_REFUNDS: Final[Mapping[str, Outcome]] = {
    "payment_refund_declined": Outcome.DECLINED,
    "payment_refund_pending": Outcome.PENDING,
    "payment_refunded": Outcome.APPROVED,
}
#: What an event says of a dispute, and how far it has come by it. The amount is taken "immediately" when it comes.
#: Kinds that are not here (evidence for an arbitration was sent, …) are kept, and put aside with an alert.
_DISPUTES: Final[Mapping[str, tuple[DisputeStatus, int]]] = {
    "dispute_received": (DisputeStatus.OPENED, 30),
    "dispute_evidence_required": (DisputeStatus.OPENED, 31),
    "dispute_evidence_submitted": (DisputeStatus.UNDER_REVIEW, 35),
    "dispute_evidence_acknowledged_by_scheme": (DisputeStatus.UNDER_REVIEW, 36),
    "dispute_accepted": (DisputeStatus.LOST, 60),
    "dispute_canceled": (DisputeStatus.WON, 60),
    "dispute_expired": (DisputeStatus.LOST, 60),
    "dispute_lost": (DisputeStatus.LOST, 60),
    "dispute_resolved": (DisputeStatus.WON, 60),
    "dispute_won": (DisputeStatus.WON, 60),
    "dispute_arbitration_lost": (DisputeStatus.LOST, 70),
    "dispute_arbitration_won": (DisputeStatus.WON, 70),
}


def place_of(links: Iterable[Link | str | None]) -> Place | None:
    """Return whose API links lead to; None where none leads to one.

    Raises:
        AnswerSurprising: they lead to several.
    """
    places = set()
    for link in links:
        href = link.href if isinstance(link, Link) else link
        found = None if href is None else _HOST.fullmatch(href)
        if found is not None:
            mode = Mode.TEST if found["sandbox"] else Mode.LIVE
            places.add(Place(found["prefix"] or UNPREFIXED, mode))
    if len(places) > 1:
        raise AnswerSurprising
    return places.pop() if places else None


def captured_of(operation: Operation, sums: Balances, *, lost: bool) -> int | None:
    """Return how much of a sale is captured; None while its capture, which comes by itself, has not come yet.

    It has failed where its decline says so, or where what was authorized is released again.
    """
    if operation is not Operation.SALE:
        return None
    waits = not (sums.total_captured or sums.total_voided or lost)
    return None if waits else sums.total_captured


def read(body: bytes) -> Report | None:
    """Read a verified event; None for a kind that says nothing of a payment.

    Events name no account and no environment: their links do, and they are signed with the rest.

    Raises:
        AnswerSurprising: it has not the published shape, or no link of it says whose it is.
    """
    kind = decoded(_kind, body).type
    dispute = kind.startswith("dispute_")
    if not dispute and not any(
        kind in kinds for kinds in (_AUTHORIZATIONS, _CAPTURES, _RELEASES, _REFUNDS)
    ):
        # `payment_pending` too: it has no redirect, so it tells less than the answer did.
        return None
    event = decoded(_event, body)
    data = event.data
    place = place_of(
        (
            event.links.own,
            event.links.payment,
            None if data.event_links is None else data.event_links.payment,
        )
    )
    reference = data.payment_reference if dispute else data.reference
    if place is None or reference is None:
        raise AnswerSurprising
    if dispute:
        # Nothing that we asked for.
        operation, amount = None, data.amount
        found = Found(Outcome.UNKNOWN, Basis.NOTICE, reason=kind)
    else:
        told = _told(kind, data)
        if told is None:
            return None
        operation, amount, found = told
    return Report(
        account=place.account,
        mode=place.mode,
        reference=reference,
        operation=operation,
        amount=amount,
        currency=data.currency,
        found=found,
        event_type=kind,
        dispute=_disputed(kind, data),
    )


def _disputed(kind: str, data: EventData) -> DisputeTold | None:
    """Say what an event tells of a dispute; None where it is about something else."""
    found = _DISPUTES.get(kind)
    if found is None:
        return None
    due = data.evidence_required_by
    if due is not None and due.tzinfo is None:
        raise AnswerSurprising
    status, step = found
    return DisputeTold(
        processor_reference=data.id,
        status=status,
        step=step,
        amount=data.amount,
        currency=data.currency,
        reason=data.reason_code,
        evidence_due_by=due,
    )


def _told(kind: str, data: EventData) -> tuple[Operation | None, int, Found] | None:
    """Say of which operation an event tells what. A capture of its own that a sale brings along is the sale's."""
    mark = None if data.metadata is None else data.metadata.strongroom
    ours = None if mark is None else Operation(mark)
    if kind in _VERIFICATIONS and ours is not Operation.VERIFY:
        return None
    if kind in _AUTHORIZATIONS:
        operation = ours if ours is not None and ours.authorizes else None
        return operation, data.amount, _authorization(kind, data)
    if kind in _CAPTURES:
        if ours is Operation.SALE:
            return _of_the_whole(Operation.SALE, _CAPTURES[kind], data)
        return Operation.CAPTURE, data.amount, _action(_CAPTURES[kind], data)
    if kind in _RELEASES:
        if ours is not None and ours.authorizes and kind == "payment_voided":
            # Nobody here asked for it: it expired, or was released in the dashboard.
            return _of_the_whole(ours, Outcome.APPROVED, data)
        return Operation.VOID, data.amount, _action(_RELEASES[kind], data)
    return Operation.REFUND, data.amount, _action(_REFUNDS[kind], data)


def _authorization(kind: str, data: EventData) -> Found:
    outcome = _AUTHORIZATIONS[kind]
    if outcome is Outcome.APPROVED:
        if data.response_code is None or not data.response_code.startswith(APPROVED):
            raise AnswerSurprising
        return Found(
            outcome,
            Basis.NOTICE,
            processor_reference=data.id,
            amount=data.amount,
            currency=data.currency,
            released=None if data.balances is None else data.balances.total_voided,
        )
    if kind != "payment_declined" and kind not in _VERIFICATIONS:
        return Found(
            outcome,
            Basis.NOTICE,
            processor_reference=data.id,
            currency=data.currency,
            decline_code=DeclineCode.CANCELED_BY_CUSTOMER.value,
            advice=ADVICE[DeclineCode.CANCELED_BY_CUSTOMER].value,
            reason=kind,
        )
    if data.response_code is not None and data.response_code.startswith(APPROVED):
        raise AnswerSurprising
    said = data.processing
    why = declined(data.response_code, None if said is None else said.advice_code)
    return Found(
        outcome,
        Basis.NOTICE,
        processor_reference=data.id,
        currency=data.currency,
        decline_code=why.code.value,
        advice=why.advice.value,
        reason=why.reason,
    )


def _action(outcome: Outcome, data: EventData) -> Found:
    approved = data.response_code is not None and data.response_code.startswith(APPROVED)
    if outcome is not Outcome.PENDING and approved is not (outcome is Outcome.APPROVED):
        raise AnswerSurprising
    why = declined(data.response_code) if outcome is Outcome.DECLINED else None
    return Found(
        outcome,
        Basis.NOTICE,
        processor_reference=data.action_id,
        amount=data.amount if outcome is Outcome.APPROVED else None,
        currency=data.currency,
        decline_code=None if why is None else why.code.value,
        reason=None if why is None else why.reason,
        released=None if data.balances is None else data.balances.total_voided,
    )


def _of_the_whole(
    operation: Operation, outcome: Outcome, data: EventData
) -> tuple[Operation, int, Found] | None:
    """Say what a later event of an authorization or a sale tells of it: how much of it is captured and released."""
    if outcome is Outcome.PENDING:
        return None
    if data.balances is None:
        raise AnswerSurprising
    sums = data.balances
    found = Found(
        Outcome.APPROVED,
        Basis.NOTICE,
        processor_reference=data.id,
        amount=sums.total_authorized,
        currency=data.currency,
        released=sums.total_voided,
        captured=captured_of(operation, sums, lost=outcome is Outcome.DECLINED),
    )
    return operation, sums.total_authorized, found
