# SPDX-License-Identifier: Apache-2.0
"""Exports and proofs from a real database: what the offline verifiers then believe, and what is never written."""

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from database import Server
from store.audit_ground import MERCHANT, ORIGIN, OTHER, Ground, grounded
from strongroom.audit import Action, ExportRefused, TreeDamaged
from strongroom.audit.errors import NotSealedYet
from strongroom.audit.exporting import PAGE_RECORDS, Exporter
from strongroom.audit.merkle import verify_consistency
from strongroom.audit.proofs import Proofs
from strongroom.audit.record import decode
from strongroom.audit.store import checkpoints, latest_checkpoint
from strongroom.audit.verify import verify_export
from strongroom.audit.verify_bundle import verify_bundle
from strongroom.db.logins import Domain, Login


@pytest_asyncio.fixture(loop_scope="session")
async def ground(server: Server, tmp_path: Path) -> AsyncIterator[Ground]:
    async with grounded(server, tmp_path) as made:
        yield made


async def exporter(ground: Ground) -> Exporter:
    database = await ground.databases.open(Domain.VAULT, Login.SEALER)
    return Exporter(database, ground.keyring, ground.clock, tree="vault", origin=ORIGIN)


async def test_the_whole_tree_verifies_offline(ground: Ground, tmp_path: Path) -> None:
    sealer = await ground.sealer()
    for count in (5, PAGE_RECORDS + 700, 1):
        await ground.many(count)
        await ground.record(2, OTHER)
        await sealer.seal_once()
    told: list[tuple[int, int]] = []
    done = await (await exporter(ground)).export_tree(
        tmp_path / "export", progress=lambda *numbers: told.append(numbers)
    )
    verified = verify_export(tmp_path / "export", done.keys, origin=ORIGIN)
    assert verified.head.size == done.head.size == await ground.value("select size from audit.tree")
    assert verified.checkpoints == await ground.value("select count(*) from audit.checkpoint")
    assert told[-1] == (done.head.size, done.head.size)
    assert [each for each, _ in told] == sorted(each for each, _ in told)


async def test_an_export_is_on_record_before_it_is_made(ground: Ground, tmp_path: Path) -> None:
    await (await ground.sealer()).seal_once()
    (tmp_path / "there").mkdir()
    with pytest.raises(ExportRefused):
        await (await exporter(ground)).export_tree(tmp_path / "there", actor="operator")
    payload = await ground.value("select payload from audit.event order by event_id desc limit 1")
    record = decode(payload)
    assert (record.action, record.actor) == (Action.AUDIT_RECORD_EXPORTED, "operator")
    assert record.details["size"] == 1


async def test_a_tenants_bundle_verifies_and_holds_all_of_it_and_nothing_else(
    ground: Ground, tmp_path: Path
) -> None:
    sealer = await ground.sealer()
    mine = []
    for _ in range(4):
        mine += await ground.record(30)
        await ground.many(200, OTHER)
        await sealer.seal_once()
    await ground.record(3)  # not sealed yet
    done = await (await exporter(ground)).export_tenant(tmp_path / "bundle", MERCHANT)
    verified = verify_bundle(tmp_path / "bundle", done.keys, origin=ORIGIN)
    assert verified.manifest.records == len(mine)
    lines = (tmp_path / "bundle" / "records.jsonl").read_bytes().splitlines()
    assert {decode(line).event_id for line in lines} == {record.event_id for record in mine}


async def test_nothing_is_exported_before_something_is_signed(
    ground: Ground, tmp_path: Path
) -> None:
    with pytest.raises(NotSealedYet):
        await (await exporter(ground)).export_tree(tmp_path / "export")


@pytest.mark.parametrize(
    "change",
    ["payload = replace(convert_from(payload, 'UTF8'), 'created', 'deleted')::bytea", None],
    ids=["an altered record", "a missing record"],
)
async def test_what_is_not_the_trees_is_not_exported(
    ground: Ground, tmp_path: Path, change: str | None
) -> None:
    sealer = await ground.sealer()
    await ground.many(30)
    (record,) = await ground.record()
    await sealer.seal_once()
    if change:
        await ground.alter(record.event_id, change)
    else:
        await ground.as_superuser(f"delete from audit.event where event_id = '{record.event_id}'")
    with pytest.raises(TreeDamaged):
        await (await exporter(ground)).export_tree(tmp_path / "export")
    assert sorted(os.listdir(tmp_path)) == ["sink"]


async def test_a_restarted_trees_export_is_that_of_its_present_origin(
    ground: Ground, tmp_path: Path
) -> None:
    sealer = await ground.sealer()
    await ground.many(20)
    await sealer.seal_once()
    await sealer.close()
    # The sink has a later head than the database: a key of ours signed it.
    other = await ground.sealer()
    await ground.many(5)
    await other.seal_once()
    await other.close()
    await ground.as_superuser(
        "delete from audit.checkpoint", "delete from audit.tile", "delete from audit.tree"
    )
    restarted = await ground.sealer()
    result = await restarted.restart_tree("tree_was_lost")
    done = await (await exporter(ground)).export_tree(tmp_path / "export")
    verified = verify_export(tmp_path / "export", done.keys, origin=f"{ORIGIN}/2")
    assert (verified.head.size, verified.head.root) == (result.size, result.root)


async def test_every_head_is_proved_to_extend_every_older_one(ground: Ground) -> None:
    sealer = await ground.sealer()
    for count in (1, 2, 253, 1, 300, 7):
        await ground.many(count)
        ground.stepped.step(timedelta(seconds=1))
        await sealer.seal_once()
    proofs = Proofs(ground.app)
    async with ground.app.transaction() as read:
        heads = await checkpoints(read, ORIGIN, -1, 100)
    for old in heads:
        for new in heads:
            if old.size > new.size:
                continue
            proof = await proofs.consistency(old, new)
            verify_consistency(
                old=old.size,
                new=new.size,
                old_root=old.root,
                new_root=new.root,
                proof=proof.hashes,
            )
            lines = proof.encode().split(b"\n")
            assert lines[0] == b"old %d" % old.size
            assert lines[1 + len(proof.hashes)] == b""
            assert proof.encode().endswith(new.note)


async def test_a_damaged_tile_gives_no_proof(ground: Ground) -> None:
    sealer = await ground.sealer()
    await ground.many(300)
    await sealer.seal_once()
    async with ground.app.transaction() as read:
        head = await latest_checkpoint(read)
    assert head is not None
    leaf = await ground.value(
        "select substring(hashes for 32) from audit.tile where level = 0 and n = 0"
    )
    proofs = Proofs(ground.app)
    assert (await proofs.inclusion(0, leaf, head)).index == 0
    with pytest.raises(TreeDamaged):
        await proofs.inclusion(1, leaf, head)
    await ground.as_superuser("update audit.tile set hashes = sha256(hashes) where level = 1")
    with pytest.raises(TreeDamaged):
        await Proofs(ground.app).inclusion(299, leaf, head)
