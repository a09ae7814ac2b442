# SPDX-License-Identifier: Apache-2.0
"""Reads what a row gives a token beside card and metadata: the wish that `POST /v1/tokens` takes, from columns.

The names are those of that wish, and what it must be is said by its shape and by `create.read_beside` alone. A
cryptogram is not among them: it serves one payment, soon, and an import is neither. Pure.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from strongroom.http.problems import UNDECODABLE, decoding_error
from strongroom.kernel.errors import Invalid, StrongroomError
from strongroom.vault.cards import read_metadata
from strongroom.vault.transfer.columns import RowMalformed
from strongroom.vault.wire import Metadata, TokenBeside
from strongroom.vault.wishes import read_beside

_ALIAS: Final = "alias"
#: A CSV has no truth values.
_WORDS: Final[Mapping[str, bool]] = {"true": True, "1": True, "false": False, "0": False}


class Beside(NamedTuple):
    """What was read: the wish, and what of it is to be sealed, in clear, by field."""

    wish: TokenBeside
    details: Mapping[str, object]


class BesideReader:
    """Reads the wishes of one import's rows."""

    def __init__(self, names: Sequence[str], now: datetime) -> None:
        """Make a reader of some of `model.BESIDE`, for moments as they are now."""
        self._names = [name.split(".") for name in names]
        self._now = now

    def read(self, values: Sequence[str]) -> Beside | None:
        """Return what a row's values, in the order of the names, wish for; None: nothing. An empty one is absent.

        Raises:
            RowMalformed: with the code and the field of what the single route would have refused.
        """
        given: dict[str, Any] = {}
        for (outer, *inner), value in zip(self._names, values, strict=True):
            if value == "":
                continue
            if inner:
                given.setdefault(outer, {})[inner[0]] = value
            else:
                given[outer] = _word(value) if outer == _ALIAS else value
        if not given:
            return None
        try:
            wish = msgspec.convert(given, TokenBeside)
            return Beside(wish, read_beside(wish, self._now))
        except UNDECODABLE as error:
            raise _malformed(decoding_error(error)) from None
        except Invalid as error:
            raise _malformed(error) from None


def read_whole_metadata(given: Mapping[str, Any]) -> dict[str, str]:
    """Return metadata that a row brings as a whole.

    Raises:
        RowMalformed: as `BesideReader.read`.
    """
    try:
        found = msgspec.convert(given, Metadata)
        read_metadata(found)
    except UNDECODABLE as error:
        raise _malformed(decoding_error(error), "/metadata") from None
    except Invalid as error:
        raise _malformed(error) from None
    return found


def _word(value: str) -> bool:
    try:
        return _WORDS[value.strip().lower()]
    except KeyError:
        raise RowMalformed("value_wrong", f"/{_ALIAS}") from None


def _malformed(error: StrongroomError, at: str = "") -> RowMalformed:
    """Name the first thing that is wrong, by its code and its field; never by its value."""
    if not isinstance(error, Invalid):
        return RowMalformed(error.code, at)
    first = error.errors[0]
    return RowMalformed(first.code, at + first.pointer.removesuffix("/") if at else first.pointer)
