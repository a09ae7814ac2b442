# SPDX-License-Identifier: Apache-2.0
"""Why access is refused to be looked after.

Refused
├── BreakGlassRefused      422   these permissions are not given so
├── NotThere
│   ├── BreakGlassUnknown
│   ├── ReviewUnknown
│   └── ReviewItemUnknown
├── Conflict
│   ├── BreakGlassOpen     409   one at a time
│   ├── BreakGlassOver     409
│   ├── ReviewOpen         409   one at a time
│   └── ReviewClosed       409
└── Denied
    └── ReviewOwn          403   nobody decides on themselves
"""

from strongroom.kernel.errors import Conflict, Denied, NotThere, Refused


class BreakGlassRefused(Refused):
    """These permissions are not given by breaking the glass."""

    code = "break_glass_refused"
    status = 422


class BreakGlassUnknown(NotThere):
    """There is no such break-glass of yours."""

    code = "break_glass_unknown"


class BreakGlassOpen(Conflict):
    """You have broken the glass already: end that first."""

    code = "break_glass_open"


class BreakGlassOver(Conflict):
    """This break-glass is over, or was extended already."""

    code = "break_glass_over"


class ReviewUnknown(NotThere):
    """There is no such access review."""

    code = "access_review_unknown"


class ReviewItemUnknown(NotThere):
    """There is no such item in this access review."""

    code = "access_item_unknown"


class ReviewOpen(Conflict):
    """An access review is open already: decide its items first."""

    code = "access_review_open"


class ReviewClosed(Conflict):
    """This access review is closed, or the item is decided."""

    code = "access_review_closed"


class ReviewOwn(Denied):
    """Nobody reviews their own access: another person has to."""

    code = "access_review_own"
