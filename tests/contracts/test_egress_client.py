# SPDX-License-Identifier: Apache-2.0
"""What the client calls answered, not sent and unknown, against peers that say every wrong thing; never sent twice."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from peer import Behaviour, Peer, Sent, answer, cut, peer, reset, says, silent
from strongroom.crypto import issue_server_certificate, make_authority
from strongroom.egress import (
    Answered,
    EgressPolicy,
    NotSent,
    Outgoing,
    Reason,
    Reply,
    Unknown,
)
from strongroom.egress.client import Egress

SECRET: Final = "sk-do-not-print"
MARK: Final = b'{"done": true}'


def ask(url: str, **more: Any) -> Outgoing:
    given = {"method": "POST", "headers": {"authorization": SECRET}, "body": b'{"a": 1}'}
    return Outgoing(url=url, **{**given, "timeout_seconds": 2.0, **more})


@asynccontextmanager
async def client(
    *loopback: str, resolve: Any = None, ca_file: Path | None = None, **more: Any
) -> AsyncIterator[Egress]:
    egress = Egress(
        EgressPolicy(loopback=frozenset(loopback or {"127.0.0.1"}), ca_file=ca_file),
        resolve=resolve,
        **more,
    )
    try:
        yield egress
    finally:
        await egress.close()


async def outcome(behaviour: Behaviour, **more: Any) -> tuple[Reply, Peer]:
    async with peer(behaviour) as listening, client() as egress:
        return await egress.send(ask(f"{listening.url}/v1/things?x=1", **more)), listening


async def test_an_answer_comes_back_whole() -> None:
    reply, listening = await outcome(
        says(
            answer(
                MARK,
                201,
                "Content-Type: application/json\r\nX-Id: 7\r\nx-id: 8\r\nset-cookie: a=b\r\n",
            )
        )
    )
    assert isinstance(reply, Answered)
    assert (reply.status, reply.body) == (201, MARK)
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-id"] == "7, 8"
    assert 0 < reply.seconds < 2
    (sent,) = listening.requests
    assert (sent.method, sent.target, sent.body) == ("POST", "/v1/things?x=1", b'{"a": 1}')
    assert sent.headers == {
        "host": f"127.0.0.1:{listening.port}",
        "authorization": SECRET,
        "accept": "*/*",
        "accept-encoding": "identity",
        "content-length": "8",
        "user-agent": sent.headers["user-agent"],
    }


@pytest.mark.parametrize(
    "status", [200, 204, 301, 302, 307, 308, 400, 401, 404, 409, 429, 500, 503]
)
async def test_a_status_is_the_peers_word_and_is_not_followed(status: int) -> None:
    reply, listening = await outcome(says(answer(b"", status, "location: /elsewhere\r\n")))
    assert isinstance(reply, Answered)
    assert reply.status == status
    assert len(listening.requests) == 1


CHUNKED: Final = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
LONG: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"

#: What the peer does once it has the request, the word for it.
UNKNOWN: Final[Sequence[tuple[str, Callable[[], Behaviour], Reason]]] = [
    ("closes", cut, Reason.CONNECTION_LOST),
    ("resets", reset, Reason.CONNECTION_LOST),
    ("is silent", silent, Reason.TIMEOUT),
    ("cuts the status line", lambda: cut(b"HTTP/1.1 20"), Reason.CONNECTION_LOST),
    ("cuts the headers", lambda: cut(b"HTTP/1.1 200 OK\r\nx: y"), Reason.CONNECTION_LOST),
    ("cuts the body", lambda: cut(LONG + b"ten bytes."), Reason.CONNECTION_LOST),
    ("cuts a chunk", lambda: cut(CHUNKED + b"64\r\nten bytes."), Reason.CONNECTION_LOST),
    ("cuts before the last chunk", lambda: cut(CHUNKED + b"2\r\n{}\r\n"), Reason.CONNECTION_LOST),
    ("stops in the headers", lambda: silent(b"HTTP/1.1 200 OK\r\nx: y"), Reason.TIMEOUT),
    ("stops in the body", lambda: silent(LONG + b"ten bytes."), Reason.TIMEOUT),
    ("speaks no HTTP", lambda: silent(b"SSH-2.0-OpenSSH\r\n\r\n"), Reason.ANSWER_UNREADABLE),
    ("says too much", lambda: says(answer(b"x" * 1_001)), Reason.ANSWER_TOO_LARGE),
    (
        "says too much in chunks",
        lambda: says(CHUNKED + b"3e9\r\n" + b"x" * 1_001 + b"\r\n0\r\n\r\n"),
        Reason.ANSWER_TOO_LARGE,
    ),
    (
        "compresses unasked",
        lambda: says(answer(b"\x1f\x8b", 200, "content-encoding: gzip\r\n")),
        Reason.ANSWER_UNREADABLE,
    ),
    (
        "sends endless headers",
        lambda: silent(b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 100_000),
        Reason.ANSWER_UNREADABLE,
    ),
]


@pytest.mark.parametrize(
    ("behaviour", "reason"), [row[1:] for row in UNKNOWN], ids=[row[0] for row in UNKNOWN]
)
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_without_a_whole_answer_the_outcome_is_unknown(
    behaviour: Callable[[], Behaviour], reason: Reason, method: str
) -> None:
    # Who waits for nothing waits a second: on a busy machine a connection may take as long as half of that.
    seconds = 1 if reason is Reason.TIMEOUT else 10
    reply, listening = await outcome(
        behaviour(), method=method, timeout_seconds=seconds, answer_bytes_max=1_000
    )
    assert isinstance(reply, Unknown)
    assert reply.reason == reason
    assert len(listening.requests) == 1
    assert SECRET not in repr(reply)


@pytest.mark.parametrize("method", ["POST", "GET", "PUT", "DELETE", "HEAD"])
@pytest.mark.parametrize("breaks", [cut, reset], ids=["closes", "resets"])
async def test_a_kept_connection_that_dies_is_unknown_and_nothing_is_sent_again(
    method: str, breaks: Callable[[], Behaviour]
) -> None:
    async with peer(says(answer(b""))) as listening, client() as egress:
        assert isinstance(await egress.send(ask(listening.url, method=method)), Answered)
        assert isinstance(await egress.send(ask(listening.url, method=method)), Answered)
        assert listening.connections == 1
        listening.behaviour = breaks()
        reply = await egress.send(ask(listening.url, method=method))
        assert isinstance(reply, Unknown)
        assert reply.reason == Reason.CONNECTION_LOST
        await asyncio.sleep(0)
        assert len(listening.requests) == 3
        assert listening.connections == 1


async def test_a_connection_that_was_closed_while_idle_is_not_used() -> None:
    async with peer(says(answer())) as listening, client() as egress:
        assert isinstance(await egress.send(ask(listening.url)), Answered)
        listening.hang_up()
        deadline = asyncio.get_running_loop().time() + 5
        while asyncio.get_running_loop().time() < deadline:
            reply = await egress.send(ask(listening.url))
            if isinstance(reply, Answered):
                break
        assert isinstance(reply, Answered)
        assert listening.connections == 2


async def test_connections_are_kept_and_bounded_in_time() -> None:
    async with peer(says(answer())) as listening, client() as egress:
        replies = await asyncio.gather(*(egress.send(ask(listening.url)) for _ in range(20)))
        assert all(isinstance(reply, Answered) for reply in replies)
        before = listening.connections
        await asyncio.gather(*(egress.send(ask(listening.url)) for _ in range(20)))
        assert listening.connections == before


async def test_a_caller_that_leaves_leaves_no_connection_behind() -> None:
    async with peer(silent()) as listening, client() as egress:
        task = asyncio.create_task(egress.send(ask(listening.url, timeout_seconds=60)))
        while not listening.requests:  # the test's own time-out is the deadline
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        listening.behaviour = says(answer())
        assert isinstance(await egress.send(ask(listening.url)), Answered)
        assert listening.connections == 2


# --- not sent ---------------------------------------------------------------------------------------


async def test_refused_destinations_are_not_sent() -> None:
    async with peer(says(answer())) as listening, client("127.0.0.1:1") as egress:
        for url in (listening.url, "http://10.0.0.1/", "https://169.254.169.254/", "nonsense"):
            reply = await egress.send(ask(url))
            assert reply == NotSent(Reason.DESTINATION_REFUSED, reply.seconds)
        assert listening.connections == 0


@pytest.mark.parametrize(
    "more",
    [
        {"headers": {"x-a": "1\r\nx-b: 2"}},
        {"headers": {"x a": "1"}},
        {"headers": {"x-a": "é"}},
        {"headers": {"": "1"}},
        {"headers": {"Host": "elsewhere"}},
        {"headers": {"content-length": "0"}},
        {"headers": {"Transfer-Encoding": "chunked"}},
        {"method": "CONNECT"},
        {"method": "get"},
        {"method": "GET / HTTP/1.1\r\nx: y"},
        {"body": b"x" * (512 * 1024 + 1)},
    ],
    ids=str,
)
async def test_what_would_be_another_request_is_not_sent(more: dict[str, Any]) -> None:
    reply, listening = await outcome(says(answer()), **more)
    assert reply == NotSent(Reason.REQUEST_REFUSED, reply.seconds)
    assert listening.connections == 0


async def test_nobody_listening_is_not_sent() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with client() as egress:
            reply = await egress.send(ask(f"http://127.0.0.1:{taken.getsockname()[1]}/"))
            assert reply == NotSent(Reason.CONNECT_FAILED, reply.seconds)


async def test_a_connection_that_does_not_come_about_in_time_is_not_sent() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = []
        for _ in range(4):  # the queue of a listener that accepts nobody
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(("127.0.0.1", port))
        try:
            async with client() as egress:
                reply = await egress.send(ask(f"http://127.0.0.1:{port}/", timeout_seconds=0.3))
                assert reply == NotSent(Reason.CONNECT_TIMEOUT, reply.seconds)
        finally:
            for each in waiting:
                each.close()


def resolves_to(*addresses: str) -> tuple[Any, list[str]]:
    asked: list[str] = []

    async def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return addresses

    return resolve, asked


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],  # also where it is excepted: no name leads to the loopback
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["8.8.8.8", "10.0.0.1"],
        ["fe80::1%eth0"],
    ],
    ids=str,
)
async def test_a_name_that_leads_inside_is_not_sent(addresses: list[str]) -> None:
    resolve, asked = resolves_to(*addresses)
    async with client("127.0.0.1", resolve=resolve) as egress:
        reply = await egress.send(ask("https://api.example.com/"))
    assert reply == NotSent(Reason.DESTINATION_REFUSED, reply.seconds)
    assert asked == ["api.example.com"]


async def test_a_name_without_an_address_is_not_sent() -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for resolver in (resolve, resolves_to()[0]):
        async with client(resolve=resolver) as egress:
            reply = await egress.send(ask("https://api.example.com/"))
            assert reply == NotSent(Reason.DNS_FAILED, reply.seconds)


# --- TLS --------------------------------------------------------------------------------------------


class Certificates:
    """An authority and what a server shows."""

    def __init__(self, folder: Path, name: str) -> None:
        now = datetime.now(UTC)
        authority = make_authority(now)
        issued = issue_server_certificate(authority, [name], now)
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(authority.certificate)
        shown = folder / "server.pem"
        shown.write_bytes(issued.certificate + issued.private_key.expose())
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.server.load_cert_chain(shown)


async def test_tls_is_verified_by_the_authorities_that_settings_add(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path, "127.0.0.1")
    async with peer(says(answer(MARK)), certificates.server) as listening:
        async with client(ca_file=certificates.ca_file) as egress:
            reply = await egress.send(ask(listening.url))
            assert isinstance(reply, Answered)
            assert reply.body == MARK
        async with client() as egress:  # nobody vouches for that certificate
            reply = await egress.send(ask(listening.url))
            assert reply == NotSent(Reason.TLS_FAILED, reply.seconds)
        assert len(listening.requests) == 1


async def test_a_certificate_of_another_name_is_not_sent(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path, "127.0.0.9")
    async with (
        peer(says(answer()), certificates.server) as listening,
        client(ca_file=certificates.ca_file) as egress,
    ):
        reply = await egress.send(ask(listening.url))
    assert reply == NotSent(Reason.TLS_FAILED, reply.seconds)
    assert listening.requests == []


async def test_old_tls_is_not_sent(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path, "127.0.0.1")
    certificates.server.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        certificates.server.maximum_version = ssl.TLSVersion.TLSv1_1
    async with (
        peer(says(answer()), certificates.server) as listening,
        client(ca_file=certificates.ca_file) as egress,
    ):
        reply = await egress.send(ask(listening.url))
    assert isinstance(reply, NotSent)
    assert listening.requests == []


async def test_a_peer_without_tls_is_not_sent() -> None:
    async with peer(says(answer())) as listening, client() as egress:
        reply = await egress.send(ask(listening.url.replace("http:", "https:")))
    assert isinstance(reply, NotSent)
    assert listening.requests == []


# --- the rest ---------------------------------------------------------------------------------------


async def test_the_environments_proxies_and_cookies_do_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with (
        peer(says(answer(MARK, 200, "set-cookie: a=b; Path=/\r\n"))) as listening,
        client() as egress,
    ):
        for _ in range(2):
            assert isinstance(await egress.send(ask(listening.url)), Answered)
    assert all("cookie" not in sent.headers for sent in listening.requests)


async def test_each_outcome_is_counted_once_and_a_closed_client_sends_nothing() -> None:
    seen: list[tuple[str, float]] = []

    async def behave(_sent: Sent, writer: asyncio.StreamWriter) -> bytes | None:
        return answer() if len(listening.requests) == 1 else await cut()(_sent, writer)

    async with (
        peer(behave) as listening,
        client(observer=lambda outcome, seconds: seen.append((outcome, seconds))) as egress,
    ):
        await egress.send(ask(listening.url))
        await egress.send(ask(listening.url))
        await egress.send(ask("http://10.0.0.1/"))
        await egress.close()
        await egress.send(ask(listening.url))
        assert [outcome for outcome, _ in seen] == ["answered", "unknown", "not_sent", "not_sent"]
        assert len(listening.requests) == 2


async def test_a_request_does_not_print_what_it_carries() -> None:
    request = ask("https://api.example.com/?secret=1", body=SECRET.encode())
    assert "secret" not in repr(request)
    assert SECRET not in repr(request)
