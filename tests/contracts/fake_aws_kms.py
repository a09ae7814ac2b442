# SPDX-License-Identifier: Apache-2.0
"""A FAKE of AWS KMS's API over HTTP, for tests: strict in what moto lets pass. Written from AWS's API reference.

moto unwraps under keys that are disabled or are to be deleted and answers AccessDenied for a wrong key id; this answers
as the reference says: DisabledException, KMSInvalidStateException, IncorrectKeyException, ThrottlingException.
"""

import asyncio
import base64
import os
from dataclasses import dataclass, field
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from peer import Behaviour, Sent, answer
from strongroom.keys import Purpose

REGION = "me-central-1"
PREFIX = "alias/strongroom-"
_ACCOUNT = f"arn:aws:kms:{REGION}:111122223333"
_SERVICE = "TrentService."


class Refused(Exception):
    def __init__(self, code: str, status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


@dataclass
class Key:
    number: int
    state: str = "Enabled"
    versions: list[bytes] = field(default_factory=lambda: [os.urandom(32)], repr=False)
    #: Seconds since 1970 of the next rotation; none where it is not switched on.
    rotates_at: float | None = None

    @property
    def arn(self) -> str:
        return f"{_ACCOUNT}:key/0000-{self.number:04}"

    def rotate(self) -> None:
        self.versions.append(os.urandom(32))


class FakeAwsKms:
    """Keys by alias. Knobs: a key's `state`, `denied` aliases, `throttled`, `gate`."""

    def __init__(self) -> None:
        self.aliases: dict[str, Key] = {}
        for purpose in Purpose:
            self.add(PREFIX + purpose)
        self.denied: set[str] = set()
        self.throttled = False
        #: Whether the role may ask for GetKeyRotationStatus, which takes no alias.
        self.tells_rotation = True
        self.gate = asyncio.Event()
        self.gate.set()

    def add(self, alias: str) -> Key:
        self.aliases[alias] = Key(len(self.aliases) + 1)
        return self.aliases[alias]

    def behaviour(self) -> Behaviour:
        async def behave(sent: Sent, _writer: asyncio.StreamWriter) -> bytes:
            await self.gate.wait()
            header = "content-type: application/x-amz-json-1.1\r\n"
            try:
                return answer(msgspec.json.encode(self._answer(sent)), 200, header)
            except Refused as refused:
                body = {"__type": refused.code, "message": "told in AWS's words"}
                return answer(msgspec.json.encode(body), refused.status, header)

        return behave

    def _answer(self, sent: Sent) -> dict[str, Any]:
        if not sent.headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 Credential="):
            raise Refused("MissingAuthenticationTokenException")
        if self.throttled:
            raise Refused("ThrottlingException")
        request = sent.json()
        key = self._key(request.get("KeyId", ""))
        bound = msgspec.json.encode(sorted(request.get("EncryptionContext", {}).items()))
        match sent.headers["x-amz-target"].removeprefix(_SERVICE):
            case "DescribeKey":
                metadata = {
                    "Arn": key.arn,
                    "KeyId": key.arn.rpartition("/")[2],
                    "KeySpec": "SYMMETRIC_DEFAULT",
                    "CreationDate": 1_767_323_045.678,
                    "KeyState": key.state,
                    "Enabled": key.state == "Enabled",
                }
                return {"KeyMetadata": metadata}
            case "GetKeyRotationStatus":
                if key.rotates_at is None:
                    return {"KeyId": key.arn, "KeyRotationEnabled": False}
                return {
                    "KeyId": key.arn,
                    "KeyRotationEnabled": True,
                    "RotationPeriodInDays": 365,
                    "NextRotationDate": key.rotates_at,
                }
            case "GenerateDataKey":
                if request.get("KeySpec") != "AES_256":
                    raise Refused("ValidationException")
                plaintext = os.urandom(32)
                return self._encrypted(key, plaintext, bound) | {"Plaintext": _text(plaintext)}
            case "Encrypt":
                plaintext = base64.b64decode(request["Plaintext"], validate=True)
                if not 0 < len(plaintext) <= 4_096:
                    raise Refused("ValidationException")
                return self._encrypted(key, plaintext, bound)
            case "Decrypt":
                return self._decrypted(key, request["CiphertextBlob"], bound)
        raise Refused("UnknownOperationException")

    def _key(self, key_id: str) -> Key:
        by_arn = {key.arn: key for key in self.aliases.values()}
        if key_id in self.denied or (key_id in by_arn and not self.tells_rotation):
            raise Refused("AccessDeniedException")
        key = self.aliases.get(key_id) or by_arn.get(key_id)
        if key is None:
            raise Refused("NotFoundException")
        return key

    def _encrypted(self, key: Key, plaintext: bytes, bound: bytes) -> dict[str, Any]:
        _require_usable(key)
        nonce = os.urandom(12)
        sealed = AESGCM(key.versions[-1]).encrypt(nonce, plaintext, bound)
        blob = b"\x01" + key.number.to_bytes(2) + len(key.versions).to_bytes(1) + nonce + sealed
        return {"CiphertextBlob": _text(blob), "KeyId": key.arn}

    def _decrypted(self, key: Key, text: str, bound: bytes) -> dict[str, Any]:
        blob = base64.b64decode(text, validate=True)
        if not 32 < len(blob) <= 6_144:
            raise Refused(
                "ValidationException" if len(blob) > 6_144 else "InvalidCiphertextException"
            )
        wrapped_by = {each.number: each for each in self.aliases.values()}.get(
            int.from_bytes(blob[1:3])
        )
        if blob[0] != 1 or wrapped_by is None:
            raise Refused("InvalidCiphertextException")
        if wrapped_by is not key:
            raise Refused("IncorrectKeyException")
        _require_usable(key)
        if not 0 < blob[3] <= len(key.versions):
            raise Refused("InvalidCiphertextException")
        try:
            plaintext = AESGCM(key.versions[blob[3] - 1]).decrypt(blob[4:16], blob[16:], bound)
        except InvalidTag:
            raise Refused("InvalidCiphertextException") from None
        return {"Plaintext": _text(plaintext), "KeyId": key.arn}


def _require_usable(key: Key) -> None:
    if key.state == "Disabled":
        raise Refused("DisabledException")
    if key.state != "Enabled":
        raise Refused("KMSInvalidStateException")


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
