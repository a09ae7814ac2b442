# SPDX-License-Identifier: Apache-2.0
"""What a batch of records makes of the tree: checks of each row, and the tiles and head that follow. Touches nothing.

A row whose bytes, hash, MAC or place among the tenants do not agree is refused, and with it all that comes after.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from strongroom.audit.errors import RowAltered, TreeDamaged
from strongroom.audit.merkle import Frontier, leaf_hash
from strongroom.audit.ports import PLATFORM
from strongroom.audit.store import UnsealedRow
from strongroom.audit.tiles import (
    TILE_WIDTH,
    Tails,
    Tile,
    frontier_of,
    tails_after,
    tiles_for,
)
from strongroom.crypto.digest import HmacSha256, equal


@final
@dataclass(frozen=True, slots=True)
class Head:
    """All that is needed to grow the stored tree: its frontier and the tiles at its right edge."""

    frontier: Frontier
    tails: Tails
    #: Whose hashes the partial tile of level 0 holds.
    tail_ids: tuple[str, ...]

    @property
    def size(self) -> int:
        """How many records are in the tree."""
        return self.frontier.size


EMPTY: Final = Head(Frontier(), {}, ())


@final
@dataclass(frozen=True, slots=True)
class Growth:
    """What to write, and the head when that is committed."""

    head: Head
    tiles: Sequence[Tile]
    #: By number of the tile of level 0: whose hashes it holds.
    event_ids: Mapping[int, tuple[str, ...]]


def check_row(row: UnsealedRow, macs: Sequence[HmacSha256]) -> None:
    """Return if the row is what was recorded. `macs` are under the row keys, the present one first.

    Raises:
        RowAltered: it is not.
    """
    leaf = leaf_hash(row.payload)
    if not (
        equal(leaf, row.leaf_hash)
        and any(equal(mac.of(leaf), row.row_mac) for mac in macs)
        # The MAC is over the bytes: that these columns say the same is looked up in them.
        and _columns(row) in row.payload
    ):
        raise RowAltered(row.event_id)


def _columns(row: UnsealedRow) -> bytes:
    """Print what the canonical bytes (`record.LEAF`) hold where the row's columns are right."""
    merchant = "null" if row.merchant == PLATFORM else f'"{row.merchant}"'
    mode = f'"{row.mode}"' if row.mode else "null"
    return f'"event_id":"{row.event_id}","merchant":{merchant},"mode":{mode},"object":'.encode()


def grown(head: Head, rows: Sequence[UnsealedRow]) -> Growth:
    """Say what the tree is after these rows, in their order."""
    leaves = [row.leaf_hash for row in rows]
    tiles = tiles_for(head.size, leaves, head.tails)
    frontier = head.frontier.appended(leaves)
    ids = (*head.tail_ids, *(row.event_id for row in rows))
    first = head.size // TILE_WIDTH
    event_ids = {
        first + at // TILE_WIDTH: ids[at : at + TILE_WIDTH] for at in range(0, len(ids), TILE_WIDTH)
    }
    tail_ids = event_ids.get(frontier.size // TILE_WIDTH, ())
    tails = tails_after(frontier.size, head.tails, tiles)
    return Growth(Head(frontier, tails, tail_ids), tiles, event_ids)


def restored(size: int, frontier: Sequence[bytes], tails: Tails, tail_ids: Sequence[str]) -> Head:
    """Read the head back from what is stored in two forms.

    Raises:
        TreeDamaged: they do not agree.
    """
    head = Head(frontier_of(size, tails), tails, tuple(tail_ids))
    if head.frontier != Frontier.restored(size, frontier):
        raise TreeDamaged("the tree's row and its tiles disagree")
    if len(head.tail_ids) != size % TILE_WIDTH:
        raise TreeDamaged("the last tile does not know whose hashes it holds")
    return head
