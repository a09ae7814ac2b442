# SPDX-License-Identifier: Apache-2.0
"""Containers and access rules over HTTP: who makes them, what they keep whom from, how soon, and what is recorded."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from approving import Two
from database import Databases
from service import Caller, Service, Tenant, running, wish
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Transaction
from strongroom.kernel.errors import Unavailable
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import CallerKind, KeyKind, Principal, Role
from strongroom.vault.containers import store
from strongroom.vault.containers.feed import KNOWN_SECONDS_MAX, RuleFeed

VISA = "4242424242424242"
SEEN_WITHIN_SECONDS = 2.0


def a_rule(access: str, kind: str = "key", grantee: str = "*", **more: Any) -> dict[str, Any]:
    return {
        "container": "default",
        "priority": 100,
        "grantee_kind": kind,
        "grantee": grantee,
        "access": access,
        **more,
    }


async def admin(service: Service, tenant: Tenant) -> Caller:
    return service.vault((await service.member(tenant.merchant)).key)


async def made(caller: Caller, rule: dict[str, Any]) -> str:
    answer = await caller.post("/v1/access-rules", rule)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def code(caller: Caller, method: str, path: str, **more: Any) -> str:
    answer = await caller.send(method, path, **more)
    return answer.json()["code"] if answer.status_code >= 400 else str(answer.status_code)


@pytest.fixture
async def shop(service: Service) -> Tenant:
    """A merchant without any rule."""
    return await service.tenant()


async def test_a_container_is_set_changed_and_removed(service: Service, shop: Tenant) -> None:
    vault = service.vault(shop.keys[Mode.TEST])
    first = await vault.post("/v1/containers", {"name": "cards/eu", "retention_days": 30})
    assert first.status_code == 200, first.text
    again = await vault.post("/v1/containers", {"name": "cards/eu", "description": "Europe"})
    assert again.json()["created_at"] == first.json()["created_at"]
    assert (again.json()["retention_days"], again.json()["description"]) == (None, "Europe")
    listed = (await vault.get("/v1/containers")).json()["data"]
    assert [each["name"] for each in listed] == ["default", "cards/eu"]
    live = service.vault(shop.keys[Mode.LIVE])
    assert len((await live.get("/v1/containers")).json()["data"]) == 1
    assert (
        await code(live, "POST", "/v1/containers/remove", body={"name": "cards/eu"})
        == "container_unknown"
    )
    assert await code(vault, "POST", "/v1/containers/remove", body={"name": "cards/eu"}) == "204"
    assert (
        await code(vault, "POST", "/v1/containers/remove", body={"name": "cards/eu"})
        == "container_unknown"
    )
    assert (
        await code(vault, "POST", "/v1/containers/remove", body={"name": "default"})
        == "container_unknown"
    )
    records = await service.look(
        Domain.VAULT,
        "select convert_from(payload, 'utf8') as text from audit.event where merchant_id = $1"
        " and convert_from(payload, 'utf8') like '%vault.container.changed%' order by xid, payload",
        shop.merchant,
    )
    assert [r'"result":"removed"' in each["text"] for each in records] == [False, False, True]
    assert all('"container":"cards/eu"' in each["text"] for each in records)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"name": "Cards"}, "/name container_malformed"),
        ({"name": "a/b/c/d/e"}, "/name container_malformed"),
        ({"name": "cards/"}, "/name container_malformed"),
        ({"name": f"c{VISA}"}, "/name container_malformed"),
        ({"name": "cards", "description": f"of {VISA}"}, "/description description_malformed"),
        ({"name": "cards", "description": "a\nb"}, "/description description_malformed"),
        ({"name": "cards", "retention_days": 0}, "/retention_days type_wrong"),
    ],
)
async def test_what_a_container_may_not_be(
    service: Service, tenant: Tenant, asked: dict[str, Any], expected: str
) -> None:
    answer = (await service.vault(tenant.keys[Mode.TEST]).post("/v1/containers", asked)).json()
    assert [f"{each['pointer']} {each['code']}" for each in answer["errors"]] == [expected]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (a_rule("use", container="Cards"), "/container container_malformed"),
        (a_rule("use", container="cards//"), "/container container_malformed"),
        (a_rule("use", grantee="svc_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"), "/grantee grantee_malformed"),
        (a_rule("use", "role", "*"), "/grantee grantee_malformed"),
        (a_rule("use", "role", "boss"), "/grantee grantee_malformed"),
        (a_rule("use", "payments", "key_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"), "/grantee grantee_malformed"),
        (a_rule("mask", transform="reveal"), "/transform transform_beyond_access"),
        (a_rule("none", transform="mask"), "/transform transform_beyond_access"),
        (a_rule("use", priority=0), "/priority type_wrong"),
        (a_rule("everything"), "/access value_wrong"),
    ],
)
async def test_what_a_rule_may_not_be(
    service: Service, tenant: Tenant, asked: dict[str, Any], expected: str
) -> None:
    answer = (await (await admin(service, tenant)).post("/v1/access-rules", asked)).json()
    assert [f"{each['pointer']} {each['code']}" for each in answer["errors"]] == [expected]


async def test_a_rule_takes_the_place_of_what_is_built_in(service: Service, shop: Tenant) -> None:
    vault, person = service.vault(shop.keys[Mode.TEST]), await admin(service, shop)
    token = (await vault.token(VISA))["id"]
    listed = (await person.get("/v1/access-rules")).json()["data"]
    assert [(each["built_in"], each["grantee_kind"], each["access"]) for each in listed] == [
        (True, "key", "use"),
        (True, "service", "use"),
        (True, "payments", "use"),
        (True, "person", "mask"),
    ]
    rule = await made(person, a_rule("mask"))
    listed = (await person.get("/v1/access-rules")).json()["data"]
    assert [(each["id"], each["built_in"]) for each in listed] == [(rule, False)]
    assert await code(vault, "GET", f"/v1/tokens/{token}") == "200"
    assert await code(vault, "DELETE", f"/v1/tokens/{token}") == "vault_access_refused"
    assert await code(vault, "POST", f"/v1/tokens/{token}/keep", body={}) == "vault_access_refused"
    cvc = {"cvc": "737"}
    assert await code(vault, "POST", f"/v1/tokens/{token}/cvc", body=cvc) == "vault_access_refused"
    assert await code(vault, "POST", "/v1/tokens", body=wish(VISA)) == "vault_access_refused"
    none = await made(person, a_rule("none", priority=1))
    assert await code(vault, "GET", f"/v1/tokens/{token}") == "vault_access_refused"
    assert (await vault.get("/v1/tokens")).json()["data"] == []
    assert await code(person, "DELETE", f"/v1/access-rules/{none}") == "204"
    assert len((await vault.get("/v1/tokens")).json()["data"]) == 1
    assert await code(person, "DELETE", f"/v1/access-rules/{rule}") == "204"
    assert await code(person, "DELETE", f"/v1/access-rules/{rule}") == "access_rule_unknown"
    assert await code(vault, "DELETE", f"/v1/tokens/{token}") == "204"


async def test_what_is_recorded_of_a_rule(service: Service, shop: Tenant) -> None:
    person = await admin(service, shop)
    rule = await made(person, a_rule("mask", "role", "auditor", container="cards/"))
    await person.delete(f"/v1/access-rules/{rule}")
    records = await service.look(
        Domain.VAULT,
        "select convert_from(payload, 'utf8') as text from audit.event where merchant_id = $1"
        " and convert_from(payload, 'utf8') like '%vault.access_rule.changed%' order by xid, payload",
        shop.merchant,
    )
    assert len(records) == 2
    for record, result in zip(records, ("set", "removed"), strict=True):
        for fact in (
            f'"{rule}"',
            f'"result":"{result}"',
            '"container":"cards"',
            '"state":"mask"',
            '"role":"auditor"',
        ):
            assert fact in record["text"]


async def test_who_may_not_make_one(service: Service, shop: Tenant) -> None:
    key = service.vault(shop.keys[Mode.TEST])
    assert await code(key, "POST", "/v1/access-rules", body=a_rule("use")) == "forbidden"
    stale = await service.member(shop.merchant, stepped_up=False)
    person = service.vault(stale.key)
    assert await code(person, "POST", "/v1/access-rules", body=a_rule("use")) == "step_up_needed"
    developer = service.vault((await service.member(shop.merchant, Role.DEVELOPER)).key)
    assert await code(developer, "POST", "/v1/access-rules", body=a_rule("use")) == "forbidden"
    assert len((await (await admin(service, shop)).get("/v1/access-rules")).json()["data"]) == 4


async def test_letting_somebody_see_numbers_takes_a_second_person(
    service: Service, shop: Tenant
) -> None:
    first, second = [await service.member(shop.merchant) for _ in range(2)]
    two = Two(service.vault(first.key), service.console(second.key))
    reveal = a_rule("reveal", "role", "operator", container="cards")
    answer = await two.done("/v1/access-rules", reveal)
    assert answer.status_code == 201, answer.text
    assert answer.json()["transform"] == "reveal"
    # A rule that may stand before it is not removed by one person alone; that very one is.
    before = await made(two.asker, a_rule("none", "anybody", container="cards", priority=1))
    waits = await two.asker.delete(f"/v1/access-rules/{before}")
    assert waits.status_code == 202
    assert waits.json()["action"] == "access_rule_removal"
    assert (await two.asker.delete(f"/v1/access-rules/{answer.json()['id']}")).status_code == 204
    assert (await two.asker.delete(f"/v1/access-rules/{before}")).status_code == 204


async def test_another_process_knows_within_two_seconds(
    databases: Databases, tmp_path: Path
) -> None:
    async with (
        running(databases, tmp_path, listens=False) as one,
        running(databases, tmp_path, listens=False, log_file=tmp_path / "other.log") as other,
    ):
        tenant = await one.tenant()
        key = tenant.keys[Mode.TEST]
        token = (await one.vault(key).token(VISA))["id"]
        person = await admin(one, tenant)
        assert await code(other.vault(key), "GET", f"/v1/tokens/{token}") == "200"
        await made(person, a_rule("none"))
        began = perf_counter()
        while await code(other.vault(key), "GET", f"/v1/tokens/{token}") == "200":
            assert perf_counter() - began < SEEN_WITHIN_SECONDS
            await asyncio.sleep(0.02)


async def test_what_was_answered_holds_here_though_a_look_was_under_way(
    service: Service, shop: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that read the changes before a rule committed does not count as having seen it."""
    real, has_read, may_end = store.list_changes, asyncio.Event(), asyncio.Event()

    async def slow(read: Transaction) -> Mapping[MerchantId, int]:
        found = await real(read)
        has_read.set()
        await may_end.wait()
        return found

    caller = await admin(service, shop)
    monkeypatch.setattr(store, "list_changes", slow)
    looking = asyncio.create_task(service.parts.rules.refresh())
    await has_read.wait()
    monkeypatch.setattr(store, "list_changes", real)
    making = asyncio.create_task(made(caller, a_rule("none", "anybody")))
    until = perf_counter() + SEEN_WITHIN_SECONDS
    query = "select 1 from vault.access_rule where merchant_id = $1"
    while not await service.look(Domain.VAULT, query, shop.merchant):
        assert perf_counter() < until, "the rule was never committed"
        await asyncio.sleep(0.01)
    may_end.set()
    await asyncio.gather(looking, making)
    vault = service.vault(shop.keys[Mode.TEST])
    assert await code(vault, "POST", "/v1/tokens", body=wish(VISA)) == "vault_access_refused"


async def test_rules_that_cannot_be_known_let_nobody_through(databases: Databases) -> None:
    feed = RuleFeed(await databases.open(Domain.VAULT, Login.VAULT, connections_max=1))
    key = Principal(
        new_id("key"), CallerKind.SECRET, MerchantId(new_id("mer")), Mode.TEST, frozenset()
    )
    assert (await feed.of(key)).granted("default") is not None
    async with databases.server.away(databases.names[Domain.VAULT]):
        began = perf_counter()
        while feed.is_fresh():
            with pytest.raises(Unavailable):
                await feed.refresh()
            assert perf_counter() - began < KNOWN_SECONDS_MAX + 0.5, "known for too long"
            await asyncio.sleep(0.02)
        with pytest.raises(Unavailable):
            await feed.of(key)
    assert (await feed.of(key)).granted("default") is not None


async def test_memory_is_bounded(service: Service) -> None:
    """The rules of those who were silent longest are forgotten, and read again when they call."""
    feed = RuleFeed(service.parts.rules._database, tenants_max=2)
    tenants = [await service.tenant() for _ in range(3)]
    for each in tenants:
        await made(await admin(service, each), a_rule("mask"))
    await feed.refresh()
    for each in (*tenants, tenants[0]):
        access = await feed.access_of(each.merchant)
        assert not access.has_built_in(Mode.TEST)
        assert len(feed._tenants) <= 2


async def test_a_key_with_less_is_refused_the_routes(service: Service, shop: Tenant) -> None:
    weak = await service.key(
        shop.merchant, KeyKind.RESTRICTED, permissions=[Permission.VAULT_TOKEN_READ]
    )
    caller = service.vault(weak.text.expose())
    for path in ("/v1/containers", "/v1/access-rules"):
        assert await code(caller, "GET", path) == "forbidden"
    removal = {"name": "cards"}
    assert await code(caller, "POST", "/v1/containers/remove", body=removal) == "forbidden"
