# SPDX-License-Identifier: Apache-2.0
"""The client of a service at an address that the operator set: one attempt, bounded, and nothing taken elsewhere."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from peer import Behaviour, Peer, Sent, answer, cut, peer, reset, says, silent
from strongroom.crypto import issue_server_certificate, make_authority
from strongroom.egress.fixed import ANSWER_BYTES_MAX, FixedService, ServiceAway, ServiceUrlRefused
from strongroom.egress.model import Answered

KEY = {"authorization": "Bearer not-to-be-taken-elsewhere"}


@asynccontextmanager
async def at(
    behaviour: Behaviour, tls: ssl.SSLContext | None = None, **more: Any
) -> AsyncIterator[tuple[FixedService, Peer]]:
    async with peer(behaviour, tls) as server:
        service = FixedService(server.url, **more)
        try:
            yield service, server
        finally:
            await service.close()


async def get(service: FixedService) -> Answered:
    return await service.call("GET", "/v1/x", headers=KEY)


async def test_an_answer_comes_back_whatever_its_status() -> None:
    for status in (200, 204, 302, 404, 503):
        async with at(says(answer(b"" if status == 204 else b"{}", status))) as (service, server):
            assert (await get(service)).status == status
            assert server.requests[0].headers["authorization"] == KEY["authorization"]


async def test_a_redirect_takes_nothing_elsewhere() -> None:
    async with peer(says(answer())) as elsewhere:
        there = f"location: {elsewhere.url}/v1/x\r\n"
        for status in (301, 302, 303, 307, 308):
            async with at(says(answer(b"", status, there))) as (service, _):
                assert (await get(service)).status == status
        assert not elsewhere.requests


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("behaviour", [cut(), reset(), cut(answer(b"{}")[:-1])])
async def test_a_connection_that_dies_under_a_request_is_the_end_of_it(
    behaviour: Behaviour, method: str
) -> None:
    """Also on a connection that served before, where the library would send it again."""
    async with at(says(answer())) as (service, server):
        await get(service)
        server.behaviour = behaviour
        with pytest.raises(ServiceAway):
            await service.call(method, "/v1/x", headers=KEY, body=b"{}")
        assert len(server.requests) == 2


async def test_an_answer_beyond_its_bound_is_none() -> None:
    async with at(says(answer(b" " * ANSWER_BYTES_MAX))) as (service, server):
        assert len((await get(service)).body) == ANSWER_BYTES_MAX
        server.behaviour = says(answer(b" " * (ANSWER_BYTES_MAX + 1)))
        with pytest.raises(ServiceAway):
            await get(service)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"])
async def test_a_service_that_is_slow_is_given_up_and_so_are_those_who_queue(said: bytes) -> None:
    async with at(silent(said), call_timeout_seconds=0.3, calls_at_once=2) as (service, _):
        async with asyncio.timeout(5):
            results = await asyncio.gather(
                *(get(service) for _ in range(8)), return_exceptions=True
            )
    assert {type(result) for result in results} == {ServiceAway}


async def test_no_more_than_the_bound_reach_it_at_once() -> None:
    held, most, full, release = 0, 0, asyncio.Event(), asyncio.Event()

    async def behave(_sent: Sent, _writer: asyncio.StreamWriter) -> bytes:
        nonlocal held, most
        held += 1
        most = max(most, held)
        if held == 3:
            full.set()
        await release.wait()
        held -= 1
        return answer()

    async with at(behave, calls_at_once=3) as (service, server):
        calls = [asyncio.create_task(get(service)) for _ in range(9)]
        async with asyncio.timeout(5):
            await full.wait()
            release.set()
            assert {(await call).status for call in calls} == {200}
        assert (most, len(server.requests)) == (3, 9)


async def test_no_proxy_of_the_environment_comes_between(monkeypatch: pytest.MonkeyPatch) -> None:
    async with peer(says(answer())) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        async with at(says(answer())) as (service, server):
            await get(service)
            assert len(server.requests) == 1
        assert not proxy.requests


async def test_a_closed_client_asks_nobody() -> None:
    async with at(says(answer())) as (service, server):
        await service.close()
        with pytest.raises(ServiceAway):
            await get(service)
        assert not server.requests


class Certificates:
    """An authority and what a server shows."""

    def __init__(self, folder: Path, name: str) -> None:
        now = datetime.now(UTC)
        authority = make_authority(now)
        issued = issue_server_certificate(authority, [name], now)
        self.authorities = folder / "ca.pem"
        self.authorities.write_bytes(authority.certificate)
        shown = folder / "server.pem"
        shown.write_bytes(issued.certificate + issued.private_key.expose())
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.server.load_cert_chain(shown)


async def test_tls_is_verified_by_the_authorities_that_were_given(tmp_path: Path) -> None:
    good = Certificates(tmp_path, "127.0.0.1")
    async with at(says(answer()), good.server, authorities=good.authorities) as (service, server):
        assert (await get(service)).status == 200
        # Nobody else vouches for it.
        other = FixedService(server.url)
        with pytest.raises(ServiceAway):
            await get(other)
        await other.close()
        assert len(server.requests) == 1


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_a_certificate_of_another_name_and_old_tls_get_nothing(tmp_path: Path) -> None:
    named = Certificates(tmp_path, "127.0.0.9")
    async with at(says(answer()), named.server, authorities=named.authorities) as (service, server):
        with pytest.raises(ServiceAway):
            await get(service)
        assert not server.requests
    old = Certificates(tmp_path, "127.0.0.1")
    old.server.minimum_version = ssl.TLSVersion.TLSv1
    old.server.maximum_version = ssl.TLSVersion.TLSv1_1
    async with at(says(answer()), old.server, authorities=old.authorities) as (service, server):
        with pytest.raises(ServiceAway):
            await get(service)
        assert not server.requests


@pytest.mark.parametrize(
    "url",
    [
        "",
        "bao.example",
        "ftp://bao.example",
        "https://",
        "https://x/v1",
        "https://x?y",
        "https://x#y",
        "https://u@x",
    ],
)
def test_what_is_no_services_address_is_refused(url: str) -> None:
    with pytest.raises(ServiceUrlRefused):
        FixedService(url)


def test_authorities_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    garbage = tmp_path / "ca.pem"
    garbage.write_text("hello")
    for path in (garbage, tmp_path / "absent.pem"):
        with pytest.raises(ServiceUrlRefused):
            FixedService("https://bao.example", authorities=path)
