# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of retokenizations."""

from typing import Annotated

import msgspec
from msgspec import Meta

from strongroom.kernel.clock import rfc3339
from strongroom.vault.retokenize.service import ALIAS_DAYS_MAX, NAMED_MAX, Mapped


class RetokenizeIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which tokens get other ids: those named, those of a container, or all of the merchant's in this mode."""

    tokens: Annotated[
        list[Annotated[str, Meta(max_length=64)]],
        Meta(max_length=NAMED_MAX, description="Tokens by their ids"),
    ] = []
    container: Annotated[str, Meta(max_length=160)] | None = None
    alias_days: Annotated[
        int,
        Meta(
            ge=0,
            le=ALIAS_DAYS_MAX,
            description="For so many days the old ids stand for the new ones; 0: dead at once",
        ),
    ] = 0


class MappedOut(msgspec.Struct, frozen=True):
    """An old id, and what it became."""

    old: str
    new: str
    #: From here on the old id is dead.
    until: str


class MappingPage(msgspec.Struct, frozen=True):
    """A page of a mapping, in the order of the old ids."""

    data: list[MappedOut]
    has_more: bool
    next_cursor: str | None


def mapped_out(mapped: Mapped) -> MappedOut:
    """Print one."""
    return MappedOut(mapped.old, mapped.new, rfc3339(mapped.until))
