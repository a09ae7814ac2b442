# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of payments. Unknown fields are refused; amounts are whole minor units; none can hold a card number."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from strongroom.kernel.clock import rfc3339
from strongroom.kernel.events import EventType
from strongroom.payments.model import Attempt, Payment, Refund

AMOUNT_MAX = 999_999_999_999

NO_NUL = r"^[^\u0000]*$"
Amount = Annotated[
    int, Meta(ge=1, le=AMOUNT_MAX, description="in the currency's minor units (AED 10.50 is 1050)")
]
Currency = Annotated[str, Meta(min_length=3, max_length=3, description="ISO 4217, upper case")]
Reference = Annotated[
    str, Meta(min_length=1, max_length=100, pattern=NO_NUL, description="your own name for it")
]
MetadataKey = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_.-]+$(?!\n)")]
Metadata = Annotated[
    dict[MetadataKey, Annotated[str, Meta(max_length=500, pattern=NO_NUL)]], Meta(max_length=20)
]
TokenText = Annotated[str, Meta(min_length=30, max_length=30, description="a token (tok_…)")]
# A clear CVC in its place is refused before anything is decided or saved.
CvcText = Annotated[
    str,
    Meta(
        pattern=r"^cvc_[A-Za-z0-9_-]+$(?!\n)",
        max_length=1_024,
        description="a CVC as the vault sealed it (cvc_…)",
    ),
]
Url = Annotated[str, Meta(min_length=8, max_length=2_000)]
Capture = Literal["automatic", "manual"]


class PaymentIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish for a payment."""

    amount: Amount
    currency: Currency
    token: TokenText | None = None
    cvc: CvcText | None = None
    capture_method: Capture = "automatic"
    confirm: bool = False
    connection: str | None = None
    reference: Reference | None = None
    metadata: Metadata | None = None
    return_url: Url | None = None


class ConfirmIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish to charge it now; what is given here replaces what was given before."""

    token: TokenText | None = None
    cvc: CvcText | None = None
    connection: str | None = None
    return_url: Url | None = None


class CaptureIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish for money that is authorized: all that is left, or an amount of it."""

    amount: Amount | None = None
    #: Whether what then remains is released.
    final_capture: bool = True


class CancelIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish to call a payment off, or to release what is left of it."""

    reason: Literal["abandoned", "duplicate", "fraudulent", "requested_by_customer"] = (
        "requested_by_customer"
    )


class RefundIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish to give money back: all that is left of what was captured, or an amount of it."""

    amount: Amount | None = None
    reason: Literal["duplicate", "fraudulent", "requested_by_customer"] | None = None
    reference: Reference | None = None
    metadata: Metadata | None = None


class CardOut(msgspec.Struct, frozen=True):
    """What may be shown of the card."""

    brand: str
    bin: str
    last4: str


class ActionOut(msgspec.Struct, frozen=True):
    """What the customer has to do: go there."""

    type: Literal["redirect"]
    url: str


class Balances(msgspec.Struct, frozen=True):
    """How much is where, in minor units. What ends in -ing is asked for and not answered yet."""

    authorized: int
    capturing: int
    captured: int
    voiding: int
    voided: int
    refunding: int
    refunded: int
    disputed: int
    capturable: int
    refundable: int


class AttemptOut(msgspec.Struct, frozen=True):
    """One time that a processor was asked. `outcome` is null while its answer is awaited."""

    id: str
    object: str
    payment: str
    operation: str
    outcome: str | None
    basis: str | None
    amount: int
    currency: str
    connection: str
    refund: str | None
    processor_reference: str | None
    settled_amount: int | None
    decline_code: str | None
    advice: str | None
    reason: str | None
    created_at: str
    settled_at: str | None


class PaymentOut(msgspec.Struct, frozen=True):
    """A payment."""

    id: str
    object: str
    mode: str
    status: str
    amount: int
    currency: str
    capture_method: str
    token: str | None
    card: CardOut | None
    connection: str | None
    reference: str | None
    metadata: dict[str, str]
    return_url: str | None
    next_action: ActionOut | None
    balances: Balances
    decline_code: str | None
    advice: str | None
    cancellation_reason: str | None
    #: What a processor reported does not add up: it is recorded, and a person looks.
    discrepancy: bool
    created_at: str
    updated_at: str
    #: The attempt that this request made.
    attempt: AttemptOut | None = None


class RefundOut(msgspec.Struct, frozen=True):
    """A refund."""

    id: str
    object: str
    mode: str
    payment: str
    attempt: str
    amount: int
    currency: str
    status: str
    reason: str | None
    reference: str | None
    metadata: dict[str, str]
    failure_code: str | None
    created_at: str
    updated_at: str


class PaymentPage(msgspec.Struct, frozen=True):
    """A page of payments, newest first."""

    data: list[PaymentOut]
    has_more: bool
    next_cursor: str | None


class AttemptsOut(msgspec.Struct, frozen=True):
    """A payment's attempts, oldest first."""

    data: list[AttemptOut]
    has_more: bool
    next_cursor: str | None


class RefundsOut(msgspec.Struct, frozen=True):
    """A payment's refunds, oldest first."""

    data: list[RefundOut]
    has_more: bool
    next_cursor: str | None


class ProblemOfPayment(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457 problem details of a decline: 402, with the payment as it now is."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    payment: PaymentOut
    decline_code: str | None = None
    advice: str | None = None
    refund: RefundOut | None = None


class PaymentEvent(msgspec.Struct, frozen=True):
    """What an event about a payment carries."""

    payment: PaymentOut


class RefundEvent(msgspec.Struct, frozen=True):
    """What an event about a refund carries."""

    refund: RefundOut
    payment: PaymentOut


#: What the `data` of each event of payments is.
EVENT_DATA: Final[Mapping[EventType, type[msgspec.Struct]]] = {
    each: RefundEvent if each.value.startswith("refund.") else PaymentEvent
    for each in EventType
    if each.value.startswith(("payment.", "refund."))
}


def payment_out(payment: Payment, attempt: Attempt | None = None) -> PaymentOut:
    """Print a payment, with the attempt that a request made."""
    return PaymentOut(
        id=payment.payment_id,
        object="payment",
        mode=payment.mode,
        status=payment.status,
        amount=payment.amount,
        currency=payment.currency,
        capture_method=payment.capture_method,
        token=payment.token_id,
        card=_card(payment),
        connection=payment.connection_id,
        reference=payment.reference,
        metadata=dict(payment.metadata),
        return_url=payment.return_url,
        next_action=None
        if payment.action_url is None
        else ActionOut("redirect", payment.action_url),
        balances=balances(payment),
        decline_code=payment.decline_code,
        advice=payment.advice,
        cancellation_reason=payment.cancel_reason,
        discrepancy=payment.discrepancy,
        created_at=rfc3339(payment.created_at),
        updated_at=rfc3339(payment.updated_at),
        attempt=None if attempt is None else attempt_out(attempt),
    )


def balances(payment: Payment) -> Balances:
    """Print how much is where."""
    return Balances(
        payment.authorized,
        payment.capturing,
        payment.captured,
        payment.voiding,
        payment.voided,
        payment.refunding,
        payment.refunded,
        payment.disputed,
        payment.capturable,
        payment.refundable,
    )


def _card(payment: Payment) -> CardOut | None:
    if payment.brand is None or payment.bin is None or payment.last4 is None:
        return None
    return CardOut(payment.brand, payment.bin, payment.last4)


def attempt_out(attempt: Attempt) -> AttemptOut:
    """Print an attempt."""
    return AttemptOut(
        id=attempt.attempt_id,
        object="attempt",
        payment=attempt.payment_id,
        operation=attempt.operation,
        outcome=attempt.outcome,
        basis=attempt.basis,
        amount=attempt.amount,
        currency=attempt.currency,
        connection=attempt.connection_id,
        refund=attempt.refund_id,
        processor_reference=attempt.processor_reference,
        settled_amount=attempt.settled_amount,
        decline_code=attempt.decline_code,
        advice=attempt.advice,
        reason=attempt.reason,
        created_at=rfc3339(attempt.created_at),
        settled_at=_moment(attempt.settled_at),
    )


def refund_out(refund: Refund) -> RefundOut:
    """Print a refund."""
    return RefundOut(
        id=refund.refund_id,
        object="refund",
        mode=refund.mode,
        payment=refund.payment_id,
        attempt=refund.attempt_id,
        amount=refund.amount,
        currency=refund.currency,
        status=refund.status,
        reason=refund.reason,
        reference=refund.reference,
        metadata=dict(refund.metadata),
        failure_code=refund.failure_code,
        created_at=rfc3339(refund.created_at),
        updated_at=rfc3339(refund.updated_at),
    )


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
