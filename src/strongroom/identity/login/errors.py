# SPDX-License-Identifier: Apache-2.0
"""Why nobody is let in. One answer for every reason; the reason is for our records alone.

Unrecognized
├── LoginRefused      401   after the second step: something that was shown does not hold
└── StepUpRefused     401   the code does not hold, or there were too many wrong ones
http.TooMany          429   one address asks too often
"""

from strongroom.http.auth import Unrecognized


class LoginRefused(Unrecognized):
    """The login was refused: something of what was shown does not hold, or there were too many wrong tries."""

    code = "login_refused"
    status = 401


class StepUpRefused(Unrecognized):
    """The code was refused: it is wrong, was used before, or there were too many wrong ones."""

    code = "step_up_refused"
    status = 401
