# SPDX-License-Identifier: Apache-2.0
"""Security events: told once, after the commit, with severity and audit record; never what did not happen."""

import json
from typing import Any

import pytest

from service import OPERATOR, Service
from strongroom.audit import Action, Origin
from strongroom.db.logins import Domain
from strongroom.kernel.errors import Denied
from strongroom.kernel.mode import Mode


def events(service: Service, thing: str) -> list[dict[str, Any]]:
    lines = map(json.loads, service.log_text().splitlines())
    return [
        each
        for each in lines
        if each["event_type"] == "security.event" and each.get("object_id") == thing
    ]


def counted(service: Service, action: Action, severity: str) -> float:
    labels = {"action": action.value, "severity": severity}
    value = service.metrics.registry.get_sample_value("strongroom_security_events_total", labels)
    return value or 0.0


async def test_an_act_is_told_with_the_record_that_proves_it(service: Service) -> None:
    before = counted(service, Action.IDENTITY_KEY_CREATED, "medium")
    tenant = await service.tenant()
    key = await service.key(tenant.merchant)
    (event,) = events(service, key.key.key_id)
    assert (event["action"], event["severity"]) == ("identity.key.created", "medium")
    assert (event["user_id"], event["merchant_id"]) == (OPERATOR, tenant.merchant)
    assert (event["outcome"], event["level"]) == ("success", "warning")
    (row,) = await service.look(
        Domain.CORE,
        "select leaf_hash, payload from audit.event where event_id = $1",
        event["audit_event_id"],
    )
    assert row["leaf_hash"].hex() == event["leaf_hash"]
    assert json.loads(row["payload"])["object"] == key.key.key_id
    assert counted(service, Action.IDENTITY_KEY_CREATED, "medium") - before == 3


async def test_what_was_rolled_back_is_not_told(service: Service) -> None:
    tenant = await service.tenant()
    app: Any = service.edges["console"]._app
    recorder = app.state.identity._recorder
    thing = "key_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
    record = recorder.make(
        Action.IDENTITY_KEY_REVOKED,
        actor=OPERATOR,
        merchant=tenant.merchant,
        mode=Mode.TEST,
        thing=thing,
        origin=Origin(),
        now=service.composer.site.clock.now(),
    )

    async def rolled_back() -> None:
        async with recorder.database.transaction([tenant.merchant]) as tx:
            await recorder.insert(tx, record)
            raise Denied

    with pytest.raises(Denied):
        await rolled_back()
    assert events(service, thing) == []
    async with recorder.database.transaction([tenant.merchant]) as tx:
        await recorder.insert(tx, record)
        assert events(service, thing) == []  # not before the commit either
    assert len(events(service, thing)) == 1


async def test_ordinary_business_is_not_told(service: Service) -> None:
    shop = await service.shop()
    token = await shop.token("4242424242424242")
    assert events(service, token["id"]) == []


async def test_denials_are_told_by_their_listener(service: Service) -> None:
    before = counted(service, Action.HTTP_REQUEST_DENIED, "low")
    answer = await service.gateway("sk_test_nonsense").get("/v1/keys")
    assert answer.status_code == 401
    app: Any = service.edges["gateway"]
    await app._watcher._denials.flush()
    assert counted(service, Action.HTTP_REQUEST_DENIED, "low") > before
    assert events(service, "listener:gateway")[-1]["outcome"] == "denied"
