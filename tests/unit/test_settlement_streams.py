# SPDX-License-Identifier: Apache-2.0
"""Settlement reports: the same lines however the bytes come, and no more held than a piece."""

import asyncio
import csv
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from settlement_files import (
    CAPTURED,
    FORMS,
    GENERIC,
    LINE,
    WHEN,
    written,
)
from strongroom.kernel.money import CURRENCIES, Money
from strongroom.payments.reconciliation import (
    Format,
    GenericReport,
    Kind,
    Line,
    ReportRefused,
    read,
    read_stream,
)
from strongroom.payments.reconciliation.reading import Reading

# --- however the bytes come ----------------------------------------------------------------------------------

EXPONENTS: Final = {
    exponent: [each for each in sorted(CURRENCIES) if Money(0, each).exponent == exponent]
    for exponent in (0, 2, 3)
}


def printed(minor: int, currency: str) -> str:
    return str(Money(minor, currency)).partition(" ")[0]


@st.composite
def movements(draw: st.DrawFn) -> Line:
    currency = draw(st.sampled_from(EXPONENTS[draw(st.sampled_from(sorted(EXPONENTS)))]))
    presented = draw(st.sampled_from([None, "JPY", "AED", "KWD"]))
    kind = draw(st.sampled_from(list(Kind)))
    gross = 0 if kind is Kind.FEE else draw(st.integers(-(10**12), 10**12))
    fee = draw(st.integers(-(10**6), 10**6))
    # No digits: a card number by chance is refused, and rightly.
    # In the balance's currency it is gross; in another it goes the same way.
    shown = draw(st.integers(-(10**9), 10**9))
    if presented == currency:
        shown = gross
    elif gross * shown < 0:
        shown = -shown
    text = st.text("abXZ_-\",;'/\\#%éж日", max_size=20)
    batch, ours = draw(text) or None, draw(text) or None
    return replace(
        LINE,
        kind=kind,
        word=kind.value,
        gross=gross,
        fee=fee,
        net=gross - fee,
        currency=currency,
        presented=None if presented is None else Money(shown, presented),
        booked_at=WHEN + timedelta(seconds=draw(st.integers(-(10**9), 10**9))),
        batch=batch,
        our_reference=ours,
    )


def eagerly(form: Format, content: Iterator[bytes]) -> Iterator[Line]:
    """Read, looking at every byte as it comes."""
    reading = Reading(form, look_bytes=1)
    for piece in content:
        yield from reading.feed(piece)
    yield from reading.end()


def as_row(line: Line, offset: int) -> dict[str, str]:
    row = {
        "kind": line.kind.value,
        "booked_at": line.booked_at.astimezone(timezone(timedelta(minutes=offset))).isoformat(),
        "currency": line.currency,
        "gross": printed(line.gross, line.currency),
        "fee": printed(line.fee, line.currency),
        "net": printed(line.net, line.currency),
        "batch": line.batch or "",
        "our_reference": line.our_reference or "",
    }
    if line.presented is not None:
        row["presented_amount"] = printed(line.presented.minor_units, line.presented.currency)
        row["presented_currency"] = line.presented.currency
    return row


def pieces(content: bytes, sizes: list[int]) -> Iterator[bytes]:
    at = 0
    for size in sizes:
        yield content[at : at + size]
        at += size
    yield content[at:]


@given(
    moved=st.lists(movements(), max_size=6),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    mark=st.booleans(),
    cut=st.booleans(),
    sizes=st.lists(st.integers(0, 90), max_size=30),
    offset=st.integers(-720, 840),
)
def test_a_report_is_read_as_it_was_written_however_it_is_cut(
    *,
    moved: list[Line],
    end: str,
    quoting: Any,
    mark: bool,
    cut: bool,
    sizes: list[int],
    offset: int,
) -> None:
    content = written(GENERIC, *(as_row(each, offset) for each in moved), end=end, quoting=quoting)
    content = (b"\xef\xbb\xbf" if mark else b"") + (
        content.removesuffix(end.encode()) if cut else content
    )
    expected = [replace(each, number=number) for number, each in enumerate(moved, start=2)]
    assert list(read(GenericReport(), pieces(content, sizes))) == expected
    assert list(eagerly(GenericReport(), pieces(content, sizes))) == expected
    assert list(read(GenericReport(), [content])) == expected

    async def arriving() -> AsyncIterator[bytes]:
        for piece in pieces(content, sizes):
            yield piece

    async def streamed() -> list[Line]:
        return [each async for each in read_stream(GenericReport(), arriving())]

    assert asyncio.run(streamed()) == expected


@given(
    content=st.text('kindapture,"\n\r0.5-\ufeff', max_size=120).map(str.encode)
    | st.binary(max_size=80),
    sizes=st.lists(st.integers(0, 20), max_size=20),
    form=st.sampled_from(sorted(FORMS)),
    headed=st.booleans(),
)
def test_any_bytes_are_read_or_refused_and_alike_in_pieces(
    *, content: bytes, sizes: list[int], form: str, headed: bool
) -> None:
    made, columns, row = FORMS[form]
    whole = written(columns, row) + content if headed else content

    def ended(given: Iterator[bytes]) -> str | list[Line]:
        try:
            return list(eagerly(made, given))
        except ReportRefused:
            return "refused"

    assert ended(pieces(whole, sizes)) == ended(iter([whole]))


def test_what_is_held_does_not_grow_with_the_report() -> None:
    header, row = written(GENERIC, CAPTURED).split(b"\n", 1)
    piece = row * 500

    def peak(times: int) -> int:
        reading = Reading(GenericReport())
        tracemalloc.start()
        try:
            count = sum(1 for _ in reading.feed(header + b"\n"))
            for _ in range(times):
                count += sum(1 for _ in reading.feed(piece))
            count += sum(1 for _ in reading.end())
            assert count == 500 * times
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small = peak(2)
    assert peak(40) < 2 * small
