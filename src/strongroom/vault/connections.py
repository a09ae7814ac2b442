# SPDX-License-Identifier: Apache-2.0
"""Merchants' connections to processors: registered, rotated, disabled, each with its audit record; opened for a second.

Where a connection leads is sealed together with its credentials. A row that was changed in the database does not open,
so nobody who can only write there points a merchant's cards and keys elsewhere.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import msgspec

from strongroom.audit import Action, Origin, Recorder
from strongroom.crypto import Algorithm, CannotOpen, Place, algorithm_of, hmac_sha256
from strongroom.db.pool import Database, Record, Transaction
from strongroom.egress import DestinationRefused, EgressPolicy, Target, check_url
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import MerchantId, is_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.keys import DataKeys, KeyName
from strongroom.vault.destinations import Destination, Destinations, filled_headers
from strongroom.vault.errors import (
    CannotReadCredentials,
    ConnectionDisabled,
    ConnectionExists,
    ConnectionUnknown,
)
from strongroom.vault.writes import QUERIES

OPEN_SECONDS: Final = 1
OPEN_MAX: Final = 1_000
CREDENTIAL_CHARACTERS_MAX: Final = 4_096
PURPOSE: Final = "credential"

_Key: TypeAlias = tuple[MerchantId, Mode, str]


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is sealed of a connection."""

    processor: str
    base_url: str
    credentials: dict[str, str]


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
        wrong = _wrong_credentials(destination, mode, credentials)
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
        sealed, version = await self._seal(
            merchant, mode, connection, processor, kept_url, credentials
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
    ) -> None:
        """Put other credentials in the place of the present ones. See `Connections`."""
        row = await self._row(merchant, mode, connection)
        if row["status"] != "active":
            raise ConnectionDisabled
        # Opened first, so that what was pointed elsewhere is not sealed anew.
        destination, known = await self._unsealed(merchant, mode, connection, row)
        if wrong := _wrong_credentials(destination, mode, credentials):
            raise Invalid(*wrong)
        sealed, version = await self._seal(
            merchant, mode, connection, known.processor, known.base_url, credentials
        )
        async with self._database.transaction([merchant]) as tx:
            changed = await tx.row(
                QUERIES["rotate_connection"],
                merchant,
                mode,
                connection,
                sealed,
                version,
                self._clock.now(),
            )
            if changed is None:
                raise ConnectionDisabled  # meanwhile
            action = Action.VAULT_CONNECTION_ROTATED
            await self._record(
                tx, action, (merchant, mode, connection), known.processor, actor, origin
            )
        self._forget((merchant, mode, connection))

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

    async def open(self, merchant: MerchantId, mode: Mode, connection: str) -> OpenConnection:
        """Return a connection that may be called now; for a second without asking again.

        Raises:
            ConnectionUnknown, ConnectionDisabled, CannotReadCredentials: see each.
            Unavailable: the database or the key store does not answer.
        """
        key = (merchant, mode, connection)
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
        row = await self._row(*key)
        if row["status"] != "active":
            raise ConnectionDisabled
        destination, known = await self._unsealed(*key, row)
        target = self._target(destination, key[1], known.base_url)
        if target is None:  # the policy became narrower
            raise CannotReadCredentials
        signature = destination.body_signature
        opened = OpenConnection(
            destination,
            known.base_url,
            target.port,
            filled_headers(destination, known.credentials),
            None if signature is None else Secret(known.credentials[signature.field]),
        )
        if self._flights.get(key) is asyncio.current_task():  # not forgotten meanwhile
            kept = _Kept(opened, now)
            self._open[key] = kept
            self._open.move_to_end(key)
            while len(self._open) > OPEN_MAX:
                self._open.popitem(last=False)
            # A quiet process would hold credentials for ever.
            asyncio.get_running_loop().call_later(OPEN_SECONDS, self._expire, key, kept)
        return opened

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

    async def _seal(
        self,
        merchant: MerchantId,
        mode: Mode,
        connection: str,
        processor: str,
        base_url: str,
        credentials: Mapping[str, Secret[str]],
    ) -> tuple[bytes, int]:
        """Return what is sealed, and under which version of the key."""
        key = await self._keyring.current(merchant, mode, KeyName.CREDENTIALS)
        clear = _Sealed(
            processor, base_url, {name: value.expose() for name, value in credentials.items()}
        )
        place = _place(mode, merchant, connection, key.version)
        sealer = key.sealer(Algorithm.A256CBC_HS512, PURPOSE)
        return sealer.seal(msgspec.json.encode(clear), place), key.version

    async def _unsealed(
        self, merchant: MerchantId, mode: Mode, connection: str, row: Record
    ) -> tuple[Destination, _Sealed]:
        """Open a row, and check that it says what was sealed."""
        key = await self._keyring.version(merchant, mode, KeyName.CREDENTIALS, row["key_version"])
        sealed = row["sealed_credentials"]
        try:
            algorithm = algorithm_of(sealed)
            place = _place(mode, merchant, connection, row["key_version"], algorithm)
            clear = key.sealer(algorithm, PURPOSE).open(sealed, place)
        except CannotOpen:
            raise CannotReadCredentials from None
        known = msgspec.json.decode(clear, type=_Sealed)
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
    ) -> None:
        merchant, mode, connection = key
        record = self._recorder.make(
            action,
            actor=actor,
            merchant=merchant,
            mode=mode,
            thing=connection,
            origin=origin,
            now=self._clock.now(),
            details={"processor": processor},
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


def _wrong_credentials(
    destination: Destination, mode: Mode, credentials: Mapping[str, Secret[str]]
) -> list[FieldError]:
    """Return what is missing, not wanted, would not stand in a header, or is of the other mode."""
    wrong = [
        FieldError(f"/credentials/{name}", "required", "this processor needs it")
        for name in sorted(destination.credential_fields - credentials.keys())
    ]
    # The name of a field that is not wanted is the caller's own text, and is not repeated.
    if credentials.keys() - destination.credential_fields:
        wrong.append(
            FieldError("/credentials", "unknown_field", "this processor takes no such field")
        )
    for name in sorted(destination.credential_fields & credentials.keys()):
        value = credentials[name].expose()
        if not 0 < len(value) <= CREDENTIAL_CHARACTERS_MAX or not (
            value.isascii() and value.isprintable() and value == value.strip()
        ):
            wrong.append(
                FieldError(f"/credentials/{name}", "malformed", "printable ASCII, and not empty")
            )
            continue
        forms = destination.credential_forms.get(name)
        if forms is not None and re.fullmatch(forms[mode], value) is None:
            wrong.append(
                FieldError(
                    f"/credentials/{name}",
                    "credential_not_of_mode",
                    "this is not what the processor gives out for this mode",
                )
            )
    return wrong
