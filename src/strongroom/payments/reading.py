# SPDX-License-Identifier: Apache-2.0
"""Reads payments for their merchant: one, a page, their attempts and refunds. Changes nothing, looks nowhere else."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from strongroom.db.pool import Database
from strongroom.kernel.ids import MerchantId, is_id
from strongroom.kernel.mode import Mode
from strongroom.payments.errors import PaymentUnknown, RefundUnknown
from strongroom.payments.model import Attempt, Payment, Refund
from strongroom.payments.store import QUERIES, attempt_of, payment_of, refund_of

PAGE_ROWS_MAX: Final = 100
#: After every id, so that the first page begins with the newest.
AFTER_EVERY_ID: Final = "pay_~"


@dataclass(frozen=True, slots=True)
class Search:
    """What narrows a list; None does not."""

    reference: str | None = None
    status: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    amount: int | None = None
    last4: str | None = None
    token: str | None = None


class Payments:
    """One database's payments, for reading."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def one(self, merchant: MerchantId, mode: Mode, payment: str) -> Payment:
        """Return a payment.

        Raises:
            PaymentUnknown: not there for this tenant and mode.
        """
        if not is_id("pay", payment):
            raise PaymentUnknown
        async with self._database.transaction([merchant]) as read:
            row = await read.row(QUERIES["payment_by_id"], merchant, mode, payment)
        if row is None:
            raise PaymentUnknown
        return payment_of(row["row"])

    async def waited_for(self, payment: Payment) -> tuple[Attempt, datetime | None] | None:
        """Return the attempt that a payment waits for, and when it is looked for again; None: it waits for nothing."""
        async with self._database.transaction([payment.merchant_id]) as read:
            row = await read.row(
                QUERIES["open_attempt"], payment.merchant_id, payment.mode, payment.payment_id
            )
        return None if row is None else (attempt_of(row["row"]), row["next_look"])

    async def page(
        self, merchant: MerchantId, mode: Mode, search: Search, before: str | None, limit: int
    ) -> tuple[Sequence[Payment], str | None]:
        """Return a page, newest first, and the cursor of the next if there is one."""
        async with self._database.transaction([merchant]) as read:
            rows = await read.rows(
                QUERIES["list_payments"],
                merchant,
                mode,
                before or AFTER_EVERY_ID,
                search.reference,
                search.status,
                search.created_from,
                search.created_to,
                search.amount,
                search.last4,
                search.token,
                limit + 1,
            )
        page = [payment_of(row["row"]) for row in rows[:limit]]
        return page, page[-1].payment_id if len(rows) > limit else None

    async def attempts(self, merchant: MerchantId, mode: Mode, payment: str) -> Sequence[Attempt]:
        """Return every attempt of a payment, oldest first.

        Raises:
            PaymentUnknown: not there for this tenant and mode.
        """
        await self.one(merchant, mode, payment)
        async with self._database.transaction([merchant]) as read:
            rows = await read.rows(QUERIES["attempts_of_payment"], merchant, mode, payment)
        return [attempt_of(row["row"]) for row in rows]

    async def refunds(self, merchant: MerchantId, mode: Mode, payment: str) -> Sequence[Refund]:
        """Return every refund of a payment, oldest first.

        Raises:
            PaymentUnknown: not there for this tenant and mode.
        """
        await self.one(merchant, mode, payment)
        async with self._database.transaction([merchant]) as read:
            rows = await read.rows(QUERIES["refunds_of_payment"], merchant, mode, payment)
        return [refund_of(row["row"]) for row in rows]

    async def refund(self, merchant: MerchantId, mode: Mode, refund: str) -> Refund:
        """Return a refund.

        Raises:
            RefundUnknown: not there for this tenant and mode.
        """
        if not is_id("ref", refund):
            raise RefundUnknown
        async with self._database.transaction([merchant]) as read:
            row = await read.row(QUERIES["refund_by_id"], merchant, mode, refund)
        if row is None:
            raise RefundUnknown
        return refund_of(row["row"])
