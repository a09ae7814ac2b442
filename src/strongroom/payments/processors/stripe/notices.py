# SPDX-License-Identifier: Apache-2.0
"""Reads Stripe's events, once verified. What is not of ours, or says nothing that another event does not, is None.

Which of ours an event is about: an attempt's id in the object's metadata, or the key of the request that caused it.
What moves money without us (a capture or a refund in the dashboard) is a report without an operation.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import msgspec

from strongroom.kernel.ids import is_id
from strongroom.payments.model import (
    Basis,
    DisputeStatus,
    DisputeTold,
    Found,
    Operation,
    Outcome,
)
from strongroom.payments.ports import Report
from strongroom.payments.processors.stripe import setups
from strongroom.payments.processors.stripe.amounts import amount_from_stripe
from strongroom.payments.processors.stripe.reading import (
    ATTEMPT,
    CAPTURE,
    INCREMENT,
    authorization_known,
    capture_known,
    decoded,
    ended,
    increment_known,
    operation_of,
    refund_known,
    void_known,
)
from strongroom.payments.processors.stripe.wire import (
    ChargeOut,
    DisputeOut,
    EventOut,
    IntentOut,
    RefundOut,
    SetupOut,
)

_event: Final = msgspec.json.Decoder(EventOut).decode
_intent: Final = msgspec.json.Decoder(IntentOut).decode
_charge: Final = msgspec.json.Decoder(ChargeOut).decode
_refund: Final = msgspec.json.Decoder(RefundOut).decode
_setup: Final = msgspec.json.Decoder(SetupOut).decode
_dispute: Final = msgspec.json.Decoder(DisputeOut).decode

#: Why Stripe itself gives an uncaptured charge back: a release, which the charge's own events tell.
_RELEASE: Final = "expired_uncaptured_charge"
_REINSTATED: Final = "charge.dispute.funds_reinstated"
#: What a dispute's status means, and how far it has come by it. `warning_`: an inquiry, by which no money moves.
_DISPUTES: Final[Mapping[str, tuple[DisputeStatus, int]]] = {
    "warning_needs_response": (DisputeStatus.INQUIRY, 10),
    "warning_under_review": (DisputeStatus.INQUIRY, 15),
    "needs_response": (DisputeStatus.OPENED, 30),
    "under_review": (DisputeStatus.UNDER_REVIEW, 35),
    "warning_closed": (DisputeStatus.WON, 60),
    "won": (DisputeStatus.WON, 60),
    "lost": (DisputeStatus.LOST, 60),
}


def read_notice(body: bytes) -> Report | None:
    """Say what an event claims.

    Raises:
        AnswerSurprising: it has not the published shape.
    """
    event = decoded(_event, body)
    read = _READERS.get(event.type)
    return None if read is None else read(event)


def _report(
    event: EventOut,
    reference: str,
    operation: Operation | None,
    amount: tuple[int, str],
    found: Found,
) -> Report:
    return Report(
        account=event.account,
        mode="live" if event.livemode else "test",
        reference=reference,
        operation=operation,
        amount=amount[0],
        currency=amount[1],
        found=found,
        event_type=event.type,
    )


def _unasked(event: EventOut, reference: str, amount: int, currency: str) -> Report:
    """Say that money moved without us. Nothing changes by it: it is put aside with an alert, never passed over.

    A Refund and a Dispute name no reference of ours, but a payment by Stripe's name: it correlates with nothing, and is
    put aside all the same.
    """
    found = Found(Outcome.UNKNOWN, Basis.NOTICE, reason=event.type)
    return _report(event, reference, None, amount_from_stripe(amount, currency), found)


def _began(event: EventOut) -> Report | None:
    """Of the authorization or sale that began a PaymentIntent."""
    intent = decoded(_intent, event.data.object)
    reference = intent.metadata.get(ATTEMPT)
    if reference is None:
        return None
    found = authorization_known(intent, Basis.NOTICE)
    amount = amount_from_stripe(intent.amount, intent.currency)
    return _report(event, reference, operation_of(intent), amount, found)


def _verified(event: EventOut) -> Report | None:
    """Of a SetupIntent: whether a card is good."""
    setup = decoded(_setup, event.data.object)
    reference, currency = setup.metadata.get(ATTEMPT), setup.metadata.get(setups.CURRENCY)
    if reference is None or currency is None:
        return None
    found = setups.known(setup, Basis.NOTICE)
    return _report(event, reference, Operation.VERIFY, (0, currency), found)


def _held(event: EventOut) -> Report | None:
    """Of an authorization that holds money now; the same event comes again when less is held."""
    intent = decoded(_intent, event.data.object)
    if intent.status != "requires_capture":
        return None
    raised = intent.metadata.get(INCREMENT)
    return _began(event) if raised is None else _raised(event, intent, raised)


def _raised(event: EventOut, intent: IntentOut, reference: str) -> Report:
    """Of the last raise of what is held: to how much."""
    amount = amount_from_stripe(intent.amount, intent.currency)
    found = increment_known(intent, Basis.NOTICE)
    report = _report(event, reference, Operation.INCREMENT, amount, found)
    return replace(report, of_total=True)


def _succeeded(event: EventOut) -> Report | None:
    """Of a sale, or of the capture of what was held: by us, or in the dashboard."""
    intent = decoded(_intent, event.data.object)
    if operation_of(intent) is Operation.SALE:
        return _began(event)
    reference = intent.metadata.get(CAPTURE)
    if reference is None:
        began = intent.metadata.get(ATTEMPT)
        if began is None:
            return None
        return _unasked(event, began, intent.amount_received, intent.currency)
    amount = amount_from_stripe(intent.amount_received, intent.currency)
    found = capture_known(intent, Basis.NOTICE)
    return _report(event, reference, Operation.CAPTURE, amount, found)


def _canceled(event: EventOut) -> Report | None:
    """Of a void of ours, or of a challenge that nobody took; an authorization that is gone, its charge tells."""
    intent = decoded(_intent, event.data.object)
    began = intent.metadata.get(ATTEMPT)
    if began is None:
        return None
    amount = amount_from_stripe(intent.amount, intent.currency)
    asked = _asked_by(event)
    if asked is not None:
        return _report(event, asked, Operation.VOID, amount, void_known(intent, Basis.NOTICE))
    if intent.latest_charge is not None:
        return None
    return _report(event, began, operation_of(intent), amount, ended(intent, Basis.NOTICE))


def _released(event: EventOut) -> Report | None:
    """Of an authorization that expired, or was released elsewhere: its charge goes back uncaptured.

    A charge that is captured was refunded: by us, which the Refund tells, or in the dashboard.
    """
    charge = decoded(_charge, event.data.object)
    reference = charge.metadata.get(ATTEMPT)
    if reference is None or charge.payment_intent is None:
        return None
    if charge.captured:
        if _asked_by(event) is not None:
            return None
        return _unasked(event, reference, charge.amount_refunded, charge.currency)
    if charge.status != "succeeded":
        return None
    amount = amount_from_stripe(charge.amount, charge.currency)
    found = Found(
        Outcome.APPROVED,
        Basis.NOTICE,
        processor_reference=charge.payment_intent,
        amount=amount[0],
        currency=amount[1],
        released=amount[0],
    )
    return _report(event, reference, Operation.AUTHORIZE, amount, found)


def _refunded(event: EventOut) -> Report | None:
    """Of a refund, whichever way it went; one without our reference was not asked for here."""
    refund = decoded(_refund, event.data.object)
    reference = (refund.metadata or {}).get(ATTEMPT)
    if reference is None:
        # What our void or capture leaves goes back as a Refund, too, in some versions.
        if refund.reason == _RELEASE or _asked_by(event) is not None:
            return None
        named = refund.payment_intent or refund.charge or refund.id
        return _unasked(event, named, refund.amount, refund.currency)
    amount = amount_from_stripe(refund.amount, refund.currency)
    found = refund_known(refund, Basis.NOTICE)
    return _report(event, reference, Operation.REFUND, amount, found)


def _disputed(event: EventOut) -> Report:
    """Of a dispute, at every step of it. It names the payment as Stripe does, and nothing of ours."""
    dispute = decoded(_dispute, event.data.object)
    named = dispute.payment_intent or dispute.charge
    report = _unasked(event, named, dispute.amount, dispute.currency)
    status, step = _DISPUTES[dispute.status]
    if event.type == _REINSTATED and status is not DisputeStatus.WON:
        # Some of the money came back, and how much is not said here: a person looks.
        return report
    due = None if dispute.evidence_details is None else dispute.evidence_details.due_by
    told = DisputeTold(
        processor_reference=dispute.id,
        status=status,
        step=step,
        amount=report.amount,
        currency=report.currency,
        reason=dispute.reason,
        evidence_due_by=datetime.fromtimestamp(due, UTC) if due else None,
        payment=dispute.payment_intent,
    )
    return replace(report, dispute=told)


def _asked_by(event: EventOut) -> str | None:
    """Return the attempt whose request caused an event, if one did: its id was the request's key."""
    key = None if event.request is None else event.request.idempotency_key
    return key if key is not None and is_id("att", key) else None


#: What is read. `charge.succeeded`, `.failed`, `.captured` and `.pending` say what the payment's own events say.
_READERS: Final[dict[str, Callable[[EventOut], Report | None]]] = {
    "charge.dispute.closed": _disputed,
    "charge.dispute.created": _disputed,
    "charge.dispute.funds_reinstated": _disputed,
    "charge.dispute.funds_withdrawn": _disputed,
    "charge.dispute.updated": _disputed,
    "charge.expired": _released,
    "charge.refund.updated": _refunded,
    "charge.refunded": _released,
    "payment_intent.amount_capturable_updated": _held,
    "payment_intent.canceled": _canceled,
    "payment_intent.payment_failed": _began,
    "payment_intent.processing": _began,
    "payment_intent.requires_action": _began,
    "payment_intent.succeeded": _succeeded,
    "refund.created": _refunded,
    "refund.failed": _refunded,
    "refund.updated": _refunded,
    "setup_intent.canceled": _verified,
    "setup_intent.requires_action": _verified,
    "setup_intent.setup_failed": _verified,
    "setup_intent.succeeded": _verified,
}
