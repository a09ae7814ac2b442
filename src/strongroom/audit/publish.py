# SPDX-License-Identifier: Apache-2.0
"""Brings one sink up to the tree. The sink's own state says from where, so a crash or a full disk needs no repair.

What is published is read from the committed tree and compared with it: a record that was altered after it was sealed is
found here and never published.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, TypeAlias, final

from strongroom.audit import store
from strongroom.audit.errors import SinkFailed, TreeDamaged, TreeRolledBack
from strongroom.audit.merkle import leaf_hash
from strongroom.audit.ports import SignedHead, Sink, SinkHead
from strongroom.audit.signing import TreeKeys
from strongroom.audit.standing import Standing
from strongroom.audit.tiles import TILE_WIDTH
from strongroom.db.pool import ReadOnly

#: Records that are given to a sink at once.
PUBLISH_RECORDS_MAX: Final = 4_096
_HEADS_MAX: Final = 64

Reading: TypeAlias = Callable[[], AbstractAsyncContextManager[ReadOnly]]


@dataclass(frozen=True, slots=True)
class Recent:
    """The records that were sealed last, so that they need not be read again."""

    first: int
    payloads: Sequence[bytes]


@final
class Publisher:
    """One sink of a tree. Belongs to the sealer's task."""

    def __init__(self, sink: Sink, keys: TreeKeys, tree: str) -> None:
        self.sink = sink
        self._keys = keys
        self._tree = tree
        # What the sink is known to hold of `_generation`; None after a failure, then the sink is asked.
        self._size: int | None = None
        self._generation = 0

    async def head(self) -> SinkHead | None:
        """Return what the sink holds, read back from it.

        Raises:
            SinkFailed: it does not say, or what it says does not verify.
        """
        self._size = None
        return await self.sink.last(self._tree, await self._keys.verifiers())

    async def catch_up(self, tree: Standing, reading: Reading, recent: Recent | None) -> None:
        """Publish every head of the tree that the sink has not, each after the records that it covers.

        Raises:
            SinkFailed: the sink did not take it. Nothing is lost: the next call goes on from what the sink holds.
            TreeRolledBack: the sink holds more than the tree.
            TreeDamaged: a sealed record is gone or altered.
        """
        try:
            while not self._holds(tree) and await self._step(tree, reading, recent):
                pass
        except SinkFailed:
            self._size = None
            raise

    def _holds(self, tree: Standing) -> bool:
        return (self._generation, self._size) == (tree.generation, tree.size)

    async def _step(self, tree: Standing, reading: Reading, recent: Recent | None) -> bool:
        """Publish a batch; tell whether there was one. A tree just restarted has no head of its generation yet."""
        size = await self._position(tree)
        async with reading() as read:
            found = await store.checkpoints(read, tree.origin, size, _HEADS_MAX)
        if not found:
            return False
        # As many heads as are covered by one batch of records; one at least.
        heads = [row for row in found if row.size <= size + PUBLISH_RECORDS_MAX] or found[:1]
        end = heads[-1].size
        while end - size > PUBLISH_RECORDS_MAX:
            part = await self._payloads(reading, size, size + PUBLISH_RECORDS_MAX, recent)
            await self.sink.publish(tree.generation, size, part, ())
            size += PUBLISH_RECORDS_MAX
        payloads = await self._payloads(reading, size, end, recent)
        signed = [SignedHead(row.size, row.note) for row in heads]
        # Crash before, within or after this: the sink's own head says what is to be done again.
        await self.sink.publish(tree.generation, size, payloads, signed)
        self._size = end
        return True

    async def _position(self, tree: Standing) -> int:
        """Return how many of the tree's records the sink holds; ask it where that is not known."""
        if self._size is None or self._generation != tree.generation:
            head = await self.head()
            self._size = head.size if head is not None and head.generation == tree.generation else 0
            self._generation = tree.generation
            if (head is not None and head.generation > tree.generation) or self._size > tree.size:
                raise TreeRolledBack("a sink holds more than this database's tree")
        return self._size

    async def _payloads(
        self, reading: Reading, start: int, end: int, recent: Recent | None
    ) -> Sequence[bytes]:
        if recent is not None and recent.first == start and len(recent.payloads) == end - start:
            return recent.payloads
        async with reading() as read:
            return [payload for payload, _ in await sealed_records(read, start, end)]


async def sealed_records(read: ReadOnly, start: int, end: int) -> Sequence[tuple[bytes, bytes]]:
    """Return (payload, leaf hash) of the records `start` to below `end`, as the tree holds them.

    Raises:
        TreeDamaged: a tile or a record is gone, or a record is not the one that was sealed.
    """
    found: list[tuple[bytes, bytes]] = []
    tiles = await store.leaf_tiles(read, start // TILE_WIDTH, -(-end // TILE_WIDTH))
    leaves = [
        (tile.tile.number * TILE_WIDTH + place, event_id, tile.leaf_hash(place))
        for tile in tiles
        for place, event_id in enumerate(tile.event_ids)
        if start <= tile.tile.number * TILE_WIDTH + place < end
    ]
    payloads = await store.payloads(read, [event_id for _, event_id, _ in leaves])
    for index, event_id, leaf in leaves:
        payload = payloads.get(event_id)
        if payload is None:
            raise TreeDamaged(f"record {index} is sealed and its row is gone")
        if leaf_hash(payload) != leaf:
            raise TreeDamaged(f"record {index} is not the one that was sealed")
        found.append((payload, leaf))
    if len(found) != end - start:
        raise TreeDamaged(f"tiles of the records {start} to {end - 1} are gone")
    return found
