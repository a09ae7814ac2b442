# SPDX-License-Identifier: Apache-2.0
"""Who can make a key or a service that reveals: nobody alone, and nothing has the permission without its name."""

from collections.abc import Mapping
from typing import Any

import pytest

from api.test_services import machine
from approving import Two, two_admins
from jwt_maker import EdKey
from service import Caller, Service, Tenant
from strongroom.identity.grants import GRANTABLE, NAMED_ONLY
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind

REVEAL = Permission.VAULT_TOKEN_REVEAL
KEY: Mapping[str, Any] = {"kind": "rk", "name": "disputes", "permissions": [REVEAL]}


def at_gateway(service: Service, two: Two) -> Two:
    return Two(Caller(service.clients["gateway"], two.asker.key), two.approver)


async def test_a_key_that_reveals_takes_two_people_and_says_what_it_may(
    service: Service, tenant: Tenant
) -> None:
    two = at_gateway(service, await two_admins(service, tenant.merchant))
    made = await two.done("/v1/keys", KEY)
    assert made.status_code == 201, made.text
    assert made.json()["permissions"] == [REVEAL]
    listed = (await two.asker.get("/v1/keys")).json()["data"]
    (shown,) = [each for each in listed if each["id"] == made.json()["id"]]
    assert shown["permissions"] == [REVEAL]


@pytest.mark.parametrize("permissions", [[REVEAL], [Permission.VAULT_TOKEN_READ, REVEAL]])
async def test_nobody_makes_one_alone(
    service: Service, tenant: Tenant, permissions: list[str]
) -> None:
    two = at_gateway(service, await two_admins(service, tenant.merchant))
    answer = await two.asker.post("/v1/keys", {**KEY, "permissions": permissions})
    assert answer.status_code == 202
    machine_key = service.gateway(tenant.keys[Mode.TEST])
    assert (await machine_key.post("/v1/keys", {**KEY})).status_code == 403


async def test_another_key_takes_one(service: Service, tenant: Tenant) -> None:
    two = at_gateway(service, await two_admins(service, tenant.merchant))
    # What an admin may not do, their key may not either: of what they may, one without card numbers.
    body = {**KEY, "permissions": [Permission.AUDIT_RECORD_READ]}
    assert (await two.asker.post("/v1/keys", body)).status_code == 201


async def test_a_secret_key_does_not_have_it(service: Service, tenant: Tenant) -> None:
    made = await service.key(tenant.merchant, KeyKind.SECRET)
    assert {REVEAL} == NAMED_ONLY
    assert NAMED_ONLY.isdisjoint(made.key.permissions)
    assert NAMED_ONLY.isdisjoint(GRANTABLE[KeyKind.PUBLIC])


async def test_a_service_that_reveals_takes_two_people_and_so_do_its_keys(
    service: Service, tenant: Tenant
) -> None:
    two = await two_admins(service, tenant.merchant)
    body = {"name": "disputes", "permissions": [REVEAL], "jwks": {"keys": [EdKey().jwk]}}
    assert (await two.asker.post("/v1/services", body)).status_code == 202
    made = await two.done("/v1/services", body)
    assert made.status_code == 201, made.text
    path = f"/v1/services/{made.json()['id']}/keys"
    keys = {"jwks": {"keys": [EdKey().jwk]}}
    assert (await two.asker.post(path, keys)).status_code == 202
    by_key = await service.console(tenant.keys[Mode.TEST]).post(path, keys)
    assert by_key.status_code in (401, 403)
    assert (await two.done(path, keys)).status_code == 200
    other = await machine(service, EdKey(), tenant)
    alone = await two.asker.post(f"/v1/services/{other.id}/keys", {"jwks": {"keys": [EdKey().jwk]}})
    assert alone.status_code == 200, alone.text
