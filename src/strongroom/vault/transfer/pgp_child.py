# SPDX-License-Identifier: Apache-2.0
"""The child that opens one OpenPGP message: key on the pipe that its argument names, message in, content out.

Ends with 0 when the message was whole. Says nothing else: what the library says of a failure is not for a log.
"""

import ctypes
import os
import resource
import sys
import warnings
from typing import Final

_MEMORY_BYTES_MAX: Final = 1024 * 1024 * 1024
_PROCESSOR_SECONDS_MAX: Final = 600
_KEY_BYTES_MAX: Final = 64 * 1024
_PR_SET_DUMPABLE: Final = 4
_REFUSED: Final = 3


def main() -> None:
    """Open the message."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES_MAX, _MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (_PROCESSOR_SECONDS_MAX, _PROCESSOR_SECONDS_MAX))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    warnings.simplefilter("ignore")
    import pysequoia  # noqa: PLC0415 - not before the process is closed up

    with os.fdopen(int(sys.argv[1]), "rb") as secret:
        key = secret.read(_KEY_BYTES_MAX)
    try:
        decryptor = pysequoia.Tsk.from_bytes(key).decryptor()
        pysequoia.decrypt_file("/dev/fd/0", "/dev/fd/1", decryptor=decryptor)
    except BaseException:  # noqa: BLE001 - whatever it is, it is not this process's to say
        os._exit(_REFUSED)
    os._exit(0)


if __name__ == "__main__":
    main()
