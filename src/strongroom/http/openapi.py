# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI 3.1 document of a listener, made by Litestar from the routes. Golden files keep it."""

import json
from collections.abc import Sequence
from typing import Any, Final

from litestar import Litestar
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, License, SecurityScheme
from litestar.types import ControllerRouterHandler

from strongroom import __version__
from strongroom.http.requires import Public, requirement_of, routes

SCHEME: Final = "api_key"


def openapi_document(
    handlers: Sequence[ControllerRouterHandler], *, title: str, description: str
) -> bytes:
    """Return the document as JSON bytes, the same for the same routes."""
    app = Litestar(
        route_handlers=list(handlers),
        openapi_config=OpenAPIConfig(
            title=title,
            version=__version__,
            description=description,
            license=License(name="Apache-2.0", identifier="Apache-2.0"),
            components=Components(
                security_schemes={
                    SCHEME: SecurityScheme(
                        type="http",
                        scheme="bearer",
                        description="An API key: `sk_…`, `rk_…` or `pk_…`, test or live.",
                    )
                }
            ),
            render_plugins=(),
            path="/openapi",
        ),
    )
    document: dict[str, Any] = app.openapi_schema.to_schema()
    for method, path, handler in routes(
        Litestar(route_handlers=list(handlers), openapi_config=None)
    ):
        operation = document["paths"][_public_path(path)][method.lower()]
        required = requirement_of(handler)
        if isinstance(required, Public):
            operation["security"] = []
            continue
        wanted = required if isinstance(required, frozenset) else frozenset({required})
        operation["security"] = [{SCHEME: []}]
        operation["x-requires"] = sorted(wanted)
    document["paths"] = {
        path: item for path, item in document["paths"].items() if path != "/openapi"
    }
    return json.dumps(document, indent=2, sort_keys=True, default=str).encode() + b"\n"


def _public_path(path: str) -> str:
    """Litestar's `{token_id:str}` is OpenAPI's `{token_id}`."""
    return "/".join(
        f"{{{part[1:-1].partition(':')[0]}}}" if part.startswith("{") else part
        for part in path.split("/")
    )
