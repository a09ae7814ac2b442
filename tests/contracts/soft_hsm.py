# SPDX-License-Identifier: Apache-2.0
"""Tokens of SoftHSM2 (Debian's package `softhsm2`), made for tests in a folder of their own.

The library reads its configuration once a process, so there is one folder a process; tokens are told apart by label.
"""

import functools
import itertools
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from missing_tools import missing
from strongroom.kernel.secret import Secret
from strongroom.keys.stores.pkcs11_token import TokenPlace

PIN: Final = "87654321"
_MODULES: Final = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
)
_numbers: Final = itertools.count(1)


@dataclass(frozen=True, slots=True)
class SoftToken:
    """A token that was initialised."""

    place: TokenPlace
    folder: Path

    async def pin(self) -> Secret[str]:
        """Return the right PIN."""
        return Secret(PIN)


def module() -> str:
    """Return the library; skip where it is not installed."""
    found = next((path for path in _MODULES if Path(path).exists()), None)
    if found is None or shutil.which("softhsm2-util") is None:
        missing("softhsm2")
    return found


@functools.cache
def _folder(_process: int) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="strongroom-softhsm-"))
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(
        f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n",
        "utf-8",
    )
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    return folder


def new_token(prefix: str = "strongroom-") -> SoftToken:
    """Initialise a token with a label of its own."""
    library = module()
    tokens = _folder(os.getpid()) / "tokens"
    label = f"vault-{next(_numbers)}"
    before = set(tokens.iterdir())
    subprocess.run(
        [
            *("softhsm2-util", "--init-token", "--free", "--label", label),
            *("--so-pin", "12345678", "--pin", PIN),
        ],
        check=True,
        capture_output=True,
    )
    (made,) = set(tokens.iterdir()) - before
    return SoftToken(TokenPlace(library, label, prefix), made)
