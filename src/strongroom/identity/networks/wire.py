# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of allow-lists."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from strongroom.identity.networks.model import NETWORKS_MAX, AllowList
from strongroom.kernel.clock import rfc3339

_CIDR_CHARACTERS_MAX = 64


class NetworkIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish for an allow-list."""

    subject: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=64,
            description="`tenant`, `group:vault`, `role:admin`, `key:key_…`, `person:usr_…` or `service:svc_…`",
        ),
    ]
    networks: Annotated[
        list[Annotated[str, Meta(min_length=2, max_length=_CIDR_CHARACTERS_MAX)]],
        Meta(min_length=1, max_length=NETWORKS_MAX, description="CIDRs of IPv4 or IPv6"),
    ]
    mode: Literal["both", "live", "test"]
    name: Annotated[str, Meta(max_length=100)] = ""
    #: Needed for a network that is everybody.
    everywhere: bool = False
    #: Needed for a list that excludes the address that this comes from.
    force: bool = False


class NetworkOut(msgspec.Struct, frozen=True):
    """An allow-list."""

    id: str
    object: str
    mode: str
    subject: str
    networks: list[str]
    name: str
    changed_by: str
    changed_at: str


class NetworksOut(msgspec.Struct, frozen=True):
    """A tenant's allow-lists, and where the caller was seen to call from."""

    data: list[NetworkOut]
    has_more: bool
    next_cursor: str | None
    your_address: str


def network_out(found: AllowList) -> NetworkOut:
    """Print a list."""
    return NetworkOut(
        found.network_id,
        "network",
        found.mode.value,
        str(found.subject),
        list(found.networks),
        found.name,
        found.changed_by,
        rfc3339(found.changed_at),
    )
