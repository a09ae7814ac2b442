# SPDX-License-Identifier: Apache-2.0
"""Cutting a file into rows and reading them: tables of malformed rows, and that no cut loses or doubles a row."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.kernel.errors import Invalid
from strongroom.kernel.mode import Mode
from strongroom.kernel.schemes import synthetic_number
from strongroom.vault.transfer.columns import RowMalformed, check_wish, find_columns, wanted
from strongroom.vault.transfer.errors import ContentRefused
from strongroom.vault.transfer.model import (
    ROW_BYTES_MAX,
    Columns,
    Encryption,
    Format,
    ImportWish,
)
from strongroom.vault.transfer.reading import RowReader
from strongroom.vault.transfer.rows import RowTooLong, split_rows

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
VISA = "4242424242424242"
CARD = synthetic_number(1)
WISH = ImportWish(Format.CSV)


def rows(content: bytes, file_format: Format = Format.CSV, *, last: bool = True) -> list[bytes]:
    return [row.content for row in split_rows(content, file_format, last=last, first=True)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"a,b", [b"a,b"]),
        (b"a,b\n", [b"a,b"]),
        (b"a,b\r\nc,d\r\n", [b"a,b", b"c,d"]),
        (b"\xef\xbb\xbfa\nb", [b"a", b"b"]),
        (b'"a\nb",c\nd', [b'"a\nb",c', b"d"]),
        (b'"a""\n""b",c\nd\n', [b'"a""\n""b",c', b"d"]),
        (b'"never closed\n,x\n', [b'"never closed\n,x\n']),
        (b"\n\na\n", [b"", b"", b"a"]),
    ],
)
def test_rows(content: bytes, expected: list[bytes]) -> None:
    assert rows(content) == expected


def test_a_quote_means_nothing_in_json_lines() -> None:
    assert rows(b'{"a":"\n"}\n', Format.JSONL) == [b'{"a":"', b'"}']


def test_a_row_that_is_cut_waits_for_the_rest() -> None:
    assert rows(b"a\nb", last=False) == [b"a"]
    assert rows(b'a\n"b\nc', last=False) == [b"a"]


@pytest.mark.parametrize("content", [b"x" * (ROW_BYTES_MAX + 1), b'"' + b"x\n" * ROW_BYTES_MAX])
def test_a_row_is_bounded(content: bytes) -> None:
    for last in (False, True):
        with pytest.raises(RowTooLong):
            rows(content + b"\na\n", last=last)


FIELD = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12).map(
    lambda text: '"' + text.replace('"', '""') + '"' if set(text) & set('",\r\n') else text
)


@given(st.lists(st.lists(FIELD, min_size=1, max_size=3), max_size=8), st.data())
def test_however_it_is_cut_the_rows_are_the_same(
    table: list[list[str]], data: st.DataObject
) -> None:
    content = "".join(",".join(row) + "\n" for row in table).encode()
    whole = rows(content)
    found, begin, end = [], 0, 0
    while begin < len(content):
        end = min(len(content), max(end, begin) + data.draw(st.integers(1, 40)))
        taken = list(
            split_rows(content[begin:end], Format.CSV, last=end == len(content), first=begin == 0)
        )
        found += [row.content for row in taken]
        begin += taken[-1].end if taken else 0
        if end == len(content):
            break
    assert found == whole


def reader(
    wish: ImportWish = WISH, mode: Mode = Mode.TEST, places: tuple[int, ...] | None = (0, 1, 2)
) -> RowReader:
    return RowReader(wish, mode, NOW, places=places)


#: A row, and what is wrong with it.
MALFORMED = [
    (b"", "row_empty"),
    (b"\xff\xfe,1,2030", "row_encoding"),
    (b'"4242",x",1,2030', "expiry_malformed"),
    (b'"4242"x,1,2030', "row_malformed"),
    (b'"4242\r4242",1,"2030', "row_malformed"),
    (VISA.encode(), "fields_missing"),
    (f"{VISA},1".encode(), "fields_missing"),
    (b"4242424242424241,1,2030", "number_checksum_wrong"),
    (b"424242424242,1,2030", "number_malformed"),
    (b"4242x24242424242,1,2030", "number_malformed"),
    ("４２４２４２４２４２４２４２４２,1,2030".encode(), "number_malformed"),
    (b"9999999999999995,1,2030", "scheme_unknown"),
    (b"4539578763621486,1,2030", "live_number_in_test_mode"),
    (f"{VISA},13,2030".encode(), "expiry_malformed"),
    (f"{VISA},0,2030".encode(), "expiry_malformed"),
    (f"{VISA},-1,2030".encode(), "expiry_malformed"),
    (f"{VISA},1,203".encode(), "expiry_malformed"),
    (f"{VISA},,".encode(), "expiry_malformed"),
    (f"{VISA},1,2020".encode(), "card_expired"),
    (f"{VISA},1,2099".encode(), "expiry_impossible"),
    (f"{VISA},{VISA},{VISA}".encode(), "expiry_malformed"),
]


@pytest.mark.parametrize(("row", "code"), MALFORMED)
def test_malformed_rows(row: bytes, code: str) -> None:
    with pytest.raises(RowMalformed) as refused:
        reader().read(row)
    assert refused.value.code == code
    assert "4242" not in repr(refused.value)


def test_live_mode_takes_no_test_number() -> None:
    for number in (VISA, CARD):
        with pytest.raises(RowMalformed) as refused:
            reader(mode=Mode.LIVE).read(f"{number},1,2030".encode())
        assert refused.value.code == "test_number_in_live_mode"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12/34", (12, 2034)),
        ("1/2034", (1, 2034)),
        ("2034-12", (12, 2034)),
        ("12-34", (12, 2034)),
        ("1234", (12, 2034)),
        (" 12 / 34 ", (12, 2034)),
    ],
)
def test_expiries(text: str, expected: tuple[int, int]) -> None:
    wish = ImportWish(Format.CSV, columns=Columns(expiry="exp"))
    read = reader(wish, places=(0, 1)).read(f'{VISA},"{text}"'.encode())
    assert (read.exp_month, read.exp_year) == expected


@pytest.mark.parametrize("text", ["13/34", "0/34", "12/3", "12/20345", "34-13", "", "x", VISA])
def test_malformed_expiries(text: str) -> None:
    wish = ImportWish(Format.CSV, columns=Columns(expiry="exp"))
    with pytest.raises(RowMalformed) as refused:
        reader(wish, places=(0, 1)).read(f"{VISA},{text}".encode())
    assert refused.value.code == "expiry_malformed"


def test_an_expired_card_is_taken_where_that_is_asked_for() -> None:
    wish = ImportWish(Format.CSV, take_expired=True)
    read = reader(wish).read(f"{VISA},1,2020".encode())
    assert (read.exp_month, read.exp_year) == (1, 2020)
    with pytest.raises(RowMalformed) as refused:
        reader(wish).read(b"4242424242424241,1,2020")
    assert refused.value.code == "number_checksum_wrong"


def test_digits_may_be_grouped() -> None:
    assert reader().read(b"4242 4242-4242 4242,1,2030").pan.last4 == "4242"


MAPPED = Columns("pan", "month", "year", None, "id", {"customer": "cust", "note": "n"})


def test_metadata_and_external_id() -> None:
    wish = ImportWish(Format.CSV, columns=MAPPED)
    places = find_columns(b"cust,pan,month,year,id,n,extra", wish)
    assert places == (1, 2, 3, 4, 0, 5)
    read = reader(wish, places=places).read(f"c-1,{VISA},1,2030,card_7,,x".encode())
    assert (read.metadata, read.external_id) == (
        '{"customer":"c-1","external_id":"card_7"}',
        "card_7",
    )


@pytest.mark.parametrize(
    ("field", "code"),
    [
        (VISA, "card_number_refused"),
        ("x" * 501, "metadata_wrong"),
        ("4242-4242-4242-4242", "card_number_refused"),
    ],
)
def test_metadata_holds_no_card(field: str, code: str) -> None:
    wish = ImportWish(Format.CSV, columns=MAPPED)
    for row in (f"{VISA},1,2030,card_7,{field},", f"{VISA},1,2030,{field},,"):
        with pytest.raises(RowMalformed) as refused:
            reader(wish, places=(0, 1, 2, 3, 4, 5)).read(row.encode())
        assert refused.value.code == code


#: A header, and why it will not do.
HEADERS = [
    (b"number,exp_month", "column_missing"),
    (b"number,number,exp_month,exp_year", "column_missing"),
    (b"number,exp_month,exp_year,cvc", "cvc_column_refused"),
    (b"number,exp_month,exp_year,card_CVV2", "cvc_column_refused"),
    (b"number,exp_month,exp_year,Security Code", "cvc_column_refused"),
    (f"{VISA},1,2030".encode(), "header_missing"),
    (b"\xff", "header_malformed"),
    (b"", "column_missing"),
]


@pytest.mark.parametrize(("header", "problem"), HEADERS)
def test_headers(header: bytes, problem: str) -> None:
    with pytest.raises(ContentRefused) as refused:
        find_columns(header, WISH)
    assert refused.value.problem == problem
    assert "4242" not in refused.value.detail


@pytest.mark.parametrize(
    "columns",
    [
        Columns(number="cvc"),
        Columns(number=""),
        Columns(number="a" * 81),
        Columns(number=VISA),
        Columns(metadata={"external_id": "x"}),
        Columns(metadata={"a b": "x"}),
        Columns(metadata={VISA: "x"}),
        Columns(metadata={f"k{n}": f"c{n}" for n in range(20)}),
    ],
)
def test_wishes_that_cannot_be(columns: Columns) -> None:
    with pytest.raises(Invalid):
        check_wish(ImportWish(Format.CSV, columns=columns))
    with pytest.raises(Invalid):
        check_wish(ImportWish(Format.CSV, delimiter="x"))


JSON = ImportWish(Format.JSONL, Encryption.NONE, Columns("card.number", "card.month", "card.year"))


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (b"[]", "row_malformed"),
        (b"{", "row_malformed"),
        (b"null", "row_malformed"),
        (b"{}", "expiry_malformed"),
        (b"[" * 5_000, "row_malformed"),
        (b'{"card":{"number":[],"month":1,"year":2030}}', "row_malformed"),
        (b'{"card":{"number":4.2e15,"month":1,"year":2030}}', "row_malformed"),
        (b'{"card":{"number":true,"month":1,"year":2030}}', "row_malformed"),
        (b'{"card":{"number":null,"month":1,"year":2030}}', "number_malformed"),
        (b'{"card":{"cvv":"123"}}', "cvc_member_refused"),
        (b'{"cvc":"123"}', "cvc_member_refused"),
        (b'{"card":{"metadata":{"cvv":"123"}}}', "cvc_member_refused"),
        (b'{"card":{"notes":[{"a":[[{"Security Code":123}]]}]}}', "cvc_member_refused"),
        (b'{"card":{"cvc":{"value":"123"}}}', "cvc_member_refused"),
        (b'{"metadata":{"cavv":"AAABBBCCC"}}', "cryptogram_refused"),
        (b'{"a":[{"3ds":{"cryptogram":"AAABBBCCC"}}]}', "cryptogram_refused"),
        (b'{"a":' * 400 + b'{"cvv":"123"}' + b"}" * 400, "cvc_member_refused"),
        (b'\xff{"card":1}', "row_malformed"),
    ],
)
def test_malformed_json(row: bytes, code: str) -> None:
    with pytest.raises(RowMalformed) as refused:
        reader(JSON, places=None).read(row)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ('{"cvv":"123"}', "cvc_member_refused"),
        ('{"note":"x","card.cid":"1234"}', "cvc_member_refused"),
        ('{"cavv":"AAABBBCCC"}', "cryptogram_refused"),
    ],
)
@pytest.mark.parametrize("path", ["metadata", "card.metadata"])
def test_metadata_as_a_whole_brings_nothing_that_nobody_keeps(
    metadata: str, code: str, path: str
) -> None:
    wish = ImportWish(Format.JSONL, columns=Columns(whole_metadata=path, expiry="exp"))
    row = f'{{"number":"{VISA}","exp":"12/34","metadata":%s}}' % metadata
    if path == "card.metadata":
        row = f'{{"number":"{VISA}","exp":"12/34","card":{{"metadata":%s}}}}' % metadata
    with pytest.raises(RowMalformed) as refused:
        reader(wish, places=None).read(row.encode())
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("cvv", "123", "cvc_member_refused"),
        ("card_cid", "1234", "cvc_member_refused"),
        ("cavv", "AAABBBCCC", "cryptogram_refused"),
        ("note", VISA, "card_number_refused"),
        ("cid", "c-17", None),
        ("cvv", "", None),
        ("note", "123", None),
    ],
)
def test_what_a_column_brings_as_metadata(key: str, value: str, code: str | None) -> None:
    wish = ImportWish(Format.CSV, columns=Columns(metadata={key: "code"}))
    row = f"{VISA},1,2030,{value}".encode()
    if code is None:
        assert reader(wish, places=(0, 1, 2, 3)).read(row).pan.last4 == "4242"
        return
    with pytest.raises(RowMalformed) as refused:
        reader(wish, places=(0, 1, 2, 3)).read(row)
    assert refused.value.code == code


def test_json_members() -> None:
    row = f'{{"card":{{"number":{VISA},"month":"01","year":30,"cvc":null}},"cavv":"","cvv":{{}}}}'.encode()
    read = reader(JSON, places=None).read(row)
    assert (read.pan.last4, read.exp_month, read.exp_year) == ("4242", 1, 2030)
    assert wanted(JSON.columns) == ("card.number", "card.month", "card.year")
