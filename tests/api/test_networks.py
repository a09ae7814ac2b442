# SPDX-License-Identifier: Apache-2.0
"""Allow-lists over HTTP: who may set them, whom they keep out and how soon, and that nobody shuts themselves out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
import pytest

from database import Databases
from polling import until
from service import Caller, Service, Tenant, running, wish
from signed_in import signed_in
from strongroom.audit import Origin
from strongroom.db.logins import Domain, Login
from strongroom.identity import Changer, ListMode, ListWish
from strongroom.identity.networks.gate import KNOWN_SECONDS_MAX, NetworkGate
from strongroom.kernel.errors import Unavailable
from strongroom.kernel.ids import MerchantId, NetworkId
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind
from strongroom.kernel.schemes import synthetic_number

OFFICE, HOME = "203.0.113.7", "198.51.100.7"
IN_OFFICE, AT_HOME = "203.0.113.0/24", "198.51.100.0/24"
#: A change holds everywhere within this; the rest is for a slow machine's own delays.
SEEN_WITHIN_SECONDS = 2.0
OPERATOR = Changer("operator:tests", Origin())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the processes over this module's databases keep their keys."""
    return tmp_path_factory.mktemp("networks")


@asynccontextmanager
async def at(
    service: Service, listener: str, address: str, key: str | None
) -> AsyncIterator[Caller]:
    """Speak to a listener of this process from some address."""
    edge: Any = service.edges[listener]
    transport = httpx.ASGITransport(app=edge, client=(address, 40_000))
    hooks = {"response": [service.answers.passes]}
    async with httpx.AsyncClient(
        base_url=f"https://{listener}.test", transport=transport, event_hooks=hooks
    ) as client:
        yield Caller(client, key)


async def admin_of(service: Service, tenant: Tenant) -> str:
    """The access token of an admin who has just logged in; lists are a person's to change."""
    return (await signed_in(service, MerchantId(tenant.merchant))).access.expose()


async def code(caller: Caller, method: str, path: str, **more: Any) -> str:
    answer = await caller.send(method, path, **more)
    return answer.json()["code"] if answer.status_code >= 400 else str(answer.status_code)


async def until_code(expected: str, caller: Caller, method: str, path: str, **more: Any) -> None:
    """Ask until the answer is the expected one, no longer than a change may take."""
    began = perf_counter()
    while (said := await code(caller, method, path, **more)) != expected:
        assert perf_counter() - began < SEEN_WITHIN_SECONDS, f"{said}, not {expected}"
        await asyncio.sleep(0.02)


def a_list(
    subject: str = "tenant", *networks: str, mode: str = "test", **more: Any
) -> dict[str, Any]:
    return {"subject": subject, "networks": list(networks) or [IN_OFFICE], "mode": mode, **more}


async def test_a_list_is_set_changed_and_removed(service: Service, tenant: Tenant) -> None:
    async with at(service, "console", OFFICE, await admin_of(service, tenant)) as console:
        made = await console.post(
            "/v1/networks", a_list("group:vault", "203.0.113.0/24", name="ours")
        )
        assert made.status_code == 200, made.text
        changed = await console.post(
            "/v1/networks", a_list("group:vault", "203.0.113.7", IN_OFFICE)
        )
        assert changed.json()["id"] == made.json()["id"]
        assert changed.json()["networks"] == ["203.0.113.7/32", IN_OFFICE]
        listed = (await console.get("/v1/networks")).json()
        assert (listed["data"], listed["your_address"]) == ([changed.json()], OFFICE)
        path = f"/v1/networks/{made.json()['id']}"
        assert (await console.delete(path)).status_code == 204
        assert await code(console, "DELETE", path) == "network_unknown"
        assert (await console.get("/v1/networks")).json()["data"] == []
    records = await service.look(
        Domain.CORE,
        "select convert_from(payload, 'utf8') as text from audit.event where merchant_id = $1"
        " and convert_from(payload, 'utf8') like '%identity.network.changed%' order by xmin::text::bigint, ctid",
        tenant.merchant,
    )
    assert len(records) == 3
    for record, result, count in zip(records, ("set", "set", "removed"), (1, 2, 0), strict=True):
        assert f'"result":"{result}"' in record["text"]
        assert f'"count":{count}' in record["text"]
        assert made.json()["id"] in record["text"]
        assert "203.0.113" not in record["text"], "networks are no fact of a record"


#: What is asked for, and the code of the refusal.
REFUSED: list[tuple[dict[str, Any], str]] = [
    (a_list("everybody"), "/subject subject_malformed"),
    (a_list("key:key_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"), "/subject subject_unknown"),
    (a_list("person:usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"), "/subject subject_unknown"),
    (a_list("tenant", "203.0.113.7/24"), "/networks/0 network_malformed"),
    (a_list("tenant", IN_OFFICE, "somewhere"), "/networks/1 network_malformed"),
    (a_list("tenant", "0.0.0.0/0"), "/networks/0 network_everywhere"),
    (a_list("tenant", IN_OFFICE, "::/0"), "/networks/1 network_everywhere"),
    ({**a_list(), "networks": []}, "/networks type_wrong"),
    ({**a_list(), "networks": ["10.0.0.0/8"] * 65}, "/networks type_wrong"),
    (a_list(name="a\nb"), "/name name_malformed"),
    (a_list(mode="all"), "/mode value_wrong"),
    (a_list("tenant", AT_HOME), "network_would_lock_out"),
    (a_list("group:identity", AT_HOME), "network_would_lock_out"),
    (a_list("group:sensitive", AT_HOME), "network_would_lock_out"),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "expected"), REFUSED)
async def test_what_a_list_may_not_be(
    service: Service, tenant: Tenant, asked: dict[str, Any], expected: str
) -> None:
    async with at(service, "console", OFFICE, await admin_of(service, tenant)) as console:
        answer = (await console.post("/v1/networks", asked)).json()
        errors = [f"{each['pointer']} {each['code']}" for each in answer.get("errors", ())]
        assert (errors or [answer["code"]]) == [expected]
        assert (await console.get("/v1/networks")).json()["data"] == []


async def test_who_may_not_set_one(service: Service, tenant: Tenant) -> None:
    weak = await service.key(
        tenant.merchant, KeyKind.RESTRICTED, permissions=[Permission.VAULT_TOKEN_READ]
    )
    async with at(service, "console", OFFICE, weak.text.expose()) as console:
        assert await code(console, "POST", "/v1/networks", body=a_list()) == "forbidden"
        assert await code(console, "GET", "/v1/networks") == "forbidden"
    async with at(service, "console", OFFICE, tenant.keys[Mode.TEST]) as console:
        for mode in ("test", "live", "both"):
            wished = a_list(mode=mode)
            assert await code(console, "POST", "/v1/networks", body=wished) == "forbidden"
        path = "/v1/networks/net_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
        assert await code(console, "DELETE", path) == "forbidden"
        assert await code(console, "GET", "/v1/networks") == "200"


async def test_a_list_keeps_others_out_of_every_listener_and_one_tenant_only(
    service: Service,
) -> None:
    mine, theirs = await service.tenant(), await service.tenant()
    async with at(service, "console", OFFICE, await admin_of(service, mine)) as console:
        assert (await console.post("/v1/networks", a_list())).status_code == 200
        for listener, path in (
            ("vault", "/v1/tokens"),
            ("gateway", "/v1/merchant"),
            ("console", "/v1/networks"),
        ):
            async with at(service, listener, HOME, mine.keys[Mode.TEST]) as outside:
                await until_code("address_not_allowed", outside, "GET", path)
            async with at(service, listener, OFFICE, mine.keys[Mode.TEST]) as inside:
                assert await code(inside, "GET", path) == "200"
            async with at(service, listener, HOME, mine.keys[Mode.LIVE]) as live:
                assert await code(live, "GET", path) == "200"
            async with at(service, listener, HOME, theirs.keys[Mode.TEST]) as other:
                assert await code(other, "GET", path) == "200"
        made = (await console.get("/v1/networks")).json()["data"][0]["id"]
    async with at(service, "console", HOME, await admin_of(service, theirs)) as other:
        assert (await other.get("/v1/networks")).json()["data"] == []
        assert await code(other, "DELETE", f"/v1/networks/{made}") == "network_unknown"
    async with at(service, "console", OFFICE, mine.keys[Mode.LIVE]) as live:
        assert (await live.get("/v1/networks")).json()["data"] == []


async def test_a_group_and_a_key_are_kept_apart_from_the_rest(service: Service) -> None:
    tenant = await service.tenant()
    other = await service.key(tenant.merchant)
    async with at(service, "console", OFFICE, await admin_of(service, tenant)) as console:
        await console.post("/v1/networks", a_list("group:vault"))
        await console.post("/v1/networks", a_list(f"key:{other.key.key_id}"))
    body = wish(synthetic_number(77))
    async with (
        at(service, "vault", HOME, tenant.keys[Mode.TEST]) as vault,
        at(service, "gateway", HOME, tenant.keys[Mode.TEST]) as gateway,
        at(service, "gateway", HOME, other.text.expose()) as others,
        at(service, "vault", OFFICE, tenant.keys[Mode.TEST]) as office,
    ):
        await until_code(
            "address_not_allowed", vault, "POST", "/v1/tokens", body=body
        )  # the lean lane
        assert await code(vault, "GET", "/v1/tokens") == "address_not_allowed"
        assert await code(vault, "GET", "/v1/audit/checkpoint") != "address_not_allowed"
        assert await code(gateway, "GET", "/v1/merchant") == "200"
        await until_code("address_not_allowed", others, "GET", "/v1/merchant")
        assert await code(office, "POST", "/v1/tokens", body=body) == "201"


async def test_an_ipv4_address_in_ipv6_dress_is_the_same(service: Service) -> None:
    tenant = await service.tenant()
    async with at(service, "console", OFFICE, await admin_of(service, tenant)) as console:
        await console.post("/v1/networks", a_list())
    async with at(service, "gateway", "::ffff:198.51.100.7", tenant.keys[Mode.TEST]) as outside:
        await until_code("address_not_allowed", outside, "GET", "/v1/merchant")
    async with at(service, "gateway", "::ffff:203.0.113.7", tenant.keys[Mode.TEST]) as inside:
        assert await code(inside, "GET", "/v1/merchant") == "200"


async def test_whoever_was_shut_out_is_let_in_again_by_an_operator(service: Service) -> None:
    tenant = await service.tenant()
    operator = await service.composer.operator_networks()
    async with at(service, "console", OFFICE, await admin_of(service, tenant)) as console:
        forced = await console.post("/v1/networks", a_list("tenant", AT_HOME, force=True))
        assert forced.status_code == 200
        await until_code("address_not_allowed", console, "GET", "/v1/networks")
        (kept,) = await operator.all(tenant.merchant)
        await operator.remove(tenant.merchant, NetworkId(kept.network_id), OPERATOR)
        await until_code("200", console, "GET", "/v1/networks")


async def test_a_refusal_is_recorded_with_its_reason(service: Service) -> None:
    tenant = await service.tenant()
    async with at(service, "console", OFFICE, await admin_of(service, tenant)) as console:
        await console.post("/v1/networks", a_list())
    (key,) = [
        each.key_id
        for each in await service.operator.keys(tenant.merchant, Mode.TEST)
        if each.kind is KeyKind.SECRET
    ]
    for listener, path in (("gateway", "/v1/merchant"), ("vault", "/v1/tokens")):
        async with at(service, listener, "198.51.100.99", tenant.keys[Mode.TEST]) as outside:
            await until_code("address_not_allowed", outside, "GET", path)
        async with at(service, listener, OFFICE, tenant.keys[Mode.TEST]) as inside:
            denied = await the_denial(inside)
        assert denied["actor"] == key
        assert denied["details"]["reason"] == "address_not_allowed"
        assert denied["object"] == f"listener:{listener}"
        assert "198.51.100.99" not in str(denied), "an address is a salted hash there"


async def the_denial(caller: Caller) -> dict[str, Any]:
    """Wait until a tenant can read of a refusal in its own log."""

    async def look() -> dict[str, Any] | None:
        page = (await caller.get("/v1/audit/records?limit=100")).json()["data"]
        records = (dict(each["record"]) for each in page)
        return next((each for each in records if each["action"] == "http.request.denied"), None)

    return await until(look, what="the refusal to stand in the log")


async def test_a_change_holds_in_another_process_within_two_seconds(
    databases: Databases, folder: Path
) -> None:
    async with (
        running(databases, folder, listens=False) as one,
        running(databases, folder, listens=False) as other,
    ):
        tenant = await one.tenant()
        key = tenant.keys[Mode.TEST]
        async with (
            at(one, "console", OFFICE, await admin_of(one, tenant)) as console,
            at(other, "vault", HOME, key) as vault,
            at(other, "gateway", HOME, key) as gateway,
        ):
            for _ in range(2):
                assert await code(vault, "GET", "/v1/tokens") == "200"
                made = await console.post("/v1/networks", a_list())
                await asyncio.gather(
                    until_code("address_not_allowed", vault, "GET", "/v1/tokens"),
                    until_code("address_not_allowed", gateway, "GET", "/v1/merchant"),
                )
                await console.delete(f"/v1/networks/{made.json()['id']}")
                await until_code("200", vault, "GET", "/v1/tokens")


async def test_lists_that_cannot_be_read_admit_nobody(databases: Databases) -> None:
    gate = NetworkGate(await databases.open(Domain.CORE, Login.VAULT))
    await gate.refresh()
    assert gate.is_fresh()
    async with databases.server.away(databases.names[Domain.CORE]):
        began = perf_counter()
        while gate.is_fresh():
            with pytest.raises(Unavailable):
                await gate.refresh()
            assert perf_counter() - began < KNOWN_SECONDS_MAX + 0.5, "known for too long"
            await asyncio.sleep(0.02)
        with pytest.raises(Unavailable):
            await gate.fresh()
    await gate.fresh()
    assert gate.is_fresh()


async def test_nobody_is_served_while_the_lists_are_unknown(
    databases: Databases, folder: Path
) -> None:
    """Although keys could still be checked: rights on the lists alone are gone."""
    grants = "on identity.network_change {} strongroom_gateway"
    async with running(databases, folder, listens=False) as service:
        tenant = await service.tenant()
        async with at(service, "gateway", OFFICE, tenant.keys[Mode.TEST]) as gateway:
            assert await code(gateway, "GET", "/v1/merchant") == "200"
            await databases.run(Domain.CORE, "revoke select " + grants.format("from"))
            began = perf_counter()
            while (await gateway.get("/v1/merchant")).status_code == 200:
                assert perf_counter() - began < KNOWN_SECONDS_MAX + 0.5
                await asyncio.sleep(0.02)
            assert (await gateway.get("/v1/merchant")).status_code in (500, 503)
            await databases.run(Domain.CORE, "grant select " + grants.format("to"))
            await until_code("200", gateway, "GET", "/v1/merchant")


async def test_two_hundred_lists_are_enough(service: Service) -> None:
    tenant = await service.tenant()
    operator = await service.composer.operator_networks()
    for number in range(100):
        key = await service.key(tenant.merchant)
        for mode in (ListMode.TEST, ListMode.LIVE):
            wished = ListWish(mode, f"key:{key.key.key_id}", [f"10.0.{number}.0/24"])
            await operator.put(tenant.merchant, wished, OPERATOR)
    async with at(service, "console", OFFICE, await admin_of(service, tenant)) as console:
        assert (
            await code(console, "POST", "/v1/networks", body=a_list()) == "network_lists_too_many"
        )


async def test_the_consoles_listener_can_be_kept_to_some_networks(
    databases: Databases, folder: Path
) -> None:
    async with running(databases, folder, listens=False, console_from=(IN_OFFICE,)) as service:
        tenant = await service.tenant()
        key = tenant.keys[Mode.TEST]
        for address, expected in ((OFFICE, "200"), (HOME, "address_not_allowed")):
            async with at(service, "console", address, key) as console:
                assert await code(console, "GET", "/v1/merchant") == expected
                assert await code(console, "GET", "/openapi.json") == expected
                assert await code(console, "GET", "/livez") == "200"
            async with at(service, "gateway", address, key) as gateway:
                assert await code(gateway, "GET", "/v1/merchant") == "200"


async def test_a_key_used_from_elsewhere_does_not_use_up_its_owners_rate(
    databases: Databases, folder: Path
) -> None:
    async with running(databases, folder, listens=False, rate_secret_per_second=5) as service:
        tenant = await service.tenant()
        key = tenant.keys[Mode.TEST]
        operator = await service.composer.operator_networks()
        await operator.put(
            tenant.merchant, ListWish(ListMode.BOTH, "tenant", [IN_OFFICE]), OPERATOR
        )
        async with (
            at(service, "gateway", HOME, key) as thief,
            at(service, "gateway", OFFICE, key) as owner,
            at(service, "gateway", HOME, tenant.keys[Mode.LIVE]) as other,
        ):
            await until_code("address_not_allowed", other, "GET", "/v1/merchant")
            for _ in range(30):
                assert await code(thief, "GET", "/v1/merchant") == "address_not_allowed"
            assert await code(owner, "GET", "/v1/merchant") == "200"
