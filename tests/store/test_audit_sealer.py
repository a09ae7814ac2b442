# SPDX-License-Identifier: Apache-2.0
"""The sealer on a real database: nothing missed, nothing twice, nothing healed, one at a time."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from database import Server
from polling import until
from store.audit_ground import MERCHANT, ORIGIN, OTHER, Ground, grounded
from strongroom.audit import Action, TreeDamaged
from strongroom.audit.checkpoint import open_checkpoint
from strongroom.audit.errors import (
    RowAltered,
    SinkFailed,
    TreeForeign,
)
from strongroom.audit.record import decode
from strongroom.audit.seal import BATCH_RECORDS_MAX
from strongroom.audit.store import Cursor, unsealed
from strongroom.kernel.clock import SystemClock

DEADLINE_SECONDS = 20.0


@pytest_asyncio.fixture(loop_scope="session")
async def ground(server: Server, tmp_path: Path) -> AsyncIterator[Ground]:
    async with grounded(server, tmp_path) as made:
        yield made


# --- what is sealed ----------------------------------------------------------------------------------


async def test_a_first_start_is_on_record_and_signed(ground: Ground) -> None:
    result = await (await ground.sealer()).seal_once()
    assert (result.elected, result.sealed, result.size) == (True, 1, 1)
    (event_id,) = await ground.tree_ids()
    payload = await ground.value("select payload from audit.event where event_id = $1", event_id)
    record = decode(payload)
    assert (record.action, record.actor, record.object) == (
        Action.AUDIT_TREE_STARTED,
        "system:sealer",
        "tree:vault",
    )
    head = open_checkpoint(
        (ground.folder / "checkpoint").read_bytes(), await ground.keys.verifiers(), origin=ORIGIN
    )
    assert (head.size, head.root) == (1, result.root)


async def test_the_tree_is_that_of_the_records(ground: Ground) -> None:
    sealer = await ground.sealer()
    for count in (1, 3, 255, 2, 300):
        await ground.record(count // 2 + 1)
        await ground.many(count, OTHER)
        result = await sealer.seal_once()
        assert result.sealed >= count
    assert result.root == await ground.tree_root()
    ids = await ground.tree_ids()
    assert len(ids) == len(set(ids)) == result.size
    assert result.size == await ground.value("select count(*) from audit.event")


async def test_more_than_a_batch_is_drained_in_one_round(ground: Ground) -> None:
    sealer = await ground.sealer()
    await ground.many(2 * BATCH_RECORDS_MAX + 17)
    result = await sealer.seal_once()
    # The record of the tree's beginning is written by the round itself.
    assert result.size == 2 * BATCH_RECORDS_MAX + 18
    assert await ground.value("select count(*) from audit.checkpoint") == 3
    assert ground.metric("strongroom_audit_sealed_records") == result.size
    assert ground.metric("strongroom_audit_unsealed_lag_seconds") == 0


async def test_a_round_with_nothing_new_writes_nothing(ground: Ground) -> None:
    sealer = await ground.sealer()
    await sealer.seal_once()
    rows = (
        "select (select xmin::text || ctid::text from audit.tree)"
        " || (select string_agg(xmin::text || ctid::text, ' ') from audit.tile)"
        " || (select count(*) from audit.checkpoint)"
    )
    before = await ground.value(rows)
    assert (await sealer.seal_once()).sealed == 0
    assert await ground.value(rows) == before


# --- nothing missed ----------------------------------------------------------------------------------


async def test_a_running_transaction_holds_back_what_began_after_it(ground: Ground) -> None:
    sealer = await ground.sealer()
    await sealer.seal_once()
    early = ground.made()
    async with await ground.begun(early):
        (late,) = await ground.record()
        assert (await sealer.seal_once()).sealed == 0  # the later one is not taken past the earlier
    assert (await sealer.seal_once()).sealed == 2
    assert (await ground.tree_ids())[1:] == sorted([early.event_id, late.event_id])


async def test_a_rolled_back_transaction_leaves_no_gap(ground: Ground) -> None:
    sealer = await ground.sealer()
    await sealer.seal_once()
    with contextlib.suppress(ZeroDivisionError):
        async with ground.app.transaction([MERCHANT]) as tx:
            await ground.recorder.insert(tx, ground.made())
            raise ZeroDivisionError
    await ground.record()
    result = await sealer.seal_once()
    assert (result.sealed, result.size) == (1, 2)


async def test_interleaved_transactions_of_every_length_are_all_sealed_once(
    server: Server, tmp_path: Path
) -> None:
    """The reason for the horizon: ids are given out in one order, and commits happen in another."""
    dice = random.Random(20_081)
    async with grounded(server, tmp_path, SystemClock()) as ground:
        sealer = await ground.sealer()
        await sealer.seal_once()
        written: set[str] = set()
        done = asyncio.Event()

        async def write(count: int) -> None:
            for _ in range(count):
                keeps = dice.random() > 0.1
                ids: list[str] = []
                with contextlib.suppress(ZeroDivisionError):
                    async with ground.app.transaction([MERCHANT]) as tx:
                        for _ in range(dice.randint(1, 4)):
                            record = ground.made()
                            await ground.recorder.insert(tx, record)
                            ids.append(record.event_id)
                            await asyncio.sleep(dice.choice([0, 0, 0.001, 0.02, 0.15]))
                        if not keeps:
                            raise ZeroDivisionError
                    written.update(ids)

        async def seal() -> None:
            while not done.is_set():
                await sealer.seal_once()
                await asyncio.sleep(0.005)

        sealing = asyncio.create_task(seal())
        await asyncio.gather(*(write(40) for _ in range(7)))
        done.set()
        await sealing
        await sealer.seal_once()
        ids = await ground.tree_ids()
        assert set(ids[1:]) == written
        assert len(ids) == len(set(ids))
        # It did happen that an older id was sealed after a younger one: whoever reads by id alone misses it.
        assert ids != sorted(ids)
        result = await sealer.seal_once()
        assert result.root == await ground.tree_root()


async def test_transactions_are_taken_in_the_order_of_their_numbers(ground: Ground) -> None:
    """Not of their digits: between 9 and 10, 99 and 100 … a batch that ended there would pass over the rest."""
    records = await ground.record(12)
    numbers = [8, 9, 9, 10, 11, 98, 99, 100, 100, 101, 110, 200]
    for record, number in zip(records, numbers, strict=True):
        await ground.alter(record.event_id, f"xid = '{number}'")
    for limit in (1, 2, 3, 5, 12):
        cursor, seen = Cursor(0, ""), []
        async with ground.app.transaction([MERCHANT]) as read:
            while rows := await unsealed(read, cursor, limit):
                cursor = Cursor(rows[-1].xid, rows[-1].event_id)
                seen += [row.xid for row in rows]
        assert seen == numbers


# --- nothing healed ----------------------------------------------------------------------------------

ALTERED = {
    "its bytes": "payload = replace(convert_from(payload, 'UTF8'), '4242', '4243')::bytea",
    "its bytes, with the hash that fits": (
        "payload = replace(convert_from(payload, 'UTF8'), '4242', '4243')::bytea, leaf_hash ="
        " sha256('\\x00'::bytea || replace(convert_from(payload, 'UTF8'), '4242', '4243')::bytea)"
    ),
    "its hash": "leaf_hash = sha256(leaf_hash)",
    "its MAC": "row_mac = sha256(row_mac)",
    "its tenant": f"merchant_id = '{OTHER}'",
    "its mode": "mode = 'live'",
    "its id": "event_id = left(event_id, 28) || 'ZZ'",
}


@pytest.mark.parametrize("what", ALTERED)
async def test_an_altered_record_stops_the_sealing(ground: Ground, what: str) -> None:
    sealer = await ground.sealer()
    await sealer.seal_once()
    record = ground.made(last4="4242")
    async with ground.app.transaction([MERCHANT]) as tx:
        await ground.recorder.insert(tx, record)
    await ground.record(3)
    await ground.alter(record.event_id, ALTERED[what])
    for _ in range(2):
        with pytest.raises(RowAltered):
            await sealer.seal_once()
    assert await ground.value("select size from audit.tree") == 1
    assert await ground.value("select count(*) from audit.checkpoint") == 1


async def test_an_altered_record_raises_the_alarm_and_the_loop_goes_on(
    server: Server, tmp_path: Path
) -> None:
    async with grounded(server, tmp_path, SystemClock()) as ground:
        sealer = await ground.sealer()
        await sealer.seal_once()
        (record,) = await ground.record()
        await ground.alter(record.event_id, "row_mac = sha256('')")
        stop = asyncio.Event()
        running = asyncio.create_task(sealer.run(stop))
        await until(lambda: sealer.stopped is not None)
        stop.set()
        await running
        alarm = ground.events("audit.row_altered")[0]
        assert (alarm["level"], alarm["audit_event_id"]) == ("critical", record.event_id)
        assert sealer.stopped == "audit_row_altered"
        lag = ground.metric("strongroom_audit_unsealed_lag_seconds")
        assert lag is not None
        assert lag > 0


TREE_ALTERED = {
    "a hash of the last tile": (
        "update audit.tile set hashes = sha256(hashes) || substring(hashes from 33)"
        " where level = 0 and n = 1"
    ),
    "the last tile is gone": "delete from audit.tile where level = 0 and n = 1",
    "a hash of the level above": (
        "update audit.tile set hashes = sha256(hashes) || substring(hashes from 33) where level = 1"
    ),
    "the frontier": "update audit.tree set frontier[1] = sha256('')",
    "the size": "update audit.tree set size = size - 1",
    "the last root": (
        "update audit.checkpoint set root = sha256('')"
        " where size = (select max(size) from audit.checkpoint)"
    ),
    "the last note": (
        "update audit.checkpoint set note = replace(note, 'AA', 'BB') || ' '"
        " where size = (select max(size) from audit.checkpoint)"
    ),
    "the last note is an older one": (
        "update audit.checkpoint set note = (select note from audit.checkpoint where size = 1)"
        " where size = (select max(size) from audit.checkpoint)"
    ),
    "every head is gone": "delete from audit.checkpoint",
}


@pytest.mark.parametrize("what", TREE_ALTERED)
async def test_a_damaged_tree_is_not_built_upon(ground: Ground, what: str) -> None:
    sealer = await ground.sealer()
    await sealer.seal_once()
    await ground.many(299)
    await sealer.seal_once()
    await sealer.close()
    await ground.as_superuser(TREE_ALTERED[what])
    await ground.record()
    with pytest.raises(TreeDamaged):
        await sealer.seal_once()
    assert await ground.value("select max(n) from audit.tile") in (0, 1)


@pytest.mark.parametrize("more", [50, 200], ids=["is read for the proof", "is to grow"])
async def test_a_tile_that_was_altered_cannot_be_signed_over(ground: Ground, more: int) -> None:
    """While it runs, the sealer keeps the tree's edge in memory; what it signs is proved from what is stored."""
    sealer = await ground.sealer()
    await sealer.seal_once()
    await ground.many(255)
    await sealer.seal_once()
    await ground.many(100)
    await sealer.seal_once()
    await ground.as_superuser(
        "update audit.tile set hashes = sha256(hashes) || substring(hashes from 33) where level = 1"
    )
    await ground.many(more)
    with pytest.raises(TreeDamaged):
        await sealer.seal_once()


async def test_an_origin_that_no_sealer_set_is_refused(ground: Ground) -> None:
    sealer = await ground.sealer()
    await sealer.seal_once()
    await sealer.close()
    await ground.as_superuser("update audit.tree set origin = origin || '/2'")
    with pytest.raises(TreeForeign):
        await sealer.seal_once()


async def test_a_tree_of_another_origin_is_refused(ground: Ground) -> None:
    sealer = await ground.sealer()
    await sealer.seal_once()
    await sealer.close()
    with pytest.raises(TreeForeign):
        await (await ground.sealer(origin="strongroom.example/other", sinks=[])).seal_once()
    with pytest.raises(SinkFailed):  # nor does the sink belong to it
        await (await ground.sealer(origin="strongroom.example/other")).seal_once()
