# SPDX-License-Identifier: Apache-2.0
"""What the vault's routes share: who asks, and how a token is printed for them."""

from typing import Any

from litestar import Request as LitestarRequest
from litestar.datastructures import State

from strongroom.audit import Recorder
from strongroom.http.requires import principal_of, request_of
from strongroom.kernel.clock import Clock
from strongroom.vault.finding import Caller, Seen
from strongroom.vault.views import view_of
from strongroom.vault.wire import TokenOut


async def caller_of(state: State, request: LitestarRequest[Any, Any, State]) -> Caller:
    """Say who acts, and whence."""
    return await caller_from(state.vault.recorder, state.vault.clock, request)


async def caller_from(
    recorder: Recorder, clock: Clock, request: LitestarRequest[Any, Any, State]
) -> Caller:
    """Likewise with a recorder and a clock of one's own."""
    principal, ours = principal_of(request), request_of(request)
    origin = await recorder.origin(principal.merchant, ours.address, ours.trace_hash, clock.now())
    return Caller(principal, origin)


def shown(request: LitestarRequest[Any, Any, State], seen: Seen) -> TokenOut:
    """Print what the caller is shown of a token."""
    return view_of(
        seen.token,
        transform=seen.granted.transform,
        caller=principal_of(request).kind,
        details=seen.details,
    )
