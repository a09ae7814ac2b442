# SPDX-License-Identifier: Apache-2.0
"""Customers in the core database: rows ↔ values. What is sealed stays sealed here."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from strongroom.db.pool import Database, ReadOnly, Record, Transaction
from strongroom.db.queries import load_queries
from strongroom.kernel.ids import CustomerId, MandateId, MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.payments.customers.errors import CardNotSaved, CustomerUnknown
from strongroom.payments.customers.model import (
    Customer,
    Evidence,
    Mandate,
    MandateMethod,
    MandateStatus,
    Personal,
    SavedCard,
    require_agreement,
)
from strongroom.payments.customers.sealing import Sealed
from strongroom.webhooks import NewEvent

QUERIES: Final = load_queries("strongroom.payments.customers")
#: After every id, so that the first page begins with the newest.
AFTER_EVERY_ID: Final = "cus_~"
Scope = tuple[MerchantId, Mode]
_metadata: Final = msgspec.json.Decoder(dict[str, str]).decode


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """A customer as its row is, with what is personal sealed."""

    customer: Customer
    sealed: Sealed


@dataclass(frozen=True, slots=True)
class MandateRow:
    """A mandate as its row is, with its evidence sealed."""

    mandate: Mandate
    sealed: Sealed


async def one(read: ReadOnly, scope: Scope, customer: str, *, held: bool = False) -> CustomerRow:
    """Return a customer; `held`: nobody changes it before this transaction ends. Raises CustomerUnknown."""
    query = QUERIES["customer_for_change" if held else "customer_by_id"]
    row = await read.row(query, *scope, customer)
    if row is None:
        raise CustomerUnknown
    return _customer(scope, row)


async def page(
    read: ReadOnly, scope: Scope, before: str | None, reference: str | None, limit: int
) -> Sequence[CustomerRow]:
    """Return a page, newest first."""
    rows = await read.rows(
        QUERIES["list_customers"], *scope, before or AFTER_EVERY_ID, reference, limit
    )
    return [_customer(scope, row) for row in rows]


async def cards(read: ReadOnly, scope: Scope, customer: str) -> Sequence[SavedCard]:
    """Return a customer's saved cards, newest first."""
    rows = await read.rows(QUERIES["cards_of_customer"], *scope, customer)
    return [
        SavedCard(
            CustomerId(row["customer_id"]),
            TokenId(row["token_id"]),
            row["brand"],
            row["bin"],
            row["last4"],
            row["exp_month"],
            row["exp_year"],
            row["is_default"],
            row["created_at"],
        )
        for row in rows
    ]


async def save_card(tx: Transaction, scope: Scope, card: SavedCard) -> None:
    """Save a card, or what is known of it now; where it is the default, no other is."""
    if card.is_default:
        await tx.run(QUERIES["no_default_card"], *scope, card.customer_id)
    await tx.run(
        QUERIES["save_card"],
        *scope,
        card.customer_id,
        card.token_id,
        card.brand,
        card.bin,
        card.last4,
        card.exp_month,
        card.exp_year,
        card.is_default,
        card.created_at,
    )


async def mandates(read: ReadOnly, scope: Scope, customer: str) -> Sequence[MandateRow]:
    """Return a customer's mandates, newest first."""
    rows = await read.rows(QUERIES["mandates_of_customer"], *scope, customer)
    return [
        MandateRow(
            Mandate(
                MandateId(row["mandate_id"]),
                CustomerId(row["customer_id"]),
                TokenId(row["token_id"]),
                MandateStatus(row["status"]),
                MandateMethod(row["method"]),
                row["text_version"],
                row["agreed_at"],
                Evidence(),
                row["created_at"],
                row["revoked_at"],
            ),
            Sealed(row["sealed_evidence"], row["key_version"]),
        )
        for row in rows
    ]


async def publish(tx: Transaction, scope: Scope, event: NewEvent, now: datetime) -> None:
    """Tell whoever listens."""
    await tx.row(
        QUERIES["publish"], *scope, event.id, event.type, event.object_id, event.payload, now
    )


class StoredCards:
    """The cards on file of one database, for payments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def default_of(self, merchant: MerchantId, mode: Mode, customer: str) -> str | None:
        """Return the token that a customer pays with. See `CardsOnFile`."""
        async with self._database.transaction([merchant]) as read:
            found = await one(read, (merchant, mode), customer)
        return found.customer.default_card

    async def require_saved(
        self, merchant: MerchantId, mode: Mode, customer: str, tokens: Collection[str]
    ) -> None:
        """Refuse cards that a customer has not saved. See `CardsOnFile`."""
        async with self._database.transaction([merchant]) as read:
            saved = await cards(read, (merchant, mode), customer)
        if all(each.token_id not in tokens for each in saved):
            raise CardNotSaved

    async def require_agreed(
        self, merchant: MerchantId, mode: Mode, token: str, customer: str | None
    ) -> None:
        """Refuse what nobody agreed to. See `CardsOnFile`."""
        async with self._database.transaction([merchant]) as read:
            rows = await read.rows(QUERIES["mandates_of_token"], merchant, mode, token)
        require_agreement(
            [(row["customer_id"], MandateStatus(row["status"])) for row in rows], customer
        )


def _customer(scope: Scope, row: Record) -> CustomerRow:
    default = row["default_card"]
    return CustomerRow(
        Customer(
            scope[0],
            scope[1],
            CustomerId(row["customer_id"]),
            row["reference"],
            _metadata(row["metadata"]),
            Personal(),
            None if default is None else TokenId(default),
            row["created_at"],
            row["updated_at"],
        ),
        Sealed(row["sealed_personal"], row["key_version"]),
    )
