# SPDX-License-Identifier: Apache-2.0
"""Joins logging in, second factors and step-up: what the console's listener offers, and what other parts use of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from strongroom.audit.recorder import EventRecorder
from strongroom.compose.site import Site, platform_secret
from strongroom.db.pool import Database
from strongroom.http.rate_limit import Rate, RateLimiter
from strongroom.identity.dpop import Proofs
from strongroom.identity.factors import api as factors_api
from strongroom.identity.factors.own import OwnFactors
from strongroom.identity.factors.ports import OtherFactors, SetupTickets
from strongroom.identity.factors.service import Factors
from strongroom.identity.login import api as login_api
from strongroom.identity.login.lockouts import Lockouts
from strongroom.identity.login.ports import Denials, Passwords
from strongroom.identity.login.service import Logins
from strongroom.identity.login.step_up import StepUps
from strongroom.identity.people.ports import People
from strongroom.identity.sessions.ports import Sessions
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


async def factors_of(keyring: Keyring) -> Factors:
    """Return people's authenticator apps and recovery codes."""
    return Factors(keyring, await platform_secret(keyring, KeyName.LOGIN_HASH))


async def lockouts_of(
    site: Site, database: Database, keyring: Keyring, recorder: EventRecorder
) -> Lockouts:
    """Return who is locked out, and from where."""
    hash_key = await platform_secret(keyring, KeyName.LOGIN_HASH)
    return Lockouts(database, hash_key, recorder, site.metrics.logins)


async def login_parts(
    site: Site,
    database: Database,
    keyring: Keyring,
    recorder: EventRecorder,
    *,
    people: People,
    passwords: Passwords,
    sessions: Sessions,
    tickets: SetupTickets,
    factors: Factors,
    others: OtherFactors,
    lockouts: Lockouts,
    proofs: Proofs,
    denials: Denials,
) -> LoginParts:
    """Compose logging in, under the console's login. `lockouts.sweep` is to be called every `SWEEP_SECONDS`."""
    hash_key = await platform_secret(keyring, KeyName.LOGIN_HASH)
    metrics, clock = site.metrics.logins, site.clock
    a_minute = site.settings.rate_login_per_minute
    logins = Logins(
        proofs=proofs,
        database=database,
        people=people,
        passwords=passwords,
        factors=factors,
        lockouts=lockouts,
        sessions=sessions,
        recorder=recorder,
        denials=denials,
        hash_key=hash_key,
        clock=clock,
        metrics=metrics,
        throttle=RateLimiter(Rate(a_minute / 60, a_minute / 2)),
    )
    step_ups = StepUps(
        database=database,
        people=people,
        factors=factors,
        lockouts=lockouts,
        sessions=sessions,
        recorder=recorder,
        clock=clock,
        metrics=metrics,
    )
    own = OwnFactors(
        database=database,
        factors=factors,
        others=others,
        people=people,
        sessions=sessions,
        tickets=tickets,
        recorder=recorder,
        clock=clock,
    )
    return LoginParts(logins, step_ups, factors, own, lockouts)
