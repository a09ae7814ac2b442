# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of destinations and forwards. Unknown fields are refused; what is secret is never given back."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from strongroom.kernel.clock import rfc3339
from strongroom.kernel.secret import Secret
from strongroom.vault.forwarding.bodies import ContentType
from strongroom.vault.forwarding.credentials import CERTIFICATE
from strongroom.vault.forwarding.model import (
    ANSWER_BYTES_MAX,
    NAMES_MAX,
    PATH_CHARACTERS_MAX,
    REQUEST_BYTES_MAX,
    TIMEOUT_MS_MAX,
    TOKENS_MAX,
    VALUE_CHARACTERS_MAX,
    AuthKind,
    Config,
    Destination,
    Forwarded,
    HmacSignature,
    TokenizedCard,
)
from strongroom.vault.forwarding.plan import Preview
from strongroom.vault.forwarding.values import Proof

_NO_NUL = r"^[^\u0000]*$"
OVERLAP_SECONDS_MAX = 7 * 86_400

Header = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,63}$(?!\n)", description="in lower case")]
Headers = Annotated[list[Header], Meta(max_length=NAMES_MAX)]
Method = Literal["PATCH", "POST", "PUT"]
Secrets = Annotated[
    dict[Annotated[str, Meta(max_length=40)], Annotated[str, Meta(max_length=32_768)]],
    Meta(
        max_length=8,
        description=(
            "bearer: `token`; basic: `username`, `password`; header: `value`; hmac: `secret`, and `key_id` where the "
            "format names it; with any of them `certificate` and `private_key`, both PEM"
        ),
    ),
]


class DestinationChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a destination is, without its credentials."""

    name: Annotated[str, Meta(min_length=1, max_length=100, pattern=_NO_NUL)]
    base_url: Annotated[
        str, Meta(min_length=1, max_length=300, description="`https://host` or `https://host:port`")
    ]
    path: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=PATH_CHARACTERS_MAX,
            description="the whole path; a segment may be `*`, which stands for one segment",
        ),
    ]
    methods: Annotated[list[Method], Meta(min_length=1, max_length=3)] = msgspec.field(
        default_factory=lambda: ["POST"]
    )
    content_type: ContentType = ContentType.JSON
    #: Headers that a request may set.
    request_headers: Headers = []
    #: Names that a request's query may have.
    query: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=NAMES_MAX)] = []
    #: Headers of an answer that its caller is told.
    answer_headers: Headers = msgspec.field(default_factory=lambda: ["content-type"])
    auth: AuthKind = AuthKind.NONE
    auth_header: Annotated[str, Meta(max_length=64)] = ""
    hmac: HmacSignature | None = None
    answers: Literal["redact", "tokenize"] = "redact"
    tokenize: Annotated[list[TokenizedCard], Meta(max_length=10)] = []
    timeout_ms: Annotated[int, Meta(ge=500, le=TIMEOUT_MS_MAX)] = 20_000
    request_bytes_max: Annotated[int, Meta(ge=256, le=REQUEST_BYTES_MAX)] = 65_536
    answer_bytes_max: Annotated[int, Meta(ge=256, le=ANSWER_BYTES_MAX)] = 262_144

    def config(self, *, client_certificate: bool) -> Config:
        """Return it as a configuration."""
        return Config(
            base_url=self.base_url,
            path=self.path,
            methods=tuple(dict.fromkeys(self.methods)),
            content_type=self.content_type,
            request_headers=tuple(dict.fromkeys(self.request_headers)),
            query=tuple(dict.fromkeys(self.query)),
            answer_headers=tuple(dict.fromkeys(self.answer_headers)),
            auth=self.auth,
            auth_header=self.auth_header,
            hmac=self.hmac,
            client_certificate=client_certificate,
            answers=self.answers,
            tokenize=tuple(self.tokenize),
            timeout_ms=self.timeout_ms,
            request_bytes_max=self.request_bytes_max,
            answer_bytes_max=self.answer_bytes_max,
        )


class DestinationIn(DestinationChange, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A wish for a destination. Credentials are sealed and never shown again."""

    credentials: Secrets = {}

    def registered(self) -> Config:
        """Return its configuration."""
        return self.config(client_certificate=CERTIFICATE in self.credentials)


class CredentialsIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """New credentials, used at once; those from before are kept for the overlap."""

    credentials: Secrets
    overlap_seconds: Annotated[int, Meta(ge=0, le=OVERLAP_SECONDS_MAX)] = 86_400


class DestinationOut(msgspec.Struct, frozen=True):
    """A destination, without what is secret."""

    id: str
    object: str
    mode: str
    name: str
    #: active or disabled
    status: str
    base_url: str
    path: str
    methods: list[str]
    content_type: str
    request_headers: list[str]
    query: list[str]
    answer_headers: list[str]
    auth: str
    auth_header: str
    hmac: HmacSignature | None
    client_certificate: bool
    answers: str
    tokenize: list[TokenizedCard]
    timeout_ms: int
    request_bytes_max: int
    answer_bytes_max: int
    created_by: str
    created_at: str
    updated_at: str
    credentials_changed_at: str


class DestinationsOut(msgspec.Struct, frozen=True):
    """A page of destinations, newest first."""

    data: list[DestinationOut]
    has_more: bool
    next_cursor: str | None


TokenName = Annotated[str, Meta(max_length=32)]
Value = Annotated[str, Meta(max_length=VALUE_CHARACTERS_MAX)]


class CryptogramIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an issuer is shown once, of a network token or an authentication. It does not print."""

    cryptogram: Annotated[
        str, Meta(min_length=8, max_length=64, pattern=r"^[A-Za-z0-9+/=]+$(?!\n)")
    ]
    eci: Annotated[str, Meta(pattern=r"^[0-9]{2}$(?!\n)")] | None = None

    def __repr__(self) -> str:
        return "CryptogramIn(***)"


class ForwardIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A request to a destination, with slots in the places of card data."""

    destination: Annotated[str, Meta(min_length=1, max_length=40, description="`dst_…`")]
    path: Annotated[str, Meta(min_length=1, max_length=PATH_CHARACTERS_MAX)]
    method: Method = "POST"
    query: Annotated[dict[Annotated[str, Meta(max_length=64)], Value], Meta(max_length=32)] = {}
    headers: Annotated[dict[Annotated[str, Meta(max_length=64)], Value], Meta(max_length=32)] = {}
    tokens: Annotated[
        dict[TokenName, Annotated[str, Meta(max_length=40)]],
        Meta(max_length=TOKENS_MAX, description="names for tokens, which slots may use"),
    ] = {}
    cvcs: Annotated[
        dict[Annotated[str, Meta(max_length=40)], Annotated[str, Meta(max_length=1_024)]],
        Meta(
            max_length=TOKENS_MAX, description="a sealed CVC for each token that has a slot for one"
        ),
    ] = {}
    cryptograms: Annotated[
        dict[Annotated[str, Meta(max_length=40)], CryptogramIn],
        Meta(
            max_length=TOKENS_MAX,
            description="a cryptogram for each token that has a slot for one; used for this, and stored nowhere",
        ),
    ] = {}
    body: Annotated[
        Any,
        Meta(
            description=(
                "JSON as it is; a form as an object of texts, or lists of texts; XML as one text. "
                "`{{ card.number }}` is a slot"
            )
        ),
    ]
    dry_run: bool = False

    def proofs(self) -> Mapping[str, Proof]:
        """Return the cryptograms, by the names or ids of their tokens."""
        return {name: Proof(each.cryptogram, each.eci) for name, each in self.cryptograms.items()}


class PreviewOut(msgspec.Struct, frozen=True):
    """A request as it would be sent, masked."""

    method: str
    url: str
    headers: dict[str, str]
    body: str


class ForwardOut(msgspec.Struct, frozen=True):
    """What came of a forward."""

    id: str
    object: str
    destination: str
    #: answered, not_sent, unknown or dry_run
    outcome: str
    #: The destination's; null where it did not answer.
    status: int | None
    #: The destination's time; null where nothing was sent.
    duration_ms: int | None
    #: Why it did not answer, in a word.
    reason: str | None
    #: absent or used
    cvc_state: str
    headers: dict[str, str] | None
    body: str | None
    #: Why there is no body: not_kept (a repeated answer) or not_text.
    withheld: str | None
    #: Tokens that were made of cards in the answer.
    tokens: list[str]
    #: Of a dry run.
    request: PreviewOut | None = None


def secrets_of(given: Mapping[str, str]) -> Mapping[str, Secret[str]]:
    """Wrap credentials, so that they print nowhere."""
    return {name: Secret(value) for name, value in given.items()}


def destination_out(found: Destination) -> DestinationOut:
    """Print a destination."""
    config = found.config
    return DestinationOut(
        found.destination_id,
        "destination",
        found.mode,
        found.name,
        found.status,
        config.base_url,
        config.path,
        list(config.methods),
        config.content_type.value,
        list(config.request_headers),
        list(config.query),
        list(config.answer_headers),
        config.auth.value,
        config.auth_header,
        config.hmac,
        config.client_certificate,
        config.answers,
        list(config.tokenize),
        config.timeout_ms,
        config.request_bytes_max,
        config.answer_bytes_max,
        found.created_by,
        rfc3339(found.created_at),
        rfc3339(found.updated_at),
        rfc3339(found.credentials_changed_at),
    )


def forward_out(found: Forwarded) -> ForwardOut:
    """Print what came of a forward."""
    answered = found.outcome == "answered"
    return ForwardOut(
        found.forward_id,
        "forward",
        found.destination,
        found.outcome.value,
        found.status if answered else None,
        None if found.outcome == "not_sent" else found.duration_ms,
        found.reason or None,
        found.cvc_state,
        None if found.headers is None else dict(found.headers),
        found.body,
        "not_kept" if answered and found.replayed else found.withheld or None,
        list(found.tokens),
    )


def preview_out(found: Preview, forward_id: str, destination: str) -> ForwardOut:
    """Print a request that was not sent."""
    return ForwardOut(
        forward_id,
        "forward",
        destination,
        "dry_run",
        None,
        None,
        None,
        "absent",
        None,
        None,
        None,
        [],
        PreviewOut(found.method, found.url, dict(found.headers), found.body),
    )
