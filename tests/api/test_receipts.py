# SPDX-License-Identifier: Apache-2.0
"""Receipts over HTTP and at the command line: given by a running gateway, verified with public keys alone."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from command_line import CommandLine
from paying import DECLINED, Shop, open_shop, simulating
from polling import until
from service import Service
from strongroom.audit import VerifierKey
from strongroom.db.logins import Domain
from strongroom.kernel.clock import SteppedClock, SystemClock
from strongroom.kernel.mode import Mode
from strongroom.keys import KeyInUse, KeyName, KeyVersionUnknown
from strongroom.payments import ReceiptRefused, VerifiedReceipt, read_jwks, verify_receipt
from strongroom.payments.receipts.keys import PUBLISHED_AHEAD, ReceiptKeys
from strongroom.simulator import Fault, Simulated


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def simulated(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Simulated]:
    async with simulating(tmp_path_factory.mktemp("simulator"), service) as running_:
        yield running_


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(service: Service, simulated: Simulated) -> Shop:
    return await open_shop(service, simulated)


async def given(shop: Shop, payment: str) -> dict[str, Any]:
    """Ask for a receipt until its records are sealed."""

    async def look() -> httpx.Response | None:
        answer = await shop.gateway.get(f"/v1/payments/{payment}/receipt")
        if answer.status_code == 409 and answer.json()["code"] == "not_sealed_yet":
            assert answer.headers["retry-after"] == "1"
            return None
        return answer

    answer = await until(look, what=f"the records of {payment} to be sealed")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def trusted(shop: Shop) -> tuple[bytes, list[VerifierKey]]:
    """What a verifier has: the receipt keys, which anybody may ask for, and the audit log's."""
    keys = await shop.service.gateway(None).get("/v1/receipts/jwks")
    assert keys.status_code == 200, keys.text
    head = (await shop.gateway.get("/v1/audit/checkpoint")).json()
    return keys.content, [VerifierKey.parse(each) for each in head["vkeys"]]


async def held(shop: Shop, payment: str) -> VerifiedReceipt:
    found = await given(shop, payment)
    jwks, audit_keys = await trusted(shop)
    return verify_receipt(found["jws"], read_jwks(jwks), audit_keys)


async def test_a_receipt_says_what_became_of_a_payment_and_holds(shop: Shop) -> None:
    payment = await shop.authorized(1_000, reference="order-1042")
    path = f"/v1/payments/{payment['id']}"
    await shop.gateway.post(f"{path}/capture", {"amount": 600})
    await shop.gateway.post(f"{path}/refunds", {"amount": 250})
    found = await held(shop, payment["id"])
    said = found.receipt
    assert said.payment.card is not None
    assert (said.payment.card.brand, said.payment.card.last4) == ("visa", "4242")
    assert (said.payment.amount, said.payment.captured, said.payment.refunded) == (1_000, 600, 250)
    assert said.payment.reference == "order-1042"
    assert [(each.operation, each.amount, each.outcome) for each in said.attempts] == [
        ("authorize", 1_000, "approved"),
        ("capture", 600, "approved"),
        ("refund", 250, "approved"),
    ]
    assert said.merchant == shop.tenant.merchant
    assert said.iss == "https://audit.strongroom.example"


async def test_a_decline_and_an_outcome_that_is_not_known_stand_in_it(shop: Shop) -> None:
    token = await shop.token(DECLINED)
    body = {"amount": 700, "currency": "AED", "token": token["id"], "confirm": True}
    declined = await shop.gateway.post("/v1/payments", body)
    payment = declined.json()["payment"]["id"]
    refused = await shop.gateway.get(f"/v1/payments/{payment}/receipt")
    assert (refused.status_code, refused.json()["code"]) == (409, "receipt_not_yet")
    other = await shop.token()
    again = await shop.gateway.post(f"/v1/payments/{payment}/confirm", {"token": other["id"]})
    assert again.status_code == 200, again.text
    await shop.simulated.control.demand(Fault.CUT_BEFORE, "refund")
    lost = await shop.gateway.post(f"/v1/payments/{payment}/refunds", {"amount": 100})
    assert lost.status_code == 202, lost.text
    said = (await held(shop, payment)).receipt
    first, second, third = said.attempts
    assert (first.outcome, first.decline_code) == ("declined", first.decline_code)
    assert first.decline_code is not None
    assert second.outcome == "approved"
    assert third.outcome in ("unknown", "not_sent")  # the worker may have found it out by now
    assert (third.audit is None) == (third.outcome == "unknown")


async def test_what_is_not_found_out_yet_is_found_in_a_later_receipt(shop: Shop) -> None:
    await shop.simulated.control.demand(Fault.CUT_AFTER, "authorize")
    answer = await shop.pay(amount=900)
    assert answer.status_code == 202, answer.text
    payment = answer.json()["id"]
    await shop.until_settled(payment)
    (attempt,) = (await held(shop, payment)).receipt.attempts
    assert (attempt.outcome, attempt.basis) == ("approved", "lookup")


async def test_a_receipt_that_was_given_is_on_record(shop: Shop) -> None:
    payment = (await shop.captured(500))["id"]
    await given(shop, payment)
    newest = (await shop.gateway.get("/v1/audit/records?limit=1")).json()["data"][0]["record"]
    assert (newest["action"], newest["object"]) == ("payments.receipt.issued", payment)
    assert newest["details"]["count"] == 1
    assert newest["transaction_id"] == payment


async def test_a_payment_of_another_tenant_or_mode_gives_none(shop: Shop, service: Service) -> None:
    payment = (await shop.captured(500))["id"]
    stranger = await service.tenant()
    for caller in (
        service.gateway(stranger.keys[Mode.TEST]),
        service.gateway(shop.tenant.keys[Mode.LIVE]),
    ):
        answer = await caller.get(f"/v1/payments/{payment}/receipt")
        assert (answer.status_code, answer.json()["code"]) == (404, "payment_unknown")


async def test_an_altered_outcome_in_the_database_gives_no_receipt_that_holds(shop: Shop) -> None:
    payment = (await shop.captured(500))["id"]
    await given(shop, payment)
    await shop.service.look(
        Domain.CORE,
        "update payments.attempt set amount = 400, settled_amount = 400"
        " where payment_id = $1 returning 1",
        payment,
    )
    with pytest.raises(ReceiptRefused) as refused:
        await held(shop, payment)
    assert [each.fault.value for each in refused.value.findings] == ["amount", "balances"]


async def kids(shop: Shop) -> list[str]:
    jwks, _ = await trusted(shop)
    return [each["kid"] for each in json.loads(jwks)["keys"]]


async def test_a_new_key_is_published_an_hour_before_it_signs(shop: Shop, service: Service) -> None:
    payment = (await shop.captured(500))["id"]
    first = await given(shop, payment)
    operator = await service.composer.operator_keys()
    name = KeyName.RECEIPT_SIGNING_SEED.value
    version, _ = await operator.rotate("", Mode.TEST, name, None, "operator:tests")

    async def both() -> list[str] | None:
        found = await kids(shop)
        return found if len(found) > 1 else None

    published = await until(both, what="the new key to be published")
    assert published[1:] == [first["kid"]]
    assert (await given(shop, payment))["kid"] == first["kid"]
    gateway: Any = service.edges["gateway"]._app
    keys: ReceiptKeys = gateway.state.receipts.receipts.keys
    later = SteppedClock(SystemClock().now())
    of_later = ReceiptKeys(keys._keys, later)
    assert (await of_later.signer()).kid == first["kid"]
    later.step(PUBLISHED_AHEAD + timedelta(seconds=1))
    assert (await of_later.signer()).kid == published[0]
    # One that was withdrawn leaves the set, and the newest signs at once: there is no other.
    with pytest.raises(KeyInUse):
        await operator.destroy("", Mode.TEST, name, version, "operator:tests")
    with pytest.raises(KeyVersionUnknown):
        await operator.destroy("", Mode.TEST, name, version + 1, "operator:tests")
    await operator.destroy("", Mode.TEST, name, version - 1, "operator:tests")

    async def alone() -> list[str] | None:
        found = await kids(shop)
        return found if len(found) == 1 else None

    assert await until(alone, what="the old key to be withdrawn") == published[:1]
    assert (await given(shop, payment))["kid"] == published[0]
    jwks, audit_keys = await trusted(shop)
    with pytest.raises(ReceiptRefused) as refused:
        verify_receipt(first["jws"], read_jwks(jwks), audit_keys)
    assert [each.fault.value for each in refused.value.findings] == ["key_unknown"]


async def test_the_command_line_gets_and_verifies_offline(
    shop: Shop, service: Service, tmp_path: Path
) -> None:
    payment = (await shop.captured(1_050, reference="order-7"))["id"]
    await given(shop, payment)
    _, (audit_key, *_) = await trusted(shop)
    (tmp_path / "audit.vkey").write_text(f"{audit_key}\n", "utf-8")
    run = CommandLine(
        tmp_path,
        {
            "STRONGROOM_KEY": shop.tenant.keys[Mode.TEST],
            "STRONGROOM_GATEWAY_URL": str(service.clients["gateway"].base_url),
            "STRONGROOM_CA": str(service.authority),
        },
    )
    gotten = await asyncio.to_thread(run, "receipt", "get", payment, "--out", "one.receipt")
    assert gotten.code == 0, gotten.err
    assert (await asyncio.to_thread(run, "receipt", "keys", "--out", "keys.jwks")).code == 0
    offline = CommandLine(tmp_path)
    verify = ("receipt", "verify", "one.receipt", "--jwks", "keys.jwks", "--audit-key")
    good = await asyncio.to_thread(offline, *verify, "audit.vkey")
    assert good.code == 0, good.err
    assert "holds" in good.plain
    assert "10.50 AED" in good.plain
    assert "visa …4242" in good.plain
    as_json = await asyncio.to_thread(offline, *verify, str(audit_key), "--json")
    assert as_json.json["receipt"]["payment"]["captured"] == 1_050
    head, payload, signature = (tmp_path / "one.receipt").read_text("ascii").split(".")
    another = payload[:40] + ("B" if payload[40] == "A" else "A") + payload[41:]
    (tmp_path / "one.receipt").write_text(f"{head}.{another}.{signature}", "ascii")
    bad = await asyncio.to_thread(offline, *verify, "audit.vkey")
    assert bad.code == 1
    assert "does not hold" in bad.plain
    told = await asyncio.to_thread(offline, *verify, "audit.vkey", "--json")
    assert told.code == 1
    assert [each["fault"] for each in told.json["findings"]] == ["signature"]
