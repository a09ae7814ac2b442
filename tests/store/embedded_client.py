# SPDX-License-Identifier: Apache-2.0
"""A process of its own that uses an embedded server, told what to do line by line. Needs no installed package.

Arguments: the state folder, and the binaries' folder or `-`. Says one JSON object a line.
"""

import json
import os
import signal
import sys
from pathlib import Path

from strongroom.db.embedded import Embedded, EmbeddedError


def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)  # noqa: T201 - its way to speak


def fork() -> None:
    """Leave a child behind that was copied while attached, and does nothing once it has said so."""
    if os.fork() == 0:
        say(child=os.getpid())
        signal.pause()
        os._exit(0)


def main() -> None:
    # A shell that starts its tests in the background lets them inherit an ignored SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    binaries = None if sys.argv[2] == "-" else Path(sys.argv[2])
    embedded = Embedded(Path(sys.argv[1]), binaries=binaries)
    try:
        embedded.attach()
        say(attached=embedded.process_id)
        for line in sys.stdin:
            if line.strip() == "fork":
                fork()
            else:
                break
    except EmbeddedError as error:
        say(refused=error.code, detail=error.detail)
        return
    except KeyboardInterrupt:
        say(interrupted=True)
    say(stopped=embedded.detach())


if __name__ == "__main__":
    main()
