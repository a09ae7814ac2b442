# SPDX-License-Identifier: Apache-2.0
"""Ed25519 signatures (RFC 8032) over exact bytes. Knows nothing of JWT or notes: callers bring the bytes."""

from typing import Final, NoReturn, final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from strongroom.crypto.errors import SignatureInvalid
from strongroom.kernel.invariant import invariant
from strongroom.kernel.secret import Secret

SEED_BYTES: Final = 32
PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64


@final
class SigningKey:
    """A private Ed25519 key. Prints and pickles as nothing."""

    __slots__ = ("_key", "public")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        #: The public key: 32 bytes (RFC 8032 §5.1.5).
        self.public: Final = key.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> "SigningKey":
        """Make a new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> "SigningKey":
        """Read a key from its 32-byte seed."""
        invariant(len(seed) == SEED_BYTES, "an Ed25519 seed has 32 bytes")
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def seed(self) -> Secret[bytes]:
        """The 32-byte seed that `from_seed` takes."""
        return Secret(self._key.private_bytes_raw())

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte signature over the data."""
        return self._key.sign(data)

    def __repr__(self) -> str:
        return f"SigningKey(public={self.public.hex()})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SigningKey cannot be pickled")


def verify(public: bytes, data: bytes, signature: bytes) -> None:
    """Return if the signature holds.

    Raises SignatureInvalid, and nothing else, for a signature or a public key of any form.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError) as error:
        raise SignatureInvalid from error
