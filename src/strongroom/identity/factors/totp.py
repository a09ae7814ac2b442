# SPDX-License-Identifier: Apache-2.0
"""Codes of authenticator apps (RFC 6238: SHA-1, 6 digits, 30 s; what every app can do), computed by pyotp.

Pure but for drawing a secret. Says which time step a code belongs to; that each step holds once is the store's to
see to (PCI DSS 8.5.1, ASVS 6.5.1).
"""

import base64
from datetime import datetime
from typing import Final

import pyotp

from strongroom.crypto import equal, random_bytes
from strongroom.kernel.secret import Secret

ISSUER: Final = "Strongroom"
STEP_SECONDS: Final = 30
DIGITS: Final = 6
#: RFC 4226 §4 recommends 160 bits.
SECRET_BYTES: Final = 20
#: How many steps a clock may be wrong, either way (RFC 6238 §5.2).
DRIFT_STEPS: Final = 1
#: No step was taken yet.
NEVER: Final = -1


def new_totp_secret() -> Secret[bytes]:
    """Return a secret of 160 random bits."""
    return Secret(random_bytes(SECRET_BYTES))


def base32(secret: Secret[bytes]) -> str:
    """Print a secret as apps take it (RFC 4648 §6). 160 bits need no padding."""
    return base64.b32encode(secret.expose()).decode()


def step_at(now: datetime) -> int:
    """Return the time step of a moment: whole half minutes since 1970 (RFC 6238 §4.2)."""
    return int(now.timestamp()) // STEP_SECONDS


def matching_step(secret: Secret[bytes], code: str, now: datetime, *, after: int) -> int | None:
    """Return the step that a code belongs to, of those that may be used now; None for a wrong or used one.

    Args:
        after: the last step that was taken; its code and older ones hold no more.

    Every candidate is computed and compared in constant time, whichever matches.
    """
    if len(code) != DIGITS or not (code.isascii() and code.isdigit()):
        return None
    generator = pyotp.TOTP(base32(secret), digits=DIGITS, interval=STEP_SECONDS)
    here = step_at(now)
    found = None
    for step in range(here + DRIFT_STEPS, here - DRIFT_STEPS - 1, -1):
        holds = equal(generator.generate_otp(step).encode(), code.encode())
        if holds and step > after:
            found = step  # the oldest that matches, so that a later one stays usable
    return found


def otpauth_uri(secret: Secret[bytes], email: str) -> Secret[str]:
    """Return what an app reads from a QR code (the key URI format that apps agree on)."""
    generator = pyotp.TOTP(base32(secret), digits=DIGITS, interval=STEP_SECONDS)
    return Secret(generator.provisioning_uri(name=email, issuer_name=ISSUER))
