# SPDX-License-Identifier: Apache-2.0
"""Secrets in AWS Secrets Manager: `aws-sm:NAME#FIELD@STAGE`. Reading asks for one version by its stage.

A client is made for each piece of work: secrets are read rarely, and credentials of a role are fresh that way.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import BotoCoreError, ClientError

from strongroom.config import SecretReference
from strongroom.kernel.secret import Secret
from strongroom.keys.errors import SecretUnreadable
from strongroom.keys.secrets.fields import picked, replaced
from strongroom.keys.stores.aws_errors import aws_code

if TYPE_CHECKING:
    from types_aiobotocore_secretsmanager import SecretsManagerClient

CURRENT: Final = "AWSCURRENT"
PENDING: Final = "AWSPENDING"
CONNECT_TIMEOUT_SECONDS: Final = 2
READ_TIMEOUT_SECONDS: Final = 3
CALL_TIMEOUT_SECONDS: Final = 10

_NOT_THERE: Final = frozenset({"ResourceNotFoundException", "InvalidRequestException"})
_DENIED: Final = frozenset(
    {"AccessDeniedException", "UnrecognizedClientException", "DecryptionFailure"}
)


class AwsSecrets:
    """Implements `SecretKeeper` over AWS Secrets Manager."""

    def __init__(
        self,
        *,
        region: str,
        endpoint_url: str | None = None,
        session: AioSession | None = None,
    ) -> None:
        self._region = region
        self._endpoint_url = endpoint_url
        self._session = session

    async def read(self, reference: SecretReference) -> Secret[str]:
        """Return the value at the reference's stage, by default AWSCURRENT."""
        async with self._client() as client:
            text = await _value(client, reference, reference.version or CURRENT)
        if text is None:
            raise SecretUnreadable("there is no such secret, or none at this stage")
        return picked(text, reference.field)

    async def pending(self, reference: SecretReference) -> Secret[str] | None:
        """Return the value at AWSPENDING, unless that version is current already."""
        async with self._client() as client:
            versions = await _versions(client, reference)
            if PENDING not in versions or versions[PENDING] == versions.get(CURRENT):
                return None
            text = await _value(client, reference, PENDING)
        return None if text is None else picked(text, reference.field)

    async def create(self, reference: SecretReference, value: Secret[str]) -> None:
        """Put a version at AWSPENDING, the other fields as they are now."""
        async with self._client() as client:
            versions = await _versions(client, reference)
            if PENDING in versions and versions[PENDING] != versions.get(CURRENT):
                return
            now = await _value(client, reference, CURRENT)
            await client.put_secret_value(
                SecretId=reference.name,
                SecretString=replaced(now or "{}", reference.field, value),
                VersionStages=[PENDING],
            )

    async def finish(self, reference: SecretReference) -> None:
        """Move AWSCURRENT to the pending version; the one before gets AWSPREVIOUS from AWS."""
        async with self._client() as client:
            versions = await _versions(client, reference)
            if PENDING not in versions:
                return
            if versions[PENDING] != versions.get(CURRENT):
                await client.update_secret_version_stage(
                    SecretId=reference.name,
                    VersionStage=CURRENT,
                    MoveToVersionId=versions[PENDING],
                    RemoveFromVersionId=versions[CURRENT],
                )
            # Crash here: both stages stand at one version, which counts as nothing pending.
            await client.update_secret_version_stage(
                SecretId=reference.name,
                VersionStage=PENDING,
                RemoveFromVersionId=versions[PENDING],
            )

    @asynccontextmanager
    async def _client(self) -> AsyncIterator["SecretsManagerClient"]:
        """Lend a client, bound the whole of its work, and say in our words what went wrong."""
        config = AioConfig(
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=READ_TIMEOUT_SECONDS,
            retries={"mode": "standard", "total_max_attempts": 1},
        )
        try:
            async with (
                asyncio.timeout(CALL_TIMEOUT_SECONDS),
                (self._session or get_session()).create_client(
                    "secretsmanager",
                    region_name=self._region,
                    endpoint_url=self._endpoint_url,
                    config=config,
                ) as client,
            ):
                yield client
        except ClientError as error:
            code = aws_code(error)
            if code in _DENIED:
                raise SecretUnreadable("this role may not use it") from error
            raise SecretUnreadable(f"AWS Secrets Manager answered {code}") from error
        except (BotoCoreError, OSError, KeyError, ValueError, AttributeError) as error:
            raise SecretUnreadable("AWS Secrets Manager does not answer") from error


async def _value(
    client: "SecretsManagerClient", reference: SecretReference, stage: str
) -> str | None:
    try:
        answer = await client.get_secret_value(SecretId=reference.name, VersionStage=stage)
    except ClientError as error:
        if aws_code(error) in _NOT_THERE:
            return None
        raise
    text = answer.get("SecretString")
    if text is None:
        raise SecretUnreadable("the secret holds bytes, no text")
    return text


async def _versions(client: "SecretsManagerClient", reference: SecretReference) -> dict[str, str]:
    """Return which version stands at each stage."""
    answer = await client.describe_secret(SecretId=reference.name)
    stages = answer.get("VersionIdsToStages", {})
    return {stage: version for version, names in stages.items() for stage in names}
