# SPDX-License-Identifier: Apache-2.0
"""What another person approved is really done, once: ids are replaced, and a version of a key is destroyed.

Erasing a merchant, which takes two people as well: `test_erasures.py`.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final

import pytest
import pytest_asyncio

from approving import Two
from database import Databases
from moved_clock import MovedClock
from polling import until
from revealing import VISA, Ground, revealing
from service import Caller, Service
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.vault.rotation.model import RETIREMENT

MASTERCARD: Final = "5555555555554444"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def moved(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Service, MovedClock]]:
    clock = MovedClock()
    async with revealing(databases, tmp_path_factory.mktemp("acts"), clock=clock) as service:
        yield service, clock


async def two_of(ground: Ground) -> Two:
    """Two admins of a ground, who have just logged in."""
    asker, other = [
        await ground.service.log_in(each.person) for each in (ground.asker, ground.other)
    ]
    return Two(ground.service.vault(asker.key), ground.service.console(other.key))


async def job_done(caller: Caller, job: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        found: dict[str, Any] = (await caller.get(f"/v1/jobs/{job}")).json()
        return found if found["state"] == "done" else None

    return await until(look, what="the job to end")


async def shown(ground: Ground, token: str) -> tuple[str, str]:
    """Which token an id is, and the number of its card; or why it is none."""
    answer = await ground.ask(path=f"/v1/tokens/{token}/reveal")
    said = answer.json()
    return (said["token"], said["card"]["number"]) if answer.is_success else ("", said["code"])


@pytest.mark.parametrize("alias_days", [0, 30])
async def test_tokens_get_other_ids_when_another_person_has_approved_it(
    moved: tuple[Service, MovedClock], alias_days: int
) -> None:
    service, clock = moved
    ground = await Ground.on(service)
    vault, left = ground.vault, ground.token["id"]
    numbers = {(await vault.token(number))["id"]: number for number in (VISA, MASTERCARD)}
    two = await two_of(ground)
    wish = {"tokens": list(numbers), "alias_days": alias_days}
    approval = await two.approved("/v1/retokenizations", wish)
    assert (await vault.get("/v1/jobs")).json()["data"] == [], "approved is not yet done"

    wider = await two.used(approval, "/v1/retokenizations", {"alias_days": alias_days})
    assert (wider.status_code, wider.json()["code"]) == (403, "approval_not_usable")
    answer = await two.used(approval, "/v1/retokenizations", wish)
    assert answer.status_code == 201, answer.text
    job = answer.json()
    assert (job["kind"], job["total"], job["created_by"]) == ("retokenize", 2, ground.asker.id)
    again = await two.used(approval, "/v1/retokenizations", wish)
    assert (again.status_code, again.json()["code"]) == (403, "approval_not_usable")

    ended = await job_done(vault, job["id"])
    assert (ended["done"], ended["refused"]) == (2, 0)
    page = (await vault.get(f"/v1/retokenizations/{job['id']}/mapping")).json()["data"]
    became = {each["old"]: each["new"] for each in page}
    assert became.keys() == numbers.keys()
    assert not became.keys() & set(became.values())
    dead = ("", "token_unknown")
    for old, number in numbers.items():
        card = (became[old], number)
        assert await shown(ground, became[old]) == card
        assert await shown(ground, old) == (card if alias_days else dead)
    assert await shown(ground, left) == (left, VISA), "it was not named"
    assert len((await vault.get("/v1/jobs")).json()["data"]) == 1

    clock.move(timedelta(days=alias_days))
    for old, number in numbers.items():
        assert await shown(ground, old) == dead
        assert await shown(ground, became[old]) == (became[old], number)


async def test_in_live_mode_two_people_may_what_an_operator_may_not_if_access_rules_let_them(
    moved: tuple[Service, MovedClock],
) -> None:
    service, _ = moved
    tenant = await service.tenant()
    asker, other = [await service.member(tenant.merchant, mode=Mode.LIVE) for _ in range(2)]
    two = Two(service.vault(asker.key), service.console(other.key))
    refused = await two.done("/v1/retokenizations", {})
    assert (refused.status_code, refused.json()["code"]) == (403, "vault_access_refused")
    rule = {"container": "default", "priority": 1, "access": "use"}
    made = await two.asker.post(
        "/v1/access-rules", {**rule, "grantee_kind": "person", "grantee": asker.id}
    )
    assert made.status_code == 201, made.text
    answer = await two.done("/v1/retokenizations", {})
    assert answer.status_code == 201, answer.text
    assert answer.json()["mode"] == "live"
    ended = await job_done(two.asker, answer.json()["id"])
    assert ended["done"] == 0, "no card made for testing is there"


async def test_a_key_version_is_destroyed_when_another_person_has_approved_it(
    moved: tuple[Service, MovedClock],
) -> None:
    service, clock = moved
    ground = await Ground.on(service)
    rotated = await (await two_of(ground)).asker.post("/v1/keys/rotate", {"name": "card"})
    assert rotated.status_code == 200, rotated.text
    clock.move(RETIREMENT)
    await job_done(ground.vault, rotated.json()["job"])

    async def versions() -> dict[int, tuple[str, bool]]:
        """The state of each version of the card key, and whether there is still a key that opens what it sealed."""
        rows = await service.look(
            Domain.VAULT,
            "select version, state, wrapped <> '' as opens from keys.data_key"
            " where merchant_id = $1 and mode = $2 and name = 'card'",
            ground.tenant.merchant,
            Mode.TEST.value,
        )
        return {row["version"]: (row["state"], row["opens"]) for row in rows}

    two, wish = await two_of(ground), {"name": "card", "version": 1}
    approval = await two.approved("/v1/keys/destroy", wish)
    assert await versions() == {1: ("retiring", True), 2: ("active", True)}
    answer = await two.used(approval, "/v1/keys/destroy", wish)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"object": "key", **wish, "state": "destroyed"}
    assert await versions() == {1: ("destroyed", False), 2: ("active", True)}
    assert await shown(ground, ground.token["id"]) == (ground.token["id"], VISA)
    (record,) = await ground.records("keys.data_key.destroyed")
    assert (record["actor"], record["details"]["key_version"]) == (ground.asker.id, 1)
    inventory = (await two.asker.get("/v1/keys/inventory")).json()["data"]
    (found,) = [each for each in inventory if (each["name"], each["version"]) == ("card", 1)]
    assert found["state"] == "destroyed"
