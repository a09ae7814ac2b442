# SPDX-License-Identifier: Apache-2.0
"""Turns rows into tokens, a chunk at a time: seal, then commit tokens, identities, results and how far we are at once.

While PostgreSQL writes one chunk the next is sealed. A card number is in clear from its row to its seal and nowhere
else; what is killed between two commits has left the last one's end as the place where to go on.

To import a chunk:
 1. Read each row: a card, or a word for what is wrong.
 2. Seal each card for a new token; a card that stands twice in the chunk is sealed once.
 3. In one transaction: lock the import and see that it stands where this chunk begins; where whoever sends it owes
    nothing, give cards without a token theirs, leave those that have one, and charge for telling so (`repeats`); write
    tokens, results, the audit record, and where the next chunk begins.
"""

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from strongroom.audit import Action, Recorder
from strongroom.db.errors import ConstraintBroken
from strongroom.db.pool import Database, Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import TokenId
from strongroom.telemetry.metrics import VaultMetrics
from strongroom.vault.containers.model import DEFAULT_CONTAINER
from strongroom.vault.create import ALIAS_TRIES
from strongroom.vault.search.limiter import NumberLimiter
from strongroom.vault.transfer import store
from strongroom.vault.transfer.chunks import (
    CREATED,
    DUPLICATE,
    REFUSED,
    Chunk,
    Columns,
    Extra,
    Hands,
    redrawn,
    sealed,
)
from strongroom.vault.transfer.errors import (
    ContentRefused,
    ImportEnded,
    ImportOffsetWrong,
    ImportSlowed,
    ImportUnknown,
)
from strongroom.vault.transfer.model import Counts, Import, ImportState
from strongroom.vault.transfer.reading import RowReader
from strongroom.vault.transfer.repeats import Told, taken, tried
from strongroom.vault.transfer.rows import RawRow
from strongroom.vault.transfer.store import QUERIES, RowResult

_NOTHING: Final = Extra(None, None, None, None, ())


class Taken(NamedTuple):
    """How far an import is."""

    at: Import
    #: Why not all that was given was taken: what follows is to be given again, later.
    slowed: ImportSlowed | None = None


class Intake:
    """Imports rows."""

    def __init__(
        self,
        database: Database,
        recorder: Recorder,
        clock: Clock,
        metrics: VaultMetrics,
        numbers: NumberLimiter,
    ) -> None:
        self._metrics = metrics
        self._numbers = numbers
        self._database = database
        self._recorder = recorder
        self._clock = clock

    async def take(
        self, at: Import, rows: Iterable[RawRow], reader: RowReader, hands: Hands, *, base: int
    ) -> Taken:
        """Import rows from where an import stands; return how far it is then.

        Args:
            at: the import, as it was read.
            rows: rows from there on; their ends count from `base`.
            reader: reads a row.
            hands: keys and actor.
            base: bytes of clear content before the first of the rows.

        Raises:
            ImportOffsetWrong, ImportEnded, ImportUnknown: somebody else was faster; what was committed stands.
            ContentRefused: the container ended meanwhile; what was committed stands.
        """
        writing: asyncio.Task[Import] | None = None
        try:
            async for chunk in sealed(at, rows, reader, hands, base):
                if writing is not None:
                    at = await writing
                writing = asyncio.create_task(self._committed(at, chunk, hands))
            if writing is not None:
                at = await writing
        except ImportSlowed as slowed:
            return Taken(at, slowed)
        except BaseException:
            if writing is not None and not writing.done():
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)
            raise
        return Taken(at)

    async def _committed(self, at: Import, chunk: Chunk, hands: Hands) -> Import:
        """Commit a chunk; an alias that is taken is drawn again, as by the single route."""
        for _ in range(ALIAS_TRIES - 1):
            try:
                return await self._commit(at, chunk, hands)
            except ConstraintBroken as broken:
                if broken.constraint != "token_pan_alias":
                    raise
                cards = chunk.cards
                last4s = dict(zip(cards.tokens, cards.last4s, strict=True))
                chunk.extras = redrawn(chunk.extras, last4s)
        return await self._commit(at, chunk, hands)

    async def _commit(self, at: Import, chunk: Chunk, hands: Hands) -> Import:
        now = self._clock.now()
        async with self._database.transaction([at.merchant_id]) as tx:
            found = await locked(tx, at)
            if found.consumed != chunk.begins or found.counts.rows != chunk.first_row:
                raise ImportOffsetWrong
            told = await self._told(tx, found, chunk, hands, now)
            known = told.known
            made: Mapping[str, int] = {}
            if not found.wish.dry_run:
                new = chunk.cards.without(set(known))
                await _insert(tx, found, chunk, new, hands, now)
                made = _made(found, chunk, new)
            results = [
                _result(chunk, row, known, dry_run=found.wish.dry_run)
                for row in range(len(chunk.results))
            ]
            await store.insert_part(tx, found, chunk.first_row, results, now)
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
            await self._record(tx, found, after, made, hands, now)
        self._count(found, after)
        return after

    async def _told(
        self, tx: Transaction, at: Import, chunk: Chunk, hands: Hands, now: datetime
    ) -> Told:
        """Return which cards of a chunk are known, once whoever is told has been charged for it.

        Raises:
            ImportSlowed: they have been told as much as they may be; nothing of this chunk is.
        """
        asks = at.wish.deduplicate and not chunk.is_charged
        # Before anything is looked at, and whatever is in it: to wait for some chunks only would tell which.
        if asks and (owed := self._numbers.owed(hands.actor)) > 0:
            raise ImportSlowed(owed)
        if not at.wish.dry_run:
            told = await taken(tx, at, chunk, hands)
        elif hands.seen_key is None:
            return Told({}, 0.0)
        else:
            told = await tried(tx, at, chunk, hands)
        # Another request of theirs may have been charged meanwhile: then this one waits, whatever it costs.
        if asks and (owed := self._numbers.charge(hands.actor, told.cost)) > 0:
            raise ImportSlowed(owed)
        # Once: a commit that is repeated is not paid for again, nor one that fails given back, as it may have told.
        chunk.is_charged = True
        if at.wish.dry_run and chunk.seen:
            record = self._recorder.make(
                Action.VAULT_TOKEN_SEARCHED,
                actor=hands.actor,
                merchant=at.merchant_id,
                mode=at.mode,
                thing=at.import_id,
                origin=hands.origin,
                now=now,
                details={"basis": "dry_run", "count": told.found},
            )
            await self._recorder.insert(tx, record)
        return told

    def _count(self, before: Import, after: Import) -> None:
        """Count what was committed, as the other ways in do."""
        if after.wish.dry_run:
            return
        metrics, was, now = self._metrics, before.counts, after.counts
        metrics.tokens_created.labels(after.mode).inc(now.created - was.created)
        metrics.tokens_deduplicated.labels(after.mode).inc(now.duplicates - was.duplicates)

    async def _record(
        self,
        tx: Transaction,
        before: Import,
        after: Import,
        made: Mapping[str, int],
        hands: Hands,
        now: datetime,
    ) -> None:
        """Record what this transaction made: how many in which container, and up to which row of the file.

        A record a container. Rows that made nothing stand in no container, so that the first record has them all.
        """
        duplicates = after.counts.duplicates - before.counts.duplicates
        refused = after.counts.refused - before.counts.refused
        for container, count in sorted(made.items()):
            details: dict[str, str | int] = {
                "container": container,
                "count": count,
                "duplicates": duplicates,
                "operation": "import",
                "refused": refused,
            }
            duplicates = refused = 0
            if not after.wish.encryption.is_spooled:
                # Over the rows up to here. Of a file that is read as a whole, the end's record has the whole file's.
                details["digest"] = after.digest.hex()
            record = self._recorder.make(
                Action.VAULT_TOKEN_CREATED,
                actor=hands.actor,
                merchant=after.merchant_id,
                mode=after.mode,
                thing=after.import_id,
                origin=hands.origin,
                now=now,
                details=details,
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


def _made(at: Import, chunk: Chunk, cards: Columns) -> Mapping[str, int]:
    """Return how many of some tokens stand in which container."""
    if not chunk.extras:
        return {at.wish.container: len(cards.tokens)} if cards.tokens else {}
    extras = chunk.extras
    return Counter(
        extras.get(token, _NOTHING).container or at.wish.container for token in cards.tokens
    )


async def _insert(
    tx: Transaction, at: Import, chunk: Chunk, cards: Columns, hands: Hands, now: datetime
) -> None:
    """Put those tokens of a chunk that are new, into containers that do not end before they are there.

    Raises:
        ContentRefused: one has ended.
    """
    if not cards.tokens:
        return
    container = at.wish.container
    if container != DEFAULT_CONTAINER and not await store.hold_container(
        tx, at.merchant_id, at.mode, container
    ):
        raise ContentRefused("container_unknown", "the container of this import has ended")
    extras = chunk.extras
    for inside in {each.container for each in extras.values()} - {None, DEFAULT_CONTAINER}:
        if not await store.hold_container(tx, at.merchant_id, at.mode, str(inside)):
            raise ContentRefused("container_unknown", "the container of a row has ended")
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
        *_seldom(cards.tokens, extras),
    )
    details = [
        (token, each.field, each.sealed, each.key_version)
        for token in (cards.tokens if extras else ())
        if token in extras
        for each in extras[token].details
    ]
    if details:
        columns = (list(column) for column in zip(*details, strict=True))
        await tx.run(QUERIES["insert_details"], at.merchant_id, at.mode, *columns)


def _seldom(
    tokens: Sequence[TokenId], extras: Mapping[TokenId, Extra]
) -> Sequence[list[object] | None]:
    """Return what few tokens have as PostgreSQL takes it: a list a column, None where no token has any."""
    if not extras:
        return (None,) * 4
    found = [extras.get(token, _NOTHING)[:4] for token in tokens]
    return [list(column) for column in zip(*found, strict=True)]


def _counted(before: Counts, results: Sequence[RowResult]) -> Counts:
    words = [result.status for result in results]
    return Counts(
        before.rows + len(words),
        before.created + words.count(CREATED),
        before.duplicates + words.count(DUPLICATE),
        before.refused + words.count(REFUSED),
    )
