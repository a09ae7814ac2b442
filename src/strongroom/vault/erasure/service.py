# SPDX-License-Identifier: Apache-2.0
"""Deletes what is to be erased, and says when no copy of it opens any more. Each act commits with its record."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, final

from strongroom.audit import Action, Recorder
from strongroom.crypto.ids import new_id
from strongroom.db.pool import Database, Record, Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import ErasureId, MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.vault.containers.feed import RuleFeed
from strongroom.vault.containers.model import Access
from strongroom.vault.erasure import store
from strongroom.vault.erasure.errors import ErasureUnknown, NothingToErase
from strongroom.vault.erasure.model import GATHERING, MOVING, Erasure, ErasureState, Scope
from strongroom.vault.erasure.store import QUERIES
from strongroom.vault.errors import TokenUnknown
from strongroom.vault.finding import Caller, require_form
from strongroom.vault.work.model import JobKind
from strongroom.vault.work.ports import Jobs

PAGE_ROWS_MAX: Final = 100
#: A customer has fewer cards; more are refused, and deleted by their tokens.
TOKENS_MAX: Final = 1_000
_AFTER_EVERY_ID: Final = "ers_~"


@final
class Erasures:
    """Erasures of tenants, for the vault's routes."""

    def __init__(
        self,
        *,
        database: Database,
        rules: RuleFeed,
        jobs: Jobs,
        recorder: Recorder,
        clock: Clock,
        key_backup_days: int,
    ) -> None:
        self._database = database
        self._rules = rules
        self._jobs = jobs
        self._recorder = recorder
        self._key_backups = timedelta(days=key_backup_days)
        self.clock = clock

    async def erase_token(self, caller: Caller, token: str, *, at_once: bool) -> Erasure:
        """Delete a token, and have the key destroyed that sealed it.

        Raises:
            TokenUnknown: not there for this tenant and mode.
            AccessRefused: the rules of its container do not let the caller use it.
        """
        require_form(token)
        return await self._erase(caller, Scope.TOKEN, token, at_once=at_once)

    async def erase_customer(self, caller: Caller, customer: str, *, at_once: bool) -> Erasure:
        """Delete every token whose metadata name this customer (`customer`), likewise; all of them or none.

        Raises:
            NothingToErase: none does.
            AccessRefused: the rules of one's container do not let the caller use it.
            Invalid: more than `TOKENS_MAX`.
        """
        return await self._erase(caller, Scope.CUSTOMER, customer, at_once=at_once)

    async def erase_merchant(self, caller: Caller, confirmed: str) -> Erasure:
        """Begin to destroy every key of the calling tenant in the calling mode; the rows go after them.

        Raises:
            Invalid: what confirms it is not the tenant's id.
        """
        merchant, mode = caller.scope
        if confirmed != merchant:
            raise Invalid(
                FieldError("/merchant", "not_confirmed", "this is not the calling merchant's id")
            )
        now = self.clock.now()
        async with self._database.transaction([merchant]) as tx:
            erasure = self._new(caller, Scope.MERCHANT, 0, await self._newest(tx, caller), now, now)
            await store.add(tx, erasure)
            await self._record(tx, caller, erasure)
            await self._jobs.begin(
                tx, merchant, mode, JobKind.ERASURE, {}, created_by=caller.principal.subject
            )
        return erasure

    async def read(self, merchant: MerchantId, mode: Mode, erasure: str) -> Erasure:
        """Return one.

        Raises:
            ErasureUnknown: not there for this tenant and mode.
        """
        async with self._database.transaction([merchant]) as read:
            found = await store.by_id(read, merchant, mode, erasure)
        if found is None:
            raise ErasureUnknown
        return found

    async def list(
        self, merchant: MerchantId, mode: Mode, before: str | None, limit: int
    ) -> tuple[Sequence[Erasure], str | None]:
        """Return a page, newest first, and the cursor of the next page if there is one."""
        async with self._database.transaction([merchant]) as read:
            rows = await store.page(read, merchant, mode, before or _AFTER_EVERY_ID, limit + 1)
        page = rows[:limit]
        return page, page[-1].erasure_id if len(rows) > limit else None

    async def _erase(self, caller: Caller, scope: Scope, what: str, *, at_once: bool) -> Erasure:
        merchant, mode = caller.scope
        access = await self._rules.of(caller.principal)
        now = self.clock.now()
        async with self._database.transaction([merchant]) as tx:
            # A token that is getting another id is found under neither: none does meanwhile.
            await tx.row(QUERIES["hold_ids"], f"{merchant} {mode}")
            rows = await self._meant(tx, caller, scope, what)
            for row in rows:
                access.require(row["container"], Access.USE)
            rotate_at = now if at_once else now + GATHERING
            version = await self._newest(tx, caller)
            erasure = self._new(caller, scope, len(rows), version, now, rotate_at)
            await tx.row(QUERIES["state_erasing"], scope)
            tokens = [row["token_id"] for row in rows]
            await tx.run(QUERIES["forget_reveals"], merchant, mode, tokens)
            gone = await store.erase(tx, merchant, mode, tokens)
            await store.add(tx, erasure)
            await self._record(tx, caller, erasure)
            for row in gone:
                await self._record_deleted(tx, caller, row)
        return erasure

    async def _meant(
        self, tx: Transaction, caller: Caller, scope: Scope, what: str
    ) -> Sequence[Record]:
        """Return the tokens that are meant, locked."""
        if scope is Scope.TOKEN:
            row = await tx.row(QUERIES["token_and_container"], *caller.scope, what)
            if row is None:
                raise TokenUnknown
            return [row]
        rows = await tx.rows(QUERIES["tokens_of_customer"], *caller.scope, what, TOKENS_MAX + 1)
        if not rows:
            raise NothingToErase
        if len(rows) > TOKENS_MAX:
            raise Invalid(
                FieldError(
                    "/customer", "too_many", f"a customer with more than {TOKENS_MAX} tokens"
                )
            )
        return rows

    async def _newest(self, tx: Transaction, caller: Caller) -> int:
        row = await tx.row(QUERIES["newest_card_key"], *caller.scope)
        return 0 if row is None else int(row["version"])

    def _new(
        self,
        caller: Caller,
        scope: Scope,
        tokens: int,
        version: int,
        now: datetime,
        rotate_at: datetime,
    ) -> Erasure:
        merchant, mode = caller.scope
        return Erasure(
            merchant,
            mode,
            ErasureId(new_id("ers")),
            scope,
            ErasureState.WAITING,
            tokens,
            version,
            caller.principal.subject,
            now,
            rotate_at,
            None,
            rotate_at + MOVING + self._key_backups,
            None,
        )

    async def _record(self, tx: Transaction, caller: Caller, erasure: Erasure) -> None:
        record = self._recorder.make(
            Action.VAULT_ERASURE_REQUESTED,
            actor=caller.principal.subject,
            merchant=erasure.merchant_id,
            mode=erasure.mode,
            thing=erasure.erasure_id,
            origin=caller.origin,
            now=erasure.requested_at,
            details={
                "count": erasure.tokens,
                "key_version": erasure.key_version,
                "operation": erasure.scope.value,
            },
        )
        await self._recorder.insert(tx, record)

    async def _record_deleted(self, tx: Transaction, caller: Caller, row: Record) -> None:
        merchant, mode = caller.scope
        record = self._recorder.make(
            Action.VAULT_TOKEN_DELETED,
            actor=caller.principal.subject,
            merchant=merchant,
            mode=mode,
            thing=TokenId(row["token_id"]),
            origin=caller.origin,
            now=self.clock.now(),
            details={"brand": row["brand"], "last4": row["last4"], "reason": "erased"},
        )
        await self._recorder.insert(tx, record)
