# SPDX-License-Identifier: Apache-2.0
"""Seals what is personal of customers and mandates for its own row, under the merchant's key `customer_data`."""

from typing import Final, NamedTuple, TypeVar

import msgspec

from strongroom.crypto import Algorithm, CannotOpen, Place
from strongroom.kernel.errors import Unavailable
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.keys import DataKeys, KeyName

PURPOSE: Final = "customer"
PERSONAL_FIELD: Final = "personal"
EVIDENCE_FIELD: Final = "evidence"
Shape = TypeVar("Shape", bound=msgspec.Struct)


class CustomerUnreadable(Unavailable):
    """What is kept of a customer does not open: it was altered or its key is lost."""

    code = "customer_unreadable"


class Sealed(NamedTuple):
    """A sealed value, and the version of the key that sealed it; both None where there is nothing to seal."""

    value: bytes | None
    key_version: int | None


NOTHING: Final = Sealed(None, None)


def place_of(merchant: MerchantId, mode: Mode, object_id: str, field: str, version: int) -> Place:
    """Return where a value is sealed for."""
    return Place(
        algorithm=Algorithm.A256CBC_HS512,
        mode=mode,
        merchant=merchant,
        object_id=object_id,
        field=EVIDENCE_FIELD if field == EVIDENCE_FIELD else PERSONAL_FIELD,
        key_version=version,
        purpose=PURPOSE,
    )


class CustomerSealer:
    """Seals and opens for one tenant at a time."""

    def __init__(self, keys: DataKeys) -> None:
        self._keys = keys

    async def seal(
        self, merchant: MerchantId, mode: Mode, object_id: str, field: str, value: msgspec.Struct
    ) -> Sealed:
        """Seal a value for its row. What says nothing is not sealed, and nothing stands there.

        Raises:
            KeyStoreUnavailable: the key is not open, and the key store does not answer.
        """
        if not any(msgspec.structs.astuple(value)):
            return NOTHING
        key = await self._keys.current(merchant, mode, KeyName.CUSTOMER_DATA)
        place = place_of(merchant, mode, object_id, field, key.version)
        sealer = key.sealer(Algorithm.A256CBC_HS512, PURPOSE)
        return Sealed(sealer.seal(msgspec.json.encode(value), place), key.version)

    async def open(
        self,
        merchant: MerchantId,
        mode: Mode,
        object_id: str,
        field: str,
        sealed: Sealed,
        shape: type[Shape],
    ) -> Shape:
        """Open what was sealed for that row.

        Raises:
            CustomerUnreadable: it was altered or moved, or its key is lost.
            KeyStoreUnavailable: its key is not open, and the key store does not answer.
        """
        if sealed.value is None or sealed.key_version is None:
            return shape()
        key = await self._keys.version(merchant, mode, KeyName.CUSTOMER_DATA, sealed.key_version)
        place = place_of(merchant, mode, object_id, field, sealed.key_version)
        try:
            clear = key.sealer(Algorithm.A256CBC_HS512, PURPOSE).open(bytes(sealed.value), place)
            return msgspec.json.decode(clear, type=shape)
        except (CannotOpen, msgspec.MsgspecError):
            raise CustomerUnreadable from None
