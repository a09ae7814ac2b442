# SPDX-License-Identifier: Apache-2.0
"""The demo's merchant: hears what standardwebhooks verifies, once, and whatever else comes is refused."""

import json
from datetime import UTC, datetime

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from strongroom.cli.scenario.places import free_listener
from strongroom.cli.scenario.shop import NotHeard, open_shop
from strongroom.config import Listener

SECRET = "whsec_" + "c3Ryb25ncm9vbSBzaG9wIHRlc3Qgc2VjcmV0IDMyYnl0ZXM="
BODY = json.dumps({"id": "evt_1", "type": "payment.captured", "data": {"payment": {"id": "pay_1"}}})


def signed(body: str, event_id: str = "evt_1") -> dict[str, str]:
    now = datetime.now(UTC)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign(event_id, now, body),
    }


async def test_an_event_is_heard_once_however_often_it_comes() -> None:
    async with (
        open_shop(free_listener(Listener("127.0.0.1", 0))) as shop,
        httpx.AsyncClient() as http,
    ):
        shop.trust(SECRET)
        told: list[str] = []
        shop.told = lambda heard: told.append(str(heard))
        for _ in range(3):
            answer = await http.post(shop.events_url, content=BODY, headers=signed(BODY))
            assert answer.status_code == 204
        heard = await shop.hears("pay_1", "payment.captured")
        assert (heard.type, heard.payment, heard.attempt) == ("payment.captured", "pay_1", 1)
        assert (shop.deliveries, shop.again, shop.refused) == (3, 2, 0)
        assert told == ["payment.captured pay_1"]
        assert BODY.encode() in shop.received


@pytest.mark.parametrize(
    "headers",
    [
        {},
        signed(BODY.replace("captured", "declined")),
        signed(BODY) | {"webhook-id": "evt_2"},
        signed(BODY) | {"webhook-timestamp": "1"},
        signed(BODY) | {"webhook-signature": "v1"},
        signed(BODY) | {"webhook-signature": "v1,?"},
    ],
)
async def test_what_does_not_verify_is_refused_and_not_heard(headers: dict[str, str]) -> None:
    async with (
        open_shop(free_listener(Listener("127.0.0.1", 0))) as shop,
        httpx.AsyncClient() as http,
    ):
        shop.trust(SECRET)
        assert (await http.post(shop.events_url, content=BODY, headers=headers)).status_code == 401
        assert (shop.heard, shop.refused) == ({}, 1)
        with pytest.raises(NotHeard):
            await shop.until(lambda: bool(shop.heard), seconds=0.01)


async def test_before_a_secret_is_known_nothing_is_believed() -> None:
    async with (
        open_shop(free_listener(Listener("127.0.0.1", 0))) as shop,
        httpx.AsyncClient() as http,
    ):
        answer = await http.post(shop.events_url, content=BODY, headers=signed(BODY))
        assert answer.status_code == 401


async def test_a_server_that_is_ill_hears_at_the_next_try() -> None:
    async with (
        open_shop(free_listener(Listener("127.0.0.1", 0))) as shop,
        httpx.AsyncClient() as http,
    ):
        shop.trust(SECRET)
        shop.fall_ill(1)
        statuses = [
            (await http.post(shop.events_url, content=BODY, headers=signed(BODY))).status_code
            for _ in range(2)
        ]
        assert statuses == [503, 204]
        assert (await shop.hears("pay_1", "payment.captured")).attempt == 2
        assert (await http.get(shop.thanks_url)).status_code == 200
        assert (await http.get(shop.url)).status_code == 404
        assert shop.customers == 1
