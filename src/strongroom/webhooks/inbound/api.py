# SPDX-License-Identifier: Apache-2.0
"""The route that processors call. It has no API key: a notice is its own credential."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from litestar import Request as LitestarRequest
from litestar import Response, post
from litestar.datastructures import State

from strongroom.http.app import as_response
from strongroom.http.examples import answers
from strongroom.http.limits import NOTICE_BODY_BYTES_MAX
from strongroom.http.request import Answer, Request
from strongroom.http.requires import PUBLIC, request_of
from strongroom.webhooks.inbound import examples
from strongroom.webhooks.inbound.inbox import DUPLICATE, KEPT, Inbox
from strongroom.webhooks.inbound.verify import RawNotice
from strongroom.webhooks.inbound.wire import ACCEPTED, ReceivedOut


async def _received(inbox: Inbox, request: Request, connection_id: str) -> Answer:
    raw = RawNotice(connection_id, request.headers, request.body, request.repeated)
    received = await inbox.receive(raw)
    acknowledged = received.acknowledgement
    return Answer(
        acknowledged.status,
        acknowledged.body,
        acknowledged.media_type,
        log={
            "merchant_id": received.merchant,
            "mode": received.mode.value,
            "outcome": DUPLICATE if received.duplicate else KEPT,
        },
    )


def lean_receive(state: State) -> Callable[[Request], Awaitable[Answer]]:
    """Make the function behind `POST /v1/inbound/{connection_id}`."""
    inbox: Inbox = state.inbox

    async def handle(request: Request) -> Answer:
        return await _received(inbox, request, request.path.rpartition("/")[2])

    return handle


@post(
    "/v1/inbound/{connection_id:str}",
    requires=PUBLIC,
    lean=lean_receive,
    exact_body=NOTICE_BODY_BYTES_MAX,
    summary="Take a processor's notice",
    description=(
        "For processors: the URL to give them as their webhook's. The body is taken as it is, of any media type, up to "
        "64 KiB, and verified on its exact bytes by the connection's scheme. With 200, or 202 for Adyen, it is kept, "
        "once: sending it again is answered alike and changes nothing. With 503 it is not kept: send it again."
    ),
    tags=["notices"],
    responses=answers(
        200,
        ReceivedOut,
        examples.RECEIVED,
        401,
        404,
        413,
        422,
        429,
        503,
        description="The notice is kept",
    )
    | answers(
        ACCEPTED.status,
        str,
        ACCEPTED.body.decode(),
        description="The notice is kept, in the words that Adyen wants",
        media_type=ACCEPTED.media_type,
    ),
)
async def receive_notice(
    request: LitestarRequest[Any, Any, State], state: State, connection_id: str
) -> Response[bytes]:
    """Take a notice."""
    answer = await _received(state.inbox, request_of(request), connection_id)
    request.scope["state"]["log"] = answer.log
    return as_response(answer)


ROUTES: Final = (receive_notice,)
