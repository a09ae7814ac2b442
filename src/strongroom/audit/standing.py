# SPDX-License-Identifier: Apache-2.0
"""Where a stored tree stands, checked before anything is built on it, and the proof before each signature.

Refuses a tree whose parts disagree, one that no sealer began, and one that does not lead to what its sinks hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import final

from strongroom.audit import store
from strongroom.audit.checkpoint import open_checkpoint, sign_checkpoint
from strongroom.audit.errors import (
    CheckpointRefused,
    NoteRefused,
    ProofRefused,
    TreeDamaged,
    TreeForeign,
    TreeRolledBack,
)
from strongroom.audit.growth import Head, restored
from strongroom.audit.merkle import consistency_proof, tree_root, verify_consistency
from strongroom.audit.origin import generation_of
from strongroom.audit.ports import SinkHead
from strongroom.audit.signing import TreeKeys
from strongroom.audit.store import CheckpointRow, Cursor
from strongroom.audit.tiles import TileSource, partial_tiles
from strongroom.crypto.digest import equal
from strongroom.db.pool import ReadOnly


@final
@dataclass(frozen=True, slots=True)
class Standing:
    """A tree that was read back and held together. `sealer` moves it along with each commit."""

    generation: int
    origin: str
    head: Head
    cursor: Cursor
    cluster: str

    @property
    def size(self) -> int:
        """How many records are in the tree."""
        return self.head.size


async def load(read: ReadOnly, keys: TreeKeys, tree: str) -> Standing | None:
    """Return where the tree stands; None if it was never begun.

    Raises:
        TreeForeign: its origin is not of this tree, or was not set by a sealer.
        TreeDamaged: row, tiles and last checkpoint do not agree.
    """
    row = await store.tree(read)
    if row is None:
        return None
    generation = generation_of(tree, row.origin)
    if generation is None:
        raise TreeForeign("the database holds a tree of another origin than the one configured")
    if not await keys.origin_holds(row.origin, row.origin_mac):
        raise TreeForeign("the tree's origin was not set by a sealer")
    tails: dict[int, bytes] = {}
    tail_ids: tuple[str, ...] = ()
    for place in partial_tiles(row.size):
        if place.level == 0:
            tiles = await store.leaf_tiles(read, place.number, place.number + 1)
            tails[0], tail_ids = (tiles[0].tile.hashes, tiles[0].event_ids) if tiles else (b"", ())
        else:
            tails[place.level] = await store.tile_hashes(read, place.level, place.number)
    head = restored(row.size, row.frontier, tails, tail_ids)
    await _check_last(read, keys, tree, head)
    return Standing(generation, row.origin, head, row.cursor, row.cluster)


async def _check_last(read: ReadOnly, keys: TreeKeys, tree: str, head: Head) -> None:
    """The newest checkpoint is the tree's head, and a key of ours has signed it."""
    last = await store.latest_checkpoint(read)
    if last is None:
        if head.size:
            raise TreeDamaged("the tree has records and no checkpoint")
        return
    if last.size != head.size or not equal(last.root, head.frontier.root()):
        raise TreeDamaged("the newest checkpoint is not the tree's head")
    if generation_of(tree, last.origin) is None:
        raise TreeForeign("the newest checkpoint is another tree's")
    try:
        signed = open_checkpoint(last.note, await keys.verifiers(), origin=last.origin)
    except (NoteRefused, CheckpointRefused) as error:
        raise TreeDamaged("the newest checkpoint is not signed by this tree's key") from error
    if signed.size != last.size or not equal(signed.root, last.root):
        raise TreeDamaged("the newest checkpoint's note says something else than its row")


async def check_sinks(read: ReadOnly, standing: Standing | None, heads: Sequence[SinkHead]) -> None:
    """Return if the tree leads to every head that a sink holds.

    Raises:
        TreeRolledBack: a sink holds more than this database, or something else.
    """
    for head in heads:
        if standing is None:
            raise TreeRolledBack("a sink holds a tree that this database has never begun")
        if head.generation > standing.generation:
            raise TreeRolledBack("a sink holds a later generation of the tree than this database")
        if head.generation < standing.generation or head.checkpoint is None:
            continue  # the tree was restarted after that
        if head.size > standing.size:
            raise TreeRolledBack(
                f"a sink holds {head.size} records, this database's tree {standing.size}"
            )
        if not equal(await tree_root(_source(read), head.size), head.checkpoint.root):
            raise TreeRolledBack(f"a sink holds {head.size} other records than this database")


async def prove_and_sign(
    read: ReadOnly, keys: TreeKeys, old: Standing, new: Head, now: datetime
) -> CheckpointRow:
    """Return the signed head of the grown tree. `read` sees the tiles that were just written.

    Raises:
        TreeDamaged: the tiles do not lead from the last head to the new one; then nothing is signed.
    """
    source = _source(read)  # its cache dies with this transaction, which may yet be rolled back
    root = new.frontier.root()
    try:
        if old.size:
            verify_consistency(
                old=old.size,
                new=new.size,
                old_root=old.head.frontier.root(),
                new_root=root,
                proof=await consistency_proof(source, old.size, new.size),
            )
        elif not equal(await tree_root(source, new.size), root):
            raise TreeDamaged("the tiles do not lead to the first head")
    except ProofRefused as error:
        raise TreeDamaged("the tiles do not lead from the last head to the new one") from error
    note = sign_checkpoint(
        origin=old.origin, size=new.size, root=root, signers=await keys.signers()
    )
    return CheckpointRow(new.size, old.origin, root, note, now)


def _source(read: ReadOnly) -> TileSource:
    return TileSource(partial(store.tile_hashes, read))
