# SPDX-License-Identifier: Apache-2.0
"""Changes what a token has besides its number, which never changes. Each change commits with a record a field."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from strongroom.audit import Action
from strongroom.db.errors import ConstraintBroken
from strongroom.db.pool import Database, Transaction
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.vault.cards import read_expiry, read_metadata
from strongroom.vault.containers.decision import CallerAccess
from strongroom.vault.containers.errors import ContainerUnknown
from strongroom.vault.containers.feed import RuleFeed
from strongroom.vault.containers.model import DEFAULT_CONTAINER, Access
from strongroom.vault.details import (
    BILLING_ADDRESS,
    CRYPTOGRAM,
    HOLDER,
    NETWORK_TOKEN,
    STORED_CREDENTIAL,
    network_token_details,
    read_details,
)
from strongroom.vault.errors import NotANetworkToken, SingleUse, TokenUnknown
from strongroom.vault.finding import Caller, Seen, TokenFinder
from strongroom.vault.model import DetailRow, StoredToken
from strongroom.vault.watching import Way
from strongroom.vault.wire import NetworkTokenIn, TokenChangeIn
from strongroom.vault.wishes import read_end
from strongroom.vault.writes import QUERIES

#: What a single-use token cannot be given: it has an hour, and stands where public keys put it.
_LASTING_ONLY: Final = ("container", "expires_at", "network_token", "stored_credential")
_encode_sorted: Final = msgspec.json.Encoder(order="sorted").encode


class TokenChanger:
    """Changes tokens for the vault's routes."""

    def __init__(self, database: Database, rules: RuleFeed, finder: TokenFinder) -> None:
        self._database = database
        self._rules = rules
        self._finder = finder

    async def change(self, caller: Caller, name: str, wish: TokenChangeIn) -> Seen:
        """Change a token; what is absent from the wish stays.

        Raises:
            Invalid: with every field that is wrong.
            TokenUnknown: not there for this tenant and mode.
            AccessRefused: the rules of its container, or of the one it is to stand in, do not let the caller use it.
            ContainerUnknown: the container it is to stand in is not there.
            SingleUse: this is for tokens that last; keep it first.
            NotANetworkToken: a card has no cryptogram and no requestor.
        """
        now = self._finder.clock.now()
        _require_sound(wish, now)
        await self._finder.named(caller, Way.CHANGE, name)
        access = await self._rules.of(caller.principal)
        merchant, mode = caller.scope
        async with self._database.transaction([merchant]) as tx:
            token_id = await self._finder.id_of(tx, caller, name)
            if await tx.row(QUERIES["container_of_token"], merchant, mode, token_id) is None:
                raise TokenUnknown  # held from here on, so that nobody moves it meanwhile
            seen = await self._finder.find(tx, caller, access, token_id, Access.USE)
            _require_fitting(wish, seen.token)
            changed = await self._moved(tx, access, seen.token, wish)
            changed = _changed(changed, wish)
            values, ended = _details(wish, now)
            details = await self._finder.details.seal(values, mode, merchant, token_id)
            await _save(tx, changed, details, ended)
            for field in sorted(_fields(wish)):
                facts: dict[str, str | int] = {"operation": field}
                if field == "container":
                    facts["container"] = changed.container
                await self._finder.record(tx, caller, Action.VAULT_TOKEN_CHANGED, token_id, facts)
        names = {*changed.details, *(each.field for each in details)} - set(ended)
        granted = access.require(changed.container, Access.USE)
        return Seen(replace(changed, details=tuple(sorted(names))), granted)

    async def _moved(
        self, tx: Transaction, access: CallerAccess, token: StoredToken, wish: TokenChangeIn
    ) -> StoredToken:
        """Return the token where it is to stand; a container's row is held, so that it does not end meanwhile."""
        if isinstance(wish.container, UnsetType) or wish.container == token.container:
            return token
        access.require_target(wish.container)
        if wish.container != DEFAULT_CONTAINER:
            row = await tx.row(
                QUERIES["container_is_there"], token.merchant_id, token.mode, wish.container
            )
            if row is None:
                raise ContainerUnknown
        return replace(token, container=wish.container)


def _fields(wish: TokenChangeIn) -> set[str]:
    """Return the words for what a wish changes, as records carry them."""
    given = {name for name in TokenChangeIn.__struct_fields__ if getattr(wish, name) is not UNSET}
    if "exp_month" in given:
        given = (given - {"exp_month", "exp_year"}) | {"expiry"}
    return given


def _require_sound(wish: TokenChangeIn, now: datetime) -> None:
    """Refuse what no token can become, before anything is read.

    Raises:
        Invalid: naming the fields.
    """
    if (wish.exp_month is UNSET) != (wish.exp_year is UNSET):
        raise Invalid(
            FieldError("/exp_year", "expiry_incomplete", "a month and its year change together")
        )
    if not _fields(wish):
        raise Invalid(FieldError("", "nothing_to_change", "say what is to change"))
    if not isinstance(wish.exp_month, UnsetType) and not isinstance(wish.exp_year, UnsetType):
        read_expiry(wish.exp_month, wish.exp_year, now)
    read_metadata(wish.metadata or None)
    read_end(wish.expires_at or None, now, "/expires_at")
    read_details(
        holder=wish.holder or None,
        address=wish.billing_address or None,
        network_token=wish.network_token or None,
        stored=wish.stored_credential or None,
        now=now,
    )


def _require_fitting(wish: TokenChangeIn, token: StoredToken) -> None:
    if token.single_use and any(getattr(wish, name) is not UNSET for name in _LASTING_ONLY):
        raise SingleUse
    if wish.network_token is not UNSET and token.kind != NETWORK_TOKEN:
        raise NotANetworkToken


def _changed(token: StoredToken, wish: TokenChangeIn) -> StoredToken:
    """Return the token's row as it is to be."""
    changed = token
    if not isinstance(wish.exp_month, UnsetType) and not isinstance(wish.exp_year, UnsetType):
        changed = replace(changed, exp_month=wish.exp_month, exp_year=wish.exp_year)
    if not isinstance(wish.metadata, UnsetType):
        changed = replace(changed, metadata=wish.metadata or {})
    if not isinstance(wish.expires_at, UnsetType):
        changed = replace(changed, expires_at=wish.expires_at)
    return changed


def _details(wish: TokenChangeIn, now: datetime) -> tuple[Mapping[str, object], Sequence[str]]:
    """Return what is to be sealed beside the number, and what is to go."""
    values: dict[str, object] = {}
    ended: list[str] = []
    for field, value in (
        (HOLDER, wish.holder),
        (BILLING_ADDRESS, wish.billing_address),
        (STORED_CREDENTIAL, wish.stored_credential),
    ):
        if value is None:
            ended.append(field)
        elif not isinstance(value, UnsetType):
            values[field] = value
    if isinstance(wish.network_token, NetworkTokenIn):
        found = network_token_details(wish.network_token, now)
        values |= found
        if CRYPTOGRAM not in found:  # what belonged to the one before does not stay behind
            ended.append(CRYPTOGRAM)
    return values, ended


async def _save(
    tx: Transaction, token: StoredToken, details: Sequence[DetailRow], ended: Sequence[str]
) -> None:
    key = token.merchant_id, token.mode, token.token_id
    try:
        await tx.run(
            QUERIES["change_token"],
            *key,
            token.exp_month,
            token.exp_year,
            _encode_sorted(token.metadata).decode() if token.metadata else None,
            token.container,
            token.expires_at,
        )
        for row in details:
            await tx.run(QUERIES["put_detail"], *key, *row)
    except ConstraintBroken:
        raise TokenUnknown from None  # it went while this was on its way
    if ended:
        await tx.run(QUERIES["end_details"], *key, list(ended))
