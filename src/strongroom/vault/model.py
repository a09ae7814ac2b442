# SPDX-License-Identifier: Apache-2.0
"""A stored token as its row knows it: everything that may be shown, and the sealed number."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.vault.containers.model import DEFAULT_CONTAINER


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token. `sealed_number` opens for its own place only."""

    merchant_id: MerchantId
    mode: Mode
    token_id: TokenId
    sealed_number: bytes
    key_version: int
    brand: str
    bin: str
    last4: str
    exp_month: int
    exp_year: int
    fingerprint: bytes | None
    fingerprint_version: int | None
    single_use: bool
    expires_at: datetime | None
    metadata: dict[str, str]
    created_by: str
    created_at: datetime
    container: str = DEFAULT_CONTAINER
    #: `network_token`; None: a card.
    kind: str | None = None
    pan_alias: str | None = None
    #: What is sealed beside the number, by name.
    details: tuple[str, ...] = ()


class DetailRow(NamedTuple):
    """One row of `vault.token_detail`, in the order of `put_tokens`."""

    field: str
    sealed: bytes
    key_version: int
    expires_at: datetime | None
