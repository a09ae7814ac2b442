# SPDX-License-Identifier: Apache-2.0
"""Endpoints and events over a real database: recorded, sealed, refused, apart by tenant and mode, delivered anew."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import msgspec
import pytest
import pytest_asyncio

from database import Databases
from peer import says
from store.webhook_ground import OK, WebhookGround, verified, webhook_ground
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.egress import DestinationRefused
from strongroom.kernel.errors import Invalid, NotThere
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.keys import KeyStoreUnavailable
from strongroom.webhooks.endpoints import ENDPOINTS_MAX
from strongroom.webhooks.errors import (
    EndpointDisabled,
    EndpointsFull,
    EndpointUnknown,
    EventUnknown,
)
from strongroom.webhooks.events import Search
from strongroom.webhooks.model import EndpointChange, EndpointStatus, EndpointWish

URL = "https://shop.example/webhooks"


@pytest_asyncio.fixture(loop_scope="session")
async def ground(databases: Databases) -> AsyncIterator[WebhookGround]:
    async with webhook_ground(databases) as made:
        yield made


async def test_every_change_is_recorded(ground: WebhookGround) -> None:
    caller = ground.caller()
    made = await ground.endpoint(URL, EventType.PAYMENT_CAPTURED, EventType.REFUND_CREATED)
    endpoint = made.endpoint.endpoint_id
    off = EndpointChange(status=EndpointStatus.DISABLED)
    assert (await ground.endpoints.change(caller, endpoint, off)).disabled_reason == "by_merchant"
    on = EndpointChange(status=EndpointStatus.ACTIVE, description="orders")
    again = await ground.endpoints.change(caller, endpoint, on)
    assert (again.status, again.disabled_reason, again.description) == ("active", None, "orders")
    await ground.endpoints.change(caller, endpoint, EndpointChange(description="orders"))
    await ground.endpoints.rotate(caller, endpoint, 3_600)
    await ground.endpoints.delete(caller, endpoint)
    assert await ground.actions() == [
        ("webhooks.endpoint.created", {"count": 2}),
        ("webhooks.endpoint.disabled", {"reason": "by_merchant"}),
        ("webhooks.endpoint.changed", {"state": "active"}),
        ("webhooks.endpoint.rotated", {"window_seconds": 3_600}),
        ("webhooks.endpoint.deleted", {}),
    ]


async def test_without_its_record_nothing_is_changed(ground: WebhookGround) -> None:
    """Promise 3: the endpoint and its record are written together, or neither is."""
    endpoints = ground.endpoints
    recorder = endpoints._recorder

    class Broken:
        make = recorder.make

        async def insert(self, *_arguments: object) -> None:
            raise KeyStoreUnavailable

    made = await ground.endpoint(URL)
    endpoints._recorder = Broken()  # type: ignore[assignment]
    caller, endpoint = ground.caller(), made.endpoint.endpoint_id
    for act in (
        endpoints.create(EndpointWish(URL), caller),
        endpoints.change(caller, endpoint, EndpointChange(description="x")),
        endpoints.rotate(caller, endpoint),
        endpoints.delete(caller, endpoint),
    ):
        with pytest.raises(KeyStoreUnavailable):
            await act
    endpoints._recorder = recorder
    assert list(await endpoints.all(caller)) == [made.endpoint]


async def test_secrets_are_sealed_and_go_with_their_endpoint(ground: WebhookGround) -> None:
    made = await ground.endpoint(URL)
    query = "select * from webhooks.endpoint where endpoint_id = $1"
    (row,) = await ground.rows(query, made.endpoint.endpoint_id)
    assert made.secret.expose()[6:20].encode() not in row["sealed_secrets"]
    assert made.secret.expose() not in str(made)
    await ground.endpoints.delete(ground.caller(), made.endpoint.endpoint_id)
    (row,) = await ground.rows(query, made.endpoint.endpoint_id)
    assert (row["sealed_secrets"], row["url"], row["status"]) == (b"", "", "deleted")
    for act in (
        ground.endpoints.one(ground.caller(), made.endpoint.endpoint_id),
        ground.endpoints.rotate(ground.caller(), made.endpoint.endpoint_id),
        ground.endpoints.delete(ground.caller(), made.endpoint.endpoint_id),
    ):
        with pytest.raises(EndpointUnknown):
            await act


#: What is wished, what refuses it.
REFUSED = [
    (EndpointWish("http://shop.example/"), DestinationRefused),
    (EndpointWish("https://10.0.0.1/"), DestinationRefused),
    (EndpointWish("https://user@shop.example/"), DestinationRefused),
    (EndpointWish("https://shop.example/" + "a" * 2_000), Invalid),
    (EndpointWish("https://shop.example/4242424242424242"), Invalid),
    (EndpointWish(URL, "x" * 201), Invalid),
    (EndpointWish(URL, "a\x00b"), Invalid),
    (EndpointWish(URL, "4242 4242 4242 4242"), Invalid),
]


@pytest.mark.parametrize(("wish", "refusal"), REFUSED)
async def test_what_is_no_endpoint_is_refused_and_not_repeated(
    ground: WebhookGround, wish: EndpointWish, refusal: type[Exception]
) -> None:
    with pytest.raises(refusal) as caught:
        await ground.endpoints.create(wish, ground.caller())
    assert "4242" not in str(caught.value)
    assert "shop" not in str(caught.value)
    made = await ground.endpoint(URL)
    change = EndpointChange(url=wish.url, description=wish.description)
    with pytest.raises(refusal):
        await ground.endpoints.change(ground.caller(), made.endpoint.endpoint_id, change)


async def test_a_merchant_has_so_many_endpoints_and_no_more(ground: WebhookGround) -> None:
    made = [await ground.endpoint(URL) for _ in range(ENDPOINTS_MAX)]
    with pytest.raises(EndpointsFull):
        await ground.endpoint(URL)
    await ground.endpoint(URL, mode=Mode.LIVE)
    await ground.endpoints.delete(ground.caller(), made[0].endpoint.endpoint_id)
    await ground.endpoint(URL)


async def test_nobody_touches_anothers_endpoints_or_events(ground: WebhookGround) -> None:
    made = await ground.endpoint(URL)
    event = await ground.publish()
    endpoint = made.endpoint.endpoint_id
    strangers = [ground.caller(MerchantId(new_id("mer"))), ground.caller(mode=Mode.LIVE)]
    for caller in strangers:
        assert list(await ground.endpoints.all(caller)) == []
        assert (await ground.events.search(caller, Search()))[0] == []
        for act in (
            ground.endpoints.one(caller, endpoint),
            ground.endpoints.change(caller, endpoint, EndpointChange(description="x")),
            ground.endpoints.rotate(caller, endpoint),
            ground.endpoints.delete(caller, endpoint),
            ground.endpoints.test(caller, endpoint),
            ground.events.one(caller, event.id),
            ground.events.deliveries(caller, event.id),
            ground.events.redeliver(caller, event.id),
        ):
            with pytest.raises(NotThere):
                await act
    assert await ground.endpoints.one(ground.caller(), endpoint) == made.endpoint


@pytest.mark.parametrize("text", ["", "whe_1", "4242424242424242", "evt_" + "0" * 26, "whe_\x00"])
async def test_what_has_not_the_form_of_an_id_is_not_there(
    ground: WebhookGround, text: str
) -> None:
    with pytest.raises(EndpointUnknown):
        await ground.endpoints.one(ground.caller(), text)
    with pytest.raises(EventUnknown):
        await ground.events.one(ground.caller(), text.replace("evt", "whe"))


async def test_two_who_rotate_at_once_both_get_a_secret_that_signs(ground: WebhookGround) -> None:
    listening = await ground.listen(says(OK))
    first = await ground.endpoint(listening.url)
    both = await asyncio.gather(
        *[ground.endpoints.rotate(ground.caller(), first.endpoint.endpoint_id) for _ in range(2)]
    )
    await ground.publish()
    await ground.work()
    for each in (first, *both):
        verified(listening.requests[0], each)


async def test_a_key_store_that_is_away_makes_nothing(ground: WebhookGround) -> None:
    ground.store.away = True
    try:
        with pytest.raises(KeyStoreUnavailable):
            await ground.endpoint(URL)
    finally:
        ground.store.away = False
    assert await ground.actions() == []
    assert list(await ground.endpoints.all(ground.caller())) == []


# --- events ------------------------------------------------------------------------------------------


async def test_events_are_listed_newest_first_page_by_page(ground: WebhookGround) -> None:
    caller = ground.caller()
    kinds = [EventType.PAYMENT_CREATED, EventType.PAYMENT_CAPTURED]
    made = [(await ground.publish(kinds[n % 2], object_id=f"pay_{n % 3}")).id for n in range(9)]
    ids = sorted(made)
    found: list[str] = []
    cursor: str | None = None
    while True:
        page, cursor = await ground.events.search(caller, Search(before=cursor, limit=4))
        found += [each.event_id for each in page]
        if cursor is None:
            break
    assert found == ids[::-1]

    async def search(wanted: Search) -> list[str]:
        return [each.event_id for each in (await ground.events.search(caller, wanted))[0]]

    assert await search(Search(event_type="payment.created")) == sorted(made[::2], reverse=True)
    assert await search(Search(object_id="pay_1")) == sorted(made[1::3], reverse=True)
    both = Search(object_id="pay_1", event_type="payment.created")
    assert await search(both) == sorted(set(made[1::3]) & set(made[::2]), reverse=True)
    assert await search(Search(after=ids[3])) == ids[4:]
    assert await search(Search(after=ids[3], limit=2)) == ids[4:6]
    typed = Search(after=ids[3], event_type="payment.created")
    assert await search(typed) == sorted(set(ids[4:]) & set(made[::2]))
    assert await search(Search(after=ids[-1])) == []


async def test_an_event_is_kept_as_it_is_delivered(ground: WebhookGround) -> None:
    event = await ground.publish(data={"name": "žluťoučký"})
    found = await ground.events.one(ground.caller(), event.id)
    assert found.payload == event.payload
    assert msgspec.json.decode(found.payload)["data"] == {"name": "žluťoučký"}


async def test_a_test_event_goes_to_its_endpoint_alone_whatever_that_wants(
    ground: WebhookGround,
) -> None:
    mine, other = [await ground.listen(says(OK)) for _ in range(2)]
    made = await ground.endpoint(mine.url, EventType.REFUND_CREATED)
    await ground.endpoint(other.url)
    event = await ground.endpoints.test(ground.caller(), made.endpoint.endpoint_id)
    assert ground.woken == ["delivery"]
    await ground.work()
    (sent,) = mine.requests
    assert verified(sent, made)["data"] == {"endpoint": made.endpoint.endpoint_id}
    assert sent.headers["webhook-id"] == event.event_id
    assert other.requests == []
    off = EndpointChange(status=EndpointStatus.DISABLED)
    await ground.endpoints.change(ground.caller(), made.endpoint.endpoint_id, off)
    with pytest.raises(EndpointDisabled):
        await ground.endpoints.test(ground.caller(), made.endpoint.endpoint_id)


async def test_an_event_is_delivered_anew_under_its_id(ground: WebhookGround) -> None:
    caller = ground.caller()
    listening = await ground.listen(says(OK))
    first = await ground.endpoint(listening.url, EventType.PAYMENT_CAPTURED)
    event = await ground.publish()
    await ground.work()
    second = await ground.endpoint(listening.url)  # made after it happened
    other = await ground.endpoint(listening.url, EventType.REFUND_CREATED)
    made = await ground.events.redeliver(caller, event.id)
    wanted = [first.endpoint.endpoint_id, second.endpoint.endpoint_id]
    assert sorted(each.endpoint_id for each in made) == sorted(wanted)
    named = await ground.events.redeliver(caller, event.id, other.endpoint.endpoint_id)
    assert [each.endpoint_id for each in named] == [other.endpoint.endpoint_id]
    await ground.work()
    assert [sent.headers["webhook-id"] for sent in listening.requests] == [event.id] * 4
    deliveries = await ground.events.deliveries(caller, event.id)
    assert [each.status for each in deliveries] == ["delivered"] * 4
    assert [each.tries[0].number for each in deliveries] == [1] * 4
    assert (await ground.actions())[-2:] == [
        ("webhooks.event.redelivered", {"count": 2, "event_type": "payment.captured"}),
        ("webhooks.event.redelivered", {"count": 1, "event_type": "payment.captured"}),
    ]
    assert len(ground.woken) == 2


async def test_what_cannot_be_delivered_anew_is_refused(ground: WebhookGround) -> None:
    caller = ground.caller()
    made = await ground.endpoint(URL)
    event = await ground.publish()
    for endpoint, refusal in (
        (new_id("whe"), EndpointUnknown),
        ("whe_1", EndpointUnknown),
        (made.endpoint.endpoint_id, EndpointDisabled),
    ):
        off = EndpointChange(status=EndpointStatus.DISABLED)
        await ground.endpoints.change(caller, made.endpoint.endpoint_id, off)
        with pytest.raises(refusal):
            await ground.events.redeliver(caller, event.id, endpoint)
    with pytest.raises(EventUnknown):
        await ground.events.redeliver(caller, new_id("evt"))
    assert await ground.events.redeliver(caller, event.id) == []


async def test_an_endpoint_that_did_not_change_says_so(ground: WebhookGround) -> None:
    made = await ground.endpoint(URL)
    ground.step(5)
    same = await ground.endpoints.change(
        ground.caller(), made.endpoint.endpoint_id, EndpointChange(url=URL)
    )
    assert same == made.endpoint
    other = await ground.endpoints.change(
        ground.caller(), made.endpoint.endpoint_id, EndpointChange(types=frozenset(EventType))
    )
    assert replace(other, types=(), updated_at=made.endpoint.updated_at) == made.endpoint
    assert other.types == tuple(sorted(EventType))


async def test_an_event_that_is_rolled_back_is_told_to_nobody(
    ground: WebhookGround, databases: Databases
) -> None:
    """Events are written in the transaction of what they tell of, with their deliveries and jobs."""
    await ground.endpoint(URL)
    before = await ground.rows("select count(*) as n from webhooks.delivery")
    await databases.run(
        Domain.CORE,
        "begin; select set_config('strongroom.merchants', '" + ground.merchant + "', true); "
        f"select webhooks.publish('{ground.merchant}', 'test', '{new_id('evt')}', 'payment.created', 'pay_1', '{{}}', "
        "now()); rollback",
    )
    assert await ground.rows("select count(*) as n from webhooks.delivery") == before
    assert await ground.rows("select * from jobs.job") == []
