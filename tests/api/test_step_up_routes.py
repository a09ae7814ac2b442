# SPDX-License-Identifier: Apache-2.0
"""Every route that asks a person for a second factor again, on every listener, and which ones those must be."""

from dataclasses import replace
from typing import Any, Final

from api.test_permission_matrix import LISTENERS, UNKNOWN
from callers import PLATFORM, Persons, edge_clients
from service import Caller, Service
from signed_in import begin, person_of
from strongroom.http.approval import approval_of
from strongroom.http.requires import requirement_of, routes
from strongroom.identity.grants import granted_to
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import CallerKind, Role

#: What makes or ends access or money's way, or answers with a secret; the least that asks.
GRAVE: Final = {
    "console POST /v1/break-glass",
    "console POST /v1/invitations",
    "console POST /v1/networks",
    "console POST /v1/people/{person_id}/role",
    "console POST /v1/services",
    "console POST /v1/services/{service_id}/keys",
    "console POST /v1/services/{service_id}/revoke",
    "gateway POST /v1/connections",
    "gateway POST /v1/connections/{connection_id}/disable",
    "gateway POST /v1/connections/{connection_id}/discard",
    "gateway POST /v1/connections/{connection_id}/next",
    "gateway POST /v1/connections/{connection_id}/promote",
    "gateway POST /v1/connections/{connection_id}/restore",
    "gateway POST /v1/connections/{connection_id}/rotate",
    "gateway DELETE /v1/endpoints/{endpoint_id}",
    "gateway POST /v1/endpoints",
    "gateway POST /v1/endpoints/{endpoint_id}",
    "gateway POST /v1/endpoints/{endpoint_id}/rotate",
    "gateway POST /v1/keys",
    "gateway POST /v1/keys/{key_id}/revoke",
    "gateway POST /v1/routing/ranges",
    "gateway POST /v1/routing/rules",
    "gateway POST /v1/routing/rules/activate",
    "vault POST /v1/access-rules",
    "vault DELETE /v1/access-rules/{rule_id}",
    "vault POST /v1/containers",
    "vault POST /v1/containers/remove",
    "vault POST /v1/destinations",
    "vault POST /v1/destinations/{destination_id}",
    "vault POST /v1/destinations/{destination_id}/disable",
    "vault POST /v1/destinations/{destination_id}/restore",
    "vault POST /v1/destinations/{destination_id}/rotate",
    "vault POST /v1/erasures",
    "vault POST /v1/erasures/merchant",
    "vault POST /v1/exports",
    "vault POST /v1/keys/destroy",
    "vault POST /v1/keys/reseal",
    "vault POST /v1/keys/rotate",
    "vault POST /v1/retokenizations",
    "vault POST /v1/reveal-stops/{caller}/lift",
    "vault POST /v1/tokens/{token_id}/reveal",
}
#: What takes two people, at least now and then; by the word that approvals know it by.
FOUR_EYES: Final = {
    "console POST /v1/break-glass/{break_glass_id}/extend",
    "console POST /v1/people/{person_id}/reset",
    "console POST /v1/people/{person_id}/role",
    "console POST /v1/providers",
    "console POST /v1/providers/{provider_id}",
    "vault POST /v1/access-rules",
    "vault POST /v1/destinations",
    "vault POST /v1/destinations/{destination_id}",
    "vault POST /v1/destinations/{destination_id}/restore",
    "vault POST /v1/destinations/{destination_id}/rotate",
    "vault POST /v1/erasures/merchant",
    "vault POST /v1/exports",
    "vault POST /v1/keys/destroy",
    "vault POST /v1/retokenizations",
    "vault POST /v1/tokens/{token_id}/reveal",
}


def marked(service: Service) -> list[tuple[str, str, str, frozenset[Permission]]]:
    """Listener, method, path and what is required, of every route with the mark."""
    found = []
    for listener in LISTENERS:
        app: Any = service.edges[listener]._app
        for method, path, handler in routes(app):
            if handler.opt.get("step_up"):
                wanted = requirement_of(handler)
                assert isinstance(wanted, (Permission, frozenset)), path
                found.append(
                    (
                        listener,
                        method,
                        path,
                        wanted if isinstance(wanted, frozenset) else frozenset({wanted}),
                    )
                )
    return found


async def test_what_is_grave_has_the_mark(service: Service) -> None:
    found = {f"{listener} {method} {path}" for listener, method, path, _ in marked(service)}
    assert GRAVE - found == set()


async def test_what_takes_two_people_says_so(service: Service) -> None:
    found = set()
    for listener in LISTENERS:
        app: Any = service.edges[listener]._app
        for method, path, handler in routes(app):
            if approval_of(handler) is not None:
                found.add(f"{listener} {method} {path}")
    assert FOUR_EYES - found == set()


async def test_a_person_whose_factor_is_old_is_asked_again_on_every_such_route(
    service: Service,
) -> None:
    persons = Persons.at(service)
    merchant = MerchantId((await service.tenant()).merchant)
    async with edge_clients(service) as clients:
        for listener, method, path, wanted in marked(service):
            at_merchant = granted_to(Role.ADMIN, Mode.TEST, platform=False)
            tenant = merchant if wanted & at_merchant else PLATFORM
            target = "/".join(
                f"key_{UNKNOWN}" if part.startswith("{") else part for part in path.split("/")
            )
            stale = Caller(clients[listener], persons.token(Role.ADMIN, tenant, stepped_up=False))
            answer = await stale.send(method, target)
            assert (answer.status_code, answer.json()["code"]) == (401, "step_up_needed"), path
            assert "insufficient_user_authentication" in answer.headers["www-authenticate"]
            machine = persons.machine(CallerKind.SECRET, merchant, Mode.TEST, wanted)
            answer = await Caller(clients[listener], machine).send(method, target)
            assert answer.status_code != 401, (path, answer.text)


async def test_ones_own_session_is_ended_without_and_anothers_is_not(service: Service) -> None:
    merchant = MerchantId((await service.tenant()).merchant)
    admin, other = [await person_of(service, merchant) for _ in range(2)]
    mine, theirs = await begin(service, admin), await begin(service, other)
    persons = Persons.at(service)

    def caller(*, stepped_up: bool) -> Caller:
        text = persons.token(Role.ADMIN, merchant, stepped_up=stepped_up)
        persons._known[text] = replace(persons._known[text], subject=admin.person_id)
        return service.console(text)

    stale = caller(stepped_up=False)
    for session in (theirs.session, f"ses_{UNKNOWN}", "nonsense"):
        answer = await stale.post(f"/v1/sessions/{session}/end")
        assert (answer.status_code, answer.json()["code"]) == (401, "step_up_needed")
    assert (await stale.post(f"/v1/sessions/{mine.session}/end")).status_code == 204
    listed = (await stale.get("/v1/sessions")).json()["data"]
    assert {each["id"] for each in listed} == {theirs.session}
    fresh = caller(stepped_up=True)
    assert (await fresh.post(f"/v1/sessions/{theirs.session}/end")).status_code == 204
    assert (await fresh.get("/v1/sessions")).json()["data"] == []
