# SPDX-License-Identifier: Apache-2.0
"""A shop that takes payments through Stripe's adapter, at a stand-in that answers in Stripe's place."""

import hmac
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from contracts.stripe_stand_in import ACCOUNT, KEY, StripeStandIn, standing_in
from contracts.stripe_words import event
from database import Server, fresh_databases
from polling import until
from service import Caller, Service, Tenant, running
from strongroom.compose import payments as composed
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.payments.processors.stripe import StripeAdapter

VISA = "4242424242424242"
SECRET = "whsec_ofatestendpoint0123456789"


@dataclass(slots=True)
class StripeShop:
    """A merchant with a connection to the stand-in's account."""

    service: Service
    tenant: Tenant
    there: StripeStandIn
    connection: dict[str, Any]

    @property
    def gateway(self) -> Caller:
        return self.service.gateway(self.tenant.keys[Mode.TEST])

    async def pay(
        self, number: str = VISA, *, cvc: str | None = "123", **more: Any
    ) -> httpx.Response:
        vault = self.service.vault(self.tenant.keys[Mode.TEST])
        token = await vault.token(number, cvc)
        body = {
            "amount": 1_000,
            "currency": "AED",
            "token": token["id"],
            "capture_method": "manual",
            "confirm": True,
            **({"cvc": token["cvc"]} if cvc else {}),
            **more,
        }
        return await self.gateway.post("/v1/payments", body)

    async def payment(self, payment: str) -> dict[str, Any]:
        return dict((await self.gateway.get(f"/v1/payments/{payment}")).json())

    async def attempts(self, payment: str) -> list[dict[str, Any]]:
        """A payment's attempts as they are kept, in their order."""
        rows = await self.service.look(
            Domain.CORE,
            "select * from payments.attempt where payment_id = $1 order by attempt_id",
            payment,
        )
        return [dict(row) for row in rows]

    async def until_settled(self, payment: str) -> dict[str, Any]:
        """Wait until every attempt of a payment has a final outcome."""

        async def look() -> dict[str, Any] | None:
            outcomes = {each["outcome"] for each in await self.attempts(payment)}
            final = outcomes <= {"approved", "declined", "not_sent"}
            return await self.payment(payment) if final else None

        return await until(look, what=f"{payment} to be settled")

    async def tell(self, kind: str, thing: dict[str, Any], **members: Any) -> None:
        """Tell of an event, and wait until it was dealt with."""
        body = event(kind, thing, **members)
        now = int(time.time())
        mac = hmac.digest(SECRET.encode(), f"{now}.".encode() + body, "sha256").hex()
        path = httpx.URL(self.connection["webhook_url"]).path
        answer = await self.service.public.send(
            "POST",
            path,
            content=body,
            headers={"stripe-signature": f"t={now},v1={mac}"},
            idempotency=None,
        )
        assert answer.status_code < 300, answer.text

        async def look() -> bool | None:
            return "kept" not in await self.results() or None

        await until(look, what="the event to be dealt with")

    async def results(self) -> list[str]:
        """How this shop's events were dealt with, in their order."""
        rows = await self.service.look(
            Domain.CORE,
            "select coalesce(result, state) as word from webhooks.notice"
            " where merchant_id = $1 order by notice_id",
            self.tenant.merchant,
        )
        return [row["word"] for row in rows]


async def open_stripe_shop(service: Service, there: StripeStandIn) -> StripeShop:
    """Make a merchant and connect it."""
    tenant = await service.tenant()
    answer = await service.gateway(tenant.keys[Mode.TEST]).post(
        "/v1/connections",
        {
            "processor": "stripe",
            "account": ACCOUNT,
            "base_url": there.url,
            "credentials": {"api_key": KEY},
            "webhook_secret": SECRET,
        },
    )
    assert answer.status_code == 201, answer.text
    return StripeShop(service, tenant, there, dict(answer.json()))


@dataclass(frozen=True, slots=True)
class StripeGround:
    """A process that asks and does no jobs, one that does, and the stand-in between."""

    dying: Service
    living: Service
    there: StripeStandIn


#: A replay is the same request to the byte, and where customers come back to is in it.
_SETTINGS: Final[dict[str, Any]] = {
    "processor_timeout_seconds": 1,
    "public_url": "https://pay.shop.example",
}


@asynccontextmanager
async def stripe_ground(server: Server, folder: Path) -> AsyncIterator[StripeGround]:
    """Run two processes whose Stripe may be on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        anywhere = StripeAdapter(hosts=frozenset())
        patch.setitem(composed.ADAPTERS, "stripe", anywhere)
        async with (
            fresh_databases(server) as databases,
            running(databases, folder, worker=False, **_SETTINGS) as dying,
            running(databases, folder, **_SETTINGS) as living,
            standing_in() as there,
        ):
            yield StripeGround(dying, living, there)
