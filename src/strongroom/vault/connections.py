# SPDX-License-Identifier: Apache-2.0
"""Merchants' connections to processors: registered, rotated, disabled, each with its audit record; opened for a second.

Where a connection leads is sealed together with its credentials. A row that was changed in the database does not open,
so nobody who can only write there points a merchant's cards and keys elsewhere.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import msgspec

from strongroom.audit import Action, Origin, Recorder
from strongroom.crypto import Algorithm, CannotOpen, Place, algorithm_of, hmac_sha256
from strongroom.db.errors import Again
from strongroom.db.pool import Database, Record, Transaction
from strongroom.egress import DestinationRefused, EgressPolicy, Target, check_url
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid, Unavailable
from strongroom.kernel.ids import MerchantId, is_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.keys import DataKeys, KeyName
from strongroom.vault.credential_forms import wrong_credentials
from strongroom.vault.credential_slots import (
    CredentialChange,
    CredentialSlot,
    CredentialState,
    Slots,
    changed,
    is_over,
    state_of,
)
from strongroom.vault.destinations import Destination, Destinations, filled_headers
from strongroom.vault.errors import (
    CannotReadCredentials,
    ConnectionDisabled,
    ConnectionExists,
    ConnectionUnknown,
    NothingStaged,
)
from strongroom.vault.writes import QUERIES

OPEN_SECONDS: Final = 1
OPEN_MAX: Final = 1_000
PURPOSE: Final = "credential"

#: Who drops credentials from before when their time is over.
_SYSTEM: Final = "system:credentials"
#: How often a change is decided anew that somebody else was faster with.
_TRIES_MAX: Final = 5
_Key: TypeAlias = tuple[MerchantId, Mode, str]


@dataclass(frozen=True, slots=True)
class OpenConnection:
    """A connection that may be called now. Kept for a second at most."""

    destination: Destination
    base_url: str
    port: int
    #: With the credentials in them.
    headers: Mapping[str, str] = field(repr=False)
    _signing: Secret[str] | None = field(repr=False)

    def signed(self, body: bytes) -> Mapping[str, str]:
        """Return the header that signs a body; none where the processor wants none."""
        signature = self.destination.body_signature
        if signature is None or self._signing is None:
            return {}
        return {signature.header: hmac_sha256(self._signing.expose().encode(), body).hex()}


@dataclass(frozen=True, slots=True)
class _Kept:
    connection: OpenConnection
    made_at: datetime


class VaultConnections:
    """Every merchant's connections. Implements `Connections`."""

    def __init__(
        self,
        *,
        database: Database,
        keyring: DataKeys,
        destinations: Destinations,
        policy: EgressPolicy,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._destinations = destinations
        self._policy = policy
        self._recorder = recorder
        self._clock = clock
        self._open: OrderedDict[_Key, _Kept] = OrderedDict()
        self._flights: dict[_Key, asyncio.Task[OpenConnection]] = {}

    # --- what is kept --------------------------------------------------------------------------------

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
        destination = self._destinations.find(processor, mode)
        if destination is None:
            raise Invalid(
                FieldError("/processor", "processor_unknown", "no such processor in this mode")
            )
        wrong = wrong_credentials(destination, mode, credentials)
        target = self._target(destination, mode, base_url)
        if target is None:
            wrong.insert(
                0,
                FieldError("/base_url", "destination_refused", "this address may not be called"),
            )
        if not is_id("con", connection):
            wrong.insert(0, FieldError("/connection", "id_malformed", "this is not an id"))
        if wrong or target is None:
            raise Invalid(*wrong)
        kept_url = target.url.rstrip("/")
        clear = {name: value.expose() for name, value in credentials.items()}
        sealed, version = await self._seal(
            (merchant, mode, connection), Slots(processor, kept_url, clear)
        )
        now = self._clock.now()
        async with self._database.transaction([merchant]) as tx:
            row = await tx.row(
                QUERIES["insert_connection"],
                merchant,
                mode,
                connection,
                processor,
                kept_url,
                sealed,
                version,
                now,
            )
            if row is None:
                raise ConnectionExists
            action = Action.VAULT_CONNECTION_CREATED
            await self._record(tx, action, (merchant, mode, connection), processor, actor, origin)

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
        change = CredentialChange("replaced", credentials, keep_seconds=keep_seconds)
        await self.change(merchant, mode, connection, change, actor=actor, origin=origin)

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
        key = (merchant, mode, connection)
        for _ in range(_TRIES_MAX):
            row = await self._row(*key)
            if row["status"] != "active":
                raise ConnectionDisabled
            # Opened first, so that what was pointed elsewhere is not sealed anew.
            destination, known = await self._unsealed(*key, row)
            if change.act in ("staged", "replaced") and (
                wrong := wrong_credentials(destination, mode, change.credentials)
            ):
                raise Invalid(*wrong)
            now = self._clock.now()
            slots = changed(known, change, now)
            if await self._put(key, row, slots, change.act, actor, origin):
                self._forget(key)
                return state_of(slots, now)
        raise Again

    async def credentials(
        self, merchant: MerchantId, mode: Mode, connection: str
    ) -> CredentialState:
        """Say which credentials there are. See `Connections`."""
        row = await self._row(merchant, mode, connection)
        _, known = await self._unsealed(merchant, mode, connection, row)
        return state_of(known, self._clock.now())

    async def _put(
        self, key: _Key, row: Record, slots: Slots, act: str, actor: str, origin: Origin
    ) -> bool:
        """Save credentials over those that they were decided from, with the record; tell whether it did."""
        sealed, version = await self._seal(key, slots)
        async with self._database.transaction([key[0]]) as tx:
            before, now = row["sealed_credentials"], self._clock.now()
            done = await tx.row(QUERIES["change_credentials"], *key, before, sealed, version, now)
            if done is None:
                return False
            if act == "replaced":
                action, result = Action.VAULT_CONNECTION_ROTATED, None
            else:
                action, result = Action.VAULT_CONNECTION_CHANGED, act
            await self._record(tx, action, key, slots.processor, actor, origin, result)
        return True

    async def disable(
        self, merchant: MerchantId, mode: Mode, connection: str, *, actor: str, origin: Origin
    ) -> None:
        """End a connection. See `Connections`."""
        await self._row(merchant, mode, connection)
        async with self._database.transaction([merchant]) as tx:
            changed = await tx.row(
                QUERIES["disable_connection"], merchant, mode, connection, self._clock.now()
            )
            if changed is not None:
                action = Action.VAULT_CONNECTION_DISABLED
                await self._record(
                    tx, action, (merchant, mode, connection), changed["processor"], actor, origin
                )
        self._forget((merchant, mode, connection))

    # --- what is open ---------------------------------------------------------------------------------

    async def open(
        self, merchant: MerchantId, mode: Mode, connection: str, slot: CredentialSlot = "current"
    ) -> OpenConnection:
        """Return a connection that may be called now; for a second without asking again, but with the next credentials.

        Raises:
            ConnectionUnknown, ConnectionDisabled, CannotReadCredentials: see each.
            NothingStaged: there are no next credentials.
            Unavailable: the database or the key store does not answer.
        """
        key = (merchant, mode, connection)
        if slot == "next":
            row = await self._active(key)
            return self._opened(key, *await self._unsealed(*key, row), slot)
        kept = self._open.get(key)
        # A clock set back must not lengthen a connection's stay, hence the first bound.
        if kept is not None and (
            kept.made_at <= self._clock.now() < kept.made_at + timedelta(seconds=OPEN_SECONDS)
        ):
            return kept.connection
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(self._fetched(key))
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._landed(key, done))
        # Shielded: a caller that gives up does not take the others' connection away.
        return await asyncio.shield(flight)

    async def close(self) -> None:
        """Forget every connection and stop what is under way."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        self._open.clear()

    async def _fetched(self, key: _Key) -> OpenConnection:
        now = (
            self._clock.now()
        )  # before the row is read: what changes meanwhile shows a second later, not two
        row = await self._active(key)
        destination, known = await self._unsealed(*key, row)
        opened = self._opened(key, destination, known, "current")
        if is_over(known, now):
            await self._drop_former(key, row, known)
        if self._flights.get(key) is asyncio.current_task():  # not forgotten meanwhile
            kept = _Kept(opened, now)
            self._open[key] = kept
            self._open.move_to_end(key)
            while len(self._open) > OPEN_MAX:
                self._open.popitem(last=False)
            # A quiet process would hold credentials for ever.
            asyncio.get_running_loop().call_later(OPEN_SECONDS, self._expire, key, kept)
        return opened

    def _opened(
        self, key: _Key, destination: Destination, known: Slots, slot: CredentialSlot
    ) -> OpenConnection:
        """Return a connection with one of its credentials."""
        target = self._target(destination, key[1], known.base_url)
        if target is None:  # the policy became narrower
            raise CannotReadCredentials
        credentials = known.credentials if slot == "current" else known.next
        if credentials is None:
            raise NothingStaged
        signature = destination.body_signature
        return OpenConnection(
            destination,
            known.base_url,
            target.port,
            filled_headers(destination, credentials),
            None if signature is None else Secret(credentials[signature.field]),
        )

    async def _drop_former(self, key: _Key, row: Record, known: Slots) -> None:
        """Drop credentials from before whose time is over. Whoever opens next does it where this could not."""
        slots = changed(known, CredentialChange("forgotten"), self._clock.now())
        with suppress(Unavailable):
            await self._put(key, row, slots, "forgotten", _SYSTEM, Origin())

    def _expire(self, key: _Key, kept: _Kept) -> None:
        if self._open.get(key) is kept:
            del self._open[key]

    def _landed(self, key: _Key, flight: "asyncio.Task[OpenConnection]") -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # every caller was told; nobody may be left to take it

    def _forget(self, key: _Key) -> None:
        self._open.pop(key, None)
        self._flights.pop(key, None)  # who asks from now on is answered anew

    # --- rows -------------------------------------------------------------------------------------------

    async def _row(self, merchant: MerchantId, mode: Mode, connection: str) -> Record:
        if not is_id("con", connection):
            raise ConnectionUnknown
        async with self._database.transaction([merchant]) as read:
            row = await read.row(QUERIES["connection_by_id"], merchant, mode, connection)
        if row is None:
            raise ConnectionUnknown
        return row

    async def _active(self, key: _Key) -> Record:
        row = await self._row(*key)
        if row["status"] != "active":
            raise ConnectionDisabled
        return row

    async def _seal(self, of: _Key, clear: Slots) -> tuple[bytes, int]:
        """Return what is sealed, and under which version of the key."""
        merchant, mode, connection = of
        key = await self._keyring.current(merchant, mode, KeyName.CREDENTIALS)
        place = _place(mode, merchant, connection, key.version)
        sealer = key.sealer(Algorithm.A256CBC_HS512, PURPOSE)
        return sealer.seal(msgspec.json.encode(clear), place), key.version

    async def _unsealed(
        self, merchant: MerchantId, mode: Mode, connection: str, row: Record
    ) -> tuple[Destination, Slots]:
        """Open a row, and check that it says what was sealed."""
        key = await self._keyring.version(merchant, mode, KeyName.CREDENTIALS, row["key_version"])
        sealed = row["sealed_credentials"]
        try:
            algorithm = algorithm_of(sealed)
            place = _place(mode, merchant, connection, row["key_version"], algorithm)
            clear = key.sealer(algorithm, PURPOSE).open(sealed, place)
        except CannotOpen:
            raise CannotReadCredentials from None
        known = msgspec.json.decode(clear, type=Slots)
        destination = self._destinations.find(known.processor, mode)
        if destination is None or known.credentials.keys() != destination.credential_fields:
            raise CannotReadCredentials  # sealed by another release, whose adapter wanted others
        if (known.processor, known.base_url) != (row["processor"], row["base_url"]):
            raise CannotReadCredentials
        return destination, known

    def _target(self, destination: Destination, mode: Mode, base_url: str) -> Target | None:
        """Return where a connection leads; None where it may not lead there."""
        try:
            target = check_url(base_url, self._policy, port=None)
        except DestinationRefused:
            return None
        # A query would swallow the path that a template adds.
        takes = destination.takes_host(target.host, mode)
        return target if takes and "?" not in base_url else None

    async def _record(
        self,
        tx: Transaction,
        action: Action,
        key: _Key,
        processor: str,
        actor: str,
        origin: Origin,
        result: str | None = None,
    ) -> None:
        merchant, mode, connection = key
        details = {"processor": processor} | ({} if result is None else {"result": result})
        record = self._recorder.make(
            action,
            actor=actor,
            merchant=merchant,
            mode=mode,
            thing=connection,
            origin=origin,
            now=self._clock.now(),
            details=details,
        )
        await self._recorder.insert(tx, record)


def _place(
    mode: Mode,
    merchant: MerchantId,
    connection: str,
    key_version: int,
    algorithm: Algorithm = Algorithm.A256CBC_HS512,
) -> Place:
    return Place(
        algorithm=algorithm,
        mode=mode,
        merchant=merchant,
        object_id=connection,
        field="credentials",
        key_version=key_version,
        purpose=PURPOSE,
    )
