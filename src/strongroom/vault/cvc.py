# SPDX-License-Identifier: Apache-2.0
"""Promise 2: a CVC is sealed under an epoch key that dies, handed back to the caller, and opened once.

Epochs are ten-minute windows; a window's key is destroyed thirty minutes after the window began, in the database
(its slot is truncated) and in this process. Use is recorded before opening. Nothing here stores a CVC.
"""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from strongroom.audit import Action, Origin, Recorder
from strongroom.crypto import Algorithm, CannotOpen, Place, Sealer
from strongroom.crypto.ids import new_id
from strongroom.crypto.random import random_bytes
from strongroom.db.pool import Database
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.ids import MerchantId, TokenId, is_id
from strongroom.kernel.invariant import Bug, invariant
from strongroom.kernel.mode import Mode
from strongroom.keys import KeyStore, Purpose
from strongroom.telemetry.metrics import VaultMetrics
from strongroom.vault.errors import CvcExpired, CvcInvalid, CvcUsed
from strongroom.vault.writes import QUERIES

EPOCH_SECONDS: Final = 600
EPOCH_LIFE_SECONDS: Final = 1_800
SLOTS: Final = 4
PREFIX: Final = "cvc_"
PURPOSE: Final = "cvc"
_ID_BYTES: Final = 16
_EPOCH_BYTES: Final = 30  # an epoch's id: `cvk_` and 26 characters

invariant(EPOCH_LIFE_SECONDS % EPOCH_SECONDS == 0, "an epoch ends when a window begins")
invariant(
    EPOCH_LIFE_SECONDS // EPOCH_SECONDS < SLOTS, "a slot is empty before its next window begins"
)


@dataclass(frozen=True, slots=True)
class Epoch:
    """One window's key, open."""

    epoch_id: str
    sealer: Sealer
    window: int

    @property
    def destroy_at(self) -> datetime:
        """When nothing sealed under it opens any more."""
        return datetime.fromtimestamp(self.window * EPOCH_SECONDS + EPOCH_LIFE_SECONDS, UTC)


@dataclass(frozen=True, slots=True)
class SealedCvc:
    """What goes back to the caller."""

    text: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, repr=False)
class CheckedCvc:
    """A sealed CVC that is authentic and of this token. Record that `cvc_id` is used, and only then open it."""

    cvc_id: bytes
    epoch: Epoch
    sealed: bytes
    place: Place


class CvcEpochs:
    """The CVC epochs of this process."""

    def __init__(
        self,
        database: Database,
        store: KeyStore,
        recorder: Recorder,
        clock: Clock,
        metrics: VaultMetrics,
    ) -> None:
        self._metrics = metrics
        self._database = database
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self._open: dict[str, Epoch] = {}
        self._sealing: Epoch | None = None
        self._making = asyncio.Lock()

    async def ready(self) -> Epoch:
        """Make sure that this window's key is open; `seal_now` then does not wait.

        Raises:
            KeyStoreUnavailable, DatabaseAway: there is no epoch key to seal under.
        """
        return self._current() or await self._begin()

    async def seal(self, cvc: str, mode: Mode, merchant: MerchantId, token: TokenId) -> SealedCvc:
        """Seal a CVC for one use with one token.

        Raises:
            KeyStoreUnavailable, DatabaseAway: there is no epoch key to seal under.
        """
        sealed = _seal(await self.ready(), cvc, mode, merchant, token)
        self._metrics.cvc_sealed.inc()
        return sealed

    def seal_now(self, cvc: str, mode: Mode, merchant: MerchantId, token: TokenId) -> SealedCvc:
        """Seal without waiting, after `ready`; a window that ended in between still seals for twenty minutes."""
        epoch = self._sealing
        if epoch is None:
            raise Bug("ready() comes before seal_now()")
        self._metrics.cvc_sealed.inc()
        return _seal(epoch, cvc, mode, merchant, token)

    def _current(self) -> Epoch | None:
        epoch = self._sealing
        return epoch if epoch is not None and epoch.window == _window(self._clock.now()) else None

    async def check(
        self, text: str, mode: Mode, merchant: MerchantId, token: TokenId
    ) -> CheckedCvc:
        """Check that a sealed CVC is authentic, for a caller that records its use together with something else.

        Raises:
            CvcInvalid, CvcExpired: see each; nothing was recorded.
        """
        with self._refusals_counted():
            return await self._checked(text, mode, merchant, token)

    def open_recorded(self, checked: CheckedCvc) -> str:
        """Open a CVC whose use is committed, by whoever called `check`."""
        self._metrics.cvc_used.labels("used").inc()
        return checked.epoch.sealer.open(checked.sealed, checked.place).decode()

    def refuse_used(self) -> CvcUsed:
        """Count, and return, the refusal of a CVC that the database says was used before."""
        self._metrics.cvc_used.labels(CvcUsed.code).inc()
        return CvcUsed()

    async def discard(
        self,
        text: str,
        mode: Mode,
        merchant: MerchantId,
        token: TokenId,
        *,
        actor: str,
        origin: Origin,
    ) -> None:
        """Make a sealed CVC useless.

        Raises:
            CvcInvalid, CvcExpired, CvcUsed: see each.
        """
        with self._refusals_counted():
            checked = await self._checked(text, mode, merchant, token)
            await self._discarded(checked.cvc_id, mode, merchant, token, actor=actor, origin=origin)
        self._metrics.cvc_used.labels("discarded").inc()

    async def _checked(
        self, text: str, mode: Mode, merchant: MerchantId, token: TokenId
    ) -> CheckedCvc:
        """Refuse what was altered, is over or belongs elsewhere, before anything is recorded as used."""
        epoch, cvc_id, sealed = await self._unpack(text)
        place = _place(epoch.epoch_id, cvc_id, mode, merchant, token)
        _require_authentic(epoch, sealed, place)
        return CheckedCvc(cvc_id, epoch, sealed, place)

    @contextmanager
    def _refusals_counted(self) -> Iterator[None]:
        """Count an attempt to use a CVC that is refused, by the code of what refused it."""
        try:
            yield
        except StrongroomError as error:
            self._metrics.cvc_used.labels(error.code).inc()
            raise

    async def destroy_past(self) -> int:
        """Destroy the keys of windows whose half hour is over; return how many slots were emptied."""
        now = self._clock.now()
        for epoch_id in [e for e, epoch in self._open.items() if epoch.destroy_at <= now]:
            del self._open[epoch_id]
        if self._sealing is not None and self._sealing.destroy_at <= now:
            self._sealing = None  # a quiet process would hold its last key for ever
        async with self._database.transaction() as tx:
            slots = [row["slot"] for row in await tx.rows(QUERIES["slots_past"], now)]
            for slot in slots:
                await tx.run(QUERIES[f"destroy_slot_{slot}"])
        async with self._database.transaction() as tx:
            await tx.row(QUERIES["be_expiry_job"])
            await tx.run(QUERIES["forget_cvc_uses"])
        return len(slots)

    async def _discarded(
        self,
        cvc_id: bytes,
        mode: Mode,
        merchant: MerchantId,
        token: TokenId,
        *,
        actor: str,
        origin: Origin,
    ) -> None:
        now = self._clock.now()
        async with self._database.transaction([merchant]) as tx:
            if await tx.row(QUERIES["use_cvc"], merchant, mode, cvc_id.hex(), now) is None:
                raise CvcUsed
            record = self._recorder.make(
                Action.VAULT_CVC_DISCARDED,
                actor=actor,
                merchant=merchant,
                mode=mode,
                thing=token,
                origin=origin,
                now=now,
            )
            await self._recorder.insert(tx, record)

    async def _unpack(self, text: str) -> tuple[Epoch, bytes, bytes]:
        if not text.startswith(PREFIX) or not text.isascii():
            raise CvcInvalid
        body = text[len(PREFIX) :]
        try:
            packed = urlsafe_b64decode(body + "=" * (-len(body) % 4))
        except (NotBase64, ValueError):
            raise CvcInvalid from None
        epoch_id = packed[:_EPOCH_BYTES].decode("ascii", "replace")
        cvc_id = packed[_EPOCH_BYTES : _EPOCH_BYTES + _ID_BYTES]
        sealed = packed[_EPOCH_BYTES + _ID_BYTES :]
        if not is_id("cvk", epoch_id) or len(cvc_id) < _ID_BYTES:
            raise CvcInvalid
        return await self._epoch(epoch_id), cvc_id, sealed

    async def _epoch(self, epoch_id: str) -> Epoch:
        """Return the epoch that a sealed CVC names; an epoch that is over or never was is `CvcExpired`."""
        now = self._clock.now()
        known = self._open.get(epoch_id)
        if known is not None and known.destroy_at > now:
            return known
        async with self._database.transaction() as read:
            row = await read.row(QUERIES["epoch_by_id"], epoch_id, now)
        if row is None:
            raise CvcExpired
        return await self._unwrapped(row["epoch_id"], row["wrapped"], _window(row["made_at"]))

    async def _begin(self) -> Epoch:
        """Find or make this window's key. Two processes may make one each; both serve."""
        async with self._making:
            if (epoch := self._current()) is not None:
                return epoch
            now = self._clock.now()
            window = _window(now)
            begun = datetime.fromtimestamp(window * EPOCH_SECONDS, UTC)
            ends = begun + timedelta(seconds=EPOCH_LIFE_SECONDS)
            async with self._database.transaction() as read:
                rows = await read.rows(QUERIES["epochs_of_slot"], window % SLOTS, now)
            if rows:
                row = rows[0]
                epoch = await self._unwrapped(row["epoch_id"], row["wrapped"], window)
            else:
                epoch_id = new_id("cvk")
                made = await self._store.generate(Purpose.CARD, _context(epoch_id))
                async with self._database.transaction() as tx:
                    await tx.run(
                        QUERIES["insert_epoch"], window % SLOTS, epoch_id, made.wrapped, begun, ends
                    )
                sealer = Sealer(made.plaintext.expose(), Algorithm.A256CBC_HS512, PURPOSE)
                epoch = Epoch(epoch_id, sealer, window)
                self._open[epoch_id] = epoch
            self._sealing = epoch
            return epoch

    async def _unwrapped(self, epoch_id: str, wrapped: bytes, window: int) -> Epoch:
        key = await self._store.unwrap(Purpose.CARD, wrapped, _context(epoch_id))
        epoch = Epoch(epoch_id, Sealer(key.expose(), Algorithm.A256CBC_HS512, PURPOSE), window)
        self._open[epoch_id] = epoch
        return epoch


def _window(moment: datetime) -> int:
    return int(moment.timestamp()) // EPOCH_SECONDS


def _seal(epoch: Epoch, cvc: str, mode: Mode, merchant: MerchantId, token: TokenId) -> SealedCvc:
    cvc_id = random_bytes(_ID_BYTES)
    sealed = epoch.sealer.seal(cvc.encode(), _place(epoch.epoch_id, cvc_id, mode, merchant, token))
    packed = epoch.epoch_id.encode() + cvc_id + sealed
    return SealedCvc(PREFIX + urlsafe_b64encode(packed).rstrip(b"=").decode(), epoch.destroy_at)


def _context(epoch_id: str) -> dict[str, str]:
    return {"kind": "cvc-epoch", "epoch": epoch_id}


def _place(epoch_id: str, cvc_id: bytes, mode: Mode, merchant: MerchantId, token: TokenId) -> Place:
    """Bind to merchant, mode and token, and to the epoch and the CVC's own id."""
    return Place(
        algorithm=Algorithm.A256CBC_HS512,
        mode=mode,
        merchant=merchant,
        object_id=f"{token}/{epoch_id}/{cvc_id.hex()}",
        field="cvc",
        key_version=1,
        purpose=PURPOSE,
    )


def _require_authentic(epoch: Epoch, sealed: bytes, place: Place) -> None:
    """Refuse what was altered or belongs elsewhere, before anything is recorded as used."""
    try:
        epoch.sealer.require_authentic(sealed, place)
    except CannotOpen:
        raise CvcInvalid from None
