# SPDX-License-Identifier: Apache-2.0
"""Routes of the vault's listener about containers and access rules: parse, call, print."""

from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import delete, get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body

from strongroom.http.approval import Approval, where
from strongroom.http.examples import answers
from strongroom.http.requires import admitted, principal_of, request_of
from strongroom.kernel.permissions import Permission
from strongroom.vault.containers import examples
from strongroom.vault.containers.model import Access, Changer, RuleWish
from strongroom.vault.containers.service import ContainerDesk
from strongroom.vault.containers.wire import (
    AccessRuleIn,
    AccessRuleOut,
    AccessRulesOut,
    ContainerIn,
    ContainerOut,
    ContainerRemoval,
    ContainersOut,
    container_out,
    containers_out,
    rule_out,
    rules_out,
)


async def _changer(request: LitestarRequest[Any, Any, State], desk: ContainerDesk) -> Changer:
    principal, ours = principal_of(request), request_of(request)
    origin = await desk.origin(principal.merchant, ours.address, ours.trace_hash)
    return Changer(principal.merchant, principal.mode, principal.actor, origin)


@get(
    "/v1/containers",
    requires=Permission.VAULT_CONTAINER_READ,
    summary="List containers",
    description="Where tokens can stand, `default` first.",
    tags=["containers"],
    responses=answers(200, ContainersOut, examples.CONTAINERS, 401, 403, 429, 503),
)
async def list_containers(request: LitestarRequest[Any, Any, State], state: State) -> ContainersOut:
    """Return the containers of the caller's merchant and mode."""
    principal, desk = principal_of(request), state.containers
    found = await desk.containers(principal.merchant, principal.mode)
    return containers_out(principal.mode.value, found)


@post(
    "/v1/containers",
    requires=Permission.VAULT_CONTAINER_UPDATE,
    step_up=True,
    status_code=200,
    summary="Set a container",
    description=(
        "Makes a container, or changes the description and the retention of the one with that name. Nobody may do "
        "anything with what is in it until an access rule says so. Safe to repeat."
    ),
    tags=["containers"],
    responses=answers(
        200, ContainerOut, examples.CONTAINER, 400, 401, 403, 409, 413, 415, 422, 429, 503
    ),
)
async def set_container(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[ContainerIn, Body(examples=[Example(value=examples.CONTAINER_IN)])],
    state: State,
) -> ContainerOut:
    """Make or change a container."""
    desk: ContainerDesk = state.containers
    by = await _changer(request, desk)
    return container_out(await desk.put(by, data.name, data.description, data.retention_days))


@post(
    "/v1/containers/remove",
    requires=Permission.VAULT_CONTAINER_UPDATE,
    step_up=True,
    status_code=204,
    summary="Remove a container",
    description="Ends a container in which no token stands; rules about it stay.",
    tags=["containers"],
    responses=answers(204, None, None, 400, 401, 403, 404, 409, 413, 415, 422, 429, 503),
)
async def remove_container(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[ContainerRemoval, Body(examples=[Example(value=examples.REMOVAL)])],
    state: State,
) -> None:
    """End a container. Its name holds slashes, so it does not stand in the path."""
    desk: ContainerDesk = state.containers
    await desk.remove(await _changer(request, desk), data.name)


@get(
    "/v1/access-rules",
    requires=Permission.VAULT_ACCESS_RULE_READ,
    summary="List access rules",
    description=(
        "In the order in which they are asked, and behind them what is built in while it holds. The first that matches "
        "caller and container decides; where none does, the caller is refused."
    ),
    tags=["containers"],
    responses=answers(200, AccessRulesOut, examples.RULES, 401, 403, 429, 503),
)
async def list_access_rules(
    request: LitestarRequest[Any, Any, State], state: State
) -> AccessRulesOut:
    """Return the rules of the caller's merchant and mode."""
    principal, desk = principal_of(request), state.containers
    access = await desk.feed.access_of(principal.merchant)
    found = await desk.rules(principal.merchant, principal.mode)
    return rules_out(principal.mode.value, found, built_in=access.has_built_in(principal.mode))


@post(
    "/v1/access-rules",
    requires=Permission.VAULT_ACCESS_RULE_UPDATE,
    step_up=True,
    approval=Approval("access_rule", when=where(access=Access.REVEAL.value)),
    summary="Make an access rule",
    description=(
        "Says what a caller may do with the tokens of a container, from here on and everywhere within two seconds. The "
        "first rule about `default` takes the place of what is built in. A rule that lets somebody see card numbers "
        "takes a second person."
    ),
    tags=["containers"],
    responses=answers(
        201, AccessRuleOut, examples.RULE, 400, 401, 403, 409, 413, 415, 422, 429, 503
    ),
)
async def make_access_rule(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[AccessRuleIn, Body(examples=[Example(value=examples.RULE_IN)])],
    state: State,
) -> AccessRuleOut:
    """Make a rule."""
    desk: ContainerDesk = state.containers
    wish = RuleWish(
        data.container,
        data.priority,
        data.grantee_kind,
        data.grantee,
        data.access,
        data.transform,
    )
    return rule_out(await desk.add_rule(await _changer(request, desk), wish))


@delete(
    "/v1/access-rules/{rule_id:str}",
    requires=Permission.VAULT_ACCESS_RULE_UPDATE,
    step_up=True,
    approval=Approval("access_rule_removal", late=True),
    status_code=204,
    summary="Remove an access rule",
    description=(
        "Ends a rule everywhere within two seconds. It takes a second person while another rule lets somebody see card "
        "numbers: this one may be what keeps somebody from it."
    ),
    tags=["containers"],
    responses=answers(204, None, None, 401, 403, 404, 429, 503),
)
async def remove_access_rule(
    request: LitestarRequest[Any, Any, State], state: State, rule_id: str
) -> None:
    """End a rule."""
    desk: ContainerDesk = state.containers
    principal = principal_of(request)
    rule = await desk.rule(principal.merchant, principal.mode, rule_id)
    if await desk.removal_may_reveal(rule):
        await admitted(request)
    await desk.remove_rule(await _changer(request, desk), rule_id)


ROUTES: Final = (
    list_containers,
    set_container,
    remove_container,
    list_access_rules,
    make_access_rule,
    remove_access_rule,
)
