# SPDX-License-Identifier: Apache-2.0
"""Serves a simulator over plain HTTP in the running event loop. On loopback, unless told otherwise by name.

aiohttp's own server, because its connections can be cut without an answer, which granian's cannot.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from strongroom.crypto import new_secret_text, random_bytes
from strongroom.kernel.clock import Clock, SystemClock
from strongroom.simulator.app import App
from strongroom.simulator.control import SimulatorControl
from strongroom.simulator.errors import SimulatorPortTaken
from strongroom.simulator.notices import RETRY_SECONDS
from strongroom.simulator.processor import HOLD_SECONDS
from strongroom.simulator.simulation import PENDING_SECONDS, Simulation

LOOPBACK: Final = "127.0.0.1"
CONTROL_KEY_FILE_NAME: Final = "control.key"
FINGERPRINT_KEY_FILE_NAME: Final = "fingerprint.key"
CONTROL_KEY_BITS: Final = 256
_FINGERPRINT_KEY_BYTES: Final = 32
_PRIVATE: Final = 0o600
_STOP_SECONDS: Final = 1.0
#: Longer than any client keeps a connection, so that none is closed while a request is on its way.
_KEEP_ALIVE_SECONDS: Final = 3_600.0
_BACKLOG: Final = 1_024


class Simulator:
    """A simulator with its folder. `start` returns once it accepts connections; `stop` forgets nothing that counts."""

    def __init__(
        self,
        folder: Path,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        control_key: str | None = None,
        latency_ms: float = 0,
        pending_seconds: float | None = PENDING_SECONDS,
        hold_seconds: float = HOLD_SECONDS,
        retry_seconds: Sequence[float] = RETRY_SECONDS,
        public_url: str | None = None,
        authority: Path | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Read the folder's journal back; nothing listens yet.

        Args:
            folder: where journal, accounts and keys are; made if it is not there.
            host: where to listen.
            port: likewise; 0 takes a free one.
            control_key: None takes the one in the folder, made at the first start.
            latency_ms: of answers that concern money.
            pending_seconds: when pending payments are approved; None: never by themselves.
            hold_seconds: how long authorizations hold, it says; nothing expires by itself.
            retry_seconds: waits between attempts to deliver a webhook; the last one repeats.
            public_url: where browsers reach it, if that is elsewhere.
            authority: PEM file of an authority that its webhooks trust besides the machine's own.
            clock: None takes the machine's.

        Raises:
            SimulatorFolderTaken: another simulator has the folder.
            JournalUnreadable: its journal is none of ours.
        """
        self.simulation: Final = Simulation.open(folder, clock or SystemClock())
        pace = self.simulation.pace
        pace.latency, pace.pending = latency_ms / 1000, pending_seconds
        self.simulation.processor.hold_seconds = hold_seconds
        self.simulation.notices.retry_seconds = tuple(retry_seconds)
        self.simulation.notices.authority = authority
        self.control_key: Final = control_key or _kept(
            folder / CONTROL_KEY_FILE_NAME, b"sim_ck_" + new_secret_text(CONTROL_KEY_BITS).encode()
        ).decode("ascii")
        fingerprint_key = _kept(
            folder / FINGERPRINT_KEY_FILE_NAME, random_bytes(_FINGERPRINT_KEY_BYTES).hex().encode()
        )
        self._app = App(self.simulation, self.control_key, fingerprint_key)
        self._host, self._port, self._public_url = host, port, public_url
        self._web: web.Server | None = None
        self._listener: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where browsers and clients reach it, once it is started."""
        return self.simulation.url

    async def start(self) -> None:
        """Listen.

        Raises:
            SimulatorPortTaken: it cannot.
        """
        loop = asyncio.get_running_loop()
        self._web = web.Server(
            self._app.handle, access_log=None, keepalive_timeout=_KEEP_ALIVE_SECONDS
        )
        try:
            self._listener = await loop.create_server(
                self._web, self._host, self._port, backlog=_BACKLOG, reuse_address=True
            )
        except OSError as error:
            self.simulation.ledger.close()
            raise SimulatorPortTaken(f"{self._host}:{self._port}: {error.strerror}") from None
        port = self._listener.sockets[0].getsockname()[1]
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.simulation.url = (self._public_url or f"http://{host}:{port}").rstrip("/")
        await self.simulation.start()

    async def stop(self) -> None:
        """Take no new requests, let those end that are under way, cut those that are held."""
        self.simulation.stopping = True
        if self._listener is not None:
            self._listener.close()
        if self._web is not None:
            self._web.pre_shutdown()
            await self._web.shutdown(_STOP_SECONDS)
        if self._listener is not None:
            await self._listener.wait_closed()
        await self.simulation.stop()


@dataclass(frozen=True, slots=True)
class Simulated:
    """A simulator that runs in this process."""

    url: str
    control_key: str
    folder: Path
    #: A client of its control API, open while it runs.
    control: SimulatorControl


@asynccontextmanager
async def running_simulator(
    folder: Path,
    port: int = 0,
    control_key: str | None = None,
    latency_ms: float = 0,
    *,
    pending_seconds: float | None = PENDING_SECONDS,
    hold_seconds: float = HOLD_SECONDS,
    retry_seconds: Sequence[float] = RETRY_SECONDS,
    authority: Path | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Simulated]:
    """Run a simulator on loopback in this event loop; see `Simulator` for the arguments."""
    simulator = Simulator(
        folder,
        port=port,
        control_key=control_key,
        latency_ms=latency_ms,
        pending_seconds=pending_seconds,
        hold_seconds=hold_seconds,
        retry_seconds=retry_seconds,
        authority=authority,
        clock=clock,
    )
    await simulator.start()
    try:
        async with SimulatorControl(simulator.url, simulator.control_key) as control:
            yield Simulated(simulator.url, simulator.control_key, folder, control)
    finally:
        await simulator.stop()


def _kept(path: Path, made: bytes) -> bytes:
    """Return what a private file holds, which is `made` if it is not there yet."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    except FileExistsError:
        return path.read_bytes().strip()
    with os.fdopen(descriptor, "wb") as file:
        file.write(made)
    return made
