# SPDX-License-Identifier: Apache-2.0
"""Seals files of any size for their receivers, as a stream (the age format, C2SP age-encryption.org/v1).

Whoever has `age` opens them without Strongroom. Sealed for public keys: who makes a parcel cannot open it.
"""

from collections.abc import Sequence
from typing import IO, Final

import pyrage

from strongroom.crypto.errors import CannotOpen, CryptoRefused
from strongroom.kernel.secret import Secret

_IDENTITY: Final = "AGE-SECRET-KEY-1"


class RecipientRefused(CryptoRefused):
    """This is not a public key of age (`age1…`)."""

    code = "recipient_refused"


def new_parcel_identity() -> tuple[Secret[str], str]:
    """Make a key pair (X25519): what opens, and the public key that seals for it (`age1…`)."""
    made = pyrage.x25519.Identity.generate()
    return Secret(str(made)), str(made.to_public())


def seal_parcel(reader: IO[bytes], writer: IO[bytes], recipients: Sequence[str]) -> None:
    """Seal what can be read for public keys, any of which opens it. Blocks; holds one chunk of 64 KiB.

    Raises:
        RecipientRefused: one is no public key of age, or there is none.
    """
    try:
        keys = [pyrage.x25519.Recipient.from_str(each) for each in recipients]
    except pyrage.RecipientError:
        raise RecipientRefused from None
    if not keys:
        raise RecipientRefused("a parcel has a receiver")
    pyrage.encrypt_io(reader, writer, keys)


def open_parcel(reader: IO[bytes], writer: IO[bytes], identity: Secret[str]) -> None:
    """Open what was sealed, chunk by chunk. Blocks. What was written is worth nothing when it raises.

    Raises:
        CannotOpen: the identity is none, or another's; or the parcel was altered or cut short.
    """
    lines = [line.strip() for line in identity.expose().splitlines()]
    try:
        # A file that age-keygen wrote has comments in it.
        keys = [
            pyrage.x25519.Identity.from_str(line) for line in lines if line.startswith(_IDENTITY)
        ]
    except pyrage.IdentityError:
        raise CannotOpen from None
    if not keys:
        raise CannotOpen
    try:
        pyrage.decrypt_io(reader, writer, keys)
    except (pyrage.DecryptError, OSError):
        raise CannotOpen from None
