# SPDX-License-Identifier: Apache-2.0
"""A key store that is slow, throttling or gone takes nobody down with it: few calls at once, a bounded wait, a breaker.

There is no fallback. What is refused here is KeyStoreUnavailable, and says when asking again may help; keys that are
cached in the keyring go on serving until they expire.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from math import ceil
from time import monotonic
from typing import Final, TypeVar

from strongroom.kernel.breaker import Breaker
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.secret import Secret
from strongroom.keys.errors import KeyStoreUnavailable
from strongroom.keys.model import NewDataKey, RootInfo
from strongroom.keys.ports import KeyStore
from strongroom.keys.purposes import Purpose
from strongroom.telemetry.metrics import KeyMetrics

CALLS_AT_ONCE: Final = 16
WAITING_MAX: Final = 256
#: Waiting for a place and the call together. Longer than a store's own bound, shorter than a request's.
CALL_SECONDS: Final = 8.0

Result = TypeVar("Result")


class GuardedKeyStore:
    """Implements `KeyStore` over another one."""

    def __init__(
        self,
        store: KeyStore,
        metrics: KeyMetrics,
        *,
        breaker: Breaker | None = None,
        now: Callable[[], float] = monotonic,
        calls_at_once: int = CALLS_AT_ONCE,
        waiting_max: int = WAITING_MAX,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._breaker = breaker or Breaker()
        self._now = now
        self._places = asyncio.Semaphore(calls_at_once)
        self._calls_at_once = calls_at_once
        self._waiting_max = waiting_max
        self._call_seconds = call_seconds
        self._inside = 0
        self._tell()

    @property
    def name(self) -> str:
        """The wrapped store's kind."""
        return self._store.name

    async def generate(self, purpose: Purpose, context: Mapping[str, str]) -> NewDataKey:
        """Make a data key."""
        return await self._guarded(lambda: self._store.generate(purpose, context))

    async def wrap(self, purpose: Purpose, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        """Wrap a key."""
        return await self._guarded(lambda: self._store.wrap(purpose, plaintext, context))

    async def unwrap(
        self, purpose: Purpose, wrapped: bytes, context: Mapping[str, str]
    ) -> Secret[bytes]:
        """Unwrap a key."""
        return await self._guarded(lambda: self._store.unwrap(purpose, wrapped, context))

    async def describe(self) -> Sequence[RootInfo]:
        """Say what the roots are."""
        return await self._guarded(self._store.describe)

    async def close(self) -> None:
        """Close the wrapped store."""
        await self._store.close()

    async def _guarded(self, call: Callable[[], Awaitable[Result]]) -> Result:
        self._refuse_if_open()
        if self._inside >= self._calls_at_once + self._waiting_max:
            self._metrics.refused.labels(self.name, "queue_full").inc()
            raise KeyStoreUnavailable("too many wait for the key store")
        self._inside += 1
        self._tell()
        try:
            async with asyncio.timeout(self._call_seconds) as bound, self._places:
                return await self._called(call, bound)
        except TimeoutError:
            self._metrics.refused.labels(self.name, "too_slow").inc()
            raise KeyStoreUnavailable("the key store is too slow") from None
        finally:
            self._inside -= 1
            self._tell()

    async def _called(
        self, call: Callable[[], Awaitable[Result]], bound: asyncio.Timeout
    ) -> Result:
        """Make the call with a ticket, and give it back whatever happens."""
        ticket = self._breaker.admit(self._now())
        if ticket is None:  # it opened while this one waited for its place
            raise self._refusal()
        self._tell()
        try:
            result = await call()
        except KeyStoreUnavailable:
            self._breaker.failed(ticket, self._now())
            raise
        except StrongroomError:
            self._breaker.succeeded(ticket)  # it said no: that is an answer
            raise
        except asyncio.CancelledError:
            # A caller that left says nothing of the store; our own time limit says that it is too slow.
            if bound.expired():
                self._breaker.failed(ticket, self._now())
            else:
                self._breaker.given_up(ticket)
            raise
        except BaseException:
            self._breaker.given_up(ticket)
            raise
        self._breaker.succeeded(ticket)
        return result

    def _refuse_if_open(self) -> None:
        if not self._breaker.admits(self._now()):
            raise self._refusal()

    def _refusal(self) -> KeyStoreUnavailable:
        self._metrics.refused.labels(self.name, "breaker_open").inc()
        seconds = max(1, ceil(self._breaker.seconds_left(self._now())))
        return KeyStoreUnavailable(
            "the key store is not answering; it is asked again soon", retry_after_seconds=seconds
        )

    def _tell(self) -> None:
        self._metrics.waiting.labels(self.name).set(max(0, self._inside - self._calls_at_once))
        for state in type(self._breaker.state):
            self._metrics.breaker.labels(self.name, state.value).set(self._breaker.state is state)
