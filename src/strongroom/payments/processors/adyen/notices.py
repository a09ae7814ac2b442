# SPDX-License-Identifier: Apache-2.0
"""What Adyen's notifications say of an attempt. Only the members that the HMAC covers are read.

Modifications are answered "received": what became of them stands here and nowhere else. `reason`, `eventDate` and
`additionalData` are not signed, so a refusal that is told by a notification alone has no finer word.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from strongroom.kernel.mode import Mode
from strongroom.payments.declines import DeclineCode
from strongroom.payments.model import (
    Basis,
    DisputeStatus,
    DisputeTold,
    Found,
    Operation,
    Outcome,
)
from strongroom.payments.ports import Report
from strongroom.payments.processors.adyen.declines import declined
from strongroom.payments.processors.adyen.references import referred
from strongroom.payments.processors.adyen.wire import ItemIn, NotificationIn

#: What a notification means for an attempt of an operation: (it succeeded, it did not).
_Says = Callable[[ItemIn], Found]
_Meaning = tuple[_Says | None, _Says | None]


def _approved(item: ItemIn) -> Found:
    """What was asked for happened."""
    return Found(
        Outcome.APPROVED,
        Basis.NOTICE,
        processor_reference=item.psp_reference,
        amount=item.amount.value,
        currency=item.amount.currency,
    )


def _declined(item: ItemIn) -> Found:
    """What was asked for did not happen, or failed after it had."""
    return declined(
        Basis.NOTICE, DeclineCode.GENERIC_DECLINE, item.event_code.lower(), item.psp_reference
    )


def _ended(item: ItemIn) -> Found:
    """The customer did not finish in time."""
    return declined(
        Basis.NOTICE, DeclineCode.CANCELED_BY_CUSTOMER, item.event_code.lower(), item.psp_reference
    )


def _sale(item: ItemIn, *, captured: int | None = None, released: int | None = None) -> Found:
    """Something of an authorization that lives. The payment's own reference is the original one, if it is given."""
    return Found(
        Outcome.APPROVED,
        Basis.NOTICE,
        processor_reference=item.original_reference or None,
        amount=item.amount.value,
        currency=item.amount.currency,
        captured=captured,
        released=released,
    )


def _captured(item: ItemIn) -> Found:
    """The capture that a sale brought with it."""
    return _sale(item, captured=item.amount.value)


def _not_captured(item: ItemIn) -> Found:
    """The capture that a sale brought with it failed: what stays is an authorization."""
    return _sale(item, captured=0)


def _expired(item: ItemIn) -> Found:
    """What was not captured is held no more. The amount is what was authorized, not what expired."""
    return replace(_sale(item, released=item.amount.value), releases_rest=True)


def _canceled(item: ItemIn) -> Found:
    """What was left is released. The amount may be what was authorized, so what we asked for counts."""
    return replace(_approved(item), amount=None)


def _called_back(item: ItemIn) -> Found:
    """All of it is held no more, and nothing was captured: only what is not captured can be cancelled."""
    return _sale(item, captured=0, released=item.amount.value)


def _raised(item: ItemIn) -> Found:
    """An authorization was raised. The amount is what it came to, not what was added."""
    return Found(
        Outcome.APPROVED,
        Basis.NOTICE,
        processor_reference=item.psp_reference,
        currency=item.amount.currency,
    )


_AUTHORIZING: Final = (Operation.AUTHORIZE, Operation.SALE)
_ASKING: Final = (*_AUTHORIZING, Operation.VERIFY)
#: Kinds that speak of an operation of ours.
MEANINGS: Final[Mapping[str, Mapping[Operation, _Meaning]]] = {
    "AUTHORISATION": dict.fromkeys(_ASKING, (_approved, _declined)),
    "AUTHORISATION_ADJUSTMENT": {Operation.INCREMENT: (_raised, _declined)},
    "CANCELLATION": {Operation.VOID: (_canceled, _declined)},
    "CAPTURE": {
        Operation.CAPTURE: (_approved, _declined),
        Operation.SALE: (_captured, _not_captured),
    },
    "CAPTURE_FAILED": {
        Operation.CAPTURE: (_declined, None),
        Operation.SALE: (_not_captured, None),
    },
    "EXPIRE": dict.fromkeys(_AUTHORIZING, (_expired, None)),
    "OFFER_CLOSED": dict.fromkeys(_ASKING, (_ended, None)),
    "REFUND": {Operation.REFUND: (_approved, _declined)},
    "REFUNDED_REVERSED": {Operation.REFUND: (_declined, None)},
    "REFUND_FAILED": {Operation.REFUND: (_declined, None)},
    "TECHNICAL_CANCEL": dict.fromkeys(_AUTHORIZING, (_called_back, None)),
}
#: Kinds that speak of a dispute, and how far it has come by them. Kinds that neither move money nor end one (a defence
#: was sent, its time is over, a pre-arbitration is open) are not read: `disputeStatus` is not signed.
DISPUTES: Final[Mapping[str, tuple[DisputeStatus, int]]] = {
    "REQUEST_FOR_INFORMATION": (DisputeStatus.INQUIRY, 10),
    "NOTIFICATION_OF_CHARGEBACK": (DisputeStatus.INQUIRY, 20),
    "CHARGEBACK": (DisputeStatus.OPENED, 30),
    "CHARGEBACK_REVERSED": (DisputeStatus.REVERSED, 40),
    "SECOND_CHARGEBACK": (DisputeStatus.OPENED, 50),
    "ISSUER_RESPONSE_TIMEFRAME_EXPIRED": (DisputeStatus.WON, 60),
    "PREARBITRATION_LOST": (DisputeStatus.LOST, 60),
    "PREARBITRATION_WON": (DisputeStatus.WON, 60),
    "SCHEME_ARBITRATION_LOST": (DisputeStatus.LOST, 70),
    "SCHEME_ARBITRATION_WON": (DisputeStatus.WON, 70),
}
#: Kinds that move money, or say how much of it moves, without any operation of ours. A report without an operation is
#: correlated and put aside with an alert: never believed, and never passed over in silence.
UNASKED: Final = frozenset(
    ("CANCEL_OR_REFUND POSTPONED_REFUND REFUND_WITH_DATA VOID_PENDING_REFUND").split()
)


def concerns_payments(event_code: str) -> bool:
    """Tell whether a kind is read at all. The others are kept, and say nothing of a payment."""
    return event_code in MEANINGS or event_code in DISPUTES or event_code in UNASKED


def report_of(notification: NotificationIn) -> Report:
    """Say what a notification claims. Its kind is one that concerns payments."""
    (wrapped,) = notification.notification_items
    item = wrapped.item
    reference, operation = referred(item.merchant_reference)
    says = None
    if operation is not None:
        meaning = MEANINGS.get(item.event_code, {}).get(operation, (None, None))
        says = meaning[0] if item.success == "true" else meaning[1]
    if says is None:
        operation, says = None, _unasked
    disputed = DISPUTES.get(item.event_code) if item.success == "true" else None
    return Report(
        account=item.merchant_account_code,
        mode=(Mode.LIVE if notification.live == "true" else Mode.TEST).value,
        reference=reference,
        operation=operation,
        amount=item.amount.value,
        currency=item.amount.currency,
        found=says(item),
        event_type=item.event_code,
        of_the_whole=item.event_code == "CANCELLATION",
        dispute=None if disputed is None else _disputed(item, *disputed),
        of_total=operation is Operation.INCREMENT,
    )


def _disputed(item: ItemIn, status: DisputeStatus, step: int) -> DisputeTold:
    """Say what it tells of a dispute: all its events have one reference. Why, and until when, is not signed."""
    return DisputeTold(
        processor_reference=item.psp_reference,
        status=status,
        step=step,
        amount=item.amount.value,
        currency=item.amount.currency,
    )


def _unasked(item: ItemIn) -> Found:
    """Nothing that is known of an attempt changes by it."""
    return Found(Outcome.UNKNOWN, Basis.NOTICE, reason=item.event_code.lower())
