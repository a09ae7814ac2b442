# SPDX-License-Identifier: Apache-2.0
"""Routes of the console's listener about people and invitations: parse, call, print.

A person sees and changes people of their own tenant; of another tenant's they are told what they are told of nobody.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, TypeAlias

from litestar import Request as LitestarRequest
from litestar import get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter

from strongroom.http.approval import Approval, where
from strongroom.http.examples import answers
from strongroom.http.requires import admitted, principal_of, request_of
from strongroom.identity.people import examples
from strongroom.identity.people.console import PeopleDesk
from strongroom.identity.people.model import Act, PersonWish
from strongroom.identity.people.service import PAGE_ROWS_MAX
from strongroom.identity.people.wire import (
    InvitationIn,
    InvitationOut,
    InvitationsOut,
    MerchantIn,
    NewMerchantOut,
    PeopleOut,
    PersonOut,
    RoleIn,
    invitation_out,
    new_invitation_out,
    person_out,
)
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import InvitationId, PersonId, is_id
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import Role

_Request: TypeAlias = LitestarRequest[Any, Any, State]
_Limit: TypeAlias = Annotated[int, Parameter(ge=1, le=PAGE_ROWS_MAX, description="Rows a page")]
_Cursor: TypeAlias = Annotated[
    str | None, Parameter(description="`next_cursor` of the page before")
]
_ACTS: Final = (401, 403, 404, 409, 415, 429, 503)
_WITH_BODY: Final = (400, 401, 403, 404, 409, 413, 415, 422, 429, 503)


async def act_of(state: State, request: _Request) -> Act:
    """Say who asks and whence, for the record of what they do."""
    desk: PeopleDesk = state.people
    ours, principal = request_of(request), principal_of(request)
    origin = await desk.origin(principal.merchant, ours.address, ours.trace_hash)
    return Act(principal.subject, origin)


def _after(cursor: str | None, prefix: str) -> str:
    if cursor is None:
        return ""
    if not is_id(prefix, cursor):
        raise Invalid(FieldError("/cursor", "cursor_malformed", "this is not a cursor"))
    return cursor


def _next(ids: Sequence[str], limit: int) -> str | None:
    """Return where the next page begins: one row more than a page was asked for."""
    return ids[limit - 1] if len(ids) > limit else None


# --- people ------------------------------------------------------------------------------------------


@get(
    "/v1/people",
    requires=Permission.IDENTITY_PERSON_READ,
    summary="List people",
    description="Everybody of the caller's merchant, or of the platform, oldest first; the suspended too.",
    tags=["people"],
    responses=answers(200, PeopleOut, examples.PEOPLE, 401, 403, 422, 429, 503),
)
async def list_people(
    request: _Request, state: State, limit: _Limit = 20, cursor: _Cursor = None
) -> PeopleOut:
    """Return a page of people."""
    desk: PeopleDesk = state.people
    merchant = principal_of(request).merchant
    found = await desk.people.all(merchant, _after(cursor, "usr"), limit + 1)
    following = _next([each.person_id for each in found], limit)
    return PeopleOut([person_out(each) for each in found[:limit]], following is not None, following)


@get(
    "/v1/people/{person_id:str}",
    requires=Permission.IDENTITY_PERSON_READ,
    summary="Read a person",
    description="Somebody of the caller's merchant, or of the platform.",
    tags=["people"],
    responses=answers(200, PersonOut, examples.PERSON, 401, 403, 404, 429, 503),
)
async def read_person(request: _Request, state: State, person_id: str) -> PersonOut:
    """Return a person."""
    desk: PeopleDesk = state.people
    return person_out(await desk.people.one(principal_of(request).merchant, PersonId(person_id)))


@post(
    "/v1/people/{person_id:str}/role",
    requires=Permission.IDENTITY_PERSON_UPDATE,
    step_up=True,
    approval=Approval("person_role", when=where(role="admin"), late=True),
    status_code=200,
    summary="Change a person's role",
    description=(
        "Ends their sessions. Nobody changes their own role, and the last active admin stays one. To make somebody an "
        "admin takes another person's approval."
    ),
    tags=["people"],
    responses=answers(200, PersonOut, {**examples.PERSON, "role": "operator"}, *_WITH_BODY),
)
async def change_role(
    request: _Request,
    data: Annotated[RoleIn, Body(examples=[Example(value=examples.ROLE_IN)])],
    state: State,
    person_id: str,
) -> PersonOut:
    """Give a person another role."""
    desk: PeopleDesk = state.people
    merchant = principal_of(request).merchant
    await desk.people.one(merchant, PersonId(person_id))
    await admitted(request)
    act = await act_of(state, request)
    return person_out(
        await desk.people.change_role(merchant, PersonId(person_id), Role(data.role), act)
    )


@post(
    "/v1/people/{person_id:str}/suspend",
    requires=Permission.IDENTITY_PERSON_SUSPEND,
    status_code=200,
    summary="Suspend a person",
    description=(
        "Keeps them out until they are enabled: sessions and open set-up links end. Safe to repeat. Nobody suspends "
        "themselves, and the last active admin stays."
    ),
    tags=["people"],
    responses=answers(200, PersonOut, {**examples.PERSON, "status": "suspended"}, *_ACTS),
)
async def suspend_person(request: _Request, state: State, person_id: str) -> PersonOut:
    """Keep a person out."""
    desk: PeopleDesk = state.people
    act = await act_of(state, request)
    merchant = principal_of(request).merchant
    return person_out(await desk.people.suspend(merchant, PersonId(person_id), act))


@post(
    "/v1/people/{person_id:str}/enable",
    requires=Permission.IDENTITY_PERSON_SUSPEND,
    step_up=True,
    status_code=200,
    summary="Enable a person",
    description="Ends a suspension. Who had not set up before needs a new set-up link.",
    tags=["people"],
    responses=answers(200, PersonOut, examples.PERSON, *_ACTS),
)
async def enable_person(request: _Request, state: State, person_id: str) -> PersonOut:
    """Let a suspended person in again."""
    desk: PeopleDesk = state.people
    act = await act_of(state, request)
    merchant = principal_of(request).merchant
    return person_out(await desk.people.enable(merchant, PersonId(person_id), act))


@post(
    "/v1/people/{person_id:str}/unlock",
    requires=Permission.IDENTITY_PERSON_UNLOCK,
    step_up=True,
    status_code=200,
    summary="Unlock a person",
    description="Lets somebody who failed to log in too often try again at once.",
    tags=["people"],
    responses=answers(200, PersonOut, examples.PERSON, *_ACTS),
)
async def unlock_person(request: _Request, state: State, person_id: str) -> PersonOut:
    """Let a person try again."""
    desk: PeopleDesk = state.people
    act = await act_of(state, request)
    merchant = principal_of(request).merchant
    return person_out(await desk.people.unlock(merchant, PersonId(person_id), act))


@post(
    "/v1/people/{person_id:str}/reset",
    requires=Permission.IDENTITY_PERSON_RESET,
    step_up=True,
    # Whoever has the new link is that person: it could be the one who approves.
    approval=Approval("person_reset", late=True),
    status_code=201,
    summary="Reset what proves a person",
    description=(
        "For a lost phone or a forgotten password: their password, one-time codes, recovery codes and passkeys no "
        "longer hold, their sessions end, and the answer has a new set-up link for them. Make sure first that you "
        "speak with the person. Takes another person's approval."
    ),
    tags=["people"],
    responses=answers(201, InvitationOut, {**examples.NEW_INVITATION, "reason": "reset"}, *_ACTS),
)
async def reset_person(request: _Request, state: State, person_id: str) -> InvitationOut:
    """Take away what proves a person, and give them a set-up link."""
    desk: PeopleDesk = state.people
    merchant = principal_of(request).merchant
    await desk.people.one(merchant, PersonId(person_id))
    await admitted(request)
    act = await act_of(state, request)
    return new_invitation_out(await desk.people.reset(merchant, PersonId(person_id), act))


# --- invitations -------------------------------------------------------------------------------------


@get(
    "/v1/invitations",
    requires=Permission.IDENTITY_PERSON_READ,
    summary="List invitations",
    description="Set-up links of the caller's merchant, or of the platform, without their texts; oldest first.",
    tags=["people"],
    responses=answers(200, InvitationsOut, examples.INVITATIONS, 401, 403, 422, 429, 503),
)
async def list_invitations(
    request: _Request, state: State, limit: _Limit = 20, cursor: _Cursor = None
) -> InvitationsOut:
    """Return a page of invitations."""
    desk: PeopleDesk = state.people
    merchant, now = principal_of(request).merchant, desk.clock.now()
    found = await desk.people.invitations(merchant, _after(cursor, "inv"), limit + 1)
    following = _next([each.invitation_id for each in found], limit)
    return InvitationsOut(
        [invitation_out(each, now) for each in found[:limit]], following is not None, following
    )


@post(
    "/v1/invitations",
    requires=Permission.IDENTITY_PERSON_INVITE,
    step_up=True,
    approval=Approval("person_invite", when=where(role="admin")),
    summary="Invite a person",
    description=(
        "Makes a person of the caller's merchant, or of the platform, and a set-up link that works once and for 24 "
        "hours. The link is in this answer only and nothing is mailed: hand it over on a way that only they can read. "
        "A person has one address and one tenant. To invite an admin takes another person's approval."
    ),
    tags=["people"],
    responses=answers(
        201, InvitationOut, examples.NEW_INVITATION, 400, 401, 403, 409, 413, 415, 422, 429, 503
    ),
)
async def invite_person(
    request: _Request,
    data: Annotated[InvitationIn, Body(examples=[Example(value=examples.INVITATION_IN)])],
    state: State,
) -> InvitationOut:
    """Invite somebody."""
    desk: PeopleDesk = state.people
    act = await act_of(state, request)
    wish = PersonWish(principal_of(request).merchant, data.email, data.name, Role(data.role))
    return new_invitation_out(await desk.people.invite(wish, act))


@post(
    "/v1/invitations/{invitation_id:str}/renew",
    requires=Permission.IDENTITY_PERSON_INVITE,
    step_up=True,
    status_code=201,
    summary="Renew an invitation",
    description="Makes a new set-up link for somebody who has not set up yet; the one before no longer works.",
    tags=["people"],
    responses=answers(201, InvitationOut, {**examples.NEW_INVITATION, "reason": "renewed"}, *_ACTS),
)
async def renew_invitation(request: _Request, state: State, invitation_id: str) -> InvitationOut:
    """Make a new link."""
    desk: PeopleDesk = state.people
    act = await act_of(state, request)
    merchant = principal_of(request).merchant
    return new_invitation_out(await desk.people.renew(merchant, InvitationId(invitation_id), act))


@post(
    "/v1/invitations/{invitation_id:str}/withdraw",
    requires=Permission.IDENTITY_PERSON_INVITE,
    status_code=200,
    summary="Withdraw an invitation",
    description="Ends a set-up link that is open. Safe to repeat; one that was used stays used.",
    tags=["people"],
    responses=answers(
        200,
        InvitationOut,
        {**examples.INVITATION, "status": "withdrawn"},
        401,
        403,
        404,
        415,
        429,
        503,
    ),
)
async def withdraw_invitation(request: _Request, state: State, invitation_id: str) -> InvitationOut:
    """End a link."""
    desk: PeopleDesk = state.people
    act = await act_of(state, request)
    merchant = principal_of(request).merchant
    ended = await desk.people.withdraw(merchant, InvitationId(invitation_id), act)
    return invitation_out(ended, desk.clock.now())


@post(
    "/v1/merchants",
    requires=Permission.IDENTITY_MERCHANT_CREATE,
    step_up=True,
    summary="Make a merchant",
    description="For admins of the platform. Makes a tenant and the set-up link of its first admin, shown once.",
    tags=["people"],
    responses=answers(
        201, NewMerchantOut, examples.NEW_MERCHANT, 400, 401, 403, 409, 413, 415, 422, 429, 503
    ),
)
async def create_merchant(
    request: _Request,
    data: Annotated[MerchantIn, Body(examples=[Example(value=examples.MERCHANT_IN)])],
    state: State,
) -> NewMerchantOut:
    """Make a tenant with its first admin."""
    desk: PeopleDesk = state.people
    act = await act_of(state, request)
    merchant, invited = await desk.people.found_merchant(
        data.name,
        data.admin.email,
        data.admin.name,
        act,
        region=data.region or desk.region,
    )
    return NewMerchantOut(
        merchant.merchant_id,
        "merchant",
        merchant.name,
        merchant.status,
        merchant.region,
        rfc3339(merchant.created_at),
        new_invitation_out(invited),
    )


ROUTES: Final = (
    list_people,
    read_person,
    change_role,
    suspend_person,
    enable_person,
    unlock_person,
    reset_person,
    list_invitations,
    invite_person,
    renew_invitation,
    withdraw_invitation,
    create_merchant,
)
