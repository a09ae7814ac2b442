# SPDX-License-Identifier: Apache-2.0
"""Up to 1,000 tokens a call: each item a result of its own, everything written in one transaction.

A card that stands twice in one call and wants deduplication is folded here: the second gets the first's token.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from strongroom.db.group_commit import GroupWriter
from strongroom.http.problems import UNDECODABLE, decoding_error
from strongroom.kernel.errors import Invalid, StrongroomError
from strongroom.vault.create import Asked, Draft, Made, TokenMaker, canonical, read_wish
from strongroom.vault.model import StoredToken
from strongroom.vault.sealing import MerchantKeys
from strongroom.vault.wire import ItemProblem, TokenIn, TokenItem, TokensIn, TokensOut
from strongroom.vault.writes import TokenWrite, Written

ROUTE: Final = "POST /v1/tokens/bulk"

_decode_item: Final = msgspec.json.Decoder(TokenIn).decode
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class _Item:
    """One item that was read: a draft or what is wrong with it."""

    index: int
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
        items = [_read(index, raw, asked) for index, raw in enumerate(wishes.tokens)]
        drafts = [item.draft for item in items if item.draft is not None]
        keys = await self._maker.prepare(asked.principal, [draft.wish for draft in drafts])
        fingerprint = keys.request_fingerprint(b"\n".join(item.canonical for item in items))
        write = self._write(items, asked, keys, fingerprint, {})
        return await self._writer.write(write)

    def _write(
        self,
        items: Sequence[_Item],
        asked: Asked,
        keys: MerchantKeys,
        fingerprint: bytes,
        known: Mapping[bytes, StoredToken],
    ) -> TokenWrite:
        made, twice = self._made(items, asked, keys, known)
        rows = [each.row for each in made.values() if each.row is not None]
        origins = [index for index, each in made.items() if each.row is not None]
        kept = _encode(_result(items, made, twice, sent=False))
        sent = _encode(_result(items, made, twice, sent=True))
        records = [each.record for each in made.values()]

        def rebuild(found: Mapping[int, StoredToken]) -> TokenWrite:
            more = dict(known)
            for place, token in found.items():
                draft = items[origins[place]].draft
                if draft is not None:
                    more[keys.fingerprinted(draft.pan)] = token
            return self._write(items, asked, keys, fingerprint, more)

        return TokenWrite(
            merchant=asked.principal.merchant,
            mode=asked.principal.mode,
            route=ROUTE,
            key=asked.key,
            claim=asked.claim,
            fingerprint=fingerprint,
            status=200,
            object_id=None,
            response=kept,
            answer=sent,
            tokens=rows,
            records=records,
            rebuild=rebuild,
        )

    def _made(
        self,
        items: Sequence[_Item],
        asked: Asked,
        keys: MerchantKeys,
        known: Mapping[bytes, StoredToken],
    ) -> tuple[dict[int, Made], dict[int, int]]:
        """Return what each good item becomes, and which items repeat the card of an earlier one."""
        made: dict[int, Made] = {}
        twice: dict[int, int] = {}
        seen: dict[bytes, int] = {}
        for item in items:
            if item.draft is None:
                continue
            if item.draft.deduplicate:
                identity = keys.fingerprinted(item.draft.pan)
                if identity in seen:
                    twice[item.index] = seen[identity]
                    continue
                seen[identity] = item.index
                made[item.index] = self._maker.make(
                    item.draft, asked, keys, known=known.get(identity)
                )
            else:
                made[item.index] = self._maker.make(item.draft, asked, keys, known=None)
        return made, twice


def _read(index: int, raw: msgspec.Raw, asked: Asked) -> _Item:
    try:
        wish = _decode_item(raw)
    except UNDECODABLE as error:
        return _refused(index, decoding_error(error))
    try:
        draft = read_wish(wish, asked)
    except Invalid as error:
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


def _result(
    items: Sequence[_Item], made: Mapping[int, Made], twice: Mapping[int, int], *, sent: bool
) -> TokensOut:
    data: list[TokenItem] = []
    for item in items:
        if item.problem is not None:
            data.append(TokenItem(item.index, problem=item.problem))
            continue
        first = made[twice.get(item.index, item.index)]
        token = first.sent if sent else first.kept
        if item.index in twice:
            token = msgspec.structs.replace(
                token, deduplicated=True, cvc=None, cvc_expires_at=None, cvc_state="absent"
            )
        data.append(TokenItem(item.index, token=token))
    refused = sum(1 for item in items if item.problem is not None)
    return TokensOut("list", len(items) - refused, refused, data)
