# SPDX-License-Identifier: Apache-2.0
"""A processor reports an attempt as approved that had ended, while the payment's next attempt is open (promise 6)."""

from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from paying import VISA, Shop, open_shop, simulating
from polling import until
from service import Service
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.simulator import Fault, Simulated

#: What is decided later, and only when it is told to.
PENDING: Final = 1_088


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def simulated(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Simulated]:
    folder = tmp_path_factory.mktemp("simulator")
    async with simulating(folder, service, pending_seconds=None) as running:
        yield running


async def carried_out_after_all(shop: Shop, attempt: str) -> None:
    """The processor has an approved payment under the reference of an attempt that it had refused to take."""
    async with httpx.AsyncClient(base_url=shop.simulated.url) as processor:
        answer = await processor.post(
            "/v1/payments",
            json={
                "reference": attempt,
                "amount": PENDING,
                "currency": "AED",
                "capture": True,
                "card": {"number": VISA, "exp_month": 12, "exp_year": 2034},
            },
            headers={"Authorization": f"Bearer {shop.api_key}", "Idempotency-Key": new_id("key")},
        )
    assert answer.status_code in (200, 201, 202), answer.text
    await shop.simulated.control.happen("pending_approved", attempt)


async def recorded(shop: Shop, payment: str) -> int:
    """How many discrepancies of a payment the audit log has."""
    rows = await shop.service.look(
        Domain.CORE,
        "select convert_from(payload, 'utf8') as text from audit.event where merchant_id = $1",
        shop.tenant.merchant,
    )
    texts = [row["text"] for row in rows]
    return sum(payment in each and "payments.discrepancy.recorded" in each for each in texts)


@pytest.mark.parametrize("finding", ["by_reference", "by_notice"])
@pytest.mark.parametrize("second", ["declined", "approved"])
async def test_an_approval_beside_an_open_attempt_is_marked_at_once_and_saved_when_it_has_ended(
    service: Service, simulated: Simulated, finding: str, second: str
) -> None:
    shop = await open_shop(service, simulated, finding=finding)
    await simulated.control.demand(Fault.BUSY, "authorize")
    payment = (await shop.pay(amount=PENDING)).json()["id"]
    (one,) = await shop.attempts(payment)
    assert one["outcome"] == "not_sent"
    confirmed = await shop.gateway.post(f"/v1/payments/{payment}/confirm", {})
    assert (confirmed.status_code, confirmed.json()["status"]) == (202, "processing")
    two = (await shop.attempts(payment))[1]
    assert two["outcome"] == "pending"
    await carried_out_after_all(shop, one["id"])

    async def marked() -> dict[str, Any] | None:
        found = await shop.payment(payment)
        return found if found["discrepancy"] else None

    found = await until(marked, what=f"{payment} to be marked")
    assert (found["status"], found["balances"]["authorized"]) == ("processing", 0)
    assert [each["outcome"] for each in await shop.attempts(payment)] == ["not_sent", "pending"]
    assert (await shop.notices()).get("kept", 0) >= 1
    assert await recorded(shop, payment) == 1

    await simulated.control.happen(f"pending_{second}", two["id"])
    await shop.until_told()
    outcomes = [each["outcome"] for each in await shop.attempts(payment)]
    twice = second == "approved"
    assert outcomes == (["not_sent", "approved"] if twice else ["approved", "declined"])
    reasons = [each["reason"] for each in await shop.attempts(payment)]
    assert reasons[0] == ("approved_twice" if twice else None)
    settled = await shop.payment(payment)
    assert (settled["status"], settled["discrepancy"]) == ("succeeded", True)
    assert settled["balances"]["captured"] == PENDING
    assert (await shop.events(payment)).count("payment.discrepancy") == 1
    assert await recorded(shop, payment) == 1
    assert "differs" not in await shop.notices()
    assert "not_confirmed" not in await shop.notices()
