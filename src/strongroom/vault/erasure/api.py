# SPDX-License-Identifier: Apache-2.0
"""Routes of the vault's listener about erasure: parse, call, print."""

from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter

from strongroom.http.approval import Approval
from strongroom.http.examples import answers
from strongroom.http.requires import principal_of
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import is_id
from strongroom.kernel.permissions import Permission
from strongroom.vault.asking import caller_of
from strongroom.vault.erasure import examples
from strongroom.vault.erasure.service import PAGE_ROWS_MAX, Erasures
from strongroom.vault.erasure.wire import (
    ErasureIn,
    ErasureOut,
    ErasurePage,
    MerchantErasureIn,
    erasure_out,
)

_Request = LitestarRequest[Any, Any, State]


@post(
    "/v1/erasures",
    requires=Permission.VAULT_ERASURE_CREATE,
    step_up=True,
    status_code=201,
    summary="Erase cards",
    description=(
        "Deletes a token, or every token of a customer, and has the key destroyed that sealed it: survivors are sealed "
        "anew first. `complete_at` is the day on which the last backup of that key is gone too."
    ),
    tags=["erasures"],
    responses=answers(
        201, ErasureOut, examples.ERASURE, 400, 401, 403, 404, 413, 415, 422, 429, 503
    ),
)
async def create_erasure(
    request: _Request,
    data: Annotated[ErasureIn, Body(examples=[Example(value=examples.ERASURE_IN)])],
    state: State,
) -> ErasureOut:
    """Erase a token, or a customer."""
    erasures: Erasures = state.erasures
    caller = await caller_of(state, request)
    match data.token, data.customer:
        case str(token), None:
            made = await erasures.erase_token(caller, token, at_once=data.at_once)
        case None, str(customer):
            made = await erasures.erase_customer(caller, customer, at_once=data.at_once)
        case _:
            raise Invalid(FieldError("/token", "one_of", "give one of `token` and `customer`"))
    return erasure_out(made, erasures.clock.now())


@post(
    "/v1/erasures/merchant",
    requires=Permission.KEYS_KEY_DESTROY,
    step_up=True,
    approval=Approval("merchant_erase"),
    status_code=201,
    summary="Erase the merchant's cards",
    description=(
        "Destroys every key of the calling merchant in the calling mode, and deletes its tokens: none of its cards, "
        "fingerprints and credentials opens again. Takes a second person. It cannot be undone."
    ),
    tags=["erasures"],
    responses=answers(
        201, ErasureOut, examples.ERASURE, 400, 401, 403, 409, 413, 415, 422, 429, 503
    ),
)
async def erase_merchant(
    request: _Request,
    data: Annotated[MerchantErasureIn, Body(examples=[Example(value=examples.MERCHANT_IN)])],
    state: State,
) -> ErasureOut:
    """Erase all of it."""
    erasures: Erasures = state.erasures
    made = await erasures.erase_merchant(await caller_of(state, request), data.merchant)
    return erasure_out(made, erasures.clock.now())


@get(
    "/v1/erasures",
    requires=Permission.VAULT_ERASURE_READ,
    summary="List erasures",
    description="Newest first. Tokens that were deleted otherwise share one, of scope `deleted`.",
    tags=["erasures"],
    responses=answers(200, ErasurePage, examples.ERASURES, 401, 403, 422, 429, 503),
)
async def list_erasures(
    request: _Request,
    state: State,
    cursor: Annotated[str | None, Parameter(query="cursor", max_length=64)] = None,
    limit: Annotated[int, Parameter(query="limit", ge=1, le=PAGE_ROWS_MAX)] = 20,
) -> ErasurePage:
    """Return a page."""
    if cursor is not None and not is_id("ers", cursor):
        raise Invalid(FieldError("/cursor", "cursor_malformed", "this is not a cursor"))
    principal = principal_of(request)
    erasures: Erasures = state.erasures
    found, following = await erasures.list(principal.merchant, principal.mode, cursor, limit)
    now = erasures.clock.now()
    return ErasurePage([erasure_out(each, now) for each in found], following is not None, following)


@get(
    "/v1/erasures/{erasure_id:str}",
    requires=Permission.VAULT_ERASURE_READ,
    summary="Read an erasure",
    description="How far it is, and the day on which no copy that could open a card is left.",
    tags=["erasures"],
    responses=answers(200, ErasureOut, examples.ERASURE, 401, 403, 404, 429, 503),
)
async def read_erasure(request: _Request, state: State, erasure_id: str) -> ErasureOut:
    """Return one."""
    principal = principal_of(request)
    erasures: Erasures = state.erasures
    found = await erasures.read(principal.merchant, principal.mode, erasure_id)
    return erasure_out(found, erasures.clock.now())


ROUTES: Final = (create_erasure, erase_merchant, list_erasures, read_erasure)
