# SPDX-License-Identifier: Apache-2.0
"""Joins all that the console's role has: people, how they prove themselves, their sessions, and who watches over it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from strongroom.audit.denials import DenialLog
from strongroom.audit.recorder import EventRecorder
from strongroom.compose import access as access_parts
from strongroom.compose import sessions as session_parts
from strongroom.compose.logging_in import SWEEP_SECONDS, factors_of, lockouts_of, login_parts
from strongroom.compose.passkeys import passkey_state, passkeys_of
from strongroom.compose.people import PeopleBeside, passwords_of, people_desk
from strongroom.compose.process import Process
from strongroom.compose.sign_on import sign_on
from strongroom.db.pool import Database
from strongroom.identity.networks.service import NetworksService
from strongroom.identity.people.console import PeopleDesk
from strongroom.identity.people.model import SetupProof
from strongroom.identity.people.setup import Tickets
from strongroom.identity.people.store import PeopleTable
from strongroom.jobs import Task
from strongroom.keys.keyring import Keyring


@dataclass(frozen=True, slots=True)
class Joint:
    """What people stand on, and what of it ends when they are reset or suspended."""

    desk: PeopleDesk
    beside: PeopleBeside
    sessions: session_parts.SessionParts


async def people_of(
    process: Process, database: Database, keyring: Keyring, recorder: EventRecorder
) -> Joint:
    """Join people with their sessions, factors and lock-outs, for the console's routes and the operators' commands."""
    sessions = await session_parts.session_parts(process, database, recorder)
    factors = await factors_of(keyring)
    passkeys = passkeys_of(
        process.site,
        database,
        recorder,
        people=PeopleTable(),
        sessions=sessions.service,
        others=factors,
    )
    beside = PeopleBeside(
        sessions.service,
        (factors, passkeys),
        await lockouts_of(process.site, database, keyring, recorder),
    )
    passwords = await passwords_of(process, keyring)
    desk = await people_desk(process, database, keyring, recorder, beside, passwords)
    return Joint(desk, beside, sessions)


async def console_state(
    process: Process,
    database: Database,
    keyring: Keyring,
    recorder: EventRecorder,
    denials: DenialLog,
) -> Mapping[str, Any]:
    """Return what the console's routes call, and start what looks after it."""
    site = process.site
    people = PeopleTable()
    joint = await people_of(process, database, keyring, recorder)
    sessions = joint.sessions.service
    factors, passkeys = joint.beside.factors
    logins = await login_parts(
        site,
        database,
        keyring,
        recorder,
        people=people,
        passwords=joint.desk.passwords,
        sessions=sessions,
        tickets=Tickets(joint.desk.setup, SetupProof.TOTP),
        factors=factors,
        others=passkeys,
        lockouts=joint.beside.lockouts,
        proofs=joint.sessions.proofs,
        denials=denials,
    )
    process.periodic([Task("past-logins", SWEEP_SECONDS, logins.lockouts.sweep)])
    access = await access_parts.console_state(process, database, keyring, recorder, sessions)
    sessions.extras = access["break_glass"]
    return {
        "sessions": joint.sessions.desk,
        "services": joint.sessions.services,
        "people": joint.desk,
        "networks": NetworksService(database, recorder, site.clock),
        "sso": await sign_on(
            process, database, keyring, recorder, people=people, sessions=sessions
        ),
        **logins.state,
        **passkey_state(
            site,
            database,
            recorder,
            people=people,
            sessions=sessions,
            tickets=Tickets(joint.desk.setup, SetupProof.PASSKEY),
            own=passkeys,
            metrics=site.metrics.logins,
        ),
        **access,
    }
