# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of erasures."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from strongroom.kernel.clock import rfc3339
from strongroom.vault.erasure.model import Erasure


class ErasureIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be erased: one of `token` and `customer`."""

    token: Annotated[str, Meta(max_length=64, description="A token's id")] | None = None
    customer: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=500,
                description="Every token whose metadata say `customer` so",
            ),
        ]
        | None
    ) = None
    at_once: Annotated[
        bool, Meta(description="Rotate the key now, and not together with others within a day")
    ] = False


class MerchantErasureIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The calling merchant's own id, so that nobody erases it by mistake."""

    merchant: Annotated[str, Meta(max_length=64)]


class ErasureOut(msgspec.Struct, frozen=True):
    """An erasure, and when no copy that could open a card is left."""

    id: str
    object: str
    mode: str
    #: token, customer, merchant or deleted
    scope: str
    #: waiting, rotating, destroyed or complete
    state: str
    tokens: int
    #: This version of the card key and all before it are destroyed.
    key_version: int
    requested_by: str
    requested_at: str
    rotate_at: str
    destroyed_at: str | None
    #: The day on which the last backup of the key is gone; expected until the key is destroyed.
    complete_at: str
    complete_at_is_final: bool
    #: Why it waits longer than it should; `rows_unreadable`: a card does not open, and has to be mended or deleted.
    problem: str | None


class ErasurePage(msgspec.Struct, frozen=True):
    """A page of erasures, newest first."""

    data: list[ErasureOut]
    has_more: bool
    next_cursor: str | None


class ErasureEvent(msgspec.Struct, frozen=True):
    """What an event about an erasure carries."""

    erasure: ErasureOut


def erasure_out(erasure: Erasure, now: datetime) -> ErasureOut:
    """Print an erasure."""
    return ErasureOut(
        erasure.erasure_id,
        "erasure",
        erasure.mode,
        erasure.scope,
        "complete" if erasure.complete(now) else erasure.state,
        erasure.tokens,
        erasure.key_version,
        erasure.requested_by,
        rfc3339(erasure.requested_at),
        rfc3339(erasure.rotate_at),
        rfc3339(erasure.destroyed_at) if erasure.destroyed_at else None,
        rfc3339(erasure.complete_at),
        erasure.destroyed_at is not None,
        erasure.problem,
    )
