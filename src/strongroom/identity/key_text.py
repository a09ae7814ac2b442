# SPDX-License-Identifier: Apache-2.0
"""The text of an API key: `sk_test_` + 256 random bits in base62 + a six-character checksum.

The checksum lets secret scanners recognise a key, and lets us refuse a typing error without asking the database.
It is no secret and no signature.
"""

import re
import zlib
from typing import Final

from strongroom.crypto.random import new_secret_text
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import KeyKind
from strongroom.kernel.secret import Secret

SECRET_BITS: Final = 256
CHECKSUM_CHARACTERS: Final = 6
_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#: Documented, so that scanners can use it.
PATTERN: Final = re.compile(r"(?P<kind>sk|rk|pk)_(?P<mode>live|test)_[0-9A-Za-z]{43}[0-9A-Za-z]{6}")


def new_key_text(kind: KeyKind, mode: Mode) -> Secret[str]:
    """Make a key's text."""
    body = f"{kind}_{mode}_{new_secret_text(SECRET_BITS)}"
    return Secret(body + _checksum(body))


def is_well_formed(text: str) -> bool:
    """Tell whether a text has a key's form and its checksum is right."""
    return (
        PATTERN.fullmatch(text) is not None
        and _checksum(text[:-CHECKSUM_CHARACTERS]) == text[-CHECKSUM_CHARACTERS:]
    )


def _checksum(body: str) -> str:
    value = zlib.crc32(body.encode())
    characters = []
    for _ in range(CHECKSUM_CHARACTERS):
        value, digit = divmod(value, 62)
        characters.append(_BASE62[digit])
    return "".join(reversed(characters))
