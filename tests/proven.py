# SPDX-License-Identifier: Apache-2.0
"""What operations about second factors are tried with: somebody who has what they need, and a code that holds now.

A code is good for its half minute and once; each maker uses an earlier step to get where its operation begins.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import pyotp

from members import ACT
from service import Caller, Service
from signed_in import begin, person_of
from strongroom.crypto.ids import new_id
from strongroom.crypto.random import random_bytes
from strongroom.db.logins import Domain
from strongroom.db.pool import connect
from strongroom.identity.people.console import PeopleDesk
from strongroom.identity.people.model import Person, PersonWish
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.principal import Role

PASSWORD: Final = "nine lamps under 1 bridge"


@dataclass(frozen=True, slots=True)
class Proven:
    """Who asks (nobody, or an access token), and what stands in the body."""

    key: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Armed:
    """Somebody with a password, an app and recovery codes."""

    service: Service
    person: Person
    secret: str
    recovery_codes: list[str]

    def code(self, steps: int = 0) -> str:
        """What the app shows, so many steps from now."""
        now = self.service.composer.site.clock.now()
        return pyotp.TOTP(self.secret).at(now + timedelta(seconds=30 * steps))

    async def handle(self) -> str:
        """Take the first step of a login."""
        body = {"email": self.person.email, "password": PASSWORD, "mode": "test"}
        answer = await anybody(self.service).post("/v1/login", body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["handle"])

    async def key(self) -> str:
        """Begin a session without a code, so that none is used up."""
        return (await begin(self.service, self.person)).access.expose()


def anybody(service: Service) -> Caller:
    return Caller(service.clients["console"], None)


def desk_of(service: Service) -> PeopleDesk:
    app: Any = service.edges["console"]._app
    desk: PeopleDesk = app.state.people
    return desk


async def ticket(service: Service, merchant: MerchantId) -> tuple[Person, str]:
    """Invite somebody, and open their link."""
    email = f"{new_id('usr').lower()}@shop.example"
    desk = desk_of(service)
    invited = await desk.people.invite(PersonWish(merchant, email, "Ada", Role.ADMIN), ACT)
    opened = await desk.setup.open(invited.link)
    return opened.person, opened.ticket.expose()


async def enrolling(service: Service, merchant: MerchantId) -> tuple[Person, str, str]:
    """Somebody who is setting up, with a password: their ticket, and their app's secret."""
    person, held = await ticket(service, merchant)
    caller = anybody(service)
    answer = await caller.post("/v1/setup/password", {"ticket": held, "password": PASSWORD})
    assert answer.status_code == 204, answer.text
    enrolled = await caller.post("/v1/setup/totp", {"ticket": held})
    assert enrolled.status_code == 201, enrolled.text
    return person, held, str(enrolled.json()["secret"])


async def armed(service: Service, merchant: MerchantId) -> Armed:
    """Somebody who has set up; the code of the step before this one is used up."""
    person, held, secret = await enrolling(service, merchant)
    made = Armed(service, person, secret, [])
    body = {"ticket": held, "code": made.code(-1)}
    answer = await anybody(service).post("/v1/setup/totp/confirm", body)
    assert answer.status_code == 200, answer.text
    active = await desk_of(service).people.one(merchant, person.person_id)
    return Armed(service, active, secret, answer.json()["recovery_codes"])


async def logging_in(service: Service, merchant: MerchantId) -> Proven:
    who = await armed(service, merchant)
    return Proven(None, {"handle": await who.handle(), "code": who.code()})


async def recovering(service: Service, merchant: MerchantId) -> Proven:
    who = await armed(service, merchant)
    return Proven(None, {"handle": await who.handle(), "code": who.recovery_codes[0]})


async def stepping_up(service: Service, merchant: MerchantId) -> Proven:
    who = await armed(service, merchant)
    return Proven(await who.key(), {"code": who.code()})


async def setting_up(service: Service, merchant: MerchantId) -> Proven:
    _, held = await ticket(service, merchant)
    return Proven(None, {"ticket": held})


async def confirming_setup(service: Service, merchant: MerchantId) -> Proven:
    person, held, secret = await enrolling(service, merchant)
    return Proven(None, {"ticket": held, "code": Armed(service, person, secret, []).code()})


async def confirming(service: Service, merchant: MerchantId) -> Proven:
    person = await person_of(service, merchant)
    key = (await begin(service, person)).access.expose()
    enrolled = await Caller(service.clients["console"], key).post("/v1/own/totp")
    secret = str(enrolled.json()["secret"])
    return Proven(key, {"code": Armed(service, person, secret, []).code()})


async def with_a_passkey_too(service: Service, merchant: MerchantId) -> Proven:
    """Somebody whose app is not their last factor."""
    who = await armed(service, merchant)
    connection = await connect(service.databases.administrator(Domain.CORE))
    try:
        await connection.execute(
            "insert into identity.passkey (merchant_id, person_id, passkey_id, credential_id, public_key, sign_count,"
            " aaguid, attestation, transports, backup_eligible, backed_up, name, created_at)"
            " values ($1, $2, $3, $4, '', 0, '', 'none', '{}', false, false, 'n', now())",
            merchant,
            who.person.person_id,
            new_id("psk"),
            random_bytes(32),
        )
    finally:
        await connection.close()
    return Proven(await who.key())


#: By operation, as `tests/api/test_openapi.py` names them.
PROVEN: Final[Mapping[str, Callable[[Service, MerchantId], Awaitable[Proven]]]] = {
    "console POST /v1/login/totp": logging_in,
    "console POST /v1/login/recovery": recovering,
    "console POST /v1/step-up/totp": stepping_up,
    "console POST /v1/setup/totp": setting_up,
    "console POST /v1/setup/totp/confirm": confirming_setup,
    "console POST /v1/own/totp/confirm": confirming,
    "console DELETE /v1/own/totp": with_a_passkey_too,
}
