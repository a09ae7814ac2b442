# SPDX-License-Identifier: Apache-2.0
"""The tree: its frontier, its proofs and its tiles, against the naive definition."""

from hashlib import sha256

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strongroom.audit.errors import ProofRefused, TreeDamaged
from strongroom.audit.merkle import (
    EMPTY_ROOT,
    TREE_SIZE_LIMIT,
    Frontier,
    consistency_plan,
    consistency_proof,
    inclusion_plan,
    inclusion_proof,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from strongroom.audit.tiles import (
    TILE_WIDTH,
    TileSource,
    frontier_of,
    partial_tiles,
    tails_after,
    tiles_for,
)
from strongroom.kernel.invariant import Bug
from unit.audit_trees import Leaves, naive_root

LEAVES = [sha256(b"leaf %d" % number).digest() for number in range(1400)]
sizes = st.integers(0, 130)


@given(st.lists(sizes, max_size=6))
def test_a_frontier_grown_in_any_steps_has_the_naive_root(steps: list[int]) -> None:
    frontier, done = Frontier(), 0
    for step in steps:
        frontier = frontier.appended(LEAVES[done : done + step])
        done += step
        assert frontier.root() == naive_root(LEAVES[:done])
        assert Frontier.restored(frontier.size, list(frontier.hashes)) == frontier
    assert frontier.size == done


def test_the_empty_tree() -> None:
    assert Frontier().root() == EMPTY_ROOT == naive_root([])


@pytest.mark.parametrize(
    ("size", "hashes"),
    [(0, [bytes(32)]), (3, [bytes(32)]), (1, [bytes(31)]), (-1, [bytes(32)]), (2**63, [bytes(32)])],
)
def test_what_is_no_frontier_is_not_restored(size: int, hashes: list[bytes]) -> None:
    with pytest.raises(TreeDamaged):
        Frontier.restored(size, hashes)


@given(st.integers(1, 130), st.data())
async def test_every_inclusion_proof_verifies_and_no_other_place_or_byte_does(
    size: int, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = await inclusion_proof(Leaves(LEAVES), index, size)
    root = naive_root(LEAVES[:size])
    verify_inclusion(LEAVES[index], index=index, size=size, proof=proof, root=root)
    wrong = [
        (LEAVES[index], index, size, [*proof, bytes(32)], root),
        (LEAVES[size], index, size, proof, root),
        (LEAVES[index], index, size, proof, naive_root(LEAVES[: size + 1])),
        (LEAVES[index], size, size, proof, root),
        (LEAVES[index], -1, size, proof, root),
        (LEAVES[index], index, TREE_SIZE_LIMIT, proof, root),
        (LEAVES[index][:31], index, size, proof, root),
        (LEAVES[index], index, size, proof, root[:31]),
    ]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        byte, bit = data.draw(st.integers(0, 31)), data.draw(st.integers(0, 7))
        changed = bytearray(proof[at])
        changed[byte] ^= 1 << bit
        wrong += [
            (LEAVES[index], index, size, [*proof[:at], bytes(changed), *proof[at + 1 :]], root),
            (LEAVES[index], index, size, proof[:-1], root),
            (LEAVES[index], index, size, [*proof[:at], proof[at][:31], *proof[at + 1 :]], root),
        ]
    other = data.draw(st.integers(0, size - 1).filter(lambda one: one != index)) if size > 1 else 1
    wrong.append((LEAVES[index], other, size, proof, root))
    for leaf, at_index, at_size, path, to in wrong:
        with pytest.raises(ProofRefused):
            verify_inclusion(leaf, index=at_index, size=at_size, proof=path, root=to)


@given(st.integers(1, 130), st.data())
async def test_every_consistency_proof_verifies_and_no_other_does(
    new: int, data: st.DataObject
) -> None:
    old = data.draw(st.integers(1, new))
    proof = await consistency_proof(Leaves(LEAVES), old, new)
    old_root, new_root = naive_root(LEAVES[:old]), naive_root(LEAVES[:new])
    verify_consistency(old=old, new=new, old_root=old_root, new_root=new_root, proof=proof)
    rewritten = naive_root([LEAVES[-1], *LEAVES[1:old]])
    wrong = [
        (old, new, rewritten, new_root, proof),
        (old, new, old_root, rewritten, proof),
        (old, new, old_root, new_root, [*proof, bytes(32)]),
        (0, new, EMPTY_ROOT, new_root, []),
        (new + 1, new, old_root, new_root, proof),
        (old, TREE_SIZE_LIMIT, old_root, new_root, proof),
    ]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        changed = bytearray(proof[at])
        changed[data.draw(st.integers(0, 31))] ^= 1 << data.draw(st.integers(0, 7))
        wrong += [
            (old, new, old_root, new_root, [*proof[:at], bytes(changed), *proof[at + 1 :]]),
            (old, new, old_root, new_root, proof[:-1]),
            (old, new, old_root, new_root, [*proof[:at], proof[at][:31], *proof[at + 1 :]]),
        ]
    for first, second, first_root, second_root, path in wrong:
        with pytest.raises(ProofRefused):
            verify_consistency(
                old=first, new=second, old_root=first_root, new_root=second_root, proof=path
            )


def test_every_small_proof_is_as_long_as_it_can_be() -> None:
    for size in range(1, 70):
        for index in range(size):
            assert len(inclusion_plan(index, size)) <= (size - 1).bit_length()
        for old in range(1, size + 1):
            assert len(consistency_plan(old, size)) <= (size - 1).bit_length() + 1


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 3)])
def test_a_proof_of_a_leaf_that_is_not_there_is_a_bug(index: int, size: int) -> None:
    with pytest.raises(Bug):
        inclusion_plan(index, size)


class Shelf:
    """Tiles as a database keeps them: the widest of each place."""

    def __init__(self) -> None:
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.size = 0
        self.reads = 0

    def append(self, leaves: list[bytes]) -> None:
        tails = {p.level: self.tiles[p.level, p.number] for p in partial_tiles(self.size)}
        written = tiles_for(self.size, leaves, tails)
        for tile in written:
            known = self.tiles.get((tile.level, tile.number), b"")
            assert tile.hashes.startswith(known)
            assert 0 < tile.width <= TILE_WIDTH
            self.tiles[tile.level, tile.number] = tile.hashes
        self.size += len(leaves)
        after = tails_after(self.size, tails, written)
        assert after == {p.level: self.tiles[p.level, p.number] for p in partial_tiles(self.size)}
        assert frontier_of(self.size, after).root() == naive_root(LEAVES[: self.size])

    async def read(self, level: int, number: int) -> bytes:
        self.reads += 1
        return self.tiles.get((level, number), b"")


@given(st.lists(st.integers(0, 400), max_size=3), st.data())
@example([256], None)
@example([255, 1, 256], None)
async def test_tiles_grown_in_any_steps_give_every_proof(
    steps: list[int], data: st.DataObject | None
) -> None:
    shelf = Shelf()
    source = TileSource(shelf.read)  # kept while the tree grows
    for step in steps:
        shelf.append(LEAVES[shelf.size : shelf.size + step])
        size = shelf.size
        for place in partial_tiles(size):
            assert len(shelf.tiles[place.level, place.number]) == place.width * 32
        assert await tree_root(source, size) == naive_root(LEAVES[:size])
        if size:
            index = data.draw(st.integers(0, size - 1)) if data else size - 1
            proof = await inclusion_proof(source, index, size)
            root = naive_root(LEAVES[:size])
            verify_inclusion(LEAVES[index], index=index, size=size, proof=proof, root=root)
            assert proof == await inclusion_proof(Leaves(LEAVES), index, size)
            assert await consistency_proof(source, index + 1, size) == await consistency_proof(
                Leaves(LEAVES), index + 1, size
            )


async def test_a_large_tree_has_tiles_of_three_levels() -> None:
    shelf, size = Shelf(), 70_000
    leaves = [number.to_bytes(32, "big") for number in range(size)]
    for tile in tiles_for(0, leaves, {}):
        shelf.tiles[tile.level, tile.number] = tile.hashes
    assert {p.level: len(shelf.tiles[p.level, p.number]) // 32 for p in partial_tiles(size)} == {
        0: 112,
        1: 17,
        2: 1,
    }
    source = TileSource(shelf.read)
    root = Frontier().appended(leaves).root()
    assert await tree_root(source, size) == root
    shelf.reads = 0
    proof = await inclusion_proof(source, 12_345, size)
    verify_inclusion(leaves[12_345], index=12_345, size=size, proof=proof, root=root)
    assert shelf.reads <= 3
    assert await inclusion_proof(source, 12_345, size) == proof
    assert shelf.reads <= 3


async def test_damaged_tiles_are_noticed() -> None:
    shelf = Shelf()
    shelf.append(LEAVES[:300])
    with pytest.raises(TreeDamaged):
        tiles_for(300, LEAVES[300:301], {0: shelf.tiles[0, 1]})
    with pytest.raises(TreeDamaged):
        frontier_of(301, {0: shelf.tiles[0, 1], 1: shelf.tiles[1, 0]})
    shelf.tiles[0, 1] = shelf.tiles[0, 1][:-1]
    with pytest.raises(TreeDamaged):
        await TileSource(shelf.read).node(0, 299)
    with pytest.raises(TreeDamaged):
        await TileSource(shelf.read).node(0, 5000)
    shelf.tiles[0, 0] += bytes(32)
    with pytest.raises(TreeDamaged):
        await TileSource(shelf.read).node(0, 0)
