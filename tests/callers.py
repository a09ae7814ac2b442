# SPDX-License-Identifier: Apache-2.0
"""Callers of every kind for tests over HTTP: people of every role as if they had logged in.

`PeopledComposer` puts `Persons` before each listener's authenticator: a credential that it gave out is somebody's,
everything else is checked as ever. Where people really log in, `Persons.token` is the one place that changes.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import httpx

from service import ComposerWithStore, Service
from strongroom.crypto.ids import new_id
from strongroom.http import Authenticator, Credential, Request
from strongroom.http.edge import Edge
from strongroom.identity.grants import granted_to
from strongroom.kernel.ids import MerchantId, SessionId
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import CallerKind, Presence, Principal, Role

PLATFORM: Final = MerchantId("platform")
PEOPLE: Final = (Role.ADMIN, Role.AUDITOR, Role.OPERATOR, Role.DEVELOPER)


class Persons:
    """Gives out credentials of people and services, and knows them again."""

    def __init__(self) -> None:
        self._known: dict[str, Principal] = {}

    @classmethod
    def at(cls, service: Service) -> "Persons":
        """Return people whom every listener of a service knows from now on."""
        persons = cls()
        for edge in service.edges.values():
            if edge._authenticator is not None:
                edge._authenticator = persons.before(edge._authenticator)
        return persons

    def token(
        self,
        role: Role,
        merchant: MerchantId = PLATFORM,
        mode: Mode = Mode.TEST,
        *,
        stepped_up: bool = True,
        person: str = "",
    ) -> str:
        """Return the credential of a person of a role, who has just shown a second factor unless told otherwise.

        Without the id of a person it is somebody of whom nothing is kept.
        """
        granted = granted_to(role, mode, platform=merchant == PLATFORM)
        presence = Presence(
            SessionId(new_id("ses")), role, frozenset({"mfa"}), stepped_up=stepped_up
        )
        subject = person or new_id("usr")
        principal = Principal(subject, CallerKind.PERSON, merchant, mode, granted, presence)
        text = f"test-person-{principal.subject}"
        self._known[text] = principal
        return text

    def machine(
        self,
        kind: CallerKind,
        merchant: MerchantId,
        mode: Mode,
        permissions: frozenset[Permission],
    ) -> str:
        """Return the credential of a key, with permissions that a key cannot be made with, and never looked up."""
        subject = new_id("svc" if kind is CallerKind.SERVICE else "key")
        text = f"test-machine-{subject}"
        self._known[text] = Principal(subject, kind, merchant, mode, permissions)
        return text

    def before(self, behind: Authenticator) -> Authenticator:
        """Return an authenticator that knows these, and asks the one behind about everybody else."""
        return _Before(self._known, behind)


class _Before:
    def __init__(self, known: Mapping[str, Principal], behind: Authenticator) -> None:
        self._known = known
        self._behind = behind

    def recent(self, request: Request, credential: Credential) -> Principal | None:
        return self._known.get(credential.text) or self._behind.recent(request, credential)

    async def authenticate(self, request: Request, credential: Credential) -> Principal:
        return await self._behind.authenticate(request, credential)


class PeopledComposer(ComposerWithStore):
    """Composes as ever, with people whom `persons` gave credentials."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.persons = Persons()

    async def _listener(self, *given: Any, **more: Any) -> Edge:
        edge = await super()._listener(*given, **more)
        if edge._authenticator is not None:
            edge._authenticator = self.persons.before(edge._authenticator)
        return edge


@asynccontextmanager
async def edge_clients(
    service: Service, *, checked: bool = True
) -> AsyncIterator[Mapping[str, httpx.AsyncClient]]:
    """Lend clients that hand requests to the edges of this process, in the caller's own task.

    Answers are checked as all are, but where numbers are drawn at random: they meet those of a header by chance.
    """
    hooks = {"response": [service.answers.passes]} if checked else {}
    async with AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(
                httpx.AsyncClient(
                    base_url=f"https://{name}.test",
                    transport=httpx.ASGITransport(app=edge),  # type: ignore[arg-type]  # dict, not MutableMapping
                    event_hooks=hooks,
                )
            )
            for name, edge in service.edges.items()
        }
