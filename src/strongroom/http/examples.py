# SPDX-License-Identifier: Apache-2.0
"""Describes a route's answers for the OpenAPI document: its own with an example, and the problems it may give."""

from typing import Any

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example

from strongroom.http.problems import TITLES, TYPE_PREFIX, Problem
from strongroom.http.request import JSON, PROBLEM_JSON

_CODES = {
    400: "malformed_json",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    410: "cvc_expired",
    413: "body_too_large",
    415: "content_type_wrong",
    422: "invalid",
    429: "rate_limited",
    503: "unavailable",
}


def answers(
    status: int,
    shape: type[Any] | None,
    example: object,
    *problems: int,
    description: str = "What was asked for",
    media_type: str = JSON,
) -> dict[int, ResponseSpec]:
    """Return the `responses=` of a route; a second success is joined with `|`."""
    found = {
        status: ResponseSpec(
            data_container=shape,
            description=description,
            media_type=media_type,
            examples=[] if example is None else [Example(value=example)],
            generate_examples=False,
        )
    }
    for each in problems:
        found[each] = ResponseSpec(
            data_container=Problem,
            description=TITLES[each],
            generate_examples=False,
            media_type=PROBLEM_JSON,
            examples=[
                Example(
                    value={
                        "type": TYPE_PREFIX + _CODES[each],
                        "title": TITLES[each],
                        "status": each,
                        "code": _CODES[each],
                        "detail": "A sentence that names what is wrong and no value.",
                        "request_id": "req_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
                    }
                )
            ],
        )
    return found
