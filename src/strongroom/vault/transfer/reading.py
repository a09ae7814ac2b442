# SPDX-License-Identifier: Apache-2.0
"""Reads one row: a card that may become a token, or a word for what is wrong with it. Pure but for opening a JWE.

The words: row_empty, row_encoding, row_malformed, fields_missing, cvc_member_refused, cryptogram_refused, jwe_refused,
expiry_malformed, metadata_wrong, card_number_refused (outside its column), those of `vault.cards` (number_malformed,
scheme_unknown, number_checksum_wrong, test_number_in_live_mode, live_number_in_test_mode, card_expired,
expiry_impossible), and of what stands beside, with its field, those of the single route (field_missing, type_wrong,
value_wrong, moment_out_of_range).
None is ever followed by a value.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from strongroom.kernel.errors import Invalid
from strongroom.kernel.mode import Mode
from strongroom.vault.cards import LAST_ZONE, read_card, read_metadata
from strongroom.vault.pan import Pan
from strongroom.vault.transfer.beside import Beside, BesideReader, read_whole_metadata
from strongroom.vault.transfer.columns import (
    EXTERNAL_ID,
    RowMalformed,
    pick_beside,
    pick_fields,
    pick_members,
    require_kept,
    wanted,
)
from strongroom.vault.transfer.model import ImportWish
from strongroom.vault.wire import CardIn

_VALUE_CHARACTERS_MAX: Final = 500
_MONTHS: Final = range(1, 13)
_YEARS: Final = range(2000, 2101)
_EXPIRY: Final = re.compile(
    r"(?P<month>[0-9]{1,2}) ?[/-] ?(?P<year>[0-9]{4}|[0-9]{2})|(?P<y>[0-9]{4})[/-](?P<m>[0-9]{2})"
    r"|(?P<mm>[0-9]{2})(?P<yy>[0-9]{2})"
)
_SEPARATORS: Final = str.maketrans("", "", " -")
_decode_object: Final = msgspec.json.Decoder(dict[str, Any]).decode
_encode_sorted: Final = msgspec.json.Encoder(order="sorted").encode


class ReadRow(NamedTuple):
    """A card that was read, with what is kept beside it."""

    pan: Pan
    exp_month: int
    exp_year: int
    metadata: str | None
    external_id: str
    beside: Beside | None = None


class RowReader:
    """Reads the rows of one import."""

    def __init__(
        self,
        wish: ImportWish,
        mode: Mode,
        now: datetime,
        *,
        places: tuple[int, ...] | None = None,
        open_row: Callable[[bytes], bytes] | None = None,
    ) -> None:
        """Make a reader.

        Args:
            wish: what was asked for.
            mode: test mode takes numbers for testing only.
            now: for expiries.
            places: where the columns stand (CSV).
            open_row: opens a row that is a JWE. Raises RowMalformed.
        """
        self._wish = wish
        self._mode = mode
        self._now = now
        self._places = places
        self._open_row = open_row
        beside = wish.columns.beside
        self._read_beside = BesideReader(tuple(beside), now).read if beside else None
        paths = [name.split(".") for name in wanted(wish.columns)]
        self._core = len(paths) - len(beside)
        self._paths, self._beside_paths = paths[: self._core], paths[self._core :]
        whole = wish.columns.whole_metadata
        self._whole_path = None if whole is None else whole.split(".")
        self._values = 2 if wish.columns.expiry is None else 1
        self._has_external = wish.columns.external_id is not None
        self._keys = tuple(wish.columns.metadata)
        latest = now - LAST_ZONE
        self._oldest = (latest.year, latest.month)

    def read(self, row: bytes) -> ReadRow:
        """Return the card of a row.

        Raises:
            RowMalformed: with the word for what is wrong.
        """
        if not row:
            raise RowMalformed("row_empty")
        values, whole = self._picked(row)
        at = 1 + self._values
        month, year = (
            _month_and_year(values[1], values[2]) if self._values > 1 else _expiry(values[1])
        )
        pan = self._card(values[0].translate(_SEPARATORS), month, year)
        external = values[at].strip() if self._has_external else ""
        metadata = None
        if self._keys or external or whole:
            given = dict(zip(self._keys, values[at + self._has_external : self._core], strict=True))
            given = {key: value for key, value in given.items() if value}
            metadata = _metadata(given, external) if not whole else _whole(whole, given, external)
        if self._read_beside is None:
            return ReadRow(pan, month, year, metadata, external)
        beside = self._read_beside(values[self._core :])
        return ReadRow(pan, month, year, metadata, external, beside)

    def _picked(self, row: bytes) -> tuple[list[str], Mapping[str, Any] | None]:
        """Return the wanted values, and metadata that comes as a whole."""
        if self._open_row is not None:
            row = self._open_row(row)
        if self._places is not None:
            return pick_fields(row, self._wish.delimiter, self._places), None
        try:
            found = _decode_object(row)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise RowMalformed("row_malformed") from None
        require_kept(found)
        values = pick_members(found, self._paths)
        if self._beside_paths:
            values += pick_beside(found, self._beside_paths)
        return values, None if self._whole_path is None else _object(found, self._whole_path)

    def _card(self, number: str, month: int, year: int) -> Pan:
        if self._wish.take_expired and (year, month) < self._oldest:
            # Whatever else is wrong is found with a date that is not.
            year, month = self._oldest
        try:
            return read_card(CardIn(number, month, year), self._mode, self._now)
        except Invalid as error:
            raise RowMalformed(error.errors[0].code) from None


def _object(found: Mapping[str, Any], path: Sequence[str]) -> Mapping[str, Any] | None:
    """Return a member that is an object, or None where it is not there.

    Raises:
        RowMalformed: it is something else.
    """
    value: Any = found
    for part in path:
        if value is None:
            return None
        if not isinstance(value, dict):
            raise RowMalformed("row_malformed", "/metadata")
        value = value.get(part)
    if value is not None and not isinstance(value, dict):
        raise RowMalformed("row_malformed", "/metadata")
    return value


def _whole(whole: Mapping[str, Any], given: Mapping[str, str], external: str) -> str:
    """Print metadata that came as a whole; what the columns say takes the place of what it says."""
    found = {**whole, **given, **({EXTERNAL_ID: external} if external else {})}
    return _encode_sorted(read_whole_metadata(found)).decode()


def _metadata(given: dict[str, str], external: str) -> str:
    if external:
        given[EXTERNAL_ID] = external
    if any(len(value) > _VALUE_CHARACTERS_MAX or "\0" in value for value in given.values()):
        raise RowMalformed("metadata_wrong")
    try:
        read_metadata(given)
    except Invalid as error:
        raise RowMalformed(error.errors[0].code) from None
    return _encode_sorted(given).decode()


@lru_cache(maxsize=4_096)
def _month_and_year(month: str, year: str) -> tuple[int, int]:
    month, year = month.strip(), year.strip()
    if not (month.isascii() and month.isdigit() and year.isascii() and year.isdigit()):
        raise RowMalformed("expiry_malformed")
    if len(month) > 2 or len(year) not in (2, 4):  # noqa: PLR2004 - digits of a month and of a year
        raise RowMalformed("expiry_malformed")
    found = int(month), int(year) + (2000 if len(year) == 2 else 0)  # noqa: PLR2004 - likewise
    if found[0] not in _MONTHS or found[1] not in _YEARS:
        raise RowMalformed("expiry_malformed")
    return found


@lru_cache(maxsize=4_096)
def _expiry(text: str) -> tuple[int, int]:
    found = _EXPIRY.fullmatch(text.strip())
    if found is None:
        raise RowMalformed("expiry_malformed")
    return _month_and_year(
        found["month"] or found["m"] or found["mm"], found["year"] or found["y"] or found["yy"]
    )
