# SPDX-License-Identifier: Apache-2.0
"""What payments ask of the vault, in plain values: `Forwarder` calls processors, `Connections` keeps their credentials.

Nothing here holds a card number; a CVC comes sealed, and credentials as `Secret`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, Protocol

from strongroom.audit import Origin
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.vault.credential_slots import CredentialChange, CredentialSlot, CredentialState
from strongroom.vault.template import Template

#: No CVC came along; it was opened and dropped; it is kept for the next try of the same payment.
CVC_ABSENT: Final = "absent"
CVC_USED: Final = "used"
CVC_HELD: Final = "held"


@dataclass(frozen=True, slots=True)
class Forward:
    """One call to a processor."""

    merchant: MerchantId
    mode: Mode
    #: A connection of this merchant and mode, `con_…`.
    connection: str
    template: Template
    #: Whose key's or user's wish it is; stands in the audit record of the card's use.
    actor: str
    origin: Origin
    #: The card that fills the template's slots; None where it has none.
    token: TokenId | None = None
    #: A sealed CVC, `cvc_…`, for the slot that the template then has.
    cvc: str | None = field(default=None, repr=False)
    payment: str | None = None
    attempt: str | None = None
    timeout_seconds: float = 20.0
    #: `next`: those that are tried before they are used; never with a card.
    credentials: CredentialSlot = "current"


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What came of a call. `unknown`: it may have been sent and acted upon, and there is no whole answer."""

    outcome: Literal["answered", "not_sent", "unknown"]
    #: 0 unless answered, likewise headers and body.
    status: int
    headers: Mapping[str, str] = field(repr=False)
    #: Without card data: what looks like a card number was taken out.
    body: bytes = field(repr=False)
    #: A word of `egress.Reason`; empty when answered.
    reason: str
    seconds: float
    #: `absent`, `used` or `held`.
    cvc_state: str


@dataclass(frozen=True, slots=True)
class NetworkTokenFacts:
    """What a network token has besides its number. The cryptogram itself fills a slot, once."""

    requestor_id: str
    eci: str | None
    has_cryptogram: bool


@dataclass(frozen=True, slots=True)
class StoredCredentialFacts:
    """What the card's holder agreed to, for payments without them."""

    #: `customer` or `merchant`.
    initiator: str
    #: Of the first payment, as the scheme named it.
    scheme_transaction_id: str | None
    mandate_reference: str | None
    agreed_at: datetime | None


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What may be shown of a token's card."""

    token: TokenId
    brand: str
    bin: str
    last4: str
    exp_month: int
    exp_year: int
    single_use: bool
    #: Where the token stands; its rules say whether payments may use it.
    container: str = "default"
    network_token: NetworkTokenFacts | None = None
    stored_credential: StoredCredentialFacts | None = None


class Forwarder(Protocol):
    """Calls processors with the cards that tokens stand for."""

    async def forward(self, request: Forward) -> Forwarded:
        """Fill a template and send it, once.

        Whatever this raises, nothing was sent. A card's use is recorded before the card is opened, so a record may
        stand for a call that then was not sent.

        Raises:
            ConnectionUnknown, ConnectionDisabled, CannotReadCredentials: see each; nothing was recorded.
            TemplateRefused, CardNotForProcessor: likewise.
            TokenUnknown, CvcInvalid, CvcExpired, CvcUsed, CryptogramUsed: likewise.
            AccessRefused: the rules of the token's container do not let payments use it; likewise.
            Unavailable, KeysBroken: database or key store do not answer, or the card does not open. The use, and the
                CVC's, may have been recorded.
        """

    async def describe(self, merchant: MerchantId, mode: Mode, token: TokenId) -> CardFacts:
        """Return what may be shown of a token's card.

        Raises:
            TokenUnknown: not there for this merchant and mode, or its hour is over.
        """

    async def keep(
        self,
        merchant: MerchantId,
        mode: Mode,
        token: TokenId,
        actor: str,
        agreed: StoredCredentialFacts | None = None,
    ) -> None:
        """Make a single-use token lasting, after a first successful payment. Does nothing to a lasting one.

        `agreed`: what was agreed to with that payment, sealed beside the card. Of a mandate that stands there the
        words stay; where the scheme's id is not told, the one before stays.

        Raises:
            TokenUnknown: not there for this merchant and mode, or its hour is over.
        """


class Connections(Protocol):
    """Merchants' accounts with processors: where they are reached and what opens them."""

    async def register(
        self,
        merchant: MerchantId,
        mode: Mode,
        connection: str,
        processor: str,
        base_url: str,
        credentials: Mapping[str, Secret[str]],
        *,
        actor: str,
        origin: Origin,
    ) -> None:
        """Keep a connection under an id that the caller made.

        Raises:
            Invalid: naming each field that does not fit: `/processor`, `/base_url`, `/credentials/…`.
            ConnectionExists: the id is taken.
        """

    async def rotate(
        self,
        merchant: MerchantId,
        mode: Mode,
        connection: str,
        credentials: Mapping[str, Secret[str]],
        *,
        actor: str,
        origin: Origin,
        keep_seconds: int = 0,
    ) -> None:
        """Put other credentials in the place of the present ones; within two seconds every process uses them.

        Those from before can be brought back for `keep_seconds`.

        Raises:
            Invalid, ConnectionUnknown, ConnectionDisabled: see each.
        """

    async def change(
        self,
        merchant: MerchantId,
        mode: Mode,
        connection: str,
        change: CredentialChange,
        *,
        actor: str,
        origin: Origin,
    ) -> CredentialState:
        """Set next credentials, promote, discard, or bring those from before back; everywhere within two seconds.

        Raises:
            Invalid, ConnectionUnknown, ConnectionDisabled: see each.
            NothingStaged, StagedMeanwhile, NothingToRestore: see each; nothing was changed.
        """

    async def credentials(
        self, merchant: MerchantId, mode: Mode, connection: str
    ) -> CredentialState:
        """Say which credentials there are, without any of them.

        Raises:
            ConnectionUnknown, CannotReadCredentials: see each.
        """

    async def disable(
        self, merchant: MerchantId, mode: Mode, connection: str, *, actor: str, origin: Origin
    ) -> None:
        """End a connection; within two seconds no process calls it any more. Doing it twice is doing it once.

        Raises:
            ConnectionUnknown: not there for this merchant and mode.
        """
