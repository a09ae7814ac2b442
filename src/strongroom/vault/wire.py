# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of the vault. Unknown fields are refused; no shape that goes out can hold a card number."""

from typing import Annotated

import msgspec
from msgspec import Meta

TOKENS_PER_CALL_MAX = 1_000
METADATA_ENTRIES_MAX = 20

MetadataKey = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_.-]+$(?!\n)")]
#: PostgreSQL keeps no NUL in a text; one would fail the statement, and with it everybody's rows.
MetadataValue = Annotated[str, Meta(max_length=500, pattern=r"^[^\u0000]*$")]
Metadata = Annotated[dict[MetadataKey, MetadataValue], Meta(max_length=METADATA_ENTRIES_MAX)]


class CardIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A card as its holder gives it."""

    number: Annotated[str, Meta(description="13 to 19 digits, nothing else", max_length=32)]
    exp_month: Annotated[int, Meta(ge=1, le=12)]
    exp_year: Annotated[int, Meta(ge=2000, le=2100, description="four digits")]
    cvc: (
        Annotated[str, Meta(description="3 digits, 4 for Amex; sealed for one use, never stored")]
        | None
    ) = None


class TokenIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish for one token."""

    card: CardIn
    deduplicate: bool = False
    metadata: Metadata | None = None


#: A `TokenIn` that is decoded by itself, so that one which is wrong does not stop the others.
_RawTokenIn = Annotated[
    msgspec.Raw, Meta(extra_json_schema={"$ref": "#/components/schemas/TokenIn"})
]


class TokensIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish for up to 1,000 tokens."""

    tokens: Annotated[list[_RawTokenIn], Meta(min_length=1, max_length=TOKENS_PER_CALL_MAX)]


class TokenOut(msgspec.Struct, frozen=True):
    """A token with what may be shown of its card."""

    id: str
    object: str
    mode: str
    brand: str
    bin: str
    last4: str
    exp_month: int
    exp_year: int
    single_use: bool
    deduplicated: bool
    created_at: str
    expires_at: str | None
    metadata: dict[str, str]
    #: `absent`, `sealed`, or `not_replayable` in a repeated answer.
    cvc_state: str
    cvc: str | None = None
    cvc_expires_at: str | None = None


class ItemProblem(msgspec.Struct, frozen=True):
    """Why one item of many was refused."""

    code: str
    detail: str
    errors: list[dict[str, str]]


class TokenItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of one item of many, by its place in the request: a token or a problem."""

    index: int
    token: TokenOut | None = None
    problem: ItemProblem | None = None


class TokensOut(msgspec.Struct, frozen=True):
    """The results of a call for many tokens, in the request's order."""

    object: str
    created: int
    refused: int
    data: list[TokenItem]


class TokenPage(msgspec.Struct, frozen=True):
    """A page of tokens, newest first."""

    data: list[TokenOut]
    has_more: bool
    next_cursor: str | None


class KeepIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a kept single-use token becomes."""

    metadata: Metadata | None = None


class CvcIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A CVC typed again for a stored card."""

    cvc: Annotated[str, Meta(description="3 digits, 4 for Amex")]


class SealedCvcIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sealed CVC handed back."""

    cvc: Annotated[str, Meta(min_length=1, max_length=1_024)]


class SealedCvcOut(msgspec.Struct, frozen=True):
    """A CVC sealed for one use."""

    object: str
    token: str
    cvc: str
    cvc_expires_at: str


class CvcDiscarded(msgspec.Struct, frozen=True):
    """A sealed CVC that nothing opens any more."""

    object: str
    token: str
    discarded: bool
