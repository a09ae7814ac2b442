# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of a search."""

from typing import Annotated

import msgspec
from msgspec import Meta

from strongroom.vault.wire import MetadataKey, MetadataValue

_Month = Annotated[str, Meta(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$(?!\n)", description="2029-01")]


class SearchIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What tokens are searched by: everything that is given holds of what is found."""

    #: A card number, for its fingerprint. Finds what was made with `deduplicate`.
    number: Annotated[str, Meta(max_length=32)] | None = None
    fingerprint: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    last4: Annotated[str, Meta(pattern=r"^[0-9]{4}$(?!\n)")] | None = None
    bin: Annotated[str, Meta(pattern=r"^[0-9]{6}$(?!\n)")] | None = None
    brand: Annotated[str, Meta(min_length=1, max_length=32)] | None = None
    expires_from: _Month | None = None
    expires_to: _Month | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Meta(max_length=5)] | None = None
    container: Annotated[str, Meta(min_length=1, max_length=160)] | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
