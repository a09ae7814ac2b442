# SPDX-License-Identifier: Apache-2.0
"""Reads what a processor sent, in the shape that it publishes. Every adapter reads by this."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from strongroom.payments.ports import AnswerSurprising

Shape = TypeVar("Shape")
Content = TypeVar("Content", bytes, bytes | msgspec.Raw)


def decoded(decode: Callable[[Content], Shape], content: Content) -> Shape:
    """Read a body, or a part of one that is kept as it came.

    Raises:
        AnswerSurprising: it has not the published shape.
    """
    try:
        return decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise AnswerSurprising from error
