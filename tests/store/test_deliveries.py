# SPDX-License-Identifier: Apache-2.0
"""Deliveries over a real database to peers that really listen: signed, tried again on schedule, written down, ended."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from database import Databases
from peer import answer, cut, says
from store.webhook_ground import DELAYS, OK, WebhookGround, listens, verified, webhook_ground
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.egress import Answered, NotSent, Outgoing, Reason, Reply, Unknown
from strongroom.jobs import Again, Done, Kept, Worker
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.telemetry.log import Log
from strongroom.webhooks.deliver import AT_ONCE_PER_SLOW_ENDPOINT_MAX, CROWDED_SECONDS
from strongroom.webhooks.errors import EndpointSecretsUnreadable
from strongroom.webhooks.model import EndpointChange, EndpointStatus


@pytest_asyncio.fixture(loop_scope="session")
async def ground(databases: Databases) -> AsyncIterator[WebhookGround]:
    async with webhook_ground(databases) as made:
        yield made


async def test_an_event_reaches_its_endpoint_signed_as_it_was_written(
    ground: WebhookGround,
) -> None:
    listening = await ground.listen(says(OK))
    made = await ground.endpoint(f"{listening.url}/hooks?shop=1")
    event = await ground.publish(data={"text": "für 10 €"})
    assert await ground.work() == [Kept()]
    (sent,) = listening.requests
    assert (sent.method, sent.target, sent.body) == (
        "POST",
        "/hooks?shop=1",
        event.payload.encode(),
    )
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["webhook-id"] == event.id
    assert verified(sent, made)["data"] == {"text": "für 10 €"}
    (delivery,) = await ground.events.deliveries(ground.caller(), event.id)
    assert (delivery.status, delivery.next_at) == ("delivered", None)
    assert delivery.delivered_at == ground.clock.now()
    assert await ground.log_of(event.id) == [[(1, 200, "delivered")]]
    assert await ground.rows("select * from jobs.job") == []
    assert await ground.work() == []


async def test_a_failing_endpoint_is_tried_on_schedule_and_given_up(ground: WebhookGround) -> None:
    listening = await ground.listen(listens(500))
    made = await ground.endpoint(listening.url)
    event = await ground.publish()
    await ground.work()
    for delay in DELAYS:
        before = await ground.rows(
            "select next_at, tries from webhooks.delivery where event_id = $1", event.id
        )
        wait = (before[0]["next_at"] - ground.clock.now()).total_seconds()
        assert delay * 0.9 <= wait <= delay * 1.1
        ground.step(delay * 0.89)
        assert await ground.work() == [], "not before its time"
        ground.step(delay * 0.22)
        assert await ground.work() == [Kept()]
    (delivery,) = await ground.events.deliveries(ground.caller(), event.id)
    assert (delivery.status, delivery.next_at, delivery.delivered_at) == ("failed", None, None)
    assert await ground.log_of(event.id) == [[(n, 500, "failing") for n in range(1, 5)]]
    assert await ground.rows("select * from jobs.job") == []
    ids = {sent.headers["webhook-id"] for sent in listening.requests}
    times = [int(sent.headers["webhook-timestamp"]) for sent in listening.requests]
    assert ids == {event.id}, "the same event, whatever the try"
    assert times == sorted(set(times)), "each try has its own time"
    verified(listening.requests[0], made)


#: How the endpoint behaves, what the log says of it.
FAILURES: list[tuple[Any, int | None, str]] = [
    (listens(302, headers="location: http://127.0.0.1:1/\r\n"), 302, "redirected"),
    (listens(404), 404, "refused"),
    (cut(), None, "connection_lost"),
    (says(answer(b"x" * 100_000)), None, "answer_too_large"),
]


@pytest.mark.parametrize(("behaviour", "status", "reason"), FAILURES)
async def test_what_is_no_2xx_is_tried_again(
    ground: WebhookGround, behaviour: Any, status: int | None, reason: str
) -> None:
    listening = await ground.listen(behaviour)
    await ground.endpoint(listening.url)
    event = await ground.publish()
    await ground.work()
    listening.behaviour = says(OK)
    ground.step(6)
    await ground.work()
    assert await ground.log_of(event.id) == [[(1, status, reason), (2, 200, "delivered")]]
    assert len(listening.requests) == 2, "redirects are not followed"


async def test_nobody_listening_is_written_down(ground: WebhookGround) -> None:
    await ground.endpoint("http://127.0.0.1:9/")
    event = await ground.publish()
    await ground.work()
    assert await ground.log_of(event.id) == [[(1, None, "connect_failed")]]


async def test_retry_after_is_honoured(ground: WebhookGround) -> None:
    listening = await ground.listen(listens(429, 200, headers="retry-after: 120\r\n"))
    await ground.endpoint(listening.url)
    event = await ground.publish()
    await ground.work()
    ground.step(119)
    assert await ground.work() == []
    ground.step(1)
    await ground.work()
    assert await ground.log_of(event.id) == [[(1, 429, "throttled"), (2, 200, "delivered")]]


async def test_an_endpoint_that_is_gone_is_disabled_and_that_is_recorded(
    ground: WebhookGround,
) -> None:
    listening = await ground.listen(listens(410))
    made = await ground.endpoint(listening.url)
    first, second = await ground.publish(), await ground.publish()
    await ground.work(1)
    await ground.work(1)
    assert len(listening.requests) == 1
    assert await ground.log_of(first.id) == [[(1, 410, "gone")]]
    assert await ground.log_of(second.id) == [[(1, None, "endpoint_disabled")]]
    found = await ground.endpoints.one(ground.caller(), made.endpoint.endpoint_id)
    assert (found.status, found.disabled_reason) == ("disabled", "gone")
    assert (await ground.actions())[-1] == (
        "webhooks.endpoint.disabled",
        {"reason": "gone"},
    )
    await ground.publish()
    assert await ground.work() == [], "it is told nothing more"


@pytest.mark.parametrize("how", ["disabled", "deleted"])
async def test_what_waits_for_an_endpoint_that_ends_fails(ground: WebhookGround, how: str) -> None:
    listening = await ground.listen(says(OK))
    made = await ground.endpoint(listening.url)
    event = await ground.publish()
    caller, endpoint = ground.caller(), made.endpoint.endpoint_id
    if how == "deleted":
        await ground.endpoints.delete(caller, endpoint)
    else:
        change = EndpointChange(status=EndpointStatus.DISABLED)
        await ground.endpoints.change(caller, endpoint, change)
    await ground.work()
    (delivery,) = await ground.events.deliveries(caller, event.id)
    assert delivery.status == "failed"
    assert await ground.log_of(event.id) == [[(1, None, "endpoint_disabled")]]
    assert listening.requests == []


async def test_an_endpoint_hears_the_types_that_it_wants(ground: WebhookGround) -> None:
    everything = await ground.listen(says(OK))
    refunds = await ground.listen(says(OK))
    await ground.endpoint(everything.url)
    await ground.endpoint(refunds.url, EventType.REFUND_CREATED, EventType.REFUND_SUCCEEDED)
    captured = await ground.publish(EventType.PAYMENT_CAPTURED)
    refunded = await ground.publish(EventType.REFUND_SUCCEEDED)
    await ground.work()
    heard = [
        {sent.headers["webhook-id"] for sent in each.requests} for each in (everything, refunds)
    ]
    assert heard == [{captured.id, refunded.id}, {refunded.id}]


async def test_nobody_hears_anothers_events_or_those_of_the_other_mode(
    ground: WebhookGround,
) -> None:
    other = MerchantId(new_id("mer"))
    mine, theirs, live = [await ground.listen(says(OK)) for _ in range(3)]
    await ground.endpoint(mine.url)
    await ground.endpoint(theirs.url, merchant=other)
    await ground.endpoint(live.url, mode=Mode.LIVE)
    events = [
        await ground.publish(),
        await ground.publish(merchant=other),
        await ground.publish(mode=Mode.LIVE),
    ]
    await ground.work()  # one batch for all of them
    heard = [
        [sent.headers["webhook-id"] for sent in each.requests] for each in (mine, theirs, live)
    ]
    assert heard == [[event.id] for event in events]


async def test_both_secrets_verify_during_a_rotation_and_then_only_the_new(
    ground: WebhookGround,
) -> None:
    listening = await ground.listen(says(OK))
    old = await ground.endpoint(listening.url)
    new = await ground.endpoints.rotate(ground.caller(), old.endpoint.endpoint_id, 60)
    await ground.publish()
    await ground.work()
    for each in (old, new):
        verified(listening.requests[0], each)
    ground.step(60)
    await ground.publish()
    await ground.work()
    verified(listening.requests[1], new)
    assert len(listening.requests[1].headers["webhook-signature"].split(" ")) == 1


async def test_a_try_may_be_made_twice_and_is_then_told_twice(ground: WebhookGround) -> None:
    """A worker that died after it had sent, and one that came late: told again, under the same id; nothing is lost."""
    listening = await ground.listen(says(OK))
    await ground.endpoint(listening.url)
    event = await ground.publish()
    (died,) = await ground.queue.claim("delivery", 10, 60)
    assert await ground.work() == [], "leased"
    ground.step(60)
    (late,) = await ground.queue.claim("delivery", 10, 60)
    assert await ground.deliverer.run(late) == Kept()
    assert await ground.deliverer.run(died) == Done(), "it is delivered: nothing to do"
    assert [sent.headers["webhook-id"] for sent in listening.requests] == [event.id]


async def test_what_was_delivered_stays_so_whatever_a_second_worker_meets(
    databases: Databases,
) -> None:
    replies: list[Reply] = [Answered(200, {}, b"", 0.1), Unknown(Reason.TIMEOUT, 0.1)]
    both = asyncio.Event()

    async def send(_request: Outgoing) -> Reply:
        reply = replies.pop(0)
        if not replies:
            both.set()
        await both.wait()
        return reply

    async with webhook_ground(databases, send=send) as ground:
        await ground.endpoint("https://shop.example/")
        event = await ground.publish()
        (first,) = await ground.queue.claim("delivery", 10, 60)
        ground.step(60)
        (second,) = await ground.queue.claim("delivery", 10, 60)
        await asyncio.gather(ground.deliverer.run(first), ground.deliverer.run(second))
        (delivery,) = await ground.events.deliveries(ground.caller(), event.id)
        assert (delivery.status, len(delivery.tries)) == ("delivered", 2)


async def test_a_job_that_was_claimed_anew_is_not_touched_by_who_comes_late(
    databases: Databases,
) -> None:
    async def send(_request: Outgoing) -> Reply:
        return NotSent(Reason.CONNECT_FAILED, 0.1)

    async with webhook_ground(databases, send=send) as ground:
        await ground.endpoint("https://shop.example/")
        await ground.publish()
        (late,) = await ground.queue.claim("delivery", 10, 60)
        ground.step(60)
        (second,) = await ground.queue.claim("delivery", 10, 60)
        await ground.deliverer.run(late)
        (job,) = await ground.rows("select tries, run_at from jobs.job")
        assert (job["tries"], job["run_at"]) == (2, second.lease_until)


async def test_secrets_that_were_altered_sign_nothing(
    ground: WebhookGround, databases: Databases
) -> None:
    listening = await ground.listen(says(OK))
    made, other = [await ground.endpoint(listening.url) for _ in range(2)]
    await databases.run(
        Domain.CORE,
        "update webhooks.endpoint set sealed_secrets = (select sealed_secrets from webhooks.endpoint "
        f"where endpoint_id = '{other.endpoint.endpoint_id}') "
        f"where endpoint_id = '{made.endpoint.endpoint_id}'",
    )
    await ground.publish()
    jobs = await ground.queue.claim("delivery", 10, 60)
    results = await asyncio.gather(
        *[ground.deliverer.run(job) for job in jobs], return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in results) == ["EndpointSecretsUnreadable", "Kept"]
    assert any(isinstance(each, EndpointSecretsUnreadable) for each in results)
    assert len(listening.requests) == 1


async def test_a_batch_is_loaded_and_written_together(ground: WebhookGround) -> None:
    listening = await ground.listen(says(OK))
    await ground.endpoint(listening.url)
    events = [await ground.publish() for _ in range(60)]
    calls = []
    fetch = ground.deliverer._tries._sink.write

    async def counted(rows: Any) -> Any:
        calls.append(len(rows))
        return await fetch(rows)

    ground.deliverer._tries._sink.write = counted  # type: ignore[method-assign]
    assert await ground.work() == [Kept()] * 60
    assert {sent.headers["webhook-id"] for sent in listening.requests} == {e.id for e in events}
    assert sum(calls) == 60
    assert len(calls) < 60
    logged = await ground.rows(
        "select count(*) as n from webhooks.delivery_try where merchant_id = $1", ground.merchant
    )
    assert logged == [{"n": 60}]


async def test_an_endpoint_that_is_slow_leaves_room_for_others(databases: Databases) -> None:
    gate, under_way = asyncio.Event(), 0
    gate.set()
    seconds = 15.0

    async def send(_request: Outgoing) -> Reply:
        nonlocal under_way
        under_way += 1
        await gate.wait()
        return Answered(200, {}, b"", seconds)

    async with webhook_ground(databases, send=send) as ground:
        await ground.endpoint("https://shop.example/")
        await ground.publish()
        await ground.work()  # it is slow, that is known now
        gate.clear()
        under_way = 0
        for _ in range(AT_ONCE_PER_SLOW_ENDPOINT_MAX + 4):
            await ground.publish()
        working = asyncio.create_task(ground.work())
        async with asyncio.timeout(15):
            while under_way < AT_ONCE_PER_SLOW_ENDPOINT_MAX:
                await asyncio.sleep(0.01)
        seconds = 0.1
        gate.set()
        results = await working
        assert results.count(Kept()) == AT_ONCE_PER_SLOW_ENDPOINT_MAX
        assert sum(isinstance(each, Again) for each in results) == 4
        assert under_way == AT_ONCE_PER_SLOW_ENDPOINT_MAX
        for _ in range(AT_ONCE_PER_SLOW_ENDPOINT_MAX):
            await ground.publish()
        ground.step(CROWDED_SECONDS)
        results = await ground.work()
        assert results == [Kept()] * (AT_ONCE_PER_SLOW_ENDPOINT_MAX + 4), "it is quick again"


async def test_a_worker_delivers(ground: WebhookGround) -> None:
    listening = await ground.listen(says(OK))
    await ground.endpoint(listening.url)
    worker = Worker(
        ground.queue,
        {"delivery": ground.deliverer.handler()},
        log=Log(ground.lines, clock=ground.clock),
        metrics=ground.metrics.jobs,
        poll_seconds=0.02,
    )
    worker.start()
    try:
        events = [await ground.publish() for _ in range(20)]
        deadline = asyncio.get_running_loop().time() + 15
        while (
            len(
                await ground.rows(
                    "select 1 from webhooks.delivery where merchant_id = $1 and status = 'delivered'",
                    ground.merchant,
                )
            )
            < 20
        ):
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.02)
    finally:
        await worker.stop()
    assert {sent.headers["webhook-id"] for sent in listening.requests} == {e.id for e in events}
    assert await ground.rows("select * from jobs.job") == []
    count = ground.metrics.registry.get_sample_value(
        "strongroom_webhook_tries_total", {"outcome": "delivered"}
    )
    assert count == 20
