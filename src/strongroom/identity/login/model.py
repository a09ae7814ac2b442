# SPDX-License-Identifier: Apache-2.0
"""A login under way, as values."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from strongroom.audit import Origin
from strongroom.identity.dpop import Proof
from strongroom.identity.people.model import Person
from strongroom.identity.sessions.ports import Issued
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret

#: How long somebody has between the two steps.
HANDLE_SECONDS: Final = 300
#: What a second step may be. Always all of them: which of them somebody has is nobody's business yet. A passkey is both
#: steps in one, with a route of its own.
SECOND_STEPS: Final = ("recovery_code", "totp")


@dataclass(frozen=True, slots=True)
class Account:
    """Whose tries are counted: a person's id, or one of a few words for all the addresses that nobody has."""

    merchant: MerchantId
    name: str


@dataclass(frozen=True, slots=True)
class Visit:
    """Whence somebody tries to log in."""

    address: str
    request_hash: str
    origin: Origin
    #: That the caller holds a key, which the session is then bound to (RFC 9449).
    proof: Proof | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """What the first step is answered with, whatever it showed."""

    handle: Secret[str]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Handle:
    """A login between its steps. `proved`: the password held."""

    handle_hash: bytes
    account: Account
    proved: bool
    mode: Mode


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A session that has begun, and what its owner should know."""

    issued: Issued
    person: Person
    #: Set when one of them was used now.
    recovery_codes_left: int | None = None
