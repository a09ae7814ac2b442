# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of keys and their rotation."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from strongroom.vault.work.service import RATE_MAX


class RotateIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish to rotate a key."""

    name: Annotated[
        Literal["card", "credentials", "fingerprint", "idempotency", "transfer"],
        Meta(description="What the key is for"),
    ]
    #: What cards are sealed with anew; without it the installation's setting. Of no other key.
    algorithm: Literal["A256CBC-HS512", "A256GCM"] | None = None
    #: Rows a second that the job looks at; without it, as fast as it goes. Not of `idempotency`: there is no job.
    rate: Annotated[int, Meta(ge=1, le=RATE_MAX)] | None = None


class ResealIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish to seal anew."""

    name: Literal["card", "credentials", "fingerprint", "transfer"]
    algorithm: Literal["A256CBC-HS512", "A256GCM"] | None = None
    rate: Annotated[int, Meta(ge=1, le=RATE_MAX)] | None = None


class RotationOut(msgspec.Struct, frozen=True):
    """A key that was rotated."""

    object: str
    name: str
    version: int
    #: The job that moves what the versions before have sealed; null where there is nothing to move.
    job: str | None


class DestroyIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish to destroy a version of a key."""

    name: Literal["card", "credentials", "fingerprint", "idempotency", "transfer"]
    version: Annotated[int, Meta(ge=1, le=1_000_000)]


class DestroyedOut(msgspec.Struct, frozen=True):
    """A version that is destroyed."""

    object: str
    name: str
    version: int
    state: str


class KeyOut(msgspec.Struct, frozen=True):
    """One version of a key."""

    object: str
    #: `data_key`, or `root`: what wraps the others, in the key store.
    kind: str
    name: str
    version: int | None
    #: active, retiring or destroyed; of a root enabled or disabled
    state: str
    #: What it is used with from now on; of cards the installation's setting.
    algorithm: str
    #: What stored rows are found to be sealed with, of the newest 100,000; null for a root.
    algorithms_in_use: list[str] | None
    made_at: str
    #: When its cryptoperiod ends; null where it no longer seals.
    rotates_at: str | None
    overdue: bool
    #: Since when it seals nothing new.
    retired_at: str | None
    #: How many rows are sealed under it; null where nothing lasting is.
    uses: int | None
    #: Whether that is all; else of the newest 100,000 rows.
    uses_exact: bool


class KeysOut(msgspec.Struct, frozen=True):
    """The keys that protect a merchant's cards and credentials here."""

    data: list[KeyOut]
    has_more: bool
    next_cursor: str | None
