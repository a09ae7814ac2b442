# SPDX-License-Identifier: Apache-2.0
"""Hashes, MACs and subkeys, and the one way to compare secrets. Refuses nothing; keeps no state."""

import hashlib
import hmac
from pathlib import Path
from typing import ClassVar, NoReturn

from cryptography.hazmat.primitives.hashes import SHA256, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SHA256_BYTES = 32


def sha256(data: bytes) -> bytes:
    """Return the SHA-256 of the data (FIPS 180-4): 32 bytes. For public values only, never a card number."""
    return hashlib.sha256(data).digest()


def sha256_file(path: Path) -> bytes:
    """Return the SHA-256 of a file, read in pieces. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def sha512(data: bytes) -> bytes:
    """Return the SHA-512 of the data (FIPS 180-4): 64 bytes. For public values only, likewise."""
    return hashlib.sha512(data).digest()


class Sha256:
    """The SHA-256 of data that comes in parts (FIPS 180-4). For public values only, likewise."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state = hashlib.sha256()

    def update(self, data: bytes) -> None:
        """Take the next part."""
        self._state.update(data)

    def digest(self) -> bytes:
        """Return the hash of all parts so far: 32 bytes."""
        return self._state.digest()


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """Return the HMAC-SHA-256 of the data under the key (RFC 2104): 32 bytes.

    Not by `hmac.digest`, which lets other threads go first however short the data is: a request would wait for its turn
    once a hash.
    """
    return hmac.new(key, data, hashlib.sha256).digest()


class _Keyed:
    """An HMAC under one key for many short texts (RFC 2104): the key is worked in once."""

    __slots__ = ("_keyed",)
    _hash: ClassVar[HashAlgorithm]

    def __init__(self, key: bytes) -> None:
        self._keyed = HMAC(key, self._hash)

    def of(self, data: bytes) -> bytes:
        """Return the MAC of the data."""
        mac = self._keyed.copy()
        mac.update(data)
        return mac.finalize()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key cannot be pickled")


class HmacSha256(_Keyed):
    """HMAC-SHA-256 under one key: 32 bytes a text."""

    __slots__ = ()
    _hash = SHA256()


class HmacSha512(_Keyed):
    """HMAC-SHA-512 under one key: 64 bytes a text."""

    __slots__ = ()
    _hash = SHA512()


def hmac_sha512(key: bytes, data: bytes) -> bytes:
    """Return the HMAC-SHA-512 of the data under the key (RFC 2104): 64 bytes."""
    return hmac.new(key, data, hashlib.sha512).digest()


def equal(left: bytes, right: bytes) -> bool:
    """Compare in a time that does not depend on where the two differ."""
    return hmac.compare_digest(left, right)


def hkdf_sha256(key: bytes, info: bytes, length: int) -> bytes:
    """Derive a subkey of `length` bytes for the purpose that `info` names (RFC 5869, no salt)."""
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(key)
