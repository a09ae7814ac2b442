# SPDX-License-Identifier: Apache-2.0
"""A Strongroom in which cards can be shown: a merchant, its people and keys, and the rule that lets them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from joserfc.jwk import ECKey

from approving import Two
from database import Databases
from members import Member
from polling import until
from service import Caller, Service, Tenant, running
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind
from strongroom.vault.reveal.service import Reveals

VISA = "4242424242424242"
WISH = {"purpose": "dispute"}
APPROVAL = "strongroom-approval"


@dataclass
class Ground:
    """A merchant with two admins, keys of every kind, and a card."""

    service: Service
    tenant: Tenant
    asker: Member
    other: Member
    #: A restricted key that may reveal, and nothing else.
    key: str
    token: dict[str, Any]

    @classmethod
    async def on(cls, service: Service, mode: Mode = Mode.TEST, number: str = VISA) -> "Ground":
        tenant = await service.tenant()
        asker, other = [await service.member(tenant.merchant, mode=mode) for _ in range(2)]
        made = await service.key(
            tenant.merchant,
            KeyKind.RESTRICTED,
            mode,
            permissions=[Permission.VAULT_TOKEN_REVEAL],
        )
        token = await service.vault(tenant.keys[mode]).token(number)
        ground = cls(service, tenant, asker, other, made.text.expose(), token)
        await ground.rule("reveal", priority=500)
        return ground

    @property
    def path(self) -> str:
        return f"/v1/tokens/{self.token['id']}/reveal"

    @property
    def vault(self) -> Caller:
        """The merchant's secret key."""
        return self.service.vault(self.tenant.keys[Mode.TEST])

    @property
    def reveals(self) -> Reveals:
        app: Any = self.service.edges["vault"]._app
        reveals: Reveals = app.state.reveals
        return reveals

    async def rule(self, access: str, priority: int = 1, **more: Any) -> None:
        """Say what everybody may do in the container where the card is; to reveal takes both."""
        body = {
            "container": "default",
            "priority": priority,
            "grantee_kind": "anybody",
            "grantee": "*",
            "access": access,
            **more,
        }
        asker = self.service.vault(self.asker.key)

        async def known() -> bool:
            # Tests without a loop came before: nothing has asked meanwhile what was revoked, so nothing signed holds.
            return (await asker.get("/v1/access-rules")).status_code == 200

        await until(known, what="what was revoked to be known")
        answer = await asker.post("/v1/access-rules", body)
        if answer.status_code == 202:
            two = Two(asker, self.service.console(self.other.key))
            answer = await two.done("/v1/access-rules", body)
        assert answer.status_code == 201, answer.text

    async def ask(
        self, key: str | None = None, body: object = None, path: str | None = None, **more: Any
    ) -> httpx.Response:
        """Ask to see the card, with the key that may unless told."""
        wish = WISH if body is None else body
        return await self.service.vault(key or self.key).post(path or self.path, wish, **more)

    async def approved(self, body: object = None) -> str:
        """Let the one ask and the other approve; return the approval."""
        asked = await self.ask(self.asker.key, body)
        assert asked.status_code == 202, asked.text
        approval = str(asked.json()["id"])
        said = await self.service.console(self.other.key).post(
            f"/v1/approvals/{approval}/approve", {"reason": "case 1042"}
        )
        assert said.status_code == 200, said.text
        return approval

    async def records(self, *actions: str) -> list[dict[str, Any]]:
        """The vault's records of this merchant, in the order of their transactions."""
        rows = await self.service.look(
            Domain.VAULT,
            "select payload from audit.event where merchant_id = $1 order by xid, payload",
            self.tenant.merchant,
        )
        found = [json.loads(bytes(row["payload"])) for row in rows]
        return [each for each in found if not actions or each["action"] in actions]


@asynccontextmanager
async def revealing(databases: Databases, folder: Path, **settings: Any) -> AsyncIterator[Service]:
    """Lend a Strongroom with bounds that no test meets unless it asks for them."""
    async with running(
        databases,
        folder,
        listens=False,
        worker=False,
        **{"reveals_per_minute": 1_000_000, "reveal_burst_count": 1_000_000, **settings},
    ) as service:
        yield service


async def show(service: Service, number: str) -> None:
    """Let a card be shown in every way there is, and be refused: what the canary goes through."""
    ground = await Ground.on(service, number=number)
    clear = await ground.ask(body={**WISH, "note": "for the canary"})
    assert clear.status_code == 200, clear.text
    assert clear.json()["card"]["number"] == number, clear.text
    approval = await ground.approved()
    seen = await ground.ask(ground.asker.key, headers={APPROVAL: approval})
    assert seen.json()["card"]["number"] == number, seen.text
    key = ECKey.generate_key("P-256").as_dict(private=False)
    sealed = await ground.ask(body={**WISH, "jwe_key": key})
    assert sealed.json()["card"] is None, sealed.text
    for body in (
        {**WISH, "note": number},
        {**WISH, "purpose": number},
        {**WISH, number: number},
        {**WISH, "jwe_key": {**key, "kid": number, "d": number}},
        number,
    ):
        refused = await ground.ask(body=body, idempotency="canary")
        assert refused.status_code in (400, 422), refused.text
    await ground.rule("use")
    assert (await ground.ask()).status_code == 403
