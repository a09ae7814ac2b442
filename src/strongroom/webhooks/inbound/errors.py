# SPDX-License-Identifier: Apache-2.0
"""Why a notice, or the source of notices, is refused.

Refused
├── http.Unrecognized              counted as a denial, slowed down by address
│   ├── NoticeRejected        401  it is not authentic, or not of now
│   └── ConnectionUnknownHere 404  nobody's notices are taken there
├── NotThere
│   ├── SourceUnknown         404
│   └── NoticeUnknown         404
├── Conflict
│   └── SourceChanged         409  somebody else changed it meanwhile
├── SourceRefused             422  a scheme or a secret cannot be used
└── http.CardNumberRefused    422  a notice holds what looks like a card number
StrongroomError
└── CannotReadNotices         500  what is sealed here does not open
"""

from strongroom.http.auth import Unrecognized
from strongroom.kernel.errors import Conflict, NotThere, Refused, StrongroomError


class NoticeRejected(Unrecognized):
    """The notice is not authentic."""

    code = "notice_rejected"
    status = 401


class ConnectionUnknownHere(Unrecognized, NotThere):
    """No notices are taken for this connection."""

    code = "connection_unknown_here"
    status = 404

    def __init__(self) -> None:
        super().__init__("connection_unknown")


class SourceUnknown(NotThere):
    """There is no source of notices for this connection, or it was disabled."""

    code = "source_unknown"


class NoticeUnknown(NotThere):
    """There is no such notice."""

    code = "notice_unknown"


class SourceChanged(Conflict):
    """The source's secrets were changed meanwhile; nothing was done, try again."""

    code = "source_changed"


class SourceRefused(Refused):
    """Notices cannot be verified with this scheme or secret."""

    code = "source_refused"
    status = 422


class CannotReadNotices(StrongroomError):
    """A sealed notice or the secrets of a source do not open: the row was altered or moved, or its key is lost."""

    code = "cannot_read_notices"
