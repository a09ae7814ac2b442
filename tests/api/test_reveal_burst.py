# SPDX-License-Identifier: Apache-2.0
"""Who is shown too many cards at once is shown no more, everybody is told, and another person lets them go on."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from database import Databases, Server, fresh_databases
from revealing import Ground, revealing
from service import Service
from strongroom.crypto.ids import new_id
from strongroom.kernel.clock import SteppedClock, SystemClock
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind, Role

BOUND = 3
LASTS = timedelta(minutes=20)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stepped(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Service, SteppedClock]]:
    clock = SteppedClock(SystemClock().now())
    async with revealing(
        databases,
        tmp_path_factory.mktemp("burst"),
        clock=clock,
        reveal_burst_count=BOUND,
        reveal_burst_seconds=60,
        reveal_stop_seconds=int(LASTS.total_seconds()),
    ) as service:
        yield service, clock


@pytest_asyncio.fixture(loop_scope="session")
async def ground(stepped: tuple[Service, SteppedClock]) -> Ground:
    return await Ground.on(stepped[0])


def stopped(answer: Any) -> bool:
    return bool(answer.status_code == 403 and answer.json()["code"] == "reveal_stopped")


async def burst(ground: Ground) -> None:
    """Reveal as many as are usual, and one more."""
    for _ in range(BOUND):
        assert (await ground.ask()).status_code == 200
    assert stopped(await ground.ask())


def metric(ground: Ground, outcome: str) -> float:
    found = ground.service.metrics.registry.get_sample_value(
        "strongroom_reveal_bursts_total", {"mode": "test", "outcome": outcome}
    )
    return found or 0.0


async def test_a_burst_is_stopped_recorded_once_and_told(ground: Ground) -> None:
    before = metric(ground, "stopped")
    await burst(ground)
    assert stopped(await ground.ask())
    (record,) = await ground.records("vault.reveal.alarmed")
    assert record["details"] == {
        "count": BOUND,
        "lifetime_seconds": int(LASTS.total_seconds()),
        "state": "stopped",
        "window_seconds": 60,
    }
    assert record["actor"].startswith("key_")
    assert metric(ground, "stopped") == before + 1
    assert len(await ground.records("vault.token.revealed")) == BOUND
    lines = [json.loads(line) for line in ground.service.log_text().splitlines()]
    (event,) = [each for each in lines if each.get("audit_event_id") == record["event_id"]]
    assert event["severity"] == "critical"


async def test_of_many_at_once_no_more_than_the_bound_pass(ground: Ground) -> None:
    answers = await asyncio.gather(*(ground.ask() for _ in range(12)))
    assert sum(each.status_code == 200 for each in answers) == BOUND
    assert len(await ground.records("vault.reveal.alarmed")) == 1


async def test_others_go_on(ground: Ground) -> None:
    await burst(ground)
    made = await ground.service.key(
        ground.tenant.merchant, KeyKind.RESTRICTED, permissions=[Permission.VAULT_TOKEN_REVEAL]
    )
    assert (await ground.ask(made.text.expose())).status_code == 200
    assert (await (await Ground.on(ground.service)).ask()).status_code == 200


async def test_its_time_passes_and_it_counts_anew(
    stepped: tuple[Service, SteppedClock], ground: Ground
) -> None:
    await burst(ground)
    stepped[1].step(LASTS - timedelta(seconds=1))
    assert stopped(await ground.ask())
    stepped[1].step(timedelta(seconds=2))
    await burst(ground)
    assert len(await ground.records("vault.reveal.alarmed")) == 2


async def test_a_slow_caller_is_never_stopped(
    stepped: tuple[Service, SteppedClock], ground: Ground
) -> None:
    for _ in range(BOUND * 3):
        stepped[1].step(timedelta(seconds=21))
        assert (await ground.ask()).status_code == 200
    assert await ground.records("vault.reveal.alarmed") == []


async def test_another_person_lifts_it(
    stepped: tuple[Service, SteppedClock], ground: Ground
) -> None:
    await burst(ground)
    admin = ground.service.vault((await ground.service.member(ground.tenant.merchant)).key)
    (shown,) = (await admin.get("/v1/reveal-stops")).json()["data"]
    assert (shown["count"], shown["lifted_at"]) == (BOUND, None)
    path = f"/v1/reveal-stops/{shown['caller']}/lift"
    lifted = await admin.post(path)
    assert lifted.status_code == 200, lifted.text
    assert lifted.json()["lifted_by"].startswith("usr_")
    assert (await admin.get("/v1/reveal-stops")).json()["data"] == []
    assert (await admin.post(path)).status_code == 404
    (record,) = await ground.records("vault.reveal.resumed")
    assert (record["object"], record["details"]) == (shown["caller"], {"count": BOUND})
    stepped[1].step(timedelta(seconds=1))
    await burst(ground)


async def test_who_may_lift(stepped: tuple[Service, SteppedClock], ground: Ground) -> None:
    await burst(ground)
    service = ground.service
    caller = (await ground.records("vault.reveal.alarmed"))[0]["actor"]
    path = f"/v1/reveal-stops/{caller}/lift"
    elsewhere = await Ground.on(service)
    tired = service.composer.known.as_if(
        await service.member(ground.tenant.merchant), stepped_up=False
    )
    assert (await service.vault(tired.key).post(path)).status_code == 401
    assert (await service.vault(elsewhere.asker.key).post(path)).status_code == 404
    fresh = await service.member(ground.tenant.merchant)
    for wrong in (new_id("key"), "x", new_id("tok")):
        answer = await service.vault(fresh.key).post(f"/v1/reveal-stops/{wrong}/lift")
        assert answer.status_code == 404
    auditor = await service.member(ground.tenant.merchant, Role.AUDITOR)
    for key in (ground.key, ground.tenant.keys[Mode.TEST], auditor.key):
        assert (await service.vault(key).post(path)).status_code == 403
    assert (await service.vault(auditor.key).get("/v1/reveal-stops")).status_code == 200
    assert stopped(await ground.ask())


async def test_nobody_lifts_their_own(ground: Ground) -> None:
    """A person who burst, too: each with an approval, and then none more is even asked for."""
    for number in range(BOUND):
        body = {"purpose": "dispute", "note": f"case {number}"}
        approval = await ground.approved(body)
        answer = await ground.ask(ground.asker.key, body, headers={"strongroom-approval": approval})
        assert answer.status_code == 200, answer.text
    approval = await ground.approved()
    assert stopped(await ground.ask(ground.asker.key, headers={"strongroom-approval": approval}))
    assert stopped(await ground.ask(ground.asker.key)), "nobody is asked for what is not shown"
    own = await ground.service.vault(ground.asker.key).post(
        f"/v1/reveal-stops/{ground.asker.id}/lift"
    )
    assert (own.status_code, own.json()["code"]) == (403, "reveal_stop_own")
    other = await ground.service.vault(ground.other.key).post(
        f"/v1/reveal-stops/{ground.asker.id}/lift"
    )
    assert other.status_code == 200, other.text


async def test_an_alarm_alone(server: Server, tmp_path: Path) -> None:
    """With no stop there is a record each time that the bound is passed, and the cards are shown."""
    async with (
        fresh_databases(server) as databases,
        revealing(databases, tmp_path, reveal_burst_count=BOUND, reveal_stop_seconds=0) as service,
    ):
        ground = await Ground.on(service)
        for _ in range(2 * (BOUND + 1)):
            assert (await ground.ask()).status_code == 200
        records = await ground.records("vault.reveal.alarmed")
        assert [each["details"]["state"] for each in records] == ["warned"] * 2
        assert metric(ground, "warned") == 2


async def test_the_rate_slows_down(server: Server, tmp_path: Path) -> None:
    async with (
        fresh_databases(server) as databases,
        revealing(databases, tmp_path, reveals_per_minute=4) as service,
    ):
        ground = await Ground.on(service)
        codes = [(await ground.ask()).status_code for _ in range(3)]
        assert codes == [200, 200, 429]
        assert (await ground.ask()).headers["retry-after"]
        assert (await (await Ground.on(service)).ask()).status_code == 200
