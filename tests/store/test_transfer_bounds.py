# SPDX-License-Identifier: Apache-2.0
"""What imports and exports do not tell, do not leave behind, and do not do twice, whoever takes turns at them."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from joserfc.jwk import ECKey

from database import Databases
from residence import AtHome
from store.transfer_ground import CSV, Ground, Parts, csv_file, filled, ground_of, pgp_file
from strongroom.crypto import sha256
from strongroom.crypto.ids import new_id
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.schemes import synthetic_number
from strongroom.vault.containers.errors import AccessRefused, ContainerUnknown
from strongroom.vault.containers.model import Access, Transform
from strongroom.vault.residency import MerchantElsewhere
from strongroom.vault.transfer import ending
from strongroom.vault.transfer.errors import ContentRefused, ImportKeyUnknown
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
from strongroom.vault.transfer.unspool import Unspooler
from strongroom.vault.work.model import Job, JobState, Step

INSIDE = "cards"


@pytest_asyncio.fixture(loop_scope="session")
async def ground(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ground]:
    async with ground_of(databases, tmp_path_factory.mktemp("transfer")) as ground:
        yield ground


async def container(ground: Ground) -> None:
    await ground.look(
        "insert into vault.container (merchant_id, mode, name, created_by, created_at, updated_at)"
        " values ($1, 'test', $2, 'x', now(), now())",
        ground.merchant,
        INSIDE,
    )
    ground.parts.rules.inside[INSIDE] = Access.REVEAL


async def fresh(ground: Ground, of: Import) -> Import:
    return await ground.parts.imports.read(ground.merchant, Mode.TEST, of.import_id)


async def results(ground: Ground, of: Import) -> list[RowResult]:
    found: list[RowResult] = []
    who = ground.parts.caller.principal
    while part := await ground.parts.imports.results(who, of.import_id, len(found)):
        found += part.results
    return found


async def rest(ground: Ground) -> dict[str, int]:
    tables = ("import_key", "import_piece", "import_part", "export_piece")
    found = {}
    for table in tables:
        ((count,),) = await ground.look(
            f"select count(*) from vault.{table} where merchant_id = $1", ground.merchant
        )
        found[table] = count
    return found


async def job_of(ground: Ground, of: Import) -> Job:
    assert of.job_id is not None
    return await ground.parts.jobs.read(ground.merchant, Mode.TEST, of.job_id)


# --- what is told ------------------------------------------------------------------------------------


async def test_a_token_elsewhere_is_not_told_to_who_may_not_use_it(ground: Ground) -> None:
    """That the card is known is said, as by every other way in; which token it has is not."""
    await container(ground)
    await filled(ground, 3)
    of = await ground.parts.imports.begin(ground.parts.caller, replace(CSV, container=INSIDE))
    ground.parts.rules.gives = Access.MASK
    await ground.parts.feed(of, csv_file(1, 4), 1_000_000)
    found = await results(ground, of)
    assert [each.status for each in found] == ["duplicate", "duplicate", "duplicate", "created"]
    assert [each.token for each in found[:3]] == ["", "", ""]
    assert found[3].token.startswith("tok_")


@pytest.mark.parametrize("gives", [Access.NONE, Access.MASK])
async def test_who_may_not_use_a_container_puts_nothing_into_it(
    ground: Ground, gives: Access
) -> None:
    of = await ground.parts.imports.begin(ground.parts.caller, CSV)
    ground.parts.rules.gives = gives
    with pytest.raises(AccessRefused):
        await ground.parts.imports.begin(ground.parts.caller, CSV)
    with pytest.raises(AccessRefused):
        await ground.parts.feed(of, csv_file(1, 1), 1_000)
    assert await ground.tokens() == 0


async def test_results_are_for_who_may_read_the_container(ground: Ground) -> None:
    of = await ground.parts.imports.begin(ground.parts.caller, CSV)
    await ground.parts.feed(of, csv_file(1, 1), 1_000)
    ground.parts.rules.gives = Access.NONE
    with pytest.raises(AccessRefused):
        await results(ground, of)
    ground.parts.rules.gives, ground.parts.rules.shows = Access.MASK, Transform.REDACT
    (row,) = await results(ground, of)
    assert (row.status, row.last4) == ("created", "")


async def test_a_container_that_ends_fails_its_import(ground: Ground) -> None:
    await container(ground)
    wish = replace(CSV, container=INSIDE)
    of = await ground.parts.imports.begin(ground.parts.caller, wish)
    await ground.look("delete from vault.container where merchant_id = $1", ground.merchant)
    with pytest.raises(ContentRefused):
        await ground.parts.feed(of, csv_file(1, 1), 1_000)
    ended = await fresh(ground, of)
    assert (ended.state, ended.problem) == (ImportState.FAILED, "container_unknown")
    assert await ground.tokens() == 0
    with pytest.raises(ContainerUnknown):
        await ground.parts.imports.begin(ground.parts.caller, wish)


class Elsewhere(AtHome):
    """Nobody is at home."""

    async def require(self, merchant: MerchantId) -> None:  # noqa: ARG002
        raise MerchantElsewhere


async def test_what_is_at_home_elsewhere_is_neither_sealed_nor_opened_here(ground: Ground) -> None:
    of, _ = await pgp_file(ground, csv_file(1, 1))
    there = Parts(ground.parts.database, ground.parts.keyring, ground.merchant, Elsewhere())
    scope = (ground.merchant, Mode.TEST)
    (piece,) = await ground.look(
        "select sealed, key_version from vault.import_piece where import_id = $1", of.import_id
    )
    sealed = (bytes(piece["sealed"]), piece["key_version"])
    for refused in (
        there.imports.begin(there.caller, CSV),
        there.keys.make(there.caller),
        there.keys.opened(*scope),
        there.keys.seal_piece(*scope, of.import_id, 0, b"x"),
        there.keys.open_piece(*scope, of.import_id, 0, *sealed),
        there.keys.digest_key(*scope),
    ):
        with pytest.raises(MerchantElsewhere):
            await refused


# --- taking turns ------------------------------------------------------------------------------------


async def stepped(ground: Ground, unspooler: Unspooler, job: Job) -> tuple[Job, Step]:
    async with ground.parts.database.transaction([ground.merchant]) as tx:
        step = await unspooler.step(job, tx)
    return replace(job, cursor=step.cursor), step


@pytest.mark.parametrize("turns", ["ab", "aabb", "aaaabab", "abbbbba"])
async def test_two_processes_that_take_turns_lose_and_double_nothing(
    ground: Ground, turns: str
) -> None:
    cards, pad = 3_000, "x" * 2_000
    rows = "".join(f"{synthetic_number(n)},12,2034,{pad}\n" for n in range(1, cards + 1))
    content = f"number,exp_month,exp_year,padding\n{rows}".encode()
    of, sealed = await pgp_file(ground, content)
    job = await job_of(ground, of)
    bound = 2_000_000
    processes = {
        name: Unspooler(ground.parts.database, ground.parts.imports, looked_at_once=bound)
        for name in "ab"
    }
    try:
        for turn in range(200):
            name = turns[turn % len(turns)]
            job, step = await stepped(ground, processes[name], job)
            if step.ended:
                break
    finally:
        for each in processes.values():
            await each.close()
    ended = await fresh(ground, of)
    assert (ended.state, ended.counts.created, ended.counts.rows) == (
        ImportState.DONE,
        cards,
        cards,
    )
    assert ended.digest == sha256(sealed)
    assert await ground.tokens() == cards
    last4s = [each.last4 for each in await results(ground, of)]
    assert last4s == [synthetic_number(n)[-4:] for n in range(1, cards + 1)]


async def test_what_is_done_is_passed_by_in_bounded_steps(ground: Ground) -> None:
    """A file that changes hands late is not read from its beginning in one step, which would time out for ever."""
    pad = "x" * 2_000
    rows = "".join(f"{synthetic_number(n)},12,2034,{pad}\n" for n in range(1, 3_001))
    of, _ = await pgp_file(ground, f"number,exp_month,exp_year,padding\n{rows}".encode())
    job = await job_of(ground, of)
    first = Unspooler(ground.parts.database, ground.parts.imports)
    second = Unspooler(ground.parts.database, ground.parts.imports, looked_at_once=1_000_000)
    try:
        while (await fresh(ground, of)).counts.rows < 2_000:
            job, _ = await stepped(ground, first, job)
        before = (await fresh(ground, of)).counts.rows
        looked = 0
        while (await fresh(ground, of)).counts.rows == before:
            job, step = await stepped(ground, second, job)
            looked += step.done == 0
        assert looked >= 2
    finally:
        await first.close()
        assert await second.let_idle_go(0.0) == 1
        await second.close()


# --- what is left behind -----------------------------------------------------------------------------


async def ended_record(ground: Ground, of: Import) -> dict[str, Any]:
    *_, last = await ground.records(of.import_id)
    assert last["action"] == "vault.import.ended"
    return dict(last["details"])


async def test_an_import_ends_with_its_job(ground: Ground) -> None:
    of, _ = await pgp_file(ground, csv_file(1, 5))
    assert of.job_id is not None
    await ground.parts.jobs.cancel(ground.parts.caller, of.job_id)
    assert (await fresh(ground, of)).state is ImportState.CANCELED
    assert (await rest(ground))["import_piece"] == 0
    assert (await ended_record(ground, of))["result"] == "canceled"


async def test_an_import_fails_with_its_job(ground: Ground) -> None:
    """Here because whoever sent it may not use the container any more."""
    of, _ = await pgp_file(ground, csv_file(1, 5))
    ground.parts.rules.gives = Access.MASK
    async with ground.parts.running():
        ended = await ground.parts.settled(of)
    assert (ended.state, ended.problem) == (ImportState.FAILED, "vault_access_refused")
    assert (await job_of(ground, of)).state is JobState.FAILED
    assert (await rest(ground))["import_piece"] == 0
    assert (await ended_record(ground, of))["reason"] == "vault_access_refused"
    assert await ground.tokens() == 0


async def test_an_upload_that_nobody_feeds_is_ended(ground: Ground) -> None:
    await ground.parts.keys.make(ground.parts.caller)
    imports, wish = ground.parts.imports, ImportWish(Format.CSV, Encryption.PGP)
    idle = await imports.begin(ground.parts.caller, wish)
    await imports.take(ground.parts.caller, idle.import_id, 0, b"cut", last=False)
    young = await imports.begin(ground.parts.caller, wish)
    waits, _ = await pgp_file(ground, csv_file(1, 1))
    assert (await rest(ground))["import_piece"] == 2
    for of, days in ((idle, 8), (young, 6), (waits, 8)):
        await ground.look(
            "update vault.import set updated_at = now() - $2::interval where import_id = $1",
            of.import_id,
            timedelta(days=days),
        )
    assert await imports.endings.end_idle() == 1
    found = await fresh(ground, idle)
    assert (found.state, found.problem) == (ImportState.CANCELED, "idle_too_long")
    assert (await ended_record(ground, idle))["reason"] == "idle_too_long"
    assert (await fresh(ground, young)).state is ImportState.OPEN
    assert (await fresh(ground, waits)).state is ImportState.RECEIVED
    assert (await rest(ground))["import_piece"] == 1
    assert await imports.endings.end_idle() == 0


async def test_of_an_erased_merchant_nothing_rests(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(ground, 3)
    received, _ = await pgp_file(ground, csv_file(1, 9_000))
    begun = await ground.parts.imports.begin(ground.parts.caller, CSV)
    job = await ground.parts.exports.begin(ground.parts.caller, export_wish())
    for _ in range(2):
        async with ground.parts.database.transaction([ground.merchant]) as tx:
            step = await ground.parts.exports.step(job, tx)
        job = replace(job, cursor=step.cursor)
    assert all((await rest(ground)).values())
    other = MerchantId(new_id("mer"))
    end_all = ground.parts.imports.endings.end_all
    async with ground.parts.database.transaction([other]) as tx:
        assert await end_all(tx, other, Mode.TEST)
        assert await end_all(tx, ground.merchant, Mode.TEST)  # another's: out of sight
    assert all((await rest(ground)).values())
    monkeypatch.setattr(ending, "DELETED_AT_ONCE_MAX", 1)
    monkeypatch.setattr(ending, "ENDED_AT_ONCE_MAX", 1)
    calls, is_done = 0, False
    while not is_done:
        async with ground.parts.database.transaction([ground.merchant]) as tx:
            is_done = await end_all(tx, ground.merchant, Mode.TEST)
        calls += 1
    assert calls > 1
    assert not any((await rest(ground)).values())
    for of in (received, begun):
        found = await fresh(ground, of)
        assert (found.state, found.problem) == (ImportState.CANCELED, "merchant_erased")
        record = await ended_record(ground, of)
        assert (record["result"], record["reason"]) == ("canceled", "merchant_erased")
    told = await ground.look(
        "select object_id, data::text as data from vault.outbox"
        " where merchant_id = $1 and type = 'import.canceled'",
        ground.merchant,
    )
    assert {row["object_id"] for row in told} == {received.import_id, begun.import_id}
    assert all("merchant_erased" in row["data"] for row in told)
    with pytest.raises(ImportKeyUnknown):
        await ground.parts.keys.opened(ground.merchant, Mode.TEST)


# --- exports -----------------------------------------------------------------------------------------


def export_wish() -> ExportWish:
    recipient = json.dumps(ECKey.generate_key("P-256").as_dict(private=False))
    return ExportWish("default", Encryption.JWE_LINES, recipient, ExportPurpose.RECOVERY)


async def test_no_card_leaves_that_was_not_recorded(ground: Ground) -> None:
    """One that comes into the stretch after its record waits for the next record, or for another export."""
    await container(ground)
    await filled(ground, 1)
    await filled(ground, 1, first=2, wish=replace(CSV, container=INSIDE))
    await filled(ground, 1, first=3)
    job = await ground.parts.exports.begin(ground.parts.caller, export_wish())
    async with ground.parts.database.transaction([ground.merchant]) as tx:
        recorded = await ground.parts.exports.step(job, tx)
    assert (await ground.records(job.job_id))[-1]["details"]["count"] == 2
    await ground.look(
        "update vault.token set container = 'default' where merchant_id = $1", ground.merchant
    )
    async with ground.parts.database.transaction([ground.merchant]) as tx:
        written = await ground.parts.exports.step(replace(job, cursor=recorded.cursor), tx)
    assert written.done == 2


async def test_an_export_stops_when_the_rule_is_taken_back(ground: Ground) -> None:
    await filled(ground, 3)
    job = await ground.parts.exports.begin(ground.parts.caller, export_wish())
    async with ground.parts.database.transaction([ground.merchant]) as tx:
        recorded = await ground.parts.exports.step(job, tx)
    ground.parts.rules.gives = Access.USE
    for cursor in ("", recorded.cursor):
        with pytest.raises(AccessRefused):
            async with ground.parts.database.transaction([ground.merchant]) as tx:
                await ground.parts.exports.step(replace(job, cursor=cursor), tx)
    assert (await rest(ground))["export_piece"] == 0
