# SPDX-License-Identifier: Apache-2.0
"""Behind a real NGINX with the configuration that is shipped: who is believed, and that nobody else is."""

import asyncio
import base64
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio

from api.listener import KEY, Notebook, edge
from api.test_services import BEARER_TYPE, PERMISSIONS, Machine
from jwt_maker import EcKey
from nginx import LISTENERS, PROXY_ADDRESS, Nginx, nginx
from service import Service, free_ports, running
from signed_in import signed_in
from strongroom.config import ForwardedHeader
from strongroom.crypto.digest import sha256
from strongroom.http.callers import Callers
from strongroom.http.server import Endpoint, Servers, Tls
from strongroom.kernel.addresses import Networks
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode

HEADER: Final = "x-client-certificate"
CALLER: Final = "127.0.0.5"
OTHER_CALLER: Final = "127.0.0.6"


class Ground:
    """A small listener and a Strongroom, each behind the same NGINX."""

    def __init__(self, proxy: Nginx, service: Service, direct: str) -> None:
        self.proxy = proxy
        self.service = service
        #: The small listener's own address.
        self.direct = direct

    def trust(self, client: str = "") -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.service.authority))
        if client:
            certificate, key = self.proxy.certificates.client(client)
            context.load_cert_chain(certificate, key)
        return context

    @asynccontextmanager
    async def calling(
        self, base: str, *, whence: str = CALLER, client: str = ""
    ) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.AsyncHTTPTransport(verify=self.trust(client), local_address=whence)
        async with httpx.AsyncClient(
            base_url=base,
            transport=transport,
            timeout=20,
            headers={"authorization": f"Bearer {KEY}"},
        ) as caller:
            yield caller

    async def whence(self, base: str, headers: Any = None, **more: Any) -> str:
        async with self.calling(base, **more) as caller:
            answer = await caller.get("/whence", headers=headers)
            return answer.text if answer.status_code == 200 else str(answer.status_code)

    def thumbprint(self, client: str) -> str:
        pem = self.proxy.certificates.client(client)[0].read_text("utf-8")
        der = ssl.PEM_cert_to_DER_cert(pem)
        return base64.urlsafe_b64encode(sha256(der)).rstrip(b"=").decode()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ground(databases: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    folder = tmp_path_factory.mktemp("nginx")
    (port,) = free_ports(1)
    proxies = (f"{PROXY_ADDRESS}/32",)
    async with running(
        databases,
        folder,
        trusted_proxies=proxies,
        forwarded_header=ForwardedHeader.X_FORWARDED_FOR,
        client_certificate_header=HEADER,
    ) as service:
        tls = Tls(
            service.settings.state / "tls/server.pem", service.settings.state / "tls/server.key"
        )
        callers = Callers(Networks.parse(proxies), ForwardedHeader.X_FORWARDED_FOR, HEADER)
        small = Endpoint("small", edge(Notebook(), callers=callers), "127.0.0.1", port, tls)
        servers = Servers([small])
        await servers.start()
        upstreams = {name: str(getattr(service.settings, f"{name}_listen")) for name in LISTENERS}
        try:
            async with nginx(
                folder / "nginx",
                {**upstreams, "gateway": f"127.0.0.1:{port}"},
                certificate=tls.certificate,
                key=tls.key,
                authority=service.authority,
            ) as proxy:
                yield Ground(proxy, service, f"https://localhost:{port}")
        finally:
            await servers.stop()


async def test_the_callers_address_is_passed_on(ground: Ground) -> None:
    for whence in (CALLER, OTHER_CALLER):
        assert await ground.whence(ground.proxy.url("gateway"), whence=whence) == whence


LIES: Final[list[list[tuple[str, str]]]] = [
    [("x-forwarded-for", "6.6.6.6")],
    [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "7.7.7.7")],
    [("X-FORWARDED-FOR", "127.0.0.2")],
    [("x-forwarded-for", "not an address")],
    [("forwarded", "for=6.6.6.6")],
    [("x-real-ip", "6.6.6.6")],
    [("x_forwarded_for", "6.6.6.6")],
    [(HEADER, "-----BEGIN%20CERTIFICATE-----%0AMAA%3D%0A-----END%20CERTIFICATE-----%0A")],
    [(HEADER, "garbage"), (HEADER, "more")],
]


@pytest.mark.parametrize("lie", LIES, ids=str)
async def test_what_a_caller_claims_is_overwritten(
    ground: Ground, lie: list[tuple[str, str]]
) -> None:
    assert await ground.whence(ground.proxy.url("gateway"), lie) == CALLER


@pytest.mark.parametrize("lie", LIES, ids=str)
async def test_what_a_direct_caller_claims_is_ignored(
    ground: Ground, lie: list[tuple[str, str]]
) -> None:
    assert await ground.whence(ground.direct, lie) == CALLER


async def test_a_verified_certificate_is_known_by_its_thumbprint(ground: Ground) -> None:
    said = await ground.whence(ground.proxy.url("gateway"), client="known")
    assert said == f"{CALLER} {ground.thumbprint('known')}"
    pem = ground.proxy.certificates.client("unknown")[0].read_text("utf-8")
    spoofed = [(HEADER, quote(pem))]
    said = await ground.whence(ground.proxy.url("gateway"), spoofed, client="known")
    assert said == f"{CALLER} {ground.thumbprint('known')}"
    assert await ground.whence(ground.proxy.url("gateway"), spoofed) == CALLER
    assert await ground.whence(ground.direct, spoofed) == CALLER


async def test_a_token_is_bound_to_the_certificate_that_nginx_verified(ground: Ground) -> None:
    """RFC 8705 from end to end: a service's token holds with its certificate, through NGINX, and not without."""
    tenant, key = await ground.service.tenant(), EcKey()
    body = {
        "name": "billing",
        "permissions": PERMISSIONS,
        "jwks": key.jwk,
        "certificate_bound": True,
    }
    made = await ground.service.console(tenant.keys[Mode.TEST]).post("/v1/services", body)
    machine = Machine(ground.service, tenant, made.json()["id"], key)
    given = []
    for client in ("", "known"):
        async with ground.calling(ground.proxy.url("console"), client=client) as caller:
            given.append(
                await caller.post(
                    "/v1/oauth/token",
                    json={
                        "grant_type": "client_credentials",
                        "client_assertion_type": BEARER_TYPE,
                        "client_assertion": machine.assertion(),
                    },
                )
            )
    assert [answer.status_code for answer in given] == [401, 200], [each.text for each in given]
    token = {"authorization": f"Bearer {given[1].json()['access_token']}"}
    pem = ground.proxy.certificates.client("known")[0].read_text("utf-8")
    for client, spoofed, status in (
        ("known", {}, 200),
        ("", {}, 401),
        ("", {HEADER: quote(pem)}, 401),
    ):
        async with ground.calling(ground.proxy.url("vault"), client=client) as caller:
            answer = await caller.get("/v1/tokens", headers={**token, **spoofed})
            assert answer.status_code == status, (client, answer.text)


async def test_a_certificate_of_another_authority_is_refused(ground: Ground) -> None:
    assert await ground.whence(ground.proxy.url("gateway"), client="unknown") == "400"


async def test_a_proxy_that_writes_nonsense_is_not_guessed_at(ground: Ground) -> None:
    """Called from the proxy's own address, as a proxy would that is set up wrongly."""
    for headers in (
        [("x-forwarded-for", "unknown")],
        [("x-forwarded-for", "")],
        [(HEADER, "garbage")],
        [(HEADER, "")] * 2,
    ):
        assert await ground.whence(ground.direct, headers, whence=PROXY_ADDRESS) == "400"
    chain = [("x-forwarded-for", f"6.6.6.6, 203.0.113.7, {PROXY_ADDRESS}")]
    assert await ground.whence(ground.direct, chain, whence=PROXY_ADDRESS) == "203.0.113.7"


async def test_allow_lists_go_by_the_address_behind_the_proxy(ground: Ground) -> None:
    tenant = await ground.service.tenant()
    admin = await signed_in(ground.service, MerchantId(tenant.merchant))
    key = {"authorization": f"Bearer {admin.access.expose()}"}
    url = ground.proxy.url("console")
    wish = {"subject": "tenant", "mode": "test", "networks": [f"{CALLER}/32"]}
    async with ground.calling(url) as caller, ground.calling(url, whence=OTHER_CALLER) as other:
        assert (await caller.get("/v1/networks", headers=key)).json()["your_address"] == CALLER
        refused = await other.post("/v1/networks", json=wish, headers=key)
        assert refused.json()["code"] == "network_would_lock_out"
        made = await caller.post("/v1/networks", json=wish, headers=key)
        assert made.status_code == 200, made.text
        began = perf_counter()
        claim = {**key, "x-forwarded-for": CALLER}
        while (answer := await other.get("/v1/networks", headers=claim)).status_code == 200:
            assert perf_counter() - began < 2, "the list does not hold"
            await asyncio.sleep(0.02)
        assert answer.json()["code"] == "address_not_allowed"
        assert (await caller.get("/v1/networks", headers=key)).status_code == 200


async def test_answers_have_hsts_once(ground: Ground) -> None:
    async with ground.calling(ground.proxy.url("gateway")) as caller:
        for path, status in (("/open", 200), ("/%00", 400)):
            answer = await caller.get(path)
            assert answer.status_code == status
            assert answer.headers.get_list("strict-transport-security") == [
                "max-age=31536000; includeSubDomains"
            ]
            assert "1.22" not in answer.headers["server"]


@pytest.mark.parametrize(
    ("version", "spoken"),
    [("TLSv1", False), ("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)],
)
async def test_tls_is_1_2_and_up(ground: Ground, version: str, spoken: Any) -> None:
    context = ground.trust()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ssl warns of the old ones
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    context.set_ciphers("ALL:@SECLEVEL=0")  # or this side would not even offer them
    async with httpx.AsyncClient(base_url=ground.proxy.url("gateway"), verify=context) as caller:
        if spoken:
            assert (await caller.get("/open")).status_code == 200
        else:
            with pytest.raises(httpx.ConnectError):
                await caller.get("/open")


async def test_bodies_are_bounded_and_never_written_to_a_file(ground: Ground) -> None:
    tenant = await ground.service.tenant()
    headers = {
        "authorization": f"Bearer {tenant.keys[Mode.TEST]}",
        "content-type": "application/json",
        "idempotency-key": "large",
    }
    async with ground.calling(ground.proxy.url("vault")) as caller:
        large = await caller.post("/v1/tokens", content=b" " * 20_000, headers=headers)
        assert large.status_code == 413
        bulk = await caller.post("/v1/tokens/bulk", content=b" " * 1_000_000, headers=headers)
        assert bulk.status_code == 400
    log = (ground.proxy.folder / "error.log").read_text("utf-8")
    assert "buffered to a temporary file" not in log


def test_the_configuration_names_what_the_pages_say() -> None:
    page = Path(__file__).parents[2] / "docs" / "howto" / "behind-a-proxy.md"
    assert "deploy/nginx/strongroom.conf" in page.read_text("utf-8")
