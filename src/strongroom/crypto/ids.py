# SPDX-License-Identifier: Apache-2.0
"""Makes ids (`kernel.ids` prints them): the machine's time in milliseconds and 80 random bits."""

import time
from functools import lru_cache
from typing import Final

from strongroom.crypto.random import entropy
from strongroom.kernel.ids import id_start, print_id, print_ids

#: A request makes its ids within a millisecond or two.
_started: Final = lru_cache(maxsize=8)(id_start)
_RANDOM_BYTES: Final = 16


def new_id(prefix: str) -> str:
    """Return a new id of that prefix."""
    return print_id(prefix, _started(time.time_ns() // 1_000_000), entropy(_RANDOM_BYTES))


def new_ids(prefix: str, count: int) -> list[str]:
    """Return new ids in ascending order: rows written in it go to an index's end, one behind the other."""
    start = _started(time.time_ns() // 1_000_000)
    return print_ids(prefix, start, entropy(count * _RANDOM_BYTES))
