# SPDX-License-Identifier: Apache-2.0
"""The vault's routes: parse, call, print. Served by the card-bearing listener only."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import msgspec
from litestar import Request as LitestarRequest
from litestar import Response, delete, get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter

from strongroom.crypto import sha256
from strongroom.http.app import as_response
from strongroom.http.examples import answers
from strongroom.http.idempotency import REPLAYED, IdempotencyKey, idempotency_key
from strongroom.http.problems import UNDECODABLE, decoding_error
from strongroom.http.request import Answer, Request
from strongroom.http.requires import request_of
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import is_id
from strongroom.kernel.invariant import Bug
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.vault import examples
from strongroom.vault.asking import caller_of, shown
from strongroom.vault.ports import Vault
from strongroom.vault.tokens import PAGE_ROWS_MAX
from strongroom.vault.wire import (
    CvcDiscarded,
    CvcIn,
    KeepIn,
    SealedCvcIn,
    SealedCvcOut,
    TokenChangeIn,
    TokenIn,
    TokenOut,
    TokenPage,
    TokensIn,
    TokensOut,
)
from strongroom.vault.wishes import Asked
from strongroom.vault.writes import Written

_MAKES_TOKENS: Final = frozenset(
    {Permission.VAULT_TOKEN_CREATE, Permission.VAULT_TOKEN_CREATE_SINGLE_USE}
)
_decode_token: Final = msgspec.json.Decoder(TokenIn).decode
_decode_tokens: Final = msgspec.json.Decoder(TokensIn).decode


async def asked_by(vault: Vault, request: Request) -> Asked:
    """Say who asks for a token, whence and when."""
    principal = request.principal
    if principal is None:
        raise Bug("the edge lets nobody in without a principal")
    key = idempotency_key(request)
    now = vault.clock.now()
    origin = vault.recorder.recent_origin(
        principal.merchant, request.address, request.trace_hash, now
    )
    if origin is None:
        origin = await vault.recorder.origin(
            principal.merchant, request.address, request.trace_hash, now
        )
    return Asked(principal, origin, key, now, request.request_id)


def _counted(vault: Vault, mode: Mode, written: Written) -> Answer:
    """Count what was written, and print it."""
    if written.created:
        vault.metrics.tokens_created.labels(mode).inc(written.created)
    if written.deduplicated:
        vault.metrics.tokens_deduplicated.labels(mode).inc(written.deduplicated)
    return _answer(written)


def _answer(written: Written) -> Answer:
    """Print a write. What was written is also told to the log stream, after the commit (ADR-0003)."""
    facts: dict[str, object] = {}
    records = written.records
    if len(records) == 1:
        facts["audit_event_id"] = records[0].event_id
        facts["leaf_hash"] = records[0].leaf_hash.hex()
    elif records:
        # Many at once: the first id, how many, and one hash over their leaves in order. All carry this
        # request's hash, so that one that is missing from the database shows.
        facts["audit_event_id"] = records[0].event_id
        facts["rows"] = len(records)
        facts["leaf_hash"] = sha256(b"".join(record.leaf_hash for record in records)).hex()
    headers = [REPLAYED] if written.replayed else []
    return Answer(written.status, written.answer, headers=headers, log=facts)


def lean_create(state: State) -> Callable[[Request], Awaitable[Answer]]:
    """Make the function behind `POST /v1/tokens`."""
    vault: Vault = state.vault

    async def handle(request: Request) -> Answer:
        asked = await asked_by(vault, request)
        try:
            wish = _decode_token(request.body)
        except UNDECODABLE as error:
            raise decoding_error(error) from None
        return _counted(vault, asked.principal.mode, await vault.maker.create(wish, asked))

    return handle


def lean_bulk(state: State) -> Callable[[Request], Awaitable[Answer]]:
    """Make the function behind `POST /v1/tokens/bulk`."""
    vault: Vault = state.vault

    async def handle(request: Request) -> Answer:
        asked = await asked_by(vault, request)
        try:
            wishes = _decode_tokens(request.body)
        except UNDECODABLE as error:
            raise decoding_error(error) from None
        return _counted(vault, asked.principal.mode, await vault.bulk.create(wishes, asked))

    return handle


@post(
    "/v1/tokens",
    requires=_MAKES_TOKENS,
    lean=lean_create,
    summary="Make a token",
    description=(
        "Takes a card number once and returns a token. With `deduplicate`, a number that has a token gets that token; "
        "what is stored does not change. A public key makes single-use tokens that live an hour. Holder, billing "
        "address and what belongs to later payments are sealed apart from the number."
    ),
    tags=["tokens"],
    responses=answers(
        201, TokenOut, examples.TOKEN_WITH_CVC, 400, 401, 403, 409, 413, 415, 422, 429, 503
    )
    | answers(200, TokenOut, examples.DEDUPLICATED, description="The token that the number had"),
)
async def create_token(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[TokenIn, Body(examples=[Example(value=examples.TOKEN_IN)])],
    state: State,
    idempotency_key: IdempotencyKey,  # noqa: ARG001 - documents the header; `asked_by` reads it
) -> Response[bytes]:
    """Serve what the lean lane serves, when that is switched off."""
    asked = await asked_by(state.vault, request_of(request))
    written = await state.vault.maker.create(data, asked)
    return as_response(_counted(state.vault, asked.principal.mode, written))


@post(
    "/v1/tokens/bulk",
    requires=Permission.VAULT_TOKEN_CREATE,
    lean=lean_bulk,
    status_code=200,
    summary="Make up to 1,000 tokens",
    description="Each item has a result of its own, in the request's order; what is refused does not stop the others.",
    tags=["tokens"],
    responses=answers(
        200, TokensOut, examples.TOKENS_OUT, 400, 401, 403, 409, 413, 415, 422, 429, 503
    ),
)
async def create_tokens(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[TokensIn, Body(examples=[Example(value=examples.TOKENS_IN)])],
    state: State,
    idempotency_key: IdempotencyKey,  # noqa: ARG001 - documents the header; `asked_by` reads it
) -> Response[bytes]:
    """Serve what the lean lane serves, when that is switched off."""
    asked = await asked_by(state.vault, request_of(request))
    written = await state.vault.bulk.create(data, asked)
    return as_response(_counted(state.vault, asked.principal.mode, written))


@get(
    "/v1/tokens",
    requires=Permission.VAULT_TOKEN_READ,
    summary="List tokens",
    description="Newest first, masked.",
    tags=["tokens"],
    responses=answers(200, TokenPage, examples.PAGE, 401, 403, 422, 429, 503),
)
async def list_tokens(
    request: LitestarRequest[Any, Any, State],
    state: State,
    limit: Annotated[int, Parameter(ge=1, le=PAGE_ROWS_MAX, description="Rows a page")] = 20,
    cursor: Annotated[str | None, Parameter(description="`next_cursor` of the page before")] = None,
) -> TokenPage:
    """Return a page of tokens."""
    if cursor is not None and not is_id("tok", cursor):
        raise Invalid(FieldError("/cursor", "cursor_malformed", "this is not a cursor"))
    page, following = await state.vault.tokens.list(await caller_of(state, request), cursor, limit)
    return TokenPage([shown(request, each) for each in page], following is not None, following)


@get(
    "/v1/tokens/{token_id:str}",
    requires=Permission.VAULT_TOKEN_READ,
    summary="Read a token",
    description=(
        "What may be shown of the card: brand, first six and last four digits, expiry, and what is sealed beside the "
        "number. An alias does for the id. An access rule that redacts takes digits and names away."
    ),
    tags=["tokens"],
    responses=answers(200, TokenOut, examples.READ, 401, 403, 404, 429, 503),
)
async def read_token(
    request: LitestarRequest[Any, Any, State], state: State, token_id: str
) -> TokenOut:
    """Return a token, masked."""
    seen = await state.vault.tokens.read(await caller_of(state, request), token_id)
    return shown(request, seen)


@post(
    "/v1/tokens/{token_id:str}",
    requires=Permission.VAULT_TOKEN_UPDATE,
    status_code=200,
    summary="Change a token",
    description=(
        "Expiry, holder, billing address, metadata, container, when it is deleted, and what belongs to later payments. "
        "What is absent stays, null takes away; the number never changes. Safe to repeat."
    ),
    tags=["tokens"],
    responses=answers(
        200, TokenOut, examples.CHANGED, 400, 401, 403, 404, 409, 413, 415, 422, 429, 503
    ),
)
async def change_token(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[TokenChangeIn, Body(examples=[Example(value=examples.CHANGE)])],
    state: State,
    token_id: str,
) -> TokenOut:
    """Change what a token has besides its number."""
    caller = await caller_of(state, request)
    return shown(request, await state.vault.changer.change(caller, token_id, data))


@delete(
    "/v1/tokens/{token_id:str}",
    requires=Permission.VAULT_TOKEN_DELETE,
    status_code=204,
    summary="Delete a token",
    description="The sealed number goes with it. A second delete answers 404.",
    tags=["tokens"],
    responses=answers(204, None, None, 401, 403, 404, 429, 503),
)
async def delete_token(
    request: LitestarRequest[Any, Any, State], state: State, token_id: str
) -> None:
    """Delete a token."""
    await state.vault.tokens.delete(await caller_of(state, request), token_id)


@post(
    "/v1/tokens/{token_id:str}/keep",
    requires=Permission.VAULT_TOKEN_CREATE,
    status_code=200,
    summary="Keep a single-use token",
    description="Makes a token that a public key made lasting. Safe to repeat.",
    tags=["tokens"],
    responses=answers(200, TokenOut, examples.TOKEN, 400, 401, 403, 404, 413, 415, 422, 429, 503),
)
async def keep_token(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[KeepIn, Body(examples=[Example(value={"metadata": {"customer": "c-17"}})])],
    state: State,
    token_id: str,
) -> TokenOut:
    """Make a single-use token lasting."""
    caller = await caller_of(state, request)
    seen = await state.vault.tokens.keep(caller, token_id, data.metadata)
    return shown(request, seen)


@post(
    "/v1/tokens/{token_id:str}/cvc",
    requires=Permission.VAULT_CVC_SEAL,
    status_code=200,
    summary="Seal a CVC for a stored card",
    description="Returns it sealed for one use within half an hour; the vault keeps nothing of it.",
    tags=["cvc"],
    responses=answers(
        200, SealedCvcOut, examples.SEALED_CVC, 400, 401, 403, 404, 413, 415, 422, 429, 503
    ),
)
async def seal_cvc(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[CvcIn, Body(examples=[Example(value={"cvc": "737"})])],
    state: State,
    token_id: str,
) -> SealedCvcOut:
    """Seal a CVC for one use."""
    sealed = await state.vault.tokens.seal_cvc(await caller_of(state, request), token_id, data.cvc)
    return SealedCvcOut("sealed_cvc", token_id, sealed.text, rfc3339(sealed.expires_at))


@post(
    "/v1/tokens/{token_id:str}/cvc/discard",
    requires=Permission.VAULT_CVC_DISCARD,
    status_code=200,
    summary="Discard a sealed CVC",
    description="Nothing opens it any more. A used, altered or expired one is refused.",
    tags=["cvc"],
    responses=answers(
        200,
        CvcDiscarded,
        examples.CVC_DISCARDED,
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
    ),
)
async def discard_cvc(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[
        SealedCvcIn, Body(examples=[Example(value={"cvc": examples.SEALED_CVC["cvc"]})])
    ],
    state: State,
    token_id: str,
) -> CvcDiscarded:
    """Make a sealed CVC useless."""
    await state.vault.tokens.discard_cvc(await caller_of(state, request), token_id, data.cvc)
    return CvcDiscarded("sealed_cvc", token_id, discarded=True)


ROUTES: Final = (
    create_token,
    create_tokens,
    list_tokens,
    read_token,
    change_token,
    delete_token,
    keep_token,
    seal_cvc,
    discard_cvc,
)
