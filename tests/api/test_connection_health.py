# SPDX-License-Identifier: Apache-2.0
"""How a connection is, over HTTP: counts of what became of attempts, tests that are kept, and tests on a schedule."""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from paying import DECLINED, Shop, open_shop, simulating
from service import Service
from strongroom.config import load_settings
from strongroom.config.errors import SettingRefused
from strongroom.db.logins import Domain
from strongroom.kernel.clock import SystemClock
from strongroom.kernel.ids import ConnectionId
from strongroom.kernel.mode import Mode
from strongroom.payments.connections_api import ConnectionDesk
from strongroom.payments.health import reading
from strongroom.payments.health.probes import Key, Probes, ProbeSchedule
from strongroom.simulator import Fault, Simulated
from strongroom.telemetry.log import Log
from strongroom.telemetry.sink import MemorySink

#: Other tests' connections are due too, fifty a round.
ROUNDS_MAX = 40


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def simulated(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Simulated]:
    async with simulating(tmp_path_factory.mktemp("simulator"), service) as running_:
        yield running_


@pytest_asyncio.fixture(loop_scope="session")
async def shop(service: Service, simulated: Simulated) -> Shop:
    return await open_shop(service, simulated)


async def health(shop: Shop) -> dict[str, Any]:
    answer = await shop.gateway.get(f"/v1/connections/{shop.connection['id']}/health")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def tested(shop: Shop) -> dict[str, Any]:
    return dict((await shop.gateway.post(f"/v1/connections/{shop.connection['id']}/test")).json())


def desk(service: Service) -> ConnectionDesk:
    gateway: Any = service.edges["gateway"]._app
    found: ConnectionDesk = gateway.state.connections
    return found


def key_of(shop: Shop) -> Key:
    return Key(shop.tenant.merchant, Mode.TEST, ConnectionId(shop.connection["id"]))


async def test_a_new_connection_has_done_nothing(shop: Shop) -> None:
    found = await health(shop)
    assert (found["answered_at"], found["failed_at"], found["probe"]) == (None, None, None)
    assert found["breaker"] is None
    assert [each["seconds"] for each in found["windows"]] == [3_600, 86_400]
    assert all(each["attempts"] == each["unknown_per_mille"] == 0 for each in found["windows"])


async def test_outcomes_are_counted_by_what_became_of_them(shop: Shop) -> None:
    for _ in range(3):
        await shop.captured(500)
    assert (await shop.pay(DECLINED)).status_code == 402
    await shop.simulated.control.demand(Fault.CUT_AFTER, "authorize")
    lost = await shop.pay(amount=700)
    assert lost.status_code == 202
    await shop.until_settled(lost.json()["id"])
    found = await health(shop)
    assert found["breaker"] == "closed"
    hour, day = found["windows"]
    assert hour == {**day, "seconds": 3_600}
    assert (day["attempts"], day["approved"], day["declined"]) == (5, 4, 1)
    assert (day["found_out"], day["unknown"], day["declined_per_mille"]) == (1, 0, 200)
    await shop.service.look(
        Domain.CORE,
        "update payments.attempt set created_at = now() - interval '2 hours', outcome = 'not_sent'"
        " where connection_id = $1 and outcome = 'declined' returning 1",
        shop.connection["id"],
    )
    found = await health(shop)
    assert [each["attempts"] for each in found["windows"]] == [4, 5]
    assert [each["not_sent_per_mille"] for each in found["windows"]] == [0, 200]
    assert found["answered_at"] is not None
    assert found["failed_at"] is not None


async def test_another_connections_attempts_are_not_counted(shop: Shop) -> None:
    other = await open_shop(shop.service, shop.simulated, tenant=shop.tenant, name="other")
    await other.captured(500)
    assert (await health(shop))["windows"][1]["attempts"] == 0
    assert (await health(other))["windows"][1]["attempts"] == 1


async def test_where_there_are_too_many_the_window_is_shorter_and_says_so(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        await shop.captured(500)
    monkeypatch.setattr(reading, "ROWS_MAX", 2)
    found = await health(shop)
    assert found["windows"][1]["attempts"] == 2
    assert found["looked_from"] is not None
    monkeypatch.setattr(reading, "ROWS_MAX", 4)
    assert (await health(shop))["looked_from"] is None


async def test_what_a_test_found_is_kept_and_failures_in_a_row_are_counted(shop: Shop) -> None:
    assert (await tested(shop))["passed"]
    found = (await health(shop))["probe"]
    assert (found["passed"], found["reason"], found["failures"]) == (True, None, 0)
    await shop.simulated.control.account(shop.account, api_key=f"sim_sk_{shop.account}")
    for _ in range(2):
        assert not (await tested(shop))["passed"]
    found = await health(shop)
    assert (found["probe"]["reason"], found["probe"]["failures"]) == ("credentials_refused", 2)
    assert found["probe"]["failing_since"] < found["probe"]["probed_at"]
    assert found["failed_at"] == found["probe"]["probed_at"]
    await shop.simulated.control.account(shop.account, api_key=shop.api_key)
    assert (await tested(shop))["passed"]
    assert (await health(shop))["probe"]["failures"] == 0


async def test_next_credentials_that_fail_say_nothing_of_the_connection(shop: Shop) -> None:
    path = f"/v1/connections/{shop.connection['id']}"
    await shop.gateway.post(f"{path}/next", {"credentials": {"api_key": "sim_sk_of_nobody"}})
    assert not (await shop.gateway.post(f"{path}/test?credentials=next")).json()["passed"]
    assert (await health(shop))["probe"] is None


async def test_a_test_that_comes_late_changes_nothing(shop: Shop) -> None:
    probes: Probes = desk(shop.service).tests._probes
    now = datetime.now(UTC)
    assert await probes.note(key_of(shop), "connect_failed", now) == 1
    assert await probes.note(key_of(shop), None, now - timedelta(seconds=1)) == 0
    found = await probes.of(key_of(shop))
    assert found is not None
    assert (found.reason, found.failures) == ("connect_failed", 1)


async def test_the_schedule_tests_what_is_due_and_alerts(shop: Shop) -> None:
    tests = desk(shop.service).tests
    sink, shown = MemorySink(), list[Mapping[tuple[str, str], int]]()
    schedule = ProbeSchedule(
        tests._probes,
        tests.probe,
        SystemClock(),
        Log(sink, clock=SystemClock()),
        shown.append,
        3_600,
    )

    def told() -> list[dict[str, Any]]:
        return [
            line
            for line in map(json.loads, sink.lines)
            if line["event_type"] == "payments.connection_failing"
            and line["object_id"] == shop.connection["id"]
        ]

    await shop.simulated.control.account(shop.account, api_key=f"sim_sk_{shop.account}")
    for _ in range(ROUNDS_MAX):
        await schedule.run()
        if told():
            break
    (line,) = told()
    assert (line["level"], line["reason"]) == ("critical", "credentials_refused")
    assert (line["processor"], line["merchant_id"]) == ("simulator", shop.tenant.merchant)
    assert shown[-1]["simulator", "credentials_refused"] >= 1
    found = (await health(shop))["probe"]
    assert (found["passed"], found["failures"]) == (False, 1)
    await schedule.run()
    assert len(told()) == 1, "tested less than an hour ago"
    await shop.simulated.control.account(shop.account, api_key=shop.api_key)
    assert (await tested(shop))["passed"]


async def test_a_disabled_connection_is_not_tested_on_schedule(shop: Shop) -> None:
    await shop.gateway.post(f"/v1/connections/{shop.connection['id']}/disable")
    due = await desk(shop.service).tests._probes.due(datetime.now(UTC), 10_000)
    assert key_of(shop) not in due


async def test_other_tenants_connections_are_due_for_the_schedule_alone(
    shop: Shop, service: Service
) -> None:
    stranger = await service.tenant()
    path = f"/v1/connections/{shop.connection['id']}/health"
    answer = await service.gateway(stranger.keys[Mode.TEST]).get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "connection_unknown")
    assert key_of(shop) in await desk(service).tests._probes.due(datetime.now(UTC), 10_000)


@pytest.mark.parametrize(("text", "seconds"), [("", 0), ("0", 0), ("60", 60), ("3600", 3_600)])
def test_how_often_connections_are_tested_is_a_setting(text: str, seconds: int) -> None:
    variables = {"STRONGROOM_CONNECTION_PROBE_SECONDS": text} if text else {}
    assert load_settings(variables).connection_probe_seconds == seconds


@pytest.mark.parametrize("text", ["59", "1", "-1", "often"])
def test_too_often_is_refused(text: str) -> None:
    with pytest.raises(SettingRefused):
        load_settings({"STRONGROOM_CONNECTION_PROBE_SECONDS": text})
