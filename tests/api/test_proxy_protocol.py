# SPDX-License-Identifier: Apache-2.0
"""A Strongroom that speaks the PROXY protocol: allow-lists and records go by what the header says."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from time import perf_counter
from typing import Any

import pytest
import pytest_asyncio

from api.test_networks import IN_OFFICE, OPERATOR
from database import Databases
from service import Service, running
from strongroom.compose.edges import callers_of
from strongroom.db.logins import Domain
from strongroom.identity import ListMode, ListWish
from strongroom.kernel.mode import Mode

SECONDS_MAX = 10


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def proxied(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    folder = tmp_path_factory.mktemp("proxied")
    async with running(
        databases, folder, proxy_protocol=True, trusted_proxies=("127.0.0.1/32",), worker=False
    ) as service:
        yield service


async def ask(service: Service, listener: str, source: str, key: str, path: str) -> tuple[int, Any]:
    """Ask as a load balancer does that passes TLS through."""
    where = getattr(service.settings, f"{listener}_listen")
    reader, writer = await asyncio.open_connection(where.host, where.port)
    try:
        writer.write(f"PROXY TCP4 {source} 10.0.0.1 4711 443\r\n".encode())
        trusted = ssl.create_default_context(cafile=str(service.authority))
        await writer.start_tls(trusted, server_hostname="localhost")
        head = f"GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode())
        answer = await asyncio.wait_for(reader.read(-1), SECONDS_MAX)
    finally:
        writer.close()
    first, _, body = answer.partition(b"\r\n\r\n")
    return int(first.split(b" ")[1]), json.loads(body)


async def test_allow_lists_go_by_the_header(proxied: Service) -> None:
    tenant = await proxied.tenant()
    key = tenant.keys[Mode.TEST]
    operator = await proxied.composer.operator_networks()
    await operator.put(tenant.merchant, ListWish(ListMode.BOTH, "tenant", [IN_OFFICE]), OPERATOR)
    for listener, path in (("vault", "/v1/tokens"), ("console", "/v1/networks")):
        began = perf_counter()
        while (await ask(proxied, listener, "198.51.100.7", key, path))[0] != 403:
            assert perf_counter() - began < 2, "the list does not hold"
            await asyncio.sleep(0.02)
        assert (await ask(proxied, listener, "203.0.113.7", key, path))[0] == 200
    _, listed = await ask(proxied, "console", "203.0.113.7", key, "/v1/networks")
    assert listed["your_address"] == "203.0.113.7"


async def test_a_connection_without_the_header_is_closed_counted_and_recorded(
    proxied: Service,
) -> None:
    where = proxied.settings.gateway_listen
    reader, writer = await asyncio.open_connection(where.host, where.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), SECONDS_MAX)
    writer.close()
    assert b'listener="gateway",reason="proxy_header_malformed"' in proxied.metrics.exposition()
    began = perf_counter()
    while not await proxied.look(
        Domain.CORE,
        "select 1 from audit.event where merchant_id = 'platform'"
        """ and convert_from(payload, 'utf8') like '%"reason":"proxy_header_malformed"%'""",
    ):
        assert perf_counter() - began < SECONDS_MAX, "no record of the refusal"
        await asyncio.sleep(0.05)


def test_no_proxy_stands_before_what_is_called_from_inside(proxied: Service) -> None:
    nobody: Any = None
    site = proxied.composer.site
    for listener, behind in (
        ("vault", True),
        ("gateway", True),
        ("webhooks", True),
        ("console", True),
        ("vault_internal", False),
        ("worker", False),
    ):
        assert (callers_of(site, listener, nobody) is not None) is behind, listener
