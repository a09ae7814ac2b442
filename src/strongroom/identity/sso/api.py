# SPDX-License-Identifier: Apache-2.0
"""Routes of the console's listener about identity providers and logins by them: parse, call, print."""

from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body
from msgspec import UNSET

from strongroom.http.approval import Approval
from strongroom.http.examples import answers
from strongroom.http.requires import PUBLIC, admitted, principal_of, request_of
from strongroom.identity.sso import examples
from strongroom.identity.sso.console import Sso
from strongroom.identity.sso.model import ProviderBy, Returned
from strongroom.identity.sso.wire import (
    FinishIn,
    ProviderChangeIn,
    ProviderIn,
    ProviderOut,
    ProvidersOut,
    SignedInOut,
    StartIn,
    StartOut,
    provider_out,
    signed_in_out,
    started_out,
)
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.secret import Secret

#: A provider says who somebody is and which role they have: whoever runs one could be any colleague of the domains it
#: names, the one who approves among them. Late: what is wrong anyway is said at once, and nobody is asked.
_TAKES_TWO: Final = Approval("provider_change", late=True)


async def _by(sso: Sso, request: LitestarRequest[Any, Any, State]) -> ProviderBy:
    principal, ours = principal_of(request), request_of(request)
    origin = await sso.providers.origin(principal.merchant, ours.address, ours.trace_hash)
    return ProviderBy(principal.merchant, principal.subject, origin)


@get(
    "/v1/providers",
    requires=Permission.IDENTITY_PROVIDER_READ,
    summary="List identity providers",
    description="The tenant's identity providers, oldest first, without their secrets.",
    tags=["single sign-on"],
    responses=answers(200, ProvidersOut, examples.PROVIDERS, 401, 403, 429, 503),
)
async def list_providers(request: LitestarRequest[Any, Any, State], state: State) -> ProvidersOut:
    """Return the tenant's providers."""
    sso: Sso = state.sso
    found = await sso.providers.all(principal_of(request).merchant)
    return ProvidersOut([provider_out(each) for each in found], has_more=False, next_cursor=None)


@get(
    "/v1/providers/{provider_id:str}",
    requires=Permission.IDENTITY_PROVIDER_READ,
    summary="Read an identity provider",
    description="Without its secret.",
    tags=["single sign-on"],
    responses=answers(200, ProviderOut, examples.PROVIDER, 401, 403, 404, 429, 503),
)
async def read_provider(
    request: LitestarRequest[Any, Any, State], state: State, provider_id: str
) -> ProviderOut:
    """Return a provider."""
    sso: Sso = state.sso
    return provider_out(await sso.providers.one(principal_of(request).merchant, provider_id))


@post(
    "/v1/providers",
    requires=Permission.IDENTITY_PROVIDER_UPDATE,
    step_up=True,
    approval=_TAKES_TWO,
    summary="Make an identity provider",
    description=(
        "People of these domains may log in by it from then on (OpenID Connect, authorization code with PKCE). It must "
        "say that several factors were shown: name the `amr` or `acr` that says so. Takes another person's approval."
    ),
    tags=["single sign-on"],
    responses=answers(
        201, ProviderOut, examples.PROVIDER, 400, 401, 403, 409, 413, 415, 422, 429, 503
    ),
)
async def create_provider(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[ProviderIn, Body(examples=[Example(value=examples.PROVIDER_IN)])],
    state: State,
) -> ProviderOut:
    """Make a provider."""
    sso: Sso = state.sso
    terms, secret = data.terms(), Secret(data.client_secret)
    sso.providers.require_sound(terms, secret)
    await admitted(request)
    return provider_out(await sso.providers.create(terms, secret, await _by(sso, request)))


@post(
    "/v1/providers/{provider_id:str}",
    requires=Permission.IDENTITY_PROVIDER_UPDATE,
    step_up=True,
    approval=_TAKES_TWO,
    status_code=200,
    summary="Change an identity provider",
    description=(
        "What is left out stays as it is. Issuer and client are what a provider is: for others, make another one. A "
        "changed mapping of roles counts from each person's next login. Takes another person's approval."
    ),
    tags=["single sign-on"],
    responses=answers(
        200,
        ProviderOut,
        examples.CHANGED_PROVIDER,
        400,
        401,
        403,
        404,
        409,
        413,
        415,
        422,
        429,
        503,
    ),
)
async def change_provider(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[ProviderChangeIn, Body(examples=[Example(value=examples.PROVIDER_CHANGE_IN)])],
    state: State,
    provider_id: str,
) -> ProviderOut:
    """Change a provider."""
    sso: Sso = state.sso
    secret = None if data.client_secret is UNSET else Secret(data.client_secret)
    before = await sso.providers.changeable(principal_of(request).merchant, provider_id)
    sso.providers.require_sound(data.applied(before.terms), secret)
    await admitted(request)
    changed = await sso.providers.change(provider_id, data.applied, secret, await _by(sso, request))
    return provider_out(changed)


@post(
    "/v1/providers/{provider_id:str}/disable",
    requires=Permission.IDENTITY_PROVIDER_UPDATE,
    step_up=True,
    status_code=200,
    summary="Disable an identity provider",
    description=(
        "Nobody logs in by it again, and the sessions of whoever did so last end within two seconds. One admin does it "
        "alone, and for good: it is not enabled again. Safe to repeat."
    ),
    tags=["single sign-on"],
    responses=answers(200, ProviderOut, examples.DISABLED_PROVIDER, 401, 403, 404, 415, 429, 503),
)
async def disable_provider(
    request: LitestarRequest[Any, Any, State], state: State, provider_id: str
) -> ProviderOut:
    """Disable a provider."""
    sso: Sso = state.sso
    return provider_out(await sso.providers.disable(provider_id, await _by(sso, request)))


@post(
    "/v1/sso/start",
    requires=PUBLIC,
    status_code=200,
    summary="Begin a login by an identity provider",
    description=(
        "Send the browser to the address, and keep the ticket in it. What is begun holds for ten minutes, once."
    ),
    tags=["single sign-on"],
    responses=answers(200, StartOut, examples.STARTED, 400, 404, 413, 415, 422, 429, 503),
)
async def start_sso(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[StartIn, Body(examples=[Example(value=examples.START_IN)])],
    state: State,
) -> StartOut:
    """Begin a login."""
    sso: Sso = state.sso
    started = await sso.sign_in.start(
        provider=data.provider,
        email=data.email,
        mode=Mode(data.mode),
        redirect=data.redirect,
        address=request_of(request).address,
    )
    return started_out(started)


@post(
    "/v1/sso/finish",
    requires=PUBLIC,
    status_code=200,
    summary="Finish a login by an identity provider",
    description=(
        "With what the provider sent the browser back with, and the ticket of the start. Every refusal is the "
        "same: why stands in the tenant's audit log."
    ),
    tags=["single sign-on"],
    responses=answers(200, SignedInOut, examples.SIGNED_IN, 400, 401, 413, 415, 422, 429, 503),
)
async def finish_sso(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[FinishIn, Body(examples=[Example(value=examples.FINISH_IN)])],
    state: State,
) -> SignedInOut:
    """Log somebody in."""
    sso: Sso = state.sso
    ours = request_of(request)
    issued = await sso.sign_in.finish(
        Returned(data.state, data.code, data.ticket, data.iss, data.provider),
        address=ours.address,
        request_hash=ours.trace_hash,
    )
    return signed_in_out(issued)


ROUTES: Final = (
    list_providers,
    read_provider,
    create_provider,
    change_provider,
    disable_provider,
    start_sso,
    finish_sso,
)
