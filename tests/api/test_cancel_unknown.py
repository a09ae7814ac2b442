# SPDX-License-Identifier: Apache-2.0
"""A payment that is called off while nobody knows whether it was charged: to look must not be what charges it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from database import Server, fresh_databases
from paying import Shop, open_shop, simulating
from service import Service, running
from strongroom.simulator import Fault, Simulated


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ground(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Service, Simulated]]:
    """A Strongroom that does not look by itself while the test lasts."""
    folder = tmp_path_factory.mktemp("unknown")
    async with (
        fresh_databases(server) as databases,
        running(databases, folder, recovery_delays_seconds=(3_600,)) as service,
        simulating(folder / "simulator", service) as simulated,
    ):
        yield service, simulated


async def lost(shop: Shop, **more: Any) -> str:
    """A payment whose request never arrived, which nobody here knows."""
    await shop.simulated.control.demand(Fault.CUT_BEFORE, "authorize")
    answer = await shop.pay(**more)
    assert (answer.status_code, answer.json()["status"]) == (202, "processing"), answer.text
    return str(answer.json()["id"])


async def test_a_sale_is_not_made_by_calling_it_off(ground: tuple[Service, Simulated]) -> None:
    """Its replay would be its first arrival."""
    shop = await open_shop(*ground, notices=False, finding="by_replay")
    payment = await lost(shop)
    answer = await shop.gateway.post(f"/v1/payments/{payment}/cancel", {})
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_unresolved")
    assert await shop.happened(payment) == []


async def test_a_hold_is_looked_for_and_let_go(ground: tuple[Service, Simulated]) -> None:
    """Nothing is taken by it: what the replay holds is released at once."""
    shop = await open_shop(*ground, notices=False, finding="by_replay")
    payment = await lost(shop, capture_method="manual")
    answer = await shop.gateway.post(f"/v1/payments/{payment}/cancel", {})
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled"), answer.text
    assert [each.kind for each in await shop.happened(payment)] == ["authorized", "voided"]
