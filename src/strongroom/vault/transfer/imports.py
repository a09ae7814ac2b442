# SPDX-License-Identifier: Apache-2.0
"""Begins, feeds, shows and ends imports. What a part brought is done when its answer is there; nothing in clear rests.

A part of a plain file is read in its own request: its whole rows become tokens, and the answer says where the next part
begins, which is always the beginning of a row. So nothing of a row waits anywhere for the rest of it. A file that can
only be opened as a whole rests sealed until it is there, and a job reads it (`unspool`).
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Final

from strongroom.audit import Action, Origin, Recorder
from strongroom.crypto import hmac_sha256
from strongroom.crypto.ids import new_id
from strongroom.db.pool import Database, Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import ImportId, MerchantId, is_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Principal
from strongroom.telemetry.metrics import VaultMetrics
from strongroom.vault.containers.decision import CallerAccess
from strongroom.vault.containers.errors import ContainerUnknown
from strongroom.vault.containers.model import DEFAULT_CONTAINER, Access
from strongroom.vault.finding import Caller
from strongroom.vault.sealing import CardSealer
from strongroom.vault.search.limiter import NumberLimiter
from strongroom.vault.transfer import store
from strongroom.vault.transfer.chunks import Hands
from strongroom.vault.transfer.columns import check_wish, find_columns
from strongroom.vault.transfer.ending import Endings
from strongroom.vault.transfer.errors import (
    ContentRefused,
    ImportEnded,
    ImportOffsetWrong,
    ImportUnknown,
)
from strongroom.vault.transfer.intake import Intake, Taken, locked
from strongroom.vault.transfer.jwe import Opener
from strongroom.vault.transfer.model import (
    JWE_FILE_BYTES_MAX,
    SPOOL_BYTES_MAX,
    Counts,
    Encryption,
    Format,
    Import,
    ImportState,
    ImportWish,
)
from strongroom.vault.transfer.opening import ImportKeys
from strongroom.vault.transfer.reading import RowReader
from strongroom.vault.transfer.rows import RawRow, RowTooLong, split_rows
from strongroom.vault.transfer.shown import shown_part
from strongroom.vault.transfer.store import Part
from strongroom.vault.transfer.who import AccessRules, caller_facts
from strongroom.vault.work.model import Job, JobKind, JobState
from strongroom.vault.work.ports import Jobs

PAGE_ROWS_MAX: Final = 100
_AFTER_EVERY_ID: Final = "imp_~"


class Imports:
    """The imports of every tenant."""

    def __init__(
        self,
        *,
        database: Database,
        sealer: CardSealer,
        keys: ImportKeys,
        rules: AccessRules,
        jobs: Jobs,
        recorder: Recorder,
        clock: Clock,
        metrics: VaultMetrics,
        numbers: NumberLimiter,
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._rules = rules
        self._jobs = jobs
        self._recorder = recorder
        self._clock = clock
        self._intake = Intake(database, recorder, clock, metrics, numbers)
        self.keys = keys
        self.endings = Endings(database, recorder, clock)

    async def begin(self, caller: Caller, wish: ImportWish) -> Import:
        """Make an import, which takes content from now on.

        Raises:
            Invalid: columns that cannot be, rows that no encryption goes with.
            AccessRefused: the caller may not put tokens into that container.
            ContainerUnknown: it is not there.
            MerchantElsewhere: this merchant's cards rest in another region.
            ImportKeyUnknown: encrypted, and there is no key that it could have been encrypted to.
        """
        merchant, mode = caller.scope
        check_wish(wish)
        if wish.encryption is Encryption.JWE_LINES and wish.file_format is not Format.JSONL:
            raise Invalid(FieldError("/format", "format_wrong", "a JWE a row holds a JSON object"))
        await self.keys.require_home(merchant)
        (await self._rules.of(caller.principal)).require_target(wish.container)
        if wish.encryption is not Encryption.NONE:
            await self.keys.newest(merchant, mode)
        now = self._clock.now()
        made = Import(
            merchant,
            mode,
            ImportId(new_id("imp")),
            ImportState.OPEN,
            wish,
            0,
            0,
            None,
            Counts(),
            b"",
            None,
            None,
            caller.principal.subject,
            now,
            now,
            None,
        )
        async with self._database.transaction([merchant]) as tx:
            if wish.container != DEFAULT_CONTAINER and not await store.hold_container(
                tx, merchant, mode, wish.container
            ):
                raise ContainerUnknown
            await store.insert(tx, made)
            record = self._recorder.make(
                Action.VAULT_IMPORT_STARTED,
                actor=made.created_by,
                merchant=merchant,
                mode=mode,
                thing=made.import_id,
                origin=caller.origin,
                now=now,
                details={
                    "container": wish.container,
                    "method": wish.encryption.value,
                    "operation": "dry_run" if wish.dry_run else "import",
                },
            )
            await self._recorder.insert(tx, record)
        return made

    async def read(self, merchant: MerchantId, mode: Mode, import_id: str) -> Import:
        """Return an import.

        Raises:
            ImportUnknown: not there for this tenant and mode.
        """
        if not is_id("imp", import_id):
            raise ImportUnknown
        async with self._database.transaction([merchant]) as read:
            found = await store.by_id(read, merchant, mode, import_id)
        if found is None:
            raise ImportUnknown
        return found

    async def list(
        self, merchant: MerchantId, mode: Mode, before: str | None, limit: int
    ) -> tuple[Sequence[Import], str | None]:
        """Return a page of imports, newest first, and the cursor of the next page if there is one."""
        async with self._database.transaction([merchant]) as read:
            rows = await store.page(read, merchant, mode, before or _AFTER_EVERY_ID, limit + 1)
        page = rows[:limit]
        return page, page[-1].import_id if len(rows) > limit else None

    async def results(self, principal: Principal, import_id: str, row: int) -> Part | None:
        """Return what became of the rows of the chunk that has a row (from 0), or None behind the last.

        Of each row it says what the caller may read of its token: see `shown`.

        Raises:
            ImportUnknown: see `read`.
            AccessRefused: the caller may not read what is in the import's container.
        """
        of = await self.read(principal.merchant, principal.mode, import_id)
        access = await self._rules.of(principal)
        async with self._database.transaction([principal.merchant]) as read:
            return await shown_part(read, of, row, access)

    async def take(
        self, caller: Caller, import_id: str, offset: int, content: bytes, *, last: bool
    ) -> Import:
        """Take a part of the file. Its answer says where the next one begins (`received`).

        Raises:
            ImportUnknown, ImportEnded, ImportOffsetWrong: see each.
            ContentRefused: the file is not what was said, or the container has ended; the import has failed.
            AccessRefused: the caller may not put tokens into the import's container.
            ImportSlowed: nothing of it was taken; the same again, later.
        """
        merchant, mode = caller.scope
        at = await self.read(merchant, mode, import_id)
        if at.state is not ImportState.OPEN:
            raise ImportEnded
        if offset != at.received:
            raise ImportOffsetWrong
        access = await self.access_of(caller.principal, at)
        if at.wish.encryption.is_spooled:
            return await self._spool(caller, at, content, last=last)
        try:
            taken = await self._rows(caller, access, at, content, last=last)
        except RowTooLong:
            refused = ContentRefused("row_too_long", "a row is longer than any row is")
            await self._fail(caller, at, refused)
            raise refused from None
        except ContentRefused as error:
            await self._fail(caller, at, error)
            raise
        if taken.slowed is not None and taken.at.counts == at.counts:
            raise taken.slowed
        if not last or taken.slowed is not None:
            return taken.at
        return await self.end(
            taken.at,
            ImportState.DONE,
            caller.origin,
            actor=caller.principal.subject,
            received=offset + len(content),
        )

    async def cancel(self, caller: Caller, import_id: str) -> Import:
        """End an import where it is. What was imported stays; what rested of the file goes.

        Raises:
            ImportUnknown, ImportEnded: see each.
        """
        at = await self.read(*caller.scope, import_id)
        return await self.end(
            at, ImportState.CANCELED, caller.origin, actor=caller.principal.subject
        )

    async def end(
        self,
        at: Import,
        state: ImportState,
        origin: Origin,
        *,
        actor: str,
        problem: str | None = None,
        received: int | None = None,
        digest: bytes | None = None,
    ) -> Import:
        """End an import: its state, its audit record, and nothing that rests of its file.

        `actor` is who ends it: whoever sent what was last, or cancels.

        Raises:
            ImportUnknown, ImportEnded: see each.
            ImportOffsetWrong: somebody else has moved it on.
        """
        async with self._database.transaction([at.merchant_id]) as tx:
            found = await locked(tx, at)
            if state is ImportState.DONE and found.counts != at.counts:
                raise ImportOffsetWrong
            last = dataclasses.replace(
                found,
                received=found.received if received is None else received,
                digest=at.digest if digest is None else digest,
                layout=at.layout,
            )
            return await self.endings.end(
                tx, last, state, origin=origin, actor=actor, problem=problem
            )

    async def end_with_job(self, tx: Transaction, job: Job) -> None:
        """End the import of a job that failed or was canceled, in the transaction that ends the job."""
        found = await store.by_id(
            tx, job.merchant_id, job.mode, str(job.params["import"]), lock=True
        )
        if found is None or found.ended_at is not None:
            return
        failed = job.state is JobState.FAILED
        await self.endings.end(
            tx,
            found,
            ImportState.FAILED if failed else ImportState.CANCELED,
            origin=Origin(),
            actor=job.created_by,
            problem=job.problem if failed else None,
        )

    async def access_of(self, principal: Principal, at: Import) -> CallerAccess:
        """Return what whoever sends an import's rows may do, now.

        Raises:
            AccessRefused: they may not put tokens into its container any more.
            Unavailable: the rules cannot be read.
        """
        access = await self._rules.of(principal)
        access.require(at.wish.container, Access.USE)
        return access

    async def hands(self, at: Import, caller: Caller, access: CallerAccess) -> Hands:
        """Return what an import's rows are worked with. Raises as the keyring."""
        looks = at.wish.dry_run and at.wish.deduplicate
        return Hands(
            await self._sealer.keys(at.merchant_id, at.mode),
            await self.keys.digest_key(at.merchant_id, at.mode),
            caller.principal.subject,
            caller.origin,
            access,
            await self.keys.seen_key(at.merchant_id, at.mode) if looks else None,
        )

    async def read_rows(
        self, at: Import, content: bytes, hands: Hands, *, base: int, last: bool
    ) -> Taken:
        """Import the whole rows of some clear content that begins where the import stands; return how far it is then.

        Raises:
            ContentRefused, RowTooLong: see each; what was committed before stands.
            ImportOffsetWrong, ImportEnded, ImportUnknown: somebody else was faster.
        """
        wish = at.wish
        rows: Iterator[RawRow] = split_rows(
            content, wish.file_format, last=last, first=at.consumed == 0
        )
        if wish.file_format is Format.CSV and at.layout is None:
            header = next(rows, None)
            if header is None:
                if last:
                    raise ContentRefused("header_missing", "the file is empty")
                return Taken(at)
            at = dataclasses.replace(
                at,
                layout=find_columns(header.content, wish),
                digest=hmac_sha256(hands.digest_key.expose(), header.content),
            )
        reader = RowReader(
            wish,
            at.mode,
            self._clock.now(),
            places=at.layout if wish.file_format is Format.CSV else None,
            open_row=await self._opener(at),
        )
        return await self._intake.take(at, rows, reader, hands, base=base)

    async def _opener(self, at: Import):  # type: ignore[no-untyped-def]  # noqa: ANN202 - a bound method or None
        if at.wish.encryption is not Encryption.JWE_LINES:
            return None
        return Opener((await self.keys.opened(at.merchant_id, at.mode)).jwks).open

    async def _rows(
        self, caller: Caller, access: CallerAccess, at: Import, content: bytes, *, last: bool
    ) -> Taken:
        hands = await self.hands(at, caller, access)
        return await self.read_rows(at, content, hands, base=at.received, last=last)

    async def _spool(self, caller: Caller, at: Import, content: bytes, *, last: bool) -> Import:
        size = at.received + len(content)
        bound = JWE_FILE_BYTES_MAX if at.wish.encryption is Encryption.JWE else SPOOL_BYTES_MAX
        if size > bound:
            refused = ContentRefused(
                "file_too_large", "this file is too large to be opened as a whole: give it in parts"
            )
            await self._fail(caller, at, refused)
            raise refused
        sealed, version = await self.keys.seal_piece(
            at.merchant_id, at.mode, at.import_id, at.received, content
        )
        async with self._database.transaction([at.merchant_id]) as tx:
            found = await locked(tx, at)
            if found.received != at.received or found.state is not ImportState.OPEN:
                raise ImportOffsetWrong
            if content:
                await store.put_piece(tx, found, sealed, version)
            after = dataclasses.replace(found, received=size, updated_at=self._clock.now())
            if last:
                job = await self._jobs.begin(
                    tx,
                    at.merchant_id,
                    at.mode,
                    JobKind.IMPORT,
                    {"import": at.import_id, **caller_facts(caller.principal)},
                    created_by=caller.principal.subject,
                )
                after = dataclasses.replace(after, state=ImportState.RECEIVED, job_id=job.job_id)
            await store.save(tx, after)
        return after

    async def _fail(self, caller: Caller, at: Import, error: ContentRefused) -> None:
        fresh = await self.read(at.merchant_id, at.mode, at.import_id)
        await self.end(
            fresh,
            ImportState.FAILED,
            caller.origin,
            actor=caller.principal.subject,
            problem=error.problem,
        )
