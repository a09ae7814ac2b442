# SPDX-License-Identifier: Apache-2.0
"""Proofs from the committed tiles of one database: that a record is in the tree, that a head extends another.

Each is verified before it is handed out, so that a damaged tile shows here and not at whoever asked.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar, final

from strongroom.audit import store
from strongroom.audit.errors import ProofRefused, TreeDamaged
from strongroom.audit.merkle import (
    consistency_proof,
    inclusion_proof,
    verify_consistency,
    verify_inclusion,
)
from strongroom.audit.note import encode_base64
from strongroom.audit.proof import TlogProof
from strongroom.audit.store import CheckpointRow
from strongroom.audit.tiles import TileSource
from strongroom.db.pool import Database

T = TypeVar("T")


@final
@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """That the tree of `old` records is a prefix of the one that the note signs."""

    old: int
    hashes: tuple[bytes, ...]
    note: bytes

    def encode(self) -> bytes:
        """Print it as what a witness is sent (C2SP tlog-witness, `add-checkpoint`)."""
        lines = [f"old {self.old}", *(encode_base64(one) for one in self.hashes)]
        return ("\n".join(lines) + "\n\n").encode() + self.note


@final
class Proofs:
    """Makes proofs. Keeps tiles between calls; safe while the tree grows."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._source = TileSource(self._read_tile)

    async def inclusion(self, index: int, leaf: bytes, head: CheckpointRow) -> TlogProof:
        """Return the proof that the record with this leaf hash has this index in the tree of that head.

        Raises:
            TreeDamaged: the tiles do not lead to the head.
        """

        async def make() -> TlogProof:
            hashes = await inclusion_proof(self._source, index, head.size)
            verify_inclusion(leaf, index=index, size=head.size, proof=hashes, root=head.root)
            return TlogProof(index, tuple(hashes), head.note)

        return await self._made(make)

    async def consistency(self, old: CheckpointRow, new: CheckpointRow) -> ConsistencyProof:
        """Return the proof that the new head extends the old one.

        Raises:
            TreeDamaged: the tiles do not lead to both.
        """

        async def make() -> ConsistencyProof:
            hashes: Sequence[bytes] = await consistency_proof(self._source, old.size, new.size)
            verify_consistency(
                old=old.size, new=new.size, old_root=old.root, new_root=new.root, proof=hashes
            )
            return ConsistencyProof(old.size, tuple(hashes), new.note)

        return await self._made(make)

    async def _made(self, make: Callable[[], Awaitable[T]]) -> T:
        try:
            return await make()
        except (ProofRefused, TreeDamaged):
            # A database that was restored under this process has other tiles than those kept here: look again.
            self._source = TileSource(self._read_tile)
        try:
            return await make()
        except ProofRefused as error:
            raise TreeDamaged("the tiles do not lead to the head that was signed") from error

    async def _read_tile(self, level: int, number: int) -> bytes:
        async with self._database.transaction() as read:
            return await store.tile_hashes(read, level, number)
