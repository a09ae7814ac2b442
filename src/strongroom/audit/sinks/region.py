# SPDX-License-Identifier: Apache-2.0
"""Pins a folder of sinks to the region that wrote to it first, so that no other region's log is mixed into it."""

import os
from pathlib import Path
from typing import Final

from strongroom.audit.errors import SinkFailed

_FILE: Final = "region"
_BYTES_MAX: Final = 64


def pinned_region(folder: Path, region: str) -> str:
    """Return the region that a folder of sinks is pinned to: the one given, where it has none yet.

    Blocking; run it on a thread. Of two that pin at once, both get the same answer.

    Raises:
        SinkFailed: the folder cannot be written or read.
    """
    path = folder / _FILE
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            with path.open("rb") as file:
                return file.read(_BYTES_MAX).decode("utf-8", "replace").strip()
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(region + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SinkFailed(f"{path}: {error.strerror}") from None
    return region
