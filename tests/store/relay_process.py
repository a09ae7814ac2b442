# SPDX-License-Identifier: Apache-2.0
"""A process of its own that brings over what the vault tells, and kills itself at a step, as one line of JSON says."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from strongroom.db.address import Address
from strongroom.db.pool import Database, Transaction
from strongroom.kernel.clock import SystemClock
from strongroom.kernel.events import Happened
from strongroom.kernel.ids import MerchantId, OutboxId
from strongroom.kernel.secret import Secret
from strongroom.telemetry.log import Log
from strongroom.telemetry.sink import MemorySink
from strongroom.vault.events import EVENT_DATA
from strongroom.vault.outbox.service import VaultOutbox
from strongroom.webhooks.relay import Relay

#: Every place between two steps of a round, in their order.
STEPS = (
    "before_asking",
    "asked",
    "before_commit",
    "committed",
    "before_acknowledging",
    "acknowledged",
)


class Dies:
    """Kills this process, so that nothing of it goes on, when it comes to a step."""

    def __init__(self, at: str) -> None:
        self.at = at

    def come_to(self, step: str) -> None:
        if step == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


class DyingSource:
    """The vault's outbox, asked by somebody who dies."""

    def __init__(self, outbox: VaultOutbox, dies: Dies) -> None:
        self.outbox = outbox
        self.dies = dies

    async def waiting(self, after: str, limit: int) -> Sequence[Happened]:
        self.dies.come_to("before_asking")
        found = await self.outbox.waiting(after, limit)
        self.dies.come_to("asked")
        return found

    async def acknowledge(self, taken: Sequence[OutboxId]) -> None:
        self.dies.come_to("before_acknowledging")
        await self.outbox.acknowledge(taken)
        self.dies.come_to("acknowledged")


class DyingDatabase(Database):
    """The core's database, likewise."""

    dies = Dies("")

    @asynccontextmanager
    async def transaction(self, merchants: Sequence[MerchantId] = ()) -> AsyncIterator[Transaction]:
        async with super().transaction(merchants) as tx:
            yield tx
            self.dies.come_to("before_commit")
        self.dies.come_to("committed")


def address_of(told: dict[str, Any]) -> Address:
    return Address(**{**told, "password": Secret(str(told["password"]))}, tls="disable")


async def main() -> None:
    told = json.loads(sys.stdin.readline())
    vault, core = Database(address_of(told["vault"])), DyingDatabase(address_of(told["core"]))
    await vault.open()
    await core.open()
    core.dies = Dies(told["dies_at"])
    clock = SystemClock()
    relay = Relay(
        source=DyingSource(VaultOutbox(vault), core.dies),
        database=core,
        clock=clock,
        shapes=EVENT_DATA,
        log=Log(MemorySink(), clock=clock),
    )
    print(await relay.run(), flush=True)  # noqa: T201 - its way to speak
    await core.close()
    await vault.close()


if __name__ == "__main__":
    asyncio.run(main())
