# SPDX-License-Identifier: Apache-2.0
"""Routes of the gateway's listener about endpoints, events and deliveries: parse, call, print."""

from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import delete, get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter

from strongroom.http.examples import answers
from strongroom.http.requires import principal_of, request_of
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import is_id
from strongroom.kernel.permissions import Permission
from strongroom.webhooks import examples
from strongroom.webhooks.envelope import Envelope
from strongroom.webhooks.events import PAGE_ROWS_MAX, Search
from strongroom.webhooks.model import Caller, EndpointChange, EndpointStatus, EndpointWish
from strongroom.webhooks.ports import Webhooks
from strongroom.webhooks.wire import (
    DeliveriesOut,
    EndpointChangeIn,
    EndpointIn,
    EndpointOut,
    EndpointsOut,
    EventsOut,
    RedeliverIn,
    RotateEndpointIn,
    delivery_out,
    endpoint_out,
    event_out,
)


async def _caller(webhooks: Webhooks, request: LitestarRequest[Any, Any, State]) -> Caller:
    """Say who asks and whence, for the record of what they do."""
    principal, ours = principal_of(request), request_of(request)
    origin = await webhooks.recorder.origin(
        principal.merchant, ours.address, ours.trace_hash, webhooks.clock.now()
    )
    return Caller(principal, origin)


# --- endpoints ---------------------------------------------------------------------------------------


@post(
    "/v1/endpoints",
    requires=Permission.WEBHOOKS_ENDPOINT_CREATE,
    step_up=True,
    summary="Make an endpoint",
    description=(
        "Events of the calling key's mode are delivered there, signed by Standard Webhooks 1.0. The secret is in this "
        "answer only. Events may come more than once and in any order."
    ),
    tags=["endpoints"],
    responses=answers(
        201, EndpointOut, examples.NEW_ENDPOINT, 400, 401, 403, 409, 413, 415, 422, 429, 503
    ),
)
async def create_endpoint(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[EndpointIn, Body(examples=[Example(value=examples.ENDPOINT_IN)])],
    state: State,
) -> EndpointOut:
    """Make an endpoint."""
    webhooks: Webhooks = state.webhooks
    wish = EndpointWish(data.url, data.description, frozenset(data.types))
    made = await webhooks.endpoints.create(wish, await _caller(webhooks, request))
    return endpoint_out(made.endpoint, made.secret.expose())


@get(
    "/v1/endpoints",
    requires=Permission.WEBHOOKS_ENDPOINT_READ,
    summary="List endpoints",
    description="The merchant's endpoints of the calling key's mode, oldest first, without their secrets.",
    tags=["endpoints"],
    responses=answers(200, EndpointsOut, examples.ENDPOINTS, 401, 403, 429, 503),
)
async def list_endpoints(request: LitestarRequest[Any, Any, State], state: State) -> EndpointsOut:
    """Return the merchant's endpoints."""
    webhooks: Webhooks = state.webhooks
    found = await webhooks.endpoints.all(await _caller(webhooks, request))
    return EndpointsOut([endpoint_out(each) for each in found], has_more=False, next_cursor=None)


@get(
    "/v1/endpoints/{endpoint_id:str}",
    requires=Permission.WEBHOOKS_ENDPOINT_READ,
    summary="Read an endpoint",
    description="Without its secret.",
    tags=["endpoints"],
    responses=answers(200, EndpointOut, examples.ENDPOINT, 401, 403, 404, 429, 503),
)
async def read_endpoint(
    request: LitestarRequest[Any, Any, State], state: State, endpoint_id: str
) -> EndpointOut:
    """Return an endpoint."""
    webhooks: Webhooks = state.webhooks
    return endpoint_out(await webhooks.endpoints.one(await _caller(webhooks, request), endpoint_id))


@post(
    "/v1/endpoints/{endpoint_id:str}",
    requires=Permission.WEBHOOKS_ENDPOINT_UPDATE,
    step_up=True,
    status_code=200,
    summary="Change an endpoint",
    description="What is not given stays. One that answered 410 is made active again here.",
    tags=["endpoints"],
    responses=answers(
        200, EndpointOut, examples.CHANGED, 400, 401, 403, 404, 413, 415, 422, 429, 503
    ),
)
async def change_endpoint(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[EndpointChangeIn, Body(examples=[Example(value=examples.CHANGE_IN)])],
    state: State,
    endpoint_id: str,
) -> EndpointOut:
    """Change an endpoint."""
    webhooks: Webhooks = state.webhooks
    wanted = EndpointChange(
        url=data.url,
        description=data.description,
        types=None if data.types is None else frozenset(data.types),
        status=None if data.status is None else EndpointStatus(data.status),
    )
    caller = await _caller(webhooks, request)
    return endpoint_out(await webhooks.endpoints.change(caller, endpoint_id, wanted))


@post(
    "/v1/endpoints/{endpoint_id:str}/rotate",
    requires=Permission.WEBHOOKS_ENDPOINT_UPDATE,
    step_up=True,
    status_code=200,
    summary="Rotate an endpoint's secret",
    description=(
        "The new secret is in this answer only and signs at once; the old one signs beside it for the overlap, so that "
        "either verifies."
    ),
    tags=["endpoints"],
    responses=answers(
        200, EndpointOut, examples.NEW_ENDPOINT, 400, 401, 403, 404, 413, 415, 422, 429, 503
    ),
)
async def rotate_endpoint(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[RotateEndpointIn, Body(examples=[Example(value=examples.ROTATE_IN)])],
    state: State,
    endpoint_id: str,
) -> EndpointOut:
    """Make a new secret."""
    webhooks: Webhooks = state.webhooks
    caller = await _caller(webhooks, request)
    made = await webhooks.endpoints.rotate(caller, endpoint_id, data.overlap_seconds)
    return endpoint_out(made.endpoint, made.secret.expose())


@delete(
    "/v1/endpoints/{endpoint_id:str}",
    requires=Permission.WEBHOOKS_ENDPOINT_DELETE,
    step_up=True,
    status_code=204,
    summary="Delete an endpoint",
    description="Its secrets go with it, and what was to be delivered there fails. A second delete answers 404.",
    tags=["endpoints"],
    responses=answers(204, None, None, 401, 403, 404, 429, 503),
)
async def delete_endpoint(
    request: LitestarRequest[Any, Any, State], state: State, endpoint_id: str
) -> None:
    """Delete an endpoint."""
    webhooks: Webhooks = state.webhooks
    await webhooks.endpoints.delete(await _caller(webhooks, request), endpoint_id)


@post(
    "/v1/endpoints/{endpoint_id:str}/test",
    requires=Permission.WEBHOOKS_ENDPOINT_UPDATE,
    status_code=200,
    summary="Test an endpoint",
    description="Sends a `webhook.test` event there and nowhere else; see the event's deliveries for what came of it.",
    tags=["endpoints"],
    responses=answers(200, Envelope, examples.EVENT, 401, 403, 404, 409, 415, 429, 503),
)
async def test_endpoint(
    request: LitestarRequest[Any, Any, State], state: State, endpoint_id: str
) -> Envelope:
    """Send a test event."""
    webhooks: Webhooks = state.webhooks
    caller = await _caller(webhooks, request)
    return event_out(await webhooks.endpoints.test(caller, endpoint_id))


# --- events ------------------------------------------------------------------------------------------


@get(
    "/v1/events",
    requires=Permission.WEBHOOKS_EVENT_READ,
    summary="List events",
    description=(
        "Newest first, each as it is delivered. With `after`, those behind that event, oldest first: pass "
        "`next_cursor` on as `after`. An event may come to be seen after one with a younger id, within a few seconds."
    ),
    tags=["events"],
    responses=answers(200, EventsOut, examples.EVENTS, 401, 403, 422, 429, 503),
)
async def list_events(
    request: LitestarRequest[Any, Any, State],
    state: State,
    event_type: Annotated[
        EventType | None, Parameter(query="type", description="Of this type")
    ] = None,
    object_id: Annotated[
        str | None,
        Parameter(
            query="object",
            description="About this payment or refund; not with `after`",
        ),
    ] = None,
    limit: Annotated[int, Parameter(ge=1, le=PAGE_ROWS_MAX, description="Rows a page")] = 20,
    cursor: Annotated[str | None, Parameter(description="`next_cursor` of the page before")] = None,
    after: Annotated[str | None, Parameter(description="An event's id")] = None,
) -> EventsOut:
    """Return a page of events."""
    webhooks: Webhooks = state.webhooks
    if cursor is not None and not is_id("evt", cursor):
        raise Invalid(FieldError("/cursor", "cursor_malformed", "this is not a cursor"))
    if after is not None and not is_id("evt", after):
        raise Invalid(FieldError("/after", "cursor_malformed", "this is not a cursor"))
    if object_id is not None and not is_id(object_id[:3], object_id):
        raise Invalid(FieldError("/object", "parameter_wrong", "this is not an object's id"))
    if after is not None and (cursor is not None or object_id is not None):
        raise Invalid(
            FieldError("/after", "parameter_wrong", "`after` stands alone, or with `type`")
        )
    wanted = Search(
        event_type=None if event_type is None else event_type.value,
        object_id=object_id,
        before=cursor,
        after=after,
        limit=limit,
    )
    page, following = await webhooks.events.search(await _caller(webhooks, request), wanted)
    return EventsOut([event_out(each) for each in page], following is not None, following)


@get(
    "/v1/events/{event_id:str}",
    requires=Permission.WEBHOOKS_EVENT_READ,
    summary="Read an event",
    description="As it is delivered.",
    tags=["events"],
    responses=answers(200, Envelope, examples.EVENT, 401, 403, 404, 429, 503),
)
async def read_event(
    request: LitestarRequest[Any, Any, State], state: State, event_id: str
) -> Envelope:
    """Return an event."""
    webhooks: Webhooks = state.webhooks
    return event_out(await webhooks.events.one(await _caller(webhooks, request), event_id))


@get(
    "/v1/events/{event_id:str}/deliveries",
    requires=Permission.WEBHOOKS_EVENT_READ,
    summary="See an event's deliveries",
    description="To each endpoint, with every try: the endpoint's status, or a word where no answer came.",
    tags=["events"],
    responses=answers(200, DeliveriesOut, examples.DELIVERIES, 401, 403, 404, 429, 503),
)
async def list_deliveries(
    request: LitestarRequest[Any, Any, State], state: State, event_id: str
) -> DeliveriesOut:
    """Return an event's deliveries."""
    webhooks: Webhooks = state.webhooks
    found = await webhooks.events.deliveries(await _caller(webhooks, request), event_id)
    return DeliveriesOut([delivery_out(each) for each in found], has_more=False, next_cursor=None)


@post(
    "/v1/events/{event_id:str}/redeliver",
    requires=Permission.WEBHOOKS_EVENT_REDELIVER,
    status_code=200,
    summary="Deliver an event again",
    description=(
        "To one endpoint, whatever else it is told of, or to all that are told of this type. Its id stays, so that "
        "whoever has dealt with it already does nothing."
    ),
    tags=["events"],
    responses=answers(
        200,
        DeliveriesOut,
        examples.REDELIVERED,
        400,
        401,
        403,
        404,
        409,
        413,
        415,
        422,
        429,
        503,
    ),
)
async def redeliver_event(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[RedeliverIn, Body(examples=[Example(value=examples.REDELIVER_IN)])],
    state: State,
    event_id: str,
) -> DeliveriesOut:
    """Deliver an event anew."""
    webhooks: Webhooks = state.webhooks
    caller = await _caller(webhooks, request)
    made = await webhooks.events.redeliver(caller, event_id, data.endpoint)
    return DeliveriesOut([delivery_out(each) for each in made], has_more=False, next_cursor=None)


ROUTES: Final = (
    create_endpoint,
    list_endpoints,
    read_endpoint,
    change_endpoint,
    rotate_endpoint,
    delete_endpoint,
    test_endpoint,
    list_events,
    read_event,
    list_deliveries,
    redeliver_event,
)
