# SPDX-License-Identifier: Apache-2.0
"""Routes of the vault's listener about honeytokens: parse, call, print."""

from typing import Annotated, Any, Final, TypeAlias

from litestar import Request as LitestarRequest
from litestar import get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body

from strongroom.http.examples import answers
from strongroom.kernel.permissions import Permission
from strongroom.vault.asking import caller_of
from strongroom.vault.honey import examples
from strongroom.vault.honey.service import Honeytokens
from strongroom.vault.honey.wire import (
    HoneytokenIn,
    HoneytokenOut,
    HoneytokensOut,
    honeytoken_out,
)

_Request: TypeAlias = LitestarRequest[Any, Any, State]


@post(
    "/v1/honeytokens",
    requires=Permission.VAULT_HONEYTOKEN_CREATE,
    step_up=True,
    summary="Make a honeytoken",
    description=(
        "A token like any other that no system uses: whoever reads, finds, changes, charges, forwards, reveals or "
        "exports it has what is not theirs. It holds a test number; no answer tells it from others without a "
        "fingerprint. Each use is a security event; where that is configured, it ends a key that reads, changes, "
        "reveals or exports it. Put its id where only a thief would find it."
    ),
    tags=["honeytokens"],
    responses=answers(
        201, HoneytokenOut, examples.HONEYTOKEN, 400, 401, 403, 409, 413, 415, 422, 429, 503
    ),
)
async def create_honeytoken(
    request: _Request,
    data: Annotated[HoneytokenIn, Body(examples=[Example(value=examples.HONEYTOKEN_IN)])],
    state: State,
) -> HoneytokenOut:
    """Make one."""
    honeytokens: Honeytokens = state.honeytokens
    caller = await caller_of(state, request)
    made = await honeytokens.create(caller, data.wish())
    return honeytoken_out(made, caller.principal.mode.value)


@get(
    "/v1/honeytokens",
    requires=Permission.VAULT_HONEYTOKEN_READ,
    step_up=True,
    summary="List honeytokens",
    description="All of this mode, newest first, with how often each was named, and by whom the last time.",
    tags=["honeytokens"],
    responses=answers(200, HoneytokensOut, examples.HONEYTOKENS, 401, 403, 429, 503),
)
async def list_honeytokens(request: _Request, state: State) -> HoneytokensOut:
    """Return them."""
    honeytokens: Honeytokens = state.honeytokens
    caller = await caller_of(state, request)
    mode = caller.principal.mode.value
    found = await honeytokens.list(caller)
    return HoneytokensOut(
        [honeytoken_out(each, mode) for each in found], has_more=False, next_cursor=None
    )


ROUTES: Final = (create_honeytoken, list_honeytokens)
