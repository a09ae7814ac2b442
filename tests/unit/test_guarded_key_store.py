# SPDX-License-Identifier: Apache-2.0
"""A key store that is slow, throttling or gone, behind its guard and under the real keyring, with many who ask."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from contracts.fakes import FakeKeyStore, MemoryDataKeyTable
from contracts.key_store import CONTEXT, KeyStoreContract
from strongroom.kernel.breaker import Breaker
from strongroom.kernel.clock import SteppedClock
from strongroom.keys import (
    CACHE_SECONDS,
    CannotUnwrap,
    KeyName,
    KeyStore,
    KeyStoreRefused,
    KeyStoreUnavailable,
    Purpose,
    RootDisabled,
)
from strongroom.keys.keyring import Keyring
from strongroom.keys.stores.guarded import GuardedKeyStore
from strongroom.telemetry.metrics import KeyMetrics

START = datetime(2026, 3, 1, tzinfo=UTC)


class Ground:
    """A fake store behind a guard, and a clock for both the guard and the keyring."""

    def __init__(self, **bounds: Any) -> None:
        self.registry = CollectorRegistry()
        self.clock = SteppedClock(START)
        self.fake = FakeKeyStore()
        self.store = GuardedKeyStore(
            self.fake,
            KeyMetrics(self.registry),
            breaker=Breaker(failures_to_open=3, wait_seconds=1.0, wait_seconds_max=8.0),
            now=lambda: self.clock.now().timestamp(),
            **bounds,
        )
        self.table = MemoryDataKeyTable()
        self.keyring = Keyring(self.store, self.table, self.clock)

    def step(self, seconds: float) -> None:
        self.clock.step(timedelta(seconds=seconds))

    def state(self) -> str:
        return next(
            state
            for state in ("closed", "half_open", "open")
            if self.registry.get_sample_value(
                "strongroom_key_store_breaker", {"store": "fake", "state": state}
            )
        )

    def refused(self, reason: str) -> float:
        labels = {"store": "fake", "reason": reason}
        found = self.registry.get_sample_value("strongroom_key_store_refused_total", labels)
        return found or 0.0

    async def open_breaker(self) -> None:
        self.fake.away = True
        for _ in range(3):
            with pytest.raises(KeyStoreUnavailable):
                await self.store.generate(Purpose.CARD, CONTEXT)
        assert self.state() == "open"


class TestGuardedKeyStore(KeyStoreContract):
    @pytest.fixture
    async def store(self) -> KeyStore:
        return GuardedKeyStore(FakeKeyStore(), KeyMetrics(CollectorRegistry()))


async def outcomes(*calls: Coroutine[Any, Any, Any]) -> list[str]:
    """Run all at once, and name what came of each."""
    done = await asyncio.gather(*calls, return_exceptions=True)
    return [type(each).__name__ if isinstance(each, BaseException) else "ok" for each in done]


async def test_few_calls_at_once_and_a_bounded_queue() -> None:
    ground = Ground(calls_at_once=4, waiting_max=6)
    ground.fake.gate.clear()
    calls = [asyncio.create_task(ground.store.generate(Purpose.CARD, CONTEXT)) for _ in range(30)]
    refused, _ = await asyncio.wait(calls, timeout=5, return_when=asyncio.FIRST_EXCEPTION)
    await asyncio.sleep(0)
    assert len([call for call in calls if call.done()]) == 20
    assert refused
    assert ground.fake.calls["generate"] == 4
    assert ground.refused("queue_full") == 20
    ground.fake.gate.set()
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(each, KeyStoreUnavailable) for each in found].count(True) == 20
    assert ground.fake.calls["generate"] == 10


async def test_a_slow_store_holds_nobody_longer_than_the_bound() -> None:
    ground = Ground(calls_at_once=2, waiting_max=100, call_seconds=0.05)
    ground.fake.gate.clear()
    found = await outcomes(*(ground.store.generate(Purpose.CARD, CONTEXT) for _ in range(20)))
    assert found == ["KeyStoreUnavailable"] * 20
    # Two calls that failed open the breaker; on a busy machine somebody who waited sees that first.
    assert ground.refused("too_slow") + ground.refused("breaker_open") == 20
    assert ground.refused("too_slow") >= 2


async def test_an_open_breaker_asks_nobody_and_says_when() -> None:
    ground = Ground()
    await ground.open_breaker()
    asked = ground.fake.calls.total()
    waits = []
    for _ in range(4):
        with pytest.raises(KeyStoreUnavailable) as refused:
            await ground.store.unwrap(Purpose.CARD, b"x", CONTEXT)
        assert ground.fake.calls.total() == asked
        wait = refused.value.better_after_seconds
        assert wait is not None
        waits.append(wait)
        ground.step(wait)
        with pytest.raises(KeyStoreUnavailable):  # the probe, which fails
            await ground.store.generate(Purpose.CARD, CONTEXT)
        asked += 1
    assert waits == [1, 2, 4, 8]


async def test_after_it_comes_back_one_probes_and_then_few_at_once() -> None:
    ground = Ground(calls_at_once=4, waiting_max=100)
    await ground.open_breaker()
    ground.fake.away = False
    ground.step(1)
    ground.fake.gate.clear()
    before = ground.fake.calls.total()
    crowd = [asyncio.create_task(ground.store.generate(Purpose.CARD, CONTEXT)) for _ in range(50)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert ground.fake.calls.total() == before + 1, "one probe, whoever waits"
    assert ground.state() == "half_open"
    ground.fake.gate.set()
    found = await asyncio.gather(*crowd, return_exceptions=True)
    assert len([each for each in found if not isinstance(each, Exception)]) >= 1
    assert ground.state() == "closed"
    ground.fake.gate.clear()
    crowd = [asyncio.create_task(ground.store.generate(Purpose.CARD, CONTEXT)) for _ in range(50)]
    before = ground.fake.calls.total()
    for _ in range(10):
        await asyncio.sleep(0)
    assert ground.fake.calls.total() == before + 4, "no herd behind it"
    ground.fake.gate.set()
    assert all(not isinstance(each, Exception) for each in await asyncio.gather(*crowd))


async def test_a_store_that_says_no_is_there() -> None:
    ground = Ground()
    new = await ground.store.generate(Purpose.CARD, CONTEXT)
    ground.fake.disable(Purpose.CARD)
    for _ in range(10):
        with pytest.raises(RootDisabled):
            await ground.store.generate(Purpose.CARD, CONTEXT)
    ground.fake.enable(Purpose.CARD)
    for _ in range(10):
        with pytest.raises(CannotUnwrap):
            await ground.store.unwrap(Purpose.CARD, new.wrapped, CONTEXT | {"merchant": "x"})
    assert ground.state() == "closed"
    assert issubclass(RootDisabled, KeyStoreRefused)


async def test_a_caller_that_leaves_frees_the_probe() -> None:
    ground = Ground()
    await ground.open_breaker()
    ground.fake.away = False
    ground.step(1)
    ground.fake.gate.clear()
    probe = asyncio.create_task(ground.store.generate(Purpose.CARD, CONTEXT))
    for _ in range(5):
        await asyncio.sleep(0)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    ground.fake.gate.set()
    await ground.store.generate(Purpose.CARD, CONTEXT)
    assert ground.state() == "closed"


def away(fake: FakeKeyStore) -> None:
    fake.away = True


def throttled(fake: FakeKeyStore) -> None:
    fake.throttled = True


def slow(fake: FakeKeyStore) -> None:
    fake.gate.clear()


@pytest.mark.parametrize("fail", [away, throttled, slow])
async def test_cached_keys_serve_until_they_expire_and_nothing_falls_back(
    fail: Callable[[FakeKeyStore], None],
) -> None:
    ground = Ground(call_seconds=0.05)
    await ground.keyring.start({Purpose.CARD})
    merchants = [f"mer_{number}" for number in range(20)]
    first = {
        merchant: await ground.keyring.current(merchant, "test", KeyName.CARD)
        for merchant in merchants
    }
    rows = dict(ground.table.rows)
    fail(ground.fake)
    asked = ground.fake.calls.total()
    ground.step(CACHE_SECONDS - 1)
    for merchant in merchants:
        assert await ground.keyring.current(merchant, "test", KeyName.CARD) is first[merchant]
    assert ground.fake.calls.total() == asked, "nothing was asked for what is cached"
    ground.step(1)
    for _ in range(3):
        found = await outcomes(
            *(ground.keyring.current(merchant, "test", KeyName.CARD) for merchant in merchants)
        )
        assert set(found) == {"KeyStoreUnavailable"}
    assert ground.state() == "open"
    assert ground.table.rows == rows, "no key was made that the store does not hold"
    ground.fake.away = ground.fake.throttled = False
    ground.fake.gate.set()
    ground.step(1)
    again = await ground.keyring.current(merchants[0], "test", KeyName.CARD)
    assert again.secret.expose() == first[merchants[0]].secret.expose()
    for merchant in merchants:
        await ground.keyring.current(merchant, "test", KeyName.CARD)
    await ground.keyring.close()
