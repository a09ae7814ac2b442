# SPDX-License-Identifier: Apache-2.0
"""An outcome that nobody finds out, over HTTP: the merchant sees why it waits, and two people end it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from approving import Two
from database import Server, fresh_databases
from event_shapes import events_of, misshapen
from paying import Shop, open_shop, simulating
from polling import until
from service import Service, running
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.simulator import Fault, Simulated

EVIDENCE = "their support, case 4711, asked on 2026-11-26"


@pytest_asyncio.fixture(loop_scope="session")
async def ground(server: Server, tmp_path: Path) -> AsyncIterator[tuple[Service, Simulated]]:
    """A Strongroom that leaves to people what it does not find out within a second."""
    async with (
        fresh_databases(server) as databases,
        running(databases, tmp_path, recovery_people_seconds=1) as service,
        simulating(tmp_path / "simulator", service) as simulated,
    ):
        yield service, simulated


async def left(shop: Shop) -> dict[str, Any]:
    """Authorize, lose the answer, and wait until it is left to people."""
    await shop.simulated.control.demand(Fault.CUT_AFTER, "authorize")
    answer = await shop.pay(capture_method="manual")
    assert (answer.status_code, answer.json()["status"]) == (202, "processing")

    async def look() -> dict[str, Any] | None:
        found = await shop.payment(answer.json()["id"])
        return found if found["processing"]["reason"] == "left_to_people" else None

    return await until(look, what="the attempt to be left to people")


async def test_what_nobody_finds_out_is_left_to_people_and_two_of_them_say(
    ground: tuple[Service, Simulated],
) -> None:
    service, simulated = ground
    shop = await open_shop(service, simulated, notices=False, finding="by_notice")
    payment = await left(shop)
    waits = payment["processing"]
    assert waits["looked_at"] is not None
    assert waits["next_look_at"] is None
    assert "payment.unresolved" in await shop.events(payment["id"])
    path = f"/v1/payments/{payment['id']}/attempts/{waits['attempt']}/resolve"
    body = {"outcome": "not_sent", "evidence": EVIDENCE}
    key = await shop.gateway.post(path, body, idempotency=None)
    assert key.status_code == 403
    first, second = [await service.member(shop.tenant.merchant) for _ in range(2)]
    asker, console = service.gateway(first.key), service.console(second.key)
    card = {**body, "evidence": "the card 4242424242424242"}
    number = await asker.post(path, card, idempotency=None)
    assert number.status_code == 422
    two = Two(asker, console)
    approval = await two.approved(path, body)
    shown = (await console.get(f"/v1/approvals/{approval}")).json()["about"]
    assert (shown["purpose"], shown["note"]) == ("outcome_not_sent", EVIDENCE)
    assert shown["claim"] == {
        "payment": payment["id"],
        "attempt": waits["attempt"],
        "operation": "authorize",
        "amount": 1_000,
        "currency": "AED",
        "outcome": "not_sent",
        "processor_reference": None,
    }
    other = await two.used(approval, path, {**body, "evidence": f"{EVIDENCE}, or so it seems"})
    assert other.status_code == 403
    done = await two.used(approval, path, body)
    assert done.status_code == 200, done.text
    assert done.json()["status"] == "requires_confirmation"
    assert "payment.not_sent" in await shop.events(payment["id"])
    again = await asker.post(path, {**body, "outcome": "declined"})
    assert (again.status_code, again.json()["code"]) == (409, "payment_not_ready")
    (attempt,) = await shop.attempts(payment["id"])
    assert (attempt["outcome"], attempt["basis"]) == ("not_sent", "person")
    rows = await service.look(
        Domain.CORE,
        "select evidence, resolved_by from payments.attempt where attempt_id = $1",
        waits["attempt"],
    )
    assert rows[0]["evidence"] == EVIDENCE
    records = await service.look(
        Domain.CORE,
        "select convert_from(payload, 'utf8')::json as record from audit.event"
        " where convert_from(payload, 'utf8')::json ->> 'object' = $1",
        waits["attempt"],
    )
    told = await events_of(service)
    assert {"payment.unresolved", "payment.not_sent"} <= {each["type"] for each in told}
    assert not misshapen(told)
    assert "payments.attempt.resolved" in str([row["record"] for row in records])
    # The processor did it after all, and says so: money is real, and somebody looks.
    made = await simulated.control.account(
        shop.account,
        api_key=shop.api_key,
        webhook_url=shop.connection["webhook_url"],
        webhook_secrets=(shop.secret,),
    )
    assert made
    await simulated.control.happen("webhook_again", waits["attempt"])
    found = await shop.until_status(payment["id"], "requires_capture")
    assert found["discrepancy"]
    assert "payment.discrepancy" in await shop.events(payment["id"])
    assert Mode.TEST in shop.tenant.keys
