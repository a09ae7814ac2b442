# SPDX-License-Identifier: Apache-2.0
"""Credentials of connections in the vault's database: tried without a card, changed one at a time, dropped in time."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
import pytest_asyncio

from database import Databases
from store.forward_ground import (
    ACTOR,
    API_KEY,
    FIND,
    SIGNING,
    VISA,
    ForwardGround,
    authorize,
    forward_ground,
)
from strongroom.audit import Origin
from strongroom.db.logins import Domain
from strongroom.db.pool import connect
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.vault import CredentialChange, CredentialState, NothingStaged, TemplateRefused
from strongroom.vault.errors import CannotReadCredentials, NothingToRestore

Act = Literal["staged", "promoted", "replaced", "restored", "discarded", "forgotten"]


@pytest_asyncio.fixture
async def ground(databases: Databases) -> AsyncIterator[ForwardGround]:
    async with forward_ground(databases, clock=SteppedClock(datetime.now(UTC))) as made:
        yield made


def keys(api_key: str) -> dict[str, Secret[str]]:
    return {"api_key": Secret(api_key), "signing": Secret(SIGNING)}


async def change(
    ground: ForwardGround, act: Act, api_key: str = "", **said: Any
) -> CredentialState:
    given = keys(api_key) if api_key else {}
    return await ground.process.connections.change(
        ground.merchant,
        Mode.TEST,
        ground.connection,
        CredentialChange(act, given, **said),
        actor=ACTOR,
        origin=Origin(),
    )


async def sent_with(ground: ForwardGround, **more: Any) -> str:
    """Call once, and say which key it went out with."""
    await ground.process.forwarder.forward(replace(ground.call(FIND), **more))
    return ground.peer.requests[-1].headers["authorization"].removeprefix("Bearer ")


async def test_only_a_call_that_asks_for_it_goes_out_with_the_next_ones(
    ground: ForwardGround,
) -> None:
    with pytest.raises(NothingStaged):
        await sent_with(ground, credentials="next")
    await change(ground, "staged", "fresh")
    assert await sent_with(ground) == API_KEY
    assert await sent_with(ground, credentials="next") == "fresh"
    assert await sent_with(ground) == API_KEY


async def test_no_card_goes_out_with_credentials_that_are_only_tried(
    ground: ForwardGround,
) -> None:
    await change(ground, "staged", "fresh")
    token, _ = await ground.token(VISA, "737")
    call = replace(ground.call(authorize(), token=token), credentials="next")
    before = len(ground.peer.requests)
    with pytest.raises(TemplateRefused):
        await ground.process.forwarder.forward(call)
    assert len(ground.peer.requests) == before
    assert "vault.token.used" not in await ground.actions()


async def test_those_from_before_are_dropped_when_their_time_is_over(
    ground: ForwardGround,
) -> None:
    clock = ground.clock
    assert isinstance(clock, SteppedClock)
    state = await change(ground, "staged", "fresh")
    await change(ground, "promoted", staged_at=state.staged_at, keep_seconds=60)
    clock.step(timedelta(seconds=59))
    assert await sent_with(ground) == "fresh"
    assert (await ground.actions()).count("vault.connection.changed") == 2
    clock.step(timedelta(seconds=2))
    with pytest.raises(NothingToRestore):
        await change(ground, "restored")
    assert await sent_with(ground) == "fresh"
    last = [each for each in await ground.records() if each["action"] == "vault.connection.changed"]
    assert (last[-1]["actor"], last[-1]["details"]["result"]) == ("system:credentials", "forgotten")
    clock.step(timedelta(seconds=2))
    await sent_with(ground)
    assert (await ground.actions()).count("vault.connection.changed") == 3, "once"


async def test_of_many_changes_at_once_each_is_decided_over_the_one_before(
    ground: ForwardGround,
) -> None:
    await asyncio.gather(
        change(ground, "staged", "one"),
        change(ground, "replaced", "two", keep_seconds=60),
        change(ground, "staged", "three"),
        change(ground, "forgotten"),
    )
    assert await sent_with(ground) == "two"
    assert await sent_with(ground, credentials="next") in ("one", "three")
    changes = [each for each in await ground.actions() if each.startswith("vault.connection.")]
    assert len(changes) == 4


async def test_a_row_that_was_altered_opens_for_nothing(ground: ForwardGround) -> None:
    await change(ground, "staged", "fresh")
    connection = await connect(ground.databases.administrator(Domain.VAULT))
    try:
        await connection.execute(
            "update vault.connection set sealed_credentials = set_byte(sealed_credentials, 40,"
            " get_byte(sealed_credentials, 40) # 1) where connection_id = $1",
            ground.connection,
        )
    finally:
        await connection.close()
    for work in (change(ground, "discarded"), sent_with(ground, credentials="next")):
        with pytest.raises(CannotReadCredentials):
            await work
