# SPDX-License-Identifier: Apache-2.0
"""Seals a small file under a passphrase: Argon2id (RFC 9106) and A256GCM.

A sealed file is magic ‖ passes ‖ memory KiB ‖ lanes (each 4 bytes, big-endian) ‖ salt ‖ nonce ‖ ciphertext
and tag. All before the nonce is associated data, so the cost cannot be altered without notice.
"""

import os
import struct
import unicodedata
from typing import Final

from argon2.exceptions import HashingError
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from strongroom.crypto.errors import CannotOpen, PassphraseTooShort
from strongroom.kernel.secret import Secret

MINIMUM_PASSPHRASE_CHARACTERS: Final = 12

#: RFC 9106 §4, second recommended option.
ARGON2_PASSES: Final = 3
ARGON2_MEMORY_KIBIBYTES: Final = 64 * 1024
ARGON2_LANES: Final = 4

#: What a file may ask of the machine that opens it: a file is read before it is authenticated.
MOST_PASSES: Final = 16
MOST_MEMORY_KIBIBYTES: Final = 1024 * 1024
MOST_LANES: Final = 16

_MAGIC: Final = b"SRP\x01"
_HEADER: Final = struct.Struct(">4sIII16s")
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32


def seal_with_passphrase(passphrase: Secret[str], plaintext: bytes) -> bytes:
    """Return the plaintext sealed under the passphrase. Takes about a tenth of a second and 64 MiB.

    Raises PassphraseTooShort.
    """
    if len(passphrase.expose()) < MINIMUM_PASSPHRASE_CHARACTERS:
        raise PassphraseTooShort
    salt = os.urandom(_SALT_BYTES)
    header = _HEADER.pack(_MAGIC, ARGON2_PASSES, ARGON2_MEMORY_KIBIBYTES, ARGON2_LANES, salt)
    key = _stretch(passphrase, salt, ARGON2_PASSES, ARGON2_MEMORY_KIBIBYTES, ARGON2_LANES)
    nonce = os.urandom(_NONCE_BYTES)
    return header + nonce + AESGCM(key).encrypt(nonce, plaintext, header)


def open_with_passphrase(passphrase: Secret[str], sealed: bytes) -> bytes:
    """Return the plaintext, or raise CannotOpen; nothing else escapes, whatever the bytes are."""
    try:
        header, nonce = sealed[: _HEADER.size], sealed[_HEADER.size :][:_NONCE_BYTES]
        magic, passes, memory, lanes, salt = _HEADER.unpack(header)
        if magic != _MAGIC or passes > MOST_PASSES or lanes > MOST_LANES:
            raise CannotOpen
        if memory > MOST_MEMORY_KIBIBYTES:
            raise CannotOpen
        key = _stretch(passphrase, salt, passes, memory, lanes)
        return AESGCM(key).decrypt(nonce, sealed[_HEADER.size + _NONCE_BYTES :], header)
    except (struct.error, HashingError, InvalidTag, ValueError) as error:
        raise CannotOpen from error


def _stretch(
    passphrase: Secret[str], salt: bytes, passes: int, memory_kibibytes: int, lanes: int
) -> bytes:
    # NFC: the same passphrase typed on another system is the same bytes (RFC 8265 §4.2).
    text = unicodedata.normalize("NFC", passphrase.expose())
    return hash_secret_raw(
        text.encode("utf-8", "surrogatepass"),
        salt,
        time_cost=passes,
        memory_cost=memory_kibibytes,
        parallelism=lanes,
        hash_len=_KEY_BYTES,
        type=Type.ID,
    )
