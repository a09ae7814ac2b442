# SPDX-License-Identifier: Apache-2.0
"""Makes tokens: reads a card, seals it, and joins the group commit. The clear number lives in one call.

To make a token:
 1. Read the card, the metadata and the idempotency key; refuse before anything is written.
 2. Seal the number, fingerprint it where the caller asked for deduplication, seal the CVC for one use.
 3. Prepare the answer, and its audit record (`vault.made`).
 4. Commit key, identity, token and record at once; a card that is known starts again at (2) around its token.
"""

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

import msgspec
from msgspec import UNSET

from strongroom.audit import Recorder
from strongroom.crypto.ids import new_id
from strongroom.crypto.random import random_below
from strongroom.db.errors import ConstraintBroken
from strongroom.db.group_commit import GroupWriter
from strongroom.kernel.clock import Clock, rfc3339
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.ids import TokenId
from strongroom.kernel.invariant import Bug
from strongroom.kernel.pan_alias import pan_alias
from strongroom.kernel.principal import CallerKind, Principal
from strongroom.vault.containers.decision import CallerAccess
from strongroom.vault.containers.errors import ContainerUnknown
from strongroom.vault.containers.feed import RuleFeed
from strongroom.vault.containers.model import DEFAULT_CONTAINER, Access
from strongroom.vault.cvc import CvcEpochs
from strongroom.vault.details import NETWORK_TOKEN, seal_details
from strongroom.vault.errors import AliasTaken
from strongroom.vault.made import Made, record_of
from strongroom.vault.model import StoredToken
from strongroom.vault.pan import Pan
from strongroom.vault.sealing import CardSealer, MerchantKeys
from strongroom.vault.views import fingerprint_text, names_of, view_of
from strongroom.vault.wire import TokenIn, TokenOut
from strongroom.vault.wishes import Asked, Draft, canonical, container_of, read_wish
from strongroom.vault.writes import Elsewhere, TokenRow, TokenWrite, Written

ROUTE: Final = "POST /v1/tokens"
SINGLE_USE_LIFE: Final = timedelta(hours=1)
ALIAS_TRIES: Final = 4

_encode: Final = msgspec.json.Encoder().encode
_encode_sorted: Final = msgspec.json.Encoder(order="sorted").encode


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
        access.require_target(container_of(wish))
        principal = asked.principal
        keys = self._sealer.recent(principal.merchant, principal.mode) or await self._sealer.keys(
            principal.merchant, principal.mode
        )
        if wish.card.cvc is not None:
            await self._epochs.ready()
        fingerprint = keys.request_fingerprint(canonical(wish, draft))

        def one(known: StoredToken | None) -> TokenWrite:
            return self._one(draft, asked, keys, fingerprint, known=known, access=access)

        return await written_anew(lambda: self._writer.write(one(None)))  # (4)

    def _one(
        self,
        draft: Draft,
        asked: Asked,
        keys: MerchantKeys,
        fingerprint: bytes,
        *,
        known: StoredToken | None,
        access: CallerAccess,
    ) -> TokenWrite:
        if known is not None:
            access.require(known.container, Access.USE)
        made = self.make(draft, asked, keys, known=known)

        def rebuild(found: Mapping[int, StoredToken]) -> TokenWrite:
            return self._one(draft, asked, keys, fingerprint, known=found[0], access=access)

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
            records=(record_of(made, asked, self.recorder),),  # (3)
            deduplicated=int(made.row is None),
            rebuild=rebuild,
            elsewhere=known_by(keys, draft, made, 0),
            fingerprints_before=keys.request_fingerprints_before(canonical(draft.wish, draft))
            if keys.idempotency_before
            else (),
        )

    def make(
        self,
        draft: Draft,
        asked: Asked,
        keys: MerchantKeys,
        *,
        known: StoredToken | None,
        fingerprint: bytes | None = None,
        token: TokenId | None = None,
    ) -> Made:
        """Prepare a token, or the answer that the card has one: (2), and the answer of (3).

        `fingerprint` is the number's, where the caller needed it already; `token` is the next id for one of many.
        """
        principal = asked.principal
        if known is not None:
            token = known.token_id
        elif token is None:
            token = TokenId(new_id("tok"))
        cvc = None
        if draft.wish.card.cvc is not None:
            cvc = self._epochs.seal_now(
                draft.wish.card.cvc, principal.mode, principal.merchant, token
            )
        row = self._row(draft, asked, keys, token, fingerprint) if known is None else None
        kept = _new_view(draft, asked, row) if row is not None else _known_view(known, principal)
        sent = kept
        if cvc is not None:
            kept = msgspec.structs.replace(kept, cvc_state="not_replayable")
            sent = msgspec.structs.replace(
                kept, cvc_state="sealed", cvc=cvc.text, cvc_expires_at=rfc3339(cvc.expires_at)
            )
        return Made(kept, sent, row, draft.pan.last4)

    def _row(
        self,
        draft: Draft,
        asked: Asked,
        keys: MerchantKeys,
        token: TokenId,
        fingerprint: bytes | None,
    ) -> TokenRow:
        principal, pan, wish = asked.principal, draft.pan, draft.wish
        single_use = principal.kind is CallerKind.PUBLIC
        # In the order of the fields: a row a card, and keywords cost as much as the row.
        return TokenRow(
            token,
            keys.sealed(pan, principal.mode, principal.merchant, token),
            keys.card.version,
            pan.scheme.name,
            pan.bin,
            pan.last4,
            wish.card.exp_month,
            wish.card.exp_year,
            (fingerprint or keys.fingerprinted(pan)) if draft.deduplicate else None,
            keys.fingerprint.version if draft.deduplicate else None,
            single_use,
            asked.now + SINGLE_USE_LIFE if single_use else wish.expires_at,
            _encode_sorted(wish.metadata).decode() if wish.metadata else None,
            principal.subject,
            asked.now,
            None if wish.container == DEFAULT_CONTAINER else wish.container,
            None if wish.network_token is None else NETWORK_TOKEN,
            new_alias(pan) if wish.alias else None,
            seal_details(
                draft.details,
                keys.card.version,
                keys.sealer,
                principal.mode,
                principal.merchant,
                token,
            )
            if draft.details
            else (),
        )

    async def prepare(self, principal: Principal, wishes: Sequence[TokenIn]) -> MerchantKeys:
        """Open the keys that a call for many tokens needs."""
        if any(wish.card.cvc is not None for wish in wishes):
            await self._epochs.ready()
        return await self._sealer.keys(principal.merchant, principal.mode)


async def written_anew(write: Callable[[], Awaitable[Written]]) -> Written:
    """Write; an alias that is taken is drawn again, which happens once in millions of times.

    Raises:
        ContainerUnknown: it ended while the token was on its way.
        ConstraintBroken: something else is wrong with a row.
    """
    for _ in range(ALIAS_TRIES - 1):
        with contextlib.suppress(AliasTaken):
            return await _written(write)
    return await _written(write)


async def _written(write: Callable[[], Awaitable[Written]]) -> Written:
    try:
        return await write()
    except ConstraintBroken as broken:
        raise said(broken) from None


def said(broken: ConstraintBroken) -> StrongroomError:
    """Return what a broken constraint of a token's row means."""
    if broken.constraint == "token_container":
        return ContainerUnknown()
    return AliasTaken() if broken.constraint == "token_pan_alias" else broken


def new_alias(pan: Pan) -> str:
    """Draw an alias for a card."""
    return pan_alias(pan.digits, pan.last4, random_below)


def known_by(keys: MerchantKeys, draft: Draft, made: Made, item: int) -> Sequence[Elsewhere]:
    """Return what a new token's card may be known by while cards move to another fingerprint key."""
    if not keys.fingerprints_elsewhere or made.row is None or made.row.fingerprint is None:
        return ()
    elsewhere = keys.elsewhere(draft.pan)
    _, lock = min([*elsewhere, (keys.fingerprint.version, made.row.fingerprint)])
    return [Elsewhere(item, version, fingerprint, lock) for version, fingerprint in elsewhere]


def _known_view(known: StoredToken | None, principal: Principal) -> TokenOut:
    if known is None:
        raise Bug("a card has a row or a token")
    return view_of(known, deduplicated=True, caller=principal.kind)


def _new_view(draft: Draft, asked: Asked, row: TokenRow) -> TokenOut:
    # In the order of the fields, likewise: keywords cost five times as much.
    return TokenOut(
        row.token,
        "token",
        asked.principal.mode,
        row.brand,
        row.bin,
        row.last4,
        row.exp_month,
        row.exp_year,
        row.single_use,
        False,  # deduplicated
        rfc3339(row.created_at),
        None if row.expires_at is None else rfc3339(row.expires_at),
        draft.wish.metadata or {},
        "absent",  # a CVC
        None,
        None,
        row.container or DEFAULT_CONTAINER,
        row.kind or UNSET,
        row.pan_alias or UNSET,
        fingerprint_text(row.fingerprint, row.fingerprint_version, asked.principal.kind),
        names_of([each.field for each in row.details]) if row.details else UNSET,
    )
