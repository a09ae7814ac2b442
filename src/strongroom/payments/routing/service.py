# SPDX-License-Identifier: Apache-2.0
"""Writes, activates and shows a merchant's routing rules, and loads its ranges; each act commits with its audit record.

A version is written once. Going back is activating an older one: it is checked against the connections of today first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from strongroom.audit import Action, Recorder
from strongroom.db.errors import ConstraintBroken
from strongroom.db.pool import Database, Record, Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.payments.connections import By, ConnectionBook
from strongroom.payments.errors import RulesChanged, RulesUnknown
from strongroom.payments.routing.book import QUERIES, RuleBook
from strongroom.payments.routing.rules import Rules, require_sound

_encode: Final = msgspec.json.Encoder().encode
_rules: Final = msgspec.json.Decoder(Rules).decode


@dataclass(frozen=True, slots=True)
class RulesVersion:
    """A version of a tenant's rules."""

    version: int
    rules: Rules
    note: str | None
    made_by: str
    made_at: datetime
    #: Since when, and by whose act, it holds; None: it does not.
    active_since: datetime | None = None
    activated_by: str | None = None


@dataclass(frozen=True, slots=True)
class BinRange:
    """Cards whose first six digits lie between two numbers, both included."""

    first: int
    last: int
    country: str
    funding: str


class RoutingService:
    """Changes routing."""

    def __init__(
        self,
        *,
        database: Database,
        book: RuleBook,
        connections: ConnectionBook,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._database = database
        self._book = book
        self._connections = connections
        self._recorder = recorder
        self._clock = clock

    async def write(
        self, rules: Rules, note: str | None, by: By, *, activate: bool, replaces: int | None
    ) -> RulesVersion:
        """Write the next version, and let it hold where that is wished.

        Args:
            rules: what it says.
            note: why, in the words of whoever changes it.
            by: who.
            activate: whether it holds at once.
            replaces: the version that the change was made from; None: whichever holds.

        Raises:
            Invalid: naming what does not fit.
            RulesChanged: somebody else was first.
        """
        await self._require_sound(rules, by)
        now = self._clock.now()
        try:
            async with self._database.transaction([by.merchant]) as tx:
                held = await tx.row(QUERIES["active_rules"], by.merchant, by.mode)
                if replaces is not None and (held["version"] if held else 0) != replaces:
                    raise RulesChanged
                row = await tx.row(
                    QUERIES["insert_rules"],
                    by.merchant,
                    by.mode,
                    _encode(rules).decode(),
                    note,
                    by.actor,
                    now,
                )
                version = int(row["version"]) if row else 0
                await self._record(tx, by, Action.PAYMENTS_ROUTING_REVISED, version, now)
                if activate:
                    await self._activated(tx, by, version, now)
        except ConstraintBroken:
            raise RulesChanged from None
        self._book.forget(by.merchant, by.mode)
        return RulesVersion(
            version,
            rules,
            note,
            by.actor,
            now,
            now if activate else None,
            by.actor if activate else None,
        )

    async def activate(self, version: int, by: By) -> RulesVersion:
        """Let a version hold, newer or older than the one that does.

        Raises:
            RulesUnknown: there is no such version.
            Invalid: it names a connection that is gone.
        """
        found = await self.one(by.merchant, by.mode, version)
        await self._require_sound(found.rules, by)
        now = self._clock.now()
        async with self._database.transaction([by.merchant]) as tx:
            await self._activated(tx, by, version, now)
        self._book.forget(by.merchant, by.mode)
        return await self.one(by.merchant, by.mode, version)

    async def one(self, merchant: MerchantId, mode: Mode, version: int | None) -> RulesVersion:
        """Return a version; None: the one that holds.

        Raises:
            RulesUnknown: there is no such version, or none holds.
        """
        if version is None:
            active = await self._book.active(merchant, mode)
            if active is None:
                raise RulesUnknown("no routing rules hold; the newest active connection is used")
            version = active.version
        found, _ = await self.versions(merchant, mode, version + 1, 1)
        if not found or found[0].version != version:
            raise RulesUnknown
        return found[0]

    async def versions(
        self, merchant: MerchantId, mode: Mode, before: int | None, limit: int
    ) -> tuple[Sequence[RulesVersion], int | None]:
        """Return a page of versions, newest first, and the last one's number where there are more."""
        async with self._database.transaction([merchant]) as read:
            rows = await read.rows(QUERIES["rule_versions"], merchant, mode, before, limit + 1)
        page = [_version(row) for row in rows[:limit]]
        return page, page[-1].version if len(rows) > limit else None

    async def load(self, ranges: Sequence[BinRange], by: By, *, replace: bool) -> None:
        """Add ranges of card numbers; `replace`: in the place of all that were there."""
        async with self._database.transaction([by.merchant]) as tx:
            if replace:
                await tx.run(QUERIES["clear_ranges"], by.merchant, by.mode)
            await tx.run(
                QUERIES["load_ranges"],
                by.merchant,
                by.mode,
                [each.first for each in ranges],
                [each.last for each in ranges],
                [each.country for each in ranges],
                [each.funding for each in ranges],
            )
            record = self._recorder.make(
                Action.PAYMENTS_BIN_RANGES_LOADED,
                actor=by.actor,
                merchant=by.merchant,
                mode=by.mode,
                thing=by.merchant,
                origin=by.origin,
                now=self._clock.now(),
                details={"count": len(ranges), "operation": "replace" if replace else "add"},
            )
            await self._recorder.insert(tx, record)

    async def ranges(
        self, merchant: MerchantId, mode: Mode, behind: int, limit: int
    ) -> tuple[Sequence[BinRange], int | None]:
        """Return a page of ranges, in their order, and where the last begins if there are more."""
        async with self._database.transaction([merchant]) as read:
            rows = await read.rows(QUERIES["list_ranges"], merchant, mode, behind, limit + 1)
        page = [
            BinRange(row["first_bin"], row["last_bin"], row["country"], row["funding"])
            for row in rows[:limit]
        ]
        return page, page[-1].first if len(rows) > limit else None

    async def _require_sound(self, rules: Rules, by: By) -> None:
        known = await self._connections.all(by.merchant, by.mode)
        require_sound(rules, {each.connection_id: each.status for each in known})

    async def _activated(self, tx: Transaction, by: By, version: int, now: datetime) -> None:
        await tx.row(QUERIES["activate_rules"], by.merchant, by.mode, version, by.actor, now)
        await self._record(tx, by, Action.PAYMENTS_ROUTING_ACTIVATED, version, now)

    async def _record(
        self, tx: Transaction, by: By, action: Action, version: int, now: datetime
    ) -> None:
        record = self._recorder.make(
            action,
            actor=by.actor,
            merchant=by.merchant,
            mode=by.mode,
            thing=by.merchant,
            origin=by.origin,
            now=now,
            details={"rules_version": version},
        )
        await self._recorder.insert(tx, record)


def _version(row: Record) -> RulesVersion:
    return RulesVersion(
        row["version"],
        _rules(row["rules"]),
        row["note"],
        row["made_by"],
        row["made_at"],
        row["activated_at"],
        row["activated_by"],
    )
