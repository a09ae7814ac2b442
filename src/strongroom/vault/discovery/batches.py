# SPDX-License-Identifier: Apache-2.0
"""Searches the values of a table's column, many at once; a finding is one of a row, and never of two."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final

from strongroom.vault.discovery.model import Finding
from strongroom.vault.discovery.search import Searcher

#: Between two values: nothing that a number, a word or an encoded piece goes across.
_BETWEEN: Final = b"\n\x00\x01\x00\n"


def search_values(
    searcher: Searcher, values: Sequence[tuple[int, bytes]], place: str, column: str
) -> Iterator[Finding]:
    """Yield what is in some values of one column.

    Args:
        searcher: what they are searched by.
        values: each with the number of its row.
        place: what the findings call the column: `schema.table.column`.
        column: its name, which says to the judge what it is for.
    """
    begins: list[int] = []
    whole = bytearray()
    for _, value in values:
        begins.append(len(whole))
        whole += value
        whole += _BETWEEN
    for hit in searcher.hits(bytes(whole), hint=column):
        at = bisect_right(begins, hit.start) - 1
        offset = hit.start - begins[at]
        yield Finding(
            place,
            values[at][0],
            offset + 1,
            offset,
            hit.form,
            hit.kind,
            hit.level,
            hit.scheme,
            hit.masked,
            hit.tag,
        )
