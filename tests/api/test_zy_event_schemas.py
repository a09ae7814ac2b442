# SPDX-License-Identifier: Apache-2.0
"""Every event that the API tests made is what its published schema says; and each kind was made at least once."""

import json
from pathlib import Path

import jsonschema
import pytest

from event_shapes import SCHEMAS, events_of, misshapen
from paying import DECLINED, WITH_CHALLENGE, open_shop, simulating
from service import Service
from strongroom.kernel.events import EventType
from strongroom.vault.events import EVENT_DATA

#: What needs a processor that contradicts itself is made in tests of decisions; `webhook.test` in those of endpoints;
#: what the vault tells in those of its jobs (`store.telling` holds each to its schema); what takes a service of its own
#: in `test_left_to_people`, a processor of its own in `store.test_stripe_unasked`, which look at the shape themselves.
ELSEWHERE = {
    EventType.PAYMENT_DISCREPANCY,
    EventType.PAYMENT_UNRESOLVED,
    EventType.DISPUTE_UPDATED,
    EventType.WEBHOOK_TEST,
    *EVENT_DATA,
}


async def test_every_event_is_what_its_schema_says(service: Service, tmp_path: Path) -> None:
    async with simulating(tmp_path, service) as simulated:
        shop = await open_shop(service, simulated)
        captured = (await shop.captured())["id"]
        refund = await shop.gateway.post(f"/v1/payments/{captured}/refunds", {"amount": 10})
        await simulated.control.happen("refund_failed", refund.json()["attempt"])
        await shop.pay(DECLINED)
        await shop.pay(WITH_CHALLENGE)
        held = (await shop.authorized())["id"]
        await shop.gateway.post(f"/v1/payments/{held}/cancel", {})
        failing = (await shop.authorized())["id"]
        await shop.gateway.post(f"/v1/payments/{failing}/capture", {})
        capture = (await shop.attempts(failing))[-1]["id"]
        await simulated.control.happen("capture_failed", capture)
        await shop.pay(amount=0)
        customer = (await shop.gateway.post("/v1/customers", {"name": "Amal"})).json()["id"]
        token = (await shop.token())["id"]
        path = f"/v1/customers/{customer}"
        await shop.gateway.post(f"{path}/cards", {"token": token})
        agreed = {"token": token, "method": "web", "text_version": "1"}
        mandate = await shop.gateway.post(f"{path}/mandates", agreed)
        await shop.gateway.post(f"{path}/mandates/{mandate.json()['id']}/revoke")
        await shop.gateway.delete(path)
        await shop.pay(amount=1_088)
        await shop.until_told()
    rows = await events_of(service)
    made = {row["type"] for row in rows} | {each.value for each in ELSEWHERE}
    assert sorted(set(EventType) - made) == [], "made by no test over HTTP"
    assert not misshapen(rows)


def test_sabotage_an_event_that_lacks_a_member_is_noticed() -> None:
    bare = {"id": "evt_1", "type": "payment.captured", "data": {"payment": {}}}
    assert misshapen([{"type": "payment.captured", "payload": json.dumps(bare)}])


@pytest.mark.parametrize("event_type", list(EventType))
def test_every_type_has_a_schema(event_type: EventType) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[event_type])
