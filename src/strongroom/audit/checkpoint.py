# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: the signed head of a tree (C2SP tlog-checkpoint).

A checkpoint is opened for one tree, by its origin: the head of another tree under the same key is refused.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from strongroom.audit.errors import CheckpointRefused, NoteRefused
from strongroom.audit.merkle import EMPTY_ROOT, HASH_BYTES, TREE_SIZE_LIMIT
from strongroom.audit.note import (
    NoteSigner,
    VerifierKey,
    decode_base64,
    encode_base64,
    open_note,
    sign_note,
)
from strongroom.kernel.invariant import invariant

#: A number as C2SP prints it. Bounded before it is read as one.
DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_LINES_MIN: Final = 3


@final
@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a tree. Whether anyone signed it is known only of what `open_checkpoint` returned."""

    origin: str
    size: int
    root: bytes
    #: Lines that others may add; never written here, and no statement of ours.
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """Print the text that is signed."""
        lines = (self.origin, str(self.size), encode_base64(self.root), *self.extensions)
        return "".join(line + "\n" for line in lines)


def sign_checkpoint(*, origin: str, size: int, root: bytes, signers: Sequence[NoteSigner]) -> bytes:
    """Return the signed note. The caller has proved that this tree extends the last one signed."""
    invariant(origin != "" and "\n" not in origin, "an origin is one line")
    invariant(
        0 <= size < TREE_SIZE_LIMIT and len(root) == HASH_BYTES, "a tree has a size and a root"
    )
    invariant(size > 0 or root == EMPTY_ROOT, "the empty tree has one root")
    return sign_note(Checkpoint(origin, size, root).text(), signers)


def open_checkpoint(note: bytes, keys: Sequence[VerifierKey], *, origin: str) -> Checkpoint:
    """Return the checkpoint as proof that a trusted key has signed it for the tree with this origin.

    Raises NoteRefused (malformed, or not signed by these keys) or CheckpointRefused, and nothing else.
    """
    checkpoint = parse_checkpoint(open_note(note, keys).text)
    if checkpoint.origin != origin:
        raise CheckpointRefused("the checkpoint is another tree's")
    return checkpoint


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a checkpoint's text, believing nothing. Raises CheckpointRefused, and nothing else."""
    if not text.endswith("\n"):
        raise CheckpointRefused("a checkpoint ends with a newline")
    lines = text[:-1].split("\n")
    if len(lines) < _LINES_MIN or "" in lines:
        raise CheckpointRefused("a checkpoint has an origin, a size and a root, and no empty line")
    origin, size_text, root_text, *extensions = lines
    if DECIMAL.fullmatch(size_text) is None or int(size_text) >= TREE_SIZE_LIMIT:
        raise CheckpointRefused("the size is not a number of leaves")
    try:
        root = decode_base64(root_text)
    except NoteRefused as error:
        raise CheckpointRefused("the root is not base64") from error
    if len(root) != HASH_BYTES:
        raise CheckpointRefused("the root has not 32 bytes")
    size = int(size_text)
    if size == 0 and root != EMPTY_ROOT:
        raise CheckpointRefused("the root is not that of the empty tree")
    return Checkpoint(origin, size, root, tuple(extensions))
