# SPDX-License-Identifier: Apache-2.0
"""What is sealed of sources and notices, each for its own place, under the merchant's key for webhook secrets.

What says whose it is is sealed with it: a row that was changed or moved in the database does not open.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, LiteralString, NamedTuple, TypeVar

import msgspec

from strongroom.crypto import Algorithm, CannotOpen, Place
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.keys import DataKeys, KeyName
from strongroom.webhooks.inbound.errors import CannotReadNotices

PURPOSE: Final = "webhook"
SECRETS_FIELD: Final = "secrets"
NOTICE_FIELD: Final = "notice"


class SealedSecret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One verification secret, and until when it holds (RFC 3339; None: until it is rotated)."""

    secret: str
    until: datetime | None

    def __repr__(self) -> str:
        return "SealedSecret(***)"


class SealedSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is sealed of a source."""

    scheme: str
    secrets: Sequence[SealedSecret]

    def __repr__(self) -> str:
        return f"SealedSource({self.scheme})"


class SealedNotice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is sealed of a notice: as it was received, and what it said where that was encrypted."""

    connection_id: str
    event_key: str
    scheme: str
    headers: dict[str, str]
    #: Exact, in base64.
    body: bytes
    #: None: the body is what was signed. Kept because the secret that decrypts may be gone when the notice is handled.
    clear: bytes | None = None
    #: `VerifiedNotice.signed`.
    signed: dict[str, str] | None = None

    def __repr__(self) -> str:
        return "SealedNotice(***)"

    @property
    def said(self) -> bytes:
        """What was verified, in clear."""
        return self.body if self.clear is None else self.clear


class Sealed(NamedTuple):
    """A sealed value, and the version of the key that sealed it."""

    value: bytes
    key_version: int


_Thing = TypeVar("_Thing")


async def seal(
    keys: DataKeys,
    merchant: MerchantId,
    mode: Mode,
    object_id: str,
    field: LiteralString,
    thing: msgspec.Struct,
) -> Sealed:
    """Seal for one place.

    Raises:
        KeyStoreUnavailable: the key is not open, and the key store does not answer.
    """
    key = keys.cached(merchant, mode, KeyName.WEBHOOK_SECRETS)
    if key is None:
        key = await keys.current(merchant, mode, KeyName.WEBHOOK_SECRETS)
    place = place_of(merchant, mode, object_id, field, key.version)
    sealer = key.sealer(Algorithm.A256CBC_HS512, PURPOSE)
    return Sealed(sealer.seal(msgspec.json.encode(thing), place), key.version)


async def unseal(
    keys: DataKeys,
    merchant: MerchantId,
    mode: Mode,
    object_id: str,
    field: LiteralString,
    sealed: Sealed,
    shape: type[_Thing],
) -> _Thing:
    """Open what was sealed for that place.

    Raises:
        CannotReadNotices: it was altered or moved, or its key is lost.
        KeyStoreUnavailable: its key is not open, and the key store does not answer.
    """
    key = await keys.version(merchant, mode, KeyName.WEBHOOK_SECRETS, sealed.key_version)
    place = place_of(merchant, mode, object_id, field, sealed.key_version)
    try:
        clear = key.sealer(Algorithm.A256CBC_HS512, PURPOSE).open(sealed.value, place)
        return msgspec.json.decode(clear, type=shape)
    except (CannotOpen, msgspec.MsgspecError):  # sealed by another release, if it is the second
        raise CannotReadNotices from None


def place_of(
    merchant: MerchantId, mode: Mode, object_id: str, field: LiteralString, key_version: int
) -> Place:
    """Return where what is sealed of a source or a notice is sealed for."""
    return Place(
        algorithm=Algorithm.A256CBC_HS512,
        mode=mode,
        merchant=merchant,
        object_id=object_id,
        field=field,
        key_version=key_version,
        purpose=PURPOSE,
    )
