# SPDX-License-Identifier: Apache-2.0
"""Makes ids (`kernel.ids` prints them): the machine's time in milliseconds and 80 random bits."""

import time

from strongroom.crypto.random import entropy
from strongroom.kernel.ids import encode_id


def new_id(prefix: str) -> str:
    """Return a new id of that prefix."""
    return encode_id(prefix, time.time_ns() // 1_000_000, entropy(10))
