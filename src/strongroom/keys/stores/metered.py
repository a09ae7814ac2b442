# SPDX-License-Identifier: Apache-2.0
"""A key store that counts what it is asked and how long it took. Adds nothing else to the store it wraps."""

from collections.abc import Awaitable, Mapping, Sequence
from time import perf_counter
from typing import TypeVar

from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.secret import Secret
from strongroom.keys.model import NewDataKey, RootInfo
from strongroom.keys.ports import KeyStore
from strongroom.keys.purposes import Purpose
from strongroom.telemetry.metrics import KeyMetrics

Result = TypeVar("Result")


class MeteredKeyStore:
    """Implements `KeyStore` over another one."""

    def __init__(self, store: KeyStore, metrics: KeyMetrics) -> None:
        self._store = store
        self._metrics = metrics

    @property
    def name(self) -> str:
        """The wrapped store's kind."""
        return self._store.name

    async def generate(self, purpose: Purpose, context: Mapping[str, str]) -> NewDataKey:
        """Make a data key."""
        return await self._counted("generate", self._store.generate(purpose, context))

    async def wrap(self, purpose: Purpose, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        """Wrap a key."""
        return await self._counted("wrap", self._store.wrap(purpose, plaintext, context))

    async def unwrap(
        self, purpose: Purpose, wrapped: bytes, context: Mapping[str, str]
    ) -> Secret[bytes]:
        """Unwrap a key."""
        return await self._counted("unwrap", self._store.unwrap(purpose, wrapped, context))

    async def describe(self) -> Sequence[RootInfo]:
        """Say what the roots are."""
        return await self._counted("describe", self._store.describe())

    async def close(self) -> None:
        """Close the wrapped store."""
        await self._store.close()

    async def _counted(self, operation: str, call: Awaitable[Result]) -> Result:
        started = perf_counter()
        outcome = "ok"
        try:
            return await call
        except StrongroomError as error:
            outcome = error.code
            raise
        finally:
            self._metrics.calls.labels(self.name, operation, outcome).inc()
            self._metrics.call_seconds.labels(self.name).observe(perf_counter() - started)
