# SPDX-License-Identifier: Apache-2.0
"""A file sink as a verifier reads it: only looks, so that a folder which nobody here may write to serves as well.

Believes no head that a trusted key has not signed; a half-written last line is no record.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from strongroom.audit.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from strongroom.audit.errors import CheckpointRefused, NoteRefused, SinkFailed
from strongroom.audit.note import VerifierKey, parse_note
from strongroom.audit.origin import generation_of
from strongroom.audit.reading import notes
from strongroom.audit.sinks.folder import CHECKPOINT, CHECKPOINTS, SEGMENTS

_FIRST_DIGITS: Final = 20


@final
@dataclass(frozen=True, slots=True)
class KeptHeads:
    """Signed heads of one generation that a sink holds."""

    #: The generation's own folder.
    folder: Path
    newest: Checkpoint
    #: The largest one that covers at most the records asked for.
    within: Checkpoint | None


def kept_heads(folder: Path, keys: Sequence[VerifierKey], size: int) -> KeptHeads:
    """Return the newest head in a tree's sink, and the largest one of at most `size` records.

    Raises:
        SinkFailed: there is none, or what stands there does not verify.
    """
    place = _newest_generation(folder)
    newest, newest_size = b"", -1
    within, within_size = b"", -1
    try:
        with (place / CHECKPOINTS).open("rb") as file:
            for note in notes(file):
                covered = parse_checkpoint(parse_note(note).text).size
                if covered >= newest_size:
                    newest, newest_size = note, covered
                if within_size <= covered <= size:
                    within, within_size = note, covered
        latest = (place / CHECKPOINT).read_bytes()
        if parse_checkpoint(parse_note(latest).text).size >= newest_size:
            newest = latest
        return KeptHeads(
            place, _opened(newest, keys), _opened(within, keys) if within_size >= 0 else None
        )
    except FileNotFoundError:
        raise SinkFailed("the sink's folder holds no head of this tree") from None
    except OSError as error:
        raise SinkFailed(f"the sink's folder: {error.strerror}") from error
    except (NoteRefused, CheckpointRefused) as error:
        raise SinkFailed(f"a head in the sink's folder: {error.detail}") from error


def record_in_folder(folder: Path, index: int) -> bytes:
    """Return a record's exact bytes from the segments of a generation.

    Raises:
        SinkFailed: it is not there.
    """
    holding = None
    for path in sorted((folder / SEGMENTS).glob("*.jsonl")):
        first = path.name[:_FIRST_DIGITS]
        if first.isdecimal() and int(first) <= index:
            holding = (int(first), path)
    if holding is not None:
        start, path = holding
        with path.open("rb") as file:
            for at, line in enumerate(file, start=start):
                if at == index and line.endswith(b"\n"):
                    return line[:-1]
    raise SinkFailed(f"record {index} is missing in the sink's folder")


def _opened(note: bytes, keys: Sequence[VerifierKey]) -> Checkpoint:
    origin = parse_checkpoint(parse_note(note).text).origin
    if all(generation_of(key.name, origin) is None for key in keys):
        raise CheckpointRefused("it is another tree's than the one whose key was given")
    return open_checkpoint(note, keys, origin=origin)


def _newest_generation(folder: Path) -> Path:
    """Return where the newest generation is: the folder itself, or the highest of `generation-N`."""
    found = {
        int(number): path
        for path in folder.glob("generation-*")
        if (number := path.name.removeprefix("generation-")).isdecimal()
    }
    return found[max(found)] if found else folder
