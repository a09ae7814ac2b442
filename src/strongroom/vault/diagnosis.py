# SPDX-License-Identifier: Apache-2.0
"""Says why what is sealed under a card key does not open: in the log, after it was refused, and within bounds.

An authenticated cipher says one thing, that the tag does not hold. So the tag is checked again for the places of the
same tenant that the value could have come from; no other tenant's key is taken, nothing is opened, and callers are told
`card_unreadable` whatever comes of it. What fits nowhere was altered, or is of a place that was not tried.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, LiteralString, final

from strongroom.audit import Action, Origin, Outcome, Recorder
from strongroom.crypto import VERSION_BYTES, Algorithm, CannotOpen, Place, algorithm_of
from strongroom.db.pool import Database
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import StrongroomError, told
from strongroom.kernel.mode import Mode
from strongroom.keys import DataKey, DataKeys, KeyName, KeysBroken
from strongroom.telemetry.log import Log
from strongroom.vault.errors import (
    CannotReadCard,
    CardAlgorithmAltered,
    CardKeyWrong,
    CardOfAnotherField,
    CardOfAnotherMode,
    CardOfAnotherToken,
)
from strongroom.vault.writes import QUERIES

ACTOR: Final = "system:vault"
#: So many of the tenant's tokens, the newest, are tried as the place that a value was taken from.
TOKENS_TRIED_MAX: Final = 2_000
VERSIONS_TRIED_MAX: Final = 16
SECONDS_MAX: Final = 2.0
#: Each thing found of a value is recorded once in so long by a process: whoever asks again and again fills no log.
RECORDED_EVERY: Final = timedelta(hours=1)
RECORDED_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Unopened:
    """A value that does not open, and where it was found."""

    sealed: bytes
    place: Place


@final
class Diagnosis:
    """The diagnoses of one process, one at a time: what comes meanwhile is logged and recorded as not opening."""

    def __init__(
        self,
        database: Database,
        keyring: DataKeys,
        recorder: Recorder,
        clock: Clock,
        log: Log,
        fields: Sequence[LiteralString],
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._recorder = recorder
        self._clock = clock
        self._log = log
        self._fields = fields
        #: The object and field that are looked into.
        self._busy: tuple[str, str] | None = None
        self._recorded: OrderedDict[tuple[str, str, str], datetime] = OrderedDict()

    async def why(self, found: Unopened, otherwise: CannotReadCard) -> CannotReadCard:
        """Return the error that says why a value does not open, recorded and logged; raises nothing.

        `otherwise` is what is said where it fits nowhere.
        """
        place = found.place
        at = (place.object_id, place.field)
        if self._busy is not None:
            if self._busy != at:  # else that diagnosis tells
                await self._tell(place, otherwise)
            return otherwise
        self._busy = at
        try:
            try:
                async with asyncio.timeout(SECONDS_MAX):
                    kind = await self._kind(found)
            except (StrongroomError, TimeoutError):
                kind = None  # what it was refused for stands
            error = otherwise if kind is None else kind()
            await self._tell(place, error)
            return error
        finally:
            self._busy = None

    async def _kind(self, found: Unopened) -> type[CannotReadCard] | None:
        """Find the one thing that is wrong. Of several at once, such as a moved value with another byte, none fits."""
        place = found.place
        try:
            claimed = algorithm_of(found.sealed)
        except CannotOpen:
            return None
        key = await self._version(place, place.mode, place.key_version)
        if key is not None:
            for algorithm in set(Algorithm) - {claimed}:
                put_back = bytes([VERSION_BYTES[algorithm]]) + found.sealed[1:]
                if _authentic(key, put_back, place._replace(algorithm=algorithm)):
                    return CardAlgorithmAltered
        at = place._replace(algorithm=claimed)
        async for version in self._other_versions(place):
            if _authentic(version, found.sealed, at._replace(key_version=version.version)):
                return CardKeyWrong
        for mode in set(Mode) - {place.mode}:
            other = await self._version(place, mode, place.key_version)
            if other is not None and _authentic(other, found.sealed, at._replace(mode=mode)):
                return CardOfAnotherMode
        if key is None:
            return None
        if any(_authentic(key, found.sealed, each) for each in self._other_fields(at)):
            return CardOfAnotherField
        tokens = await self._tokens(place)
        if await asyncio.to_thread(_of_one_of, key, found.sealed, at, tokens):
            return CardOfAnotherToken
        return None

    async def _version(self, place: Place, mode: Mode, version: int) -> DataKey | None:
        """Return a key that is there; none is made for this."""
        try:
            return await self._keyring.version(place.merchant, mode, KeyName.CARD, version)
        except KeysBroken:
            return None

    async def _other_versions(self, place: Place) -> AsyncIterator[DataKey]:
        newest = (await self._keyring.current(place.merchant, place.mode, KeyName.CARD)).version
        for version in range(newest, max(0, newest - VERSIONS_TRIED_MAX), -1):
            key = None
            if version != place.key_version:
                key = await self._version(place, place.mode, version)
            if key is not None:
                yield key

    def _other_fields(self, place: Place) -> Iterator[Place]:
        return (place._replace(field=each) for each in self._fields if each != place.field)

    async def _tokens(self, place: Place) -> Sequence[str]:
        async with self._database.transaction([place.merchant]) as read:
            rows = await read.rows(
                QUERIES["newest_token_ids"], place.merchant, place.mode, TOKENS_TRIED_MAX
            )
        return [row["token_id"] for row in rows if row["token_id"] != place.object_id]

    async def _tell(self, place: Place, error: CannotReadCard) -> None:
        """Log and record, once in a while, what was found. It was refused, whether that can be recorded or not."""
        now, at = self._clock.now(), (place.object_id, place.field, error.code)
        last = self._recorded.get(at)
        if last is not None and now < last + RECORDED_EVERY:
            return
        self._recorded[at] = now
        while len(self._recorded) > RECORDED_MAX:
            self._recorded.popitem(last=False)
        fields: Mapping[str, object] = {
            "merchant_id": place.merchant,
            "mode": place.mode.value,
            "token_id": place.object_id,
            "key_version": place.key_version,
            "code": error.code,
        }
        self._log.emit("error", "vault.opening.failed", fields)
        record = self._recorder.make(
            Action.VAULT_OPENING_FAILED,
            actor=ACTOR,
            merchant=place.merchant,
            mode=place.mode,
            thing=place.object_id,
            origin=Origin(),
            now=now,
            # Whoever may read the tenant's records is a caller: why is in the log.
            details={"key_version": place.key_version, "reason": told(error).code},
            outcome=Outcome.FAILED,
        )
        try:
            async with self._database.transaction([place.merchant]) as tx:
                await self._recorder.insert(tx, record)
        except StrongroomError as away:
            del self._recorded[at]
            self._log.emit("warning", "vault.opening.not_recorded", {"code": away.code})


def _authentic(key: DataKey, sealed: bytes, place: Place) -> bool:
    """Tell whether a value was sealed under this key, for that place."""
    try:
        key.sealer(place.algorithm, place.purpose).require_authentic(sealed, place)
    except CannotOpen:
        return False
    return True


def _of_one_of(key: DataKey, sealed: bytes, place: Place, tokens: Sequence[str]) -> bool:
    return any(_authentic(key, sealed, place._replace(object_id=each)) for each in tokens)
