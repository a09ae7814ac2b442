# SPDX-License-Identifier: Apache-2.0
"""Merchants and their API keys, as values. A key's text exists once, when it is made."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from strongroom.kernel.ids import KeyId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind
from strongroom.kernel.secret import Secret


@dataclass(frozen=True, slots=True)
class Merchant:
    """A tenant."""

    merchant_id: MerchantId
    name: str
    status: str
    #: Where its cards rest, for ever; None: made before regions were told apart.
    region: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key: everything but its text. `last4` is the text's end, for people to tell keys apart."""

    key_id: KeyId
    merchant_id: MerchantId
    mode: Mode
    kind: KeyKind
    name: str
    last4: str
    permissions: frozenset[Permission]
    origins: tuple[str, ...]
    expires_at: datetime | None
    revoked_at: datetime | None
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made, with the text that is shown once."""

    key: ApiKey
    text: Secret[str]


@dataclass(frozen=True, slots=True)
class KeyWish:
    """What a new key shall be."""

    merchant: MerchantId
    mode: Mode
    kind: KeyKind
    name: str
    permissions: Sequence[Permission] | None = None
    origins: Sequence[str] = ()
    expires_at: datetime | None = None
