# SPDX-License-Identifier: Apache-2.0
"""The card number as a type. Only `strongroom.vault` may import this; it does not print, pickle or compare."""

from typing import Final, NoReturn, final

from strongroom.kernel.invariant import Bug
from strongroom.kernel.schemes import Scheme, classify

BIN_DIGITS: Final = 6
#: Every number is sealed at the same length, so that a ciphertext does not tell the scheme.
SEALED_DIGITS: Final = 19


@final
class Pan:
    """A card number in clear, for one call."""

    __slots__ = ("_digits", "scheme")

    def __init__(self, digits: str, scheme: Scheme) -> None:
        self._digits = digits
        self.scheme = scheme

    @classmethod
    def from_sealed(cls, plaintext: bytes) -> "Pan":
        """Read what `sealable` made."""
        digits = plaintext.decode("ascii").rstrip(" ")
        scheme = classify(digits)
        if scheme is None:
            raise Bug("what was sealed as a card number is none")
        return cls(digits, scheme)

    @property
    def bin(self) -> str:
        """The first six digits (PCI DSS 3.4.1 allows showing them)."""
        return self._digits[:BIN_DIGITS]

    @property
    def digits(self) -> int:
        """How many digits it has."""
        return len(self._digits)

    @property
    def last4(self) -> str:
        """The last four digits."""
        return self._digits[-4:]

    def sealable(self) -> bytes:
        """Return the digits for sealing, at one length for every scheme."""
        return self._digits.ljust(SEALED_DIGITS).encode()

    def identity(self) -> bytes:
        """Return the digits for the keyed fingerprint."""
        return self._digits.encode()

    def digits_for_forwarding(self) -> str:
        """Return the digits for a request to a processor. Called by `vault/opening.py` alone (a test looks)."""
        return self._digits

    def digits_for_revealing(self) -> str:
        """Return the digits for who may see them. Called by `vault/reveal/service.py` alone (a test looks)."""
        return self._digits

    def digits_for_export(self) -> str:
        """Return the digits for an encrypted export. Called by `vault/transfer/export.py` alone (a test looks)."""
        return self._digits

    def __repr__(self) -> str:
        return "Pan(***)"

    def __format__(self, _spec: str) -> str:
        return "Pan(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Pan cannot be pickled")

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError("compare card numbers by their fingerprints")

    __hash__ = None  # type: ignore[assignment]  # what cannot be compared cannot be hashed
