# SPDX-License-Identifier: Apache-2.0
"""Makes tokens: reads a card, seals it, and joins the group commit. The clear number lives in one call.

To make a token:
 1. Read the card, the metadata and the idempotency key; refuse before anything is written.
 2. Seal the number, fingerprint it where the caller asked for deduplication, seal the CVC for one use.
 3. Prepare the answer and the audit record.
 4. Commit key, identity, token and record at once; a card that is known starts again at (2) around its token.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from strongroom.audit import Action, NewRecord, Origin, Recorder
from strongroom.crypto.ids import new_id
from strongroom.db.group_commit import GroupWriter
from strongroom.kernel.clock import Clock, rfc3339
from strongroom.kernel.ids import TokenId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import CallerKind, Principal
from strongroom.vault.cards import read_card, read_metadata
from strongroom.vault.containers.feed import RuleFeed
from strongroom.vault.containers.model import DEFAULT_CONTAINER
from strongroom.vault.cvc import CvcEpochs, SealedCvc
from strongroom.vault.model import StoredToken
from strongroom.vault.pan import Pan
from strongroom.vault.sealing import CardSealer, MerchantKeys
from strongroom.vault.wire import TokenIn, TokenOut
from strongroom.vault.writes import Elsewhere, TokenRow, TokenWrite, Written

ROUTE: Final = "POST /v1/tokens"
SINGLE_USE_LIFE: Final = timedelta(hours=1)

_encode: Final = msgspec.json.Encoder().encode
_encode_sorted: Final = msgspec.json.Encoder(order="sorted").encode


class Draft(NamedTuple):
    """A card that was read and may become a token."""

    pan: Pan
    wish: TokenIn
    deduplicate: bool


class Made(NamedTuple):
    """A token as it will be, its row and its record; `row` is None where the card has that token already."""

    kept: TokenOut
    sent: TokenOut
    row: TokenRow | None
    record: NewRecord


class Asked(NamedTuple):
    """Who asks for tokens, and whence."""

    principal: Principal
    origin: Origin
    key: str
    now: datetime
    #: The request's id: marks the idempotency row as this writer's.
    claim: str


class TokenMaker:
    """Makes tokens for the vault's routes."""

    def __init__(
        self,
        *,
        sealer: CardSealer,
        epochs: CvcEpochs,
        recorder: Recorder,
        writer: GroupWriter[TokenWrite, Written],
        clock: Clock,
        rules: RuleFeed,
    ) -> None:
        self.clock = clock
        self.recorder = recorder
        self.rules = rules
        self._sealer = sealer
        self._epochs = epochs
        self._writer = writer

    async def create(self, wish: TokenIn, asked: Asked) -> Written:
        """Make one token.

        Raises:
            Invalid, AccessRefused, ContainerUnknown, IdempotencyMismatch, Unavailable: see each; nothing was written.
        """
        draft = read_wish(wish, asked)  # (1)
        access = await self.rules.of(asked.principal)
        access.require_target(DEFAULT_CONTAINER)
        principal = asked.principal
        keys = self._sealer.recent(principal.merchant, principal.mode) or await self._sealer.keys(
            principal.merchant, principal.mode
        )
        if wish.card.cvc is not None:
            await self._epochs.ready()
        fingerprint = keys.request_fingerprint(canonical(wish, draft))
        return await self._writer.write(
            self._one(draft, asked, keys, fingerprint, known=None)
        )  # (4)

    def _one(
        self,
        draft: Draft,
        asked: Asked,
        keys: MerchantKeys,
        fingerprint: bytes,
        *,
        known: StoredToken | None,
    ) -> TokenWrite:
        made = self.make(draft, asked, keys, known=known)

        def rebuild(found: Mapping[int, StoredToken]) -> TokenWrite:
            return self._one(draft, asked, keys, fingerprint, known=found[0])

        kept = _encode(made.kept)
        return TokenWrite(
            merchant=asked.principal.merchant,
            mode=asked.principal.mode,
            route=ROUTE,
            key=asked.key,
            claim=asked.claim,
            fingerprint=fingerprint,
            status=201 if known is None else 200,
            object_id=made.kept.id,
            response=kept,
            answer=kept if made.sent is made.kept else _encode(made.sent),
            tokens=() if made.row is None else (made.row,),
            records=(made.record,),
            rebuild=rebuild,
            elsewhere=known_by(keys, draft, made, 0),
            fingerprints_before=keys.request_fingerprints_before(canonical(draft.wish, draft))
            if keys.idempotency_before
            else (),
        )

    def make(
        self, draft: Draft, asked: Asked, keys: MerchantKeys, *, known: StoredToken | None
    ) -> Made:
        """Prepare a token, or the answer that the card has one: (2) and (3)."""
        principal = asked.principal
        token = TokenId(new_id("tok")) if known is None else known.token_id
        cvc = self._sealed_cvc(draft, principal.mode, principal, token)
        kept = (
            self._new_view(draft, asked, token)
            if known is None
            else view_of(known, deduplicated=True)
        )
        sent = kept
        if cvc is not None:
            kept = msgspec.structs.replace(kept, cvc_state="not_replayable")
            sent = msgspec.structs.replace(
                kept, cvc_state="sealed", cvc=cvc.text, cvc_expires_at=rfc3339(cvc.expires_at)
            )
        record = self.recorder.make(
            Action.VAULT_TOKEN_CREATED if known is None else Action.VAULT_TOKEN_DEDUPLICATED,
            actor=principal.subject,
            merchant=principal.merchant,
            mode=principal.mode,
            thing=token,
            origin=asked.origin,
            now=asked.now,
            details={"brand": kept.brand, "cvc_state": sent.cvc_state, "last4": kept.last4},
        )
        row = self._row(draft, asked, keys, token) if known is None else None
        return Made(kept, sent, row, record)

    def _row(self, draft: Draft, asked: Asked, keys: MerchantKeys, token: TokenId) -> TokenRow:
        principal, pan, wish = asked.principal, draft.pan, draft.wish
        single_use = principal.kind is CallerKind.PUBLIC
        return TokenRow(
            token=token,
            sealed=keys.sealed(pan, principal.mode, principal.merchant, token),
            key_version=keys.card.version,
            brand=pan.scheme.name,
            bin=pan.bin,
            last4=pan.last4,
            exp_month=wish.card.exp_month,
            exp_year=wish.card.exp_year,
            fingerprint=keys.fingerprinted(pan) if draft.deduplicate else None,
            fingerprint_version=keys.fingerprint.version if draft.deduplicate else None,
            single_use=single_use,
            expires_at=asked.now + SINGLE_USE_LIFE if single_use else None,
            metadata=_encode_sorted(wish.metadata).decode() if wish.metadata else None,
            created_by=principal.subject,
            created_at=asked.now,
        )

    def _new_view(self, draft: Draft, asked: Asked, token: TokenId) -> TokenOut:
        wish, pan = draft.wish, draft.pan
        single_use = asked.principal.kind is CallerKind.PUBLIC
        return TokenOut(
            id=token,
            object="token",
            mode=asked.principal.mode,
            brand=pan.scheme.name,
            bin=pan.bin,
            last4=pan.last4,
            exp_month=wish.card.exp_month,
            exp_year=wish.card.exp_year,
            single_use=single_use,
            deduplicated=False,
            created_at=rfc3339(asked.now),
            expires_at=rfc3339(asked.now + SINGLE_USE_LIFE) if single_use else None,
            metadata=wish.metadata or {},
            cvc_state="absent",
        )

    def _sealed_cvc(
        self, draft: Draft, mode: Mode, principal: Principal, token: TokenId
    ) -> SealedCvc | None:
        cvc = draft.wish.card.cvc
        if cvc is None:
            return None
        return self._epochs.seal_now(cvc, mode, principal.merchant, token)

    async def prepare(self, principal: Principal, wishes: Sequence[TokenIn]) -> MerchantKeys:
        """Open the keys that a call for many tokens needs."""
        if any(wish.card.cvc is not None for wish in wishes):
            await self._epochs.ready()
        return await self._sealer.keys(principal.merchant, principal.mode)


def known_by(keys: MerchantKeys, draft: Draft, made: Made, item: int) -> Sequence[Elsewhere]:
    """Return what a new token's card may be known by while cards move to another fingerprint key."""
    if not keys.fingerprints_elsewhere or made.row is None or made.row.fingerprint is None:
        return ()
    elsewhere = keys.elsewhere(draft.pan)
    _, lock = min([*elsewhere, (keys.fingerprint.version, made.row.fingerprint)])
    return [Elsewhere(item, version, fingerprint, lock) for version, fingerprint in elsewhere]


def read_wish(wish: TokenIn, asked: Asked, at: str = "") -> Draft:
    """Check a wish for a token. A public key is never told of another token, so it cannot deduplicate.

    Raises:
        Invalid: with every field that is wrong.
    """
    pan = read_card(wish.card, asked.principal.mode, asked.now, f"{at}/card")
    read_metadata(wish.metadata, f"{at}/metadata")
    return Draft(pan, wish, wish.deduplicate and asked.principal.kind is not CallerKind.PUBLIC)


def canonical(wish: TokenIn, draft: Draft) -> bytes:
    """Return the body in one form whatever its spelling, with the CVC left out, for its keyed fingerprint."""
    card = wish.card
    return _encode_sorted(
        (card.number, card.exp_month, card.exp_year, draft.deduplicate, wish.metadata or {})
    )


def view_of(token: StoredToken, *, deduplicated: bool = False) -> TokenOut:
    """Return what may be shown of a stored token."""
    return TokenOut(
        id=token.token_id,
        object="token",
        mode=token.mode,
        brand=token.brand,
        bin=token.bin,
        last4=token.last4,
        exp_month=token.exp_month,
        exp_year=token.exp_year,
        single_use=token.single_use,
        deduplicated=deduplicated,
        created_at=rfc3339(token.created_at),
        expires_at=rfc3339(token.expires_at) if token.expires_at else None,
        metadata=token.metadata,
        cvc_state="absent",
    )
