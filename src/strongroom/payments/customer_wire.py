# SPDX-License-Identifier: Apache-2.0
"""What a merchant says of its customer where a card is charged, and a wish for 3-D Secure.

Address and mail are kept nowhere as they are; the browser is kept with the attempt.
"""

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

# A header as it came: no control characters, be they of ASCII or beyond it.
Header = Annotated[
    str,
    Meta(min_length=1, max_length=2_048, pattern=r"^[^\u0000-\u001f\u007f-\u009f]+$(?!\n)"),
]
Pixels = Annotated[int, Meta(ge=0, le=999_999)]


class CustomerBrowserDetails(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a script in your page reads of the browser."""

    language: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=35,
            pattern=r"^[A-Za-z0-9-]+$(?!\n)",
            description="navigator.language",
        ),
    ]
    #: screen.colorDepth.
    color_depth: Literal[1, 4, 8, 15, 16, 24, 30, 32, 48]
    java_enabled: bool
    screen_height: Pixels
    screen_width: Pixels
    time_zone_offset: Annotated[
        int, Meta(ge=-840, le=840, description="new Date().getTimezoneOffset(): minutes")
    ]


class CustomerBrowser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Your customer's browser, as it asked for your page: processors want it for 3-D Secure."""

    user_agent: Header
    accept_header: Header
    details: CustomerBrowserDetails | None = None


class OfCustomer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of a wish that is about the customer."""

    customer_ip: CustomerIp | None = None
    customer_email: CustomerEmail | None = None
    #: Handed to the processor, where that asks for it. Not where you begin the payment: nobody is there.
    customer_browser: CustomerBrowser | None = None
    #: `challenge`: the customer has to prove who they are.
    three_ds: Literal["automatic", "challenge"] = "automatic"
