# SPDX-License-Identifier: Apache-2.0
"""Chapter 2: one Idempotency-Key is one act, however often it is sent; with another body it is refused."""

import asyncio
from typing import Final

from strongroom.cli.scenario.client import masked, short
from strongroom.cli.scenario.story import Story

TITLE: Final = "2 · The same request twice"
AT_ONCE: Final = 20


async def play(story: Story) -> None:
    """Play it."""
    shop, check = story.shop.secret, story.report.check
    story.report.note(
        "Idempotency-Key: scope is merchant, mode, route, key; the CVC is no part of the body"
    )
    number, name = story.card(), shop.name()
    first = await shop.tokenize(number, cvc="737", name=name)
    check(
        f"{masked(number)} with a CVC, key K",
        f"{first.status} {short(first['id'])}  {first.took}",
        first.differs(201, cvc_state="sealed"),
    )

    again = await shop.tokenize(number, cvc="737", name=name)
    differences = again.differs(201, id=first["id"], cvc_state="not_replayable", cvc=None)
    differences += [] if again.replayed else ["the header Idempotent-Replayed is missing"]
    check(
        "the same again, key K",
        f"{again.status} the same token, replayed  {again.took}",
        differences,
    )

    quoted = await shop.tokenize(number, cvc="737", name=f'"{name}"')
    check(
        'key "K" in quotes (RFC 8941)',
        f"{quoted.status} the same token, replayed",
        quoted.differs(201, id=first["id"]),
    )

    other = await shop.tokenize(story.card(), name=name)
    check(
        "another card, key K",
        other.problem(),
        other.differs_from_refusal(422, "idempotency_key_reused"),
    )

    theirs = await story.market.secret.tokenize(number, name=name)
    differences = theirs.differs(201) + ([] if theirs["id"] != first["id"] else ["the same token"])
    differences += ["it was replayed"] if theirs.replayed else []
    check("another merchant, key K", f"{theirs.status} a token of its own", differences)

    await _at_once(story)


async def _at_once(story: Story) -> None:
    """A client that lost its patience: the same request many times at the same moment."""
    shop = story.shop.secret
    number, name = story.card(), shop.name()
    answers = await asyncio.gather(*(shop.tokenize(number, name=name) for _ in range(AT_ONCE)))
    made = [answer for answer in answers if answer.status == 201 and not answer.replayed]  # noqa: PLR2004 - created
    differences = [problem for answer in answers for problem in answer.differs(201)]
    tokens = {str(answer["id"]) for answer in answers}
    if len(tokens) != 1 or len(made) != 1:
        differences.append(
            f"expected one token made once, got {len(tokens)}, made {len(made)} times"
        )
    story.report.check(
        f"one request {AT_ONCE} times at the same moment",
        f"1 made, {AT_ONCE - len(made)} replayed, all {short(made[0]['id'] if made else None)}",
        differences,
    )
