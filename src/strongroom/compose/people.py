# SPDX-License-Identifier: Apache-2.0
"""Joins what people stand on: passwords, set-up links, and whatever ends their sessions, factors and lock-outs."""

from dataclasses import dataclass

from strongroom.audit.recorder import EventRecorder
from strongroom.compose.process import Process
from strongroom.compose.site import platform_secret
from strongroom.crypto.passwords import PasswordHasher
from strongroom.db.pool import Database
from strongroom.identity.factors.service import Factors
from strongroom.identity.login.lockouts import Lockouts
from strongroom.identity.passkeys.service import OwnPasskeys
from strongroom.identity.people.breached import BreachedFile
from strongroom.identity.people.console import PeopleDesk
from strongroom.identity.people.inviting import Inviter
from strongroom.identity.people.own import OwnService
from strongroom.identity.people.passwords import Passwords
from strongroom.identity.people.service import PeopleParts, PeopleService
from strongroom.identity.people.setup import SetUpService
from strongroom.identity.sessions.service import SessionService
from strongroom.keys import KeyName
from strongroom.keys.keyring import Keyring


@dataclass(frozen=True, slots=True)
class PeopleBeside:
    """What stands beside people and ends with their access."""

    sessions: SessionService
    #: Authenticator apps with their recovery codes, and passkeys.
    factors: tuple[Factors, OwnPasskeys]
    lockouts: Lockouts


async def passwords_of(process: Process, keyring: Keyring) -> Passwords:
    """Return people's passwords.

    Raises:
        BreachedListUnreadable: the file that the settings name cannot be used.
    """
    hasher = PasswordHasher()

    async def let_go() -> None:
        hasher.close()

    process.on_close(let_go)
    file = process.site.settings.breached_passwords
    return Passwords(keyring, hasher, None if file is None else BreachedFile(file))


async def people_desk(
    process: Process,
    database: Database,
    keyring: Keyring,
    recorder: EventRecorder,
    beside: PeopleBeside,
    passwords: Passwords,
) -> PeopleDesk:
    """Compose what the console's routes about people call."""
    site = process.site
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
    return PeopleDesk(
        people, setup, own, passwords, recorder, site.clock, site.settings.vault_region
    )
