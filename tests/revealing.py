# SPDX-License-Identifier: Apache-2.0
"""A Strongroom in which cards can be shown: rules that a test sets, a merchant, its people and its keys."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from database import Databases
from members import Member
from service import Caller, ComposerWithStore, Service, Tenant, running
from strongroom.db.logins import Domain
from strongroom.kernel.errors import Denied
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind, Principal
from strongroom.vault.containers.model import Access, Granted, Transform
from strongroom.vault.containers.ports import ContainerRules
from strongroom.vault.reveal.service import Reveals

VISA = "4242424242424242"
WISH = {"purpose": "dispute"}
APPROVAL = "strongroom-approval"


class AccessRefused(Denied):
    """No rule gives as much."""

    code = "vault_access_refused"


@dataclass
class RulesInTests:
    """Gives everybody as much as a test says, by container."""

    access: dict[str, Access] = field(default_factory=dict)

    async def granted(self, principal: Principal, container: str) -> Granted | None:  # noqa: ARG002
        access = self.access.get(container, Access.REVEAL)
        return Granted(access, Transform.REVEAL if access is Access.REVEAL else Transform.MASK)

    async def require(self, principal: Principal, container: str, wanted: Access) -> Granted:
        granted = await self.granted(principal, container)
        if granted is None or not granted.access.covers(wanted):
            raise AccessRefused
        return granted

    async def require_payments(
        self, merchant: MerchantId, mode: Mode, container: str, wanted: Access
    ) -> Granted:
        raise AssertionError(f"no payment of {merchant} is made here", mode, container, wanted)


class ComposerWithRules(ComposerWithStore):
    """Composes with rules that a test sets."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.rules = RulesInTests()

    async def container_rules(self, *_given: Any) -> ContainerRules:
        return self.rules


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
        return cls(service, tenant, asker, other, made.text.expose(), token)

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

    @property
    def rules(self) -> RulesInTests:
        composer: Any = self.service.composer
        rules: RulesInTests = composer.rules
        return rules

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
            "select payload from audit.event where merchant_id = $1 order by xid, event_id",
            self.tenant.merchant,
        )
        found = [json.loads(bytes(row["payload"])) for row in rows]
        return [each for each in found if not actions or each["action"] in actions]


@asynccontextmanager
async def revealing(databases: Databases, folder: Path, **settings: Any) -> AsyncIterator[Service]:
    """Lend a Strongroom whose rules a test sets."""
    async with running(
        databases,
        folder,
        listens=False,
        worker=False,
        composer_class=ComposerWithRules,
        **{"reveals_per_minute": 1_000_000, "reveal_burst_count": 1_000_000, **settings},
    ) as service:
        yield service
