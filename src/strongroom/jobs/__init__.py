# SPDX-License-Identifier: Apache-2.0
"""Work in the background of a role: what is done again and again, and what waits in the database to be done once."""

from strongroom.jobs.claim import JobQueue, Lag, PutOff
from strongroom.jobs.model import Again, Claimed, Done, Handler, JobResult, Kept
from strongroom.jobs.periodic import Periodic, Task
from strongroom.jobs.worker import Worker

__all__ = [
    "Again",
    "Claimed",
    "Done",
    "Handler",
    "JobQueue",
    "JobResult",
    "Kept",
    "Lag",
    "Periodic",
    "PutOff",
    "Task",
    "Worker",
]
