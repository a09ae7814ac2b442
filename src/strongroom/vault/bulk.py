# SPDX-License-Identifier: Apache-2.0
"""Up to 1,000 tokens a call: each item a result of its own, everything written in one transaction.

A card that stands twice in one call and wants deduplication is folded here: the second gets the first's token.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from strongroom.crypto.ids import new_ids
from strongroom.db.group_commit import GroupWriter
from strongroom.http.problems import UNDECODABLE, decoding_error
from strongroom.kernel.errors import Invalid, Refused, StrongroomError
from strongroom.kernel.ids import TokenId
from strongroom.vault.containers.decision import CallerAccess
from strongroom.vault.containers.errors import AccessRefused
from strongroom.vault.containers.model import Access
from strongroom.vault.create import TokenMaker, known_by, written_anew
from strongroom.vault.kept import kept_form, printed_again
from strongroom.vault.made import Made, records_of
from strongroom.vault.model import StoredToken
from strongroom.vault.sealing import MerchantKeys
from strongroom.vault.wire import ItemProblem, TokenIn, TokenItem, TokensIn, TokensOut
from strongroom.vault.wishes import Asked, Draft, canonical, container_of, read_wish
from strongroom.vault.writes import TokenWrite, Written

ROUTE: Final = "POST /v1/tokens/bulk"
ITEMS_AT_ONCE: Final = 32

_decode_item: Final = msgspec.json.Decoder(TokenIn).decode
_encode: Final = msgspec.json.Encoder().encode


class _Item(NamedTuple):
    """One item that was read: a draft or what is wrong with it."""

    at: int
    draft: Draft | None
    problem: ItemProblem | None
    canonical: bytes


class BulkMaker:
    """Makes many tokens a call."""

    def __init__(self, maker: TokenMaker, writer: GroupWriter[TokenWrite, Written]) -> None:
        self._maker = maker
        self._writer = writer

    async def create(self, wishes: TokensIn, asked: Asked) -> Written:
        """Make the tokens that can be made and say what is wrong with the others.

        Raises:
            IdempotencyMismatch, Unavailable: see each; nothing was written.
        """
        access = await self._maker.rules.of(asked.principal)
        items: list[_Item] = []
        for index, raw in enumerate(wishes.tokens):
            items.append(_read(index, raw, asked, access))
            await _let_others_go(index)
        drafts = [item.draft for item in items if item.draft is not None]
        keys = await self._maker.prepare(asked.principal, [draft.wish for draft in drafts])
        fingerprint = keys.request_fingerprint(b"\n".join(item.canonical for item in items))

        async def write() -> Written:
            makings = _Makings(self._maker, asked, keys, {}, access, len(drafts))
            for item in items:
                makings.add(item)
                await _let_others_go(item.at)
            return await self._writer.write(self._write(items, makings, fingerprint))

        written = await written_anew(write)
        if written.replayed:
            return written._replace(answer=printed_again(written.answer))
        return written

    def _write(self, items: Sequence[_Item], makings: "_Makings", fingerprint: bytes) -> TokenWrite:
        made, asked = makings.made, makings.asked
        origins = [index for index, each in made.items() if each.row is not None]

        def rebuild(found: Mapping[int, StoredToken]) -> TokenWrite:
            known = dict(makings.known)
            for place, token in found.items():
                draft = items[origins[place]].draft
                if draft is not None:
                    known[makings.keys.fingerprinted(draft.pan)] = token
            again = _Makings(self._maker, asked, makings.keys, known, makings.access, len(items))
            for item in items:
                again.add(item)
            return self._write(items, again, fingerprint)

        result = _result(items, makings, sent=True)
        answer = printed = _encode(result)
        # Only a sealed CVC is told once and not kept: hardly any call for many tokens has one.
        if any(each.sent is not each.kept for each in made.values()):
            result = _result(items, makings, sent=False)
            printed = _encode(result)
        return TokenWrite(
            merchant=asked.principal.merchant,
            mode=asked.principal.mode,
            route=ROUTE,
            key=asked.key,
            claim=asked.claim,
            fingerprint=fingerprint,
            status=200,
            object_id=None,
            response=kept_form(result, printed),
            answer=answer,
            tokens=[each.row for each in made.values() if each.row is not None],
            records=records_of(list(made.values()), asked, self._maker.recorder),
            deduplicated=len(made) - len(origins),
            rebuild=rebuild,
            elsewhere=[
                known
                for place, index in enumerate(
                    origins if makings.keys.fingerprints_elsewhere else ()
                )
                if (draft := items[index].draft) is not None
                for known in known_by(makings.keys, draft, made[index], place)
            ],
            fingerprints_before=makings.keys.request_fingerprints_before(
                b"\n".join(item.canonical for item in items)
            )
            if makings.keys.idempotency_before
            else (),
        )


class _Makings:
    """What the good items of a call become, and which of them repeat the card of an earlier one."""

    def __init__(
        self,
        maker: TokenMaker,
        asked: Asked,
        keys: MerchantKeys,
        known: Mapping[bytes, StoredToken],
        access: CallerAccess,
        expected: int,
    ) -> None:
        # `expected`: how many items may become tokens.
        self.access = access
        self._maker = maker
        self.asked = asked
        self.keys = keys
        #: What the caller may not have although its card is there.
        self.refused: dict[int, ItemProblem] = {}
        #: Cards that turned out to have tokens, by their fingerprint.
        self.known = known
        self.made: dict[int, Made] = {}
        self.twice: dict[int, int] = {}
        self._seen: dict[bytes, int] = {}
        self._ids = iter(new_ids("tok", expected))

    def add(self, item: _Item) -> None:
        """Prepare one item's token, unless an earlier item has the same card."""
        if item.draft is None:
            return
        known = identity = None
        if item.draft.deduplicate:
            identity = self.keys.fingerprinted(item.draft.pan)
            if identity in self._seen:
                self.twice[item.at] = self._seen[identity]
                return
            self._seen[identity] = item.at
            known = self.known.get(identity)
            if known is not None:
                try:
                    self.access.require(known.container, Access.USE)
                except AccessRefused as error:
                    self.refused[item.at] = _problem(error)
                    return
        self.made[item.at] = self._maker.make(
            item.draft,
            self.asked,
            self.keys,
            known=known,
            fingerprint=identity,
            token=TokenId(next(self._ids)) if known is None else None,
        )


async def _let_others_go(index: int) -> None:
    """A thousand cards are tens of milliseconds of work: single requests pass in between."""
    if index % ITEMS_AT_ONCE == ITEMS_AT_ONCE - 1:
        await asyncio.sleep(0)


def _read(index: int, raw: msgspec.Raw, asked: Asked, access: CallerAccess) -> _Item:
    try:
        wish = _decode_item(raw)
    except UNDECODABLE as error:
        return _refused(index, decoding_error(error))
    try:
        draft = read_wish(wish, asked)
        access.require_target(container_of(wish))
    except Refused as error:
        return _refused(index, error)
    return _Item(index, draft, None, canonical(wish, draft))


def _refused(index: int, error: StrongroomError) -> _Item:
    """Stand for a refused item by its problem: its text may hold a CVC, which enters no fingerprint."""
    problem = _problem(error)
    return _Item(index, None, problem, _encode(problem))


def _problem(error: StrongroomError) -> ItemProblem:
    fields = error.errors if isinstance(error, Invalid) else ()
    return ItemProblem(
        error.code,
        error.detail,
        [{"pointer": each.pointer, "code": each.code, "detail": each.detail} for each in fields],
    )


def _result(items: Sequence[_Item], makings: _Makings, *, sent: bool) -> TokensOut:
    data: list[TokenItem] = []
    for item in items:
        repeats = makings.twice.get(item.at)
        place = item.at if repeats is None else repeats
        problem = item.problem or makings.refused.get(place)
        if problem is not None:
            data.append(TokenItem(item.at, problem=problem))
            continue
        first = makings.made[place]
        token = first.sent if sent else first.kept
        if repeats is not None:
            token = msgspec.structs.replace(
                token, deduplicated=True, cvc=None, cvc_expires_at=None, cvc_state="absent"
            )
        data.append(TokenItem(item.at, token=token))
    refused = sum(1 for each in data if each.problem is not None)
    return TokensOut("list", len(items) - refused, refused, data)
