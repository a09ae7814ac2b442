# SPDX-License-Identifier: Apache-2.0
"""Joins what people stand on: passwords, set-up links, and whatever ends their sessions, factors and lock-outs."""
# ruff: noqa: ARG002 - what stands in for parts that are not there looks at nothing

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from strongroom.audit import Origin
from strongroom.audit.recorder import EventRecorder
from strongroom.compose.process import Process
from strongroom.compose.site import platform_secret
from strongroom.crypto.passwords import PasswordHasher
from strongroom.db.pool import Database, Transaction
from strongroom.identity.people.breached import BreachedFile
from strongroom.identity.people.console import PeopleDesk
from strongroom.identity.people.inviting import Inviter
from strongroom.identity.people.model import Person
from strongroom.identity.people.own import OwnService
from strongroom.identity.people.passwords import Passwords
from strongroom.identity.people.ports import Factors, Lockouts, SessionsEnd
from strongroom.identity.people.service import PeopleParts, PeopleService
from strongroom.identity.people.setup import SetUpService
from strongroom.kernel.ids import SessionId
from strongroom.keys import KeyName
from strongroom.keys.keyring import Keyring


class NoSessions:
    """There are no sessions, so there are none to end."""

    async def end_all(
        self,
        tx: Transaction,
        person: Person,
        *,
        reason: str,
        origin: Origin,
        now: datetime,
        but: SessionId | None = None,
    ) -> int:
        """Find none."""
        return 0


class NoLockouts:
    """Nobody is locked out."""

    async def clear(self, tx: Transaction, person: Person) -> None:
        """Find none."""


@dataclass(frozen=True, slots=True)
class PeopleBeside:
    """What stands beside people and ends with their access."""

    sessions: SessionsEnd = field(default_factory=NoSessions)
    factors: Sequence[Factors] = ()
    lockouts: Lockouts = field(default_factory=NoLockouts)


async def people_desk(
    process: Process,
    database: Database,
    keyring: Keyring,
    recorder: EventRecorder,
    beside: PeopleBeside,
) -> PeopleDesk:
    """Compose what the console's routes about people call.

    Raises:
        BreachedListUnreadable: the file that the settings name cannot be used.
    """
    site = process.site
    hasher = PasswordHasher()

    async def let_go() -> None:
        hasher.close()

    process.on_close(let_go)
    file = site.settings.breached_passwords
    passwords = Passwords(keyring, hasher, None if file is None else BreachedFile(file))
    link_key = await platform_secret(keyring, KeyName.SETUP_LINK_HASH)
    inviter = Inviter(link_key, recorder, site.settings.console_url)
    people = PeopleService(
        PeopleParts(
            database,
            passwords,
            beside.sessions,
            beside.factors,
            beside.lockouts,
            inviter,
            recorder,
            site.clock,
        )
    )
    setup = SetUpService(
        database=database,
        hash_key=link_key,
        passwords=passwords,
        inviter=inviter,
        clock=site.clock,
    )
    own = OwnService(
        database=database,
        passwords=passwords,
        sessions=beside.sessions,
        recorder=recorder,
        clock=site.clock,
    )
    return PeopleDesk(people, setup, own, passwords, recorder, site.clock)
