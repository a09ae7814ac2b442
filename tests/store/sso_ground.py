# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: ARG002 - the ports' parameters
"""Ground for single sign-on: the real parts over a real database under the console's login, and a provider.

People and sessions are stood in for by the smallest that keeps the promise of their protocols in the same transaction.
"""

import json
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from contracts.fakes import FakeKeyStore
from database import Databases
from oidc_provider import CLIENT, SECRET, OidcProvider, oidc_provider
from strongroom.audit import Action, Origin, Recorder
from strongroom.audit.recorder import EventRecorder
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database, Transaction, connect
from strongroom.egress import EgressPolicy, check_url
from strongroom.egress.client import Egress
from strongroom.http.rate_limit import Rate
from strongroom.identity.people.model import Person, PersonStatus
from strongroom.identity.people.store import PeopleTable
from strongroom.identity.sessions.ports import Issued
from strongroom.identity.sso.admission import Admission
from strongroom.identity.sso.discovery import Discovery
from strongroom.identity.sso.model import Provider, ProviderBy, ProviderTerms, Returned, RoleRule
from strongroom.identity.sso.proofs import Proofs
from strongroom.identity.sso.providers import Providers
from strongroom.identity.sso.sign_in import SignIn
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.ids import MerchantId, PersonId, SessionId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Role
from strongroom.kernel.secret import Secret
from strongroom.keys import KeyName, Purpose
from strongroom.keys.keyring import Keyring
from strongroom.keys.model import PLATFORM_MERCHANT, PLATFORM_MODE
from strongroom.keys.store import PostgresDataKeyTable

POLICY: Final = EgressPolicy(loopback=frozenset({"127.0.0.1"}))
REDIRECT: Final = "https://console.shop.example/signed-in"
DOMAIN: Final = "shop.example"


def person_of(row: Any) -> Person:
    return Person(
        row["person_id"],
        row["merchant_id"],
        row["email"],
        row["name"],
        Role(row["role"]),
        PersonStatus(row["status"]),
        row["created_by"],
        row["created_at"],
        row["last_used_at"],
    )


@dataclass(slots=True)
class PlainSessions:
    """Writes down which sessions began and ended, with their records."""

    recorder: Recorder
    begun: list[tuple[Person, Mode, frozenset[str]]] = field(default_factory=list)
    ended: list[tuple[PersonId, str]] = field(default_factory=list)
    #: A session that cannot begin: everything that was to commit with it must not.
    fails: bool = False

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
        if self.fails:
            raise RuntimeError("no session")
        session = SessionId(new_id("ses"))
        record = self.recorder.make(
            Action.IDENTITY_SESSION_STARTED,
            actor=person.person_id,
            merchant=person.merchant,
            mode=mode,
            thing=session,
            origin=origin,
            now=now,
        )
        await self.recorder.insert(tx, record)
        self.begun.append((person, mode, frozenset(methods)))
        return Issued(session, Secret("an access token"), 300, Secret("a refresh token"))

    async def step_up(
        self, tx: Transaction, session: SessionId, methods: Collection[str], *, now: datetime
    ) -> Issued | None:
        raise NotImplementedError

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
        self.ended.append((person.person_id, reason))
        return 1


@dataclass(slots=True)
class SsoGround:
    """The console's parts of single sign-on, and a provider."""

    databases: Databases
    database: Database
    providers: Providers
    sign_in: SignIn
    sessions: PlainSessions
    discovery: Discovery
    proofs: Proofs
    clock: SteppedClock
    idp: OidcProvider
    merchant: MerchantId = field(default_factory=lambda: MerchantId(new_id("mer")))

    def by(self, merchant: MerchantId | None = None) -> ProviderBy:
        return ProviderBy(merchant or self.merchant, new_id("usr"), Origin())

    async def tenant(self, merchant: MerchantId | None = None) -> MerchantId:
        """Make the tenant's row."""
        made = merchant or MerchantId(new_id("mer"))
        await self.run(
            "insert into identity.merchant values ($1, 'A shop', 'active', now()) on conflict do nothing",
            made,
        )
        return made

    async def provider(self, merchant: MerchantId | None = None, **more: Any) -> Provider:
        """Make a provider, as an admin does."""
        secret = Secret(more.pop("secret", SECRET))
        return await self.providers.create(
            terms(**{"issuer": self.idp.issuer, **more}), secret, self.by(merchant)
        )

    async def person(
        self,
        email: str,
        role: Role = Role.OPERATOR,
        status: PersonStatus = PersonStatus.ACTIVE,
        merchant: MerchantId | None = None,
    ) -> PersonId:
        person = PersonId(new_id("usr"))
        await self.run(
            "insert into identity.person values ($1, $2, $3, 'Somebody', $4, $5, 'operator:tests', $6)",
            merchant or self.merchant,
            person,
            email,
            role.value,
            status.value,
            self.clock.now(),
        )
        return person

    async def begun(self, provider: Provider, **claims: Any) -> Returned:
        """Begin at us, log in at the provider, and come back."""
        started = await self.sign_in.start(
            provider=provider.provider_id,
            email=None,
            mode=Mode.LIVE,
            redirect=provider.terms.redirects[0],
            address="192.0.2.7",
        )
        back = self.idp.visited(started.authorization_url, **claims)
        return Returned(back["state"], back["code"], started.ticket.expose(), back.get("iss"), None)

    async def finished(self, back: Returned) -> Issued:
        return await self.sign_in.finish(back, address="192.0.2.7", request_hash="0" * 64)

    async def signed_in(self, provider: Provider, **claims: Any) -> Issued:
        return await self.finished(await self.begun(provider, **claims))

    async def run(self, statement: str, *values: object) -> None:
        await self.rows(statement, *values)

    async def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Ask as the superuser, who sees every tenant's rows."""
        connection = await connect(self.databases.administrator(Domain.CORE))
        try:
            return [dict(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()

    async def people(self, merchant: MerchantId | None = None) -> list[dict[str, Any]]:
        return await self.rows(
            "select * from identity.person where merchant_id = $1 order by person_id",
            merchant or self.merchant,
        )

    async def records(self, merchant: MerchantId | None = None) -> list[dict[str, Any]]:
        """What the audit log says of a merchant, oldest first."""
        rows = await self.rows(
            "select payload from audit.event where merchant_id = $1 order by xmin::text::bigint, ctid",
            merchant or self.merchant,
        )
        return [json.loads(row["payload"]) for row in rows]

    async def actions(self) -> list[str]:
        return [each["action"] for each in await self.records()]

    async def refusals(self) -> list[str]:
        """Why logins were refused."""
        return [
            each["details"]["reason"]
            for each in await self.records()
            if each["action"] == Action.IDENTITY_LOGIN_FAILED
        ]

    def step(self, seconds: float) -> None:
        self.clock.step(timedelta(seconds=seconds))


def terms(issuer: str, **more: Any) -> ProviderTerms:
    given: dict[str, Any] = {
        "name": "Company accounts",
        "issuer": issuer,
        "client_id": CLIENT,
        "domains": (DOMAIN,),
        "redirects": (REDIRECT,),
        "role_claim": None,
        "roles": (),
        "required_amr": ("mfa",),
        "required_acr": (),
        "max_age_seconds": 300,
        "creates_people": False,
        **more,
    }
    return ProviderTerms(**given)


def mapping(**roles: Role) -> dict[str, Any]:
    """Terms that map groups to roles, with people made at their first login."""
    rules = tuple(RoleRule(value, role) for value, role in roles.items())
    return {"role_claim": "groups", "roles": rules, "creates_people": True}


@asynccontextmanager
async def sso_ground(
    databases: Databases,
    rate: Rate = Rate(1_000, 1_000),  # noqa: B008 - a value
) -> AsyncIterator[SsoGround]:
    """Start the console's parts."""
    clock = SteppedClock(datetime.now(UTC))
    store = _STORES.setdefault(id(databases), FakeKeyStore())
    async with AsyncExitStack() as stack:
        database = Database(databases.address(Domain.CORE, Login.CONSOLE), connections_max=4)
        await database.open()
        stack.push_async_callback(database.close)
        keyring = Keyring(store, PostgresDataKeyTable(database), clock)
        await keyring.start([Purpose.IDENTITY, Purpose.AUDIT])
        stack.push_async_callback(keyring.close)

        async def key(name: KeyName) -> Secret[bytes]:
            return (await keyring.current(PLATFORM_MERCHANT, PLATFORM_MODE, name)).secret

        recorder = EventRecorder(database, await key(KeyName.AUDIT_ROW_MAC), clock)
        egress = Egress(POLICY)
        stack.push_async_callback(egress.close)
        proofs = Proofs(await key(KeyName.SIGN_IN_HASH))
        sessions = PlainSessions(recorder)
        discovery = Discovery(egress, lambda url: check_url(url, POLICY, port=None), clock)
        idp = await stack.enter_async_context(oidc_provider(clock))
        ground = SsoGround(
            databases=databases,
            database=database,
            providers=Providers(
                database=database,
                keys=keyring,
                recorder=recorder,
                sessions=sessions,
                clock=clock,
                check_url=lambda url: check_url(url, POLICY, port=None),
            ),
            sign_in=SignIn(
                database=database,
                keys=keyring,
                proofs=proofs,
                discovery=discovery,
                admission=Admission(
                    database=database,
                    people=PeopleTable(),
                    sessions=sessions,
                    proofs=proofs,
                    recorder=recorder,
                    clock=clock,
                ),
                recorder=recorder,
                clock=clock,
                rate=rate,
            ),
            sessions=sessions,
            discovery=discovery,
            proofs=proofs,
            clock=clock,
            idp=idp,
        )
        await ground.tenant(ground.merchant)
        yield ground


_STORES: Final[dict[int, FakeKeyStore]] = {}
