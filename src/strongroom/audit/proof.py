# SPDX-License-Identifier: Apache-2.0
"""One record's proof as a file (C2SP tlog-proof, `.tlog-proof`): index, inclusion proof and signed checkpoint.

`verify_proof` needs the record, this file and the public key, and nothing else. Extra data is carried, never trusted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from strongroom.audit.checkpoint import DECIMAL, Checkpoint, open_checkpoint
from strongroom.audit.errors import NoteRefused, ProofRefused
from strongroom.audit.merkle import HASH_BYTES, TREE_SIZE_LIMIT, leaf_hash, verify_inclusion
from strongroom.audit.note import NOTE_BYTES_MAX, VerifierKey, decode_base64, encode_base64
from strongroom.kernel.invariant import invariant

SUFFIX: Final = ".tlog-proof"
PROOF_BYTES_MAX: Final = 2 * NOTE_BYTES_MAX
_HEADER: Final = "c2sp.org/tlog-proof@v1"
_HASHES_MAX: Final = 63


@final
@dataclass(frozen=True, slots=True)
class TlogProof:
    """What the file says. Nothing of it is believed before `verify_proof`."""

    index: int
    #: The inclusion proof, from the leaf's sibling to the root's child.
    hashes: tuple[bytes, ...]
    #: The signed checkpoint, exactly as the log issued it.
    checkpoint: bytes
    extra: bytes = b""

    def encode(self) -> bytes:
        """Print the file."""
        invariant(0 <= self.index < TREE_SIZE_LIMIT, "a leaf has an index")
        lines = [_HEADER]
        if self.extra:
            lines.append(f"extra {encode_base64(self.extra)}")
        lines.append(f"index {self.index}")
        lines += [encode_base64(one) for one in self.hashes]
        return ("\n".join(lines) + "\n\n").encode() + self.checkpoint


@final
@dataclass(frozen=True, slots=True)
class VerifiedInclusion:
    """A record stands at this index of the tree with this head. Only `verify_proof` makes one."""

    index: int
    checkpoint: Checkpoint


def unchecked_proof(index: int, hashes: Sequence[str], checkpoint: str) -> bytes:
    """Print the file from parts that came some other way and that nobody has checked: its reader does."""
    lines = [_HEADER, f"index {index}", *hashes]
    return ("\n".join(lines) + "\n\n" + checkpoint).encode("utf-8", "replace")


def parse_proof(file: bytes) -> TlogProof:
    """Read the file, believing nothing. Raises ProofRefused, and nothing else."""
    if len(file) > PROOF_BYTES_MAX:
        raise ProofRefused("the proof is too long")
    head, blank, checkpoint = file.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise ProofRefused("a proof is ASCII up to its checkpoint") from error
    if not blank or lines.pop(0) != _HEADER:
        raise ProofRefused("not a proof of a version that is known here")
    extra = b""
    if lines and lines[0].startswith("extra "):
        extra = _base64(lines.pop(0).removeprefix("extra "))
        if not extra:
            raise ProofRefused("extra data is left out where there is none")
    index_text = lines.pop(0) if lines else ""
    index = index_text.removeprefix("index ")
    if not index_text.startswith("index ") or DECIMAL.fullmatch(index) is None:
        raise ProofRefused("the index is not a number")
    if len(lines) > _HASHES_MAX:
        raise ProofRefused("the proof is too long")
    hashes = tuple(_base64(line) for line in lines)
    if any(len(one) != HASH_BYTES for one in hashes):
        raise ProofRefused("a hash has 32 bytes")
    return TlogProof(int(index), hashes, checkpoint, extra)


def verify_proof(
    file: bytes, payload: bytes, keys: Sequence[VerifierKey], *, origin: str
) -> VerifiedInclusion:
    """Return proof that the record's exact bytes are in the tree that a trusted key has signed.

    Raises ProofRefused, NoteRefused or CheckpointRefused, and nothing else.
    """
    # To believe a record:
    #  1. Read the file.
    #  2. Open its checkpoint: signed by a trusted key, for this tree.
    #  3. Hash the record's bytes, and follow the proof to the checkpoint's root.
    proof = parse_proof(file)  # (1)
    checkpoint = open_checkpoint(proof.checkpoint, keys, origin=origin)  # (2)
    verify_inclusion(  # (3)
        leaf_hash(payload),
        index=proof.index,
        size=checkpoint.size,
        proof=proof.hashes,
        root=checkpoint.root,
    )
    return VerifiedInclusion(proof.index, checkpoint)


def _base64(text: str) -> bytes:
    try:
        return decode_base64(text)
    except NoteRefused as error:
        raise ProofRefused("not base64") from error
