# SPDX-License-Identifier: Apache-2.0
"""The audit log's routes, for both listeners: each shows its own database's log. A reading is recorded, once."""

from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import Response, get
from litestar.datastructures import State
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Parameter

from strongroom.audit import examples
from strongroom.audit.errors import NotSealedYet
from strongroom.audit.ports import AuditReader, NewRecord, Reader
from strongroom.audit.wire import (
    RECORDS_PER_PAGE_MAX,
    AuditRecordOut,
    AuditRecordPage,
    CheckpointOut,
    checkpoint_out,
    page_out,
    record_out,
)
from strongroom.http.app import as_response
from strongroom.http.examples import answers
from strongroom.http.problems import problem_answer
from strongroom.http.requires import principal_of, request_of
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import is_id
from strongroom.kernel.permissions import Permission

_RETRY_AFTER: Final = ("retry-after", "1")  # the sealer runs once a second

_Request = LitestarRequest[Any, Any, State]


async def _reader(state: State, request: _Request) -> Reader:
    audit: AuditReader = state.audit
    ours, principal = request_of(request), principal_of(request)
    origin = await audit.origin(principal.merchant, ours.address, ours.trace_hash)
    return Reader(principal, origin)


def _log(request: _Request, reading: NewRecord) -> None:
    """Tell the log stream of the record, after its commit (ADR-0003)."""
    request.scope["state"]["log"] = {
        "audit_event_id": reading.event_id,
        "leaf_hash": reading.leaf_hash.hex(),
    }


def _not_yet(request: _Request, error: NotSealedYet) -> Response[bytes]:
    answer = problem_answer(error, request_of(request).request_id)
    answer.headers.append(_RETRY_AFTER)
    return as_response(answer)


@get(
    "/v1/audit/records",
    requires=Permission.AUDIT_RECORD_READ,
    summary="List audit records",
    description=(
        "The merchant's own records of the calling key's mode, newest first. That they were read is recorded too. "
        "`leaf_hash` is SHA-256 over a zero byte and the bytes of `record` exactly as they stand in the answer."
    ),
    tags=["audit"],
    responses=answers(200, AuditRecordPage, examples.PAGE, 401, 403, 422, 429, 503),
)
async def list_records(
    request: _Request,
    state: State,
    limit: Annotated[int, Parameter(ge=1, le=RECORDS_PER_PAGE_MAX, description="Rows a page")] = 20,
    cursor: Annotated[str | None, Parameter(description="`next_cursor` of the page before")] = None,
) -> AuditRecordPage:
    """Return a page of records."""
    if cursor is not None and not is_id("aud", cursor):
        raise Invalid(FieldError("/cursor", "cursor_malformed", "this is not a cursor"))
    page, reading = await state.audit.records(await _reader(state, request), cursor, limit)
    _log(request, reading)
    return page_out(page)


@get(
    "/v1/audit/records/{event_id:str}",
    requires=Permission.AUDIT_RECORD_READ,
    summary="Read an audit record",
    description="One of the merchant's own records of the calling key's mode. That it was read is recorded too.",
    tags=["audit"],
    responses=answers(200, AuditRecordOut, examples.RECORD, 401, 403, 404, 429, 503),
)
async def read_record(request: _Request, state: State, event_id: str) -> AuditRecordOut:
    """Return a record."""
    found, reading = await state.audit.record(await _reader(state, request), event_id)
    _log(request, reading)
    return record_out(found)


@get(
    "/v1/audit/records/{event_id:str}/proof",
    requires=Permission.AUDIT_RECORD_READ,
    summary="Prove an audit record",
    description=(
        "A `.tlog-proof` file (C2SP tlog-proof): the record's index, its inclusion proof and a signed checkpoint. "
        "Together with the record and the public key it is all that a verifier needs. Answers 409 `not_sealed_yet` "
        "for the second or so until the record is sealed."
    ),
    tags=["audit"],
    responses={
        **answers(200, str, None, 401, 403, 404, 409, 429, 503),
        200: ResponseSpec(
            data_container=str,
            description="What was asked for",
            media_type="text/plain",
            examples=[Example(value=examples.PROOF)],
            generate_examples=False,
        ),
    },
)
async def prove_record(request: _Request, state: State, event_id: str) -> Response[bytes]:
    """Return a record's proof."""
    try:
        proof, reading = await state.audit.proof(await _reader(state, request), event_id)
    except NotSealedYet as error:
        return _not_yet(request, error)
    _log(request, reading)
    return Response(proof.encode(), media_type="text/plain")


@get(
    "/v1/audit/checkpoint",
    requires=Permission.AUDIT_CHECKPOINT_READ,
    summary="Read the newest checkpoint",
    description=(
        "The signed head of this database's audit tree (C2SP tlog-checkpoint) and the public keys that check it. "
        "Keep it: a log that was cut back or rewritten afterwards does not lead to it."
    ),
    tags=["audit"],
    responses=answers(200, CheckpointOut, examples.CHECKPOINT, 401, 403, 409, 429, 503),
)
async def read_checkpoint(
    request: _Request, state: State
) -> Response[bytes] | Response[CheckpointOut]:
    """Return the newest checkpoint."""
    try:
        return Response(checkpoint_out(await state.audit.head()))
    except NotSealedYet as error:
        return _not_yet(request, error)


ROUTES: Final = (list_records, read_record, prove_record, read_checkpoint)
