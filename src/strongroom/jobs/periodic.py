# SPDX-License-Identifier: Apache-2.0
"""Runs a role's periodic work. A round that fails is logged and tried again; it never ends the process."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from strongroom.kernel.errors import StrongroomError
from strongroom.telemetry.log import Log

STOP_SECONDS_MAX: Final = 10


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of periodic work: its name, how often, and what is done. May run in several processes at once."""

    name: str
    every_seconds: float
    run: Callable[[], Awaitable[object]]


class Periodic:
    """The periodic work of one process."""

    def __init__(self, tasks: Sequence[Task], log: Log) -> None:
        self._tasks = tasks
        self._log = log
        self._stop = asyncio.Event()
        self._running: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; each task runs once at once."""
        self._running = [
            asyncio.get_running_loop().create_task(self._repeat(task), name=f"job-{task.name}")
            for task in self._tasks
        ]

    async def stop(self) -> None:
        """Let the rounds that are under way end."""
        self._stop.set()
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=STOP_SECONDS_MAX)
            for task in late:
                task.cancel()

    async def _repeat(self, task: Task) -> None:
        while not self._stop.is_set():
            await self._round(task)
            try:
                await asyncio.wait_for(self._stop.wait(), timeout=task.every_seconds)
            except TimeoutError:
                continue

    async def _round(self, task: Task) -> None:
        try:
            await task.run()
        except StrongroomError as error:
            self._log.emit(
                "warning",
                "jobs.round_failed",
                {"job": task.name, "code": error.code, "reason": error.detail},
            )
        except Exception as error:  # noqa: BLE001 - a bug in one job does not stop the others
            self._log.emit(
                "error",
                "jobs.round_failed",
                {"job": task.name, "error_class": type(error).__name__},
            )
