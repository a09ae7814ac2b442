# SPDX-License-Identifier: Apache-2.0
"""Is this process alive, and may it be sent requests? Named checks with time-outs; what HTTP makes of it is elsewhere.

Liveness never asks another system: a database that is away must not get every process restarted. A result
says which check failed and how, in a word of ours: never an error's text.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from strongroom.kernel.invariant import invariant

CHECK_SECONDS_MAX: Final = 2.0

#: Returns if all is well; raises otherwise.
Check: TypeAlias = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check said."""

    name: str
    passed: bool
    #: `ok`, `timed_out`, or the class of what it raised.
    finding: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Health:
    """What all of them said, by name."""

    results: tuple[CheckResult, ...]

    @property
    def passed(self) -> bool:
        """True if every check passed. Without checks: true."""
        return all(result.passed for result in self.results)


class HealthRegistry:
    """The checks of one process."""

    def __init__(self, *, seconds_max: float = CHECK_SECONDS_MAX) -> None:
        self._seconds_max = seconds_max
        self._liveness: dict[str, Check] = {}
        self._readiness: dict[str, Check] = {}
        self._draining = False

    def add_liveness(self, name: str, check: Check) -> None:
        """Add a check whose failure means that only a restart helps."""
        self._add(self._liveness, name, check)

    def add_readiness(self, name: str, check: Check) -> None:
        """Add a check whose failure means that requests should go elsewhere for now."""
        self._add(self._readiness, name, check)

    def drain(self) -> None:
        """Be not ready from now on: the process is about to stop."""
        self._draining = True

    async def liveness(self) -> Health:
        """Run the liveness checks."""
        return await self._run(self._liveness)

    async def readiness(self) -> Health:
        """Run the readiness checks, all at once."""
        health = await self._run(self._readiness)
        if self._draining:
            return Health((*health.results, CheckResult("draining", False, "stopping", 0.0)))
        return health

    def _add(self, checks: dict[str, Check], name: str, check: Check) -> None:
        invariant(name not in checks and name != "draining", "a check's name is its own")
        checks[name] = check

    async def _run(self, checks: dict[str, Check]) -> Health:
        results = await asyncio.gather(
            *(self._one(name, check) for name, check in sorted(checks.items()))
        )
        return Health(tuple(results))

    async def _one(self, name: str, check: Check) -> CheckResult:
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            async with asyncio.timeout(self._seconds_max):
                await check()
        except TimeoutError:
            finding = "timed_out"
        except Exception as error:  # noqa: BLE001 - whatever a check raises is its finding
            finding = type(error).__name__
        else:
            finding = "ok"
        return CheckResult(name, finding == "ok", finding, clock() - started)
