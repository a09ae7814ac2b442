# SPDX-License-Identifier: Apache-2.0
"""The values of this domain: what a store hands out, what a row holds, what a caller uses. No printing of keys."""

import enum
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, final

from strongroom.crypto import Algorithm, Sealer
from strongroom.crypto.digest import HmacSha256
from strongroom.kernel.secret import Secret
from strongroom.keys.purposes import Purpose

#: Merchant and mode of a key that belongs to the installation and to no merchant.
PLATFORM_MERCHANT = ""
PLATFORM_MODE = ""
#: What stands for both in the context that such a key is bound to, where no value is empty.
PLATFORM_CONTEXT: Final = "platform"
#: No process keeps a data key in clear for longer.
CACHE_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class NewDataKey:
    """A data key that a store has just made: 32 bytes, and what unwraps to them."""

    plaintext: Secret[bytes]
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class RootInfo:
    """What a store says of a root key."""

    purpose: Purpose
    key_id: str
    algorithm: str
    #: When the version that wraps now was made; the root itself where the store tells no versions (AWS KMS).
    created: datetime
    enabled: bool
    #: When the store itself makes the next version, where it says so.
    rotates_at: datetime | None = None


class KeyState(enum.StrEnum):
    """How a version of a data key may be used."""

    ACTIVE = "active"
    #: Opens, but seals nothing new.
    RETIRING = "retiring"
    #: Its row stays, so that the version is never made again; what could open it is gone.
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True)
class DataKeyRow:
    """A wrapped data key as it is kept. `(merchant, mode, name, version)` is unique."""

    merchant: str
    mode: str
    name: str
    purpose: str
    version: int
    state: KeyState
    wrapped: bytes
    #: HMAC-SHA-256 over every other column.
    mac: bytes
    made_at: datetime


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A version that was made or destroyed lately."""

    merchant: str
    mode: str
    name: str
    version: int
    what: str
    at: datetime


@final
@dataclass(frozen=True, slots=True, eq=False)
class DataKey:
    """A data key in clear. Use it for one call and ask again: the keyring bounds how long it is kept."""

    version: int
    secret: Secret[bytes]
    #: When this version was made; None where it does not matter.
    made_at: datetime | None = field(default=None, repr=False)
    _sealers: dict[tuple[Algorithm, str], Sealer] = field(
        default_factory=dict, init=False, repr=False
    )
    _macs: list[HmacSha256] = field(default_factory=list, init=False, repr=False)

    def mac(self) -> HmacSha256:
        """Return what makes MACs under this key, which is worked in once; kept no longer than this key."""
        if not self._macs:
            self._macs.append(HmacSha256(self.secret.expose()))
        return self._macs[0]

    def sealer(self, algorithm: Algorithm, purpose: str) -> Sealer:
        """Return the sealer for an algorithm and purpose, derived once and kept no longer than this key."""
        sealer = self._sealers.get((algorithm, purpose))
        if sealer is None:
            sealer = Sealer(self.secret.expose(), algorithm, purpose)
            self._sealers[algorithm, purpose] = sealer
        return sealer
