# SPDX-License-Identifier: Apache-2.0
"""Roles as processes: what each says of itself, and what a vault that dies or is away means for money."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from apart import Apart, Till, apart, till
from paying import VISA
from polling import until
from strongroom.config.roles import ServedRole

pytestmark = pytest.mark.timeout(300)
ROLES = (ServedRole.VAULT, ServedRole.GATEWAY, ServedRole.WORKER)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def made(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Apart]:
    with apart() as lent:
        await lent.start(ROLES)
        yield lent


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(made: Apart, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Till]:
    async with till(made, tmp_path_factory.mktemp("simulator")) as opened:
        yield opened


async def begun(log: Path) -> dict[str, Any]:
    """Wait for the line that says that a process started."""

    def read() -> dict[str, Any] | None:
        lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
        return next((line for line in lines if line["event_type"] == "process.started"), None)

    async def look() -> dict[str, Any] | None:
        return await asyncio.to_thread(read)

    return await until(look, what="the log to say that it began")


async def settled(shop: Till, payment: str) -> dict[str, str]:
    """Wait until a payment's attempt has a final outcome; return the attempt."""

    async def look() -> dict[str, str] | None:
        answer = await shop.gateway.get(f"/v1/payments/{payment}/attempts")
        (attempt,) = answer.json()["data"]
        return attempt if attempt["outcome"] in ("approved", "not_sent", "declined") else None

    return await until(look, what=f"{payment} to be settled")


async def times_done(shop: Till, attempt: str) -> int:
    """How often the simulator acted on an attempt."""
    journal = await shop.simulated.control.journal(account="acct_apart")
    return sum(entry.reference == attempt for entry in journal)


async def test_each_process_says_which_role_it_is(made: Apart) -> None:
    for role in ROLES:
        started = await begun(made.log_of(role))
        assert (started["role"], started["port"]) == (role, made.ports[role])
        text = await made.metrics(role)
        assert f'strongroom_build_info{{role="{role}"' in text
        certificate = "server" if role is ServedRole.VAULT else role
        assert (
            f'strongroom_internal_certificate_ends_seconds{{certificate="{certificate}"}}' in text
        )
    assert "vault_internal" in made.said_by(ServedRole.VAULT)
    assert set(await made.ready(ServedRole.WORKER)) == {"core_database", "key_store", "vault"}


async def test_a_vault_that_dies_under_a_call_leaves_it_unknown_and_it_is_found_once(
    made: Apart, shop: Till
) -> None:
    await shop.simulated.control.faults(latency_ms=3_000)
    call = asyncio.create_task(shop.pay(VISA))

    async def acted() -> bool | None:
        return bool(await shop.simulated.control.journal(account="acct_apart")) or None

    await until(acted, what="the processor to act")
    process = made.processes.pop(ServedRole.VAULT)
    process.send_signal(signal.SIGKILL)
    process.wait()
    answer = await call
    await shop.simulated.control.faults(latency_ms=0)
    assert (answer.status_code, answer.json()["status"]) == (202, "processing"), answer.text
    made.begin(ServedRole.VAULT)
    await made.ready(ServedRole.VAULT)
    attempt = await settled(shop, answer.json()["id"])
    assert attempt["outcome"] == "approved"
    assert await times_done(shop, attempt["id"]) == 1


async def test_a_vault_that_is_away_was_not_asked(made: Apart, shop: Till) -> None:
    token = await shop.vault.token(VISA)
    wish = {"amount": 700, "currency": "AED", "token": token["id"]}
    payment = (await shop.gateway.post("/v1/payments", wish)).json()["id"]
    assert made.end(ServedRole.VAULT) == 0
    before = await shop.simulated.control.journal(account="acct_apart")
    refused = await shop.gateway.post(f"/v1/payments/{payment}/confirm", {})
    assert (refused.status_code, refused.json()["code"]) == (503, "vault_port_away")
    attempts = (await shop.gateway.get(f"/v1/payments/{payment}/attempts")).json()["data"]
    assert all(each["outcome"] == "not_sent" for each in attempts)
    assert await shop.simulated.control.journal(account="acct_apart") == before
    assert (await shop.gateway.get("/readyz")).json()["checks"]["vault"] == "VaultPortAway"
    refused = await shop.gateway.post("/v1/payments", wish)
    assert (refused.status_code, refused.json()["code"]) == (503, "vault_port_away")
    made.begin(ServedRole.VAULT)
    await made.ready(ServedRole.VAULT)
    await made.ready(ServedRole.GATEWAY)
    answer = await shop.gateway.post(f"/v1/payments/{payment}/confirm", {})
    assert answer.json()["status"] == "succeeded", answer.text


async def test_what_happens_in_a_vault_apart_is_an_event_once_even_if_it_is_killed(
    made: Apart, shop: Till
) -> None:
    """The worker is away while it happens; the vault is killed before anybody has asked what it tells."""
    begun = await shop.vault.post("/v1/imports", {"format": "csv"})
    assert made.end(ServedRole.WORKER) == 0
    canceled = await shop.vault.post(f"/v1/imports/{begun.json()['id']}/cancel", {})
    assert canceled.status_code == 200, canceled.text
    process = made.processes.pop(ServedRole.VAULT)
    process.send_signal(signal.SIGKILL)
    process.wait()
    made.begin(ServedRole.WORKER)

    async def heard() -> list[dict[str, Any]] | None:
        answer = await shop.gateway.get("/v1/events?type=import.canceled")
        assert answer.status_code == 200, answer.text
        return list(answer.json()["data"]) or None

    assert await heard() is None
    made.begin(ServedRole.VAULT)
    for role in (ServedRole.VAULT, ServedRole.WORKER, ServedRole.GATEWAY):
        await made.ready(role)
    (event,) = await until(heard, what="the event")
    assert event["data"]["import"]["id"] == begun.json()["id"]
    another = await shop.vault.post("/v1/imports", {"format": "csv"})
    await shop.vault.post(f"/v1/imports/{another.json()['id']}/cancel", {})

    async def both() -> bool | None:
        found = await heard() or []
        return (
            sorted(each["data"]["import"]["id"] for each in found)
            == sorted((begun.json()["id"], another.json()["id"]))
            or None
        )

    await until(both, what="the second one")


def test_the_folder_of_a_role_holds_its_own_keys(made: Apart) -> None:
    names = {each.name for each in Path(made.site.state / "keys").iterdir()}
    assert {f"{role}.sealed" for role in ServedRole} < names
