# SPDX-License-Identifier: Apache-2.0
"""Credentials of a connection over HTTP: the next ones tried before they are used, a way back while they are kept."""

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio

from paying import Shop, open_shop, simulating
from polling import until
from service import Service
from strongroom.db.logins import Domain
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.mode import Mode
from strongroom.simulator import Simulated

NEXT = "sim_sk_the_next_key_of_a_test"
OTHER = "sim_sk_another_key_of_a_test"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def simulated(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Simulated]:
    async with simulating(tmp_path_factory.mktemp("simulator"), service) as running_:
        yield running_


@pytest_asyncio.fixture(loop_scope="session")
async def shop(service: Service, simulated: Simulated) -> Shop:
    return await open_shop(service, simulated)


async def do(shop: Shop, act: str, body: object = None) -> httpx.Response:
    return await shop.gateway.post(f"/v1/connections/{shop.connection['id']}/{act}", body)


async def done(shop: Shop, act: str, body: object = None) -> dict[str, Any]:
    answer = await do(shop, act, body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def kept(shop: Shop) -> dict[str, Any]:
    answer = await shop.gateway.get(f"/v1/connections/{shop.connection['id']}/credentials")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def passes(shop: Shop, which: str = "current") -> bool:
    return bool((await done(shop, f"test?credentials={which}"))["passed"])


async def at_the_processor(shop: Shop, api_key: str) -> None:
    """The processor takes this key from now on, and no other."""
    await shop.simulated.control.account(shop.account, api_key=f"{api_key}_{shop.account}")


async def staged(shop: Shop, api_key: str = NEXT) -> dict[str, Any]:
    return await done(shop, "next", {"credentials": {"api_key": f"{api_key}_{shop.account}"}})


async def promoted(shop: Shop, **more: object) -> dict[str, Any]:
    return await done(shop, "promote", {"staged_at": (await kept(shop))["staged_at"], **more})


async def test_next_credentials_are_tried_promoted_and_taken_back(shop: Shop) -> None:
    assert await passes(shop)
    said = await staged(shop)
    assert said["former_until"] is None
    assert said["staged_at"] is not None
    assert await passes(shop), "those in use are still used"
    assert not await passes(shop, "next"), "the processor does not know them yet"
    await shop.captured(500)
    await at_the_processor(shop, NEXT)
    assert await passes(shop, "next")

    async def ended() -> bool | None:
        return None if await passes(shop) else True

    await until(ended, what="the key from before to end")
    said = await promoted(shop, keep_seconds=3_600)
    assert said["staged_at"] is None
    left = datetime.fromisoformat(said["former_until"]) - datetime.fromisoformat(
        shop.connection["created_at"]
    )
    assert 3_500 < left.total_seconds() < 4_000

    async def taken() -> bool | None:
        return await passes(shop) or None

    await until(taken, what="the new key to be used")
    await shop.captured(600)
    await shop.simulated.control.account(shop.account, api_key=shop.api_key)
    await done(shop, "restore")
    await until(taken, what="the key from before to be used again")
    await shop.captured(700)
    assert (await kept(shop))["former_until"] is None
    again = await do(shop, "restore")
    assert (again.status_code, again.json()["code"]) == (409, "nothing_to_restore")


async def test_only_the_next_ones_that_are_meant_are_promoted(shop: Shop) -> None:
    none = await do(shop, "promote", {"staged_at": rfc3339(datetime.now().astimezone())})
    assert (none.status_code, none.json()["code"]) == (409, "nothing_staged")
    first = await staged(shop)
    second = await staged(shop, OTHER)
    assert first["staged_at"] < second["staged_at"]
    refused = await do(shop, "promote", {"staged_at": first["staged_at"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "staged_meanwhile")
    assert (await kept(shop))["staged_at"] == second["staged_at"]
    await at_the_processor(shop, OTHER)
    await promoted(shop)

    async def taken() -> bool | None:
        return await passes(shop) or None

    await until(taken, what="the second of the next ones to be used")


async def test_what_is_not_in_use_is_discarded(shop: Shop) -> None:
    await staged(shop)
    assert (await done(shop, "discard", {"which": "next"}))["staged_at"] is None
    lost = await do(shop, "test?credentials=next")
    assert (lost.status_code, lost.json()["code"]) == (409, "nothing_staged")
    await staged(shop)
    assert (await promoted(shop))["former_until"] is not None
    assert (await done(shop, "discard", {"which": "former"}))["former_until"] is None
    refused = await do(shop, "restore")
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_to_restore")
    assert (await done(shop, "discard", {"which": "former"}))["former_until"] is None, "repeated"


async def test_a_rotation_at_once_keeps_the_way_back_too(shop: Shop) -> None:
    fresh = {"credentials": {"api_key": f"{NEXT}_{shop.account}"}, "overlap_seconds": 600}
    await done(shop, "rotate", fresh)
    assert (await kept(shop))["former_until"] is not None
    await done(shop, "restore")

    async def taken() -> bool | None:
        return await passes(shop) or None

    await until(taken, what="the key from before to be used again")
    await done(shop, "rotate", {**fresh, "overlap_seconds": 0})
    assert (await kept(shop))["former_until"] is None


async def test_secrets_of_notices_overlap_and_are_counted(shop: Shop) -> None:
    assert (await kept(shop))["webhook_secrets_until"] == [None]
    await done(
        shop, "rotate", {"webhook_secret": "a_second_secret_of_a_test", "overlap_seconds": 600}
    )
    first, second = (await kept(shop))["webhook_secrets_until"]
    assert first is None
    assert datetime.fromisoformat(second) > datetime.fromisoformat(shop.connection["created_at"])


async def test_every_act_is_on_record_in_both_logs_and_no_value_is(
    shop: Shop, service: Service
) -> None:
    await staged(shop)
    await promoted(shop)
    await done(shop, "restore")
    await staged(shop, OTHER)
    await done(shop, "discard", {"which": "next"})
    for domain, action in (
        (Domain.CORE, "payments.connection.changed"),
        (Domain.VAULT, "vault.connection.changed"),
    ):
        rows = await service.look(
            domain,
            "select payload from audit.event where merchant_id = $1 order by event_id",
            shop.tenant.merchant,
        )
        records = [json.loads(bytes(row["payload"])) for row in rows]
        results = [each["details"]["result"] for each in records if each["action"] == action]
        assert results == ["staged", "promoted", "restored", "staged", "discarded"]
        assert not any(NEXT in str(each) or OTHER in str(each) for each in records)


@pytest.mark.parametrize(
    ("act", "body", "pointer"),
    [
        ("next", {"credentials": {}}, "/credentials/api_key"),
        ("next", {"credentials": {"api_key": ""}}, "/credentials/api_key"),
        ("next", {"credentials": {"api_key": "a", "more": "b"}}, "/credentials"),
        ("promote", {"staged_at": "now"}, "/staged_at"),
        (
            "promote",
            {"staged_at": "2026-11-20T09:30:00.000000Z", "keep_seconds": -1},
            "/keep_seconds",
        ),
        ("discard", {"which": "current"}, "/which"),
        ("test?credentials=former", None, "/credentials"),
    ],
)
async def test_what_does_not_fit_is_refused(
    shop: Shop, act: str, body: object, pointer: str
) -> None:
    answer = await do(shop, act, body)
    assert answer.status_code == 422, answer.text
    assert pointer in answer.text


async def test_a_disabled_connection_is_not_changed(shop: Shop, service: Service) -> None:
    """In the vault a connection ends with its tenant; here its row says so."""
    await staged(shop)
    await service.look(
        Domain.VAULT,
        "update vault.connection set status = 'disabled' where connection_id = $1 returning 1",
        shop.connection["id"],
    )
    for act, body in (
        ("next", {"credentials": {"api_key": "a"}}),
        ("restore", None),
        ("discard", {"which": "next"}),
    ):
        answer = await do(shop, act, body)
        assert (answer.status_code, answer.json()["code"]) == (409, "connection_disabled")


async def test_in_live_mode_a_person_needs_another(service: Service) -> None:
    tenant = await service.tenant()
    member = await service.member(tenant.merchant, mode=Mode.LIVE)
    await service.member(tenant.merchant, mode=Mode.LIVE)
    connection = "con_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
    for act, body, action in (
        ("promote", {"staged_at": "2026-11-20T09:30:00.000000Z"}, "connection_promote"),
        ("restore", None, "connection_restore"),
    ):
        answer = await service.gateway(member.key).post(f"/v1/connections/{connection}/{act}", body)
        assert answer.status_code == 202, answer.text
        assert answer.json()["action"] == action
