# SPDX-License-Identifier: Apache-2.0
"""The key store suite over a real OpenBao or HashiCorp Vault, where there is one; else it is skipped and says why.

`OPENBAO_ADDR` with `OPENBAO_TOKEN` (of somebody who may mount engines and write policies) names a server; without it a
`bao` or `vault` program is started on loopback in its development mode. Everything is made under names of its own.
"""

import asyncio
import os
import shutil
import stat
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.key_store import CONTEXT, KeyStoreContract, Rotate
from polling import until
from service import free_ports
from strongroom.crypto import new_secret_text
from strongroom.egress.fixed import FixedService, ServiceAway
from strongroom.keys import KeyStore, KeyStoreRefused, Purpose, RootDisabled
from strongroom.keys.stores.transit import TransitKeyStore
from strongroom.keys.stores.transit_login import AppRole


@dataclass
class Server:
    url: str
    token: str

    async def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        service = FixedService(self.url)
        try:
            answered = await service.call(
                method,
                f"/v1/{path}",
                headers={"x-vault-token": self.token, "x-vault-request": "true"},
                body=None if body is None else msgspec.json.encode(body),
            )
        finally:
            await service.close()
        assert answered.status in (200, 204), (path, answered.status, answered.body)
        found: dict[str, Any] = msgspec.json.decode(answered.body or b"{}")
        return found


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    address, token = os.environ.get("OPENBAO_ADDR"), os.environ.get("OPENBAO_TOKEN")
    if address and token:
        yield Server(address, token)
        return
    program = shutil.which("bao") or shutil.which("vault")
    if program is None:
        pytest.skip("no OPENBAO_ADDR with OPENBAO_TOKEN, and no bao or vault program on the path")
    (port,) = free_ports(1)
    token = new_secret_text(32)
    started = subprocess.Popen(
        [program, "server", "-dev", "-dev-no-store-token", f"-dev-listen-address=127.0.0.1:{port}"],
        env=os.environ | {"BAO_DEV_ROOT_TOKEN_ID": token, "VAULT_DEV_ROOT_TOKEN_ID": token},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    found = Server(f"http://127.0.0.1:{port}", token)
    try:
        asyncio.run(_answers(found))
        yield found
    finally:
        started.terminate()
        started.wait(timeout=10)


async def _answers(server: Server) -> None:
    async def answers() -> bool:
        with suppress(ServiceAway):
            await server.ask("GET", "sys/mounts")
            return True
        return False

    await until(answers, what="the server to start")


@dataclass
class Ground:
    """An engine, a policy and a role on a server, under names of their own."""

    server: Server
    name: str
    role_id: str
    secret_id: Path

    def store(self) -> TransitKeyStore:
        return TransitKeyStore.open(
            {purpose: f"strongroom-{purpose}" for purpose in Purpose},
            AppRole(self.role_id, self.secret_id, f"{self.name}-role"),
            url=self.server.url,
            mount=self.name,
        )


@pytest.fixture
async def ground(server: Server, tmp_path: Path) -> AsyncIterator[Ground]:
    name = f"strongroom-test-{new_secret_text(8).lower()}"
    await server.ask("POST", f"sys/mounts/{name}", {"type": "transit"})
    await server.ask("POST", f"sys/auth/{name}-role", {"type": "approle"})
    for purpose in Purpose:
        await server.ask("POST", f"{name}/keys/strongroom-{purpose}", {"type": "aes256-gcm96"})
    # As docs/howto/use-openbao-transit.md grants it.
    rules = [f'path "{name}/keys/strongroom-*" {{ capabilities = ["read"] }}'] + [
        f'path "{name}/{verb}/strongroom-*" {{ capabilities = ["update"] }}'
        for verb in ("encrypt", "decrypt")
    ]
    await server.ask("PUT", f"sys/policies/acl/{name}", {"policy": "\n".join(rules)})
    role = f"auth/{name}-role/role/vault"
    await server.ask("POST", role, {"token_policies": name, "token_ttl": "60s"})
    role_id = (await server.ask("GET", f"{role}/role-id"))["data"]["role_id"]
    secret = (await server.ask("POST", f"{role}/secret-id", {}))["data"]["secret_id"]
    path = tmp_path / "secret-id"
    path.touch(stat.S_IRUSR | stat.S_IWUSR)
    path.write_text(secret)
    yield Ground(server, name, role_id, path)
    await server.ask("DELETE", f"sys/mounts/{name}")
    await server.ask("DELETE", f"sys/auth/{name}-role")
    await server.ask("DELETE", f"sys/policies/acl/{name}")


class TestTransitServer(KeyStoreContract):
    @pytest.fixture
    async def store(self, ground: Ground) -> AsyncIterator[KeyStore]:
        store = ground.store()
        yield store
        await store.close()

    @pytest.fixture
    def rotate(self, ground: Ground) -> Rotate:
        async def rotate(purpose: Purpose) -> None:
            await ground.server.ask("POST", f"{ground.name}/keys/strongroom-{purpose}/rotate")

        return rotate


async def test_an_older_version_opens_until_it_is_off(ground: Ground) -> None:
    store = ground.store()
    key = f"{ground.name}/keys/strongroom-card"
    before = await store.generate(Purpose.CARD, CONTEXT)
    await ground.server.ask("POST", f"{key}/rotate")
    after = await store.generate(Purpose.CARD, CONTEXT)
    for new in (before, after):
        opened = await store.unwrap(Purpose.CARD, new.wrapped, CONTEXT)
        assert opened.expose() == new.plaintext.expose()
    await ground.server.ask("POST", f"{key}/config", {"min_decryption_version": 2})
    with pytest.raises(RootDisabled):
        await store.unwrap(Purpose.CARD, before.wrapped, CONTEXT)
    await store.close()


async def test_a_key_that_can_be_exported_is_no_root(ground: Ground) -> None:
    key = f"{ground.name}/keys/strongroom-card"
    await ground.server.ask("POST", f"{key}/config", {"exportable": True})
    store = ground.store()
    with pytest.raises(KeyStoreRefused):
        await store.generate(Purpose.CARD, CONTEXT)
    await store.close()
