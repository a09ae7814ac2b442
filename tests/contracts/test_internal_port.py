# SPDX-License-Identifier: Apache-2.0
"""The internal port's certificates: who is let in, how another authority follows, and that nobody is locked out."""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from polling import until
from service import free_ports
from strongroom.cli import authorities, certificates
from strongroom.cli.authorities import (
    NAMES,
    SETTLED,
    Authorities,
    AuthorityAbsent,
    CertificateUnknown,
    RotationOutOfOrder,
)
from strongroom.cli.certificates import INTERNAL, CertificateWatch
from strongroom.config import Listener, Settings
from strongroom.config.internal import internal_files, port_folder
from strongroom.config.roles import ServedRole
from strongroom.crypto import make_authority
from strongroom.egress import internal
from strongroom.egress.internal import InternalClient
from strongroom.http import mutual
from strongroom.http.mutual import StrangersLetIn, require_mutual
from strongroom.http.server import AuthorityMissing, Endpoint, Servers, Tls
from strongroom.kernel.clock import SystemClock
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import Metrics
from strongroom.telemetry.sink import MemorySink

NOW = datetime.now(UTC)
MONTH = timedelta(days=30)
HOSTS = ["127.0.0.1"]
#: As in production, a server that leaves stays for longer than its callers keep idle connections.
KEEP_ALIVE_SECONDS = 0.3
DRAIN_SECONDS = 1.5


class Echo:
    """Answers with what it was sent, after a moment."""

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        body = bytes(await protocol())
        await asyncio.sleep(DRAIN_SECONDS * 2 if body == b"slow" else 0.01)
        protocol.response_bytes(200, [("content-length", str(len(body)))], body)


@dataclass(slots=True)
class Port:
    """A served port, and the folder that its certificates are in."""

    settings: Settings
    servers: Servers
    watch: CertificateWatch
    metrics: Metrics
    log: MemorySink

    def authorities(self, later: timedelta = timedelta()) -> Authorities:
        return Authorities(port_folder(self.settings), NOW + later)

    def client(self, role: ServedRole = ServedRole.GATEWAY) -> InternalClient:
        files = internal_files(self.settings, role)
        url = self.settings.vault_internal_url
        return InternalClient(url, files, keep_alive_seconds=KEEP_ALIVE_SECONDS)

    async def renewed(self) -> None:
        """Let the watch look, and wait until what served before is gone."""
        await self.watch.look()

        async def alone() -> bool | None:
            return not self.servers.leaving or None

        await until(alone, what="the server before to leave")

    async def outcome(self, role: ServedRole = ServedRole.GATEWAY) -> str:
        client = self.client(role)
        try:
            return (await client.post("/echo", b"x", timeout_seconds=3)).outcome
        finally:
            await client.close()


def tls_of(settings: Settings) -> Tls:
    files = internal_files(settings, ServedRole.VAULT)
    return Tls(files.certificate, files.key, files.authorities, files.revoked)


def made(folder: Path) -> Settings:
    (number,) = free_ports(1)
    settings = Settings(
        state=folder,
        vault_internal_listen=Listener("127.0.0.1", number),
        vault_internal_url=f"https://127.0.0.1:{number}",
    )
    authorities = Authorities(port_folder(settings), NOW)
    assert authorities.make().carry_out()
    assert list(authorities.due()) == list(NAMES)
    for name in NAMES:
        authorities.issue(name, HOSTS, MONTH).carry_out()
    return settings


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Port]:
    place = settings.vault_internal_listen
    servers = Servers([Endpoint(INTERNAL, Echo(), place.host, place.port, tls_of(settings))])  # type: ignore[arg-type]
    await servers.start()
    sink, metrics = MemorySink(), Metrics()
    log = Log(sink, clock=SystemClock())
    watch = CertificateWatch(
        settings, frozenset({ServedRole.VAULT}), servers, metrics, log, drain_seconds=DRAIN_SECONDS
    )
    try:
        yield Port(settings, servers, watch, metrics, sink)
    finally:
        await servers.stop()


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[Port]:
    async with serving(made(tmp_path)) as lent:
        yield lent


# --- who is let in ------------------------------------------------------------------------------------


async def test_a_port_that_looks_at_certificates_lets_no_stranger_in(port: Port) -> None:
    place = port.settings.vault_internal_listen
    await require_mutual(place.host, place.port, NOW)
    for role in (ServedRole.GATEWAY, ServedRole.WORKER):
        assert await port.outcome(role) == "answered"


async def knocked(tmp_path: Path, change: Callable[[Settings], Tls]) -> None:
    settings = made(tmp_path)
    place = settings.vault_internal_listen
    servers = Servers([Endpoint(INTERNAL, Echo(), place.host, place.port, change(settings))])  # type: ignore[arg-type]
    await servers.start()
    try:
        await require_mutual(place.host, place.port, NOW)
    finally:
        await servers.stop()


async def test_sabotage_a_port_that_does_not_look_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(StrangersLetIn, match="without a certificate"):
        await knocked(
            tmp_path, lambda settings: Tls(tls_of(settings).certificate, tls_of(settings).key)
        )


async def test_sabotage_a_port_that_takes_any_authority_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stranger's certificate is of an authority that the port was given by mistake."""
    foreign = make_authority(NOW, "somebody's authority")
    monkeypatch.setattr(mutual, "make_authority", lambda *_: foreign)

    def widened(settings: Settings) -> Tls:
        bundle = tls_of(settings).clients
        assert bundle is not None
        bundle.write_bytes(bundle.read_bytes() + foreign.certificate)
        return Tls(tls_of(settings).certificate, tls_of(settings).key, bundle)

    with pytest.raises(StrangersLetIn, match="another authority"):
        await knocked(tmp_path, widened)


async def test_a_port_without_its_authority_is_not_opened(tmp_path: Path) -> None:
    settings = made(tmp_path)
    (port_folder(settings) / "authorities.pem").unlink()
    place = settings.vault_internal_listen
    with pytest.raises(AuthorityMissing):
        Servers([Endpoint(INTERNAL, Echo(), place.host, place.port, tls_of(settings))])  # type: ignore[arg-type]


# --- other certificates -------------------------------------------------------------------------------


class Load:
    """Callers that never pause, and what came of each call."""

    def __init__(self, client: InternalClient) -> None:
        self.came_of: Counter[str] = Counter()
        self._client = client
        self._over = False
        self._tasks = [asyncio.create_task(self._call()) for _ in range(8)]

    async def _call(self) -> None:
        while not self._over:
            reply = await self._client.post("/echo", b"x" * 100, timeout_seconds=5)
            self.came_of[reply.outcome] += 1

    async def more(self, calls: int = 60) -> None:
        """Wait for so many answers more."""
        wanted = self.came_of["answered"] + calls

        async def enough() -> bool | None:
            return self.came_of["answered"] >= wanted or None

        await until(enough, what="answers")

    async def end(self) -> None:
        self._over = True
        await asyncio.gather(*self._tasks)
        await self._client.close()


async def test_another_authority_follows_and_no_call_is_lost(port: Port) -> None:
    load = Load(port.client())
    await load.more()
    port.authorities().trust_next().carry_out()
    await port.renewed()
    await load.more()
    later = SETTLED + timedelta(seconds=1)
    port.authorities(later).issue_by_next(HOSTS, MONTH).carry_out()
    await load.more()  # new certificates of the callers, the former one of the server
    await port.renewed()
    await load.more()
    assert list(port.authorities(later * 2).forget_former().carry_out()) == [1]
    await port.renewed()
    await load.more()
    await load.end()
    assert set(load.came_of) == {"answered"}
    assert port.log.text().count("certificates.renewed") == 3
    assert list(port.authorities().trusted()) == [2]


async def test_a_call_that_takes_longer_than_its_server_stays_is_answered(port: Port) -> None:
    client = port.client()
    call = asyncio.create_task(client.post("/echo", b"slow", timeout_seconds=20))

    async def under_way() -> bool | None:
        await client.post("/echo", b"x", timeout_seconds=5)
        return True

    await until(under_way, what="the slow one to be on its way")
    port.authorities().issue("server", HOSTS, MONTH).carry_out()
    await port.watch.look()
    assert port.servers.leaving == 1
    assert (await call).outcome == "answered"
    await client.close()


async def test_the_server_before_stays_longer_than_callers_keep_connections() -> None:
    assert certificates.DRAIN_SECONDS > internal.KEEP_ALIVE_SECONDS + 2
    assert authorities.SETTLED.total_seconds() >= (
        certificates.DRAIN_SECONDS + certificates.WATCH_SECONDS + 2
    )


async def test_who_calls_a_server_that_leaves_is_told_to_connect_anew(port: Port) -> None:
    files = internal_files(port.settings, ServedRole.GATEWAY)
    context = ssl.create_default_context(cafile=str(files.authorities))
    context.load_cert_chain(files.certificate, files.key)
    place = port.settings.vault_internal_listen
    reader, writer = await asyncio.open_connection(place.host, place.port, ssl=context)
    request = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx"
    heads = []
    for _ in range(2):
        writer.write(request)
        heads.append((await reader.readuntil(b"\r\n\r\n")).lower())
        assert await reader.readexactly(1) == b"x"
        port.authorities().issue("server", HOSTS, MONTH).carry_out()
        await port.watch.look()
    assert [b"connection: close" in head for head in heads] == [False, True]
    assert await reader.read() == b"", "it is closed"
    writer.close()


async def test_what_the_former_authority_signed_is_good_until_it_is_forgotten(port: Port) -> None:
    kept = port_folder(port.settings) / "kept"
    port.authorities().issue("gateway", HOSTS, MONTH, kept).carry_out()
    port.authorities().trust_next().carry_out()
    await port.renewed()
    later = SETTLED + timedelta(seconds=1)
    port.authorities(later).issue_by_next(HOSTS, MONTH).carry_out()
    await port.renewed()
    folder = port_folder(port.settings)
    for name in ("gateway.pem", "gateway.key"):
        (folder / name).write_bytes((kept / name).read_bytes())
    assert await port.outcome() == "answered"
    with pytest.raises(RotationOutOfOrder, match="in use: gateway"):
        port.authorities(later * 2).forget_former().carry_out()
    port.authorities(later * 2).issue("gateway", HOSTS, MONTH).carry_out()
    port.authorities(later * 2).forget_former().carry_out()
    await port.renewed()
    for name in ("gateway.pem", "gateway.key"):
        (folder / name).write_bytes((kept / name).read_bytes())

    async def locked_out() -> bool | None:
        return await port.outcome() == "not_sent" or None

    await until(locked_out, what="the former authority's certificate to be refused")


async def test_the_steps_of_a_rotation_are_in_order(port: Port) -> None:
    with pytest.raises(RotationOutOfOrder, match="first step is trust"):
        port.authorities().issue_by_next(HOSTS, MONTH).carry_out()
    with pytest.raises(RotationOutOfOrder):
        port.authorities().forget_former().carry_out()
    port.authorities().trust_next().carry_out()
    with pytest.raises(RotationOutOfOrder, match="next step is issue"):
        port.authorities().trust_next().carry_out()
    with pytest.raises(RotationOutOfOrder, match="wait 13 s"):
        port.authorities().issue_by_next(HOSTS, MONTH).carry_out()
    with pytest.raises(RotationOutOfOrder):
        port.authorities().forget_former().carry_out()


async def test_a_certificate_that_is_revoked_is_refused_and_the_others_are_not(port: Port) -> None:
    elsewhere = port_folder(port.settings) / "elsewhere"
    stolen = port.authorities().issue("gateway", HOSTS, MONTH, elsewhere).carry_out()
    folder = port_folder(port.settings)
    mine = {name: (folder / name).read_bytes() for name in ("gateway.pem", "gateway.key")}
    for name in mine:
        (folder / name).write_bytes((elsewhere / name).read_bytes())
    assert await port.outcome() == "answered"
    assert [each.serial for each in port.authorities().revoke(stolen.serial).carry_out()] == [
        stolen.serial
    ]
    await port.renewed()

    async def refused() -> bool | None:
        return await port.outcome() == "not_sent" or None

    await until(refused, what="the revoked certificate to be refused")
    for name, content in mine.items():
        (folder / name).write_bytes(content)
    for role in (ServedRole.GATEWAY, ServedRole.WORKER):
        assert await port.outcome(role) == "answered"
    with pytest.raises(CertificateUnknown):
        port.authorities().revoke(stolen.serial).carry_out()


async def test_who_is_revoked_is_out_within_two_seconds_and_who_is_renewed_has_time(
    port: Port,
) -> None:
    """How long the server before goes on, with the second until the files are looked at."""
    revoked = tls_of(port.settings).revoked
    port.authorities().issue("gateway", HOSTS, MONTH).carry_out()
    assert port.watch._drain_for(port.watch._look_at(), revoked) == DRAIN_SECONDS
    port.authorities().revoke(port.authorities().issued()[0].serial).carry_out()
    drain = port.watch._drain_for(port.watch._look_at(), revoked)
    assert certificates.WATCH_SECONDS + drain < 2


async def test_a_name_revokes_all_but_what_is_in_use(port: Port) -> None:
    first = [each.serial for each in port.authorities().issued() if each.name == "worker"]
    port.authorities().issue("worker", HOSTS, MONTH).carry_out()
    assert [each.serial for each in port.authorities().revoke("worker").carry_out()] == first
    await port.renewed()
    assert await port.outcome(ServedRole.WORKER) == "answered"


async def test_half_a_certificate_changes_nothing(port: Port) -> None:
    folder = port_folder(port.settings)
    whole = (folder / "server.pem").read_bytes()
    (folder / "server.pem").write_bytes(whole[:100])
    await port.watch.look()
    assert await port.outcome() == "answered"
    assert "certificates.not_renewed" in port.log.text()
    (folder / "authorities.pem").rename(folder / "away.pem")
    await port.watch.look()
    (folder / "away.pem").rename(folder / "authorities.pem")
    (folder / "server.pem").write_bytes(whole)
    await port.watch.look()
    assert await port.outcome() == "answered"


async def test_metrics_say_when_certificates_end(port: Port) -> None:
    await port.watch.look()
    text = port.metrics.exposition().decode()
    (line,) = [
        each
        for each in text.splitlines()
        if each.startswith('strongroom_internal_certificate_ends_seconds{certificate="server"}')
    ]
    assert abs(float(line.split()[-1]) - (NOW + MONTH).timestamp()) < 5
    assert 'certificate="authorities"' in text


def test_without_an_authority_there_is_nothing_to_issue(tmp_path: Path) -> None:
    empty = Authorities(tmp_path, NOW)
    for act in (empty.issued, empty.trust_next, lambda: empty.issue("gateway", HOSTS, MONTH)):
        with pytest.raises(AuthorityAbsent):
            act()


async def test_keys_are_their_owners_alone_and_what_is_due_is_known(port: Port) -> None:
    folder = port_folder(port.settings)
    assert {each.stat().st_mode & 0o777 for each in folder.glob("*.key")} == {0o600}
    assert list(port.authorities().due()) == []
    assert list(port.authorities(timedelta(days=25)).due()) == list(NAMES)
