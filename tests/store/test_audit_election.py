# SPDX-License-Identifier: Apache-2.0
"""One sealer at a time, its keys, its heartbeats, and a loop that nothing ends."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from database import Server
from polling import until
from store.audit_ground import ORIGIN, Ground, grounded
from strongroom.audit import CheckpointRefused
from strongroom.audit.batch import seal_rows
from strongroom.audit.checkpoint import open_checkpoint
from strongroom.audit.errors import (
    RowAltered,
)
from strongroom.audit.note import open_note
from strongroom.audit.seal import HEARTBEAT
from strongroom.audit.standing import load
from strongroom.audit.store import Cursor, unsealed
from strongroom.db.locks import SessionLock
from strongroom.db.logins import Domain, Login
from strongroom.kernel.clock import SystemClock
from strongroom.keys import KeyName


@pytest_asyncio.fixture(loop_scope="session")
async def ground(server: Server, tmp_path: Path) -> AsyncIterator[Ground]:
    async with grounded(server, tmp_path) as made:
        yield made


async def test_one_sealer_is_elected_and_another_follows_when_it_is_gone(ground: Ground) -> None:
    first, second = await ground.sealer(), await ground.sealer()
    assert (await first.seal_once()).elected
    await ground.record(3)
    assert not (await second.seal_once()).elected
    await ground.as_superuser(
        "select pg_terminate_backend(pid, 20000) from pg_locks where locktype = 'advisory' and granted"
        " and database = (select oid from pg_database where datname = current_database())"
    )
    result = await second.seal_once()
    assert (result.elected, result.sealed) == (True, 3)
    assert not (await first.seal_once()).elected
    await second.close()
    assert (await first.seal_once()).elected


async def test_without_the_lock_two_sealers_still_cannot_both_commit(ground: Ground) -> None:
    await (await ground.sealer()).seal_once()
    await ground.record(5)
    database = await ground.databases.open(Domain.VAULT, Login.SEALER)
    async with database.transaction() as read:
        standing = await load(read, ground.keys, ORIGIN)
        rows = await unsealed(read, Cursor(0, ""), 100)
    assert standing is not None

    async def seal() -> int:
        async with database.transaction() as tx:
            moved, _ = await seal_rows(
                tx, ground.keys, standing, rows, cursor=Cursor(rows[-1].xid, rows[-1].event_id),
                now=ground.clock.now(),
            )  # fmt: skip
        return moved.size

    outcomes = await asyncio.gather(seal(), seal(), return_exceptions=True)
    assert sorted(type(each).__name__ for each in outcomes) in (
        ["TreeDamaged", "int"],
        ["TreeTaken", "int"],
        ["ConstraintBroken", "int"],
    )
    ids = await ground.tree_ids()
    assert len(ids) == len(set(ids)) == 6


async def test_a_lock_that_is_given_back_can_be_had(ground: Ground) -> None:
    database = await ground.databases.open(Domain.VAULT, Login.SEALER, connections_max=1)
    other = await ground.databases.open(Domain.VAULT, Login.SEALER)
    lock, theirs = SessionLock(database, 7), SessionLock(other, 7)
    assert await lock.acquire()
    assert not await theirs.acquire()
    await lock.release()
    assert not lock.held
    assert await theirs.acquire()
    assert await database.value("select 1") == 1  # the connection is back in the pool
    await theirs.release()


async def test_a_rotated_key_signs_beside_the_one_before(ground: Ground) -> None:
    sealer = await ground.sealer()
    await sealer.seal_once()
    (old,) = await ground.keys.verifiers()
    await ground.keyring.rotate("", "", KeyName.CHECKPOINT_SEED)
    await ground.record()
    await sealer.seal_once()
    note = (ground.folder / "checkpoint").read_bytes()
    new, still_old = await ground.keys.verifiers()
    assert still_old == old
    for key in (old, new):
        assert open_checkpoint(note, [key], origin=ORIGIN).size == 2
    await sealer.close()
    assert (await sealer.seal_once()).elected  # the older heads still verify


async def test_rows_of_a_rotated_key_hold_until_it_is_destroyed(ground: Ground) -> None:
    sealer = await ground.sealer()
    await sealer.seal_once()
    await ground.record(2)  # the recorder has the old key in its hands
    await ground.keyring.rotate("", "", KeyName.AUDIT_ROW_MAC)
    assert (await sealer.seal_once()).sealed == 2
    await ground.record(1)
    await ground.keyring.destroy("", "", KeyName.AUDIT_ROW_MAC, 1)
    with pytest.raises(RowAltered):
        await sealer.seal_once()


async def test_a_tree_that_does_not_grow_says_so_every_five_minutes(ground: Ground) -> None:
    sealer = await ground.sealer()
    result = await sealer.seal_once()
    path = ground.folder / "heartbeats.txt"
    ground.stepped.step(HEARTBEAT - timedelta(seconds=1))
    await sealer.seal_once()
    assert not path.exists()
    ground.stepped.step(timedelta(seconds=1))
    await sealer.seal_once()
    await sealer.seal_once()
    note = path.read_bytes()
    keys = await ground.keys.verifiers()
    lines = open_note(note, keys).text.splitlines()
    assert lines[0] == f"{ORIGIN} heartbeat"
    assert lines[1] == str(result.size)
    assert lines[3] == ground.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    with pytest.raises(CheckpointRefused):  # it never passes for a head
        open_checkpoint(note, keys, origin=ORIGIN)
    ground.stepped.step(HEARTBEAT)
    await sealer.seal_once()
    assert path.read_bytes().count(b" heartbeat\n") == 2
    assert (await ground.value("select count(*) from audit.checkpoint")) == 1


async def test_the_loop_outlives_a_database_that_goes_away(server: Server, tmp_path: Path) -> None:
    async with grounded(server, tmp_path, SystemClock()) as ground:
        sealer = await ground.sealer()
        stop = asyncio.Event()
        running = asyncio.create_task(sealer.run(stop))
        name = ground.databases.names[Domain.VAULT]
        await until(lambda: bool(ground.events("audit.sealed")))
        async with server.away(name):
            await until(lambda: bool(ground.events("audit.sealing_failed")))
            assert not running.done()
        await ground.record(2)
        await until(lambda: ground.metric("strongroom_audit_sealed_records") == 3)
        await ground.record(1)
        stop.set()
        await running
        assert (
            await ground.value("select size from audit.tree") == 4
        )  # it seals once more at the end
