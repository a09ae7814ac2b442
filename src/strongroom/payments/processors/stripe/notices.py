# SPDX-License-Identifier: Apache-2.0
"""Reads Stripe's events, once verified. What is not of ours, or says nothing that another event does not, is None.

Which of ours an event is about: an attempt's id in the object's metadata, or the key of the request that caused it.
What moves money without us (a capture or a refund in the dashboard, a dispute) is a report without an operation.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from strongroom.kernel.ids import is_id
from strongroom.payments.declines import ADVICE, DeclineCode
from strongroom.payments.model import Basis, Found, Operation, Outcome
from strongroom.payments.ports import Report
from strongroom.payments.processors.stripe.amounts import amount_from_stripe
from strongroom.payments.processors.stripe.reading import (
    ATTEMPT,
    CAPTURE,
    authorization_known,
    capture_known,
    decoded,
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
)

_event: Final = msgspec.json.Decoder(EventOut).decode
_intent: Final = msgspec.json.Decoder(IntentOut).decode
_charge: Final = msgspec.json.Decoder(ChargeOut).decode
_refund: Final = msgspec.json.Decoder(RefundOut).decode
_dispute: Final = msgspec.json.Decoder(DisputeOut).decode

#: Why Stripe itself gives an uncaptured charge back: a release, which the charge's own events tell.
_RELEASE: Final = "expired_uncaptured_charge"


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


def _held(event: EventOut) -> Report | None:
    """Of an authorization that holds money now; the same event comes again when less is held."""
    intent = decoded(_intent, event.data.object)
    return _began(event) if intent.status == "requires_capture" else None


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
    code = DeclineCode.CANCELED_BY_CUSTOMER
    found = Found(
        Outcome.DECLINED,
        Basis.NOTICE,
        processor_reference=intent.id,
        decline_code=code.value,
        advice=ADVICE[code].value,
        reason="canceled",
    )
    return _report(event, began, operation_of(intent), amount, found)


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
    """Of a dispute, at every step of it."""
    dispute = decoded(_dispute, event.data.object)
    named = dispute.payment_intent or dispute.charge
    return _unasked(event, named, dispute.amount, dispute.currency)


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
}
