# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI 3.1 document of a listener. Golden files keep it (docs/reference/openapi-*.json).

Litestar knows the routes and their parameters; msgspec, which decodes the bodies, says what their shapes are; a
route's own `responses=` says what it answers. What Litestar would add of its own (its error shape) is left out.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import ControllerRouterHandler
from litestar.typing import FieldDefinition

from strongroom import __version__
from strongroom.http.approval import EXAMPLE, ApprovalOut, approval_of
from strongroom.http.body import FORM
from strongroom.http.examples import answers
from strongroom.http.problems import Problem
from strongroom.http.request import JSON, PROBLEM_JSON
from strongroom.http.requires import Public, requirement_of, routes
from strongroom.kernel.invariant import invariant

Json: TypeAlias = dict[str, Any]

SCHEME: Final = "api_key"
_REF: Final = "#/components/schemas/{name}"
_HEADERS: Final[Json] = {
    "Request-Id": {
        "description": "The request's name; the log carries it, and its SHA-256 stands in the audit record.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "Idempotent-Replayed": {
        "description": "`true` on an answer that was kept; absent on the first.",
        "schema": {"type": "string", "enum": ["true"]},
    },
}
#: What is said of every route that takes two people, beside its own.
_WAITS_FOR_ANOTHER: Final = answers(
    202, ApprovalOut, EXAMPLE, description="It waits for another person, and nothing has happened"
)
_APPROVAL_PARAMETER: Final[Json] = {
    "name": "Strongroom-Approval",
    "in": "header",
    "required": False,
    "description": (
        "The approval that another person has given to this very request; without it a person's request waits (202)."
    ),
    "schema": {"type": "string"},
}
_WAITS: Final = frozenset({429, 503})
_SUCCESS: Final = range(200, 300)


def openapi_document(
    handlers: Sequence[ControllerRouterHandler], *, title: str, description: str
) -> bytes:
    """Return the document as JSON bytes, the same for the same routes."""
    found = [
        (method, path, handler)
        for method, path, handler in routes(
            Litestar(route_handlers=list(handlers), openapi_config=None)
        )
        if isinstance(handler, HTTPRouteHandler)  # `routes` refuses every other kind
    ]
    shapes = _shapes([handler for _, _, handler in found])
    names = dict(zip(shapes, _schemas(shapes)[0], strict=True))
    parameters = _parameters(handlers)
    paths: dict[str, Json] = {}
    for method, path, handler in found:
        public_path = _public_path(path)
        paths.setdefault(public_path, {})[method.lower()] = _operation(
            handler, parameters.get((public_path, method.lower()), []), names
        )
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": __version__,
            "description": description,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _schemas(shapes)[1],
            "headers": _HEADERS,
            "securitySchemes": {
                SCHEME: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key (`sk_…`, `rk_…` or `pk_…`, test or live), or an access token.",
                }
            },
        },
    }
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _operation(handler: HTTPRouteHandler, parameters: list[Json], names: dict[Any, Json]) -> Json:
    operation: Json = {
        "operationId": handler.handler_name,
        "summary": handler.summary,
        "tags": sorted(handler.tags or ()),
        "responses": _answers(handler, named=_has_idempotency_key(parameters), names=names),
    }
    if handler.description:
        operation["description"] = handler.description
    if (mark := approval_of(handler)) is not None:
        operation["x-approval"] = mark.action
        parameters = [*parameters, _APPROVAL_PARAMETER]
    if parameters:
        operation["parameters"] = parameters
    if (field := handler.parsed_data_field) is not None:
        operation["requestBody"] = _body(field, names, form=bool(handler.opt.get("form")))
    required = requirement_of(handler)
    if isinstance(required, Public):
        operation["security"] = []
    else:
        wanted = required if isinstance(required, frozenset) else frozenset({required})
        operation["security"] = [{SCHEME: []}]
        operation["x-requires"] = sorted(wanted)
    return operation


def _body(field: FieldDefinition, names: dict[Any, Json], *, form: bool) -> Json:
    content: Json = {"schema": names[field.annotation]}
    examples = getattr(field.kwarg_definition, "examples", None)
    if examples:
        content["example"] = examples[0].value
    return {"required": True, "content": {JSON: content, **({FORM: content} if form else {})}}


def _answers(handler: HTTPRouteHandler, *, named: bool, names: dict[Any, Json]) -> Json:
    """Print what a route answers; `named` is whether its requests have an Idempotency-Key."""
    printed: Json = {}
    for status, spec in sorted(_specs(handler).items()):
        headers = ["Request-Id"]
        if status in _WAITS:
            headers.append("Retry-After")
        if named and status in _SUCCESS:
            headers.append("Idempotent-Replayed")
        printed[str(status)] = {
            "description": spec.description,
            "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
        }
        if spec.data_container is not None:
            content: Json = {"schema": names[spec.data_container]}
            if spec.examples:
                content["example"] = spec.examples[0].value
            printed[str(status)]["content"] = {str(spec.media_type): content}
            if status in _SUCCESS and (other := handler.opt.get("also_as")) is not None:
                media_type, example = other
                printed[str(status)]["content"][media_type] = {**content, "example": example}
    printed["default"] = {
        "description": "Any other refusal or failure",
        "headers": {"Request-Id": {"$ref": "#/components/headers/Request-Id"}},
        "content": {PROBLEM_JSON: {"schema": names[Problem]}},
    }
    return printed


def _specs(handler: HTTPRouteHandler) -> dict[int, ResponseSpec]:
    found: dict[int, ResponseSpec] = dict(handler.responses or {})
    if approval_of(handler) is not None:
        found |= _WAITS_FOR_ANOTHER
    invariant(any(status in _SUCCESS for status in found), "every route says what it answers")
    return found


def _shapes(handlers: Sequence[HTTPRouteHandler]) -> list[Any]:
    """Return every type that a body or an answer has, once, in a fixed order."""
    shapes: dict[Any, None] = {Problem: None}
    for handler in handlers:
        if handler.parsed_data_field is not None:
            shapes[handler.parsed_data_field.annotation] = None
        for spec in _specs(handler).values():
            if spec.data_container is not None:
                shapes[spec.data_container] = None
    return list(shapes)


def _schemas(shapes: Sequence[Any]) -> tuple[tuple[Json, ...], Json]:
    return msgspec.json.schema_components(shapes, ref_template=_REF)


def _parameters(handlers: Sequence[ControllerRouterHandler]) -> dict[tuple[str, str], list[Json]]:
    """Return the parameters that Litestar knows, by path and method."""
    app = Litestar(
        route_handlers=list(handlers),
        openapi_config=OpenAPIConfig(title="", version="", render_plugins=()),
    )
    printed = app.openapi_schema.to_schema()
    named = printed.get("components", {}).get("schemas", {})
    found: dict[tuple[str, str], list[Json]] = {}
    for path, item in printed["paths"].items():
        for method, operation in item.items():
            found[path, method] = [_tidied(each, named) for each in operation.get("parameters", ())]
    return found


def _tidied(parameter: Json, named: Mapping[str, Json]) -> Json:
    """Keep what says something: an absent parameter is left out and never null, and a bound is a whole number.

    What Litestar refers to by a name of its own (`named`: enumerations) is written out; our document has other names.
    """
    schema = dict(parameter["schema"])
    alternatives = [each for each in schema.pop("oneOf", ()) if each != {"type": "null"}]
    for each in alternatives:
        schema.update(each)
    if (name := schema.pop("$ref", "").rpartition("/")[2]) in named:
        schema.update({word: named[name][word] for word in ("type", "enum")})
    schema.pop("description", None)
    examples = schema.pop("examples", [])
    tidied = {
        "name": parameter["name"],
        "in": parameter["in"],
        "required": parameter["required"],
        "schema": {
            name: int(value) if isinstance(value, float) else value
            for name, value in schema.items()
        },
    }
    if parameter.get("description"):
        tidied["description"] = parameter["description"]
    if examples:
        tidied["example"] = examples[0]
    return tidied


def _has_idempotency_key(parameters: Sequence[Json]) -> bool:
    return any(each["name"] == "Idempotency-Key" for each in parameters)


def _public_path(path: str) -> str:
    """Litestar's `{token_id:str}` is OpenAPI's `{token_id}`."""
    return "/".join(
        f"{{{part[1:-1].partition(':')[0]}}}" if part.startswith("{") else part
        for part in path.split("/")
    )
