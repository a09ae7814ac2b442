# SPDX-License-Identifier: Apache-2.0
"""The routes of the vault's internal port. They ask for no key: who holds a certificate of the port is let in by TLS.

An error that the vault raises is told by its code, so that the caller raises the same; whatever else breaks is the
edge's 500, which tells the caller nothing, and is taken for "it may have been sent".
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final, TypeVar

import msgspec
from litestar import Request as LitestarRequest
from litestar import Response, post
from litestar.datastructures import State

from strongroom.http.app import as_response
from strongroom.http.problems import UNDECODABLE, decoding_error
from strongroom.http.request import Answer, Request
from strongroom.http.requires import PUBLIC, request_of
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.ids import MerchantId, OutboxId, TokenId
from strongroom.vault.calls import Connections, Forwarder
from strongroom.vault.credential_slots import CredentialChange
from strongroom.vault.internal import told, wire
from strongroom.vault.outbox.ports import Outbox

#: So late a call may begin here. Clocks of two machines may differ by some of it.
LATE: Final = timedelta(seconds=3)

Asked = TypeVar("Asked", bound=msgspec.Struct)
Handle = Callable[[Request], Awaitable[Answer]]


class InternalPort:
    """What the routes call."""

    def __init__(
        self, forwarder: Forwarder, connections: Connections, outbox: Outbox, clock: Clock
    ) -> None:
        self._forwarder = forwarder
        self._connections = connections
        self._outbox = outbox
        self._clock = clock

    async def forward(self, asked: wire.ForwardIn) -> wire.Out:
        """Send a call that is not too late, within what is left of its time."""
        left = (asked.ends_at - self._clock.now()).total_seconds()
        if left < asked.timeout_seconds - LATE.total_seconds() or left <= 0:
            raise wire.TooLate
        request = asked.value(min(left, asked.timeout_seconds))
        return wire.ForwardedOut.of(await self._forwarder.forward(request))

    async def describe(self, asked: wire.TokenAsked) -> wire.Out:
        """Say what may be shown of a token's card."""
        facts = await self._forwarder.describe(
            MerchantId(asked.merchant), asked.mode, TokenId(asked.token)
        )
        return wire.CardFactsOut.of(facts)

    async def keep(self, asked: wire.KeepAsked) -> wire.Out:
        """Make a single-use token lasting, with what was agreed to."""
        await self._forwarder.keep(
            MerchantId(asked.merchant), asked.mode, TokenId(asked.token), asked.actor, asked.agreed
        )
        return wire.DoneOut()

    async def register(self, asked: wire.ConnectionAsked) -> wire.Out:
        """Keep a connection."""
        await self._connections.register(
            MerchantId(asked.merchant),
            asked.mode,
            asked.connection,
            asked.processor,
            asked.base_url,
            asked.secrets(),
            actor=asked.actor,
            origin=asked.origin.value(),
        )
        return wire.DoneOut()

    async def rotate(self, asked: wire.ConnectionAsked) -> wire.Out:
        """Put other credentials in the place of the present ones."""
        await self._connections.rotate(
            MerchantId(asked.merchant),
            asked.mode,
            asked.connection,
            asked.secrets(),
            actor=asked.actor,
            origin=asked.origin.value(),
            keep_seconds=asked.keep_seconds,
        )
        return wire.DoneOut()

    async def change(self, asked: wire.ConnectionAsked) -> wire.Out:
        """Change which credentials there are."""
        state = await self._connections.change(
            MerchantId(asked.merchant),
            asked.mode,
            asked.connection,
            CredentialChange(asked.act, asked.secrets(), asked.staged_at, asked.keep_seconds),
            actor=asked.actor,
            origin=asked.origin.value(),
        )
        return wire.CredentialStateOut.of(state)

    async def credentials(self, asked: wire.ConnectionAsked) -> wire.Out:
        """Say which credentials there are."""
        return wire.CredentialStateOut.of(
            await self._connections.credentials(
                MerchantId(asked.merchant), asked.mode, asked.connection
            )
        )

    async def disable(self, asked: wire.ConnectionAsked) -> wire.Out:
        """End a connection."""
        await self._connections.disable(
            MerchantId(asked.merchant),
            asked.mode,
            asked.connection,
            actor=asked.actor,
            origin=asked.origin.value(),
        )
        return wire.DoneOut()

    async def waiting(self, asked: told.WaitingAsked) -> wire.Out:
        """Hand over what merchants are to be told."""
        return told.WaitingOut.of(await self._outbox.waiting(asked.after, asked.limit))

    async def acknowledge(self, asked: told.AcknowledgeAsked) -> wire.Out:
        """Forget what is committed elsewhere."""
        await self._outbox.acknowledge([OutboxId(each) for each in asked.taken])
        return wire.DoneOut()


async def _answered(
    work: Callable[[Asked], Awaitable[wire.Out]], shape: type[Asked], body: bytes
) -> Answer:
    try:
        asked = msgspec.json.decode(body, type=shape)
    except UNDECODABLE as error:
        raise decoding_error(error) from None
    try:
        said = await work(asked)
    except StrongroomError as error:
        return Answer(
            error.status, wire.encode(wire.RefusedOut.of(error)), log={"code": error.code}
        )
    return Answer(200, wire.encode(said))


def _route(path: str, name: str, shape: type[msgspec.Struct]) -> Any:
    """Make a route that hands a decoded body to the port's method of that name."""

    def lean(state: State) -> Handle:
        work = getattr(state.port, name)

        async def handle(request: Request) -> Answer:
            return await _answered(work, shape, request.body)

        return handle

    @post(
        path,
        requires=PUBLIC,
        lean=lean,
        exact_body=wire.BODY_BYTES_MAX,
        name=name,
        summary=f"For other roles: {name}",
    )
    async def route(request: LitestarRequest[Any, Any, State], state: State) -> Response[bytes]:
        return as_response(
            await _answered(getattr(state.port, name), shape, request_of(request).body)
        )

    return route


def _alive() -> Any:
    """Make the route that tells a caller that it is let in."""

    def lean(_state: State) -> Handle:
        async def handle(_request: Request) -> Answer:
            return Answer(200, wire.encode(wire.DoneOut()))

        return handle

    @post(wire.ALIVE, requires=PUBLIC, lean=lean, exact_body=16, name="alive", summary="Let in")
    async def route() -> Response[bytes]:
        return as_response(Answer(200, wire.encode(wire.DoneOut())))

    return route


ROUTES: Final = (
    _route(wire.FORWARD, "forward", wire.ForwardIn),
    _route(wire.DESCRIBE, "describe", wire.TokenAsked),
    _route(wire.KEEP, "keep", wire.KeepAsked),
    _route(wire.REGISTER, "register", wire.ConnectionAsked),
    _route(wire.ROTATE, "rotate", wire.ConnectionAsked),
    _route(wire.CHANGE, "change", wire.ConnectionAsked),
    _route(wire.CREDENTIALS, "credentials", wire.ConnectionAsked),
    _route(wire.DISABLE, "disable", wire.ConnectionAsked),
    _route(told.WAITING, "waiting", told.WaitingAsked),
    _route(told.ACKNOWLEDGE, "acknowledge", told.AcknowledgeAsked),
    _alive(),
)
