# SPDX-License-Identifier: Apache-2.0
"""The tree at rest: C2SP tiles of 256 hashes (tlog-tiles), what to write when leaves come, and reading nodes from them.

A tile at level L holds the hashes of perfect subtrees of 256^L leaves. Refuses a stored tile of the wrong width.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, final

from strongroom.audit.errors import TreeDamaged
from strongroom.audit.merkle import HASH_BYTES, Frontier, Node, node_hash
from strongroom.kernel.invariant import invariant

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
CACHE_TILES_MAX: Final = 1024  # 8 MiB
_CACHE_NODES_MAX: Final = 65_536


@dataclass(frozen=True, slots=True)
class Tile:
    """Hashes `number * 256` and on of a level: 256 of them, or fewer at the right edge of the tree."""

    level: int
    number: int
    #: The hashes, one after the other.
    hashes: bytes

    @property
    def width(self) -> int:
        """How many hashes it holds, 1 to 256."""
        return len(self.hashes) // HASH_BYTES


@dataclass(frozen=True, slots=True)
class TileAddress:
    """Where a tile stands and how wide it is in a tree of a certain size."""

    level: int
    number: int
    width: int

    @property
    def path(self) -> str:
        """The tile's path in C2SP's layout, such as `tile/0/x001/x234/067.p/8`."""
        digits = str(self.number)
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        parts = [digits[i : i + 3] for i in range(0, len(digits), 3)]
        number = "/".join([*("x" + part for part in parts[:-1]), parts[-1]])
        return f"tile/{self.level}/{number}" + (
            f".p/{self.width}" if self.width < TILE_WIDTH else ""
        )


Tails: TypeAlias = Mapping[int, bytes]
"""The partial tiles at the tree's right edge, by level. A level whose last tile is full, or that is empty, has none."""


def partial_tiles(size: int) -> tuple[TileAddress, ...]:
    """Say which partial tiles a tree of that size has: they are all that is read to grow it."""
    tiles: list[TileAddress] = []
    level, count = 0, size
    while count:
        if count % TILE_WIDTH:
            tiles.append(TileAddress(level, count // TILE_WIDTH, count % TILE_WIDTH))
        level += 1
        count //= TILE_WIDTH
    return tuple(tiles)


def tiles_for(old_size: int, new_leaf_hashes: Sequence[bytes], tails: Tails) -> list[Tile]:
    """Say which tiles to write when leaves are appended to a tree of `old_size`.

    `tails` are the partial tiles of the old tree (`partial_tiles` names them). Each tile replaces a narrower one of
    the same place. Raises TreeDamaged where a tail has not the width that the old size gives it.
    """
    _check_tails(old_size, tails)
    written: list[Tile] = []
    level, start, new = 0, old_size, list(new_leaf_hashes)
    while new:
        invariant(all(len(one) == HASH_BYTES for one in new), "a hash has 32 bytes")
        whole = tails.get(level, b"") + b"".join(new)
        number = start // TILE_WIDTH
        full: list[bytes] = []
        for at in range(0, len(whole), TILE_WIDTH * HASH_BYTES):
            tile = Tile(level, number, whole[at : at + TILE_WIDTH * HASH_BYTES])
            written.append(tile)
            if tile.width == TILE_WIDTH:
                full.append(_subtree(tile.hashes))
            number += 1
        level, start, new = level + 1, start // TILE_WIDTH, full
    return written


def tails_after(new_size: int, old: Tails, written: Sequence[Tile]) -> dict[int, bytes]:
    """Return the partial tiles of the grown tree from those of the old one and what `tiles_for` returned."""
    tails: dict[int, bytes] = {}
    fresh = {(tile.level, tile.number): tile.hashes for tile in written}
    for place in partial_tiles(new_size):
        kept = fresh.get((place.level, place.number), old.get(place.level, b""))
        invariant(len(kept) == place.width * HASH_BYTES, "the tiles are those of the new size")
        tails[place.level] = kept
    return tails


def frontier_of(size: int, tails: Tails) -> Frontier:
    """Return the frontier that the partial tiles hold. Raises TreeDamaged where they are not those of that size."""
    _check_tails(size, tails)
    hashes: list[bytes] = []
    for place in reversed(partial_tiles(size)):
        tile, at = tails[place.level], 0
        for bit in reversed(range(TILE_HEIGHT)):
            if place.width >> bit & 1:
                hashes.append(_subtree(tile[at : at + (HASH_BYTES << bit)]))
                at += HASH_BYTES << bit
    return Frontier.restored(size, hashes)


@final
class TileSource:
    """A `HashSource` over stored tiles. Keeps tiles and computed nodes, both bounded; safe while the tree grows.

    It must read what is committed: a tile of a transaction that then rolls back would be kept as if it were true.
    """

    def __init__(self, read_tile: Callable[[int, int], Awaitable[bytes]]) -> None:
        """`read_tile(level, number)` returns the widest stored tile there, or no bytes where there is none."""
        self._read_tile = read_tile
        self._tiles: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._nodes: OrderedDict[Node, bytes] = OrderedDict()

    async def node(self, level: int, place: int) -> bytes:
        """Return the hash of a perfect subtree. Raises TreeDamaged where no tile holds its leaves."""
        wanted = Node(level, place)
        known = self._nodes.get(wanted)
        if known is not None:
            return known
        tile_level, height = divmod(level, TILE_HEIGHT)
        number, first = divmod(place << height, TILE_WIDTH)
        needed = slice(first * HASH_BYTES, (first + (1 << height)) * HASH_BYTES)
        found = _subtree((await self._tile(tile_level, number, needed.stop))[needed])
        self._nodes[wanted] = found
        if len(self._nodes) > _CACHE_NODES_MAX:
            self._nodes.popitem(last=False)
        return found

    async def _tile(self, level: int, number: int, length: int) -> bytes:
        place = (level, number)
        hashes = self._tiles.get(place, b"")
        if len(hashes) < length:  # never read, or read when it was narrower
            hashes = await self._read_tile(level, number)
            if len(hashes) % HASH_BYTES or not length <= len(hashes) <= TILE_WIDTH * HASH_BYTES:
                raise TreeDamaged(f"tile {level}/{number} has {len(hashes)} bytes")
            self._tiles[place] = hashes
        self._tiles.move_to_end(place)
        if len(self._tiles) > CACHE_TILES_MAX:
            self._tiles.popitem(last=False)
        return hashes


def _check_tails(size: int, tails: Tails) -> None:
    expected = {place.level: place.width * HASH_BYTES for place in partial_tiles(size)}
    if {level: len(tile) for level, tile in tails.items() if tile} != expected:
        raise TreeDamaged(f"the partial tiles are not those of a tree of {size}")


def _subtree(hashes: bytes) -> bytes:
    """Return the root over the hashes of a power of two of equal subtrees."""
    row = [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]
