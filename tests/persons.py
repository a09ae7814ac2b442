# SPDX-License-Identifier: Apache-2.0
"""People for tests of what people do: rows in the table, and credentials that only an edge of a test knows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from service import Caller, Service
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.http import Authenticator, Credential, Request
from strongroom.identity.grants import granted_to
from strongroom.kernel.ids import MerchantId, PersonId, SessionId
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import CallerKind, Presence, Principal, Role


@dataclass(frozen=True, slots=True)
class Someone:
    """A person who is logged in."""

    principal: Principal
    credential: str

    @property
    def id(self) -> str:
        return self.principal.subject


@dataclass
class KnowsPeople:
    """An authenticator that knows the people of a test, and asks the real one about everybody else."""

    real: Authenticator
    people: dict[str, Principal] = field(default_factory=dict)

    def recent(self, request: Request, credential: Credential) -> Principal | None:
        return self.people.get(credential.text) or self.real.recent(request, credential)

    async def authenticate(self, request: Request, credential: Credential) -> Principal:
        return await self.real.authenticate(request, credential)


class People:
    """The people of a service: make them once; each may call every listener that knows keys."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.people: dict[str, Principal] = {}
        for name in ("vault", "gateway", "console"):
            edge: Any = service.edges[name]
            if isinstance(edge._authenticator, KnowsPeople):
                self.people = edge._authenticator.people
            else:
                edge._authenticator = KnowsPeople(edge._authenticator, self.people)

    async def make(
        self,
        merchant: str,
        role: Role = Role.ADMIN,
        mode: Mode = Mode.TEST,
        *,
        status: str = "active",
        stepped_up: bool = True,
        made_at: datetime | None = None,
        last_used_at: datetime | None = None,
        more: frozenset[Permission] = frozenset(),
    ) -> Someone:
        """Make a person and log them in."""
        person = PersonId(new_id("usr"))
        now = made_at or self.service.composer.site.clock.now()
        await self.sql(
            "insert into identity.person (merchant_id, person_id, email, name, role, status, created_by, created_at,"
            " last_used_at) values ($1, $2, $3, 'Someone', $4, $5, 'operator:tests', $6, $7)",
            merchant,
            person,
            f"{person.lower()}@shop.example",
            role.value,
            status,
            now,
            last_used_at,
        )
        permissions = granted_to(role, mode, platform=merchant == "platform") | more
        principal = Principal(
            person,
            CallerKind.PERSON,
            MerchantId(merchant),
            mode,
            permissions,
            Presence(SessionId(new_id("ses")), role, frozenset({"pwd", "otp", "mfa"}), stepped_up),
        )
        self.people[person] = principal
        return Someone(principal, person)

    def again(self, someone: Someone, **changes: Any) -> Someone:
        """Log somebody in once more, differently."""
        credential = new_id("ses")
        principal = replace(someone.principal, **changes)
        self.people[credential] = principal
        return Someone(principal, credential)

    def at(self, listener: str, someone: Someone) -> Caller:
        return Caller(self.service.clients[listener], someone.credential)

    async def asked(self, someone: Someone) -> str:
        """Let something of theirs wait for another person."""
        approval = new_id("apr")
        now = self.service.composer.site.clock.now()
        await self.sql(
            "insert into identity.approval (merchant_id, approval_id, mode, action, listener, method, route,"
            " fingerprint, requested_by, requested_at, expires_at)"
            " values ($1, $2, $3, 'word', 'gateway', 'POST', '/v1/x', $4, $5, $6, $7)",
            someone.principal.merchant,
            approval,
            someone.principal.mode.value,
            bytes(32),
            someone.id,
            now,
            now + timedelta(minutes=60),
        )
        return approval

    async def sql(self, statement: str, *values: object) -> None:
        await self.service.look(Domain.CORE, statement, *values)

    async def records(self, thing: str) -> list[Mapping[str, Any]]:
        """The audit records about something, oldest first."""

        rows = await self.service.look(
            Domain.CORE, "select payload from audit.event order by xid, payload"
        )
        found = [json.loads(bytes(row["payload"])) for row in rows]
        return [each for each in found if each["object"] == thing]
