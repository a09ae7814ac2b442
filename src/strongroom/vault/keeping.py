# SPDX-License-Identifier: Apache-2.0
"""What a first successful payment does to a token: it lasts, and what was agreed to is sealed beside its card."""

from collections.abc import Mapping
from typing import Final

from strongroom.audit import Action, Origin, Recorder
from strongroom.db.errors import ConstraintBroken
from strongroom.db.pool import Database, Transaction
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.vault.calls import StoredCredentialFacts
from strongroom.vault.details import STORED_CREDENTIAL, DetailSealer, SealedDetail
from strongroom.vault.errors import TokenUnknown
from strongroom.vault.wire import StoredCredential
from strongroom.vault.writes import QUERIES

_NOTHING: Final[Mapping[str, str | int]] = {}


class Keeper:
    """Keeps tokens for payments. Each change commits with its record."""

    def __init__(
        self, database: Database, details: DetailSealer, recorder: Recorder, clock: Clock
    ) -> None:
        self._database = database
        self._details = details
        self._recorder = recorder
        self._clock = clock

    async def last(self, merchant: MerchantId, mode: Mode, token: TokenId, actor: str) -> bool:
        """Make a single-use token lasting; false where there is none whose hour is not over."""
        async with self._database.transaction([merchant]) as tx:
            changed = await tx.row(
                QUERIES["make_lasting"], merchant, mode, token, self._clock.now()
            )
            if changed is not None:
                await self._record(tx, Action.VAULT_TOKEN_KEPT, (merchant, mode), token, actor)
        return changed is not None

    async def agree(
        self,
        merchant: MerchantId,
        mode: Mode,
        token: TokenId,
        actor: str,
        agreed: StoredCredentialFacts,
    ) -> None:
        """Seal what was agreed to beside a card. The words of a mandate that stands there stay.

        Raises:
            TokenUnknown: it went meanwhile.
        """
        async with self._database.transaction([merchant]) as read:
            rows = await read.rows(QUERIES["details_of_token"], merchant, mode, token)
        there = await self._details.open(
            [SealedDetail(row["field"], row["sealed"], row["key_version"]) for row in rows],
            mode,
            merchant,
            token,
        )
        kept = _merged(there.stored_credential, agreed)
        if kept == there.stored_credential:
            return
        sealed = await self._details.seal({STORED_CREDENTIAL: kept}, mode, merchant, token)
        try:
            async with self._database.transaction([merchant]) as tx:
                for row in sealed:
                    await tx.run(QUERIES["put_detail"], merchant, mode, token, *row)
                facts = {"operation": STORED_CREDENTIAL}
                await self._record(
                    tx, Action.VAULT_TOKEN_CHANGED, (merchant, mode), token, actor, facts
                )
        except ConstraintBroken:
            raise TokenUnknown from None

    async def _record(
        self,
        tx: Transaction,
        action: Action,
        scope: tuple[MerchantId, Mode],
        token: TokenId,
        actor: str,
        details: Mapping[str, str | int] = _NOTHING,
    ) -> None:
        record = self._recorder.make(
            action,
            actor=actor,
            merchant=scope[0],
            mode=scope[1],
            thing=token,
            origin=Origin(),
            now=self._clock.now(),
            details=details,
        )
        await self._recorder.insert(tx, record)


def _merged(before: StoredCredential | None, agreed: StoredCredentialFacts) -> StoredCredential:
    """Return what is kept: the newer agreement, with whatever it does not say of the one before."""
    told = agreed.scheme_transaction_id
    if told is not None and has_cardlike(told):
        told = None  # what looks like a card number rests nowhere but in a card's own place
    if before is not None and told in (None, before.scheme_transaction_id):
        return before
    return StoredCredential(
        "merchant" if agreed.initiator == "merchant" else "customer",
        told,
        None if before is None else before.mandate_reference,
        None if before is None else before.mandate_text,
        agreed.agreed_at,
    )
