# SPDX-License-Identifier: Apache-2.0
"""People who have logged in, for tests that are not about logging in: a person's row, and a session begun for it."""

from typing import Any, cast

from service import Service
from strongroom.audit import PLATFORM, Origin
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import connect
from strongroom.identity.people.model import Person, PersonStatus
from strongroom.identity.sessions.api import SessionDesk
from strongroom.identity.sessions.ports import Issued
from strongroom.kernel.ids import MerchantId, PersonId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Role

METHODS = ("mfa", "otp", "pwd")


def desk_of(service: Service) -> SessionDesk:
    """The parts behind the routes of sessions."""
    app: Any = service.edges["console"]._app
    return cast("SessionDesk", app.state.sessions)


async def person_of(
    service: Service, merchant: MerchantId = PLATFORM, role: Role = Role.ADMIN
) -> Person:
    """Make somebody."""
    person = PersonId(new_id("usr"))
    now = service.composer.site.clock.now()
    email = f"{person.lower()}@shop.example"
    connection = await connect(service.databases.administrator(Domain.CORE))
    try:
        await connection.execute(
            "insert into identity.person (merchant_id, person_id, email, name, role, status, created_by, created_at)"
            " values ($1, $2, $3, 'Somebody', $4, 'active', 'tests', $5)",
            merchant,
            person,
            email,
            role.value,
            now,
        )
    finally:
        await connection.close()
    return Person(
        person, merchant, email, "Somebody", role, PersonStatus.ACTIVE, "tests", now, None
    )


async def begin(
    service: Service,
    person: Person,
    mode: Mode = Mode.TEST,
    *,
    dpop_thumbprint: str | None = None,
) -> Issued:
    """Begin a session, as whatever proves people does."""
    database = await service.databases.open(Domain.CORE, Login.CONSOLE)
    now = service.composer.site.clock.now()
    try:
        async with database.transaction([person.merchant]) as tx:
            return await desk_of(service).service.begin(
                tx, person, mode, METHODS, origin=Origin(), now=now, dpop_thumbprint=dpop_thumbprint
            )
    finally:
        await database.close()


async def signed_in(
    service: Service,
    merchant: MerchantId = PLATFORM,
    role: Role = Role.ADMIN,
    mode: Mode = Mode.TEST,
) -> Issued:
    """Make somebody who has logged in a moment ago."""
    return await begin(service, await person_of(service, merchant, role), mode)
