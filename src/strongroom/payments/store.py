# SPDX-License-Identifier: Apache-2.0
"""Payments in the core database: loading for a decision, and the one write (`payments.save`), grouped into commits.

A change is saved over the version it was made from or not at all; nobody holds a lock while a processor is asked.
"""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from strongroom.audit import NewRecord
from strongroom.db.errors import ConnectionLost, DatabaseAway, LockTaken, translated
from strongroom.db.group_commit import GroupWriter, Retake
from strongroom.db.pool import Database
from strongroom.db.queries import load_queries
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.payments.model import Attempt, Dispute, Loaded, Payment, Refund
from strongroom.payments.postings import Posting
from strongroom.webhooks import NewEvent

QUERIES: Final = load_queries("strongroom.payments")
#: About what a change adds to a statement.
CHANGE_BYTES: Final = 4_000

_encode: Final = msgspec.json.Encoder().encode
_loaded: Final = msgspec.json.Decoder(Loaded | None).decode
_kept: Final = msgspec.json.Decoder(dict[str, Any]).decode
_word: Final = msgspec.json.Decoder(str | None).decode
payment_of: Final = msgspec.json.Decoder(Payment).decode
attempt_of: Final = msgspec.json.Decoder(Attempt).decode
refund_of: Final = msgspec.json.Decoder(Refund).decode
dispute_of: Final = msgspec.json.Decoder(Dispute).decode


@dataclass(frozen=True, slots=True)
class KeyClaim:
    """A request's idempotency key, claimed with the attempt that it makes."""

    route: str
    key: str
    claim: str
    fingerprint: bytes
    object_id: str
    lease_until: datetime | None
    #: 0 while it is under way.
    status: int = 0
    response: bytes = b""


@dataclass(frozen=True, slots=True)
class KeyDone:
    """A request's idempotency key, with the answer that its repeats get."""

    route: str
    key: str
    status: int
    response: bytes
    object_id: str | None = None


@dataclass(frozen=True, slots=True)
class JobChange:
    """A job to be put, moved (`run_at`) or removed (None)."""

    kind: str
    object_id: str
    run_at: datetime | None


@dataclass(frozen=True, slots=True)
class NoticeDone:
    """A notice that was dealt with, and how."""

    notice_id: str
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is written at once: whole or not at all."""

    merchant: MerchantId
    mode: Mode
    now: datetime
    audit: Sequence[NewRecord]
    key: KeyClaim | None = None
    done: KeyDone | None = None
    payment: Payment | None = None
    attempts: Sequence[Attempt] = ()
    refunds: Sequence[Refund] = ()
    postings: Sequence[Posting] = ()
    disputes: Sequence[Dispute] = ()
    events: Sequence[NewEvent] = ()
    jobs: Sequence[JobChange] = ()
    notice: NoticeDone | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """It is written."""


@dataclass(frozen=True, slots=True)
class Stale:
    """The payment changed since it was loaded: nothing was written; load and decide anew."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A constraint refused it: nothing was written."""

    constraint: str


@dataclass(frozen=True, slots=True)
class Taken:
    """The key was claimed or answered before: nothing was written."""

    fingerprint: bytes
    status: int
    object_id: str | None
    claim: str
    lease_until: datetime | None
    response: bytes


Result = Saved | Stale | Broken | Taken


class ChangeSink:
    """Commits batches of changes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def size_bytes(self, row: Change) -> int:
        """Return about how many bytes the change adds to a statement."""
        return CHANGE_BYTES + 2_000 * len(row.events)

    def fold_keys(self, row: Change) -> Sequence[Hashable]:
        """A batch changes a payment once and holds a key once."""
        keys: list[Hashable] = []
        if row.payment is not None:
            keys.append(row.payment.payment_id)
        if row.key is not None:
            keys.append((row.merchant, row.mode, row.key.route, row.key.key))
        return keys

    async def write(
        self, rows: Sequence[Change]
    ) -> Sequence[Result | Retake[Change] | StrongroomError]:
        """Commit the changes in one transaction, in an order that every process has. See `db.group_commit.Sink`.

        Mostly nothing stands against any of them, and they are saved table by table; else each is tried by itself.
        """
        order = sorted(range(len(rows)), key=lambda at: _order(rows[at]))
        ordered = [rows[at] for at in order]
        async with self._database.connection() as connection:
            try:
                together = _encode(_by_table(ordered)).decode()
                if await connection.fetchval(QUERIES["save_together"].text, together):
                    return [Saved()] * len(rows)
                alone = _encode([_printed(row) for row in ordered]).decode()
                found = await connection.fetch(QUERIES["save_changes"].text, alone)
            except Exception as error:  # noqa: BLE001 - every driver error is translated
                ours = translated(error)
                if isinstance(ours, LockTaken) and len(rows) == 1:
                    return [ours]
                if isinstance(ours, DatabaseAway):
                    raise ConnectionLost from None
                raise ours from None
        outcomes: list[Result | Retake[Change] | StrongroomError] = [Saved()] * len(rows)
        for each in found:
            outcomes[order[each["n"]]] = _result(each["result"], each["kept"])
        return outcomes

    async def find(self, row: Change) -> Result | None:
        """Tell whether a change whose connection broke was committed: its first audit record is there."""
        if not row.audit:
            return None  # what changes no payment may be written twice
        async with self._database.transaction([row.merchant]) as read:
            found = await read.row(QUERIES["record_is_there"], row.audit[0].event_id)
        return None if found is None else Saved()


class _Asked(NamedTuple):
    """Which payment is asked for."""

    merchant: MerchantId
    mode: Mode
    payment: str | None
    also_attempt: str | None


class _Loads:
    """Reads payments, many at once (a `db.group_commit.Sink` that writes nothing)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def size_bytes(self, row: _Asked) -> int:  # noqa: ARG002 - the port's
        return 200

    def fold_keys(self, row: _Asked) -> Sequence[Hashable]:  # noqa: ARG002 - the port's
        return ()

    async def write(self, rows: Sequence[_Asked]) -> Sequence[Loaded | None]:
        async with self._database.connection() as connection:
            try:
                found = await connection.fetch(
                    QUERIES["load_payments"].text,
                    [row.merchant for row in rows],
                    [row.mode.value for row in rows],
                    [row.payment for row in rows],
                    [row.also_attempt for row in rows],
                )
            except Exception as error:  # noqa: BLE001 - every driver error is translated
                raise translated(error) from None
        return [None if each["loaded"] is None else _loaded(each["loaded"]) for each in found]

    async def find(self, row: _Asked) -> Loaded | None:
        (found,) = await self.write([row])
        return found


class PaymentReader:
    """Reads payments; those that are asked for at once in one query."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._loads: GroupWriter[_Asked, Loaded | None] = GroupWriter(_Loads(database))

    async def load(
        self,
        merchant: MerchantId,
        mode: Mode,
        payment: str | None,
        *,
        also_attempt: str | None = None,
    ) -> Loaded | None:
        """Return a payment with what decisions need; it may be named by one of its attempts."""
        return await self._loads.write(_Asked(merchant, mode, payment, also_attempt))

    async def note_look(self, attempt: Attempt, now: datetime) -> None:
        """Note that somebody looked for an attempt: no change of its payment."""
        async with self.database.transaction([attempt.merchant_id]) as tx:
            await tx.run(
                QUERIES["note_look"], attempt.merchant_id, attempt.mode, attempt.attempt_id, now
            )

    async def key(self, merchant: MerchantId, mode: Mode, route: str, key: str) -> Taken | None:
        """Return what a key was claimed or answered with."""
        async with self.database.transaction([merchant]) as read:
            row = await read.row(QUERIES["request_by_key"], merchant, mode, route, key)
        if row is None:
            return None
        return Taken(
            bytes(row["fingerprint"]),
            row["status"],
            row["object_id"],
            row["claim"],
            row["lease_until"],
            bytes(row["response"]),
        )

    async def attempt_of_wish(
        self, merchant: MerchantId, mode: Mode, payment: str, wish: str
    ) -> str | None:
        """Return the attempt that a request made."""
        async with self.database.transaction([merchant]) as read:
            row = await read.row(QUERIES["attempt_by_wish"], merchant, mode, payment, wish)
        return None if row is None else str(row["attempt_id"])


def _result(word: str, kept: str | None) -> Result:
    if word == "saved":
        return Saved()
    if word == "stale":
        return Stale()
    if word == "broken":
        return Broken(_word(kept or "null") or "")
    found = _kept(kept or "{}")
    lease = found["lease_until"]
    return Taken(
        bytes.fromhex(found["fingerprint"]),
        found["status"],
        found["object_id"],
        found["claim"],
        None if lease is None else datetime.fromisoformat(lease),
        found["response"].encode(),
    )


def _order(change: Change) -> tuple[str, str]:
    """Payments are locked in one order by every process, so that two batches never wait for each other."""
    payment = "" if change.payment is None else change.payment.payment_id
    return payment, "" if change.notice is None else change.notice.notice_id


def _by_table(changes: Sequence[Change]) -> Mapping[str, object]:
    """Print the rows of all changes, by table; a table without rows is left out."""
    rows: defaultdict[str, list[object]] = defaultdict(list)
    for change in changes:
        tenant = {"m": change.merchant, "mode": change.mode}
        if change.key is not None:
            rows["keys"].append(tenant | _key(change.key))
        if change.payment is not None:
            rows["made" if change.payment.version == 1 else "moved"].append(change.payment)
        rows["attempts"] += change.attempts
        rows["refunds"] += change.refunds
        rows["postings"] += change.postings
        rows["disputes"] += change.disputes
        for event in change.events:
            rows["events"].append(tenant | _event(event) | {"made": change.now})
        for job in change.jobs:
            table = "jobs_gone" if job.run_at is None else "jobs_put"
            rows[table].append(tenant | _job(job) | {"made": change.now})
        if change.notice is not None:
            rows["notices"].append(tenant | _notice(change.notice) | {"at": change.now})
        if change.done is not None:
            rows["done"].append(tenant | _done(change.done))
        rows["audit"] += map(_record, change.audit)
    printed: dict[str, object] = {table: found for table, found in rows.items() if found}
    printed["merchants"] = ",".join({change.merchant for change in changes})
    return printed


def _printed(change: Change) -> Mapping[str, object]:
    return {
        "m": change.merchant,
        "mode": change.mode,
        "now": change.now,
        "key": None if change.key is None else _key(change.key),
        "done": None if change.done is None else _done(change.done),
        "payment": change.payment,
        "attempts": change.attempts,
        "refunds": change.refunds,
        "postings": change.postings,
        "disputes": change.disputes,
        "events": [_event(each) for each in change.events],
        "jobs": [_job(each) for each in change.jobs],
        "notice": None if change.notice is None else _notice(change.notice),
        "audit": [_record(each) for each in change.audit],
    }


def _key(key: KeyClaim) -> dict[str, object]:
    return {
        "route": key.route,
        "key": key.key,
        "claim": key.claim,
        "fingerprint": key.fingerprint.hex(),
        "status": key.status,
        "object_id": key.object_id,
        "response": key.response.decode(),
        "lease_until": key.lease_until,
    }


def _done(done: KeyDone) -> dict[str, object]:
    return {
        "route": done.route,
        "key": done.key,
        "status": done.status,
        "object_id": done.object_id,
        "response": done.response.decode(),
    }


def _event(event: NewEvent) -> dict[str, object]:
    return {
        "id": event.id,
        "type": event.type,
        "object_id": event.object_id,
        "payload": event.payload,
    }


def _job(job: JobChange) -> dict[str, object]:
    return {"kind": job.kind, "object_id": job.object_id, "run_at": job.run_at}


def _notice(notice: NoticeDone) -> dict[str, object]:
    return {"id": notice.notice_id, "result": notice.result}


def _record(record: NewRecord) -> dict[str, object]:
    return {
        "id": record.event_id,
        "m": record.merchant,
        "mode": record.mode,
        "payload": record.payload.decode(),
        "leaf": record.leaf_hash.hex(),
        "mac": record.row_mac.hex(),
    }
