# SPDX-License-Identifier: Apache-2.0
"""Keys past their period are rotated by themselves, once whoever looks, recorded with an actor of their own."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from command_line import Installed, installed
from service import free_ports
from strongroom.cli.operating import site_of
from strongroom.compose import Composer
from strongroom.compose.core_keys import core_keys_of
from strongroom.compose.key_schedule import (
    ACTOR,
    KeySchedule,
    core_schedule,
    on_schedule,
    vault_schedule,
)
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import connect
from strongroom.identity.columns import COLUMNS
from strongroom.jobs import Task
from strongroom.kernel.clock import SteppedClock, SystemClock
from strongroom.kernel.mode import Mode
from strongroom.keys import Purpose
from strongroom.keys.store import PostgresDataKeyTable

YEAR = timedelta(days=366)


@pytest.fixture(scope="module")
def site() -> Iterator[Installed]:
    with installed(free_ports(4)) as made:
        yield made


@asynccontextmanager
async def composer_of(site: Installed, clock: SteppedClock) -> AsyncIterator[Composer]:
    composer = Composer(replace(site_of(site.here), clock=clock))
    try:
        yield composer
    finally:
        await composer.close()


async def schedules(composer: Composer) -> tuple[KeySchedule, KeySchedule]:
    """The vault's and the console's."""
    keys, clock = await composer.operator_keys(), composer.site.clock
    vault = await composer.database(Domain.VAULT, Login.VAULT)
    core = await composer.database(Domain.CORE, Login.CONSOLE)
    keyring = await composer.keyring(core, Purpose.IDENTITY, Purpose.AUDIT)
    return (
        vault_schedule(
            composer,
            PostgresDataKeyTable(vault, clock),
            (Purpose.CARD, Purpose.CREDENTIAL),
            keys.rotation,
        ),
        core_schedule(
            composer,
            PostgresDataKeyTable(core, clock),
            (Purpose.IDENTITY,),
            core_keys_of(composer, core, keyring, COLUMNS),
            await composer.recorder(core, keyring),
        ),
    )


async def records(site: Installed, domain: Domain, merchant: str) -> Sequence[dict[str, Any]]:
    """What the schedule did to a merchant's keys."""
    connection = await connect(site.here.bootstrap(f"strongroom_{domain}"))
    try:
        rows = await connection.fetch(
            "select payload from audit.event where merchant_id = $1", merchant
        )
    finally:
        await connection.close()
    found = [json.loads(row["payload"]) for row in rows]
    return [each for each in found if each["actor"] == ACTOR]


async def states(composer: Composer, merchant: str) -> dict[str, dict[int | None, str]]:
    found: dict[str, dict[int | None, str]] = {}
    for each in await (await composer.operator_keys()).inventory():
        if each.merchant == merchant:
            found.setdefault(each.name, {})[each.version] = each.state
    return found


async def looked(site: Installed) -> None:
    merchant, clock = new_id("mer"), SteppedClock(SystemClock().now())
    async with composer_of(site, clock) as first, composer_of(site, clock) as second:
        keys = await first.operator_keys()
        for name in ("card", "credentials", "fingerprint", "totp_secrets", "webhook_secrets"):
            await keys.rotate(merchant, Mode.TEST, name, None, "operator:tests")
        one, two = await schedules(first), await schedules(second)
        assert [await each.look() for each in one] == [0, 0], "nothing is past its period"
        clock.step(YEAR)
        done = await asyncio.gather(*(each.look() for each in (*one, *two)))
        assert (done[0] + done[2], done[1] + done[3]) == (2, 1), "each key once, whoever looks"
        assert await states(first, merchant) == {
            "card": {1: "retiring", 2: "active"},
            "credentials": {1: "retiring", 2: "active"},
            "fingerprint": {1: "active"},  # its period is longer
            "totp_secrets": {1: "retiring", 2: "active"},
            "webhook_secrets": {1: "active"},  # of a root that neither role has
        }
        assert [await each.look() for each in one] == [0, 0], "nor is anything any more"
    vault = await records(site, Domain.VAULT, merchant)
    assert sorted(each["action"] for each in vault) == [
        "keys.data_key.rotated",
        "keys.data_key.rotated",
        "vault.reseal.started",
        "vault.reseal.started",
    ]
    core = await records(site, Domain.CORE, merchant)
    assert sorted(each["action"] for each in core) == [
        "keys.data_key.rotated",
        "keys.reseal.started",
    ]


def test_what_is_past_its_period_is_rotated_once_and_recorded(site: Installed) -> None:
    asyncio.run(looked(site))


@pytest.mark.parametrize("automatic", [False, True])
def test_it_is_off_until_the_settings_say_so(site: Installed, *, automatic: bool) -> None:
    begun: list[str] = []

    class Watched(Composer):
        def periodic(self, tasks: Sequence[Task]) -> None:
            begun.extend(task.name for task in tasks)

    async def look() -> None:
        there = site_of(site.here)
        settings = replace(there.settings, key_rotation_automatic=automatic)
        composer = Watched(replace(there, settings=settings))
        try:
            for schedule in await schedules(composer):
                on_schedule(composer, "vault", schedule)
        finally:
            await composer.close()

    assert not site_of(site.here).settings.key_rotation_automatic, "off by default"
    asyncio.run(look())
    assert begun == (["key-schedule-vault"] * 2 if automatic else [])
