# SPDX-License-Identifier: Apache-2.0
"""Chapter 8: a customer has to show that it is really them, on the processor's page, and comes back to the merchant's.

That somebody came back proves nothing: the processor is asked.
"""

from typing import Final
from urllib.parse import urlsplit

import httpx

from strongroom.cli.scenario.client import Answer, Client, masked
from strongroom.cli.scenario.paying import charge, differs, money, settled
from strongroom.cli.scenario.story import Story
from strongroom.cli.scenario.till import Till

TITLE: Final = "8 · 3-D Secure"
#: Published by Stripe: challenged, then approved; challenged, then declined all the same.
_CHALLENGED: Final = "4000002500003155"
_CHALLENGED_IN_VAIN: Final = "4000008260003178"
_FORM: Final = {"content-type": "application/x-www-form-urlencoded"}
_SEE_OTHER: Final = 303


async def play(story: Story) -> None:
    """Play it."""
    till = story.till
    story.report.note(
        "the customer is a browser without a script: GET the page, POST its form, follow"
    )
    await _passed(story, till)
    await _failed(story, till, _CHALLENGED, "fail", "authentication_failed")
    await _failed(story, till, _CHALLENGED_IN_VAIN, "approve", "insufficient_funds")


async def _begun(story: Story, till: Till, number: str) -> Answer:
    paid = await charge(
        story.shop,
        number,
        32_000,
        return_url=f"{till.shop.thanks_url}?order=1042",
        reference="order-1042",
    )
    action = paid["next_action"] or {}
    host = urlsplit(str(action.get("url"))).netloc
    story.report.check(
        f"{money(32_000)}, {masked(number)}",
        f"{paid.status} {paid['status']}: go to {host}",
        differs(paid, 201, "requires_action"),
    )
    return paid


async def _passed(story: Story, till: Till) -> None:
    check, browser = story.report.check, story.stranger
    paid = await _begun(story, till, _CHALLENGED)
    path = f"/v1/payments/{paid['id']}"
    before = await _back(story, till, browser.at(story.webhooks), f"/v1/returns/{paid['id']}")
    stands = await story.shop.gateway.get(path)
    found = [*before, *differs(stands, 200, "requires_action")]
    check("somebody opens the return URL without it", f"still {stands['status']}", found)

    url = str(paid["next_action"]["url"])
    page = await browser.at(url).get("")
    text = page.body.decode()
    found = page.differs(200)
    found += [
        f"the page has no {what}"
        for what, mark in (
            ("amount", "320.00"),
            ("last four digits", _CHALLENGED[-4:]),
            ("form", '<form method="post">'),
            ("language", '<html lang="en">'),
        )
        if mark not in text
    ]
    found += ["the page has a script"] if "<script" in text else []
    check("the challenge's page", f"{page.status}, {len(text):,} characters, no script", found)

    answer = await browser.at(url).send("POST", "", b"outcome=approve", headers=_FORM)
    location = answer.headers.get("location", "")
    found = [] if answer.status == _SEE_OTHER else answer.differs(_SEE_OTHER)
    found += await _back(story, till, browser.at(location), "")
    check("Approve, and back by way of our listener", "303, 303, the merchant's thanks", found)
    stands, seconds = await settled(story.shop.gateway, path, "succeeded")
    check(
        "the payment",
        f"{stands['status']} after {seconds * 1000:.0f} ms",
        differs(stands, 200, "succeeded", authorized=32_000, captured=32_000),
    )
    answer = await browser.at(url).get("")
    check(
        "the challenge's page again",
        "this challenge is over",
        [] if b"over" in answer.body else ["it is not over"],
    )


async def _back(story: Story, till: Till, browser: Client, path: str) -> list[str]:
    """Follow a return URL to the merchant's page; return in what the way differed."""
    answer = await browser.get(path)
    if answer.status != _SEE_OTHER:
        return answer.differs(_SEE_OTHER)
    place = answer.headers.get("location", "")
    if not place.startswith(f"{till.shop.thanks_url}?order=1042&payment=pay_"):
        return ["it leads elsewhere than to the merchant's page"]
    thanks = await story.stranger.at(place).get("")
    return [] if thanks.status == httpx.codes.OK else thanks.differs(200)


async def _failed(story: Story, till: Till, number: str, outcome: str, code: str) -> None:
    paid = await _begun(story, till, number)
    await till.control.challenge(str(paid["next_action"]["url"]), approve=outcome == "approve")
    path = f"/v1/payments/{paid['id']}"
    stands, seconds = await settled(story.shop.gateway, path, "requires_payment_method")
    found = differs(stands, 200, "requires_payment_method")
    found += stands.differs(200, decline_code=code, next_action=None)
    story.report.check(
        f"the customer presses {outcome.capitalize()}",
        f"declined after {seconds * 1000:.0f} ms: {stands['decline_code']}",
        found,
    )
