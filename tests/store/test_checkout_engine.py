# SPDX-License-Identifier: Apache-2.0
"""Checkout.com through the whole of a service, at a strict stand-in: lost answers are found by reference."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from contracts.checkout_reference import DISPUTE, EVENT, PREFIX, SANDBOX
from contracts.checkout_stand_in import (
    CHALLENGED,
    DECLINED,
    KEY,
    CheckoutStandIn,
    standing_in_for_checkout,
)
from database import Server, fresh_databases
from notice_makers import sha256_of
from polling import until
from service import Caller, Service, Tenant, running
from strongroom.compose import payments as composed
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.payments.model import Found
from strongroom.payments.ports import Command
from strongroom.payments.processors.checkout import CheckoutAdapter
from strongroom.vault import Forwarded

VISA: Final = "4242424242424242"
SECRET: Final = "signature-key-of-a-test"
Ground = tuple[Service, CheckoutStandIn]


class Anywhere(CheckoutAdapter):
    """The adapter, whose account may be on this machine, and shows at once what it knows."""

    destination = replace(CheckoutAdapter.destination, hosts_by_mode={})
    visibility_seconds = 1


@dataclass(slots=True)
class Shop:
    """A merchant with a connection to the stand-in's account."""

    service: Service
    tenant: Tenant
    connection: dict[str, Any]

    @property
    def gateway(self) -> Caller:
        return self.service.gateway(self.tenant.keys[Mode.TEST])

    async def pay(
        self, number: str = VISA, address: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        beside = {} if address is None else {"billing_address": address}
        vault = self.service.vault(self.tenant.keys[Mode.TEST])
        token = await vault.token(number, None, **beside)
        body = {"amount": 1_000, "currency": "AED", "token": token["id"], "confirm": True}
        return await self.gateway.post("/v1/payments", {**body, "capture_method": "manual", **more})

    async def payment(self, payment: str) -> dict[str, Any]:
        return dict((await self.gateway.get(f"/v1/payments/{payment}")).json())

    async def attempts(self, payment: str) -> list[dict[str, Any]]:
        return list((await self.gateway.get(f"/v1/payments/{payment}/attempts")).json()["data"])

    async def until_settled(self, payment: str) -> dict[str, Any]:
        async def look() -> dict[str, Any] | None:
            outcomes = {each["outcome"] for each in await self.attempts(payment)}
            final = outcomes <= {"approved", "declined", "not_sent"}
            return await self.payment(payment) if final else None

        return await until(look, what=f"{payment} to be settled")

    async def tell(self, event: dict[str, Any]) -> str:
        """Send a signed event, and return how it was dealt with."""
        body = json.dumps(event).encode()
        headers = {"cko-signature": sha256_of(SECRET.encode(), body).hex()}
        path = httpx.URL(self.connection["webhook_url"]).path
        answer = await self.service.public.send(
            "POST", path, content=body, headers=headers, idempotency=None
        )
        assert answer.status_code == 200, answer.text

        async def look() -> str | None:
            rows = await self.service.look(
                Domain.CORE,
                "select result from webhooks.notice where merchant_id = $1"
                " order by notice_id desc limit 1",
                self.tenant.merchant,
            )
            return rows[0]["result"] if rows else None

        return await until(look, what="the event to be dealt with")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ground(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(composed.ADAPTERS, "checkout", Anywhere())
        async with (
            fresh_databases(server) as databases,
            running(
                databases, tmp_path_factory.mktemp("checkout"), processor_timeout_seconds=1
            ) as service,
            standing_in_for_checkout() as there,
        ):
            yield service, there


@pytest_asyncio.fixture(loop_scope="session")
async def shop(ground: Ground) -> Shop:
    service, there = ground
    there.wrong.clear()
    tenant = await service.tenant()
    answer = await service.gateway(tenant.keys[Mode.TEST]).post(
        "/v1/connections",
        {
            "processor": "checkout",
            "account": PREFIX,
            "base_url": there.url,
            "credentials": {"secret_key": KEY},
            "webhook_secret": SECRET,
            "finding": "by_reference",
        },
    )
    assert answer.status_code == 201, answer.text
    return Shop(service, tenant, dict(answer.json()))


async def test_captures_and_refunds_become_true_when_they_are_looked_for(
    shop: Shop, ground: Ground
) -> None:
    answer = await shop.pay()
    assert (answer.status_code, answer.json()["status"]) == (201, "requires_capture"), answer.text
    payment = answer.json()["id"]
    assert (
        await shop.gateway.post(f"/v1/payments/{payment}/capture", {"amount": 600})
    ).status_code == 202
    balances = (await shop.until_settled(payment))["balances"]
    assert (balances["captured"], balances["voided"]) == (600, 400)
    refund = await shop.gateway.post(f"/v1/payments/{payment}/refunds", {"amount": 250})
    assert refund.status_code == 202, refund.text
    assert (await shop.until_settled(payment))["balances"]["refunded"] == 250
    assert ground[1].wrong == []


@pytest.mark.parametrize("route", ["authorize", "capture", "refund"])
async def test_an_answer_that_is_lost_is_found_by_our_reference(
    shop: Shop, ground: Ground, route: str
) -> None:
    there = ground[1]
    if route == "authorize":
        there.lost.append(route)
    payment = (await shop.pay()).json()["id"]
    await shop.until_settled(payment)
    if route != "authorize":
        if route == "capture":
            there.lost.append(route)
        await shop.gateway.post(f"/v1/payments/{payment}/capture", {})
        await shop.until_settled(payment)
    if route == "refund":
        there.lost.append(route)
        await shop.gateway.post(f"/v1/payments/{payment}/refunds", {})
        await shop.until_settled(payment)
    assert there.lost == []
    attempts = await shop.attempts(payment)
    assert {each["outcome"] for each in attempts} == {"approved"}
    assert attempts[-1]["basis"] == "lookup"
    ours = {each["id"] for each in attempts}
    done = [each[0] for each in there.journal if each[1] in ours]
    assert done == [each["operation"] for each in attempts], "each once"


@pytest.mark.parametrize(
    ("postal_code", "found"),
    [("W1T 4TJ", "match"), ("E1 6AN", "mismatch"), (None, "unavailable")],
)
async def test_what_the_issuer_says_of_the_address_stands_on_the_attempt(
    shop: Shop,
    ground: Ground,
    monkeypatch: pytest.MonkeyPatch,
    postal_code: str | None,
    found: str,
) -> None:
    """And nothing of the address is in the gateway's hands, tables or log, though the answer had it."""
    service, there = ground
    line = f"90 Tottenham {new_id('req')[4:]} Road"
    answered: list[bytes] = []
    real = CheckoutAdapter.answer

    def watched(self: CheckoutAdapter, command: Command, reply: Forwarded) -> Found:
        answered.append(reply.body)
        return real(self, command, reply)

    monkeypatch.setattr(CheckoutAdapter, "answer", watched)
    address = None
    if postal_code is not None:
        address = {"country": "GB", "line1": line, "city": "London", "postal_code": postal_code}
    answer = await shop.pay(address=address)
    assert (answer.status_code, answer.json()["status"]) == (201, "requires_capture"), answer.text
    (attempt,) = await shop.attempts(answer.json()["id"])
    assert attempt["avs_result"] == found
    assert there.wrong == []
    assert (attempt["id"] in there.addresses) is (address is not None)
    if address is not None:
        assert there.addresses[attempt["id"]]["address_line1"] == line
    assert answered
    kept = [str(row) for row in await everything(service)]
    assert any(attempt["id"] in text for text in kept), "the look sees what is kept"
    for text in (*map(bytes.decode, answered), *kept, service.log_text(), answer.text):
        assert line not in text
        assert "billing_address" not in text


async def everything(service: Service) -> list[Any]:
    """Every row of every table of the gateway's database."""
    tables = await service.look(
        Domain.CORE,
        "select format('%I.%I', schemaname, tablename) as name from pg_tables"
        " where schemaname not in ('pg_catalog', 'information_schema')",
    )
    rows: list[Any] = []
    for table in tables:
        found = await service.look(Domain.CORE, f"select x::text as row from {table['name']} x")
        rows += [row["row"] for row in found]
    return rows


async def test_a_decline_and_a_challenge(shop: Shop) -> None:
    declined = await shop.pay(DECLINED)
    assert (declined.status_code, declined.json()["decline_code"]) == (402, "insufficient_funds")
    challenged = (await shop.pay(CHALLENGED, return_url="https://shop.example/done")).json()
    assert challenged["status"] == "requires_action"
    assert challenged["next_action"]["url"].startswith("https://3ds2-sandbox.ckotech.co/")


async def test_a_challenge_that_was_passed_is_found(shop: Shop, ground: Ground) -> None:
    payment = (await shop.pay(CHALLENGED)).json()["id"]
    (attempt,) = await shop.attempts(payment)
    (held,) = [each for each in ground[1].payments.values() if each.reference == attempt["id"]]
    held.status, held.approved = "Authorized", True
    held.sums["total_authorized"] = held.amount
    found = await shop.until_settled(payment)
    assert (found["status"], found["balances"]["authorized"]) == ("requires_capture", 1_000)


async def test_an_event_is_confirmed_by_asking_and_another_amount_changes_nothing(
    shop: Shop, ground: Ground
) -> None:
    payment = (await shop.pay()).json()["id"]
    before = await shop.payment(payment)
    (attempt,) = await shop.attempts(payment)
    data = {
        **EVENT["data"],
        "reference": attempt["id"],
        "amount": 999,
        "currency": "AED",
        "response_code": "10000",
        "metadata": {"strongroom": "authorize"},
    }
    told = {**EVENT, "type": "payment_approved", "data": data}
    assert await shop.tell(told) == "differs"
    assert (await shop.payment(payment))["balances"] == before["balances"]
    assert ground[1].wrong == []


async def test_a_dispute_is_followed(shop: Shop) -> None:
    payment = (await shop.pay(capture_method="automatic")).json()["id"]
    (attempt,) = await shop.attempts(payment)
    data = {
        **DISPUTE["data"],
        "amount": 700,
        "currency": "AED",
        "payment_reference": attempt["id"],
        "evidence_required_by": "2026-12-31T18:00:00+00:00",
    }
    for number, (kind, disputed) in enumerate(
        [("dispute_evidence_required", 700), ("dispute_received", 700), ("dispute_won", 0)]
    ):
        event = {**DISPUTE, "id": f"evt_{number}", "type": kind, "data": data}
        word = "agrees" if kind == "dispute_received" else "believed"
        assert await shop.tell(event) == word
        assert (await shop.payment(payment))["balances"]["disputed"] == disputed
    other = {**DISPUTE, "id": "evt_live", "data": data}
    other["_links"] = {
        "self": {"href": SANDBOX.replace(PREFIX, "another1") + "/workflows/events/x"}
    }
    assert await shop.tell(other) == "uncorrelated"
