# SPDX-License-Identifier: Apache-2.0
"""Reads and seals rows, a chunk at a time: what `intake` then commits. Nothing here asks or changes a database."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final, NamedTuple

from strongroom.audit import Origin
from strongroom.crypto import hmac_sha256
from strongroom.crypto.ids import new_id
from strongroom.crypto.random import random_below
from strongroom.kernel.errors import Refused
from strongroom.kernel.ids import TokenId
from strongroom.kernel.pan_alias import pan_alias
from strongroom.kernel.secret import Secret
from strongroom.vault.containers.decision import CallerAccess
from strongroom.vault.create import new_alias
from strongroom.vault.details import NETWORK_TOKEN, seal_details
from strongroom.vault.model import DetailRow
from strongroom.vault.pan import Pan
from strongroom.vault.sealing import MerchantKeys
from strongroom.vault.transfer.beside import Beside
from strongroom.vault.transfer.columns import RowMalformed
from strongroom.vault.transfer.errors import ImportOffsetWrong
from strongroom.vault.transfer.model import CHUNK_ROWS, MOVING_ROWS, Import
from strongroom.vault.transfer.reading import ReadRow, RowReader
from strongroom.vault.transfer.rows import RawRow
from strongroom.vault.transfer.store import RowResult
from strongroom.vault.writes import Elsewhere

CREATED: Final = "created"
DUPLICATE: Final = "duplicate"
REFUSED: Final = "refused"
#: Rows sealed before whoever else waits for the loop has a turn: about a millisecond.
_ROWS_AT_ONCE: Final = 64


class Extra(NamedTuple):
    """What few tokens have; nothing of it is there for the others."""

    #: None: the import's.
    container: str | None
    expires_at: datetime | None
    kind: str | None
    pan_alias: str | None
    details: Sequence[DetailRow]


@dataclass(slots=True)
class Columns:
    """The cards of a chunk as PostgreSQL takes them: a list a column."""

    tokens: list[TokenId] = field(default_factory=list)
    sealed: list[bytes] = field(default_factory=list)
    brands: list[str] = field(default_factory=list)
    bins: list[str] = field(default_factory=list)
    last4s: list[str] = field(default_factory=list)
    months: list[int] = field(default_factory=list)
    years: list[int] = field(default_factory=list)
    fingerprints: list[bytes | None] = field(default_factory=list)
    metadata: list[str | None] = field(default_factory=list)

    def lists(self) -> tuple[list[object], ...]:
        """Return the columns in the order of the query."""
        return tuple(getattr(self, each.name) for each in dataclasses.fields(self))

    def without(self, places: set[int]) -> "Columns":
        """Return the same without some cards."""
        if not places:
            return self
        kept = [place for place in range(len(self.tokens)) if place not in places]
        return Columns(*([column[place] for place in kept] for column in self.lists()))  # type: ignore[arg-type]


@dataclass(slots=True)
class Chunk:
    """Rows that commit together, sealed."""

    #: Bytes of clear content before the first row, and up to the end of the last.
    begins: int
    ends: int
    first_row: int
    digest: bytes
    cards: Columns = field(default_factory=Columns)
    #: What is known of each row before the database was asked.
    results: list[RowResult] = field(default_factory=list)
    #: Place in `results` → place in `cards`.
    card_of: dict[int, int] = field(default_factory=dict)
    #: Rows whose card stands in an earlier row of the chunk.
    repeats: set[int] = field(default_factory=set)
    #: While cards move to another fingerprint key: what they may be known by besides. Hardly ever anything.
    elsewhere: list[Elsewhere] = field(default_factory=list)
    extras: dict[TokenId, Extra] = field(default_factory=dict)
    #: Of a dry run: what each card is known by within it.
    seen: list[bytes] = field(default_factory=list)
    #: Whether it was paid for that it is told which cards are known.
    is_charged: bool = False


@dataclass(frozen=True, slots=True)
class Hands:
    """What an import is worked with: the tenant's keys, and who acts."""

    keys: MerchantKeys
    digest_key: Secret[bytes]
    #: Who sends the rows: its tokens and records are theirs; they are told what is stored, and pay for it.
    actor: str
    origin: Origin
    #: What they may do: a card's token elsewhere is told only to who may use it.
    access: CallerAccess
    #: Of a dry run that looks for repeats: what its cards are remembered under.
    seen_key: Secret[bytes] | None = None


async def sealed(
    at: Import, rows: Iterable[RawRow], reader: RowReader, hands: Hands, base: int
) -> AsyncIterator[Chunk]:
    """Yield chunks of read and sealed rows.

    Raises:
        ImportOffsetWrong: the rows begin elsewhere than where the import stands.
    """
    if base != at.consumed:
        raise ImportOffsetWrong
    remaining = iter(rows)
    begins, first_row, digest = at.consumed, at.counts.rows, at.digest
    digest_key = hands.digest_key.expose()
    rows_max = MOVING_ROWS if hands.keys.fingerprints_elsewhere else CHUNK_ROWS
    while True:
        chunk = Chunk(begins, begins, first_row, digest)
        known: dict[bytes, int] = {}
        while len(chunk.results) < rows_max:
            some = list(islice(remaining, min(_ROWS_AT_ONCE, rows_max - len(chunk.results))))
            if not some:
                break
            for raw in some:
                chunk.digest = hmac_sha256(digest_key, chunk.digest + raw.content)
                _add(chunk, raw.content, reader, at, hands, known)
                chunk.ends = base + raw.end
            await asyncio.sleep(0)
        if not chunk.results:
            return
        begins, first_row, digest = chunk.ends, first_row + len(chunk.results), chunk.digest
        yield chunk


def _add(
    chunk: Chunk,
    content: bytes,
    reader: RowReader,
    at: Import,
    hands: Hands,
    known: dict[bytes, int],
) -> None:
    """Read and seal one row. The number ends here: what goes on is sealed or masked."""
    row = len(chunk.results)
    try:
        read = reader.read(content)
    except RowMalformed as error:
        chunk.results.append(RowResult(REFUSED, problem=error.code, field=error.field))
        return
    if read.beside is not None and read.beside.wish.container is not None:
        try:
            hands.access.require_target(read.beside.wish.container)
        except Refused as error:
            chunk.results.append(RowResult(REFUSED, problem=error.code, field="/container"))
            return
    fingerprint = hands.keys.fingerprinted(read.pan) if at.wish.deduplicate else None
    chunk.results.append(_masked(read))
    if fingerprint is not None:
        first = known.get(fingerprint)
        if first is not None:
            chunk.card_of[row] = first
            chunk.repeats.add(row)
            return
        known[fingerprint] = len(chunk.cards.tokens)
    chunk.card_of[row] = len(chunk.cards.tokens)
    cards, pan, token = chunk.cards, read.pan, TokenId(new_id("tok"))
    if fingerprint is not None and hands.keys.fingerprints_elsewhere:
        versions = hands.keys.elsewhere(pan)
        _, lock = min([*versions, (hands.keys.fingerprint.version, fingerprint)])
        chunk.elsewhere += [
            Elsewhere(len(cards.tokens), version, each, lock) for version, each in versions
        ]
    if hands.seen_key is not None:
        card = at.import_id.encode() + pan.identity()
        chunk.seen.append(hmac_sha256(hands.seen_key.expose(), card))
    cards.tokens.append(token)
    cards.sealed.append(hands.keys.sealed(pan, at.mode, at.merchant_id, token))
    cards.brands.append(pan.scheme.name)
    cards.bins.append(pan.bin)
    cards.last4s.append(pan.last4)
    cards.months.append(read.exp_month)
    cards.years.append(read.exp_year)
    cards.fingerprints.append(fingerprint)
    cards.metadata.append(read.metadata)
    if read.beside is not None:
        chunk.extras[token] = _extra(read.beside, pan, at, hands, token)


def _extra(beside: Beside, pan: Pan, at: Import, hands: Hands, token: TokenId) -> Extra:
    """Seal what a token has beside its number."""
    wish, keys = beside.wish, hands.keys
    return Extra(
        wish.container,
        wish.expires_at,
        None if wish.network_token is None else NETWORK_TOKEN,
        new_alias(pan) if wish.alias else None,
        seal_details(
            beside.details, keys.card.version, keys.sealer, at.mode, at.merchant_id, token
        ),
    )


def redrawn(extras: Mapping[TokenId, Extra], last4s: Mapping[TokenId, str]) -> dict[TokenId, Extra]:
    """Draw aliases anew, one of which was taken."""
    return {
        token: extra
        if extra.pan_alias is None
        else extra._replace(pan_alias=pan_alias(len(extra.pan_alias), last4s[token], random_below))
        for token, extra in extras.items()
    }


def _masked(read: ReadRow) -> RowResult:
    pan = read.pan
    return RowResult(CREATED, "", pan.scheme.name, pan.last4, read.external_id)
