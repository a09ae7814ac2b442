# SPDX-License-Identifier: Apache-2.0
"""Searches data, whole or as a stream, for card numbers in every form. Holds a chunk at a time, no number for long."""

import zlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from strongroom.kernel.cardlike import Confidence, Found, find_cardlike
from strongroom.vault.discovery.judge import judge
from strongroom.vault.discovery.model import Finding, Form, Hit, Kind, Tagger, masked, name_of
from strongroom.vault.discovery.views import REACH, Encoded, View, encoded, texts

CHUNK_BYTES: Final = 1 << 20
#: Base64 of JSON with escapes is two deep; deeper than this nobody encodes by accident.
DEPTH_MAX: Final = 3
#: What stands behind the number on a stripe is part of a finding, not of the number.
_TAIL: Final = "^=Dd"
_DIGITS: Final = frozenset("0123456789")
#: What was packed before it was encoded is looked at up to here.
UNPACKED_MAX: Final = 4 * 1024**2
_GZIP: Final = b"\x1f\x8b"
#: Fewer bytes hold no number in any form.
_BYTES_MIN: Final = 13


@dataclass(frozen=True, slots=True)
class _Candidate:
    hit: Hit
    #: How sure, how long, and how plainly written: of two that overlap the greater one stays.
    rank: tuple[int, int, int]


_LEVELS: Final = {"low": 0, "medium": 1, "high": 2}
#: Forms whose findings stand where the whole encoded piece stands.
_AT_ONCE: Final = frozenset({Form.BASE64, Form.CODES})
_PLAINNESS: Final = {form: -index for index, form in enumerate(Form)}


class Searcher:
    """Searches pieces of data; what it finds in all of them can be compared."""

    def __init__(self) -> None:
        self._tagger = Tagger()

    def hits(
        self, data: bytes, *, hint: str = "", cut: bool = False, depth: int = DEPTH_MAX
    ) -> list[Hit]:
        """Return what is in a piece of data, in order; where two overlap, the surer one.

        Args:
            data: the piece.
            hint: what it is called, such as a table's column.
            cut: it begins in the middle of something.
            depth: how often what is encoded in it is decoded.
        """
        if len(data) < _BYTES_MIN:
            return []
        found = [each for view in texts(data) for each in self._in_view(view, hint)]
        if depth:
            for piece in encoded(data, cut=cut):
                found += self._in_encoded(piece, hint, depth)
        return _apart(found)

    def _in_view(self, view: View, hint: str) -> Iterator[_Candidate]:
        for found in find_cardlike(view.text):
            number = _number(view.text, found)
            verdict = judge(view.text, found, number, hint)
            hit = Hit(
                view.at(found.start),
                view.at(found.end),
                view.form,
                verdict.kind,
                verdict.level,
                name_of(found.scheme),
                masked(number),
                self._tagger.tag(number),
            )
            yield _candidate(hit, found)

    def _in_encoded(self, piece: Encoded, hint: str, depth: int) -> Iterator[_Candidate]:
        for hit in self.hits(_unpacked(piece.data), hint=hint, depth=depth - 1):
            placed = replace(hit, start=piece.start, end=piece.end, form=piece.form)
            yield _candidate(placed, None)

    def stream(
        self, chunks: Iterable[bytes], place: str, *, hint: str = "", form: Form | None = None
    ) -> Iterator[Finding]:
        """Yield what is in a stream, however it is cut into chunks.

        Args:
            chunks: the stream's pieces, of any size.
            place: what the findings call it.
            hint: what it is called to the judge.
            form: how all of it was written, where it was decoded before.
        """
        lines = _Lines()
        window, start, reported = b"", 0, 0
        for chunk, last in _and_last(chunks):
            window += chunk
            if len(window) < CHUNK_BYTES and not last:
                continue
            # What begins in the last part is found with what follows.
            settled = start + len(window) if last else start + len(window) - REACH
            for hit in self.hits(window, hint=hint, cut=start > 0):
                at = start + hit.start
                if reported <= at < settled:
                    line, column = lines.place(window, start, at)
                    yield _finding(hit, place, line, column, at, form)
            lines.pass_over(window, start, settled)
            reported = settled
            kept = max(0, settled - start - REACH)  # words before a number count
            window, start = window[kept:], start + kept


class _Lines:
    """Counts lines as a stream goes by."""

    def __init__(self) -> None:
        self._line = 1
        #: Where the line that is counted last begins, and how far was counted.
        self._begins = 0
        self._counted = 0

    def place(self, window: bytes, start: int, at: int) -> tuple[int, int]:
        """Return line and column of a byte of the window; both from 1."""
        self.pass_over(window, start, at)
        return self._line, at - self._begins + 1

    def pass_over(self, window: bytes, start: int, until: int) -> None:
        """Count the lines that end before a place."""
        if until <= self._counted:
            return
        here, there = self._counted - start, until - start
        ends = window.count(b"\n", here, there)
        if ends:
            self._line += ends
            self._begins = start + window.rfind(b"\n", here, there) + 1
        self._counted = until


def _and_last(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield pieces of bounded size, and whether each is the last."""
    before: bytes | None = None
    for chunk in chunks:
        for at in range(0, len(chunk), CHUNK_BYTES):
            if before is not None:
                yield before, False
            before = chunk[at : at + CHUNK_BYTES]
    yield before or b"", True


def _unpacked(data: bytes) -> bytes:
    """Return what gzip packed before it was encoded, up to a bound; other data as it is."""
    if not data.startswith(_GZIP):
        return data
    try:
        return zlib.decompressobj(wbits=31).decompress(data, UNPACKED_MAX)
    except zlib.error:
        return data


def _number(text: str, found: Found) -> str:
    """Return the digits of what was found, without what a stripe has behind them."""
    written = text[found.start : found.end]
    for tail in _TAIL:
        written = written.partition(tail)[0]
    if written.isascii():
        return "".join(each for each in written if each in _DIGITS)
    return "".join(str(int(each)) for each in written if each.isdecimal())


def _candidate(hit: Hit, found: Found | None) -> _Candidate:
    checked = found is None or found.confidence is not Confidence.SUSPECT
    sure = -1 if hit.kind is Kind.ALIAS else _LEVELS[hit.level]
    return _Candidate(hit, (2 * sure + checked, _PLAINNESS[hit.form], hit.end - hit.start))


def _apart(candidates: list[_Candidate]) -> list[Hit]:
    """Return the surest of those that overlap. Several numbers in one encoded piece all stand where it stands."""
    taken: list[tuple[int, int, Form]] = []
    kept: list[Hit] = []
    for each in sorted(candidates, key=lambda each: each.rank, reverse=True):
        hit = each.hit
        place = (hit.start, hit.end, hit.form)
        at = bisect_left(taken, place)
        beside = taken[max(0, at - 1) : at + 1]
        if any(other != place and other[0] < hit.end and hit.start < other[1] for other in beside):
            continue
        if place in beside:
            if hit.form not in _AT_ONCE or any(
                other.tag == hit.tag for other in kept if other.start == hit.start
            ):
                continue
        else:
            taken.insert(at, place)
        kept.append(hit)
    return sorted(kept, key=lambda hit: (hit.start, hit.end))


def _finding(
    hit: Hit, place: str, line: int, column: int, offset: int, form: Form | None
) -> Finding:
    return Finding(
        place,
        line,
        column,
        offset,
        form or hit.form,
        hit.kind,
        hit.level,
        hit.scheme,
        hit.masked,
        hit.tag,
    )
