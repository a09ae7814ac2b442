# SPDX-License-Identifier: Apache-2.0
"""Notes, checkpoints and proof files: strict, and only their own errors escape."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.audit.checkpoint import (
    Checkpoint,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
)
from strongroom.audit.errors import CheckpointRefused, NoteRefused, NoteUnsigned, ProofRefused
from strongroom.audit.merkle import EMPTY_ROOT, inclusion_proof, leaf_hash
from strongroom.audit.note import (
    NOTE_BYTES_MAX,
    NoteSigner,
    VerifierKey,
    decode_base64,
    encode_base64,
    open_note,
    parse_note,
    sign_note,
)
from strongroom.audit.proof import PROOF_BYTES_MAX, TlogProof, parse_proof, verify_proof
from strongroom.crypto.sign import SigningKey
from strongroom.kernel.invariant import Bug
from unit.audit_trees import ORIGIN, SIGNER, STRANGER, Leaves, payloads, signed

KEYS = [SIGNER.verifier]
ROOT = bytes(range(32))
NOTE = sign_checkpoint(origin=ORIGIN, size=7, root=ROOT, signers=[SIGNER])
RECORDS = payloads(13)


def test_a_checkpoint_opens() -> None:
    assert open_checkpoint(NOTE, KEYS, origin=ORIGIN) == Checkpoint(ORIGIN, 7, ROOT)


def test_two_signers_while_a_key_is_rotated() -> None:
    note = sign_checkpoint(origin=ORIGIN, size=7, root=ROOT, signers=[STRANGER, SIGNER])
    for keys in ([SIGNER.verifier], [STRANGER.verifier], [STRANGER.verifier, SIGNER.verifier]):
        assert open_checkpoint(note, keys, origin=ORIGIN).size == 7
    assert open_note(note, keys).signers == (STRANGER.verifier, SIGNER.verifier)


def test_another_key_of_the_same_name_is_not_trusted() -> None:
    assert STRANGER.name == SIGNER.name
    with pytest.raises(NoteUnsigned):
        open_checkpoint(NOTE, [STRANGER.verifier], origin=ORIGIN)
    with pytest.raises(NoteUnsigned):
        open_checkpoint(NOTE, [], origin=ORIGIN)


def test_the_head_of_another_tree_is_refused() -> None:
    with pytest.raises(CheckpointRefused):
        open_checkpoint(NOTE, KEYS, origin=ORIGIN + "2")


def test_one_bad_signature_of_a_trusted_key_spoils_a_good_one() -> None:
    other = sign_checkpoint(origin=ORIGIN, size=8, root=ROOT, signers=[STRANGER])
    mixed = NOTE + other[other.index("— ".encode()) :]
    assert open_checkpoint(mixed, KEYS, origin=ORIGIN).size == 7
    with pytest.raises(NoteUnsigned):
        open_checkpoint(mixed, [SIGNER.verifier, STRANGER.verifier], origin=ORIGIN)


@given(st.integers(0, len(NOTE) - 1), st.integers(0, 7))
def test_any_changed_bit_of_a_note_is_refused(at: int, bit: int) -> None:
    changed = bytearray(NOTE)
    changed[at] ^= 1 << bit
    with pytest.raises((NoteRefused, CheckpointRefused)):
        open_checkpoint(bytes(changed), KEYS, origin=ORIGIN)


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "replace")))
def test_arbitrary_bytes_are_no_note_and_no_proof(content: bytes) -> None:
    with pytest.raises(NoteRefused):
        open_note(content, KEYS)
    with pytest.raises(ProofRefused):
        parse_proof(content)


lines = st.lists(
    st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"])) | st.sampled_from(["", "7"]),
    max_size=6,
)


@given(lines, st.sampled_from(["", "\n", "\n\n", "\r\n"]))
def test_arbitrary_lines_are_a_checkpoint_that_prints_the_same_or_none(
    parts: list[str], end: str
) -> None:
    text = "\n".join(parts) + end
    try:
        checkpoint = parse_checkpoint(text)
    except CheckpointRefused:
        return
    assert checkpoint.text() == text


@given(st.text())
def test_arbitrary_text_is_no_key(text: str) -> None:
    with pytest.raises(NoteRefused):
        VerifierKey.parse(text)


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=40),
    st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=3, unique=True),
)
def test_every_text_of_lines_is_signed_and_opened(text: str, seeds: list[bytes]) -> None:
    signers = [NoteSigner(f"log.example/{n}", SigningKey.from_seed(s)) for n, s in enumerate(seeds)]
    note = sign_note(text + "\n", signers)
    opened = open_note(note, [signer.verifier for signer in signers])
    assert opened.text == text + "\n"
    assert len(opened.signers) == len(signers)
    assert len(parse_note(note).signatures) == len(signers)


@pytest.mark.parametrize("name", ["", "two words", "a+b", "no\u00a0break", "line\nbreak"])
def test_names_that_break_a_line_are_refused(name: str) -> None:
    with pytest.raises(NoteRefused):
        VerifierKey(name, bytes(32))


def test_a_note_has_bounds() -> None:
    with pytest.raises(NoteRefused):
        parse_note(b"a" * NOTE_BYTES_MAX + b"\n" + NOTE)
    with pytest.raises(ProofRefused):
        parse_proof(b"a" * (PROOF_BYTES_MAX + 1))
    for text, signers in (("no newline", [SIGNER]), ("bell\x07\n", [SIGNER]), ("a\n", [])):
        with pytest.raises(Bug):
            sign_note(text, signers)


@pytest.mark.parametrize("text", ["AA=", "AB==", "A A==", "AA==\n", "AAé=", "=", "AA", "-_=="])
def test_base64_that_is_not_canonical_is_refused(text: str) -> None:
    with pytest.raises(NoteRefused):
        decode_base64(text)


@pytest.mark.parametrize(
    "text",
    [
        f"{ORIGIN}\n7\n{encode_base64(ROOT)}",
        f"{ORIGIN}\n07\n{encode_base64(ROOT)}\n",
        f"{ORIGIN}\n+7\n{encode_base64(ROOT)}\n",
        f"{ORIGIN}\n٧\n{encode_base64(ROOT)}\n",
        f"{ORIGIN}\n9223372036854775808\n{encode_base64(ROOT)}\n",
        f"{ORIGIN}\n{'9' * 5000}\n{encode_base64(ROOT)}\n",
        f"{ORIGIN}\n7\n{encode_base64(ROOT[:31])}\n",
        f"{ORIGIN}\n7\n{encode_base64(ROOT)} \n",
        f"{ORIGIN}\n0\n{encode_base64(ROOT)}\n",
        f"{ORIGIN}\n7\n",
        f"\n7\n{encode_base64(ROOT)}\n",
        f"{ORIGIN}\n7\n{encode_base64(ROOT)}\n\nextension\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(CheckpointRefused):
        parse_checkpoint(text)


def test_extension_lines_are_read_and_signed_over() -> None:
    text = f"{ORIGIN}\n7\n{encode_base64(ROOT)}\nof another's making\n"
    checkpoint = open_checkpoint(sign_note(text, [SIGNER]), KEYS, origin=ORIGIN)
    assert checkpoint.extensions == ("of another's making",)
    assert checkpoint.text() == text


def test_the_empty_tree_can_be_signed_with_its_own_root_only() -> None:
    note = sign_checkpoint(origin=ORIGIN, size=0, root=EMPTY_ROOT, signers=[SIGNER])
    assert open_checkpoint(note, KEYS, origin=ORIGIN).size == 0
    for size, root in ((0, ROOT), (-1, ROOT), (2**63, ROOT), (1, ROOT[:31])):
        with pytest.raises(Bug):
            sign_checkpoint(origin=ORIGIN, size=size, root=root, signers=[SIGNER])


async def proof_of(index: int, *, extra: bytes = b"") -> TlogProof:
    hashes = await inclusion_proof(Leaves([leaf_hash(one) for one in RECORDS]), index, 13)
    return TlogProof(index, tuple(hashes), signed(RECORDS, 13), extra)


@pytest.mark.parametrize("extra", [b"", b"a fact beside"])
async def test_a_proof_file_proves_its_record_and_no_other(extra: bytes) -> None:
    for index in range(13):
        proof = await proof_of(index, extra=extra)
        file = proof.encode()
        assert parse_proof(file) == proof
        assert verify_proof(file, RECORDS[index], KEYS, origin=ORIGIN).index == index
        with pytest.raises(ProofRefused):
            verify_proof(file, RECORDS[index - 1], KEYS, origin=ORIGIN)
        with pytest.raises(NoteUnsigned):
            verify_proof(file, RECORDS[index], [STRANGER.verifier], origin=ORIGIN)
        with pytest.raises(CheckpointRefused):
            verify_proof(file, RECORDS[index], KEYS, origin="another")


@given(st.data())
async def test_any_changed_bit_of_a_proof_file_is_refused(data: st.DataObject) -> None:
    file = bytearray((await proof_of(5)).encode())
    file[data.draw(st.integers(0, len(file) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises((ProofRefused, NoteRefused, CheckpointRefused)):
        verify_proof(bytes(file), RECORDS[5], KEYS, origin=ORIGIN)


HEAD = "c2sp.org/tlog-proof@v1\n"
HASH = encode_base64(ROOT)


@pytest.mark.parametrize(
    "file",
    [
        "",
        HEAD,
        HEAD + "index 0\n",
        HEAD + "\nindex 0\n\n",
        HEAD + "index 00\n\n",
        HEAD + "index -1\n\n",
        HEAD + "index\n\n",
        HEAD + f"index {'9' * 5000}\n\n",
        HEAD + f"index 0\n{HASH}x\n\n",
        HEAD + f"index 0\n{encode_base64(ROOT[:31])}\n\n",
        HEAD + "index 0\n" + f"{HASH}\n" * 64 + "\n",
        HEAD + "extra \nindex 0\n\n",
        HEAD + "extra ?\nindex 0\n\n",
        HEAD + f"index 0\nextra {HASH}\n\n",
        HEAD.replace("v1", "v2") + "index 0\n\n",
        HEAD + "índex 0\n\n",
    ],
)
def test_what_is_no_proof_file_is_refused(file: str) -> None:
    with pytest.raises(ProofRefused):
        parse_proof(file.encode())
