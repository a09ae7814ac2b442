# SPDX-License-Identifier: Apache-2.0
"""Waiting for something to come to hold: looking again and again up to a deadline, never for a fixed time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, overload

T = TypeVar("T")

#: Only a test that fails waits so long; a busy machine, in which a demo starts a database, needs most of it.
SECONDS_MAX: Final = 120.0
EVERY_SECONDS: Final = 0.01


@overload
async def until(
    look: Callable[[], Awaitable[T | None]],
    *,
    what: str = ...,
    seconds: float = ...,
    every: float = ...,
) -> T: ...
@overload
async def until(
    look: Callable[[], T | None], *, what: str = ..., seconds: float = ..., every: float = ...
) -> T: ...
async def until(
    look: Callable[[], Any],
    *,
    what: str = "it to hold",
    seconds: float = SECONDS_MAX,
    every: float = EVERY_SECONDS,
) -> Any:
    """Return what a look finds as soon as it finds something; fail, and say what was waited for, where it does not."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        await asyncio.sleep(every)


def until_blocking(
    look: Callable[[], T | None], *, what: str = "it to hold", seconds: float = SECONDS_MAX
) -> T:
    """Likewise without an event loop."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(EVERY_SECONDS)
    return found
