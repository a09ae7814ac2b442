# SPDX-License-Identifier: Apache-2.0
"""Sends the canary through every module of API tests: as a card, and in every place where no card may be."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator

import pytest_asyncio

from canary import CVC, NUMBER
from forwarding import forwarder
from paying import DECLINED, Shop, open_shop
from peer import Sent, cut, silent
from peer import answer as answered
from revealing import show
from service import Caller, Service, card, wish
from strongroom.crypto.ids import new_id
from strongroom.kernel.mode import Mode
from strongroom.simulator import Fault, Simulated


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def canary_passes(service: Service, processor: Simulated) -> AsyncIterator[None]:
    """Let the canary fly through the service before and beside a module's tests."""
    await fly(service, processor)
    yield


async def fly(service: Service, processor: Simulated) -> None:
    tenant = await service.tenant()
    vault = service.vault(tenant.keys[Mode.TEST])
    gateway = service.gateway(tenant.keys[Mode.TEST])
    token = await vault.token(NUMBER, CVC, metadata={"order": "1042"})
    await asyncio.gather(*accepted(vault, token["id"]))
    await asyncio.gather(*refused(vault, token["id"]))
    await show(service, NUMBER)
    shop = await open_shop(service, processor, tenant=tenant)
    await charged(shop)
    await forwarded(service)
    lost = (
        *strayed(vault, gateway),
        *strayed_at_the_till(shop, token["id"]),
        *strayed_at_the_door(service.console(None), service.console(vault.key)),
    )
    for answer in await asyncio.gather(*lost):
        assert 400 <= answer.status_code < 500, answer.text


async def charged(shop: Shop) -> None:
    """What a card meets at a processor: approved in parts, declined, not answered, found out, told of."""
    paid = await shop.authorized(1_000, number=NUMBER, cvc=CVC)
    path = f"/v1/payments/{paid['id']}"
    for amount in (400, 300):
        answer = await shop.gateway.post(
            f"{path}/capture", {"amount": amount, "final_capture": False}
        )
        assert answer.status_code == 200, answer.text
    assert (await shop.gateway.post(f"{path}/refunds", {"amount": 100})).status_code == 201
    assert (await shop.gateway.post(f"{path}/cancel", {})).status_code == 200
    assert (await shop.pay(DECLINED, cvc=CVC)).status_code == 402
    for fault in (Fault.ERROR_500_AFTER, Fault.WRONG_SHAPE, Fault.CUT_BEFORE):
        await shop.simulated.control.demand(fault, "authorize")
        answer = await shop.pay(NUMBER, cvc=CVC)
        assert answer.status_code == 202, answer.text
        await shop.until_settled(answer.json()["id"])


async def echoing(sent: Sent, _writer: asyncio.StreamWriter) -> bytes:
    """Answer with what was sent, in whatever form a destination could, and with the credentials."""
    number, headers = NUMBER.encode(), json.dumps(sent.headers)
    forms = (
        sent.body,
        headers.encode(),
        b64encode(sent.body),
        b64encode(b"x" + number),
        number.hex().encode(),
        "".join(f"%{each:02x}" for each in number).encode(),
        "".join(f"\\u{each:04x}" for each in number).encode(),
        "".join(f"&#{each};" for each in number).encode(),
        NUMBER.encode("utf-16-be"),
        b"-".join(number[at : at + 4] for at in range(0, 16, 4)),
        b'{"cvc": "' + CVC.encode() + b'"}',
    )
    told = f"content-type: text/plain\r\nx-answer: {NUMBER}\r\nx-else: {NUMBER}\r\n"
    return answered(b"\n".join(forms), 200, told)


async def forwarded(service: Service) -> None:
    """What a card meets on its way to a merchant's own destination: the number arrives there and nowhere else."""
    async with forwarder(service, echoing) as ground:
        made = await ground.key.token(NUMBER, CVC)
        xml = "<c e='{{ card.expiry }}'><n>{{ card.number }}</n><v>{{ card.cvc }}</v></c>"
        body = {"n": "{{ card.number }}", "v": "{{ card.cvc }}"}
        for kind, given in (
            ("application/json", body),
            ("application/x-www-form-urlencoded", body),
            ("application/xml", xml),
        ):
            destination = await ground.register(content_type=kind)
            sealed = await ground.key.post(f"/v1/tokens/{made['id']}/cvc", {"cvc": CVC})
            more = {
                "tokens": {"card": made["id"]},
                "cvcs": {"card": sealed.json()["cvc"]},
                "headers": {"x-card": "{{ card.number }}"},
            }
            dry = await ground.send(destination, given, **more, dry_run=True)
            assert dry.status_code == 200, dry.text
            for _ in range(2):  # the second one is a repeat
                said = await ground.send(destination, given, **more, idempotency=kind)
                assert said.status_code == 200, said.text
            arrived = ground.peer.requests[-1]
            assert NUMBER.encode() in arrived.body
            assert CVC.encode() in arrived.body
            assert arrived.headers["x-card"] == NUMBER
        card = {"tokens": {"card": made["id"]}}
        destination = await ground.register(timeout_ms=500)
        for behaviour in (cut(), silent(NUMBER.encode())):
            ground.peer.behaviour = behaviour
            lost = await ground.send(destination, "{{ card.number }}", **card)
            assert lost.json()["outcome"] == "unknown", lost.text
        for refused in (
            NUMBER,
            {"a": "{{ card.number }}", "b": NUMBER},
            {NUMBER: "{{ card.pin }}"},
        ):
            said = await ground.send(destination, refused, **card)
            assert said.status_code == 422, said.text
        said = await ground.send(destination, "{{ card.number }}", tokens={"card": NUMBER})
        assert said.status_code == 422, said.text
        wrong = ground.destination(name=NUMBER, path=f"/{NUMBER}", credentials={NUMBER: CVC})
        assert (await ground.admin.post("/v1/destinations", wrong)).status_code == 422
        assert (await ground.admin.get(f"/v1/destinations/{NUMBER}")).status_code == 422


def accepted(vault: Caller, token: str):  # type: ignore[no-untyped-def]
    """Where a card number belongs."""
    yield vault.tokenize(NUMBER, CVC, deduplicate=True, idempotency="canary")
    yield vault.tokenize(NUMBER, CVC, deduplicate=True, idempotency="canary")
    yield vault.post("/v1/tokens/bulk", {"tokens": [wish(NUMBER, CVC), wish(NUMBER)]})
    yield vault.post(f"/v1/tokens/{token}/cvc", {"cvc": CVC})
    yield vault.get(f"/v1/tokens/{token}")
    yield vault.get("/v1/tokens")


def refused(vault: Caller, token: str):  # type: ignore[no-untyped-def]
    """Where it belongs, with something wrong beside it."""
    yield vault.post("/v1/tokens", {"card": {**card(NUMBER, CVC), "exp_year": 2001}})
    yield vault.post("/v1/tokens", {"card": {**card(NUMBER, CVC), NUMBER: CVC}})
    yield vault.post("/v1/tokens", {"card": card(NUMBER, CVC + "1")})
    yield vault.post("/v1/tokens", {"card": card(NUMBER[:-1] + "7", CVC)})
    yield vault.post("/v1/tokens", {"card": {**card(NUMBER), "cvc": int(CVC)}})
    yield vault.post("/v1/tokens", content=f'{{"card": {NUMBER} {CVC}'.encode())
    yield vault.post("/v1/tokens/bulk", {"tokens": [wish(NUMBER[:-1] + "7", CVC), NUMBER]})
    yield vault.post(f"/v1/tokens/{token}/cvc", {"cvc": NUMBER})


def strayed(vault: Caller, gateway: Caller):  # type: ignore[no-untyped-def]
    """Where no card number may be."""
    spaced = " ".join(NUMBER[at : at + 4] for at in range(0, 16, 4))
    yield vault.get(f"/v1/tokens/{NUMBER}")
    yield vault.get(f"/v1/tokens?card={NUMBER}")
    yield vault.get("/v1/tokens", headers={"authorization": f"Bearer {NUMBER}"})
    yield vault.post("/v1/tokens", wish(NUMBER), idempotency=NUMBER)
    yield vault.post("/v1/tokens", wish(NUMBER, metadata={"note": f"card {spaced}"}))
    yield vault.post("/v1/tokens", wish(NUMBER, metadata={NUMBER: CVC}))
    yield gateway.post("/v1/keys", {"kind": "pk", "name": f"key of {NUMBER}"})
    yield gateway.post("/v1/keys", wish(NUMBER, CVC))
    yield gateway.post(f"/v1/keys/{NUMBER}/revoke")
    yield gateway.get(f"/v1/{spaced}")


def strayed_at_the_till(shop: Shop, token: str):  # type: ignore[no-untyped-def]
    """Where payments could be told of one."""
    gateway, public = shop.gateway, shop.service.public
    body = {"amount": 1_000, "currency": "AED", "token": token, "confirm": True}
    connection = {
        "processor": "simulator",
        "account": shop.account,
        "base_url": shop.simulated.url,
        "credentials": {"api_key": shop.api_key},
        "webhook_secret": shop.secret,
    }
    notice = f'{{"id": "{new_id("evt").replace("evt_", "se_")}", "number": "{NUMBER}"}}'.encode()
    yield gateway.post("/v1/payments", {**body, "token": NUMBER})
    yield gateway.post("/v1/payments", {**body, "cvc": CVC})
    yield gateway.post("/v1/payments", {**body, "card": card(NUMBER, CVC)})
    yield gateway.post("/v1/payments", {**body, "reference": NUMBER})
    yield gateway.post("/v1/payments", {**body, "metadata": {"note": f"card {NUMBER}"}})
    yield gateway.post("/v1/payments", {**body, "return_url": f"https://shop.example/{NUMBER}"})
    yield gateway.post("/v1/payments", body, idempotency=NUMBER)
    yield gateway.get(f"/v1/payments?reference={NUMBER}")
    yield gateway.get(f"/v1/payments/{NUMBER}")
    yield gateway.post("/v1/connections", {**connection, "name": NUMBER})
    yield gateway.post("/v1/connections", {**connection, "credentials": {"api_key": NUMBER}})
    yield gateway.post("/v1/endpoints", {"url": f"https://shop.example/{NUMBER}"})
    yield public.get(f"/v1/returns/{NUMBER}")
    yield public.send("POST", f"/v1/inbound/{NUMBER}", content=notice)
    yield public.send("POST", f"/v1/inbound/{shop.connection['id']}", content=notice)


def strayed_at_the_door(anybody: Caller, keyed: Caller):  # type: ignore[no-untyped-def]
    """Where people set up and are managed."""
    yield anybody.post("/v1/setup", {"link": NUMBER})
    yield anybody.post("/v1/setup/password", {"ticket": NUMBER, "password": f"{NUMBER} abcdef"})
    yield keyed.post("/v1/invitations", {"email": f"{NUMBER}@a.example", "name": NUMBER})
    yield keyed.get(f"/v1/people/{NUMBER}")
    yield keyed.post("/v1/own/password", {"current": NUMBER, "new": NUMBER})
