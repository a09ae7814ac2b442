# SPDX-License-Identifier: Apache-2.0
"""A process of its own that seals until it is killed. Told what to do by one line of JSON; says a line a round."""

import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from store.audit_ground import ORIGIN, SpokenKeys
from strongroom.audit.seal import Sealer
from strongroom.audit.sinks.file import FileSink
from strongroom.db.address import Address
from strongroom.db.pool import Database
from strongroom.kernel.clock import SystemClock
from strongroom.kernel.secret import Secret
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import Metrics
from strongroom.telemetry.sink import MemorySink


async def main() -> None:
    told = json.loads(sys.stdin.readline())
    folder = Path(told.pop("folder"))
    password = Secret(str(told.pop("password")))
    database = Database(Address(**told, password=password, tls="disable"), connections_max=3)
    clock = SystemClock()
    sealer = Sealer(
        database,
        SpokenKeys(),
        sinks=[FileSink(folder)],
        clock=clock,
        tree="vault",
        origin=ORIGIN,
        log=Log(MemorySink(), clock=clock),
        metrics=Metrics().audit,
    )
    while True:
        result = await sealer.seal_once()
        if result.elected:
            print(f"sealed {result.size}", flush=True)  # noqa: T201 - its way to speak
        await asyncio.sleep(0.001 if result.elected else 0.05)


if __name__ == "__main__":
    asyncio.run(main())
