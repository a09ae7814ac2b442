# SPDX-License-Identifier: Apache-2.0
"""Composes single sign-on for the role where people log in."""

from functools import partial

from strongroom.audit import Recorder
from strongroom.compose.process import Process
from strongroom.compose.site import platform_secret
from strongroom.db.pool import Database
from strongroom.egress import Target, check_url
from strongroom.http.rate_limit import Rate
from strongroom.identity.people.ports import People
from strongroom.identity.sessions.ports import Sessions
from strongroom.identity.sso.admission import Admission
from strongroom.identity.sso.console import Sso
from strongroom.identity.sso.discovery import Discovery
from strongroom.identity.sso.proofs import Proofs
from strongroom.identity.sso.providers import Providers
from strongroom.identity.sso.sign_in import SignIn
from strongroom.keys import KeyName
from strongroom.keys.keyring import Keyring


def _checked(process: Process, url: str) -> Target:
    return check_url(url, process.policy, port=None)


def providers_of(
    process: Process, database: Database, keyring: Keyring, recorder: Recorder, sessions: Sessions
) -> Providers:
    """Return what keeps identity providers, for the console's routes and the operators' commands."""
    return Providers(
        database=database,
        keys=keyring,
        recorder=recorder,
        sessions=sessions,
        clock=process.site.clock,
        check_url=partial(_checked, process),
    )


async def sign_on(
    process: Process,
    database: Database,
    keyring: Keyring,
    recorder: Recorder,
    *,
    people: People,
    sessions: Sessions,
) -> Sso:
    """Return what stands behind the routes of single sign-on (`state.sso`)."""
    clock = process.site.clock
    a_minute = process.site.settings.rate_login_per_minute
    proofs = Proofs(await platform_secret(keyring, KeyName.SIGN_IN_HASH))
    admission = Admission(
        database=database,
        people=people,
        sessions=sessions,
        proofs=proofs,
        recorder=recorder,
        clock=clock,
    )
    return Sso(
        providers_of(process, database, keyring, recorder, sessions),
        SignIn(
            database=database,
            keys=keyring,
            proofs=proofs,
            discovery=Discovery(process.egress(), partial(_checked, process), clock),
            admission=admission,
            recorder=recorder,
            clock=clock,
            rate=Rate(a_minute / 60, a_minute / 2),
        ),
    )
