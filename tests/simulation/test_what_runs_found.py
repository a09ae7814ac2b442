# SPDX-License-Identifier: Apache-2.0
"""What random runs found once, each as a case of its own: it fails every time, not one time in a thousand."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from paying import open_shop, simulating
from service import Service
from strongroom.kernel.ids import AttemptId, ConnectionId, MerchantId, PaymentId
from strongroom.kernel.mode import Mode
from strongroom.payments.decisions import Asking
from strongroom.payments.model import (
    Attempt,
    Basis,
    CaptureMethod,
    Loaded,
    Operation,
    Outcome,
    Payment,
    Status,
)
from strongroom.payments.wishes import start_refund
from strongroom.simulator import Simulated
from strongroom.simulator.faults import Fault

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def simulated(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Simulated]:
    async with simulating(tmp_path_factory.mktemp("simulator"), service) as running:
        yield running


@pytest.mark.parametrize("fault", [Fault.ERROR_500_BEFORE, Fault.CUT_BEFORE, Fault.WRONG_SHAPE])
async def test_a_capture_that_failed_is_learnt_though_the_processor_cannot_be_asked_at_first(
    service: Service, simulated: Simulated, fault: Fault
) -> None:
    """Nobody looks at a final outcome but for its notice: one that cannot be confirmed now is not put away."""
    shop = await open_shop(service, simulated, finding="by_reference")
    payment = (await shop.authorized(1_000))["id"]
    assert (await shop.gateway.post(f"/v1/payments/{payment}/capture", {})).status_code == 200
    await shop.until_told()
    attempt = next(e for e in await shop.attempts(payment) if e["operation"] == "capture")
    await simulated.control.demand(fault, "find")
    await simulated.control.happen("capture_failed", attempt["id"])
    found = await shop.until_status(payment, "requires_capture")
    assert (found["balances"]["captured"], found["balances"]["capturable"]) == (0, 1_000)


@pytest.mark.parametrize("finding", ["by_reference", "by_replay", "by_notice"])
async def test_what_a_final_capture_released_does_not_come_back_when_it_fails(
    service: Service, simulated: Simulated, finding: str
) -> None:
    """The processor has let the rest go with the capture; only the captured part is left again."""
    shop = await open_shop(service, simulated, finding=finding)
    payment = (await shop.authorized(1_000))["id"]
    wanted = {"amount": 300, "final_capture": True}
    assert (await shop.gateway.post(f"/v1/payments/{payment}/capture", wanted)).status_code == 200
    await shop.until_told()
    attempt = next(e for e in await shop.attempts(payment) if e["operation"] == "capture")
    await simulated.control.happen("capture_failed", attempt["id"])
    found = await shop.until_status(payment, "requires_capture")
    balances = found["balances"]
    assert (balances["captured"], balances["voided"], balances["capturable"]) == (0, 700, 300)


@pytest.mark.parametrize("finding", ["by_replay", "by_notice"])
async def test_news_of_a_success_that_comes_after_that_of_its_failure_revives_nothing(
    service: Service, simulated: Simulated, finding: str
) -> None:
    """Notices come in any order: a capture that failed stays failed when its success is told late."""
    shop = await open_shop(service, simulated, finding=finding)
    payment = (await shop.authorized(1_000))["id"]
    await shop.until_told()
    await simulated.control.demand(Fault.WEBHOOK_LATE, "capture", seconds=2.0)
    assert (await shop.gateway.post(f"/v1/payments/{payment}/capture", {})).status_code == 200
    attempt = next(e for e in await shop.attempts(payment) if e["operation"] == "capture")
    await simulated.control.happen("capture_failed", attempt["id"])
    await shop.until_status(payment, "requires_capture")
    await shop.until_told()
    found = await shop.payment(payment)
    assert (found["status"], found["balances"]["captured"]) == ("requires_capture", 0)


def test_a_wish_that_was_read_before_what_was_saved_meanwhile_takes_no_time_back() -> None:
    """Requests wait for their turn, and two machines' clocks differ: `updated_at` never goes back."""
    later = NOW + timedelta(seconds=1)
    payment = Payment(
        merchant_id=MerchantId("mer_1"),
        mode=Mode.TEST,
        payment_id=PaymentId("pay_1"),
        version=3,
        status=Status.SUCCEEDED,
        amount=1_000,
        currency="AED",
        capture_method=CaptureMethod.AUTOMATIC,
        authorized=1_000,
        captured=1_000,
        created_by="key_1",
        created_at=NOW,
        updated_at=later,
    )
    sale = Attempt(
        merchant_id=payment.merchant_id,
        mode=Mode.TEST,
        attempt_id=AttemptId("att_1"),
        payment_id=payment.payment_id,
        operation=Operation.SALE,
        wish="POST /v1/payments 1",
        connection_id=ConnectionId("con_1"),
        amount=1_000,
        currency="AED",
        outcome=Outcome.APPROVED,
        basis=Basis.ANSWER,
        created_at=NOW,
        lease_until=NOW,
    )
    asking = Asking(AttemptId("att_2"), "POST refunds 2", ConnectionId("con_1"), NOW, later)
    decided = start_refund(Loaded(payment, (sale,), ()), 100, "ref_1", asking, metadata={})  # type: ignore[arg-type]  # any id will do
    assert decided.payment.updated_at == later
