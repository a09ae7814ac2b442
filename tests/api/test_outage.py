# SPDX-License-Identifier: Apache-2.0
"""What others take away: the database, its disk, the key store. 503 with Retry-After, and nothing acknowledged is lost.

Each test has a database server of its own to kill, fill or stop, and asks the way a client would: again, with the
same key, until it is answered.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.fakes import FakeKeyStore
from database import SIZES, Server, fresh_databases, migrated_server
from polling import until, until_blocking
from service import Caller, Service, running, wish
from store.embedded_ground import children_of
from strongroom.db.logins import Domain
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.mode import Mode
from strongroom.kernel.schemes import synthetic_number
from strongroom.keys import CACHE_SECONDS

VISA = "4242424242424242"
DEADLINE_SECONDS = 60.0
#: A database that must fit on a small disk.
SMALL = {**SIZES, "shared_buffers": "16MB", "min_wal_size": "32MB", "max_wal_size": "48MB"}
DISK_MEBIBYTES = 224


@asynccontextmanager
async def a_strongroom(
    tmp_path: Path,
    below: Path = Path("/var/tmp"),
    sizes: dict[str, str] = SIZES,
) -> AsyncIterator[tuple[Service, Server]]:
    """Lend a Strongroom on a database server of its own."""
    async with (
        migrated_server(sizes, below) as server,
        fresh_databases(server) as databases,
        running(databases, tmp_path, listens=False) as service,
    ):
        try:
            yield service, server
        except BaseException as error:
            said = server.embedded.log_file.read_text("utf-8")[-4_000:]
            error.add_note(f"the server said:\n{said}")
            raise


@dataclass
class Load:
    """Clients that make tokens without end. Each asks again, with the same key, until it is answered."""

    vault: Caller
    acknowledged: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    stopping: bool = False

    async def client(self, name: int) -> None:
        for turn in range(1_000_000):
            if self.stopping:
                return
            key = f"client-{name}-{turn}"
            number = synthetic_number(1 + name * 1_000_000 + turn)
            while not await self._once(key, wish(number, deduplicate=turn % 3 == 0)):
                await asyncio.sleep(0.02)

    async def _once(self, key: str, body: object) -> bool:
        answer = await self.vault.post("/v1/tokens", body, idempotency=key)
        if answer.status_code in (200, 201):
            self.acknowledged[key] = answer.json()["id"]
            return True
        assert answer.status_code == 503, answer.text
        self.refused.append(answer.json()["code"])
        return False

    async def reaches(self, holds: Callable[[], bool]) -> None:
        await until(holds, what="it to come that far")


@asynccontextmanager
async def under_load(vault: Caller, clients: int = 8) -> AsyncIterator[Load]:
    load = Load(vault)
    tasks = [asyncio.create_task(load.client(n)) for n in range(clients)]
    try:
        yield load
        load.stopping = True
        async with asyncio.timeout(DEADLINE_SECONDS):
            await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def require_all(service: Service, merchant: str, load: Load) -> None:
    """Everything acknowledged is there, once, with its record."""

    async def ready() -> bool:
        return (await service.vault(None).get("/readyz")).status_code == 200

    await until(ready)  # a server that has just come back may go once more
    rows = await service.look(
        Domain.VAULT, "select token_id from vault.token where merchant_id = $1", merchant
    )
    kept = [row["token_id"] for row in rows]
    assert sorted(kept) == sorted(load.acknowledged.values()), "no more and no less"
    records = await service.look(
        Domain.VAULT,
        "select convert_from(payload, 'UTF8')::jsonb ->> 'object' as object from audit.event"
        " where merchant_id = $1 and convert_from(payload, 'UTF8')::jsonb ->> 'action' = 'vault.token.created'",
        merchant,
    )
    assert sorted(row["object"] for row in records) == sorted(kept)


async def again(server: Server) -> None:
    """Bring the server back, as an operator or a supervisor would."""
    await asyncio.to_thread(server.embedded.attach)


async def served(vault: Caller) -> None:
    """Wait until tokens are made again."""

    async def answered() -> bool:
        return (await vault.tokenize(VISA)).status_code != 503

    await until(answered, what="tokens to be made again")


async def test_the_database_is_away(tmp_path: Path) -> None:
    async with a_strongroom(tmp_path) as (service, server):
        tenant = await service.tenant()
        vault = service.vault(tenant.keys[Mode.TEST])
        gateway = service.gateway(tenant.keys[Mode.TEST])
        token = (await vault.token(VISA, "123"))["id"]
        await asyncio.to_thread(server.embedded.stop, "immediate")
        asked = [
            vault.tokenize(VISA),
            vault.tokenize(VISA, "123"),
            vault.post("/v1/tokens/bulk", {"tokens": [wish(VISA)] * 3}),
            vault.get(f"/v1/tokens/{token}"),
            vault.get("/v1/tokens"),
            vault.delete(f"/v1/tokens/{token}"),
            vault.post(f"/v1/tokens/{token}/keep", {}),
            vault.post(f"/v1/tokens/{token}/cvc", {"cvc": "123"}),
            vault.get("/v1/audit/records"),
            vault.get("/v1/audit/checkpoint"),
            gateway.get("/v1/merchant"),
            gateway.get("/v1/keys"),
            gateway.post("/v1/keys", {"kind": "pk", "name": "a"}),
        ]
        for answer in await asyncio.gather(*asked):
            assert answer.status_code == 503, answer.text
            assert answer.json()["code"] in ("database_away", "outcome_unknown"), answer.text
        # What is wrong in itself is still told as such, without the database; and nobody is let in unchecked.
        assert (await service.vault("nonsense").get("/v1/tokens")).status_code == 401
        other = service.vault(tenant.keys[Mode.LIVE])
        assert (await other.get("/v1/tokens")).status_code == 503
        ready = await service.vault(None).get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["vault_database"]) == (
            503,
            "DatabaseAway",
        )
        assert (await service.vault(None).get("/livez")).status_code == 200
        await again(server)
        await served(vault)
        assert (await vault.get(f"/v1/tokens/{token}")).status_code == 200
        assert (await service.vault(None).get("/readyz")).status_code == 200


def kill_server(server: Server) -> None:
    pid = server.embedded.process_id
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until_blocking(lambda: server.embedded.process_id is None)


def kill_backend(server: Server) -> None:
    """Kill one process that serves a client: PostgreSQL then ends all of them and recovers by itself."""
    pid = server.embedded.process_id
    assert pid is not None
    backends = [
        child
        for child in children_of(pid)
        if b"strongroom_vault" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    for backend in backends[:1]:
        os.kill(backend, signal.SIGKILL)


@pytest.mark.parametrize("kill", [kill_server, kill_backend])
async def test_kill_minus_9_in_mid_load_loses_nothing_acknowledged(
    tmp_path: Path, kill: Callable[[Server], None]
) -> None:
    async with a_strongroom(tmp_path) as (service, server):
        tenant = await service.tenant()
        vault = service.vault(tenant.keys[Mode.TEST])
        async with under_load(vault) as load:
            await load.reaches(lambda: len(load.acknowledged) >= 150)
            kill(server)
            await load.reaches(lambda: bool(load.refused))
            await again(server)
            goal = len(load.acknowledged) + 150
            await load.reaches(lambda: len(load.acknowledged) >= goal)
        assert set(load.refused) <= {"database_away", "outcome_unknown"}
        await require_all(service, tenant.merchant, load)
        await the_sealer_goes_on(vault)


async def the_sealer_goes_on(vault: Caller) -> None:
    """A record that is made now gets its place in the tree: the sealer has found its way back."""
    await vault.token(VISA)
    newest = (await vault.get("/v1/audit/records?limit=1")).json()["data"][0]["id"]

    async def proven() -> bool:
        return (await vault.get(f"/v1/audit/records/{newest}/proof")).status_code == 200

    await until(proven, what="the sealer to go on")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that can be filled."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    options = f"size={DISK_MEBIBYTES}m,mode=0711"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    for parent in tmp_path.parents:  # the server's account passes through
        with suppress(PermissionError):
            if parent.stat().st_uid == os.geteuid() and parent.stat().st_mode & 0o111 != 0o111:
                parent.chmod(parent.stat().st_mode | 0o011)
    tmp_path.chmod(0o711)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Take all of the disk's room."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(64 * 1024)):
            pass
    return ballast


async def test_the_disk_is_full(small_disk: Path, tmp_path: Path) -> None:
    state = tmp_path / "elsewhere"
    state.mkdir()
    async with a_strongroom(state, small_disk, SMALL) as (service, server):
        tenant = await service.tenant()
        vault = service.vault(tenant.keys[Mode.TEST])
        async with under_load(vault) as load:
            await load.reaches(lambda: len(load.acknowledged) >= 100)
            ballast = fill(small_disk)
            await load.reaches(lambda: len(load.refused) >= 50)
            before = len(load.acknowledged)
            ballast.unlink()
            await again(server)
            await load.reaches(lambda: len(load.acknowledged) >= before + 100)
        assert set(load.refused) <= {"database_full", "database_away", "outcome_unknown"}
        await require_all(service, tenant.merchant, load)
        await the_sealer_goes_on(vault)


@asynccontextmanager
async def with_a_key_store(
    server: Server, tmp_path: Path
) -> AsyncIterator[tuple[Service, SteppedClock, FakeKeyStore]]:
    """Lend a Strongroom whose key store can be taken away, and whose time stands."""
    clock, store = SteppedClock(datetime.now(UTC)), FakeKeyStore()
    async with (
        fresh_databases(server) as databases,
        running(databases, tmp_path, clock=clock, store=store, listens=False) as service,
    ):
        yield service, clock, store


async def test_the_key_store_is_away(server: Server, tmp_path: Path) -> None:
    async with with_a_key_store(server, tmp_path) as (service, clock, store):
        tenant, late = await service.tenant(), await service.tenant()
        vault = service.vault(tenant.keys[Mode.TEST])
        newcomer = service.vault(late.keys[Mode.TEST])
        known = await vault.token(VISA, "123")
        store.away = True
        assert (await vault.tokenize(VISA)).status_code == 201, "its keys are open for a while"
        assert (await vault.tokenize(VISA, "123")).status_code == 201
        before = await service.written(late.merchant)
        answer = await newcomer.tokenize(VISA)
        assert (answer.status_code, answer.json()["code"]) == (503, "key_store_unavailable")
        assert await service.written(late.merchant) == before
        ready = await service.vault(None).get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["key_store"]) == (
            503,
            "KeyStoreUnavailable",
        )

        clock.step(timedelta(seconds=CACHE_SECONDS + 1))
        before = await service.written(tenant.merchant)
        answers = [
            await vault.tokenize(VISA),
            await vault.tokenize(VISA, "123"),
            await vault.tokenize(VISA, deduplicate=True),
            await vault.post("/v1/tokens/bulk", {"tokens": [wish(VISA)]}),
        ]
        assert [answer.status_code for answer in answers] == [503] * 4
        assert await service.written(tenant.merchant) == before, "nothing was written"
        # What needs no key goes on.
        assert (await vault.get(f"/v1/tokens/{known['id']}")).status_code == 200
        assert (await vault.get("/v1/tokens")).status_code == 200

        store.away = False
        assert (await vault.tokenize(VISA, "123")).status_code == 201
        assert (await newcomer.tokenize(VISA)).status_code == 201


async def test_a_cvc_needs_its_own_key(server: Server, tmp_path: Path) -> None:
    """A new window begins while the key store is away: cards are still sealed, CVCs are not."""
    async with with_a_key_store(server, tmp_path) as (service, _, store):
        vault = await service.shop()
        await vault.token(VISA)
        store.away = True
        answer = await vault.tokenize(VISA, "123")
        assert (answer.status_code, answer.json()["code"]) == (503, "key_store_unavailable")
        assert (await vault.tokenize(VISA)).status_code == 201
