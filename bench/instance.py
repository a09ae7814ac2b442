# SPDX-License-Identifier: Apache-2.0
"""A fresh installation that serves in one process of its own or in two, for a measurement, and is removed afterwards."""

import asyncio
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from strongroom import compose
from strongroom.audit import Origin
from strongroom.cli.installation import Installation
from strongroom.config import load_settings
from strongroom.identity import KeyWish
from strongroom.kernel.clock import SystemClock
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import KeyKind
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import Metrics
from strongroom.telemetry.sink import MemorySink


@dataclass(frozen=True, slots=True)
class Instance:
    """A serving installation."""

    url: str
    authority: Path
    key: str
    process: int
    state: Path
    gateway: str
    #: The public listener that notices go to: the worker's own, where it has a process of its own.
    webhooks: str
    #: The process that does the worker's jobs; the same one where everything is in one process.
    worker: int
    installation: Installation

    def processor_seconds(self) -> tuple[float, float]:
        """Return the processor time used so far by the server and by its PostgreSQL."""
        return processor_seconds(self.process), self.database_seconds()

    def database_seconds(self) -> float:
        """Return the processor time used so far by PostgreSQL, of the backends that are still there."""
        tree: dict[int, list[int]] = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and (parent := _stat(int(entry))):
                tree.setdefault(parent[0], []).append(int(entry))
        data = str(self.state / "postgres")
        postmaster = next(
            (int(e) for e in os.listdir("/proc") if e.isdigit() and _is_postmaster(int(e), data)),
            None,
        )
        database = [] if postmaster is None else [postmaster, *tree.get(postmaster, [])]
        return sum(processor_seconds(process) for process in database)


def _stat(process: int) -> tuple[int, float] | None:
    try:
        fields = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def processor_seconds(process: int) -> float:
    """Return the processor time that a process used so far; 0 when it is gone."""
    found = _stat(process)
    return 0.0 if found is None else found[1]


def _is_postmaster(process: int, data: str) -> bool:
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False
    return b"\0-D\0" in command and data.encode() in command


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(
    environment: Mapping[str, str] | None = None, *, worker_apart: bool = False
) -> Iterator[Instance]:
    """Make an installation, serve it, and stop and remove it in the end.

    Args:
        environment: further settings.
        worker_apart: let a second process do the worker's jobs and take the processors' notices.
    """
    # Below a folder that the server's own user reaches, also where this runs as root.
    state = Path(tempfile.mkdtemp(prefix="strongroom-bench-", dir="/var/tmp"))
    state.chmod(0o711)
    first = {name: free_port() for name in ("VAULT", "GATEWAY", "WEBHOOKS", "CONSOLE")}
    second = {name: free_port() for name in first} if worker_apart else first
    variables = {
        **os.environ,
        "STRONGROOM_STATE": str(state),
        **_listeners(first),
        "STRONGROOM_PUBLIC_URL": f"https://127.0.0.1:{second['WEBHOOKS']}",
        "STRONGROOM_LOG_FILE": str(state / "log" / "strongroom.log"),
        "STRONGROOM_RATE_SECRET_PER_SECOND": "1000000",
        "STRONGROOM_RATE_VISITOR_PER_SECOND": "1000000",
        **(environment or {}),
    }
    installation = Installation(load_settings(variables), SystemClock())
    started: list[subprocess.Popen[bytes]] = []
    try:
        installation.make_secrets()
        installation.make_keys()
        installation.tls()
        installation.attach()
        key = asyncio.run(_prepared(installation))
        ways = [{**variables, "STRONGROOM_WORKER": "false"}] if worker_apart else [variables]
        if worker_apart:
            log = {"STRONGROOM_LOG_FILE": str(state / "log" / "worker.log")}
            ways.append({**variables, **_listeners(second), **log})
        for way in ways:
            process = subprocess.Popen(
                [sys.executable, "-m", "strongroom", "serve"], env=way, stderr=subprocess.DEVNULL
            )
            started.append(process)
            url = f"https://{way['STRONGROOM_GATEWAY_LISTEN']}"
            _await_ready(url, installation.authority_file, process)
        yield Instance(
            f"https://127.0.0.1:{first['VAULT']}",
            installation.authority_file,
            key,
            started[0].pid,
            state,
            f"https://127.0.0.1:{first['GATEWAY']}",
            f"https://127.0.0.1:{second['WEBHOOKS']}",
            started[-1].pid,
            installation,
        )
    finally:
        for process in reversed(started):
            process.send_signal(signal.SIGINT)
        for process in started:
            process.wait(timeout=30)
        installation.detach()
        shutil.rmtree(state, ignore_errors=True)


def _listeners(ports: Mapping[str, int]) -> dict[str, str]:
    return {f"STRONGROOM_{name}_LISTEN": f"127.0.0.1:{port}" for name, port in ports.items()}


async def _prepared(installation: Installation) -> str:
    await installation.make_databases(lambda _step: None)
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
        merchant = await identity.create_merchant("Bench", actor="system:bench", origin=Origin())
        made = await identity.create_key(
            KeyWish(merchant.merchant_id, Mode.TEST, KeyKind.SECRET, "bench"),
            actor="system:bench",
            origin=Origin(),
        )
        return made.text.expose()
    finally:
        await composer.close()


def _await_ready(url: str, authority: Path, process: subprocess.Popen[bytes]) -> None:
    context = ssl.create_default_context(cafile=str(authority))
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/readyz", context=context, timeout=1) as answer:  # noqa: S310
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the server did not become ready")
