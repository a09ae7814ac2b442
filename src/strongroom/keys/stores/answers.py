# SPDX-License-Identifier: Apache-2.0
"""What a key store answers over HTTP, strictly read."""

from typing import TypeVar

import msgspec

from strongroom.egress.model import Answered
from strongroom.keys.errors import KeyStoreUnavailable

_Shape = TypeVar("_Shape")


def read_answer(answered: Answered, shape: type[_Shape]) -> _Shape:
    """Return the body of an answer. Raises KeyStoreUnavailable for one of another shape."""
    try:
        return msgspec.json.decode(answered.body, type=shape)
    except (msgspec.MsgspecError, RecursionError):
        # Not chained: what does not decode may hold a key, and a chained error would print what it met.
        raise KeyStoreUnavailable from None
