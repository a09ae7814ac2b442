# SPDX-License-Identifier: Apache-2.0
"""Routes of the console's listener for oneself: setting up with a link, who am I, another password.

Setting up is public: the link, and then the ticket, is what lets somebody in. Whoever presents one that does not hold
is slowed down by address (`rate_stranger_per_second`) and counted as a denial.
"""

from typing import Annotated, Any, Final, TypeAlias

from litestar import Request as LitestarRequest
from litestar import get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body

from strongroom.http import PUBLIC
from strongroom.http.examples import answers
from strongroom.http.requires import principal_of, request_of
from strongroom.identity.people import examples
from strongroom.identity.people.api import act_of
from strongroom.identity.people.console import PeopleDesk
from strongroom.identity.people.errors import PersonUnknown
from strongroom.identity.people.setup import setter_of
from strongroom.identity.people.wire import (
    LinkIn,
    OwnOut,
    PasswordIn,
    SetupOut,
    SetupPasswordIn,
    person_out,
    setup_out,
)
from strongroom.kernel.ids import PersonId
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import Presence, Principal
from strongroom.kernel.secret import Secret

_Request: TypeAlias = LitestarRequest[Any, Any, State]


@post(
    "/v1/setup",
    requires=PUBLIC,
    status_code=200,
    summary="Open a set-up link",
    description=(
        "Says who sets up and what they need, and gives a ticket for the next steps that holds for 30 minutes. Opening "
        "the link again gives another ticket in place of the one before; when setting up is finished, the link is used "
        "up. Whatever is wrong with a link, the answer is the same."
    ),
    tags=["set up"],
    responses=answers(200, SetupOut, examples.SETUP, 400, 401, 413, 415, 422, 429, 503),
)
async def open_setup(
    data: Annotated[LinkIn, Body(examples=[Example(value=examples.LINK_IN)])], state: State
) -> SetupOut:
    """Exchange a link for a ticket."""
    desk: PeopleDesk = state.people
    opened = await desk.setup.open(Secret(data.link))
    rules = setter_of(opened.person, opened.tenant_name)
    return setup_out(opened, letter_and_digit=rules.reaches_vault)


@post(
    "/v1/setup/password",
    requires=PUBLIC,
    status_code=204,
    summary="Set the first password",
    description=(
        "Next comes the second factor: nobody can log in with a password alone. Sent again, it takes the place of the "
        "password before, which may then not be used again."
    ),
    tags=["set up"],
    responses=answers(204, None, None, 400, 401, 409, 413, 415, 422, 429, 503),
)
async def set_first_password(
    request: _Request,
    data: Annotated[SetupPasswordIn, Body(examples=[Example(value=examples.SETUP_PASSWORD_IN)])],
    state: State,
) -> None:
    """Set the password of whoever is setting up."""
    desk: PeopleDesk = state.people
    ours, ticket = request_of(request), Secret(data.ticket)
    person = await desk.setup.person_of(ticket)
    origin = await desk.origin(person.merchant, ours.address, ours.trace_hash)
    await desk.setup.set_password(ticket, data.password, origin)


@get(
    "/v1/own",
    requires=Permission.IDENTITY_OWN_MANAGE,
    summary="Who am I",
    description="The person who is logged in, their tenant, and what they may do in this mode.",
    tags=["own"],
    responses=answers(200, OwnOut, examples.OWN, 401, 403, 404, 429, 503),
)
async def read_own(request: _Request, state: State) -> OwnOut:
    """Return who is logged in."""
    desk: PeopleDesk = state.people
    principal, presence = _present(request)
    person, tenant = await desk.own.person(principal.merchant, PersonId(principal.subject))
    return OwnOut(
        "own",
        person_out(person),
        tenant,
        principal.mode,
        sorted(principal.permissions),
        sorted(presence.methods),
        presence.stepped_up,
    )


@post(
    "/v1/own/password",
    requires=Permission.IDENTITY_OWN_MANAGE,
    step_up=True,
    status_code=204,
    summary="Change one's password",
    description=(
        "Asks for the current password, and for a second factor within the last five minutes. Every other session of "
        "the person ends. The current password can be tried five times at once, and then once a minute."
    ),
    tags=["own"],
    responses=answers(204, None, None, 400, 401, 403, 404, 409, 413, 415, 422, 429, 503),
)
async def change_own_password(
    request: _Request,
    data: Annotated[PasswordIn, Body(examples=[Example(value=examples.PASSWORD_IN)])],
    state: State,
) -> None:
    """Change one's own password."""
    desk: PeopleDesk = state.people
    principal, presence = _present(request)
    person, tenant = await desk.own.person(principal.merchant, PersonId(principal.subject))
    act = await act_of(state, request)
    await desk.own.change_password(
        person,
        tenant,
        session=presence.session,
        current=data.current,
        new=data.new,
        origin=act.origin,
    )


def _present(request: _Request) -> tuple[Principal, Presence]:
    """Return who is there; a machine is nobody here, whatever it may do."""
    principal = principal_of(request)
    if principal.presence is None:
        raise PersonUnknown
    return principal, principal.presence


ROUTES: Final = (open_setup, set_first_password, read_own, change_own_password)
