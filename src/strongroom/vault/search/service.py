# SPDX-License-Identifier: Apache-2.0
"""Finds a merchant's tokens by what may be shown of them, or by a card number's fingerprint. Recorded; bounded.

By a number or a fingerprint: the identities of deduplicated cards. By the last four: their index. By anything else:
newest first, a bounded number of rows a call, so that a page may be short, or empty, and still have a next one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from strongroom.audit import Action
from strongroom.db.pool import Database, ReadOnly
from strongroom.db.queries import Query, load_queries
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import MerchantId, is_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.schemes import CARD_DIGITS_MAX, CARD_DIGITS_MIN, classify
from strongroom.keys import DataKeyDestroyed, DataKeys, DataKeyUnknown, KeyName
from strongroom.vault.containers.decision import CallerAccess
from strongroom.vault.containers.feed import RuleFeed
from strongroom.vault.containers.model import (
    CONTAINER_NAME,
    DEFAULT_CONTAINER,
    Access,
    Granted,
    Transform,
)
from strongroom.vault.finding import Caller, Seen, TokenFinder
from strongroom.vault.pan import Pan
from strongroom.vault.sealing import fingerprint_under
from strongroom.vault.search.limiter import NumberLimiter
from strongroom.vault.search.wire import SearchIn
from strongroom.vault.tokens import AFTER_EVERY_ID
from strongroom.vault.views import read_fingerprint
from strongroom.vault.watching import Way
from strongroom.vault.writes import stored_token

#: Rows that one call looks at: about 20 ms of the database's time.
LOOKED_AT_MAX: Final = 20_000
#: Older versions of a fingerprint key are destroyed long before there are so many.
VERSIONS_MAX: Final = 16
BEFORE_EVERY_ID: Final = "tok_"
_QUERIES: Final = load_queries("strongroom.vault.search")
_encode: Final = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class Page:
    """What was found, newest first, and where to go on; None: there is no more."""

    found: Sequence[Seen]
    following: str | None


class TokenSearch:
    """Searches for the vault's routes."""

    def __init__(
        self,
        database: Database,
        rules: RuleFeed,
        finder: TokenFinder,
        keyring: DataKeys,
        numbers: NumberLimiter,
        *,
        looked_at_max: int = LOOKED_AT_MAX,
    ) -> None:
        self._database = database
        self._rules = rules
        self._finder = finder
        self._keyring = keyring
        self._numbers = numbers
        self._looked_at_max = looked_at_max

    async def find(self, caller: Caller, wish: SearchIn) -> Page:
        """Return a page of what the caller may read and was looked for.

        Raises:
            Invalid: with every field that is wrong.
            AccessRefused: the caller may not read what is in the container that is named.
            TooMany: numbers and fingerprints are asked for too often.
        """
        _require_sound(wish)
        merchant, mode = caller.scope
        containers = _containers(await self._rules.of(caller.principal), wish)
        identities: Sequence[tuple[int, bytes]] | None = None
        if wish.number is not None or wish.fingerprint is not None:
            self._numbers.ask(caller.principal.subject)
            identities = await self._identities(merchant, mode, wish)
        async with self._database.transaction([merchant]) as tx:
            page = await self._page(tx, caller, wish, containers, identities)
            facts: dict[str, str | int] = {"basis": _basis(wish), "count": len(page.found)}
            if wish.container is not None:
                facts["container"] = wish.container
            await self._finder.record(tx, caller, Action.VAULT_TOKEN_SEARCHED, None, facts)
        found = [seen.token.token_id for seen in page.found]
        await self._finder.named(caller, Way.SEARCH, *found)
        return page

    async def _identities(
        self, merchant: MerchantId, mode: Mode, wish: SearchIn
    ) -> Sequence[tuple[int, bytes]]:
        """Return what a card's identity can be: its fingerprint under every version of the key that is left."""
        found: set[tuple[int, bytes]] | None = None
        if wish.number is not None:
            pan = _pan(wish.number)
            newest = (await self._keyring.current(merchant, mode, KeyName.FINGERPRINT)).version
            found = set()
            for version in range(newest, max(0, newest - VERSIONS_MAX), -1):
                try:
                    key = await self._keyring.version(merchant, mode, KeyName.FINGERPRINT, version)
                except (DataKeyDestroyed, DataKeyUnknown):
                    continue
                found.add((version, fingerprint_under(key, pan)))
        if wish.fingerprint is not None:
            printed = read_fingerprint(wish.fingerprint)
            if printed is None:
                raise Invalid(
                    FieldError("/fingerprint", "fingerprint_malformed", "this is no fingerprint")
                )
            found = {printed} if found is None else found & {printed}
        return sorted(found or ())

    async def _page(
        self,
        read: ReadOnly,
        caller: Caller,
        wish: SearchIn,
        containers: Mapping[str, Granted],
        identities: Sequence[tuple[int, bytes]] | None,
    ) -> Page:
        if not containers:
            return Page((), None)
        values = _values(caller, wish, containers, self._finder.clock.now())
        if identities is not None:
            rows = await read.rows(
                _QUERIES["identities"],
                *caller.scope,
                [version for version, _ in identities],
                [fingerprint for _, fingerprint in identities],
            )
            tokens = [row["token_id"] for row in rows]
            return await self._rows(read, wish, containers, _QUERIES["by_ids"], (*values, tokens))
        if wish.last4 is not None:
            return await self._rows(read, wish, containers, _QUERIES["by_last4"], values)
        return await self._looked(read, caller, wish, containers, values)

    async def _looked(
        self,
        read: ReadOnly,
        caller: Caller,
        wish: SearchIn,
        containers: Mapping[str, Granted],
        values: Sequence[object],
    ) -> Page:
        """Look at the next so many rows. A page that is not full goes on behind the last of them."""
        inside = wish.container is not None and wish.container != DEFAULT_CONTAINER
        named = (wish.container,) if inside else ()
        await read.row(_QUERIES["walk_indexes"])
        until = await read.row(
            _QUERIES["look_inside_until" if inside else "look_until"],
            *caller.scope,
            wish.cursor or AFTER_EVERY_ID,
            self._looked_at_max - 1,
            *named,
        )
        last = BEFORE_EVERY_ID if until is None else until["token_id"]
        query = _QUERIES["by_looking_inside" if inside else "by_looking"]
        page = await self._rows(read, wish, containers, query, (*values, last, *named))
        if page.following is None and until is not None:
            return Page(page.found, last)
        return page

    async def _rows(
        self,
        read: ReadOnly,
        wish: SearchIn,
        containers: Mapping[str, Granted],
        query: Query,
        values: Sequence[object],
    ) -> Page:
        rows = await read.rows(query, *values)
        found = [
            Seen(token, containers[token.container])
            for token in map(stored_token, rows[: wish.limit])
        ]
        return Page(found, found[-1].token.token_id if len(rows) > wish.limit else None)


def _containers(access: CallerAccess, wish: SearchIn) -> Mapping[str, Granted]:
    """Return the containers that are searched. Where digits are not shown, nothing is found by digits either."""
    if wish.container is not None:
        found = {wish.container: access.require(wish.container, Access.MASK)}
    else:
        found = dict(access.readable())
    by_digits = any((wish.number, wish.fingerprint, wish.last4, wish.bin))
    return {
        name: granted
        for name, granted in found.items()
        if not (by_digits and granted.transform is Transform.REDACT)
    }


def _values(
    caller: Caller, wish: SearchIn, containers: Mapping[str, Granted], now: datetime
) -> Sequence[object]:
    """Return what every query takes, in its order."""
    return (
        *caller.scope,
        wish.cursor or AFTER_EVERY_ID,
        now,
        wish.limit + 1,
        sorted(containers),
        wish.last4,
        wish.bin,
        wish.brand,
        _months(wish.expires_from),
        _months(wish.expires_to),
        _encode(wish.metadata).decode() if wish.metadata else None,
    )


def _months(text: str | None) -> int | None:
    if text is None:
        return None
    year, _, month = text.partition("-")
    return int(year) * 12 + int(month)


def _require_sound(wish: SearchIn) -> None:
    wrong = []
    if wish.cursor is not None and not is_id("tok", wish.cursor):
        wrong.append(FieldError("/cursor", "cursor_malformed", "this is not a cursor"))
    if wish.container is not None and CONTAINER_NAME.fullmatch(wish.container) is None:
        wrong.append(
            FieldError("/container", "container_malformed", "this is not a container's name")
        )
    if wrong:
        raise Invalid(*wrong)


def _pan(number: str) -> Pan:
    """Read a number that is looked for, which need not be one that would be taken."""
    if (
        CARD_DIGITS_MIN <= len(number) <= CARD_DIGITS_MAX
        and number.isascii()
        and number.isdigit()
        and (scheme := classify(number)) is not None
    ):
        return Pan(number, scheme)
    raise Invalid(
        FieldError("/number", "number_malformed", "a card number has 13 to 19 digits of a scheme")
    )


def _basis(wish: SearchIn) -> str:
    """Return the word for what was searched by: the strongest of what was given."""
    for word, given in (
        ("number", wish.number),
        ("fingerprint", wish.fingerprint),
        ("last_four", wish.last4),
        ("bin", wish.bin),
        ("metadata", wish.metadata),
        ("expiry", wish.expires_from or wish.expires_to),
        ("brand", wish.brand),
        ("container", wish.container),
    ):
        if given:
            return word
    return "everything"
