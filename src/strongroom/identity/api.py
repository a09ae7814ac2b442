# SPDX-License-Identifier: Apache-2.0
"""Routes of the gateway's listener about the merchant itself and its keys."""

from datetime import UTC
from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body

from strongroom.audit import Origin
from strongroom.http.approval import Approval, listing
from strongroom.http.examples import answers
from strongroom.http.requires import principal_of, request_of
from strongroom.identity import examples
from strongroom.identity.errors import KeyRefused
from strongroom.identity.grants import NAMED_ONLY
from strongroom.identity.model import KeyWish
from strongroom.identity.ports import Identity
from strongroom.identity.wire import KeyIn, KeyOut, KeysOut, MerchantOut, key_out, merchant_out
from strongroom.kernel.ids import KeyId
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind


async def _origin(state: State, request: LitestarRequest[Any, Any, State]) -> Origin:
    identity: Identity = state.identity
    ours = request_of(request)
    return await identity.origin(principal_of(request).merchant, ours.address, ours.trace_hash)


@get(
    "/v1/merchant",
    requires=Permission.IDENTITY_MERCHANT_READ,
    summary="Read the merchant",
    description="The merchant and mode that the calling key belongs to.",
    tags=["merchant"],
    responses=answers(200, MerchantOut, examples.MERCHANT, 401, 403, 429, 503),
)
async def read_merchant(request: LitestarRequest[Any, Any, State], state: State) -> MerchantOut:
    """Return the calling key's merchant."""
    principal = principal_of(request)
    return merchant_out(await state.identity.merchant(principal.merchant), principal.mode)


@get(
    "/v1/keys",
    requires=Permission.IDENTITY_KEY_READ,
    summary="List keys",
    description="The merchant's keys of the calling key's mode, without their texts.",
    tags=["keys"],
    responses=answers(200, KeysOut, examples.KEYS, 401, 403, 429, 503),
)
async def list_keys(request: LitestarRequest[Any, Any, State], state: State) -> KeysOut:
    """Return the merchant's keys."""
    principal = principal_of(request)
    keys = await state.identity.keys(principal.merchant, principal.mode)
    return KeysOut([key_out(key) for key in keys], has_more=False, next_cursor=None)


@post(
    "/v1/keys",
    requires=Permission.IDENTITY_KEY_CREATE,
    step_up=True,
    # Or whoever may reveal with another's approval would make a key that needs nobody's.
    approval=Approval("key_reveals", when=listing("permissions", *NAMED_ONLY)),
    summary="Make a key",
    description=(
        "Makes a public or a restricted key of the calling key's mode. Its text is in this answer only. A key that may "
        "reveal cards takes two people: the permission is named, and another person approves."
    ),
    tags=["keys"],
    responses=answers(201, KeyOut, examples.NEW_KEY, 400, 401, 403, 413, 415, 422, 429, 503),
)
async def create_key(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[KeyIn, Body(examples=[Example(value=examples.KEY_IN)])],
    state: State,
) -> KeyOut:
    """Make a key; nobody can give it more than they have."""
    principal = principal_of(request)
    excess = frozenset(data.permissions or ()) - principal.permissions
    if excess:
        raise KeyRefused(f"the calling key lacks {', '.join(sorted(excess))}")
    wish = KeyWish(
        principal.merchant,
        principal.mode,
        KeyKind(data.kind),
        data.name,
        data.permissions,
        tuple(data.origins),
        data.expires_at and data.expires_at.astimezone(UTC),
    )
    made = await state.identity.create_key(
        wish, actor=principal.subject, origin=await _origin(state, request)
    )
    return key_out(made.key, made.text.expose())


@post(
    "/v1/keys/{key_id:str}/revoke",
    requires=Permission.IDENTITY_KEY_REVOKE,
    step_up=True,
    status_code=204,
    summary="Revoke a key",
    description="Ends a key everywhere within two seconds. Safe to repeat.",
    tags=["keys"],
    responses=answers(204, None, None, 401, 403, 404, 415, 429, 503),
)
async def revoke_key(request: LitestarRequest[Any, Any, State], state: State, key_id: str) -> None:
    """End a key."""
    principal = principal_of(request)
    await state.identity.revoke_key(
        principal.merchant,
        principal.mode,
        KeyId(key_id),
        actor=principal.subject,
        origin=await _origin(state, request),
    )


ROUTES: Final = (read_merchant, list_keys, create_key, revoke_key)
#: Of the listener where people log in.
CONSOLE_ROUTES: Final = (read_merchant,)
