# SPDX-License-Identifier: Apache-2.0
"""Who this process is to OpenBao or HashiCorp Vault: a login by AppRole, kept alive, or a token that a file holds.

A token is renewed at the first call in the last third of its lease, and where that is not enough any more (its longest
life is reached) or fails, the process logs in anew. Files are read at each login, so that what is replaced there is
used without a restart.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import msgspec

from strongroom.crypto import equal
from strongroom.egress.fixed import FixedService, ServiceAway
from strongroom.egress.model import Answered
from strongroom.kernel.secret import Secret
from strongroom.keys.errors import KeyStoreRefused, KeyStoreUnavailable
from strongroom.keys.stores.answers import read_answer

#: A token younger than this was refused for what it may do, not for its age: another one would be refused as well.
YOUNG_SECONDS: Final = 5.0
#: A store that gives tokens without an end (`lease_duration` 0) is asked for a new one this often.
ENDLESS_SECONDS: Final = 3_600.0
REVOKE_SECONDS: Final = 1.0
_LARGEST_FILE_BYTES: Final = 8 * 1024
_OK: Final = 200
_CLIENT_ERRORS: Final = range(400, 500)
#: Errors of a caller's making by their number: too many calls, standby nodes, a replica that lags behind.
WAIT_OUT: Final = frozenset({412, 429, 472, 473})


class TransitIdentity(Protocol):
    """Gives the tokens that calls carry."""

    async def token(self, service: FixedService, headers: Mapping[str, str]) -> Secret[str]:
        """Return a token that should be good now. Raises KeyStoreUnavailable or KeyStoreRefused."""

    def refused(self, token: Secret[str]) -> bool:
        """Hear that a token was refused; tell whether to try once more with another one."""

    async def close(self, service: FixedService, headers: Mapping[str, str]) -> None:
        """Give up what was logged in."""


class _Auth(msgspec.Struct, frozen=True):
    client_token: str
    lease_duration: int
    renewable: bool

    def __repr__(self) -> str:
        return "_Auth()"


class _LoggedIn(msgspec.Struct, frozen=True):
    auth: _Auth


@dataclass(frozen=True, slots=True)
class _Lease:
    token: Secret[str]
    #: When it was logged in for, and when its present time began.
    granted: float
    began: float
    seconds: float
    renewable: bool


class AppRole:
    """Implements `TransitIdentity`: logs in with a RoleID and the SecretID that a file holds."""

    def __init__(
        self,
        role_id: str,
        secret_id: Path,
        mount: str = "approle",
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._role_id = role_id
        self._secret_id = secret_id
        self._mount = mount
        self._now = now
        self._lease: _Lease | None = None
        self._turn = asyncio.Lock()

    async def token(self, service: FixedService, headers: Mapping[str, str]) -> Secret[str]:
        """Return the present token, renewed or replaced in the last third of its lease; one caller does that."""
        lease = self._lease
        if lease is not None and self._left(lease) > lease.seconds / 3:
            return lease.token
        async with self._turn:
            lease = self._lease  # another caller may have been first
            if lease is None or self._left(lease) <= 0:
                lease = await self._login(service, headers)
            elif self._left(lease) <= lease.seconds / 3:
                lease = await self._prolonged(lease, service, headers)
            self._lease = lease
            return lease.token

    def refused(self, token: Secret[str]) -> bool:
        """Drop the token, unless it is so young that its age is not the reason."""
        lease = self._lease
        if lease is None or lease.token is not token:
            return True  # another caller dropped it before
        if self._now() - lease.granted < YOUNG_SECONDS:
            return False
        self._lease = None
        return True

    async def close(self, service: FixedService, headers: Mapping[str, str]) -> None:
        """Revoke the token, as far as that can be done quickly: else it ends with its lease."""
        lease, self._lease = self._lease, None
        if lease is None:
            return
        try:
            async with asyncio.timeout(REVOKE_SECONDS):
                await _post(service, "auth/token/revoke-self", headers, {}, lease.token)
        except (ServiceAway, TimeoutError):
            pass

    def _left(self, lease: _Lease) -> float:
        return lease.began + lease.seconds - self._now()

    async def _prolonged(
        self, lease: _Lease, service: FixedService, headers: Mapping[str, str]
    ) -> _Lease:
        """Renew, or log in where renewing does not help; while neither can be done the token serves to its end."""
        if lease.renewable:
            try:
                answered = await _post(service, "auth/token/renew-self", headers, {}, lease.token)
            except ServiceAway:
                return lease
            if answered.status == _OK:
                auth = read_answer(answered, _LoggedIn).auth
                renewed = replace(
                    lease, began=self._now(), seconds=auth.lease_duration, renewable=auth.renewable
                )
                # Near its longest life a token is prolonged by less and less.
                if renewed.seconds > lease.seconds / 2:
                    return renewed
        try:
            return await self._login(service, headers)
        except KeyStoreUnavailable:
            return lease

    async def _login(self, service: FixedService, headers: Mapping[str, str]) -> _Lease:
        secret_id = await asyncio.to_thread(_content, self._secret_id, "SecretID")
        request = {"role_id": self._role_id, "secret_id": secret_id.expose()}
        began = self._now()
        try:
            answered = await _post(service, f"auth/{self._mount}/login", headers, request)
        except ServiceAway as error:
            raise KeyStoreUnavailable from error
        if is_away(answered):
            raise KeyStoreUnavailable
        if answered.status != _OK:
            raise KeyStoreRefused("the Transit store refused this role's login (AppRole)")
        auth = read_answer(answered, _LoggedIn).auth
        seconds = auth.lease_duration or ENDLESS_SECONDS
        return _Lease(Secret(auth.client_token), began, began, seconds, auth.renewable)


class TokenFile:
    """Implements `TransitIdentity`: the token that a file holds, which an agent beside us or a person keeps good."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._present: Secret[str] | None = None
        self._was_refused = False

    async def token(
        self,
        service: FixedService,  # noqa: ARG002 - nobody is asked
        headers: Mapping[str, str],  # noqa: ARG002 - likewise
    ) -> Secret[str]:
        """Return what the file held when it was read last: the same object while it holds the same token."""
        present = self._present
        if present is None or self._was_refused:
            read = await asyncio.to_thread(_content, self._path, "token")
            same = present is not None and equal(present.expose().encode(), read.expose().encode())
            self._present = present if same else read
            self._was_refused = False
            return present if present is not None and same else read
        return present

    def refused(self, token: Secret[str]) -> bool:
        """Read the file anew next time."""
        self._was_refused = self._was_refused or self._present is token
        return True

    async def close(self, service: FixedService, headers: Mapping[str, str]) -> None:  # noqa: ARG002 - nobody is told
        """Leave the token alone: it is not ours to revoke."""
        self._present = None


def is_away(answered: Answered) -> bool:
    """Tell whether a server says that it cannot serve now, or that another one should be asked (redirects)."""
    status = answered.status
    return status in WAIT_OUT or (status != _OK and status not in _CLIENT_ERRORS)


async def _post(
    service: FixedService,
    path: str,
    headers: Mapping[str, str],
    request: Mapping[str, str],
    token: Secret[str] | None = None,
) -> Answered:
    carried = {} if token is None else {"x-vault-token": token.expose()}
    return await service.call(
        "POST", f"/v1/{path}", headers={**headers, **carried}, body=msgspec.json.encode(request)
    )


def _content(path: Path, what: str) -> Secret[str]:
    """Read a small file with one line. Blocks."""
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_FILE_BYTES + 1).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyStoreRefused(
            f"the file with the {what} of the Transit store cannot be read"
        ) from error
    if not text or len(text) > _LARGEST_FILE_BYTES or not text.isprintable():
        raise KeyStoreRefused(f"the file with the {what} of the Transit store holds none")
    return Secret(text)
