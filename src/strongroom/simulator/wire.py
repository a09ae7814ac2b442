# SPDX-License-Identifier: Apache-2.0
"""The shapes of the simulator's money API, and how what is known becomes an answer.

Unknown fields are refused. A refusal names the field and never repeats a value.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec

from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.money import CURRENCIES
from strongroom.simulator.books import (
    AMOUNT_MAX,
    Operation,
    OperationKind,
    Payment,
    Status,
    Totals,
)
from strongroom.simulator.errors import Refusal
from strongroom.simulator.ledger import Account

MODE: Final = "test"
REFERENCE_CHARACTERS_MAX: Final = 100
_WORD_CHARACTERS_MAX: Final = 40
CAPABILITIES: Final = (
    "authorize",
    "sale",
    "capture",
    "partial_capture",
    "multiple_capture",
    "void",
    "refund",
    "partial_refund",
    "increment",
    "partial_approval",
    "challenge",
    "idempotency_key",
    "stored_credentials",
    "verify",
    "find_by_reference",
)

Amount = Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_MAX)]
Reference = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=REFERENCE_CHARACTERS_MAX, pattern=r"\A[\x21-\x7e]+\Z"),
]
Url = Annotated[
    str, msgspec.Meta(max_length=2048, pattern=r"\Ahttps?://[\x21\x23-\x3b\x3d\x3f-\x7e]+\Z")
]


class CardWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A card as it comes in. Shows nothing of itself."""

    number: Annotated[str, msgspec.Meta(max_length=32)]
    exp_month: Annotated[int, msgspec.Meta(ge=1, le=12)]
    exp_year: Annotated[int, msgspec.Meta(ge=2000, le=2100)]
    cvc: Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{3,4}\Z")] | None = None

    def __repr__(self) -> str:
        return "CardWish(***)"


class StoredWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That a card is stored, or was."""

    initiator: Literal["customer", "merchant"]
    reason: Literal["instalment", "one_off", "recurring", "unscheduled"]
    stage: Literal["initial", "later"]
    #: Of the first payment.
    network_transaction_id: (
        Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9 ]{1,64}\Z")] | None
    ) = None


class PaymentWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/payments."""

    reference: Reference
    #: 0 only asks whether the card is good.
    amount: Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_MAX)]
    currency: str
    capture: bool
    card: CardWish
    return_url: Url | None = None
    three_ds: Literal["automatic", "challenge"] = "automatic"
    descriptor: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    stored: StoredWish | None = None


class CaptureWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/payments/{id}/captures."""

    reference: Reference
    amount: Amount
    final: bool


class VoidWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/payments/{id}/voids."""

    reference: Reference


class AmountWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/payments/{id}/refunds and …/increments."""

    reference: Reference
    amount: Amount


class Action(msgspec.Struct, frozen=True):
    """What the customer must do."""

    type: str
    url: str


class CardView(msgspec.Struct, frozen=True):
    """What is shown of a card."""

    brand: str
    last4: str


class PaymentView(msgspec.Struct, frozen=True, kw_only=True):
    """A payment in answers and events."""

    id: str
    object: str = "payment"
    account: str
    mode: str = MODE
    reference: str
    status: Status
    #: What was asked for; `authorized` is what was approved.
    amount: int
    currency: str
    capture: bool
    authorized: int
    #: What increments added; it is in `authorized`.
    incremented: int
    captured: int
    voided: int
    refunded: int
    disputed: int
    #: Until when what is authorized may be captured.
    capture_before: datetime | None
    decline_code: str | None
    advice: str | None
    action: Action | None
    card: CardView
    created: datetime
    #: What the scheme calls it: later payments with a stored card refer to that.
    network_transaction_id: str | None
    cvc_check: str | None
    avs_check: str | None


class OperationView(msgspec.Struct, frozen=True, kw_only=True):
    """A capture, void, refund or increment in answers and events."""

    id: str
    object: str
    payment: str
    account: str
    mode: str = MODE
    reference: str
    amount: int
    currency: str
    status: str
    decline_code: str | None
    totals: Totals
    created: datetime


class DisputeView(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute in events. `step` counts its moves, so that a receiver knows which of two events is newer."""

    id: str
    object: str = "dispute"
    payment: str
    account: str
    mode: str = MODE
    #: The payment's.
    reference: str
    amount: int
    currency: str
    status: str
    step: int
    reason: str = "fraudulent"
    evidence_due_by: datetime | None
    totals: Totals
    created: datetime


View = PaymentView | OperationView | DisputeView


class Found(msgspec.Struct, frozen=True):
    """GET /v1/operations."""

    data: Sequence[View]


class WebhookView(msgspec.Struct, frozen=True):
    """What an account is told of its own webhook."""

    configured: bool
    url: str | None


class AccountView(msgspec.Struct, frozen=True):
    """GET /v1/account."""

    account: str
    mode: str
    raw_cards: bool
    capabilities: tuple[str, ...]
    webhook: WebhookView


class EventView(msgspec.Struct, frozen=True):
    """What a webhook carries."""

    id: str
    type: str
    created: datetime
    account: str
    mode: str
    data: View


class ErrorDetail(msgspec.Struct, frozen=True):
    """Why nothing was done."""

    code: str
    message: str
    param: str | None = None


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of every answer that is an error."""

    error: ErrorDetail


Wish = TypeVar("Wish")
encode: Final = msgspec.json.Encoder().encode


def decode(decoder: "msgspec.json.Decoder[Wish]", body: bytes) -> Wish:
    """Read a body.

    Raises:
        Refusal: 400 for what is not JSON, 422 for another shape, with the field's name.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _refused_field(str(error)) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Refusal(400, "malformed_json", "the body is not JSON") from None


def check_payment(wish: PaymentWish) -> None:
    """Refuse what its types let through.

    Raises:
        Refusal: an unknown currency; a card number where none belongs; a URL without a host.
    """
    if wish.currency not in CURRENCIES:
        raise Refusal(422, "currency_unknown", "not an upper-case ISO 4217 currency", "currency")
    if wish.capture and not wish.amount:
        raise Refusal(422, "value_wrong", "an amount of 0 is not captured", "capture")
    _check_stored(wish)
    refuse_card_number("descriptor", wish.descriptor)
    refuse_card_number("return_url", wish.return_url)
    refuse_card_number("reference", wish.reference)
    if wish.return_url is not None and not is_url(wish.return_url):
        raise Refusal(422, "value_wrong", "this is not an absolute URL", "return_url")


def _check_stored(wish: PaymentWish) -> None:
    stored = wish.stored
    if stored is None:
        return
    refuse_card_number("stored.network_transaction_id", stored.network_transaction_id)
    if stored.initiator != "merchant":
        return
    if wish.card.cvc is not None:
        raise Refusal(422, "value_wrong", "what a merchant begins has no code", "card.cvc")
    if stored.network_transaction_id is None:
        where = "stored.network_transaction_id"
        raise Refusal(422, "field_missing", "what a merchant begins names the first", where)


def is_url(text: str) -> bool:
    """Tell whether a text is an absolute URL with a host and a port that can be."""
    try:
        parts = urlsplit(text)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def refuse_card_number(param: str, text: str | None) -> None:
    """Refuse a card number where none belongs: this text is kept.

    Raises:
        Refusal: it looks like one.
    """
    if text is not None and has_cardlike(text):
        raise Refusal(422, "card_number_refused", "this looks like a card number", param)


def payment_view(payment: Payment, url: str) -> PaymentView:
    """Return a payment as answers show it, from a simulator at that URL."""
    waits = payment.status is Status.REQUIRES_ACTION
    return PaymentView(
        id=payment.payment_id,
        account=payment.account,
        reference=payment.reference,
        status=payment.status,
        amount=payment.amount,
        currency=payment.currency,
        capture=payment.capture,
        authorized=payment.totals.authorized,
        incremented=payment.incremented,
        captured=payment.totals.captured,
        voided=payment.totals.voided,
        refunded=payment.totals.refunded,
        disputed=payment.disputed,
        capture_before=payment.capture_before,
        decline_code=payment.decline_code,
        advice=payment.advice,
        action=Action("redirect", f"{url}/challenge/{payment.payment_id}") if waits else None,
        card=CardView(payment.card.brand, payment.card.last4),
        created=payment.created,
        network_transaction_id=payment.network_transaction_id,
        cvc_check=payment.cvc_check,
        avs_check=payment.card.avs,
    )


def operation_view(operation: Operation) -> OperationView:
    """Return an operation as answers show it."""
    return OperationView(
        id=operation.operation_id,
        object=operation.kind,
        payment=operation.payment_id,
        account=operation.account,
        reference=operation.reference,
        amount=operation.amount,
        currency=operation.currency,
        status=operation.status,
        decline_code=operation.decline_code,
        totals=operation.totals,
        created=operation.created,
    )


def dispute_view(dispute: Operation) -> DisputeView:
    """Return a dispute as events show it."""
    return DisputeView(
        id=dispute.operation_id,
        payment=dispute.payment_id,
        account=dispute.account,
        reference=dispute.reference,
        amount=dispute.amount,
        currency=dispute.currency,
        status=dispute.stage or "opened",
        step=dispute.step or 1,
        evidence_due_by=dispute.evidence_due_by,
        totals=dispute.totals,
        created=dispute.created,
    )


def view(subject: Payment | Operation, url: str) -> View:
    """Return any of them as answers and events show it."""
    if isinstance(subject, Payment):
        return payment_view(subject, url)
    if subject.kind is OperationKind.DISPUTE:
        return dispute_view(subject)
    return operation_view(subject)


def account_view(account: Account) -> AccountView:
    """Return an account as it sees itself."""
    webhook = account.webhook
    return AccountView(
        account=account.account,
        mode=MODE,
        raw_cards=True,
        capabilities=CAPABILITIES,
        webhook=WebhookView(webhook is not None, None if webhook is None else webhook.url),
    )


def error_body(refusal: Refusal) -> bytes:
    """Print a refusal."""
    return encode(ErrorBody(ErrorDetail(refusal.code, refusal.message, refusal.param)))


def _refused_field(text: str) -> Refusal:
    """Read msgspec's sentence, which names the path; anything it may repeat of the body is left out."""
    said, _, path = text.partition(" - at `")
    where = path.rstrip("`").removeprefix("key` in `").removeprefix("$").lstrip(".")
    word = said.partition("`")[2].partition("`")[0]
    named = word if _is_plain(word) else "…"
    whole = f"{where}.{named}" if where else named
    if said.startswith("Object missing required field"):
        return Refusal(422, "field_missing", "a field is missing", whole)
    if said.startswith("Object contains unknown field"):
        return Refusal(422, "field_unknown", "a field is not known here", whole)
    if said.startswith("Expected"):
        expected = said.partition("Expected ")[2].partition(",")[0]
        return Refusal(422, "type_wrong", f"expected {expected}", where or None)
    return Refusal(422, "value_wrong", "a value is not one of those allowed", where or None)


def _is_plain(word: str) -> bool:
    return word.isascii() and word.replace("_", "").isalpha() and len(word) <= _WORD_CHARACTERS_MAX
