# SPDX-License-Identifier: Apache-2.0
"""Makes tokens: reads a card, seals it, and joins the group commit. The clear number lives in one call.

To make a token:
 1. Read the card, the metadata and the idempotency key; refuse before anything is written.
 2. Seal the number, fingerprint it where the caller asked for deduplication, seal the CVC for one use.
 3. Prepare the answer and the audit record.
 4. Commit key, identity, token and record at once; a card that is known starts again at (2) around its token.
"""

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec
from msgspec import UNSET

from strongroom.audit import Action, NewRecord, Origin, Recorder, SeriesMaker
from strongroom.crypto.ids import new_id
from strongroom.crypto.random import random_below
from strongroom.db.errors import ConstraintBroken
from strongroom.db.group_commit import GroupWriter
from strongroom.kernel.clock import Clock, rfc3339
from strongroom.kernel.errors import FieldError, Invalid, StrongroomError
from strongroom.kernel.ids import TokenId
from strongroom.kernel.invariant import Bug
from strongroom.kernel.mode import Mode
from strongroom.kernel.pan_alias import pan_alias
from strongroom.kernel.principal import CallerKind, Principal
from strongroom.vault.cards import read_card, read_metadata
from strongroom.vault.containers.decision import CallerAccess
from strongroom.vault.containers.errors import ContainerUnknown
from strongroom.vault.containers.feed import RuleFeed
from strongroom.vault.containers.model import DEFAULT_CONTAINER, Access
from strongroom.vault.cvc import CvcEpochs, SealedCvc
from strongroom.vault.details import NETWORK_TOKEN, read_details, seal_details, wished_details
from strongroom.vault.errors import AliasTaken
from strongroom.vault.model import StoredToken
from strongroom.vault.pan import Pan
from strongroom.vault.sealing import CardSealer, MerchantKeys
from strongroom.vault.views import fingerprint_text, names_of, view_of
from strongroom.vault.wire import TokenBeside, TokenIn, TokenOut
from strongroom.vault.writes import Elsewhere, TokenRow, TokenWrite, Written

ROUTE: Final = "POST /v1/tokens"
SINGLE_USE_LIFE: Final = timedelta(hours=1)
LIFE_MAX: Final = timedelta(days=30 * 366)
ALIAS_TRIES: Final = 4

_encode: Final = msgspec.json.Encoder().encode
_encode_sorted: Final = msgspec.json.Encoder(order="sorted").encode


class Draft(NamedTuple):
    """A card that was read and may become a token."""

    pan: Pan
    wish: TokenIn
    deduplicate: bool
    #: What is sealed beside the number, in clear.
    details: Mapping[str, object]


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


class Records:
    """The audit records of one call for many tokens: what they share is printed once for each act."""

    def __init__(self, recorder: Recorder, asked: Asked) -> None:
        self._recorder = recorder
        self._asked = asked
        self._series: dict[Action, SeriesMaker] = {}

    def of(self, action: Action) -> SeriesMaker:
        """Return what makes the records of an act."""
        found = self._series.get(action)
        if found is None:
            principal = self._asked.principal
            found = self._recorder.series(
                action,
                actor=principal.subject,
                merchant=principal.merchant,
                mode=principal.mode,
                origin=self._asked.origin,
                now=self._asked.now,
            )
            self._series[action] = found
        return found


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
            records=(made.record,),
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
        records: "Records | None" = None,
    ) -> Made:
        """Prepare a token, or the answer that the card has one: (2) and (3).

        `fingerprint` is the number's, where the caller needed it already; `records` are for many tokens of one call.
        """
        principal = asked.principal
        token = TokenId(new_id("tok")) if known is None else known.token_id
        cvc = self._sealed_cvc(draft, principal.mode, principal, token)
        row = self._row(draft, asked, keys, token, fingerprint) if known is None else None
        kept = _new_view(draft, asked, row) if row is not None else _known_view(known, principal)
        sent = kept
        if cvc is not None:
            kept = msgspec.structs.replace(kept, cvc_state="not_replayable")
            sent = msgspec.structs.replace(
                kept, cvc_state="sealed", cvc=cvc.text, cvc_expires_at=rfc3339(cvc.expires_at)
            )
        action = Action.VAULT_TOKEN_CREATED if known is None else Action.VAULT_TOKEN_DEDUPLICATED
        details = {"brand": kept.brand, "cvc_state": sent.cvc_state, "last4": draft.pan.last4}
        if records is not None:
            record = records.of(action)(token, details)
        else:
            record = self.recorder.make(
                action,
                actor=principal.subject,
                merchant=principal.merchant,
                mode=principal.mode,
                thing=token,
                origin=asked.origin,
                now=asked.now,
                details=details,
            )
        return Made(kept, sent, row, record)

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


def container_of(wish: TokenBeside) -> str:
    """Return where a token is to stand."""
    return DEFAULT_CONTAINER if wish.container is None else wish.container


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
    public = asked.principal.kind is CallerKind.PUBLIC
    pan = read_card(wish.card, asked.principal.mode, asked.now, f"{at}/card")
    read_metadata(wish.metadata, f"{at}/metadata")
    if public:
        _require_plain(wish, at)
    details = read_beside(wish, asked.now, at)
    return Draft(pan, wish, wish.deduplicate and not public, details)


def read_beside(wish: TokenBeside, now: datetime, at: str = "") -> Mapping[str, object]:
    """Check what is wished for beside card and metadata; return what of it is to be sealed, in clear, by field.

    Raises:
        Invalid: with every field that is wrong.
    """
    read_end(wish.expires_at, now, f"{at}/expires_at")
    details = wished_details(wish, now)
    if details:
        read_details(
            holder=wish.holder,
            address=wish.billing_address,
            network_token=wish.network_token,
            stored=wish.stored_credential,
            now=now,
            at=at,
        )
    return details


def _require_plain(wish: TokenIn, at: str) -> None:
    """What a public key makes lives an hour in `default`; what makes it more is a secret key's to add."""
    wrong = [
        FieldError(f"{at}/{name}", "not_for_public_keys", "a public key cannot ask for this")
        for name, asked_for in (
            ("container", container_of(wish) != DEFAULT_CONTAINER),
            ("expires_at", wish.expires_at is not None),
            ("alias", wish.alias),
            ("network_token", wish.network_token is not None),
            ("stored_credential", wish.stored_credential is not None),
        )
        if asked_for
    ]
    if wrong:
        raise Invalid(*wrong)


def read_end(moment: datetime | None, now: datetime, at: str) -> None:
    """Check the moment at which a token is to be deleted.

    Raises:
        Invalid: it names no time zone, is past, or is further ahead than anybody means.
    """
    if moment is None:
        return
    if moment.tzinfo is None or not now < moment <= now + LIFE_MAX:
        raise Invalid(
            FieldError(
                at, "moment_out_of_range", "a moment with its zone, within 30 years from now"
            )
        )


def canonical(wish: TokenIn, draft: Draft) -> bytes:
    """Return the body in one form whatever its spelling, with the CVC left out, for its keyed fingerprint."""
    card = wish.card
    plain = (card.number, card.exp_month, card.exp_year, draft.deduplicate, wish.metadata or {})
    more = (
        None if wish.container == DEFAULT_CONTAINER else wish.container,
        wish.expires_at,
        wish.alias or None,
        wish.holder,
        wish.billing_address,
        wish.network_token,
        wish.stored_credential,
    )
    return _encode_sorted((*plain, *more) if any(more) else plain)


def _known_view(known: StoredToken | None, principal: Principal) -> TokenOut:
    if known is None:
        raise Bug("a card has a row or a token")
    return view_of(known, deduplicated=True, caller=principal.kind)


def _new_view(draft: Draft, asked: Asked, row: TokenRow) -> TokenOut:
    return TokenOut(
        id=row.token,
        object="token",
        mode=asked.principal.mode,
        brand=row.brand,
        bin=row.bin,
        last4=row.last4,
        exp_month=row.exp_month,
        exp_year=row.exp_year,
        single_use=row.single_use,
        deduplicated=False,
        created_at=rfc3339(row.created_at),
        expires_at=None if row.expires_at is None else rfc3339(row.expires_at),
        metadata=draft.wish.metadata or {},
        cvc_state="absent",
        container=row.container or DEFAULT_CONTAINER,
        kind=row.kind or UNSET,
        pan_alias=row.pan_alias or UNSET,
        fingerprint=fingerprint_text(
            row.fingerprint, row.fingerprint_version, asked.principal.kind
        ),
        details=names_of([each.field for each in row.details]),
    )
