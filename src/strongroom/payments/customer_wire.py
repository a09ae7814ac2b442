# SPDX-License-Identifier: Apache-2.0
"""What a merchant says of its customer where a card is charged, and a wish for 3-D Secure. Kept nowhere as it is."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

CustomerIp = Annotated[
    str, Meta(min_length=2, max_length=45, description="where your customer is (IPv4 or IPv6)")
]
CustomerEmail = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=254,
        pattern=r"^[^\u0000]*$",
        description="your customer's; kept as a keyed hash at most",
    ),
]


class OfCustomer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of a wish that is about the customer."""

    customer_ip: CustomerIp | None = None
    customer_email: CustomerEmail | None = None
    #: `challenge`: the customer has to prove who they are.
    three_ds: Literal["automatic", "challenge"] = "automatic"
