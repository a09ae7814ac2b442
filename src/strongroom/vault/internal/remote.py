# SPDX-License-Identifier: Apache-2.0
"""The vault of another process, for gateway and worker: the same protocols, over the internal port. Holds no key.

Money hangs on what is said when no whole answer came: a call that certainly never reached the vault raises, and is
`not_sent`; one that may have reached it is `unknown`. No request is sent a second time.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from strongroom.audit import Origin
from strongroom.egress import Answered, NotSent, Reason
from strongroom.egress.internal import InternalSender
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import Unavailable
from strongroom.kernel.events import Happened
from strongroom.kernel.ids import MerchantId, OutboxId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.vault.calls import (
    CVC_ABSENT,
    CVC_USED,
    CardFacts,
    Forward,
    Forwarded,
    StoredCredentialFacts,
)
from strongroom.vault.credential_slots import CredentialChange, CredentialState
from strongroom.vault.errors import TemplateRefused
from strongroom.vault.internal import told, wire

#: Beyond a call's own time: what the vault itself takes around it, its database's time limit included.
SLACK_SECONDS: Final = 6.0
#: What asks no processor.
SHORT_SECONDS: Final = 10.0


class VaultPortAway(Unavailable):
    """The vault does not answer: it was not asked."""

    code = "vault_port_away"


class VaultPortSilent(Unavailable):
    """The vault was asked and gave no whole answer; whether it was done is not known."""

    code = "vault_port_silent"


class RemoteVault:
    """Implements `Forwarder`, `Connections` and `Outbox`."""

    def __init__(self, sender: InternalSender, clock: Clock) -> None:
        self._sender = sender
        self._clock = clock

    async def forward(self, request: Forward) -> Forwarded:
        """Have a call sent, once. See `Forwarder`.

        Raises:
            VaultPortAway: no connection to the vault; like everything that is raised, nothing was sent.
        """
        ends_at = self._clock.now() + timedelta(seconds=request.timeout_seconds)
        reply = await self._sender.post(
            wire.FORWARD,
            _encoded(request, ends_at),
            timeout_seconds=request.timeout_seconds + SLACK_SECONDS,
        )
        if isinstance(reply, NotSent):
            raise VaultPortAway
        if not isinstance(reply, Answered):
            return _unknown(request, reply.reason.value, reply.seconds)
        said = _read(reply)
        if isinstance(said, wire.RefusedOut):
            raise said.error()
        if not isinstance(said, wire.ForwardedOut):  # the vault broke in the middle of it
            return _unknown(request, Reason.ANSWER_UNREADABLE.value, reply.seconds)
        return said.value()

    async def describe(self, merchant: MerchantId, mode: Mode, token: TokenId) -> CardFacts:
        """Return what may be shown of a token's card. See `Forwarder`."""
        asked = wire.TokenAsked(merchant=merchant, mode=mode, token=token)
        said = await self._short(wire.DESCRIBE, asked)
        if not isinstance(said, wire.CardFactsOut):
            raise VaultPortSilent
        return said.value()

    async def keep(
        self,
        merchant: MerchantId,
        mode: Mode,
        token: TokenId,
        actor: str,
        agreed: StoredCredentialFacts | None = None,
    ) -> None:
        """Make a single-use token lasting. See `Forwarder`."""
        asked = wire.KeepAsked(
            merchant=merchant, mode=mode, token=token, actor=actor, agreed=agreed
        )
        await self._done(wire.KEEP, asked)

    async def register(
        self,
        merchant: MerchantId,
        mode: Mode,
        connection: str,
        processor: str,
        base_url: str,
        credentials: Mapping[str, Secret[str]],
        *,
        actor: str,
        origin: Origin,
    ) -> None:
        """Keep a connection under an id that the caller made. See `Connections`."""
        asked = wire.ConnectionAsked(
            merchant=merchant,
            mode=mode,
            connection=connection,
            processor=processor,
            base_url=base_url,
            credentials=_exposed(credentials),
            actor=actor,
            origin=wire.origin_in(origin),
        )
        await self._done(wire.REGISTER, asked)

    async def rotate(
        self,
        merchant: MerchantId,
        mode: Mode,
        connection: str,
        credentials: Mapping[str, Secret[str]],
        *,
        actor: str,
        origin: Origin,
        keep_seconds: int = 0,
    ) -> None:
        """Put other credentials in the place of the present ones. See `Connections`."""
        asked = wire.ConnectionAsked(
            merchant=merchant,
            mode=mode,
            connection=connection,
            credentials=_exposed(credentials),
            actor=actor,
            origin=wire.origin_in(origin),
            keep_seconds=keep_seconds,
        )
        await self._done(wire.ROTATE, asked)

    async def change(
        self,
        merchant: MerchantId,
        mode: Mode,
        connection: str,
        change: CredentialChange,
        *,
        actor: str,
        origin: Origin,
    ) -> CredentialState:
        """Change which credentials there are. See `Connections`."""
        asked = wire.ConnectionAsked(
            merchant=merchant,
            mode=mode,
            connection=connection,
            credentials=_exposed(change.credentials),
            actor=actor,
            origin=wire.origin_in(origin),
            act=change.act,
            staged_at=change.staged_at,
            keep_seconds=change.keep_seconds,
        )
        return await self._state(wire.CHANGE, asked)

    async def credentials(
        self, merchant: MerchantId, mode: Mode, connection: str
    ) -> CredentialState:
        """Say which credentials there are. See `Connections`."""
        asked = wire.ConnectionAsked(
            merchant=merchant,
            mode=mode,
            connection=connection,
            actor="",
            origin=wire.origin_in(Origin()),
        )
        return await self._state(wire.CREDENTIALS, asked)

    async def disable(
        self, merchant: MerchantId, mode: Mode, connection: str, *, actor: str, origin: Origin
    ) -> None:
        """End a connection. See `Connections`."""
        asked = wire.ConnectionAsked(
            merchant=merchant,
            mode=mode,
            connection=connection,
            actor=actor,
            origin=wire.origin_in(origin),
        )
        await self._done(wire.DISABLE, asked)

    async def waiting(self, after: str, limit: int) -> Sequence[Happened]:
        """Return what merchants are to be told. See `Outbox`."""
        said = await self._short(told.WAITING, told.WaitingAsked(after=after, limit=limit))
        if not isinstance(said, told.WaitingOut):
            raise VaultPortSilent
        return said.value()

    async def acknowledge(self, taken: Sequence[OutboxId]) -> None:
        """Have forgotten what is committed elsewhere. See `Outbox`."""
        await self._done(told.ACKNOWLEDGE, told.AcknowledgeAsked(taken=list(taken)))

    async def alive(self) -> None:
        """Return if the vault lets us in and answers: the readiness of whoever needs it.

        Raises:
            VaultPortAway, VaultPortSilent: see each.
        """
        await self._done(wire.ALIVE, None)

    async def _state(self, path: str, asked: msgspec.Struct) -> CredentialState:
        said = await self._short(path, asked)
        if not isinstance(said, wire.CredentialStateOut):
            raise VaultPortSilent
        return said.value()

    async def _done(self, path: str, asked: msgspec.Struct | None) -> None:
        if not isinstance(await self._short(path, asked), wire.DoneOut):
            raise VaultPortSilent

    async def _short(self, path: str, asked: msgspec.Struct | None) -> wire.Out | None:
        body = b"" if asked is None else wire.encode(asked)
        reply = await self._sender.post(path, body, timeout_seconds=SHORT_SECONDS)
        if isinstance(reply, NotSent):
            raise VaultPortAway
        said = _read(reply) if isinstance(reply, Answered) else None
        if isinstance(said, wire.RefusedOut):
            raise said.error()
        return said


def _read(reply: Answered) -> wire.Out | None:
    """Return what the vault said; None where this is not an answer of its routes."""
    try:
        return wire.decode_out(reply.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _encoded(request: Forward, ends_at: datetime) -> bytes:
    """Print a call. What the vault would refuse unseen is refused here.

    Raises:
        TemplateRefused: a body is no JSON, or beyond any bound.
    """
    try:
        body = wire.encode(wire.ForwardIn.of(request, ends_at))
    except (TypeError, ValueError):
        raise TemplateRefused("a body is JSON") from None
    if len(body) > wire.BODY_BYTES_MAX:
        raise TemplateRefused("a body is beyond its bound")
    return body


def _unknown(request: Forward, reason: str, seconds: float) -> Forwarded:
    # The CVC may have been opened and sent: it is as good as used.
    state = CVC_ABSENT if request.cvc is None else CVC_USED
    return Forwarded("unknown", 0, {}, b"", reason, seconds, state)


def _exposed(credentials: Mapping[str, Secret[str]]) -> dict[str, str]:
    return {name: value.expose() for name, value in credentials.items()}
