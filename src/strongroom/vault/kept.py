# SPDX-License-Identifier: Apache-2.0
"""How the answer of a call for many tokens is kept for its repeats: by columns, and what all tokens share once.

Kept as it was sent, the database would compress it, for 3 µs a card. This is still plain text, which a search for card
numbers reads, and a repeat is told the very bytes that were sent.
"""

from operator import attrgetter
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET

from strongroom.vault.wire import TokenItem, TokenOut, TokensOut

#: Shorter answers are stored as they are in any case.
TOKENS_MIN: Final = 8
_START: Final = b'{"kept":1,'
_COLUMNS: Final = tuple((name, attrgetter(name)) for name in TokenOut.__struct_fields__)


class _Kept(msgspec.Struct, frozen=True):
    kept: Literal[1]
    count: int
    #: Fields of every token; one that is left out of all of them is in neither.
    same: dict[str, Any]
    each: dict[str, list[Any]]


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Kept).decode


def kept_form(result: TokensOut, printed: bytes) -> bytes:
    """Return what to keep of a result for its repeats, which `printed_again` turns into `printed`.

    What holds a problem, or fields that only some tokens have, is kept as it was printed.
    """
    tokens = [item.token for item in result.data]
    if len(tokens) < TOKENS_MIN or result.refused or None in tokens:
        return printed
    same: dict[str, Any] = {}
    each: dict[str, list[Any]] = {}
    for name, field in _COLUMNS:
        column = list(map(field, tokens))
        first = column[0]
        if column.count(first) == len(column):
            if first is not UNSET:
                same[name] = first
        elif UNSET in column:
            return printed
        else:
            each[name] = column
    return _encode(_Kept(1, len(tokens), same, each))


def printed_again(kept: bytes) -> bytes:
    """Return the bytes that were sent, from what was kept of them."""
    if not kept.startswith(_START):
        return kept
    form = _decode(kept)
    rows = zip(*form.each.values(), strict=True) if form.each else [()] * form.count
    tokens = [TokenOut(**form.same, **dict(zip(form.each, row, strict=True))) for row in rows]
    data = [TokenItem(index, token=token) for index, token in enumerate(tokens)]
    return _encode(TokensOut("list", form.count, 0, data))
