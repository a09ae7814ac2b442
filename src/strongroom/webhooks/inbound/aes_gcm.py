# SPDX-License-Identifier: Apache-2.0
"""Notices that are encrypted and not signed: AES-256-GCM, whose tag is their authenticity.

OPP/ACI and its white labels write bytes in hexadecimal, SIBS in base64 (each publishes an example; tests/vectors).
These schemes carry no time, so they know no tolerance: what is sent again is a notice that was kept already.
"""

import base64
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from strongroom.crypto import CannotOpen, aes_gcm_decrypt, sha256
from strongroom.http.problems import UNDECODABLE
from strongroom.kernel.secret import Secret
from strongroom.webhooks.inbound.errors import NoticeRejected
from strongroom.webhooks.inbound.verify import RawNotice, VerifiedNotice
from strongroom.webhooks.inbound.wire import RECEIVED

IV_HEADER: Final = "x-initialization-vector"
TAG_HEADER: Final = "x-authentication-tag"
KEY_BYTES: Final = 32

_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})*")
_WHITE: Final = " \t\r\n"


class _Wrapped(msgspec.Struct, frozen=True):
    """The JSON form of a body that some of OPP's white labels send."""

    encrypted: str = msgspec.field(name="encryptedBody")


_unwrap: Final = msgspec.json.Decoder(_Wrapped).decode


def _from_hex(text: str) -> bytes:
    if _HEX.fullmatch(text) is None:  # `fromhex` would take spaces
        raise ValueError
    return bytes.fromhex(text)


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


class AesGcmVerifier:
    """Implements `Verifier` for one way of writing bytes as text: body, IV, tag and key alike."""

    headers: Final = frozenset({IV_HEADER, TAG_HEADER})
    acknowledgement: Final = RECEIVED

    def __init__(self, scheme: str, decode: Callable[[str], bytes], *, wrapped: bool) -> None:
        self.scheme: Final = scheme
        self._decode = decode
        self._wrapped = wrapped

    def accepts(self, secret: Secret[str]) -> bool:
        """Tell whether a secret is a key of 32 bytes, written as the scheme writes bytes."""
        return self._key(secret) is not None

    def verify(
        self,
        raw: RawNotice,
        secrets: Sequence[Secret[str]],
        now: datetime,  # noqa: ARG002 - the scheme carries no time
    ) -> VerifiedNotice:
        """Return the decrypted notice. Raises NoticeRejected, and nothing else."""
        iv = self._read(raw.headers.get(IV_HEADER), "header_malformed")
        tag = self._read(raw.headers.get(TAG_HEADER), "header_malformed")
        ciphertext = self._read(self._text(raw.body), "body_malformed")
        for secret in secrets:
            key = self._key(secret)
            if key is None:
                continue
            try:
                clear = aes_gcm_decrypt(key, iv, ciphertext, tag)
            except CannotOpen:
                continue
            # The same ciphertext and tag are the same notice, however they are written.
            event_key = f"{self.scheme}:{sha256(ciphertext + tag).hex()}"
            return VerifiedNotice(clear, event_key, self.scheme)
        raise NoticeRejected("not_authentic" if secrets else "no_secret")

    def _key(self, secret: Secret[str]) -> bytes | None:
        try:
            key = self._decode(secret.expose())
        except ValueError:
            return None
        return key if len(key) == KEY_BYTES else None

    def _read(self, text: str | None, reason: str) -> bytes:
        if text is None:
            raise NoticeRejected("header_absent")
        try:
            return self._decode(text)
        except ValueError:
            raise NoticeRejected(reason) from None

    def _text(self, body: bytes) -> str:
        try:
            text = body.decode("ascii").strip(_WHITE)
            return _unwrap(text).encrypted if self._wrapped and text.startswith("{") else text
        except UNDECODABLE:
            raise NoticeRejected("body_malformed") from None


AES_GCM_HEX: Final = AesGcmVerifier("aes_gcm_hex", _from_hex, wrapped=True)
AES_GCM_BASE64: Final = AesGcmVerifier("aes_gcm_base64", _from_base64, wrapped=False)
