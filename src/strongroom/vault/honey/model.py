# SPDX-License-Identifier: Apache-2.0
"""A token that no system uses, and that it was named: values."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode

#: Of a merchant and mode. Each process keeps them all in memory.
HONEYTOKENS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Honeytoken:
    """A honeytoken, and how often it was named."""

    #: Its id now.
    token_id: TokenId
    brand: str | None
    last4: str | None
    container: str | None
    created_by: str
    created_at: datetime
    uses: int
    last_used_at: datetime | None
    last_used_by: str | None


@dataclass(frozen=True, slots=True)
class Known:
    """Whose a honeytoken is, and the id that it was made with."""

    merchant: MerchantId
    mode: Mode
    made_as: TokenId


@dataclass(frozen=True, slots=True)
class Due:
    """A key that named a honeytoken and is to be ended."""

    merchant: MerchantId
    mode: Mode
    key: str
