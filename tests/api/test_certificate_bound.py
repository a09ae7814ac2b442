# SPDX-License-Identifier: Apache-2.0
"""Tokens bound to a client certificate (RFC 8705), whose thumbprint a trusted proxy passes on; from anybody else it is
a header like any other. The proxy here is whoever calls from 127.0.0.2.
"""

import base64
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
from strongroom.db.logins import Domain
from strongroom.http.callers import thumbprint_of
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
    #: Another process of the same installation: what is ended there ends here.
    elsewhere: Service
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
    async with (
        running(
            databases, folder, trusted_proxies=(f"{PROXY}/32",), client_certificate_header=HEADER
        ) as service,
        running(databases, folder, listens=False) as elsewhere,
    ):
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
        yield Ground(service, elsewhere, Machine(service, tenant, made.json()["id"], key), clients)
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
    ended = await revoke(ground, Mode.TEST, shown)
    end = datetime.now(UTC) + timedelta(seconds=2)
    assert ended.status_code == 204, ended.text
    for listener in ("vault", "gateway"):
        while await ground.read(listener, token, shown=shown) != 401:
            assert datetime.now(UTC) < end, "the token still holds"
    answer = await ground.ask(shown=shown)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert await ground.read("vault", await token_of(ground), shown=MINE) == 200
    assert (await revoke(ground, Mode.TEST, shown)).status_code == 204, "safe to repeat"
    assert await ended_certificates(ground) == 1


async def test_a_certificate_ends_for_its_own_tenant_and_mode_only(ground: Ground) -> None:
    shown = certificate("shared")
    token = await token_of(ground, shown)
    other = await ground.service.tenant()
    hexadecimal = base64.urlsafe_b64decode(thumbprint_of(shown) + "=").hex()
    for key in (other.keys[Mode.TEST], ground.machine.tenant.keys[Mode.LIVE]):
        ended = await ground.service.console(key).post(
            "/v1/services/certificates/revoke", {"thumbprint": hexadecimal}
        )
        assert ended.status_code == 204, ended.text
    lost = certificate("lost too")
    sentinel = await token_of(ground, lost)
    assert (await revoke(ground, Mode.TEST, lost)).status_code == 204
    end = datetime.now(UTC) + timedelta(seconds=2)
    while await ground.read("vault", sentinel, shown=lost) != 401:
        assert datetime.now(UTC) < end
    # What was written before it is known too by now.
    assert await ground.read("vault", token, shown=shown) == 200
    assert await ground.read("vault", await token_of(ground, shown), shown=shown) == 200


@pytest.mark.parametrize(
    "text", ["A" * 42 + "B", "A" * 44, "zz" * 32, "aa:" * 31 + "a", "A" * 42 + "="]
)
async def test_what_names_no_certificate_is_refused(ground: Ground, text: str) -> None:
    key = ground.machine.tenant.keys[Mode.TEST]
    answer = await ground.service.console(key).post(
        "/v1/services/certificates/revoke", {"thumbprint": text}
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/thumbprint"


async def revoke(ground: Ground, mode: Mode, shown: str) -> httpx.Response:
    caller = ground.elsewhere.console(ground.machine.tenant.keys[mode])
    return await caller.post(
        "/v1/services/certificates/revoke", {"thumbprint": thumbprint_of(shown)}
    )


async def ended_certificates(ground: Ground) -> int:
    """How many records of this tenant say that a certificate was ended, and which."""
    rows = await ground.service.look(
        Domain.CORE,
        "select convert_from(payload, 'utf8') as text from audit.event where merchant_id = $1"
        " and convert_from(payload, 'utf8') like '%identity.service.revoked%'",
        ground.machine.tenant.merchant,
    )
    assert all('"reason":"certificate"' in row["text"] for row in rows)
    assert all('"certificate":"' in row["text"] for row in rows)
    return len(rows)
