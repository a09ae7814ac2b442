# SPDX-License-Identifier: Apache-2.0
"""Keys over HTTP: who may rotate and destroy them, and that two people destroy."""

from typing import Any

from approving import Two
from members import Member
from paying import VISA
from polling import until
from service import Caller, Service, Tenant
from strongroom.compose.key_periods import KeyPeriodWatch
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain, Login
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Role
from strongroom.keys import Purpose
from strongroom.keys.store import PostgresDataKeyTable


def at_vault(service: Service, member: Member) -> Caller:
    return service.vault(member.key)


async def test_a_person_rotates_and_the_vault_seals_anew(service: Service) -> None:
    tenant: Tenant = await service.tenant()
    shop = service.vault(tenant.keys[Mode.TEST])
    token = await shop.token(VISA)
    admin = at_vault(service, await service.member(tenant.merchant))
    rotated = await admin.post("/v1/keys/rotate", {"name": "card"})
    assert rotated.status_code == 200, rotated.text
    assert rotated.json()["version"] == 2
    job = rotated.json()["job"]

    async def done() -> bool:
        return bool((await admin.get(f"/v1/jobs/{job}")).json()["state"] == "done")

    await until(done)
    rows = await service.look(
        Domain.VAULT, "select key_version from vault.token where token_id = $1", token["id"]
    )
    assert [row[0] for row in rows] == [2]
    found = (await admin.get("/v1/keys/inventory")).json()["data"]
    states = {(each["name"], each["version"]): each["state"] for each in found}
    assert states["card", 1] == "retiring"
    assert states["card", None] == "enabled"
    uses = {(each["name"], each["version"]): each["uses"] for each in found}
    assert (uses["card", 1], uses["card", 2]) == (0, 1)


async def test_the_inventory_says_what_stored_cards_are_sealed_with(service: Service) -> None:
    tenant = await service.tenant()
    await service.vault(tenant.keys[Mode.TEST]).token(VISA)
    admin = at_vault(service, await service.member(tenant.merchant))

    async def card() -> tuple[str, list[str], int]:
        found = (await admin.get("/v1/keys/inventory")).json()["data"]
        (key,) = [each for each in found if (each["name"], each["version"]) == ("card", 1)]
        return key["algorithm"], key["algorithms_in_use"], key["uses"]

    assert await card() == ("A256CBC-HS512", ["A256CBC-HS512"], 1)
    begun = await admin.post("/v1/keys/reseal", {"name": "card", "algorithm": "A256GCM"})
    assert begun.status_code == 200, begun.text

    async def moved() -> bool:
        return await card() == ("A256CBC-HS512", ["A256GCM"], 1)

    await until(moved)


async def test_two_people_destroy_and_nobody_before_its_time(service: Service) -> None:
    tenant = await service.tenant()
    await service.vault(tenant.keys[Mode.TEST]).token(VISA)
    admin, other = [await service.member(tenant.merchant) for _ in range(2)]
    await at_vault(service, admin).post("/v1/keys/rotate", {"name": "card"})
    two = Two(at_vault(service, admin), service.console(other.key))
    early: Any = await two.done("/v1/keys/destroy", {"name": "card", "version": 1})
    assert (early.status_code, early.json()["code"]) == (409, "key_still_serves")
    current: Any = await two.done("/v1/keys/destroy", {"name": "card", "version": 2})
    assert current.json()["code"] == "key_is_current"
    unknown: Any = await two.done("/v1/keys/destroy", {"name": "card", "version": 7})
    assert unknown.status_code == 404


async def test_no_key_and_no_other_role_rotates(service: Service, tenant: Tenant) -> None:
    for route, body in (
        ("rotate", {"name": "card"}),
        ("reseal", {"name": "card"}),
        ("destroy", {"name": "card", "version": 1}),
    ):
        machine = await service.vault(tenant.keys[Mode.TEST]).post(f"/v1/keys/{route}", body)
        assert machine.status_code == 403
        auditor = await service.member(tenant.merchant, Role.AUDITOR)
        assert (await at_vault(service, auditor).post(f"/v1/keys/{route}", body)).status_code == 403
        plain = await service.member(tenant.merchant, stepped_up=False)
        answer = await at_vault(service, plain).post(f"/v1/keys/{route}", body)
        assert (answer.status_code, answer.json()["code"]) == (401, "step_up_needed")
    assert (await at_vault(service, auditor).get("/v1/keys/inventory")).status_code == 200


async def test_a_key_that_is_made_is_recorded(service: Service) -> None:
    tenant = await service.tenant()
    await service.vault(tenant.keys[Mode.TEST]).token(VISA)
    rows = await service.look(
        Domain.VAULT,
        "select convert_from(payload, 'utf8')::jsonb -> 'details' ->> 'purpose' from audit.event"
        " where merchant_id = 'platform' and convert_from(payload, 'utf8')::jsonb ->> 'object' = $1"
        " and convert_from(payload, 'utf8')::jsonb ->> 'action' = 'keys.data_key.created' order by 1",
        tenant.merchant,
    )
    assert [row[0] for row in rows] == ["card", "fingerprint", "idempotency"]


async def test_a_key_beyond_its_period_is_told(service: Service) -> None:
    """By metric and in the log: for whoever has no look at the inventory."""
    merchant = new_id("mer")
    await service.look(
        Domain.VAULT,
        "insert into keys.data_key (merchant_id, mode, name, version, purpose, state, wrapped, mac, made_at)"
        " values ($1, 'test', 'credentials', 1, 'credential', 'active', '', $2, now() - interval '400 days')",
        merchant,
        bytes(32),
    )
    database = await service.databases.open(Domain.VAULT, Login.VAULT, connections_max=1)
    watch = KeyPeriodWatch(
        service.composer, Domain.VAULT, PostgresDataKeyTable(database), (Purpose.CREDENTIAL,)
    )
    try:
        await watch.look()
        labels = {"domain": "vault", "name": "credentials"}
        value = service.metrics.registry.get_sample_value
        assert value("strongroom_keys_overdue", labels) == 1
        assert (value("strongroom_key_age_seconds", labels) or 0) > 399 * 86_400
        assert value("strongroom_keys_overdue", {**labels, "name": "root:credential"}) == 0
        assert '"event_type":"keys.overdue"' in service.log_text()
    finally:
        await service.look(
            Domain.VAULT, "delete from keys.data_key where merchant_id = $1", merchant
        )
    await watch.look()
    assert value("strongroom_keys_overdue", labels) == 0
