# SPDX-License-Identifier: Apache-2.0
"""Uses of cards that are recorded together: each has its own verdict and its own records, and a batch commits whole."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Final

import pytest_asyncio

from database import Databases
from store.forward_ground import VISA, ForwardGround, authorize, forward_ground
from strongroom.kernel.ids import TokenId
from strongroom.kernel.mode import Mode
from strongroom.vault import CardFacts, CvcUsed, Forwarded, TokenUnknown

MASTERCARD: Final = "5555555555554444"
NOBODYS: Final = TokenId("tok_01KAZ000000000000000000000")


@pytest_asyncio.fixture(loop_scope="session")
async def ground(databases: Databases) -> AsyncIterator[ForwardGround]:
    async with forward_ground(databases) as made:
        yield made


async def test_uses_at_once_are_recorded_together_each_with_its_own_verdict(
    ground: ForwardGround,
) -> None:
    process = ground.process
    first, cvc = await ground.token(VISA, "737")
    second, _ = await ground.token(MASTERCARD, None)
    for token in (first, second):
        await process.forwarder.describe(ground.merchant, Mode.TEST, token)
    calls = [
        ground.call(authorize(cvc=True), token=first, cvc=cvc),
        ground.call(authorize(), token=second),
        ground.call(authorize(cvc=True), token=first, cvc=cvc),
        ground.call(authorize(), token=first),
    ]
    await process.connections.open(ground.merchant, Mode.TEST, ground.connection)
    lent = process.database.lent
    found = await asyncio.gather(
        *[process.forwarder.forward(call) for call in calls], return_exceptions=True
    )
    assert process.database.lent - lent < len(calls)
    assert sum(isinstance(each, CvcUsed) for each in found) == 1
    assert sum(isinstance(each, Forwarded) for each in found) == 3
    numbers = sorted(str(json.loads(sent.body)["card"]["number"]) for sent in ground.peer.requests)
    assert numbers == sorted([VISA, VISA, MASTERCARD])
    records = await ground.records()
    used = [str(each["object"]) for each in records if each["action"] == "vault.token.used"]
    assert sorted(used) == sorted([first, first, second])
    assert sum(each["action"] == "vault.cvc.used" for each in records) == 1


async def test_tokens_that_are_asked_for_at_once_are_each_their_own(ground: ForwardGround) -> None:
    first, _ = await ground.token(VISA, None)
    second, _ = await ground.token(MASTERCARD, None)
    asked = [first, NOBODYS, second, first]
    found = await asyncio.gather(
        *[ground.process.forwarder.describe(ground.merchant, Mode.TEST, each) for each in asked],
        return_exceptions=True,
    )
    assert [each.last4 if isinstance(each, CardFacts) else type(each) for each in found] == [
        "4242",
        TokenUnknown,
        "4444",
        "4242",
    ]
