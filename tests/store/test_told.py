# SPDX-License-Identifier: Apache-2.0
"""Merchants hear how imports and exports ended: once, in the commit that ended them, whatever ended them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from joserfc.jwk import ECKey

from database import Databases
from store.telling import told
from store.transfer_ground import CSV, Ground, csv_file, filled, ground_of
from strongroom.db.logins import Domain
from strongroom.vault.containers.model import Access
from strongroom.vault.transfer.errors import ContentRefused
from strongroom.vault.transfer.model import (
    Encryption,
    ExportPurpose,
    ExportWish,
    Format,
    Import,
    ImportState,
    ImportWish,
)
from strongroom.vault.work.model import Job, JobState


@pytest_asyncio.fixture(loop_scope="session")
async def ground(databases: Databases, tmp_path: Path) -> AsyncIterator[Ground]:
    await databases.run(Domain.VAULT, "truncate vault.job, vault.outbox")
    async with ground_of(databases, tmp_path) as made:
        yield made


# --- imports -----------------------------------------------------------------------------------------


async def begun(ground: Ground, wish: ImportWish = CSV) -> Import:
    return await ground.parts.imports.begin(ground.parts.caller, wish)


async def test_an_import_that_is_done_is_told_with_its_counts(ground: Ground) -> None:
    of = await begun(ground)
    ended = await ground.parts.feed(of, csv_file(1, 20) + b"x,1,2\n", 10_000)
    (heard,) = await told(ground.look, ground.merchant)
    assert (heard.type, heard.object_id, heard.at) == (
        "import.completed",
        of.import_id,
        ended.ended_at,
    )
    assert {name: heard.data[name] for name in ("state", "rows", "created", "refused")} == {
        "state": "done",
        "rows": 21,
        "created": 20,
        "refused": 1,
    }


async def test_an_import_that_failed_or_was_canceled_is_told_as_that(ground: Ground) -> None:
    refused, canceled = await begun(ground), await begun(ground)
    with pytest.raises(ContentRefused):
        await ground.parts.feed(refused, b"nothing,that,is,asked,for\n1,2,3,4,5\n", 10_000)
    await ground.parts.imports.cancel(ground.parts.caller, canceled.import_id)
    heard = {each.object_id: each for each in await told(ground.look, ground.merchant)}
    assert {name: each.type for name, each in heard.items()} == {
        refused.import_id: "import.failed",
        canceled.import_id: "import.canceled",
    }
    assert heard[refused.import_id].data["problem"]


async def test_an_import_whose_job_is_canceled_is_told_once(ground: Ground) -> None:
    await ground.parts.keys.make(ground.parts.caller)
    of = await begun(ground, ImportWish(Format.CSV, Encryption.PGP))
    at = await ground.parts.imports.take(
        ground.parts.caller, of.import_id, 0, b"no message at all", last=True
    )
    assert at.state is ImportState.RECEIVED
    assert at.job_id is not None
    await ground.parts.jobs.cancel(ground.parts.caller, at.job_id)
    (heard,) = await told(ground.look, ground.merchant)
    assert (heard.type, heard.object_id) == ("import.canceled", of.import_id)


async def test_an_import_whose_file_does_not_open_is_told_as_failed(ground: Ground) -> None:
    await ground.parts.keys.make(ground.parts.caller)
    of = await begun(ground, ImportWish(Format.CSV, Encryption.PGP))
    async with ground.parts.running():
        await ground.parts.imports.take(
            ground.parts.caller, of.import_id, 0, b"no message at all", last=True
        )
        await ground.parts.settled(of)
    (heard,) = await told(ground.look, ground.merchant)
    assert (heard.type, heard.data["state"]) == ("import.failed", "failed")


# --- exports -----------------------------------------------------------------------------------------


async def exporting(ground: Ground) -> Job:
    recipient = json.dumps(ECKey.generate_key("P-256").as_dict(private=False))
    wish = ExportWish(
        "default", Encryption.JWE_LINES, recipient, ExportPurpose.PORTABILITY, rate=5_000
    )
    job = await ground.parts.exports.begin(ground.parts.caller, wish)
    await ground.databases.run(Domain.VAULT, "truncate vault.outbox")
    return job


async def test_an_export_that_is_done_is_told_with_its_digest_and_not_with_cards(
    ground: Ground,
) -> None:
    await filled(ground, 30)
    job = await exporting(ground)
    async with ground.parts.running():
        ended = await ground.parts.exported(job)
    (heard,) = await told(ground.look, ground.merchant)
    assert (heard.type, heard.object_id, heard.at) == (
        "export.completed",
        job.job_id,
        ended.ended_at,
    )
    assert (heard.data["done"], heard.data["pieces"]) == (30, 1)
    assert heard.data["digest"] == ended.result["digest"]
    assert "recipient" not in heard.data


async def test_an_export_that_was_canceled_or_failed_is_told_as_that(ground: Ground) -> None:
    await filled(ground, 5)
    job = await exporting(ground)
    await ground.parts.jobs.cancel(ground.parts.caller, job.job_id)
    (heard,) = await told(ground.look, ground.merchant)
    assert (heard.type, heard.data["state"], heard.data["done"]) == (
        "export.canceled",
        "canceled",
        0,
    )
    failing = await exporting(ground)
    ground.parts.rules.gives = Access.USE
    try:
        async with ground.parts.running():
            ended = await ground.parts.exported(failing)
    finally:
        ground.parts.rules.gives = Access.REVEAL
    assert ended.state is JobState.FAILED
    (heard,) = await told(ground.look, ground.merchant)
    assert (heard.type, heard.object_id, heard.data["problem"]) == (
        "export.failed",
        failing.job_id,
        "vault_access_refused",
    )
