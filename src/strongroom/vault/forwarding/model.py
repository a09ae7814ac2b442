# SPDX-License-Identifier: Apache-2.0
"""A destination as its merchant registered it, and what becomes of a forward: values."""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from strongroom.kernel.ids import DestinationId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.vault.forwarding.bodies import ContentType

DESTINATIONS_MAX: Final = 200
TOKENS_MAX: Final = 10
#: The edge stops a handler after thirty seconds: a call must have ended, and be saved, before.
TIMEOUT_MS_MAX: Final = 25_000
REQUEST_BYTES_MAX: Final = 256 * 1024
ANSWER_BYTES_MAX: Final = 1024 * 1024
PATH_CHARACTERS_MAX: Final = 512
VALUE_CHARACTERS_MAX: Final = 2_048
NAMES_MAX: Final = 32
#: A name of a header, in lower case.
HEADER_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")
HEADER_VALUE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
#: Headers that say who asks, whom, by which way, or where a message ends: never a request's own (RFC 9110, RFC 9112,
#: RFC 7239, RFC 6265), nor one that a front server takes for another path or method.
RESERVED_HEADERS: Final = frozenset(
    "authorization accept-encoding connection content-encoding content-length content-type cookie expect forwarded "
    "host http2-settings keep-alive origin proxy-authorization proxy-connection set-cookie te trailer "
    "transfer-encoding upgrade user-agent via x-forwarded x-http-method x-http-method-override x-method-override "
    "x-original-url x-real-ip x-rewrite-url".split()
)
_RESERVED_BEGINNINGS: Final = ("proxy-", "sec-", "x-forwarded-", "strongroom-")


def is_reserved(header: str) -> bool:
    """Tell whether a request may never set a header (its name in lower case)."""
    return header in RESERVED_HEADERS or header.startswith(_RESERVED_BEGINNINGS)


class AuthKind(enum.StrEnum):
    """How a destination knows the merchant. A word once shipped is never given another meaning."""

    NONE = "none"
    BASIC = "basic"
    BEARER = "bearer"
    #: A secret in a header of its own.
    HEADER = "header"
    HMAC = "hmac"


Pointer = Annotated[str, Meta(max_length=200, pattern=r"^(/([^~/\u0000]|~[01])+)+$(?!\n)")]


class TokenizedCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a card stands in an answer, as JSON pointers (RFC 6901): in the number's place comes a token's id."""

    number: Pointer
    exp_month: Pointer
    exp_year: Pointer


class HmacSignature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signature over the body as it is sent (RFC 2104)."""

    header: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,63}$(?!\n)")]
    algorithm: Literal["sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    #: What is signed: text in which `{body}` stands once; `{timestamp}`, `{method}` and `{path}` may.
    signs: Annotated[str, Meta(max_length=200)] = "{body}"
    #: The header's value: text in which `{signature}` stands once; `{timestamp}` and `{key_id}` may.
    format: Annotated[str, Meta(max_length=200)] = "{signature}"
    #: Between the signatures of two secrets, while both hold.
    separator: Annotated[str, Meta(min_length=1, max_length=4)] = ","


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything of a destination that may be shown. Sealed as well, so that a row that was altered does not open."""

    base_url: str
    path: str
    methods: tuple[str, ...]
    content_type: ContentType
    request_headers: tuple[str, ...]
    query: tuple[str, ...]
    answer_headers: tuple[str, ...]
    auth: AuthKind
    #: The header of `AuthKind.HEADER`; empty otherwise.
    auth_header: str
    hmac: HmacSignature | None
    client_certificate: bool
    #: Whether card numbers in an answer are taken out, or some of them become tokens.
    answers: Literal["redact", "tokenize"]
    tokenize: tuple[TokenizedCard, ...]
    timeout_ms: int
    request_bytes_max: int
    answer_bytes_max: int


@dataclass(frozen=True, slots=True)
class Destination:
    """A destination as its row knows it, without what is secret."""

    merchant_id: MerchantId
    mode: Mode
    destination_id: DestinationId
    name: str
    config: Config
    status: Literal["active", "disabled"]
    created_by: str
    created_at: datetime
    updated_at: datetime
    credentials_changed_at: datetime


class Outcome(enum.StrEnum):
    """What came of a forward. The three are kept apart, because money hangs on the difference."""

    ANSWERED = "answered"
    #: Certainly nothing of the request was sent.
    NOT_SENT = "not_sent"
    #: It may have been sent and acted upon; there is no whole answer.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What a caller is told of a forward. Headers and body are not kept: a repeat is told without them."""

    forward_id: str
    destination: str
    outcome: Outcome
    status: int
    reason: str
    duration_ms: int
    cvc_state: str
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    body: str | None = field(default=None, repr=False)
    #: Why there is no body though the destination answered; empty where there is one.
    withheld: str = ""
    #: Tokens that were made of cards in the answer.
    tokens: tuple[str, ...] = ()
    replayed: bool = False
