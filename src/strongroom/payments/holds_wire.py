# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of holds: what raises one, and what happens to one by itself."""

import msgspec

from strongroom.payments.wire import Amount, Expiry, Moment


class IncrementIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish to hold more."""

    #: By how much, not to how much.
    amount: Amount


class HoldIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to a hold by itself. What is left out stays; a `capture_at` of null schedules nothing any more."""

    capture_at: Moment | msgspec.UnsetType | None = msgspec.UNSET
    on_expiry: Expiry | msgspec.UnsetType = msgspec.UNSET
