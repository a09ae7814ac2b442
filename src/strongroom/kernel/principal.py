# SPDX-License-Identifier: Apache-2.0
"""Who is asking: what a checked credential becomes. Nothing downstream sees the credential itself."""

import enum
from dataclasses import dataclass

from strongroom.kernel.ids import KeyId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission


class KeyKind(enum.StrEnum):
    """The kinds of API key; the word is also the key's prefix."""

    PUBLIC = "pk"
    RESTRICTED = "rk"
    SECRET = "sk"  # noqa: S105 - a prefix


@dataclass(frozen=True, slots=True)
class Principal:
    """A merchant's API key that held, with what it may do."""

    key_id: KeyId
    kind: KeyKind
    merchant: MerchantId
    mode: Mode
    permissions: frozenset[Permission]

    @property
    def actor(self) -> str:
        """The name that audit records and log lines use for it."""
        return self.key_id
