# SPDX-License-Identifier: Apache-2.0
"""Routes of the vault's listener about destinations and forwards: parse, call, print."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from litestar import Request as LitestarRequest
from litestar import Response, get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter

from strongroom.http.app import as_response
from strongroom.http.approval import Approval, in_live_mode
from strongroom.http.examples import answers
from strongroom.http.idempotency import REPLAYED, IdempotencyKey, idempotency_key
from strongroom.http.problems import UNDECODABLE, decoding_error
from strongroom.http.request import Answer, Request
from strongroom.http.requires import admitted, request_of
from strongroom.kernel.cardlike import has_cardlike_bytes
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import is_id
from strongroom.kernel.invariant import Bug
from strongroom.kernel.permissions import Permission
from strongroom.vault.finding import Caller
from strongroom.vault.forwarding import examples
from strongroom.vault.forwarding.book import By
from strongroom.vault.forwarding.desk import ForwardDesk
from strongroom.vault.forwarding.model import Forwarded, Outcome
from strongroom.vault.forwarding.plan import Sender
from strongroom.vault.forwarding.requests import Asked
from strongroom.vault.forwarding.wire import (
    CredentialsIn,
    DestinationChange,
    DestinationIn,
    DestinationOut,
    DestinationsOut,
    ForwardIn,
    ForwardOut,
    destination_out,
    forward_out,
    preview_out,
    secrets_of,
)
from strongroom.vault.tokens import PAGE_ROWS_MAX

#: The destination's own, beside ours: what it said, and how long it took.
DESTINATION_STATUS: Final = "strongroom-destination-status"
DESTINATION_DURATION: Final = "strongroom-destination-duration-ms"
OUTCOME: Final = "strongroom-forward-outcome"

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(ForwardIn).decode
_Request: TypeAlias = LitestarRequest[Any, Any, State]


async def _caller(desk: ForwardDesk, request: Request) -> Caller:
    principal = request.principal
    if principal is None:
        raise Bug("the edge lets nobody in without a principal")
    now, recorder = desk.book.clock.now(), desk.book.recorder
    place = (principal.merchant, request.address, request.trace_hash, now)
    origin = recorder.recent_origin(*place) or await recorder.origin(*place)
    return Caller(principal, origin)


def lean_forward(state: State) -> Callable[[Request], Awaitable[Answer]]:
    """Make the function behind `POST /v1/forward`."""
    desk: ForwardDesk = state.forwarding

    async def handle(request: Request) -> Answer:
        try:
            data = _decode(request.body)
        except UNDECODABLE as error:
            raise decoding_error(error) from None
        return await _forwarded(desk, data, request)

    return handle


async def _by(state: State, request: _Request) -> By:
    caller = await _caller(state.forwarding, request_of(request))
    return By(*caller.scope, caller.principal.actor, caller.origin)


@post(
    "/v1/destinations",
    requires=Permission.VAULT_DESTINATION_UPDATE,
    step_up=True,
    # Whoever registers one says where cards go.
    approval=Approval("destination_create", when=in_live_mode),
    summary="Register a destination",
    description=(
        "Where a merchant's own requests may be forwarded with cards in them: one host and port, the paths, the method "
        "and content type, and how it knows the merchant. A person does it, in live mode with another's approval."
    ),
    tags=["destinations"],
    responses=answers(
        201, DestinationOut, examples.DESTINATION, 400, 401, 403, 409, 413, 415, 422, 429, 503
    ),
)
async def create_destination(
    request: _Request,
    data: Annotated[DestinationIn, Body(examples=[Example(value=examples.DESTINATION_IN)])],
    state: State,
) -> DestinationOut:
    """Register a destination."""
    desk: ForwardDesk = state.forwarding
    made = await desk.book.create(
        await _by(state, request), data.name, data.registered(), secrets_of(data.credentials)
    )
    return destination_out(made)


@get(
    "/v1/destinations",
    requires=Permission.VAULT_DESTINATION_READ,
    summary="List destinations",
    description="Newest first, without what is secret.",
    tags=["destinations"],
    responses=answers(200, DestinationsOut, examples.DESTINATIONS, 401, 403, 422, 429, 503),
)
async def list_destinations(
    request: _Request,
    state: State,
    limit: Annotated[int, Parameter(ge=1, le=PAGE_ROWS_MAX, description="Rows a page")] = 20,
    cursor: Annotated[str | None, Parameter(description="`next_cursor` of the page before")] = None,
) -> DestinationsOut:
    """Return a page of destinations."""
    if cursor is not None and not is_id("dst", cursor):
        raise Invalid(FieldError("/cursor", "cursor_malformed", "this is not a cursor"))
    desk: ForwardDesk = state.forwarding
    page, following = await desk.book.list(await _by(state, request), cursor, limit)
    return DestinationsOut(
        [destination_out(each) for each in page], following is not None, following
    )


@get(
    "/v1/destinations/{destination_id:str}",
    requires=Permission.VAULT_DESTINATION_READ,
    summary="Read a destination",
    description="Without what is secret.",
    tags=["destinations"],
    responses=answers(200, DestinationOut, examples.DESTINATION, 401, 403, 404, 429, 503),
)
async def read_destination(request: _Request, state: State, destination_id: str) -> DestinationOut:
    """Return a destination."""
    desk: ForwardDesk = state.forwarding
    return destination_out(await desk.book.read(await _by(state, request), destination_id))


@post(
    "/v1/destinations/{destination_id:str}",
    requires=Permission.VAULT_DESTINATION_UPDATE,
    step_up=True,
    approval=Approval("destination_update", when=in_live_mode, late=True),
    status_code=200,
    summary="Change a destination",
    description=(
        "Takes the place of what was said before, but for the address: `base_url` is the same. Credentials stay, those "
        "from before are dropped. Effective everywhere within two seconds. In live mode it takes another's approval."
    ),
    tags=["destinations"],
    responses=answers(
        200, DestinationOut, examples.DESTINATION, 400, 401, 403, 404, 409, 413, 415, 422, 429, 503
    ),
)
async def update_destination(
    request: _Request,
    data: Annotated[DestinationChange, Body(examples=[Example(value=examples.DESTINATION_CHANGE)])],
    state: State,
    destination_id: str,
) -> DestinationOut:
    """Change a destination."""
    desk: ForwardDesk = state.forwarding
    by = await _by(state, request)
    known = await desk.book.read(by, destination_id)
    await admitted(request)
    config = data.config(client_certificate=known.config.client_certificate)
    return destination_out(await desk.book.update(by, destination_id, data.name, config))


@post(
    "/v1/destinations/{destination_id:str}/rotate",
    requires=Permission.VAULT_DESTINATION_UPDATE,
    step_up=True,
    approval=Approval("destination_rotate", when=in_live_mode, late=True),
    status_code=200,
    summary="Rotate a destination's credentials",
    description=(
        "New credentials are used at once. For the overlap those from before are kept: an HMAC signs with both, and "
        "`restore` puts them back. In live mode it takes another person's approval."
    ),
    tags=["destinations"],
    responses=answers(
        200, DestinationOut, examples.DESTINATION, 400, 401, 403, 404, 409, 413, 415, 422, 429, 503
    ),
)
async def rotate_destination(
    request: _Request,
    data: Annotated[CredentialsIn, Body(examples=[Example(value=examples.CREDENTIALS_IN)])],
    state: State,
    destination_id: str,
) -> DestinationOut:
    """Take new credentials."""
    desk: ForwardDesk = state.forwarding
    by = await _by(state, request)
    await desk.book.read(by, destination_id)
    await admitted(request)
    overlap = timedelta(seconds=data.overlap_seconds)
    given = secrets_of(data.credentials)
    return destination_out(await desk.book.rotate(by, destination_id, given, overlap))


@post(
    "/v1/destinations/{destination_id:str}/restore",
    requires=Permission.VAULT_DESTINATION_UPDATE,
    step_up=True,
    approval=Approval("destination_restore", when=in_live_mode, late=True),
    status_code=200,
    summary="Put a destination's former credentials back",
    description="While the overlap of a rotation lasts; the credentials that took their place are dropped.",
    tags=["destinations"],
    responses=answers(200, DestinationOut, examples.DESTINATION, 401, 403, 404, 409, 429, 503),
)
async def restore_destination(
    request: _Request, state: State, destination_id: str
) -> DestinationOut:
    """Put credentials back."""
    desk: ForwardDesk = state.forwarding
    by = await _by(state, request)
    await desk.book.read(by, destination_id)
    await admitted(request)
    return destination_out(await desk.book.restore(by, destination_id))


@post(
    "/v1/destinations/{destination_id:str}/disable",
    requires=Permission.VAULT_DESTINATION_UPDATE,
    step_up=True,
    status_code=200,
    summary="Disable a destination",
    description="For good; within two seconds nothing is forwarded there. Safe to repeat. One person is enough.",
    tags=["destinations"],
    responses=answers(200, DestinationOut, examples.DISABLED, 401, 403, 404, 429, 503),
)
async def disable_destination(
    request: _Request, state: State, destination_id: str
) -> DestinationOut:
    """End a destination."""
    desk: ForwardDesk = state.forwarding
    return destination_out(await desk.book.disable(await _by(state, request), destination_id))


@post(
    "/v1/forward",
    requires=Permission.VAULT_TOKEN_FORWARD,
    lean=lean_forward,
    status_code=200,
    summary="Forward a request with a card in it",
    description=(
        "Fills the slots of your request with the cards that tokens stand for, and sends it to a registered "
        "destination, once. 200: the destination answered, whatever it said; its status is in the body and in "
        "`Strongroom-Destination-Status`. 202: it did not; `outcome` says whether it may have acted (`unknown`) or "
        "certainly not (`not_sent`). Anything else is ours, and nothing was sent. `dry_run` returns the masked request "
        "and opens nothing. Neither request nor answer is kept: a repeat says how it ended, and sends nothing."
    ),
    tags=["forward"],
    responses=answers(
        200,
        ForwardOut,
        examples.FORWARDED,
        400,
        401,
        403,
        404,
        409,
        410,
        413,
        415,
        422,
        429,
        503,
        description="The destination answered",
    )
    | answers(202, ForwardOut, examples.NOT_ANSWERED, description="The destination did not answer"),
)
async def forward(
    request: _Request,
    data: Annotated[ForwardIn, Body(examples=[Example(value=examples.FORWARD_IN)])],
    state: State,
    idempotency_key: IdempotencyKey,  # noqa: ARG001 - documents the header; `_forwarded` reads it
) -> Response[bytes]:
    """Serve what the lean lane serves, when that is switched off."""
    answer = await _forwarded(state.forwarding, data, request_of(request))
    request.scope["state"]["log"] = answer.log
    return as_response(answer)


async def _forwarded(desk: ForwardDesk, data: ForwardIn, request: Request) -> Answer:
    """Forward a request, or show what would be."""
    # Decoded and encoded again: escapes hide no number. Clear cards are made into tokens first.
    if has_cardlike_bytes(_encode(data)):
        raise Invalid(
            FieldError("/body", "card_number_refused", "a forward has slots, and no card number")
        )
    key = idempotency_key(request)
    sender = Sender(await _caller(desk, request), key, request.request_id)
    asked = Asked(
        data.method,
        data.path,
        data.query,
        data.headers,
        data.tokens,
        data.cvcs,
        data.proofs(),
        data.body,
    )
    if data.dry_run:
        preview = await desk.forwarding.preview(data.destination, asked, sender)
        shown = preview_out(preview, request.request_id, data.destination)
        return Answer(200, _encode(shown))
    return _answer(await desk.forwarding.forward(data.destination, asked, sender))


def _answer(found: Forwarded) -> Answer:
    answered = found.outcome is Outcome.ANSWERED
    headers = [(OUTCOME, found.outcome.value)]
    if answered:
        headers.append((DESTINATION_STATUS, str(found.status)))
    if found.outcome is not Outcome.NOT_SENT:
        headers.append((DESTINATION_DURATION, str(found.duration_ms)))
    if found.replayed:
        headers.append(REPLAYED)
    return Answer(
        200 if answered else 202,
        _encode(forward_out(found)),
        headers=headers,
        log={"outcome": found.outcome.value, "replayed": found.replayed},
    )


ROUTES: Final = (
    create_destination,
    list_destinations,
    read_destination,
    update_destination,
    rotate_destination,
    restore_destination,
    disable_destination,
    forward,
)
