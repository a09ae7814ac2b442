# SPDX-License-Identifier: Apache-2.0
"""A role opens the logins and the key roots that it needs, and no others; its key file holds no others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from database import Databases, Server, fresh_databases
from service import ComposerWithStore, free_ports
from strongroom import compose
from strongroom.cli.authorities import Authorities
from strongroom.cli.installation import Installation, NotInitialised
from strongroom.cli.serving import Serving
from strongroom.config import Listener, Settings, UnsafeConfiguration, parse_reference
from strongroom.config.internal import internal_files, port_folder
from strongroom.config.roles import ALL_ROLES, CALLERS, ServedRole, asks_port, name_of, offers_port
from strongroom.config.settings import Environment
from strongroom.db.address import Address
from strongroom.db.logins import ROLE_LOGINS, Domain, Login, logins_of
from strongroom.db.pool import Database
from strongroom.egress.internal import CertificateMissing, InternalClient
from strongroom.http.edge import Edge
from strongroom.http.mutual import StrangersLetIn
from strongroom.http.server import AuthorityMissing, Tls
from strongroom.kernel.clock import SystemClock
from strongroom.keys import ROLE_ROOTS, CannotUnwrap, Purpose, roots_of
from strongroom.keys.keyring import Keyring
from strongroom.keys.stores.file import FileKeyStore
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import Metrics
from strongroom.telemetry.sink import MemorySink
from strongroom.vault.internal.remote import RemoteVault

ROLES = list(ServedRole)
CONTEXT = {"merchant": "mer_1", "mode": "test", "name": "card", "version": "1"}


class Noting(ComposerWithStore):
    """Notes what a role opens."""

    def __init__(self, site: compose.Site) -> None:
        super().__init__(site, None)
        self.logins: set[tuple[Domain, Login]] = set()
        self.roots: set[Purpose] = set()

    async def database(self, domain: Domain, login: Login, connections_max: int = 8) -> Database:
        self.logins.add((domain, login))
        return await super().database(domain, login, connections_max)

    async def keyring(self, database: Database, *purposes: Purpose) -> Keyring:
        self.roots.update(purposes)
        return await super().keyring(database, *purposes)


def settings_of(folder: Path) -> Settings:
    ports = free_ports(6)
    listeners = [Listener("127.0.0.1", port) for port in ports]
    return Settings(
        state=folder / "state",
        vault_listen=listeners[0],
        gateway_listen=listeners[1],
        webhooks_listen=listeners[2],
        console_listen=listeners[3],
        worker_listen=listeners[4],
        vault_internal_listen=listeners[5],
        vault_internal_url=f"https://{listeners[5]}",
    )


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """An installation with secrets, key files and certificates."""
    return initialised(tmp_path_factory.mktemp("roles"))


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    """Another one, to spoil."""
    return initialised(tmp_path)


def initialised(folder: Path) -> Settings:
    chosen = settings_of(folder)
    here = Installation(chosen, SystemClock())
    here.make_secrets()
    here.make_keys()
    assert here.split_keys() == len(ROLES)
    authorities = Authorities(port_folder(chosen), here.clock.now())
    authorities.make().carry_out()
    for name in authorities.due():
        authorities.issue(name, ["127.0.0.1"], timedelta(days=30)).carry_out()
    return chosen


async def opened(composer: compose.Composer, role: ServedRole) -> Edge:
    """Compose a role as `serve --role` does."""
    if role in CALLERS:
        await composer.remote_vault()
    if role is ServedRole.WORKER:
        await composer.worker()
        return await composer.operations()
    edge: Edge = await getattr(composer, role)()
    if role is ServedRole.VAULT:
        await composer.vault_port()
    return edge


@asynccontextmanager
async def composed(
    settings: Settings, databases: Databases, role: ServedRole
) -> AsyncIterator[Noting]:
    here = Installation(settings, SystemClock(), frozenset({role}))
    log = Log(MemorySink(), clock=here.clock)
    site = compose.Site(
        settings,
        databases.address,
        here.passphrase(),
        log,
        Metrics(),
        here.clock,
        here.roles,
        here.role_keys(),
    )
    composer = Noting(site)
    try:
        await opened(composer, role)
        yield composer
    finally:
        await composer.close()


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_opens_what_it_needs_and_nothing_else(
    settings: Settings, databases: Databases, role: ServedRole
) -> None:
    async with composed(settings, databases, role) as composer:
        assert composer.logins == ROLE_LOGINS[role]
        assert composer.roots == ROLE_ROOTS[role]
        assert {root.purpose for root in await (await composer.key_store()).describe()} == (
            ROLE_ROOTS[role]
        )


def test_only_the_vault_has_the_roots_of_cards_and_credentials() -> None:
    for role in ALL_ROLES - {ServedRole.VAULT}:
        assert not ROLE_ROOTS[role] & {Purpose.CARD, Purpose.CREDENTIAL}
        assert all(domain is Domain.CORE for domain, _ in ROLE_LOGINS[role])
        assert Login.VAULT not in {login for _, login in ROLE_LOGINS[role]}
    assert roots_of(ALL_ROLES) == set(Purpose)


def test_no_role_takes_another_ones_login() -> None:
    for role in ROLES:
        for other in ROLES:
            shared = ROLE_LOGINS[role] & ROLE_LOGINS[other]
            assert role is other or not shared, f"{role} and {other} share {shared}"
    taken = {login for _, login in logins_of(ALL_ROLES)}
    assert taken == set(Login) - {Login.BACKUP, Login.OWNER}


# --- key files ----------------------------------------------------------------------------------------


async def test_a_roles_key_file_unwraps_what_is_its_own_and_no_card_key(settings: Settings) -> None:
    whole = FileKeyStore.open(
        compose.key_file(settings), Installation(settings, SystemClock()).passphrase()
    )
    wrapped = {purpose: await whole.wrap(purpose, b"x" * 32, CONTEXT) for purpose in Purpose}
    for role in ROLES:
        (file,) = Installation(settings, SystemClock(), frozenset({role})).role_keys()
        store = FileKeyStore.open(file.path, file.passphrase)
        assert file.path.stat().st_mode & 0o777 == 0o600
        for purpose in Purpose:
            if purpose in ROLE_ROOTS[role]:
                opened = await store.unwrap(purpose, wrapped[purpose], CONTEXT)
                assert opened.expose() == b"x" * 32
            else:
                with pytest.raises(CannotUnwrap):
                    await store.unwrap(purpose, wrapped[purpose], CONTEXT)


async def test_a_process_with_two_roles_has_the_roots_of_both(settings: Settings) -> None:
    roles = frozenset({ServedRole.GATEWAY, ServedRole.CONSOLE})
    here = Installation(settings, SystemClock(), roles)
    store = await compose.open_key_store(
        settings, here.passphrase(), purposes=roots_of(roles), role_keys=here.role_keys()
    )
    assert {root.purpose for root in await store.describe()} == roots_of(roles)


def test_key_files_follow_a_rotated_root_and_are_else_left_alone(own: Settings) -> None:
    here = Installation(own, SystemClock())
    assert here.split_keys() == 0
    whole = FileKeyStore.open(compose.key_file(own), here.passphrase())
    whole.rotate_root(Purpose.CARD, here.clock.now())
    assert here.split_keys() == 1, "the vault's alone"
    whole.rotate_root(Purpose.AUDIT, here.clock.now())
    assert here.split_keys() == len(ROLES)


def test_a_role_without_a_key_file_says_what_to_do(own: Settings) -> None:
    (own.state / "keys" / "gateway.passphrase").unlink()
    with pytest.raises(NotInitialised, match="gateway: run `strongroom pki init`"):
        Installation(own, SystemClock(), frozenset({ServedRole.GATEWAY})).role_keys()


# --- which process has which port ---------------------------------------------------------------------

V, G, WH, C, W = ROLES


@pytest.mark.parametrize(
    ("roles", "offers", "asks"),
    [
        (ALL_ROLES, False, False),
        ({V}, True, False),
        ({V, G}, True, False),
        ({V, G, W}, False, False),
        ({V, WH, C}, True, False),
        ({G}, False, True),
        ({W}, False, True),
        ({G, WH, C, W}, False, True),
        ({WH}, False, False),
        ({C, WH}, False, False),
    ],
)
def test_the_internal_port_is_there_for_who_is_elsewhere(
    roles: set[ServedRole],
    offers: bool,  # noqa: FBT001 - a column of the table
    asks: bool,  # noqa: FBT001 - likewise
) -> None:
    assert (offers_port(frozenset(roles)), asks_port(frozenset(roles))) == (offers, asks)


def test_a_process_is_named_by_its_roles() -> None:
    assert name_of(ALL_ROLES) == "all"
    assert name_of(frozenset({W, G})) == "gateway+worker"


# --- promise 8, per role ------------------------------------------------------------------------------


class Told(Installation):
    """An installation whose databases are those of a test."""

    databases: Databases

    def address(self, domain: Domain, login: Login) -> Address:
        return self.databases.address(domain, login)


@pytest.fixture
def undisturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `Serving` does to the whole process is not done to this one."""
    monkeypatch.setattr("strongroom.cli.serving.forbid_dumps", lambda: None)
    monkeypatch.setattr("gc.freeze", lambda: None)


def told(settings: Settings, databases: Databases, role: ServedRole, **changes: Any) -> Told:
    log_file = settings.state / "log" / "x.log"
    here = Told(replace(settings, log_file=log_file, **changes), SystemClock(), frozenset({role}))
    here.databases = databases
    here.attach = lambda: None  # type: ignore[method-assign]
    return here


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("role", ROLES)
async def test_production_looks_at_the_roles_own_logins(
    settings: Settings, databases: Databases, role: ServedRole
) -> None:
    here = told(settings, databases, role, environment=Environment.PRODUCTION)
    with pytest.raises(UnsafeConfiguration) as raised:
        await Serving(here).start()
    looked_at = {
        fault.partition(":")[0] for fault in raised.value.faults if "no TLS with a" in fault
    }
    assert looked_at == {f"{login} on the {domain} database" for domain, login in ROLE_LOGINS[role]}


# --- the internal port, at start ------------------------------------------------------------------------


@pytest.mark.usefixtures("undisturbed")
async def test_a_vault_serves_its_port_to_gateway_and_worker_alone(
    own: Settings, server: Server
) -> None:
    async with fresh_databases(server) as databases:
        serving = Serving(told(own, databases, V))
        served = await serving.start()
        try:
            assert served.urls.keys() == {"vault", "vault_internal"}
            for caller in (G, W):
                client = InternalClient(own.vault_internal_url, internal_files(own, caller))
                try:
                    await RemoteVault(client, SystemClock()).alive()
                finally:
                    await client.close()
        finally:
            await serving.stop()


@pytest.mark.usefixtures("undisturbed")
async def test_sabotage_a_vault_whose_port_does_not_look_refuses_to_serve(
    own: Settings, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(certificate: Path, key: Path, *_: object) -> Tls:
        return Tls(certificate, key)

    monkeypatch.setattr("strongroom.cli.serving.Tls", careless)
    async with fresh_databases(server) as databases:
        with pytest.raises(StrangersLetIn):
            await Serving(told(own, databases, V)).start()
        for place in (own.vault_listen, own.vault_internal_listen):
            with pytest.raises(ConnectionError):
                await asyncio.open_connection(place.host, place.port)


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("gone", ["authorities.pem", "server.pem", "server.key"])
async def test_a_vault_without_a_certificate_of_its_port_does_not_start(
    own: Settings, server: Server, gone: str
) -> None:
    (port_folder(own) / gone).unlink()
    async with fresh_databases(server) as databases:
        with pytest.raises(AuthorityMissing, match=gone):
            await Serving(told(own, databases, V)).start()


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("role", [G, W])
async def test_a_caller_without_a_certificate_does_not_start(
    own: Settings, server: Server, role: ServedRole
) -> None:
    (port_folder(own) / f"{role}.pem").unlink()
    async with fresh_databases(server) as databases:
        with pytest.raises(CertificateMissing):
            await Serving(told(own, databases, role)).start()


def test_only_the_vaults_process_reaches_the_vault_database(settings: Settings) -> None:
    apart = replace(settings, core_database=parse_reference("env:CORE_DSN"))
    for role in ROLES:
        here = Installation(apart, SystemClock(), frozenset({role}))
        assert here.uses_embedded == (role is V), "the vault's URL is not given"
