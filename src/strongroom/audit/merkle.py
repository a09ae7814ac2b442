# SPDX-License-Identifier: Apache-2.0
"""The Merkle tree of RFC 6962 §2.1 (RFC 9162 §2.1): hashes, the frontier that grows it, proofs made and verified.

Pure: a proof is planned as a list of nodes, and only `inclusion_proof` and `consistency_proof` ask a `HashSource`
for them. Keeps no leaf; refuses a proof that does not lead to the root.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeAlias, final

from strongroom.audit.errors import ProofRefused, TreeDamaged
from strongroom.crypto.digest import SHA256_BYTES, equal, sha256
from strongroom.kernel.invariant import invariant

EMPTY_ROOT: Final = sha256(b"")
HASH_BYTES: Final = SHA256_BYTES
#: Sizes stay below this (C2SP prints them in decimal; the database keeps them in a bigint).
TREE_SIZE_LIMIT: Final = 2**63


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf's exact bytes."""
    return sha256(b"\x00" + data)


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return sha256(b"\x01" + left + right)


class Node(NamedTuple):
    """A perfect subtree, the `place`-th of its level from the left: 2^level leaves. Level 0 is a leaf."""

    level: int
    place: int


class HashSource(Protocol):
    """Knows the hash of every perfect subtree of a tree."""

    async def node(self, level: int, place: int) -> bytes:
        """Return the 32-byte hash; raise TreeDamaged where what is stored cannot be the tree's."""


@final
@dataclass(frozen=True, slots=True)
class Frontier:
    """All that is needed to grow a tree: its size and the roots of its perfect subtrees, the widest first."""

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    @classmethod
    def restored(cls, size: int, hashes: Iterable[bytes]) -> "Frontier":
        """Read a frontier back from storage. Raises TreeDamaged where these cannot be the hashes of that size."""
        kept = tuple(hashes)
        if not 0 <= size < TREE_SIZE_LIMIT or len(kept) != size.bit_count():
            raise TreeDamaged("a frontier has one hash for each bit that is set in its size")
        if any(len(one) != HASH_BYTES for one in kept):
            raise TreeDamaged("a frontier's hashes have 32 bytes")
        return cls(size, kept)

    def appended(self, leaf_hashes: Iterable[bytes]) -> "Frontier":
        """Return the frontier after these leaves. About one node hash a leaf."""
        size = self.size
        hashes = list(self.hashes)
        for leaf in leaf_hashes:
            one, carry = leaf, size
            # As many low bits as are set in the size, so many equal subtrees wait at the right.
            while carry & 1:
                one = sha256(b"\x01" + hashes.pop() + one)
                carry >>= 1
            hashes.append(one)
            size += 1
        return Frontier(size, tuple(hashes))

    def root(self) -> bytes:
        """Return the root hash of the tree; that of an empty tree is SHA-256 of nothing."""
        return _folded(self.hashes) if self.hashes else EMPTY_ROOT


def _folded(hashes: Sequence[bytes]) -> bytes:
    """Join neighbouring subtrees, each at least as wide as all to its right together, into one hash."""
    one = hashes[-1]
    for left in reversed(hashes[:-1]):
        one = node_hash(left, one)
    return one


Span: TypeAlias = tuple[Node, ...]
"""A range of leaves as perfect subtrees, the widest first: folded, they are one hash of a proof."""


def inclusion_plan(index: int, size: int) -> tuple[Span, ...]:
    """Say which nodes the inclusion proof of a leaf is made of, from the leaf's sibling to the root's child.

    RFC 6962 §2.1.1.
    """
    invariant(0 <= index < size, "the leaf is in the tree")
    plan: list[Span] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            plan.append(_span(middle, end))
            end = middle
        else:
            plan.append(_span(start, middle))
            start = middle
    return tuple(reversed(plan))


def consistency_plan(old: int, new: int) -> tuple[Span, ...]:
    """Say which nodes the proof that `old` leaves are a prefix of `new` is made of (RFC 6962 §2.1.2)."""
    invariant(0 < old <= new, "the old tree has leaves and is not longer than the new one")
    plan: list[Span] = []
    start, end = 0, new
    old_is_known = True  # the subtree's hash is the old root itself, which the verifier has
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            plan.append(_span(middle, end))
            end = middle
        else:
            plan.append(_span(start, middle))
            start = middle
            old_is_known = False
    if not old_is_known:
        plan.append(_span(start, end))
    return tuple(reversed(plan))


async def inclusion_proof(source: HashSource, index: int, size: int) -> list[bytes]:
    """Return the proof that the leaf is in the tree of that size."""
    return [await _span_hash(source, span) for span in inclusion_plan(index, size)]


async def consistency_proof(source: HashSource, old: int, new: int) -> list[bytes]:
    """Return the proof that the tree of `old` leaves is a prefix of the tree of `new` leaves."""
    return [await _span_hash(source, span) for span in consistency_plan(old, new)]


async def tree_root(source: HashSource, size: int) -> bytes:
    """Return the root of the tree of that size."""
    return await _span_hash(source, _span(0, size)) if size else EMPTY_ROOT


def verify_inclusion(
    leaf: bytes, *, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Return if the leaf hash stands at that index of the tree with that root (RFC 9162 §2.1.3.2).

    Raises ProofRefused, and nothing else.
    """
    if not 0 <= index < size < TREE_SIZE_LIMIT:
        raise ProofRefused("the index is not below the tree's size")
    _check_lengths(leaf, root, *proof)
    position, last = index, size - 1
    found = leaf
    for one in proof:
        if last == 0:
            raise ProofRefused("the proof is too long")
        if position & 1 or position == last:
            found = node_hash(one, found)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            found = node_hash(found, one)
        position >>= 1
        last >>= 1
    if last != 0:
        raise ProofRefused("the proof is too short")
    if not equal(found, root):
        raise ProofRefused("the proof does not lead to the root")


def verify_consistency(
    *, old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Return if the old tree is a prefix of the new one (RFC 9162 §2.1.4.2).

    Raises ProofRefused, and nothing else; also for an empty old tree, which is a prefix of every tree and proves
    nothing.
    """
    if not 0 < old <= new < TREE_SIZE_LIMIT:
        raise ProofRefused("the old tree is empty, or longer than the new one")
    if old == new:
        if proof:
            raise ProofRefused("the proof is too long")
        if not equal(old_root, new_root):
            raise ProofRefused("two trees of one size have different roots")
        return
    _check_lengths(old_root, new_root, *proof)
    # Where the old tree is one perfect subtree, its root is the first hash and is not repeated in the proof.
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        raise ProofRefused("the proof is too short")
    position, last = old - 1, new - 1
    while position & 1:
        position >>= 1
        last >>= 1
    found_old = found_new = path[0]
    for one in path[1:]:
        if last == 0:
            raise ProofRefused("the proof is too long")
        if position & 1 or position == last:
            found_old = node_hash(one, found_old)
            found_new = node_hash(one, found_new)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            found_new = node_hash(found_new, one)
        position >>= 1
        last >>= 1
    if last != 0:
        raise ProofRefused("the proof is too short")
    if not equal(found_old, old_root) or not equal(found_new, new_root):
        raise ProofRefused("the proof does not lead to both roots")


def _check_lengths(*hashes: bytes) -> None:
    if any(len(one) != HASH_BYTES for one in hashes):
        raise ProofRefused("a hash has 32 bytes")


def _split(width: int) -> int:
    """Return the largest power of two below the width: where RFC 6962 divides a tree."""
    return 1 << (width - 1).bit_length() - 1


def _span(start: int, end: int) -> Span:
    """Cut a range that starts at a multiple of its widest subtree into perfect subtrees."""
    nodes: list[Node] = []
    while start < end:
        level = (end - start).bit_length() - 1
        nodes.append(Node(level, start >> level))
        start += 1 << level
    return tuple(nodes)


async def _span_hash(source: HashSource, span: Span) -> bytes:
    return _folded([await source.node(node.level, node.place) for node in span])
