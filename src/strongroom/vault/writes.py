# SPDX-License-Identifier: Apache-2.0
"""The rows of the hot write and the sink that commits a batch of them (`put_tokens`, migration 0025).

All validation is done before a row comes here; no clear card number ever does.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from strongroom.audit import NewRecord
from strongroom.db.errors import (
    ConnectionLost,
    ConstraintBroken,
    DatabaseAway,
    LockTaken,
    translated,
)
from strongroom.db.group_commit import Retake
from strongroom.db.pool import Database, Record
from strongroom.db.queries import Query, load_queries
from strongroom.http.idempotency import IdempotencyInFlight, IdempotencyMismatch
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.vault.model import DetailRow, StoredToken
from strongroom.vault.packing import packed

QUERIES: Final = load_queries("strongroom.vault")
_ROTATION: Final = load_queries("strongroom.vault.rotation")
KNOWN_ELSEWHERE: Final = _ROTATION["known_elsewhere"]
#: About what a token, its key and its record add to a statement besides the texts whose length varies.
ROW_BYTES: Final = 600
#: The driver looks at every element of an array. With fewer tokens the database's taking apart costs more than that.
PACKED_FROM: Final = 100


class TokenRow(NamedTuple):
    """One row of `vault.token`, in the order of `put_tokens`."""

    token: TokenId
    sealed: bytes
    key_version: int
    brand: str
    bin: str
    last4: str
    exp_month: int
    exp_year: int
    fingerprint: bytes | None
    fingerprint_version: int | None
    single_use: bool
    expires_at: datetime | None
    metadata: str | None
    created_by: str
    created_at: datetime
    #: None: `default`. From here on, and of `expires_at` and `metadata`, what is None in every row is not sent at all.
    container: str | None = None
    kind: str | None = None
    pan_alias: str | None = None
    #: What is sealed beside the number; rows of their own.
    details: Sequence[DetailRow] = ()


_SELDOM: Final = tuple(
    map(TokenRow._fields.index, ("expires_at", "metadata", "container", "kind", "pan_alias"))
)
_NO_DETAILS: Final = (None,) * (1 + len(DetailRow._fields))

#: Makes the write anew when some of its cards turn out to have tokens: place in `tokens` → that token.
Rebuild: TypeAlias = Callable[[Mapping[int, StoredToken]], "TokenWrite"]


class Elsewhere(NamedTuple):
    """What the card of one of a write's tokens is known by under another version of the fingerprint key."""

    #: The token's place in `tokens`.
    item: int
    version: int
    fingerprint: bytes
    #: By which all who make a token of this card wait for one another: under the oldest version.
    lock: bytes


@dataclass(slots=True)
class TokenWrite:
    """What one request writes: its idempotency key, its tokens, their audit records; all or nothing."""

    merchant: MerchantId
    mode: Mode
    route: str
    key: str
    claim: str
    fingerprint: bytes
    status: int
    object_id: str | None
    #: Kept for repeats: public fields only.
    response: bytes
    #: Sent now: the same, with a sealed CVC where there is one.
    answer: bytes
    tokens: Sequence[TokenRow]
    records: Sequence[NewRecord]
    rebuild: Rebuild
    #: While cards move to another fingerprint key: what the tokens' cards may be known by besides.
    elsewhere: Sequence["Elsewhere"] = ()
    #: What a repeat of this request may be known by besides, after a rotation of that key.
    fingerprints_before: Sequence[bytes] = ()
    #: How many tokens that were there already the answer names, each counted once.
    deduplicated: int = 0


class Written(NamedTuple):
    """What became of a write."""

    status: int
    answer: bytes
    replayed: bool
    records: Sequence[NewRecord]
    #: How many tokens are new, and how many that were there the answer names, each counted once.
    created: int = 0
    deduplicated: int = 0


class TokenSink:
    """Commits batches of token writes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def size_bytes(self, row: TokenWrite) -> int:
        """Return about how many bytes the write adds to a statement."""
        return len(row.response) + ROW_BYTES * max(1, len(row.tokens))

    def fold_keys(self, row: TokenWrite) -> Sequence[Hashable]:
        """A batch holds an idempotency key and a card identity once: the second waits and then finds the first."""
        key = (row.merchant, row.mode, row.route, row.key)
        if row.elsewhere:  # two may write one card under different versions of the key
            moving = [each.fingerprint for each in row.elsewhere]
            now = [t.fingerprint for t in row.tokens if t.fingerprint]
            return [key, *((row.merchant, row.mode, each) for each in (*now, *moving))]
        if len(row.tokens) == 1:
            fingerprint = row.tokens[0].fingerprint
            return (key,) if fingerprint is None else (key, (row.merchant, row.mode, fingerprint))
        known = [(row.merchant, row.mode, t.fingerprint) for t in row.tokens if t.fingerprint]
        return [key, *known]

    async def write(
        self, rows: Sequence[TokenWrite]
    ) -> Sequence[Written | Retake[TokenWrite] | StrongroomError]:
        """Commit the rows in one transaction. See `db.group_commit.Sink.write`."""
        if any(row.elsewhere for row in rows):
            return await self._write_while_cards_move(rows)
        query, values = _statement(rows)
        async with self._database.connection() as connection:
            try:
                exceptions = await connection.fetch(query.text, *values)
            except Exception as error:  # noqa: BLE001 - every driver error is translated
                ours = translated(error)
                if isinstance(ours, DatabaseAway):
                    raise ConnectionLost from None
                if isinstance(ours, LockTaken):
                    # Another process is writing the same key, or the same card. Alone, a row says so.
                    if len(rows) == 1:
                        return [IdempotencyInFlight()]
                    raise ConstraintBroken("a lock") from None
                raise ours from None
        if not exceptions:
            return [_committed(row) for row in rows]
        return await self._with_exceptions(rows, exceptions)

    async def _write_while_cards_move(
        self, rows: Sequence[TokenWrite]
    ) -> Sequence[Written | Retake[TokenWrite] | StrongroomError]:
        """Commit rows some of whose cards may be known under another version of their fingerprint key.

        The known ones start again around the tokens that they have; the rest is written in the transaction that holds
        their cards' locks, so that nobody makes a token of one of them under another version meanwhile.
        """
        asked = [(group, each) for group, row in enumerate(rows) for each in row.elsewhere]
        merchants = sorted({row.merchant for row in rows})
        known: dict[int, dict[int, TokenId]] = {}
        try:
            async with self._database.transaction(merchants) as tx:
                for found in await tx.rows(
                    KNOWN_ELSEWHERE,
                    merchants,
                    [each.lock for _, each in asked],
                    [rows[group].merchant for group, _ in asked],
                    [rows[group].mode for group, _ in asked],
                    [each.version for _, each in asked],
                    [each.fingerprint for _, each in asked],
                ):
                    group, each = asked[found["place"] - 1]
                    known.setdefault(group, {})[each.item] = TokenId(found["token_id"])
                fresh = [group for group in range(len(rows)) if group not in known]
                there = [rows[group] for group in fresh]
                exceptions: Sequence[Record] = ()
                if there:
                    query, values = _statement(there)
                    exceptions = await tx.rows(query, *values)
        except DatabaseAway:
            raise ConnectionLost from None
        except LockTaken:
            if len(rows) == 1:
                return [IdempotencyInFlight()]
            raise ConstraintBroken("a lock") from None
        written = await self._with_exceptions(there, exceptions)
        outcomes: list[Written | Retake[TokenWrite] | StrongroomError] = [
            DatabaseAway() for _ in rows
        ]
        for group, outcome in zip(fresh, written, strict=True):
            outcomes[group] = outcome
        if known:
            await self._rebuild(rows, known, outcomes)
        return outcomes

    async def find(self, row: TokenWrite) -> Written | None:
        """Tell whether a write whose connection broke was committed: its key's row carries its claim."""
        async with self._database.transaction([row.merchant]) as read:
            found = await read.row(
                QUERIES["request_by_key"], row.merchant, row.mode, row.route, row.key
            )
        if found is None or found["claim"] != row.claim:
            return None
        return _committed(row)

    async def _with_exceptions(
        self, rows: Sequence[TokenWrite], exceptions: Sequence[Record]
    ) -> Sequence[Written | Retake[TokenWrite] | StrongroomError]:
        outcomes: list[Written | Retake[TokenWrite] | StrongroomError] = [
            _committed(row) for row in rows
        ]
        first_item: list[int] = []
        items = 0
        for row in rows:
            first_item.append(items)
            items += len(row.tokens)
        known: dict[int, dict[int, TokenId]] = {}
        group_of_item = list(
            chain.from_iterable([i] * len(row.tokens) for i, row in enumerate(rows))
        )
        for exception in exceptions:
            if exception["kind"] == "exists":
                item = exception["item"] - 1
                group = group_of_item[item]
                known.setdefault(group, {})[item - first_item[group]] = exception["token_id"]
            else:
                group = exception["group_no"] - 1
                outcomes[group] = _replay(rows[group], exception)
        if known:
            await self._rebuild(rows, known, outcomes)
        return outcomes

    async def _rebuild(
        self,
        rows: Sequence[TokenWrite],
        known: Mapping[int, Mapping[int, TokenId]],
        outcomes: list[Written | Retake[TokenWrite] | StrongroomError],
    ) -> None:
        """Some cards have tokens already: nothing was written for those requests; make them anew around these.

        The others of the batch are written by now, so whatever goes wrong here concerns these requests alone.
        """
        merchants = sorted({rows[group].merchant for group in known})
        wanted = sorted({token for items in known.values() for token in items.values()})
        try:
            async with self._database.transaction(merchants) as read:
                found = {
                    record["token_id"]: stored_token(record)
                    for record in await read.rows(QUERIES["tokens_by_id"], merchants, wanted)
                }
                # One that was deleted between the two statements is not there, and its identity neither. An identity
                # that has outlived its token would stand in its card's way for ever.
                left = [each for each in _identities(rows, known) if each[-1] not in found]
                if left:
                    await read.run(
                        _ROTATION["forget_identities"], merchants, *zip(*left, strict=True)
                    )
        except StrongroomError as error:
            for group in known:
                outcomes[group] = error
            return
        for group, items in known.items():
            row = rows[group]
            tokens = {item: found[token] for item, token in items.items() if token in found}
            # Without the token of its card, the wish is tried again as it was.
            try:
                again = row.rebuild(tokens) if len(tokens) == len(items) else row
            except StrongroomError as error:  # the caller may not use the token that its card has
                outcomes[group] = error
            else:
                outcomes[group] = Retake(again)


def _identities(
    rows: Sequence[TokenWrite], known: Mapping[int, Mapping[int, TokenId]]
) -> Sequence[tuple[MerchantId, Mode, int, bytes, TokenId]]:
    """Return the identities by which the cards of some items may be known, each with the token that it leads to."""
    found = []
    for group, items in known.items():
        row = rows[group]
        for item, token in items.items():
            made = row.tokens[item]
            by = [(each.version, each.fingerprint) for each in row.elsewhere if each.item == item]
            if made.fingerprint is not None and made.fingerprint_version is not None:
                by.append((made.fingerprint_version, made.fingerprint))
            found += [(row.merchant, row.mode, *each, token) for each in by]
    return found


def _committed(row: TokenWrite) -> Written:
    return Written(
        row.status,
        row.answer,
        replayed=False,
        records=row.records,
        created=len(row.tokens),
        deduplicated=row.deduplicated,
    )


def _replay(row: TokenWrite, found: Record) -> Written | StrongroomError:
    fingerprint = bytes(found["fingerprint"])
    if fingerprint != row.fingerprint and fingerprint not in row.fingerprints_before:
        return IdempotencyMismatch()
    return Written(found["status"], bytes(found["response"]), replayed=True, records=())


def _statement(rows: Sequence[TokenWrite]) -> tuple[Query, Sequence[object]]:
    """Return what writes the rows: of many tokens the columns are sent as one parameter each."""
    query = QUERIES["put_tokens"]
    values = _arguments(rows)
    if sum(len(row.tokens) for row in rows) < PACKED_FROM:
        return query, values
    return QUERIES["put_columns"], packed(query.parameters, values)


def _arguments(rows: Sequence[TokenWrite]) -> list[object]:
    """Transpose the rows into the arrays of `put_tokens`. A writer's rows are all of one route."""
    merchants = [row.merchant for row in rows]
    token_group: list[int] | None = None
    record_group: list[int] | None = None
    if all(
        len(row.tokens) == 1 == len(row.records) for row in rows
    ):  # the common case: no groups to name
        tokens = [row.tokens[0] for row in rows]
        records = [row.records[0] for row in rows]
    else:
        numbered = list(enumerate(rows, start=1))
        token_group = [group for group, row in numbered for _ in row.tokens]
        record_group = [group for group, row in numbered for _ in row.records]
        tokens = list(chain.from_iterable(row.tokens for row in rows))
        records = list(chain.from_iterable(row.records for row in rows))
    columns: list[Sequence[object] | None] = (
        list(zip(*tokens, strict=True)) if tokens else [()] * len(TokenRow._fields)
    )
    details = columns.pop() or ()
    for column in _SELDOM:
        if not any(columns[column] or ()):
            columns[column] = None
    return [
        list(set(merchants)),
        merchants,
        [row.mode for row in rows],
        rows[0].route,
        [row.key for row in rows],
        [row.claim for row in rows],
        [row.fingerprint for row in rows],
        [row.status for row in rows],
        [row.object_id for row in rows],
        [row.response for row in rows],
        token_group,
        *columns,
        *_details(details),
        record_group,
        *record_columns(records),
    ]


def record_columns(
    records: Sequence[NewRecord],
) -> tuple[list[str], list[bytes], list[bytes], list[bytes]]:
    """Transpose records into what the database's functions take: ids, payloads, leaf hashes and MACs."""
    return (
        [record.event_id for record in records],
        [record.payload for record in records],
        [record.leaf_hash for record in records],
        [record.row_mac for record in records],
    )


def _details(details: Sequence[Any]) -> Sequence[Sequence[object] | None]:
    """Transpose what is sealed beside the numbers: the place of its token first, from 1."""
    if not any(details):
        return _NO_DETAILS
    placed = [(place, *each) for place, found in enumerate(details, start=1) for each in found]
    return list(zip(*placed, strict=True))


def stored_token(row: Record) -> StoredToken:
    """Read a row of `vault.token`."""
    return StoredToken(
        MerchantId(row["merchant_id"]),
        Mode(row["mode"]),
        TokenId(row["token_id"]),
        row["sealed_number"],
        row["key_version"],
        row["brand"],
        row["bin"],
        row["last4"],
        row["exp_month"],
        row["exp_year"],
        row["fingerprint"],
        row["fingerprint_version"],
        row["single_use"],
        row["expires_at"],
        msgspec.json.decode(row["metadata"], type=dict[str, str]) if row["metadata"] else {},
        row["created_by"],
        row["created_at"],
        row["container"],
        row["kind"],
        row["pan_alias"],
        tuple(row["details"]),
    )
