# SPDX-License-Identifier: Apache-2.0
"""A Strongroom whose roles are processes of their own, started by the command line, and a simulator beside it."""

import asyncio
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from command_line import SCRIPT, Installed, installed
from service import Caller, free_ports
from strongroom.config.roles import ServedRole
from strongroom.simulator import Simulated, running_simulator

SECONDS_MAX: Final = 60.0


@dataclass(slots=True)
class Apart:
    """An installation, and its roles' processes."""

    site: Installed
    ports: Mapping[str, int]
    variables: dict[str, str]
    processes: dict[ServedRole, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def authority(self) -> Path:
        return self.site.state / "tls" / "ca.pem"

    def log_of(self, role: ServedRole) -> Path:
        return self.site.state.parent / f"{role}.log"

    def said_by(self, role: ServedRole) -> str:
        """What a process printed to people."""
        return (self.site.state.parent / f"{role}.said").read_text("utf-8")

    def begin(self, role: ServedRole, *program: str, **variables: str) -> None:
        """Start a role's process."""
        with (self.site.state.parent / f"{role}.said").open("wb") as said:
            self.processes[role] = subprocess.Popen(
                [*(program or [str(SCRIPT)]), "serve", "--role", role],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=self.site.state.parent,
                env={
                    "PATH": "/usr/bin:/bin",
                    "HOME": str(self.site.state.parent),
                    "LC_ALL": "C.UTF-8",
                    **self.site.run.variables,
                    **self.variables,
                    "STRONGROOM_LOG_FILE": str(self.log_of(role)),
                    **variables,
                },
            )

    def client(self, listener: str) -> httpx.AsyncClient:
        trusted = ssl.create_default_context(cafile=str(self.authority))
        url = f"https://127.0.0.1:{self.ports[listener]}"
        return httpx.AsyncClient(base_url=url, verify=trusted, timeout=30)

    async def ready(self, role: ServedRole) -> dict[str, str]:
        """Wait until a role says that it can serve; return its checks."""
        end = time.monotonic() + SECONDS_MAX
        answer = None
        async with self.client(role) as client:
            while time.monotonic() < end:
                code = self.processes[role].poll()
                assert code is None, f"{role} ended with {code}: {self.said_by(role)}"
                try:
                    answer = await client.get("/readyz")
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
                    continue
                if answer.status_code == 200:
                    return dict(answer.json()["checks"])
                await asyncio.sleep(0.05)
        raise AssertionError(f"{role} is not ready: {answer and answer.text} {self.said_by(role)}")

    async def start(self, roles: Sequence[ServedRole] = tuple(ServedRole)) -> None:
        """Start roles, the vault first, and wait for each."""
        for role in roles:
            self.begin(role)
        for role in roles:
            await self.ready(role)

    def end(self, role: ServedRole) -> int:
        """Ask a process to stop, and return its code."""
        process = self.processes.pop(role)
        process.terminate()
        return process.wait(SECONDS_MAX)

    def close(self) -> None:
        """End every process that runs."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()

    async def metrics(self, listener: str) -> str:
        async with self.client(listener) as client:
            return (await client.get("/metrics")).text


@contextmanager
def apart(**variables: str) -> Iterator[Apart]:
    """Lend an installation with certificates for its internal port, and nothing started."""
    names = ("vault", "gateway", "webhooks", "console", "worker", "vault_internal")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    with installed(list(ports.values())) as site:
        internal = f"127.0.0.1:{ports['vault_internal']}"
        given = {
            "STRONGROOM_WORKER_LISTEN": f"127.0.0.1:{ports['worker']}",
            "STRONGROOM_VAULT_INTERNAL_LISTEN": internal,
            "STRONGROOM_VAULT_INTERNAL_URL": f"https://{internal}",
            "STRONGROOM_PUBLIC_URL": f"https://127.0.0.1:{ports['webhooks']}",
            "STRONGROOM_EGRESS_LOOPBACK": "127.0.0.1",
            "STRONGROOM_PROCESSOR_TIMEOUT_SECONDS": "4",
            "STRONGROOM_RECOVERY_DELAYS_SECONDS": "1,1,2",
            "STRONGROOM_WORKER_POLL_MS": "20",
            **variables,
        }
        site.run.variables.update(given)
        made = Apart(site, ports, given)
        site.run.done("pki", "init")
        try:
            yield made
        finally:
            made.close()


@dataclass(slots=True)
class Till:
    """A merchant's keys, and an account at the simulator, over processes apart."""

    vault: Caller
    gateway: Caller
    simulated: Simulated
    connection: dict[str, Any]

    async def pay(
        self, number: str, *, amount: int = 1_000, cvc: str | None = None
    ) -> httpx.Response:
        """Make a token and charge it."""
        token = await self.vault.token(number, cvc)
        body = {"amount": amount, "currency": "AED", "token": token["id"], "confirm": True}
        return await self.gateway.post(
            "/v1/payments", {**body, **({"cvc": token["cvc"]} if cvc else {})}
        )


@asynccontextmanager
async def till(made: Apart, folder: Path) -> AsyncIterator[Till]:
    """Open a shop as its owner would: by the command line, over what serves."""
    run = made.site.run
    merchant = run.done("merchant", "create", "Corner Shop", "--quiet").out.strip()
    key = run.done(
        "key", "create", "--merchant", merchant, "--mode", "test", "--kind", "sk", "--name",
        "till", "--quiet",
    ).out.strip()  # fmt: skip
    async with (
        running_simulator(folder, authority=made.authority, retry_seconds=(0.1, 0.2)) as simulated,
        made.client("vault") as vault,
        made.client("gateway") as gateway,
    ):
        account = await simulated.control.account("acct_apart")
        callers = Caller(vault, key), Caller(gateway, key)
        secret = "sim_whsec_" + "5e" * 24
        answer = await callers[1].post(
            "/v1/connections",
            {
                "processor": "simulator",
                "account": "acct_apart",
                "base_url": simulated.url,
                "credentials": {"api_key": account.api_key},
                "webhook_secret": secret,
            },
        )
        assert answer.status_code == 201, answer.text
        connection = dict(answer.json())
        await simulated.control.account(
            "acct_apart",
            api_key=account.api_key,
            webhook_url=connection["webhook_url"],
            webhook_secrets=(secret,),
        )
        yield Till(*callers, simulated, connection)
