# SPDX-License-Identifier: Apache-2.0
"""Reconciliation over HTTP: a report of real payments is sent in parts, compared by a worker, read and downloaded."""

import csv
import hashlib
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from paying import Shop, open_shop, simulating
from polling import until
from service import Service
from store.settlement_ground import major, written
from strongroom.simulator import Simulated


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def simulated(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Simulated]:
    async with simulating(tmp_path_factory.mktemp("simulator"), service) as running_:
        yield running_


def row(attempt: str, minor: int, kind: str = "capture") -> dict[str, str]:
    return {
        "kind": kind,
        "booked_at": "2026-11-20T09:30:00Z",
        "currency": "AED",
        "gross": major(minor),
        "fee": "0",
        "net": major(minor),
        "our_reference": attempt,
        "batch": "=cmd",
    }


async def compared(
    shop: Shop, content: bytes, part: int = 250, *, said: bytes = b"", **more: Any
) -> dict[str, Any]:
    """Send a report as a client does, said to be another where `said` is given, and wait for the worker."""
    sha256 = hashlib.sha256(said or content).hexdigest()
    wish = {"connection": shop.connection["id"], "sha256": sha256}
    at = (await shop.gateway.post("/v1/reconciliations", {**wish, **more})).json()
    path = f"/v1/reconciliations/{at['id']}"
    while at["state"] == "open":
        sent = content[at["offset"] : at["offset"] + part]
        last = str(at["offset"] + len(sent) == len(content)).lower()
        answer = await shop.gateway.send(
            "PUT", f"{path}/content?offset={at['offset']}&last={last}", content=sent
        )
        assert answer.status_code == 200, answer.text
        at = answer.json()

    async def look() -> dict[str, Any] | None:
        found = (await shop.gateway.get(path)).json()
        return None if found["state"] == "received" else dict(found)

    return await until(look, what="the report to be compared")


async def test_a_report_of_payments_is_compared_by_the_worker(
    service: Service, simulated: Simulated
) -> None:
    shop = await open_shop(service, simulated)
    payments = [(await shop.captured(amount))["id"] for amount in (1_000, 2_000, 3_000)]
    refund = await shop.gateway.post(f"/v1/payments/{payments[0]}/refunds", {"amount": 400})
    assert refund.status_code == 201, refund.text
    attempts = {
        (payment, each["operation"]): each["id"]
        for payment in payments
        for each in await shop.attempts(payment)
    }
    rows = [
        row(attempts[payments[0], "sale"], 1_000),
        row(attempts[payments[0], "refund"], -400, "refund"),
        row(attempts[payments[1], "sale"], 1_999),
    ]
    period = {"from": "2026-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z"}
    found = await compared(shop, written(rows), period=period)
    assert (found["state"], found["agrees"], found["lines"]) == ("done", False, 3)
    counts = {name: count for name, count in found["counts"].items() if count}
    assert counts == {"matched": 2, "amount_differs": 1, "missing_there": 1}
    assert found["period"] == {
        "from": "2026-01-01T00:00:00.000000Z",
        "to": "2099-01-01T00:00:00.000000Z",
    }
    path = f"/v1/reconciliations/{found['id']}"
    first = (await shop.gateway.get(f"{path}/lines?differing=true&limit=1")).json()
    assert first["has_more"]
    second = (
        await shop.gateway.get(f"{path}/lines?differing=true&cursor={first['next_cursor']}")
    ).json()
    assert [each["payment"] for each in (*first["data"], *second["data"])] == payments[1:]
    assert second["has_more"] is False
    download = await shop.gateway.get(f"{path}/csv")
    assert download.headers["content-type"] == "text/csv; charset=utf-8"
    assert "strongroom-next" not in download.headers
    lines = list(csv.DictReader(io.StringIO(download.text, newline=""), strict=True))
    assert [each["result"] for each in lines] == [
        "matched",
        "matched",
        "amount_differs",
        "missing_there",
    ]
    assert lines[0]["batch"] == "'=cmd"
    events = await shop.gateway.get("/v1/events?limit=100")
    told = [each for each in events.json()["data"] if each["type"] == "reconciliation.differed"]
    assert [each["data"]["reconciliation"]["id"] for each in told] == [found["id"]]
    records = (await shop.gateway.get("/v1/audit/records?limit=100")).json()["data"]
    made = [each["record"] for each in records]
    (ended,) = [each for each in made if each["action"] == "payments.reconciliation.ended"]
    assert ended["details"] == {
        "digest": hashlib.sha256(written(rows)).hexdigest(),
        "lines": 3,
        "matched": 2,
        "amount_differs": 1,
        "missing_there": 1,
        "currency_differs": 0,
        "doubled": 0,
        "kept": 0,
        "missing_here": 0,
    }


async def test_a_card_number_ends_a_report_and_is_kept_nowhere(
    service: Service, simulated: Simulated
) -> None:
    shop = await open_shop(service, simulated)
    content = written([{**row("att_1", 1), "batch": "4242424242424242"}])
    wish = {"connection": shop.connection["id"], "sha256": hashlib.sha256(content).hexdigest()}
    begun = (await shop.gateway.post("/v1/reconciliations", wish)).json()
    answer = await shop.gateway.send(
        "PUT", f"/v1/reconciliations/{begun['id']}/content?last=true", content=content
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "report_not_taken")
    assert "4242" not in answer.text
    shown = (await shop.gateway.get(f"/v1/reconciliations/{begun['id']}")).json()
    assert (shown["state"], shown["offset"]) == ("failed", 0)
    assert shown["problem"] == 'line 2, column "batch": holds what looks like a card number'


async def test_a_report_that_agrees_and_one_that_is_another_are_told(
    service: Service, simulated: Simulated
) -> None:
    shop = await open_shop(service, simulated)
    payment = (await shop.captured(1_000))["id"]
    (sale,) = await shop.attempts(payment)
    content = written([row(sale["id"], 1_000)])
    agreed = await compared(shop, content)
    assert (agreed["state"], agreed["agrees"]) == ("done", True)
    other = await compared(shop, content, said=b"another file")
    assert other["state"] == "failed"
    told = {
        each["type"]: each["data"]["reconciliation"]["id"]
        for each in (await shop.gateway.get("/v1/events?limit=100")).json()["data"]
        if each["type"].startswith("reconciliation.")
    }
    assert told == {"reconciliation.agreed": agreed["id"], "reconciliation.failed": other["id"]}
