# SPDX-License-Identifier: Apache-2.0
"""Opened CVCs between two tries of one payment (DESIGN §5): in memory only, for a minute, taken out once.

A CVC is held only while certainly nothing was sent; its use is recorded already, so no record is due for the next try.
"""

import asyncio
from typing import Final, NamedTuple

from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode

HELD_SECONDS: Final = 60.0
HELD_MAX: Final = 1_000


class Use(NamedTuple):
    """What a CVC was spent on: opened for one payment, it serves no other."""

    merchant: MerchantId
    mode: Mode
    token: TokenId
    payment: str
    #: The sealed text.
    cvc: str


class HeldCvcs:
    """The CVCs that this process holds."""

    def __init__(self, *, seconds: float = HELD_SECONDS) -> None:
        self._seconds = seconds
        self._held: dict[Use, tuple[str, asyncio.TimerHandle]] = {}

    def hold(self, use: Use, cvc: str) -> bool:
        """Keep a CVC for the next try; tell whether there was room."""
        if len(self._held) >= HELD_MAX:
            return False
        self.take(use)
        timer = asyncio.get_running_loop().call_later(self._seconds, self._held.pop, use, None)
        self._held[use] = cvc, timer
        return True

    def take(self, use: Use) -> str | None:
        """Return a CVC that is held for this, which then is not held any more."""
        found = self._held.pop(use, None)
        if found is None:
            return None
        cvc, timer = found
        timer.cancel()
        return cvc

    def drop_all(self) -> None:
        """Hold none: the process ends."""
        for _, timer in self._held.values():
            timer.cancel()
        self._held.clear()

    def __len__(self) -> int:
        return len(self._held)
