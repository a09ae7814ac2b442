# SPDX-License-Identifier: Apache-2.0
"""Policies of retries, and what decisions about them are made from."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from strongroom.db.pool import Database, ReadOnly, Record, Transaction
from strongroom.db.queries import load_queries
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.payments.model import Payment
from strongroom.payments.retries.model import LOOKED_BACK, OFF, WISH, Known, Policy
from strongroom.payments.store import attempt_of

QUERIES: Final = load_queries("strongroom.payments.retries")
#: More than any scheme's limit.
COUNTED_MAX: Final = 100


async def policy_of(read: ReadOnly, merchant: MerchantId, mode: Mode) -> Policy:
    """Return what a merchant wants; off where nothing was said."""
    row = await read.row(QUERIES["policy"], merchant, mode)
    if row is None:
        return OFF
    return Policy(row["enabled"], tuple(row["delays_hours"]), row["updated_at"])


async def put_policy(tx: Transaction, merchant: MerchantId, mode: Mode, policy: Policy) -> None:
    """Save what a merchant wants."""
    await tx.run(
        QUERIES["put_policy"],
        merchant,
        mode,
        policy.enabled,
        list(policy.delays_hours),
        policy.updated_at,
    )


class RetryFacts:
    """Reads what is decided from."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, payment: Payment, now: datetime) -> Known:
        """Return what is known of a payment's tries, and of its card's."""
        scope = payment.merchant_id, payment.mode
        async with self._database.transaction([payment.merchant_id]) as read:
            rows = await read.rows(QUERIES["tries_of_payment"], *scope, payment.payment_id)
            attempts = [attempt_of(row["row"]) for row in rows]
            last = attempts[-1] if attempts else None
            asked: Sequence[Record] = ()
            if last is not None and last.token_id is not None:
                asked = await read.rows(
                    QUERIES["asked_with"], *scope, last.token_id, now - LOOKED_BACK, COUNTED_MAX
                )
            policy = await policy_of(read, *scope)
        return Known(
            payment,
            last,
            sum(1 for each in attempts if each.wish.startswith(WISH)),
            policy,
            [row["created_at"] for row in asked],
        )
