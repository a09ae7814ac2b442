# SPDX-License-Identifier: Apache-2.0
"""Erasure beside what moves the same rows: rotations, retokenizations and other erasures. Nothing escapes it."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from contracts.fakes import FakeKeyStore
from database import Databases
from polling import until
from residence import AtHome
from store.erasing import Eraser, driver_of, eraser_on
from store.rotation_ground import number
from strongroom.crypto import Algorithm
from strongroom.crypto.ids import new_id
from strongroom.crypto.random import random_bytes
from strongroom.db.logins import Domain
from strongroom.db.pool import Transaction, connect
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.keys import DataKeyRow, KeyName, KeyState
from strongroom.keys.store import PostgresDataKeyTable
from strongroom.vault.erasure import store as erasures
from strongroom.vault.erasure.jobs import MerchantRows, RetentionHandler
from strongroom.vault.erasure.model import ErasureState, Scope
from strongroom.vault.retokenize.job import RetokenizeHandler
from strongroom.vault.transfer.ending import Endings
from strongroom.vault.work.errors import JobGoesOn
from strongroom.vault.work.model import Facts, Job, JobKind
from strongroom.vault.work.ports import JobHandler


@pytest.fixture(scope="module")
def store() -> FakeKeyStore:
    """The roots of this module's databases."""
    return FakeKeyStore()


@pytest_asyncio.fixture(loop_scope="session")
async def eraser(databases: Databases, store: FakeKeyStore) -> Eraser:
    await databases.run(Domain.VAULT, "truncate vault.job, vault.erasure, vault.token_alias")
    return await eraser_on(databases, store)


async def begun(eraser: Eraser, kind: JobKind, params: Facts) -> Job:
    """Put a job, and leave it to the test to do its steps."""
    ground, process = eraser.ground, eraser.process
    ground.clock.step(timedelta(minutes=1))  # ids carry the machine's time, which is later
    async with process.database.transaction([ground.merchant]) as tx:
        return await process.jobs.begin(
            tx, ground.merchant, ground.mode, kind, params, created_by="tests"
        )


async def step(eraser: Eraser, handler: JobHandler, job: Job) -> None:
    async with eraser.process.database.transaction([eraser.ground.merchant]) as tx:
        await handler.step(job, tx)


@asynccontextmanager
async def another(eraser: Eraser) -> AsyncIterator[Any]:
    """Another session's transaction, which commits at the end."""
    connection = await connect(eraser.ground.databases.administrator(Domain.VAULT))
    try:
        async with connection.transaction():
            yield connection
    finally:
        await connection.close()


async def waits(eraser: Eraser) -> None:
    """Wait until some session waits for a lock of another."""

    async def found() -> bool:
        rows = await eraser.ground.look(
            "select count(*) from pg_stat_activity"
            " where datname = current_database() and wait_event_type = 'Lock'"
        )
        return bool(rows[0][0])

    await until(found)


def erases_merchant(eraser: Eraser) -> tuple[JobHandler, JobKind, Facts]:
    return MerchantRows(eraser.process.recorder, eraser.process.clock), JobKind.ERASURE, {}


def keeps_no_longer(eraser: Eraser) -> tuple[JobHandler, JobKind, Facts]:
    handler = RetentionHandler(eraser.process.recorder, eraser.process.clock)
    return handler, JobKind.RETENTION, {"container": "default", "days": 0}


@pytest.mark.parametrize("deletes", [erases_merchant, keeps_no_longer])
async def test_no_identity_outlives_a_card_that_was_moving_to_another_fingerprint(
    eraser: Eraser, deletes: Callable[[Eraser], tuple[JobHandler, JobKind, Facts]]
) -> None:
    ground = eraser.ground
    (token,) = await ground.fill(eraser.process, 1, 1, deduplicate=True)
    ((fingerprint,),) = await ground.look(
        "select fingerprint from vault.token where token_id = $1", token
    )
    handler, kind, params = deletes(eraser)
    job = await begun(eraser, kind, params)
    if kind is JobKind.ERASURE:  # the keys go first
        await step(eraser, handler, job)
        assert await ground.versions() == {1: 1}
        await eraser.process.keyring.destroy(ground.merchant, ground.mode, KeyName.CARD, 1)
    async with another(eraser) as rotation:
        await rotation.execute(
            "select vault.move_fingerprints($1, 'test', $2, $3, '{1}', $4, 2)",
            ground.merchant,
            [token],
            [fingerprint],
            [random_bytes(32)],
        )
        deleting = asyncio.create_task(step(eraser, handler, job))
        await waits(eraser)
    await deleting
    assert await ground.versions() == {}
    assert await eraser.identities() == 0


async def test_an_identity_that_leads_nowhere_keeps_no_card_out(eraser: Eraser) -> None:
    ground, process = eraser.ground, eraser.process
    (gone,) = await ground.fill(process, 1, 1, deduplicate=True)
    await ground.databases.run(Domain.VAULT, f"delete from vault.token where token_id = '{gone}'")
    assert await eraser.identities() == 1
    async with asyncio.timeout(10):
        (again,) = await ground.fill(process, 1, 1, deduplicate=True)
        assert await ground.fill(process, 1, 1, deduplicate=True) == [again]
    assert again != gone
    assert await eraser.identities() == 1


async def test_an_identity_under_another_version_that_leads_nowhere_does_neither(
    eraser: Eraser,
) -> None:
    ground, process = eraser.ground, eraser.process
    (gone,) = await ground.fill(process, 1, 1, deduplicate=True)
    await process.rotation.rotate(ground.by, KeyName.FINGERPRINT)
    await ground.databases.run(Domain.VAULT, f"delete from vault.token where token_id = '{gone}'")
    async with asyncio.timeout(10):
        (again,) = await ground.fill(process, 1, 1, deduplicate=True)
    assert again != gone
    assert await eraser.identities() == 1


async def reveal(eraser: Eraser, token: str) -> None:
    """Write down that a card was shown."""
    await eraser.ground.look(
        "insert into vault.reveal (merchant_id, mode, event_id, token_id, caller, purpose, note, revealed_at)"
        " values ($1, 'test', $2, $3, 'usr_x', 'dispute', 'called about it', now())",
        eraser.ground.merchant,
        new_id("aud"),
        token,
    )


async def alias(eraser: Eraser, old: str, token: str) -> None:
    """Write down what an id of before stands for."""
    await eraser.ground.look(
        "insert into vault.token_alias (merchant_id, mode, old_id, token_id, job_id, until, made_at)"
        " values ($1, 'test', $2, $3, 'job_x', now(), now())",
        eraser.ground.merchant,
        old,
        token,
    )


async def count(eraser: Eraser, table: str) -> int:
    rows = await eraser.ground.look(
        f"select count(*) from {table} where merchant_id = $1",
        eraser.ground.merchant,
    )
    return int(rows[0][0])


async def test_what_was_written_of_a_reveal_goes_with_the_token(eraser: Eraser) -> None:
    erased, kept = await eraser.ground.fill(eraser.process, 1, 2)
    old = new_id("tok")
    await alias(eraser, old, erased)
    for token in (erased, old, kept):
        await reveal(eraser, token)
    await eraser.erasures.erase_token(eraser.caller, erased, at_once=False)
    rows = await eraser.ground.look(
        "select token_id from vault.reveal where merchant_id = $1", eraser.ground.merchant
    )
    assert [row[0] for row in rows] == [kept]


async def test_nothing_of_a_merchant_is_left_that_says_or_opens_anything(eraser: Eraser) -> None:
    ground, process = eraser.ground, eraser.process
    (token,) = await ground.fill(process, 1, 1)
    await alias(eraser, new_id("tok"), token)
    await reveal(eraser, token)
    await process.keyring.current(ground.merchant, ground.mode, KeyName.TRANSFER)
    await ground.look(
        "insert into vault.import_key (merchant_id, mode, key_id, certificate, public_jwk, sealed_private,"
        " key_version, created_by, created_at) values ($1, 'test', $2, '', '', '', 1, 'tests', now())",
        ground.merchant,
        new_id("key"),
    )
    ended: list[tuple[MerchantId, Mode]] = []

    async def end(_tx: Transaction, merchant: MerchantId, mode: Mode) -> bool:
        ended.append((merchant, mode))
        return len(ended) > 1

    runner = eraser.runner()
    imports = Endings(process.database, process.recorder, process.clock)
    runner._handlers = {
        JobKind.ERASURE: MerchantRows(process.recorder, process.clock, [end, imports.end_all])
    }
    await eraser.erasures.erase_merchant(eraser.caller, ground.merchant)
    await eraser.driver.advance()
    await eraser.run_jobs(runner)
    assert ended == [(ground.merchant, ground.mode)] * 2, "again, until nothing is left"
    for table in ("token", "reveal", "token_alias", "import_key"):
        assert await count(eraser, f"vault.{table}") == 0, table
    rows = await ground.look(
        "select name from keys.data_key where merchant_id = $1 and state <> 'destroyed'",
        ground.merchant,
    )
    assert rows == []


async def test_what_was_being_erased_ends_with_its_merchant(eraser: Eraser) -> None:
    (token, *_) = await eraser.ground.fill(eraser.process, 1, 2)
    await eraser.erasures.erase_token(eraser.caller, token, at_once=True)
    await eraser.driver.advance()  # rotated; the old version serves on for a while
    await eraser.erasures.erase_merchant(eraser.caller, eraser.ground.merchant)
    await eraser.finish()
    assert {state for _, state, _ in await eraser.states()} == {ErasureState.DESTROYED}


class _Rotating(PostgresDataKeyTable):
    """A table that somebody rotates just after it was asked which versions there are."""

    rotate: Callable[[], Awaitable[object]] | None = None

    async def versions(self, merchant: str, mode: str, name: str) -> Sequence[DataKeyRow]:
        found = await super().versions(merchant, mode, name)
        if name == KeyName.CARD and self.rotate is not None:
            rotate, self.rotate = self.rotate, None
            await rotate()
        return found


async def test_a_version_that_was_made_meanwhile_is_destroyed_too(
    eraser: Eraser, databases: Databases
) -> None:
    ground, process = eraser.ground, eraser.process
    await ground.fill(process, 1, 1)
    table = _Rotating(process.database, process.clock)
    table.rotate = lambda: process.rotation.rotate(ground.by, KeyName.CARD)
    await eraser.erasures.erase_merchant(eraser.caller, ground.merchant)
    await driver_of(process, table).advance()
    rows = await process_versions(eraser)
    assert [row.state for row in rows] == [KeyState.DESTROYED] * 2


async def process_versions(eraser: Eraser) -> Sequence[DataKeyRow]:
    table = PostgresDataKeyTable(eraser.process.database, eraser.process.clock)
    return await table.versions(eraser.ground.merchant, eraser.ground.mode, KeyName.CARD)


async def test_nothing_is_rotated_from_what_was_destroyed_or_wrapped_anew(eraser: Eraser) -> None:
    ground, process = eraser.ground, eraser.process
    key = await process.keyring.current(ground.merchant, ground.mode, KeyName.CARD)
    table = PostgresDataKeyTable(process.database, process.clock)
    (read,) = await process_versions(eraser)
    assert await process.keyring.rewrap(read)
    (rewrapped,) = await process_versions(eraser)
    assert rewrapped.wrapped != read.wrapped
    new, retired = replaced(read, key.version + 1), replaced(read, key.version)
    assert await table.replace(new, retired, read.mac) is None
    assert list(await process_versions(eraser)) == [rewrapped]
    await process.keyring.destroy(ground.merchant, ground.mode, KeyName.CARD, 1)
    assert await table.replace(new, retired, rewrapped.mac) is None
    assert [row.state for row in await process_versions(eraser)] == [KeyState.DESTROYED]


def replaced(row: DataKeyRow, version: int) -> DataKeyRow:
    state = KeyState.RETIRING if version == row.version else KeyState.ACTIVE
    return dataclasses.replace(row, version=version, state=state, mac=random_bytes(32))


async def test_retention_goes_by_when_the_card_came_and_not_by_its_id(eraser: Eraser) -> None:
    ground = eraser.ground
    young, old = await ground.fill(eraser.process, 1, 2)
    await ground.look(  # as a retokenization leaves it: a new id, and made long ago
        "update vault.token set created_at = created_at - interval '31 days' where token_id = $1",
        old,
    )
    await ground.databases.run(
        Domain.VAULT,
        "insert into vault.container (merchant_id, mode, name, retention_days, created_by, created_at, updated_at)"
        f" values ('{ground.merchant}', 'test', 'default', 30, 'tests', now(), now())",
    )
    ground.clock.step(timedelta(minutes=1))
    assert await eraser.driver.begin_retention() == 1
    await eraser.run_jobs()
    rows = await ground.look(
        "select token_id from vault.token where merchant_id = $1", ground.merchant
    )
    assert [row[0] for row in rows] == [young]


async def test_a_customers_card_that_is_getting_another_id_is_erased(eraser: Eraser) -> None:
    ground, process = eraser.ground, eraser.process
    await ground.fill(process, 1, 2)
    await ground.look(
        'update vault.token set metadata = \'{"customer": "c-1"}\' where merchant_id = $1',
        ground.merchant,
    )
    handler = RetokenizeHandler(
        process.keyring, AtHome(), process.recorder, process.clock, Algorithm.A256CBC_HS512
    )
    job = await begun(eraser, JobKind.RETOKENIZE, {"alias_days": 0, "container": "", "tokens": ""})
    async with process.database.transaction([ground.merchant]) as tx:
        assert (await handler.step(job, tx)).done == 2
        erasing = asyncio.create_task(
            eraser.erasures.erase_customer(eraser.caller, "c-1", at_once=True)
        )
        await waits(eraser)
    assert (await erasing).tokens == 2
    assert await ground.versions() == {}


async def test_an_erasure_that_another_joined_meanwhile_is_not_moved(eraser: Eraser) -> None:
    ground, process = eraser.ground, eraser.process
    tokens = await ground.fill(process, 1, 2)
    await ground.delete(process, tokens[0])
    ground.clock.step(timedelta(days=30))
    async with process.database.transaction() as tx:
        (read,) = await erasures.due(tx, ground.clock.now(), 10)
    await process.rotation.rotate(ground.by, KeyName.CARD)
    await ground.delete(process, tokens[1])  # joins it, under the newer key
    async with process.database.transaction([ground.merchant]) as tx:
        now = ground.clock.now()
        assert not await erasures.move(tx, read, ErasureState.DESTROYED, look_at=now)
    assert await eraser.states() == [(Scope.DELETED, ErasureState.WAITING, 2)]


@pytest.mark.parametrize("kind", [JobKind.ERASURE, JobKind.RETENTION])
async def test_what_deletes_is_neither_paused_nor_canceled(eraser: Eraser, kind: JobKind) -> None:
    jobs = eraser.process.jobs
    job = await begun(eraser, kind, {})
    for change in (jobs.pause, jobs.cancel):
        with pytest.raises(JobGoesOn):
            await change(eraser.caller, job.job_id)
    assert (await jobs.put_rate(eraser.caller, job.job_id, 5)).rate == 5


async def test_a_paused_reseal_keeps_no_erasure_waiting(eraser: Eraser) -> None:
    ground, process = eraser.ground, eraser.process
    erased, kept = await ground.fill(process, 1, 2)
    await eraser.erasures.erase_token(eraser.caller, erased, at_once=True)
    await eraser.driver.advance()  # rotates, and puts the re-seal
    (job,), _ = await process.jobs.list(ground.merchant, ground.mode, None, 10)
    await process.jobs.pause(eraser.caller, job.job_id)
    for _ in range(3):
        ground.clock.step(timedelta(minutes=11))
        await process.keyring.look()
        await eraser.driver.advance()
        await eraser.run_jobs(paused=1)
    assert await eraser.states() == [(Scope.TOKEN, ErasureState.DESTROYED, 1)]
    assert await ground.opened(process, kept) == number(2)
