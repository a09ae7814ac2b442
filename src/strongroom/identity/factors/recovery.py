# SPDX-License-Identifier: Apache-2.0
"""Recovery codes: ten of 80 random bits, for whoever has lost their phone. Shown once, kept as keyed hashes.

With 80 bits each a keyed hash suffices: there is nothing to guess (ASVS 6.5.2 asks for 112 bits or a slow hash against
a stolen database; here the hash's key is not in the database).
"""

from collections.abc import Sequence
from typing import Final

from strongroom.crypto import encode_parts, hmac_sha256, random_bytes
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.ids import PersonId
from strongroom.kernel.secret import Secret

CODES: Final = 10
CODE_BYTES: Final = 10
CODE_CHARACTERS: Final = 16
#: Crockford's base32: no letter that reads like another.
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MISREAD: Final = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})
_GROUP: Final = 4


def new_recovery_codes() -> Sequence[Secret[str]]:
    """Return ten new codes as people read them: `K7QX-…` in four groups of four."""
    return [Secret(_new_code()) for _ in range(CODES)]


def _new_code() -> str:
    while True:
        value = int.from_bytes(random_bytes(CODE_BYTES), "big")
        text = "".join(_ALPHABET[value >> 5 * at & 31] for at in range(CODE_CHARACTERS))
        code = "-".join(text[at : at + _GROUP] for at in range(0, CODE_CHARACTERS, _GROUP))
        if not has_cardlike(code):  # or it could never be sent back: the edge refuses such bodies
            return code


def recovery_code_hash(key: Secret[bytes], person: PersonId, code: str) -> bytes:
    """Return what is kept of a code, or looked for: upper case, without dashes, misread letters as the digits."""
    plain = code.upper().translate(_MISREAD)
    return hmac_sha256(key.expose(), encode_parts(("recovery code", person, plain)))
