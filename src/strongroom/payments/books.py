# SPDX-License-Identifier: Apache-2.0
"""Reads the ledger: accounts, postings, and where it differs from the payments. Changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from strongroom.db.pool import Database
from strongroom.kernel.ids import MerchantId, PaymentId
from strongroom.kernel.mode import Mode
from strongroom.payments.postings import Account, Posting
from strongroom.payments.store import QUERIES

PAGE_ROWS_MAX: Final = 100
#: Differences that are shown; one is one too many.
DIFFERENCES_MAX: Final = 100

_posting: Final = msgspec.json.Decoder(Posting).decode


class Balance(NamedTuple):
    """What an account comes to in one currency, in minor units."""

    account: Account
    currency: str
    debits: int
    credits: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A payment whose balances are not what was posted for it, in minor units; each pair is (payment, ledger)."""

    merchant_id: MerchantId
    mode: Mode
    payment_id: PaymentId
    held: tuple[int, int]
    captured: tuple[int, int]
    refunded: tuple[int, int]
    disputed: tuple[int, int]


class PlaceOf(NamedTuple):
    """Where a posting stands in the order of a statement."""

    made_at: datetime
    payment: str
    cause: str


@dataclass(frozen=True, slots=True)
class Entries:
    """What narrows a statement; None does not."""

    account: Account | None = None
    currency: str | None = None
    payment: str | None = None
    made_from: datetime | None = None
    made_to: datetime | None = None


class Books:
    """The ledger of one database, for reading."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def trial_balance(self, merchant: MerchantId, mode: Mode) -> Sequence[Balance]:
        """Return every account in which something was posted. All debits together are all credits together."""
        async with self._database.transaction([merchant]) as read:
            rows = await read.rows(QUERIES["trial_balance"], merchant, mode)
        return [
            Balance(Account(row["account"]), row["currency"], row["debits"], row["credits"])
            for row in rows
        ]

    async def statement(
        self, merchant: MerchantId, mode: Mode, wanted: Entries, behind: PlaceOf | None, limit: int
    ) -> tuple[Sequence[Posting], PlaceOf | None]:
        """Return a page of postings, oldest first, and the place of its last where there are more."""
        async with self._database.transaction([merchant]) as read:
            rows = await read.rows(
                QUERIES["list_postings"],
                merchant,
                mode,
                wanted.account,
                wanted.currency,
                wanted.payment,
                wanted.made_from,
                wanted.made_to,
                *(behind or (None, None, None)),
                limit + 1,
            )
        page = [_posting(row["row"]) for row in rows[:limit]]
        more = len(rows) > limit
        last = page[-1] if more else None
        return page, None if last is None else PlaceOf(last.made_at, last.payment_id, last.cause)

    async def differences(self, merchant: MerchantId, mode: Mode) -> Sequence[Difference]:
        """Return a tenant's payments that differ from the ledger, at most DIFFERENCES_MAX."""
        async with self._database.transaction([merchant]) as read:
            rows = await read.rows(QUERIES["ledger_differences"], merchant, mode, DIFFERENCES_MAX)
        return [
            Difference(
                MerchantId(row["merchant_id"]),
                Mode(row["mode"]),
                PaymentId(row["payment_id"]),
                (row["held"], row["posted_held"]),
                (row["captured"], row["posted_captured"]),
                (row["refunded"], row["posted_refunded"]),
                (row["disputed"], row["posted_disputed"]),
            )
            for row in rows
        ]

    async def count_differences(self) -> int:
        """Count the payments of all tenants that differ, up to DIFFERENCES_MAX."""
        async with self._database.transaction() as read:
            await read.row(QUERIES["be_bookkeeper"])
            rows = await read.rows(QUERIES["ledger_differences"], None, None, DIFFERENCES_MAX)
        return len(rows)
