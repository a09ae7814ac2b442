# SPDX-License-Identifier: Apache-2.0
"""Chapter 10: what the processor tells us, forged, false, doubled and out of order; and what the merchant hears.

A notice is believed if its exact bytes verify, and then only as a reason to ask.
"""

import asyncio
import json
import os
from collections import Counter
from datetime import datetime, timedelta
from typing import Any, Final

from strongroom.cli.scenario.client import Answer
from strongroom.cli.scenario.paying import (
    SETTLED_SECONDS_MAX,
    VISA,
    act,
    charge,
    differs,
    money,
    settled,
    until_heard,
)
from strongroom.cli.scenario.story import Story
from strongroom.cli.scenario.till import Till
from strongroom.crypto import hmac_sha256
from strongroom.crypto.ids import new_id
from strongroom.kernel.clock import SystemClock, rfc3339
from strongroom.simulator import Fault, Happening

TITLE: Final = "10 · Webhooks, both ways"
#: The simulator decides later about amounts that end in 88.
_PENDING: Final = 25_088
#: Events that somebody else sends to the merchant.
FORGED: Final = 1
_HANDLED: Final = "webhooks.notice.handled"
#: Reading the log and the events is itself recorded.
_STEP_SECONDS: Final = 0.1


async def play(story: Story) -> None:
    """Play it."""
    till = story.till
    story.report.note("from the processor: signed, kept once, and confirmed by asking")
    await _forged(story, till)
    await _doubled(story, till)
    await _reordered(story, till)
    await _afterwards(story, till)
    story.report.note("to the merchant: signed, tried again until they are taken")
    await _told(story, till)


def _event(till: Till, thing: dict[str, Any], event_type: str, now: datetime) -> bytes:
    """Print an event as the processor does."""
    return json.dumps(
        {
            "id": new_id("se"),
            "type": event_type,
            "created": rfc3339(now),
            "account": till.account,
            "mode": "test",
            "data": thing,
        }
    ).encode()


def _signed(secret: str, body: bytes, at: datetime) -> dict[str, str]:
    """Sign as the processor does: whoever has the secret can."""
    seconds = int(at.timestamp())
    mac = hmac_sha256(secret.encode(), f"{seconds}.".encode() + body).hex()
    return {"sim-signature": f"t={seconds},v1={mac}"}


async def _notify(story: Story, url: str, body: bytes, headers: dict[str, str]) -> Answer:
    return await story.stranger.at(url).send("POST", "", body, headers=headers)


async def _forged(story: Story, till: Till) -> None:
    """Somebody says that a payment was captured while the processor has not decided it."""
    shop, check = story.shop, story.report.check
    paid = await charge(shop, VISA, _PENDING)
    path = f"/v1/payments/{paid['id']}"
    check(
        f"{money(_PENDING)}, which the bank decides later",
        f"{paid.status} {paid['status']}",
        differs(paid, 202, "processing"),
    )
    await _handled(story, paid["id"], 1)  # the processor's own, that it is pending
    thing = await _false_claim(story, till, paid)
    now = SystemClock().now()
    body = _event(till, thing, "payment.captured", now)
    right = _signed(till.secret, body, now)
    amount = str(_PENDING).encode()
    altered = body.replace(amount, amount[:-1] + b"9", 1)
    old = _signed(till.secret, body, now - timedelta(minutes=10))
    for what, sent, headers in (
        ("“captured”, without a signature", body, {}),
        ("signed with another secret", body, _signed(os.urandom(24).hex(), body, now)),
        ("signed, then one digit altered", altered, right),
        ("signed ten minutes ago", body, old),
    ):
        answer = await _notify(story, till.webhook_url, sent, headers)
        check(what, answer.problem(), answer.differs_from_refusal(401, "notice_rejected"))
    nobodys = till.webhook_url.rpartition("/")[0] + "/" + new_id("con")
    answer = await _notify(story, nobodys, body, right)
    check(
        "to a connection of nobody",
        answer.problem(),
        answer.differs_from_refusal(404, "connection_unknown_here"),
    )
    answer = await _notify(story, till.webhook_url, body, right)
    results = await _handled(story, paid["id"], 2)
    stands = await shop.gateway.get(path)
    found = answer.differs(200, received=True) + differs(stands, 200, "processing")
    found += [] if results == ["agrees", "not_confirmed"] else [f"handled as {results}"]
    check(
        "signed with the right secret, and false", f"{answer.status}, asked, not confirmed", found
    )
    await till.control.happen(Happening.PENDING_APPROVED, paid["attempt"]["id"])
    stands, seconds = await settled(shop.gateway, path, "succeeded")
    check(
        "the bank approves; the processor's own notice",
        f"{stands['status']} after {seconds * 1000:.0f} ms",
        differs(stands, 200, "succeeded", authorized=_PENDING, captured=_PENDING),
    )


async def _false_claim(story: Story, till: Till, paid: Answer) -> dict[str, Any]:
    """Return the processor's own object, with what it does not say."""
    reference = (paid["attempt"] or {}).get("processor_reference")
    desk = story.stranger.with_key(till.api_key).at(till.processor)
    truth = await desk.get(f"/v1/payments/{reference}")
    return {**truth.json, "status": "captured", "authorized": _PENDING, "captured": _PENDING}


async def _handled(story: Story, payment: object, at_least: int) -> list[str]:
    """Return how the notices of a payment were dealt with, oldest first, from the audit log; wait for so many."""
    loop = asyncio.get_running_loop()
    end = loop.time() + SETTLED_SECONDS_MAX
    results: list[str] = []
    while len(results) < at_least and loop.time() < end:
        page = await story.shop.gateway.get("/v1/audit/records?limit=100")
        records = [each["record"] for each in page["data"] or ()]
        results = [
            str(each["details"].get("result"))
            for each in reversed(records)
            if each["action"] == _HANDLED and each["transaction_id"] == payment
        ]
        await asyncio.sleep(_STEP_SECONDS)
    return results


async def _counted(story: Story, outcome: str) -> int:
    """Return how many notices were received with that outcome since the server began."""
    answer = await story.stranger.at(story.webhooks).get("/metrics")
    name = f'strongroom_notices_received_total{{outcome="{outcome}",scheme="simulator"}} '
    lines = [line for line in answer.body.decode().splitlines() if line.startswith(name)]
    return int(float(lines[0].rpartition(" ")[2])) if lines else 0


async def _doubled(story: Story, till: Till) -> None:
    shop, check = story.shop, story.report.check
    payment = (await charge(shop, VISA, 5_500, capture_method="manual"))["id"]
    before = await _counted(story, "duplicate")
    await till.control.demand(Fault.WEBHOOK_DUPLICATE, "capture")
    await act(shop, payment, "capture")
    results = await _handled(story, payment, 2)
    seen = await _counted(story, "duplicate") - before
    found = [] if results == ["agrees", "agrees"] else [f"handled as {results}"]
    stands = await shop.gateway.get(f"/v1/payments/{payment}")
    found += differs(stands, 200, "succeeded", authorized=5_500, captured=5_500)
    await till.shop.hears(payment, "payment.captured")
    heard = _types(till, payment)
    found += [] if heard["payment.captured"] == 1 else [f"the merchant heard it {heard} times"]
    check("a notice that comes twice", f"both acknowledged, {seen} put aside, told once", found)


async def _reordered(story: Story, till: Till) -> None:
    """Authorized, captured, refunded; heard of as refunded, authorized, captured."""
    shop, check = story.shop, story.report.check
    for operation in ("authorize", "capture"):
        await till.control.demand(Fault.WEBHOOK_REORDER, operation)
    payment = (await charge(shop, VISA, 8_100, capture_method="manual"))["id"]
    await act(shop, payment, "capture")
    await act(shop, payment, "refunds", amount=1_100)
    results = await _handled(story, payment, 3)
    stands = await shop.gateway.get(f"/v1/payments/{payment}")
    found = differs(stands, 200, "succeeded", authorized=8_100, captured=8_100, refunded=1_100)
    found += [] if results == ["agrees"] * 3 else [f"handled as {results}"]
    check("the refund's notice before the other two", "nothing is undone: agrees ×3", found)


async def _afterwards(story: Story, till: Till) -> None:
    """What a processor takes back later, and nobody asked for."""
    shop, check = story.shop, story.report.check
    paid = await charge(shop, VISA, 7_300, capture_method="manual")
    captured = await act(shop, paid["id"], "capture")
    await till.control.happen(Happening.CAPTURE_FAILED, captured["attempt"]["id"])
    path = f"/v1/payments/{paid['id']}"
    stands, seconds = await settled(shop.gateway, path, "requires_capture")
    check(
        "a capture that fails at the bank afterwards",
        f"{stands['status']} after {seconds * 1000:.0f} ms",
        differs(stands, 200, "requires_capture", authorized=7_300),
    )
    await till.control.happen(Happening.PAYMENT_EXPIRED, paid["attempt"]["id"])
    stands, seconds = await settled(shop.gateway, path, "canceled")
    check(
        "an authorization that expires there",
        f"{stands['status']} after {seconds * 1000:.0f} ms",
        differs(stands, 200, "canceled", authorized=7_300, voided=7_300),
    )


async def _told(story: Story, till: Till) -> None:
    """The merchant's server is restarted just then."""
    shop, check = story.shop, story.report.check
    await until_heard(story)
    till.shop.fall_ill(1)
    payment = (await charge(shop, VISA, 6_400))["id"]
    heard = await till.shop.hears(payment, "payment.captured")
    await till.shop.hears(payment, "payment.created")
    await till.shop.until(lambda: any(each.attempt > 1 for each in till.shop.of(payment)))
    twice = [each for each in till.shop.of(payment) if each.attempt > 1]
    check(
        "the merchant's server answers 503 once",
        f"{twice[0].type} taken at try {twice[0].attempt}",
        [] if heard.data["payment"]["id"] == payment else ["another payment's event"],
    )
    headers, body = till.shop.last
    answer = await story.stranger.at(till.shop.events_url).send(
        "POST", "", body.replace(b"captured", b"declined"), headers=headers
    )
    found = [] if answer.status == 401 else [f"status {answer.status}"]  # noqa: PLR2004 - refused
    found += [] if till.shop.refused == FORGED else ["it was not refused"]
    check("an event with one word altered", "standardwebhooks refuses it", found)


def _types(till: Till, payment: object) -> Counter[str]:
    return Counter(each.type for each in till.shop.of(payment))
