# SPDX-License-Identifier: Apache-2.0
"""The plans of searches and lists over many rows, as the vault's login sees them: by an index, or a bounded look."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

import pytest
import pytest_asyncio

from database import Databases
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database
from strongroom.db.queries import Query, load_queries
from strongroom.vault.writes import QUERIES as VAULT

SEARCH: Final = load_queries("strongroom.vault.search")
ROWS: Final = 120_000
MERCHANT: Final = "mer_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
NOW: Final = datetime(2026, 11, 26, tzinfo=UTC)
CONTAINERS: Final = ["cards", "default"]
#: Half of the rows are a neighbour's; one in ten stands in a container of its own.
_FILL: Final = """
insert into vault.token (merchant_id, mode, token_id, sealed_number, key_version, brand, bin, last4, exp_month,
                         exp_year, single_use, created_by, created_at, metadata, container)
select case when n % 2 = 0 then '{merchant}' else 'mer_01KAHX3MZ4V8Q2T6N0R5W7Y9CC' end, 'test',
       'tok_' || lpad(upper(to_hex(n)), 26, '0'), decode(repeat('00', 81), 'hex'), 1, 'visa',
       lpad((400000 + n % 40)::text, 6, '0'), lpad((n * 7919 % 10000)::text, 4, '0'), 1 + n % 12, 2027 + n % 6,
       false, 'key', now(), jsonb_build_object('customer', n::text),
       case when n % 20 = 0 then 'cards' else 'default' end
  from generate_series(1, {rows}) n
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def filled(databases: Databases) -> AsyncIterator[Database]:
    fill = _FILL.format(merchant=MERCHANT, rows=ROWS)
    await databases.run(Domain.VAULT, fill, "vacuum analyze vault.token")
    yield await databases.open(Domain.VAULT, Login.VAULT, connections_max=1)


async def plan(
    database: Database, query: Query, *values: object, walks: bool = False
) -> dict[str, Any]:
    """What the server did, as a plan that knows no values, which is the worst that it may choose."""
    async with database.connection() as connection:
        running = connection.transaction()
        await running.start()
        try:
            await connection.execute(
                "select set_config('strongroom.merchants', $1, true)", MERCHANT
            )
            await connection.execute("set local plan_cache_mode = force_generic_plan")
            if walks:
                await connection.execute(SEARCH["walk_indexes"].text)
            (row,) = await connection.fetch(
                f"explain (analyze, buffers, format json) {query.text}", *values
            )
        finally:
            await running.rollback()
    found = json.loads(row[0])[0]["Plan"]
    assert isinstance(found, dict)
    return found


def scans(node: dict[str, Any]) -> list[dict[str, Any]]:
    """Every scan of `vault.token` in a plan."""
    found = [node] if node.get("Relation Name") == "token" else []
    for child in node.get("Plans", ()):
        found += scans(child)
    return found


def indexes(node: dict[str, Any]) -> set[str]:
    """The indexes that a scan reads, at whatever depth the plan names them."""
    found = {node["Index Name"]} if "Index Name" in node else set()
    for child in node.get("Plans", ()):
        found |= indexes(child)
    return found


def looked_at(node: dict[str, Any]) -> int:
    """How many rows a scan read, those that it dropped included."""
    loops = int(node["Actual Loops"])
    return loops * (
        int(node["Actual Rows"])
        + int(node.get("Rows Removed by Filter", 0))
        + int(node.get("Rows Removed by Index Recheck", 0))
    )


def asked(**more: object) -> list[object]:
    """The parameters that every search takes; what is not said is not asked for."""
    given: dict[str, object] = {
        "merchant": MERCHANT,
        "mode": "test",
        "before": "tok_~",
        "now": NOW,
        "limit": 21,
        "containers": CONTAINERS,
        "last4": None,
        "bin": None,
        "brand": None,
        "from": None,
        "to": None,
        "metadata": None,
    }
    return list({**given, **more}.values())


async def test_the_last_four_are_found_by_their_index(filled: Database) -> None:
    found = await plan(filled, SEARCH["by_last4"], *asked(last4="1234"))
    (scan,) = scans(found)
    assert "Seq Scan" not in scan["Node Type"]
    assert indexes(scan) == {"token_last4"}
    assert looked_at(scan) <= ROWS / 10_000 * 2


@pytest.mark.parametrize(
    "what",
    [
        {"bin": "400002"},
        {"to": 2027 * 12 + 6},
        {"metadata": '{"customer":"2"}'},
        {"brand": "mir"},
    ],
)
async def test_a_look_reads_no_more_than_its_bound(filled: Database, what: dict[str, Any]) -> None:
    bound = 5_000
    until = await plan(
        filled, SEARCH["look_until"], MERCHANT, "test", "tok_~", bound - 1, walks=True
    )
    (scan,) = scans(until)
    assert scan["Index Name"] == "token_pkey"
    assert looked_at(scan) <= bound
    async with filled.transaction([MERCHANT]) as read:  # type: ignore[list-item]  # a text
        row = await read.row(SEARCH["look_until"], MERCHANT, "test", "tok_~", bound - 1)
    assert row is not None
    found = await plan(filled, SEARCH["by_looking"], *asked(**what), row["token_id"], walks=True)
    (scan,) = scans(found)
    assert "Seq Scan" not in scan["Node Type"]
    assert looked_at(scan) <= bound


async def test_a_look_inside_a_container_reads_that_container(filled: Database) -> None:
    values = (MERCHANT, "test", "tok_~", 999, "cards")
    until = await plan(filled, SEARCH["look_inside_until"], *values, walks=True)
    (scan,) = scans(until)
    assert scan["Index Name"] == "token_contained"
    assert looked_at(scan) <= 1_000
    rest = asked(bin="400002")
    found = await plan(filled, SEARCH["by_looking_inside"], *rest, "tok_", "cards", walks=True)
    (scan,) = scans(found)
    assert looked_at(scan) <= ROWS / 20


async def test_a_list_reads_a_page_of_each_container(filled: Database) -> None:
    page = (MERCHANT, "test", "tok_~", NOW, 21)
    found = await plan(filled, VAULT["list_tokens"], *page, CONTAINERS)
    (scan,) = scans(found)
    assert scan["Index Name"] == "token_pkey"
    assert looked_at(scan) <= 50
    found = await plan(filled, VAULT["list_contained"], *page, ["cards", "other"])
    assert sum(looked_at(each) for each in scans(found)) <= 50


async def test_an_alias_is_found_by_its_index(filled: Database) -> None:
    found = await plan(filled, VAULT["token_of_alias"], MERCHANT, "test", "9930518846214242")
    (scan,) = scans(found)
    assert scan["Index Name"] == "token_pan_alias"
