# SPDX-License-Identifier: Apache-2.0
"""Why something about a job is refused.

Refused
├── JobUnknown     404   not there, another tenant's or of the other mode
├── JobGoesOn      409   it deletes what is to be gone, and is neither paused nor canceled
└── JobEnded       409   it is done, has failed or was canceled
"""

from strongroom.kernel.errors import Conflict, NotThere


class JobUnknown(NotThere):
    """There is no such job."""

    code = "job_unknown"


class JobGoesOn(Conflict):
    """This job deletes what is to be gone: it is neither paused nor canceled."""

    code = "job_goes_on"


class JobEnded(Conflict):
    """This job has ended: nothing of it changes any more."""

    code = "job_ended"
