# SPDX-License-Identifier: Apache-2.0
"""How a tree begins, is taken over in another cluster, and goes on after a rollback; each but the second on record.

A restart leaves what the database has as it is: its last head is a prefix of what is signed under the new origin.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import final

from strongroom.audit import store
from strongroom.audit.actions import Action
from strongroom.audit.errors import RestartRefused, TreeRolledBack, TreeTaken
from strongroom.audit.growth import EMPTY
from strongroom.audit.origin import origin_of
from strongroom.audit.ports import Origin, SecurityStream, SinkHead
from strongroom.audit.recorder import EventRecorder
from strongroom.audit.signing import TreeKeys
from strongroom.audit.standing import Standing, check_sinks, load
from strongroom.audit.store import Cursor
from strongroom.db.pool import Database, Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.secret import Secret


@final
class Founder:
    """Founds one tree. `tree` is its name for people, `origin` that of its first generation."""

    def __init__(
        self,
        database: Database,
        keys: TreeKeys,
        clock: Clock,
        *,
        tree: str,
        origin: str,
        stream: SecurityStream | None = None,
    ) -> None:
        self._stream = stream
        self._database = database
        self._keys = keys
        self._clock = clock
        self._tree = tree
        self._origin = origin

    async def stand(self, tx: Transaction, heads: Sequence[SinkHead]) -> Standing:
        """Return where the tree stands; begin it if it never was. `heads` are what the sinks hold.

        Where the database came from another cluster, transactions are counted anew: the cursor is set to where this
        one's count is. What was written before that is found by the sweep over all records, whatever its number.

        Raises:
            TreeForeign, TreeDamaged, TreeRolledBack: see each.
        """
        standing = await load(tx, self._keys, self._origin)
        await check_sinks(tx, standing, heads)
        horizon = await store.horizon(tx)
        if standing is None:
            standing = Standing(1, self._origin, EMPTY, Cursor(0, ""), horizon.cluster)
            await self._begin(tx, standing)
            await self._record(tx, Action.AUDIT_TREE_STARTED, "system:sealer", {})
        elif standing.cluster != horizon.cluster:
            await store.move_cluster(tx, horizon, self._clock.now())
            standing = replace(standing, cluster=horizon.cluster, cursor=Cursor(horizon.xid, ""))
        return standing

    async def restart(
        self, tx: Transaction, heads: Sequence[SinkHead], *, reason: str, actor: str
    ) -> None:
        """Give a tree that was rolled back its next generation.

        Raises:
            RestartRefused: it leads to what its sinks hold.
            TreeForeign, TreeDamaged, TreeTaken: see each.
        """
        standing = await load(tx, self._keys, self._origin)
        try:
            await check_sinks(tx, standing, heads)
        except TreeRolledBack:
            lost = max(heads, key=lambda head: (head.generation, head.size))
        else:
            raise RestartRefused
        generation = max(lost.generation, standing.generation if standing else 0) + 1
        origin = origin_of(self._origin, generation)
        if standing is None:
            cluster = (await store.horizon(tx)).cluster
            await self._begin(tx, Standing(generation, origin, EMPTY, Cursor(0, ""), cluster))
        elif not await store.rename_tree(
            tx,
            standing.origin,
            origin,
            origin_mac=await self._keys.origin_mac(origin),
            now=self._clock.now(),
        ):
            raise TreeTaken("somebody else has restarted the tree meanwhile")
        details: dict[str, str | int] = {"reason": reason, "size": lost.size}
        if lost.checkpoint is not None:
            details["root"] = lost.checkpoint.root.hex()
        await self._record(tx, Action.AUDIT_TREE_RESTARTED, actor, details)

    async def _begin(self, tx: Transaction, standing: Standing) -> None:
        begun = await store.start_tree(
            tx,
            origin=standing.origin,
            origin_mac=await self._keys.origin_mac(standing.origin),
            cluster=standing.cluster,
            now=self._clock.now(),
        )
        if not begun:
            raise TreeTaken("somebody else has begun the tree meanwhile")

    async def _record(
        self, tx: Transaction, action: Action, actor: str, details: dict[str, str | int]
    ) -> None:
        row_key = Secret((await self._keys.row_keys())[0])
        recorder = EventRecorder(self._database, row_key, self._clock, self._stream)
        record = recorder.make(
            action,
            actor=actor,
            merchant=None,
            mode=None,
            thing=f"tree:{self._tree}",
            origin=Origin(),
            now=self._clock.now(),
            details=details,
        )
        await recorder.insert(tx, record)
