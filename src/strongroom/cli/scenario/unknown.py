# SPDX-License-Identifier: Apache-2.0
"""Chapter 9: a processor whose answer does not come. What is not known stays unknown until it is found out.

The simulator is asked for each fault by name. Its own notices come late here, so that we have to ask.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from strongroom.cli.scenario.client import Answer
from strongroom.cli.scenario.paying import (
    SETTLED_SECONDS_MAX,
    VISA,
    act,
    attempts,
    differs,
    moved,
    pay,
    settled,
)
from strongroom.cli.scenario.places import PROCESSOR_TIMEOUT_SECONDS
from strongroom.cli.scenario.story import Story
from strongroom.cli.scenario.till import Till
from strongroom.simulator import DemandWish, Fault

TITLE: Final = "9 · An answer that does not come"
_PROCESSING: Final = 202
#: How late the processor's own notices come.
_LATE_SECONDS: Final = 6.0
_AMOUNT: Final = 9_900
_STEP_SECONDS: Final = 0.01


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault, and whether the processor did what it was asked before it."""

    fault: Fault
    what: str
    acts: bool = True


_TIMED_OUT: Final = Trouble(Fault.TIMEOUT_AFTER, "no answer, although it acted")
_QUICK: Final = (
    Trouble(Fault.CUT_AFTER, "the connection is cut, after it acted"),
    Trouble(Fault.CUT_BEFORE, "the connection is cut, before it acted", acts=False),
    Trouble(Fault.ERROR_500_AFTER, "a 500, although it acted"),
    Trouble(Fault.WRONG_SHAPE, "an answer of another shape"),
)


async def play(story: Story) -> None:
    """Play it."""
    till = story.till
    story.report.note(
        f"a processor has {PROCESSOR_TIMEOUT_SECONDS} s here; what is unknown is neither failed nor sent again"
    )
    token = (await story.shop.secret.tokenize(VISA))["id"]
    name = story.shop.gateway.name()
    await _demand(till, Fault.TIMEOUT_AFTER, "authorize")
    slow = asyncio.create_task(pay(story.shop, token, _AMOUNT, name=name))
    try:
        await _met(till)
        quick = [(each, await _troubled(story, till, each)) for each in _QUICK]
        timed_out = await slow
    finally:
        slow.cancel()
    await _stays_unknown(story, till, token, name, timed_out)
    for trouble, payment in (*quick, (_TIMED_OUT, timed_out["id"])):
        await _found_out(story, trouble, payment)
    await _refund(story, till)


async def _demand(till: Till, fault: Fault, operation: str) -> None:
    """Have the next such request meet a fault, and its notice come late."""
    late = DemandWish(Fault.WEBHOOK_LATE, operation, seconds=_LATE_SECONDS)
    acts = fault is not Fault.CUT_BEFORE
    await till.control.faults(next=[DemandWish(fault, operation), *([late] if acts else [])])


async def _met(till: Till) -> None:
    """Wait until every fault that was asked for has met its request."""
    async with asyncio.timeout(SETTLED_SECONDS_MAX):
        while (await till.control.faults()).waiting:  # noqa: ASYNC110 - it is in another process
            await asyncio.sleep(_STEP_SECONDS)


def _unknown(answer: Answer) -> list[str]:
    """Return in what an answer differs from: it was asked, and nobody knows."""
    found = differs(answer, _PROCESSING, "processing")
    outcome = (answer["attempt"] or {}).get("outcome")
    return found + ([] if outcome == "unknown" else [f"outcome: expected unknown, got {outcome}"])


async def _troubled(story: Story, till: Till, trouble: Trouble) -> object:
    """Charge a card while something goes wrong; return the payment."""
    await _demand(till, trouble.fault, "authorize")
    token = await story.shop.secret.tokenize(VISA)
    paid = await pay(story.shop, token["id"], _AMOUNT)
    reason = (paid["attempt"] or {}).get("reason")
    story.report.check(
        trouble.what, f"{paid.status} {paid['status']}: {reason}  {paid.took}", _unknown(paid)
    )
    return paid["id"]


async def _stays_unknown(story: Story, till: Till, token: object, name: str, paid: Answer) -> None:
    """Nothing that the merchant does meanwhile charges the card again, or calls it failed."""
    check, shop = story.report.check, story.shop
    reason = (paid["attempt"] or {}).get("reason")
    check(
        _TIMED_OUT.what,
        f"{paid.status} {paid['status']}: {reason}  {paid.seconds:.1f} s",
        _unknown(paid),
    )
    attempt = str((paid["attempt"] or {}).get("id"))
    await till.control.demand(Fault.ERROR_500_BEFORE, "find", reference=attempt, times=3)
    again = await pay(shop, token, _AMOUNT, name=name)
    found = differs(again, _PROCESSING, "processing") + again.differs(_PROCESSING, id=paid["id"])
    found += [] if again.replayed else ["the header Idempotent-Replayed is missing"]
    check("the same request again; asking fails, too", f"{again.status} still processing", found)
    gone = await act(shop, paid["id"], "cancel")
    check(
        "cancel it meanwhile",
        gone.problem(),
        gone.differs_from_refusal(409, "payment_unresolved"),
    )
    more = await act(shop, paid["id"], "confirm", token=token)
    check(
        "charge it once more meanwhile",
        more.problem(),
        more.differs_from_refusal(409, "payment_unresolved"),
    )


async def _found_out(story: Story, trouble: Trouble, payment: object) -> None:
    """Wait until the worker has asked; the processor's journal says whether it is true."""
    shop, check = story.shop, story.report.check
    wanted = "succeeded" if trouble.acts else "requires_confirmation"
    stands, _ = await settled(shop.gateway, f"/v1/payments/{payment}", wanted)
    (attempt,) = await attempts(shop, payment)
    lines = await moved(story, payment)
    balances = {"authorized": _AMOUNT, "captured": _AMOUNT} if trouble.acts else {}
    found = differs(stands, 200, wanted, **balances)
    found += [] if attempt["basis"] == "lookup" else [f"basis: {attempt['basis']}"]
    found += [] if len(lines) == trouble.acts else [f"the processor's journal: {lines}"]
    outcome = f"{attempt['outcome']}, {'charged once' if lines else 'not charged'}"
    check(f"asked for our reference: {trouble.fault}", outcome, found)
    if trouble is _TIMED_OUT and attempt["settled_at"]:
        made, known = (
            datetime.fromisoformat(attempt[name]) for name in ("created_at", "settled_at")
        )
        story.report.figure(
            "a processor's time-out found out after", (known - made).total_seconds(), "s"
        )
    if trouble.acts:
        return
    paid = await act(shop, payment, "confirm")
    lines = await moved(story, payment)
    found = differs(paid, 200, "succeeded", authorized=_AMOUNT, captured=_AMOUNT)
    found += [] if len(lines) == 1 else [f"the processor's journal: {lines}"]
    check("now it is sure: charge it", f"{paid.status} {paid['status']}, charged once", found)


async def _refund(story: Story, till: Till) -> None:
    """Money on its way back is reserved while nobody knows whether it went."""
    shop, check = story.shop, story.report.check
    token = await shop.secret.tokenize(VISA)
    payment = (await pay(shop, token["id"], _AMOUNT))["id"]
    await _demand(till, Fault.CUT_AFTER, "refund")
    refund = await act(shop, payment, "refunds", amount=_AMOUNT)
    stands = await shop.gateway.get(f"/v1/payments/{payment}")
    found = refund.differs(_PROCESSING, status="pending", amount=_AMOUNT)
    found += differs(
        stands, 200, "succeeded", authorized=_AMOUNT, captured=_AMOUNT, refunding=_AMOUNT
    )
    check("a refund whose answer is cut", f"{refund.status} {refund['status']}, reserved", found)
    stands, seconds = await settled(shop.gateway, f"/v1/refunds/{refund['id']}", "succeeded")
    lines = await moved(story, payment)
    found = stands.differs(200, status="succeeded")
    found += [] if lines.count("refunded") == 1 else [f"the processor's journal: {lines}"]
    check(
        "asked for our reference: the refund",
        f"{stands['status']} after {seconds:.1f} s, given back once",
        found,
    )
