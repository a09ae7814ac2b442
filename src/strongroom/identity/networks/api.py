# SPDX-License-Identifier: Apache-2.0
"""Routes of the console's listener about allow-lists: parse, call, print."""

from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import delete, get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body

from strongroom.http.examples import answers
from strongroom.http.requires import principal_of, request_of
from strongroom.identity.networks import examples
from strongroom.identity.networks.model import ListMode, ListWish
from strongroom.identity.networks.ports import Changer, Networks
from strongroom.identity.networks.wire import NetworkIn, NetworkOut, NetworksOut, network_out
from strongroom.kernel.ids import NetworkId
from strongroom.kernel.permissions import Permission


async def _changer(request: LitestarRequest[Any, Any, State], networks: Networks) -> Changer:
    principal, ours = principal_of(request), request_of(request)
    origin = await networks.origin(principal.merchant, ours.address, ours.trace_hash)
    return Changer(principal.subject, origin, principal, ours.address)


@get(
    "/v1/networks",
    requires=Permission.IDENTITY_NETWORK_READ,
    summary="List allow-lists",
    description=(
        "From which networks the tenant's callers may call, oldest first. Every list that applies must hold the "
        "caller's address; where none applies, every address will do. An API key sees the lists of its own mode."
    ),
    tags=["networks"],
    responses=answers(200, NetworksOut, examples.NETWORKS, 401, 403, 429, 503),
)
async def list_networks(request: LitestarRequest[Any, Any, State], state: State) -> NetworksOut:
    """Return the tenant's lists."""
    principal, networks = principal_of(request), state.networks
    found = [
        network_out(each)
        for each in await networks.all(principal.merchant)
        if principal.presence is not None or principal.mode in each.mode.modes
    ]
    return NetworksOut(
        found, has_more=False, next_cursor=None, your_address=request_of(request).address
    )


@post(
    "/v1/networks",
    requires=Permission.IDENTITY_NETWORK_UPDATE,
    step_up=True,
    status_code=200,
    summary="Set an allow-list",
    description=(
        "Takes the place of the list that the subject has in that mode. Effective everywhere within two seconds. A "
        "list that would keep the caller from undoing it is refused unless `force` is set. Safe to repeat."
    ),
    tags=["networks"],
    responses=answers(
        200, NetworkOut, examples.NETWORK, 400, 401, 403, 409, 413, 415, 422, 429, 503
    ),
)
async def set_network(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[NetworkIn, Body(examples=[Example(value=examples.NETWORK_IN)])],
    state: State,
) -> NetworkOut:
    """Set a list."""
    networks: Networks = state.networks
    wish = ListWish(
        ListMode(data.mode),
        data.subject,
        data.networks,
        data.name,
        everywhere=data.everywhere,
        force=data.force,
    )
    by = await _changer(request, networks)
    return network_out(await networks.put(principal_of(request).merchant, wish, by))


@delete(
    "/v1/networks/{network_id:str}",
    requires=Permission.IDENTITY_NETWORK_UPDATE,
    step_up=True,
    status_code=204,
    summary="Remove an allow-list",
    description="Ends a list everywhere within two seconds.",
    tags=["networks"],
    responses=answers(204, None, None, 401, 403, 404, 429, 503),
)
async def remove_network(
    request: LitestarRequest[Any, Any, State], state: State, network_id: str
) -> None:
    """End a list."""
    networks: Networks = state.networks
    by = await _changer(request, networks)
    await networks.remove(principal_of(request).merchant, NetworkId(network_id), by)


CONSOLE_ROUTES: Final = (list_networks, set_network, remove_network)
