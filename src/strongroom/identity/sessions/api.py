# SPDX-License-Identifier: Apache-2.0
"""Routes of the console's listener about sessions, and the public keys that their tokens are signed with."""

from dataclasses import dataclass
from time import monotonic
from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter

from strongroom.http.auth import StepUpNeeded
from strongroom.http.examples import answers
from strongroom.http.rate_limit import Rate, RateLimiter
from strongroom.http.requires import PUBLIC, principal_of, request_of
from strongroom.identity.dpop import Proofs
from strongroom.identity.sessions import examples
from strongroom.identity.sessions.errors import SessionUnknown
from strongroom.identity.sessions.service import SessionService, Whence
from strongroom.identity.sessions.wire import (
    RefreshIn,
    SessionsOut,
    TokensOut,
    session_out,
    tokens_out,
)
from strongroom.identity.signing_keys import SigningKeys
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import PersonId, is_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import Principal
from strongroom.kernel.secret import Secret

#: A session refreshes once in five minutes; many tabs at once are still few.
_REFRESHES: Final = Rate(per_second=2, burst=60)
LIMIT_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class SessionDesk:
    """What the routes call; `compose` joins it."""

    service: SessionService
    signing: SigningKeys
    proofs: Proofs
    refreshes: RateLimiter

    @classmethod
    def of(cls, service: SessionService, signing: SigningKeys, proofs: Proofs) -> "SessionDesk":
        """Join the parts."""
        return cls(service, signing, proofs, RateLimiter(_REFRESHES))


def _whence(request: LitestarRequest[Any, Any, State]) -> Whence:
    ours = request_of(request)
    return Whence(ours.address, ours.trace_hash)


@get(
    "/.well-known/jwks.json",
    requires=PUBLIC,
    summary="Keys that sign access tokens",
    description=(
        "The public keys (RFC 7517) that access tokens of this installation are signed with; during a rotation two. "
        "A service that is given an access token checks it with these: `alg` EdDSA, `typ` at+jwt, its issuer and its "
        "audience. Whether it was revoked, only Strongroom's own listeners know."
    ),
    tags=["sessions"],
    responses=answers(200, dict[str, Any], examples.JWKS, 503),
)
async def jwks(state: State) -> dict[str, Any]:
    """Return the JWK set."""
    desk: SessionDesk = state.sessions
    return await desk.signing.jwks()


@post(
    "/v1/session/refresh",
    requires=PUBLIC,
    status_code=200,
    summary="Refresh a session",
    description=(
        "Gives a new access token and the refresh token that takes the place of the one sent. Sent again within ten "
        "seconds, the same one is given the same successor; later, or after its successor was used, it ends the "
        "session everywhere. A session ends after 15 minutes without a refresh, and after 12 hours. With `mode`, the "
        "new access token is of that mode. A session that is bound to a key wants a `DPoP` proof of that key."
    ),
    tags=["sessions"],
    responses=answers(200, TokensOut, examples.TOKENS, 400, 401, 413, 415, 422, 429, 503),
)
async def refresh_session(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[RefreshIn, Body(examples=[Example(value=examples.REFRESH_IN)])],
    state: State,
) -> TokensOut:
    """Refresh a session."""
    desk: SessionDesk = state.sessions
    proof = desk.proofs.read(request_of(request))
    text = Secret(data.refresh_token)
    session = desk.service.session_of(text)
    desk.refreshes.take(session, monotonic())
    mode = None if data.mode is None else Mode(data.mode)
    return tokens_out(await desk.service.refresh(text, mode, proof, _whence(request)))


@post(
    "/v1/session/end",
    requires=Permission.IDENTITY_OWN_MANAGE,
    status_code=204,
    summary="Log out",
    description="Ends the session that asks, everywhere within two seconds.",
    tags=["sessions"],
    responses=answers(204, None, None, 401, 403, 404, 415, 429, 503),
)
async def end_own_session(request: LitestarRequest[Any, Any, State], state: State) -> None:
    """End the caller's session."""
    desk: SessionDesk = state.sessions
    principal = principal_of(request)
    if principal.presence is None:
        raise SessionUnknown
    await desk.service.end_one(
        principal.merchant,
        principal.presence.session,
        person=PersonId(principal.subject),
        reason="logout",
        actor=principal.actor,
        whence=_whence(request),
    )


def _whose(principal: Principal, permission: Permission) -> PersonId | None:
    """Say whose sessions a caller may deal with: everybody's of the tenant (None), or their own."""
    return None if permission in principal.permissions else PersonId(principal.subject)


@get(
    "/v1/sessions",
    requires=frozenset({Permission.IDENTITY_OWN_MANAGE, Permission.IDENTITY_SESSION_READ}),
    summary="List sessions",
    description=(
        "Open sessions, the newest first: the caller's own, or with `identity:session:read` those of everybody."
    ),
    tags=["sessions"],
    responses=answers(200, SessionsOut, examples.SESSIONS, 401, 403, 422, 429, 503),
)
async def list_sessions(
    request: LitestarRequest[Any, Any, State],
    state: State,
    limit: Annotated[int, Parameter(ge=1, le=LIMIT_MAX, description="At most so many")] = 20,
    cursor: Annotated[str | None, Parameter(description="`next_cursor` of the page before")] = None,
) -> SessionsOut:
    """Return open sessions."""
    desk: SessionDesk = state.sessions
    principal = principal_of(request)
    if cursor is not None and not is_id("ses", cursor):
        raise Invalid(FieldError("/cursor", "cursor_malformed", "this is not a cursor"))
    found = await desk.service.open_sessions(
        principal.merchant,
        _whose(principal, Permission.IDENTITY_SESSION_READ),
        after=cursor or "",
        limit=limit + 1,
    )
    own = None if principal.presence is None else principal.presence.session
    shown = [session_out(each, own) for each in found[:limit]]
    more = len(found) > limit
    return SessionsOut(shown, has_more=more, next_cursor=shown[-1].id if more else None)


@post(
    "/v1/sessions/{session_id:str}/end",
    requires=frozenset({Permission.IDENTITY_OWN_MANAGE, Permission.IDENTITY_SESSION_REVOKE}),
    status_code=204,
    summary="End a session",
    description=(
        "Ends one of the caller's own sessions, or with `identity:session:revoke` anybody's at the merchant, "
        "everywhere within two seconds. Somebody else's takes a second factor of the last five minutes. Safe to repeat."
    ),
    tags=["sessions"],
    responses=answers(204, None, None, 401, 403, 404, 415, 429, 503),
)
async def end_session(
    request: LitestarRequest[Any, Any, State], state: State, session_id: str
) -> None:
    """End a session."""
    desk: SessionDesk = state.sessions
    principal = principal_of(request)
    whose = _whose(principal, Permission.IDENTITY_SESSION_REVOKE)
    # Only the row says whose a session is. An admin whose factor is old ends their own; whether another's is there or
    # not, the answer is the same.
    stale = whose is None and principal.presence is not None and not principal.presence.stepped_up
    if stale:
        whose = PersonId(principal.subject)
    try:
        await desk.service.end_one(
            principal.merchant,
            session_id,
            person=whose,
            reason="ended_by_person" if whose is not None else "ended_by_admin",
            actor=principal.actor,
            whence=_whence(request),
        )
    except SessionUnknown:
        if stale:
            raise StepUpNeeded from None
        raise


ROUTES: Final = (jwks, refresh_session, end_own_session, list_sessions, end_session)
