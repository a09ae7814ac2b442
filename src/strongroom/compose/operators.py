# SPDX-License-Identifier: Apache-2.0
"""What the operators' commands stand on, each part under the login of the role that has it. Needs no running server."""

from strongroom.audit import Recorder
from strongroom.compose import access as access_parts
from strongroom.compose import containers as container_parts
from strongroom.compose import sessions as session_parts
from strongroom.compose.console import people_of
from strongroom.compose.forwarding import operator_destinations
from strongroom.compose.operator_keys import OperatorKeys, operator_keys_of
from strongroom.compose.process import Process
from strongroom.compose.retokenize import operator_retokenizations
from strongroom.compose.sign_on import providers_of
from strongroom.compose.site import platform_secret
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database
from strongroom.identity.access.reviews import AccessReviews
from strongroom.identity.networks.service import NetworksService
from strongroom.identity.people.service import PeopleService
from strongroom.identity.service import IdentityService
from strongroom.identity.services.ports import ServiceBook
from strongroom.identity.signing_ports import SigningKeyBook
from strongroom.identity.sso.providers import Providers
from strongroom.keys import KeyName, Purpose
from strongroom.vault.containers.service import ContainerDesk
from strongroom.vault.forwarding.operating import DestinationOperator
from strongroom.vault.retokenize.service import Retokenizations


class Operators(Process):
    """Composes what operators do at the machine itself."""

    async def operator_identity(self) -> IdentityService:
        """Compose identity for the operators' commands, under the console's login."""
        database = await self.database(Domain.CORE, Login.CONSOLE, connections_max=2)
        keyring = await self.keyring(database, Purpose.IDENTITY, Purpose.AUDIT)
        recorder = await self.recorder(database, keyring)
        hash_key = await platform_secret(keyring, KeyName.API_KEY_HASH)
        return IdentityService(database, hash_key, recorder, self.site.clock)

    async def operator_recorder(self) -> tuple[Database, Recorder]:
        """Compose what an operator's change outside the database is recorded by, under the console's login."""
        database = await self.database(Domain.CORE, Login.CONSOLE, connections_max=2)
        keyring = await self.keyring(database, Purpose.AUDIT)
        return database, await self.recorder(database, keyring)

    async def operator_machines(self) -> tuple[SigningKeyBook, ServiceBook]:
        """Compose signing keys and services for the operators' commands, under the console's login."""
        return await session_parts.operator_parts(self)

    async def operator_keys(self) -> OperatorKeys:
        """Compose encryption keys for the operators' commands, under the vault's and the console's logins."""
        return await operator_keys_of(self)

    async def operator_retokenizations(self) -> Retokenizations:
        """Compose retokenizations for the operators' commands, under the vault's login."""
        return await operator_retokenizations(self)

    async def operator_networks(self) -> NetworksService:
        """Compose allow-lists for the operators' commands, under the console's login."""
        database = await self.database(Domain.CORE, Login.CONSOLE, connections_max=2)
        keyring = await self.keyring(database, Purpose.AUDIT)
        return NetworksService(database, await self.recorder(database, keyring), self.site.clock)

    async def operator_containers(self) -> ContainerDesk:
        """Compose containers and access rules for the operators' commands, under the vault's login."""
        return await container_parts.operator_desk(self)

    async def operator_destinations(self) -> DestinationOperator:
        """Compose destinations for the operators' commands, under the vault's login."""
        return await operator_destinations(self)

    async def operator_access(self) -> AccessReviews:
        """Compose reviews of access for the operators' commands, under the console's login."""
        database = await self.database(Domain.CORE, Login.CONSOLE, connections_max=2)
        keyring = await self.keyring(database, Purpose.IDENTITY, Purpose.AUDIT)
        return access_parts.reviews_of(self, database, await self.recorder(database, keyring))

    async def operator_people(self) -> PeopleService:
        """Compose people for the operators' commands, under the console's login."""
        database = await self.database(Domain.CORE, Login.CONSOLE, connections_max=2)
        keyring = await self.keyring(database, Purpose.IDENTITY, Purpose.AUDIT)
        recorder = await self.recorder(database, keyring)
        return (await people_of(self, database, keyring, recorder)).desk.people

    async def operator_providers(self) -> Providers:
        """Compose identity providers for the operators' commands, under the console's login."""
        database = await self.database(Domain.CORE, Login.CONSOLE, connections_max=2)
        keyring = await self.keyring(database, Purpose.IDENTITY, Purpose.AUDIT)
        recorder = await self.recorder(database, keyring)
        sessions = await session_parts.session_parts(self, database, recorder)
        return providers_of(self, database, keyring, recorder, sessions.service)
