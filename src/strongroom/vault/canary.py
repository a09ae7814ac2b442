# SPDX-License-Identifier: Apache-2.0
"""A card of our own that is nobody's: sealed like any other, it shows that data, wrapped keys and roots fit together.

A drill opens it out of a restored backup; no merchant's card is opened for that.
"""

from typing import Final

from strongroom.crypto import Algorithm, CannotOpen, Place, equal
from strongroom.db.pool import Database
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.keys import PLATFORM_MERCHANT, PLATFORM_MODE, DataKeys, KeyName
from strongroom.vault.writes import QUERIES

#: Of the synthetic range (DESIGN §4): no issuer's.
_NUMBER: Final = b"0000004711000002   "
_PURPOSE: Final = "card"


class CanarySilent(StrongroomError):
    """The canary is not there or does not open: data, wrapped keys and roots do not belong together."""

    code = "canary_silent"


async def put_canary(database: Database, keyring: DataKeys, clock: Clock) -> None:
    """Seal the canary once, under the platform's own card key. Of two vaults that start at once, one does it."""
    async with database.transaction() as tx:
        if await tx.row(QUERIES["canary"]) is not None:
            return
    key = await keyring.current(PLATFORM_MERCHANT, PLATFORM_MODE, KeyName.CARD)
    place = _place(key.version)
    sealed = key.sealer(place.algorithm, _PURPOSE).seal(_NUMBER, place)
    async with database.transaction() as tx:
        await tx.run(QUERIES["put_canary"], sealed, key.version, clock.now())


async def reseal_canary(database: Database, keyring: DataKeys) -> int:
    """Seal the canary anew under the platform's current card key; return the version that seals it.

    Safe to repeat. Raises as `hear_canary`.
    """
    await hear_canary(database, keyring)
    key = await keyring.current(PLATFORM_MERCHANT, PLATFORM_MODE, KeyName.CARD)
    place = _place(key.version)
    sealed = key.sealer(place.algorithm, _PURPOSE).seal(_NUMBER, place)
    async with database.transaction() as tx:
        await tx.run(QUERIES["move_canary"], sealed, key.version)
    return key.version


async def hear_canary(database: Database, keyring: DataKeys) -> None:
    """Open the canary.

    Raises:
        CanarySilent: it is not there, or what opens is not it.
        KeysBroken, Unavailable: its key is not to be had: see each.
    """
    async with database.transaction() as tx:
        row = await tx.row(QUERIES["canary"])
    if row is None:
        raise CanarySilent("no canary was put here")
    key = await keyring.version(PLATFORM_MERCHANT, PLATFORM_MODE, KeyName.CARD, row["key_version"])
    place = _place(key.version)
    try:
        opened = key.sealer(place.algorithm, _PURPOSE).open(row["sealed"], place)
    except CannotOpen:
        raise CanarySilent from None
    if not equal(opened, _NUMBER):
        raise CanarySilent


def _place(version: int) -> Place:
    return Place(
        algorithm=Algorithm.A256CBC_HS512,
        mode=Mode.TEST,
        merchant=MerchantId("platform"),
        object_id="backup",
        field="canary",
        key_version=version,
        purpose=_PURPOSE,
    )
