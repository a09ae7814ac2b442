# SPDX-License-Identifier: Apache-2.0
"""A running Strongroom for tests: both listeners, composed as in production, over real databases.

`running` serves over TLS on free ports, or hands requests to the edges of this process (`listens=False`), with
whatever clock, key store and settings a test wants. Every answer passes `answers.Answers`.
"""

import itertools
import json
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, cast

import httpx

from answers import Answers
from database import Databases
from members import Ended, KnownInTests, Member, log_in, set_up
from strongroom import compose
from strongroom.audit import Origin
from strongroom.cli.installation import Installation
from strongroom.config import Listener, Settings
from strongroom.db.logins import Domain
from strongroom.db.pool import Database, connect
from strongroom.http import Authenticator
from strongroom.http.edge import Edge
from strongroom.http.server import Endpoint, Servers
from strongroom.identity.model import KeyWish, NewKey
from strongroom.identity.people.console import PeopleDesk
from strongroom.identity.people.model import Person
from strongroom.identity.service import IdentityService
from strongroom.kernel.clock import Clock, SystemClock
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind, Role
from strongroom.keys import KeyStore
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import Metrics
from strongroom.telemetry.sink import open_sink
from strongroom.vault.ports import Vault

OPERATOR: Final = "operator:tests"
#: No test meets a limit unless it asks for one.
UNLIMITED: Final = {
    "rate_secret_per_second": 1_000_000,
    "rate_public_per_second": 1_000_000,
    "rate_stranger_per_second": 1_000_000,
    "rate_visitor_per_second": 1_000_000,
    "rate_login_per_minute": 1_000_000,
}
_numbers: Final = itertools.count(1)


class ComposerWithStore(compose.Composer):
    """A composer whose key store is given: a fake that can be made to fail. Tests say who is logged in."""

    def __init__(self, site: compose.Site, store: KeyStore | None) -> None:
        super().__init__(site)
        self.given_store = store
        self.known = KnownInTests()

    async def authenticator(self, listener: str, database: Database) -> Authenticator:
        real = await super().authenticator(listener, database)
        return self.known.before(real)

    async def key_store(self) -> KeyStore:
        return await super().key_store() if self.given_store is None else self.given_store


class Caller:
    """Speaks to one listener, with one key or none. A POST gets an idempotency key of its own unless told."""

    def __init__(self, client: httpx.AsyncClient, key: str | None) -> None:
        self.client = client
        self.key = key

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency: str | None = "",
    ) -> httpx.Response:
        given = {} if self.key is None else {"authorization": f"Bearer {self.key}"}
        if body is not None:
            content = json.dumps(body).encode()
        if content is not None:
            given["content-type"] = "application/json"
        if method == "POST" and idempotency is not None:
            given["idempotency-key"] = idempotency or f"test-{next(_numbers)}"
        given |= {name.lower(): value for name, value in (headers or {}).items()}
        return await self.client.request(
            method, path, content=content, headers={k: v for k, v in given.items() if v != "(none)"}
        )

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.send("GET", path, **more)

    async def post(self, path: str, body: object = None, **more: Any) -> httpx.Response:
        return await self.send("POST", path, body=body, **more)

    async def delete(self, path: str, **more: Any) -> httpx.Response:
        return await self.send("DELETE", path, **more)

    async def tokenize(self, number: str, cvc: str | None = None, **more: Any) -> httpx.Response:
        return await self.post("/v1/tokens", wish(number, cvc, **more))

    async def token(self, number: str, cvc: str | None = None, **more: Any) -> dict[str, Any]:
        """Make a token and return what the answer says of it."""
        answer = await self.tokenize(number, cvc, **more)
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json())


def card(number: str, cvc: str | None = None) -> dict[str, Any]:
    """A card with a date that will do for years."""
    given = {"number": number, "exp_month": 12, "exp_year": 2034}
    return given if cvc is None else {**given, "cvc": cvc}


def wish(number: str, cvc: str | None = None, **more: Any) -> dict[str, Any]:
    return {"card": card(number, cvc), **more}


@dataclass(frozen=True, slots=True)
class Tenant:
    """A merchant, and one of its secret keys of each mode."""

    merchant: MerchantId
    keys: Mapping[Mode, str]


class Service:
    """What `running` lends."""

    def __init__(
        self,
        *,
        composer: ComposerWithStore,
        edges: Mapping[str, Edge],
        clients: Mapping[str, httpx.AsyncClient],
        operator: IdentityService,
        answers: Answers,
        databases: Databases,
    ) -> None:
        self.databases = databases
        self.composer = composer
        self.edges = edges
        self.clients = clients
        self.operator = operator
        self.answers = answers
        self.settings = composer.site.settings
        self.metrics = composer.site.metrics

    @property
    def log_file(self) -> Path:
        assert self.settings.log_file is not None
        return self.settings.log_file

    @property
    def authority(self) -> Path:
        """The certificate to verify the listeners with."""
        return self.settings.state / "tls" / "ca.pem"

    @property
    def parts(self) -> Vault:
        """The vault behind its routes, for what no route does: jobs, and what will use CVCs."""
        app: Any = self.edges["vault"]._app
        return cast("Vault", app.state.vault)

    @property
    def desk(self) -> PeopleDesk:
        """People behind their routes, for what no route does yet: finishing to set up."""
        app: Any = self.edges["console"]._app
        return cast("PeopleDesk", app.state.people)

    async def member(
        self,
        merchant: MerchantId,
        role: Role = Role.ADMIN,
        mode: Mode = Mode.TEST,
        *,
        stepped_up: bool = True,
    ) -> Member:
        """Make somebody who has set up and is logged in."""
        member = await self.log_in(await set_up(self.desk, merchant, role), mode)
        return member if stepped_up else self.composer.known.as_if(member, stepped_up=False)

    async def log_in(self, person: Person, mode: Mode = Mode.TEST) -> Member:
        """Begin a session of somebody who has set up."""
        app: Any = self.edges["console"]._app
        return await log_in(self.desk, app.state.sessions.service, person, mode)

    @property
    def ended(self) -> Ended:
        """Which sessions ended."""
        return Ended(self.databases)

    def vault(self, key: str | None) -> Caller:
        return Caller(self.clients["vault"], key)

    def gateway(self, key: str | None) -> Caller:
        return Caller(self.clients["gateway"], key)

    def console(self, key: str | None) -> Caller:
        return Caller(self.clients["console"], key)

    @property
    def public(self) -> Caller:
        """The listener of processors and returning customers: nobody has a key there."""
        return Caller(self.clients["webhooks"], None)

    async def tenant(self, name: str = "Corner Shop") -> Tenant:
        """Make a merchant with a secret key of each mode."""
        merchant = await self.operator.create_merchant(name, actor=OPERATOR, origin=Origin())
        keys = {
            mode: (await self.key(merchant.merchant_id, mode=mode)).text.expose() for mode in Mode
        }
        return Tenant(merchant.merchant_id, keys)

    async def key(
        self,
        merchant: MerchantId,
        kind: KeyKind = KeyKind.SECRET,
        mode: Mode = Mode.TEST,
        *,
        permissions: Sequence[Permission] | None = None,
        origins: Sequence[str] = (),
        expires_at: datetime | None = None,
    ) -> NewKey:
        """Make a key, as an operator does."""
        wanted = KeyWish(merchant, mode, kind, "made by a test", permissions, origins, expires_at)
        return await self.operator.create_key(wanted, actor=OPERATOR, origin=Origin())

    async def look(self, domain: Domain, query: str, *values: object) -> list[Any]:
        """Ask a database as its superuser, who sees every tenant's rows."""
        connection = await connect(self.databases.administrator(domain))
        try:
            return list(await connection.fetch(query, *values))
        finally:
            await connection.close()

    async def written(self, merchant: MerchantId) -> dict[str, int]:
        """Count what the vault keeps of a merchant."""
        tables = ("vault.token", "vault.card_identity", "idempotency.request", "audit.event")
        counts = ", ".join(
            f"(select count(*) from {table} where merchant_id = $1) as {table.partition('.')[2]}"
            for table in tables
        )
        (row,) = await self.look(Domain.VAULT, f"select {counts}", merchant)
        return dict(row)

    async def shop(self) -> Caller:
        """Make a merchant and speak to the vault as it, in test mode."""
        return self.vault((await self.tenant()).keys[Mode.TEST])

    def log_text(self) -> str:
        """Every log line so far."""
        self.composer.site.log.flush()
        return self.log_file.read_text("utf-8")


@asynccontextmanager
async def running(
    databases: Databases,
    folder: Path,
    *,
    clock: Clock | None = None,
    store: KeyStore | None = None,
    listens: bool = True,
    lean_lane: bool = True,
    composer_class: type[ComposerWithStore] = ComposerWithStore,
    **settings: Any,
) -> AsyncIterator[Service]:
    """Lend a running Strongroom whose state is below `folder`; two over one folder are two processes of it."""
    clock = clock or SystemClock()
    ports = free_ports(4)
    chosen = Settings(
        **{
            "state": folder / "state",
            "log_file": folder / "strongroom.log",
            "vault_listen": Listener("127.0.0.1", ports[0]),
            "gateway_listen": Listener("127.0.0.1", ports[1]),
            "webhooks_listen": Listener("127.0.0.1", ports[2]),
            "console_listen": Listener("127.0.0.1", ports[3]),
            "public_url": f"https://127.0.0.1:{ports[2]}",
            "worker_poll_ms": 20,
            # Simulators and merchants' listeners of tests are on this machine, at whatever port is free.
            "egress_loopback": ("127.0.0.1",),
            "processor_timeout_seconds": 2,
            "recovery_delays_seconds": (1, 1, 2),
            "delivery_delays_seconds": (1, 1, 2),
            "audit_origin": "audit.strongroom.example",
            **UNLIMITED,
            **settings,
        }
    )
    installation = Installation(chosen, clock)
    installation.make_secrets()
    installation.make_keys()
    assert chosen.log_file is not None
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        log = Log(open_sink(chosen.log_file), clock=clock, observer=metrics.log)
        stack.callback(log.close)
        site = compose.Site(
            chosen, databases.address, installation.passphrase(), log, metrics, clock
        )
        composer = composer_class(site, store)
        stack.push_async_callback(composer.close)
        edges = {
            "vault": await composer.vault(lean_lane=lean_lane),
            "gateway": await composer.gateway(lean_lane=lean_lane),
            "webhooks": await composer.webhooks(lean_lane=lean_lane),
            "console": await composer.console(lean_lane=lean_lane),
        }
        if chosen.worker:
            await composer.worker()
        answers = Answers(folder / "answers")
        clients = {}
        if listens:
            listeners = {
                "vault": chosen.vault_listen,
                "gateway": chosen.gateway_listen,
                "webhooks": chosen.webhooks_listen,
                "console": chosen.console_listen,
            }
            tls = installation.tls()
            servers = Servers(
                [
                    Endpoint(
                        name,
                        edge,
                        listeners[name].host,
                        listeners[name].port,
                        tls,
                        relay=edge.relay,
                    )
                    for name, edge in edges.items()
                ]
            )
            stack.push_async_callback(servers.stop)
            await servers.start()
            trusted = ssl.create_default_context(cafile=str(installation.authority_file))
            for name, listener in listeners.items():
                clients[name] = httpx.AsyncClient(
                    base_url=f"https://{listener}",
                    verify=trusted,
                    event_hooks={"response": [answers.passes]},
                    timeout=120,
                )
        else:
            for name, edge in edges.items():
                clients[name] = httpx.AsyncClient(
                    base_url=f"https://{name}.test",
                    transport=httpx.ASGITransport(app=edge),  # type: ignore[arg-type]  # dict, not MutableMapping
                    event_hooks={"response": [answers.passes]},
                )
        for client in clients.values():
            await stack.enter_async_context(client)
        operator = await composer.operator_identity()
        yield Service(
            composer=composer,
            edges=edges,
            clients=clients,
            operator=operator,
            answers=answers,
            databases=databases,
        )


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback address that nobody has now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
