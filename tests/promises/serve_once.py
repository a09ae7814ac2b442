# SPDX-License-Identifier: Apache-2.0
"""A process of its own that starts an installation as `strongroom serve` does, says what came of it, and stops.

With `--sabotage` the look at the configuration is taken away.
"""

import asyncio
import json
import sys

from strongroom.cli.installation import Installation
from strongroom.cli.serving import Serving
from strongroom.config import UnsafeConfiguration, load_settings
from strongroom.kernel.clock import SystemClock


class Careless(Serving):
    """Starts whatever it is given."""

    async def _require_safe(self) -> None: ...


async def main() -> None:
    kind = Careless if "--sabotage" in sys.argv else Serving
    serving = kind(Installation(load_settings(), SystemClock()))
    try:
        await serving.start()
    except UnsafeConfiguration as refused:
        sys.stderr.write(json.dumps({"refused": refused.faults}) + "\n")
    else:
        sys.stderr.write(json.dumps({"refused": []}) + "\n")
        await serving.stop()


asyncio.run(main())
