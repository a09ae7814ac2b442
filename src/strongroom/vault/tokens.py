# SPDX-License-Identifier: Apache-2.0
"""Reads, lists, keeps and deletes tokens; seals and discards CVCs. Each act commits with its audit record."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from strongroom.audit import Action, Origin, Recorder
from strongroom.db.pool import Database, ReadOnly, Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import MerchantId, TokenId, is_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Principal
from strongroom.telemetry.metrics import VaultMetrics
from strongroom.vault.cards import read_cvc, read_metadata
from strongroom.vault.cvc import CvcEpochs, SealedCvc
from strongroom.vault.errors import TokenUnknown
from strongroom.vault.model import StoredToken
from strongroom.vault.writes import QUERIES, stored_token

PAGE_ROWS_MAX: Final = 100
EXPIRED_PER_ROUND_MAX: Final = 500
#: After every id, so that the first page begins with the newest.
AFTER_EVERY_ID: Final = "tok_~"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who acts, and whence."""

    principal: Principal
    origin: Origin

    @property
    def scope(self) -> tuple[MerchantId, Mode]:
        """The tenant and mode that everything is looked up in."""
        return self.principal.merchant, self.principal.mode


class Tokens:
    """The vault's tokens, for its routes."""

    def __init__(
        self,
        *,
        database: Database,
        epochs: CvcEpochs,
        recorder: Recorder,
        clock: Clock,
        metrics: VaultMetrics,
    ) -> None:
        self._metrics = metrics
        self._database = database
        self._epochs = epochs
        self._recorder = recorder
        self._clock = clock

    async def read(self, caller: Caller, token_id: str) -> StoredToken:
        """Return a token, masked.

        Raises:
            TokenUnknown: not there for this tenant and mode.
        """
        async with self._database.transaction([caller.principal.merchant]) as tx:
            token = await self._find(tx, caller, token_id)
            await self._record(tx, caller, Action.VAULT_TOKEN_READ, token.token_id)
            return token

    async def list(
        self, caller: Caller, before: str | None, limit: int
    ) -> tuple[Sequence[StoredToken], str | None]:
        """Return a page of tokens, newest first, and the cursor of the next page if there is one."""
        merchant, mode = caller.scope
        async with self._database.transaction([merchant]) as tx:
            rows = await tx.rows(
                QUERIES["list_tokens"],
                merchant,
                mode,
                before or AFTER_EVERY_ID,
                self._clock.now(),
                limit + 1,
            )
            await self._record(
                tx, caller, Action.VAULT_TOKEN_LISTED, None, {"count": min(len(rows), limit)}
            )
        page = [stored_token(row) for row in rows[:limit]]
        return page, page[-1].token_id if len(rows) > limit else None

    async def delete(self, caller: Caller, token_id: str) -> None:
        """Delete a token and the identity of its card.

        Raises:
            TokenUnknown: not there for this tenant and mode.
        """
        merchant, mode = caller.scope
        _require_form(token_id)
        async with self._database.transaction([merchant]) as tx:
            row = await tx.row(QUERIES["delete_token"], merchant, mode, token_id)
            if row is None:
                raise TokenUnknown
            if row["fingerprint"] is not None:
                await tx.run(
                    QUERIES["delete_identity"],
                    merchant,
                    mode,
                    row["fingerprint_version"],
                    row["fingerprint"],
                    token_id,
                )
            facts: dict[str, str | int] = {"brand": row["brand"], "last4": row["last4"]}
            await self._record(tx, caller, Action.VAULT_TOKEN_DELETED, TokenId(token_id), facts)
        self._metrics.tokens_deleted.labels(mode).inc()

    async def keep(
        self, caller: Caller, token_id: str, metadata: dict[str, str] | None
    ) -> StoredToken:
        """Make a single-use token lasting.

        Raises:
            TokenUnknown: not there, or its hour is over.
        """
        merchant, mode = caller.scope
        _require_form(token_id)
        read_metadata(metadata)
        async with self._database.transaction([merchant]) as tx:
            row = await tx.row(
                QUERIES["keep_token"],
                merchant,
                mode,
                token_id,
                msgspec.json.encode(metadata, order="sorted").decode() if metadata else None,
                self._clock.now(),
            )
            if row is None:
                raise TokenUnknown
            await self._record(tx, caller, Action.VAULT_TOKEN_KEPT, TokenId(token_id))
            return stored_token(row)

    async def seal_cvc(self, caller: Caller, token_id: str, cvc: str) -> SealedCvc:
        """Seal a CVC that was typed again for a stored card.

        Raises:
            TokenUnknown, Invalid: see each.
        """
        merchant, mode = caller.scope
        async with self._database.transaction([merchant]) as tx:
            token = await self._find(tx, caller, token_id)
            read_cvc(cvc, token.brand)
            await self._record(tx, caller, Action.VAULT_CVC_SEALED, token.token_id)
        # The record is committed. Crash here: it says sealed, and nobody holds the sealed value.
        return await self._epochs.seal(cvc, mode, merchant, token.token_id)

    async def discard_cvc(self, caller: Caller, token_id: str, sealed: str) -> None:
        """Make a sealed CVC useless.

        Raises:
            TokenUnknown, CvcInvalid, CvcExpired, CvcUsed: see each.
        """
        merchant, mode = caller.scope
        async with self._database.transaction([merchant]) as read:
            token = await self._find(read, caller, token_id)
        await self._epochs.discard(
            sealed,
            mode,
            merchant,
            token.token_id,
            actor=caller.principal.subject,
            origin=caller.origin,
        )

    async def delete_expired(self) -> int:
        """Delete single-use tokens whose hour is over, of every tenant, with a record each."""
        async with self._database.transaction() as tx:
            await tx.row(QUERIES["be_expiry_job"])
            expired = await tx.rows(QUERIES["expired_tokens"], EXPIRED_PER_ROUND_MAX)
        for row in expired:
            merchant, mode = MerchantId(row["merchant_id"]), Mode(row["mode"])
            async with self._database.transaction([merchant]) as tx:
                if await tx.row(QUERIES["delete_token"], merchant, mode, row["token_id"]) is None:
                    continue
                record = self._recorder.make(
                    Action.VAULT_TOKEN_DELETED,
                    actor="system:expiry",
                    merchant=merchant,
                    mode=mode,
                    thing=row["token_id"],
                    origin=Origin(),
                    now=self._clock.now(),
                    details={"brand": row["brand"], "last4": row["last4"], "reason": "expired"},
                )
                await self._recorder.insert(tx, record)
            self._metrics.tokens_deleted.labels(mode).inc()
        return len(expired)

    async def _find(self, read: ReadOnly, caller: Caller, token_id: str) -> StoredToken:
        _require_form(token_id)
        row = await read.row(QUERIES["token_by_id"], *caller.scope, token_id, self._clock.now())
        if row is None:
            raise TokenUnknown
        return stored_token(row)

    async def _record(
        self,
        tx: Transaction,
        caller: Caller,
        action: Action,
        thing: TokenId | None,
        details: dict[str, str | int] | None = None,
    ) -> None:
        merchant, mode = caller.scope
        record = self._recorder.make(
            action,
            actor=caller.principal.subject,
            merchant=merchant,
            mode=mode,
            thing=thing,
            origin=caller.origin,
            now=self._clock.now(),
            details=details,
        )
        await self._recorder.insert(tx, record)


def _require_form(token_id: str) -> None:
    """What has not a token's form is no token: the database need not be asked, and the text is not kept."""
    if not is_id("tok", token_id):
        raise TokenUnknown
