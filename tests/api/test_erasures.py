# SPDX-License-Identifier: Apache-2.0
"""Erasures over HTTP, and what containers keep for days: a running service carries both to their end by itself."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from approving import Two
from database import Databases, Server, fresh_databases
from moved_clock import MovedClock
from polling import until
from revealing import VISA, Ground, revealing
from service import Caller, Service, running
from strongroom.db.logins import Domain
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.vault.rotation.model import RETIREMENT

MASTERCARD: Final = "5555555555554444"
MERCHANT_ERASURE: Final = "/v1/erasures/merchant"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def moved(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Service, MovedClock]]:
    clock = MovedClock()
    async with revealing(databases, tmp_path_factory.mktemp("erasures"), clock=clock) as service:
        yield service, clock


async def in_state(caller: Caller, path: str, state: str) -> dict[str, Any]:
    """Read something until it is in a state."""

    async def look() -> dict[str, Any] | None:
        found: dict[str, Any] = (await caller.get(path)).json()
        return found if found["state"] == state else None

    return await until(look, what=f"{path} to be {state}")


async def keys(service: Service, merchant: MerchantId, mode: Mode) -> dict[tuple[str, int], str]:
    """The states of a tenant's data keys; `opens` where there is still a key that opens what it sealed."""
    rows = await service.look(
        Domain.VAULT,
        "select name, version, state, octet_length(wrapped) as bytes from keys.data_key"
        " where merchant_id = $1 and mode = $2",
        merchant,
        mode.value,
    )
    return {
        (row["name"], row["version"]): "opens" if row["bytes"] else row["state"] for row in rows
    }


async def stored(service: Service, merchant: MerchantId, mode: Mode) -> int:
    """How many rows of a tenant hold a card or say which it is."""
    counts = " + ".join(
        f"(select count(*) from {table} where merchant_id = $1 and mode = $2)"
        for table in ("vault.token", "vault.card_identity")
    )
    ((count,),) = await service.look(Domain.VAULT, f"select {counts}", merchant, mode.value)
    return int(count)


async def shown(ground: Ground, token: str) -> str:
    """The number of a card as it is shown, or why it is not."""
    answer = await ground.ask(path=f"/v1/tokens/{token}/reveal")
    said = answer.json()
    return str(said["card"]["number"] if answer.status_code == 200 else said["code"])


async def test_erasures_come_to_their_end_and_survivors_open(
    moved: tuple[Service, MovedClock],
) -> None:
    service, clock = moved
    ground = await Ground.on(service)
    merchant, kept = ground.tenant.merchant, ground.token["id"]
    of_token = (await ground.vault.token(MASTERCARD))["id"]
    of_customer = (await ground.vault.token(MASTERCARD, metadata={"customer": "c-17"}))["id"]
    erasures = []
    for scope, of in (("token", of_token), ("customer", "c-17")):
        begun = await ground.vault.post("/v1/erasures", {scope: of, "at_once": True})
        assert begun.status_code == 201, begun.text
        assert (begun.json()["scope"], begun.json()["tokens"]) == (scope, 1)
        erasures.append(f"/v1/erasures/{begun.json()['id']}")
    for erasure in erasures:
        await in_state(ground.vault, erasure, "rotating")
    assert (await keys(service, merchant, Mode.TEST))["card", 1] == "opens", "others may cache it"
    clock.move(RETIREMENT)
    for erasure in erasures:
        ended = await in_state(ground.vault, erasure, "destroyed")
        assert ended["complete_at_is_final"] is True
    found = await keys(service, merchant, Mode.TEST)
    *past, current = [found[key] for key in sorted(found) if key[0] == "card"]
    assert (set(past), current) == ({"destroyed"}, "opens")
    assert [await shown(ground, token) for token in (of_token, of_customer, kept)] == [
        "token_unknown",
        "token_unknown",
        VISA,
    ]
    clock.move(timedelta(days=service.settings.key_backup_days))
    for erasure in erasures:
        await in_state(ground.vault, erasure, "complete")


async def test_a_merchant_is_erased_when_another_person_has_approved_it(
    moved: tuple[Service, MovedClock],
) -> None:
    service, _ = moved
    ground, stranger = await Ground.on(service), await Ground.on(service)
    merchant, vault = ground.tenant.merchant, ground.vault
    await vault.token(MASTERCARD, deduplicate=True)
    imports = {}
    for mode in Mode:
        begun = await service.vault(ground.tenant.keys[mode]).post("/v1/imports", {"format": "csv"})
        imports[mode] = f"/v1/imports/{begun.json()['id']}"
    two = Two(service.vault(ground.asker.key), service.console(ground.other.key))
    approval = await two.approved(MERCHANT_ERASURE, {"merchant": merchant})
    assert (await vault.get("/v1/erasures")).json()["data"] == [], "approved is not yet done"

    answer = await two.used(approval, MERCHANT_ERASURE, {"merchant": merchant})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["scope"], made["requested_by"]) == ("merchant", ground.asker.id)
    again = await two.used(approval, MERCHANT_ERASURE, {"merchant": merchant})
    assert (again.status_code, again.json()["code"]) == (403, "approval_not_usable")
    await in_state(vault, f"/v1/erasures/{made['id']}", "destroyed")
    assert set((await keys(service, merchant, Mode.TEST)).values()) == {"destroyed"}

    async def rows_gone() -> bool:
        return await stored(service, merchant, Mode.TEST) == 0

    await until(rows_gone, what="the cards' rows to be deleted")
    await in_state(vault, imports[Mode.TEST], "canceled")
    refused = await vault.tokenize(VISA)
    assert (refused.status_code, refused.json()["code"]) == (403, "merchant_erased")
    assert await shown(ground, ground.token["id"]) == "token_unknown"
    # The other mode and other merchants are none of it.
    live = service.vault(ground.tenant.keys[Mode.LIVE])
    assert (await live.get(imports[Mode.LIVE])).json()["state"] == "open"
    assert await shown(stranger, stranger.token["id"]) == VISA


async def test_an_approval_does_not_let_anybody_erase_another_merchant(
    moved: tuple[Service, MovedClock],
) -> None:
    service, _ = moved
    ground, stranger = await Ground.on(service), await Ground.on(service)
    two = Two(service.vault(ground.asker.key), service.console(ground.other.key))
    answer = await two.done(MERCHANT_ERASURE, {"merchant": stranger.tenant.merchant})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "not_confirmed")
    for each in (ground, stranger):
        assert (await each.vault.get("/v1/erasures")).json()["data"] == []


async def test_what_a_container_kept_for_its_days_is_deleted(
    server: Server, tmp_path: Path
) -> None:
    """A service that starts looks at once: it begins with what became due while none ran."""
    clock = MovedClock()

    def served(databases: Databases) -> AbstractAsyncContextManager[Service]:
        return running(databases, tmp_path, clock=clock, listens=False, worker=False)

    async with fresh_databases(server) as databases:
        async with served(databases) as service:
            tenants = [await service.tenant() for _ in range(2)]
            vault, other = (service.vault(each.keys[Mode.TEST]) for each in tenants)
            put = await vault.post("/v1/containers", {"name": "default", "retention_days": 30})
            assert put.status_code == 200, put.text
            past, elsewhere = [(await each.token(VISA))["id"] for each in (vault, other)]
            clock.move(timedelta(days=20))
            young = (await vault.token(MASTERCARD))["id"]
        clock.move(timedelta(days=10, seconds=1))
        async with served(databases) as service:
            vault, other = (service.vault(each.keys[Mode.TEST]) for each in tenants)

            async def deleted() -> bool:
                return (await vault.get(f"/v1/tokens/{past}")).status_code == 404

            await until(deleted, what="the card to be deleted")
            for caller, token in ((vault, young), (other, elsewhere)):
                assert (await caller.get(f"/v1/tokens/{token}")).status_code == 200
            (job,) = (await vault.get("/v1/jobs")).json()["data"]
            assert (job["kind"], job["created_by"]) == ("retention", "system:retention")
            # The key that sealed it is destroyed, as that of any card that is deleted.
            (erasure,) = (await vault.get("/v1/erasures")).json()["data"]
            assert (erasure["scope"], erasure["tokens"]) == ("deleted", 1)
