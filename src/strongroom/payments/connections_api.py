# SPDX-License-Identifier: Apache-2.0
"""Routes of the gateway's listener about connections, and the public listener's route for returning customers."""

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from litestar import Request as LitestarRequest
from litestar import Response, get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter

from strongroom.audit import Recorder
from strongroom.http.approval import Approval, in_live_mode
from strongroom.http.examples import answers
from strongroom.http.requires import PUBLIC, principal_of
from strongroom.kernel.clock import Clock
from strongroom.kernel.permissions import Permission
from strongroom.payments import examples
from strongroom.payments.acting import by_of
from strongroom.payments.connections import ConnectionService
from strongroom.payments.connections_wire import (
    ConnectionIn,
    ConnectionOut,
    ConnectionsOut,
    ConnectionTestOut,
    RotateIn,
    connection_out,
)
from strongroom.payments.credentials import ConnectionCredentials
from strongroom.payments.model import Connection
from strongroom.payments.probing import ConnectionTests
from strongroom.payments.returns import Returns


@dataclass(frozen=True, slots=True)
class ConnectionDesk:
    """What the routes call; `compose` joins it."""

    service: ConnectionService
    tests: ConnectionTests
    recorder: Recorder
    clock: Clock
    public_url: str
    credentials: ConnectionCredentials

    def shown(self, connection: Connection) -> ConnectionOut:
        """Print a connection with the address that its processor is to be told."""
        return connection_out(
            connection, f"{self.public_url}/v1/inbound/{connection.connection_id}"
        )


@post(
    "/v1/connections",
    requires=Permission.PAYMENTS_CONNECTION_CREATE,
    step_up=True,
    summary="Connect a processor",
    description=(
        "Credentials are sealed by the vault, the verification secret of its notices by webhooks; neither is shown "
        "again. Give the processor `webhook_url`."
    ),
    tags=["connections"],
    responses=answers(
        201, ConnectionOut, examples.CONNECTION, 400, 401, 403, 413, 415, 422, 429, 503
    ),
)
async def create_connection(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[ConnectionIn, Body(examples=[Example(value=examples.CONNECTION_IN)])],
    state: State,
) -> ConnectionOut:
    """Connect an account."""
    desk: ConnectionDesk = state.connections
    return desk.shown(await desk.service.create(data, await by_of(desk, request)))


@get(
    "/v1/connections",
    requires=Permission.PAYMENTS_CONNECTION_READ,
    summary="List connections",
    description="Newest first. The newest active one is charged through, unless a payment names another.",
    tags=["connections"],
    responses=answers(200, ConnectionsOut, examples.CONNECTIONS, 401, 403, 429, 503),
)
async def list_connections(
    request: LitestarRequest[Any, Any, State], state: State
) -> ConnectionsOut:
    """Return the merchant's connections."""
    desk: ConnectionDesk = state.connections
    principal = principal_of(request)
    found = await desk.service.book.all(principal.merchant, principal.mode)
    return ConnectionsOut([desk.shown(each) for each in found], has_more=False, next_cursor=None)


@get(
    "/v1/connections/{connection_id:str}",
    requires=Permission.PAYMENTS_CONNECTION_READ,
    summary="Read a connection",
    description="Without what is secret.",
    tags=["connections"],
    responses=answers(200, ConnectionOut, examples.CONNECTION, 401, 403, 404, 429, 503),
)
async def read_connection(
    request: LitestarRequest[Any, Any, State], state: State, connection_id: str
) -> ConnectionOut:
    """Return a connection."""
    desk: ConnectionDesk = state.connections
    principal = principal_of(request)
    return desk.shown(
        await desk.service.book.one(principal.merchant, principal.mode, connection_id)
    )


@post(
    "/v1/connections/{connection_id:str}/rotate",
    requires=Permission.PAYMENTS_CONNECTION_UPDATE,
    step_up=True,
    # Whoever changes these sends a merchant's money elsewhere. A secret key is made by an operator only: its owner has
    # decided already.
    approval=Approval("connection_rotate", when=in_live_mode, machines=True),
    status_code=200,
    summary="Rotate credentials",
    description=(
        "New credentials are used at once, and those from before can be brought back for the overlap; the old webhook "
        "secret holds beside the new one for it. To try credentials first, set them as the next ones. A person needs "
        "another's approval in live mode."
    ),
    tags=["connections"],
    responses=answers(
        200, ConnectionOut, examples.CONNECTION, 400, 401, 403, 404, 413, 415, 422, 429, 503
    ),
)
async def rotate_connection(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[
        RotateIn,
        Body(examples=[Example(value={"webhook_secret": "another_example_and_no_secret"})]),
    ],
    state: State,
    connection_id: str,
) -> ConnectionOut:
    """Take new credentials or a new secret."""
    desk: ConnectionDesk = state.connections
    return desk.shown(await desk.service.rotate(connection_id, data, await by_of(desk, request)))


@post(
    "/v1/connections/{connection_id:str}/disable",
    requires=Permission.PAYMENTS_CONNECTION_UPDATE,
    step_up=True,
    status_code=204,
    summary="Disable a connection",
    description="No new payment goes through it; what was begun through it is finished. Safe to repeat.",
    tags=["connections"],
    responses=answers(204, None, None, 401, 403, 404, 415, 429, 503),
)
async def disable_connection(
    request: LitestarRequest[Any, Any, State], state: State, connection_id: str
) -> None:
    """Choose a connection for no new payment."""
    desk: ConnectionDesk = state.connections
    await desk.service.disable(connection_id, await by_of(desk, request))


@post(
    "/v1/connections/{connection_id:str}/test",
    requires=Permission.PAYMENTS_CONNECTION_READ,
    status_code=200,
    summary="Test a connection",
    description=(
        "Is the processor reached, is it the right account and mode, and what is missing. Moves no money. With "
        "`credentials=next` those are tried that are to be promoted."
    ),
    tags=["connections"],
    responses=answers(
        200, ConnectionTestOut, examples.CONNECTION_TEST, 401, 403, 404, 409, 415, 422, 429, 503
    ),
)
async def test_connection(
    request: LitestarRequest[Any, Any, State],
    state: State,
    connection_id: str,
    credentials: Annotated[
        Literal["current", "next"], Parameter(description="Which are tried")
    ] = "current",  # noqa: PT028 - a route, and no test
) -> ConnectionTestOut:
    """Ask the processor for the account behind a connection."""
    desk: ConnectionDesk = state.connections
    return await desk.tests.test(connection_id, await by_of(desk, request), credentials)


@get(
    "/v1/returns/{payment_id:str}",
    requires=PUBLIC,
    summary="Come back from a challenge",
    description=(
        "Processors send customers here. It triggers a look at the payment and proves nothing; the customer goes on to "
        "the `return_url` of the payment."
    ),
    tags=["returns"],
    responses=answers(303, None, None, 404, 429, 503, description="On to the merchant's page")
    | answers(
        200,
        str,
        "You can close this page.",
        media_type="text/plain",
        description="The merchant named no page",
    ),
)
async def customer_returned(
    state: State,
    payment_id: str,
    result: Annotated[
        str | None,
        Parameter(query="redirectResult", description="What Adyen gives customers along"),
    ] = None,
) -> Response[Any]:
    """Ask for a look, and send the customer on."""
    returns: Returns = state.returns
    url = await returns.returned(payment_id, result)
    if url is None:
        return Response("You can close this page.", media_type="text/plain")
    return Response(b"", status_code=303, media_type="text/plain", headers={"location": url})


CONNECTION_ROUTES: Final = (
    create_connection,
    list_connections,
    read_connection,
    rotate_connection,
    disable_connection,
    test_connection,
)
RETURN_ROUTES: Final = (customer_returned,)
