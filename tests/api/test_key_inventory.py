# SPDX-License-Identifier: Apache-2.0
"""What the inventory says of a key's life, over HTTP and to operators; and how fast what moves its cards goes."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from paying import VISA
from polling import until
from service import Caller, Service, Tenant, wish
from strongroom.compose import Composer
from strongroom.db.logins import Domain
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.mode import Mode

#: A version of a key, as both inventories name it.
Version = tuple[str, int | None]
LIFE = ("made_at", "rotates_at", "overdue", "retired_at")


async def admin_of(service: Service, tenant: Tenant) -> Caller:
    return service.vault((await service.member(tenant.merchant)).key)


async def listed(admin: Caller) -> dict[Version, dict[str, Any]]:
    answer = await admin.get("/v1/keys/inventory")
    assert answer.status_code == 200, answer.text
    return {(each["name"], each["version"]): each for each in answer.json()["data"]}


async def listed_to_operators(service: Service, tenant: Tenant) -> dict[Version, dict[str, Any]]:
    """What `strongroom keys list` prints of a merchant's keys in the vault's database, and of the roots there."""

    def text(at: datetime | None) -> str | None:
        return None if at is None else rfc3339(at)

    composer, found = Composer(service.composer.site), dict[Version, dict[str, Any]]()
    try:
        keys = await (await composer.operator_keys()).inventory()
    finally:
        await composer.close()
    for each in keys:
        mine = (each.where, each.merchant, each.mode) == ("vault", tenant.merchant, Mode.TEST)
        if mine or (each.kind == "root" and each.name in ("card", "credential")):
            life = (each.made_at, each.rotates_at, each.overdue, each.retired_at)
            found[each.name, each.version] = dict(
                zip(LIFE, (at if isinstance(at, bool) else text(at) for at in life), strict=True)
            )
    return found


def later(at: str, days: int) -> str:
    return rfc3339(datetime.fromisoformat(at) + timedelta(days=days))


async def test_a_version_says_when_it_is_due_and_since_when_another_seals(service: Service) -> None:
    tenant = await service.tenant()
    await service.vault(tenant.keys[Mode.TEST]).token(VISA)
    admin = await admin_of(service, tenant)
    for name in ("card", "card", "idempotency"):
        assert (await admin.post("/v1/keys/rotate", {"name": name})).status_code == 200
    # Nothing opens with it: it is only listed, and was made longer ago than it may seal.
    await service.look(
        Domain.VAULT,
        "insert into keys.data_key (merchant_id, mode, name, version, purpose, state, wrapped, mac, made_at)"
        " values ($1, 'test', 'credentials', 1, 'credential', 'active', '', $2, now() - interval '366 days')",
        tenant.merchant,
        bytes(32),
    )
    try:
        found = await listed(admin)
        told = await listed_to_operators(service, tenant)
    finally:
        await service.look(
            Domain.VAULT,
            "delete from keys.data_key where merchant_id = $1 and name = 'credentials'",
            tenant.merchant,
        )
    made = {version: each["made_at"] for version, each in found.items()}
    #: rotates_at, overdue, retired_at
    expected: dict[Version, tuple[str | None, bool, str | None]] = {
        ("card", 1): (None, False, made["card", 2]),
        ("card", 2): (None, False, made["card", 3]),
        ("card", 3): (later(made["card", 3], 365), False, None),
        ("credentials", 1): (later(made["credentials", 1], 365), True, None),
        ("fingerprint", 1): (later(made["fingerprint", 1], 1_095), False, None),
        ("idempotency", 1): (None, False, made["idempotency", 2]),
        ("idempotency", 2): (later(made["idempotency", 2], 1_095), False, None),
        ("card", None): (later(made["card", None], 730), False, None),
        ("credential", None): (later(made["credential", None], 730), False, None),
    }
    life = LIFE[1:]
    assert {version: tuple(each[n] for n in life) for version, each in found.items()} == expected
    assert made["card", 1] < made["card", 2] < made["card", 3]
    assert told == {version: {n: each[n] for n in LIFE} for version, each in found.items()}


async def job_of(caller: Caller, job: str) -> dict[str, Any]:
    answer = await caller.get(f"/v1/jobs/{job}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.parametrize("name", ["card", "credentials", "fingerprint", "transfer"])
async def test_a_job_begins_with_the_rate_that_was_asked_for(service: Service, name: str) -> None:
    tenant = await service.tenant()
    admin = await admin_of(service, tenant)
    await admin.post("/v1/keys/rotate", {"name": name})  # there must be one before
    for route, rate in (("rotate", 7), ("rotate", None), ("reseal", 9), ("reseal", None)):
        body = {"name": name} if rate is None else {"name": name, "rate": rate}
        begun = await admin.post(f"/v1/keys/{route}", body)
        assert begun.status_code == 200, begun.text
        assert (await job_of(admin, begun.json()["job"]))["rate"] == rate


async def test_a_rate_is_refused_where_no_job_begins(service: Service) -> None:
    tenant = await service.tenant()
    await service.vault(tenant.keys[Mode.TEST]).token(VISA)
    admin = await admin_of(service, tenant)
    refused = await admin.post("/v1/keys/rotate", {"name": "idempotency", "rate": 7})
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert (error["pointer"], error["code"]) == ("/rate", "rate_not_taken")
    assert ("idempotency", 2) not in await listed(admin), "nothing was rotated"


async def test_a_job_under_way_says_how_long_it_will_take(service: Service) -> None:
    tenant = await service.tenant()
    shop = service.vault(tenant.keys[Mode.TEST])
    made = await shop.post("/v1/tokens/bulk", {"tokens": [wish(VISA) for _ in range(40)]})
    assert made.json()["created"] == 40
    admin = await admin_of(service, tenant)
    job = (await admin.post("/v1/keys/rotate", {"name": "card", "rate": 1})).json()["job"]
    sample = service.metrics.registry.get_sample_value

    async def under_way() -> dict[str, Any] | None:
        found = await job_of(shop, job)
        return found if found["done"] > 0 else None

    def told() -> bool:
        running = {"kind": "reseal", "state": "running"}
        left = sample("strongroom_vault_job_seconds_left", {"kind": "reseal"})
        return (sample("strongroom_vault_jobs", running) or 0) >= 1 and (left or 0) > 0

    try:
        found = await until(under_way)
        left = found["total"] - found["done"]
        assert found["state"] == "running"
        assert found["seconds_left"] >= left > 0, "it looks at one a second at most"
        await until(told, what="the process's gauges to say so")
    finally:
        ended = await shop.post(f"/v1/jobs/{job}/cancel")
    assert (ended.json()["state"], ended.json()["seconds_left"]) == ("canceled", None)
