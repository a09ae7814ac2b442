# SPDX-License-Identifier: Apache-2.0
"""Opens what is sealed and seals it anew, many at once, in a thread: what was in clear is gone when it returns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString, NamedTuple

from strongroom.crypto import Algorithm, CannotOpen, Place, algorithm_of, hmac_sha256
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.keys import DataKey
from strongroom.vault.pan import Pan

#: A chunk is a few milliseconds of work: others get their turn in between.
CHUNK: Final = 250


class SealedRow(NamedTuple):
    """A sealed value as it is kept."""

    object_id: str
    #: The place's field, where the row says it.
    part: str
    key_version: int
    sealed: bytes


class Resealed(NamedTuple):
    """A value that was sealed anew, beside what was read."""

    object_id: str
    part: str
    old: bytes
    new: bytes


@dataclass(frozen=True, slots=True)
class Anew:
    """How the values of one column of one tenant are sealed anew."""

    merchant: MerchantId
    mode: Mode
    purpose: str
    field: LiteralString
    #: The versions that opened when this was made.
    keys: Mapping[int, DataKey]
    current: DataKey
    algorithm: Algorithm

    def place(self, row: SealedRow, algorithm: Algorithm, key_version: int) -> Place:
        """Return where a value lives."""
        return Place(
            algorithm=algorithm,
            mode=self.mode,
            merchant=self.merchant,
            object_id=row.object_id,
            # A part is one of the words that the table admits, and no text of a caller's.
            field=self.field or row.part,
            key_version=key_version,
            purpose=self.purpose,
        )

    def opened(self, row: SealedRow) -> bytes | None:
        """Open a value; None where it does not open: altered, moved, or its key is lost."""
        key = self.keys.get(row.key_version)
        if key is None:
            return None
        try:
            algorithm = algorithm_of(row.sealed)
            place = self.place(row, algorithm, row.key_version)
            return key.sealer(algorithm, self.purpose).open(row.sealed, place)
        except CannotOpen:
            return None

    def resealed(self, rows: Sequence[SealedRow]) -> list[Resealed]:
        """Seal anew what opens; what does not is left out."""
        sealer = self.current.sealer(self.algorithm, self.purpose)
        version, found = self.current.version, []
        for row in rows:
            clear = self.opened(row)
            if clear is not None:
                new = sealer.seal(clear, self.place(row, self.algorithm, version))
                found.append(Resealed(row.object_id, row.part, row.sealed, new))
        return found

    def fingerprinted(self, rows: Sequence[SealedRow], key: DataKey) -> dict[str, bytes]:
        """Return the fingerprints of card numbers under another key, by what they belong to."""
        secret, found = key.secret.expose(), {}
        for row in rows:
            clear = self.opened(row)
            if clear is not None:
                found[row.object_id] = hmac_sha256(secret, Pan.from_sealed(clear).identity())
        return found
