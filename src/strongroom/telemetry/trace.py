# SPDX-License-Identifier: Apache-2.0
"""The name of a request, and the hash of it that ties log line, trace and audit record together."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from structlog.contextvars import bound_contextvars

from strongroom.crypto.digest import sha256
from strongroom.crypto.random import entropy
from strongroom.kernel.ids import encode_id

_ENTROPY_BYTES: Final = 10
_NANOSECONDS_A_MILLISECOND: Final = 1_000_000


def new_request_id() -> str:
    """Return a fresh `req_…`. Never taken from the caller: two requests never share one."""
    return encode_id("req", time.time_ns() // _NANOSECONDS_A_MILLISECOND, entropy(_ENTROPY_BYTES))


def trace_hash(request_id: str) -> str:
    """Return the SHA-256 of the request id, 64 lower-case hexadecimal digits."""
    return sha256(request_id.encode()).hex()


@contextmanager
def request_bound(request_id: str) -> Iterator[None]:
    """Put the request's id and hash on every line logged inside, across awaits (not on the hot route)."""
    with bound_contextvars(request_id=request_id, trace_hash=trace_hash(request_id)):
        yield
