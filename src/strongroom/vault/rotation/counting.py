# SPDX-License-Identifier: Apache-2.0
"""How many rows a re-seal will look at: counted once, in its first step, and guessed where that would take long."""

from collections.abc import Sequence
from time import perf_counter
from typing import Final

from strongroom.db.pool import Transaction
from strongroom.vault.rotation.columns import SealedColumn
from strongroom.vault.work.model import Job

#: A column with this many rows of a tenant or more is guessed.
COUNTED_MAX: Final = 2_000_000
#: So is what would be counted after this: a step has ten seconds for all that it does.
COUNTED_SECONDS: Final = 2.0
#: In a statement of its own each, which is far from its time limit.
SLICE_ROWS: Final = 100_000
#: A guess looks at about so many pages of a table, wherever they are. By 2,000 of them a tenant's share of the table is
#: known to about one in a hundred of the table.
SAMPLE_PAGES: Final = 2_000


async def total_of(tx: Transaction, job: Job, columns: Sequence[SealedColumn]) -> int:
    """Return how many rows there are of a job's tenant in these columns, nearly so where they are very many."""
    ends = perf_counter() + COUNTED_SECONDS
    total = 0
    for column in columns:
        total += await _rows_of(tx, job, column, ends)
    return total


async def _rows_of(tx: Transaction, job: Job, column: SealedColumn, ends: float) -> int:
    limit = min(SLICE_ROWS, COUNTED_MAX)
    after, rows = "", 0
    while True:
        found = await tx.row(column.count, job.merchant_id, job.mode, after, limit)
        if found is None or found["last"] is None:
            return rows
        counted = int(found["rows"])
        rows += counted
        if counted < limit:
            return rows
        after = found["last"]
        if column.guess is not None and (rows >= COUNTED_MAX or perf_counter() >= ends):
            # By a sample: what the planner knows of tenants, row security hides from us.
            about = await tx.row(column.guess, job.merchant_id, job.mode, SAMPLE_PAGES)
            return max(rows, 0 if about is None else int(about["rows"]))
