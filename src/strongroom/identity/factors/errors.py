# SPDX-License-Identifier: Apache-2.0
"""Why a second factor is not taken, kept or removed.

Refused
├── NotThere
│   └── NoTotp             404
├── Conflict
│   ├── NothingToConfirm   409   no authenticator app is being set up, or its time is over
│   └── LastFactor         409   without it the person could not log in
└── Unrecognized
    └── TicketRefused      401   a set-up ticket does not hold
A wrong code while setting up is Invalid, 422, `code_wrong`.
"""

from strongroom.http.auth import Unrecognized
from strongroom.kernel.errors import Conflict, NotThere


class NoTotp(NotThere):
    """There is no authenticator app to remove."""

    code = "totp_unknown"


class NothingToConfirm(Conflict):
    """No authenticator app is being set up, or it was begun too long ago: begin again."""

    code = "nothing_to_confirm"


class LastFactor(Conflict):
    """Without this factor you could not log in any more: add another one first."""

    code = "last_factor"


class TicketRefused(Unrecognized):
    """The set-up link does not hold: it was used, is too old, or never was one."""

    code = "ticket_refused"
    status = 401
