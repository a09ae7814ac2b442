# SPDX-License-Identifier: Apache-2.0
"""The ports between payments and vault: in one process, and over the internal port with mutual TLS."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.vault_ports import Ports, VaultPortsContract
from database import Databases
from peer import Peer, answer, cut, peer, reset, says, silent
from service import free_ports
from store.forward_ground import FIND, ForwardGround, authorize, forward_ground
from strongroom.compose.site import unlimited
from strongroom.config.internal import InternalFiles
from strongroom.crypto import (
    Certified,
    issue_client_certificate,
    issue_server_certificate,
    make_authority,
)
from strongroom.db import errors as db_errors
from strongroom.egress.internal import CertificateMissing, InternalClient, InternalUrlRefused
from strongroom.http.app import build_app, build_listener
from strongroom.http.server import Endpoint, Servers, Tls
from strongroom.http.watch import TelemetryWatcher
from strongroom.kernel.clock import SystemClock
from strongroom.kernel.errors import Invalid, StrongroomError, told
from strongroom.kernel.ids import TokenId
from strongroom.keys import errors as key_errors
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import Metrics
from strongroom.telemetry.sink import MemorySink
from strongroom.vault import errors as vault_errors
from strongroom.vault.internal import api, wire
from strongroom.vault.internal.remote import RemoteVault, VaultPortAway, VaultPortSilent
from strongroom.vault.outbox.service import VaultOutbox

NOW = datetime.now(UTC)


class NoDenials:
    """Whoever is refused here is refused by TLS."""

    def refused(self, *_: object, **__: object) -> None:
        raise AssertionError


def put(folder: Path, name: str, made: Certified) -> None:
    (folder / f"{name}.pem").write_bytes(made.certificate)
    (folder / f"{name}.key").write_bytes(made.private_key.expose())


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one authority's server and gateway, and a gateway of another authority."""
    folder = tmp_path_factory.mktemp("certificates")
    authority, other = make_authority(NOW, "one"), make_authority(NOW, "another")
    (folder / "authorities.pem").write_bytes(authority.certificate)
    put(folder, "server", issue_server_certificate(authority, ["127.0.0.1"], NOW))
    put(folder, "gateway", issue_client_certificate(authority, "gateway", NOW))
    put(folder, "stranger", issue_client_certificate(other, "gateway", NOW))
    past = NOW - timedelta(days=40)
    put(folder, "ended", issue_client_certificate(authority, "gateway", past))
    return folder


def files(folder: Path, name: str) -> InternalFiles:
    return InternalFiles(folder / "authorities.pem", folder / f"{name}.pem", folder / f"{name}.key")


@asynccontextmanager
async def served(port: api.InternalPort, folder: Path) -> AsyncIterator[str]:
    """Serve the port's routes as a vault does, over mutual TLS."""
    log = Log(MemorySink(), clock=SystemClock())
    edge = build_listener(
        build_app(api.ROUTES, {"port": port}),
        listener="vault_internal",
        authenticator=None,
        rates=unlimited(),
        watcher=TelemetryWatcher(log, Metrics(), NoDenials()),  # type: ignore[arg-type]
        carries_cards=False,
        body_bytes_max={},
    )
    (number,) = free_ports(1)
    tls = Tls(folder / "server.pem", folder / "server.key", folder / "authorities.pem")
    servers = Servers([Endpoint("vault_internal", edge, "127.0.0.1", number, tls)])
    await servers.start()
    try:
        yield f"https://127.0.0.1:{number}"
    finally:
        await servers.stop()


@asynccontextmanager
async def remote(url: str, folder: Path, name: str = "gateway") -> AsyncIterator[RemoteVault]:
    client = InternalClient(url, files(folder, name))
    try:
        yield RemoteVault(client, SystemClock())
    finally:
        await client.close()


def port_of(ground: ForwardGround) -> api.InternalPort:
    process = ground.process
    outbox = VaultOutbox(process.database)
    return api.InternalPort(process.forwarder, process.connections, outbox, ground.clock)


class TestInOneProcess(VaultPortsContract):
    @asynccontextmanager
    async def opened(self, ground: ForwardGround) -> AsyncIterator[Ports]:
        process = ground.process
        yield Ports(ground, process.forwarder, process.connections, VaultOutbox(process.database))


class TestOverTheInternalPort(VaultPortsContract):
    @pytest.fixture(autouse=True)
    def _keep(self, certificates: Path) -> None:
        self.certificates = certificates

    @asynccontextmanager
    async def opened(self, ground: ForwardGround) -> AsyncIterator[Ports]:
        port = port_of(ground)
        async with (
            served(port, self.certificates) as url,
            remote(url, self.certificates) as vault,
        ):
            yield Ports(ground, vault, vault, vault)


# --- only over the wire -------------------------------------------------------------------------------


@pytest.fixture
async def ground(databases: Databases) -> AsyncIterator[ForwardGround]:
    async with forward_ground(databases) as made:
        yield made


@pytest.fixture
async def behind(certificates: Path) -> AsyncIterator[Peer]:
    """A vault that does as it is told, behind the right certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    context.load_verify_locations(certificates / "authorities.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    async with peer(says(answer()), context) as listening:
        yield listening


async def test_whoever_is_not_let_in_has_asked_nothing(
    ground: ForwardGround, certificates: Path
) -> None:
    token, cvc = await ground.token(cvc="737")
    call = ground.call(authorize(cvc=True), token=token, cvc=cvc)
    port = port_of(ground)
    async with served(port, certificates) as url:
        for name in ("stranger", "ended", "server"):
            async with remote(url, certificates, name) as vault:
                with pytest.raises(VaultPortAway):
                    await vault.forward(call)
                with pytest.raises(VaultPortAway):
                    await vault.alive()
        async with remote(url, certificates) as vault:
            await vault.alive()
            assert (await vault.forward(call)).cvc_state == "used", "it was not touched"
    assert len(ground.peer.requests) == 1


async def test_a_vault_that_is_away_was_not_asked(
    ground: ForwardGround, certificates: Path
) -> None:
    (port,) = free_ports(1)
    async with remote(f"https://127.0.0.1:{port}", certificates) as vault:
        with pytest.raises(VaultPortAway):
            await vault.forward(ground.call(FIND))


async def test_a_server_that_is_not_ours_is_told_nothing(
    ground: ForwardGround, tmp_path: Path, certificates: Path
) -> None:
    put(tmp_path, "other", issue_server_certificate(make_authority(NOW, "x"), ["127.0.0.1"], NOW))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "other.pem", tmp_path / "other.key")
    async with (
        peer(says(answer()), context) as other,
        remote(other.url, certificates) as vault,
    ):
        with pytest.raises(VaultPortAway):
            await vault.forward(ground.call(FIND))
        assert other.requests == []


@pytest.mark.parametrize(
    "behaviour",
    [
        cut(),
        reset(),
        cut(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{"),
        says(answer(b"not json")),
        says(answer(b'{"type": "done"}')),
        says(answer(b'{"type": "forwarded"}')),
        says(answer(b'{"code": "error", "status": 500}', 500)),
        says(answer(b"x" * 5_000_000)),
    ],
    ids=["cut", "reset", "half", "garbage", "another", "shape", "broke", "large"],
)
async def test_what_may_have_been_sent_is_unknown_and_is_sent_once(
    ground: ForwardGround, certificates: Path, behind: Peer, behaviour: object
) -> None:
    behind.behaviour = behaviour  # type: ignore[assignment]
    call = ground.call(authorize(cvc=True), token=None, cvc="cvc_sealed", timeout_seconds=1.0)
    async with remote(behind.url, certificates) as vault:
        reply = await vault.forward(call)
        assert (reply.outcome, reply.status, reply.body) == ("unknown", 0, b"")
        assert reply.cvc_state == "used"
        assert reply.reason in ("connection_lost", "answer_unreadable", "answer_too_large")
        assert len(behind.requests) == 1
        with pytest.raises(VaultPortSilent):
            await vault.describe(ground.merchant, call.mode, TokenId("tok_x"))


async def test_a_vault_that_says_nothing_is_waited_for_so_long(
    ground: ForwardGround, certificates: Path, behind: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strongroom.vault.internal.remote.SLACK_SECONDS", 0.2)
    behind.behaviour = silent()
    async with remote(behind.url, certificates) as vault:
        reply = await vault.forward(ground.call(FIND, timeout_seconds=1))
    assert (reply.outcome, reply.reason, reply.cvc_state) == ("unknown", "timeout", "absent")
    assert len(behind.requests) == 1


async def test_an_idle_connection_that_died_is_not_written_to_twice(
    ground: ForwardGround, certificates: Path, behind: Peer
) -> None:
    behind.behaviour = says(answer(wire.encode(wire.DoneOut())))
    async with remote(behind.url, certificates) as vault:
        await vault.alive()
        behind.hang_up()
        with pytest.raises(VaultPortSilent):
            await vault.alive()
        await vault.alive()
    assert len(behind.requests) == 2


async def test_a_call_that_was_held_up_is_not_sent_late(
    ground: ForwardGround, certificates: Path
) -> None:
    port = port_of(ground)
    call = ground.call(FIND, timeout_seconds=20.0)
    now = ground.clock.now()
    await port.forward(wire.ForwardIn.of(call, now + timedelta(seconds=18)))
    for late in (16.5, 0.0, -3.0):
        with pytest.raises(wire.TooLate):
            await port.forward(wire.ForwardIn.of(call, now + timedelta(seconds=late)))
    assert len(ground.peer.requests) == 1


def every_error(module: object) -> list[type[StrongroomError]]:
    return [
        each
        for each in vars(module).values()
        if isinstance(each, type)
        and issubclass(each, StrongroomError)
        and each.__module__ == module.__name__  # type: ignore[attr-defined]
    ]


ERRORS: list[type[StrongroomError]] = [
    *every_error(vault_errors),
    *every_error(key_errors),
    *every_error(db_errors),
    Invalid,
]
_MADE: dict[type[StrongroomError], Callable[[], StrongroomError]] = {
    db_errors.ConstraintBroken: lambda: db_errors.ConstraintBroken("token_pkey"),
    db_errors.QueryFailed: lambda: db_errors.QueryFailed("42P01"),
}
#: Refused at start, before a port is open, or to whoever changes keys.
AT_START = {
    "key_in_use",
    "key_is_current",
    "key_not_rotated",
    "key_rotated_meanwhile",
    "key_still_serves",
    "key_version_unknown",
    "schema_refused",
    "secret_not_taken",
    "secret_unreadable",
    "secrets_missing",
}


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_of_the_vault_comes_back_as_itself(kind: type[StrongroomError]) -> None:
    if kind.code in AT_START:
        return
    error = _MADE.get(kind, kind)()
    said = wire.decode_out(wire.encode(wire.RefusedOut.of(error)))
    assert isinstance(said, wire.RefusedOut)
    again = said.error()
    expected = told(error)
    assert (again.code, again.status, again.detail) == (
        expected.code,
        expected.status,
        expected.detail,
    )
    assert isinstance(again, kind) or issubclass(kind, type(again))


def test_why_a_card_does_not_open_stays_in_the_vault() -> None:
    """The port carries no word of the diagnosis, and a code of it that comes from elsewhere is none of ours."""
    kept = [kind for kind in ERRORS if kind.told_as is not None]
    assert vault_errors.CardOfAnotherToken in kept
    for kind in kept:
        said = wire.encode(wire.RefusedOut.of(kind()))
        assert kind.code.encode() not in said
        assert kind().detail.encode() not in said
        assert kind.code not in wire.KNOWN


def test_nothing_that_goes_over_the_wire_prints_a_secret() -> None:
    asked = wire.ConnectionAsked(
        merchant="mer_1",
        mode="test",  # type: ignore[arg-type]
        connection="con_1",
        actor="key_1",
        origin=wire.OriginIn(),
        credentials={"api_key": "the-secret"},
    )
    assert "the-secret" not in repr(asked)
    assert "the-secret" not in f"{asked.secrets()}"


def test_only_an_address_of_a_role_is_taken(certificates: Path, tmp_path: Path) -> None:
    for url in ("http://127.0.0.1:1", "https://127.0.0.1:1/path", "127.0.0.1:1", ""):
        with pytest.raises(InternalUrlRefused):
            InternalClient(url, files(certificates, "gateway"))
    with pytest.raises(CertificateMissing):
        InternalClient("https://127.0.0.1:1", files(tmp_path, "gateway"))
