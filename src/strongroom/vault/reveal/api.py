# SPDX-License-Identifier: Apache-2.0
"""Routes of the card-bearing listener that show cards, and about who showed too many: parse, call, print."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, TypeAlias

from litestar import Request as LitestarRequest
from litestar import get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter

from strongroom.http.approval import Approval
from strongroom.http.examples import answers
from strongroom.http.requires import admitted
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import is_id
from strongroom.kernel.permissions import Permission
from strongroom.vault.asking import caller_of
from strongroom.vault.reveal import examples
from strongroom.vault.reveal.service import Reveals
from strongroom.vault.reveal.wire import (
    KeptPage,
    RevealedOut,
    RevealIn,
    StopOut,
    StopsOut,
    kept_out,
    stop_out,
)
from strongroom.vault.tokens import PAGE_ROWS_MAX

_Request: TypeAlias = LitestarRequest[Any, Any, State]


@post(
    "/v1/tokens/{token_id:str}/reveal",
    requires=Permission.VAULT_TOKEN_REVEAL,
    step_up=True,
    # It asks when it has seen that there is something to show, and that this caller may see it at all.
    approval=Approval("token_reveal", machines=True, late=True),
    status_code=200,
    summary="Reveal a card",
    description=(
        "Shows a stored card, for a purpose that stands in the audit record. A person shows a second factor first and "
        "waits for another person's approval; a key needs the permission by name. A rule of the token's container "
        "must give `reveal`. With `jwe_key` the card comes encrypted to that key. The answer is kept nowhere and is "
        "not to be: an Idempotency-Key means nothing here. Who reveals too many at once is stopped."
    ),
    tags=["reveal"],
    responses=answers(
        200, RevealedOut, examples.REVEALED, 400, 401, 403, 404, 409, 413, 415, 422, 429, 503
    ),
)
async def reveal_token(
    request: _Request,
    data: Annotated[RevealIn, Body(examples=[Example(value=examples.REVEAL_IN)])],
    state: State,
    token_id: str,
) -> RevealedOut:
    """Show a card."""
    reveals: Reveals = state.reveals
    wish = data.wish()
    caller = await caller_of(state, request)
    reveals.require_pace(caller)
    names: Sequence[str] = ()
    about = None
    if caller.principal.presence is not None:
        names, about = await reveals.require_possible(caller, token_id, wish)
    await admitted(request, names, about)
    revealed = await reveals.reveal(caller, token_id, wish)
    # Told to the log stream as well, after the commit (ADR-0003).
    request.scope["state"]["log"] = {
        "audit_event_id": revealed.record.event_id,
        "leaf_hash": revealed.record.leaf_hash.hex(),
    }
    return revealed.answer


@get(
    "/v1/reveals",
    requires=Permission.AUDIT_RECORD_READ,
    summary="List reveals",
    description="Who was shown which token's card, what for and with which note; newest first. Kept for 400 days.",
    tags=["reveal"],
    responses=answers(200, KeptPage, examples.KEPT_PAGE, 401, 403, 422, 429, 503),
)
async def list_reveals(
    request: _Request,
    state: State,
    limit: Annotated[int, Parameter(ge=1, le=PAGE_ROWS_MAX, description="Rows a page")] = 20,
    cursor: Annotated[str | None, Parameter(description="`next_cursor` of the page before")] = None,
) -> KeptPage:
    """Return a page of reveals."""
    if cursor is not None and not is_id("aud", cursor):
        raise Invalid(FieldError("/cursor", "cursor_malformed", "this is not a cursor"))
    reveals: Reveals = state.reveals
    page, following = await reveals.kept(await caller_of(state, request), cursor, limit)
    return KeptPage([kept_out(each) for each in page], following is not None, following)


@get(
    "/v1/reveal-stops",
    requires=Permission.VAULT_ACCESS_RULE_READ,
    summary="List who is stopped",
    description="The callers of this mode who revealed too many cards at once and are shown none for a time.",
    tags=["reveal"],
    responses=answers(200, StopsOut, examples.STOPS, 401, 403, 429, 503),
)
async def list_stops(request: _Request, state: State) -> StopsOut:
    """Return who is stopped."""
    reveals: Reveals = state.reveals
    found = await reveals.stops(await caller_of(state, request))
    return StopsOut([stop_out(each) for each in found], has_more=False, next_cursor=None)


@post(
    "/v1/reveal-stops/{caller:str}/lift",
    requires=Permission.VAULT_ACCESS_RULE_UPDATE,
    step_up=True,
    status_code=200,
    summary="Let a stopped caller go on",
    description="Before its time is over; nobody lifts their own. Look first whether it was they who asked.",
    tags=["reveal"],
    responses=answers(200, StopOut, examples.LIFTED, 401, 403, 404, 415, 429, 503),
)
async def lift_stop(request: _Request, state: State, caller: str) -> StopOut:
    """Lift a stop."""
    reveals: Reveals = state.reveals
    return stop_out(await reveals.lift(await caller_of(state, request), caller))


ROUTES: Final = (reveal_token, list_reveals, list_stops, lift_stop)
