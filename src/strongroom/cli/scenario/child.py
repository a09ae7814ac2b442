# SPDX-License-Identifier: Apache-2.0
"""The inner side of a demo's processes: they speak JSON lines, and stop when the demo leaves, however it left.

The end of standard input is the word to stop; the system closes it for a demo that was killed.
"""

import asyncio
import json
import os
import signal
import sys
from typing import Any


class Voice:
    """Writes JSON lines to the demo. Where nobody listens any more, it is silent."""

    def __init__(self) -> None:
        # Whatever else prints goes to standard error, which the demo keeps in a file and searches.
        self._descriptor = os.dup(1)
        os.dup2(2, 1)

    def say(self, kind: str, **facts: Any) -> None:
        """Say one thing."""
        line = json.dumps({"kind": kind, **facts}) + "\n"
        try:
            os.write(self._descriptor, line.encode())
        except OSError:
            return


async def until_told(stop: asyncio.Event) -> None:
    """Have the event set at the end of standard input, SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)

    class Ends(asyncio.Protocol):
        def connection_lost(self, _exc: Exception | None) -> None:
            stop.set()

    await loop.connect_read_pipe(Ends, sys.stdin)
