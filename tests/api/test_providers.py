# SPDX-License-Identifier: Apache-2.0
"""Who may say by which provider people log in: two people at the console, or an operator at the machine itself."""

from typing import Any, Final

import pytest
import pytest_asyncio

from approving import Two, two_admins
from service import Service, Tenant
from store.sso_ground import terms
from strongroom.audit import Origin
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.identity.errors import MerchantUnknown
from strongroom.identity.sso import examples
from strongroom.identity.sso.model import ProviderBy
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.secret import Secret

WISH: Final[dict[str, Any]] = dict(examples.PROVIDER_IN)
PROVIDERS: Final = "/v1/providers"
#: What takes over a tenant: everybody who has an account at one's own provider is an admin.
TAKE_OVER: Final = {"role_claim": "sub", "roles": [{"value": "me", "role": "admin"}]}
NOT_THERE: Final = "sso_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"


@pytest_asyncio.fixture(loop_scope="session")
async def tenant(service: Service) -> Tenant:
    return await service.tenant()


@pytest_asyncio.fixture(loop_scope="session")
async def two(service: Service, tenant: Tenant) -> Two:
    return await two_admins(service, tenant.merchant)


async def kept(two: Two) -> list[dict[str, Any]]:
    """The tenant's providers."""
    return list((await two.asker.get(PROVIDERS)).json()["data"])


def refused(answer: Any, code: str) -> bool:
    return bool(answer.status_code == 403 and answer.json()["code"] == code)


async def test_a_provider_waits_for_another_admin_and_is_made_once(two: Two) -> None:
    approval = await two.asked(PROVIDERS, WISH)
    assert refused(await two.used(approval, PROVIDERS, WISH), "approval_not_usable")
    own = await two.asker.post(f"/v1/approvals/{approval}/approve", {})
    assert refused(own, "approval_own")
    assert await kept(two) == []
    waiting = (await two.approver.get(f"/v1/approvals/{approval}")).json()
    assert (waiting["action"], waiting["route"]) == ("provider_change", PROVIDERS)
    said = await two.approver.post(f"/v1/approvals/{approval}/approve", {})
    assert said.status_code == 200
    # For this provider, not for another.
    other = await two.used(approval, PROVIDERS, {**WISH, **TAKE_OVER})
    assert refused(other, "approval_not_usable")
    made = await two.used(approval, PROVIDERS, WISH)
    assert made.status_code == 201, made.text
    assert refused(await two.used(approval, PROVIDERS, WISH), "approval_not_usable")
    assert [each["id"] for each in await kept(two)] == [made.json()["id"]]


@pytest.mark.parametrize(
    "change",
    [
        TAKE_OVER,
        {"domains": ["shop.example", "other.example"]},
        {"client_secret": "another"},
        {"required_acr": ["urn:anything"], "required_amr": []},
        {"name": "New"},
    ],
    ids=" ".join,
)
async def test_a_change_waits_for_another_admin_and_is_made_once(
    two: Two, change: dict[str, Any]
) -> None:
    made = (await two.done(PROVIDERS, WISH)).json()
    path = f"{PROVIDERS}/{made['id']}"
    approval = await two.asked(path, change)
    assert (await two.approver.get(f"/v1/approvals/{approval}")).json()["object_id"] == made["id"]
    assert await kept(two) == [made]
    said = await two.approver.post(f"/v1/approvals/{approval}/approve", {})
    assert said.status_code == 200
    changed = await two.used(approval, path, change)
    assert changed.status_code == 200, changed.text
    assert refused(await two.used(approval, path, change), "approval_not_usable")


async def test_what_cannot_be_is_said_at_once_and_waits_for_nobody(two: Two) -> None:
    made = (await two.done(PROVIDERS, WISH)).json()
    path = f"{PROVIDERS}/{made['id']}"
    before = (await two.approver.get("/v1/approvals")).json()["data"]
    for where, body, told in (
        (PROVIDERS, {**WISH, "required_amr": ["pwd"]}, (422, "invalid")),
        (PROVIDERS, {**WISH, "issuer": "https://10.0.0.1/"}, (422, "invalid")),
        (path, {"required_amr": ["pwd"]}, (422, "invalid")),
        (f"{PROVIDERS}/{NOT_THERE}", {"name": "New"}, (404, "provider_unknown")),
    ):
        answer = await two.asker.post(where, body)
        assert (answer.status_code, answer.json()["code"]) == told, answer.text
    # One admin ends a provider alone: whoever is in a hurry closes a door. It is never opened again, by nobody.
    ended = await two.asker.post(f"{path}/disable")
    assert (ended.status_code, ended.json()["status"]) == (200, "disabled")
    answer = await two.asker.post(path, {"name": "New"})
    assert (answer.status_code, answer.json()["code"]) == (409, "provider_disabled")
    assert (await two.approver.get("/v1/approvals")).json()["data"] == before


async def test_a_lone_admin_is_sent_to_the_operator_whose_command_makes_it(
    service: Service, tenant: Tenant
) -> None:
    member = await service.member(tenant.merchant)
    lone = service.console(member.key)
    answer = await lone.post(PROVIDERS, WISH)
    assert refused(answer, "approval_nobody")
    assert "`strongroom`" in answer.json()["detail"]
    book = await service.composer.operator_providers()
    by = ProviderBy(tenant.merchant, "operator:uid:0", Origin())
    made = await book.create(terms(str(WISH["issuer"])), Secret("a client secret"), by)
    (shown,) = (await lone.get(PROVIDERS)).json()["data"]
    assert (shown["id"], shown["status"]) == (made.provider_id, "active")
    changed = await lone.post(f"{PROVIDERS}/{made.provider_id}", TAKE_OVER)
    assert refused(changed, "approval_nobody")
    (record,) = await service.look(
        Domain.CORE,
        "select convert_from(payload, 'UTF8')::jsonb ->> 'actor' as actor from audit.event"
        " where convert_from(payload, 'UTF8')::jsonb ->> 'object' = $1",
        made.provider_id,
    )
    assert record["actor"] == "operator:uid:0"
    nobody = ProviderBy(MerchantId(new_id("mer")), "operator:uid:0", Origin())
    with pytest.raises(MerchantUnknown):
        await book.create(terms(str(WISH["issuer"])), Secret("a client secret"), nobody)
