# SPDX-License-Identifier: Apache-2.0
"""Opens files that are sealed as a whole, and imports them: the handler of `import` jobs.

A message is read twice: first to its end, so that nothing of one that was cut, altered or swollen becomes a token; then
for its rows. Both are streams. A process that is killed reads again from the beginning and passes by what is done.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from strongroom.audit import NewRecord, Origin
from strongroom.crypto import Sha256
from strongroom.db.pool import Database, Transaction
from strongroom.kernel.ids import JobId
from strongroom.vault.transfer import pgp, store
from strongroom.vault.transfer.columns import RowMalformed
from strongroom.vault.transfer.errors import ContentRefused
from strongroom.vault.transfer.imports import Imports
from strongroom.vault.transfer.intake import CREATED
from strongroom.vault.transfer.jwe import Opener
from strongroom.vault.transfer.model import (
    PART_BYTES_MAX,
    Encryption,
    Import,
    ImportState,
)
from strongroom.vault.transfer.rows import RowTooLong
from strongroom.vault.work.model import Job, JobKind, Step

#: Bytes that one step looks through while it only verifies.
_VERIFIED_AT_ONCE: Final = 32 * 1024 * 1024
_READING: Final = "read"
_OPEN_AT_ONCE_MAX: Final = 8


@dataclass(slots=True)
class _Session:
    """A stream that is open between the steps of a job."""

    stream: AsyncIterator[bytes]
    hasher: Sha256
    #: Clear bytes that were taken from the stream, less what is in `rest`.
    position: int = 0
    rest: bytes = b""
    ended: bool = False


class Unspooler:
    """Does `import` jobs."""

    kind = JobKind.IMPORT

    def __init__(self, database: Database, imports: Imports) -> None:
        self._database = database
        self._imports = imports
        self._sessions: dict[JobId, _Session] = {}

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
            ended = await self._imports.end(fresh, ImportState.FAILED, Origin(), problem=problem)
            return Step(job.cursor, ended=True, result=_facts(ended))
        except BaseException:
            await self._drop(job.job_id)
            raise

    def ended(self, job: Job) -> NewRecord | None:  # noqa: ARG002 - the protocol's
        """An import's end is recorded with its own row."""
        return None

    async def close(self) -> None:
        """Let go of every stream."""
        for job_id in list(self._sessions):
            await self._drop(job_id)

    async def _step(self, job: Job, at: Import) -> Step:
        if not job.cursor.startswith(_READING):
            return await self._verify(job, at)
        _, key_number, digest_text = job.cursor.split("|")
        session = self._sessions.get(job.job_id)
        if session is None:
            session = await self._opened(job.job_id, at, int(key_number))
        before = at.counts
        await _fill(session)
        base = session.position
        # Anew for each step: what seals may be rotated while a file is read.
        hands = await self._imports.hands(at, Origin())
        at = await self._imports.read_rows(at, session.rest, hands, base=base, last=session.ended)
        session.rest = session.rest[at.consumed - base :]
        session.position = at.consumed
        refused = at.counts.refused - before.refused
        done = at.counts.rows - before.rows - refused
        if session.ended:
            await self._drop(job.job_id)
            ended = await self._imports.end(
                at, ImportState.DONE, Origin(), digest=bytes.fromhex(digest_text)
            )
            return Step(job.cursor, done, refused, ended=True, result=_facts(ended))
        return Step(job.cursor, done, refused)

    async def _opened(self, job_id: JobId, at: Import, key_number: int) -> _Session:
        """Open the stream and pass by what is done."""
        while len(self._sessions) >= _OPEN_AT_ONCE_MAX:
            await self._drop(next(iter(self._sessions)))
        hasher = Sha256()
        session = _Session(self._clear(at, key_number, hasher), hasher)
        while session.position + len(session.rest) < at.consumed:
            part = await anext(session.stream, b"")
            if not part:
                raise ContentRefused("pgp_refused", "the file ends before what was imported of it")
            session.position += len(session.rest)
            session.rest = part
        session.rest = session.rest[at.consumed - session.position :]
        session.position = at.consumed
        self._sessions[job_id] = session
        return session

    async def _verify(self, job: Job, at: Import) -> Step:
        """Read on towards the end of the file; at its end its SHA-256, as uploaded, is known, and which key opens it.

        Raises:
            ContentRefused: no key opens it, it was cut or altered, or it swells.
        """
        number = int(job.cursor or "0")
        session = self._sessions.pop(job.job_id, None)
        if session is None:
            hasher = Sha256()
            session = _Session(self._clear(at, number, hasher), hasher)
        try:
            seen = 0
            while seen < _VERIFIED_AT_ONCE:
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
        self._sessions[job.job_id] = session
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
        session = self._sessions.pop(job_id, None)
        if session is not None:
            await _closed(session.stream)


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
