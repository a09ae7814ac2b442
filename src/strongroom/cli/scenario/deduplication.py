# SPDX-License-Identifier: Apache-2.0
"""Chapter 3: the same card twice, with and without deduplication, as another merchant, and with a public key."""

import asyncio
from datetime import datetime, timedelta
from typing import Final

from strongroom.cli.scenario.client import ANY, masked, short
from strongroom.cli.scenario.story import Story

TITLE: Final = "3 · The same card twice"
AT_ONCE: Final = 10


async def play(story: Story) -> None:
    """Play it."""
    story.report.note("deduplication compares the number only, and never changes what is stored")
    await _with_and_without(story)
    await _at_once(story)
    await _another_merchant(story)
    await _public_key(story)


async def _with_and_without(story: Story) -> None:
    shop, check = story.shop.secret, story.report.check
    number = story.card()
    tokens = [await shop.tokenize(number) for _ in range(2)]
    ids = {answer["id"] for answer in tokens}
    differences = [each for answer in tokens for each in answer.differs(201, deduplicated=False)]
    differences += [] if len(ids) == 2 else ["expected two tokens"]  # noqa: PLR2004 - two were asked for
    check(f"{masked(number)} twice", f"201 {' and '.join(map(short, sorted(ids)))}", differences)

    number = story.card()
    first = await shop.tokenize(number, deduplicate=True, metadata={"customer": "c-17"})
    check(
        f"{masked(number)}, deduplicate",
        f"{first.status} {short(first['id'])}  {first.took}",
        first.differs(201, deduplicated=False),
    )
    second = await shop.tokenize(number, deduplicate=True, year=2033, metadata={"customer": "c-18"})
    check(
        "the same, deduplicate, another expiry",
        f"{second.status} {short(second['id'])}, what is stored stays  {second.took}",
        second.differs(
            200, id=first["id"], deduplicated=True, exp_year=2034, metadata={"customer": "c-17"}
        ),
    )


async def _at_once(story: Story) -> None:
    """A race: the database decides, once."""
    shop, number = story.shop.secret, story.card()
    answers = await asyncio.gather(
        *(shop.tokenize(number, deduplicate=True) for _ in range(AT_ONCE))
    )
    statuses = sorted(answer.status for answer in answers)
    tokens = {str(answer["id"]) for answer in answers}
    wanted = [200] * (AT_ONCE - 1) + [201]
    differences = [] if statuses == wanted else [f"expected one 201, got {statuses}"]
    differences += [] if len(tokens) == 1 else [f"expected one token, got {len(tokens)}"]
    story.report.check(
        f"a new card {AT_ONCE} times at the same moment",
        f"1 made, all {short(min(tokens))}",
        differences,
    )


async def _another_merchant(story: Story) -> None:
    shop, market, check = story.shop.secret, story.market.secret, story.report.check
    number = story.card()
    ours = await shop.tokenize(number, deduplicate=True)
    theirs = await market.tokenize(number, deduplicate=True)
    differences = theirs.differs(201, deduplicated=False)
    differences += [] if theirs["id"] != ours["id"] else ["it is the first merchant's token"]
    check(
        f"the same card at {story.market.name}",
        f"{theirs.status} {short(theirs['id'])}, its own",
        differences,
    )
    for what, method in (("read", "GET"), ("delete", "DELETE")):
        answer = await market.send(method, f"/v1/tokens/{ours['id']}")
        check(
            f"{story.market.name} wants to {what} {story.shop.name}'s token",
            answer.problem(),
            answer.differs_from_refusal(404, "token_unknown"),
        )
    mine = await shop.get(f"/v1/tokens/{ours['id']}")
    check(
        "it is still there", f"{mine.status} {short(mine['id'])}", mine.differs(200, id=ours["id"])
    )


async def _public_key(story: Story) -> None:
    public, shop, check = story.shop.public, story.shop.secret, story.report.check
    number = story.card()
    known = await shop.tokenize(number, deduplicate=True)
    made = await public.tokenize(number, deduplicate=True, cvc="737")
    differences = made.differs(201, single_use=True, deduplicated=False, cvc=ANY, expires_at=ANY)
    differences += [] if made["id"] != known["id"] else ["a public key was told of another token"]
    if made["expires_at"]:
        life = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(
            made["created_at"]
        )
        differences += [] if life <= timedelta(hours=1) else [f"it lives {life}"]
    check(
        "a known card by a public key",
        f"{made.status} {short(made['id'])}, single use, one hour",
        differences,
    )

    path = f"/v1/tokens/{made['id']}"
    for what, method in (("read it", "GET"), ("delete it", "DELETE")):
        answer = await public.send(method, path)
        check(
            f"the public key wants to {what}",
            answer.problem(),
            answer.differs_from_refusal(403, "forbidden"),
        )
    kept = await shop.send("POST", f"{path}/keep", {"metadata": {"customer": "c-19"}})
    check(
        "the secret key keeps it",
        f"{kept.status} lasting",
        kept.differs(
            200, id=made["id"], single_use=False, expires_at=None, metadata={"customer": "c-19"}
        ),
    )
