# SPDX-License-Identifier: Apache-2.0
"""A tree's origin through its generations: `<name>`, and after a restart `<name>/2`, `<name>/3` and so on.

The name stays the key's name in notes, so that whoever trusts the key need not learn another after a restart.
"""

import re
from typing import Final

_GENERATION: Final = re.compile(r"[2-9]|[1-9][0-9]{1,5}")


def origin_of(name: str, generation: int) -> str:
    """Return the origin of a generation, counted from 1."""
    return name if generation == 1 else f"{name}/{generation}"


def generation_of(name: str, origin: str) -> int | None:
    """Return which generation of this tree has that origin; None for another tree's."""
    if origin == name:
        return 1
    number = origin.removeprefix(f"{name}/")
    return int(number) if number != origin and _GENERATION.fullmatch(number) else None
