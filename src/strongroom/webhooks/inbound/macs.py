# SPDX-License-Identifier: Apache-2.0
"""What the signing schemes share: every signature is compared under every key, and some of them sign a time."""

import base64
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from strongroom.crypto import equal, hmac_sha256
from strongroom.kernel.secret import Secret
from strongroom.webhooks.inbound.errors import NoticeRejected

#: How far a signed time may be from ours, either way.
TOLERANCE_SECONDS: Final = 300
#: A header that is longer is no signature header.
HEADER_CHARACTERS_MAX: Final = 1_024

_HEX: Final = re.compile(r"[0-9a-f]{64}")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{43}=")
_HEX_KEY: Final = re.compile(r"[0-9A-Fa-f]{64}")


def require_signed(keys: Sequence[bytes], signed: bytes, signatures: Sequence[bytes]) -> None:
    """Let through what one of the signatures is of these bytes under one of the keys (HMAC-SHA-256).

    In constant time, and without stopping at a match. Raises NoticeRejected.
    """
    held = False
    for key in keys:
        wanted = hmac_sha256(key, signed)
        for signature in signatures:
            held |= equal(signature, wanted)
    if not held:
        raise NoticeRejected("signature_wrong" if keys else "no_secret")


def require_now(seconds: int, now: datetime) -> None:
    """Let through a time (Unix seconds) that is now or nearly. Raises NoticeRejected."""
    age = now.timestamp() - seconds
    if age > TOLERANCE_SECONDS:
        raise NoticeRejected("too_old")
    if age < -TOLERANCE_SECONDS:
        raise NoticeRejected("too_new")


def from_hex(text: str | None) -> bytes:
    """Read a MAC in lower-case hexadecimal and nothing beside it. Raises NoticeRejected."""
    if text is None:
        raise NoticeRejected("signature_absent")
    if _HEX.fullmatch(text) is None:
        raise NoticeRejected("signature_malformed")
    return bytes.fromhex(text)


def from_base64(text: str | None) -> bytes:
    """Read a MAC in base64, written in the one way that there is to write it. Raises NoticeRejected."""
    if text is None:
        raise NoticeRejected("signature_absent")
    if _BASE64.fullmatch(text) is None:
        raise NoticeRejected("signature_malformed")
    mac = base64.b64decode(text)
    # The last digit has two bits that say nothing: of its four ways of writing the same, one is believed.
    if base64.b64encode(mac).decode() != text:
        raise NoticeRejected("signature_malformed")
    return mac


def is_hex_key(secret: Secret[str]) -> bool:
    """Tell whether a secret is a key of 32 bytes in hexadecimal."""
    return _HEX_KEY.fullmatch(secret.expose()) is not None


def hex_keys(secrets: Sequence[Secret[str]]) -> Sequence[bytes]:
    """Return the keys that secrets in hexadecimal are."""
    return [bytes.fromhex(secret.expose()) for secret in secrets if is_hex_key(secret)]
