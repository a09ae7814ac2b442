# SPDX-License-Identifier: Apache-2.0
"""Where notices may come from: a connection's scheme and secrets, several while they are rotated.

`Sources` changes them in the transaction of whoever owns connections, with that owner's audit record; `OpenSources`
has them open for a second. Sealing asks the key store, so it is done before that transaction begins.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Final, final

from strongroom.db.pool import Database, Transaction
from strongroom.db.queries import load_queries
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import ConnectionId, MerchantId, is_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.keys import DataKeys
from strongroom.webhooks.inbound.errors import (
    ConnectionUnknownHere,
    SourceChanged,
    SourceRefused,
    SourceUnknown,
)
from strongroom.webhooks.inbound.sealing import (
    SECRETS_FIELD,
    Sealed,
    SealedSecret,
    SealedSource,
    seal,
    unseal,
)
from strongroom.webhooks.inbound.verify import Verifier, Verifiers

#: Valid at once.
SECRETS_MAX: Final = 5
OVERLAP_SECONDS_MAX: Final = 7 * 86_400
OPEN_SECONDS: Final = 1.0
OPEN_MAX: Final = 10_000

_QUERIES: Final = load_queries("strongroom.webhooks.inbound")


@final
@dataclass(frozen=True, slots=True)
class PreparedSource:
    """A source that can be written: checked and sealed. `before` is what it replaces, None for a new one."""

    merchant: MerchantId
    mode: Mode
    connection_id: ConnectionId
    scheme: str
    sealed: Sealed = field(repr=False)
    before: bytes | None = field(repr=False)


class Sources:
    """The sources of every merchant, for whoever makes and changes connections."""

    def __init__(
        self, database: Database, keys: DataKeys, clock: Clock, verifiers: Verifiers
    ) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._verifiers = verifiers

    async def prepare(
        self,
        merchant: MerchantId,
        mode: Mode,
        connection_id: ConnectionId,
        scheme: str,
        secrets: Sequence[Secret[str]],
    ) -> PreparedSource:
        """Check and seal a new source. Nothing is written.

        Raises:
            SourceRefused: the scheme is unknown, or a secret is missing, malformed or one too many.
            KeyStoreUnavailable: the key store does not answer.
        """
        self._check(scheme, secrets)
        kept = [SealedSecret(each.expose(), None) for each in secrets]
        sealed = await self._sealed(merchant, mode, connection_id, SealedSource(scheme, kept))
        return PreparedSource(merchant, mode, connection_id, scheme, sealed, None)

    async def register(self, tx: Transaction, source: PreparedSource) -> None:
        """Write a new source in the caller's transaction, which states its merchant."""
        await tx.run(
            _QUERIES["insert_source"],
            source.merchant,
            source.mode,
            source.connection_id,
            source.scheme,
            source.sealed.value,
            source.sealed.key_version,
            self._clock.now(),
        )

    async def prepare_rotation(
        self,
        merchant: MerchantId,
        mode: Mode,
        connection_id: ConnectionId,
        new_secret: Secret[str],
        overlap_seconds: int,
    ) -> PreparedSource:
        """Seal the present secrets with a new one: it holds at once, the others for `overlap_seconds` more.

        Raises:
            SourceUnknown: there is no active source.
            SourceRefused: the secret is malformed, or too many would hold at once.
            CannotReadNotices: the row was altered.
        """
        if not 0 <= overlap_seconds <= OVERLAP_SECONDS_MAX:
            raise SourceRefused(f"old secrets hold for 0 to {OVERLAP_SECONDS_MAX} seconds more")
        async with self._database.transaction([merchant]) as read:
            row = await read.row(_QUERIES["source_by_id"], merchant, mode, connection_id)
        if row is None or row["status"] != "active":
            raise SourceUnknown
        known = await _unsealed(self._keys, row)
        now = self._clock.now()
        end = now + timedelta(seconds=overlap_seconds)
        others = [
            SealedSecret(each.secret, end if each.until is None else min(each.until, end))
            for each in known.secrets
            if each.secret != new_secret.expose()
        ]
        kept = [SealedSecret(new_secret.expose(), None), *(o for o in others if _holds(o, now))]
        self._check(known.scheme, [Secret(each.secret) for each in kept])
        sealed = await self._sealed(merchant, mode, connection_id, SealedSource(known.scheme, kept))
        return PreparedSource(
            merchant, mode, connection_id, known.scheme, sealed, row["sealed_secrets"]
        )

    async def rotate(self, tx: Transaction, source: PreparedSource) -> None:
        """Write a prepared rotation in the caller's transaction. Other processes see it within a second or two.

        Raises:
            SourceChanged: the source was rotated or disabled since it was prepared.
        """
        changed = await tx.row(
            _QUERIES["replace_secrets"],
            source.merchant,
            source.mode,
            source.connection_id,
            source.before,
            source.sealed.value,
            source.sealed.key_version,
            self._clock.now(),
        )
        if changed is None:
            raise SourceChanged

    async def secrets_until(
        self, merchant: MerchantId, mode: Mode, connection_id: ConnectionId
    ) -> Sequence[datetime | None]:
        """Say until when each secret holds that does now. See `NoticeSources`."""
        async with self._database.transaction([merchant]) as read:
            row = await read.row(_QUERIES["source_by_id"], merchant, mode, connection_id)
        if row is None or row["status"] != "active":
            return []
        known, now = await _unsealed(self._keys, row), self._clock.now()
        return [each.until for each in known.secrets if _holds(each, now)]

    async def disable(
        self, tx: Transaction, merchant: MerchantId, mode: Mode, connection_id: ConnectionId
    ) -> None:
        """Take no more notices; what was kept is still handled. Doing it twice is doing it once.

        Raises:
            SourceUnknown: there is none.
        """
        done = await tx.row(
            _QUERIES["disable_source"], merchant, mode, connection_id, self._clock.now()
        )
        if done is None:
            raise SourceUnknown

    def _check(self, scheme: str, secrets: Sequence[Secret[str]]) -> None:
        verifier = self._verifiers.get(scheme)
        if verifier is None:
            raise SourceRefused("there is no such scheme")
        if not secrets:
            raise SourceRefused("a source has at least one secret")
        if len(secrets) > SECRETS_MAX:
            raise SourceRefused(f"at most {SECRETS_MAX} secrets hold at once")
        if not all(verifier.accepts(secret) for secret in secrets):
            raise SourceRefused("a secret has not the form of its scheme")

    async def _sealed(
        self, merchant: MerchantId, mode: Mode, connection_id: ConnectionId, source: SealedSource
    ) -> Sealed:
        return await seal(self._keys, merchant, mode, connection_id, SECRETS_FIELD, source)


@final
@dataclass(frozen=True, slots=True)
class OpenSource:
    """A source whose notices may be verified now. Kept for a second at most."""

    merchant: MerchantId
    mode: Mode
    connection_id: ConnectionId
    verifier: Verifier
    #: Each with the time until which it holds.
    _secrets: Sequence[tuple[Secret[str], datetime | None]] = field(repr=False)

    def secrets(self, now: datetime) -> Sequence[Secret[str]]:
        """Return those that hold now; none, and nothing is believed."""
        return [secret for secret, until in self._secrets if until is None or now < until]


class OpenSources:
    """The sources that notices came for within the last second. Belongs to one event loop."""

    def __init__(self, database: Database, keys: DataKeys, verifiers: Verifiers) -> None:
        self._database = database
        self._keys = keys
        self._verifiers = verifiers
        self._open: OrderedDict[str, tuple[float, OpenSource]] = OrderedDict()
        self._asking: dict[str, asyncio.Task[OpenSource]] = {}

    async def open(self, connection_id: str) -> OpenSource:
        """Return the source of a connection. One question to the database at a time, however many ask.

        Raises:
            ConnectionUnknownHere: there is none, or it was disabled.
            CannotReadNotices: its row was altered.
            Unavailable: the database or the key store does not answer, and nobody asked within the last second.
        """
        kept = self._open.get(connection_id)
        if kept is not None and monotonic() < kept[0]:
            return kept[1]
        asking = self._asking.get(connection_id)
        if asking is None:
            if not is_id("con", connection_id):  # no question for what cannot be there
                raise ConnectionUnknownHere
            asking = asyncio.get_running_loop().create_task(self._ask(connection_id))
            self._asking[connection_id] = asking
            asking.add_done_callback(lambda done: self._landed(connection_id, done))
        # Shielded: a sender who leaves does not take the others' answer away.
        return await asyncio.shield(asking)

    async def _ask(self, connection_id: str) -> OpenSource:
        until = monotonic() + OPEN_SECONDS  # counted from before the row is read
        self._open.pop(connection_id, None)
        async with self._database.transaction() as read:
            await read.row(_QUERIES["present_connection"], connection_id)
            row = await read.row(_QUERIES["source_by_connection"], connection_id)
        if row is None or row["status"] != "active":
            raise ConnectionUnknownHere
        known = await _unsealed(self._keys, row)
        verifier = self._verifiers.get(known.scheme)
        if verifier is None:  # registered by another release
            raise ConnectionUnknownHere
        source = OpenSource(
            MerchantId(row["merchant_id"]),
            Mode(row["mode"]),
            ConnectionId(connection_id),
            verifier,
            [(Secret(each.secret), each.until) for each in known.secrets],
        )
        while len(self._open) >= OPEN_MAX:
            self._open.popitem(last=False)
        self._open[connection_id] = (until, source)
        # A quiet process would hold secrets for ever.
        asyncio.get_running_loop().call_later(OPEN_SECONDS, self._expire, connection_id, source)
        return source

    def _expire(self, connection_id: str, source: OpenSource) -> None:
        kept = self._open.get(connection_id)
        if kept is not None and kept[1] is source:
            del self._open[connection_id]

    def _landed(self, connection_id: str, done: "asyncio.Task[OpenSource]") -> None:
        del self._asking[connection_id]
        if not done.cancelled():
            done.exception()  # every sender was told; nobody may be left to take it


def _holds(secret: SealedSecret, now: datetime) -> bool:
    return secret.until is None or now < secret.until


async def _unsealed(keys: DataKeys, row: Mapping[str, Any]) -> SealedSource:
    return await unseal(
        keys,
        MerchantId(row["merchant_id"]),
        Mode(row["mode"]),
        row["connection_id"],
        SECRETS_FIELD,
        Sealed(row["sealed_secrets"], row["key_version"]),
        SealedSource,
    )
