# SPDX-License-Identifier: Apache-2.0
"""A shop that takes payments through Adyen's adapter, at a stand-in that answers in Adyen's place."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from contracts.adyen_stand_in import KEY, AdyenStandIn, psp_reference, standing_in_for_adyen
from contracts.adyen_words import ACCOUNT
from database import Server, fresh_databases
from notice_makers import adyen_envelope, adyen_signed
from polling import until
from service import Caller, Service, Tenant, running
from strongroom.compose import payments as composed
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.payments.model import Connection
from strongroom.payments.processors.adyen import AdyenAdapter

VISA: Final = "4242424242424242"
HMAC_KEY: Final = "0123456789ABCDEF" * 4


class Anywhere(AdyenAdapter):
    """The adapter, whose account may be on this machine."""

    destination = replace(AdyenAdapter.destination, hosts_by_mode={})

    def bound(self, connection: Connection) -> AdyenAdapter:
        return Anywhere(connection)


@dataclass(slots=True)
class AdyenShop:
    """A merchant with a connection to the stand-in's account."""

    service: Service
    tenant: Tenant
    there: AdyenStandIn
    connection: dict[str, Any]

    @property
    def gateway(self) -> Caller:
        return self.service.gateway(self.tenant.keys[Mode.TEST])

    async def pay(self, number: str = VISA, **more: Any) -> httpx.Response:
        token = await self.service.vault(self.tenant.keys[Mode.TEST]).token(number, None)
        body = {
            "amount": 1_000,
            "currency": "AED",
            "token": token["id"],
            "capture_method": "manual",
            "confirm": True,
            **more,
        }
        return await self.gateway.post("/v1/payments", body)

    async def payment(self, payment: str) -> dict[str, Any]:
        return dict((await self.gateway.get(f"/v1/payments/{payment}")).json())

    async def attempts(self, payment: str) -> list[dict[str, Any]]:
        return list((await self.gateway.get(f"/v1/payments/{payment}/attempts")).json()["data"])

    async def until_status(self, payment: str, status: str) -> dict[str, Any]:
        async def look() -> dict[str, Any] | None:
            found = await self.payment(payment)
            return found if found["status"] == status else None

        return await until(look, what=f"{payment} to be {status}")

    async def come_back(self, payment: str, **query: str) -> httpx.Response:
        """Return from a challenge, as a customer's browser does."""
        path = httpx.URL(f"/v1/returns/{payment}", params=query)
        return await self.service.public.send("GET", str(path), idempotency=None)

    async def tell(self, kind: str, reference: str, amount: int = 1_000, **more: Any) -> None:
        """Send a signed notice, and wait until it was dealt with."""
        item = adyen_signed(
            {
                "amount": {"currency": "AED", "value": amount},
                "eventCode": kind,
                "eventDate": "2026-11-20T10:30:00+01:00",
                "merchantAccountCode": ACCOUNT,
                "merchantReference": reference,
                "pspReference": psp_reference(),
                "reason": "",
                "success": "true",
                **more,
            },
            HMAC_KEY,
        )
        path = httpx.URL(self.connection["webhook_url"]).path
        answer = await self.service.public.send(
            "POST", path, content=adyen_envelope(item), headers={}, idempotency=None
        )
        assert answer.status_code == 202, answer.text

        async def look() -> bool | None:
            return "kept" not in await self.results() or None

        await until(look, what="the notice to be dealt with")

    async def results(self) -> list[str]:
        """How this shop's notices were dealt with, in their order."""
        rows = await self.service.look(
            Domain.CORE,
            "select coalesce(result, state) as word from webhooks.notice"
            " where merchant_id = $1 order by notice_id",
            self.tenant.merchant,
        )
        return [row["word"] for row in rows]


async def open_adyen_shop(
    service: Service, there: AdyenStandIn, finding: str = "by_replay"
) -> AdyenShop:
    """Make a merchant and connect it."""
    tenant = await service.tenant()
    answer = await service.gateway(tenant.keys[Mode.TEST]).post(
        "/v1/connections",
        {
            "processor": "adyen",
            "account": ACCOUNT,
            "base_url": there.url,
            "credentials": {"api_key": KEY},
            "webhook_secret": HMAC_KEY,
            "finding": finding,
        },
    )
    assert answer.status_code == 201, answer.text
    return AdyenShop(service, tenant, there, dict(answer.json()))


@asynccontextmanager
async def adyen_ground(server: Server, folder: Path) -> AsyncIterator[tuple[Service, AdyenStandIn]]:
    """Run a service whose Adyen may be on this machine, and the stand-in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(composed.ADAPTERS, "adyen", Anywhere())
        async with (
            fresh_databases(server) as databases,
            running(
                databases,
                folder,
                processor_timeout_seconds=1,
                public_url="https://pay.shop.example",
            ) as service,
            standing_in_for_adyen() as there,
        ):
            yield service, there
