# SPDX-License-Identifier: Apache-2.0
"""How far a re-seal says that it is: of what its key seals, counted once, and right to its end."""

from typing import Any

import pytest
import pytest_asyncio

from contracts.fakes import FakeKeyStore
from database import Databases
from residence import AtHome
from store.rotation_ground import Ground, Process
from store.test_details_rotate import token
from strongroom.audit import Origin
from strongroom.crypto.ids import new_id
from strongroom.db import pool
from strongroom.db.logins import Domain
from strongroom.db.queries import Query
from strongroom.kernel.ids import ImportId
from strongroom.keys import KeyName
from strongroom.vault.details import FIELDS
from strongroom.vault.finding import Caller
from strongroom.vault.rotation import counting
from strongroom.vault.transfer.opening import ImportKeys
from strongroom.vault.work import store
from strongroom.vault.work.model import Job, JobState
from strongroom.vault.work.pace import seconds_left


@pytest.fixture(scope="module")
def key_store() -> FakeKeyStore:
    """The roots of this module's databases."""
    return FakeKeyStore()


@pytest_asyncio.fixture(loop_scope="session")
async def ground(databases: Databases, key_store: FakeKeyStore) -> Ground:
    await databases.run(Domain.VAULT, "truncate vault.job")
    return Ground(databases, key_store)


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Each job as a step left it."""
    real, jobs = store.save, []

    async def save(tx: Any, claim: Any, after: Job, *more: Any) -> bool:
        jobs.append(after)
        return await real(tx, claim, after, *more)

    monkeypatch.setattr(store, "save", save)
    return jobs


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which questions the database was asked for one row."""
    real, names = pool._Bound.row, []

    async def row(self: Any, query: Query, /, *values: object) -> Any:
        names.append(query.name)
        return await real(self, query, *values)

    monkeypatch.setattr(pool._Bound, "row", row)
    return names


def knows_its_way(saved: list[Job], total: int) -> None:
    """Check that each step knew how much there is, and what was left."""
    assert {job.total for job in saved} == {total}
    for job in saved:
        left = seconds_left(job)
        if job.ended_at is None:
            assert (left == 0.0) == (job.done == total)
    assert (saved[-1].state, saved[-1].done) == (JobState.DONE, total)


async def test_a_job_of_cards_counts_their_details(ground: Ground, saved: list[Job]) -> None:
    process = await ground.process(page_rows=7)
    for card in range(1, 9):
        await token(ground, process, card)
    rotated = await process.rotation.rotate(ground.by, KeyName.CARD)
    await ground.done(process, rotated.job_id)
    knows_its_way(saved, 8 + 8 * len(FIELDS))


async def imports_of(ground: Ground, process: Process) -> int:
    """Make what the key of transfers seals, in both of its columns; return how much."""
    keys = ImportKeys(process.database, process.keyring, AtHome(), process.recorder, ground.clock)
    for _ in range(3):
        await keys.make(Caller(ground.principal, Origin()))
    upload = ImportId(new_id("imp"))
    for number in range(9):
        sealed, version = await keys.seal_piece(
            ground.merchant, ground.mode, upload, number, b"piece"
        )
        await ground.look(
            "insert into vault.import_piece values ($1, $2, $3, $4, $5, $6)",
            ground.merchant, ground.mode, upload, number, sealed, version,
        )  # fmt: skip
    return 12


async def test_a_job_of_another_key_counts_no_cards(ground: Ground, saved: list[Job]) -> None:
    process = await ground.process(page_rows=2)
    await ground.fill(process, 1, 5)
    rows = await imports_of(ground, process)
    rotated = await process.rotation.rotate(ground.by, KeyName.TRANSFER)
    await ground.done(process, rotated.job_id)
    knows_its_way(saved, rows)
    saved.clear()
    await process.keyring.current(ground.merchant, ground.mode, KeyName.CREDENTIALS)
    rotated = await process.rotation.rotate(ground.by, KeyName.CREDENTIALS)
    await ground.done(process, rotated.job_id)
    knows_its_way(saved, 0)


async def test_fingerprints_count_tokens_alone(ground: Ground, saved: list[Job]) -> None:
    process = await ground.process(page_rows=3)
    await token(ground, process, 1)
    await ground.fill(process, 2, 9)
    rotated = await process.rotation.rotate(ground.by, KeyName.FINGERPRINT)
    await ground.done(process, rotated.job_id)
    knows_its_way([job for job in saved if job.total is not None], 10)


@pytest.mark.parametrize("most", [3, 5, 10, 11, 2_000_000])
async def test_many_rows_are_counted_or_guessed_once(
    ground: Ground,
    saved: list[Job],
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
    most: int,
) -> None:
    monkeypatch.setattr(counting, "COUNTED_MAX", most)
    process = await ground.process(page_rows=2)
    await ground.fill(process, 1, 10)
    rotated = await process.rotation.rotate(ground.by, KeyName.CARD)
    await ground.done(process, rotated.job_id)
    # A table of a few pages is looked at whole, so that a guess is right.
    knows_its_way(saved, 10)
    assert len(saved) > 5
    assert asked.count("count_tokens") == 1
    assert asked.count("count_details") == 1
    assert asked.count("guess_tokens") == (1 if most <= 10 else 0)


async def test_slices_add_up_and_time_ends_a_count(
    ground: Ground, saved: list[Job], asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "SLICE_ROWS", 3)
    process = await ground.process(page_rows=100)
    for card in range(1, 6):
        await token(ground, process, card)
    rotated = await process.rotation.rotate(ground.by, KeyName.CARD)
    await ground.done(process, rotated.job_id)
    rows = 5 * len(FIELDS)
    knows_its_way(saved, 5 + rows)
    assert asked.count("count_tokens") == 2
    assert asked.count("count_details") == rows // 3 + 1
    saved.clear()
    asked.clear()
    monkeypatch.setattr(counting, "COUNTED_SECONDS", 0.0)
    again = await process.rotation.reseal(ground.by, KeyName.CARD)
    await ground.done(process, again.job_id)
    knows_its_way(saved, 5 + rows)
    assert (asked.count("count_tokens"), asked.count("guess_tokens")) == (1, 1)
    assert (asked.count("count_details"), asked.count("guess_details")) == (1, 1)


async def test_a_guess_that_is_wrong_and_cards_that_came_meanwhile_come_right(
    ground: Ground, saved: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = await ground.process(page_rows=4)
    await ground.fill(process, 1, 10)
    rotated = await process.rotation.rotate(ground.by, KeyName.CARD)
    real = counting.total_of

    wrong = [0]

    async def guessed(*of: Any) -> int:
        return await real(*of) + wrong[0]

    monkeypatch.setattr("strongroom.vault.rotation.reseal.total_of", guessed)
    for by in (-6, 50):
        wrong[:] = [by]
        saved.clear()
        await ground.done(process, rotated.job_id)
        assert all(job.total is not None and job.done <= job.total for job in saved)
        assert (saved[-1].total, saved[-1].done) == (10, 10)
        rotated = await process.rotation.reseal(ground.by, KeyName.CARD)


async def test_a_guess_of_a_large_table_is_near(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fifth of a table's pages say how much of it is a tenant's."""
    process = await ground.process()
    await ground.fill(process, 1, 1)
    other = new_id("mer")
    for merchant, rows in ((ground.merchant, 8_000), (other, 8_000)):
        await ground.look(
            "insert into vault.token select (t).* from (select jsonb_populate_record(t, jsonb_build_object("
            " 'merchant_id', $2::text, 'token_id', 'tok_' || lpad(n::text, 26, '0'))) as t"
            " from vault.token t, generate_series(1, $3::integer) n where t.merchant_id = $1 and t.token_id < 'tok_Z'"
            " and t.token_id not like 'tok_000%') made",
            ground.merchant, merchant, rows,
        )  # fmt: skip
    ((pages,),) = await ground.look("select pg_relation_size('vault.token') / 8192")
    monkeypatch.setattr(counting, "SAMPLE_PAGES", pages // 5)
    monkeypatch.setattr(counting, "COUNTED_MAX", 100)
    rotated = await process.rotation.rotate(ground.by, KeyName.CARD)
    assert rotated.job_id is not None
    job = await process.jobs.read(ground.merchant, ground.mode, rotated.job_id)
    async with process.database.transaction([ground.merchant]) as tx:
        guessed = [await counting.total_of(tx, job, process.handler._columns[:1]) for _ in range(5)]
    await ground.look("delete from vault.token where merchant_id = $1", other)
    assert 5_600 < sum(guessed) / 5 < 10_400
