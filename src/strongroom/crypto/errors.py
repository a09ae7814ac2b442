# SPDX-License-Identifier: Apache-2.0
"""What cryptography can refuse. None of these says which check failed, and none carries what was read.

CryptoRefused
├── CannotOpen             a sealed value does not open here
├── SignatureInvalid       a signature does not hold
├── CertificateUnreadable  not a certificate, or not a certificate's key
└── PassphraseTooShort     a new passphrase can be guessed
"""

from strongroom.kernel.errors import StrongroomError


class CryptoRefused(StrongroomError):
    """A cryptographic check failed."""

    code = "crypto_refused"


class CannotOpen(CryptoRefused):
    """A sealed value does not open: it was altered, moved, or sealed under another key."""

    code = "cannot_open"


class SignatureInvalid(CryptoRefused):
    """The signature does not hold for this key and these bytes."""

    code = "signature_invalid"


class CertificateUnreadable(CryptoRefused):
    """The bytes are not a PEM certificate or private key that can be used here."""

    code = "certificate_unreadable"


class PassphraseTooShort(CryptoRefused):
    """A passphrase has at least 12 characters (PCI DSS 8.3.6)."""

    code = "passphrase_too_short"
