# SPDX-License-Identifier: Apache-2.0
"""Why an approval is refused.

Refused
├── NotThere
│   └── ApprovalUnknown
├── Conflict
│   └── ApprovalClosed      409   it is decided, used, withdrawn or over already
└── Denied
    ├── ApprovalOwn               nobody decides what they asked for
    ├── ApprovalNotUsable         it does not let this request through
    ├── ApprovalNobody            nobody else here could approve it
    └── ApprovalsTooMany          too much of one person's waits
"""

from strongroom.kernel.errors import Conflict, Denied, NotThere


class ApprovalUnknown(NotThere):
    """There is no such approval."""

    code = "approval_unknown"


class ApprovalClosed(Conflict):
    """This approval is decided, used, withdrawn or over already."""

    code = "approval_closed"


class ApprovalOwn(Denied):
    """Nobody decides what they asked for themselves: another person has to."""

    code = "approval_own"


class ApprovalNotUsable(Denied):
    """This is no approval for this request."""

    code = "approval_not_usable"


class ApprovalNobody(Denied):
    """Nobody else here may approve this: the operator does it with the `strongroom` command on the server."""

    code = "approval_nobody"


class ApprovalsTooMany(Denied):
    """Too much of yours waits to be approved: withdraw some, or wait."""

    code = "approvals_too_many"
