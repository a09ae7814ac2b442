# SPDX-License-Identifier: Apache-2.0
"""Routes of the console's listener about services, and the one where they are given tokens."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body

from strongroom.audit import Origin, Recorder
from strongroom.http.approval import Approval, listing
from strongroom.http.examples import answers
from strongroom.http.requires import PUBLIC, admitted, principal_of, request_of
from strongroom.identity.dpop import Proofs
from strongroom.identity.grants import NAMED_ONLY
from strongroom.identity.services import examples
from strongroom.identity.services.errors import ServiceRefused
from strongroom.identity.services.model import ServiceWish, TokenWish
from strongroom.identity.services.service import Services
from strongroom.identity.services.wire import (
    CertificateIn,
    KeysIn,
    ServiceIn,
    ServiceOut,
    ServicesOut,
    TokenIn,
    TokenOut,
    service_out,
    token_out,
)
from strongroom.kernel.clock import Clock
from strongroom.kernel.permissions import Permission
from strongroom.kernel.secret import Secret


@dataclass(frozen=True, slots=True)
class ServiceDesk:
    """What the routes call; `compose` joins it."""

    services: Services
    proofs: Proofs
    recorder: Recorder
    clock: Clock


async def _origin(desk: ServiceDesk, request: LitestarRequest[Any, Any, State]) -> Origin:
    ours = request_of(request)
    return await desk.recorder.origin(
        principal_of(request).merchant, ours.address, ours.trace_hash, desk.clock.now()
    )


@post(
    "/v1/services",
    requires=Permission.IDENTITY_SERVICE_CREATE,
    step_up=True,
    # Or whoever may reveal with another's approval would make a service that needs nobody's.
    approval=Approval("service_reveals", when=listing("permissions", *NAMED_ONLY)),
    summary="Make a service",
    description=(
        "A machine of the caller's merchant and mode that proves itself with a key of its own: register public keys "
        "only. A person with this permission may give a service whatever a service can have; an API key no more than "
        "it has itself. A service that may reveal cards takes two people."
    ),
    tags=["services"],
    responses=answers(201, ServiceOut, examples.SERVICE, 400, 401, 403, 413, 415, 422, 429, 503),
)
async def create_service(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[ServiceIn, Body(examples=[Example(value=examples.SERVICE_IN)])],
    state: State,
) -> ServiceOut:
    """Make a service."""
    desk: ServiceDesk = state.services
    principal = principal_of(request)
    permissions = frozenset(data.permissions)
    if principal.presence is None and (excess := permissions - principal.permissions):
        raise ServiceRefused(f"the calling key lacks {', '.join(sorted(excess))}")
    wish = ServiceWish(
        principal.merchant,
        principal.mode,
        data.name,
        permissions,
        data.jwks,
        data.certificate_bound,
    )
    made = await desk.services.create(
        wish, actor=principal.actor, origin=await _origin(desk, request)
    )
    return service_out(made)


@get(
    "/v1/services",
    requires=Permission.IDENTITY_SERVICE_READ,
    summary="List services",
    description="The merchant's services of the caller's mode, the newest first.",
    tags=["services"],
    responses=answers(200, ServicesOut, examples.SERVICES, 401, 403, 429, 503),
)
async def list_services(request: LitestarRequest[Any, Any, State], state: State) -> ServicesOut:
    """Return the merchant's services."""
    desk: ServiceDesk = state.services
    principal = principal_of(request)
    found = await desk.services.all_of(principal.merchant, principal.mode)
    return ServicesOut([service_out(each) for each in found], has_more=False, next_cursor=None)


@post(
    "/v1/services/{service_id:str}/keys",
    requires=Permission.IDENTITY_SERVICE_CREATE,
    step_up=True,
    # Of a service that may reveal: whoever puts a key of their own there reveals in its name.
    approval=Approval("service_keys", late=True),
    status_code=200,
    summary="Replace a service's keys",
    description=(
        "From now on the service proves itself with these keys and no others: name the old and the new one while both "
        "are in use, then the new one alone. Tokens that were given already live out their five minutes. The keys of "
        "a service that may reveal cards take two people."
    ),
    tags=["services"],
    responses=answers(
        200, ServiceOut, examples.SERVICE, 400, 401, 403, 404, 413, 415, 422, 429, 503
    ),
)
async def rotate_service(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[KeysIn, Body(examples=[Example(value=examples.KEYS_IN)])],
    state: State,
    service_id: str,
) -> ServiceOut:
    """Replace a service's keys."""
    desk: ServiceDesk = state.services
    principal = principal_of(request)
    known = await desk.services.all_of(principal.merchant, principal.mode)
    if any(
        each.service == service_id and not NAMED_ONLY.isdisjoint(each.permissions) for each in known
    ):
        await admitted(request)
    changed = await desk.services.rotate(
        principal.merchant,
        principal.mode,
        service_id,
        data.jwks,
        actor=principal.actor,
        origin=await _origin(desk, request),
    )
    return service_out(changed)


@post(
    "/v1/services/{service_id:str}/revoke",
    requires=Permission.IDENTITY_SERVICE_REVOKE,
    step_up=True,
    status_code=204,
    summary="Revoke a service",
    description="Ends a service and every token of it, everywhere within two seconds. Safe to repeat.",
    tags=["services"],
    responses=answers(204, None, None, 401, 403, 404, 415, 429, 503),
)
async def revoke_service(
    request: LitestarRequest[Any, Any, State], state: State, service_id: str
) -> None:
    """End a service."""
    desk: ServiceDesk = state.services
    principal = principal_of(request)
    await desk.services.revoke(
        principal.merchant,
        principal.mode,
        service_id,
        actor=principal.actor,
        origin=await _origin(desk, request),
    )


@post(
    "/v1/services/certificates/revoke",
    requires=Permission.IDENTITY_SERVICE_REVOKE,
    step_up=True,
    status_code=204,
    summary="Revoke a client certificate",
    description=(
        "Ends a client certificate for the merchant's services of the caller's mode: tokens bound to it (RFC 8705) end "
        "everywhere within two seconds, and no service is given one with it again. Safe to repeat."
    ),
    tags=["services"],
    responses=answers(204, None, None, 400, 401, 403, 404, 413, 415, 422, 429, 503),
)
async def revoke_certificate(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[CertificateIn, Body(examples=[Example(value=examples.CERTIFICATE_IN)])],
    state: State,
) -> None:
    """End a client certificate."""
    desk: ServiceDesk = state.services
    principal = principal_of(request)
    await desk.services.revoke_certificate(
        principal.merchant,
        principal.mode,
        data.thumbprint,
        actor=principal.actor,
        origin=await _origin(desk, request),
    )


@post(
    "/v1/oauth/token",
    requires=PUBLIC,
    form=True,
    status_code=200,
    summary="Give a service a token",
    description=(
        "OAuth 2.0 client credentials (RFC 6749 §4.4) for an assertion that the service has signed (RFC 7523): `iss` "
        "and `sub` its id, `aud` this installation's issuer and nothing else, `exp` at most five minutes ahead, a "
        "`jti` of its own each time. Takes a form, as OAuth says, or JSON. With a `DPoP` proof the token is bound to "
        "that key. The token lives five minutes and is not refreshed: ask again."
    ),
    tags=["services"],
    responses=answers(200, TokenOut, examples.TOKEN, 400, 401, 413, 415, 422, 429, 503),
)
async def give_token(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[TokenIn, Body(examples=[Example(value=examples.TOKEN_IN)])],
    state: State,
) -> TokenOut:
    """Give a service an access token."""
    desk: ServiceDesk = state.services
    ours = request_of(request)
    proof = desk.proofs.read(ours)
    wish = TokenWish(
        data.grant_type,
        data.client_assertion_type,
        Secret(data.client_assertion),
        data.client_id,
        data.scope,
        ours.client_certificate,
    )
    granted = await desk.services.token(
        wish, proof, address=ours.address, request_hash=ours.trace_hash
    )
    return token_out(granted)


ROUTES: Final = (
    create_service,
    list_services,
    rotate_service,
    revoke_service,
    revoke_certificate,
    give_token,
)
