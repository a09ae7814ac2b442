# SPDX-License-Identifier: Apache-2.0
"""Payments over two connections while answers are lost, declined for the acquirer and refused; both sides then agree.

The seed stands in the failure: what befalls a request is drawn from it. Kills are of `test_failover_crashes` and the
long runs.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

import money
from paying import Shop, open_shop, simulating
from polling import until
from service import Service
from strongroom.db.logins import Domain
from strongroom.simulator import Fault, Simulated

PAYMENTS: Final = 60
AT_ONCE: Final = 6
SEED: Final = 16
DECLINED: Final = 402
RATES: Final = {
    Fault.ACQUIRER_AWAY: 0.2,
    Fault.BUSY: 0.12,
    Fault.CUT_BEFORE: 0.05,
    Fault.CUT_AFTER: 0.05,
    Fault.ERROR_500_AFTER: 0.05,
    Fault.WRONG_SHAPE: 0.03,
    Fault.WEBHOOK_DUPLICATE: 0.1,
    Fault.WEBHOOK_LOST: 0.1,
}
pytestmark = pytest.mark.timeout(600)  # it ends by itself; on a busy machine it takes its time


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def simulated(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Simulated]:
    async with simulating(tmp_path_factory.mktemp("simulator"), service) as running:
        yield running


async def charge(shop: Shop, number: int, draw: random.Random) -> str:
    """Ask for one payment, twice where the draw says so; return its id."""
    token = await shop.token()
    body = {
        "amount": 1_000 + number,
        "currency": "AED",
        "token": token["id"],
        "confirm": True,
        "capture_method": draw.choice(["automatic", "manual"]),
        "reference": f"order-{number}",
    }
    key = f"wish {number}"
    first = await shop.gateway.post("/v1/payments", body, idempotency=key)
    # A kept decline names the request that it was kept of, which every other answer here must not.
    if draw.random() < 0.3 and first.status_code != DECLINED:
        again = await shop.gateway.post("/v1/payments", body, idempotency=key)
        if again.status_code != 409:
            assert paid(again) == paid(first)
    assert first.status_code in (201, 202, 402), first.text
    return paid(first)


def paid(answer: httpx.Response) -> str:
    said = answer.json()
    return str(said.get("payment", said)["id"])


async def rows(shop: Shop, table: str) -> list[dict[str, Any]]:
    query = f"select * from payments.{table} where merchant_id = $1"
    found = await shop.service.look(Domain.CORE, query, shop.tenant.merchant)
    return [dict(row) for row in found]


async def test_a_payment_is_charged_once_over_two_connections_and_both_sides_agree(
    service: Service, simulated: Simulated
) -> None:
    shop = await open_shop(service, simulated)
    other = await open_shop(service, simulated, tenant=shop.tenant)
    listed = [
        {"connection": shop.connection["id"], "weight": 1},
        {"connection": other.connection["id"], "weight": 1},
    ]
    rules = {"rules": [{"name": "both", "connections": listed}]}
    assert (await shop.gateway.post("/v1/routing/rules", rules)).status_code == 201
    await simulated.control.faults(
        seed=SEED, rates={fault.value: rate for fault, rate in RATES.items()}
    )
    draw = random.Random(SEED)
    places = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> str:
        async with places:
            return await charge(shop, number, draw)

    made = await asyncio.gather(*(one(number) for number in range(PAYMENTS)))
    await simulated.control.no_faults()
    assert len(set(made)) == PAYMENTS

    async def settled() -> bool | None:
        attempts = await rows(shop, "attempt")
        return all(each["outcome"] in money.FINAL for each in attempts) or None

    await until(settled, what=f"seed {SEED}: every attempt to have its outcome", seconds=240)
    await simulated.control.until_told(seconds=120)
    payments, attempts = await rows(shop, "payment"), await rows(shop, "attempt")
    approved = {
        each["payment_id"]: each["attempt_id"]
        for each in attempts
        if each["operation"] in ("authorize", "sale") and each["outcome"] == "approved"
    }
    payments = [{**each, "authorization": approved.get(each["payment_id"])} for each in payments]
    accounts = {shop.account, other.account}
    journal = [each for each in await simulated.control.journal() if each.account in accounts]
    sums = money.sums_of(await simulated.control.books())
    found = [
        *money.doubled(attempts, journal),
        *money.live_authorizations(attempts, journal),
        *money.contradictions(attempts, journal),
        *money.unsettled(attempts, journal, ()),
        *money.impossible(payments),
        *money.differences(payments, sums),
        *money.misposted(payments, await rows(shop, "posting"), sums),
        *money.recounted(payments, attempts),
        *money.ordered_once(payments),
        *(f"discrepancy: {each['payment_id']}" for each in payments if each["discrepancy"]),
    ]
    assert not found, f"seed {SEED}: {found}"
    # Otherwise its silence says nothing.
    steps = Counter((each["step"], each["outcome"]) for each in attempts)
    assert steps[2, "approved"] > 0, steps
    assert steps[1, "declined"] + steps[1, "not_sent"] > 0, steps
    assert {each["basis"] for each in attempts} >= {"answer", "lookup"}
    assert {each["connection_id"] for each in attempts if each["step"] == 1} == {
        each["connection"] for each in listed
    }
