# SPDX-License-Identifier: Apache-2.0
"""Rotation on the real database: what is sealed moves, opens all the while, and what was destroyed opens no more."""

import asyncio
import json
from datetime import timedelta
from typing import Any, LiteralString

import pytest
import pytest_asyncio

from contracts.fakes import FakeKeyStore
from database import Databases
from polling import until
from store.rotation_ground import Ground, Process, number
from strongroom.crypto import Algorithm, Place
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.kernel.errors import Invalid
from strongroom.keys import (
    ACTIVATION,
    DataKey,
    DataKeyDestroyed,
    KeyInUse,
    KeyIsCurrent,
    KeyName,
    KeyStillServes,
    KeyVersionUnknown,
)
from strongroom.vault.errors import CannotReadCard
from strongroom.vault.work import store
from strongroom.vault.work.model import JobState

RETIRED = timedelta(minutes=10, seconds=1)


@pytest.fixture(scope="module")
def key_store() -> FakeKeyStore:
    """The roots of this module's databases."""
    return FakeKeyStore()


@pytest_asyncio.fixture(loop_scope="session")
async def ground(databases: Databases, key_store: FakeKeyStore) -> Ground:
    await databases.run(Domain.VAULT, "truncate vault.job")
    return Ground(databases, key_store)


@pytest_asyncio.fixture(loop_scope="session")
async def process(ground: Ground) -> Process:
    return await ground.process()


async def test_what_is_sealed_moves_to_the_new_version_and_opens(
    ground: Ground, process: Process
) -> None:
    tokens = await ground.fill(process, 1, 120)
    rotated = await process.rotation.rotate(ground.by, KeyName.CARD)
    assert rotated.version == 2
    new = await ground.fill(process, 200, 3)
    assert await ground.versions() == {1: 120, 2: 3}, "it seals at once"
    assert await ground.opened(process, tokens[0]) == number(1), "the older one goes on opening"
    job = await ground.done(process, rotated.job_id)
    assert job.state is JobState.DONE
    assert job.result == {"resealed": 120, "unreadable": 0}
    assert await ground.versions() == {2: 123}
    for card, token in enumerate(tokens, start=1):
        assert await ground.opened(process, token) == number(card)
    assert await ground.opened(process, new[0]) == number(200)
    rows = await ground.look(
        "select convert_from(payload, 'utf8')::jsonb ->> 'action' from audit.event where merchant_id = $1"
        " and convert_from(payload, 'utf8') !~ 'vault.token' order by xid, payload",
        ground.merchant,
    )
    assert [row[0] for row in rows] == [
        "keys.data_key.rotated",
        "vault.reseal.started",
        "vault.reseal.ended",
    ]


async def test_a_version_in_use_is_not_destroyed_and_a_destroyed_one_opens_nothing(
    ground: Ground, process: Process
) -> None:
    (token,) = await ground.fill(process, 1, 1)
    old = await ground.look("select * from vault.token where token_id = $1", token)
    with pytest.raises(KeyIsCurrent):
        await process.rotation.destroy(ground.by, KeyName.CARD, 1)
    rotated = await process.rotation.rotate(ground.by, KeyName.CARD)
    with pytest.raises(KeyStillServes):
        await process.rotation.destroy(ground.by, KeyName.CARD, 1)
    ground.clock.step(RETIRED)
    await process.keyring.look()
    with pytest.raises(KeyInUse):
        await process.rotation.destroy(ground.by, KeyName.CARD, 1)
    assert await ground.opened(process, token) == number(1)
    await ground.done(process, rotated.job_id)
    await process.rotation.destroy(ground.by, KeyName.CARD, 1)
    await process.rotation.destroy(ground.by, KeyName.CARD, 1)  # twice is once
    assert await ground.opened(process, token) == number(1)
    # A copy of the row from before, in whatever backup, opens no more.
    with pytest.raises(DataKeyDestroyed):
        await process.sealer.open_number(
            bytes(old[0]["sealed_number"]),
            mode=ground.mode,
            merchant=ground.merchant,
            token=old[0]["token_id"],
            key_version=1,
        )
    with pytest.raises(KeyVersionUnknown):
        await process.rotation.destroy(ground.by, KeyName.CARD, 9)


async def test_deleted_and_changed_rows_are_left(
    ground: Ground, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One token is deleted and another changed while a page that holds them is in the job's hands."""
    tokens = await ground.fill(process, 1, 30)
    rotated = await process.rotation.rotate(ground.by, KeyName.CARD)
    real = process.keyring.version
    meanwhile: list[str] = []

    async def version(*of: Any) -> DataKey:
        if not meanwhile:  # the page is read, and nothing is written yet
            meanwhile.append("once")
            await ground.delete(process, tokens[3])
            await ground.look(
                "update vault.token set sealed_number = '\\xabcd' where token_id = $1", tokens[4]
            )
        return await real(*of)

    monkeypatch.setattr(process.keyring, "version", version)
    job = await ground.done(process, rotated.job_id)
    assert job.result["resealed"] == 28
    assert await ground.look("select 1 from vault.token where token_id = $1", tokens[3]) == []
    ((sealed, kept),) = await ground.look(
        "select sealed_number, key_version from vault.token where token_id = $1", tokens[4]
    )
    assert (bytes(sealed), kept) == (b"\xab\xcd", 1), "it is not overwritten"


async def test_what_does_not_open_is_counted_and_keeps_its_key_alive(
    ground: Ground, process: Process
) -> None:
    tokens = await ground.fill(process, 1, 10)
    await ground.look(
        "update vault.token set sealed_number = set_byte(sealed_number, 30, 255 - get_byte(sealed_number, 30))"
        " where token_id = $1",
        tokens[4],
    )
    rotated = await process.rotation.rotate(ground.by, KeyName.CARD)
    job = await ground.done(process, rotated.job_id)
    assert (job.state, job.refused) == (JobState.DONE, 1)
    assert job.result == {"resealed": 9, "unreadable": 1}
    ground.clock.step(RETIRED)
    with pytest.raises(KeyInUse):
        await process.rotation.destroy(ground.by, KeyName.CARD, 1)
    await ground.delete(process, tokens[4])
    await process.rotation.destroy(ground.by, KeyName.CARD, 1)


@pytest.mark.parametrize("to", [Algorithm.A256GCM, Algorithm.A256CBC_HS512])
async def test_cards_move_from_one_algorithm_to_another(ground: Ground, to: Algorithm) -> None:
    first, second = (
        (Algorithm.A256CBC_HS512, Algorithm.A256GCM)
        if to is Algorithm.A256GCM
        else (Algorithm.A256GCM, Algorithm.A256CBC_HS512)
    )
    before, after = await ground.process(first), await ground.process(second)
    tokens = await ground.fill(before, 1, 60)
    assert await ground.opened(after, tokens[0]) == number(1), "both open"
    begun = await after.rotation.reseal(ground.by, KeyName.CARD)
    assert begun.version == 1, "no new version is needed"
    job = await ground.done(after, begun.job_id)
    assert job.result["resealed"] == 60
    ((bytes_,),) = await ground.look(
        "select array_agg(distinct get_byte(sealed_number, 0)) from vault.token where merchant_id = $1",
        ground.merchant,
    )
    assert bytes_ == [1 if to is Algorithm.A256CBC_HS512 else 2]
    assert await ground.opened(before, tokens[5]) == number(6)


async def test_another_process_seals_under_the_new_version_once_it_has_looked(
    ground: Ground, process: Process
) -> None:
    other = await ground.process()
    await ground.fill(process, 1, 1)
    await ground.fill(other, 2, 1)
    await process.rotation.rotate(ground.by, KeyName.CARD)
    await ground.fill(other, 3, 1)
    assert await ground.versions() == {1: 3}, "it does not know yet"
    await other.keyring.look()
    await ground.fill(other, 4, 1)
    assert await ground.versions() == {1: 3, 2: 1}


async def test_a_process_that_cannot_look_asks_each_time(ground: Ground, process: Process) -> None:
    other = await ground.process()
    await ground.fill(other, 1, 1)
    await process.rotation.rotate(ground.by, KeyName.CARD)
    ground.clock.step(timedelta(seconds=6))  # its last look is too long ago
    ground.store.away = True  # what is open already needs no key store
    other_merchants = await other.keyring.current(ground.merchant, ground.mode, KeyName.IDEMPOTENCY)
    assert other_merchants.version == 1
    ground.store.away = False
    await ground.fill(other, 2, 1)
    assert await ground.versions() == {1: 1, 2: 1}


async def test_two_rotate_at_once_and_get_the_same_version(
    ground: Ground, process: Process
) -> None:
    other = await ground.process()
    await ground.fill(process, 1, 5)
    one, two = await asyncio.gather(
        process.rotation.rotate(ground.by, KeyName.CARD),
        other.rotation.rotate(ground.by, KeyName.CARD),
    )
    assert one.version == two.version == 2
    jobs = [each.job_id for each in (one, two) if each.job_id is not None]
    assert len(jobs) == 1


async def test_two_runners_share_one_reseal(ground: Ground, process: Process) -> None:
    other = await ground.process(page_rows=7)
    tokens = await ground.fill(process, 1, 100)
    rotated = await process.rotation.rotate(ground.by, KeyName.CARD)
    runner = other.runner(turn_seconds=0.01)
    runner.start()
    job = await ground.done(process, rotated.job_id, turn_seconds=0.01)
    await runner.stop()
    assert (job.result, job.refused) == ({"resealed": 100, "unreadable": 0}, 0)
    assert await ground.versions() == {2: 100}
    assert await ground.opened(process, tokens[99]) == number(100)


async def test_a_reseal_that_was_cut_off_goes_on_where_it_was(
    ground: Ground, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process dies between what a step wrote and its commit: nothing of that step is there, and none is doubled."""
    await ground.fill(process, 1, 130)
    rotated = await process.rotation.rotate(ground.by, KeyName.CARD)
    assert rotated.job_id is not None
    saved = store.save
    steps = 0

    async def dies(*arguments: Any) -> bool:
        nonlocal steps
        steps += 1
        if steps == 2:
            raise asyncio.CancelledError
        return await saved(*arguments)

    monkeypatch.setattr(store, "save", dies)
    runner = process.runner(lanes=1)
    runner.start()

    async def cut() -> bool:
        return steps == 2

    await until(cut)
    await runner.stop()
    monkeypatch.setattr(store, "save", saved)
    assert await ground.versions() == {1: 80, 2: 50}
    ground.clock.step(timedelta(seconds=30))  # its lease ends
    job = await ground.done(process, rotated.job_id)
    assert job.result == {"resealed": 130, "unreadable": 0}
    assert await ground.versions() == {2: 130}


# --- fingerprints ----------------------------------------------------------------------------------------


def ids(*made: object) -> list[str]:
    return [str(json.loads(each.answer)["id"]) for each in made]  # type: ignore[attr-defined]


async def test_a_card_has_one_token_whatever_stage_the_rotation_is_at(
    ground: Ground, process: Process
) -> None:
    other = await ground.process()
    first = await ground.fill(process, 1, 60, deduplicate=True)
    rotated = await process.rotation.rotate(ground.by, KeyName.FINGERPRINT)
    assert await ground.fill(process, 1, 60, deduplicate=True) == first, "at once"
    # It does not know of the rotation; both write under the version before.
    early = await ground.fill(process, 100, 5, deduplicate=True)
    assert await ground.fill(other, 100, 5, deduplicate=True) == early
    late = await ground.fill(other, 110, 5, deduplicate=True)
    assert await ground.fill(process, 110, 5, deduplicate=True) == late
    ground.clock.step(timedelta(seconds=12))
    await process.keyring.look()
    await other.keyring.look()
    # Now new ones are written under the new version, and older ones are known by the one before.
    assert await ground.fill(other, 1, 60, deduplicate=True) == first
    new = await ground.fill(other, 200, 5, deduplicate=True)
    assert await ground.fill(process, 200, 5, deduplicate=True) == new
    job = await ground.done(process, rotated.job_id)
    assert job.result == {"resealed": 70, "unreadable": 0}
    for each in (process, other):
        await each.keyring.look()
        assert await ground.fill(each, 1, 60, deduplicate=True) == first
        assert await ground.fill(each, 100, 5, deduplicate=True) == early
        assert await ground.fill(each, 200, 5, deduplicate=True) == new
    rows = await ground.look(
        "select key_version, count(*) from vault.card_identity where merchant_id = $1 group by 1",
        ground.merchant,
    )
    assert [tuple(row) for row in rows] == [(2, 75)]
    ground.clock.step(RETIRED)
    await process.keyring.look()
    await process.rotation.destroy(ground.by, KeyName.FINGERPRINT, 1)
    await other.keyring.look()
    assert await ground.fill(other, 1, 60, deduplicate=True) == first
    # What is deleted takes its identity with it.
    await ground.delete(process, first[0])
    again = await ground.fill(other, 1, 1, deduplicate=True)
    assert again != first[:1]


async def test_a_card_moved_in_the_middle_of_a_race_is_made_once(
    ground: Ground, process: Process
) -> None:
    """Two processes, one before and one behind the boundary at which the new version begins to write."""
    other = await ground.process()
    await ground.fill(process, 1, 1, deduplicate=True)
    await process.rotation.rotate(ground.by, KeyName.FINGERPRINT)
    await other.keyring.look()
    ahead = await ground.process()
    ahead.sealer._clock = type(ground.clock)(ground.clock.now() + timedelta(seconds=11))
    for card in range(300, 340):
        made = await asyncio.gather(
            ground.token(other, card, deduplicate=True),
            ground.token(ahead, card, deduplicate=True),
            ground.token(process, card, deduplicate=True),
        )
        assert len(set(ids(*made))) == 1


async def test_a_request_is_known_again_after_its_key_was_rotated(
    ground: Ground, process: Process
) -> None:
    one = await ground.token(process, 1, key="order-1042")
    await process.rotation.rotate(ground.by, KeyName.IDEMPOTENCY)
    again = await ground.token(process, 1, key="order-1042")
    assert again.replayed
    assert ids(one) == ids(again)
    ground.clock.step(RETIRED)
    await process.keyring.look()
    with pytest.raises(KeyStillServes):
        await process.rotation.destroy(ground.by, KeyName.IDEMPOTENCY, 1)


@pytest.mark.parametrize(("first", "then"), [("rotates", "learns"), ("learns", "rotates")])
@pytest.mark.parametrize("seconds", [0, 4, 10])
async def test_a_request_is_known_by_a_process_that_does_not_know_of_the_rotation_yet(
    ground: Ground, process: Process, first: str, then: str, seconds: int
) -> None:
    """Nor is it refused by one that knows, when the other has taken it."""
    processes = {"rotates": process, "learns": await ground.process()}
    for each in processes.values():
        await ground.fill(each, 1, 1)
    await process.rotation.rotate(ground.by, KeyName.IDEMPOTENCY)
    if seconds:
        ground.clock.step(timedelta(seconds=seconds))
    if seconds >= ACTIVATION.total_seconds():
        for each in processes.values():
            await each.keyring.look()
    one = await ground.token(processes[first], 1, key="order-1042")
    again = await ground.token(processes[then], 1, key="order-1042")
    assert again.replayed
    assert ids(one) == ids(again)


async def test_the_inventory_says_what_is_sealed_under_what(
    ground: Ground, process: Process
) -> None:
    await ground.fill(process, 1, 7, deduplicate=True)
    await process.rotation.rotate(ground.by, KeyName.CARD)
    await ground.fill(process, 20, 2)
    found = {
        (view.row.name, view.row.version): (view.row.state.value, view.uses)
        for view in await process.rotation.inventory(ground.merchant, ground.mode)
    }
    assert found == {
        ("card", 1): ("retiring", 7),
        ("card", 2): ("active", 2),
        ("fingerprint", 1): ("active", 7),
        ("idempotency", 1): ("active", None),
    }


async def test_credentials_of_connections_and_destinations_move_too(
    ground: Ground, process: Process
) -> None:
    key = await process.keyring.current(ground.merchant, ground.mode, KeyName.CREDENTIALS)

    def sealed_for(object_id: str, field: LiteralString, version: int) -> Place:
        return Place(
            algorithm=Algorithm.A256CBC_HS512,
            mode=ground.mode,
            merchant=ground.merchant,
            object_id=object_id,
            field=field,
            key_version=version,
            purpose="credential",
        )

    sealer = key.sealer(Algorithm.A256CBC_HS512, "credential")
    connection, destination = new_id("con"), new_id("dst")
    await ground.look(
        "insert into vault.connection (merchant_id, mode, connection_id, processor, base_url, sealed_credentials,"
        " key_version, status, created_at, updated_at)"
        " values ($1, 'test', $2, 'simulator', 'https://a.example', $3, 1, 'active', now(), now())",
        ground.merchant,
        connection,
        sealer.seal(b"of a connection", sealed_for(connection, "credentials", 1)),
    )
    await ground.look(
        "insert into vault.destination (merchant_id, mode, destination_id, name, config, sealed, key_version, status,"
        " created_by, created_at, updated_at, credentials_changed_at)"
        " values ($1, 'test', $2, 'n', '{}', $3, 1, 'active', 'x', now(), now(), now())",
        ground.merchant,
        destination,
        sealer.seal(b"of a destination", sealed_for(destination, "destination", 1)),
    )
    with pytest.raises(Invalid):
        await process.rotation.rotate(ground.by, KeyName.CREDENTIALS, algorithm=Algorithm.A256GCM)
    rotated = await process.rotation.rotate(ground.by, KeyName.CREDENTIALS)
    ground.clock.step(RETIRED)
    with pytest.raises(KeyInUse):
        await process.rotation.destroy(ground.by, KeyName.CREDENTIALS, 1)
    job = await ground.done(process, rotated.job_id)
    assert job.result == {"resealed": 2, "unreadable": 0}
    assert (job.total, job.done) == (2, 2)
    await process.rotation.destroy(ground.by, KeyName.CREDENTIALS, 1)
    new = (await process.keyring.current(ground.merchant, ground.mode, KeyName.CREDENTIALS)).sealer(
        Algorithm.A256CBC_HS512, "credential"
    )
    for sql, object_id, field, clear in (
        (
            "select sealed_credentials from vault.connection where connection_id = $1",
            connection,
            "credentials",
            b"of a connection",
        ),
        (
            "select sealed from vault.destination where destination_id = $1",
            destination,
            "destination",
            b"of a destination",
        ),
    ):
        ((kept,),) = await ground.look(sql, object_id)
        # Another algorithm is for cards alone: what reads these knows one.
        assert new.open(bytes(kept), sealed_for(object_id, field, 2)) == clear


@pytest.mark.parametrize("algorithm", [*Algorithm])
async def test_a_flipped_algorithm_byte_does_not_open(ground: Ground, algorithm: Algorithm) -> None:
    process = await ground.process(algorithm)
    (token,) = await ground.fill(process, 1, 1)
    await ground.look(
        "update vault.token set sealed_number = set_byte(sealed_number, 0, 3 - get_byte(sealed_number, 0))"
        " where token_id = $1",
        token,
    )
    with pytest.raises(CannotReadCard):
        await ground.opened(process, token)
    await ground.look(
        "update vault.token set sealed_number = set_byte(sealed_number, 0, 9) where token_id = $1",
        token,
    )
    with pytest.raises(CannotReadCard):
        await ground.opened(process, token)


async def test_what_another_process_seals_in_its_last_moments_is_moved_too(
    ground: Ground, process: Process
) -> None:
    """It does not know of the rotation yet, and the job is through with all rows: it waits, and looks again."""
    other = await ground.process()
    await ground.fill(process, 1, 20)
    await ground.fill(other, 30, 1)
    rotated = await process.rotation.rotate(ground.by, KeyName.CARD)
    assert rotated.job_id is not None
    runner = process.runner()
    runner.start()

    async def through() -> bool:
        return await ground.versions() == {2: 21}

    await until(through)
    await ground.fill(other, 40, 2)
    assert await ground.versions() == {2: 21, 1: 2}
    await runner.stop()
    await ground.done(process, rotated.job_id)
    assert await ground.versions() == {2: 23}
