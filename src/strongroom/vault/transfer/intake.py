# SPDX-License-Identifier: Apache-2.0
"""Turns rows into tokens, a chunk at a time: seal, then commit tokens, identities, results and how far we are at once.

While PostgreSQL writes one chunk the next is sealed. A card number is in clear from its row to its seal and nowhere
else; what is killed between two commits has left the last one's end as the place where to go on.

To import a chunk:
 1. Read each row: a card, or a word for what is wrong.
 2. Seal each card for a new token; a card that stands twice in the chunk is sealed once.
 3. In one transaction: lock the import and see that it stands where this chunk begins; give cards without a token
    theirs, leave those that have one; write tokens, results, the audit record, and where the next chunk begins.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final

from strongroom.audit import Action, Origin, Recorder
from strongroom.crypto import hmac_sha256
from strongroom.crypto.ids import new_id
from strongroom.db.pool import Database, Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import TokenId
from strongroom.kernel.secret import Secret
from strongroom.telemetry.metrics import VaultMetrics
from strongroom.vault.sealing import MerchantKeys
from strongroom.vault.transfer import store
from strongroom.vault.transfer.columns import RowMalformed
from strongroom.vault.transfer.errors import ImportEnded, ImportOffsetWrong, ImportUnknown
from strongroom.vault.transfer.model import (
    CHUNK_ROWS,
    MOVING_ROWS,
    Counts,
    Import,
    ImportState,
)
from strongroom.vault.transfer.reading import ReadRow, RowReader
from strongroom.vault.transfer.rows import RawRow
from strongroom.vault.transfer.store import QUERIES, RowResult
from strongroom.vault.writes import KNOWN_ELSEWHERE, Elsewhere

CREATED: Final = "created"
DUPLICATE: Final = "duplicate"
REFUSED: Final = "refused"
#: Rows sealed before whoever else waits for the loop has a turn: about a millisecond.
_ROWS_AT_ONCE: Final = 64


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


@dataclass(frozen=True, slots=True)
class Hands:
    """What an import is worked with: the tenant's keys, and who acts."""

    keys: MerchantKeys
    digest_key: Secret[bytes]
    actor: str
    origin: Origin


class Intake:
    """Imports rows."""

    def __init__(
        self, database: Database, recorder: Recorder, clock: Clock, metrics: VaultMetrics
    ) -> None:
        self._metrics = metrics
        self._database = database
        self._recorder = recorder
        self._clock = clock

    async def take(
        self, at: Import, rows: Iterable[RawRow], reader: RowReader, hands: Hands, *, base: int
    ) -> Import:
        """Import rows from where an import stands; return how far it is then.

        Args:
            at: the import, as it was read.
            rows: rows from there on; their ends count from `base`.
            reader: reads a row.
            hands: keys and actor.
            base: bytes of clear content before the first of the rows.

        Raises:
            ImportOffsetWrong, ImportEnded, ImportUnknown: somebody else was faster; what was committed stands.
        """
        writing: asyncio.Task[Import] | None = None
        try:
            async for chunk in _sealed(at, rows, reader, hands, base):
                if writing is not None:
                    at = await writing
                writing = asyncio.create_task(self._commit(at, chunk, hands))
            if writing is not None:
                at = await writing
        except BaseException:
            if writing is not None and not writing.done():
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)
            raise
        return at

    async def _commit(self, at: Import, chunk: Chunk, hands: Hands) -> Import:
        now = self._clock.now()
        async with self._database.transaction([at.merchant_id]) as tx:
            found = await locked(tx, at)
            if found.consumed != chunk.begins or found.counts.rows != chunk.first_row:
                raise ImportOffsetWrong
            known = await self._known(tx, found, chunk, hands)
            if not found.wish.dry_run:
                await _insert(tx, found, chunk.cards.without(set(known)), hands, now)
            results = [
                _result(chunk, row, known, dry_run=found.wish.dry_run)
                for row in range(len(chunk.results))
            ]
            await store.insert_part(tx, found, chunk.first_row, results)
            counts = _counted(found.counts, results)
            after = dataclasses.replace(
                found,
                received=found.received
                if found.wish.encryption.is_spooled
                else found.received + chunk.ends - chunk.begins,
                consumed=chunk.ends,
                # Where the columns stand is known with the first rows; it is kept with them.
                layout=found.layout if at.layout is None else at.layout,
                counts=counts,
                digest=chunk.digest if not found.wish.encryption.is_spooled else found.digest,
                updated_at=now,
            )
            await store.save(tx, after)
            await self._record(tx, found, after, hands, now)
        self._count(found, after)
        return after

    def _count(self, before: Import, after: Import) -> None:
        """Count what was committed, as the other ways in do."""
        if after.wish.dry_run:
            return
        metrics, was, now = self._metrics, before.counts, after.counts
        metrics.tokens_created.labels(after.mode).inc(now.created - was.created)
        metrics.tokens_deduplicated.labels(after.mode).inc(now.duplicates - was.duplicates)

    async def _known(
        self, tx: Transaction, at: Import, chunk: Chunk, hands: Hands
    ) -> Mapping[int, str]:
        """Return the cards of a chunk that have a token, with it. The others have theirs from now on."""
        places = {
            fingerprint: place
            for place, fingerprint in enumerate(chunk.cards.fingerprints)
            if fingerprint is not None
        }
        if not places:
            return {}
        moving = await self._known_elsewhere(tx, at, chunk)
        places = {each: place for each, place in places.items() if place not in moving}
        return moving | await self._known_here(tx, at, chunk, hands, places)

    async def _known_elsewhere(self, tx: Transaction, at: Import, chunk: Chunk) -> dict[int, str]:
        """Return the cards that have a token under another version of the fingerprint key, with it.

        Holds their locks until the transaction ends: nobody makes a token of one of them under another version.
        """
        if not chunk.elsewhere:
            return {}
        count = len(chunk.elsewhere)
        found = await tx.rows(
            KNOWN_ELSEWHERE,
            [at.merchant_id],
            [each.lock for each in chunk.elsewhere],
            [at.merchant_id] * count,
            [at.mode] * count,
            [each.version for each in chunk.elsewhere],
            [each.fingerprint for each in chunk.elsewhere],
        )
        return {chunk.elsewhere[row["place"] - 1].item: row["token_id"] for row in found}

    async def _known_here(
        self,
        tx: Transaction,
        at: Import,
        chunk: Chunk,
        hands: Hands,
        places: Mapping[bytes, int],
    ) -> dict[int, str]:
        if not places:
            return {}
        # Sorted, as every writer of identities does: two that overlap wait for each other, and do not deadlock.
        fingerprints = sorted(places)
        version = hands.keys.fingerprint.version
        scope = (at.merchant_id, at.mode, version)
        missing = fingerprints
        if not at.wish.dry_run:
            tokens = [chunk.cards.tokens[places[each]] for each in fingerprints]
            taken = await tx.rows(QUERIES["take_identities"], *scope, fingerprints, tokens)
            if len(taken) == len(fingerprints):
                return {}
            new = {row["fingerprint"] for row in taken}
            missing = [each for each in fingerprints if each not in new]
        found = await tx.rows(QUERIES["tokens_of_cards"], *scope, missing)
        return {places[row["fingerprint"]]: row["token_id"] for row in found}

    async def _record(
        self, tx: Transaction, before: Import, after: Import, hands: Hands, now: datetime
    ) -> None:
        """Record what this transaction made: how many, and up to which row of the file."""
        made = after.counts.created - before.counts.created
        if made == 0 or after.wish.dry_run:
            return
        record = self._recorder.make(
            Action.VAULT_TOKEN_CREATED,
            actor=hands.actor,
            merchant=after.merchant_id,
            mode=after.mode,
            thing=after.import_id,
            origin=hands.origin,
            now=now,
            details={
                "container": after.wish.container,
                "count": made,
                "duplicates": after.counts.duplicates - before.counts.duplicates,
                "operation": "import",
                "refused": after.counts.refused - before.counts.refused,
            },
        )
        await self._recorder.insert(tx, record)


async def locked(tx: Transaction, of: Import) -> Import:
    """Return an import that goes on, locked.

    Raises:
        ImportUnknown, ImportEnded: see each.
    """
    found = await store.by_id(tx, of.merchant_id, of.mode, of.import_id, lock=True)
    if found is None:
        raise ImportUnknown
    if found.state not in (ImportState.OPEN, ImportState.RECEIVED):
        raise ImportEnded
    return found


async def _sealed(
    at: Import, rows: Iterable[RawRow], reader: RowReader, hands: Hands, base: int
) -> AsyncIterator[Chunk]:
    """Yield chunks of read and sealed rows (1) (2)."""
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
        chunk.results.append(RowResult(REFUSED, problem=error.code))
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
    cards.tokens.append(token)
    cards.sealed.append(hands.keys.sealed(pan, at.mode, at.merchant_id, token))
    cards.brands.append(pan.scheme.name)
    cards.bins.append(pan.bin)
    cards.last4s.append(pan.last4)
    cards.months.append(read.exp_month)
    cards.years.append(read.exp_year)
    cards.fingerprints.append(fingerprint)
    cards.metadata.append(read.metadata)


def _masked(read: ReadRow) -> RowResult:
    pan = read.pan
    return RowResult(CREATED, "", pan.scheme.name, pan.last4, read.external_id)


def _result(chunk: Chunk, row: int, known: Mapping[int, str], *, dry_run: bool) -> RowResult:
    """Say what became of a row, now that the database has said which cards have tokens."""
    result = chunk.results[row]
    if result.status == REFUSED:
        return result
    card = chunk.card_of[row]
    token = known.get(card)
    status = DUPLICATE if token is not None or row in chunk.repeats else CREATED
    if token is None and not dry_run:
        token = chunk.cards.tokens[card]
    return RowResult(status, token or "", result.brand, result.last4, result.external_id)


async def _insert(tx: Transaction, at: Import, cards: Columns, hands: Hands, now: datetime) -> None:
    if not cards.tokens:
        return
    keys = hands.keys
    await tx.run(
        QUERIES["insert_tokens"],
        at.merchant_id,
        at.mode,
        keys.card.version,
        keys.fingerprint.version if at.wish.deduplicate else None,
        at.wish.container,
        hands.actor,
        now,
        *cards.lists(),
    )


def _counted(before: Counts, results: Sequence[RowResult]) -> Counts:
    words = [result.status for result in results]
    return Counts(
        before.rows + len(words),
        before.created + words.count(CREATED),
        before.duplicates + words.count(DUPLICATE),
        before.refused + words.count(REFUSED),
    )
