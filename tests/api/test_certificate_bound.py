# SPDX-License-Identifier: Apache-2.0
"""Tokens bound to a client certificate (RFC 8705), whose thumbprint a trusted proxy passes on; from anybody else it is
a header like any other. The proxy here is whoever calls from 127.0.0.2.
"""

import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio

from api.test_services import BEARER_TYPE, PERMISSIONS, Machine
from database import Databases
from jwt_maker import EcKey
from service import Service, running
from strongroom.crypto import issue_client_certificate, make_authority
from strongroom.db.logins import Domain, Login
from strongroom.http.callers import thumbprint_of
from strongroom.identity.access_tokens import OUTLIVED_BY
from strongroom.identity.revocation import revoke
from strongroom.kernel.mode import Mode

PROXY = "127.0.0.2"
HEADER = "x-client-certificate"
LISTENERS = ("vault", "gateway", "console")
READS = {"vault": "/v1/tokens", "gateway": "/v1/payments", "console": "/v1/services"}
_NOW = datetime.now(UTC)
_AUTHORITY = make_authority(_NOW, "clients")


def certificate(name: str) -> str:
    """A client certificate as NGINX passes one on."""
    made = issue_client_certificate(_AUTHORITY, name, _NOW, timedelta(days=1))
    return quote(made.certificate.decode())


MINE, OTHER = certificate("billing"), certificate("somebody")


@dataclass(frozen=True, slots=True)
class Ground:
    """A Strongroom behind a proxy, and a service that is given tokens only with a certificate."""

    service: Service
    machine: Machine
    through_proxy: Mapping[str, httpx.AsyncClient]

    async def ask(
        self, *, shown: str | None, direct: bool = False, assertion: str | None = None
    ) -> httpx.Response:
        client = (self.service.clients if direct else self.through_proxy)["console"]
        body = {
            "grant_type": "client_credentials",
            "client_assertion_type": BEARER_TYPE,
            "client_assertion": assertion or self.machine.assertion(),
        }
        headers = {} if shown is None else {HEADER: shown}
        return await client.post("/v1/oauth/token", json=body, headers=headers)

    async def read(
        self, listener: str, token: str, *, shown: str | None, direct: bool = False
    ) -> int:
        client = (self.service.clients if direct else self.through_proxy)[listener]
        headers = {"authorization": f"Bearer {token}"}
        if shown is not None:
            headers[HEADER] = shown
        return (await client.get(READS[listener], headers=headers)).status_code


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ground(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ground]:
    folder: Path = tmp_path_factory.mktemp("bound")
    async with running(
        databases, folder, trusted_proxies=(f"{PROXY}/32",), client_certificate_header=HEADER
    ) as service:
        tenant, key = await service.tenant(), EcKey()
        body = {
            "name": "billing",
            "permissions": PERMISSIONS,
            "jwks": key.jwk,
            "certificate_bound": True,
        }
        made = await service.console(tenant.keys[Mode.TEST]).post("/v1/services", body)
        clients = {}
        for name in LISTENERS:
            transport = httpx.AsyncHTTPTransport(
                verify=ssl.create_default_context(cafile=str(service.authority)),
                local_address=PROXY,
            )
            clients[name] = httpx.AsyncClient(
                base_url=service.clients[name].base_url, transport=transport
            )
        yield Ground(service, Machine(service, tenant, made.json()["id"], key), clients)
        for client in clients.values():
            await client.aclose()


async def token_of(ground: Ground, shown: str = MINE) -> str:
    answer = await ground.ask(shown=shown)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def test_a_token_is_given_with_a_certificate_only(ground: Ground) -> None:
    assert (await ground.ask(shown=None)).status_code == 401
    assert (await ground.ask(shown="")).status_code == 401
    # From anybody but the proxy the header says nothing.
    assert (await ground.ask(shown=MINE, direct=True)).status_code == 401
    assertion = ground.machine.assertion()
    assert (await ground.ask(shown=None, assertion=assertion)).status_code == 401
    assert (await ground.ask(shown=MINE, assertion=assertion)).status_code == 200


@pytest.mark.parametrize("listener", ["vault", "gateway"])
async def test_and_counts_with_that_certificate_only(ground: Ground, listener: str) -> None:
    token = await token_of(ground)
    for _ in range(2):  # asked of nothing, and remembered
        assert await ground.read(listener, token, shown=MINE) == 200
        assert await ground.read(listener, token, shown=OTHER) == 401
        assert await ground.read(listener, token, shown=None) == 401
        assert await ground.read(listener, token, shown=MINE, direct=True) == 401
    assert await ground.read(listener, await token_of(ground, OTHER), shown=MINE) == 401


async def test_a_certificate_that_was_revoked_ends_its_tokens(ground: Ground) -> None:
    shown = certificate("lost")
    token = await token_of(ground, shown)
    assert await ground.read("vault", token, shown=shown) == 200
    database = await ground.service.databases.open(Domain.CORE, Login.CONSOLE)
    async with database.transaction() as tx:
        await revoke(
            tx, "certificate", thumbprint_of(shown), now=datetime.now(UTC), outlived_by=OUTLIVED_BY
        )
    end = datetime.now(UTC) + timedelta(seconds=2)
    while await ground.read("vault", token, shown=shown) != 401:
        assert datetime.now(UTC) < end, "the token still holds"
    assert await ground.read("vault", await token_of(ground), shown=MINE) == 200
