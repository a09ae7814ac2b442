# SPDX-License-Identifier: Apache-2.0
"""Seals one batch of rows inside a transaction: the steps between reading them and the commit.

Refuses the whole batch for one row that does not hold, and to sign what the written tiles do not prove.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from strongroom.audit import store
from strongroom.audit.errors import TreeDamaged, TreeTaken
from strongroom.audit.growth import check_row, grown
from strongroom.audit.signing import TreeKeys
from strongroom.audit.standing import Standing, prove_and_sign
from strongroom.audit.store import Cursor, UnsealedRow
from strongroom.crypto.digest import HmacSha256
from strongroom.db.pool import Transaction

#: Rows are checked this many at a time, then whoever else waits for the loop has a turn.
_CHECKED_AT_ONCE: Final = 64


async def seal_rows(
    tx: Transaction,
    keys: TreeKeys,
    standing: Standing,
    rows: Sequence[UnsealedRow],
    *,
    cursor: Cursor,
    now: datetime,
) -> tuple[Standing, Sequence[UnsealedRow]]:
    """Return where the tree stands once this transaction is committed, and the rows that are new in it, in order.

    Raises:
        RowAltered: a row is not what was recorded.
        TreeDamaged: the tiles do not lead from the last head to the new one.
        TreeTaken: somebody else has sealed meanwhile.
    """
    # To seal records:
    #  1. Leave out what is in the tree already (it came from another cluster, with that one's numbers).
    #  2. Check each row: bytes, hash, MAC and columns agree.
    #  3. Put them in the order of their ids, and grow the tree.
    #  4. Write the tiles.
    #  5. Prove, from what is written, that the last signed tree is a prefix of the new one; then sign.
    #  6. Keep the head, and say how far we are; nobody else must have moved it.
    known = await store.sealed_among(tx, [row.event_id for row in rows])  # (1)
    fresh = sorted((row for row in rows if row.event_id not in known), key=lambda row: row.event_id)
    await _check(fresh, await keys.row_keys())  # (2)
    head = standing.head
    if fresh:
        growth = grown(head, fresh)  # (3)
        for tile in growth.tiles:  # (4)
            ids = growth.event_ids[tile.number] if tile.level == 0 else ()
            if not await store.put_tile(tx, tile, ids):
                raise TreeDamaged(f"another tile stands at {tile.level}/{tile.number}")
        checkpoint = await prove_and_sign(tx, keys, standing, growth.head, now)  # (5)
        await store.insert_checkpoint(tx, checkpoint)  # (6)
        head = growth.head
    moved = await store.move_tree(
        tx,
        standing.size,
        origin=standing.origin,
        size=head.size,
        frontier=head.frontier.hashes,
        cursor=cursor,
        now=now,
    )
    if not moved:
        raise TreeTaken("somebody else has sealed meanwhile")
    return replace(standing, head=head, cursor=cursor), fresh


async def _check(rows: Sequence[UnsealedRow], keys: Sequence[bytes]) -> None:
    macs = [HmacSha256(key) for key in keys]
    for at, row in enumerate(rows, start=1):
        check_row(row, macs)
        if at % _CHECKED_AT_ONCE == 0:
            await asyncio.sleep(0)
