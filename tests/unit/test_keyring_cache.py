# SPDX-License-Identifier: Apache-2.0
"""How long a data key stays in clear: bounded in time, uses and number, and nothing stale is ever served."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.fakes import FakeKeyStore, MemoryDataKeyTable
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.mode import Mode
from strongroom.keys import (
    CACHE_SECONDS,
    DataKeyDestroyed,
    KeyName,
    KeyStoreUnavailable,
    Purpose,
)
from strongroom.keys.keyring import CACHE_ENTRIES, CACHE_USES, Keyring

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CARD = ("mer_1", Mode.TEST, KeyName.CARD)


class Scene:
    """A keyring with everything around it in reach."""

    def __init__(self, *, entries: int = CACHE_ENTRIES, uses: int = CACHE_USES) -> None:
        self.store = FakeKeyStore()
        self.table = MemoryDataKeyTable()
        self.clock = SteppedClock(NOW)
        self.ring = Keyring(
            self.store, self.table, self.clock, cache_entries=entries, cache_uses=uses
        )

    async def started(self) -> "Scene":
        await self.ring.start([Purpose.CARD])
        self.first = await self.ring.current(*CARD)
        self.store.calls.clear()
        return self


@pytest.fixture
async def scene() -> Scene:
    return await Scene().started()


async def until_the_store_is_asked(scene: Scene, times: int = 1) -> None:
    for _ in range(1000):  # turns of the loop, not time
        if scene.store.calls["unwrap"] >= times:
            return
        await asyncio.sleep(0)
    pytest.fail("the store was not asked")


async def forgotten(scene: Scene) -> None:
    """Let the cache run out, and hold the store's answers."""
    scene.clock.step(timedelta(seconds=CACHE_SECONDS))
    scene.store.gate.clear()


def test_the_bounds_are_what_the_documentation_says() -> None:
    assert (CACHE_ENTRIES, CACHE_SECONDS, CACHE_USES) == (10_000, 300, 1_000_000)


async def test_a_key_at_hand_costs_neither_store_nor_table(scene: Scene) -> None:
    scene.table.calls.clear()
    key = await scene.ring.current(*CARD)
    assert scene.ring.cached(*CARD) is key
    assert await scene.ring.version(*CARD, 1) is key
    assert not scene.store.calls
    assert not scene.table.calls


async def test_what_was_never_asked_for_is_not_at_hand(scene: Scene) -> None:
    assert scene.ring.cached("mer_2", Mode.TEST, KeyName.CARD) is None
    assert scene.ring.cached("mer_1", Mode.LIVE, KeyName.CARD) is None
    assert scene.ring.cached("mer_1", Mode.TEST, KeyName.FINGERPRINT) is None


async def test_a_key_runs_out_with_time(scene: Scene) -> None:
    scene.clock.step(timedelta(seconds=CACHE_SECONDS) - timedelta(microseconds=1))
    assert scene.ring.cached(*CARD) is not None
    scene.clock.step(timedelta(microseconds=1))
    assert scene.ring.cached(*CARD) is None
    await scene.ring.current(*CARD)
    assert scene.store.calls["unwrap"] == 1


async def test_using_a_key_does_not_lengthen_its_stay(scene: Scene) -> None:
    for _ in range(3):
        scene.clock.step(timedelta(seconds=CACHE_SECONDS / 3))
        at_hand = scene.ring.cached(*CARD)
    assert at_hand is None


async def test_a_clock_set_back_does_not_lengthen_its_stay() -> None:
    class Settable:
        moment = NOW

        def now(self) -> datetime:
            return self.moment

    clock = Settable()
    ring = Keyring(FakeKeyStore(), MemoryDataKeyTable(), clock)
    await ring.start([Purpose.CARD])
    await ring.current(*CARD)
    clock.moment = NOW - timedelta(seconds=1)
    assert ring.cached(*CARD) is None


@given(st.lists(st.sampled_from(["cached", "current", "version"]), max_size=60))
@settings(max_examples=100)
def test_a_key_runs_out_with_use(ways: list[str]) -> None:
    async def play() -> None:
        scene = await Scene(uses=7).started()
        served = [scene.first]
        for way in ways:
            if way == "cached":
                at_hand = scene.ring.cached(*CARD)
                served += [] if at_hand is None else [at_hand]
            elif way == "current":
                served.append(await scene.ring.current(*CARD))
            else:
                served.append(await scene.ring.version(*CARD, 1))
        uses = Counter(map(id, served))
        assert max(uses.values()) <= 7
        assert len(uses) == 1 + scene.store.calls["unwrap"]

    asyncio.run(play())


async def test_a_key_serves_as_often_as_it_may() -> None:
    scene = await Scene(uses=3).started()
    assert [scene.ring.cached(*CARD) is None for _ in range(3)] == [False, False, True]


async def test_the_number_of_keys_is_bounded_and_the_least_used_goes() -> None:
    scene = await Scene(entries=4).started()
    for merchant in ("mer_2", "mer_1", "mer_3"):  # two entries each: current, and by version
        await scene.ring.current(merchant, Mode.TEST, KeyName.CARD)
    assert scene.ring.cached("mer_2", Mode.TEST, KeyName.CARD) is None
    assert scene.ring.cached("mer_1", Mode.TEST, KeyName.CARD) is not None
    assert scene.ring.cached("mer_3", Mode.TEST, KeyName.CARD) is not None
    assert len(scene.ring._entries) == 4


# --- the store is away -------------------------------------------------------------------------------------


async def test_while_the_store_is_away_a_key_serves_until_it_runs_out_and_not_longer(
    scene: Scene,
) -> None:
    scene.store.away = True
    await scene.ring.current(*CARD)
    scene.clock.step(timedelta(seconds=CACHE_SECONDS))
    for _ in range(3):
        assert scene.ring.cached(*CARD) is None
        with pytest.raises(KeyStoreUnavailable):
            await scene.ring.current(*CARD)
        with pytest.raises(KeyStoreUnavailable):
            await scene.ring.version(*CARD, 1)
    scene.store.away = False
    await scene.ring.current(*CARD)


async def test_while_the_store_is_away_no_key_is_made(scene: Scene) -> None:
    scene.store.away = True
    rows = dict(scene.table.rows)
    with pytest.raises(KeyStoreUnavailable):
        await scene.ring.current("mer_2", Mode.TEST, KeyName.CARD)
    with pytest.raises(KeyStoreUnavailable):
        await scene.ring.rotate(*CARD)
    assert scene.table.rows == rows
    assert (await scene.ring.current(*CARD)).version == 1


# --- one flight --------------------------------------------------------------------------------------------


async def test_many_who_miss_at_once_ask_once(scene: Scene) -> None:
    await forgotten(scene)
    callers = [asyncio.create_task(scene.ring.current(*CARD)) for _ in range(50)]
    await until_the_store_is_asked(scene)
    scene.store.gate.set()
    keys = await asyncio.gather(*callers)
    assert len({id(key) for key in keys}) == 1
    assert scene.store.calls["unwrap"] == 1


async def test_two_keys_are_asked_for_side_by_side(scene: Scene) -> None:
    await scene.ring.current("mer_2", Mode.TEST, KeyName.CARD)
    scene.store.calls.clear()
    await forgotten(scene)
    callers = [
        asyncio.create_task(scene.ring.current(merchant, Mode.TEST, KeyName.CARD))
        for merchant in ("mer_1", "mer_2")
    ]
    await until_the_store_is_asked(scene, times=2)
    scene.store.gate.set()
    await asyncio.gather(*callers)


async def test_a_caller_who_gives_up_does_not_take_the_others_key_away(scene: Scene) -> None:
    await forgotten(scene)
    callers = [asyncio.create_task(scene.ring.current(*CARD)) for _ in range(3)]
    await until_the_store_is_asked(scene)
    callers[0].cancel()  # the one that began
    await asyncio.wait([callers[0]])
    scene.store.gate.set()
    assert (await callers[1]) is (await callers[2])
    assert callers[0].cancelled()
    assert scene.store.calls["unwrap"] == 1


async def test_when_every_caller_gives_up_the_key_still_arrives(scene: Scene) -> None:
    await forgotten(scene)
    caller = asyncio.create_task(scene.ring.current(*CARD))
    await until_the_store_is_asked(scene)
    caller.cancel()
    await asyncio.wait([caller])
    scene.store.gate.set()
    await scene.ring.current(*CARD)
    assert scene.store.calls["unwrap"] == 1


async def test_all_who_wait_hear_of_the_failure_and_the_next_asks_anew(scene: Scene) -> None:
    await forgotten(scene)
    callers = [asyncio.create_task(scene.ring.current(*CARD)) for _ in range(5)]
    await until_the_store_is_asked(scene)
    scene.store.away = True
    scene.store.gate.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert {type(result) for result in results} == {KeyStoreUnavailable}
    scene.store.away = False
    await scene.ring.current(*CARD)


async def test_those_who_waited_together_each_count_as_a_use() -> None:
    scene = await Scene(uses=5).started()
    await forgotten(scene)
    callers = [asyncio.create_task(scene.ring.current(*CARD)) for _ in range(4)]
    await until_the_store_is_asked(scene)
    scene.store.gate.set()
    await asyncio.gather(*callers)
    assert scene.ring.cached(*CARD) is not None  # the fifth
    assert scene.ring.cached(*CARD) is None


async def test_what_was_under_way_during_a_rotation_is_not_kept_as_current(scene: Scene) -> None:
    await forgotten(scene)
    late = asyncio.create_task(scene.ring.current(*CARD))
    await until_the_store_is_asked(scene)
    rotation = asyncio.create_task(scene.ring.rotate(*CARD))
    scene.store.gate.set()
    await asyncio.gather(late, rotation)
    assert (await scene.ring.current(*CARD)).version == 2


async def test_what_was_under_way_during_a_destruction_is_not_kept(scene: Scene) -> None:
    await forgotten(scene)
    late = asyncio.create_task(scene.ring.version(*CARD, 1))
    await until_the_store_is_asked(scene)
    await scene.ring.destroy(*CARD, 1)
    after = asyncio.create_task(scene.ring.version(*CARD, 1))
    scene.store.gate.set()
    await late  # it asked before
    with pytest.raises(DataKeyDestroyed):
        await after
    with pytest.raises(DataKeyDestroyed):
        await scene.ring.version(*CARD, 1)


async def test_a_closed_keyring_has_nothing_left(scene: Scene) -> None:
    await forgotten(scene)
    waiting = asyncio.create_task(scene.ring.current(*CARD))
    await until_the_store_is_asked(scene)
    await scene.ring.close()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert scene.ring.cached(*CARD) is None
    assert not scene.ring._entries
    assert not scene.ring._row_mac_keys
    assert not scene.ring._flights
