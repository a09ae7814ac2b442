# SPDX-License-Identifier: Apache-2.0
"""Imports and exports that are killed, altered or swollen: nothing is lost, doubled, or opened without a record."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pysequoia
import pytest
import pytest_asyncio
from joserfc import jwe
from joserfc.jwk import ECKey, RSAKey

from database import Databases
from polling import until
from store.transfer_ground import CSV, Ground, csv_file, filled, ground_of, pgp_file
from strongroom.crypto import sha256
from strongroom.crypto.ids import new_id
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.schemes import synthetic_number
from strongroom.keys import KeyName
from strongroom.vault.containers.errors import AccessRefused
from strongroom.vault.containers.model import Access
from strongroom.vault.errors import CannotReadCard
from strongroom.vault.transfer import pgp
from strongroom.vault.transfer.errors import ExportUnknown, PieceUnknown, RecipientRefused
from strongroom.vault.transfer.model import (
    Encryption,
    ExportPurpose,
    ExportWish,
    Format,
    Import,
    ImportState,
    ImportWish,
)
from strongroom.vault.transfer.store import RowResult
from strongroom.vault.work.errors import JobUnknown
from strongroom.vault.work.model import JobState

CARDS = 12_000


@pytest_asyncio.fixture(loop_scope="session")
async def ground(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ground]:
    async with ground_of(databases, tmp_path_factory.mktemp("transfer")) as ground:
        yield ground


@asynccontextmanager
async def process(line: str) -> AsyncIterator["subprocess.Popen[str]"]:
    """Another process, which is killed with SIGKILL when this ends."""
    running = subprocess.Popen(  # noqa: ASYNC220 - it only starts
        [sys.executable, str(Path(__file__).parent / "transfer_process.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdin is not None
    assert running.stdout is not None
    running.stdin.write(line + "\n")
    running.stdin.flush()
    try:
        assert await asyncio.to_thread(running.stdout.readline) == "runs\n"
        yield running
    finally:
        running.kill()
        running.wait()
        running.stdin.close()
        running.stdout.close()


async def moved(ground: Ground, of: Import, rows: int) -> None:
    """Wait until an import has so many rows."""

    async def look() -> bool:
        read = await ground.parts.imports.read(ground.merchant, Mode.TEST, of.import_id)
        return read.counts.rows >= rows

    await until(look, what=f"{rows} rows")


async def require_whole(ground: Ground, of: Import) -> None:
    """Every row has one result, every card one token."""
    assert (of.state, of.counts.rows, of.counts.created) == (ImportState.DONE, CARDS, CARDS)
    assert await ground.tokens() == CARDS
    row = 0
    seen: list[RowResult] = []
    while part := await ground.parts.imports.results(
        ground.parts.caller.principal, of.import_id, row
    ):
        assert part.first_row == row
        seen += part.results
        row += len(part.results)
    assert [each.last4 for each in seen] == [synthetic_number(n)[-4:] for n in range(1, CARDS + 1)]
    assert len({each.token for each in seen}) == CARDS
    told = await ground.records(of.import_id)
    assert [each["action"] for each in told].count("vault.import.ended") == 1
    made = [each for each in told if each["action"] == "vault.token.created"]
    assert sum(each["details"]["count"] for each in made) == CARDS


async def test_a_process_killed_in_mid_import_loses_and_doubles_nothing(ground: Ground) -> None:
    of = await ground.parts.imports.begin(ground.parts.caller, CSV)
    content = csv_file(1, CARDS)
    file = ground.folder / "cards.csv"  # synthetic cards
    file.write_bytes(content)
    line = ground.told(what="file", file=str(file), **{"import": of.import_id})
    for rows in (1, 3_000, 7_000):
        async with process(line):
            await moved(ground, of, rows)
    assert await ground.tokens() < CARDS
    await require_whole(ground, await ground.parts.feed(of, content, 100_000))


async def test_a_card_is_known_under_the_fingerprint_key_before(ground: Ground) -> None:
    async def imported(first: int, count: int) -> tuple[int, int]:
        of = await ground.parts.imports.begin(ground.parts.caller, CSV)
        ended = await ground.parts.feed(of, csv_file(first, count), 1_000_000)
        return ended.counts.created, ended.counts.duplicates

    assert await imported(1, 700) == (700, 0)
    await ground.parts.keyring.rotate(ground.merchant, Mode.TEST, KeyName.FINGERPRINT)
    assert await imported(1, 1_400) == (700, 700)
    assert await imported(1, 1_400) == (0, 1_400)
    versions = await ground.look(
        "select key_version, count(*) as cards from vault.card_identity where merchant_id = $1 group by 1 order by 1",
        ground.merchant,
    )
    assert [(row["key_version"], row["cards"]) for row in versions] == [(1, 700), (2, 700)]


async def test_a_process_killed_while_it_reads_an_encrypted_file(ground: Ground) -> None:
    of, sealed = await pgp_file(ground, csv_file(1, CARDS))
    for rows in (0, 2_000):
        async with process(ground.told(what="jobs")):
            await moved(ground, of, rows)
    async with ground.parts.running():
        ended = await ground.parts.settled(of)
    await require_whole(ground, ended)
    assert ended.digest == sha256(sealed)


async def test_what_rests_of_a_file_is_sealed_and_goes(ground: Ground) -> None:
    """Also where somebody sends a clear file and says that it is not."""
    key = await ground.parts.keys.make(ground.parts.caller)
    assert key.certificate.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----")
    of = await ground.parts.imports.begin(
        ground.parts.caller, ImportWish(Format.CSV, Encryption.PGP)
    )
    number = synthetic_number(4_711)
    await ground.parts.feed(of, csv_file(4_711, 1), 1_000)
    rested = await ground.look(
        "select sealed from vault.import_piece where import_id = $1", of.import_id
    )
    assert rested
    assert all(number.encode() not in row["sealed"] for row in rested)
    async with ground.parts.running():
        ended = await ground.parts.settled(of)
    assert (ended.state, ended.problem) == (ImportState.FAILED, "pgp_refused")
    assert not await ground.look(
        "select 1 from vault.import_piece where import_id = $1", of.import_id
    )


async def test_a_piece_that_was_altered_or_moved_does_not_open(ground: Ground) -> None:
    of, _ = await pgp_file(ground, csv_file(1, 5_000))
    (first, second, *_) = await ground.look(
        "select begins, sealed from vault.import_piece where import_id = $1 order by begins",
        of.import_id,
    )
    opened = (ground.merchant, Mode.TEST, of.import_id)
    sealed = bytes(first["sealed"])
    assert await ground.parts.keys.open_piece(*opened, 0, sealed, 1)
    for begins, wrong in (
        (second["begins"], sealed),
        (0, bytes(second["sealed"])),
        (0, sealed[:-1]),
        (0, sealed[:40] + bytes([sealed[40] ^ 1]) + sealed[41:]),
    ):
        with pytest.raises(CannotReadCard):
            await ground.parts.keys.open_piece(*opened, begins, wrong, 1)
    await ground.look(
        "update vault.import_piece set sealed = $2 where import_id = $1 and begins = 0",
        of.import_id,
        bytes(second["sealed"]),
    )


async def test_an_import_key_is_its_tenants(ground: Ground) -> None:
    await ground.parts.keys.make(ground.parts.caller)
    assert await ground.parts.keys.opened(ground.merchant, Mode.TEST)
    await ground.look(
        "update vault.import_key set sealed_private = overlay(sealed_private placing '\\x00' from 30)"
        " where merchant_id = $1",
        ground.merchant,
    )
    with pytest.raises(CannotReadCard):
        await ground.parts.keys.opened(ground.merchant, Mode.TEST)


async def test_a_long_message_that_was_cut_brings_nothing(ground: Ground) -> None:
    """So long that much of it is opened before its end is missed: the library holds back some 50 MB."""
    pad = "x" * 15_000
    rows = "".join(f"{synthetic_number(n)},12,2034,{pad}\n" for n in range(1, 5_500))
    content = f"number,exp_month,exp_year,padding\n{rows}".encode()
    key = await ground.parts.keys.make(ground.parts.caller)
    recipient = pysequoia.Cert.from_bytes(key.certificate.encode())
    sealed = bytes(pysequoia.encrypt(content, recipients=[recipient], armor=False))
    wish = ImportWish(Format.CSV, Encryption.PGP)
    of = await ground.parts.imports.begin(ground.parts.caller, wish)
    of = await ground.parts.feed(of, sealed[:-60], 1_000_000)
    async with ground.parts.running():
        ended = await ground.parts.settled(of)
    assert (ended.state, ended.problem) == (ImportState.FAILED, "pgp_refused")
    assert (ended.counts.rows, await ground.tokens()) == (0, 0)


async def test_a_message_that_swells_is_stopped(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four million bytes as many are sealed here: the bound is moved below that, instead of making a bomb."""
    monkeypatch.setattr(pgp, "CLEAR_PER_SEALED_MAX", 0)
    of, _ = await pgp_file(ground, csv_file(1, 60_000))
    async with ground.parts.running():
        ended = await ground.parts.settled(of)
    assert (ended.state, ended.problem, ended.counts.rows) == (ImportState.FAILED, "pgp_bomb", 0)


# --- exports -----------------------------------------------------------------------------------------


async def pieces(ground: Ground, job: str) -> list[bytes]:
    found: list[bytes] = []
    while True:
        try:
            piece = await ground.parts.exports.piece(ground.merchant, Mode.TEST, job, len(found))
        except PieceUnknown:
            return found
        assert sha256(piece.content) == piece.digest
        found.append(piece.content)


def opened_jwe(lines: bytes, key: Any) -> list[dict[str, Any]]:
    algorithms = ["ECDH-ES+A256KW", "RSA-OAEP-256", "A256GCM"]
    found = []
    for line in lines.splitlines():
        clear = jwe.decrypt_compact(line, key, algorithms=algorithms).plaintext
        assert clear is not None
        found.append(json.loads(clear))
    return found


@pytest.mark.parametrize("kind", ["EC", "RSA"])
async def test_an_export_as_jwe_lines(ground: Ground, kind: str) -> None:
    await filled(ground, 1_200)
    key = ECKey.generate_key("P-256") if kind == "EC" else RSAKey.generate_key(3_072)
    recipient = json.dumps(key.as_dict(private=False))
    wish = ExportWish(
        "default", Encryption.JWE_LINES, recipient, ExportPurpose.RECOVERY, rate=5_000
    )
    job = await ground.parts.exports.begin(ground.parts.caller, wish)
    assert ground.parts.rules.asked
    async with ground.parts.running():
        ended = await ground.parts.exported(job)
    assert (ended.state, ended.done, ended.total) == (JobState.DONE, 1_200, 1_200)
    written = await pieces(ground, job.job_id)
    cards = [card for piece in written for card in opened_jwe(piece, key)]
    assert sorted(card["number"] for card in cards) == sorted(
        synthetic_number(n) for n in range(1, 1_201)
    )
    assert set(cards[0]) == {
        "id",
        "number",
        "exp_month",
        "exp_year",
        "brand",
        "metadata",
        "created_at",
        "container",
    }
    digest = sha256(b"".join(sha256(piece) for piece in written)).hex()
    assert ended.result["digest"] == digest
    told = await ground.records(job.job_id)
    assert told[0]["action"] == "vault.export.started"
    assert (told[-1]["action"], told[-1]["details"]["digest"]) == ("vault.export.ended", digest)
    recorded = [
        each["details"]["count"] for each in told if each["action"] == "vault.token.revealed"
    ]
    assert sum(recorded) == 1_200
    assert not any(synthetic_number(1).encode() in piece for piece in written)


async def test_what_leaves_comes_back(ground: Ground) -> None:
    """An export as JWE lines is what an import of another vault reads."""
    await filled(ground, 30)
    key = await ground.parts.keys.make(ground.parts.caller)
    wish = ExportWish(
        "default", Encryption.JWE_LINES, json.dumps(dict(key.jwk)), ExportPurpose.RECOVERY
    )
    job = await ground.parts.exports.begin(ground.parts.caller, wish)
    async with ground.parts.running():
        await ground.parts.exported(job)
    content = b"".join(await pieces(ground, job.job_id))
    of = await ground.parts.imports.begin(
        ground.parts.caller, ImportWish(Format.JSONL, Encryption.JWE_LINES)
    )
    ended = await ground.parts.feed(of, content, 10_000)
    assert (ended.counts.rows, ended.counts.duplicates) == (30, 30)


async def test_an_export_as_pgp(ground: Ground) -> None:
    await filled(ground, 600)
    made = pysequoia.Tsk.generate(user_id="receiver")
    wish = ExportWish(
        "default",
        Encryption.PGP,
        str(made.extract_certificate()),
        ExportPurpose.RECOVERY,
        rate=5_000,
    )
    job = await ground.parts.exports.begin(ground.parts.caller, wish)
    async with ground.parts.running():
        await ground.parts.exported(job)
    clear = b"".join(
        bytes(pysequoia.decrypt(piece, decryptor=made.decryptor()).bytes or b"")
        for piece in await pieces(ground, job.job_id)
    )
    assert len(clear.splitlines()) == 600


async def test_cards_are_recorded_before_they_are_opened(ground: Ground) -> None:
    """The step that opens a stretch finds its record committed."""
    await filled(ground, 5)
    recipient = json.dumps(ECKey.generate_key("P-256").as_dict(private=False))
    job = await ground.parts.exports.begin(
        ground.parts.caller,
        ExportWish("default", Encryption.JWE_LINES, recipient, ExportPurpose.RECOVERY),
    )
    async with ground.parts.database.transaction([ground.merchant]) as tx:
        recorded = await ground.parts.exports.step(job, tx)
    assert (recorded.cursor.startswith("recorded|"), recorded.done) == (True, 0)
    told = [each["action"] for each in await ground.records(job.job_id)]
    assert told == ["vault.export.started", "vault.token.revealed"]
    assert await pieces(ground, job.job_id) == []
    begun = replace(job, cursor=recorded.cursor)
    with contextlib.suppress(ZeroDivisionError):  # a step that is undone
        async with ground.parts.database.transaction([ground.merchant]) as tx:
            await ground.parts.exports.step(begun, tx)
            raise ZeroDivisionError
    assert await pieces(ground, job.job_id) == []
    async with ground.parts.database.transaction([ground.merchant]) as tx:
        written = await ground.parts.exports.step(begun, tx)
    assert written.done == 5
    assert len(await pieces(ground, job.job_id)) == 1


@pytest.mark.parametrize("gives", [Access.NONE, Access.MASK, Access.USE])
async def test_without_reveal_nothing_leaves(ground: Ground, gives: Access) -> None:
    recipient = json.dumps(ECKey.generate_key("P-256").as_dict(private=False))
    ground.parts.rules.gives = gives
    try:
        with pytest.raises(AccessRefused):
            await ground.parts.exports.begin(
                ground.parts.caller,
                ExportWish("default", Encryption.JWE_LINES, recipient, ExportPurpose.RECOVERY),
            )
    finally:
        ground.parts.rules.gives = Access.REVEAL
    assert not await ground.look("select 1 from vault.job where merchant_id = $1", ground.merchant)


def public(key: Any) -> str:
    return json.dumps(key.as_dict(private=False))


RECIPIENTS = [
    (Encryption.JWE_LINES, "x"),
    (Encryption.JWE_LINES, "[]"),
    (Encryption.JWE_LINES, '{"kty":"oct","k":"AAAA"}'),
    (Encryption.JWE_LINES, json.dumps(ECKey.generate_key("P-256").as_dict(private=True))),
    (Encryption.JWE_LINES, public(ECKey.generate_key("P-384"))),
    (Encryption.JWE_LINES, public(RSAKey.generate_key(2_048))),
    (Encryption.JWE_LINES, '{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}'),
    (Encryption.PGP, "x"),
    (Encryption.PGP, str(pysequoia.Tsk.generate(user_id="x"))),
    (Encryption.PGP, public(ECKey.generate_key("P-256"))),
    (Encryption.NONE, ""),
    (Encryption.JWE, public(ECKey.generate_key("P-256"))),
]


@pytest.mark.parametrize(("encryption", "recipient"), RECIPIENTS)
async def test_recipients_that_will_not_do(
    ground: Ground, encryption: Encryption, recipient: str
) -> None:
    with pytest.raises(RecipientRefused):
        await ground.parts.exports.begin(
            ground.parts.caller,
            ExportWish("default", encryption, recipient, ExportPurpose.RECOVERY),
        )


async def test_an_export_is_its_tenants(ground: Ground) -> None:
    recipient = public(ECKey.generate_key("P-256"))
    job = await ground.parts.exports.begin(
        ground.parts.caller,
        ExportWish("default", Encryption.JWE_LINES, recipient, ExportPurpose.RECOVERY),
    )
    of, _ = await pgp_file(ground, csv_file(1, 2))
    assert of.job_id is not None
    with pytest.raises(ExportUnknown):
        await ground.parts.exports.read(ground.merchant, Mode.TEST, of.job_id)
    with pytest.raises(JobUnknown):
        await ground.parts.exports.read(MerchantId(new_id("mer")), Mode.TEST, job.job_id)
    with pytest.raises(JobUnknown):
        await ground.parts.exports.piece(ground.merchant, Mode.LIVE, job.job_id, 0)
