# SPDX-License-Identifier: Apache-2.0
"""Passwords of database logins, rotated on a real server: cut off at every step, with connections old and new."""

import asyncio
import base64
import functools
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiobotocore.session import AioSession, get_session
from moto.server import ThreadedMotoServer

from database import SIZES, Databases, Server, fresh_databases, migrated_server
from strongroom import compose
from strongroom.cli.installation import Installation
from strongroom.compose.secret_rotation import SecretRotation
from strongroom.compose.secrets import LoginPassword
from strongroom.config import SecretReference, SecretScheme, Settings, parse_reference
from strongroom.crypto import scram_verifier
from strongroom.db.address import Address
from strongroom.db.errors import LoginRefused
from strongroom.db.logins import LOGINS, Domain, Login
from strongroom.db.passwords import LoginPasswords
from strongroom.db.pool import Database, connect
from strongroom.kernel.clock import SystemClock
from strongroom.kernel.secret import Secret
from strongroom.keys import SecretNotTaken, SecretUnreadable
from strongroom.keys.secrets.aws import AwsSecrets
from strongroom.keys.secrets.book import SecretBook
from strongroom.keys.secrets.local import FileSecrets
from strongroom.keys.secrets.ports import SecretKeeper
from strongroom.keys.secrets.rotation import begin, complete
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import Metrics
from strongroom.telemetry.sink import MemorySink

LOGIN = Login.GATEWAY
REGION = "me-central-1"


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    """A server of its own: a login's password is one for all databases of a server."""
    async with migrated_server(SIZES, Path("/var/tmp")) as made:
        yield made


@pytest.fixture
async def databases(server: Server) -> AsyncIterator[Databases]:
    async with fresh_databases(server) as made:
        yield made
        for login in Login:  # as they were, for the next test
            verifier = scram_verifier(server.secrets[login])
            await server.run(f"alter role {login} password '{verifier}'")


@functools.cache  # it reads AWS's large service descriptions once
def aws_session() -> AioSession:
    session = get_session()
    session.set_credentials("testing", "testing")
    return session


@pytest.fixture(scope="module")
def moto_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["file", "aws-sm"])
async def kept(
    request: pytest.FixtureRequest, tmp_path: Path, moto_endpoint: str, server: Server
) -> tuple[SecretKeeper, SecretReference]:
    """Where the gateway's password is kept."""
    now = server.secrets[LOGIN].expose()
    if request.param == "file":
        (tmp_path / LOGIN).write_text(now, "utf-8")
        return FileSecrets(), parse_reference(f"file:{tmp_path / LOGIN}")
    name = f"{LOGIN}/{tmp_path.name}"
    async with aws_session().create_client(
        "secretsmanager", region_name=REGION, endpoint_url=moto_endpoint
    ) as client:
        await client.create_secret(Name=name, SecretString=f'{{"password":"{now}"}}')
    keeper = AwsSecrets(region=REGION, endpoint_url=moto_endpoint, session=aws_session())
    return keeper, parse_reference(f"aws-sm:{name}#password")


def holder_of(databases: Databases) -> LoginPasswords:
    return LoginPasswords(
        [databases.address(domain, LOGIN) for domain in Domain if LOGIN in LOGINS[domain]]
    )


class CutOff(Exception):
    """As if the process were killed here."""


class Cut:
    """A keeper and a holder in one that are cut off before or after one of their calls."""

    def __init__(self, keeper: SecretKeeper, holder: LoginPasswords, at: str) -> None:
        self._keeper = keeper
        self._holder = holder
        self._at = at

    def _cut(self, where: str) -> None:
        if where == self._at:
            raise CutOff

    async def read(self, reference: SecretReference) -> Secret[str]:
        return await self._keeper.read(reference)

    async def pending(self, reference: SecretReference) -> Secret[str] | None:
        return await self._keeper.pending(reference)

    async def create(self, reference: SecretReference, value: Secret[str]) -> None:
        self._cut("before create")
        await self._keeper.create(reference, value)
        self._cut("after create")

    async def finish(self, reference: SecretReference) -> None:
        self._cut("before finish")
        await self._keeper.finish(reference)
        self._cut("after finish")

    async def takes(self, value: Secret[str]) -> bool:
        return await self._holder.takes(value)

    async def change(self, now: Secret[str], then: Secret[str]) -> None:
        self._cut("before set")
        await self._holder.change(now, then)
        self._cut("after set")


CUTS = [f"{when} {step}" for step in ("create", "set", "finish") for when in ("before", "after")]


def a_value() -> Secret[str]:
    return Secret("aNewPasswordOfAtLeastSomeLength0123456789")


@asynccontextmanager
async def a_pool(
    databases: Databases, keeper: SecretKeeper, reference: SecretReference
) -> AsyncIterator[Database]:
    """Lend a pool as a server has it: its password is asked for whenever it connects."""
    hours = itertools.count()  # between two questions much time passes
    book = SecretBook({reference.scheme: keeper}, lambda: next(hours) * 3_600.0, 1e9)
    await book.load({"password": reference})
    address = replace(
        databases.address(Domain.CORE, LOGIN), passwords=LoginPassword(book, reference)
    )
    database = Database(address, connections_max=8)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def uses_new_connections(database: Database, count: int) -> None:
    """Hold that many connections at once, so that all but those that are open are new."""

    async def one(barrier: asyncio.Barrier) -> None:
        async with database.connection() as connection:
            await connection.fetchval("select 1")
            await barrier.wait()

    barrier = asyncio.Barrier(count)
    await asyncio.gather(*(one(barrier) for _ in range(count)))


@pytest.mark.parametrize("at", CUTS)
async def test_cut_off_anywhere_old_and_new_connections_work_and_the_next_run_completes(
    databases: Databases, kept: tuple[SecretKeeper, SecretReference], at: str
) -> None:
    keeper, reference = kept
    cut = Cut(keeper, holder_of(databases), at)
    before = (await keeper.read(reference)).expose()
    async with a_pool(databases, keeper, reference) as database:
        async with database.connection() as old:
            with pytest.raises(CutOff):
                await complete(cut, reference, cut, await begin(cut, reference, a_value))
            await uses_new_connections(database, 3)
            assert await old.fetchval("select 1") == 1
        holder = holder_of(databases)
        await complete(keeper, reference, holder, await begin(keeper, reference, a_value))
        await uses_new_connections(database, 6)
    after = await keeper.read(reference)
    assert after.expose() != before or at == "after finish"
    assert await holder.takes(after)
    assert await keeper.pending(reference) is None
    if after.expose() != before:
        assert not await holder.takes(Secret(before))


async def test_a_server_that_runs_follows_a_rotation_without_a_restart(
    databases: Databases, kept: tuple[SecretKeeper, SecretReference]
) -> None:
    keeper, reference = kept
    async with a_pool(databases, keeper, reference) as database:
        for number in range(3):
            value = Secret(f"password{number}ofAtLeastSomeLength0123456789")
            pending = await begin(keeper, reference, lambda value=value: value)  # type: ignore[misc]
            await complete(keeper, reference, holder_of(databases), pending)
            await databases.server.run(
                f"select pg_terminate_backend(pid) from pg_stat_activity where usename = '{LOGIN}'"
            )
            for _ in range(10):  # connections that were cut show it once
                try:
                    await uses_new_connections(database, 4)
                except Exception:  # noqa: BLE001, S112 - of whatever kind
                    continue
                break
            await uses_new_connections(database, 4)


async def test_a_password_that_holds_nowhere_is_refused(
    databases: Databases, tmp_path: Path
) -> None:
    path = tmp_path / "wrong"
    path.write_text("not the password", "utf-8")
    reference = parse_reference(f"file:{path}")
    pending = await begin(FileSecrets(), reference, a_value)
    with pytest.raises(LoginRefused):
        await complete(FileSecrets(), reference, holder_of(databases), pending)
    assert path.read_text("utf-8") == "not the password"
    address = replace(
        databases.address(Domain.CORE, LOGIN),
        passwords=LoginPassword(
            SecretBook({SecretScheme.FILE: FileSecrets()}, lambda: 0.0, 60), reference
        ),
    )
    with pytest.raises(LoginRefused):
        await connect(address)


async def test_a_new_password_that_is_not_taken_does_not_become_current(tmp_path: Path) -> None:
    class Deaf:
        async def takes(self, value: Secret[str]) -> bool:
            del value
            return False

        async def change(self, now: Secret[str], then: Secret[str]) -> None:
            del now, then

    path = tmp_path / "secret"
    path.write_text("one", "utf-8")
    reference = parse_reference(f"file:{path}")
    pending = await begin(FileSecrets(), reference, a_value)
    with pytest.raises(SecretNotTaken):
        await complete(FileSecrets(), reference, Deaf(), pending)
    assert (await FileSecrets().read(reference)).expose() == "one"


async def test_a_secret_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(SecretUnreadable):
        await begin(FileSecrets(), parse_reference(f"file:{tmp_path / 'none'}"), a_value)
    assert os.listdir(tmp_path) == []


# --- the whole of it, recorded -----------------------------------------------------------------------------


@asynccontextmanager
async def rotation_of(
    databases: Databases, settings: Settings
) -> AsyncIterator[tuple[SecretRotation, compose.Composer]]:
    installation = Installation(settings, SystemClock())
    installation.make_secrets()
    for login in Login:
        secret = databases.server.secrets[login].expose()
        (settings.login_folder / login).write_text(secret, "utf-8")
    installation.make_keys()

    def address(domain: Domain, login: Login) -> Address:
        reference = compose.login_reference(settings, login)
        book = compose.open_secrets(settings)
        return replace(
            databases.address(domain, login), passwords=compose.LoginPassword(book, reference)
        )

    log = Log(MemorySink(), clock=installation.clock)
    site = compose.Site(
        settings, address, installation.passphrase(), log, Metrics(), installation.clock
    )
    composer = compose.Composer(site)
    try:
        database, recorder = await composer.operator_recorder()
        yield SecretRotation(site, database, recorder), composer
    finally:
        await composer.close()


async def records(databases: Databases) -> list[tuple[str, str]]:
    connection = await connect(databases.administrator(Domain.CORE))
    try:
        rows = await connection.fetch(
            "select payload from audit.event where convert_from(payload, 'UTF8') like '%keys.secret.rotated%' "
            "order by event_id"
        )
    finally:
        await connection.close()
    return [
        (login, outcome)
        for (payload,) in rows
        for login in Login
        for outcome in ("success", "failed")
        if f'login:{login}"' in payload.decode() and f'"{outcome}"' in payload.decode()
    ]


async def test_every_login_is_rotated_and_recorded(databases: Databases, tmp_path: Path) -> None:
    settings = Settings(state=tmp_path / "state")
    async with rotation_of(databases, settings) as (rotation, _):
        before = {login: (settings.login_folder / login).read_text("utf-8") for login in Login}
        for login in Login:
            await rotation.rotate(login, "operator:uid:0")
    for login in Login:
        after = (settings.login_folder / login).read_text("utf-8")
        assert after != before[login]
        for domain in Domain:
            if login in LOGINS[domain]:
                address = replace(databases.address(domain, login), password=Secret(after))
                await (await connect(address)).close()
    assert await records(databases) == [(login, "success") for login in Login]


async def test_a_rotation_that_cannot_be_recorded_changes_nothing(
    databases: Databases, tmp_path: Path
) -> None:
    settings = Settings(state=tmp_path / "state")
    async with rotation_of(databases, settings) as (rotation, _):
        await databases.run(Domain.CORE, "revoke insert on audit.event from strongroom_console")
        with pytest.raises(Exception, match=r".*"):
            await rotation.rotate(LOGIN, "operator:uid:0")
    await (await connect(databases.address(Domain.CORE, LOGIN))).close()
    assert await records(databases) == []


async def test_what_is_only_read_here_is_rotated_where_it_is_kept(
    databases: Databases, tmp_path: Path
) -> None:
    settings = Settings(state=tmp_path / "state")
    async with rotation_of(databases, settings) as (_, composer):
        elsewhere = replace(settings, login_passwords="vault:secret/{login}#password")
        reading = SecretRotation(
            replace(composer.site, settings=elsewhere), *await composer.operator_recorder()
        )
        with pytest.raises(SecretNotTaken, match="only read here"):
            await reading.rotate(LOGIN, "operator:uid:0")
    assert await records(databases) == []


def test_the_verifier_is_that_of_the_standard() -> None:
    """RFC 7677 §3, whose exchange a server can only have answered from these two keys."""
    made = scram_verifier(
        Secret("pencil"), salt=base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), iterations=4096
    )
    assert made == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
