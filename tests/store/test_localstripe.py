# SPDX-License-Identifier: Apache-2.0
"""Our engine against localstripe: a Stripe that we did not write, in a process of its own.

`tests/contracts/localstripe.py` says where it deviates from what Stripe publishes, and what is made up for it.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from contracts.localstripe import KEY, PYTHON, Front, localstripe
from database import Server, fresh_databases
from missing_tools import missing
from polling import until
from service import Service, running
from stripe_shop import SECRET, StripeShop
from strongroom.compose import payments as composed
from strongroom.kernel.mode import Mode
from strongroom.payments.processors.stripe import StripeAdapter

CHALLENGED = "4000002760003184"
DECLINED = "4000000000000341"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ground(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Service, Front]]:
    if not PYTHON.exists():
        missing("localstripe (.venv-judges)")
    folder: Path = tmp_path_factory.mktemp("localstripe")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(composed.ADAPTERS, "stripe", StripeAdapter(hosts=frozenset()))
        async with (
            fresh_databases(server) as databases,
            # What waits for an event is not asked for before it has come.
            running(databases, folder / "service", recovery_delays_seconds=(60,)) as service,
            localstripe(folder) as front,
        ):
            yield service, front


@pytest_asyncio.fixture(loop_scope="session")
async def shop(ground: tuple[Service, Front]) -> StripeShop:
    service, front = ground
    tenant = await service.tenant()
    answer = await service.gateway(tenant.keys[Mode.TEST]).post(
        "/v1/connections",
        {
            "processor": "stripe",
            "account": "acct_localstripe",
            "base_url": front.url,
            "credentials": {"api_key": KEY},
            "webhook_secret": SECRET,
        },
    )
    assert answer.status_code == 201, answer.text
    connection: dict[str, Any] = answer.json()
    front.webhook = (connection["webhook_url"], SECRET, service.authority)
    return StripeShop(service, tenant, None, connection)  # type: ignore[arg-type]


async def intent(shop: StripeShop, front: Front, payment: str) -> dict[str, Any]:
    """Return what localstripe itself holds of a payment."""
    (first, *_) = await shop.attempts(payment)
    _, found = await front.ask("GET", f"/v1/payment_intents/{first['processor_reference']}")
    return found


async def told(shop: StripeShop, *results: str) -> None:
    async def look() -> bool | None:
        return await shop.results() == list(results) or None

    await until(look, what=f"events to be {results}")


async def test_a_part_is_captured_and_a_part_of_that_refunded(
    shop: StripeShop, ground: tuple[Service, Front]
) -> None:
    front = ground[1]
    answer = await shop.pay()
    assert (answer.status_code, answer.json()["status"]) == (201, "requires_capture"), answer.text
    payment = answer.json()["id"]
    there = await intent(shop, front, payment)
    assert (there["status"], there["latest_charge"]["captured"]) == ("requires_capture", False)
    captured = await shop.gateway.post(f"/v1/payments/{payment}/capture", {"amount": 600})
    assert captured.status_code == 200, captured.text
    balances = captured.json()["balances"]
    assert (balances["captured"], balances["voided"]) == (600, 400)
    refund = await shop.gateway.post(f"/v1/payments/{payment}/refunds", {"amount": 250})
    assert (refund.status_code, refund.json()["status"]) == (201, "succeeded"), refund.text
    there = await intent(shop, front, payment)
    # What the capture left went back at once, and the refund besides.
    assert (there["status"], there["latest_charge"]["amount_refunded"]) == ("succeeded", 400 + 250)
    await told(shop, "agrees")
    assert (await shop.payment(payment))["balances"]["refundable"] == 350


async def test_an_authorization_is_released(
    shop: StripeShop, ground: tuple[Service, Front]
) -> None:
    payment = (await shop.pay()).json()["id"]
    canceled = await shop.gateway.post(f"/v1/payments/{payment}/cancel", {})
    assert (canceled.status_code, canceled.json()["status"]) == (200, "canceled"), canceled.text
    assert (await intent(shop, ground[1], payment))["status"] == "canceled"


async def test_a_challenge_is_passed_and_its_event_tells(
    shop: StripeShop, ground: tuple[Service, Front]
) -> None:
    front = ground[1]
    answer = await shop.pay(CHALLENGED, capture_method="automatic")
    shown = answer.json()
    assert shown["status"] == "requires_action", answer.text
    there = await intent(shop, front, shown["id"])
    assert shown["next_action"]["url"].endswith(there["id"])
    await front.authenticate(there["id"])
    await told(shop, "believed")
    found = await shop.payment(shown["id"])
    assert (found["status"], found["balances"]["captured"]) == ("succeeded", 1_000)


async def test_a_decline_is_one(shop: StripeShop) -> None:
    answer = await shop.pay(DECLINED, capture_method="automatic")
    assert (answer.status_code, answer.json()["code"]) == (402, "declined"), answer.text
    assert answer.json()["payment"]["status"] == "requires_payment_method"
