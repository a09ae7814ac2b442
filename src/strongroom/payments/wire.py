# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of payments. Unknown fields are refused; amounts are whole minor units; none can hold a card number."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from strongroom.kernel.clock import rfc3339
from strongroom.payments.customer_wire import OfCustomer
from strongroom.payments.model import Attempt, Payment, Refund
from strongroom.payments.processing_wire import ProcessingOut
from strongroom.payments.route import Route
from strongroom.payments.stored_wire import StoredCredentialIn, StoredCredentialOut, stored_out

AMOUNT_MAX = 999_999_999_999

NO_NUL = r"^[^\u0000]*$"
Amount = Annotated[
    int, Meta(ge=1, le=AMOUNT_MAX, description="in the currency's minor units (AED 10.50 is 1050)")
]
AmountOrNone = Annotated[
    int,
    Meta(
        ge=0,
        le=AMOUNT_MAX,
        description="in the currency's minor units (AED 10.50 is 1050); 0 asks whether the card is good",
    ),
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
        pattern=r"^cvc_[A-Za-z0-9_-]+$(?!\n)", max_length=1_024, description="a sealed CVC (cvc_…)"
    ),
]
Url = Annotated[str, Meta(min_length=8, max_length=2_000)]
Capture = Literal["automatic", "manual"]
Moment = Annotated[datetime, Meta(tz=True, description="RFC 3339, with its offset")]
Expiry = Literal["cancel", "leave"]


class PaymentIn(OfCustomer, frozen=True, forbid_unknown_fields=True):
    """A wish for a payment."""

    amount: AmountOrNone
    currency: Currency
    token: TokenText | None = None
    cvc: CvcText | None = None
    capture_method: Capture = "automatic"
    confirm: bool = False
    connection: str | None = None
    reference: Reference | None = None
    metadata: Metadata | None = None
    return_url: Url | None = None
    stored_credential: StoredCredentialIn | None = None
    #: The amount is an estimate: the processor is told so, and it may be raised while it is held.
    estimated: bool = False
    #: When all that is held is captured by itself.
    capture_at: Moment | None = None
    #: What is done with a hold that nobody captured when its time is over; the installation's setting without it.
    on_expiry: Expiry | None = None
    #: Whoever pays; without a token their default card is charged.
    customer: Annotated[str, Meta(min_length=30, max_length=30)] | None = None


class ConfirmIn(OfCustomer, frozen=True, forbid_unknown_fields=True):
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
    incrementing: int
    #: What increments have added; it is in `authorized`.
    incremented: int


class ListedOut(msgspec.Struct, frozen=True):
    """A connection that was considered: chosen, tried, passed_over (`reason` says why) or not_needed."""

    connection: str
    result: str
    reason: str | None


class RouteOut(msgspec.Struct, frozen=True):
    """Why an attempt went to its connection."""

    #: request: it named the connection; rule: a routing rule chose; default: the newest active one.
    by: str
    version: int | None
    rule: str | None
    connections: list[ListedOut]
    #: The attempt of the same request that came before.
    after: str | None
    #: failed_over, or why the request did not go on to another connection; null while it is not known, or approved.
    onward: str | None


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
    #: Of an increment: what is authorized with it.
    raises_to: int | None
    decline_code: str | None
    advice: str | None
    reason: str | None
    #: Which attempt of its request it is.
    step: int
    #: Of authorizations and sales.
    route: RouteOut | None
    three_ds: str | None
    created_at: str
    settled_at: str | None
    #: What a later payment with a stored card refers to, as the processor was told.
    initial_transaction_id: str | None = None
    #: What the scheme calls it, where the processor told it.
    scheme_transaction_id: str | None = None
    #: What the issuer said of address and security code: match, partial, mismatch, unavailable, unchecked.
    avs_result: str | None = None
    cvc_result: str | None = None


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
    estimated: bool
    #: Until when what is held may be captured, as the processor says or its scheme's published time does.
    capture_before: str | None
    #: When what is left is captured by itself.
    capture_at: str | None
    #: What is done with what nobody captured until then: cancel or leave.
    on_expiry: str | None
    created_at: str
    updated_at: str
    #: The attempt that this request made.
    attempt: AttemptOut | None = None
    processing: ProcessingOut | None = None
    stored_credential: StoredCredentialOut | None = None
    customer: str | None = None
    #: When it is tried again, where you began it and its decline was a soft one.
    next_retry_at: str | None = None


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
        estimated=payment.estimated,
        capture_before=_moment(payment.capture_before),
        capture_at=_moment(payment.capture_at),
        on_expiry=payment.on_expiry,
        created_at=rfc3339(payment.created_at),
        updated_at=rfc3339(payment.updated_at),
        attempt=None if attempt is None else attempt_out(attempt),
        stored_credential=stored_out(payment.stored_credential),
        customer=payment.customer_id,
        next_retry_at=_moment(payment.next_retry_at),
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
        payment.incrementing,
        payment.incremented,
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
        raises_to=attempt.raises_to,
        decline_code=attempt.decline_code,
        advice=attempt.advice,
        reason=attempt.reason,
        step=attempt.step,
        route=None if attempt.route is None else route_out(attempt.route),
        three_ds=attempt.three_ds,
        created_at=rfc3339(attempt.created_at),
        settled_at=_moment(attempt.settled_at),
        initial_transaction_id=attempt.initial_transaction_id,
        scheme_transaction_id=attempt.scheme_transaction_id,
        avs_result=attempt.avs_result,
        cvc_result=attempt.cvc_result,
    )


def route_out(route: Route) -> RouteOut:
    """Print why an attempt went to its connection."""
    return RouteOut(
        by=route.by,
        version=route.version,
        rule=route.rule,
        connections=[
            ListedOut(each.connection, each.result, each.reason) for each in route.connections
        ],
        after=route.after,
        onward=route.onward,
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
