# SPDX-License-Identifier: Apache-2.0
"""The job that gives tokens other ids: what is sealed is bound to its token, and is sealed anew for the new one.

A token that was changed or deleted since it was read is left, and taken with the next look of a later job.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple, final

from strongroom.audit import Action, NewRecord, Origin, Outcome, Recorder
from strongroom.crypto import Algorithm, CannotOpen, Place, Sha256, algorithm_of
from strongroom.crypto.ids import new_id
from strongroom.db.pool import Record, Transaction
from strongroom.db.queries import load_queries
from strongroom.kernel.clock import Clock, rfc3339
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import JobId, TokenId, id_floor
from strongroom.keys import DataKey, KeyName, KeysBroken, WatchedKeys
from strongroom.vault.details import FIELDS
from strongroom.vault.outbox.store import tell
from strongroom.vault.residency import Residency
from strongroom.vault.retokenize.mapping import MAPPING_HEADER, mapping_line
from strongroom.vault.retokenize.wire import (
    ENDS_BY,
    ENDS_FROM,
    MAPPING_SHA256,
    RetokenizationEvent,
    retokenization_out,
)
from strongroom.vault.sealing import CARD_PURPOSE, NUMBER_FIELD
from strongroom.vault.work.model import Job, JobKind, JobState, Step
from strongroom.vault.work.pace import batch

PAGE_ROWS: Final = 500
#: Lines of the mapping that are hashed in a step.
HASHED_ROWS: Final = 20_000
#: The cursor when every page is done: behind every id, so that a process of the release before finds nothing left.
_HASHING: Final = "tok_~mapping"
QUERIES: Final = load_queries("strongroom.vault.retokenize")


def _begun() -> Sha256:
    state = Sha256()
    state.update(MAPPING_HEADER.encode())
    return state


class Replaced(NamedTuple):
    """A token with its new id, and what is sealed for that."""

    old: str
    new: str
    before: bytes
    sealed: bytes


class ReplacedDetail(NamedTuple):
    """A detail that is sealed for a new id."""

    new: str
    field: str
    sealed: bytes
    expires_at: datetime | None


@dataclass(slots=True)
class _Hash:
    """The beginning of a mapping file, hashed."""

    state: Sha256 = field(default_factory=_begun)
    after: str = ""


@final
class RetokenizeHandler:
    """Does the jobs of kind `retokenize`.

    Params: `container` ('' for all) or `tokens` (comma-separated), `alias_days` (0: old ids are dead at once).
    """

    kind = JobKind.RETOKENIZE

    def __init__(
        self,
        keyring: WatchedKeys,
        residency: Residency,
        recorder: Recorder,
        clock: Clock,
        algorithm: Algorithm,
    ) -> None:
        self._keyring = keyring
        self._residency = residency
        self._recorder = recorder
        self._clock = clock
        self._algorithm = algorithm
        #: How far this process has hashed a mapping.
        self._hashes: dict[JobId, _Hash] = {}

    async def step(self, job: Job, tx: Transaction) -> Step:
        """Replace a page."""
        # To replace the ids of tokens:
        #  1. Page by page, each in its own transaction, until there are no more.
        #  2. Hash what they became, as the mapping file has it, so that whoever is told can check the file.
        if job.cursor == _HASHING:
            return await self._hash(job, tx)  # (2)
        await self._residency.require(job.merchant_id)
        await tx.row(QUERIES["hold_ids"], f"{job.merchant_id} {job.mode}")
        rows, ended = await self._page(job, tx)
        if not rows:
            return Step(_HASHING)
        tokens = [row["token_id"] for row in rows]
        details = await tx.rows(QUERIES["details_to_replace"], job.merchant_id, job.mode, tokens)
        current = await self._keyring.current(job.merchant_id, job.mode, KeyName.CARD)
        keys = await self._keys(job, {row["key_version"] for row in (*rows, *details)})
        made, beside = await asyncio.to_thread(self._anew, job, rows, details, keys, current)
        now = self._clock.now()
        until = now + timedelta(days=int(job.params["alias_days"] or 0))
        moved = await tx.rows(
            QUERIES["replace_tokens"],
            job.merchant_id,
            job.mode,
            job.job_id,
            until,
            now,
            [each.old for each in made],
            [each.new for each in made],
            [each.before for each in made],
            [each.sealed for each in made],
            current.version,
            [each.new for each in beside],
            [each.field for each in beside],
            [each.sealed for each in beside],
            [current.version] * len(beside),
            [each.expires_at for each in beside],
        )
        for row in moved:
            await self._recorder.insert(tx, self._record(job, TokenId(row["old_id"]), now))
        dies = rfc3339(until)
        return Step(
            _HASHING if ended else tokens[-1],
            done=len(moved),
            refused=len(rows) - len(moved),
            result={ENDS_FROM: job.result.get(ENDS_FROM, dies), ENDS_BY: dies} if moved else {},
        )

    def ended(self, job: Job) -> NewRecord | None:
        """Return the record of a retokenization that ended."""
        return self._recorder.make(
            Action.VAULT_RETOKENIZATION_ENDED,
            actor=job.created_by,
            merchant=job.merchant_id,
            mode=job.mode,
            thing=job.job_id,
            origin=Origin(),
            now=self._clock.now(),
            details={"count": job.done, "refused": job.refused, "state": job.state.value},
            outcome=Outcome.SUCCESS if job.state is JobState.DONE else Outcome.FAILED,
        )

    async def tell(self, job: Job, tx: Transaction) -> None:
        """Let the merchant hear how a retokenization ended."""
        self._hashes.pop(job.job_id, None)
        await tell(
            tx,
            job.merchant_id,
            job.mode,
            EventType.TOKEN_RETOKENIZED,
            job.job_id,
            RetokenizationEvent(retokenization_out(job)),
            job.ended_at or job.updated_at,
        )

    async def _hash(self, job: Job, tx: Transaction) -> Step:
        """Hash the next lines of the mapping file. A process that has not the lines before begins anew."""
        at = self._hashes.setdefault(job.job_id, _Hash())
        rows = await tx.rows(
            QUERIES["mapping"], job.merchant_id, job.mode, job.job_id, at.after, HASHED_ROWS
        )
        for row in rows:
            line = mapping_line(row["old_id"], row["token_id"], rfc3339(row["until"]))
            at.state.update(line.encode())
            at.after = row["old_id"]
        if len(rows) == HASHED_ROWS:
            return Step(_HASHING)
        # Crash here, or undone: the lines are hashed once more, from the first.
        del self._hashes[job.job_id]
        return Step(_HASHING, ended=True, result={MAPPING_SHA256: at.state.digest().hex()})

    async def _page(self, job: Job, tx: Transaction) -> tuple[Sequence[Record], bool]:
        """Return the next tokens, and whether they are the last."""
        limit = batch(job, PAGE_ROWS)
        named = str(job.params.get("tokens") or "")
        if named:
            left = [each for each in named.split(",") if each > job.cursor]
            rows = await tx.rows(
                QUERIES["named_to_replace"], job.merchant_id, job.mode, left[:limit]
            )
            return rows, len(left) <= limit
        rows = await tx.rows(
            QUERIES["page_to_replace"],
            job.merchant_id,
            job.mode,
            str(job.params.get("container") or ""),
            job.cursor,
            # What is made from now on keeps its id. The new ids lie above too, unless another machine's clock is late.
            id_floor("tok", job.created_at),
            limit,
            job.job_id,
        )
        return rows, len(rows) < limit

    async def _keys(self, job: Job, versions: set[int]) -> Mapping[int, DataKey]:
        found = {}
        for version in versions:
            try:
                found[version] = await self._keyring.version(
                    job.merchant_id, job.mode, KeyName.CARD, version
                )
            except KeysBroken:  # what it sealed is left where it is, and counted
                continue
        return found

    def _anew(
        self,
        job: Job,
        rows: Sequence[Record],
        details: Sequence[Record],
        keys: Mapping[int, DataKey],
        current: DataKey,
    ) -> tuple[list[Replaced], list[ReplacedDetail]]:
        """Open and seal anew, in a thread: what was in clear is gone when it returns."""
        made: list[Replaced] = []
        beside: list[ReplacedDetail] = []
        of_token: dict[str, list[Record]] = {}
        for row in details:
            of_token.setdefault(row["token_id"], []).append(row)
        for row in rows:
            old, new = row["token_id"], new_id("tok")
            try:
                number = self._moved(
                    job,
                    row["sealed_number"],
                    NUMBER_FIELD,
                    row["key_version"],
                    (old, new),
                    keys,
                    current,
                )
                its = [
                    ReplacedDetail(
                        new,
                        each["field"],
                        self._moved(
                            job,
                            each["sealed"],
                            each["field"],
                            each["key_version"],
                            (old, new),
                            keys,
                            current,
                        ),
                        each["expires_at"],
                    )
                    for each in of_token.get(old, ())
                ]
            except CannotOpen:
                continue
            made.append(Replaced(old, new, row["sealed_number"], number))
            beside += its
        return made, beside

    def _moved(
        self,
        job: Job,
        sealed: bytes,
        field: str,
        version: int,
        ids: tuple[str, str],
        keys: Mapping[int, DataKey],
        current: DataKey,
    ) -> bytes:
        """Seal a value for another token. Raises CannotOpen for what was altered or has no key any more."""
        key = keys.get(version)
        if key is None:
            raise CannotOpen
        # One of the words that the table admits.
        word = NUMBER_FIELD if field == NUMBER_FIELD else FIELDS[FIELDS.index(field)]

        def place(token: str, algorithm: Algorithm, of: int) -> Place:
            return Place(algorithm, job.mode, job.merchant_id, token, word, of, CARD_PURPOSE)

        algorithm = algorithm_of(sealed)
        clear = key.sealer(algorithm, CARD_PURPOSE).open(sealed, place(ids[0], algorithm, version))
        target = place(ids[1], self._algorithm, current.version)
        return current.sealer(self._algorithm, CARD_PURPOSE).seal(clear, target)

    def _record(self, job: Job, old: TokenId, now: datetime) -> NewRecord:
        return self._recorder.make(
            Action.VAULT_TOKEN_REPLACED,
            actor=job.created_by,
            merchant=job.merchant_id,
            mode=job.mode,
            thing=old,
            origin=Origin(),
            now=now,
        )
