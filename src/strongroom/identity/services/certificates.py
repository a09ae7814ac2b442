# SPDX-License-Identifier: Apache-2.0
"""Client certificates that no longer count for a tenant's services (RFC 8705): pure reading of what names one."""

import base64
import re
from datetime import timedelta
from typing import Final

from strongroom.kernel.errors import FieldError, Invalid

#: A certificate that was ended stays so for longer than any is valid.
CERTIFICATE_OUTLIVED_BY: Final = timedelta(days=3_650)
#: Of one tenant and mode: every process keeps them all in memory.
CERTIFICATES_MAX: Final = 1_000
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{64}|[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){31}")


def read_thumbprint(text: str) -> str:
    """Return a certificate's SHA-256 as `x5t#S256` has it (RFC 8705 §3.1).

    Args:
        text: the same, or hexadecimal with or without colons, as `openssl x509 -fingerprint -sha256` prints it.

    Raises:
        Invalid: it is neither.
    """
    if _HEX.fullmatch(text):
        return _printed(bytes.fromhex(text.replace(":", "")))
    # The last character carries two bits that say nothing: only the one print that we compare with is taken.
    if _BASE64URL.fullmatch(text) and _printed(_digest(text)) == text:
        return text
    raise Invalid(
        FieldError(
            "/thumbprint",
            "thumbprint_malformed",
            "a certificate is named by its SHA-256: x5t#S256 in base64url, or hexadecimal",
        )
    )


def fact_of(thumbprint: str) -> str:
    """Print a thumbprint as the fact `certificate` carries it: hexadecimal, in groups of eight."""
    text = _digest(thumbprint).hex()
    return "-".join(text[at : at + 8] for at in range(0, len(text), 8))


def _printed(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def _digest(thumbprint: str) -> bytes:
    return base64.urlsafe_b64decode(thumbprint + "=")
