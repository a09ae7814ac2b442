# SPDX-License-Identifier: Apache-2.0
"""Reads, lists, keeps and deletes tokens; seals and discards CVCs. Each act commits with its audit record."""

from collections.abc import Sequence
from typing import Final

import msgspec

from strongroom.audit import Action, Origin, Recorder
from strongroom.db.pool import Database, Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.telemetry.metrics import VaultMetrics
from strongroom.vault.cards import read_cvc, read_metadata
from strongroom.vault.containers.decision import CallerAccess
from strongroom.vault.containers.feed import RuleFeed
from strongroom.vault.containers.model import DEFAULT_CONTAINER, Access
from strongroom.vault.cvc import CvcEpochs, SealedCvc
from strongroom.vault.errors import TokenUnknown
from strongroom.vault.finding import Caller, Seen, TokenFinder
from strongroom.vault.watching import Way
from strongroom.vault.writes import QUERIES, stored_token

PAGE_ROWS_MAX: Final = 100
EXPIRED_PER_ROUND_MAX: Final = 500
#: After every id, so that the first page begins with the newest.
AFTER_EVERY_ID: Final = "tok_~"


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
        rules: RuleFeed,
        finder: TokenFinder,
    ) -> None:
        self._metrics = metrics
        self._database = database
        self._epochs = epochs
        self._recorder = recorder
        self._clock = clock
        self._rules = rules
        self._finder = finder

    async def read(self, caller: Caller, token_id: str) -> Seen:
        """Return a token, and how much of it the caller is shown.

        Raises:
            TokenUnknown: not there for this tenant and mode.
            AccessRefused: the rules of its container do not let the caller read it.
        """
        await self._finder.named(caller, Way.READ, token_id)
        access = await self._rules.of(caller.principal)
        async with self._database.transaction([caller.principal.merchant]) as tx:
            seen = await self._finder.find(tx, caller, access, token_id, Access.MASK)
            sealed = await self._finder.sealed_details(tx, seen.token)
            await self._finder.record(tx, caller, Action.VAULT_TOKEN_READ, seen.token.token_id)
        return await self._finder.opened(seen, sealed)

    async def list(
        self, caller: Caller, before: str | None, limit: int
    ) -> tuple[Sequence[Seen], str | None]:
        """Return a page of what the caller may read, newest first, and the cursor of the next page if there is one."""
        merchant, mode = caller.scope
        readable = (await self._rules.of(caller.principal)).readable()
        query = "list_tokens" if DEFAULT_CONTAINER in readable else "list_contained"
        async with self._database.transaction([merchant]) as tx:
            rows = await tx.rows(
                QUERIES[query],
                merchant,
                mode,
                before or AFTER_EVERY_ID,
                self._clock.now(),
                limit + 1,
                sorted(readable),
            )
            await self._finder.record(
                tx, caller, Action.VAULT_TOKEN_LISTED, None, {"count": min(len(rows), limit)}
            )
        page = [Seen(token, readable[token.container]) for token in map(stored_token, rows[:limit])]
        return page, page[-1].token.token_id if len(rows) > limit else None

    async def delete(self, caller: Caller, token_id: str) -> None:
        """Delete a token and the identity of its card.

        Raises:
            TokenUnknown: not there for this tenant and mode.
            AccessRefused: the rules of its container do not let the caller use it.
        """
        merchant, mode = caller.scope
        await self._finder.named(caller, Way.CHANGE, token_id)
        access = await self._rules.of(caller.principal)
        async with self._database.transaction([merchant]) as tx:
            token_id = await self._finder.id_of(tx, caller, token_id)
            await self._require_use(tx, caller, access, token_id)
            facts = await _delete(tx, merchant, mode, token_id)
            if facts is None:
                raise TokenUnknown
            await self._finder.record(
                tx, caller, Action.VAULT_TOKEN_DELETED, TokenId(token_id), facts
            )
        self._metrics.tokens_deleted.labels(mode).inc()

    async def keep(self, caller: Caller, token_id: str, metadata: dict[str, str] | None) -> Seen:
        """Make a single-use token lasting.

        Raises:
            TokenUnknown: not there, or its hour is over.
            AccessRefused: the rules of its container do not let the caller use it.
        """
        merchant, mode = caller.scope
        read_metadata(metadata)
        await self._finder.named(caller, Way.CHARGE, token_id)
        access = await self._rules.of(caller.principal)
        async with self._database.transaction([merchant]) as tx:
            token_id = await self._finder.id_of(tx, caller, token_id)
            await self._require_use(tx, caller, access, token_id)
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
            await self._finder.record(tx, caller, Action.VAULT_TOKEN_KEPT, TokenId(token_id))
            token = stored_token(row)
            return Seen(token, access.require(token.container, Access.USE))

    async def seal_cvc(self, caller: Caller, token_id: str, cvc: str) -> SealedCvc:
        """Seal a CVC that was typed again for a stored card.

        Raises:
            TokenUnknown, AccessRefused, Invalid: see each.
        """
        merchant, mode = caller.scope
        await self._finder.named(caller, Way.CHARGE, token_id)
        access = await self._rules.of(caller.principal)
        async with self._database.transaction([merchant]) as tx:
            token = (await self._finder.find(tx, caller, access, token_id, Access.USE)).token
            read_cvc(cvc, token.brand)
            await self._finder.record(tx, caller, Action.VAULT_CVC_SEALED, token.token_id)
        # The record is committed. Crash here: it says sealed, and nobody holds the sealed value.
        return await self._epochs.seal(cvc, mode, merchant, token.token_id)

    async def discard_cvc(self, caller: Caller, token_id: str, sealed: str) -> None:
        """Make a sealed CVC useless.

        Raises:
            TokenUnknown, AccessRefused, CvcInvalid, CvcExpired, CvcUsed: see each.
        """
        merchant, mode = caller.scope
        await self._finder.named(caller, Way.CHARGE, token_id)
        access = await self._rules.of(caller.principal)
        async with self._database.transaction([merchant]) as read:
            token = (await self._finder.find(read, caller, access, token_id, Access.USE)).token
        await self._epochs.discard(
            sealed,
            mode,
            merchant,
            token.token_id,
            actor=caller.principal.subject,
            origin=caller.origin,
        )

    async def delete_expired(self) -> int:
        """Delete tokens whose time is over, and the identities of their cards, of every tenant, with a record each."""
        async with self._database.transaction() as tx:
            await tx.row(QUERIES["be_expiry_job"])
            expired = await tx.rows(QUERIES["expired_tokens"], EXPIRED_PER_ROUND_MAX)
        for row in expired:
            merchant, mode = MerchantId(row["merchant_id"]), Mode(row["mode"])
            async with self._database.transaction([merchant]) as tx:
                facts = await _delete(tx, merchant, mode, row["token_id"], only_expired=True)
                if facts is None:  # another process was faster, or it was kept meanwhile
                    continue
                record = self._recorder.make(
                    Action.VAULT_TOKEN_DELETED,
                    actor="system:expiry",
                    merchant=merchant,
                    mode=mode,
                    thing=row["token_id"],
                    origin=Origin(),
                    now=self._clock.now(),
                    details={**facts, "reason": "expired"},
                )
                await self._recorder.insert(tx, record)
            self._metrics.tokens_deleted.labels(mode).inc()
        async with self._database.transaction() as tx:
            await tx.row(QUERIES["be_expiry_job"])
            await tx.run(QUERIES["expired_cryptograms"])
        return len(expired)

    async def _require_use(
        self, tx: Transaction, caller: Caller, access: CallerAccess, token_id: str
    ) -> None:
        """Refuse a token that the caller may not use, and keep it in its container until the transaction ends."""
        row = await tx.row(QUERIES["container_of_token"], *caller.scope, token_id)
        if row is None:
            raise TokenUnknown
        access.require(row["container"], Access.USE)


async def _delete(
    tx: Transaction, merchant: MerchantId, mode: Mode, token_id: str, *, only_expired: bool = False
) -> dict[str, str | int] | None:
    """Delete a token and the identity of its card; return what a record says of it, None where it is not there."""
    query = QUERIES["delete_expired_token" if only_expired else "delete_token"]
    row = await tx.row(query, merchant, mode, token_id)
    if row is None:
        return None
    if row["fingerprint"] is not None:
        await tx.run(
            QUERIES["delete_identity"],
            merchant,
            mode,
            row["fingerprint_version"],
            row["fingerprint"],
            token_id,
        )
    return {"brand": row["brand"], "last4": row["last4"]}
