# SPDX-License-Identifier: Apache-2.0
"""An endpoint's secrets: sealed for its place, several while they are rotated, the newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from strongroom.crypto import Algorithm, CannotOpen, Place
from strongroom.kernel.ids import EndpointId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.keys import DataKeys, KeyName
from strongroom.webhooks.errors import EndpointSecretsUnreadable

PURPOSE: Final = "webhook"
#: More than these do not hold at once: of many rotations within one overlap, the oldest secret ends early.
SECRETS_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class EndpointSecret:
    """A secret, and until when it signs; None: until it is rotated."""

    text: Secret[str]
    until: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Tell whether it signs now."""
        return self.until is None or now < self.until


class Sealed(NamedTuple):
    """A sealed value, and the version of the key that sealed it."""

    value: bytes
    key_version: int


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    secret: str
    until: datetime | None

    def __repr__(self) -> str:
        return "_Kept(***)"


def rotated(
    secrets: Sequence[EndpointSecret], new: Secret[str], now: datetime, overlap_seconds: int
) -> Sequence[EndpointSecret]:
    """Return the secrets with a new one in front; those that hold do so for the overlap more, at most."""
    end = now + timedelta(seconds=overlap_seconds)
    older = [
        EndpointSecret(each.text, end if each.until is None else min(each.until, end))
        for each in secrets
        if each.holds(now)
    ]
    return [EndpointSecret(new), *(each for each in older if each.holds(now))][:SECRETS_MAX]


async def seal_secrets(
    keys: DataKeys,
    merchant: MerchantId,
    mode: Mode,
    endpoint: EndpointId,
    secrets: Sequence[EndpointSecret],
) -> Sealed:
    """Seal an endpoint's secrets for its place.

    Raises:
        KeyStoreUnavailable: the key is not open, and the key store does not answer.
    """
    key = await keys.current(merchant, mode, KeyName.WEBHOOK_SECRETS)
    clear = msgspec.json.encode([_Kept(each.text.expose(), each.until) for each in secrets])
    place = place_of(merchant, mode, endpoint, key.version)
    return Sealed(key.sealer(Algorithm.A256CBC_HS512, PURPOSE).seal(clear, place), key.version)


async def open_secrets(
    keys: DataKeys, merchant: MerchantId, mode: Mode, endpoint: EndpointId, sealed: Sealed
) -> Sequence[EndpointSecret]:
    """Open what was sealed for that endpoint.

    Raises:
        EndpointSecretsUnreadable: it was altered or moved, or its key is lost.
        KeyStoreUnavailable: its key is not open, and the key store does not answer.
    """
    key = await keys.version(merchant, mode, KeyName.WEBHOOK_SECRETS, sealed.key_version)
    place = place_of(merchant, mode, endpoint, sealed.key_version)
    try:
        clear = key.sealer(Algorithm.A256CBC_HS512, PURPOSE).open(sealed.value, place)
    except CannotOpen:
        raise EndpointSecretsUnreadable from None
    kept = msgspec.json.decode(clear, type=list[_Kept])
    return [EndpointSecret(Secret(each.secret), each.until) for each in kept]


def place_of(merchant: MerchantId, mode: Mode, endpoint: EndpointId, key_version: int) -> Place:
    """Return where an endpoint's secrets are sealed for."""
    return Place(
        algorithm=Algorithm.A256CBC_HS512,
        mode=mode,
        merchant=merchant,
        object_id=endpoint,
        field="secrets",
        key_version=key_version,
        purpose=PURPOSE,
    )
