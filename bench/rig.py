# SPDX-License-Identifier: Apache-2.0
"""Says what a measurement ran on."""

import os
import platform
import sys
from pathlib import Path


def rig() -> dict[str, object]:
    """Return the machine and the versions that the figures depend on."""
    import asyncpg
    import granian
    import litestar

    model = "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
        "granian": granian.__version__,
        "litestar": litestar.__version__.formatted()
        if hasattr(litestar.__version__, "formatted")
        else "",
        "asyncpg": asyncpg.__version__,
        "load_average_before": round(os.getloadavg()[0], 2),
    }
