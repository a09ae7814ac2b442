# SPDX-License-Identifier: Apache-2.0
"""A process of its own that imports until it is killed: sends a file on, or does the vault's jobs."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from store.transfer_ground import as_told
from strongroom.kernel.mode import Mode
from strongroom.vault.transfer.model import Import


async def main() -> None:
    async with as_told(sys.stdin.readline()) as (parts, told):
        if told["what"] == "jobs":
            async with parts.running(lease_seconds=1.0):
                print("runs", flush=True)  # noqa: T201 - its way to speak
                await asyncio.Event().wait()
        content = await asyncio.to_thread(Path(told["file"]).read_bytes)
        of: Import = await parts.imports.read(parts.merchant, Mode.TEST, told["import"])
        print("runs", flush=True)  # noqa: T201 - likewise
        await parts.feed(of, content, 150_000)


if __name__ == "__main__":
    asyncio.run(main())
