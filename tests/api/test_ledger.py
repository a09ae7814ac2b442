# SPDX-License-Identifier: Apache-2.0
"""The ledger over HTTP: what payments through a running simulator post, and what nobody can do to it."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from database import Server, fresh_databases
from paying import Shop, open_shop, simulating
from service import Service, running
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import connect
from strongroom.simulator import Simulated


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def simulated(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Simulated]:
    async with simulating(tmp_path_factory.mktemp("simulator"), service) as running_:
        yield running_


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(service: Service, simulated: Simulated) -> Shop:
    """A merchant with a payment of which a part was captured and some of that given back."""
    shop = await open_shop(service, simulated)
    payment = (await shop.authorized(1_000))["id"]
    await shop.gateway.post(f"/v1/payments/{payment}/capture", {"amount": 600})
    await shop.gateway.post(f"/v1/payments/{payment}/refunds", {"amount": 250})
    await shop.captured(1_050, currency="KWD")
    return shop


async def test_the_accounts_of_each_currency_balance(shop: Shop) -> None:
    found = (await shop.gateway.get("/v1/ledger/balance")).json()
    assert found["balanced"] is True
    figures = {(each["currency"], each["account"]): each["balance"] for each in found["data"]}
    assert figures == {
        ("AED", "authorizations"): 0,
        ("AED", "holds"): 0,
        ("AED", "receivable"): 350,
        ("AED", "refunds"): 250,
        ("AED", "sales"): -600,
        ("KWD", "authorizations"): 0,
        ("KWD", "holds"): 0,
        ("KWD", "receivable"): 1_050,
        ("KWD", "sales"): -1_050,
    }


async def test_a_statement_comes_in_pages_oldest_first(shop: Shop) -> None:
    whole = (await shop.gateway.get("/v1/ledger/postings?limit=100")).json()
    moves = [(each["debit"], each["credit"], each["amount"]) for each in whole["data"]]
    assert sorted(moves) == sorted(
        [
            ("holds", "authorizations", 1_000),
            ("authorizations", "holds", 1_000),
            ("receivable", "sales", 600),
            ("refunds", "receivable", 250),
            ("holds", "authorizations", 1_050),
            ("authorizations", "holds", 1_050),
            ("receivable", "sales", 1_050),
        ]
    )
    pages, cursor = [], ""
    while True:
        page = (await shop.gateway.get(f"/v1/ledger/postings?limit=2{cursor}")).json()
        pages += page["data"]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert pages == whole["data"]
    assert [each["made_at"] for each in pages] == sorted(each["made_at"] for each in pages)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("account=refunds", 1),
        ("account=receivable", 3),
        ("currency=KWD", 3),
        ("currency=KWD&account=sales", 1),
        ("made_to=2026-01-01T00:00:00Z", 0),
        ("made_from=2026-01-01T00:00:00Z", 7),
        ("payment=pay_01KAHX3MZ4V8Q2T6N0R5W7Y9CB", 0),
    ],
)
async def test_every_filter_narrows(shop: Shop, query: str, count: int) -> None:
    found = await shop.gateway.get(f"/v1/ledger/postings?limit=100&{query}")
    assert len(found.json()["data"]) == count


@pytest.mark.parametrize(
    "query",
    [
        "cursor=nonsense",
        "cursor=2026-01-01T00:00:00Z/pay_1/x",
        "account=cash",
        "currency=aed",
        "payment=pay_1",
        "made_from=yesterday",
        "limit=0",
    ],
)
async def test_what_is_wrong_is_refused_by_name(shop: Shop, query: str) -> None:
    answer = await shop.gateway.get(f"/v1/ledger/postings?{query}")
    assert answer.status_code in (400, 422), answer.text
    assert query.partition("=")[0] in answer.text


async def test_another_merchants_books_are_not_seen(service: Service, simulated: Simulated) -> None:
    other = await open_shop(service, simulated)
    assert (await other.gateway.get("/v1/ledger/balance")).json()["data"] == []
    assert (await other.gateway.get("/v1/ledger/postings")).json()["data"] == []
    assert (await other.gateway.get("/v1/ledger/check")).json() == {
        "object": "ledger_check",
        "agrees": True,
        "data": [],
    }


@pytest.mark.parametrize("login", [Login.GATEWAY, Login.WORKER, Login.CONSOLE])
@pytest.mark.parametrize(
    "statement",
    [
        "update payments.posting set amount = amount + 1",
        "delete from payments.posting",
        "truncate payments.posting",
    ],
)
async def test_nobody_changes_or_removes_a_posting(
    service: Service, shop: Shop, statement: str, login: Login
) -> None:
    assert shop.tenant
    connection = await connect(service.databases.address(Domain.CORE, login))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_sabotage_a_balance_or_posting_that_was_changed_is_found(
    server: Server, simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """On a Strongroom of its own, by its database's superuser, whom nothing refuses."""
    folder = tmp_path_factory.mktemp("altered")
    async with fresh_databases(server) as databases, running(databases, folder) as altered:
        shop = await open_shop(altered, simulated)
        first = (await shop.captured(1_000))["id"]
        second = (await shop.authorized(700))["id"]
        assert (await shop.gateway.get("/v1/ledger/check")).json()["agrees"] is True
        for domain_statement in (
            f"update payments.payment set captured = 999 where payment_id = '{first}'",
            f"delete from payments.posting where payment_id = '{second}'",
        ):
            await databases.run(Domain.CORE, domain_statement)
        found = (await shop.gateway.get("/v1/ledger/check")).json()
        assert found["agrees"] is False
        figures = {
            each["payment"]: (each["held"], each["captured"], each["refunded"])
            for each in found["data"]
        }
        same = {"payment": 0, "ledger": 0}
        assert figures == {
            first: ({"payment": 1, "ledger": 0}, {"payment": 999, "ledger": 1_000}, same),
            second: ({"payment": 700, "ledger": 0}, same, same),
        }
