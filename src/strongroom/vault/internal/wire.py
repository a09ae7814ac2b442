# SPDX-License-Identifier: Apache-2.0
"""What goes over the vault's internal port. Plain values of `calls`, and errors by their code; never a card number.

A CVC goes as it came to the gateway: sealed. Credentials go in clear, inside mutual TLS, from the gateway that was
given them to the vault that seals them.
"""

from collections.abc import Mapping
from datetime import datetime
from itertools import starmap
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta
from msgspec.structs import astuple

from strongroom.audit import Origin
from strongroom.db.errors import (
    Again,
    ConstraintBroken,
    DatabaseAway,
    DatabaseFull,
    DatabaseSlow,
    LockTaken,
    LoginRefused,
    OutcomeUnknown,
    QueryFailed,
    QueueFull,
)
from strongroom.kernel.errors import FieldError, Invalid, StrongroomError, Unavailable, told
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.keys import (
    CannotUnwrap,
    DataKeyDestroyed,
    DataKeyUnknown,
    KeyFileUnsafe,
    KeyRowAltered,
    KeysBroken,
    KeyStoreRefused,
    KeyStoreUnavailable,
    RootDisabled,
)
from strongroom.vault.calls import (
    CardFacts,
    Forward,
    Forwarded,
    NetworkTokenFacts,
    StoredCredentialFacts,
)
from strongroom.vault.containers.errors import AccessRefused, RulesUnknown
from strongroom.vault.credential_slots import CredentialState
from strongroom.vault.errors import (
    AliasTaken,
    CannotReadCard,
    CannotReadCredentials,
    CardEnvelopeCut,
    CardEnvelopeUnknown,
    CardNotForProcessor,
    ConnectionDisabled,
    ConnectionExists,
    ConnectionUnknown,
    CryptogramUsed,
    CvcExpired,
    CvcInvalid,
    CvcUsed,
    MerchantErased,
    NotANetworkToken,
    NothingStaged,
    NothingToRestore,
    SingleUse,
    StagedMeanwhile,
    TemplateRefused,
    TokenUnknown,
)
from strongroom.vault.internal.told import WaitingOut
from strongroom.vault.residency import MerchantElsewhere
from strongroom.vault.template import Template

FORWARD: Final = "/internal/v1/forward"
DESCRIBE: Final = "/internal/v1/describe"
KEEP: Final = "/internal/v1/keep"
REGISTER: Final = "/internal/v1/connections/register"
ROTATE: Final = "/internal/v1/connections/rotate"
CHANGE: Final = "/internal/v1/connections/change"
CREDENTIALS: Final = "/internal/v1/connections/credentials"
DISABLE: Final = "/internal/v1/connections/disable"
ALIVE: Final = "/internal/v1/alive"
#: A template's body has a bound of its own, half of this.
BODY_BYTES_MAX: Final = 128 * 1024


class TooLate(Unavailable):
    """The call came to the vault when its caller no longer counted on it. Nothing was sent."""

    code = "too_late_to_send"


#: What callers of the vault may be told, by its code. A code that is not here was made by a later release.
KNOWN: Final[Mapping[str, type[StrongroomError]]] = {
    kind.code: kind
    for kind in (
        AccessRefused,
        Again,
        AliasTaken,
        CannotReadCard,
        CannotReadCredentials,
        CannotUnwrap,
        CardEnvelopeCut,
        CardEnvelopeUnknown,
        CardNotForProcessor,
        ConnectionDisabled,
        ConnectionExists,
        ConnectionUnknown,
        CryptogramUsed,
        CvcExpired,
        CvcInvalid,
        CvcUsed,
        DataKeyDestroyed,
        DataKeyUnknown,
        DatabaseAway,
        DatabaseFull,
        DatabaseSlow,
        KeyFileUnsafe,
        KeyRowAltered,
        KeyStoreRefused,
        KeyStoreUnavailable,
        KeysBroken,
        LockTaken,
        LoginRefused,
        MerchantElsewhere,
        MerchantErased,
        NotANetworkToken,
        NothingStaged,
        NothingToRestore,
        OutcomeUnknown,
        QueueFull,
        RootDisabled,
        RulesUnknown,
        SingleUse,
        StagedMeanwhile,
        TemplateRefused,
        TokenUnknown,
        TooLate,
        Unavailable,
    )
}


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Prints nothing: a sealed CVC or credentials may be among its fields."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class OriginIn(_Strict, frozen=True, kw_only=True):
    """`audit.Origin`."""

    request_hash: str | None = None
    address_hash: str | None = None

    def value(self) -> Origin:
        """Return what it stands for."""
        return Origin(self.request_hash, self.address_hash)


class TemplateIn(_Strict, frozen=True, kw_only=True):
    """`vault.Template`; a body's members keep their order, so that the same request stays the same bytes."""

    route: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any = None


class ForwardIn(_Strict, frozen=True, kw_only=True):
    """`vault.Forward`, and until when its caller counts on it: a call that was held up on its way is not sent late."""

    merchant: str
    mode: Mode
    connection: str
    template: TemplateIn
    actor: str
    origin: OriginIn
    token: str | None = None
    cvc: str | None = None
    payment: str | None = None
    attempt: str | None = None
    timeout_seconds: Annotated[float, Meta(gt=0, le=120)]
    ends_at: datetime
    credentials: Literal["current", "next"] = "current"

    @classmethod
    def of(cls, request: Forward, ends_at: datetime) -> "ForwardIn":
        """Say a call."""
        template = request.template
        return cls(
            merchant=request.merchant,
            mode=request.mode,
            connection=request.connection,
            template=TemplateIn(
                route=template.route,
                path=template.path,
                query=dict(template.query),
                headers=dict(template.headers),
                body=template.body,
            ),
            actor=request.actor,
            origin=origin_in(request.origin),
            token=request.token,
            cvc=request.cvc,
            payment=request.payment,
            attempt=request.attempt,
            timeout_seconds=request.timeout_seconds,
            ends_at=ends_at,
            credentials=request.credentials,
        )

    def value(self, timeout_seconds: float) -> Forward:
        """Return the call, with what is left of its time."""
        asked = self.template
        return Forward(
            merchant=MerchantId(self.merchant),
            mode=self.mode,
            connection=self.connection,
            template=Template(asked.route, asked.path, asked.query, asked.headers, asked.body),
            actor=self.actor,
            origin=self.origin.value(),
            token=None if self.token is None else TokenId(self.token),
            cvc=self.cvc,
            payment=self.payment,
            attempt=self.attempt,
            timeout_seconds=timeout_seconds,
            credentials=self.credentials,
        )


class ForwardedOut(msgspec.Struct, frozen=True, tag="forwarded"):
    """`vault.Forwarded`; the body in base64."""

    outcome: Literal["answered", "not_sent", "unknown"]
    status: int
    headers: dict[str, str]
    body: bytes
    reason: str
    seconds: float
    cvc_state: str

    @classmethod
    def of(cls, said: Forwarded) -> "ForwardedOut":
        """Say what came of a call."""
        return cls(
            said.outcome,
            said.status,
            dict(said.headers),
            said.body,
            said.reason,
            said.seconds,
            said.cvc_state,
        )

    def value(self) -> Forwarded:
        """Return what it stands for."""
        return Forwarded(
            self.outcome,
            self.status,
            self.headers,
            self.body,
            self.reason,
            self.seconds,
            self.cvc_state,
        )


class TokenAsked(_Strict, frozen=True, kw_only=True):
    """Which token is meant; `actor` where it is kept."""

    merchant: str
    mode: Mode
    token: str
    actor: str = ""


class KeepAsked(_Strict, frozen=True, kw_only=True, omit_defaults=True):
    """Which token is kept. A vault of the release before knows no `agreed`, so it is named where it is given only."""

    merchant: str
    mode: Mode
    token: str
    actor: str = ""
    agreed: StoredCredentialFacts | None = None


class CardFactsOut(msgspec.Struct, frozen=True, tag="card_facts"):
    """`vault.CardFacts`."""

    token: str
    brand: str
    bin: str
    last4: str
    exp_month: int
    exp_year: int
    single_use: bool
    # A process of the release before says nothing of these.
    container: str = "default"
    network_token: NetworkTokenFacts | None = None
    stored_credential: StoredCredentialFacts | None = None

    @classmethod
    def of(cls, facts: CardFacts) -> "CardFactsOut":
        """Say what may be shown of a card."""
        return cls(
            facts.token,
            facts.brand,
            facts.bin,
            facts.last4,
            facts.exp_month,
            facts.exp_year,
            facts.single_use,
            facts.container,
            facts.network_token,
            facts.stored_credential,
        )

    def value(self) -> CardFacts:
        """Return what it stands for."""
        return CardFacts(
            TokenId(self.token),
            self.brand,
            self.bin,
            self.last4,
            self.exp_month,
            self.exp_year,
            self.single_use,
            self.container,
            self.network_token,
            self.stored_credential,
        )


class ConnectionAsked(_Strict, frozen=True, kw_only=True):
    """What is to become of a connection; which fields count is the route's to say."""

    merchant: str
    mode: Mode
    connection: str
    actor: str
    origin: OriginIn
    processor: str = ""
    base_url: str = ""
    credentials: dict[str, str] = {}
    keep_seconds: int = 0
    act: Literal["staged", "promoted", "replaced", "restored", "discarded", "forgotten"] = (
        "replaced"
    )
    staged_at: str | None = None

    def secrets(self) -> Mapping[str, Secret[str]]:
        """Return the credentials as what does not print."""
        return {name: Secret(value) for name, value in self.credentials.items()}


class CredentialStateOut(msgspec.Struct, frozen=True, tag="credential_state"):
    """`vault.CredentialState`."""

    staged_at: str | None
    former_until: datetime | None

    @classmethod
    def of(cls, state: CredentialState) -> "CredentialStateOut":
        """Say which credentials there are."""
        return cls(state.staged_at, state.former_until)

    def value(self) -> CredentialState:
        """Return what it stands for."""
        return CredentialState(self.staged_at, self.former_until)


class FieldOut(msgspec.Struct, frozen=True):
    """`kernel.errors.FieldError`."""

    pointer: str
    code: str
    detail: str


class RefusedOut(msgspec.Struct, frozen=True, tag="refused"):
    """What the vault raised instead. Whoever is told this knows that nothing was sent to a processor."""

    code: str
    detail: str
    fields: list[FieldOut] = []

    @classmethod
    def of(cls, error: StrongroomError) -> "RefusedOut":
        """Say an error: what callers are told of it. Why a card does not open stays in the vault."""
        fields = error.errors if isinstance(error, Invalid) else ()
        said = told(error)
        return cls(
            said.code,
            said.detail,
            [FieldOut(each.pointer, each.code, each.detail) for each in fields],
        )

    def error(self) -> StrongroomError:
        """Return it as what the caller would have seen in one process with the vault."""
        if self.code == Invalid.code:
            return Invalid(*starmap(FieldError, map(astuple, self.fields)))
        # These two make their sentence of a word.
        if self.code == ConstraintBroken.code:
            return ConstraintBroken(self.detail.rpartition(" ")[2])
        if self.code == QueryFailed.code:
            return QueryFailed(self.detail.rpartition(" ")[2])
        return KNOWN.get(self.code, Unavailable)(self.detail)


class DoneOut(msgspec.Struct, frozen=True, tag="done"):
    """It is done, and there is nothing to tell."""


Out: TypeAlias = (
    ForwardedOut | CardFactsOut | CredentialStateOut | RefusedOut | DoneOut | WaitingOut
)
encode: Final = msgspec.json.Encoder().encode
_decoder: Final[msgspec.json.Decoder[Out]] = msgspec.json.Decoder(Out)


def decode_out(body: bytes) -> Out:
    """Read what the vault said. Raises what decoding raises."""
    return _decoder.decode(body)


def origin_in(origin: Origin) -> OriginIn:
    """Say whence an act came."""
    return OriginIn(request_hash=origin.request_hash, address_hash=origin.address_hash)
