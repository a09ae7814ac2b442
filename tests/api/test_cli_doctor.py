# SPDX-License-Identifier: Apache-2.0
"""`strongroom doctor` on a real installation: well when it is well, and for each thing that is broken, that thing."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from command_line import CommandLine, Installed, installed
from service import free_ports
from strongroom.crypto import issue_server_certificate, make_authority
from strongroom.db.logins import Domain
from strongroom.http.server import Endpoint, Servers

Found = set[tuple[str, str]]


@pytest.fixture(scope="module")
def site() -> Iterator[Installed]:
    with installed(free_ports(4)) as made:
        yield made


class Report:
    """What doctor printed for scripts."""

    def __init__(self, run: CommandLine, **variables: str) -> None:
        ended = run("doctor", "--json", **variables)
        self.code = ended.code
        self.findings = ended.json["findings"]
        self.refused = ended.json["production_refuses"]
        assert ended.json["ok"] == (ended.code == 0)
        for finding in self.findings:
            assert (finding["level"] == "ok") == (finding["remedy"] is None), finding

    def wrong(self, level: str = "fail") -> Found:
        """(name, sentence) of what is at this level."""
        return {
            (finding["name"], finding["sentence"])
            for finding in self.findings
            if finding["level"] == level
        }

    def remedies(self) -> list[str]:
        return [finding["remedy"] for finding in self.findings if finding["remedy"]]


def says(found: Found, name: str, *words: str) -> bool:
    """Whether one finding of that name has all of these words."""
    return any(name == each and all(word in text for word in words) for each, text in found)


@contextmanager
def kept(*paths: Path) -> Iterator[None]:
    """Put files and modes back afterwards."""
    before = [
        (path, path.stat().st_mode & 0o7777, path.read_bytes() if path.is_file() else None)
        for path in paths
    ]
    try:
        yield
    finally:
        for path, mode, content in before:
            if content is not None:
                path.write_bytes(content)
            path.chmod(mode)


def test_what_is_not_initialised_is_said_and_nothing_is_made(tmp_path: Path) -> None:
    state = tmp_path / "state"
    report = Report(CommandLine(tmp_path, {"STRONGROOM_STATE": str(state)}))
    assert report.code == 1
    assert says(report.wrong(), "files.state", "nothing is initialised")
    assert "strongroom init" in report.remedies()
    assert not state.exists()


def test_settings_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    run = CommandLine(tmp_path, {"STRONGROOM_VAULT_LISTEN": "here", "STRONGROOM_COLOUR": "red"})
    ended = run("doctor")
    assert ended.code == 1
    assert "STRONGROOM_COLOUR is not a setting" in ended.plain
    assert "STRONGROOM_VAULT_LISTEN: expected HOST:PORT" in ended.plain


def test_a_sound_installation_has_nothing_that_fails(site: Installed) -> None:
    report = Report(site.run)
    assert (report.code, report.wrong()) == (0, set())
    names = {finding["name"] for finding in report.findings}
    assert names == {
        *("audit.lag", "audit.log", "audit.sink", "database.binaries", "database.login"),
        *("database.partitions", "database.schema", "database.server", "files.secret"),
        *("files.state", "keys.period", "keys.store", "machine.clock", "machine.disk"),
        "machine.dumps",
        *("machine.open_files", "machine.platform", "machine.python", "machine.user"),
        *("port.gateway", "port.vault", "tls.certificate"),
    }
    assert any("the key store is a file" in fault for fault in report.refused)
    assert any("no TLS with a verified certificate" in fault for fault in report.refused)


def test_in_production_what_it_refuses_is_a_failure(site: Installed) -> None:
    ended = site.run("doctor", "--problems", STRONGROOM_ENVIRONMENT="production")
    assert ended.code == 1
    assert "production refuses to start: - the key store is a file" in ended.plain
    assert "ok machine.python" not in ended.plain


def test_files_that_others_may_read_are_named_with_the_command_that_closes_them(
    site: Installed,
) -> None:
    state = site.state
    files = [state / "logins" / "strongroom_vault", state / "keys" / "roots.sealed"]
    folders = [state, state / "tls"]
    with kept(*files, *folders):
        files[0].chmod(0o644)
        files[1].chmod(0o640)
        folders[0].chmod(0o755)
        folders[1].chmod(0o750)
        report = Report(site.run)
    wrong = report.wrong()
    assert says(wrong, "files.secret", "strongroom_vault", "open to other accounts", "0644")
    assert says(wrong, "files.secret", "the key file", "0640")
    assert says(wrong, "keys.store", "chmod 600")
    assert says(wrong, "files.state", f"other accounts may enter {state / 'tls'}")
    assert says(report.wrong("warn"), "files.state", f"other accounts may list {state} (0755)")
    for command in (f"chmod 0600 {files[0]}", f"chmod 0600 {files[1]}", f"chmod 0700 {folders[1]}"):
        assert command in report.remedies()


def test_secrets_that_are_gone_or_wrong_are_named_with_what_brings_them_back(
    site: Installed,
) -> None:
    state = site.state
    passphrase, login = state / "keys" / "passphrase", state / "logins" / "strongroom_gateway"
    key = state / "tls" / "server.key"
    with kept(passphrase, login, key):
        passphrase.unlink()
        login.write_text("")
        other = issue_server_certificate(
            make_authority(datetime.now(UTC)), ["localhost"], datetime.now(UTC)
        )
        key.write_bytes(other.private_key.expose())
        report = Report(site.run)
        passphrase.touch(mode=0o600)  # `kept` brings back the content
    wrong = report.wrong()
    assert says(wrong, "files.secret", "the passphrase of the key file", "No such file")
    assert says(wrong, "files.secret", "strongroom_gateway", "is empty")
    assert says(wrong, "keys.store", "not initialised")
    assert says(wrong, "database.login", "strongroom_gateway cannot enter the core database")
    assert says(wrong, "tls.certificate", "server.key is not the key of")
    remedies = report.remedies()
    assert any(remedy.startswith(f"restore {passphrase} from your backup") for remedy in remedies)


async def _nothing(*_arguments: object) -> None:
    return


async def _hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


@asynccontextmanager
async def _served(site: Installed, port: int) -> AsyncIterator[None]:
    """Serve nothing, with this installation's certificate."""
    servers = Servers([Endpoint("vault", _nothing, "127.0.0.1", port, site.here.tls())])
    await servers.start()
    try:
        yield
    finally:
        await servers.stop()


async def test_a_port_is_ours_or_somebody_elses(site: Installed) -> None:
    (ours,) = free_ports(1)
    other = await asyncio.start_server(_hang_up, "127.0.0.1", 0)
    theirs = other.sockets[0].getsockname()[1]
    async with other, _served(site, ours):
        report = await asyncio.to_thread(
            Report,
            site.run,
            STRONGROOM_VAULT_LISTEN=f"127.0.0.1:{ours}",
            STRONGROOM_GATEWAY_LISTEN=f"127.0.0.1:{theirs}",
        )
    assert not says(report.wrong(), "port.vault")
    served = {finding["name"]: finding["sentence"] for finding in report.findings}
    assert served["port.vault"] == f"127.0.0.1:{ours} is served by this installation"
    assert says(report.wrong(), "port.gateway", f"127.0.0.1:{theirs}", "not by this installation")
    assert "set STRONGROOM_GATEWAY_LISTEN" in report.remedies()


async def test_logins_with_too_much_or_too_little_and_partitions_that_lack(site: Installed) -> None:
    today = datetime.now(UTC).date()
    month = (today.replace(day=1) + timedelta(days=31)).replace(day=1)
    day = f"idempotency.request_{today:%Y%m%d}"
    try:
        await site.sql(
            Domain.VAULT,
            "alter role strongroom_vault superuser",
            "alter role strongroom_sealer set synchronous_commit = off",
            f"drop table {day}",
        )
        await site.sql(
            Domain.CORE,
            "alter role strongroom_gateway bypassrls",
            "alter role strongroom_console password 'another'",
            "create schema stray authorization strongroom_vault",
            "create table stray.mine ()",
            "alter table stray.mine owner to strongroom_vault",
            f"drop table audit.event_{month:%Y%m}",
        )
        report = Report(site.run)
    finally:
        await site.sql(
            Domain.CORE,
            "drop schema stray cascade",
            "alter role strongroom_sealer reset synchronous_commit",
        )
        site.run.done("init")
    wrong = report.wrong()
    assert says(wrong, "database.login", "strongroom_vault on the vault database is a superuser")
    assert says(wrong, "database.durability", "strongroom_sealer", "synchronous_commit is off")
    assert says(wrong, "database.login", "strongroom_gateway", "bypasses row-level security")
    assert says(wrong, "database.login", "strongroom_console cannot enter the core database")
    assert says(wrong, "database.login", "strongroom_vault on the core database owns tables")
    assert says(wrong, "database.partitions", "needed now", day.partition(".")[2])
    assert says(report.wrong("warn"), "database.partitions", "needed soon", f"event_{month:%Y%m}")
    assert {"strongroom migrate", "alter role strongroom_vault nosuperuser"} <= set(
        report.remedies()
    )
    assert any("is a superuser" in fault for fault in report.refused)
    # What `strongroom init` says it mends, it mends.
    after = Report(site.run)
    assert (after.code, after.wrong()) == (0, set())


async def test_schemas_of_other_releases_and_a_log_that_was_tampered_with(site: Installed) -> None:
    site.run.done("audit", "checkpoint", "--tree", "vault", "--seal")
    sink = site.state / "audit" / "vault"
    with kept(sink / "checkpoint"):
        (sink / "checkpoint").write_text("another log\n")
        await site.sql(
            Domain.VAULT,
            "alter table audit.tree disable trigger user",
            "update audit.tree set origin = 'mine/vault'",
        )
        await site.sql(
            Domain.CORE,
            "insert into strongroom.migration (number, name, digest, release)"
            " values (9999, '9999_both_expand_x.sql', 'x', '9')",
        )
        try:
            report = Report(site.run)
        finally:
            await site.sql(Domain.VAULT, "update audit.tree set origin = 'strongroom.local/vault'")
    wrong = report.wrong()
    assert says(wrong, "audit.log", "the vault log", "another origin")
    assert says(wrong, "audit.sink", "the vault log's file sink", "checkpoint in the sink's folder")
    assert says(wrong, "database.schema", "the core database", "9999")
    assert "pip install --upgrade strongroom" in report.remedies()

    await site.sql(Domain.VAULT, "update strongroom.migration set digest = 'y' where number = 1")
    await site.sql(Domain.CORE, "drop schema strongroom cascade")
    wrong = Report(site.run).wrong()
    assert says(wrong, "database.schema", "vault database", "is not the file that was applied here")
    assert says(wrong, "database.schema", "core database", "run `strongroom migrate`")


def test_databases_that_are_away_or_gone(site: Installed) -> None:
    (port,) = free_ports(1)
    dsn = site.run.folder / "dsn"
    dsn.write_text(f"postgresql://nobody@127.0.0.1:{port}/core?sslmode=disable")
    report = Report(
        site.run,
        STRONGROOM_VAULT_DATABASE=f"file:{dsn}",
        STRONGROOM_CORE_DATABASE=f"file:{dsn}",
    )
    wrong = report.wrong()
    assert says(wrong, "database.server", "the vault database does not answer")
    assert says(wrong, "database.server", "the core database does not answer")
    assert "check the server that STRONGROOM_CORE_DATABASE names" in report.remedies()

    site.here.detach()
    data = site.state / "postgres" / "pgdata"
    with kept(data / "PG_VERSION"):
        (data / "PG_VERSION").write_text("9\n")
        broken = Report(site.run)
    assert says(broken.wrong(), "database.server")
    assert says(broken.wrong(), "database.binaries", "PostgreSQL 9")
    shutil.rmtree(data)
    gone = Report(site.run)
    assert says(gone.wrong(), "database.server", "was never made")
    assert not data.exists(), "doctor makes nothing"
