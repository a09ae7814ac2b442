# SPDX-License-Identifier: Apache-2.0
"""A FAKE of the Transit engine and AppRole (OpenBao, HashiCorp Vault), for tests. A real server takes the same suite.

Written from the HTTP API's documentation, with the words of its errors. Strict: a call needs the namespace, a token
that is good now and whose policy names the path, base64 as it must be, and the associated data that was given.
"""

import asyncio
import base64
import binascii
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from peer import Behaviour, Sent, answer
from strongroom.crypto import sha256
from strongroom.keys import Purpose

NAMESPACE = "pci/vault"
MOUNT = "roots/transit"
APPROLE_MOUNT = "machines"
ROLE_ID = "4b1f2f3c-role"
SECRET_ID = "b6a1-secret-id-of-the-fake"
MADE = 1_767_323_045  # 2026-01-02T03:04:05Z


def key_name(purpose: Purpose) -> str:
    return f"strongroom-{purpose}"


class Refused(Exception):
    def __init__(self, status: int, *errors: str) -> None:
        super().__init__(errors)
        self.status = status
        self.errors = errors


@dataclass
class Key:
    type: str = "aes256-gcm96"
    versions: dict[int, bytes] = field(default_factory=lambda: {1: os.urandom(32)}, repr=False)
    latest: int = 1
    min_decryption_version: int = 1
    settings: dict[str, Any] = field(default_factory=dict)

    def rotate(self) -> None:
        self.latest += 1
        self.versions[self.latest] = os.urandom(32)


@dataclass
class Token:
    expires: float
    longest: float
    policy: Callable[[str, str], bool]


def _everything(_method: str, _path: str) -> bool:
    return True


class FakeTransit:
    """One engine and one AppRole in one namespace. Time moves only when `now` is set."""

    def __init__(self) -> None:
        self.keys = {key_name(purpose): Key() for purpose in Purpose}
        self.tokens: dict[str, Token] = {}
        self.secret_ids = {SECRET_ID}
        self.policy: Callable[[str, str], bool] = _everything
        self.lease_seconds = 60
        self.longest_seconds = 600.0
        self.now = 0.0
        self.logins = 0
        self.renewals = 0
        #: As servers did before associated data: whatever is not known is passed over in silence.
        self.ignores_associated_data = False
        self.sealed = False
        self.gate = asyncio.Event()
        self.gate.set()

    def add_token(self, text: str, seconds: float = 1e9) -> None:
        self.tokens[text] = Token(self.now + seconds, self.now + seconds, self.policy)

    def behaviour(self) -> Behaviour:
        async def behave(sent: Sent, _writer: asyncio.StreamWriter) -> bytes:
            await self.gate.wait()
            try:
                return self._answer(sent)
            except Refused as refused:
                body = {"errors": list(refused.errors)}
                return answer(msgspec.json.encode(body), refused.status)

        return behave

    def _answer(self, sent: Sent) -> bytes:
        if self.sealed:
            raise Refused(503, "Vault is sealed")
        if sent.headers.get("x-vault-request") != "true":
            raise Refused(400, "missing the 'X-Vault-Request' header")
        if sent.headers.get("x-vault-namespace") != NAMESPACE or not sent.target.startswith("/v1/"):
            raise Refused(404, "no handler for route")
        path = sent.target.removeprefix("/v1/")
        if path == f"auth/{APPROLE_MOUNT}/login":
            return self._login(sent.json())
        text = sent.headers.get("x-vault-token", "")
        token = self.tokens.get(text)
        if token is None or token.expires <= self.now:
            raise Refused(403, "permission denied", "invalid token")
        if path == "auth/token/renew-self":
            return self._renewed(text, token)
        if path == "auth/token/revoke-self":
            del self.tokens[text]
            return answer(b"", 204)
        if not token.policy(sent.method, path):
            raise Refused(403, "1 error occurred:\n\t* permission denied\n\n")
        if not path.startswith(f"{MOUNT}/"):
            raise Refused(404, f'no handler for route "{path}". route entry not found.')
        return self._engine(sent, path.removeprefix(f"{MOUNT}/"))

    # --- who calls ----------------------------------------------------------------------------------

    def _login(self, request: dict[str, str]) -> bytes:
        self.logins += 1
        if request.get("role_id") != ROLE_ID or request.get("secret_id") not in self.secret_ids:
            raise Refused(400, "invalid role or secret ID")
        text = f"hvs.{self.logins}.{base64.urlsafe_b64encode(os.urandom(12)).decode()}"
        longest = self.now + self.longest_seconds
        self.tokens[text] = Token(self.now + self.lease_seconds, longest, self.policy)
        return self._auth(text, self.lease_seconds)

    def _renewed(self, text: str, token: Token) -> bytes:
        self.renewals += 1
        token.expires = min(self.now + self.lease_seconds, token.longest)
        return self._auth(text, int(token.expires - self.now))

    def _auth(self, text: str, seconds: int) -> bytes:
        auth = {
            "client_token": text,
            "accessor": "a",
            "policies": ["default", "strongroom"],
            "lease_duration": seconds,
            "renewable": True,
            "token_type": "service",
        }
        return answer(msgspec.json.encode({"lease_id": "", "data": None, "auth": auth}))

    # --- the engine ---------------------------------------------------------------------------------

    def _engine(self, sent: Sent, path: str) -> bytes:
        matched = re.fullmatch(r"(keys|encrypt|decrypt)/([\w.-]+)", path)
        if matched is None:
            raise Refused(404, "unsupported path")
        verb, name = matched.groups()
        key = self.keys.get(name)
        if verb == "keys":
            if sent.method != "GET":
                raise Refused(405, "unsupported operation")
            if key is None:
                raise Refused(404)
            return self._said(self._described(name, key))
        if key is None:
            # What a real server would do for a policy that lets it create: the store must never get here.
            raise Refused(400, "encryption key not found")
        if key.settings.get("soft_deleted"):
            raise Refused(400, "key is soft deleted")
        request = sent.json()
        bound = self._bytes(request, "associated_data")
        if self.ignores_associated_data:
            bound = b""
        context = self._bytes(request, "context")
        if key.settings.get("derived") and not context:
            raise Refused(
                400, "missing 'context' for key derivation; the key was created using a derived key"
            )
        if verb == "encrypt":
            return self._said(
                self._encrypted(key, self._bytes(request, "plaintext"), bound, context)
            )
        return self._said(self._decrypted(key, str(request.get("ciphertext", "")), bound, context))

    def _described(self, name: str, key: Key) -> dict[str, Any]:
        return {
            "name": name,
            "type": key.type,
            "keys": {
                str(number): MADE + (number - 1) * 86_400
                for number in key.versions
                if number >= key.min_decryption_version
            },
            "latest_version": key.latest,
            "min_decryption_version": key.min_decryption_version,
            "min_encryption_version": 0,
            "derived": False,
            "exportable": False,
            "allow_plaintext_backup": False,
            "deletion_allowed": False,
            "auto_rotate_period": 0,
            "supports_encryption": True,
        } | key.settings

    def _encrypted(
        self, key: Key, plaintext: bytes, bound: bytes, context: bytes
    ) -> dict[str, Any]:
        nonce = os.urandom(12)
        sealed = self._cipher(key, key.latest, context).encrypt(nonce, plaintext, bound or None)
        text = base64.b64encode(nonce + sealed).decode()
        return {"ciphertext": f"vault:v{key.latest}:{text}", "key_version": key.latest}

    def _decrypted(self, key: Key, text: str, bound: bytes, context: bytes) -> dict[str, Any]:
        prefix, _, rest = text.partition(":v")
        number, colon, encoded = rest.partition(":")
        if prefix != "vault":
            raise Refused(400, "invalid ciphertext: no prefix")
        if not colon:
            raise Refused(400, "invalid ciphertext: wrong number of fields")
        if not number.isdigit():
            raise Refused(400, "invalid ciphertext: version number could not be decoded")
        version = int(number) or 1  # as the real one does
        if version > key.latest:
            raise Refused(400, "invalid ciphertext: version is too new")
        if version < key.min_decryption_version:
            raise Refused(400, "ciphertext or signature version is disallowed by policy (too old)")
        try:
            content = base64.b64decode(encoded)  # as leniently as the real one does
        except binascii.Error:
            raise Refused(400, "invalid ciphertext: could not decode base64") from None
        if len(content) < 28:
            raise Refused(400, "invalid ciphertext length")
        cipher = self._cipher(key, version, context)
        try:
            plaintext = cipher.decrypt(content[:12], content[12:], bound or None)
        except InvalidTag:
            raise Refused(400, "cipher: message authentication failed") from None
        return {"plaintext": base64.b64encode(plaintext).decode()}

    def _cipher(self, key: Key, version: int, context: bytes) -> AESGCM:
        material = key.versions[version]
        return AESGCM(sha256(material + context) if key.settings.get("derived") else material)

    def _bytes(self, request: dict[str, Any], name: str) -> bytes:
        try:
            return base64.b64decode(request.get(name, ""), validate=True)
        except (TypeError, binascii.Error):
            raise Refused(400, "illegal base64 data at input byte 0") from None

    def _said(self, data: dict[str, Any]) -> bytes:
        body = {"request_id": "r", "lease_id": "", "renewable": False, "data": data, "auth": None}
        return answer(msgspec.json.encode(body))
