# SPDX-License-Identifier: Apache-2.0
"""A key store that is gone, seen by a client: what is cached serves, then 503 with a Retry-After that holds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry

from contracts.fakes import FakeKeyStore
from database import Server, fresh_databases
from service import Service, running
from strongroom.kernel.breaker import FAILURES_TO_OPEN
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.mode import Mode
from strongroom.keys import CACHE_SECONDS
from strongroom.keys.stores.guarded import GuardedKeyStore
from strongroom.telemetry.metrics import KeyMetrics

VISA = "4242424242424242"


@asynccontextmanager
async def a_guarded_one(
    server: Server, tmp_path: Path
) -> AsyncIterator[tuple[Service, SteppedClock, FakeKeyStore]]:
    clock, store = SteppedClock(datetime.now(UTC)), FakeKeyStore()
    guarded = GuardedKeyStore(
        store, KeyMetrics(CollectorRegistry()), now=lambda: clock.now().timestamp()
    )
    async with (
        fresh_databases(server) as databases,
        running(databases, tmp_path, clock=clock, store=guarded, listens=False) as service,
    ):
        yield service, clock, store


async def test_the_wait_that_a_client_is_told_holds(server: Server, tmp_path: Path) -> None:
    async with a_guarded_one(server, tmp_path) as (service, clock, store):
        tenant = await service.tenant()
        vault = service.vault(tenant.keys[Mode.TEST])
        assert (await vault.tokenize(VISA)).status_code == 201
        store.away = True
        assert (await vault.tokenize(VISA)).status_code == 201, "its keys are open for a while"
        clock.step(timedelta(seconds=CACHE_SECONDS + 1))
        before = await service.written(tenant.merchant)
        for _ in range(FAILURES_TO_OPEN):
            assert (await vault.tokenize(VISA)).status_code == 503
        told = []
        for _ in range(4):
            answers = await asyncio.gather(*(vault.tokenize(VISA) for _ in range(30)))
            assert {answer.status_code for answer in answers} == {503}
            assert {answer.json()["code"] for answer in answers} == {"key_store_unavailable"}
            asked = store.calls.total()
            refused = await vault.tokenize(VISA)
            told.append(int(refused.headers["retry-after"]))
            assert store.calls.total() == asked, "an open breaker spares the store"
            clock.step(timedelta(seconds=told[-1]))
        assert told == sorted(told)
        assert told[-1] > told[0]
        assert await service.written(tenant.merchant) == before
        store.away = False
        answers = await asyncio.gather(*(vault.tokenize(VISA) for _ in range(30)))
        assert (await vault.tokenize(VISA)).status_code == 201
        assert 201 in {answer.status_code for answer in answers}


async def test_a_server_stands_behind_a_guard(server: Server, tmp_path: Path) -> None:
    async with fresh_databases(server) as databases, running(databases, tmp_path) as service:
        metrics = (await service.vault(None).get("/metrics")).text
        assert 'strongroom_key_store_breaker{state="closed",store="file"} 1.0' in metrics
