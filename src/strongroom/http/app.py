# SPDX-License-Identifier: Apache-2.0
"""Builds a listener: Litestar with our guard and our problems, inside the edge. No route without requires=."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from litestar import Litestar, Response
from litestar import Request as LitestarRequest
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.types import ControllerRouterHandler

from strongroom.http.approval import ApprovalAsked, approval_of
from strongroom.http.auth import Authenticator, Unrecognized
from strongroom.http.body import form_fields, is_form
from strongroom.http.callers import Callers
from strongroom.http.edge import Edge, LeanRoute, Rates, Watcher
from strongroom.http.gate import AddressGate
from strongroom.http.limits import BODY_BYTES_MAX
from strongroom.http.problems import (
    UNDECODABLE,
    MalformedJson,
    decoding_error,
    internal_answer,
    problem_answer,
)
from strongroom.http.rate_limit import TooMany
from strongroom.http.request import Answer
from strongroom.http.requires import (
    ApprovalsUnknownHere,
    KeysUnknownHere,
    Public,
    groups_of,
    guard,
    request_of,
    requirement_of,
    routes,
)
from strongroom.kernel.addresses import Networks
from strongroom.kernel.errors import Denied, FieldError, Invalid, NotThere, Refused, StrongroomError
from strongroom.kernel.invariant import Bug, invariant


class RouteUnknown(NotThere):
    """There is no such route."""

    code = "route_unknown"


class MethodUnknown(Refused):
    """This route does not take that method."""

    code = "method_not_allowed"
    status = 405

    def __init__(self, allow: str) -> None:
        super().__init__()
        #: For the Allow header (RFC 9110 §15.5.6).
        self.allow = allow


class StrictRequest(LitestarRequest[Any, Any, Any]):
    """Decodes a body once and strictly into what its route takes; Litestar would first decode it into anything."""

    async def json(self) -> Any:
        """Return the decoded body.

        Raises:
            Invalid, MalformedJson: it is not what the route takes.
        """
        field = self.route_handler.parsed_data_field
        if field is None:
            raise Bug("only a route that takes a body decodes one")
        body = await self.body()
        try:
            if is_form(self.headers):
                return msgspec.convert(form_fields(body), type=field.annotation)
            return msgspec.json.decode(body, type=field.annotation)
        except UNDECODABLE as error:
            raise decoding_error(error) from None


def build_app(handlers: Sequence[ControllerRouterHandler], state: Mapping[str, Any]) -> Litestar:
    """Make the Litestar app of a listener and check that every route says what it requires.

    Raises:
        RouteWithoutRequires: one does not.
    """
    app = Litestar(
        route_handlers=list(handlers),
        guards=[guard],
        request_class=StrictRequest,
        openapi_config=None,
        exception_handlers={Exception: _on_error},
        state=None,
        debug=False,
        pdb_on_exception=False,
        signature_namespace={},
    )
    app.state.update(dict(state))
    list(routes(app))
    return app


def build_listener(
    app: Litestar,
    *,
    listener: str,
    authenticator: Authenticator | None,
    rates: Rates,
    watcher: Watcher,
    carries_cards: bool,
    body_bytes_max: Mapping[str, int],
    lean_lane: bool = True,
    callers: Callers | None = None,
    gate: AddressGate | None = None,
    reached_from: Networks | None = None,
) -> Edge:
    """Put the edge around an app. Routes with `lean=` in their options are called past Litestar.

    With `exact_body=`, a route takes so many bytes of any media type as they are, and looks for card numbers itself.
    Without an authenticator every route is public, and the limiter of visitors is asked instead. `callers` is for
    listeners behind proxies, `gate` knows the allow-lists, `reached_from` are the only networks that reach it at all.
    With `form=True`, it takes a form as well as JSON. `also_as=` documents a second media type of its answer, with an
    example.

    Raises:
        KeysUnknownHere: a route requires a permission, and there is no authenticator.
        ApprovalsUnknownHere: a route takes two people, and there is nobody who asks the second.
    """
    public: set[str] = set()
    lean: dict[tuple[str, str], LeanRoute] = {}
    exact: dict[tuple[str, str], int] = {}
    forms: set[str] = set()
    known = list(routes(app))
    for method, path, handler in known:
        required = requirement_of(handler)
        if isinstance(required, Public):
            public.add(path)
        elif authenticator is None:
            raise KeysUnknownHere(f"{method} {path} requires a permission")
        if handler.opt.get("form"):
            forms.add(path)
        if "exact_body" in handler.opt:
            exact[method, path] = handler.opt["exact_body"]
        if approval_of(handler) is not None and app.state.get("approvals") is None:
            raise ApprovalsUnknownHere(f"{method} {path} takes two people")
        handle = handler.opt.get("lean")
        guarded = handler.opt.get("step_up") or handler.opt.get("approval")
        invariant(handle is None or not guarded, "the lean lane asks for permissions only")
        if handle is not None and lean_lane:
            lean[method, path] = LeanRoute(
                path,
                required,
                handle(app.state),
                exact.get((method, path)) or body_bytes_max.get(path) or BODY_BYTES_MAX,
                exact_body=(method, path) in exact,
                groups=groups_of(handler),
            )
    for method, path in lean.keys() | exact.keys():
        _require_no_sibling(method, path, [(m, p) for m, p, _ in known])
    return Edge(
        app,
        listener=listener,
        authenticator=authenticator,
        public_paths=frozenset(public),
        rates=rates,
        watcher=watcher,
        carries_cards=carries_cards,
        lean=lean,
        body_bytes_max=body_bytes_max,
        exact_bodies=exact,
        callers=callers,
        gate=gate,
        reached_from=reached_from,
        form_paths=frozenset(forms),
    )


def _require_no_sibling(method: str, path: str, known: Sequence[tuple[str, str]]) -> None:
    """The edge does not route: what it finds by a parameter must be what Litestar would find."""
    parent, _, last = path.rpartition("/")
    siblings = [p for m, p in known if m == method and p != path and p.rpartition("/")[0] == parent]
    invariant(not last.startswith("{") or not siblings, f"{path} hides {siblings}")


def as_response(answer: Answer) -> Response[bytes]:
    """Hand one of our answers to Litestar."""
    return Response(
        answer.body,
        status_code=answer.status,
        media_type=answer.content_type,
        headers=dict(answer.headers),
    )


def _on_error(connection: LitestarRequest[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Print an error. Who was refused, and what we did not expect, is raised to the edge's watcher from here."""
    request = request_of(connection)
    if isinstance(error, ApprovalAsked):
        return as_response(error.answer)
    if isinstance(error, StrongroomError):
        ours: StrongroomError = error
    elif isinstance(error, NotFoundException):
        ours = RouteUnknown()
    elif isinstance(error, MethodNotAllowedException):
        ours = MethodUnknown((error.headers or {}).get("allow", ""))
    elif isinstance(error, HTTPException) and error.status_code < 500:  # noqa: PLR2004
        ours = _decoding(error)
    else:
        raise error
    if ours.is_internal or isinstance(ours, (Unrecognized, Denied, TooMany)):
        raise ours
    return as_response(problem_answer(ours, request.request_id))


def _decoding(error: HTTPException) -> StrongroomError:
    """Litestar could not fill a parameter or decode the body: say it in our words, without the value."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, msgspec.MsgspecError):
            return _without_a_body(decoding_error(cause))
        cause = cause.__cause__ or cause.__context__
    extra = getattr(error, "extra", None)
    keys = (
        [str(e["key"]) for e in extra if isinstance(e, dict) and "key" in e]
        if isinstance(extra, list)
        else []
    )
    return Invalid(
        *(
            FieldError(f"/{key}", "parameter_wrong", f"the parameter {key} is not of its form")
            for key in keys
        )
    )


def _without_a_body(error: StrongroomError) -> StrongroomError:
    """For Litestar a body is the parameter `data` of a function: where it is missing, there was no body."""
    if isinstance(error, Invalid) and error.errors[0].pointer == "/data":
        return MalformedJson()
    return error


__all__ = ["Answer", "as_response", "build_app", "build_listener", "internal_answer"]
