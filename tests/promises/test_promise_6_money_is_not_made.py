# SPDX-License-Identifier: Apache-2.0
"""Promise 6: money cannot be made."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from database import Server, fresh_databases
from money import (
    contradictions,
    differences,
    doubled,
    impossible,
    misposted,
    overasked,
    refused,
    sums_of,
)
from paying import Shop, open_shop, simulating
from service import Service, running
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import connect
from strongroom.kernel.mode import Mode
from strongroom.payments.model import Payment
from strongroom.simulator import Fault, Simulated

ROUNDS = 3
AT_ONCE = 200
PART: dict[str, Any] = {"amount": 200, "final_capture": False}

PAYMENTS = """
select p.*, (select a.attempt_id from payments.attempt a
              where a.merchant_id = p.merchant_id and a.payment_id = p.payment_id
                and a.operation in ('authorize', 'sale') and a.outcome = 'approved') as authorization
  from payments.payment p where p.merchant_id = $1
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def simulated(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Simulated]:
    async with simulating(tmp_path_factory.mktemp("simulator"), service) as running_:
        yield running_


async def payments_of(shop: Shop) -> list[dict[str, Any]]:
    found = await shop.service.look(Domain.CORE, PAYMENTS, shop.tenant.merchant)
    return [dict(row) for row in found]


async def made(shop: Shop) -> list[str]:
    """Say where money was made, or where our books are not the processor's."""
    journal = await shop.simulated.control.journal(account=shop.account)
    sums = sums_of(await shop.simulated.control.books(account=shop.account))
    attempts = [
        dict(row)
        for row in await shop.service.look(
            Domain.CORE,
            "select * from payments.attempt where merchant_id = $1",
            shop.tenant.merchant,
        )
    ]
    postings = await shop.service.look(
        Domain.CORE, "select * from payments.posting where merchant_id = $1", shop.tenant.merchant
    )
    payments = await payments_of(shop)
    return [
        *impossible(payments),
        *overasked(payments, attempts),
        *differences(payments, sums),
        *misposted(payments, map(dict, postings), sums),
        *refused(sums),
        *doubled(attempts, journal),
        *contradictions(attempts, journal),
        *(f"still open: {each['attempt_id']}" for each in attempts if each["outcome"] is None),
    ]


def storm(seed: int, payment: str) -> list[tuple[str, dict[str, Any]]]:
    """Two hundred wishes on one payment, of which far more than fits is asked for."""
    chance = random.Random(seed)
    wanted: list[tuple[str, dict[str, Any]]] = []
    for _ in range(AT_ONCE):
        dice = chance.random()
        if dice < 0.5:
            body = {"amount": chance.randint(1, 90), "final_capture": chance.random() < 0.02}
            wanted.append((f"/v1/payments/{payment}/capture", body))
        elif dice < 0.6:
            wanted.append((f"/v1/payments/{payment}/increment", {"amount": chance.randint(1, 90)}))
        elif dice < 0.95:
            wanted.append((f"/v1/payments/{payment}/refunds", {"amount": chance.randint(1, 60)}))
        else:
            wanted.append((f"/v1/payments/{payment}/cancel", {}))
    return wanted


@pytest.mark.parametrize("estimated", [False, True])
@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_two_hundred_captures_refunds_voids_and_increments_at_once(
    service: Service, simulated: Simulated, seed: int, *, estimated: bool
) -> None:
    """On one payment, all at once: what does not fit is refused, sums hold, and both books are the same."""
    shop = await open_shop(service, simulated)
    payment = (await shop.authorized(1_000, estimated=estimated))["id"]
    first = ("increment", {"amount": 77}) if estimated else ("capture", PART)
    await shop.gateway.post(f"/v1/payments/{payment}/{first[0]}", first[1])
    answers = await asyncio.gather(
        *(shop.gateway.post(path, body) for path, body in storm(seed, payment))
    )
    statuses = {answer.status_code for answer in answers}
    assert statuses <= {200, 201, 402, 409, 422}, statuses
    assert 422 in statuses or 409 in statuses, "more was asked for than there is"
    await shop.until_settled(payment)
    assert not await made(shop)


async def test_two_processes_at_once(
    service: Service, simulated: Simulated, server: Server, tmp_path: Path
) -> None:
    """The same from two processes that share nothing but the database: neither sees the other's wishes coming."""
    async with (
        fresh_databases(server) as databases,
        running(databases, tmp_path) as first,
        running(databases, tmp_path) as second,
    ):
        shop = await open_shop(first, simulated)
        payment = (await shop.authorized(1_000, estimated=True))["id"]
        key = shop.tenant.keys[Mode.TEST]
        callers = [first.gateway(key), second.gateway(key)]
        answers = await asyncio.gather(
            *(
                callers[at % 2].post(path, body)
                for at, (path, body) in enumerate(storm(99, payment)[:80])
            )
        )
        assert {answer.status_code for answer in answers} <= {200, 201, 402, 409, 422, 503}
        await shop.until_settled(payment)
        assert not await made(shop)


REFUSED = [
    ("capturing = 1001", "reservation_beyond_authorized"),
    ("capturing = 600, voiding = 401", "reservation_beyond_authorized"),
    ("captured = 600, capturing = 401", "reservation_beyond_authorized"),
    ("captured = 500, refunding = 501", "reservation_beyond_captured"),
    ("captured = 500, disputed = 100, refunding = 401", "reservation_beyond_captured"),
    ("captured = 1001", "money_is_not_made_capturing"),
    ("captured = 100, refunded = 101", "money_is_not_made_refunding"),
    ("captured = 500, disputed = 400, refunded = 101", "money_is_not_made_refunding"),
    ("captured = 500, disputed = 501", "money_is_not_made_refunding"),
    ("authorized = 1001", "money_is_not_made_authorizing"),
    ("authorized = 1501, incremented = 500", "money_is_not_made_authorizing"),
    ("captured = 1, incrementing = 1", "increment_beside_others"),
    ("voided = 1, incrementing = 1", "increment_beside_others"),
    ("capturing = 1, incrementing = 1", "increment_beside_others"),
    ("voiding = 1, incrementing = 1", "increment_beside_others"),
    ("authorized = 0, incrementing = 1", "increment_beside_others"),
    ("incrementing = -1", "payment_incrementing_check"),
    ("voiding = -1", "payment_voiding_check"),
]


async def a_payment(service: Service, simulated: Simulated) -> tuple[Shop, str]:
    shop = await open_shop(service, simulated)
    return shop, str((await shop.authorized(1_000))["id"])


async def changed(shop: Shop, payment: str, change: str, login: Login = Login.GATEWAY) -> str:
    """Write a balance as a login of ours; return the constraint that refused, or nothing. Rolled back."""
    connection = await connect(shop.service.databases.address(Domain.CORE, login))
    try:
        running_ = connection.transaction()
        await running_.start()
        await connection.execute(
            "select set_config('strongroom.merchants', $1, true)", shop.tenant.merchant
        )
        try:
            done = await connection.execute(
                f"update payments.payment set {change} where payment_id = $1", payment
            )
        except asyncpg.CheckViolationError as error:
            return str(error.constraint_name)
        assert done == "UPDATE 1"
        return ""
    finally:
        await connection.close()


@pytest.mark.parametrize("login", [Login.GATEWAY, Login.WORKER])
@pytest.mark.parametrize(("change", "constraint"), REFUSED)
async def test_the_database_refuses_what_would_make_money(
    service: Service, simulated: Simulated, change: str, constraint: str, login: Login
) -> None:
    """Each login, each balance beyond what is left: the database says no, whatever the program thinks."""
    shop, payment = await a_payment(service, simulated)
    assert await changed(shop, payment, change, login) == constraint


async def test_a_discrepancy_opens_no_door_for_wishes(
    service: Service, simulated: Simulated
) -> None:
    """Where a report broke the sums, a reservation is still bounded by what is left: only reports pass."""
    shop, payment = await a_payment(service, simulated)
    assert not await changed(shop, payment, "captured = 1001, discrepancy = true")
    for more in ("capturing = 1", "voiding = 1"):
        change = f"captured = 1001, discrepancy = true, {more}"
        assert await changed(shop, payment, change) == "reservation_beyond_authorized"


async def test_what_a_processor_reports_is_recorded_and_alerted(
    service: Service, simulated: Simulated
) -> None:
    """A capture that fails days after it was approved: recorded, told to the merchant, and the amount is left again."""
    shop = await open_shop(service, simulated)
    payment = (await shop.authorized(1_000))["id"]
    await shop.gateway.post(f"/v1/payments/{payment}/capture", {})
    attempt = next(e for e in await shop.attempts(payment) if e["operation"] == "capture")
    await simulated.control.happen("capture_failed", attempt["id"])
    found = await shop.until_status(payment, "requires_capture")
    assert found["balances"]["captured"] == 0
    assert found["balances"]["capturable"] == 1_000
    assert "payment.capture_failed" in await shop.events(payment)


@pytest_asyncio.fixture(loop_scope="session")
async def spoilt(
    server: Server, simulated: Simulated, tmp_path: Path
) -> AsyncIterator[tuple[Service, Simulated]]:
    """A Strongroom of its own, to be broken."""
    async with fresh_databases(server) as databases, running(databases, tmp_path) as broken:
        yield broken, simulated


NO_DATABASE_GUARD = (
    "drop trigger reservations on payments.payment",
    "alter table payments.payment drop constraint money_is_not_made_refunding",
    "alter table payments.payment drop constraint money_is_not_made_capturing",
)


async def over_refunded(shop: Shop, payment: str) -> list[str]:
    """Ask for twice what there is, and check."""
    for _ in range(2):
        await shop.gateway.post(f"/v1/payments/{payment}/refunds", {"amount": 1_000})
    await shop.until_settled(payment)
    return await made(shop)


async def test_the_database_holds_where_the_program_forgets_to_count(
    spoilt: tuple[Service, Simulated], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decision that allows any refund: the database refuses the second one, and no processor is asked."""
    service, simulated = spoilt
    shop = await open_shop(service, simulated)
    payment = (await shop.captured(1_000))["id"]
    monkeypatch.setattr(Payment, "refundable", property(lambda _: 10**9))
    assert not await over_refunded(shop, payment)


async def test_sabotage_with_both_guards_gone_it_is_noticed(
    spoilt: tuple[Service, Simulated], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decision and the database both forget: the same check finds money asked for that is not there."""
    service, simulated = spoilt
    await service.databases.run(Domain.CORE, *NO_DATABASE_GUARD)
    shop = await open_shop(service, simulated)
    payment = (await shop.captured(1_000))["id"]
    monkeypatch.setattr(Payment, "refundable", property(lambda _: 10**9))
    await simulated.control.demand(Fault.CUT_BEFORE, "refund", times=2)
    await shop.gateway.post(f"/v1/payments/{payment}/refunds", {"amount": 1_000})
    await shop.gateway.post(f"/v1/payments/{payment}/refunds", {"amount": 1_000})
    assert any("asked back" in each for each in await made(shop))
