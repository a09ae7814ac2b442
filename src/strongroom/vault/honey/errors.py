# SPDX-License-Identifier: Apache-2.0
"""What the making of honeytokens may be refused with.

Refused
└── TooManyHoneytokens      409   a tenant has so many at most
"""

from strongroom.kernel.errors import Conflict


class TooManyHoneytokens(Conflict):
    """This merchant has as many honeytokens as it can have in this mode; those that were deleted count."""

    code = "honeytokens_too_many"
