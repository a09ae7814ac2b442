# SPDX-License-Identifier: Apache-2.0
"""The job that moves what older versions of a key have sealed to the current one, a page of rows a step.

What was deleted or changed since it was read is left as it is. What does not open is counted and left: it was altered,
or its key is lost, and a destruction of that key will be refused until somebody has deleted it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple, final

from strongroom.audit import Action, NewRecord, Origin, Outcome, Recorder
from strongroom.crypto import VERSION_BYTES, Algorithm
from strongroom.db.pool import Record, Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import Unavailable
from strongroom.keys import ACTIVATION, DataKey, KeyName, KeysBroken, WatchedKeys
from strongroom.vault.rotation.anew import CHUNK, Anew, Resealed, SealedRow
from strongroom.vault.rotation.columns import QUERIES, TOKENS, SealedColumn
from strongroom.vault.rotation.counting import total_of
from strongroom.vault.rotation.model import SETTLING
from strongroom.vault.work.model import Facts, Job, JobKind, JobState, Step
from strongroom.vault.work.pace import batch

PAGE_ROWS: Final = 4_000


class NotRotatedHere(Unavailable):
    """This process does not know the key's new version yet."""

    code = "key_not_known_yet"


class Looked(NamedTuple):
    """What a step looked at."""

    rows: int
    limit: int
    unread: int
    #: How many there are in all, as they were counted.
    total: int
    facts: Facts


@final
class ResealHandler:
    """Does the jobs of kind `reseal`. Params: `name`, `to` (version), `algorithm`. Cursor: column, after what."""

    kind = JobKind.RESEAL

    def __init__(
        self,
        keyring: WatchedKeys,
        recorder: Recorder,
        clock: Clock,
        columns: Sequence[SealedColumn],
        *,
        page_rows: int = PAGE_ROWS,
    ) -> None:
        self._keyring = keyring
        self._recorder = recorder
        self._clock = clock
        self._columns = columns
        self._page_rows = page_rows

    async def step(self, job: Job, tx: Transaction) -> Step:
        """Move a page of rows."""
        name = KeyName(str(job.params["name"]))
        current = await self._current(job, name)
        if name is KeyName.FINGERPRINT:
            return await self._move_fingerprints(job, tx, current)
        columns = [each for each in self._columns if each.key is name]
        number, _, after = job.cursor.partition(":")
        at = int(number or 0)
        if at >= len(columns):
            return Step(job.cursor, ended=True)
        column = columns[at]
        algorithm = Algorithm(str(job.params["algorithm"]))
        limit = min(batch(job, self._page_rows), column.rows_max)
        total = await total_of(tx, job, columns) if job.total is None else job.total
        rows = await tx.rows(
            column.page,
            job.merchant_id,
            job.mode,
            after,
            limit,
            current.version,
            bytes([VERSION_BYTES[algorithm]]),
        )
        wanted = [_sealed(row) for row in rows if row["sealed"] is not None]
        anew = await self._anew(job, column, wanted, current, algorithm)

        async def put(done: Sequence[Resealed]) -> int:
            return await _put(tx, column, job, done, current.version)

        touched, unread = await _pipelined(anew, wanted, put)
        return self._stepped(
            job,
            current,
            f"{at}:{rows[-1]['id']} {rows[-1]['part']}".rstrip() if rows else job.cursor or "0:",
            Looked(len(rows), limit, unread, total, _facts(job, touched, unread)),
            following=f"{at + 1}:" if at + 1 < len(columns) else None,
        )

    def ended(self, job: Job) -> NewRecord | None:
        """Return the record of a re-seal that ended."""
        version = job.params.get("to")
        return self._recorder.make(
            Action.VAULT_RESEAL_ENDED,
            actor=job.created_by,
            merchant=job.merchant_id,
            mode=job.mode,
            thing=job.job_id,
            origin=Origin(),
            now=job.ended_at or self._clock.now(),
            outcome=Outcome.SUCCESS if job.state is JobState.DONE else Outcome.FAILED,
            details={
                "count": int(job.result.get("resealed") or 0),
                "key_version": int(version or 0),
                "purpose": str(job.params["name"]),
                "refused": job.refused,
                "state": job.state.value,
            },
        )

    async def _current(self, job: Job, name: KeyName) -> DataKey:
        wanted = int(job.params["to"] or 0)
        key = await self._keyring.current(job.merchant_id, job.mode, name)
        if key.version < wanted:
            await self._keyring.look()
            key = await self._keyring.current(job.merchant_id, job.mode, name)
        if key.version < wanted:
            raise NotRotatedHere
        return key

    def _stepped(
        self,
        job: Job,
        current: DataKey,
        cursor: str,
        looked: Looked,
        *,
        following: str | None = None,
    ) -> Step:
        """Go on behind a page. A short one is a column's last, once nobody seals under the version before any more."""
        more = looked.rows == looked.limit
        settled = _since(current, SETTLING) <= self._clock.now()
        ends = not more and settled
        ended = ends and following is None
        rows = job.done + job.refused + looked.rows
        return Step(
            following if ends and following is not None else cursor,
            done=looked.rows - looked.unread,
            refused=looked.unread,
            # What was deleted or added since it was counted, or guessed wrong, comes out in the end.
            total=rows if ended else max(looked.total, rows),
            ended=ended,
            wait_seconds=0.0 if more or settled else 1.0,
            result=looked.facts,
        )

    async def _anew(
        self,
        job: Job,
        column: SealedColumn,
        rows: Sequence[SealedRow],
        current: DataKey,
        algorithm: Algorithm,
    ) -> Anew:
        keys: dict[int, DataKey] = {}
        for version in {row.key_version for row in rows}:
            try:
                keys[version] = await self._keyring.version(
                    job.merchant_id, job.mode, column.key, version
                )
            except KeysBroken:
                continue  # its rows count as unreadable
        return Anew(
            job.merchant_id, job.mode, column.purpose, column.field, keys, current, algorithm
        )

    async def _move_fingerprints(self, job: Job, tx: Transaction, current: DataKey) -> Step:
        """Move a page of tokens, and the identities of their cards, to the current fingerprint key."""
        # Until then some process may write, and look only, under the version before.
        if self._clock.now() < _since(current, 2 * ACTIVATION):
            return Step(job.cursor, wait_seconds=1.0)
        limit = batch(job, self._page_rows)
        total = await total_of(tx, job, [TOKENS]) if job.total is None else job.total
        rows = await tx.rows(
            QUERIES["page_of_fingerprints"],
            job.merchant_id,
            job.mode,
            job.cursor,
            limit,
            current.version,
        )
        wanted = {row["id"]: row for row in rows if row["sealed"] is not None}
        sealed = [
            SealedRow(each["id"], "", each["key_version"], each["sealed"])
            for each in wanted.values()
        ]
        anew = await self._anew(job, TOKENS, sealed, current, Algorithm.A256CBC_HS512)
        touched = 0
        moved: dict[str, bytes] = {}
        for begin in range(0, len(sealed), CHUNK):
            moved |= await asyncio.to_thread(
                anew.fingerprinted, sealed[begin : begin + CHUNK], current
            )
        if moved:
            old = [wanted[each] for each in moved]
            found = await tx.row(
                QUERIES["move_fingerprints"],
                job.merchant_id,
                job.mode,
                list(moved),
                [row["fingerprint"] for row in old],
                [row["fingerprint_version"] for row in old],
                list(moved.values()),
                current.version,
            )
            touched = 0 if found is None else found["touched"]
        unread = len(sealed) - len(moved)
        return self._stepped(
            job,
            current,
            rows[-1]["id"] if rows else job.cursor,
            Looked(len(rows), limit, unread, total, _facts(job, touched, unread)),
        )


async def _pipelined(
    anew: Anew,
    rows: Sequence[SealedRow],
    put: Callable[[Sequence[Resealed]], Awaitable[int]],
) -> tuple[int, int]:
    """Seal chunk after chunk in a thread while the database writes the one before; return (written, unreadable)."""
    touched = unread = 0
    writing: asyncio.Task[int] | None = None
    try:
        for begin in range(0, len(rows), CHUNK * 4):
            part = rows[begin : begin + CHUNK * 4]
            done: list[Resealed] = []
            for at in range(0, len(part), CHUNK):
                done += await asyncio.to_thread(anew.resealed, part[at : at + CHUNK])
            unread += len(part) - len(done)
            if writing is not None:
                touched += await writing
            writing = asyncio.ensure_future(put(done))
        if writing is not None:
            touched += await writing
    finally:
        if writing is not None and not writing.done():
            # The transaction is given back only when nothing runs in it any more.
            await asyncio.gather(writing, return_exceptions=True)
    return touched, unread


async def _put(
    tx: Transaction, column: SealedColumn, job: Job, done: Sequence[Resealed], version: int
) -> int:
    if not done:
        return 0
    found = await tx.row(
        column.put,
        job.merchant_id,
        job.mode,
        [each.object_id for each in done],
        [each.part for each in done],
        [each.old for each in done],
        [each.new for each in done],
        version,
    )
    return 0 if found is None else int(found["touched"])


def _sealed(row: Record) -> SealedRow:
    return SealedRow(row["id"], row["part"], row["key_version"], row["sealed"])


def _facts(job: Job, resealed: int, unreadable: int) -> Facts:
    return {
        "resealed": int(job.result.get("resealed") or 0) + resealed,
        "unreadable": int(job.result.get("unreadable") or 0) + unreadable,
    }


def _since(key: DataKey, span: timedelta) -> datetime:
    """Return the moment so long after a version was made."""
    made_at = key.made_at
    if made_at is None:
        raise NotRotatedHere
    return made_at + span
