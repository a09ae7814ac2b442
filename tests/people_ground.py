# SPDX-License-Identifier: Apache-2.0
"""A console whose people, sessions and set-up tickets are of this file, for tests of what proves people.

Everything else is the product's: routes, edge, services, database, audit log. Sessions live in memory: `Held` is one.
"""
# ruff: noqa: ARG002 - these are the protocols' parameters

import itertools
import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx

from answers import Answers
from database import Databases
from service import Caller, Service, running
from soft_authenticator import SoftAuthenticator
from strongroom.audit import PLATFORM, Origin
from strongroom.cli.installation import Installation
from strongroom.compose.passkeys import passkey_state, passkeys_of
from strongroom.compose.site import rates_of
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import ReadOnly, Transaction
from strongroom.http import Credential, Request, Unauthenticated
from strongroom.http.app import build_app, build_listener
from strongroom.http.auth import STEP_UP_SECONDS
from strongroom.http.edge import Edge
from strongroom.http.openapi import openapi_document
from strongroom.http.server import Endpoint, Servers
from strongroom.http.watch import TelemetryWatcher
from strongroom.identity.grants import granted_to
from strongroom.identity.passkeys import api as passkeys_api
from strongroom.identity.people.model import Person, PersonStatus
from strongroom.identity.people.store import PeopleTable
from strongroom.identity.sessions.ports import Issued
from strongroom.kernel.clock import Clock, SystemClock
from strongroom.kernel.errors import NotThere
from strongroom.kernel.ids import MerchantId, PersonId, SessionId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import CallerKind, Presence, Principal, Role
from strongroom.kernel.secret import Secret
from strongroom.keys import Purpose

CONSOLE_ORIGIN: Final = "https://console.example"
_COLUMNS: Final = (
    "merchant_id, person_id, email, name, role, status, created_by, created_at, last_used_at"
)
_numbers: Final = itertools.count(1)


@dataclass
class Held:
    """A session."""

    person: Person
    mode: Mode
    methods: frozenset[str]
    proven_at: datetime
    ended: str | None = None
    access: set[str] = field(default_factory=set)


class InMemorySessions:
    """Sessions of one process. Implements `identity.sessions.ports.Sessions`, and authenticates their tokens."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.held: dict[SessionId, Held] = {}

    async def begin(
        self,
        tx: Transaction,
        person: Person,
        mode: Mode,
        methods: Collection[str],
        *,
        origin: Origin,
        now: datetime,
        dpop_thumbprint: str | None = None,
    ) -> Issued:
        assert "mfa" in methods
        session = SessionId(new_id("ses"))
        self.held[session] = Held(person, mode, frozenset(methods), now)
        return self._issued(session, f"refresh-{session}")

    async def step_up(
        self, tx: Transaction, session: SessionId, methods: Collection[str], *, now: datetime
    ) -> Issued | None:
        held = self.held.get(session)
        if held is None or held.ended is not None:
            return None
        held.proven_at = now
        return self._issued(session, "")

    async def end(
        self, tx: Transaction, session: SessionId, *, reason: str, origin: Origin, now: datetime
    ) -> bool:
        raise NotImplementedError

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
        ended = 0
        for session, held in self.held.items():
            if held.person.person_id == person.person_id and session != but and not held.ended:
                held.ended = reason
                ended += 1
        return ended

    def _issued(self, session: SessionId, refresh: str) -> Issued:
        access = f"access-{session}-{next(_numbers)}"
        self.held[session].access.add(access)
        return Issued(session, Secret(access), 300, Secret(refresh))

    def recent(self, request: Request, credential: Credential) -> Principal | None:
        return None

    async def authenticate(self, request: Request, credential: Credential) -> Principal:
        for session, held in self.held.items():
            if credential.text in held.access and held.ended is None:
                age = self._clock.now() - held.proven_at
                person = held.person
                platform = person.merchant == PLATFORM
                return Principal(
                    person.person_id,
                    CallerKind.PERSON,
                    person.merchant,
                    held.mode,
                    granted_to(person.role, held.mode, platform=platform),
                    Presence(
                        session,
                        person.role,
                        held.methods,
                        stepped_up=age < timedelta(seconds=STEP_UP_SECONDS),
                    ),
                )
        raise Unauthenticated("unknown")


class TicketUnknown(NotThere):
    """There is no such set-up."""

    code = "ticket_unknown"


class InMemoryTickets:
    """Set-up tickets. Implements `identity.passkeys.ports.SetupTickets`."""

    def __init__(self) -> None:
        self.tickets: dict[str, Person] = {}
        self.finished: list[PersonId] = []

    async def person(self, read: ReadOnly, ticket: Secret[str], now: datetime) -> Person:
        found = self.tickets.get(ticket.expose())
        if found is None:
            raise TicketUnknown
        return found

    async def finish(
        self,
        tx: Transaction,
        person: Person,
        ticket: Secret[str],
        *,
        origin: Origin,
        now: datetime,
    ) -> None:
        self.finished.append(person.person_id)


class Counted:
    """Counts proofs. Implements `identity.passkeys.ports.ProofMetrics`."""

    def __init__(self) -> None:
        self.logins: list[tuple[str, str, str]] = []
        self.step_ups: list[tuple[str, str]] = []

    def login(self, method: str, outcome: str, reason: str) -> None:
        self.logins.append((method, outcome, reason))

    def stepped_up(self, method: str, outcome: str) -> None:
        self.step_ups.append((method, outcome))


class ChosenFactors:
    """Which people could log in without a passkey. Implements `identity.passkeys.ports.OtherFactors`."""

    def __init__(self) -> None:
        self.sufficient: set[PersonId] = set()

    async def suffice(self, read: ReadOnly, person: Person) -> bool:
        return person.person_id in self.sufficient


@dataclass
class PeopleGround:
    """What `people_ground` lends."""

    service: Service
    edge: Edge
    client: httpx.AsyncClient
    sessions: InMemorySessions
    tickets: InMemoryTickets
    others: ChosenFactors
    counted: Counted
    state: Mapping[str, Any]
    clock: Clock

    @property
    def origin(self) -> str:
        return self.service.settings.console_url

    def caller(self, token: str | None = None) -> Caller:
        return Caller(self.client, token)

    def authenticator(self, **more: Any) -> SoftAuthenticator:
        return SoftAuthenticator(self.origin, **more)

    async def person(
        self,
        merchant: MerchantId | None = None,
        *,
        role: Role = Role.ADMIN,
        status: PersonStatus = PersonStatus.ACTIVE,
        email: str | None = None,
        name: str = "Ada Lovelace",
    ) -> Person:
        """Make a person; of a merchant of their own where none is named."""
        if merchant is None:
            merchant = (await self.service.tenant()).merchant
        person = PersonId(new_id("usr"))
        email = email or f"ada{next(_numbers)}@shop.example"
        now = self.clock.now()
        await self.service.look(
            Domain.CORE,
            f"insert into identity.person ({_COLUMNS}) values ($1, $2, $3, $4, $5, $6, 'test', $7, null)",
            merchant,
            person,
            email,
            name,
            role.value,
            status.value,
            now,
        )
        return Person(person, merchant, email, name, role, status, "test", now, None)

    async def set_status(self, person: Person, status: PersonStatus) -> None:
        await self.service.look(
            Domain.CORE,
            "update identity.person set status = $2 where person_id = $1",
            person.person_id,
            status.value,
        )

    def ticket(self, person: Person) -> str:
        """Give a new person a ticket."""
        ticket = f"ticket-{person.person_id}"
        self.tickets.tickets[ticket] = replace(person, status=PersonStatus.INVITED)
        return ticket

    async def session(self, person: Person, mode: Mode = Mode.TEST) -> Caller:
        """Begin a session of a person, past every proof."""
        nothing: Any = None
        issued = await self.sessions.begin(
            nothing, person, mode, ["pwd", "otp", "mfa"], origin=Origin(), now=self.clock.now()
        )
        return self.caller(issued.access.expose())

    async def enrolled(
        self, person: Person, authenticator: SoftAuthenticator, name: str = "blue key"
    ) -> dict[str, Any]:
        """Give a person a passkey in an authenticator."""
        caller = await self.session(person)
        options = await caller.post("/v1/own/passkeys/options")
        assert options.status_code == 200, options.text
        made = authenticator.create(options.json()["public_key"])
        answer = await caller.post("/v1/own/passkeys", {"name": name, "credential": made})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def login_options(self) -> dict[str, Any]:
        answer = await self.caller().post("/v1/login/passkey/options")
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["public_key"])

    async def log_in(self, credential: dict[str, Any], mode: str = "test") -> httpx.Response:
        return await self.caller().post(
            "/v1/login/passkey", {"mode": mode, "credential": credential}
        )

    async def records(self, action: str) -> list[dict[str, Any]]:
        """Every audit record of an action, oldest first, as its facts."""
        rows = await self.service.look(
            Domain.CORE,
            "select convert_from(payload, 'UTF8')::jsonb as record from audit.event"
            " where convert_from(payload, 'UTF8')::jsonb ->> 'action' = $1 order by xmin::text::bigint, ctid",
            action,
        )
        return [json.loads(row["record"]) for row in rows]


@asynccontextmanager
async def people_ground(
    databases: Databases,
    folder: Path,
    *,
    clock: Clock | None = None,
    more_routes: Sequence[Any] = (),
    more_state: Callable[[InMemorySessions], Mapping[str, Any]] = lambda _: {},
    port: int | None = None,
    **settings: Any,
) -> AsyncIterator[PeopleGround]:
    """Lend a console with passkeys in this process; with a port, it also listens there, over TLS."""
    clock = clock or SystemClock()
    settings = {"console_origin": CONSOLE_ORIGIN, **settings}
    async with (
        running(databases, folder, clock=clock, listens=False, **settings) as service,
        AsyncExitStack() as stack,
    ):
        composer, site = service.composer, service.composer.site
        database = await composer.database(Domain.CORE, Login.CONSOLE, connections_max=4)
        keyring = await composer.keyring(database, Purpose.IDENTITY, Purpose.AUDIT)
        recorder = await composer.recorder(database, keyring)
        sessions, tickets, others = InMemorySessions(clock), InMemoryTickets(), ChosenFactors()
        counted = Counted()
        state = passkey_state(
            site,
            database,
            recorder,
            people=PeopleTable(),
            sessions=sessions,
            tickets=tickets,
            own=passkeys_of(
                site,
                database,
                recorder,
                people=PeopleTable(),
                sessions=sessions,
                others=others,
            ),
            metrics=counted,
        )
        edge = build_listener(
            build_app([*passkeys_api.ROUTES, *more_routes], {**state, **more_state(sessions)}),
            listener="console",
            authenticator=sessions,
            rates=rates_of(site.settings),
            watcher=TelemetryWatcher(site.log, site.metrics, NoDenials()),
            carries_cards=False,
            body_bytes_max={},
        )
        answers = Answers(folder / "console-answers")
        if port is not None:
            tls = Installation(service.settings, clock).tls()
            servers = Servers([Endpoint("console", edge, "127.0.0.1", port, tls)])
            stack.push_async_callback(servers.stop)
            await servers.start()
        async with httpx.AsyncClient(
            base_url=CONSOLE_ORIGIN,
            transport=httpx.ASGITransport(app=edge),  # type: ignore[arg-type]  # dict, not MutableMapping
            event_hooks={"response": [answers.passes, is_documented]},
        ) as client:
            yield PeopleGround(
                service, edge, client, sessions, tickets, others, counted, state, clock
            )


_DOCUMENT: Final[dict[str, Any]] = json.loads(
    openapi_document(passkeys_api.ROUTES, title="passkeys", description="for the check below")
)


async def is_documented(response: httpx.Response) -> None:
    """Check that an answer about passkeys is one that their document names."""
    path = response.request.url.path
    if path.startswith("/v1/own/passkeys/") and not path.endswith("/options"):
        path = "/v1/own/passkeys/{passkey_id}"
    operation = _DOCUMENT["paths"].get(path, {}).get(response.request.method.lower())
    if operation is not None and response.status_code < 500:  # `default` stands for those
        assert str(response.status_code) in operation["responses"], response.text


class NoDenials:
    """Nobody counts denials here."""

    def note(
        self,
        address: str,
        reason: str,
        request_hash: str,
        listener: str,
        caller: Principal | None = None,
    ) -> None:
        """Take a denial."""
