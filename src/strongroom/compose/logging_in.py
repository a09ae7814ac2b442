# SPDX-License-Identifier: Apache-2.0
"""Joins logging in, second factors and step-up with people and sessions: what the console's listener offers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from strongroom.audit import Origin
from strongroom.audit.recorder import EventRecorder
from strongroom.compose.people import PeopleBeside, people_desk
from strongroom.compose.process import Process
from strongroom.compose.sessions import SessionParts
from strongroom.compose.site import Site, platform_secret
from strongroom.db.pool import Database, ReadOnly, Transaction
from strongroom.http.rate_limit import Rate, RateLimiter
from strongroom.identity.factors import api as factors_api
from strongroom.identity.factors.own import OwnFactors
from strongroom.identity.factors.service import Factors
from strongroom.identity.login import api as login_api
from strongroom.identity.login.lockouts import Lockouts
from strongroom.identity.login.ports import Denials
from strongroom.identity.login.service import Logins
from strongroom.identity.login.step_up import StepUps
from strongroom.identity.passkeys.service import OwnPasskeys
from strongroom.identity.people.console import PeopleDesk
from strongroom.identity.people.model import Person, SetupProof
from strongroom.identity.people.ports import SessionsEnd, SetUp
from strongroom.identity.people.store import PeopleTable
from strongroom.identity.sessions.ports import Sessions
from strongroom.jobs import Task
from strongroom.kernel.secret import Secret
from strongroom.keys import KeyName
from strongroom.keys.keyring import Keyring

ROUTES: Final = (*login_api.ROUTES, *factors_api.ROUTES)
SWEEP_SECONDS: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class LoginParts:
    """Logging in, composed."""

    logins: Logins
    step_ups: StepUps
    factors: Factors
    own_factors: OwnFactors
    lockouts: Lockouts

    @property
    def state(self) -> Mapping[str, Any]:
        """What `ROUTES` ask for."""
        return {
            "logins": self.logins,
            "step_ups": self.step_ups,
            "own_factors": self.own_factors,
        }


class Tickets:
    """Set-up tickets for whoever keeps one kind of second factor (`factors.ports.SetupTickets`, passkeys' likewise)."""

    def __init__(self, setup: SetUp, proof: SetupProof) -> None:
        self._setup = setup
        self._proof = proof

    async def person(self, read: ReadOnly, ticket: Secret[str], now: datetime) -> Person:
        """Return whose ticket this is. Raises SetupRefused."""
        return await self._setup.setup_person(read, ticket, now)

    async def finish(
        self,
        tx: Transaction,
        person: Person,
        ticket: Secret[str],
        *,
        origin: Origin,
        now: datetime,
    ) -> None:
        """Use the link up. Raises SetupRefused, SetupIncomplete."""
        await self._setup.finish(tx, person, ticket, proof=self._proof, origin=origin, now=now)


@dataclass(frozen=True, slots=True)
class Proofs:
    """What proves people and what is counted against guessing: it also ends with their access."""

    hash_key: Secret[bytes]
    factors: Factors
    lockouts: Lockouts
    passkeys: OwnPasskeys

    def beside(self, sessions: SessionsEnd) -> PeopleBeside:
        """Return what people's access ends with."""
        return PeopleBeside(sessions, (self.factors, self.passkeys), self.lockouts)


async def proofs_of(
    site: Site,
    database: Database,
    keyring: Keyring,
    recorder: EventRecorder,
    sessions: Sessions,
) -> Proofs:
    """Compose second factors and the lock-out, under the console's login."""
    hash_key = await platform_secret(keyring, KeyName.LOGIN_HASH)
    factors = Factors(keyring, hash_key)
    lockouts = Lockouts(database, hash_key, recorder, site.metrics.logins)
    passkeys = OwnPasskeys(
        database,
        recorder,
        site.clock,
        people=PeopleTable(),
        others=factors,
        sessions=sessions,
    )
    return Proofs(hash_key, factors, lockouts, passkeys)


async def console_desks(
    process: Process,
    database: Database,
    keyring: Keyring,
    recorder: EventRecorder,
    *,
    sessions: SessionParts,
    denials: Denials,
    beside: Callable[[PeopleBeside], PeopleBeside],
) -> tuple[PeopleDesk, LoginParts]:
    """Compose people and their logins, which stand on each other. `beside` may put something else in its place."""
    site = process.site
    proofs = await proofs_of(site, database, keyring, recorder, sessions.service)
    ending = beside(proofs.beside(sessions.service))
    desk = await people_desk(process, database, keyring, recorder, ending)
    shared: Mapping[str, Any] = {
        "database": database,
        "people": PeopleTable(),
        "factors": proofs.factors,
        "sessions": sessions.service,
        "recorder": recorder,
        "clock": site.clock,
    }
    counted: Mapping[str, Any] = {"lockouts": proofs.lockouts, "metrics": site.metrics.logins}
    a_minute = site.settings.rate_login_per_minute
    logins = Logins(
        **shared,
        **counted,
        passwords=desk.passwords,
        denials=denials,
        hash_key=proofs.hash_key,
        throttle=RateLimiter(Rate(a_minute / 60, a_minute / 2)),
        proofs=sessions.proofs,
    )
    own = OwnFactors(**shared, others=proofs.passkeys, tickets=Tickets(desk.setup, SetupProof.TOTP))
    process.periodic([Task("past-logins", SWEEP_SECONDS, proofs.lockouts.sweep)])
    parts = LoginParts(logins, StepUps(**shared, **counted), proofs.factors, own, proofs.lockouts)
    return desk, parts
