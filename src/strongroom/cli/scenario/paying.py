# SPDX-License-Identifier: Apache-2.0
"""How the payments' chapters charge cards, wait for what becomes of it, and judge what they are answered."""

import asyncio
from collections.abc import Mapping
from time import perf_counter
from typing import Any, Final

from strongroom.cli.scenario.client import Answer, Client
from strongroom.cli.scenario.story import Party, Story
from strongroom.kernel.money import Money

SETTLED_SECONDS_MAX: Final = 20.0
_STEP_SECONDS: Final = 0.02
#: Reading events is itself recorded.
_READING_SECONDS: Final = 0.1
DECLINED: Final = 402
#: Published by Stripe: approved.
VISA: Final = "4242424242424242"


async def charge(
    party: Party,
    number: str,
    amount: int,
    currency: str = "AED",
    *,
    cvc: str | None = None,
    name: str | None = None,
    **wish: object,
) -> Answer:
    """Make a token of a card, and charge it at once."""
    token = await party.secret.tokenize(number, cvc=cvc)
    sealed = {"cvc": token["cvc"]} if cvc else {}
    return await pay(party, token["id"], amount, currency, name=name, **sealed, **wish)


async def pay(
    party: Party,
    token: object,
    amount: int,
    currency: str = "AED",
    *,
    name: str | None = None,
    **wish: object,
) -> Answer:
    """Charge a token."""
    body = {"amount": amount, "currency": currency, "token": token, "confirm": True, **wish}
    return await party.gateway.send("POST", "/v1/payments", body, name=name or party.gateway.name())


async def act(party: Party, payment: object, verb: str, **wish: object) -> Answer:
    """Capture, refund, cancel or confirm a payment."""
    return await party.gateway.send(
        "POST", f"/v1/payments/{payment}/{verb}", wish, name=party.gateway.name()
    )


async def attempts(party: Party, payment: object) -> list[dict[str, Any]]:
    """Return a payment's attempts, oldest first."""
    answer = await party.gateway.get(f"/v1/payments/{payment}/attempts")
    found: list[dict[str, Any]] = answer["data"] or []
    return found


async def moved(story: Story, payment: object) -> list[str]:
    """Return what the processor's journal says of a payment's attempts: the kinds of its lines."""
    ours = {each["id"] for each in await attempts(story.shop, payment)}
    till = story.till
    journal = await till.control.journal(account=till.account)
    return [each.kind for each in journal if each.reference in ours]


async def settled(
    client: Client, path: str, *statuses: str, seconds: float = SETTLED_SECONDS_MAX
) -> tuple[Answer, float]:
    """Read until it has one of these statuses; return the last answer, and how long that took."""
    begun = perf_counter()
    answer = await client.get(path)
    while answer["status"] not in statuses and perf_counter() - begun < seconds:
        await asyncio.sleep(_STEP_SECONDS)
        answer = await client.get(path)
    return answer, perf_counter() - begun


async def until_heard(story: Story) -> None:
    """Wait until the merchant has heard what there is to hear: nothing is on its way to it."""
    till = story.till
    await till.control.until_told(seconds=SETTLED_SECONDS_MAX)
    end = perf_counter() + SETTLED_SECONDS_MAX
    while perf_counter() < end:
        page = await story.shop.gateway.get("/v1/events?limit=100")
        if all(each["id"] in till.shop.heard for each in page["data"] or ()):
            return
        await asyncio.sleep(_READING_SECONDS)


def differs(answer: Answer, code: int, status: str, /, **balances: int) -> list[str]:
    """Return in what an answer differs from that payment; of the balances those that are named, unnamed ones are 0."""
    if answer.status != code:
        return answer.differs(code)
    body = answer.json
    payment = body["payment"] if code == DECLINED else body
    return _differs(payment, status, balances)


def _differs(payment: Mapping[str, Any], status: str, balances: Mapping[str, int]) -> list[str]:
    found = []
    if payment["status"] != status:
        found.append(f"status: expected {status}, got {payment['status']}")
    # What is left follows from the others.
    for name in payment["balances"].keys() - {"capturable", "refundable"} | balances.keys():
        wanted, got = balances.get(name, 0), payment["balances"][name]
        if got != wanted:
            found.append(f"{name}: expected {wanted}, got {got}")
    if payment["discrepancy"]:
        found.append("a discrepancy was found")
    return found


def money(amount: int, currency: str = "AED") -> str:
    """Print an amount for people."""
    text, code = str(Money(amount, currency)).split()
    whole, point, fraction = text.partition(".")
    return f"{code} {int(whole):,}{point}{fraction}"


def refused(answer: Answer) -> str:
    """Say in short why a payment was declined, or a request refused."""
    if answer.status != DECLINED:
        return answer.problem()
    advice = f", advice: {answer['advice']}" if answer["advice"] else ""
    return f"{answer.status} {answer['decline_code']}{advice}"
