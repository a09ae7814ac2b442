# SPDX-License-Identifier: Apache-2.0
"""A merchant that forwards: a person who registers destinations, a key that forwards, and a peer that receives."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from approving import Two
from peer import Behaviour, Peer, answer, peer, says
from persons import People
from service import Caller, Service, Tenant
from strongroom.kernel.mode import Mode

TOKEN: Final = "destination-secret-of-a-test"
ANSWER: Final = b'{"state": "accepted"}'


@dataclass(frozen=True, slots=True)
class Forwarder:
    """The ground of a test about forwards, in test mode."""

    service: Service
    tenant: Tenant
    #: A person who may register destinations.
    admin: Caller
    key: Caller
    peer: Peer

    async def register(self, **more: Any) -> str:
        """Register a destination; what is not said is the ground's own. Return its id."""
        made = await self.admin.post("/v1/destinations", self.destination(**more))
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    def destination(self, **more: Any) -> dict[str, Any]:
        """A wish for a destination."""
        return {
            "name": "the peer of a test",
            "base_url": self.peer.url,
            "path": "/v1/pay/*",
            "request_headers": ["x-card", "x-order"],
            "answer_headers": ["content-type", "x-answer"],
            "query": ["expand"],
            "auth": "bearer",
            "credentials": {"token": TOKEN},
            "timeout_ms": 2_000,
            **more,
        }

    async def send(self, destination: str, body: object, **more: Any) -> httpx.Response:
        """Forward a request."""
        headers: Mapping[str, str] | None = more.pop("with_headers", None)
        idempotency: str = more.pop("idempotency", "")
        wish = {"destination": destination, "path": "/v1/pay/1", "body": body, **more}
        return await self.key.post(
            "/v1/forward", wish, headers=headers, idempotency=idempotency or ""
        )

    async def records(self, action: str | None = None) -> list[dict[str, Any]]:
        """What the vault's log says of this merchant, oldest first."""
        import json  # noqa: PLC0415

        from strongroom.db.logins import Domain  # noqa: PLC0415

        rows = await self.service.look(
            Domain.VAULT,
            "select payload from audit.event where merchant_id = $1 order by xid, payload",
            self.tenant.merchant,
        )
        found = [json.loads(bytes(row["payload"])) for row in rows]
        return [each for each in found if action is None or each["action"] == action]


@asynccontextmanager
async def forwarder(
    service: Service, behaviour: Behaviour | None = None
) -> AsyncIterator[Forwarder]:
    """Lend a merchant that forwards."""
    tenant = await service.tenant()
    people = People(service)
    admin = people.at("vault", await people.make(tenant.merchant))
    async with peer(behaviour or says(answer(ANSWER, 201))) as listening:
        yield Forwarder(service, tenant, admin, service.vault(tenant.keys[Mode.TEST]), listening)


async def live_two(service: Service, tenant: Tenant) -> Two:
    """Two admins in live mode: one asks the vault, the other approves at the console."""
    people = People(service)
    asker = await people.make(tenant.merchant, mode=Mode.LIVE)
    approver = await people.make(tenant.merchant, mode=Mode.LIVE)
    return Two(people.at("vault", asker), people.at("console", approver))
