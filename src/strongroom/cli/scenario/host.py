# SPDX-License-Identifier: Apache-2.0
"""The demo's hold on its processes, server and simulator: starts one, hears its steps, stops it in order."""

import asyncio
import contextlib
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from strongroom.kernel.errors import StrongroomError

START_SECONDS_MAX: Final = 120.0
STOP_SECONDS_MAX: Final = 45.0
_LINES_SHOWN: Final = 8


class ServerFailed(StrongroomError):
    """The demo's server did not start, or ended by itself."""

    code = "demo_server_failed"


@dataclass(frozen=True, slots=True)
class Ready:
    """The server answers there."""

    vault: str
    gateway: str
    #: Where processors and returning customers reach it.
    webhooks: str
    #: Where people log in.
    console: str


@dataclass(frozen=True, slots=True)
class Program:
    """What is started: a module that speaks as `child` does."""

    name: str
    module: str
    arguments: Sequence[str]
    #: What it prints outside its lines: nothing, as long as all is well.
    output: Path
    #: Variables beside this process's own.
    environment: Mapping[str, str] = field(default_factory=dict)


class ChildProcess:
    """One process. `told` hears its steps."""

    def __init__(self, program: Program, told: Callable[[str], None]) -> None:
        self._program = program
        self._told = told
        self._process: Process | None = None

    async def start(self, *, keep: Sequence[int]) -> None:
        """Start it. It holds the descriptors `keep` for as long as it lives."""
        program = self._program
        with program.output.open("wb") as output:
            program.output.chmod(0o600)
            self._process = await asyncio.create_subprocess_exec(
                "/usr/bin/env",
                *(f"{name}={value}" for name, value in program.environment.items()),
                sys.executable,
                "-P",
                "-m",
                program.module,
                *program.arguments,
                stdin=PIPE,
                stdout=PIPE,
                stderr=output,
                pass_fds=keep,
                start_new_session=True,  # a terminal's Ctrl-C is for the demo, which then stops this one
            )

    async def ready(self) -> dict[str, Any]:
        """Wait until it answers; return what it then says.

        Raises:
            ServerFailed: it did not come up; says what it said.
        """
        async with asyncio.timeout(START_SECONDS_MAX):
            while (line := await self._line()) is not None:
                if line["kind"] == "ready":
                    return line
                if line["kind"] == "failed":
                    raise ServerFailed(f"{line['code']}: {line['detail']}")
        raise ServerFailed(self._last_words())

    async def ended(self) -> None:
        """Wait until it ends by itself, which it should not."""
        if self._process is not None:
            await self._process.wait()

    async def stop(self) -> bool:
        """Stop it in order; tell whether it said that all it had started stopped, too."""
        process, self._process = self._process, None
        if process is None:
            return False
        if process.stdin is not None:
            process.stdin.close()
        stopped = False
        try:
            async with asyncio.timeout(STOP_SECONDS_MAX):
                while (line := await _line_of(process, self._told)) is not None:
                    stopped = stopped or (line["kind"] == "stopped" and line["whole"])
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        return stopped

    async def _line(self) -> dict[str, Any] | None:
        return None if self._process is None else await _line_of(self._process, self._told)

    def _last_words(self) -> str:
        said = self._program.output.read_text("utf-8", "replace").strip().splitlines()
        ended = f"the {self._program.name} ended while starting; it said:"
        return "\n  ".join([ended, *said[-_LINES_SHOWN:]])


async def _line_of(process: Process, told: Callable[[str], None]) -> dict[str, Any] | None:
    """Return the next thing it said, None at its end. Steps are told on the way."""
    if process.stdout is None:
        return None
    while raw := await process.stdout.readline():
        line: dict[str, Any] = json.loads(raw)
        if line["kind"] != "step":
            return line
        told(line["text"])
    return None
