# SPDX-License-Identifier: Apache-2.0
"""A process of its own that does jobs until it is killed. Told where by one line of JSON; says a line a step."""

import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from store.work_ground import ROW_KEY, Counting
from strongroom.audit.recorder import EventRecorder
from strongroom.db.address import Address
from strongroom.db.pool import Database
from strongroom.kernel.clock import SystemClock
from strongroom.kernel.secret import Secret
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import Metrics
from strongroom.telemetry.sink import MemorySink
from strongroom.vault.work.model import Job
from strongroom.vault.work.runner import Runner


async def main() -> None:
    told = json.loads(sys.stdin.readline())
    password = Secret(str(told.pop("password")))
    database = Database(Address(**told, password=password, tls="disable"), connections_max=4)
    clock = SystemClock()
    recorder = EventRecorder(database, ROW_KEY, clock)

    async def says(job: Job) -> None:
        print(f"step {job.done}", flush=True)  # noqa: T201 - its way to speak

    handler = Counting(recorder, most=7, after=says)
    runner = Runner(
        database,
        recorder,
        clock,
        {handler.kind: handler},
        log=Log(MemorySink(), clock=clock),
        metrics=Metrics().vault_jobs,
        lease_seconds=1.0,
        poll_seconds=0.02,
    )
    runner.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
