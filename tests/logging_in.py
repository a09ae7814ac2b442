# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: ARG002 - what a port hands over and a small implementation does not need
"""Ground for tests of logging in: the console's routes over a real database, people of a merchant, a stepped clock.

People, passwords, sessions and tickets are second implementations of their ports, small and in memory where they can
be: what is tested here is logging in.
"""

import itertools
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import argon2
import httpx
import pyotp

from contracts.fakes import FakeKeyStore, MemoryDataKeyTable
from database import Databases
from service import Caller
from strongroom.audit import AuditRecord, Origin
from strongroom.audit.denials import DenialLog
from strongroom.audit.ports import PLATFORM
from strongroom.audit.record import decode
from strongroom.audit.recorder import EventRecorder
from strongroom.compose.logging_in import ROUTES, LoginParts
from strongroom.crypto import new_secret_text
from strongroom.crypto.ids import new_id
from strongroom.db.address import Address
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database, ReadOnly, Rows, Transaction, connect
from strongroom.db.queries import Query
from strongroom.http import Credential, Request, Unauthenticated
from strongroom.http.app import build_app, build_listener
from strongroom.http.edge import Rates
from strongroom.http.rate_limit import Rate, RateLimiter
from strongroom.http.watch import TelemetryWatcher
from strongroom.identity import store as merchants
from strongroom.identity.dpop import Proofs
from strongroom.identity.factors.errors import TicketRefused
from strongroom.identity.factors.own import OwnFactors
from strongroom.identity.factors.service import Factors
from strongroom.identity.grants import granted_to
from strongroom.identity.login.lockouts import Lockouts
from strongroom.identity.login.service import Logins
from strongroom.identity.login.step_up import StepUps
from strongroom.identity.people.model import Person, PersonStatus
from strongroom.identity.people.store import PeopleTable
from strongroom.identity.sessions.ports import Issued
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.errors import Conflict, Unavailable
from strongroom.kernel.ids import MerchantId, PersonId, SessionId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import CallerKind, Presence, Principal, Role
from strongroom.kernel.secret import Secret
from strongroom.keys import Purpose
from strongroom.keys.keyring import Keyring
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import Metrics
from strongroom.telemetry.sink import MemorySink

START: Final = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
PASSWORD: Final = "correct horse battery staple 9"
WRONG: Final = "wrong horse battery staple 9"
ADDRESS: Final = "198.51.100.7"
ELSEWHERE: Final = "203.0.113.9"
PLENTY: Final = Rate(1e9, 1e9)
_COLUMNS: Final = (
    "merchant_id, person_id, email, name, role, status, created_by, created_at, last_used_at"
)
EMPTIED: Final = (
    "truncate identity.merchant, identity.person, identity.login, identity.login_network, identity.login_account,"
    " audit.event, audit.address cascade"
)
_numbers: Final = itertools.count(1)


def _query(text: str) -> Query:
    return Query("test", (), text)


class CountedPasswords:
    """Argon2id at the least cost there is, which counts its work."""

    def __init__(self) -> None:
        self._hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        self._hash = self._hasher.hash(PASSWORD)
        #: How many argon2 computations there were, and for how many of them it was somebody's password.
        self.computed = 0
        #: There are too many at once, for now.
        self.busy = False
        self.somebodys = 0

    async def kept(self, read: ReadOnly, person: Person | None) -> Person | None:
        return person

    async def holds(self, kept: Person | None, password: str) -> bool:
        if self.busy:
            raise Unavailable
        self.computed += 1
        self.somebodys += kept is not None
        try:
            self._hasher.verify(self._hash, password)
        except argon2.exceptions.VerifyMismatchError:
            return False
        return kept is not None


@dataclass
class _Open:
    person: Person
    mode: Mode
    methods: frozenset[str]
    proved_at: datetime
    thumbprint: str | None = None


class MemorySessions:
    """Sessions in memory, whose access tokens are known by heart. Authenticates, too."""

    def __init__(self, clock: SteppedClock) -> None:
        self._clock = clock
        self.open: dict[SessionId, _Open] = {}
        self.ended: list[tuple[SessionId, str]] = []
        self._tokens: dict[str, SessionId] = {}
        #: Which session a refresh token goes on with.
        self.refreshes: dict[str, SessionId] = {}

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
        self.open[session] = _Open(person, mode, frozenset(methods), now, dpop_thumbprint)
        refresh = new_secret_text(256)
        self.refreshes[refresh] = session
        return Issued(session, self._token(session), 300, Secret(refresh))

    async def step_up(
        self, tx: Transaction, session: SessionId, methods: Collection[str], *, now: datetime
    ) -> Issued | None:
        if session not in self.open:
            return None
        self.open[session].proved_at = now
        return Issued(session, self._token(session), 300, Secret(""))

    async def end(
        self, tx: Transaction, session: SessionId, *, reason: str, origin: Origin, now: datetime
    ) -> bool:
        self.ended.append((session, reason))
        return self.open.pop(session, None) is not None

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
        theirs = [
            session
            for session, kept in self.open.items()
            if kept.person.person_id == person.person_id and session != but
        ]
        for session in theirs:
            await self.end(tx, session, reason=reason, origin=origin, now=now)
        return len(theirs)

    def _token(self, session: SessionId) -> Secret[str]:
        text = new_secret_text(256)
        self._tokens[text] = session
        return Secret(text)

    def recent(self, request: Request, credential: Credential) -> Principal | None:
        return None

    async def authenticate(self, request: Request, credential: Credential) -> Principal:
        session = self._tokens.get(credential.text)
        kept = None if session is None else self.open.get(session)
        if kept is None or session is None:
            raise Unauthenticated("unknown")
        person = kept.person
        fresh = self._clock.now() - kept.proved_at < timedelta(minutes=5)
        granted = granted_to(person.role, kept.mode, platform=person.merchant == PLATFORM)
        presence = Presence(session, person.role, kept.methods, fresh)
        return Principal(
            person.person_id, CallerKind.PERSON, person.merchant, kept.mode, granted, presence
        )


class MemoryTickets:
    """Set-up tickets in memory."""

    def __init__(self) -> None:
        self.people: dict[str, Person] = {}
        self.passwordless: set[PersonId] = set()

    def new(self, person: Person) -> str:
        ticket = new_secret_text(256)
        self.people[ticket] = person
        return ticket

    async def person(self, read: ReadOnly, ticket: Secret[str], now: datetime) -> Person:
        if ticket.expose() not in self.people:
            raise TicketRefused("ticket_unknown")
        return self.people[ticket.expose()]

    async def finish(
        self,
        tx: Transaction,
        person: Person,
        ticket: Secret[str],
        *,
        origin: Origin,
        now: datetime,
    ) -> None:
        if person.person_id in self.passwordless:
            raise Conflict("there is no password yet")
        self.people = {ticket: p for ticket, p in self.people.items() if p != person}


class CountedPasskeys:
    """Says how many passkeys there are."""

    def __init__(self) -> None:
        self.of: dict[PersonId, int] = {}

    async def count(self, read: ReadOnly, person: Person) -> int:
        return self.of.get(person.person_id, 0)


class Told:
    """A transaction that writes down which queries it is asked."""

    def __init__(self, real: Transaction, asked: list[str]) -> None:
        self._real = real
        self._asked = asked

    async def rows(self, query: Query, /, *values: object) -> Rows:
        self._asked.append(query.name)
        return await self._real.rows(query, *values)

    async def row(self, query: Query, /, *values: object) -> Any:
        self._asked.append(query.name)
        return await self._real.row(query, *values)

    async def run(self, query: Query, /, *values: object) -> int:
        self._asked.append(query.name)
        return await self._real.run(query, *values)

    def after_commit(self, work: Callable[[], None]) -> None:
        self._real.after_commit(work)


class ToldDatabase(Database):
    """A database that remembers what it was asked."""

    def __init__(self, address: Address) -> None:
        super().__init__(address, connections_max=8)
        self.asked: list[str] = []

    @asynccontextmanager
    async def transaction(self, merchants: Sequence[MerchantId] = ()) -> AsyncIterator[Transaction]:
        self.asked.append("transaction")
        async with super().transaction(merchants) as real:
            yield Told(real, self.asked)


@dataclass
class App:
    """Somebody's authenticator app."""

    secret: str
    clock: SteppedClock

    def code(self, ahead: int = 0) -> str:
        """What it shows, so many steps ahead of now."""
        return pyotp.TOTP(self.secret).at(self.clock.now() + timedelta(seconds=30 * ahead))


@dataclass
class Ground:
    """Logging in, and what surrounds it."""

    databases: Databases
    database: ToldDatabase
    clock: SteppedClock
    parts: LoginParts
    people: PeopleTable
    passwords: CountedPasswords
    sessions: MemorySessions
    tickets: MemoryTickets
    passkeys: CountedPasskeys
    denials: DenialLog
    metrics: Metrics
    recorder: EventRecorder
    edge: Any
    lines: MemorySink
    merchant: MerchantId = PLATFORM
    _clients: list[httpx.AsyncClient] = field(default_factory=list)

    def caller(self, token: str | None = None, address: str = ADDRESS) -> Caller:
        """Somebody at an address, with an access token or none."""
        transport = httpx.ASGITransport(app=self.edge, client=(address, 4242))
        client = httpx.AsyncClient(base_url="https://console.test", transport=transport)
        self._clients.append(client)
        return Caller(client, token)

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()

    async def new_merchant(self) -> MerchantId:
        merchant = MerchantId(new_id("mer"))
        async with self.database.transaction([merchant]) as tx:
            await merchants.insert_merchant(tx, merchant, "Corner Shop", "local", self.clock.now())
        return merchant

    async def person(
        self,
        *,
        role: Role = Role.ADMIN,
        status: PersonStatus = PersonStatus.ACTIVE,
        merchant: MerchantId | None = None,
    ) -> Person:
        """Make somebody. Their password is PASSWORD."""
        person = Person(
            PersonId(new_id("usr")),
            merchant or self.merchant,
            f"ada{next(_numbers)}@shop.example",
            "Ada",
            role,
            status,
            "test",
            self.clock.now(),
            None,
        )
        async with self.database.transaction([person.merchant]) as tx:
            await tx.run(
                _query(
                    f"insert into identity.person ({_COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, null)"
                ),
                person.merchant,
                person.person_id,
                person.email,
                person.name,
                person.role,
                person.status,
                person.created_by,
                person.created_at,
            )
        return person

    async def suspend(self, person: Person) -> Person:
        await self.databases.run(
            Domain.CORE,
            f"update identity.person set status = 'suspended' where person_id = '{person.person_id}'",
        )
        return replace(person, status=PersonStatus.SUSPENDED)

    async def app(self, person: Person) -> tuple[App, list[str]]:
        """Set up somebody's app by a ticket; return it, and their recovery codes. Half a minute passes."""
        caller = self.caller()
        ticket = self.tickets.new(person)
        enrolled = await caller.post("/v1/setup/totp", {"ticket": ticket})
        assert enrolled.status_code == 201, enrolled.text
        app = App(enrolled.json()["secret"], self.clock)
        body = {"ticket": ticket, "code": app.code()}
        confirmed = await caller.post("/v1/setup/totp/confirm", body)
        assert confirmed.status_code == 200, confirmed.text
        self.clock.step(timedelta(seconds=30))
        return app, confirmed.json()["recovery_codes"]

    async def begin(
        self, person: Person | str, password: str = PASSWORD, address: str = ADDRESS
    ) -> str:
        """Take the first step; return the handle."""
        email = person if isinstance(person, str) else person.email
        body = {"email": email, "password": password, "mode": "test"}
        answer = await self.caller(address=address).post("/v1/login", body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["second_steps"] == ["recovery_code", "totp"]
        return str(answer.json()["handle"])

    async def finish(
        self, handle: str, code: str, *, address: str = ADDRESS, way: str = "totp"
    ) -> httpx.Response:
        return await self.caller(address=address).post(
            f"/v1/login/{way}", {"handle": handle, "code": code}
        )

    async def log_in(
        self, person: Person, app: App, *, password: str = PASSWORD, address: str = ADDRESS
    ) -> httpx.Response:
        """Take both steps, with the code that the app shows."""
        handle = await self.begin(person, password, address)
        return await self.finish(handle, app.code(), address=address)

    async def logged_in(self, person: Person, app: App, address: str = ADDRESS) -> Caller:
        """Log in, and return the caller; half a minute passes."""
        answer = await self.log_in(person, app, address=address)
        assert answer.status_code == 200, answer.text
        self.clock.step(timedelta(seconds=30))
        return self.caller(answer.json()["access_token"], address)

    async def records(self, *actions: str, merchant: MerchantId | None = None) -> list[AuditRecord]:
        """The audit log of a tenant, in order of the ids; all of it, or what has one of these actions."""
        payloads = await self.value(
            "select coalesce(array_agg(payload order by xmin::text::bigint, ctid), '{}') from audit.event"
            " where merchant_id = $1",
            merchant or self.merchant,
        )
        found = [decode(payload) for payload in payloads]
        return [record for record in found if not actions or record.action in actions]

    async def value(self, sql: str, *values: object) -> Any:
        """Ask the database, as the superuser."""
        connection = await connect(self.databases.administrator(Domain.CORE))
        try:
            return await connection.fetchval(sql, *values)
        finally:
            await connection.close()

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"strongroom_{name}_total", labels) or 0.0


@asynccontextmanager
async def grounded(
    databases: Databases, rate: Rate = PLENTY, routes: Sequence[Any] = ()
) -> AsyncIterator[Ground]:
    """Lend a ground on a database that is emptied first; `routes` are what other parts would offer beside."""
    clock = SteppedClock(START)
    keyring = Keyring(FakeKeyStore(), MemoryDataKeyTable(), clock)
    await keyring.start([Purpose.AUDIT, Purpose.IDENTITY])
    # Records are only ever added: a test takes them away as somebody would who has the whole server.
    await databases.run(Domain.CORE, "set session_replication_role = replica", EMPTIED)
    database = ToldDatabase(databases.address(Domain.CORE, Login.CONSOLE))
    await database.open()
    ground = _made(databases, database, keyring, clock, rate, routes)
    ground.merchant = await ground.new_merchant()
    try:
        yield ground
    finally:
        await ground.close()
        await database.close()
        await keyring.close()


def _made(
    databases: Databases,
    database: ToldDatabase,
    keyring: Keyring,
    clock: SteppedClock,
    rate: Rate,
    routes: Sequence[Any],
) -> Ground:
    metrics, lines = Metrics(), MemorySink()
    recorder = EventRecorder(database, Secret(bytes(32)), clock)
    denials = DenialLog(database, recorder, clock)
    people, passwords, sessions = PeopleTable(), CountedPasswords(), MemorySessions(clock)
    tickets, passkeys = MemoryTickets(), CountedPasskeys()
    hash_key = Secret(b"k" * 32)
    factors = Factors(keyring, hash_key)
    lockouts = Lockouts(database, hash_key, recorder, metrics.logins)
    shared: Mapping[str, Any] = {
        "database": database,
        "people": people,
        "factors": factors,
        "sessions": sessions,
        "recorder": recorder,
        "clock": clock,
    }
    counted: Mapping[str, Any] = {"lockouts": lockouts, "metrics": metrics.logins}
    parts = LoginParts(
        Logins(
            **shared,
            **counted,
            passwords=passwords,
            denials=denials,
            hash_key=hash_key,
            throttle=RateLimiter(rate),
            proofs=Proofs(database, ["https://console.test"], clock),
        ),
        StepUps(**shared, **counted),
        factors,
        OwnFactors(**shared, others=passkeys, tickets=tickets),
        lockouts,
    )
    edge = build_listener(
        build_app([*ROUTES, *routes], {**parts.state, "sessions": sessions, "tickets": tickets}),
        listener="console",
        authenticator=sessions,
        rates=Rates(RateLimiter(PLENTY), RateLimiter(PLENTY), RateLimiter(PLENTY)),
        watcher=TelemetryWatcher(Log(lines, clock=clock), metrics, denials),
        carries_cards=False,
        body_bytes_max={},
    )
    return Ground(
        databases,
        database,
        clock,
        parts,
        people,
        passwords,
        sessions,
        tickets,
        passkeys,
        denials,
        metrics,
        recorder,
        edge,
        lines,
    )
