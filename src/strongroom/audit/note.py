# SPDX-License-Identifier: Apache-2.0
"""Signed notes and verifier keys (C2SP signed-note), with Ed25519 signatures of type 0x01.

Opening ignores signatures of unknown keys, refuses the whole note for one bad signature of a known key, and
refuses a note that no known key has signed. Refuses base64 that is not canonical (RFC 4648 §3.5).
"""

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from strongroom.audit.errors import NoteRefused, NoteUnsigned
from strongroom.crypto.digest import sha256
from strongroom.crypto.errors import SignatureInvalid
from strongroom.crypto.sign import PUBLIC_KEY_BYTES, SigningKey, verify
from strongroom.kernel.invariant import invariant

NOTE_BYTES_MAX: Final = 1 << 20
SIGNATURES_MAX: Final = 100  # a verifier accepts at least 16
KEY_ID_BYTES: Final = 4
_ED25519: Final = b"\x01"
_DASH: Final = "— "  # U+2014
_HEX_ID: Final = re.compile(r"[0-9a-f]{8}")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")


@final
@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key under a name. Prints as a vkey: `<name>+<hex key id>+<base64(type ‖ key)>`."""

    name: str
    #: The Ed25519 public key: 32 bytes.
    public: bytes

    def __post_init__(self) -> None:
        if not is_key_name(self.name):
            raise NoteRefused("a key's name is not empty and has neither spaces nor +")
        if len(self.public) != PUBLIC_KEY_BYTES:
            raise NoteRefused("an Ed25519 public key has 32 bytes")

    @property
    def key_id(self) -> bytes:
        """SHA-256(name ‖ newline ‖ type ‖ public key), its first four bytes."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public)[:KEY_ID_BYTES]

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read a vkey. Raises NoteRefused, and nothing else."""
        parts = text.split("+", 2)  # the base64 may have a + of its own
        if len(parts) != 3 or _HEX_ID.fullmatch(parts[1]) is None:  # noqa: PLR2004 - name, id, key
            raise NoteRefused("a verifier key is <name>+<key id>+<key>")
        typed = decode_base64(parts[2])
        if typed[:1] != _ED25519:
            raise NoteRefused("a verifier key of a type that is not known here")
        key = cls(parts[0], typed[1:])
        if key.key_id.hex() != parts[1]:
            raise NoteRefused("a verifier key's id is not that of its name and key")
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(_ED25519 + self.public)}"


@final
@dataclass(frozen=True, slots=True)
class NoteSigner:
    """A signing key under a name."""

    name: str
    key: SigningKey

    @property
    def verifier(self) -> VerifierKey:
        """What checks this signer's notes."""
        return VerifierKey(self.name, self.key.public)


@dataclass(frozen=True, slots=True)
class SignatureLine:
    """One signature line, unchecked."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class UncheckedNote:
    """A note whose form is right. Nothing is known of its signatures: see `open_note`."""

    text: str
    signatures: tuple[SignatureLine, ...]


@final
@dataclass(frozen=True, slots=True)
class OpenedNote:
    """A note that a trusted key has signed. Only `open_note` makes one."""

    text: str
    #: The trusted keys whose signatures held, each once.
    signers: tuple[VerifierKey, ...]


def sign_note(text: str, signers: Sequence[NoteSigner]) -> bytes:
    """Return the text with a signature line of each signer, in order (several while a key is rotated)."""
    invariant(text.endswith("\n") and _CONTROL.search(text) is None, "a note's text is lines")
    invariant(0 < len(signers) <= SIGNATURES_MAX, "a note has a signature")
    signed = text.encode()
    lines = [
        f"{_DASH}{signer.name} {encode_base64(signer.verifier.key_id + signer.key.sign(signed))}\n"
        for signer in signers
    ]
    return (text + "\n" + "".join(lines)).encode()


def parse_note(note: bytes) -> UncheckedNote:
    """Take a note apart, believing nothing. Raises NoteRefused, and nothing else."""
    if len(note) > NOTE_BYTES_MAX:
        raise NoteRefused("a note is at most a mebibyte long")
    try:
        whole = note.decode()
    except UnicodeDecodeError as error:
        raise NoteRefused("a note is UTF-8") from error
    if _CONTROL.search(whole) is not None:
        raise NoteRefused("a note has no control characters but newlines")
    split = whole.rfind("\n\n")
    if split < 0 or not whole.endswith("\n"):
        raise NoteRefused("a note is a text, an empty line and signature lines")
    lines = whole[split + 2 : -1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise NoteRefused(f"a note has at most {SIGNATURES_MAX} signatures")
    return UncheckedNote(whole[: split + 1], tuple(_signature_line(line) for line in lines))


def open_note(note: bytes, keys: Sequence[VerifierKey]) -> OpenedNote:
    """Return the text as proof that a trusted key has signed it.

    Raises NoteRefused (its kind NoteUnsigned where the form is right), and nothing else.
    """
    unchecked = parse_note(note)
    known = {(key.name, key.key_id): key for key in keys}
    if len(known) != len(set(keys)):
        raise NoteRefused("two trusted keys share a name and an id")
    text = unchecked.text.encode()
    signers: dict[VerifierKey, None] = {}
    for line in unchecked.signatures:
        key = known.get((line.name, line.key_id))
        if key is None:
            continue
        try:
            verify(key.public, text, line.signature)
        except SignatureInvalid as error:
            raise NoteUnsigned("a trusted key's signature does not hold") from error
        signers[key] = None
    if not signers:
        raise NoteUnsigned("no trusted key has signed this")
    return OpenedNote(unchecked.text, tuple(signers))


def is_key_name(name: str) -> bool:
    """Tell whether a name may stand in a signature line: not empty, no Unicode space, no plus."""
    return name != "" and "+" not in name and not any(letter.isspace() for letter in name)


def encode_base64(data: bytes) -> str:
    """Print as standard base64 with padding (RFC 4648 §4)."""
    return b64encode(data).decode()


def decode_base64(text: str) -> bytes:
    """Read canonical base64. Raises NoteRefused, and nothing else."""
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:  # ValueError: not ASCII
        raise NoteRefused("not base64") from error
    if b64encode(data).decode() != text:
        raise NoteRefused("not canonical base64")
    return data


def _signature_line(line: str) -> SignatureLine:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space or not is_key_name(name):
        raise NoteRefused("a signature line is a dash, a name and a signature")
    blob = decode_base64(encoded)
    if len(blob) <= KEY_ID_BYTES:
        raise NoteRefused("a signature is longer than its key's id")
    return SignatureLine(name, blob[:KEY_ID_BYTES], blob[KEY_ID_BYTES:])
