# SPDX-License-Identifier: Apache-2.0
"""Approvals against a model, over HTTP and the real tables.

Any order of asking, deciding, withdrawing, using, waiting and suspending passes exactly what the model lets pass.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from database import Server, fresh_databases
from persons import People, Someone
from service import Service, running
from strongroom.crypto.ids import new_id
from strongroom.kernel.clock import SteppedClock, SystemClock
from strongroom.kernel.mode import Mode

BODIES: Final = tuple({"webhook_secret": letter * 24} for letter in "ab")
HOUR: Final = timedelta(minutes=60)
_person = st.integers(0, 2)
_nth = st.integers(0, 3)
_body = st.integers(0, 1)
steps = st.one_of(
    st.tuples(st.just("ask"), _person, _body),
    st.tuples(st.just("decide"), _person, _nth, st.sampled_from(["approve", "approve", "deny"])),
    st.tuples(st.just("withdraw"), _person, _nth),
    st.tuples(st.just("use"), _person, _nth, _body),
    st.tuples(st.just("wait"), st.integers(1, 45)),
    st.tuples(st.just("suspend"), _person),
)


@dataclass
class Known:
    """What the model knows of one approval."""

    by: int
    body: int
    at: datetime
    word: str = "pending"
    decided_by: int | None = None


@dataclass
class Play:
    """One plan played: three admins of a merchant of their own, and what the model expects of each answer."""

    service: Service
    people: People
    clock: SteppedClock
    persons: list[Someone]
    path: str
    ids: list[str] = field(default_factory=list)
    known: dict[str, Known] = field(default_factory=dict)
    active: list[bool] = field(default_factory=lambda: [True, True, True])

    def word(self, approval: str) -> str:
        known = self.known[approval]
        late = self.clock.now() - known.at >= HOUR
        return "expired" if late and known.word in ("pending", "approved") else known.word

    def nth(self, number: int) -> str | None:
        return self.ids[number] if number < len(self.ids) else None

    async def ask(self, person: int, body: int) -> None:
        answer = await self._rotate(person, body)
        if not any(self.active[:person] + self.active[person + 1 :]):
            open_ = self._open(person, body)
            assert answer.json().get("code") == "approval_nobody" or answer.json()["id"] == open_
            return
        assert answer.status_code == 202, answer.text
        approval = answer.json()["id"]
        assert self._open(person, body) in (None, approval)
        if approval not in self.known:
            self.ids.append(approval)
            self.known[approval] = Known(person, body, self.clock.now())
        assert answer.json()["state"] == self.word(approval)

    def _open(self, person: int, body: int) -> str | None:
        for approval, known in self.known.items():
            if (known.by, known.body) == (person, body) and self.word(approval) in (
                "pending",
                "approved",
            ):
                return approval
        return None

    async def _rotate(self, person: int, body: int, **headers: str) -> Any:
        caller = self.people.at("gateway", self.persons[person])
        return await caller.post(self.path, BODIES[body], headers=headers)

    async def decide(self, person: int, number: int, verdict: str) -> None:
        if (approval := self.nth(number)) is None:
            return
        known = self.known[approval]
        caller = self.people.at("console", self.persons[person])
        answer = await caller.post(f"/v1/approvals/{approval}/{verdict}", {})
        if person == known.by:
            assert answer.status_code == 403
        elif self.word(approval) != "pending":
            assert answer.status_code == 409
        else:
            assert answer.status_code == 200, answer.text
            known.word = {"approve": "approved", "deny": "denied"}[verdict]
            known.decided_by = person

    async def withdraw(self, person: int, number: int) -> None:
        if (approval := self.nth(number)) is None:
            return
        known = self.known[approval]
        caller = self.people.at("console", self.persons[person])
        answer = await caller.post(f"/v1/approvals/{approval}/withdraw")
        if person != known.by:
            assert answer.status_code == 404
        elif self.word(approval) not in ("pending", "approved"):
            assert answer.status_code == 409
        else:
            assert answer.status_code == 200, answer.text
            known.word = "withdrawn"

    async def use(self, person: int, number: int, body: int) -> None:
        if (approval := self.nth(number)) is None:
            return
        known = self.known[approval]
        answer = await self._rotate(person, body, **{"strongroom-approval": approval})
        passes = (
            (known.by, known.body) == (person, body)
            and self.word(approval) == "approved"
            and known.decided_by is not None
            and self.active[known.decided_by]
        )
        code = answer.json()["code"]  # behind the gate there is no such connection
        assert code == ("connection_unknown" if passes else "approval_not_usable")
        if passes:
            known.word = "used"

    async def wait(self, minutes: int) -> None:
        self.clock.step(timedelta(minutes=minutes))

    async def suspend(self, person: int) -> None:
        """Suspend somebody, or let them in again."""
        self.active[person] = not self.active[person]
        await self.people.sql(
            "update identity.person set status = $2 where person_id = $1",
            self.persons[person].id,
            "active" if self.active[person] else "suspended",
        )

    async def shown(self) -> None:
        """The console says the same of each as the model."""
        caller = self.people.at("console", self.persons[0])
        for approval in self.ids:
            answer = (await caller.get(f"/v1/approvals/{approval}")).json()
            assert answer["state"] == self.word(approval)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def stepped(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Any:
    clock = SteppedClock(SystemClock().now())
    folder = tmp_path_factory.mktemp("approvals")
    async with (
        fresh_databases(server) as databases,
        running(databases, folder, clock=clock, listens=False, worker=False) as service,
    ):
        yield service, clock


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(plan=st.lists(steps, min_size=4, max_size=16))
async def test_any_plan_passes_what_the_model_lets_pass(
    stepped: tuple[Service, SteppedClock], plan: list[tuple[Any, ...]]
) -> None:
    service, clock = stepped
    people = People(service)
    merchant = (await service.tenant()).merchant
    persons = [await people.make(merchant, mode=Mode.LIVE) for _ in range(3)]
    play = Play(service, people, clock, persons, f"/v1/connections/{new_id('con')}/rotate")
    for word, *arguments in plan:
        await getattr(play, word)(*arguments)
    await play.shown()
