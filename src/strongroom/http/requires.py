# SPDX-License-Identifier: Apache-2.0
"""Every route says what it requires, or the app does not start. The guard compares it with the principal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute

from strongroom.http.approval import ApprovalAbout, ApprovalGate, require_approval
from strongroom.http.auth import StepUpNeeded
from strongroom.http.gate import AddressGate, RouteGroup, route_groups
from strongroom.http.request import Request
from strongroom.kernel.errors import Denied
from strongroom.kernel.ids import is_id
from strongroom.kernel.invariant import Bug
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import Principal


class Public:
    """The mark of a route that anybody may call."""


PUBLIC: Final = Public()
#: One permission, or several of which one is enough, or nobody needs any.
Requires: TypeAlias = Permission | frozenset[Permission] | Public


class RouteWithoutRequires(Bug):
    """A route does not say what it requires."""


class ApprovalsUnknownHere(Bug):
    """A route takes two people on a listener that asks nobody."""


class KeysUnknownHere(Bug):
    """A route requires a permission on a listener that knows no keys."""


def requirement_of(handler: BaseRouteHandler) -> Requires:
    """Return what a route requires.

    Raises:
        RouteWithoutRequires: it does not say.
    """
    required = handler.opt.get("requires")
    if isinstance(required, (Permission, frozenset, Public)) and required != frozenset():
        return required
    raise RouteWithoutRequires(f"{handler.handler_name} has no requires=")


def permit(required: Requires, principal: Principal | None) -> None:
    """Let through or raise.

    Raises:
        Denied: the principal lacks the permission; names it.
    """
    if isinstance(required, Public):
        return
    if principal is not None:
        wanted = required if isinstance(required, frozenset) else frozenset({required})
        if wanted & principal.permissions:
            return
        raise Denied(f"the caller lacks the permission {' or '.join(sorted(wanted))}")
    raise Bug("a route that requires a permission was reached without a principal")


def require_step_up(handler: BaseRouteHandler, principal: Principal | None) -> None:
    """Let through, or ask a person for a second factor again, on a route with `step_up=True`. Machines have none.

    Raises:
        StepUpNeeded: the person's last proof is older than `auth.STEP_UP_SECONDS`.
    """
    if not handler.opt.get("step_up") or principal is None or principal.presence is None:
        return
    if not principal.presence.stepped_up:
        raise StepUpNeeded


def groups_of(handler: BaseRouteHandler) -> tuple[RouteGroup, ...]:
    """Return the groups of a route, for allow-lists."""
    return route_groups(requirement_of(handler), step_up=bool(handler.opt.get("step_up")))


async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Litestar's guard of every route: permission, address, a second factor, a second person."""
    request = request_of(connection)
    request.route = str(connection.scope.get("path_template") or request.route)
    permit(requirement_of(handler), request.principal)
    addresses: AddressGate | None = connection.scope["state"].get("gate")
    if addresses is not None and request.principal is not None:
        addresses.admit_route(request, groups_of(handler))
    require_step_up(handler, request.principal)
    approvals: ApprovalGate | None = connection.app.state.get("approvals")
    await require_approval(handler, request, approvals, _object_of(connection.path_params))


async def admitted(
    request: LitestarRequest[Any, Any, Any],
    names: Sequence[str] = (),
    about: ApprovalAbout | None = None,
) -> None:
    """Ask for the second person now, on a route whose mark is `late`; `about` is what they are shown.

    `names` are the ids that what the request is about may be asked by, where there are several, the present one first:
    an approval is for the thing, and not for one of its ids.

    Raises:
        ApprovalNeedsPerson, ApprovalAsked, Denied: see `approval.require_approval`.
    """
    approvals: ApprovalGate | None = request.app.state.get("approvals")
    await require_approval(
        request.route_handler,
        request_of(request),
        approvals,
        _object_of(request.path_params),
        late=True,
        names=names,
        about=about,
    )


def _object_of(parameters: Mapping[str, Any]) -> str | None:
    """Return the id in a path that says what it is about; nothing else of a path is kept."""
    found = [each for each in parameters.values() if isinstance(each, str)]
    return next((each for each in reversed(found) if is_id(each[:3], each)), None)


def request_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Request:
    """Return the edge's request behind a Litestar connection."""
    request = connection.scope["state"].get("request")
    if not isinstance(request, Request):
        raise Bug("the app was called without the edge")
    return request


def principal_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Principal:
    """Return who asks, on a route that requires a permission."""
    principal = request_of(connection).principal
    if principal is None:
        raise Bug("a public route asked who is asking")
    return principal


def routes(app: Litestar) -> Iterable[tuple[str, str, BaseRouteHandler]]:
    """Yield (method, path, handler) of every route.

    Raises:
        RouteWithoutRequires: one of them does not say what it requires.
    """
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            raise RouteWithoutRequires(f"{route.path} is not an HTTP route")
        for handler in route.route_handlers:
            for method in sorted(handler.http_methods - {"OPTIONS"}):
                requirement_of(handler)
                yield method, route.path_format, handler
