# SPDX-License-Identifier: Apache-2.0
"""Long work of the vault's own: a job, how far it is, and what one step of it did."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias

from strongroom.kernel.ids import JobId, MerchantId
from strongroom.kernel.mode import Mode

#: What a job is told and what it tells, in public values only: never a card number, never a secret.
Facts: TypeAlias = Mapping[str, str | int | bool | None]


class JobKind(enum.StrEnum):
    """What a job does. A word once shipped is never given another meaning."""

    ERASURE = "erasure"
    EXPORT = "export"
    IMPORT = "import"
    RESEAL = "reseal"
    RETENTION = "retention"
    RETOKENIZE = "retokenize"


class JobState(enum.StrEnum):
    """Where a job stands: waiting ⇄ running ⇄ paused, and then done, failed or canceled for ever."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its row knows it, and how late the step at hand is."""

    merchant_id: MerchantId
    mode: Mode
    job_id: JobId
    kind: JobKind
    state: JobState
    params: Facts
    #: Where the next step begins; the handler's own words.
    cursor: str
    total: int | None
    done: int
    refused: int
    #: Items a second at most; None: as fast as it goes.
    rate: int | None
    problem: str | None
    result: Facts
    created_by: str
    created_at: datetime
    started_at: datetime | None
    updated_at: datetime
    ended_at: datetime | None
    #: How many items a second it has lately done; None where it has not done any since it last stood still.
    items_a_second: float | None = None
    #: By how much the step at hand begins later than the rate allowed: told by the runner, in no row.
    late_seconds: float = 0.0


#: What these delete is to be gone by a time that was promised: nobody stops them on the way.
GO_ON: Final = frozenset({JobKind.ERASURE, JobKind.RETENTION})
#: In these a job may still do something.
OPEN_STATES: Final = frozenset({JobState.WAITING, JobState.RUNNING, JobState.PAUSED})


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did; the runner saves it in the transaction that the step was given."""

    cursor: str
    done: int = 0
    refused: int = 0
    #: How many there are in all, where that became known.
    total: int | None = None
    ended: bool = False
    #: The next step begins no earlier than so many seconds from now, whatever the rate.
    wait_seconds: float = 0.0
    #: Added to the job's result.
    result: Facts = field(default_factory=dict)
