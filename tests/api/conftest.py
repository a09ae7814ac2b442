# SPDX-License-Identifier: Apache-2.0
"""Sends the canary through every module of API tests: as a card, and in every place where no card may be."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from canary import CVC, NUMBER
from service import Caller, Service, card, wish
from strongroom.kernel.mode import Mode


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def canary_passes(service: Service) -> AsyncIterator[None]:
    """Let the canary fly through the service before and beside a module's tests."""
    await fly(service)
    yield


async def fly(service: Service) -> None:
    tenant = await service.tenant()
    vault = service.vault(tenant.keys[Mode.TEST])
    gateway = service.gateway(tenant.keys[Mode.TEST])
    token = await vault.token(NUMBER, CVC, metadata={"order": "1042"})
    await asyncio.gather(*accepted(vault, token["id"]))
    await asyncio.gather(*refused(vault, token["id"]))
    for answer in await asyncio.gather(*strayed(vault, gateway)):
        assert 400 <= answer.status_code < 500, answer.text


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
