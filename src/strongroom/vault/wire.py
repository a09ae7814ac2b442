# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of the vault. Unknown fields are refused; no shape that goes out can hold a card number."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

TOKENS_PER_CALL_MAX = 1_000
METADATA_ENTRIES_MAX = 20

MetadataKey = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_.-]+$(?!\n)")]
#: PostgreSQL keeps no NUL in a text; one would fail the statement, and with it everybody's rows.
MetadataValue = Annotated[str, Meta(max_length=500, pattern=r"^[^\u0000]*$")]
Metadata = Annotated[dict[MetadataKey, MetadataValue], Meta(max_length=METADATA_ENTRIES_MAX)]


#: One line of text for people: no control characters, and nothing of PostgreSQL's.
_LINE = r"^[^\u0000-\u001f\u007f]+$(?!\n)"
HolderName = Annotated[
    str, Meta(min_length=1, max_length=100, pattern=_LINE, description="As it stands on the card")
]
_AddressLine = Annotated[str, Meta(min_length=1, max_length=100, pattern=_LINE)]
ContainerName = Annotated[
    str,
    Meta(min_length=1, max_length=160, description="Where the token stands; `default` if absent"),
]


class BillingAddress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the card's holder gets their bills. Sealed like the number, apart from it."""

    country: Annotated[str, Meta(pattern=r"^[A-Z]{2}$(?!\n)", description="ISO 3166-1 alpha-2")]
    line1: _AddressLine | None = None
    line2: _AddressLine | None = None
    city: _AddressLine | None = None
    region: _AddressLine | None = None
    postal_code: Annotated[str, Meta(min_length=1, max_length=16, pattern=_LINE)] | None = None


class NetworkTokenIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What belongs to a network token, whose number (a DPAN) stands in the card's place."""

    requestor_id: Annotated[
        str, Meta(pattern=r"^[0-9]{11}$(?!\n)", description="Token requestor id")
    ]
    eci: Annotated[str, Meta(pattern=r"^[0-9]{2}$(?!\n)")] | None = None
    #: Sealed apart; gone with its first use, or when it expires.
    cryptogram: (
        Annotated[str, Meta(min_length=8, max_length=64, pattern=r"^[A-Za-z0-9+/=]+$(?!\n)")] | None
    ) = None
    #: At most a day ahead, which is what it is if absent.
    cryptogram_expires_at: datetime | None = None


class StoredCredential(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the holder agreed to, for later payments without them (card-on-file mandates of the schemes)."""

    initiator: Literal["customer", "merchant"]
    #: Of the first payment, as the scheme named it.
    scheme_transaction_id: (
        Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9 ]+$(?!\n)")] | None
    ) = None
    mandate_reference: Annotated[str, Meta(min_length=1, max_length=64, pattern=_LINE)] | None = (
        None
    )
    mandate_text: Annotated[str, Meta(min_length=1, max_length=500, pattern=_LINE)] | None = None
    agreed_at: datetime | None = None


class CardIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A card as its holder gives it."""

    number: Annotated[str, Meta(description="13 to 19 digits, nothing else", max_length=32)]
    exp_month: Annotated[int, Meta(ge=1, le=12)]
    exp_year: Annotated[int, Meta(ge=2000, le=2100, description="four digits")]
    cvc: (
        Annotated[str, Meta(description="3 digits, 4 for Amex; sealed for one use, never stored")]
        | None
    ) = None


class TokenBeside(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a wish for a token holds beside card and metadata, by whichever way it comes in."""

    container: ContainerName | None = None
    #: The token is deleted then; absent: when somebody does it.
    expires_at: datetime | None = None
    #: Whether to make a card-shaped alias, too.
    alias: bool = False
    holder: HolderName | None = None
    billing_address: BillingAddress | None = None
    network_token: NetworkTokenIn | None = None
    stored_credential: StoredCredential | None = None


class TokenIn(TokenBeside, frozen=True, forbid_unknown_fields=True):
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


class NetworkTokenOut(msgspec.Struct, frozen=True):
    """What may be shown of a network token. Its cryptogram never is."""

    requestor_id: str
    eci: str | None


class TokenOut(msgspec.Struct, frozen=True):
    """A token with what may be shown of its card. What it does not have is left out."""

    id: str
    object: str
    mode: str
    brand: str
    #: First six and last four digits; null where an access rule redacts.
    bin: str | None
    last4: str | None
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
    container: str = "default"
    #: `network_token`; left out of a card.
    kind: str | UnsetType = UNSET
    pan_alias: str | UnsetType = UNSET
    #: Equal for equal numbers of this merchant and mode, under one version of its key. Told to secret keys only.
    fingerprint: str | UnsetType = UNSET
    #: What is sealed beside the number, by name.
    details: list[str] | UnsetType = UNSET
    #: Shown when one token is read.
    holder: str | UnsetType = UNSET
    billing_address: BillingAddress | UnsetType = UNSET
    network_token: NetworkTokenOut | UnsetType = UNSET
    stored_credential: StoredCredential | UnsetType = UNSET


class TokenChangeIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to change of a token. What is absent stays; null takes away."""

    exp_month: Annotated[int, Meta(ge=1, le=12)] | UnsetType = UNSET
    exp_year: Annotated[int, Meta(ge=2000, le=2100)] | UnsetType = UNSET
    #: Takes the place of all there is.
    metadata: Metadata | UnsetType | None = UNSET
    container: ContainerName | UnsetType = UNSET
    expires_at: datetime | UnsetType | None = UNSET
    holder: HolderName | UnsetType | None = UNSET
    billing_address: BillingAddress | UnsetType | None = UNSET
    network_token: NetworkTokenIn | UnsetType = UNSET
    stored_credential: StoredCredential | UnsetType | None = UNSET


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
