# SPDX-License-Identifier: Apache-2.0
"""A FAKE of Google Cloud KMS's REST API (v1), for tests. Written from its documentation; no call of it reached Google.

It answers as the reference pages of cryptoKeys.encrypt, cryptoKeys.decrypt, cryptoKeys.get and of key states say, and
refuses what they let it refuse: a wrong token, an unknown or misspelt key, checksums that do not match, associated
data that is not the same, a version that is not enabled.
"""

import asyncio
import base64
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from peer import Behaviour, Sent, answer
from strongroom.keys import Purpose
from strongroom.keys.stores.crc32c import crc32c

KEY_RING = "projects/shop-1/locations/me-central2/keyRings/strongroom"
TOKEN = "ya29.a-token-of-the-fake"
_RESOURCE = re.compile(r"/v1/(projects/[^:/]+/[^:]+?)(?::(encrypt|decrypt))?")
_LARGEST = 64 * 1024


def key_name(purpose: Purpose) -> str:
    return f"{KEY_RING}/cryptoKeys/strongroom-{purpose}"


@dataclass
class Version:
    state: str = "ENABLED"
    key: bytes = field(default_factory=lambda: os.urandom(32), repr=False)
    created: str = "2026-01-02T03:04:05.678901234Z"


@dataclass
class Key:
    versions: dict[int, Version] = field(default_factory=lambda: {1: Version()})
    primary: int = 1
    purpose: str = "ENCRYPT_DECRYPT"
    next_rotation: str | None = None

    def rotate(self) -> None:
        number = max(self.versions) + 1
        self.versions[number] = Version(created="2026-02-03T04:05:06Z")
        self.primary = number


class Refused(Exception):
    def __init__(self, status: int, word: str, message: str, details: Any = ()) -> None:
        super().__init__(message)
        self.status = status
        self.body = {
            "error": {"code": status, "status": word, "message": message, "details": list(details)}
        }


class FakeGoogleKms:
    """The keys of one key ring. Knobs: `denied`, `throttled`, `gate`, `damage`, `tokens`."""

    def __init__(self) -> None:
        self.keys = {key_name(purpose): Key() for purpose in Purpose}
        self.tokens = {TOKEN}
        self.denied: set[str] = set()
        self.throttled = False
        self.gate = asyncio.Event()
        self.gate.set()
        #: Fields of the next answers, put in the place of the true ones.
        self.damage: dict[str, Any] = {}

    def behaviour(self) -> Behaviour:
        async def behave(sent: Sent, _writer: asyncio.StreamWriter) -> bytes:
            await self.gate.wait()
            try:
                body = self._answer(sent) | self.damage
            except Refused as refused:
                return answer(msgspec.json.encode(refused.body), refused.status)
            return answer(msgspec.json.encode(body))

        return behave

    def _answer(self, sent: Sent) -> dict[str, Any]:
        if sent.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            raise Refused(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        if self.throttled:
            raise Refused(429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Crypto'.")
        matched = _RESOURCE.fullmatch(sent.target)
        if matched is None:
            raise Refused(404, "NOT_FOUND", "No such path.")
        name, verb = matched.groups()
        if name in self.denied:
            raise Refused(403, "PERMISSION_DENIED", f"Permission denied on resource '{name}'.")
        key = self.keys.get(name)
        if key is None:
            raise Refused(404, "NOT_FOUND", f"CryptoKey {name} not found.")
        if verb is None:
            if sent.method != "GET":
                raise Refused(405, "", "method")
            return self._described(name, key)
        if sent.method != "POST":
            raise Refused(405, "", "method")
        if key.purpose != "ENCRYPT_DECRYPT":
            raise Refused(400, "FAILED_PRECONDITION", f"{name} cannot be used for this operation.")
        request = sent.json()
        bound = _checked(request, "additionalAuthenticatedData")
        if verb == "encrypt":
            return self._encrypted(name, key, _checked(request, "plaintext"), bound)
        return self._decrypted(name, key, _checked(request, "ciphertext"), bound)

    def _described(self, name: str, key: Key) -> dict[str, Any]:
        version = key.versions[key.primary]
        described: dict[str, Any] = {
            "name": name,
            "purpose": key.purpose,
            "createTime": "2026-01-02T03:04:05Z",
            "versionTemplate": {
                "protectionLevel": "HSM",
                "algorithm": "GOOGLE_SYMMETRIC_ENCRYPTION",
            },
            "destroyScheduledDuration": "2592000s",
        }
        if key.purpose == "ENCRYPT_DECRYPT":
            described["primary"] = {
                "name": f"{name}/cryptoKeyVersions/{key.primary}",
                "state": version.state,
                "createTime": version.created,
                "protectionLevel": "HSM",
                "algorithm": "GOOGLE_SYMMETRIC_ENCRYPTION",
            }
        if key.next_rotation is not None:
            described |= {"nextRotationTime": key.next_rotation, "rotationPeriod": "7776000s"}
        return described

    def _encrypted(self, name: str, key: Key, plaintext: bytes, bound: bytes) -> dict[str, Any]:
        version = self._usable(name, key, key.primary)
        nonce = os.urandom(12)
        sealed = AESGCM(version.key).encrypt(nonce, plaintext, bound)
        # Which version encrypted stands in the ciphertext, and is bound by the version's key.
        ciphertext = bytes([10, key.primary]) + nonce + sealed
        return {
            "name": f"{name}/cryptoKeyVersions/{key.primary}",
            "ciphertext": base64.b64encode(ciphertext).decode(),
            "ciphertextCrc32c": str(crc32c(ciphertext)),
            "verifiedPlaintextCrc32c": True,
            "verifiedAdditionalAuthenticatedDataCrc32c": True,
            "protectionLevel": "HSM",
        }

    def _decrypted(self, name: str, key: Key, ciphertext: bytes, bound: bytes) -> dict[str, Any]:
        invalid = Refused(
            400,
            "INVALID_ARGUMENT",
            "Decryption failed: verify that 'name' refers to the correct CryptoKey.",
        )
        if len(ciphertext) < 30 or ciphertext[0] != 10 or ciphertext[1] not in key.versions:
            raise invalid
        version = self._usable(name, key, ciphertext[1])
        try:
            plaintext = AESGCM(version.key).decrypt(ciphertext[2:14], ciphertext[14:], bound)
        except InvalidTag:
            raise invalid from None
        return {
            "plaintext": base64.b64encode(plaintext).decode(),
            "plaintextCrc32c": str(crc32c(plaintext)),
            "usedPrimary": ciphertext[1] == key.primary,
            "protectionLevel": "HSM",
        }

    def _usable(self, name: str, key: Key, number: int) -> Version:
        version = key.versions[number]
        if version.state != "ENABLED":
            full = f"{name}/cryptoKeyVersions/{number}"
            raise Refused(
                400,
                "FAILED_PRECONDITION",
                f"{full} is not enabled, current state is: {version.state}.",
                [
                    {
                        "@type": "type.googleapis.com/google.rpc.PreconditionFailure",
                        "violations": [{"type": f"KEY_{version.state}", "subject": full}],
                    }
                ],
            )
        return version


def _checked(request: Mapping[str, str], name: str) -> bytes:
    """A field of bytes; its checksum is an int64, which JSON carries as text."""
    try:
        value = base64.b64decode(request[name], validate=True)
    except (KeyError, ValueError):
        raise Refused(400, "INVALID_ARGUMENT", f"Invalid value at '{name}' (TYPE_BYTES)") from None
    if not value or len(value) > _LARGEST:
        raise Refused(400, "INVALID_ARGUMENT", f"The field '{name}' is of no length allowed.")
    if request.get(f"{name}Crc32c") != str(crc32c(value)):
        raise Refused(400, "INVALID_ARGUMENT", f"The checksum in {name}_crc32c did not match.")
    return value


def created() -> datetime:
    """When the first version of every key of the fake was made."""
    return datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
