# SPDX-License-Identifier: Apache-2.0
"""Allow-lists and people: by role and by person, in both modes, with a second factor, and at the platform."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from api.test_networks import AT_HOME, HOME, OFFICE, OPERATOR, a_list, at, code, until_code
from database import Databases
from persons import People, Someone
from service import running
from strongroom.audit import PLATFORM
from strongroom.identity import ListMode, ListWish
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Role


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def people(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[People]:
    folder = tmp_path_factory.mktemp("people")
    async with running(databases, folder, listens=False, worker=False) as service:
        yield People(service)


def from_office(people: People, who: Someone, listener: str = "console") -> Any:
    return at(people.service, listener, OFFICE, who.credential)


async def test_a_person_answers_for_both_modes(people: People) -> None:
    tenant = await people.service.tenant()
    admin = await people.make(tenant.merchant)
    async with from_office(people, admin) as console:
        made = [
            (await console.post("/v1/networks", a_list(mode=mode))).json()
            for mode in ("both", "live", "test")
        ]
        listed = (await console.get("/v1/networks")).json()["data"]
        assert listed == made
        assert {each["changed_by"] for each in listed} == {admin.id}
        for each in made:
            assert (await console.delete(f"/v1/networks/{each['id']}")).status_code == 204


async def test_a_second_factor_is_asked_for(people: People) -> None:
    tenant = await people.service.tenant()
    tired = await people.make(tenant.merchant, stepped_up=False)
    async with from_office(people, tired) as console:
        assert await code(console, "POST", "/v1/networks", body=a_list()) == "step_up_needed"
        path = "/v1/networks/net_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
        assert await code(console, "DELETE", path) == "step_up_needed"
        assert await code(console, "GET", "/v1/networks") == "200"


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.DEVELOPER, Role.OPERATOR])
async def test_only_an_admin_sets_lists(people: People, role: Role) -> None:
    tenant = await people.service.tenant()
    async with from_office(people, await people.make(tenant.merchant, role)) as console:
        assert await code(console, "POST", "/v1/networks", body=a_list()) == "forbidden"


async def test_a_role_and_a_person_are_kept_to_their_networks(people: People) -> None:
    tenant = await people.service.tenant()
    admin, auditor, developer = [
        await people.make(tenant.merchant, role)
        for role in (Role.ADMIN, Role.AUDITOR, Role.DEVELOPER)
    ]
    other = await people.make(tenant.merchant, Role.DEVELOPER)
    async with from_office(people, admin) as console:
        for subject in ("role:auditor", f"person:{developer.id}"):
            answer = await console.post("/v1/networks", a_list(subject, AT_HOME, mode="both"))
            assert answer.status_code == 200, answer.text
        for subject in ("role:admin", f"person:{admin.id}"):
            body = a_list(subject, AT_HOME, mode="both")
            assert (
                await code(console, "POST", "/v1/networks", body=body) == "network_would_lock_out"
            )
    for who, admitted in ((auditor, False), (developer, False), (admin, True), (other, True)):
        async with from_office(people, who) as console:
            expected = "200" if admitted else "address_not_allowed"
            await until_code(expected, console, "GET", "/v1/merchant")
        async with at(people.service, "console", HOME, who.credential) as console:
            assert await code(console, "GET", "/v1/merchant") == "200"


async def test_a_list_of_the_other_mode_shuts_nobody_out_of_this_one(people: People) -> None:
    tenant = await people.service.tenant()
    admin = await people.make(tenant.merchant)
    live = people.again(admin, mode=Mode.LIVE)
    async with from_office(people, admin) as console, from_office(people, live) as other:
        assert (
            await code(console, "POST", "/v1/networks", body=a_list("tenant", AT_HOME, mode="live"))
            == "200"
        )
        await until_code("address_not_allowed", other, "GET", "/v1/networks")
        assert await code(console, "GET", "/v1/networks") == "200"


async def test_what_is_sensitive_can_be_kept_to_fewer_networks(people: People) -> None:
    tenant = await people.service.tenant()
    operator = await people.service.composer.operator_networks()
    wish = ListWish(ListMode.BOTH, "group:sensitive", [AT_HOME])
    await operator.put(tenant.merchant, wish, OPERATOR)
    async with from_office(people, await people.make(tenant.merchant)) as console:
        await until_code("address_not_allowed", console, "POST", "/v1/networks", body=a_list())
        assert await code(console, "GET", "/v1/networks") == "200"


async def test_the_platforms_people_have_lists_of_their_own(people: People) -> None:
    operator = await people.service.composer.operator_networks()
    tenant = await people.service.tenant()
    admin = await people.make(PLATFORM)
    theirs = await people.make(tenant.merchant)
    async with from_office(people, admin) as console, from_office(people, theirs) as other:
        made = await console.post(
            "/v1/networks", a_list("tenant", AT_HOME, mode="both", force=True)
        )
        assert made.status_code == 200, made.text
        await until_code("address_not_allowed", console, "GET", "/v1/networks")
        assert await code(other, "GET", "/v1/networks") == "200"
        (kept,) = await operator.all(PLATFORM)
        await operator.remove(PLATFORM, kept.network_id, OPERATOR)
        await until_code("200", console, "GET", "/v1/networks")
