# SPDX-License-Identifier: Apache-2.0
"""Secrets in Google Secret Manager, by its REST API (v1): `gcp-sm:PROJECT/NAME#FIELD@VERSION`. Read only.

Rotation there makes a new version, and `latest` leads to it at once: there is nothing pending to be tried.
"""

from typing import Final

import msgspec

from strongroom.config import SecretReference
from strongroom.egress.fixed import FixedService, ServiceAway
from strongroom.egress.google_identity import GoogleTokens, IdentityRefused
from strongroom.kernel.secret import Secret
from strongroom.keys.errors import SecretUnreadable
from strongroom.keys.secrets.fields import picked
from strongroom.keys.stores.crc32c import crc32c

ENDPOINT: Final = "https://secretmanager.googleapis.com"

_OK: Final = 200
_UNAUTHENTICATED: Final = 401
_FAULTS: Final = {
    400: "the secret's version is disabled or destroyed",
    403: "this service account may not read it",
    404: "there is no such secret, or no such version",
}


class _Payload(msgspec.Struct, frozen=True):
    data: bytes
    checksum: str | None = msgspec.field(name="dataCrc32c", default=None)

    def __repr__(self) -> str:
        return "_Payload()"


class _Accessed(msgspec.Struct, frozen=True):
    payload: _Payload


class GoogleSecrets:
    """Implements `SecretSource` over Google Secret Manager. It owns the service and the tokens."""

    def __init__(self, service: FixedService, tokens: GoogleTokens) -> None:
        self._service = service
        self._tokens = tokens

    async def read(self, reference: SecretReference) -> Secret[str]:
        """Call projects.secrets.versions.access, of the latest version where none is named."""
        project, _, name = reference.name.partition("/")
        version = reference.version or "latest"
        path = f"/v1/projects/{project}/secrets/{name}/versions/{version}:access"
        try:
            token = await self._tokens.token()
            answered = await self._service.call(
                "GET", path, headers={"authorization": f"Bearer {token.expose()}"}
            )
        except IdentityRefused as error:
            raise SecretUnreadable(error.detail) from error
        except ServiceAway as error:
            raise SecretUnreadable("Google Secret Manager does not answer") from error
        if answered.status == _UNAUTHENTICATED:
            self._tokens.forget()
        if answered.status != _OK:
            said = f"Google Secret Manager answered {answered.status}"
            raise SecretUnreadable(_FAULTS.get(answered.status, said))
        return picked(_text(answered.body), reference.field)

    async def pending(self, reference: SecretReference) -> Secret[str] | None:
        """Return nothing."""
        del reference
        return None

    async def close(self) -> None:
        """Close the connections."""
        await self._service.close()
        await self._tokens.close()


def _text(body: bytes) -> str:
    try:
        payload = msgspec.json.decode(body, type=_Accessed).payload
        text = payload.data.decode("utf-8")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # Cut off: the decoder's own error tells of what it met.
        raise SecretUnreadable("Google Secret Manager answered no text") from None
    if payload.checksum is not None and payload.checksum != str(crc32c(payload.data)):
        raise SecretUnreadable("what Google Secret Manager answered was damaged on its way")
    return text
