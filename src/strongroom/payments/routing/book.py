# SPDX-License-Identifier: Apache-2.0
"""Reads the rules that hold, a second at a time, and what a merchant's ranges say of a card."""

from time import monotonic
from typing import Final

import msgspec

from strongroom.db.pool import Database
from strongroom.db.queries import load_queries
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.payments.routing.rules import UNKNOWN, ActiveRules, Rules

QUERIES: Final = load_queries("strongroom.payments.routing")
#: Rules that were changed elsewhere hold here after this long.
REMEMBERED_SECONDS: Final = 1.0
TENANTS_MAX: Final = 10_000
_rules: Final = msgspec.json.Decoder(Rules).decode


class RuleBook:
    """The rules of each tenant, for one process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[tuple[MerchantId, Mode], tuple[float, ActiveRules | None]] = {}

    async def active(self, merchant: MerchantId, mode: Mode) -> ActiveRules | None:
        """Return the rules that hold; None where there were never any."""
        known = self._known.get((merchant, mode))
        if known is not None and monotonic() - known[0] < REMEMBERED_SECONDS:
            return known[1]
        async with self._database.transaction([merchant]) as read:
            row = await read.row(QUERIES["active_rules"], merchant, mode)
        found = (
            None if row is None else ActiveRules(row["version"], tuple(_rules(row["rules"]).rules))
        )
        if len(self._known) >= TENANTS_MAX:
            self._known.clear()
        self._known[merchant, mode] = (monotonic(), found)
        return found

    def forget(self, merchant: MerchantId, mode: Mode) -> None:
        """Read a tenant's rules anew the next time."""
        self._known.pop((merchant, mode), None)

    async def issuer(self, merchant: MerchantId, mode: Mode, first_six: str) -> tuple[str, str]:
        """Return country and funding of a card by the first six digits of its number; `unknown` where none says."""
        async with self._database.transaction([merchant]) as read:
            row = await read.row(QUERIES["range_of_bin"], merchant, mode, int(first_six))
        return (UNKNOWN, UNKNOWN) if row is None else (row["country"], row["funding"])
