# SPDX-License-Identifier: Apache-2.0
"""The installation that is beaten: a database, a gateway and a worker as processes that can be killed, a witness.

The gateway takes requests and does no jobs; the worker does them and takes what processors tell. Both are the real
command line. The simulator lives in this process and is never killed: its journal is the truth.
"""

import asyncio
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import httpx

from database import Databases, fresh_databases, migrated_server
from polling import until
from service import free_ports
from strongroom import compose
from strongroom.audit import Origin
from strongroom.cli.installation import Installation
from strongroom.config import load_settings
from strongroom.db.logins import Domain
from strongroom.db.pool import connect
from strongroom.identity import KeyWish
from strongroom.kernel.clock import SystemClock
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import KeyKind
from strongroom.simulator import Simulated, running_simulator
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import Metrics
from strongroom.telemetry.sink import MemorySink

TIMEOUT_SECONDS: Final = 1
READY_SECONDS_MAX: Final = 300.0
#: A compressed page in the write-ahead log would hide what is searched for afterwards.
SIZES: Final = {
    "shared_buffers": "128MB",
    "max_connections": "250",
    "autovacuum_naptime": "5s",
    "max_wal_size": "512MB",
    "checkpoint_timeout": "30s",
    "wal_compression": "off",
}
_EVERYWHERE: Final = {
    "STRONGROOM_EGRESS_LOOPBACK": "127.0.0.1",
    "STRONGROOM_PROCESSOR_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS),
    "STRONGROOM_RECOVERY_DELAYS_SECONDS": "1,1,2,3",
    "STRONGROOM_DELIVERY_DELAYS_SECONDS": ",".join(["1"] * 10 + ["2"] * 20 + ["3"] * 40),
    "STRONGROOM_WORKER_POLL_MS": "50",
    "STRONGROOM_RATE_SECRET_PER_SECOND": "1000000",
    "STRONGROOM_RATE_VISITOR_PER_SECOND": "1000000",
    "STRONGROOM_RATE_STRANGER_PER_SECOND": "1000000",
    "STRONGROOM_AUDIT_ORIGIN": "audit.strongroom.example",
}


@dataclass(slots=True)
class Process:
    """A `strongroom serve`, through its lives."""

    name: str
    environment: Mapping[str, str]
    output: Path
    authority: Path
    lives: int = 0
    running: asyncio.subprocess.Process | None = None
    _file: IO[bytes] | None = None

    @property
    def vault(self) -> str:
        return f"https://{self.environment['STRONGROOM_VAULT_LISTEN']}"

    @property
    def gateway(self) -> str:
        return f"https://{self.environment['STRONGROOM_GATEWAY_LISTEN']}"

    async def start(self) -> None:
        """Start it; it may be a while until it answers."""
        self._file = self._file or self.output.open("ab")
        self.lives += 1
        self.running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "strongroom", "serve"),
            env={**os.environ, **self.environment},
            stdout=self._file,
            stderr=self._file,
        )

    async def until_ready(self) -> None:
        """Wait until it says that it is ready. One that ends instead is started again: its database was away."""
        trusted = ssl.create_default_context(cafile=str(self.authority))
        last = "no answer"
        async with httpx.AsyncClient(verify=trusted, timeout=2) as client:

            async def ready() -> bool | None:
                nonlocal last
                if self.running is None or self.running.returncode is not None:
                    last = "ended by itself"
                    await self.start()
                with suppress(httpx.TransportError):
                    answer = await client.get(f"{self.vault}/readyz")
                    last = answer.text
                    return answer.status_code == 200 or None
                return None

            try:
                await until(
                    ready, what=f"the {self.name} to be ready", seconds=READY_SECONDS_MAX, every=0.1
                )
            except AssertionError as late:
                raise AssertionError(f"{late}: {last}; it says: {self._last_words()}") from None

    def _last_words(self) -> str:
        return self.output.read_text("utf-8")[-2_000:]

    async def end(self, sign: signal.Signals) -> None:
        """Signal it, and wait until it is gone."""
        if self.running is not None and self.running.returncode is None:
            self.running.send_signal(sign)
            await self.running.wait()


@dataclass(slots=True)
class Ground:
    """Everything a run stands on."""

    folder: Path
    databases: Databases
    installation: Installation
    simulated: Simulated
    processes: Mapping[str, Process]
    database_up: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def authority(self) -> Path:
        return self.installation.authority_file

    async def look(self, domain: Domain, query: str, *values: object) -> list[dict[str, Any]]:
        """Ask a database as its superuser, who sees every tenant's rows."""
        connection = await connect(self.databases.administrator(domain))
        try:
            return [dict(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()

    async def merchants(self, names: list[str]) -> dict[str, tuple[str, str]]:
        """Make merchants; return each one's id and secret key."""
        made: dict[str, tuple[str, str]] = {}
        installation = self.installation
        site = compose.Site(
            installation.settings,
            installation.address,
            installation.passphrase(),
            Log(MemorySink(), clock=installation.clock),
            Metrics(),
            installation.clock,
        )
        composer = compose.Composer(site)
        try:
            identity = await composer.operator_identity()
            for name in names:
                merchant = await identity.create_merchant(
                    name, actor="operator:tests", origin=Origin()
                )
                wish = KeyWish(merchant.merchant_id, Mode.TEST, KeyKind.SECRET, "simulation")
                key = await identity.create_key(wish, actor="operator:tests", origin=Origin())
                made[name] = merchant.merchant_id, key.text.expose()
        finally:
            await composer.close()
        return made

    async def kill_database(self, *, hard: bool) -> None:
        """End the database server: every process of it at once, or as by a crash of the server itself."""
        leader = self.databases.server.embedded.process_id
        if leader is None:
            return
        doomed = [leader, *_children(leader)] if hard else [leader]
        for process in doomed:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL if hard else signal.SIGQUIT)

        async def gone() -> bool | None:
            return not any(_lives(process) for process in doomed) or None

        await until(gone, what="the database to be gone")

    async def start_database(self) -> None:
        """Bring it up again; it recovers what was committed."""
        await asyncio.to_thread(self.databases.server.embedded.attach)
        self.database_up.set()


def _lives(process: int) -> bool:
    try:
        return bool(Path(f"/proc/{process}/cmdline").read_bytes())
    except OSError:
        return False


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            status = (entry / "stat").read_text("utf-8").rpartition(")")[2].split()
            if entry.name.isdigit() and int(status[1]) == parent:
                found.append(int(entry.name))
    return found


@asynccontextmanager
async def beaten_ground() -> AsyncIterator[Ground]:
    """Lend an installation with both processes ready, and remove it in the end."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(migrated_server(SIZES))
        databases = await stack.enter_async_context(fresh_databases(server))
        folder = server.folder
        logins = folder / "logins"
        logins.mkdir(mode=0o700)
        for login, secret in server.secrets.items():
            (logins / login.value).write_text(secret.expose(), "utf-8")
        socket = server.administrator().host
        for domain in Domain:
            (folder / f"{domain}.dsn").write_text(
                f"postgresql:///{databases.names[domain]}?host={socket}", "utf-8"
            )
        ports = free_ports(8)
        public = f"https://127.0.0.1:{ports[6]}"
        environments = {
            name: {
                **_EVERYWHERE,
                "STRONGROOM_STATE": str(folder / "installation"),
                "STRONGROOM_VAULT_DATABASE": f"file:{folder / 'vault.dsn'}",
                "STRONGROOM_CORE_DATABASE": f"file:{folder / 'core.dsn'}",
                "STRONGROOM_LOGIN_SECRETS": str(logins),
                "STRONGROOM_VAULT_LISTEN": f"127.0.0.1:{ports[at]}",
                "STRONGROOM_GATEWAY_LISTEN": f"127.0.0.1:{ports[at + 1]}",
                "STRONGROOM_WEBHOOKS_LISTEN": f"127.0.0.1:{ports[at + 2]}",
                "STRONGROOM_CONSOLE_LISTEN": f"127.0.0.1:{ports[at + 3]}",
                "STRONGROOM_PUBLIC_URL": public,
                "STRONGROOM_LOG_FILE": str(folder / "log" / f"{name}.log"),
                "STRONGROOM_WORKER": "true" if name == "worker" else "false",
            }
            for name, at in (("gateway", 0), ("worker", 4))
        }
        installation = Installation(load_settings(environments["gateway"]), SystemClock())
        installation.make_secrets()
        installation.make_keys()
        installation.tls()
        simulated = await stack.enter_async_context(
            running_simulator(
                folder / "simulator",
                pending_seconds=1.0,
                retry_seconds=(0.2, 0.5, 1.0),
                authority=installation.authority_file,
            )
        )
        processes = {
            name: Process(name, each, folder / f"{name}.out", installation.authority_file)
            for name, each in environments.items()
        }
        ground = Ground(folder, databases, installation, simulated, processes)
        ground.database_up.set()
        try:
            for process in processes.values():
                await process.start()
            await asyncio.gather(*(process.until_ready() for process in processes.values()))
            yield ground
        finally:
            for process in processes.values():
                await process.end(signal.SIGKILL)
                if process._file is not None:
                    process._file.close()
            with suppress(Exception):  # it may be down; then it is only removed
                await ground.start_database()
