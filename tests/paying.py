# SPDX-License-Identifier: Apache-2.0
"""A shop that takes payments in tests: a merchant of a running Strongroom, connected to a running simulator.

Both are real: HTTP between them both ways, books on either side that can be compared to the last minor unit.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx

from polling import until
from service import Caller, Service, Tenant
from strongroom.crypto.random import random_bytes
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.simulator import Simulated, running_simulator

VISA: Final = "4242424242424242"
DECLINED: Final = "4000000000000002"
WITH_CHALLENGE: Final = "4000002760003184"
SECONDS_MAX: Final = 20.0
T = TypeVar("T")


@dataclass(slots=True)
class Shop:
    """A merchant with a connection to a simulator's account."""

    service: Service
    simulated: Simulated
    tenant: Tenant
    account: str
    api_key: str
    secret: str
    connection: dict[str, Any]

    @property
    def vault(self) -> Caller:
        return self.service.vault(self.tenant.keys[Mode.TEST])

    @property
    def gateway(self) -> Caller:
        return self.service.gateway(self.tenant.keys[Mode.TEST])

    async def token(
        self, number: str = VISA, cvc: str | None = None, **more: Any
    ) -> dict[str, Any]:
        return await self.vault.token(number, cvc, **more)

    async def pay(
        self,
        number: str = VISA,
        *,
        amount: int = 1_000,
        currency: str = "AED",
        cvc: str | None = None,
        confirm: bool = True,
        idempotency: str = "",
        **more: Any,
    ) -> httpx.Response:
        """Charge a card that was never seen before."""
        token = await self.token(number, cvc)
        body = {
            "amount": amount,
            "currency": currency,
            "token": token["id"],
            "confirm": confirm,
            **({"cvc": token["cvc"]} if cvc else {}),
            **more,
        }
        return await self.gateway.post("/v1/payments", body, idempotency=idempotency)

    async def authorized(self, amount: int = 1_000, **more: Any) -> dict[str, Any]:
        answer = await self.pay(amount=amount, capture_method="manual", **more)
        assert answer.status_code == 201, answer.text
        assert answer.json()["status"] == "requires_capture", answer.text
        return dict(answer.json())

    async def captured(self, amount: int = 1_000, **more: Any) -> dict[str, Any]:
        answer = await self.pay(amount=amount, **more)
        assert answer.status_code == 201, answer.text
        assert answer.json()["status"] == "succeeded", answer.text
        return dict(answer.json())

    async def payment(self, payment: str) -> dict[str, Any]:
        answer = await self.gateway.get(f"/v1/payments/{payment}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def attempts(self, payment: str) -> list[dict[str, Any]]:
        return list((await self.gateway.get(f"/v1/payments/{payment}/attempts")).json()["data"])

    async def until_status(self, payment: str, *statuses: str) -> dict[str, Any]:
        async def look() -> dict[str, Any] | None:
            found = await self.payment(payment)
            return found if found["status"] in statuses else None

        return await until(look, what=f"{payment} to be {' or '.join(statuses)}")

    async def until_settled(self, payment: str) -> dict[str, Any]:
        """Wait until every attempt of a payment has a final outcome."""

        async def look() -> dict[str, Any] | None:
            attempts = await self.attempts(payment)
            final = all(
                each["outcome"] in ("approved", "declined", "not_sent") for each in attempts
            )
            return await self.payment(payment) if final else None

        return await until(look, what=f"{payment} to be settled")

    async def happened(self, payment: str) -> list[Any]:
        """What the simulator did for a payment, in its journal's order."""
        references = {each["id"] for each in await self.attempts(payment)}
        journal = await self.simulated.control.journal(account=self.account)
        return [entry for entry in journal if entry.reference in references]

    async def events(self, payment: str) -> list[str]:
        rows = await self.service.look(
            Domain.CORE,
            "select type from webhooks.event"
            " where merchant_id = $1 and payload like '%' || $2 || '%' order by event_id",
            self.tenant.merchant,
            payment,
        )
        return [row["type"] for row in rows]

    async def notices(self) -> Mapping[str, int]:
        """How this shop's notices were dealt with, counted."""
        rows = await self.service.look(
            Domain.CORE,
            "select coalesce(result, state) as word, count(*) as n from webhooks.notice"
            " where merchant_id = $1 group by 1",
            self.tenant.merchant,
        )
        return {row["word"]: row["n"] for row in rows}

    async def until_told(self) -> None:
        """Wait until the simulator has delivered every notice and the worker has dealt with each."""
        await self.simulated.control.until_told()

        async def look() -> bool | None:
            return "kept" not in await self.notices() or None

        await until(look, what="every notice to be dealt with")


async def open_shop(
    service: Service,
    simulated: Simulated,
    *,
    tenant: Tenant | None = None,
    notices: bool = True,
    encryption_key: str | None = None,
    **more: Any,
) -> Shop:
    """Make a merchant, its account at the simulator, and the connection between them."""
    tenant = tenant or await service.tenant()
    account = "acct_" + "".join(chr(ord("a") + each % 26) for each in random_bytes(10))
    secret = encryption_key or f"sim_whsec_{random_bytes(24).hex()}"
    made = await simulated.control.account(account)
    answer = await service.gateway(tenant.keys[Mode.TEST]).post(
        "/v1/connections",
        {
            "processor": "simulator",
            "account": account,
            "base_url": simulated.url,
            "credentials": {"api_key": made.api_key},
            "webhook_secret": secret,
            **({"webhook_scheme": "aes_gcm_hex"} if encryption_key else {}),
            **more,
        },
    )
    assert answer.status_code == 201, answer.text
    connection = dict(answer.json())
    if notices:
        await simulated.control.account(
            account,
            api_key=made.api_key,
            webhook_url=connection["webhook_url"],
            webhook_secrets=() if encryption_key else (secret,),
            webhook_encryption_key=encryption_key,
        )
    return Shop(service, simulated, tenant, account, made.api_key, secret, connection)


@asynccontextmanager
async def simulating(folder: Path, service: Service, **more: Any) -> AsyncIterator[Simulated]:
    """Run a simulator whose webhooks trust the service's certificate."""
    more = {"retry_seconds": (0.1, 0.2, 0.5), **more}
    async with running_simulator(folder, authority=service.authority, **more) as simulated:
        yield simulated
