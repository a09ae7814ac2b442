# SPDX-License-Identifier: Apache-2.0
"""Whatever is made, deleted, rotated, sealed anew and destroyed in whatever order: every live token opens, no other."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.fakes import FakeKeyStore
from database import Databases
from store.rotation_ground import Ground, Process, number
from strongroom.crypto import Algorithm
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database
from strongroom.kernel.errors import StrongroomError
from strongroom.keys import (
    DataKeyDestroyed,
    KeyInUse,
    KeyIsCurrent,
    KeyName,
    KeyStillServes,
    KeyVersionUnknown,
)

NAMES = st.sampled_from([KeyName.CARD, KeyName.FINGERPRINT])
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("make"), st.integers(0, 5), st.booleans(), st.integers(0, 1)),
        st.tuples(st.just("make"), st.integers(0, 5), st.booleans(), st.integers(0, 1)),
        st.tuples(st.just("delete"), st.integers(0, 20)),
        st.tuples(st.just("rotate"), NAMES, st.integers(0, 1)),
        st.tuples(st.just("work"), st.integers(0, 1)),
        st.tuples(st.just("reseal"), st.sampled_from([*Algorithm])),
        st.tuples(st.just("destroy"), NAMES, st.integers(1, 4)),
        st.tuples(st.just("wait"), st.sampled_from([1, 4, 12, 700])),
        st.tuples(st.just("look"), st.integers(0, 1)),
    ),
    max_size=30,
)
Operation: TypeAlias = tuple[Any, ...]


@dataclass
class Copy:
    """A row as a backup has it."""

    token: str
    sealed: bytes
    version: int
    card: int


class World(Ground):
    """A merchant whose databases are opened on this test's own loop."""

    pools: list[Database]

    async def opened_database(self) -> Database:
        database = Database(self.databases.address(Domain.VAULT, Login.VAULT), connections_max=6)
        await database.open()
        self.pools.append(database)
        return database


@dataclass
class Model:
    """What ought to be."""

    world: World
    processes: list[Process]
    #: Live tokens, and the card of each.
    live: dict[str, int] = field(default_factory=dict)
    deduplicated: dict[int, str] = field(default_factory=dict)
    jobs: list[str] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    destroyed: set[int] = field(default_factory=set)

    async def make(self, card: int, deduplicate: bool, by: int) -> None:  # noqa: FBT001
        made = await self.world.token(self.processes[by], card, deduplicate=deduplicate)
        token = str(json.loads(made.answer)["id"])
        if deduplicate and card in self.deduplicated:
            assert token == self.deduplicated[card], "a card has one token"
        else:
            assert token not in self.live
            self.live[token] = card
            if deduplicate:
                self.deduplicated[card] = token
        rows = await self.world.look(
            "select sealed_number, key_version from vault.token where token_id = $1", token
        )
        self.copies.append(Copy(token, bytes(rows[0][0]), rows[0][1], card))

    async def delete(self, index: int) -> None:
        if self.live:
            token = sorted(self.live)[index % len(self.live)]
            card = self.live.pop(token)
            if self.deduplicated.get(card) == token:
                del self.deduplicated[card]
            await self.world.delete(self.processes[0], token)

    async def rotate(self, name: KeyName, by: int) -> None:
        rotated = await self.processes[by].rotation.rotate(self.world.by, name)
        if rotated.job_id:
            self.jobs.append(rotated.job_id)

    async def reseal(self, algorithm: Algorithm) -> None:
        begun = await self.processes[0].rotation.reseal(
            self.world.by, KeyName.CARD, algorithm=algorithm
        )
        assert begun.job_id is not None
        self.jobs.append(begun.job_id)

    async def work(self, by: int) -> None:
        for job in self.jobs:
            await self.world.done(self.processes[by], job)
        self.jobs.clear()

    async def destroy(self, name: KeyName, version: int) -> None:
        try:
            await self.processes[0].rotation.destroy(self.world.by, name, version)
        except (KeyInUse, KeyIsCurrent, KeyStillServes, KeyVersionUnknown):
            return
        if name is KeyName.CARD:
            self.destroyed.add(version)

    async def wait(self, seconds: int) -> None:
        self.world.clock.step(timedelta(seconds=seconds))

    async def look(self, by: int) -> None:
        await self.processes[by].keyring.look()

    async def holds(self) -> None:
        """Every live token opens, in either process; what is deleted is gone; what was destroyed opens no copy."""
        process = self.processes[0]
        await process.keyring.look()
        for token, card in self.live.items():
            assert await self.world.opened(process, token) == number(card)
        rows = await self.world.look(
            "select token_id from vault.token where merchant_id = $1", self.world.merchant
        )
        assert {row[0] for row in rows} == set(self.live)
        for copy in self.copies:
            try:
                pan = await process.sealer.open_number(
                    copy.sealed,
                    mode=self.world.mode,
                    merchant=self.world.merchant,
                    token=copy.token,  # type: ignore[arg-type]
                    key_version=copy.version,
                )
            except DataKeyDestroyed:
                assert copy.version in self.destroyed
            else:
                assert copy.version not in self.destroyed
                assert pan.digits_for_forwarding() == number(copy.card)


async def play(databases: Databases, store: FakeKeyStore, operations: list[Operation]) -> None:
    world = World(databases, store)
    world.pools = []
    await world.look("truncate vault.job")
    model = Model(world, [await world.process(), await world.process()])
    try:
        for name, *values in operations:
            await getattr(model, name)(*values)
        await model.holds()
        await model.work(0)
        await model.holds()
    finally:
        for process in model.processes:
            await process.writer.drain()
        for pool in world.pools:
            await pool.close()


@pytest.fixture(scope="module")
def store() -> FakeKeyStore:
    return FakeKeyStore()


@pytest.mark.timeout(300)
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(operations=OPERATIONS)
def test_every_live_token_opens_and_nothing_else_does(
    databases: Databases, store: FakeKeyStore, operations: list[Operation]
) -> None:
    try:
        asyncio.run(play(databases, store, operations))
    except StrongroomError as error:  # pragma: no cover - says which, where a trace would not
        pytest.fail(f"{error.code}: {operations}")
