# SPDX-License-Identifier: Apache-2.0
"""What the kinds of jobs offer to the runner (`JobHandler`), and the runner to whoever begins one (`Jobs`)."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from strongroom.audit import NewRecord
from strongroom.db.pool import Transaction
from strongroom.kernel.ids import JobId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.vault.work.model import Facts, Job, JobKind, Step


class JobHandler(Protocol):
    """Does the jobs of one kind, a bounded step at a time (about a second's work or less).

    What a step writes it writes in the transaction that it is given, which also saves where the job is: a step is
    done once, whoever is killed. What must be done outside a transaction must tolerate being done twice.
    """

    kind: JobKind

    async def step(self, job: Job, tx: Transaction) -> Step:
        """Do the next step, as the job's merchant.

        Raises:
            Unavailable: tried again later; the job goes on waiting.
            StrongroomError: the job fails, with the error's code as its problem.
        """

    def ended(self, job: Job) -> NewRecord | None:
        """Return the audit record of a job that ended (`job.state` says how), inserted with its last step."""


@runtime_checkable
class EndsWithJob(Protocol):
    """A handler whose jobs leave something open when they fail or are canceled."""

    async def end_with(self, job: Job, tx: Transaction) -> None:
        """End it (`job.state` says how), in the transaction that ends the job. A step may be under way meanwhile."""


@runtime_checkable
class TellsOfEnd(Protocol):
    """A handler of whose jobs' ends merchants are told."""

    async def tell(self, job: Job, tx: Transaction) -> None:
        """Put it into the outbox (`job.state` says how it ended), in the transaction that ends the job."""


class Jobs(Protocol):
    """The jobs of every tenant, for those who begin, watch and end them."""

    async def begin(
        self,
        tx: Transaction,
        merchant: MerchantId,
        mode: Mode,
        kind: JobKind,
        params: Facts,
        *,
        created_by: str,
        total: int | None = None,
        rate: int | None = None,
    ) -> Job:
        """Put a job, in the transaction that makes it necessary (the caller adds the audit record of its beginning)."""

    async def read(self, merchant: MerchantId, mode: Mode, job: JobId) -> Job:
        """Return a job.

        Raises:
            JobUnknown: not there for this merchant and mode.
        """

    async def list(
        self, merchant: MerchantId, mode: Mode, before: str | None, limit: int
    ) -> tuple[Sequence[Job], str | None]:
        """Return a page of jobs, newest first, and the cursor of the next page if there is one."""
