# SPDX-License-Identifier: Apache-2.0
"""Seals a value for one place. What is moved, altered or cut does not open, and only `CannotOpen` says so.

There is no IV or nonce parameter: each seal draws its own. A sealed value is
version byte ‖ IV ‖ ciphertext ‖ tag; the version byte names the algorithm.
"""

import enum
import hmac
import os
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, LiteralString, NamedTuple, NoReturn, Protocol, final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from strongroom.crypto.digest import HmacSha512, hkdf_sha256
from strongroom.crypto.errors import CannotOpen
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.invariant import invariant
from strongroom.kernel.mode import Mode

DATA_KEY_BYTES: Final = 32

_BLOCK_BYTES: Final = 16
_HALF_KEY_BYTES: Final = 32  # MAC_KEY_LEN and ENC_KEY_LEN of RFC 7518 §5.2.5
_CBC_TAG_BYTES: Final = 32
_PADDING: Final = PKCS7(8 * _BLOCK_BYTES)
_CBC_SHORTEST: Final = 1 + _BLOCK_BYTES + _BLOCK_BYTES + _CBC_TAG_BYTES
_NONCE_BYTES: Final = 12
_GCM_TAG_BYTES: Final = 16
_GCM_SHORTEST: Final = 1 + _NONCE_BYTES + _GCM_TAG_BYTES


class Algorithm(enum.StrEnum):
    """The content encryptions that a sealed value can have, by their names in RFC 7518 §5.1."""

    A256CBC_HS512 = "A256CBC-HS512"
    A256GCM = "A256GCM"


#: The version byte of each algorithm. A byte once shipped is never given another meaning.
VERSION_BYTES: Final = {Algorithm.A256CBC_HS512: 0x01, Algorithm.A256GCM: 0x02}
_ALGORITHMS: Final = {byte: algorithm for algorithm, byte in VERSION_BYTES.items()}
_CBC_VERSION: Final = bytes([VERSION_BYTES[Algorithm.A256CBC_HS512]])
_GCM_VERSION: Final = bytes([VERSION_BYTES[Algorithm.A256GCM]])
_SUBKEY_BYTES: Final = {Algorithm.A256CBC_HS512: 2 * _HALF_KEY_BYTES, Algorithm.A256GCM: 32}


class Binding(Protocol):
    """What a sealed value is bound to. Two bindings of one algorithm and purpose never share an encoding."""

    @property
    def algorithm(self) -> Algorithm:
        """The algorithm that seals here."""

    @property
    def purpose(self) -> str:
        """The purpose whose subkey seals here."""

    def encoded(self) -> bytes:
        """Return the associated data."""


class Place(NamedTuple):
    """Where a sealed value lives. Two places never share an encoding."""

    algorithm: Algorithm
    mode: Mode
    merchant: MerchantId
    #: The token, or the id of whatever owns the value.
    object_id: str
    field: LiteralString
    key_version: int
    purpose: str

    def encoded(self) -> bytes:
        """Return the associated data: every part as its length in characters, a colon and itself."""
        before, behind = _around(
            self.algorithm, self.mode, self.merchant, self.field, self.key_version, self.purpose
        )
        return before + _encoded_part(self.object_id) + behind


@lru_cache(maxsize=1_024)  # a merchant's cards differ in their token alone
def _around(
    algorithm: Algorithm, mode: str, merchant: str, field: str, key_version: int, purpose: str
) -> tuple[bytes, bytes]:
    """Return what stands before and behind the object's id in an encoding."""
    before = encode_parts((algorithm, mode, merchant))
    return before, encode_parts((field, str(key_version), purpose))


def _encoded_part(part: str) -> bytes:
    """Return what `encode_parts` gives for one text."""
    return f"{len(part)}:{part}".encode("utf-8", "surrogatepass")


def encode_parts(parts: Iterable[str]) -> bytes:
    """Return one encoding of some texts that no other list of texts has: for associated data and MACs."""
    # surrogatepass: any text has an encoding, and no two texts share one.
    return "".join([f"{len(part)}:{part}" for part in parts]).encode("utf-8", "surrogatepass")


def algorithm_of(sealed: bytes) -> Algorithm:
    """Say which algorithm a sealed value claims. A claim only: `Sealer.open` is what checks it.

    Raises CannotOpen for a version byte that was never shipped.
    """
    algorithm = _ALGORITHMS.get(sealed[0]) if sealed else None
    if algorithm is None:
        raise CannotOpen
    return algorithm


@final
class Sealer:
    """Seals and opens under one data key, for one algorithm and purpose. Safe to share between threads.

    The key is an HKDF subkey of the data key, so the same data key under another algorithm or purpose is
    another key. A256GCM draws 96-bit nonces at random: one data key version must not seal more than
    2³² values (NIST SP 800-38D §8.3). A256CBC-HS512 has no such bound within reach.
    """

    __slots__ = ("_aes", "_gcm", "_mac", "algorithm", "purpose")

    def __init__(self, data_key: bytes, algorithm: Algorithm, purpose: str) -> None:
        invariant(len(data_key) == DATA_KEY_BYTES, "a data key has 32 bytes")
        self.algorithm: Final = algorithm
        self.purpose: Final = purpose
        info = b"strongroom seal 1\0" + encode_parts((algorithm, purpose))
        subkey = hkdf_sha256(data_key, info, _SUBKEY_BYTES[algorithm])
        self._mac = HmacSha512(subkey[:_HALF_KEY_BYTES])
        self._aes = AES256(subkey[-_HALF_KEY_BYTES:])
        self._gcm = AESGCM(subkey) if algorithm is Algorithm.A256GCM else None

    def seal(self, plaintext: bytes, place: Binding) -> bytes:
        """Return the plaintext sealed for that place only."""
        invariant(self._serves(place), "a place names the algorithm and purpose that seal it")
        aad = place.encoded()
        if self._gcm is not None:
            nonce = os.urandom(_NONCE_BYTES)
            return _GCM_VERSION + nonce + self._gcm.encrypt(nonce, plaintext, aad)
        iv = os.urandom(_BLOCK_BYTES)
        ciphertext, tag = _cbc_hs512_encrypt(self._mac, self._aes, iv, plaintext, aad)
        return _CBC_VERSION + iv + ciphertext + tag

    def open(self, sealed: bytes, place: Binding) -> bytes:
        """Return the plaintext, or raise CannotOpen; nothing else escapes, whatever the bytes are."""
        if not self._serves(place):
            raise CannotOpen
        aad = place.encoded()
        if self._gcm is not None:
            return _gcm_open(self._gcm, sealed, aad)
        return _cbc_hs512_open(self._mac, self._aes, sealed, aad)

    def require_authentic(self, sealed: bytes, place: Binding) -> None:
        """Check that a value was sealed here and for that place, or raise CannotOpen.

        A256CBC-HS512 opens nothing for it; A256GCM knows no other way than to decrypt, and drops the plaintext.
        """
        if self._gcm is not None or not self._serves(place):
            self.open(sealed, place)
            return
        _cbc_hs512_check(self._mac, sealed, place.encoded())

    def _serves(self, place: Binding) -> bool:
        return place.algorithm == self.algorithm and place.purpose == self.purpose

    def __repr__(self) -> str:
        return f"Sealer({self.algorithm}, {self.purpose})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Sealer cannot be pickled")


def _cbc_hs512_encrypt(
    mac: HmacSha512, aes: AES256, iv: bytes, plaintext: bytes, aad: bytes
) -> tuple[bytes, bytes]:
    """Return ciphertext and tag (RFC 7518 §5.2.2.1). Takes an IV so that the published vectors can run."""
    padder = _PADDING.padder()
    padded = padder.update(plaintext) + padder.finalize()
    encryptor = Cipher(aes, CBC(iv)).encryptor()
    ciphertext = encryptor.update(padded) + encryptor.finalize()
    return ciphertext, _cbc_hs512_tag(mac, iv, ciphertext, aad)


def _cbc_hs512_tag(mac: HmacSha512, iv: bytes, ciphertext: bytes, aad: bytes) -> bytes:
    # AL is the length of the associated data in bits, 64 bits big-endian.
    covered = aad + iv + ciphertext + (len(aad) * 8).to_bytes(8, "big")
    return mac.of(covered)[:_CBC_TAG_BYTES]


def _cbc_hs512_open(mac: HmacSha512, aes: AES256, sealed: bytes, aad: bytes) -> bytes:
    # To open (RFC 7518 §5.2.2.2):
    #  1. Check the version and the shape.
    #  2. Check the tag, in constant time, before anything is decrypted.
    #  3. Decrypt and take the padding off. After (2) only a holder of the key can make this fail, so
    #     the refusal tells nobody anything about the padding.
    iv, ciphertext = _cbc_hs512_check(mac, sealed, aad)  # (1) (2)
    decryptor = Cipher(aes, CBC(iv)).decryptor()  # (3)
    unpadder = _PADDING.unpadder()
    try:
        padded = decryptor.update(ciphertext) + decryptor.finalize()
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError as error:
        raise CannotOpen from error


def _cbc_hs512_check(mac: HmacSha512, sealed: bytes, aad: bytes) -> tuple[bytes, bytes]:
    """Return IV and ciphertext of a value whose version, shape and tag hold."""
    if len(sealed) < _CBC_SHORTEST or sealed[:1] != _CBC_VERSION:
        raise CannotOpen
    iv = sealed[1 : 1 + _BLOCK_BYTES]
    ciphertext = sealed[1 + _BLOCK_BYTES : -_CBC_TAG_BYTES]
    tag = _cbc_hs512_tag(mac, iv, ciphertext, aad)
    if not hmac.compare_digest(tag, sealed[-_CBC_TAG_BYTES:]):
        raise CannotOpen
    return iv, ciphertext


def _gcm_open(gcm: AESGCM, sealed: bytes, aad: bytes) -> bytes:
    if len(sealed) < _GCM_SHORTEST or sealed[:1] != _GCM_VERSION:
        raise CannotOpen
    try:
        return gcm.decrypt(sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :], aad)
    except InvalidTag as error:
        raise CannotOpen from error
