# SPDX-License-Identifier: Apache-2.0
"""Finds out who names a honeytoken: recorded and committed before the caller is answered, like anybody, as ever.

Every honeytoken is in memory by every id that it has had, so a call that names none costs nothing. What another process
made is known within two seconds; no system can have come by it sooner. A key is ended beside the answer.
"""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final, final

from strongroom.audit import Action, Origin, Recorder
from strongroom.db.pool import Database
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import NotThere, StrongroomError
from strongroom.kernel.ids import KeyId, TokenId, is_id
from strongroom.telemetry.honey_metrics import HoneyMetrics
from strongroom.vault.honey import store
from strongroom.vault.honey.model import Due, Known
from strongroom.vault.honey.ports import KeyEnder
from strongroom.vault.watching import Scope, Way

ACTOR: Final = "system:honeytokens"
CONTAINED: Final = "contained"
WARNED: Final = "warned"
#: Ways that say nothing of whoever holds the key: a shop charges and forwards what its visitors post, so that anybody
#: with an id could end the shop's own key; whoever searches names none.
NEVER_CONTAINED: Final = frozenset({Way.CHARGE, Way.FORWARD, Way.SEARCH})


@final
class HoneyWatch:
    """Watches for one process of the vault. Call `refresh` and `contain` about once a second; `close` it."""

    def __init__(
        self,
        *,
        database: Database,
        recorder: Recorder,
        clock: Clock,
        metrics: HoneyMetrics,
        ender: KeyEnder | None,
    ) -> None:
        """Watch.

        Args:
            database: the vault's.
            recorder: of that database.
            clock: for the records.
            metrics: counts uses.
            ender: ends the keys that name one; None: a use is told, and nobody is stopped.
        """
        self._database = database
        self._recorder = recorder
        self._clock = clock
        self._metrics = metrics
        self._ender = ender
        self._known: Mapping[str, Known] = {}
        #: Made by this process since the last reading began: what it reads may be older.
        self._added: dict[str, Known] = {}
        self._containing: asyncio.Task[None] | None = None

    async def refresh(self) -> None:
        """Read every honeytoken anew. Where that fails, those known so far are watched on."""
        self._added = {}
        found = await store.known(self._database)
        self._known = {**found, **self._added}

    def add(self, scope: Scope, token: TokenId) -> None:
        """Watch one that was made just now, though a reading that began before ends after it."""
        self._added[token] = Known(*scope, token)
        self._known = {**self._known, **self._added}

    async def named(
        self, scope: Scope, actor: str, origin: Origin, way: Way, tokens: Iterable[str]
    ) -> None:
        """Record it where a honeytoken is among them. See `Watch`."""
        known = self._known
        if not known:
            return
        found = {
            known[token].made_as: (token, known[token])
            for token in tokens
            if token in known and (known[token].merchant, known[token].mode) == scope
        }
        if not found:
            return
        contain = self._ender is not None and way not in NEVER_CONTAINED and is_id("key", actor)
        merchant, mode = scope
        state, now = CONTAINED if contain else WARNED, self._clock.now()
        async with self._database.transaction([merchant]) as tx:
            for token, of in found.values():
                record = self._recorder.make(
                    Action.VAULT_HONEYTOKEN_USED,
                    actor=actor,
                    merchant=merchant,
                    mode=mode,
                    thing=token,
                    origin=origin,
                    now=now,
                    details={"operation": way.value, "state": state},
                )
                await self._recorder.insert(tx, record)
                await store.insert_use(tx, of, record.event_id, way, actor, now, contain=contain)
                tx.after_commit(lambda: self._metrics.used(mode.value, way.value, state))
        # Crash here: it is recorded and told; `contain` ends the key when a process runs again.
        if contain and (self._containing is None or self._containing.done()):
            # Nobody waits for it: an answer that takes longer would tell. What one that runs has not read is left to
            # the next round.
            self._containing = asyncio.create_task(self._try_to_contain())

    async def close(self) -> None:
        """Wait until what was begun is done; close before the databases."""
        if self._containing is not None:
            await asyncio.wait([self._containing])

    async def contain(self) -> int:
        """End the keys that named one and are not ended yet; return how many.

        Raises:
            Unavailable: it could not be done; the next round tries again.
        """
        if self._ender is None:
            return 0
        found = await store.due(self._database)
        for each in found:
            await self._end(each, self._ender)
        return len(found)

    async def _try_to_contain(self) -> None:
        """End them now, if it can be; else the next round does."""
        try:
            await self.contain()
        except StrongroomError:
            return

    async def _end(self, each: Due, ender: KeyEnder) -> None:
        with suppress(NotThere):  # there is nothing to end any more
            await ender.revoke_key(
                each.merchant, each.mode, KeyId(each.key), actor=ACTOR, origin=Origin()
            )
        await store.contained(self._database, each, self._clock.now())
