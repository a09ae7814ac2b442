# SPDX-License-Identifier: Apache-2.0
"""Second factors as values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from strongroom.audit import PLATFORM
from strongroom.crypto import Algorithm, encode_parts
from strongroom.kernel.ids import MerchantId, PersonId
from strongroom.kernel.secret import Secret


@dataclass(frozen=True, slots=True)
class SealedTotp:
    """An authenticator app as it is kept."""

    merchant: MerchantId
    person: PersonId
    sealed: bytes
    key_version: int
    #: The last time step (RFC 6238 §4.2) whose code was taken. No code of it or before holds again.
    last_step: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class FactorPlace:
    """Where a factor's secret belongs: bound to merchant, person and purpose, it opens for nobody else."""

    algorithm: Algorithm
    purpose: str
    merchant: MerchantId
    person: PersonId
    key_version: int

    def encoded(self) -> bytes:
        """Return the associated data."""
        return encode_parts(
            (self.algorithm, self.merchant, self.person, str(self.key_version), self.purpose)
        )


@dataclass(frozen=True, slots=True)
class Enrolment:
    """An authenticator app that is being set up: what the app is told, shown once."""

    #: `otpauth://totp/…`, which holds the secret.
    uri: Secret[str]
    #: The secret alone, in base32, for who cannot scan.
    secret: Secret[str]
    #: The URI as a QR code.
    qr_png: bytes


@dataclass(frozen=True, slots=True)
class Confirmed:
    """An authenticator app that is now in use, and recovery codes if the person had none left."""

    recovery_codes: Sequence[Secret[str]] | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What a person has."""

    #: Since when the authenticator app is in use; None without one.
    totp_since: datetime | None
    recovery_codes_left: int
    recovery_codes_made_at: datetime | None


def tenant_of(merchant: MerchantId) -> MerchantId | None:
    """Return whose audit record it is: a record of the platform's own people names no merchant."""
    return None if merchant == PLATFORM else merchant
