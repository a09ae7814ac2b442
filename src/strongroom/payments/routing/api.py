# SPDX-License-Identifier: Apache-2.0
"""Routes of the gateway's listener about routing: rules and their versions, ranges of card numbers, and a test."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter

from strongroom.audit import Recorder
from strongroom.crypto.ids import new_id
from strongroom.http.examples import answers
from strongroom.http.requires import principal_of
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.permissions import Permission
from strongroom.payments.acting import by_of
from strongroom.payments.routing import examples
from strongroom.payments.routing.plan import Facts
from strongroom.payments.routing.router import Router
from strongroom.payments.routing.rules import ActiveRules, Rules
from strongroom.payments.routing.service import RoutingService
from strongroom.payments.routing.wire import (
    VERSION_MAX,
    ActivateIn,
    RangesIn,
    RangesOut,
    RoutingTestIn,
    RoutingTestOut,
    RulesIn,
    RulesOut,
    RulesPage,
    range_of,
    range_out,
    rules_out,
)
from strongroom.payments.wire import route_out

PAGE_ROWS_MAX: Final = 100
RANGES_PAGE_ROWS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class RoutingDesk:
    """What the routes call; `compose` joins it."""

    service: RoutingService
    router: Router
    recorder: Recorder
    clock: Clock


@get(
    "/v1/routing/rules",
    requires=Permission.PAYMENTS_ROUTING_READ,
    summary="Read routing rules",
    description="The version that holds, or the one that is asked for. None was ever written: 404.",
    tags=["routing"],
    responses=answers(200, RulesOut, examples.RULES, 401, 403, 404, 422, 429, 503),
)
async def read_rules(
    request: LitestarRequest[Any, Any, State],
    state: State,
    version: Annotated[
        int | None, Parameter(ge=1, le=VERSION_MAX, description="This version; else what holds")
    ] = None,
) -> RulesOut:
    """Return a version of the rules."""
    desk: RoutingDesk = state.routing
    principal = principal_of(request)
    found = await desk.service.one(principal.merchant, principal.mode, version)
    return rules_out(found, principal.mode)


@get(
    "/v1/routing/rules/versions",
    requires=Permission.PAYMENTS_ROUTING_READ,
    summary="List versions of routing rules",
    description="Newest first. A version never changes; which one holds does.",
    tags=["routing"],
    responses=answers(200, RulesPage, examples.VERSIONS, 401, 403, 422, 429, 503),
)
async def list_rules(
    request: LitestarRequest[Any, Any, State],
    state: State,
    limit: Annotated[int, Parameter(ge=1, le=PAGE_ROWS_MAX, description="Rows a page")] = 20,
    cursor: Annotated[
        str | None, Parameter(max_length=10, description="`next_cursor` of the page before")
    ] = None,
) -> RulesPage:
    """Return a page of versions."""
    desk: RoutingDesk = state.routing
    principal = principal_of(request)
    before = None if cursor is None else _number(cursor, VERSION_MAX)
    page, last = await desk.service.versions(principal.merchant, principal.mode, before, limit)
    shown = [rules_out(each, principal.mode) for each in page]
    return RulesPage(shown, last is not None, None if last is None else str(last))


@post(
    "/v1/routing/rules",
    requires=Permission.PAYMENTS_ROUTING_UPDATE,
    step_up=True,
    summary="Write routing rules",
    description=(
        "Writes the next version, which holds at once unless `activate` is false. Payments that name a connection go "
        "there, whatever the rules say."
    ),
    tags=["routing"],
    responses=answers(201, RulesOut, examples.RULES, 400, 401, 403, 409, 413, 415, 422, 429, 503),
)
async def write_rules(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[RulesIn, Body(examples=[Example(value=examples.RULES_IN)])],
    state: State,
) -> RulesOut:
    """Write a version."""
    desk: RoutingDesk = state.routing
    by = await by_of(desk, request)
    written = await desk.service.write(
        Rules(data.rules), data.note, by, activate=data.activate, replaces=data.replaces
    )
    return rules_out(written, by.mode)


@post(
    "/v1/routing/rules/activate",
    requires=Permission.PAYMENTS_ROUTING_UPDATE,
    step_up=True,
    status_code=200,
    summary="Activate a version of routing rules",
    description="An older one takes back what came after it. Safe to repeat.",
    tags=["routing"],
    responses=answers(200, RulesOut, examples.RULES, 400, 401, 403, 404, 413, 415, 422, 429, 503),
)
async def activate_rules(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[ActivateIn, Body(examples=[Example(value={"version": 1})])],
    state: State,
) -> RulesOut:
    """Let a version hold."""
    desk: RoutingDesk = state.routing
    by = await by_of(desk, request)
    return rules_out(await desk.service.activate(data.version, by), by.mode)


@post(
    "/v1/routing/test",
    requires=Permission.PAYMENTS_ROUTING_READ,
    status_code=200,
    summary="Test routing",
    description=(
        "Says which connection a payment would go through now, and what became of every other. Charges nothing, keeps "
        "nothing."
    ),
    tags=["routing"],
    responses=answers(
        200, RoutingTestOut, examples.TEST, 400, 401, 403, 404, 413, 415, 422, 429, 503
    ),
)
async def test_routing(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[RoutingTestIn, Body(examples=[Example(value=examples.TEST_IN)])],
    state: State,
) -> RoutingTestOut:
    """Say what would be chosen."""
    desk: RoutingDesk = state.routing
    principal = principal_of(request)
    merchant, mode = principal.merchant, principal.mode
    instead = None
    if data.version is not None:
        kept = await desk.service.one(merchant, mode, data.version)
        instead = ActiveRules(kept.version, tuple(kept.rules.rules))
    facts = await desk.router.known_of(
        merchant,
        mode,
        Facts(
            payment=data.payment or new_id("pay"),
            amount=data.amount,
            currency=data.currency,
            brand=data.brand,
            bin=data.bin,
            country=data.country,
            funding=data.funding,
            stored_credential=data.stored_credential,
            metadata=data.metadata or {},
        ),
    )
    way = await desk.router.way_of(merchant, mode, facts, data.connection, instead=instead)
    chosen, route = way.looked_at()
    return RoutingTestOut(
        object="routing_test",
        payment=facts.payment,
        connection=chosen,
        attempts_max=way.plan.attempts_max,
        country=facts.country,
        funding=facts.funding,
        route=route_out(route),
    )


@get(
    "/v1/routing/ranges",
    requires=Permission.PAYMENTS_ROUTING_READ,
    summary="List ranges of card numbers",
    description="What rules know of issuers, in the order of the first six digits.",
    tags=["routing"],
    responses=answers(200, RangesOut, examples.RANGES, 401, 403, 422, 429, 503),
)
async def list_ranges(
    request: LitestarRequest[Any, Any, State],
    state: State,
    limit: Annotated[
        int, Parameter(ge=1, le=RANGES_PAGE_ROWS_MAX, description="Rows a page")
    ] = 100,
    cursor: Annotated[
        str | None, Parameter(max_length=10, description="`next_cursor` of the page before")
    ] = None,
) -> RangesOut:
    """Return a page of ranges."""
    desk: RoutingDesk = state.routing
    principal = principal_of(request)
    behind = -1 if cursor is None else _number(cursor, 999_999)
    page, last = await desk.service.ranges(principal.merchant, principal.mode, behind, limit)
    shown = [range_out(each) for each in page]
    return RangesOut(shown, last is not None, None if last is None else f"{last:06}")


@post(
    "/v1/routing/ranges",
    requires=Permission.PAYMENTS_ROUTING_UPDATE,
    step_up=True,
    status_code=204,
    summary="Load ranges of card numbers",
    description=(
        "Country and funding by the first six digits. One that begins where another did takes its place; of ranges "
        "within each other the one that begins last counts. Safe to repeat."
    ),
    tags=["routing"],
    responses=answers(204, None, None, 400, 401, 403, 413, 415, 422, 429, 503),
)
async def load_ranges(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[RangesIn, Body(examples=[Example(value=examples.RANGES_IN)])],
    state: State,
) -> None:
    """Add ranges."""
    desk: RoutingDesk = state.routing
    firsts: set[str] = set()
    for at, each in enumerate(data.ranges):
        if each.last < each.first:
            raise Invalid(
                FieldError(f"/ranges/{at}/last", "range_empty", "it ends before it begins")
            )
        if each.first in firsts:
            raise Invalid(
                FieldError(f"/ranges/{at}/first", "range_twice", "another begins there too")
            )
        firsts.add(each.first)
    by = await by_of(desk, request)
    await desk.service.load([range_of(each) for each in data.ranges], by, replace=data.replace)


def _number(cursor: str, most: int) -> int:
    if not (cursor.isascii() and cursor.isdecimal()) or int(cursor) > most:
        raise Invalid(FieldError("/cursor", "cursor_malformed", "this is not a cursor"))
    return int(cursor)


ROUTES: Final = (
    read_rules,
    list_rules,
    write_rules,
    activate_rules,
    test_routing,
    list_ranges,
    load_ranges,
)
