# SPDX-License-Identifier: Apache-2.0
"""What the edge asks of whoever knows the credentials. Fails closed: no answer is no principal.

Unrecognized              whoever sent this is not known here: counted as a denial, slowed down by address
└── Unauthenticated  401  no credential, a malformed, unknown, expired or revoked one: one answer for all
StepUpNeeded         401  a person has to show a second factor again (RFC 9470)
"""

from typing import Final, NamedTuple, Protocol

from strongroom.http.request import Request
from strongroom.kernel.errors import Refused
from strongroom.kernel.principal import Principal

BEARER: Final = "Bearer"
#: RFC 9449: an access token that is bound to the caller's key.
DPOP: Final = "DPoP"
SCHEMES: Final = (BEARER, DPOP)
CREDENTIAL_BYTES_MAX: Final = 4_096
#: How long a second factor counts for what is sensitive.
STEP_UP_SECONDS: Final = 300


class Credential(NamedTuple):
    """What stands in an Authorization header."""

    scheme: str
    text: str


class Unrecognized(Refused):
    """Whoever sent this is not known here."""

    #: The challenge of an answer 401 (RFC 9110 §11.6.1).
    challenge = 'Bearer realm="strongroom"'

    def __init__(self, reason: str = "unknown") -> None:
        super().__init__()
        #: For the audit log and metrics; never told to the caller.
        self.reason = reason


class Unauthenticated(Unrecognized):
    """No valid credential was given."""

    code = "unauthenticated"
    status = 401


class StepUpNeeded(Refused):
    """Show a second factor again (POST /v1/step-up/…), then ask once more with the new access token."""

    code = "step_up_needed"
    status = 401
    challenge = (
        'Bearer realm="strongroom", error="insufficient_user_authentication", '
        f'error_description="a second factor is asked for again", max_age="{STEP_UP_SECONDS}"'
    )


class Authenticator(Protocol):
    """Turns a credential into a principal. `request` is there for what a credential is bound to."""

    def recent(self, request: Request, credential: Credential) -> Principal | None:
        """Return the principal of a credential that was checked less than a second ago, without waiting."""

    async def authenticate(self, request: Request, credential: Credential) -> Principal:
        """Check a credential.

        Raises:
            Unauthenticated: it does not hold; `reason` says why, for us only.
            Unavailable: it could not be checked, so it does not hold now.
        """


def credential_of(header: str | None) -> Credential:
    """Return the credential of an Authorization header (RFC 6750 §2.1, RFC 9449 §7.1).

    Raises:
        Unauthenticated: there is none, or it has another form.
    """
    if header is None:
        raise Unauthenticated("absent")
    scheme, _, text = header.partition(" ")
    if scheme not in SCHEMES or len(header) > CREDENTIAL_BYTES_MAX:
        raise Unauthenticated("malformed")
    return Credential(scheme, text)
