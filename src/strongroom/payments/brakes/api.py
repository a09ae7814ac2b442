# SPDX-License-Identifier: Apache-2.0
"""Routes of the gateway's listener about brakes: parse, call, print. No body here holds a card number."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import delete, get, post, put
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter

from strongroom.audit import Recorder
from strongroom.http.examples import answers
from strongroom.http.requires import principal_of
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import is_id
from strongroom.kernel.permissions import Permission
from strongroom.payments.acting import origin_of
from strongroom.payments.brakes import examples
from strongroom.payments.brakes.model import Listing
from strongroom.payments.brakes.service import PAGE_ROWS_MAX, BrakeService, By
from strongroom.payments.brakes.wire import (
    BrakesIn,
    BrakesOut,
    EnforcedIn,
    EntryIn,
    EntryOut,
    EntryPage,
    IncidentOut,
    IncidentPage,
    TrialIn,
    TrialOut,
    brakes_out,
    entry_out,
    incident_out,
    trial_out,
)


@dataclass(frozen=True, slots=True)
class BrakeDesk:
    """What the routes call; `compose` joins it."""

    service: BrakeService
    recorder: Recorder
    clock: Clock


async def _by(desk: BrakeDesk, request: LitestarRequest[Any, Any, State]) -> By:
    return By(principal_of(request), await origin_of(desk, request))


@get(
    "/v1/brakes",
    requires=Permission.PAYMENTS_BRAKE_READ,
    summary="Read the brakes",
    description="Rules, card testing and what becomes of failed checks, as they count now for this mode.",
    tags=["brakes"],
    responses=answers(200, BrakesOut, examples.BRAKES, 401, 403, 429, 503),
)
async def read_brakes(request: LitestarRequest[Any, Any, State], state: State) -> BrakesOut:
    """Return what is set."""
    desk: BrakeDesk = state.brakes
    principal = principal_of(request)
    present = await desk.service.store.setting(principal.merchant, principal.mode)
    return brakes_out(present, principal.mode)


@put(
    "/v1/brakes",
    requires=Permission.PAYMENTS_BRAKE_UPDATE,
    step_up=True,
    summary="Set the brakes",
    description=(
        "Takes the place of everything that was set before. `version` is the one that was read: where another was set "
        "meanwhile, nothing is changed (409). It counts in this process at once, in others within two seconds."
    ),
    tags=["brakes"],
    responses=answers(200, BrakesOut, examples.BRAKES, 400, 401, 403, 409, 413, 415, 422, 429, 503),
)
async def set_brakes(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[BrakesIn, Body(examples=[Example(value=examples.BRAKES_IN)])],
    state: State,
) -> BrakesOut:
    """Set what counts from now on."""
    desk: BrakeDesk = state.brakes
    present = await desk.service.set(data, await _by(desk, request))
    return brakes_out(present, principal_of(request).mode)


@post(
    "/v1/brakes/test",
    requires=Permission.PAYMENTS_BRAKE_READ,
    status_code=200,
    summary="Try the brakes",
    description="What they would say of a payment now. Nothing is sent, and nothing is counted.",
    tags=["brakes"],
    responses=answers(200, TrialOut, examples.TRIAL, 400, 401, 403, 404, 413, 415, 422, 429, 503),
)
async def try_brakes(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[TrialIn, Body(examples=[Example(value=examples.TRIAL_IN)])],
    state: State,
) -> TrialOut:
    """Say what brakes would say."""
    desk: BrakeDesk = state.brakes
    return trial_out(await desk.service.trial(data, await _by(desk, request)))


@get(
    "/v1/brakes/entries",
    requires=Permission.PAYMENTS_BRAKE_READ,
    summary="List who is blocked or allowed",
    description="Newest first; those that have expired are left out. E-mail addresses are shown as a keyed hash.",
    tags=["brakes"],
    responses=answers(200, EntryPage, examples.ENTRIES, 401, 403, 422, 429, 503),
)
async def list_brake_entries(
    request: LitestarRequest[Any, Any, State],
    state: State,
    limit: Annotated[int, Parameter(ge=1, le=PAGE_ROWS_MAX, description="Rows a page")] = 20,
    cursor: Annotated[str | None, Parameter(description="`next_cursor` of the page before")] = None,
    on: Annotated[Listing | None, Parameter(query="list", description="One of the lists")] = None,
) -> EntryPage:
    """Return a page of entries."""
    desk: BrakeDesk = state.brakes
    _require_cursor("blk", cursor)
    principal = principal_of(request)
    page, following = await desk.service.store.entries(
        principal.merchant, principal.mode, on, cursor, desk.clock.now(), limit
    )
    return EntryPage([entry_out(each) for each in page], following is not None, following)


@post(
    "/v1/brakes/entries",
    requires=Permission.PAYMENTS_BRAKE_UPDATE,
    step_up=True,
    summary="Block or allow somebody",
    description=(
        "By card or token (give the token), BIN, address or network, or e-mail address. An allowance overrides rules, "
        "card testing and blocks, but never a block that is enforced (`POST /v1/brakes/enforced`)."
    ),
    tags=["brakes"],
    responses=answers(
        201, EntryOut, examples.ENTRY, 400, 401, 403, 404, 409, 413, 415, 422, 429, 503
    ),
)
async def add_brake_entry(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[EntryIn, Body(examples=[Example(value=examples.ENTRY_IN)])],
    state: State,
) -> EntryOut:
    """Block or allow somebody."""
    desk: BrakeDesk = state.brakes
    return entry_out(await desk.service.add(data, await _by(desk, request)))


@delete(
    "/v1/brakes/entries/{entry_id:str}",
    requires=Permission.PAYMENTS_BRAKE_UPDATE,
    step_up=True,
    summary="Take an entry off its list",
    description="It does not count any more.",
    tags=["brakes"],
    responses=answers(204, None, None, 401, 403, 404, 429, 503),
)
async def remove_brake_entry(
    request: LitestarRequest[Any, Any, State], state: State, entry_id: str
) -> None:
    """Take an entry off its list."""
    desk: BrakeDesk = state.brakes
    await desk.service.remove(entry_id, await _by(desk, request))


@post(
    "/v1/brakes/enforced",
    requires=Permission.PAYMENTS_BLOCK_ENFORCE,
    step_up=True,
    summary="Block somebody against every allowance",
    description="As an entry of the list `block`, which no allowance overrides. A person's decision: no key may.",
    tags=["brakes"],
    responses=answers(
        201, EntryOut, examples.ENFORCED, 400, 401, 403, 404, 409, 413, 415, 422, 429, 503
    ),
)
async def enforce_block(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[EnforcedIn, Body(examples=[Example(value=examples.ENFORCED_IN)])],
    state: State,
) -> EntryOut:
    """Block somebody against every allowance."""
    desk: BrakeDesk = state.brakes
    by = await _by(desk, request)
    return entry_out(await desk.service.add(data.as_entry(), by, enforced=True))


@delete(
    "/v1/brakes/enforced/{entry_id:str}",
    requires=Permission.PAYMENTS_BLOCK_ENFORCE,
    step_up=True,
    summary="Lift an enforced block",
    description="It does not count any more.",
    tags=["brakes"],
    responses=answers(204, None, None, 401, 403, 404, 429, 503),
)
async def lift_enforced_block(
    request: LitestarRequest[Any, Any, State], state: State, entry_id: str
) -> None:
    """Lift an enforced block."""
    desk: BrakeDesk = state.brakes
    await desk.service.remove(entry_id, await _by(desk, request), enforced=True)


@get(
    "/v1/brakes/incidents",
    requires=Permission.PAYMENTS_BRAKE_READ,
    summary="List card testing that was noticed",
    description="Newest first.",
    tags=["brakes"],
    responses=answers(200, IncidentPage, examples.INCIDENTS, 401, 403, 422, 429, 503),
)
async def list_incidents(
    request: LitestarRequest[Any, Any, State],
    state: State,
    limit: Annotated[int, Parameter(ge=1, le=PAGE_ROWS_MAX, description="Rows a page")] = 20,
    cursor: Annotated[str | None, Parameter(description="`next_cursor` of the page before")] = None,
    lasting: Annotated[bool, Parameter(description="Only those that last")] = False,  # noqa: FBT002 - a query parameter
) -> IncidentPage:
    """Return a page of incidents."""
    desk: BrakeDesk = state.brakes
    _require_cursor("inc", cursor)
    principal = principal_of(request)
    page, following = await desk.service.store.incidents(
        principal.merchant, principal.mode, cursor, limit, open_only=lasting
    )
    return IncidentPage([incident_out(each) for each in page], following is not None, following)


@post(
    "/v1/brakes/incidents/{incident_id:str}/end",
    requires=Permission.PAYMENTS_BRAKE_UPDATE,
    step_up=True,
    status_code=200,
    summary="End an incident",
    description="Before it is over by itself: somebody has looked. If there is another sign, another one begins.",
    tags=["brakes"],
    responses=answers(200, IncidentOut, examples.INCIDENT, 400, 401, 403, 404, 429, 503),
)
async def end_brake_incident(
    request: LitestarRequest[Any, Any, State], state: State, incident_id: str
) -> IncidentOut:
    """End an incident."""
    desk: BrakeDesk = state.brakes
    return incident_out(await desk.service.end(incident_id, await _by(desk, request)))


def _require_cursor(prefix: str, cursor: str | None) -> None:
    if cursor is not None and not is_id(prefix, cursor):
        raise Invalid(FieldError("/cursor", "cursor_malformed", "this is not a cursor"))


ROUTES: Final = (
    read_brakes,
    set_brakes,
    try_brakes,
    list_brake_entries,
    add_brake_entry,
    remove_brake_entry,
    enforce_block,
    lift_enforced_block,
    list_incidents,
    end_brake_incident,
)
