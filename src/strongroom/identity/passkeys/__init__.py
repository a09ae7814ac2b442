# SPDX-License-Identifier: Apache-2.0
"""Passkeys (WebAuthn Level 3): values, errors and ports. Never the services or the store."""

from strongroom.identity.passkeys.errors import (
    PasskeyKnown,
    PasskeyNotAccepted,
    PasskeyRefused,
    PasskeyUnknown,
)
from strongroom.identity.passkeys.model import Attestation, Me, Passkey, RelyingParty, Whence
from strongroom.identity.passkeys.ports import (
    OtherFactors,
    PasskeyFactors,
    ProofMetrics,
    SetupTickets,
)

__all__ = [
    "Attestation",
    "Me",
    "OtherFactors",
    "Passkey",
    "PasskeyFactors",
    "PasskeyKnown",
    "PasskeyNotAccepted",
    "PasskeyRefused",
    "PasskeyUnknown",
    "ProofMetrics",
    "RelyingParty",
    "SetupTickets",
    "Whence",
]
