# SPDX-License-Identifier: Apache-2.0
"""Serves pages and what they load: from our own origin, under a policy that lets nothing else in (ASVS 5.0 V3.4).

A page has no inline script or style, loads nothing from a third party, posts no form and stands in no frame. Each file
is a public route of its own, read once at start.
"""

from importlib import resources
from typing import Final

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from strongroom.http.examples import answers
from strongroom.http.requires import PUBLIC
from strongroom.kernel.invariant import Bug

#: Of a page, in place of the policy that every other answer has. Pictures besides our own: a QR code in the page.
POLICY: Final = (
    "default-src 'none'; base-uri 'none'; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; "
    "img-src 'self' data:; script-src 'self'; style-src 'self'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_PAGE_HEADERS: Final = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": (
        "camera=(), geolocation=(), microphone=(), payment=(), usb=(), "
        "publickey-credentials-create=(self), publickey-credentials-get=(self)"
    ),
}
#: Of a text, Litestar says itself that it is UTF-8.
_MEDIA_TYPES: Final = {
    "css": "text/css",
    "html": "text/html",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}


def page_route(path: str, package: str, name: str, summary: str) -> HTTPRouteHandler:
    """Make the route of a page or of a file that pages load.

    Args:
        path: where it is served.
        package: the package that holds the file.
        name: the file's name; its ending says what it is.
        summary: one line for the OpenAPI document.
    """
    ending = name.rpartition(".")[2]
    media_type = _MEDIA_TYPES.get(ending)
    if media_type is None:
        raise Bug(f"{name} is of no kind that pages have")
    content = resources.files(package).joinpath(name).read_bytes()
    headers = _PAGE_HEADERS if ending == "html" else {}

    async def serve() -> Response[bytes]:
        """Return the file as it is."""
        return Response(content, media_type=media_type, headers=headers)

    # The name of an operation in the OpenAPI document, which must be one of a kind.
    serve.__name__ = serve.__qualname__ = f"serve_{name.replace('.', '_').replace('-', '_')}"
    return get(
        path,
        requires=PUBLIC,
        summary=summary,
        tags=["pages"],
        responses=answers(200, str, f"<a file of type {media_type}>", media_type=media_type),
    )(serve)
