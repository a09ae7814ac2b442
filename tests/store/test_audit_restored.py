# SPDX-License-Identifier: Apache-2.0
"""Databases that were restored: old ones, empty ones, other ones, and ones from another cluster."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from database import Server
from store.audit_ground import ORIGIN, Ground, grounded
from strongroom.audit.checkpoint import open_checkpoint
from strongroom.audit.errors import (
    RestartRefused,
    TreeRolledBack,
    TreeTaken,
)
from strongroom.audit.record import decode
from strongroom.db.logins import Domain


@pytest_asyncio.fixture(loop_scope="session")
async def ground(server: Server, tmp_path: Path) -> AsyncIterator[Ground]:
    async with grounded(server, tmp_path) as made:
        yield made


async def test_an_old_database_is_noticed_and_goes_on_only_when_restarted(
    server: Server, tmp_path: Path
) -> None:
    async with grounded(server, tmp_path) as ground:
        sealer = await ground.sealer()
        await sealer.seal_once()
        await ground.many(300)
        old = await sealer.seal_once()
        await sealer.close()
        await ground.databases.close()
        backup = await server.copy(Domain.VAULT, ground.databases.names[Domain.VAULT])
        sealer = await ground.sealer()
        await ground.many(50)
        lost = await sealer.seal_once()
        assert lost.size == old.size + 50
        kept = {path: path.read_bytes() for path in ground.folder.rglob("*") if path.is_file()}
        await ground.close()
        await ground.databases.close()
        # The database is gone, and the backup takes its place.
        await server.drop(ground.databases.names[Domain.VAULT])
        await server.run(
            f"alter database {backup} rename to {ground.databases.names[Domain.VAULT]}"
        )
        await ground.reopened()

        sealer = await ground.sealer()
        await ground.record(2)
        for _ in range(2):
            with pytest.raises(TreeRolledBack):
                await sealer.seal_once()
        assert await ground.value("select size from audit.tree") == old.size

        result = await sealer.restart_tree("restored_backup")
        assert (result.sealed, result.size) == (3, old.size + 3)
        keys = await ground.keys.verifiers()
        folder = ground.folder / "generation-2"
        head = open_checkpoint((folder / "checkpoint").read_bytes(), keys, origin=f"{ORIGIN}/2")
        assert (head.size, head.root) == (result.size, result.root)
        # What was published of the generation before stays as it was.
        assert {path: path.read_bytes() for path in kept} == kept
        payload = await ground.value(
            "select payload from audit.event where payload like '%audit.tree.restarted%'"
        )
        record = decode(payload)
        assert record.actor == "operator"
        assert record.details == {
            "reason": "restored_backup", "root": lost.root.hex(), "size": lost.size,
        }  # fmt: skip
        # Whoever comes next finds the new generation, and seals on.
        await sealer.close()
        again = await ground.sealer()
        await ground.record()
        assert (await again.seal_once()).size == result.size + 1
        with pytest.raises(RestartRefused):
            await again.restart_tree("no_reason")


async def test_an_empty_database_beside_a_full_sink_is_noticed(
    server: Server, tmp_path: Path
) -> None:
    async with grounded(server, tmp_path) as ground:
        await ground.many(10)
        await (await ground.sealer()).seal_once()
        await ground.close()
        await ground.databases.close()
        async with grounded(server, tmp_path) as fresh:
            fresh.keyring = ground.keyring
            fresh.recorder = ground.recorder
            sealer = await fresh.sealer()
            with pytest.raises(TreeRolledBack):
                await sealer.seal_once()


async def test_other_records_of_the_same_number_are_noticed(ground: Ground) -> None:
    sealer = await ground.sealer()
    await ground.record(4)
    await sealer.seal_once()
    await sealer.close()
    # Another history of the same length, as a database has that was restored and then sealed without its sink.
    await ground.as_superuser(
        "truncate audit.tile, audit.checkpoint, audit.tree", "delete from audit.event"
    )
    await ground.record(4)
    alone = await ground.sealer(sinks=[])
    assert (await alone.seal_once()).size == 5
    await alone.close()
    with pytest.raises(TreeRolledBack):
        await sealer.seal_once()


async def test_a_restart_waits_for_whoever_seals_and_gives_up(ground: Ground) -> None:
    first, second = await ground.sealer(), await ground.sealer()
    await first.seal_once()
    ground.stepped.step(timedelta(seconds=1))
    with pytest.raises(TreeTaken):
        await second.restart_tree("because", within_seconds=0.3)


@pytest.mark.parametrize("reason", ["", "Two words", "4242424242424242", "x" * 60])
async def test_a_restart_has_a_reason_of_one_word(ground: Ground, reason: str) -> None:
    with pytest.raises(RestartRefused):
        await (await ground.sealer()).restart_tree(reason)


async def test_records_with_another_clusters_numbers_are_found_once(ground: Ground) -> None:
    """A dump restored elsewhere: transactions are counted from the beginning, rows keep their old numbers."""
    sealer = await ground.sealer()
    await ground.record(10)
    await sealer.seal_once()
    waiting = await ground.record(5)  # committed and not sealed when the dump was made
    await sealer.close()
    await ground.as_superuser(
        "update audit.event set xid = (xid::text::bigint + 1000000)::text::xid8",
        "update audit.tree set cluster = 'another', sealed_xid = (sealed_xid::text::bigint + 1000000)::text::xid8",
    )
    new = await ground.record(3)
    fresh = await ground.sealer()
    result = await fresh.seal_once()
    assert (result.sealed, result.size) == (8, 19)
    ids = await ground.tree_ids()
    assert set(ids[11:]) == {str(record.event_id) for record in [*waiting, *new]}
    assert len(ids) == len(set(ids))
    assert ground.events("audit.records_found")
    # Transactions of this cluster reach the old numbers one day: what is sealed is not sealed again.
    await ground.as_superuser("update audit.tree set sealed_xid = '3', sealed_event = ''")
    await fresh.close()
    await ground.as_superuser("update audit.event set xid = '5' where xid::text::bigint > 1000000")
    more = await ground.record(2)
    result = await fresh.seal_once()
    assert (result.sealed, result.size) == (2, 21)
    assert (await ground.tree_ids())[19:] == sorted(str(record.event_id) for record in more)


async def test_the_sweep_at_the_start_finds_what_was_passed_over(ground: Ground) -> None:
    sealer = await ground.sealer()
    await ground.record(20)
    await sealer.seal_once()
    missed = await ground.record(2)
    await sealer.close()
    await ground.as_superuser(
        "update audit.event set xid = '4' where xid > (select sealed_xid from audit.tree)"
    )
    assert (
        await sealer.seal_once()
    ).sealed == 0  # it has swept already, and its cursor is past them
    await sealer.close()
    result = await (await ground.sealer()).seal_once()
    assert result.sealed == 2
    assert set((await ground.tree_ids())[21:]) == {str(record.event_id) for record in missed}
