# SPDX-License-Identifier: Apache-2.0
"""`audit verify` and `verify-proof` need files and public keys alone, and find what was altered, cut or swapped."""

import asyncio
import json
import shutil
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from command_line import CommandLine
from strongroom.audit import (
    CheckpointRefused,
    FindingKind,
    VerificationFailed,
    VerifierKey,
    trusted_keys,
    verify_directory,
)
from strongroom.audit.checkpoint import sign_checkpoint
from strongroom.audit.errors import NoteRefused, SinkFailed
from strongroom.audit.export import ExportSubject, SealedRecord, write_export
from strongroom.audit.merkle import Frontier, inclusion_proof, leaf_hash
from strongroom.audit.note import NoteSigner
from strongroom.audit.ports import SignedHead
from strongroom.audit.proof import TlogProof
from strongroom.audit.record import encode
from strongroom.audit.sinks.file import FileSink
from strongroom.crypto.sign import SigningKey
from unit.audit_trees import START, Leaves, each, made_record, payloads

TREE = "vault.example/vault"
SIGNER = NoteSigner(TREE, SigningKey.from_seed(bytes(range(32))))
STRANGER = NoteSigner(TREE, SigningKey.from_seed(bytes(range(1, 33))))
KEYS = [SIGNER.verifier]
#: Nothing of these may be needed to verify.
ONLINE = (
    "asyncpg",
    "granian",
    "httpx",
    "litestar",
    "strongroom.compose",
    "strongroom.db.pool",
    "uvloop",
)
SIZES = (3, 7, 10)


def head(
    records: list[bytes], size: int, origin: str = TREE, signer: NoteSigner = SIGNER
) -> SignedHead:
    root = Frontier().appended(leaf_hash(one) for one in records[:size]).root()
    return SignedHead(size, sign_checkpoint(origin=origin, size=size, root=root, signers=[signer]))


def export(
    folder: Path, records: list[bytes], sizes: tuple[int, ...], *, made_after: int = 0
) -> Path:
    """Write an export that was made so many seconds after the first record."""
    subject = ExportSubject(TREE, "vault", START + timedelta(seconds=made_after))
    asyncio.run(
        write_export(
            folder,
            subject,
            records=each(SealedRecord(one, leaf_hash(one)) for one in records[: sizes[-1]]),
            checkpoints=each(head(records, size).note for size in sizes),
        )
    )
    return folder


def sink(
    folder: Path,
    records: list[bytes],
    sizes: tuple[int, ...],
    generation: int = 1,
    origin: str = TREE,
) -> Path:
    """Publish to a sink what a sealer would."""
    heads = [head(records, size, origin) for size in sizes]
    asyncio.run(FileSink(folder).publish(generation, 0, records[: sizes[-1]], heads))
    return folder


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    return export(tmp_path / "export", payloads(10), SIZES)


@pytest.fixture
def run(tmp_path: Path) -> CommandLine:
    (tmp_path / "vkey").write_text(f"# the vault's\n\n{SIGNER.verifier}\n")
    return CommandLine(tmp_path, {"STRONGROOM_STATE": str(tmp_path / "state")})


def test_verifying_starts_and_imports_nothing_of_a_server(
    tmp_path: Path, exported: Path, run: CommandLine
) -> None:
    sink(tmp_path / "sink", payloads(10), SIZES)
    program = (
        "import json, socket, sys\n"
        "from strongroom.cli.app import main\n"
        "def closed(*_): raise AssertionError('verifying opens no socket')\n"
        "socket.socket.connect = socket.socket.bind = closed\n"
        "sys.argv = ['strongroom', *sys.argv[1:]]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    code = end.code or 0\n"
        "print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)\n"
    )
    arguments = "audit verify --export export --key vkey --anchor-sink sink --json".split()
    ended = run(*arguments, program=[sys.executable, "-c", program])
    code, imported = json.loads(ended.err.splitlines()[-1])
    assert (code, ended.json["ok"], ended.json["records"]) == (0, True, 10)
    assert not set(imported) & set(ONLINE)
    assert not (tmp_path / "state").exists(), "no installation is needed, and none is made"


def test_a_key_is_given_as_text_or_as_a_file_and_a_foreign_one_holds_nothing(
    tmp_path: Path, exported: Path, run: CommandLine
) -> None:
    said = run.done("audit", "verify", "--export", "export", "--key", str(SIGNER.verifier))
    assert said.plain.startswith("holds kind export origin vault.example/vault records 10 ")
    assert "nothing shows that this is the newest" in said.plain
    ended = run("audit", "verify", "--export", "export", "--key", str(STRANGER.verifier), "--json")
    assert ended.code == 1
    assert ended.json["findings"][0]["kind"] == "checkpoint_refused"
    assert ended.json["trust_ends_at"] == 0


def test_a_record_that_was_altered_is_named(
    tmp_path: Path, exported: Path, run: CommandLine
) -> None:
    records = exported / "records.jsonl"
    lines = records.read_bytes().split(b"\n")
    lines[4] = encode(made_record(44))
    records.write_bytes(b"\n".join(lines))
    ended = run("audit", "verify", "--export", "export", "--key", "vkey")
    assert ended.code == 1
    assert "record_diverges at record 4 (records.jsonl:5)" in ended.plain
    assert "what stands before record 4 is vouched for" in ended.plain


def test_a_record_is_proven_with_its_file_and_key_alone(tmp_path: Path, run: CommandLine) -> None:
    records = payloads(10)
    leaves = Leaves([leaf_hash(one) for one in records])
    hashes = asyncio.run(inclusion_proof(leaves, 6, 10))
    proof = TlogProof(6, tuple(hashes), head(records, 10).note)
    (tmp_path / "proof").write_bytes(proof.encode())
    (tmp_path / "record").write_bytes(records[6] + b"\n")
    (tmp_path / "other").write_bytes(records[5])
    arguments = ["audit", "verify-proof", "--proof", "proof", "--key", "vkey"]
    held = run.done(*arguments, "--record", "record", "--json").json
    assert (held["ok"], held["index"], held["size"], held["origin"]) == (True, 6, 10, TREE)
    assert run(*arguments, "--record", "other").err.startswith("audit_proof_refused: ")
    wrong_tree = run(*arguments, "--record", "record", "--origin", "vault.example/core")
    assert wrong_tree.err == "audit_checkpoint_refused: the checkpoint is another tree's\n"
    assert (
        run(*arguments, "--record", "gone").err
        == "file_unreadable: gone: No such file or directory\n"
    )


HOUR = 3_600
#: What the sink holds (records, sizes of heads), when the export of ten was made, and what is found.
SINKS = [
    ("the same", payloads(10), SIZES, HOUR, "holds"),
    ("fewer: published later", payloads(10), (3, 7), HOUR, "holds"),
    ("more, younger than the export", payloads(20), (10, 20), 0, "holds"),
    ("more, older than the export", payloads(20), (10, 20), HOUR, "record_missing"),
    (
        "other records",
        [encode(made_record(n + 50)) for n in range(10)],
        SIZES,
        0,
        "checkpoint_forked",
    ),
    ("no head as old as the export", payloads(20), (20,), 0, "SinkFailed"),
]


@pytest.mark.parametrize(
    ("records", "sizes", "made_after", "found"),
    [case[1:] for case in SINKS],
    ids=[str(case[0]) for case in SINKS],
)
def test_a_log_that_was_rewritten_or_cut_back_is_found_by_its_sink(
    tmp_path: Path, records: list[bytes], sizes: tuple[int, ...], made_after: int, found: str
) -> None:
    whole = export(tmp_path / "export", payloads(10), SIZES, made_after=made_after)
    kept = sink(tmp_path / "sink", records, sizes)
    before = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    if found == "holds":
        held = verify_directory(whole, KEYS, sink=kept)
        assert held.kept is not None
        assert held.kept.size == sizes[-1]
    elif found == "SinkFailed":
        with pytest.raises(SinkFailed, match="no head that is as old as the export"):
            verify_directory(whole, KEYS, sink=kept)
    else:
        with pytest.raises(VerificationFailed) as failed:
            verify_directory(whole, KEYS, sink=kept)
        assert failed.value.findings[0].kind == FindingKind(found)
    assert before == {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}


def test_a_sink_is_read_where_nothing_may_be_written(tmp_path: Path, exported: Path) -> None:
    kept = sink(tmp_path / "sink", payloads(20), (10, 20))
    segment = next((kept / "segments").iterdir())
    segment.write_bytes(segment.read_bytes() + b'{"half a line')
    content = segment.read_bytes()
    held = verify_directory(exported, KEYS, sink=kept)
    assert held.kept is not None
    assert segment.read_bytes() == content, "a sealer cuts that off; a verifier only looks"


def test_the_log_of_another_tree_or_generation_is_refused(tmp_path: Path, exported: Path) -> None:
    other = [VerifierKey("vault.example/core", SIGNER.key.public)]
    with pytest.raises(VerificationFailed):
        verify_directory(exported, other)
    kept = sink(tmp_path / "sink", payloads(10), SIZES)
    sink(kept, payloads(12), (12,), generation=2, origin=f"{TREE}/2")
    with pytest.raises(CheckpointRefused, match="another generation"):
        verify_directory(exported, KEYS, sink=kept)


@pytest.mark.parametrize("state", ["absent", "empty", "garbage", "foreign"])
def test_a_sink_that_says_nothing_is_no_witness(tmp_path: Path, exported: Path, state: str) -> None:
    kept = tmp_path / "sink"
    if state != "absent":
        kept.mkdir()
    if state == "garbage":
        (kept / "checkpoint").write_text("hello\n")
        (kept / "checkpoints.txt").write_text("hello\n")
    if state == "foreign":
        records = payloads(10)
        stranger = head(records, 10, signer=STRANGER)
        asyncio.run(FileSink(kept).publish(1, 0, records, [stranger]))
    with pytest.raises(SinkFailed):
        verify_directory(exported, KEYS, sink=kept)


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "a+b", "a+00000000+AA==\n", f"{SIGNER.verifier}x"]
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(NoteRefused):
        trusted_keys(text)


def test_a_missing_export_is_a_finding(tmp_path: Path, exported: Path, run: CommandLine) -> None:
    shutil.rmtree(exported)
    ended = run("audit", "verify", "--export", "export", "--key", "vkey")
    assert (ended.code, "file_unreadable (export.json)" in ended.plain) == (1, True)
