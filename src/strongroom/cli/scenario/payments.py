# SPDX-License-Identifier: Apache-2.0
"""Chapter 7: approved, declined in each way, captured and refunded in parts, released; one refund too many.

Whatever is asked at once, no more is taken or given back than there is, and one wish is one attempt.
"""

import asyncio
from typing import Final, NamedTuple

from strongroom.cli.scenario.client import masked, short
from strongroom.cli.scenario.paying import (
    DECLINED,
    VISA,
    act,
    charge,
    differs,
    money,
    moved,
    pay,
    refused,
)
from strongroom.cli.scenario.story import Story

TITLE: Final = "7 · Payments"
_AT_ONCE: Final = 20
_OK: Final = 200
_CREATED: Final = 201


class Decline(NamedTuple):
    """A published test card that is declined, with the code and what to do about it."""

    number: str
    code: str
    advice: str


#: Published by Stripe.
DECLINES: Final = (
    Decline("4000000000000002", "generic_decline", "later"),
    Decline("4000000000009995", "insufficient_funds", "later"),
    Decline("4000000000009987", "lost_card", "never"),
    Decline("4000000000009979", "stolen_card", "never"),
    Decline("4000000000000069", "expired_card", "new_card"),
    Decline("4000000000000127", "incorrect_cvc", "new_card"),
    Decline("4000000000000119", "processing_error", "later"),
    Decline("4000000000006975", "card_velocity_exceeded", "later"),
)
#: Authorized, and every capture is declined.
_CAPTURES_FAIL: Final = "4000000000000341"


async def play(story: Story) -> None:
    """Play it."""
    _ = story.till  # nothing is paid where nothing is connected
    story.report.note(
        "the gateway sees tokens; the vault puts the card into the call to the processor"
    )
    await _approved(story)
    await _once(story)
    await _declined(story)
    await _in_parts(story)
    await _in_a_crowd(story)
    await _released(story)
    await _refused(story)


async def _approved(story: Story) -> None:
    shop, check = story.shop, story.report.check
    token = await shop.secret.tokenize(VISA, cvc="737")
    story.token = str(token["id"])
    paid = await pay(shop, token["id"], 12_500, cvc=token["cvc"])
    check(
        f"{money(12_500)}, {masked(VISA)} with a CVC",
        f"{paid.status} {paid['status']}  {paid.took}",
        differs(paid, 201, "succeeded", authorized=12_500, captured=12_500),
    )
    again = await pay(shop, token["id"], 12_500, cvc=token["cvc"])
    reason = (again["attempt"] or {}).get("reason")
    found = differs(again, 201, "requires_confirmation")
    found += [] if reason == "cvc_used" else [f"reason: expected cvc_used, got {reason}"]
    check("the same sealed CVC for another payment", f"not sent: {reason}", found)
    for amount, currency in ((500, "JPY"), (1_250, "KWD")):
        other = await pay(shop, token["id"], amount, currency)
        check(
            f"{money(amount, currency)}, the same token",
            f"{other.status} {other['status']}  {other.took}",
            differs(other, 201, "succeeded", authorized=amount, captured=amount),
        )
    half = await pay(shop, token["id"], 10_077, capture_method="manual")
    check(
        f"{money(10_077)}, of which the bank approves half",
        f"{half.status} {half['status']}, authorized {money(5_038)}",
        differs(half, 201, "requires_capture", authorized=5_038),
    )


async def _once(story: Story) -> None:
    """A client that does not hear the answer asks again, as often as it likes."""
    shop, check = story.shop, story.report.check
    name, token = shop.gateway.name(), (await shop.secret.tokenize(VISA))["id"]
    first = await pay(shop, token, 4_200, name=name)
    again = await pay(shop, token, 4_200, name=name)
    found = again.differs(201, id=first["id"], status="succeeded")
    found += [] if again.replayed else ["the header Idempotent-Replayed is missing"]
    check("the same request again, key K", f"{again.status} {short(again['id'])}, replayed", found)
    other = await pay(shop, token, 4_300, name=name)
    check(
        "another amount, key K",
        other.problem(),
        other.differs_from_refusal(422, "idempotency_key_reused"),
    )
    name = shop.gateway.name()
    wishes = (pay(shop, token, 4_400, name=name) for _ in range(_AT_ONCE))
    answers = await asyncio.gather(*wishes)
    made = {str(each["id"]) for each in answers if each.status == _CREATED}
    busy = [each for each in answers if each.status != _CREATED]
    found = [
        problem
        for each in busy
        for problem in each.differs_from_refusal(409, "idempotency_in_flight")
    ]
    lines = await moved(story, next(iter(made), ""))
    found += [] if len(made) == len(lines) == 1 else [f"{len(made)} made, {len(lines)} charged"]
    check(
        f"one request {_AT_ONCE} times at the same moment",
        "1 payment, the processor moved money once",
        found,
    )


async def _declined(story: Story) -> None:
    shop, check = story.shop, story.report.check
    payment: object = None
    for number, code, advice in DECLINES:
        answer = await charge(shop, number, 7_500)
        found = differs(answer, DECLINED, "requires_payment_method")
        found += answer.differs(DECLINED, code="declined", decline_code=code, advice=advice)
        check(f"{masked(number)}", refused(answer), found)
        payment = (answer["payment"] or {}).get("id")
    token = await shop.secret.tokenize(VISA)
    paid = await act(shop, payment, "confirm", token=token["id"])
    check(
        "another card for the last of these",
        f"{paid.status} {paid['status']}, the same payment",
        differs(paid, 200, "succeeded", authorized=7_500, captured=7_500),
    )


async def _in_parts(story: Story) -> None:
    shop, check = story.shop, story.report.check
    paid = await charge(shop, VISA, 10_000, capture_method="manual")
    payment = paid["id"]
    check(
        f"authorize {money(10_000)}",
        f"{paid.status} {paid['status']}",
        differs(paid, 201, "requires_capture", authorized=10_000),
    )
    captured = 0
    for amount in (3_000, 4_500):
        captured += amount
        part = await act(shop, payment, "capture", amount=amount, final_capture=False)
        check(
            f"capture {money(amount)} of it",
            f"{part.status} {part['status']}  {part.took}",
            differs(part, 200, "requires_capture", authorized=10_000, captured=captured),
        )
    more = await act(shop, payment, "capture", amount=2_501)
    check(
        f"capture {money(2_501)}, one more than is left",
        more.problem(),
        more.differs_from_refusal(422, "amount_beyond_left"),
    )
    last = await act(shop, payment, "capture", amount=500)
    check(
        f"capture {money(500)}, the last part",
        f"{last.status} {last['status']}, {money(2_000)} released",
        differs(last, 200, "succeeded", authorized=10_000, captured=8_000, voided=2_000),
    )
    for amount in (5_000, 3_000):
        part = await act(shop, payment, "refunds", amount=amount)
        check(
            f"refund {money(amount)}",
            f"{part.status} {part['status']}  {part.took}",
            part.differs(201, status="succeeded", amount=amount, payment=payment),
        )
    more = await act(shop, payment, "refunds", amount=1)
    check(
        f"refund {money(1)}, one refund too many",
        more.problem(),
        more.differs_from_refusal(422, "amount_beyond_left"),
    )


async def _in_a_crowd(story: Story) -> None:
    """Twice as many as there is money for, all at the same moment."""
    shop, check = story.shop, story.report.check
    payment = (await charge(shop, VISA, 10_000, capture_method="manual"))["id"]
    for verb, done, wish in (
        ("capture", _OK, {"amount": 1_000, "final_capture": False}),
        ("refunds", _CREATED, {"amount": 1_000}),
    ):
        answers = await asyncio.gather(*(act(shop, payment, verb, **wish) for _ in range(_AT_ONCE)))
        went = sum(1 for each in answers if each.status == done)
        found = [
            problem
            for each in answers
            if each.status != done
            for problem in each.differs_from_refusal(422, "amount_beyond_left")
        ]
        found += [] if went == _AT_ONCE // 2 else [f"{went} went through"]
        what = "captures" if verb == "capture" else verb
        check(
            f"{_AT_ONCE} {what} of {money(1_000)} at once, for 100.00",
            f"{went} done, {_AT_ONCE - went} refused",
            found,
        )
    stands = await shop.gateway.get(f"/v1/payments/{payment}")
    check(
        "what is then captured and given back",
        f"{money(10_000)} and {money(10_000)}",
        differs(stands, 200, "succeeded", authorized=10_000, captured=10_000, refunded=10_000),
    )


async def _released(story: Story) -> None:
    shop, check = story.shop, story.report.check
    payment = (await charge(shop, VISA, 6_000, capture_method="manual"))["id"]
    gone = await act(shop, payment, "cancel", reason="abandoned")
    check(
        f"cancel {money(6_000)} that is authorized",
        f"{gone.status} {gone['status']}, released at the processor",
        differs(gone, 200, "canceled", authorized=6_000, voided=6_000),
    )
    late = await act(shop, payment, "capture")
    found = late.differs_from_refusal(422, "amount_beyond_left")
    check("capture it nevertheless", late.problem(), found)
    payment = (await charge(shop, _CAPTURES_FAIL, 6_000, capture_method="manual"))["id"]
    failed = await act(shop, payment, "capture")
    check(
        f"its bank declines the capture: {masked(_CAPTURES_FAIL)}",
        refused(failed),
        differs(failed, DECLINED, "requires_capture", authorized=6_000),
    )


async def _refused(story: Story) -> None:
    story.report.note("and what is no payment is refused before any processor hears of it")
    shop, check = story.shop, story.report.check
    token = (await shop.secret.tokenize(VISA))["id"]
    good = {"amount": 100, "currency": "AED", "token": token, "confirm": True}
    at = story.shop.gateway
    told: tuple[tuple[str, object, int, str], ...] = (
        (
            "a card number in metadata",
            {**good, "metadata": {"a": VISA}},
            422,
            "card_number_refused",
        ),
        ("no currency of this world", {**good, "currency": "XYZ"}, 422, "invalid"),
        ("an amount below 0", {**good, "amount": -1}, 422, "invalid"),
        ("an amount of 1.5", {**good, "amount": 1.5}, 422, "invalid"),
    )
    for what, body, status, code in told:
        answer = await at.send("POST", "/v1/payments", body, name=at.name())
        check(what, answer.problem(), answer.differs_from_refusal(status, code))
    answer = await at.send("POST", "/v1/payments", good)
    found = answer.differs_from_refusal(400, "idempotency_key_missing")
    check("no Idempotency-Key", answer.problem(), found)
    answer = await pay(story.market, token, 100)
    check(
        f"{story.market.name} pays with {story.shop.name}'s token",
        answer.problem(),
        answer.differs_from_refusal(404, "token_unknown"),
    )
    public = at.with_key(shop.public.key)
    answer = await public.send("POST", "/v1/payments", good, name=at.name())
    check("a public key", answer.problem(), answer.differs_from_refusal(403, "forbidden"))
