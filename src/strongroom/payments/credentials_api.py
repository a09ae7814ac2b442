# SPDX-License-Identifier: Apache-2.0
"""Routes of the gateway's listener about a connection's credentials: set the next ones, promote, go back, discard."""

from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body

from strongroom.http.approval import Approval, in_live_mode
from strongroom.http.examples import answers
from strongroom.kernel.permissions import Permission
from strongroom.kernel.secret import Secret
from strongroom.payments import examples
from strongroom.payments.acting import by_of
from strongroom.payments.connections_api import ConnectionDesk
from strongroom.payments.credentials_wire import (
    CredentialsOut,
    DiscardIn,
    NextIn,
    PromoteIn,
    credentials_out,
)
from strongroom.vault import CredentialChange

_Request = LitestarRequest[Any, Any, State]
_CHANGED: Final = (400, 401, 403, 404, 409, 413, 415, 422, 429, 503)


@get(
    "/v1/connections/{connection_id:str}/credentials",
    requires=Permission.PAYMENTS_CONNECTION_READ,
    summary="Read which credentials a connection has",
    description="Whether next ones wait, until when those from before can be brought back; never what they are.",
    tags=["connections"],
    responses=answers(200, CredentialsOut, examples.CREDENTIALS, 401, 403, 404, 409, 429, 503),
)
async def read_credentials(request: _Request, state: State, connection_id: str) -> CredentialsOut:
    """Return which credentials there are."""
    desk: ConnectionDesk = state.connections
    return credentials_out(await desk.credentials.kept(connection_id, await by_of(desk, request)))


@post(
    "/v1/connections/{connection_id:str}/next",
    requires=Permission.PAYMENTS_CONNECTION_UPDATE,
    step_up=True,
    status_code=200,
    summary="Set a connection's next credentials",
    description=(
        "Sealed beside those in use, and used for nothing but `test` until they are promoted. They take the place of "
        "earlier next ones. `staged_at` in the answer names them."
    ),
    tags=["connections"],
    responses=answers(200, CredentialsOut, examples.CREDENTIALS, *_CHANGED),
)
async def set_next_credentials(
    request: _Request,
    data: Annotated[NextIn, Body(examples=[Example(value=examples.NEXT_IN)])],
    state: State,
    connection_id: str,
) -> CredentialsOut:
    """Keep the next credentials."""
    desk: ConnectionDesk = state.connections
    given = {name: Secret(value) for name, value in data.credentials.items()}
    change = CredentialChange("staged", given)
    return credentials_out(
        await desk.credentials.change(connection_id, change, await by_of(desk, request))
    )


@post(
    "/v1/connections/{connection_id:str}/promote",
    requires=Permission.PAYMENTS_CONNECTION_UPDATE,
    step_up=True,
    # As for `rotate`: whoever does this may send a merchant's money elsewhere.
    approval=Approval("connection_promote", when=in_live_mode, machines=True),
    status_code=200,
    summary="Promote a connection's next credentials",
    description=(
        "They are used everywhere within two seconds. Those from before are kept for `keep_seconds`, for `restore`. "
        "`staged_at` says which next ones are meant: others are not promoted. A person needs another's approval in "
        "live mode."
    ),
    tags=["connections"],
    responses=answers(200, CredentialsOut, examples.PROMOTED, *_CHANGED),
)
async def promote_credentials(
    request: _Request,
    data: Annotated[PromoteIn, Body(examples=[Example(value=examples.PROMOTE_IN)])],
    state: State,
    connection_id: str,
) -> CredentialsOut:
    """Use the next credentials."""
    desk: ConnectionDesk = state.connections
    change = CredentialChange("promoted", staged_at=data.staged_at, keep_seconds=data.keep_seconds)
    return credentials_out(
        await desk.credentials.change(connection_id, change, await by_of(desk, request))
    )


@post(
    "/v1/connections/{connection_id:str}/restore",
    requires=Permission.PAYMENTS_CONNECTION_UPDATE,
    step_up=True,
    approval=Approval("connection_restore", when=in_live_mode, machines=True),
    status_code=200,
    summary="Bring a connection's former credentials back",
    description=(
        "While they are kept; those that took their place are dropped. A person needs another's approval in live mode."
    ),
    tags=["connections"],
    responses=answers(200, CredentialsOut, examples.CREDENTIALS, 401, 403, 404, 409, 415, 429, 503),
)
async def restore_credentials(
    request: _Request, state: State, connection_id: str
) -> CredentialsOut:
    """Use the credentials from before."""
    desk: ConnectionDesk = state.connections
    change = CredentialChange("restored")
    return credentials_out(
        await desk.credentials.change(connection_id, change, await by_of(desk, request))
    )


@post(
    "/v1/connections/{connection_id:str}/discard",
    requires=Permission.PAYMENTS_CONNECTION_UPDATE,
    step_up=True,
    status_code=200,
    summary="Discard credentials that are not in use",
    description="The next ones, or those from before, before their time is over. Safe to repeat.",
    tags=["connections"],
    responses=answers(200, CredentialsOut, examples.CREDENTIALS, *_CHANGED),
)
async def discard_credentials(
    request: _Request,
    data: Annotated[DiscardIn, Body(examples=[Example(value={"which": "next"})])],
    state: State,
    connection_id: str,
) -> CredentialsOut:
    """Drop credentials that are not in use."""
    desk: ConnectionDesk = state.connections
    change = CredentialChange("discarded" if data.which == "next" else "forgotten")
    return credentials_out(
        await desk.credentials.change(connection_id, change, await by_of(desk, request))
    )


ROUTES: Final = (
    read_credentials,
    set_next_credentials,
    promote_credentials,
    restore_credentials,
    discard_credentials,
)
