# SPDX-License-Identifier: Apache-2.0
"""The simulator's process of a demo: a processor with books of its own, which shares nothing with the server but HTTP.

It never outlives a demo that was killed (see `child`).
"""

import asyncio
import sys
from pathlib import Path
from typing import Final

from strongroom.cli.scenario.child import Voice, until_told
from strongroom.kernel.errors import StrongroomError

#: Trusts the demo's own authority: the server's listeners are certified by no other.
AUTHORITY_VARIABLE: Final = "SSL_CERT_FILE"


def main() -> None:
    """Serve until the end of standard input, SIGTERM or SIGINT. Arguments: folder, port."""
    from strongroom.cli.console import run

    voice = Voice()
    try:
        run(_serve(Path(sys.argv[1]), int(sys.argv[2]), voice))
    except StrongroomError as error:
        voice.say("failed", code=error.code, detail=error.detail)
        sys.exit(1)
    voice.say("stopped", whole=True)


async def _serve(folder: Path, port: int, voice: Voice) -> None:
    from strongroom.simulator import Simulator

    stop = asyncio.Event()
    await until_told(stop)
    simulator = Simulator(folder, port=port)
    await simulator.start()
    try:
        voice.say("ready", url=simulator.url, control_key=simulator.control_key)
        await stop.wait()
    finally:
        await simulator.stop()


if __name__ == "__main__":
    main()
