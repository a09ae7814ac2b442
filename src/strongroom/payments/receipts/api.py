# SPDX-License-Identifier: Apache-2.0
"""Routes of the gateway's listener about receipts: one payment's, and the public keys that check all of them."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec
from litestar import Request as LitestarRequest
from litestar import Response, get
from litestar.datastructures import State

from strongroom.audit import NotSealedYet, Recorder
from strongroom.http.app import as_response
from strongroom.http.examples import answers
from strongroom.http.problems import problem_answer
from strongroom.http.requires import PUBLIC, principal_of, request_of
from strongroom.kernel.clock import Clock, rfc3339
from strongroom.kernel.permissions import Permission
from strongroom.payments.acting import origin_of
from strongroom.payments.receipts import examples
from strongroom.payments.receipts.making import Receipts

#: The sealer runs once a second.
_RETRY_AFTER: Final = ("retry-after", "1")


class ReceiptOut(msgspec.Struct, frozen=True):
    """A receipt: `jws` is what is kept, handed on and verified."""

    object: str
    payment: str
    kid: str
    issued_at: str
    jws: str


@dataclass(frozen=True, slots=True)
class ReceiptDesk:
    """What the routes call; `compose` joins it."""

    receipts: Receipts
    recorder: Recorder
    clock: Clock


@get(
    "/v1/payments/{payment_id:str}/receipt",
    requires=Permission.PAYMENTS_PAYMENT_READ,
    summary="Get a receipt of a payment",
    description=(
        "A compact JWS (RFC 7515; EdDSA, `typ` strongroom-receipt+jws) of what became of the payment so far, with the "
        "audit records of its making and of each outcome, their inclusion proofs and the signed checkpoint. It is "
        "verified offline, with `/v1/receipts/jwks` and the audit log's public key. Answers 409 `not_sealed_yet` with "
        "`Retry-After` for the second or so until the records are sealed, and 409 `receipt_not_yet` where nothing was "
        "approved. That a receipt was given is recorded."
    ),
    tags=["payments"],
    responses=answers(200, ReceiptOut, examples.RECEIPT, 401, 403, 404, 409, 422, 429, 503),
)
async def read_receipt(
    request: LitestarRequest[Any, Any, State], state: State, payment_id: str
) -> Response[bytes] | Response[ReceiptOut]:
    """Return a receipt."""
    desk: ReceiptDesk = state.receipts
    principal, ours = principal_of(request), request_of(request)
    origin = await origin_of(desk, request)
    try:
        issued = await desk.receipts.issue(payment_id, principal, origin)
    except NotSealedYet as error:
        answer = problem_answer(error, ours.request_id)
        answer.headers.append(_RETRY_AFTER)
        return as_response(answer)
    moment = rfc3339(issued.issued_at)
    return Response(ReceiptOut("receipt", issued.payment, issued.kid, moment, issued.jws))


@get(
    "/v1/receipts/jwks",
    requires=PUBLIC,
    summary="Keys that sign receipts",
    description=(
        "The public keys (RFC 7517) that receipts of this installation are or were signed with, the newest first. A "
        "new one is here an hour before it signs; one that was withdrawn is not. Keep the answer: with it, and the "
        "audit log's public key, receipts are verified offline."
    ),
    tags=["payments"],
    responses=answers(200, dict[str, Any], examples.JWKS, 503),
)
async def receipt_keys(state: State) -> dict[str, Any]:
    """Return the JWK set."""
    desk: ReceiptDesk = state.receipts
    return await desk.receipts.keys.jwks()


ROUTES: Final = (read_receipt, receipt_keys)
