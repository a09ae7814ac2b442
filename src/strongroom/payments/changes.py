# SPDX-License-Identifier: Apache-2.0
"""Load, decide, save; and again when somebody else was first. No lock is held in the database, and none during a call.

Within a process, changes of one payment take turns, so that many at once do not overtake each other for ever.
"""

import asyncio
from collections.abc import Callable
from typing import Final
from weakref import WeakValueDictionary

from strongroom.db.errors import Again, ConstraintBroken
from strongroom.db.group_commit import GroupWriter
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.payments.decisions import Decided, after
from strongroom.payments.errors import (
    AmountBeyond,
    IdempotencyKeySpent,
    PaymentBusy,
    PaymentUnknown,
)
from strongroom.payments.model import Loaded
from strongroom.payments.store import Broken, Change, PaymentReader, Result, Saved, Stale, Taken

TRIES_MAX: Final = 64
#: What the database refuses although the decision allowed it: another process was in between, or our reasoning failed.
_REFUSALS: Final = {
    "reservation_beyond_authorized": AmountBeyond,
    "reservation_beyond_captured": AmountBeyond,
    "money_is_not_made_capturing": AmountBeyond,
    "money_is_not_made_refunding": AmountBeyond,
    "one_authorization": PaymentBusy,
    "one_verification": PaymentBusy,
    "increment_beside_others": PaymentBusy,
    "attempt_merchant_id_mode_payment_id_wish_key": IdempotencyKeySpent,
}

#: Decides over what was loaded; None: nothing is to be changed.
Decide = Callable[[Loaded], "tuple[Decided, Change] | None"]


class Changes:
    """The changes of one process."""

    def __init__(self, reader: PaymentReader, writer: GroupWriter[Change, Result]) -> None:
        self.reader = reader
        self._writer = writer
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def load(
        self, merchant: MerchantId, mode: Mode, payment: str, also_attempt: str | None = None
    ) -> Loaded:
        """Return a payment.

        Raises:
            PaymentUnknown: not there for this tenant and mode.
        """
        loaded = await self.reader.load(merchant, mode, payment, also_attempt=also_attempt)
        if loaded is None:
            raise PaymentUnknown
        return loaded

    async def insert(self, decided: Decided, change: Change) -> Loaded | Taken:
        """Save a new payment.

        Raises:
            PaymentBusy and the other refusals of the database.
        """
        result = await self._writer.write(change)
        if isinstance(result, Taken):
            return result
        _require_saved(result)
        return after(Loaded(decided.payment, (), ()), decided)

    async def apply(
        self, known: Loaded, decide: Decide, also_attempt: str | None = None
    ) -> "Loaded | Taken":
        """Decide over a payment and save, over what is known first and over what is there where that is out of date.

        Returns the payment as it then is; `Taken` where the change claimed a key that was claimed before.
        """
        payment = known.payment
        turn = self._turns.setdefault(payment.payment_id, asyncio.Lock())
        async with turn:
            for tried in range(TRIES_MAX):
                if tried:
                    known = await self.load(
                        payment.merchant_id, payment.mode, payment.payment_id, also_attempt
                    )
                decision = decide(known)
                if decision is None:
                    return known
                decided, change = decision
                result = await self._writer.write(change)
                if isinstance(result, Stale):
                    continue
                if isinstance(result, Taken):
                    return result
                _require_saved(result)
                return after(known, decided)
        raise Again

    async def write(self, change: Change) -> None:
        """Save what concerns no payment's row."""
        _require_saved(await self._writer.write(change))


def _require_saved(result: Result) -> None:
    if isinstance(result, Saved):
        return
    if isinstance(result, Broken):
        refusal = _REFUSALS.get(result.constraint)
        if refusal is not None:
            raise refusal
        raise ConstraintBroken(result.constraint)
    raise Again
