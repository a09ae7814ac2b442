# SPDX-License-Identifier: Apache-2.0
"""What the edge asks of whoever knows the credentials. Fails closed: no answer is no principal.

Unrecognized              whoever sent this is not known here: counted as a denial, slowed down by address
└── Unauthenticated  401  no key, a malformed, unknown, expired or revoked one: one answer for all
"""

from typing import Final, Protocol

from strongroom.kernel.errors import Refused
from strongroom.kernel.principal import Principal

BEARER: Final = "Bearer "
CREDENTIAL_BYTES_MAX: Final = 256


class Unrecognized(Refused):
    """Whoever sent this is not known here."""

    def __init__(self, reason: str = "unknown") -> None:
        super().__init__()
        #: For the audit log and metrics; never told to the caller.
        self.reason = reason


class Unauthenticated(Unrecognized):
    """No valid API key was given."""

    code = "unauthenticated"
    status = 401


class Authenticator(Protocol):
    """Turns a credential into a principal."""

    def recent(self, credential: str) -> Principal | None:
        """Return the principal of a key that was checked less than a second ago, without waiting."""

    async def authenticate(self, credential: str, origin: str | None) -> Principal:
        """Check a key.

        Raises:
            Unauthenticated: it does not hold; `reason` says why, for us only.
            Unavailable: it could not be checked, so it does not hold now.
        """


def credential_of(header: str | None) -> str:
    """Return the bearer credential of an Authorization header (RFC 6750 §2.1).

    Raises:
        Unauthenticated: there is none, or it has another form.
    """
    if header is None:
        raise Unauthenticated("absent")
    if not header.startswith(BEARER) or len(header) > CREDENTIAL_BYTES_MAX:
        raise Unauthenticated("malformed")
    return header[len(BEARER) :]
