# SPDX-License-Identifier: Apache-2.0
"""Opens files that are sealed as a whole, and imports them: the handler of `import` jobs.

A message is read twice: first to its end, so that nothing of one that was cut, altered or swollen becomes a token; then
for its rows. Both are streams. A process that is killed reads again from the beginning and passes by what is done.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from strongroom.audit import NewRecord, Origin
from strongroom.crypto import Sha256
from strongroom.db.pool import Database, Transaction
from strongroom.kernel.ids import JobId
from strongroom.vault.finding import Caller
from strongroom.vault.transfer import pgp, store
from strongroom.vault.transfer.chunks import CREATED
from strongroom.vault.transfer.columns import RowMalformed
from strongroom.vault.transfer.errors import (
    ContentRefused,
    ImportEnded,
    ImportOffsetWrong,
    ImportUnknown,
)
from strongroom.vault.transfer.imports import Imports
from strongroom.vault.transfer.jwe import Opener
from strongroom.vault.transfer.model import (
    PART_BYTES_MAX,
    Encryption,
    Import,
    ImportState,
)
from strongroom.vault.transfer.rows import RowTooLong
from strongroom.vault.transfer.who import job_caller
from strongroom.vault.work.model import Job, JobKind, Step

#: Bytes that one step looks through while it only verifies, or passes by what is done.
_LOOKED_AT_ONCE: Final = 32 * 1024 * 1024
_READING: Final = "read"
#: A stream that no step has taken for so long is let go of: another process does its job, or nobody does any more.
IDLE_SECONDS: Final = 60.0
#: Streams of each kind that a process has open; the one opened first makes room.
_OPEN_AT_ONCE_MAX: Final = 8


@dataclass(slots=True)
class _Session:
    """A stream that is open between the steps of a job. Another process may do steps of the same job meanwhile."""

    stream: AsyncIterator[bytes]
    hasher: Sha256
    #: Which of the tenant's keys opens it.
    key_number: int
    #: Clear bytes that were taken from the stream, less what is in `rest`.
    position: int = 0
    rest: bytes = b""
    ended: bool = False
    #: When a step last took it, by the process's own clock.
    used_at: float = field(default_factory=monotonic)


class Unspooler:
    """Does `import` jobs."""

    kind = JobKind.IMPORT

    def __init__(
        self, database: Database, imports: Imports, *, looked_at_once: int = _LOOKED_AT_ONCE
    ) -> None:
        self._database = database
        self._imports = imports
        self._looked_at_once = looked_at_once
        #: Streams that are verified, and streams whose rows are read: one is never taken for the other.
        self._verifying: dict[JobId, _Session] = {}
        self._reading: dict[JobId, _Session] = {}

    async def step(self, job: Job, tx: Transaction) -> Step:  # noqa: ARG002 - an import's own row says how far it is
        """Do the next step. What it commits it commits with the import's own row, which a repeated step reads."""
        at = await self._imports.read(job.merchant_id, job.mode, str(job.params["import"]))
        if at.state is not ImportState.RECEIVED:
            await self._drop(job.job_id)
            return Step(job.cursor, ended=True, result=_facts(at))
        try:
            return await self._step(job, at)
        except (ContentRefused, RowTooLong) as error:
            await self._drop(job.job_id)
            problem = error.problem if isinstance(error, ContentRefused) else "row_too_long"
            fresh = await self._imports.read(at.merchant_id, at.mode, at.import_id)
            ended = await self._imports.end(
                fresh, ImportState.FAILED, Origin(), actor=job.created_by, problem=problem
            )
            return Step(job.cursor, ended=True, result=_facts(ended))
        except (ImportEnded, ImportOffsetWrong, ImportUnknown):
            # Canceled meanwhile, or moved on by a process whose turn was thought over: the next step sees how it is.
            await self._drop(job.job_id)
            return Step(job.cursor)
        except BaseException:
            await self._drop(job.job_id)
            raise

    def ended(self, job: Job) -> NewRecord | None:  # noqa: ARG002 - the protocol's
        """An import's end is recorded with its own row."""
        return None

    async def end_with(self, job: Job, tx: Transaction) -> None:
        """End the import of a job that failed or was canceled. Its stream, if a step reads it now, is that step's."""
        await self._imports.end_with_job(tx, job)

    async def let_idle_go(self, idle_seconds: float = IDLE_SECONDS) -> int:
        """Close the streams that no step has taken for so long; return how many. They hold cards in a child process."""
        before = monotonic() - idle_seconds
        closed = 0
        for sessions in (self._verifying, self._reading):
            for job_id in [each for each, one in sessions.items() if one.used_at <= before]:
                await _let_go(sessions, job_id)
                closed += 1
        return closed

    async def close(self) -> None:
        """Let go of every stream."""
        for job_id in [*self._verifying, *self._reading]:
            await self._drop(job_id)

    async def _step(self, job: Job, at: Import) -> Step:
        if not job.cursor.startswith(_READING):
            return await self._verify(job, at)
        # To read on:
        #  1. Have a stream that stands where the import does: another process may have moved it on, or it is new.
        #  2. Take some of it, and import its whole rows.
        #  3. The rest of a row waits for the next step.
        _, key_number, digest_text = job.cursor.split("|")
        session = await self._stream(job.job_id, at, int(key_number))
        if not await _passed_by(session, at.consumed, self._looked_at_once):  # (1)
            return Step(job.cursor)
        before = at.counts
        await _fill(session)  # (2)
        base = session.position
        # Anew for each step: what seals may be rotated while a file is read, and a rule may change.
        caller = Caller(job_caller(job), Origin())
        access = await self._imports.access_of(caller.principal, at)
        hands = await self._imports.hands(at, caller, access)
        at, slowed = await self._imports.read_rows(
            at, session.rest, hands, base=base, last=session.ended
        )
        session.rest = session.rest[at.consumed - base :]  # (3)
        session.position = at.consumed
        refused = at.counts.refused - before.refused
        done = at.counts.rows - before.rows - refused
        if slowed is not None:
            return Step(job.cursor, done, refused, wait_seconds=float(slowed.better_after_seconds))
        if session.ended:
            await self._drop(job.job_id)
            ended = await self._imports.end(
                at,
                ImportState.DONE,
                Origin(),
                actor=job.created_by,
                digest=bytes.fromhex(digest_text),
            )
            return Step(job.cursor, done, refused, ended=True, result=_facts(ended))
        return Step(job.cursor, done, refused)

    async def _stream(self, job_id: JobId, at: Import, key_number: int) -> _Session:
        """Return the stream whose rows are read; opened where there is none that can still get to where `at` stands."""
        await _let_go(self._verifying, job_id)
        session = self._reading.get(job_id)
        reads_on = session is not None and (session.rest or not session.ended)
        if session is not None and reads_on and session.position <= at.consumed:
            session.used_at = monotonic()
            return session
        await _let_go(self._reading, job_id)
        session = self._opened(at, key_number)
        await _keep(self._reading, job_id, session)
        return session

    def _opened(self, at: Import, key_number: int) -> _Session:
        hasher = Sha256()
        return _Session(self._clear(at, key_number, hasher), hasher, key_number)

    async def _verify(self, job: Job, at: Import) -> Step:
        """Read on towards the end of the file; at its end its SHA-256, as uploaded, is known, and which key opens it.

        Raises:
            ContentRefused: no key opens it, it was cut or altered, or it swells.
        """
        number = int(job.cursor or "0")
        session = self._verifying.pop(job.job_id, None)
        if session is not None and session.key_number != number:
            # Another process has found meanwhile that this key does not open it.
            await _closed(session.stream)
            session = None
        if session is None:
            session = self._opened(at, number)
        try:
            seen = 0
            while seen < self._looked_at_once:
                part = await anext(session.stream, b"")
                if not part:
                    await _closed(session.stream)
                    return Step(f"{_READING}|{number}|{session.hasher.digest().hex()}")
                seen += len(part)
                await asyncio.sleep(0)
        except ContentRefused as error:
            await _closed(session.stream)
            keys = await self._imports.keys.opened(at.merchant_id, at.mode)
            if error.problem == "pgp_bomb" or number + 1 >= len(keys.pgp):
                raise
            return Step(str(number + 1))
        except BaseException:
            await _closed(session.stream)
            raise
        await _keep(self._verifying, job.job_id, session)
        return Step(str(number))

    async def _clear(self, at: Import, key_number: int, hasher: Sha256) -> AsyncIterator[bytes]:
        """Yield what the file holds in clear."""
        keys = await self._imports.keys.opened(at.merchant_id, at.mode)
        pieces = self._pieces(at, hasher)
        if at.wish.encryption is Encryption.PGP:
            stream = pgp.open_stream(pieces, keys.pgp[key_number])
            try:
                async for part in stream:
                    yield part
            finally:
                await _closed(stream)
            return
        whole = b"".join([piece async for piece in pieces])
        try:
            clear = Opener((keys.jwks[key_number],)).open(whole)
        except RowMalformed:
            raise ContentRefused(
                "jwe_refused", "no import key of this tenant opens the file"
            ) from None
        for begin in range(0, len(clear), PART_BYTES_MAX):
            yield clear[begin : begin + PART_BYTES_MAX]

    async def _pieces(self, at: Import, hasher: Sha256) -> AsyncIterator[bytes]:
        """Yield the file as it was uploaded."""
        begins = 0
        while begins < at.received:
            async with self._database.transaction([at.merchant_id]) as read:
                piece = await store.piece_at(read, at, begins)
            if piece is None or piece.begins != begins:
                raise ContentRefused("file_incomplete", "a piece of the file is gone")
            content = await self._imports.keys.open_piece(
                at.merchant_id, at.mode, at.import_id, begins, piece.sealed, piece.key_version
            )
            hasher.update(content)
            begins += len(content)
            yield content

    async def _drop(self, job_id: JobId) -> None:
        await _let_go(self._verifying, job_id)
        await _let_go(self._reading, job_id)


async def _keep(sessions: dict[JobId, _Session], job_id: JobId, session: _Session) -> None:
    """Keep a stream for the next step."""
    while len(sessions) >= _OPEN_AT_ONCE_MAX:
        await _let_go(sessions, next(iter(sessions)))
    session.used_at = monotonic()
    sessions[job_id] = session


async def _let_go(sessions: dict[JobId, _Session], job_id: JobId) -> None:
    session = sessions.pop(job_id, None)
    if session is not None:
        await _closed(session.stream)


async def _passed_by(session: _Session, done: int, at_once: int) -> bool:
    """Pass by what is done, so much of it at once; tell whether the stream stands where the rest begins.

    Raises:
        ContentRefused: the file ends before that.
    """
    seen = 0
    while session.position + len(session.rest) < done:
        if seen >= at_once:
            return False
        part = await anext(session.stream, b"")
        if not part:
            raise ContentRefused("file_incomplete", "the file ends before what was imported of it")
        session.position += len(session.rest)
        session.rest = part
        seen += len(part)
        await asyncio.sleep(0)
    session.rest = session.rest[done - session.position :]
    session.position = done
    return True


async def _fill(session: _Session) -> None:
    """Take from the stream what one step reads."""
    parts = [session.rest]
    size = len(session.rest)
    while size < PART_BYTES_MAX:
        part = await anext(session.stream, b"")
        if not part:
            session.ended = True
            break
        parts.append(part)
        size += len(part)
    session.rest = b"".join(parts)


async def _closed(stream: AsyncIterator[bytes]) -> None:
    close = getattr(stream, "aclose", None)
    if close is not None:
        await close()


def _facts(at: Import) -> dict[str, str | int | bool | None]:
    return {
        "import": at.import_id,
        "state": at.state.value,
        CREATED: at.counts.created,
        "duplicates": at.counts.duplicates,
    }
