# SPDX-License-Identifier: Apache-2.0
"""Finds the wanted columns: where they stand in a CSV header, and in a JSON object. Pure.

A column that looks like a security code is refused, not skipped: nobody may have kept one (PCI DSS 3.3.1), so a file
with one is another file than was meant.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.vault.never_kept import is_code, is_cryptogram
from strongroom.vault.transfer.errors import ContentRefused
from strongroom.vault.transfer.model import BESIDE, COLUMNS_MAX, Columns, Format, ImportWish

EXTERNAL_ID: Final = "external_id"
_METADATA_KEY: Final = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_COLUMN_CHARACTERS_MAX: Final = 80
DELIMITERS: Final = frozenset(",;\t|")
_EMPTY: Final[Sequence[object]] = (None, "", {}, [])


class RowMalformed(Exception):
    """A row does not have the form of its file. `code` is the row's problem, `field` a pointer to what it is of."""

    def __init__(self, code: str, field: str = "") -> None:
        super().__init__()
        self.code = code
        self.field = field


def wanted(columns: Columns) -> tuple[str, ...]:
    """Return the names of the columns that are read, in the order in which a row's values are handed on.

    Number; expiry, or month and year; external id if there is one; metadata by key; what stands beside.
    """
    expiry = (columns.exp_month, columns.exp_year) if columns.expiry is None else (columns.expiry,)
    external = () if columns.external_id is None else (columns.external_id,)
    return (
        columns.number,
        *expiry,
        *external,
        *columns.metadata.values(),
        *columns.beside.values(),
    )


def check_wish(wish: ImportWish) -> None:
    """Refuse a wish whose columns cannot be.

    Raises:
        Invalid: a name is empty, too long, a security code's, a cryptogram's or a card number; a metadata key is
            malformed or taken; metadata as a whole is looked for in CSV.
    """
    wrong: list[FieldError] = []
    columns = wish.columns
    names = wanted(columns)
    if columns.whole_metadata is not None:
        names = (*names, columns.whole_metadata)
        if wish.file_format is not Format.JSONL:
            wrong.append(
                FieldError(
                    "/columns/whole_metadata", "format_wrong", "an object stands in JSON Lines only"
                )
            )
    if not columns.beside.keys() <= set(BESIDE):
        wrong.append(FieldError("/columns", "column_unknown", "a token has nothing of this name"))
    if len(names) - len(columns.beside) > COLUMNS_MAX:
        wrong.append(FieldError("/columns", "too_many", f"at most {COLUMNS_MAX} columns are read"))
    for name in names:
        if not 0 < len(name) <= _COLUMN_CHARACTERS_MAX or "\0" in name or has_cardlike(name):
            wrong.append(FieldError("/columns", "column_malformed", "a column's name is a word"))
        elif is_code(name):
            wrong.append(
                FieldError("/columns", "cvc_column_refused", "a security code is never imported")
            )
        elif is_cryptogram(name):
            wrong.append(
                FieldError("/columns", "cryptogram_refused", "a cryptogram is never imported")
            )
    wrong.extend(
        FieldError("/columns/metadata", "metadata_key_wrong", "a key is a word of its own")
        for key in wish.columns.metadata
        if _METADATA_KEY.fullmatch(key) is None or has_cardlike(key) or key == EXTERNAL_ID
    )
    if wish.delimiter not in DELIMITERS:
        wrong.append(
            FieldError("/delimiter", "delimiter_unknown", "one of comma, semicolon, tab and |")
        )
    if wrong:
        raise Invalid(*wrong)


def find_columns(header: bytes, wish: ImportWish) -> tuple[int, ...]:
    """Return where the wanted columns stand in a CSV file, from its first row.

    Raises:
        ContentRefused: one is missing or stands twice, one is a security code's, or there is no header at all.
    """
    try:
        names = [name.strip() for name in fields_of(header, wish.delimiter)]
    except RowMalformed:
        raise ContentRefused("header_malformed", "the first row is not a header") from None
    if any(has_cardlike(name) for name in names):
        raise ContentRefused("header_missing", "the first row holds a card: name the columns there")
    if any(is_code(name) for name in names):
        raise ContentRefused("cvc_column_refused", "the file has a column of security codes")
    places = []
    for name in wanted(wish.columns):
        if names.count(name) != 1:
            raise ContentRefused(
                "column_missing", f"the column {name} does not stand exactly once in the first row"
            )
        places.append(names.index(name))
    return tuple(places)


def fields_of(row: bytes, delimiter: str) -> list[str]:
    """Return the fields of one CSV row.

    Raises:
        RowMalformed: `row_encoding` or `row_malformed`.
    """
    try:
        text = row.decode("utf-8")
    except UnicodeDecodeError:
        raise RowMalformed("row_encoding") from None
    if '"' not in text:
        return text.split(delimiter)
    try:
        return next(iter(csv.reader([text], delimiter=delimiter, strict=True)))
    except (csv.Error, StopIteration):
        raise RowMalformed("row_malformed") from None


def pick_fields(row: bytes, delimiter: str, places: Sequence[int]) -> list[str]:
    """Return the wanted values of a CSV row.

    Raises:
        RowMalformed: as `fields_of`, and `fields_missing`.
    """
    fields = fields_of(row, delimiter)
    try:
        return [fields[place] for place in places]
    except IndexError:
        raise RowMalformed("fields_missing") from None


def pick_members(found: Mapping[str, Any], paths: Sequence[Sequence[str]]) -> list[str]:
    """Return the wanted values of a JSON object; what is not there, or null, is empty.

    Raises:
        RowMalformed: `row_malformed`: a value is neither text nor a whole number.
    """
    values = []
    for path in paths:
        value: Any = found
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            value = ""
        elif isinstance(value, bool) or not isinstance(value, (str, int)):
            raise RowMalformed("row_malformed")
        values.append(str(value))
    return values


def pick_beside(found: Mapping[str, Any], paths: Sequence[Sequence[str]]) -> list[str]:
    """Likewise of what stands beside, where a truth value is one, too, and a member that holds others an object.

    Raises:
        RowMalformed: `row_malformed`, with the member.
    """
    values = []
    for path in paths:
        value: Any = found
        for part in path:
            if value is None:
                break
            if not isinstance(value, dict):
                raise RowMalformed("row_malformed", f"/{path[0]}")
            value = value.get(part)
        if value is None:
            value = ""
        elif isinstance(value, bool):
            value = "true" if value else "false"
        elif not isinstance(value, (str, int)):
            raise RowMalformed("row_malformed", f"/{path[0]}")
        values.append(str(value))
    return values


def require_kept(found: Mapping[str, Any]) -> None:
    """Refuse a JSON row that brings what nobody keeps, however deep: metadata may come as a whole.

    Raises:
        RowMalformed: `cvc_member_refused`, `cryptogram_refused`.
    """
    waiting: list[Any] = [found]
    while waiting:  # and no recursion: a row may be as deep as it is long
        value = waiting.pop()
        if isinstance(value, dict):
            for name, inner in value.items():
                if inner in _EMPTY:
                    continue
                if is_code(name):
                    raise RowMalformed("cvc_member_refused")
                if is_cryptogram(name):
                    raise RowMalformed("cryptogram_refused")
                if isinstance(inner, (dict, list)):
                    waiting.append(inner)
        else:
            waiting.extend(each for each in value if isinstance(each, (dict, list)))
