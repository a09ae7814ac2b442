# SPDX-License-Identifier: Apache-2.0
"""Brakes in the core database: the one question that counts, and what merchants have set. Knows no card number.

All payments that are asked about at once go in one statement; a tenant's take turns in the database (migration 0061).
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from strongroom.crypto.ids import new_id
from strongroom.db.errors import ConnectionLost, DatabaseAway, translated
from strongroom.db.pool import Database, Transaction
from strongroom.db.queries import load_queries
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.payments.brakes.model import (
    ENTRIES_MAX,
    Counter,
    Counts,
    Entry,
    EntryId,
    Held,
    Incident,
    IncidentId,
    Listing,
    Setting,
    Signs,
    Subject,
)

QUERIES: Final = load_queries("strongroom.payments.brakes")
#: Who ends an incident that is over.
ROUND: Final = "system:brakes"
SWEPT_ROWS_MAX: Final = 5_000
#: Behind every id of a prefix.
_BEHIND: Final = "~"

_encode: Final = msgspec.json.Encoder().encode
_setting: Final = msgspec.json.Decoder(Setting, strict=False).decode
_entry: Final = msgspec.json.Decoder(Entry).decode
_incident: Final = msgspec.json.Decoder(Incident).decode


class Said(msgspec.Struct, frozen=True):
    """What the database says of one payment."""

    passes: bool
    incidents: list[Held]
    counts: list[Counts]


class Counted(Counts, frozen=True, kw_only=True):
    """What was counted of one subject by a decline."""

    subject: Subject
    value: str
    window: int


_said: Final = msgspec.json.Decoder(Said).decode
_counted: Final = msgspec.json.Decoder(list[Counted]).decode


@dataclass(frozen=True, slots=True)
class Asked:
    """One payment, as the question has it."""

    merchant: MerchantId
    mode: Mode
    now: datetime
    payment: str
    card: str
    small: bool
    counters: Sequence[Counter]
    #: Subjects whose incidents hold it back: none where card testing is only told.
    incidents: Sequence[tuple[Subject, str]]
    pause_seconds: int
    #: For how long its decline would count; None: declines are not counted.
    keeps_seconds: int | None


class AskSink:
    """Asks about many payments at once (a `db.group_commit.Sink`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def size_bytes(self, row: Asked) -> int:
        """Return about how many bytes the question adds to a statement."""
        return 300 + 150 * len(row.counters)

    def fold_keys(self, row: Asked) -> Sequence[Hashable]:  # noqa: ARG002 - the port's
        """A batch may ask about the same subject twice: its rows are counted one after the other."""
        return ()

    async def write(self, rows: Sequence[Asked]) -> Sequence[Said]:
        """Ask, and count what passes, in one commit. See `db.group_commit.Sink`."""
        asked = _encode([_printed(row) for row in rows]).decode()
        async with self._database.connection() as connection:
            try:
                found = await connection.fetch(QUERIES["ask_brakes"].text, asked)
            except Exception as error:  # noqa: BLE001 - every driver error is translated
                ours = translated(error)
                if isinstance(ours, DatabaseAway):
                    raise ConnectionLost from None
                raise ours from None
        return [_said(each["answer"]) for each in found]

    async def find(self, row: Asked) -> Said | None:
        """Ask anew: what the broken commit counted, if it was one, counts twice. That errs on the strict side."""
        del row
        return None


class Present(NamedTuple):
    """What a merchant has set, and under which version. 0: nothing yet."""

    version: int
    setting: Setting
    set_by: str | None = None
    set_at: datetime | None = None


class BrakeStore:
    """Settings, lists and incidents of one database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def decline(
        self, merchant: MerchantId, mode: Mode, payment: str, now: datetime
    ) -> Sequence[Counted]:
        """Count the decline of what was let through, once; return what was counted by then of each subject."""
        async with self.database.transaction([merchant]) as tx:
            row = await tx.row(QUERIES["count_decline"], merchant, mode, payment, now)
        return [] if row is None else _counted(row["counted"])

    async def setting(self, merchant: MerchantId, mode: Mode) -> Present:
        """Return what counts now."""
        async with self.database.transaction([merchant]) as read:
            return await _present(read, merchant, mode)

    async def in_force(
        self, merchant: MerchantId, mode: Mode, now: datetime
    ) -> tuple[Setting, Sequence[Entry]]:
        """Return what counts now, with both lists."""
        async with self.database.transaction([merchant]) as read:
            present = await _present(read, merchant, mode)
            rows = await read.rows(QUERIES["entries_alive"], merchant, mode, now, ENTRIES_MAX)
        return present.setting, [_entry(row["row"]) for row in rows]

    async def entries(
        self,
        merchant: MerchantId,
        mode: Mode,
        wanted: Listing | None,
        before: str | None,
        now: datetime,
        limit: int,
    ) -> tuple[Sequence[Entry], str | None]:
        """Return a page of entries, and the cursor of the next one if there is more."""
        async with self.database.transaction([merchant]) as read:
            rows = await read.rows(
                QUERIES["list_entries"], merchant, mode, wanted, before or _BEHIND, now, limit + 1
            )
        page = [_entry(row["row"]) for row in rows[:limit]]
        return page, page[-1].entry_id if len(rows) > limit else None

    async def incidents(
        self, merchant: MerchantId, mode: Mode, before: str | None, limit: int, *, open_only: bool
    ) -> tuple[Sequence[Incident], str | None]:
        """Return a page of incidents, and the cursor of the next one if there is more."""
        async with self.database.transaction([merchant]) as read:
            rows = await read.rows(
                QUERIES["list_incidents"], merchant, mode, before or _BEHIND, open_only, limit + 1
            )
        page = [_incident(row["row"]) for row in rows[:limit]]
        return page, page[-1].incident_id if len(rows) > limit else None

    async def over(self, now: datetime) -> Sequence[tuple[MerchantId, Mode, IncidentId]]:
        """Return incidents of all tenants that are over."""
        async with self.database.transaction() as read:
            await read.row(QUERIES["be_brakes"])
            rows = await read.rows(QUERIES["incidents_over"], now, SWEPT_ROWS_MAX)
        return [
            (MerchantId(row["merchant_id"]), Mode(row["mode"]), IncidentId(row["incident_id"]))
            for row in rows
        ]

    async def sweep(self, now: datetime) -> int:
        """Remove what does not count any more, a bounded number at a time; return how many rows went."""
        gone = 0
        for name in ("sweep_counts", "sweep_seen", "sweep_passes"):
            async with self.database.transaction() as tx:
                await tx.row(QUERIES["be_brakes"])
                gone += await tx.run(QUERIES[name], now, SWEPT_ROWS_MAX)
        return gone


async def _present(read: Transaction, merchant: MerchantId, mode: Mode) -> Present:
    row = await read.row(QUERIES["present_setting"], merchant, mode)
    if row is None:
        return Present(0, Setting())
    return Present(row["version"], _setting(row["config"]), row["set_by"], row["set_at"])


async def add_setting(
    tx: Transaction,
    merchant: MerchantId,
    mode: Mode,
    present: Present,
) -> bool:
    """Put the next version; False: somebody else was first."""
    config = _encode(present.setting).decode()
    put = await tx.run(
        QUERIES["add_setting"],
        merchant,
        mode,
        present.version,
        config,
        present.set_by,
        present.set_at,
    )
    return put == 1


async def add_entry(tx: Transaction, merchant: MerchantId, mode: Mode, entry: Entry) -> bool:
    """Put an entry; False: there are as many as may be, which is as many as `in_force` reads."""
    # A statement of its own: the next one sees what was committed while this one waited.
    await tx.row(QUERIES["lock_entries"], merchant, mode)
    put = await tx.run(
        QUERIES["add_entry"],
        merchant,
        mode,
        entry.entry_id,
        entry.list,
        entry.kind,
        entry.value,
        entry.enforced,
        entry.reason,
        entry.made_by,
        entry.made_at,
        entry.expires_at,
        ENTRIES_MAX,
    )
    return put == 1


async def entry_by_id(
    read: Transaction, merchant: MerchantId, mode: Mode, entry: EntryId
) -> Entry | None:
    """Return one entry."""
    row = await read.row(QUERIES["entry_by_id"], merchant, mode, entry)
    return None if row is None else _entry(row["row"])


async def remove_entry(tx: Transaction, merchant: MerchantId, mode: Mode, entry: EntryId) -> bool:
    """Remove an entry; False: there is none."""
    return await tx.run(QUERIES["remove_entry"], merchant, mode, entry) == 1


async def sign_seen(
    tx: Transaction, merchant: MerchantId, mode: Mode, seen: Signs, now: datetime, calm: timedelta
) -> tuple[Incident, bool]:
    """Begin an incident, or let the one that lasts last longer; return it, and whether it began."""
    row = await tx.row(
        QUERIES["sign_seen"],
        merchant,
        mode,
        new_id("inc"),
        seen.subject,
        seen.value,
        " ".join(seen.words),
        seen.counts.tries,
        seen.counts.declines,
        seen.counts.cards,
        now,
        now + calm,
    )
    if row is None:
        raise DatabaseAway
    return _incident(row["row"]), row["begun"]


async def end_incident(
    tx: Transaction,
    merchant: MerchantId,
    mode: Mode,
    incident: IncidentId,
    now: datetime,
    actor: str,
) -> Incident | None:
    """End an incident; None: it has ended, or goes on."""
    row = await tx.row(QUERIES["end_incident"], merchant, mode, incident, now, actor)
    return None if row is None else _incident(row["row"])


def _printed(row: Asked) -> dict[str, object]:
    return {
        "m": row.merchant,
        "mode": row.mode,
        "now": row.now,
        "payment": row.payment,
        "card": row.card,
        "small": row.small,
        "pause_seconds": row.pause_seconds,
        "keeps_seconds": row.keeps_seconds,
        "incidents": [{"subject": subject, "value": value} for subject, value in row.incidents],
        "counters": row.counters,
    }
