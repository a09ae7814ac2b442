# SPDX-License-Identifier: Apache-2.0
"""A fresh installation that serves in a process of its own, for a measurement, and is removed afterwards."""

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
from collections.abc import Iterator
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

    def processor_seconds(self) -> tuple[float, float]:
        """Return the processor time used so far by the server and by its PostgreSQL."""
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
        return _used(self.process), sum(_used(process) for process in database)


def _stat(process: int) -> tuple[int, float] | None:
    try:
        fields = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _used(process: int) -> float:
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
def serving(**environment: str) -> Iterator[Instance]:
    """Make an installation, serve it, and stop and remove it in the end."""
    # Below a folder that the server's own user reaches, also where this runs as root.
    state = Path(tempfile.mkdtemp(prefix="strongroom-bench-", dir="/var/tmp"))
    state.chmod(0o711)
    vault, gateway = free_port(), free_port()
    variables = {
        **os.environ,
        "STRONGROOM_STATE": str(state),
        "STRONGROOM_VAULT_LISTEN": f"127.0.0.1:{vault}",
        "STRONGROOM_GATEWAY_LISTEN": f"127.0.0.1:{gateway}",
        "STRONGROOM_LOG_FILE": str(state / "log" / "strongroom.log"),
        "STRONGROOM_RATE_SECRET_PER_SECOND": "1000000",
        **environment,
    }
    installation = Installation(load_settings(variables), SystemClock())
    process: subprocess.Popen[bytes] | None = None
    try:
        installation.make_secrets()
        installation.make_keys()
        installation.tls()
        installation.attach()
        key = asyncio.run(_prepared(installation))
        process = subprocess.Popen(
            [sys.executable, "-m", "strongroom", "serve"], env=variables, stderr=subprocess.DEVNULL
        )
        url = f"https://127.0.0.1:{vault}"
        _await_ready(url, installation.authority_file, process)
        yield Instance(url, installation.authority_file, key, process.pid, state)
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
        installation.detach()
        shutil.rmtree(state, ignore_errors=True)


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
