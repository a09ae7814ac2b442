# SPDX-License-Identifier: Apache-2.0
"""What is written when a job ends, however it does: in the transaction that ends it."""

from strongroom.audit import Recorder
from strongroom.db.pool import Transaction
from strongroom.vault.work.model import Job
from strongroom.vault.work.ports import JobHandler, TellsOfEnd


async def write_end(handler: JobHandler, job: Job, tx: Transaction, recorder: Recorder) -> None:
    """Write the audit record of a job's end, and what its merchant is told of it."""
    if record := handler.ended(job):
        await recorder.insert(tx, record)
    if isinstance(handler, TellsOfEnd):
        await handler.tell(job, tx)
