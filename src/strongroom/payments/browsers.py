# SPDX-License-Identifier: Apache-2.0
"""What a customer's browser says of itself, as their merchant hands it on: processors want it for 3-D Secure.

Kept with the attempt that it was sent with, so that a replay sends the same; shown in no answer.
"""

import msgspec


class BrowserDetails(msgspec.Struct, frozen=True):
    """What a script in the merchant's page reads of the browser."""

    language: str
    color_depth: int
    java_enabled: bool
    #: In pixels.
    screen_height: int
    screen_width: int
    #: From local time to UTC, in minutes.
    time_zone_offset: int


class Browser(msgspec.Struct, frozen=True):
    """What the browser's request for the merchant's page said, and what a script read."""

    user_agent: str
    accept_header: str
    details: BrowserDetails | None = None
