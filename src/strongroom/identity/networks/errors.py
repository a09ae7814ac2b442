# SPDX-License-Identifier: Apache-2.0
"""Why a change of allow-lists is refused.

Refused
├── NetworkUnknown   404   there is no such list
├── WouldLockOut     409   whoever asks could not undo it from where they are
└── TooManyLists     409   a tenant has so many lists at most
"""

from strongroom.kernel.errors import Conflict, NotThere


class NetworkUnknown(NotThere):
    """There is no such allow-list."""

    code = "network_unknown"


class WouldLockOut(Conflict):
    """With this list you could not undo it from the address you call from; say `force` if it is meant."""

    code = "network_would_lock_out"


class TooManyLists(Conflict):
    """This tenant has as many allow-lists as it can have; remove one first."""

    code = "network_lists_too_many"
