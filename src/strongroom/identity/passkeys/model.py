# SPDX-License-Identifier: Apache-2.0
"""Passkeys and their challenges, as values. Nothing here is secret but a challenge that is out."""

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from strongroom.kernel.ids import MerchantId, PasskeyId, PersonId, SessionId
from strongroom.kernel.mode import Mode

#: How long a challenge may be answered (WebAuthn §13.4.3 asks for it to be short).
CHALLENGE_SECONDS: Final = 300
CHALLENGE_BYTES: Final = 32
PASSKEYS_MAX: Final = 20
NAME_CHARACTERS_MAX: Final = 60
#: What a passkey with user verification is: two factors (PCI DSS 8.4, RFC 8176 words).
METHODS: Final = ("hwk", "user", "mfa")


class Purpose(enum.StrEnum):
    """What a challenge was given for; an answer to one is no answer to another."""

    LOGIN = "login"
    REGISTER = "register"
    SET_UP = "set_up"
    STEP_UP = "step_up"


class Attestation(enum.StrEnum):
    """Whether an authenticator must say what model it is, and prove it."""

    DIRECT = "direct"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Who asks: the origin that people see in their browser, and what it takes of authenticators."""

    #: `https://console.example`, without a path: exactly what a browser writes into its client data.
    origin: str
    name: str = "Strongroom"
    attestation: Attestation = Attestation.NONE
    #: With `direct`: the models taken (lower-case UUIDs); empty takes every model that a root vouches for.
    aaguids: frozenset[str] = frozenset()
    #: With `direct`: PEM certificates of the makers that are believed.
    roots: tuple[bytes, ...] = ()

    @property
    def rp_id(self) -> str:
        """The host of the origin (WebAuthn §5.1.2): passkeys of another host do not work here, nor ours there."""
        return urlsplit(self.origin).hostname or ""


@dataclass(frozen=True, slots=True)
class Passkey:
    """One credential of one person. The private key never leaves the authenticator."""

    passkey_id: PasskeyId
    merchant: MerchantId
    person: PersonId
    credential_id: bytes
    #: COSE_Key (RFC 9052 §7).
    public_key: bytes
    sign_count: int
    aaguid: str
    #: The attestation's format; `none` proves nothing about the model.
    attestation: str
    transports: tuple[str, ...]
    backup_eligible: bool
    backed_up: bool
    name: str
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Bound:
    """What a challenge is bound to: whose answer is one."""

    purpose: Purpose
    #: The platform's where nobody is known yet.
    merchant: MerchantId
    person: PersonId | None = None
    session: SessionId | None = None


@dataclass(frozen=True, slots=True)
class Registered:
    """What an authenticator made, after every check. Only `ceremony` makes one."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    aaguid: str
    attestation: str
    transports: tuple[str, ...]
    backup_eligible: bool
    backed_up: bool


@dataclass(frozen=True, slots=True)
class Asserted:
    """What an authenticator signed, after every check but the counter's. Only `ceremony` makes one."""

    sign_count: int
    backup_eligible: bool
    backed_up: bool


def counter_went_back(kept: int, shown: int) -> bool:
    """Tell whether an authenticator was copied (WebAuthn §7.2 step 22): its counter does not go on from ours.

    Authenticators without a counter, most of those in telephones and computers, always show 0.
    """
    return (kept > 0 or shown > 0) and shown <= kept


@dataclass(frozen=True, slots=True)
class Me:
    """A person with a session, who manages their own passkeys or steps up."""

    merchant: MerchantId
    person: PersonId
    session: SessionId
    mode: Mode


@dataclass(frozen=True, slots=True)
class Whence:
    """Where a request came from, for records: the caller's address and the hash that names the request."""

    address: str
    request_hash: str
