# SPDX-License-Identifier: Apache-2.0
"""A merchant with a honeytoken and one like it, and every way in which somebody could use either."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from joserfc.jwk import ECKey

from approving import Two
from paying import Shop, open_shop
from peer import Peer, answer, peer, says
from polling import until
from revealing import WISH, Ground
from service import Service
from strongroom.simulator.server import running_simulator
from strongroom.vault.honey.watch import HoneyWatch

CVC: Final = "737"


@dataclass(frozen=True, slots=True)
class Trap:
    """The ground of a test about honeytokens."""

    ground: Ground
    shop: Shop
    peer: Peer
    destination: str
    #: A token that nobody uses.
    bait: str

    @property
    def service(self) -> Service:
        return self.ground.service

    @property
    def watch(self) -> HoneyWatch:
        app: Any = self.service.edges["vault"]._app
        watch: HoneyWatch = app.state.honeytokens._watch
        return watch

    async def honeytokens(self) -> list[dict[str, Any]]:
        """What who watches over the vault is shown, newest first."""
        said = await self.service.vault(self.ground.asker.key).get("/v1/honeytokens")
        assert said.status_code == 200, said.text
        return list(said.json()["data"])

    async def uses(self) -> list[dict[str, Any]]:
        """The records of uses, oldest first."""
        return await self.ground.records("vault.honeytoken.used")

    def counted(self, way: str, outcome: str = "warned") -> float:
        """How many uses the metric has counted."""
        found = self.service.metrics.registry.get_sample_value(
            "strongroom_honeytoken_uses_total", {"mode": "test", "way": way, "outcome": outcome}
        )
        return found or 0.0


async def make(ground: Ground, **more: Any) -> str:
    """Make a honeytoken; return its id."""
    body = {"exp_month": 11, "exp_year": 2034, **more}
    made = await ground.service.vault(ground.asker.key).post("/v1/honeytokens", body)
    assert made.status_code == 201, made.text
    return str(made.json()["token"])


@asynccontextmanager
async def trapping(service: Service, folder: Path) -> AsyncIterator[Trap]:
    """Lend one."""
    ground = await Ground.on(service)
    async with (
        running_simulator(folder, authority=None) as simulated,
        peer(says(answer(b"{}"))) as listening,
    ):
        shop = await open_shop(service, simulated, tenant=ground.tenant, notices=False)
        made = await service.vault(ground.asker.key).post(
            "/v1/destinations", {"name": "peer", "base_url": listening.url, "path": "/v1/pay"}
        )
        assert made.status_code == 201, made.text
        yield Trap(ground, shop, listening, str(made.json()["id"]), await make(ground))


async def read(trap: Trap, token: str) -> httpx.Response:
    return await trap.ground.vault.get(f"/v1/tokens/{token}")


async def search(trap: Trap, token: str) -> httpx.Response:
    return await trap.ground.vault.post("/v1/tokens/search", {"expires_from": "2034-11"})


async def reveal(trap: Trap, token: str) -> httpx.Response:
    return await trap.ground.ask(path=f"/v1/tokens/{token}/reveal")


async def ask_to_reveal(trap: Trap, token: str) -> httpx.Response:
    return await trap.ground.ask(trap.ground.asker.key, WISH, path=f"/v1/tokens/{token}/reveal")


async def forward(trap: Trap, token: str) -> httpx.Response:
    wish = {
        "destination": trap.destination,
        "path": "/v1/pay",
        "tokens": {"card": token},
        "body": {"pan": "{{ card.number }}"},
    }
    return await trap.ground.vault.post("/v1/forward", wish)


async def charge(trap: Trap, token: str) -> httpx.Response:
    body = {"amount": 1_000, "currency": "AED", "token": token, "confirm": True}
    return await trap.shop.gateway.post("/v1/payments", body)


async def export(trap: Trap, token: str) -> httpx.Response:
    service, ground = trap.service, trap.ground
    two = Two(service.vault(ground.asker.key), service.console(ground.other.key))
    recipient = json.dumps(ECKey.generate_key("P-256").as_dict(private=False))
    wish = {"encryption": "jwe_lines", "recipient": recipient, "purpose": "recovery"}
    begun = await two.done("/v1/exports", wish)
    assert begun.status_code == 201, begun.text

    async def look() -> httpx.Response | None:
        found = await two.asker.get(f"/v1/exports/{begun.json()['id']}")
        return None if found.json()["ended_at"] is None else found

    return await until(look, what="the export to end")


async def change(trap: Trap, token: str) -> httpx.Response:
    body = {"metadata": {"seen": "yes"}}
    return await trap.ground.vault.post(f"/v1/tokens/{token}", body)


async def seal_cvc(trap: Trap, token: str) -> httpx.Response:
    return await trap.ground.vault.post(f"/v1/tokens/{token}/cvc", {"cvc": CVC})


async def delete(trap: Trap, token: str) -> httpx.Response:
    return await trap.ground.vault.delete(f"/v1/tokens/{token}")


Way = Callable[[Trap, str], Awaitable[httpx.Response]]
#: What somebody does, and the word for it in the records.
WAYS: Final[Mapping[str, tuple[Way, str]]] = {
    "read": (read, "read"),
    "search": (search, "search"),
    "reveal": (reveal, "reveal"),
    "ask_to_reveal": (ask_to_reveal, "reveal"),
    "forward": (forward, "forward"),
    "charge": (charge, "charge"),
    "export": (export, "export"),
    "change": (change, "change"),
    "seal_cvc": (seal_cvc, "charge"),
    "delete": (delete, "change"),
}
