# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of sessions."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from strongroom.identity.sessions.model import Session
from strongroom.identity.sessions.ports import Issued
from strongroom.kernel.clock import rfc3339


class RefreshIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A refresh token, and the mode that the new access token shall be of."""

    refresh_token: Annotated[str, Meta(min_length=1, max_length=200)]
    mode: Annotated[
        Literal["live", "test"] | None,
        Meta(description="The mode of the new access token; without it, the mode logged in for"),
    ] = None


class TokensOut(msgspec.Struct, frozen=True):
    """A session's tokens. Neither is shown again."""

    object: str
    session: str
    access_token: str
    #: How to present it: `Bearer`, or `DPoP` when it is bound to the caller's key.
    token_type: str
    expires_in: int
    refresh_token: str | None


class SessionOut(msgspec.Struct, frozen=True):
    """An open session."""

    id: str
    object: str
    person: str
    #: Whether it is the one that asks.
    current: bool
    methods: list[str]
    bound_to_key: bool
    started_at: str
    stepped_up_at: str
    used_at: str
    ends_at: str


class SessionsOut(msgspec.Struct, frozen=True):
    """Open sessions, the newest first."""

    data: list[SessionOut]
    has_more: bool
    next_cursor: str | None


def tokens_out(issued: Issued) -> TokensOut:
    """Print a session's tokens."""
    return TokensOut(
        "session_tokens",
        issued.session,
        issued.access.expose(),
        issued.token_type,
        issued.access_seconds,
        issued.refresh.expose() or None,
    )


def session_out(session: Session, current: str | None) -> SessionOut:
    """Print a session; `current` is the caller's own."""
    return SessionOut(
        session.session,
        "session",
        session.person,
        session.session == current,
        list(session.methods),
        session.dpop_thumbprint is not None,
        rfc3339(session.started_at),
        rfc3339(session.stepped_up_at),
        rfc3339(session.used_at),
        rfc3339(session.ends_at),
    )
