# SPDX-License-Identifier: Apache-2.0
"""Composes single sign-on for the role where people log in."""

from strongroom.audit import Recorder
from strongroom.compose.process import Process
from strongroom.compose.site import platform_secret
from strongroom.db.pool import Database
from strongroom.egress import Target, check_url
from strongroom.http.rate_limit import Rate
from strongroom.identity.people.ports import People
from strongroom.identity.sessions.ports import Sessions
from strongroom.identity.sso.admission import Admission
from strongroom.identity.sso.discovery import Discovery
from strongroom.identity.sso.ports import Sso
from strongroom.identity.sso.proofs import Proofs
from strongroom.identity.sso.providers import Providers
from strongroom.identity.sso.sign_in import SignIn
from strongroom.keys import KeyName
from strongroom.keys.keyring import Keyring


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

    def checked(url: str) -> Target:
        return check_url(url, process.policy, port=None)

    admission = Admission(
        database=database,
        people=people,
        sessions=sessions,
        proofs=proofs,
        recorder=recorder,
        clock=clock,
    )
    return Sso(
        Providers(
            database=database,
            keys=keyring,
            recorder=recorder,
            sessions=sessions,
            clock=clock,
            check_url=checked,
        ),
        SignIn(
            database=database,
            keys=keyring,
            proofs=proofs,
            discovery=Discovery(process.egress(), checked, clock),
            admission=admission,
            recorder=recorder,
            clock=clock,
            rate=Rate(a_minute / 60, a_minute / 2),
        ),
    )
