# SPDX-License-Identifier: Apache-2.0
"""What the Transit engine's HTTP API says, strictly read, and how what it wraps is kept.

A wrapped key is format byte ‖ key version (4 bytes) ‖ what the server's text holds in base64: the text itself could be
spelt in other ways that it takes for the same.
"""

import base64
import binascii
import re
from typing import Final

import msgspec

from strongroom.egress.model import Answered
from strongroom.keys.errors import (
    CannotUnwrap,
    KeyStoreRefused,
    KeyStoreUnavailable,
    RootDisabled,
)
from strongroom.keys.stores.transit_login import is_away

_FORMAT: Final = b"\x01"
_VERSION_BYTES: Final = 4
_HEADER_BYTES: Final = len(_FORMAT) + _VERSION_BYTES
_LARGEST_WRAPPED_BYTES: Final = 16 * 1024
_SPELLING: Final = re.compile(r"vault:v([1-9][0-9]{0,8}):([A-Za-z0-9+/]+={0,2})")
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
#: The engine tells what it refuses only in words; anything it says that is not among these is a refusal.
_CANNOT_UNWRAP: Final = (
    "message authentication failed",
    "invalid ciphertext",
    "unable to decrypt",
    "could not decrypt",
    "illegal base64",
)
_DISABLED: Final = ("disallowed by policy (too old)", "soft deleted", "soft-deleted")
_UNKNOWN_KEY: Final = "key not found"


class Root(msgspec.Struct, frozen=True):
    """What the engine says of a key."""

    type: str
    latest_version: int
    #: When each version was made, in seconds since 1970; versions that were archived are left out.
    keys: dict[str, int]
    derived: bool = False
    exportable: bool = False
    allow_plaintext_backup: bool = False
    convergent_encryption: bool = False
    soft_deleted: bool = False
    auto_rotate_period: int = 0


class Described(msgspec.Struct, frozen=True):
    """The answer to reading a key."""

    data: Root


class _Ciphertext(msgspec.Struct, frozen=True):
    ciphertext: str


class Encrypted(msgspec.Struct, frozen=True):
    """The answer to `encrypt`."""

    data: _Ciphertext


class _Plaintext(msgspec.Struct, frozen=True):
    plaintext: bytes

    def __repr__(self) -> str:
        return "_Plaintext()"


class Decrypted(msgspec.Struct, frozen=True):
    """The answer to `decrypt`."""

    data: _Plaintext


class _Errors(msgspec.Struct, frozen=True):
    errors: tuple[str, ...] = ()


def packed(ciphertext: str) -> bytes:
    """Return the bytes that are kept of a server's text. Raises KeyStoreUnavailable for a text that is no such."""
    matched = _SPELLING.fullmatch(ciphertext)
    if matched is None:
        raise KeyStoreUnavailable
    try:
        content = base64.b64decode(matched[2], validate=True)
    except binascii.Error:
        raise KeyStoreUnavailable from None
    if base64.b64encode(content).decode() != matched[2]:
        raise KeyStoreUnavailable
    return _FORMAT + int(matched[1]).to_bytes(_VERSION_BYTES, "big") + content


def spelt(wrapped: bytes) -> str:
    """Return the server's text for bytes that were kept. Raises CannotUnwrap for bytes that are none."""
    version = int.from_bytes(wrapped[1:_HEADER_BYTES], "big")
    if (
        not _HEADER_BYTES < len(wrapped) <= _LARGEST_WRAPPED_BYTES
        or wrapped[:1] != _FORMAT
        or version < 1  # which a server takes for the first version
    ):
        raise CannotUnwrap
    text = f"vault:v{version}:{base64.b64encode(wrapped[_HEADER_BYTES:]).decode()}"
    if _SPELLING.fullmatch(text) is None:  # a version that no server has answered with
        raise CannotUnwrap
    return text


def refusal(
    answered: Answered, name: str, *, unwrapping: bool = False
) -> CannotUnwrap | KeyStoreUnavailable | KeyStoreRefused:
    """Say in our words what the server said. Its own words are left out: they may quote the request."""
    if is_away(answered):
        return KeyStoreUnavailable()
    try:
        words = " ".join(msgspec.json.decode(answered.body, type=_Errors).errors)
    except (msgspec.MsgspecError, RecursionError):
        words = ""
    if answered.status == _NOT_FOUND or _UNKNOWN_KEY in words:
        return KeyStoreRefused(f"the Transit store knows no key {name}")
    if answered.status == _FORBIDDEN:
        return KeyStoreRefused(f"the Transit store grants this role no such use of the key {name}")
    if any(each in words for each in _DISABLED):
        return RootDisabled()
    if unwrapping and any(each in words for each in _CANNOT_UNWRAP):
        return CannotUnwrap()
    return KeyStoreRefused(f"the Transit store answered {answered.status} for the key {name}")
