# SPDX-License-Identifier: Apache-2.0
"""Merchants' destinations: registered, changed, rotated, disabled, each with its audit record; opened for a second.

What a destination is stands in clear and is sealed as well, together with its credentials: a row that was changed in
the database does not open, so nobody who can only write there sends a merchant's cards elsewhere.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeAlias

import msgspec

from strongroom.audit import Action, Origin, Recorder
from strongroom.crypto import Algorithm, CannotOpen, Place, algorithm_of
from strongroom.crypto.ids import new_id
from strongroom.db.pool import Database, Transaction
from strongroom.egress import (
    DestinationRefused,
    EgressPolicy,
    IdentityUnusable,
    Target,
    TlsIdentity,
    require_usable,
)
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import DestinationId, MerchantId, is_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.keys import DataKeys, KeyName
from strongroom.vault.errors import NothingToRestore
from strongroom.vault.forwarding import store
from strongroom.vault.forwarding.credentials import (
    CERTIFICATE,
    PRIVATE_KEY,
    Credentials,
    wrong_credentials,
)
from strongroom.vault.forwarding.errors import (
    CannotReadDestination,
    DestinationDisabled,
    DestinationUnknown,
    TooManyDestinations,
)
from strongroom.vault.forwarding.model import DESTINATIONS_MAX, Config, Destination
from strongroom.vault.forwarding.registration import require_registrable, target_of
from strongroom.vault.forwarding.store import Row

OPEN_SECONDS: Final = 1
OPEN_MAX: Final = 1_000
PURPOSE: Final = "credential"
#: The place's field: what is sealed of a destination opens as nothing else.
FIELD: Final = "destination"
_Key: TypeAlias = tuple[MerchantId, Mode, str]
Given: TypeAlias = Mapping[str, Secret[str]]


class By(NamedTuple):
    """Who acts on destinations, and whence: a person who called, or an operator at the machine itself."""

    merchant: MerchantId
    mode: Mode
    actor: str
    origin: Origin

    @property
    def scope(self) -> tuple[MerchantId, Mode]:
        """The tenant and mode that everything is looked up in."""
        return self.merchant, self.mode


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is sealed of a destination."""

    config: str
    current: dict[str, str]
    previous: dict[str, str] | None = None
    #: Unix time until which the credentials from before are kept, and hold where two can.
    previous_until: int | None = None


@dataclass(frozen=True, slots=True)
class OpenDestination:
    """A destination that may be called now. Kept for a second at most."""

    destination: Destination
    target: Target
    credentials: Credentials = field(repr=False)
    identity: TlsIdentity | None = field(repr=False)


class DestinationBook:
    """Every merchant's destinations, for this process."""

    def __init__(
        self,
        *,
        database: Database,
        keyring: DataKeys,
        policy: EgressPolicy,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self.clock = clock
        self.recorder = recorder
        self._database = database
        self._keyring = keyring
        self._policy = policy
        self._open: OrderedDict[_Key, tuple[datetime, OpenDestination]] = OrderedDict()

    # --- what is kept --------------------------------------------------------------------------------

    async def create(self, by: By, name: str, config: Config, credentials: Given) -> Destination:
        """Register a destination.

        Raises:
            Invalid: naming each field that does not fit.
            TooManyDestinations: see there.
        """
        merchant, mode = by.scope
        clear = _clear(credentials)
        self._require_registrable(name, config, clear, mode)
        now = self.clock.now()
        made = Destination(
            merchant,
            mode,
            DestinationId(new_id("dst")),
            name,
            config,
            "active",
            by.actor,
            now,
            now,
            now,
        )
        row = await self._sealed(made, _Sealed(store.config_text(config), clear))
        async with self._database.transaction([merchant]) as tx:
            if await store.count(tx, merchant, mode) >= DESTINATIONS_MAX:
                raise TooManyDestinations
            await store.insert(tx, row)
            await self._record(tx, by, Action.VAULT_DESTINATION_CREATED, made, "created")
        return made

    async def read(self, by: By, destination: str) -> Destination:
        """Return a destination, without what is secret.

        Raises:
            DestinationUnknown: not there for this merchant and mode.
        """
        return (await self._row(*by.scope, destination)).destination

    async def list(
        self, by: By, before: str | None, limit: int
    ) -> tuple[Sequence[Destination], str | None]:
        """Return a page, newest first, and the cursor of the next page if there is one."""
        merchant, mode = by.scope
        async with self._database.transaction([merchant]) as read:
            rows = await store.page(read, merchant, mode, before, limit)
        found = [row.destination for row in rows[:limit]]
        return found, found[-1].destination_id if len(rows) > limit else None

    async def update(self, by: By, destination: str, name: str, config: Config) -> Destination:
        """Put another description in the place of the present one; its credentials stay, and so does its address.

        Credentials that somebody else gave are never sent to another host by who does not know them.

        Raises:
            Invalid, DestinationUnknown, DestinationDisabled, CannotReadDestination: see each.
        """

        def changed(row: Row, sealed: _Sealed) -> tuple[Destination, _Sealed]:
            if config.base_url != row.destination.config.base_url:
                raise Invalid(
                    FieldError("/base_url", "base_url_fixed", "for another address, another one")
                )
            self._require_registrable(name, config, sealed.current, by.mode)
            # What was for another address or another way of authentication is not brought back.
            return (
                replace(row.destination, name=name, config=config, updated_at=self.clock.now()),
                _Sealed(store.config_text(config), sealed.current),
            )

        return await self._change(by, destination, changed, "changed")

    async def rotate(
        self, by: By, destination: str, credentials: Given, overlap: timedelta
    ) -> Destination:
        """Take new credentials at once; those from before are kept for the overlap, and sign beside the new ones.

        Raises:
            Invalid, DestinationUnknown, DestinationDisabled, CannotReadDestination: see each.
        """
        clear = _clear(credentials)
        now = self.clock.now()

        def rotated(row: Row, sealed: _Sealed) -> tuple[Destination, _Sealed]:
            config = row.destination.config
            if wrong := wrong_credentials(config, clear):
                raise Invalid(*wrong)
            _require_identity(config, clear)
            kept = overlap > timedelta(0)
            return (
                replace(row.destination, updated_at=now, credentials_changed_at=now),
                _Sealed(
                    sealed.config,
                    clear,
                    sealed.current if kept else None,
                    int((now + overlap).timestamp()) if kept else None,
                ),
            )

        return await self._change(by, destination, rotated, "rotated")

    async def restore(self, by: By, destination: str) -> Destination:
        """Put the credentials from before back, while their overlap lasts; the present ones are dropped.

        Raises:
            NothingToRestore: there are none.
            DestinationUnknown, DestinationDisabled, CannotReadDestination: see each.
        """
        now = self.clock.now()

        def restored(row: Row, sealed: _Sealed) -> tuple[Destination, _Sealed]:
            previous = _previous(sealed, now)
            if previous is None:
                raise NothingToRestore
            return (
                replace(row.destination, updated_at=now, credentials_changed_at=now),
                _Sealed(sealed.config, dict(previous)),
            )

        return await self._change(by, destination, restored, "restored")

    async def disable(self, by: By, destination: str) -> Destination:
        """End a destination; within two seconds no process calls it. Doing it twice is doing it once.

        Raises:
            DestinationUnknown: not there for this merchant and mode.
        """
        key = (*by.scope, destination)
        await self._row(*key)
        async with self._database.transaction([key[0]]) as tx:
            row = await store.find(tx, *key, for_change=True)
            if row is None:
                raise DestinationUnknown
            if row.destination.status == "disabled":
                return row.destination
            # Nothing is unsealed: what was altered can be ended, too.
            ended = replace(row.destination, status="disabled", updated_at=self.clock.now())
            await store.change(tx, replace(row, destination=ended))
            await self._record(tx, by, Action.VAULT_DESTINATION_DISABLED, ended, "disabled")
        self._open.pop(key, None)
        return ended

    # --- what is open ---------------------------------------------------------------------------------

    async def open(self, merchant: MerchantId, mode: Mode, destination: str) -> OpenDestination:
        """Return a destination that may be called now; for a second without asking again.

        Raises:
            DestinationUnknown, DestinationDisabled, CannotReadDestination: see each.
            Unavailable: the database or the key store does not answer.
        """
        key = (merchant, mode, destination)
        now = self.clock.now()
        kept = self._open.get(key)
        # A clock set back must not lengthen its stay, hence the first bound.
        if kept is not None and kept[0] <= now < kept[0] + timedelta(seconds=OPEN_SECONDS):
            return kept[1]
        row = await self._row(*key)
        if row.destination.status != "active":
            raise DestinationDisabled
        sealed = await self._unsealed(row)
        try:
            target = target_of(row.destination.config, mode, self._policy)
        except DestinationRefused:  # the policy became narrower
            raise CannotReadDestination from None
        opened = OpenDestination(
            row.destination,
            target,
            Credentials(sealed.current, _previous(sealed, now)),
            _identity(row.destination.config, sealed.current, kept),
        )
        self._open[key] = (now, opened)
        self._open.move_to_end(key)
        if len(self._open) > OPEN_MAX:
            self._open.popitem(last=False)
        return opened

    async def forget(self) -> int:
        """Drop what was opened longer than a second ago: a quiet process holds no credentials. Return how many."""
        end = self.clock.now() - timedelta(seconds=OPEN_SECONDS)
        past = [key for key, (made_at, _) in self._open.items() if made_at <= end]
        for key in past:
            del self._open[key]
        return len(past)

    async def close(self) -> None:
        """Forget every destination: the process ends."""
        self._open.clear()

    # --- rows -------------------------------------------------------------------------------------------

    async def _change(
        self,
        by: By,
        destination: str,
        decide: Callable[[Row, _Sealed], tuple[Destination, _Sealed]],
        result: str,
    ) -> Destination:
        """Load, decide and save in one transaction, with its record."""
        key = (*by.scope, destination)
        # Keys are opened before a row is held: the key store may be slow.
        await self._unsealed(await self._row(*key))
        async with self._database.transaction([key[0]]) as tx:
            row = await store.find(tx, *key, for_change=True)
            if row is None:
                raise DestinationUnknown
            if row.destination.status != "active":
                raise DestinationDisabled
            changed, sealed = decide(row, await self._unsealed(row))
            await store.change(tx, await self._sealed(changed, sealed))
            await self._record(tx, by, Action.VAULT_DESTINATION_CHANGED, changed, result)
        self._open.pop(key, None)
        return changed

    async def _row(self, merchant: MerchantId, mode: Mode, destination: str) -> Row:
        if not is_id("dst", destination):
            raise DestinationUnknown
        async with self._database.transaction([merchant]) as read:
            row = await store.find(read, merchant, mode, destination)
        if row is None:
            raise DestinationUnknown
        return row

    async def _sealed(self, destination: Destination, sealed: _Sealed) -> Row:
        key = await self._keyring.current(
            destination.merchant_id, destination.mode, KeyName.CREDENTIALS
        )
        sealer = key.sealer(Algorithm.A256CBC_HS512, PURPOSE)
        return Row(
            destination,
            sealed.config,
            sealer.seal(msgspec.json.encode(sealed), _place(destination, key.version)),
            key.version,
        )

    async def _unsealed(self, row: Row) -> _Sealed:
        """Open a row, and check that it says what was sealed."""
        found = row.destination
        key = await self._keyring.version(
            found.merchant_id, found.mode, KeyName.CREDENTIALS, row.key_version
        )
        try:
            algorithm = algorithm_of(row.sealed)
            place = _place(found, row.key_version, algorithm)
            clear = key.sealer(algorithm, PURPOSE).open(row.sealed, place)
        except CannotOpen:
            raise CannotReadDestination from None
        sealed = msgspec.json.decode(clear, type=_Sealed)
        if sealed.config != row.config:
            raise CannotReadDestination
        return sealed

    def _require_registrable(
        self, name: str, config: Config, credentials: Mapping[str, str], mode: Mode
    ) -> None:
        # Kept in clear, and shown: no field of it is a place for a card number.
        if has_cardlike(store.config_text(config)):
            raise Invalid(FieldError("/", "card_number_refused", "there is a card number in it"))
        require_registrable(name, config, credentials, mode, self._policy)
        _require_identity(config, credentials)

    async def _record(
        self, tx: Transaction, by: By, action: Action, changed: Destination, result: str
    ) -> None:
        record = self.recorder.make(
            action,
            actor=by.actor,
            merchant=changed.merchant_id,
            mode=changed.mode,
            thing=changed.destination_id,
            origin=by.origin,
            now=self.clock.now(),
            details={"result": result},
        )
        await self.recorder.insert(tx, record)


def _clear(credentials: Given) -> dict[str, str]:
    return {name: value.expose() for name, value in credentials.items()}


def _previous(sealed: _Sealed, now: datetime) -> Mapping[str, str] | None:
    until = sealed.previous_until
    return sealed.previous if until is not None and now.timestamp() < until else None


def _require_identity(config: Config, credentials: Mapping[str, str]) -> None:
    if not config.client_certificate:
        return
    try:
        require_usable(TlsIdentity(credentials[CERTIFICATE], Secret(credentials[PRIVATE_KEY])))
    except IdentityUnusable as unusable:
        raise Invalid(
            FieldError("/credentials/certificate", "certificate_unusable", unusable.detail)
        ) from None


def _identity(
    config: Config,
    credentials: Mapping[str, str],
    kept: tuple[datetime, OpenDestination] | None,
) -> TlsIdentity | None:
    """Return what is shown; the one from before where it is the same, so that connections go on."""
    if not config.client_certificate:
        return None
    if kept is not None and kept[1].credentials.current == credentials:
        return kept[1].identity
    return TlsIdentity(credentials[CERTIFICATE], Secret(credentials[PRIVATE_KEY]))


def _place(
    destination: Destination,
    key_version: int,
    algorithm: Algorithm = Algorithm.A256CBC_HS512,
) -> Place:
    return Place(
        algorithm=algorithm,
        mode=destination.mode,
        merchant=destination.merchant_id,
        object_id=destination.destination_id,
        field=FIELD,
        key_version=key_version,
        purpose=PURPOSE,
    )
