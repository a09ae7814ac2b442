# SPDX-License-Identifier: Apache-2.0
"""A whole Strongroom whose roots are in a token: cards go in under load, across a lost session and a newer root."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry

from contracts.soft_hsm import new_token
from database import Server, fresh_databases
from service import running
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.mode import Mode
from strongroom.keys import CACHE_SECONDS, Purpose
from strongroom.keys.stores.guarded import GuardedKeyStore
from strongroom.keys.stores.pkcs11 import Pkcs11KeyStore
from strongroom.telemetry.metrics import KeyMetrics

VISA = "4242424242424242"


async def test_cards_are_kept_under_roots_that_never_leave_the_token(
    server: Server, tmp_path: Path
) -> None:
    token, clock = new_token(), SteppedClock(datetime.now(UTC))
    store = await Pkcs11KeyStore.open(token.place, token.pin)
    await store.make_roots(Purpose, clock.now())
    guarded = GuardedKeyStore(store, KeyMetrics(CollectorRegistry()))
    async with (
        fresh_databases(server) as databases,
        running(databases, tmp_path, clock=clock, store=guarded, listens=False) as service,
    ):
        tenants = [await service.tenant() for _ in range(3)]
        vaults = [service.vault(tenant.keys[Mode.TEST]) for tenant in tenants]

        async def cards_go_in() -> None:
            answers = await asyncio.gather(
                *(vault.tokenize(VISA, "123") for vault in vaults for _ in range(10))
            )
            assert {answer.status_code for answer in answers} == {201}

        await cards_go_in()
        clock.step(timedelta(seconds=CACHE_SECONDS + 1))
        store._session._session.close()  # type: ignore[union-attr]
        await cards_go_in()
        clock.step(timedelta(seconds=CACHE_SECONDS + 1))
        await store.make_roots({Purpose.CARD}, clock.now(), next_version=True)
        await cards_go_in()
        ready = await service.vault(None).get("/readyz")
        assert ready.json()["checks"]["key_store"] == "ok"
    await store.close()
