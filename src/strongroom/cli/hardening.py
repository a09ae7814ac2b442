# SPDX-License-Identifier: Apache-2.0
"""Keeps the process's memory out of core dumps and debuggers (promise 1). Where it cannot, it says so."""

import ctypes
import platform
import resource
from typing import Final

_PR_GET_DUMPABLE: Final = 3
_PR_SET_DUMPABLE: Final = 4


def forbid_dumps() -> None:
    """Set RLIMIT_CORE to 0 and, on Linux, PR_SET_DUMPABLE to 0."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if platform.system() == "Linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def can_be_dumped() -> bool:
    """Tell whether a crash or another process of this user could read this one's memory."""
    if resource.getrlimit(resource.RLIMIT_CORE)[0] != 0:
        return True
    if platform.system() == "Linux":
        return bool(ctypes.CDLL(None, use_errno=True).prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
    return False
