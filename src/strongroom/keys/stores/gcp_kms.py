# SPDX-License-Identifier: Apache-2.0
"""Roots in Google Cloud KMS, by its REST API (v1): one symmetric key per purpose. No retries and no fallback.

Google makes no data keys: they are made here from the system's randomness and encrypted there. The context is the
additional authenticated data.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from strongroom.crypto import DATA_KEY_BYTES, random_bytes
from strongroom.egress.fixed import (
    CALL_TIMEOUT_SECONDS,
    FixedService,
    ServiceAway,
    ServiceUrlRefused,
)
from strongroom.egress.google_identity import GoogleTokens, IdentityRefused
from strongroom.egress.model import Answered
from strongroom.kernel.secret import Secret
from strongroom.keys.context import associated, check_plaintext
from strongroom.keys.errors import (
    CannotUnwrap,
    KeyStoreRefused,
    KeyStoreUnavailable,
    RootDisabled,
)
from strongroom.keys.model import NewDataKey, RootInfo
from strongroom.keys.purposes import Purpose
from strongroom.keys.stores.answers import read_answer
from strongroom.keys.stores.crc32c import crc32c

ENDPOINT: Final = "https://cloudkms.googleapis.com"
KEY_NAME: Final = re.compile(
    r"projects/[a-z0-9.:-]{1,100}/locations/[a-z0-9-]{1,63}/keyRings/[A-Za-z0-9_-]{1,63}/cryptoKeys/[A-Za-z0-9_-]{1,63}"
)

_OK: Final = 200
_UNAUTHENTICATED: Final = 401
_TOO_MANY: Final = 429
_CLIENT_ERRORS: Final = range(400, 500)
_WAIT_OUT: Final = frozenset(
    {"ABORTED", "CANCELLED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "UNAVAILABLE"}
)


class _Encrypted(msgspec.Struct, frozen=True):
    #: The version of the key that encrypted.
    name: str
    ciphertext: bytes
    checksum: str = msgspec.field(name="ciphertextCrc32c")
    plaintext_verified: bool = msgspec.field(name="verifiedPlaintextCrc32c", default=False)
    context_verified: bool = msgspec.field(
        name="verifiedAdditionalAuthenticatedDataCrc32c", default=False
    )


class _Decrypted(msgspec.Struct, frozen=True):
    plaintext: bytes
    checksum: str = msgspec.field(name="plaintextCrc32c")

    def __repr__(self) -> str:
        return "_Decrypted()"


class _Version(msgspec.Struct, frozen=True):
    name: str
    state: str
    algorithm: str
    created: datetime = msgspec.field(name="createTime")
    protection: str = msgspec.field(name="protectionLevel", default="")


class _Key(msgspec.Struct, frozen=True):
    name: str
    purpose: str
    primary: _Version | None = None
    rotates_at: datetime | None = msgspec.field(name="nextRotationTime", default=None)


class _Violation(msgspec.Struct, frozen=True):
    type: str = ""


class _Detail(msgspec.Struct, frozen=True):
    violations: tuple[_Violation, ...] = ()


class _Fault(msgspec.Struct, frozen=True):
    status: str = ""
    message: str = ""
    details: tuple[_Detail, ...] = ()


class _Refusal(msgspec.Struct, frozen=True):
    error: _Fault


class GcpKmsKeyStore:
    """Implements `KeyStore` over Google Cloud KMS. Made by `open`; give it up with `close`."""

    def __init__(
        self,
        service: FixedService,
        tokens: GoogleTokens,
        key_names: Mapping[Purpose, str],
        call_timeout_seconds: float,
    ) -> None:
        self._service = service
        self._tokens = tokens
        self._key_names = dict(key_names)
        self._call_timeout_seconds = call_timeout_seconds

    @property
    def name(self) -> str:
        """The store's kind."""
        return "gcp_kms"

    @classmethod
    def open(
        cls,
        key_names: Mapping[Purpose, str],
        tokens: GoogleTokens,
        *,
        endpoint: str | None = None,
        call_timeout_seconds: float = CALL_TIMEOUT_SECONDS,
    ) -> "GcpKmsKeyStore":
        """Make a client; it owns the tokens. Asks nothing yet: `describe` does.

        Args:
            key_names: `projects/…/cryptoKeys/…` of the roots that this role is granted.
            tokens: who this process is to Google.
            endpoint: another server than Google's.
            call_timeout_seconds: for the whole of a call, a new token included.

        Raises:
            KeyStoreRefused: a name is no key's, or the endpoint no address.
        """
        for purpose, key_name in key_names.items():
            if KEY_NAME.fullmatch(key_name) is None:
                raise KeyStoreRefused(f"the {purpose} root's name is none of Google Cloud KMS")
        try:
            service = FixedService(endpoint or ENDPOINT, call_timeout_seconds=call_timeout_seconds)
        except ServiceUrlRefused as error:
            raise KeyStoreRefused("the endpoint of Google Cloud KMS is no address") from error
        return cls(service, tokens, key_names, call_timeout_seconds)

    async def generate(self, purpose: Purpose, context: Mapping[str, str]) -> NewDataKey:
        """Make a data key here and have it encrypted."""
        plaintext = random_bytes(DATA_KEY_BYTES)
        return NewDataKey(Secret(plaintext), await self.wrap(purpose, plaintext, context))

    async def wrap(self, purpose: Purpose, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        """Call cryptoKeys.encrypt; the key's primary version encrypts."""
        check_plaintext(plaintext)
        bound = associated(purpose, context)
        key_name = self._key_name(purpose)
        request = {
            "plaintext": plaintext,
            "plaintextCrc32c": str(crc32c(plaintext)),
            "additionalAuthenticatedData": bound,
            "additionalAuthenticatedDataCrc32c": str(crc32c(bound)),
        }
        answered = await self._call("POST", f"{key_name}:encrypt", request)
        if answered.status != _OK:
            raise self._refused(answered, key_name)
        encrypted = read_answer(answered, _Encrypted)
        # An answer that fails here may be of something else than what was sent; to keep it could lose what it wraps.
        if not (
            encrypted.plaintext_verified
            and encrypted.context_verified
            and encrypted.ciphertext
            and encrypted.checksum == str(crc32c(encrypted.ciphertext))
            and encrypted.name.startswith(f"{key_name}/cryptoKeyVersions/")
        ):
            raise KeyStoreUnavailable
        return encrypted.ciphertext

    async def unwrap(
        self, purpose: Purpose, wrapped: bytes, context: Mapping[str, str]
    ) -> Secret[bytes]:
        """Call cryptoKeys.decrypt; whichever version of this key encrypted decrypts."""
        bound = associated(purpose, context)
        key_name = self._key_name(purpose)
        if not wrapped:
            raise CannotUnwrap
        request = {
            "ciphertext": wrapped,
            "ciphertextCrc32c": str(crc32c(wrapped)),
            "additionalAuthenticatedData": bound,
            "additionalAuthenticatedDataCrc32c": str(crc32c(bound)),
        }
        answered = await self._call("POST", f"{key_name}:decrypt", request)
        if answered.status != _OK:
            raise self._refused(answered, key_name, invalid=CannotUnwrap())
        decrypted = read_answer(answered, _Decrypted)
        if not decrypted.plaintext or decrypted.checksum != str(crc32c(decrypted.plaintext)):
            raise KeyStoreUnavailable
        return Secret(decrypted.plaintext)

    async def describe(self) -> Sequence[RootInfo]:
        """Call cryptoKeys.get for every root of this role."""
        return [await self._describe(purpose) for purpose in sorted(self._key_names)]

    async def close(self) -> None:
        """Close the connections."""
        await self._service.close()
        await self._tokens.close()

    async def _describe(self, purpose: Purpose) -> RootInfo:
        key_name = self._key_name(purpose)
        answered = await self._call("GET", key_name)
        if answered.status != _OK:
            raise self._refused(answered, key_name)
        key = read_answer(answered, _Key)
        if key.name != key_name:
            raise KeyStoreUnavailable
        if key.purpose != "ENCRYPT_DECRYPT":
            raise KeyStoreRefused(f"{key_name} is no key that encrypts")
        version = key.primary
        if version is None:
            raise RootDisabled(f"{key_name} has no primary version")
        return RootInfo(
            purpose=purpose,
            key_id=version.name,
            algorithm=f"{version.algorithm} {version.protection}".rstrip(),
            created=version.created,
            enabled=version.state == "ENABLED",
            rotates_at=key.rotates_at,
        )

    def _key_name(self, purpose: Purpose) -> str:
        key_name = self._key_names.get(purpose)
        if key_name is None:
            raise KeyStoreRefused(f"this role is not granted the {purpose} root")
        return key_name

    async def _call(
        self, method: str, resource: str, request: Mapping[str, object] | None = None
    ) -> Answered:
        try:
            async with asyncio.timeout(self._call_timeout_seconds):
                token = await self._tokens.token()
                return await self._service.call(
                    method,
                    f"/v1/{resource}",
                    headers={
                        "authorization": f"Bearer {token.expose()}",
                        "content-type": "application/json",
                    },
                    body=None if request is None else msgspec.json.encode(request),
                )
        except IdentityRefused as error:
            raise KeyStoreRefused(error.detail) from error
        except (ServiceAway, TimeoutError) as error:
            raise KeyStoreUnavailable from error

    def _refused(
        self, answered: Answered, key_name: str, *, invalid: CannotUnwrap | None = None
    ) -> CannotUnwrap | KeyStoreUnavailable | KeyStoreRefused:
        """Say in our words what Google said. Its own words are left out: they may quote the request."""
        if answered.status == _UNAUTHENTICATED:
            self._tokens.forget()
        fault = _fault(answered)
        if (
            answered.status == _TOO_MANY
            or answered.status not in _CLIENT_ERRORS
            or fault.status in _WAIT_OUT
        ):
            return KeyStoreUnavailable()
        match fault.status:
            case "INVALID_ARGUMENT" if "crc32c" in fault.message.lower():
                return KeyStoreUnavailable()  # it was damaged on its way there
            case "INVALID_ARGUMENT" if invalid is not None:
                return invalid
            case "FAILED_PRECONDITION" if _is_disabled(fault):
                return RootDisabled()
            case "NOT_FOUND":
                return KeyStoreRefused(f"Google Cloud KMS knows no key {key_name}")
            case status:
                said = status if re.fullmatch("[A-Z_]{1,40}", status) else str(answered.status)
                return KeyStoreRefused(f"Google Cloud KMS answered {said} for {key_name}")


def _fault(answered: Answered) -> _Fault:
    try:
        return msgspec.json.decode(answered.body, type=_Refusal).error
    except (msgspec.MsgspecError, RecursionError):
        return _Fault()


def _is_disabled(fault: _Fault) -> bool:
    """Tell a version that is off from other preconditions (billing, an API that is not enabled).

    A violation names it by a type (`KEY_DISABLED`, `KEY_DESTROYED`, …); the message says it in words besides.
    """
    types = {violation.type for detail in fault.details for violation in detail.violations}
    return any(each.startswith("KEY_") for each in types) or "is not enabled" in fault.message
