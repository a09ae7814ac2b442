# SPDX-License-Identifier: Apache-2.0
"""Why people are refused, or what is done to them.

Refused
├── NotThere
│   ├── PersonUnknown           404
│   └── InvitationUnknown       404
├── Conflict
│   ├── EmailTaken              409  somebody has this address already
│   ├── LastAdmin               409  nobody would be left to let others in
│   ├── PersonSuspended         409  enable them first
│   ├── PersonNotSuspended      409
│   ├── PersonSetUp             409  they need no set-up link
│   ├── AdministratorExists     409  the first administrator is there
│   └── PasswordChangedMeanwhile 409
├── Denied
│   ├── OwnAccess               403  nobody changes their own access
│   └── CurrentPasswordWrong    403
├── SetupIncomplete             409  a password is missing
├── PasswordRefused             422  names everything that is wrong with it
└── http.Unrecognized
    └── SetupRefused            401  a set-up link or ticket does not hold: one answer for all
StrongroomError
└── BreachedListUnreadable      500  see `breached`
"""

from strongroom.http.auth import Unrecognized
from strongroom.kernel.errors import Conflict, Denied, Invalid, NotThere


class PersonUnknown(NotThere):
    """There is no such person."""

    code = "person_unknown"


class InvitationUnknown(NotThere):
    """There is no such invitation."""

    code = "invitation_unknown"


class EmailTaken(Conflict):
    """This address cannot be invited: somebody has it already."""

    code = "email_taken"


class LastAdmin(Conflict):
    """Nobody would be left who may let others in: make somebody else an admin first."""

    code = "last_admin"


class PersonSuspended(Conflict):
    """This person is suspended: enable them first."""

    code = "person_suspended"


class PersonNotSuspended(Conflict):
    """This person is not suspended."""

    code = "person_not_suspended"


class PersonSetUp(Conflict):
    """This person has set up already; to set up anew, reset them."""

    code = "person_set_up"


class AdministratorExists(Conflict):
    """The platform has an active administrator: they invite everybody else."""

    code = "administrator_exists"


class PasswordChangedMeanwhile(Conflict):
    """The password was changed meanwhile; nothing was done, try again."""

    code = "password_changed_meanwhile"


class SetupIncomplete(Conflict):
    """A one-time code counts only together with a password: set the password first."""

    code = "setup_incomplete"


class OwnAccess(Denied):
    """Nobody changes their own access: ask another admin."""

    code = "own_access_refused"


class CurrentPasswordWrong(Denied):
    """The current password is not that."""

    code = "current_password_wrong"


class PasswordRefused(Invalid):
    """This password may not be set."""

    code = "password_refused"


class SetupRefused(Unrecognized):
    """This set-up link or ticket does not hold: it is unknown, used, withdrawn, replaced or past its time."""

    code = "setup_refused"
    status = 401
