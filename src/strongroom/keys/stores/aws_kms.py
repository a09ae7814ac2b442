# SPDX-License-Identifier: Apache-2.0
"""Roots in AWS KMS: one key per purpose, which never leaves it. No retries here and no fallback anywhere.

A call that fails is told to the caller, who knows what is at stake. The encryption context is in CloudTrail.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)
from botocore.parsers import ResponseParserError

from strongroom.crypto import DATA_KEY_BYTES
from strongroom.kernel.clock import SystemClock
from strongroom.kernel.secret import Secret
from strongroom.kernel.tasks import is_being_cancelled
from strongroom.keys.context import bound_context, check_plaintext
from strongroom.keys.errors import (
    CannotUnwrap,
    KeyStoreRefused,
    KeyStoreUnavailable,
    RootDisabled,
)
from strongroom.keys.model import PLATFORM_CONTEXT, NewDataKey, RootInfo
from strongroom.keys.purposes import Purpose
from strongroom.keys.stores.aws_errors import aws_code

if TYPE_CHECKING:
    from types_aiobotocore_kms import KMSClient

CONNECT_TIMEOUT_SECONDS: Final = 2
READ_TIMEOUT_SECONDS: Final = 3
#: For the whole of a call: waiting for a connection, fetching credentials, and a server that answers in drips.
CALL_TIMEOUT_SECONDS: Final = 6
CALLS_AT_ONCE: Final = 16
ROTATION_SECONDS: Final = 3_600.0

_CANNOT_UNWRAP: Final = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})
_UNKNOWN_KEY: Final = "NotFoundException"
#: What KMS says of a key that did not wrap, or is not there.
_ANOTHER_KEY: Final = frozenset({"IncorrectKeyException", _UNKNOWN_KEY})
#: What an alias may hold of a merchant's id; nothing of it could name another purpose's or prefix's key.
_MERCHANT: Final = re.compile(r"[A-Za-z0-9_]{1,64}")
_DISABLED: Final = frozenset({"DisabledException", "KMSInvalidStateException"})
#: Errors of a caller's making by their status, yet ours to wait out.
_UNAVAILABLE: Final = frozenset(
    {
        "DependencyTimeoutException",
        "KeyUnavailableException",
        "KMSInternalException",
        "LimitExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_SERVER_ERROR: Final = 500


class AwsKmsKeyStore:
    """Implements `KeyStore` over AWS KMS. Made by `open`; give it up with `close`."""

    def __init__(
        self,
        client: "KMSClient",
        key_ids: Mapping[Purpose, str],
        lifetime: AsyncExitStack,
        call_timeout_seconds: float,
        merchant_keys: frozenset[Purpose] = frozenset(),
    ) -> None:
        self._client = client
        self._call_timeout_seconds = call_timeout_seconds
        self._key_ids = dict(key_ids)
        self._lifetime = lifetime
        self._merchant_keys = merchant_keys
        self._closed = False
        #: By ARN: when to ask again, when the present version was made and when the next one will be.
        self._rotations: dict[str, tuple[float, datetime | None, datetime | None]] = {}

    @property
    def name(self) -> str:
        """The store's kind."""
        return "aws_kms"

    @classmethod
    async def open(
        cls,
        key_ids: Mapping[Purpose, str],
        *,
        region: str,
        endpoint_url: str | None = None,
        session: AioSession | None = None,
        call_timeout_seconds: float = CALL_TIMEOUT_SECONDS,
        merchant_keys: frozenset[Purpose] = frozenset(),
    ) -> "AwsKmsKeyStore":
        """Make a client. Asks KMS nothing yet: `describe` does.

        Args:
            key_ids: by ARN or alias, the roots that this role is granted.
            region: where they are.
            endpoint_url: another server than AWS's.
            session: brings the credentials, by default from AWS's own chain (instance or task role).
            call_timeout_seconds: for the whole of a call.
            merchant_keys: purposes of which each merchant has a key of its own, by the alias of the purpose's with
                `-` and the merchant behind it. None is ever made here. What belongs to no merchant, and what was
                wrapped before the purpose was named here, stays with the purpose's own key.

        Raises:
            KeyStoreRefused: the settings make no client, or a purpose with keys of merchants has no alias.
        """
        if not all(key_ids.get(each, "alias/").startswith("alias/") for each in merchant_keys):
            raise KeyStoreRefused(
                "keys of merchants are named by alias: name their purpose's by one"
            )
        config = AioConfig(
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=READ_TIMEOUT_SECONDS,
            max_pool_connections=CALLS_AT_ONCE,  # who comes later waits for a connection
            # One attempt in all ("max_attempts" would count the repetitions only).
            retries={"mode": "standard", "total_max_attempts": 1},
        )
        async with AsyncExitStack() as lifetime:
            making = (session or get_session()).create_client(
                "kms", region_name=region, endpoint_url=endpoint_url, config=config
            )
            try:
                client = await lifetime.enter_async_context(making)
            except (BotoCoreError, ValueError) as error:
                raise KeyStoreRefused("the settings make no AWS KMS client") from error
            return cls(client, key_ids, lifetime.pop_all(), call_timeout_seconds, merchant_keys)

    async def generate(self, purpose: Purpose, context: Mapping[str, str]) -> NewDataKey:
        """Call GenerateDataKey (AES_256)."""
        bound = bound_context(purpose, context)
        key_id = self._key_ids_for(purpose, context)[0]
        async with self._call(key_id):
            answer = await self._client.generate_data_key(
                KeyId=key_id, KeySpec="AES_256", EncryptionContext=bound
            )
            plaintext, wrapped = answer["Plaintext"], answer["CiphertextBlob"]
        if len(plaintext) != DATA_KEY_BYTES:
            raise KeyStoreUnavailable
        return NewDataKey(Secret(plaintext), _present(wrapped))

    async def wrap(self, purpose: Purpose, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        """Call Encrypt."""
        check_plaintext(plaintext)
        bound = bound_context(purpose, context)
        key_id = self._key_ids_for(purpose, context)[0]
        async with self._call(key_id):
            answer = await self._client.encrypt(
                KeyId=key_id, Plaintext=plaintext, EncryptionContext=bound
            )
            return _present(answer["CiphertextBlob"])

    async def unwrap(
        self, purpose: Purpose, wrapped: bytes, context: Mapping[str, str]
    ) -> Secret[bytes]:
        """Call Decrypt, with the key that must have wrapped: KMS would else take any that it may use."""
        bound = bound_context(purpose, context)
        first, *others = self._key_ids_for(purpose, context)
        if not wrapped:
            raise CannotUnwrap
        try:
            return await self._decrypted(first, wrapped, bound)
        except (CannotUnwrap, KeyStoreRefused) as error:
            if not others or aws_code(error.__cause__) not in _ANOTHER_KEY:
                raise
            refused = error
        try:
            return await self._decrypted(others[0], wrapped, bound)
        except CannotUnwrap:
            raise refused from None

    async def describe(self) -> Sequence[RootInfo]:
        """Call DescribeKey for every root of this role."""
        return [await self._describe(purpose) for purpose in sorted(self._key_ids)]

    async def close(self) -> None:
        """Close the connections."""
        self._closed = True
        await self._lifetime.aclose()

    async def _decrypted(
        self, key_id: str, wrapped: bytes, bound: Mapping[str, str]
    ) -> Secret[bytes]:
        async with self._call(key_id):
            answer = await self._client.decrypt(
                KeyId=key_id, CiphertextBlob=wrapped, EncryptionContext=bound
            )
            return Secret(_present(answer["Plaintext"]))

    async def _describe(self, purpose: Purpose) -> RootInfo:
        key_id = self._key_id(purpose)
        async with self._call(key_id):
            answer = await self._client.describe_key(KeyId=key_id)
            root = answer["KeyMetadata"]
            found = RootInfo(
                purpose=purpose,
                key_id=root["Arn"],
                algorithm=root["KeySpec"],
                created=root["CreationDate"],
                enabled=root["KeyState"] == "Enabled",
            )
        made, rotates_at = await self._rotation(found.key_id)
        created = found.created if made is None else max(found.created, made)
        return replace(found, created=created, rotates_at=rotates_at)

    async def _rotation(self, arn: str) -> tuple[datetime | None, datetime | None]:
        """Say when the present version was made and when AWS makes the next, if it does and this role may know.

        Asked once an hour, for roots are described with each look at whether the store answers, and after the day
        that was told. A rotation on demand does not show here.
        """
        now = asyncio.get_running_loop().time()
        ask_at, made, rotates_at = self._rotations.get(arn, (now, None, None))
        if now < ask_at:
            return made, rotates_at
        try:
            async with self._call(arn):
                answer = await self._client.get_key_rotation_status(KeyId=arn)
                rotates_at = answer.get("NextRotationDate")
                days = answer.get("RotationPeriodInDays")
                if rotates_at is not None and days is not None:
                    made = rotates_at - timedelta(days=days)
        except KeyStoreRefused:
            made, rotates_at = None, None
        wait = ROTATION_SECONDS
        if rotates_at is not None:
            wait = min(wait, (rotates_at - SystemClock().now()).total_seconds())
        self._rotations[arn] = (now + wait, made, rotates_at)
        return made, rotates_at

    def _key_id(self, purpose: Purpose) -> str:
        key_id = self._key_ids.get(purpose)
        if key_id is None:
            raise KeyStoreRefused(f"this role is not granted the {purpose} root")
        return key_id

    def _key_ids_for(self, purpose: Purpose, context: Mapping[str, str]) -> tuple[str, ...]:
        """Return the key that wraps for this context, then those that may have wrapped for it before."""
        key_id = self._key_id(purpose)
        merchant = context.get("merchant", PLATFORM_CONTEXT)
        if purpose not in self._merchant_keys or merchant == PLATFORM_CONTEXT:
            return (key_id,)
        if _MERCHANT.fullmatch(merchant) is None:
            raise KeyStoreRefused("a merchant's id makes no alias")
        return (f"{key_id}-{merchant}", key_id)

    @asynccontextmanager
    async def _call(self, key_id: str) -> AsyncIterator[None]:
        """Bound the whole of a call, and say in our words what went wrong."""
        if self._closed:
            raise KeyStoreUnavailable
        try:
            async with asyncio.timeout(self._call_timeout_seconds):
                yield
        except asyncio.CancelledError:
            if is_being_cancelled():
                raise
            raise KeyStoreUnavailable from None  # closed while this call waited for a connection
        except ClientError as error:
            raise _translated(error, key_id) from error
        except (NoCredentialsError, PartialCredentialsError, ParamValidationError) as error:
            raise KeyStoreRefused from error
        # The last three: botocore's parser, or what is read here, met an answer of another shape.
        except (
            BotoCoreError,
            ResponseParserError,
            OSError,
            AttributeError,
            KeyError,
            ValueError,
        ) as error:
            raise KeyStoreUnavailable from error


def _present(content: bytes) -> bytes:
    """Return what AWS answered, unless it answered nothing."""
    if not content:
        raise KeyStoreUnavailable
    return content


def _translated(
    error: ClientError, key_id: str
) -> CannotUnwrap | RootDisabled | KeyStoreUnavailable | KeyStoreRefused:
    code = aws_code(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", _SERVER_ERROR)
    if code in _CANNOT_UNWRAP:
        return CannotUnwrap()
    if code in _DISABLED:
        return RootDisabled()
    if code in _UNAVAILABLE or status >= _SERVER_ERROR:
        return KeyStoreUnavailable()
    if code == _UNKNOWN_KEY:
        return KeyStoreRefused(f"AWS KMS knows no key {key_id}")
    return KeyStoreRefused(f"AWS KMS answered {code} for {key_id}")
