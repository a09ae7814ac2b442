# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of customers. Unknown fields are refused; none can hold a card number."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from strongroom.kernel.clock import rfc3339
from strongroom.kernel.events import EventType
from strongroom.payments.customers.model import Customer, Mandate, SavedCard
from strongroom.payments.wire import NO_NUL, Metadata, Reference, TokenText

Line = Annotated[str, Meta(min_length=1, max_length=200, pattern=NO_NUL)]


class CustomerIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who pays. Name, address and number are sealed."""

    reference: Reference | None = None
    name: Line | None = None
    email: Line | None = None
    phone: Line | None = None
    metadata: Metadata | None = None


class CustomerChangeIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to change; absent: it stays, null: it goes."""

    reference: Reference | UnsetType | None = UNSET
    name: Line | UnsetType | None = UNSET
    email: Line | UnsetType | None = UNSET
    phone: Line | UnsetType | None = UNSET
    metadata: Metadata | UnsetType | None = UNSET


class SavedCardIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A card that the customer pays with from now on."""

    token: TokenText
    #: Whether payments that name the customer alone take this one; the first card is that anyway.
    default: bool = False


class MandateIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That the customer agreed to payments which you begin."""

    token: TokenText
    method: Literal["app", "in_person", "paper", "phone", "web"]
    #: Which of your texts they agreed to.
    text_version: Annotated[str, Meta(min_length=1, max_length=64, pattern=NO_NUL)]
    #: Absent: now.
    agreed_at: datetime | None = None
    #: From where; both are sealed.
    ip_address: (
        Annotated[str, Meta(min_length=2, max_length=45, pattern=r"^[0-9A-Fa-f.:]+$(?!\n)")] | None
    ) = None
    user_agent: Annotated[str, Meta(min_length=1, max_length=500, pattern=NO_NUL)] | None = None


class CustomerOut(msgspec.Struct, frozen=True):
    """A customer."""

    id: str
    object: str
    mode: str
    reference: str | None
    name: str | None
    email: str | None
    phone: str | None
    metadata: dict[str, str]
    #: The token that payments take which name the customer alone.
    default_card: str | None
    created_at: str
    updated_at: str


class CustomerPage(msgspec.Struct, frozen=True):
    """A page of customers, newest first."""

    data: list[CustomerOut]
    has_more: bool
    next_cursor: str | None


class SavedCardOut(msgspec.Struct, frozen=True):
    """A saved card, with the mandate that holds for it, or the last that did."""

    object: str
    customer: str
    token: str
    brand: str
    bin: str
    last4: str
    exp_month: int
    exp_year: int
    default: bool
    mandate: str | None
    mandate_status: str | None
    created_at: str


class SavedCardsOut(msgspec.Struct, frozen=True):
    """A customer's saved cards, newest first."""

    data: list[SavedCardOut]
    has_more: bool
    next_cursor: str | None


class MandateOut(msgspec.Struct, frozen=True):
    """A mandate."""

    id: str
    object: str
    customer: str
    token: str
    status: str
    method: str
    text_version: str
    agreed_at: str
    ip_address: str | None
    user_agent: str | None
    created_at: str
    revoked_at: str | None


class MandatesOut(msgspec.Struct, frozen=True):
    """A customer's mandates, newest first."""

    data: list[MandateOut]
    has_more: bool
    next_cursor: str | None


class CustomerErased(msgspec.Struct, frozen=True):
    """What `customer.erased` carries: whose data are gone, and how many cards were saved."""

    customer: str
    cards: int


class MandateRevokedEvent(msgspec.Struct, frozen=True):
    """What `mandate.revoked` carries."""

    mandate: str
    customer: str
    token: str


#: What the `data` of each event of customers is.
EVENT_DATA: Final[Mapping[EventType, type[msgspec.Struct]]] = {
    EventType.CUSTOMER_ERASED: CustomerErased,
    EventType.MANDATE_REVOKED: MandateRevokedEvent,
}


def customer_out(customer: Customer) -> CustomerOut:
    """Print a customer."""
    return CustomerOut(
        id=customer.customer_id,
        object="customer",
        mode=customer.mode,
        reference=customer.reference,
        name=customer.personal.name,
        email=customer.personal.email,
        phone=customer.personal.phone,
        metadata=dict(customer.metadata),
        default_card=customer.default_card,
        created_at=rfc3339(customer.created_at),
        updated_at=rfc3339(customer.updated_at),
    )


def card_out(card: SavedCard, mandate: Mandate | None) -> SavedCardOut:
    """Print a saved card."""
    return SavedCardOut(
        object="saved_card",
        customer=card.customer_id,
        token=card.token_id,
        brand=card.brand,
        bin=card.bin,
        last4=card.last4,
        exp_month=card.exp_month,
        exp_year=card.exp_year,
        default=card.is_default,
        mandate=None if mandate is None else mandate.mandate_id,
        mandate_status=None if mandate is None else mandate.status,
        created_at=rfc3339(card.created_at),
    )


def mandate_out(mandate: Mandate) -> MandateOut:
    """Print a mandate."""
    return MandateOut(
        id=mandate.mandate_id,
        object="mandate",
        customer=mandate.customer_id,
        token=mandate.token_id,
        status=mandate.status,
        method=mandate.method,
        text_version=mandate.text_version,
        agreed_at=rfc3339(mandate.agreed_at),
        ip_address=mandate.evidence.ip_address,
        user_agent=mandate.evidence.user_agent,
        created_at=rfc3339(mandate.created_at),
        revoked_at=None if mandate.revoked_at is None else rfc3339(mandate.revoked_at),
    )
