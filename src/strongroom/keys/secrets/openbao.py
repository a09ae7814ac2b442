# SPDX-License-Identifier: Apache-2.0
"""Secrets in the KV version 2 engine of OpenBao or HashiCorp Vault: `vault:MOUNT/PATH#FIELD@VERSION`. Read only.

The engine's mount is the first part of the path. Whoever changes a secret there writes a new version, which is the
current one at once: there is nothing pending to be tried.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from strongroom.config import SecretReference
from strongroom.egress.fixed import FixedService, ServiceAway
from strongroom.egress.model import Answered
from strongroom.kernel.secret import Secret
from strongroom.keys.errors import KeyStoreRefused, KeyStoreUnavailable, SecretUnreadable
from strongroom.keys.secrets.fields import chosen
from strongroom.keys.stores.transit_login import TransitIdentity

_OK: Final = 200
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404


class _Data(msgspec.Struct, frozen=True):
    data: dict[str, object] | None

    def __repr__(self) -> str:
        return "_Data()"


class _Read(msgspec.Struct, frozen=True):
    data: _Data

    def __repr__(self) -> str:
        return "_Read()"


class VaultSecrets:
    """Implements `SecretSource` over a KV engine. It owns the service and the login."""

    def __init__(
        self,
        service: FixedService,
        identity: TransitIdentity,
        headers: Mapping[str, str],
    ) -> None:
        self._service = service
        self._identity = identity
        self._headers = headers

    async def read(self, reference: SecretReference) -> Secret[str]:
        """Read a version of a secret, the newest where none is named."""
        mount, _, path = reference.name.partition("/")
        version = "" if reference.version is None else f"?version={reference.version}"
        try:
            answered = await self._call(f"/v1/{mount}/data/{path}{version}")
        except ServiceAway as error:
            raise SecretUnreadable("the server does not answer") from error
        except (KeyStoreRefused, KeyStoreUnavailable) as error:
            raise SecretUnreadable(f"no login: {error.detail}") from error
        if answered.status == _NOT_FOUND:
            raise SecretUnreadable("there is no such secret, or this version of it was deleted")
        if answered.status == _FORBIDDEN:
            raise SecretUnreadable("this role may not read it")
        if answered.status != _OK:
            raise SecretUnreadable(f"the server answered {answered.status}")
        try:
            found = msgspec.json.decode(answered.body, type=_Read).data.data
        except (msgspec.MsgspecError, RecursionError):  # cut off: it tells of what it met
            found = None
        if found is None:
            raise SecretUnreadable("the server answered no secret of the KV version 2 engine")
        return chosen(found, reference.field or "")

    async def pending(self, reference: SecretReference) -> Secret[str] | None:
        """Return nothing."""
        del reference
        return None

    async def close(self) -> None:
        """Give up the login and close the connections."""
        await self._identity.close(self._service, self._headers)
        await self._service.close()

    async def _call(self, path: str) -> Answered:
        """Call once; once more where the token was refused and another one is to be had."""
        token = await self._identity.token(self._service, self._headers)
        answered = await self._sent(path, token)
        if answered.status == _FORBIDDEN and self._identity.refused(token):
            another = await self._identity.token(self._service, self._headers)
            if another is not token:
                answered = await self._sent(path, another)
        return answered

    async def _sent(self, path: str, token: Secret[str]) -> Answered:
        headers = {**self._headers, "x-vault-token": token.expose()}
        return await self._service.call("GET", path, headers=headers)
