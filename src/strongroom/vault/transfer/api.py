# SPDX-License-Identifier: Apache-2.0
"""Routes of imports and exports, on the card-bearing listener: parse, call, print."""

from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import Response, get, post, put
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter

from strongroom.http.app import as_response
from strongroom.http.approval import Approval
from strongroom.http.examples import answers
from strongroom.http.request import Answer
from strongroom.http.requires import admitted, principal_of, request_of
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import is_id
from strongroom.kernel.permissions import Permission
from strongroom.vault.asking import caller_from
from strongroom.vault.finding import Caller
from strongroom.vault.transfer import examples
from strongroom.vault.transfer.imports import PAGE_ROWS_MAX
from strongroom.vault.transfer.model import PART_BYTES_MAX, Format
from strongroom.vault.transfer.ports import Transfer
from strongroom.vault.transfer.results import header, print_part
from strongroom.vault.transfer.wire import (
    ExportIn,
    ExportOut,
    ImportIn,
    ImportKeyOut,
    ImportOut,
    ImportPage,
    export_out,
    import_key_out,
    import_out,
    wish_of,
)

_BYTES: Final = "application/octet-stream"
_CSV: Final = "text/csv; charset=utf-8"
_JSONL: Final = "application/x-ndjson"
_COUNT_MAX: Final = 10**12


async def _caller(request: LitestarRequest[Any, Any, State], transfer: Transfer) -> Caller:
    return await caller_from(transfer.recorder, transfer.clock, request)


@post(
    "/v1/imports",
    requires=Permission.VAULT_IMPORT_CREATE,
    status_code=201,
    summary="Begin an import",
    description=(
        "Makes an import and says how its file is written; the file follows in parts. `dry_run` checks every row, "
        "finds repeats in the file and in the vault, and makes no token. Nobody's security codes are taken: a file "
        "with such a column is refused."
    ),
    tags=["imports"],
    responses=answers(201, ImportOut, examples.IMPORT, 400, 401, 403, 404, 413, 415, 422, 429, 503),
)
async def begin_import(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[ImportIn, Body(examples=[Example(value=examples.IMPORT_IN)])],
    state: State,
) -> ImportOut:
    """Begin an import."""
    transfer: Transfer = state.transfer
    return import_out(await transfer.imports.begin(await _caller(request, transfer), wish_of(data)))


@put(
    "/v1/imports/{import_id:str}/content",
    requires=Permission.VAULT_IMPORT_CREATE,
    exact_body=PART_BYTES_MAX,
    summary="Send a part of the file",
    description=(
        "Up to 1 MiB of the file from `offset` on, of any media type, as it is. Every whole row of it is a token, a "
        "duplicate or refused when this is answered; the next part begins at the `offset` of the answer, so a row that "
        "was cut, or that may not be told yet, is sent again. After 429 `import_slowed` the same part is, when "
        "`Retry-After` says. After a lost answer, read the import. `last` says that nothing follows."
    ),
    tags=["imports"],
    responses=answers(200, ImportOut, examples.IMPORT_ON, 401, 403, 404, 409, 413, 422, 429, 503),
)
async def put_content(
    request: LitestarRequest[Any, Any, State],
    state: State,
    import_id: str,
    offset: Annotated[
        int, Parameter(ge=0, le=_COUNT_MAX, description="first byte of the part")
    ] = 0,
    last: Annotated[bool, Parameter(description="nothing follows")] = False,  # noqa: FBT002
) -> ImportOut:
    """Take a part."""
    transfer: Transfer = state.transfer
    caller = await _caller(request, transfer)
    content = request_of(request).body
    return import_out(await transfer.imports.take(caller, import_id, offset, content, last=last))


@get(
    "/v1/imports",
    requires=Permission.VAULT_JOB_READ,
    summary="List imports",
    description="Newest first.",
    tags=["imports"],
    responses=answers(200, ImportPage, examples.IMPORTS, 401, 403, 422, 429, 503),
)
async def list_imports(
    request: LitestarRequest[Any, Any, State],
    state: State,
    limit: Annotated[int, Parameter(ge=1, le=PAGE_ROWS_MAX)] = 20,
    cursor: Annotated[str | None, Parameter(max_length=64)] = None,
) -> ImportPage:
    """Return a page."""
    transfer: Transfer = state.transfer
    principal = principal_of(request)
    if cursor is not None and not is_id("imp", cursor):
        raise Invalid(FieldError("/cursor", "cursor_malformed", "a cursor comes from a page"))
    found, following = await transfer.imports.list(
        principal.merchant, principal.mode, cursor, limit
    )
    return ImportPage([import_out(each) for each in found], following is not None, following)


@get(
    "/v1/imports/key",
    requires=Permission.VAULT_JOB_READ,
    summary="Read the import key",
    description="What another provider encrypts a file to: an OpenPGP certificate, and a JWK for JWE.",
    tags=["imports"],
    responses=answers(200, ImportKeyOut, examples.IMPORT_KEY, 401, 403, 404, 429, 503),
)
async def read_import_key(request: LitestarRequest[Any, Any, State], state: State) -> ImportKeyOut:
    """Return the newest pair's public parts."""
    transfer: Transfer = state.transfer
    principal = principal_of(request)
    found = await transfer.imports.keys.newest(principal.merchant, principal.mode)
    return import_key_out(found, principal.mode)


@post(
    "/v1/imports/key",
    requires=Permission.VAULT_IMPORT_CREATE,
    status_code=201,
    summary="Make an import key",
    description="From now on it is the one to encrypt to; what was encrypted to an earlier one still opens.",
    tags=["imports"],
    responses=answers(201, ImportKeyOut, examples.IMPORT_KEY, 401, 403, 429, 503),
)
async def make_import_key(request: LitestarRequest[Any, Any, State], state: State) -> ImportKeyOut:
    """Make a pair."""
    transfer: Transfer = state.transfer
    caller = await _caller(request, transfer)
    return import_key_out(await transfer.imports.keys.make(caller), caller.principal.mode)


@get(
    "/v1/imports/{import_id:str}",
    requires=Permission.VAULT_JOB_READ,
    summary="Read an import",
    description="How far it is, and at which `offset` it goes on.",
    tags=["imports"],
    responses=answers(200, ImportOut, examples.IMPORT_ON, 401, 403, 404, 429, 503),
)
async def read_import(
    request: LitestarRequest[Any, Any, State], state: State, import_id: str
) -> ImportOut:
    """Return an import."""
    transfer: Transfer = state.transfer
    principal = principal_of(request)
    return import_out(await transfer.imports.read(principal.merchant, principal.mode, import_id))


@post(
    "/v1/imports/{import_id:str}/cancel",
    requires=Permission.VAULT_IMPORT_CREATE,
    status_code=200,
    summary="Cancel an import",
    description="It takes nothing more. What was imported stays.",
    tags=["imports"],
    responses=answers(200, ImportOut, examples.IMPORT_CANCELED, 401, 403, 404, 409, 429, 503),
)
async def cancel_import(
    request: LitestarRequest[Any, Any, State], state: State, import_id: str
) -> ImportOut:
    """End an import where it is."""
    transfer: Transfer = state.transfer
    return import_out(await transfer.imports.cancel(await _caller(request, transfer), import_id))


@get(
    "/v1/imports/{import_id:str}/results",
    requires=Permission.VAULT_JOB_READ,
    summary="Read what became of the rows",
    description=(
        "Some rows from `row` on (counted from 1), masked, as JSON Lines or CSV. `Strongroom-Next-Row` says where to "
        "go on; without it these were the last so far."
    ),
    tags=["imports"],
    responses=answers(200, str, examples.RESULTS, 401, 403, 404, 422, 429, 503, media_type=_JSONL),
    also_as=(_CSV.partition(";")[0], examples.RESULTS_CSV),
)
async def read_results(
    request: LitestarRequest[Any, Any, State],
    state: State,
    import_id: str,
    row: Annotated[int, Parameter(ge=1, le=_COUNT_MAX)] = 1,
    as_csv: Annotated[bool, Parameter(description="CSV instead of JSON Lines")] = False,  # noqa: FBT002
) -> Response[bytes]:
    """Return the results of some rows."""
    transfer: Transfer = state.transfer
    principal = principal_of(request)
    file_format = Format.CSV if as_csv else Format.JSONL
    part = await transfer.imports.results(principal, import_id, row - 1)
    body = header(file_format) if row == 1 else b""
    headers = []
    if part is not None:
        body += print_part(part, file_format)
        headers.append(("strongroom-next-row", str(part.first_row + len(part.results) + 1)))
    return as_response(Answer(200, body, _CSV if as_csv else _JSONL, headers))


@post(
    "/v1/exports",
    requires=Permission.VAULT_EXPORT_CREATE,
    step_up=True,
    # It asks when it has seen that the receiver's key will do and that this caller may see the cards at all.
    approval=Approval("card_export", late=True),
    status_code=201,
    summary="Begin an export",
    description=(
        "Every card of a container, sealed for another provider: JWE lines, or OpenPGP messages of JSON Lines. "
        "The container's rule must give `reveal`. Each stretch of cards is recorded before it is opened."
    ),
    tags=["exports"],
    responses=answers(201, ExportOut, examples.EXPORT, 400, 401, 403, 413, 415, 422, 429, 503),
)
async def begin_export(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[ExportIn, Body(examples=[Example(value=examples.EXPORT_IN)])],
    state: State,
) -> ExportOut:
    """Begin an export."""
    transfer: Transfer = state.transfer
    wish = data.wish()
    caller = await _caller(request, transfer)
    about = None
    if caller.principal.presence is not None:
        about = await transfer.exports.require_possible(caller, wish)
    await admitted(request, about=about)
    return export_out(await transfer.exports.begin(caller, wish))


@get(
    "/v1/exports/{export_id:str}",
    requires=Permission.VAULT_JOB_READ,
    summary="Read an export",
    description="How far it is, and the digest of what was written.",
    tags=["exports"],
    responses=answers(200, ExportOut, examples.EXPORT, 401, 403, 404, 429, 503),
)
async def read_export(
    request: LitestarRequest[Any, Any, State], state: State, export_id: str
) -> ExportOut:
    """Return an export."""
    transfer: Transfer = state.transfer
    principal = principal_of(request)
    return export_out(await transfer.exports.read(principal.merchant, principal.mode, export_id))


@get(
    "/v1/exports/{export_id:str}/content",
    requires=Permission.VAULT_JOB_READ,
    summary="Download a piece of an export",
    description="Pieces count from 0. Only the receiver opens them.",
    tags=["exports"],
    responses=answers(200, str, examples.PIECE, 401, 403, 404, 422, 429, 503, media_type=_BYTES),
)
async def read_piece(
    request: LitestarRequest[Any, Any, State],
    state: State,
    export_id: str,
    piece: Annotated[int, Parameter(ge=0, le=2**31 - 1)] = 0,
) -> Response[bytes]:
    """Return a piece."""
    transfer: Transfer = state.transfer
    principal = principal_of(request)
    found = await transfer.exports.piece(principal.merchant, principal.mode, export_id, piece)
    return as_response(
        Answer(200, found.content, _BYTES, [("strongroom-digest", found.digest.hex())])
    )


ROUTES: Final = (
    begin_import,
    put_content,
    list_imports,
    read_import_key,
    make_import_key,
    read_import,
    cancel_import,
    read_results,
    begin_export,
    read_export,
    read_piece,
)
