# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of a connection's credentials while they are rotated. What is secret is taken and never given back."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from strongroom.kernel.clock import rfc3339
from strongroom.payments.credentials import KeptCredentials

#: How long those from before can be brought back, in seconds.
KeepSeconds = Annotated[int, Meta(ge=0, le=7 * 86_400)]


class NextIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The next credentials. They are not used until they are promoted."""

    credentials: Annotated[dict[str, Annotated[str, Meta(max_length=4_096)]], Meta(max_length=10)]


class PromoteIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which next credentials are to be used: those that were set at `staged_at`, and no others."""

    staged_at: Annotated[str, Meta(min_length=27, max_length=27)]
    keep_seconds: KeepSeconds = 86_400


class DiscardIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be dropped: the next credentials, or those from before."""

    which: Literal["next", "former"] = "next"


class CredentialsOut(msgspec.Struct, frozen=True):
    """Which credentials and secrets a connection has, without any of them."""

    object: str
    connection: str
    #: When the next credentials were set; null: there are none.
    staged_at: str | None
    #: Until when those from before can be brought back; null: there are none.
    former_until: str | None
    #: Until when each secret of its notices holds, the present one first; null: until it is rotated.
    webhook_secrets_until: list[str | None]


def credentials_out(kept: KeptCredentials) -> CredentialsOut:
    """Print which credentials there are."""
    return CredentialsOut(
        object="connection_credentials",
        connection=kept.connection.connection_id,
        staged_at=kept.credentials.staged_at,
        former_until=_moment(kept.credentials.former_until),
        webhook_secrets_until=[_moment(each) for each in kept.secrets_until],
    )


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
