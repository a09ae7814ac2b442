# SPDX-License-Identifier: Apache-2.0
"""The simulator's webhooks: signed, encrypted, repeated, faulty; and what happens without a client."""

import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from contracts.simulator_shop import QUICK, SECONDS_MAX, Shop, receiving, shopping, simulating
from polling import until
from strongroom.crypto import aes_gcm_decrypt, hmac_sha256
from strongroom.simulator import (
    Fault,
    Simulated,
    SimulatorControlFailed,
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def simulated(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Simulated]:
    async with simulating(tmp_path_factory.mktemp("simulator")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def shop(simulated: Simulated) -> AsyncIterator[Shop]:
    async with shopping(simulated) as made:
        yield made


# --- webhooks -----------------------------------------------------------------------------------------


async def test_webhooks_are_signed_under_every_secret(simulated: Simulated, shop: Shop) -> None:
    secrets = ("secret-number-one", "secret-number-two")
    async with receiving() as receiver:
        await shop.control.account(shop.name, webhook_url=receiver.url, webhook_secrets=secrets)
        payment = await shop.paid(capture=True)
        await until(lambda: len(receiver.got) == 1)
        headers, body = receiver.got[0]
        parts = headers["sim-signature"].split(",")
        assert re.fullmatch(r"t=[0-9]{10}", parts[0])
        assert abs(int(parts[0][2:]) - time.time()) < 5
        signed = f"{parts[0][2:]}.".encode() + body
        assert parts[1:] == [f"v1={hmac_sha256(s.encode(), signed).hex()}" for s in secrets]
        event = receiver.events[0]
        assert event == {
            "id": event["id"],
            "type": "payment.captured",
            "created": event["created"],
            "account": shop.name,
            "mode": "test",
            "data": payment,
        }
        assert re.fullmatch(r"se_[0-9A-Z]{26}", event["id"])
        told = (await shop.http.get("/v1/account")).json()["webhook"]
        assert told == {"configured": True, "url": receiver.url}
        await shop.control.without_webhook(shop.name)
        await shop.paid()
        await shop.control.until_told()
        assert len(receiver.got) == 1


async def test_webhooks_are_encrypted_under_a_key(shop: Shop) -> None:
    key = bytes(range(32))
    async with receiving() as receiver:
        await shop.control.account(
            shop.name, webhook_url=receiver.url, webhook_encryption_key=key.hex()
        )
        payment = await shop.paid()
        await until(lambda: len(receiver.got) == 1)
        headers, body = receiver.got[0]
        assert "sim-signature" not in headers
        assert headers["content-type"] == "text/plain"
        opened = aes_gcm_decrypt(
            key,
            bytes.fromhex(headers["x-initialization-vector"]),
            bytes.fromhex(body.decode()),
            bytes.fromhex(headers["x-authentication-tag"]),
        )
        assert json.loads(opened)["data"] == payment


async def test_every_change_is_announced(shop: Shop) -> None:
    async with receiving() as receiver:
        await shop.control.account(
            shop.name, webhook_url=receiver.url, webhook_secrets=["a-secret"]
        )
        path = f"/v1/payments/{(await shop.paid())['id']}"
        bodies: list[tuple[str, dict[str, Any]]] = [
            ("increments", {"amount": 10}),
            ("captures", {"amount": 100, "final": False}),
            ("captures", {"amount": 9999, "final": False}),
            ("voids", {}),
            ("voids", {}),
            ("refunds", {"amount": 40}),
            ("refunds", {"amount": 9999}),
        ]
        for route, body in bodies:
            await shop.post(f"{path}/{route}", reference=shop.fresh(), **body)
        await shop.paid("4000000000000002")
        challenged = await shop.paid("4000000000003220")
        await shop.control.challenge(challenged["action"]["url"])
        pending = await shop.paid(amount=188)
        await shop.control.happen("pending_declined", pending["reference"])
        expiring = await shop.paid()
        await shop.control.happen("payment_expired", expiring["reference"])
        await shop.control.until_told()
        assert Counter(receiver.types) == Counter(
            """
            payment.authorized increment.succeeded capture.succeeded capture.failed void.succeeded
            void.failed refund.succeeded refund.failed payment.declined payment.action_required
            payment.authorized payment.pending payment.declined payment.authorized payment.expired
            """.split()
        )
        assert len({event["id"] for event in receiver.events}) == len(receiver.events)


async def test_a_webhook_is_repeated_until_it_is_taken_and_not_for_replays(shop: Shop) -> None:
    async with receiving() as receiver:
        receiver.statuses = [500, 302, 404]
        await shop.control.account(
            shop.name, webhook_url=receiver.url, webhook_secrets=["a-secret"]
        )
        await shop.pay(key="k", reference="r")
        await shop.pay(key="k", reference="r")
        counts = await shop.control.until_told()
        assert len(receiver.got) == 4
        assert len({body for _, body in receiver.got}) == 1, "always the same bytes"
        assert counts.waiting == 0


@pytest.mark.parametrize(
    ("fault", "types"),
    [
        (Fault.WEBHOOK_DUPLICATE, ["payment.authorized"] * 2 + ["void.succeeded"]),
        (Fault.WEBHOOK_LATE, ["void.succeeded", "payment.authorized"]),
        (Fault.WEBHOOK_REORDER, ["void.succeeded", "payment.authorized"]),
    ],
)
async def test_webhooks_go_wrong_on_demand(shop: Shop, fault: Fault, types: list[str]) -> None:
    async with receiving() as receiver:
        await shop.control.account(
            shop.name, webhook_url=receiver.url, webhook_secrets=["a-secret"]
        )
        await shop.control.demand(fault, "authorize", seconds=0.3)
        payment = await shop.paid()
        if fault is Fault.WEBHOOK_DUPLICATE:
            await until(lambda: len(receiver.got) == 2)
        await shop.post(f"/v1/payments/{payment['id']}/voids", reference="v")
        await shop.control.until_told()
        assert receiver.types == types
        assert len({event["id"] for event in receiver.events}) == 2


async def test_a_held_webhook_is_sent_though_no_other_follows(shop: Shop) -> None:
    async with receiving() as receiver:
        await shop.control.account(
            shop.name, webhook_url=receiver.url, webhook_secrets=["a-secret"]
        )
        await shop.control.demand(Fault.WEBHOOK_REORDER, seconds=0.02)
        await shop.paid()
        await shop.control.until_told()
        assert receiver.types == ["payment.authorized"]


async def test_a_lost_webhook_comes_later(shop: Shop) -> None:
    async with receiving() as receiver:
        await shop.control.account(
            shop.name, webhook_url=receiver.url, webhook_secrets=["a-secret"]
        )
        before = await shop.control.notices()
        await shop.control.demand(Fault.WEBHOOK_LOST)
        await shop.paid()
        after = await shop.control.until_told()
        assert receiver.types == ["payment.authorized"]
        assert after.failed_attempts == before.failed_attempts + 1
        assert after.delivered == before.delivered + 1


async def test_a_webhook_with_nobody_there_is_given_up_by_settings_only(shop: Shop) -> None:
    await shop.control.account(
        shop.name, webhook_url="http://127.0.0.1:9/", webhook_secrets=["a-secret"]
    )
    before = await shop.control.notices()
    await shop.control.faults(retry_seconds=[])
    try:
        await shop.paid()
        after = await shop.control.until_told()
        assert after.given_up == before.given_up + 1
    finally:
        await shop.control.faults(retry_seconds=QUICK["retry_seconds"])


# --- what happens without a client --------------------------------------------------------------------


async def test_captures_and_refunds_fail_afterwards(shop: Shop) -> None:
    async with receiving() as receiver:
        await shop.control.account(
            shop.name, webhook_url=receiver.url, webhook_secrets=["a-secret"]
        )
        payment = await shop.paid()
        path = f"/v1/payments/{payment['id']}"
        await shop.post(f"{path}/captures", reference="c", amount=600, final=False)
        await shop.post(f"{path}/refunds", reference="r", amount=200)
        with pytest.raises(SimulatorControlFailed, match="not_possible"):
            await shop.control.happen("capture_failed", "c", account=shop.name)
        failed = await shop.control.happen("refund_failed", "r", account=shop.name)
        assert (failed["status"], failed["decline_code"]) == ("failed", "refund_failed")
        assert failed["totals"] == {"authorized": 1000, "captured": 600, "voided": 0, "refunded": 0}
        await shop.control.happen("capture_failed", "c", account=shop.name)
        with pytest.raises(SimulatorControlFailed, match="not_possible"):
            await shop.control.happen("capture_failed", "c", account=shop.name)
        assert [found["status"] for found in await shop.find("c")] == ["failed"]
        sale = await shop.paid(capture=True)
        undone = await shop.control.happen("capture_failed", sale["reference"])
        assert (undone["status"], undone["captured"]) == ("authorized", 0)
        disputed = await shop.paid(capture=True)
        opened = await shop.control.happen("dispute_opened", disputed["reference"], amount=300)
        assert (opened["object"], opened["amount"], opened["payment"]) == (
            "dispute",
            300,
            disputed["id"],
        )
        assert await shop.find(disputed["reference"]) == [{**disputed, "disputed": 300}]
        await shop.control.until_told()
        assert Counter(receiver.types)["capture.failed"] == 2
        assert "dispute.opened" in receiver.types


async def test_a_webhook_is_sent_again_as_it_was(shop: Shop) -> None:
    async with receiving() as receiver:
        await shop.control.account(
            shop.name, webhook_url=receiver.url, webhook_secrets=["a-secret"]
        )
        payment = await shop.paid()
        await until(lambda: len(receiver.got) == 1)
        await shop.post(f"/v1/payments/{payment['id']}/voids", reference="v")
        await until(lambda: len(receiver.got) == 2)
        await shop.control.happen("webhook_again", payment["reference"])
        await until(lambda: len(receiver.got) == 3)
        assert receiver.got[2][1] == receiver.got[0][1]


async def test_what_cannot_happen_is_refused(shop: Shop) -> None:
    payment = await shop.paid()
    for kind in ("pending_approved", "dispute_opened", "capture_failed", "refund_failed"):
        with pytest.raises(SimulatorControlFailed, match="not_possible"):
            await shop.control.happen(kind, payment["reference"])
    with pytest.raises(SimulatorControlFailed, match="not_found"):
        await shop.control.happen("payment_expired", "att_nobody")


async def test_a_pending_payment_is_approved_by_itself(shop: Shop) -> None:
    payment = await shop.paid(amount=188, capture=True)
    await shop.control.faults(pending_seconds=0.01)
    try:
        end = time.monotonic() + SECONDS_MAX
        while await shop.kinds() != ["pending", "captured"]:
            assert time.monotonic() < end
    finally:
        await shop.control.faults(pending_seconds=None)
    assert (await shop.find(payment["reference"]))[0]["captured"] == 188
