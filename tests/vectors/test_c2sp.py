# SPDX-License-Identifier: Apache-2.0
"""Signed notes, verifier keys, checkpoints and tile addresses against what others published.

The note and key of c2sp.org/signed-note (§Example), the keys and notes of golang.org/x/mod/sumdb/note
(note_test.go), the checkpoint of c2sp.org/tlog-checkpoint, and the tiles of c2sp.org/tlog-tiles (§Partial Tiles).
"""

from base64 import b64decode
from itertools import pairwise

import pytest

from strongroom.audit.checkpoint import parse_checkpoint
from strongroom.audit.errors import NoteRefused, NoteUnsigned
from strongroom.audit.note import NoteSigner, VerifierKey, open_note, parse_note, sign_note
from strongroom.audit.tiles import TileAddress, partial_tiles
from strongroom.crypto.sign import SigningKey

SPEC_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()

PETER_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SEED = b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
ENOCH_KEY = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
PETER = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
ENOCH = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"

CHECKPOINT = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 "
    "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
).encode()


def go(signatures: str) -> bytes:
    return (GO_TEXT + "\n" + signatures).encode()


def test_the_specifications_note_opens_and_its_key_prints_again() -> None:
    key = VerifierKey.parse(SPEC_KEY)
    assert str(key) == SPEC_KEY
    assert open_note(SPEC_NOTE, [key]).text == "This is an example message.\n"


def test_signing_gives_the_bytes_that_go_gives() -> None:
    signer = NoteSigner("PeterNeumann", SigningKey.from_seed(PETER_SEED))
    assert str(signer.verifier) == PETER_KEY
    assert sign_note(GO_TEXT, [signer]) == go(PETER)


@pytest.mark.parametrize(
    ("signatures", "keys", "signers"),
    [
        (PETER + ENOCH, [PETER_KEY], ["PeterNeumann"]),
        (PETER + ENOCH, [PETER_KEY, ENOCH_KEY], ["PeterNeumann", "EnochRoot"]),
        (PETER + PETER + ENOCH, [PETER_KEY], ["PeterNeumann"]),
        (PETER + ENOCH[:60] + "ABCD" + ENOCH[60:], [PETER_KEY], ["PeterNeumann"]),
        (PETER * 16, [PETER_KEY], ["PeterNeumann"]),
    ],
)
def test_gos_notes_open(signatures: str, keys: list[str], signers: list[str]) -> None:
    opened = open_note(go(signatures), [VerifierKey.parse(key) for key in keys])
    assert opened.text == GO_TEXT
    assert [key.name for key in opened.signers] == signers


@pytest.mark.parametrize(
    ("signatures", "keys"),
    [
        (PETER + ENOCH, []),
        (ENOCH, [PETER_KEY]),
        (PETER[:60] + "ABCD" + PETER[60:], [PETER_KEY]),
        (PETER + ENOCH[:60] + "ABCD" + ENOCH[60:], [PETER_KEY, ENOCH_KEY]),
        (PETER.replace("PeterNeumann", "CarmenSandiego"), [PETER_KEY]),
        (PETER.replace("x08g", "xxxx"), [PETER_KEY]),
    ],
)
def test_gos_notes_without_a_good_signature_are_refused(signatures: str, keys: list[str]) -> None:
    with pytest.raises(NoteUnsigned):
        open_note(go(signatures), [VerifierKey.parse(key) for key in keys])


@pytest.mark.parametrize(
    "note",
    [
        GO_TEXT.encode(),
        (GO_TEXT + "\n").encode(),
        go(PETER[:-1]),
        b"\x01" + go(PETER),
        b"\xff" + go(PETER),
        go(PETER.replace("PeterNeumann", "Bad Name")),
        go(PETER + "Unexpected line.\n"),
        go(PETER * 101),
    ],
)
def test_gos_malformed_notes_are_refused(note: bytes) -> None:
    with pytest.raises(NoteRefused):
        open_note(note, [VerifierKey.parse(PETER_KEY)])


def test_every_cut_and_every_changed_character_of_a_key_is_refused() -> None:
    parts = [
        PETER_KEY[start:end]
        for start in range(len(PETER_KEY))
        for end in range(start + 1, len(PETER_KEY) + 1)
        if (start, end) != (0, len(PETER_KEY))
    ]
    changed = [
        PETER_KEY[:at] + chr(ord(PETER_KEY[at]) + 1) + PETER_KEY[at + 1 :]
        for at in range(len(PETER_KEY))
    ]
    wrong = [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ]
    for text in [*parts, *changed, *wrong]:
        with pytest.raises(NoteRefused):
            VerifierKey.parse(text)


def test_the_specifications_checkpoint_is_read() -> None:
    note = parse_note(CHECKPOINT)
    checkpoint = parse_checkpoint(note.text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.text() == note.text
    assert [line.name for line in note.signatures] == [
        "example.com/behind-the-sofa",
        "witness.example.com/w1",
    ]


def test_the_specifications_tiles() -> None:
    assert partial_tiles(70_000) == (
        TileAddress(0, 273, 112),
        TileAddress(1, 1, 17),
        TileAddress(2, 0, 1),
    )
    assert partial_tiles(256) == (TileAddress(1, 0, 1),)
    assert TileAddress(0, 1234067, 256).path == "tile/0/x001/x234/067"
    assert TileAddress(1, 5, 8).path == "tile/1/005.p/8"
    assert all(a.level < b.level for a, b in pairwise(partial_tiles(70_000)))
