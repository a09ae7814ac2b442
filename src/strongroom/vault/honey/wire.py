# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of honeytokens."""

from typing import Annotated

import msgspec
from msgspec import Meta

from strongroom.kernel.clock import rfc3339
from strongroom.vault.containers.model import DEFAULT_CONTAINER
from strongroom.vault.honey.model import Honeytoken
from strongroom.vault.honey.service import HoneyWish
from strongroom.vault.wire import ContainerName, HolderName, Metadata


class HoneytokenIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish for a honeytoken: whatever the tokens beside it have, so that it looks like them."""

    exp_month: Annotated[int, Meta(ge=1, le=12)]
    exp_year: Annotated[int, Meta(ge=2000, le=2100)]
    container: ContainerName = DEFAULT_CONTAINER
    holder: HolderName | None = None
    metadata: Metadata | None = None

    def wish(self) -> HoneyWish:
        """Return it."""
        return HoneyWish(self.container, self.exp_month, self.exp_year, self.holder, self.metadata)


class HoneytokenOut(msgspec.Struct, frozen=True):
    """A honeytoken, for who watches over it. Its token's own shape says nothing of all this."""

    #: Its id now, which a retokenization changes.
    token: str
    object: str
    mode: str
    #: Null where the token was deleted.
    brand: str | None
    last4: str | None
    container: str | None
    created_by: str
    created_at: str
    #: How often it was named.
    uses: int
    last_used_at: str | None
    last_used_by: str | None


class HoneytokensOut(msgspec.Struct, frozen=True):
    """Every honeytoken of the tenant's mode, newest first."""

    data: list[HoneytokenOut]
    has_more: bool
    next_cursor: str | None


def honeytoken_out(found: Honeytoken, mode: str) -> HoneytokenOut:
    """Print one."""
    return HoneytokenOut(
        found.token_id,
        "honeytoken",
        mode,
        found.brand,
        found.last4,
        found.container,
        found.created_by,
        rfc3339(found.created_at),
        found.uses,
        None if found.last_used_at is None else rfc3339(found.last_used_at),
        found.last_used_by,
    )
