# SPDX-License-Identifier: Apache-2.0
"""Access tokens for Google Cloud: of the machine's service account, or of a file of credentials. Kept while they last.

A machine's own tokens are asked of its metadata server here and not by Google's library, whose part for it needs a
package that a production installation does not have. For a file the library is used, in a thread: it blocks.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import urllib3

from strongroom.egress.fixed import FixedService, ServiceAway
from strongroom.kernel.clock import SystemClock
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.secret import Secret
from strongroom.kernel.tasks import is_being_cancelled

METADATA_URL: Final = "http://metadata.google.internal"
METADATA_PATH: Final = "/computeMetadata/v1/instance/service-accounts/default/token"
#: How long before its end a token is replaced; Google's own libraries keep the same distance.
REFRESH_AHEAD_SECONDS: Final = 225.0
#: What a token of a file may be used for, besides what IAM grants; a machine's has the scopes of the machine.
KMS_SCOPE: Final = "https://www.googleapis.com/auth/cloudkms"
#: The only one that Secret Manager takes.
EVERYTHING_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_OK: Final = 200
_SERVER_ERROR: Final = 500
_TOO_MANY: Final = 429


class IdentityRefused(StrongroomError):
    """Google gives this process no token: it has no service account, or its file of credentials is refused."""

    code = "google_identity_refused"


@dataclass(frozen=True, slots=True)
class Granted:
    """A token that was just granted."""

    token: Secret[str]
    seconds: float


#: Asks for a new token; raises ServiceAway or IdentityRefused.
Grant = Callable[[], Awaitable[Granted]]


class GoogleTokens(Protocol):
    """Where the store of keys gets its tokens."""

    async def token(self) -> Secret[str]:
        """Return a token that is good now. Raises ServiceAway or IdentityRefused."""

    def forget(self) -> None:
        """Ask for a new one next time: Google refused the present one."""

    async def close(self) -> None:
        """Let go of connections."""


class CachedTokens:
    """Implements `GoogleTokens` over a grant: one at a time, and the present token while it lasts."""

    def __init__(
        self,
        grant: Grant,
        close: Callable[[], Awaitable[None]] | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._grant = grant
        self._close = close
        self._now = now
        self._present: tuple[Secret[str], float] | None = None
        self._flight: asyncio.Task[None] | None = None

    async def token(self) -> Secret[str]:
        """Return the present token, or a new one shortly before its end."""
        present = self._present
        left = present[1] - self._now() if present else 0.0
        if present is not None and left > REFRESH_AHEAD_SECONDS:
            return present[0]
        if self._flight is None:
            self._flight = asyncio.create_task(self._renew())
            self._flight.add_done_callback(self._landed)
        try:
            # Shielded: a caller that gives up does not take the others' token away.
            await asyncio.shield(self._flight)
        except asyncio.CancelledError:
            if is_being_cancelled():
                raise
            raise ServiceAway from None  # closed meanwhile
        except StrongroomError:
            if present is not None and left > 0:
                return present[0]
            raise
        if self._present is None:  # forgotten meanwhile
            raise ServiceAway
        return self._present[0]

    def forget(self) -> None:
        """Ask for a new one next time."""
        self._present = None

    async def close(self) -> None:
        """Stop what is under way."""
        self._present = None
        if self._flight is not None:
            self._flight.cancel()
        if self._close is not None:
            await self._close()

    async def _renew(self) -> None:
        granted = await self._grant()
        self._present = (granted.token, self._now() + granted.seconds)

    def _landed(self, flight: "asyncio.Task[None]") -> None:
        self._flight = None
        if not flight.cancelled():
            flight.exception()  # told to those who waited


class _Metadata(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: int

    def __repr__(self) -> str:
        return "_Metadata()"


def machine_tokens(url: str = METADATA_URL) -> CachedTokens:
    """Return the tokens of the service account that this machine, task or pod runs as."""
    service = FixedService(url)

    async def grant() -> Granted:
        answered = await service.call("GET", METADATA_PATH, headers={"metadata-flavor": "Google"})
        if answered.status == _TOO_MANY or answered.status >= _SERVER_ERROR:
            raise ServiceAway
        # The header proves that it is the metadata server and no other machine that answers under its name.
        if answered.status != _OK or answered.headers.get("metadata-flavor") != "Google":
            raise IdentityRefused("the metadata server has no service account for this process")
        try:
            found = msgspec.json.decode(answered.body, type=_Metadata)
        except (msgspec.MsgspecError, RecursionError):
            # Not chained: what does not decode may hold a token, and a chained error would print what it met.
            raise ServiceAway from None
        return Granted(Secret(found.access_token), found.expires_in)

    return CachedTokens(grant, service.close)


def file_tokens(path: Path, scope: str = KMS_SCOPE) -> CachedTokens:
    """Return the tokens of a file of credentials: workload identity federation; in development also a key file."""

    async def grant() -> Granted:
        return await asyncio.to_thread(_granted, path, scope)

    return CachedTokens(grant)


def _granted(path: Path, scope: str) -> Granted:
    """Read the file and have its credentials refreshed. Blocks; each try of the library is bounded."""
    # Imported here: it takes longer than everything else of this package, and few need it.
    from google.auth import exceptions  # noqa: PLC0415
    from google.auth.transport.urllib3 import Request  # noqa: PLC0415

    pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=2, read=3), retries=False)
    try:
        credentials = _credentials(
            msgspec.json.decode(path.read_bytes(), type=dict[str, Any]), scope
        )
        credentials.refresh(Request(pool))  # type: ignore[no-untyped-call]  # as Google wrote it
    except (OSError, msgspec.MsgspecError, RecursionError):
        raise IdentityRefused("the file of Google credentials cannot be read") from None
    except exceptions.TransportError as error:
        raise ServiceAway from error
    except exceptions.GoogleAuthError as error:
        if error.retryable:
            raise ServiceAway from error
        raise IdentityRefused("Google refused the file of credentials") from None
    except (
        ValueError,
        KeyError,
        TypeError,
    ):  # a field that is no key or address: its text may hold part of it
        raise IdentityRefused("the file of Google credentials is malformed") from None
    finally:
        pool.clear()
    if not credentials.token:
        raise ServiceAway
    return Granted(Secret(str(credentials.token)), _seconds_left(credentials.expiry))


def _credentials(content: dict[str, Any], scope: str) -> Any:
    """Make the credentials of a file, of the kinds that are known here: a file could name others that run programs."""
    from google.auth import identity_pool  # noqa: PLC0415
    from google.oauth2 import service_account  # noqa: PLC0415

    match content.get("type"):
        case "external_account":
            return identity_pool.Credentials.from_info(content, scopes=(scope,))  # type: ignore[no-untyped-call]
        case "service_account":
            return service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
                content, scopes=(scope,)
            )
        case _:
            raise IdentityRefused("the file of Google credentials is of no kind that is known here")


def _seconds_left(expiry: datetime | None) -> float:
    """Google's library tells the end as UTC without saying so; without one a token is used once."""
    if expiry is None:
        return 0.0
    return (expiry.replace(tzinfo=UTC) - SystemClock().now()).total_seconds()
