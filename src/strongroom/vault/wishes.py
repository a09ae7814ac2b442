# SPDX-License-Identifier: Apache-2.0
"""Reads a wish for a token: decides whether what was asked for can be made, before anything is written. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from strongroom.audit import Origin
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.principal import CallerKind, Principal
from strongroom.vault.cards import read_card, read_metadata
from strongroom.vault.containers.model import DEFAULT_CONTAINER
from strongroom.vault.details import read_details, wished_details
from strongroom.vault.pan import Pan
from strongroom.vault.wire import TokenBeside, TokenIn

LIFE_MAX: Final = timedelta(days=30 * 366)

_encode_sorted: Final = msgspec.json.Encoder(order="sorted").encode


class Asked(NamedTuple):
    """Who asks for tokens, and whence."""

    principal: Principal
    origin: Origin
    key: str
    now: datetime
    #: The request's id: marks the idempotency row as this writer's.
    claim: str


class Draft(NamedTuple):
    """A card that was read and may become a token."""

    pan: Pan
    wish: TokenIn
    deduplicate: bool
    #: What is sealed beside the number, in clear.
    details: Mapping[str, object]


def container_of(wish: TokenBeside) -> str:
    """Return where a token is to stand."""
    return DEFAULT_CONTAINER if wish.container is None else wish.container


def read_wish(wish: TokenIn, asked: Asked, at: str = "") -> Draft:
    """Check a wish for a token. A public key is never told of another token, so it cannot deduplicate.

    Raises:
        Invalid: with every field that is wrong.
    """
    public = asked.principal.kind is CallerKind.PUBLIC
    pan = read_card(wish.card, asked.principal.mode, asked.now, f"{at}/card")
    if wish.metadata:
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
    if wish.expires_at is not None:
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
