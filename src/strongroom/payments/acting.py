# SPDX-License-Identifier: Apache-2.0
"""Who acts in a request, and whence, as records have it."""

from typing import Any, Protocol

from litestar import Request as LitestarRequest
from litestar.datastructures import State

from strongroom.audit import Origin, Recorder
from strongroom.http.requires import principal_of, request_of
from strongroom.kernel.clock import Clock
from strongroom.payments.connections import By


class Recording(Protocol):
    """A desk that records what is done at it."""

    @property
    def recorder(self) -> Recorder:
        """Makes records, and the origins in them."""

    @property
    def clock(self) -> Clock:
        """Says when."""


async def origin_of(desk: Recording, request: LitestarRequest[Any, Any, State]) -> Origin:
    """Return whence a request comes: its address as a keyed hash, its trace, the moment."""
    ours, merchant = request_of(request), principal_of(request).merchant
    return await desk.recorder.origin(merchant, ours.address, ours.trace_hash, desk.clock.now())


async def by_of(desk: Recording, request: LitestarRequest[Any, Any, State]) -> By:
    """Return who asks, for which merchant and mode, and whence."""
    principal = principal_of(request)
    origin = await origin_of(desk, request)
    return By(principal.merchant, principal.mode, principal.actor, origin)
