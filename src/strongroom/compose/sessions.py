# SPDX-License-Identifier: Apache-2.0
"""Joins sessions, access tokens and what is known of revocations, per role."""

from dataclasses import dataclass

from strongroom.audit import Recorder
from strongroom.compose.process import Process
from strongroom.compose.site import platform_secret
from strongroom.config import Settings
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database
from strongroom.http import Authenticator
from strongroom.identity import revocation
from strongroom.identity.access.key_use import FLUSH_SECONDS, KeyUse
from strongroom.identity.access_tokens import TokenVerifier, names_of
from strongroom.identity.authenticate import KeyAuthenticator
from strongroom.identity.authenticators import Authenticators, TokenAuthenticator
from strongroom.identity.dpop import Proofs
from strongroom.identity.revocation import REFRESH_SECONDS, Trust
from strongroom.identity.services.api import ServiceDesk
from strongroom.identity.services.service import Services
from strongroom.identity.sessions.api import SessionDesk
from strongroom.identity.sessions.refresh_text import RefreshTexts
from strongroom.identity.sessions.service import SessionService
from strongroom.identity.signing_keys import SigningKeys
from strongroom.jobs import Task
from strongroom.keys import KeyName, Purpose

TIDY_SECONDS = 60.0


def urls_of(settings: Settings, listener: str) -> tuple[str, ...]:
    """Return under which URLs callers reach a listener."""
    scheme = "http" if settings.plain_http else "https"
    return settings.api_urls or (f"{scheme}://{getattr(settings, f'{listener}_listen')}",)


async def trust_of(process: Process, identity: Database) -> Trust:
    """Begin to read revocations and signing keys, once a process, over a connection that nothing else holds up."""
    site = process.site
    database = Database(identity.address, connections_max=1)
    await database.open()
    process.on_close(database.close)
    trust = Trust(database, site.clock, observe=site.metrics.identity.revocations_age.set)
    await trust.refresh()
    process.periodic([Task("revocations", REFRESH_SECONDS, trust.refresh)])
    return trust


async def authenticator_of(
    process: Process, listener: str, identity: Database, trust: Trust
) -> Authenticator:
    """Make what authenticates a listener's callers: by API keys and by access tokens."""
    site = process.site
    keyring = await process.keyring(identity, Purpose.IDENTITY)
    use = KeyUse(identity)
    process.periodic([Task(f"{listener}-key-use", FLUSH_SECONDS, use.flush)])
    process.on_close(use.flush)
    keys = KeyAuthenticator(
        identity, await platform_secret(keyring, KeyName.API_KEY_HASH), site.clock, use
    )
    verifier = TokenVerifier(trust, names_of(site.settings.audit_origin), site.clock)
    proofs = Proofs(identity, urls_of(site.settings, listener), site.clock)
    return Authenticators(keys, TokenAuthenticator(verifier, trust, proofs, site.clock))


@dataclass(frozen=True, slots=True)
class SessionParts:
    """What the console's role has of sessions and services."""

    desk: SessionDesk
    services: ServiceDesk
    service: SessionService
    signing: SigningKeys
    proofs: Proofs


async def signing_keys_of(process: Process, recorder: Recorder) -> SigningKeys:
    """Open the keys that sign access tokens, over connections of their own: they are asked for inside transactions."""
    database = await process.database(Domain.CORE, Login.CONSOLE, connections_max=2)
    keyring = await process.keyring(database, Purpose.IDENTITY)
    return SigningKeys(database, keyring, recorder, process.site.clock)


async def operator_parts(process: Process) -> tuple[SigningKeys, Services]:
    """Compose signing keys and services for the operators' commands, under the console's login."""
    site = process.site
    database = await process.database(Domain.CORE, Login.CONSOLE, connections_max=2)
    keyring = await process.keyring(database, Purpose.AUDIT)
    recorder = await process.recorder(database, keyring)
    signing = await signing_keys_of(process, recorder)
    services = Services(
        database=database,
        signing=signing,
        proofs=Proofs(database, (), site.clock),
        recorder=recorder,
        names=names_of(site.settings.audit_origin),
        clock=site.clock,
    )
    return signing, services


async def session_parts(process: Process, database: Database, recorder: Recorder) -> SessionParts:
    """Compose sessions, under the console's login."""
    site = process.site
    signing = await signing_keys_of(process, recorder)
    await signing.ensure()
    keyring = await process.keyring(database, Purpose.IDENTITY)
    proofs = Proofs(database, urls_of(site.settings, "console"), site.clock)
    service = SessionService(
        database=database,
        signing=signing,
        texts=RefreshTexts(await platform_secret(keyring, KeyName.REFRESH_TOKENS)),
        proofs=proofs,
        recorder=recorder,
        names=names_of(site.settings.audit_origin),
        clock=site.clock,
        metrics=site.metrics.identity,
    )

    services = Services(
        database=database,
        signing=signing,
        proofs=proofs,
        recorder=recorder,
        names=names_of(site.settings.audit_origin),
        clock=site.clock,
    )

    async def tidy() -> None:
        await service.remove_past()
        await revocation.remove_past(database, site.clock.now())

    process.periodic([Task("past-sessions", TIDY_SECONDS, tidy)])
    return SessionParts(
        SessionDesk.of(service, signing, proofs),
        ServiceDesk(services, proofs, recorder, site.clock),
        service,
        signing,
        proofs,
    )
