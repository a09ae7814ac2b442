# SPDX-License-Identifier: Apache-2.0
"""Chapter 6: a processor starts as a process of its own and is connected; the merchant's server begins to listen.

The server may call these two addresses of this machine, and no other.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, Final

from strongroom.cli.scenario.client import ANY, short
from strongroom.cli.scenario.host import ChildProcess, Program
from strongroom.cli.scenario.processor import AUTHORITY_VARIABLE
from strongroom.cli.scenario.shop import Shop, open_shop
from strongroom.cli.scenario.story import Story
from strongroom.cli.scenario.till import Till
from strongroom.crypto.random import new_secret_text
from strongroom.simulator import Account, SimulatorControl

TITLE: Final = "6 · A processor, and a merchant who listens"
_ACCOUNT: Final = "acct_corner_shop"
_WEBHOOK_KEY_BITS: Final = 192
#: Nobody may be called there: another port of this machine, a cloud's metadata, a private network, plain HTTP.
_ELSEWHERE: Final = (
    "http://127.0.0.1:1",
    "https://169.254.169.254",
    "https://10.0.0.1",
    "http://processor.example",
)


async def play(story: Story) -> None:
    """Play it."""
    story.report.note(
        "the simulator: another process with books of its own, reached over HTTP and nothing else"
    )
    begun = perf_counter()
    ready = await story.stack.enter_async_context(_processor(story))
    control = await story.stack.enter_async_context(
        SimulatorControl(ready["url"], ready["control_key"])
    )
    # A name of this run's own: what an earlier run left there is not looked at.
    account = await control.account(f"{_ACCOUNT}_{os.urandom(3).hex()}")
    await control.faults(pending_seconds=None)
    story.report.check(
        "the simulator answers", f"{ready['url']} after {perf_counter() - begun:.1f} s"
    )
    shop = await story.stack.enter_async_context(open_shop(story.places.shop))
    await _forget_earlier(story)
    story.connected = await _connect(story, control, account, ready["url"], shop)
    await _elsewhere(story, account)
    await _listen(story, shop)


@asynccontextmanager
async def _processor(story: Story) -> AsyncIterator[dict[str, Any]]:
    """Run the simulator's process."""
    folder = story.folder
    child = ChildProcess(
        Program(
            "simulator",
            "strongroom.cli.scenario.processor",
            [str(folder.processor), str(story.places.processor.port)],
            folder.processor_output,
            {AUTHORITY_VARIABLE: str(story.authority)},
        ),
        story.report.note,
    )
    try:
        with story.report.busy("the simulator starts …"):
            await child.start(keep=[folder.lock])
            ready = await child.ready()
        yield ready
    finally:
        await child.stop()


async def _forget_earlier(story: Story) -> None:
    """End what an earlier run in this folder connected: its simulator's account and its listener are not there."""
    at = story.shop.gateway
    for each in (await at.get("/v1/connections"))["data"] or ():
        if each["status"] == "active":
            await at.send("POST", f"/v1/connections/{each['id']}/disable", {})
    for each in (await at.get("/v1/endpoints"))["data"] or ():
        await at.send("DELETE", f"/v1/endpoints/{each['id']}")


def _wish(account: Account, url: str, secret: str) -> dict[str, Any]:
    return {
        "processor": "simulator",
        "account": account.account,
        "base_url": url,
        "credentials": {"api_key": account.api_key},
        "webhook_secret": secret,
        "name": "the demo's simulator",
    }


async def _connect(
    story: Story, control: SimulatorControl, account: Account, url: str, shop: Shop
) -> Till:
    at, check = story.shop.gateway, story.report.check
    # Not hexadecimal: three in a hundred would hold thirteen digits in a row, and pass for a card that was sent.
    secret = "sim_whsec_" + new_secret_text(_WEBHOOK_KEY_BITS)
    made = await at.send("POST", "/v1/connections", _wish(account, url, secret))
    found = made.differs(201, status="active", finding="by_reference", webhook_url=ANY)
    held = [word for word in (secret, account.api_key) if word.encode() in made.body]
    found += ["the answer shows a secret"] if held else []
    check(
        f"connect {account.account}",
        f"{made.status} {short(made['id'])}, key sealed by the vault",
        found,
    )
    path = f"/v1/connections/{made['id']}/test"
    tested = await at.send("POST", path, {})
    missing = str((tested["missing"] or [""])[0]).partition(":")[0]
    check(
        "test the connection: what is missing?",
        missing,
        tested.differs(200, passed=False, reachable=True, account=account.account),
    )
    await control.account(
        account.account, webhook_url=str(made["webhook_url"]), webhook_secrets=[secret]
    )
    tested = await at.send("POST", path, {})
    check(
        "tell the processor our webhook URL, test again",
        f"{tested.status} passed, {tested['account']}, mode {tested['mode']}",
        tested.differs(200, passed=True, missing=[], mode="test"),
    )
    return Till(
        control=control,
        shop=shop,
        processor=url,
        account=account.account,
        api_key=account.api_key,
        connection=str(made["id"]),
        webhook_url=str(made["webhook_url"]),
        secret=secret,
    )


async def _elsewhere(story: Story, account: Account) -> None:
    """What is connected is called by the server: so it may not be an address inside its own network."""
    at = story.shop.gateway
    for url in _ELSEWHERE:
        wish = _wish(account, url, "a_secret_of_no_account")
        answer = await at.send("POST", "/v1/connections", wish)
        story.report.check(
            f"a processor at {url}",
            answer.problem(),
            [] if answer.status == 422 else answer.differs(422),  # noqa: PLR2004 - refused
        )


async def _listen(story: Story, shop: Shop) -> None:
    at, check = story.shop.gateway, story.report.check
    made = await at.send(
        "POST", "/v1/endpoints", {"url": shop.events_url, "description": "the demo's listener"}
    )
    shop.trust(str(made["secret"]))
    check(
        f"an endpoint at {shop.events_url}",
        f"{made.status} {short(made['id'])}, secret shown once",
        made.differs(201, url=shop.events_url, status="active", secret=ANY),
    )
    await at.send("POST", f"/v1/endpoints/{made['id']}/test", {})
    seconds = await shop.until(
        lambda: any(each.type == "webhook.test" for each in shop.heard.values())
    )
    check(
        "a test event, verified by standardwebhooks",
        f"webhook.test after {seconds * 1000:.0f} ms",
        [f"{shop.refused} did not verify"] if shop.refused else [],
    )
