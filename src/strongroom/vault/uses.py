# SPDX-License-Identifier: Apache-2.0
"""What payments ask of tokens, many at once: what is shown of a card, and the record of its use (ADR-0004).

A batch of uses is one transaction: each is recorded, or nobody's card of that batch is opened.
"""

from collections.abc import Hashable, Sequence
from datetime import datetime
from typing import NamedTuple

from strongroom.audit import NewRecord
from strongroom.db.errors import ConstraintBroken, DatabaseAway, LockTaken, translated
from strongroom.db.pool import Database, Record
from strongroom.db.queries import Query
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.vault.writes import QUERIES

#: About what a row adds to a statement, and one of its records.
_ROW_BYTES = 300
_RECORD_BYTES = 800


class Asked(NamedTuple):
    """Which token is to be shown, at what moment."""

    merchant: MerchantId
    mode: Mode
    token: TokenId
    now: datetime


class CardUse(NamedTuple):
    """A card that is about to be opened, with the records of that."""

    merchant: MerchantId
    mode: Mode
    token: TokenId
    #: Where it stood when the rules were asked.
    container: str
    #: The sealed CVC's id; None: none came along.
    cvc: str | None
    cryptogram: bool
    now: datetime
    records: Sequence[NewRecord]
    #: Whether the holder's sealed address is wanted with it.
    address: bool = False


class CardFactRows:
    """Reads what may be shown of tokens (a `db.group_commit.Sink` that writes nothing)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def size_bytes(self, row: Asked) -> int:  # noqa: ARG002 - the port's
        """Return about how many bytes the row adds to a statement."""
        return _ROW_BYTES

    def fold_keys(self, row: Asked) -> Sequence[Hashable]:  # noqa: ARG002 - the port's
        """Any number of rows may be read at once."""
        return ()

    async def write(self, rows: Sequence[Asked]) -> Sequence[Record | None]:
        """Return each token's row; None where it is not there, or its hour is over."""
        found = await _fetched(
            self._database,
            QUERIES["card_facts"],
            [row.merchant for row in rows],
            [row.mode.value for row in rows],
            [row.token for row in rows],
            [row.now for row in rows],
        )
        facts: list[Record | None] = [None] * len(rows)
        for each in found:
            facts[each["n"] - 1] = each
        return facts

    async def find(self, row: Asked) -> Record | None:
        """Read one alone."""
        (found,) = await self.write([row])
        return found


class UseRows:
    """Records uses and gives out what is sealed. Implements `db.group_commit.Sink`; a result is the function's row."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def size_bytes(self, row: CardUse) -> int:
        """Return about how many bytes the row adds to a statement."""
        return _ROW_BYTES + _RECORD_BYTES * len(row.records)

    def fold_keys(self, row: CardUse) -> Sequence[Hashable]:  # noqa: ARG002 - the port's
        """Any number of uses may go together: of two with one CVC the function refuses the second."""
        return ()

    async def write(self, rows: Sequence[CardUse]) -> Sequence[Record]:
        """Record the uses in one transaction, in an order that every process has. See `db.group_commit.Sink.write`.

        Where the connection breaks nothing is given out, although it may be recorded: no card is opened without an
        answer, so a use that is recorded twice was made once at most.
        """
        order = sorted(range(len(rows)), key=lambda at: (rows[at].token, rows[at].cvc or ""))
        ordered = [rows[at] for at in order]
        records = [record for row in ordered for record in row.records]
        ends = _ends([len(row.records) for row in ordered])
        try:
            found = await _fetched(
                self._database,
                QUERIES["use_card"],
                [row.merchant for row in ordered],
                [row.mode.value for row in ordered],
                [row.token for row in ordered],
                [row.container for row in ordered],
                [row.cvc for row in ordered],
                [row.cryptogram for row in ordered],
                [row.now for row in ordered],
                ends,
                [record.event_id for record in records],
                [record.payload for record in records],
                [record.leaf_hash for record in records],
                [record.row_mac for record in records],
                [row.address for row in ordered],
            )
        except LockTaken:
            if len(rows) == 1:
                raise
            # Another process is at one of these cryptograms or CVCs and does not come to an end.
            raise ConstraintBroken("a lock") from None
        outcomes: list[Record] = [found[0]] * len(rows)
        for each in found:
            outcomes[order[each["n"] - 1]] = each
        return outcomes

    async def find(self, row: CardUse) -> Record | None:  # noqa: ARG002 - the port's
        """Nothing is asked for here: a connection that breaks is `DatabaseAway` for every row of its batch."""
        raise DatabaseAway


def _ends(counts: Sequence[int]) -> list[int]:
    """Return where each row's records end among all of them."""
    ends, end = [], 0
    for count in counts:
        end += count
        ends.append(end)
    return ends


async def _fetched(database: Database, query: Query, *values: object) -> Sequence[Record]:
    """Call functions of ours, which state their merchants themselves: a transaction of one round trip.

    Raises:
        DatabaseAway, LockTaken, Again, ConstraintBroken: see each.
    """
    async with database.connection() as connection:
        try:
            return await connection.fetch(query.text, *values)  # type: ignore[no-any-return]
        except Exception as error:  # noqa: BLE001 - every driver error is translated, and its text cut off
            raise translated(error) from None
