# SPDX-License-Identifier: Apache-2.0
"""A process dies before and after each step of a wish that goes from one processor on to another. Nothing is doubled.

As in `test_payment_crashes`: what the dying process held in memory is gone, what it had committed is there, and another
process finds out. Recovery and repeats begin no attempt.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from database import Server, fresh_databases
from money import contradictions, doubled, live_authorizations, unsettled
from paying import Shop, open_shop, simulating
from polling import until
from service import Service, running
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.payments.attempts import Attempts
from strongroom.simulator import Fault, Simulated
from strongroom.vault.forward import VaultForwarder

#: Where it dies (before or after the n-th call, or when the n-th outcome is saved), and what then became of each
#: attempt, by how the connections' processor is asked.
POINTS = {
    ("before", 1): {"by_reference": ["not_sent"], "by_replay": ["declined"]},
    ("after", 1): {"by_reference": ["declined"], "by_replay": ["declined"]},
    ("saved", 1): {
        "by_reference": ["declined", "not_sent"],
        "by_replay": ["declined", "approved"],
    },
    ("before", 2): {
        "by_reference": ["declined", "not_sent"],
        "by_replay": ["declined", "approved"],
    },
    ("after", 2): {
        "by_reference": ["declined", "approved"],
        "by_replay": ["declined", "approved"],
    },
    ("saved", 2): {
        "by_reference": ["declined", "approved"],
        "by_replay": ["declined", "approved"],
    },
}
FINDINGS = ("by_reference", "by_replay")
#: A replay is the same request only where the address that customers come back to is the same.
SAME = "https://pay.example"


class Killed(BaseException):
    """The process is gone: nothing catches this."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def two(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Service, Service, Simulated]]:
    """A process that asks and does no jobs, one that does, and the processor between."""
    folder: Path = tmp_path_factory.mktemp("two")
    async with (
        fresh_databases(server) as databases,
        running(
            databases, folder, worker=False, processor_timeout_seconds=1, public_url=SAME
        ) as dying,
        running(databases, folder, processor_timeout_seconds=1, public_url=SAME) as living,
        simulating(tmp_path_factory.mktemp("simulator"), living) as simulated,
    ):
        yield dying, living, simulated


class Trap:
    """Stops whatever asks for one merchant at one point."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.points: dict[str, tuple[str, int]] = {}
        self.sprung: set[str] = set()
        calls: dict[str, int] = {}
        outcomes: dict[str, int] = {}
        forward, settle = VaultForwarder.forward, Attempts.settle
        trap = self

        async def forwarding(self: VaultForwarder, request: Any) -> Any:
            if request.template.route != "authorize" or request.merchant in trap.sprung:
                return await forward(self, request)
            calls[request.merchant] = calls.get(request.merchant, 0) + 1
            trap.spring_at(request.merchant, ("before", calls[request.merchant]))
            reply = await forward(self, request)
            trap.spring_at(request.merchant, ("after", calls[request.merchant]))
            return reply

        async def settling(self: Attempts, loaded: Any, *more: Any, **named: Any) -> Any:
            settled = await settle(self, loaded, *more, **named)
            merchant = loaded.payment.merchant_id
            outcomes[merchant] = outcomes.get(merchant, 0) + 1
            trap.spring_at(merchant, ("saved", outcomes[merchant]))
            return settled

        monkeypatch.setattr(VaultForwarder, "forward", forwarding)
        monkeypatch.setattr(Attempts, "settle", settling)

    def spring_at(self, merchant: str, point: tuple[str, int]) -> None:
        if self.points.get(merchant) == point:
            del self.points[merchant]
            self.sprung.add(merchant)
            raise asyncio.CancelledError(Killed())


async def ready(living: Service, simulated: Simulated, finding: str) -> tuple[Shop, str]:
    """Return a shop whose rule has two connections, and a payment whose first authorization is declined elsewhere."""
    shop = await open_shop(living, simulated, notices=False, finding=finding)
    other = await open_shop(living, simulated, notices=False, finding=finding, tenant=shop.tenant)
    listed = [{"connection": each.connection["id"]} for each in (shop, other)]
    rules = {"rules": [{"name": "both", "connections": listed}]}
    assert (await shop.gateway.post("/v1/routing/rules", rules)).status_code == 201
    made = (await shop.pay(confirm=False, capture_method="manual")).json()
    return shop, str(made["id"])


async def dies(
    two: tuple[Service, Service, Simulated], trap: Trap, point: tuple[str, int], finding: str
) -> list[str]:
    """Kill at one point, and say what is wrong once the other process has found out."""
    dying, living, simulated = two
    shop, payment = await ready(living, simulated, finding)
    merchant = shop.tenant.merchant
    trap.points[merchant] = point
    path = f"/v1/payments/{payment}/confirm"
    await simulated.control.no_faults()
    await simulated.control.demand(Fault.ACQUIRER_AWAY, "authorize")
    caller = dying.gateway(shop.tenant.keys[Mode.TEST])
    asking = asyncio.create_task(caller.post(path, {}, idempotency="the wish"))

    async def sprung() -> bool | None:
        return merchant in trap.sprung or None

    await until(sprung, what="the kill", seconds=60)
    asking.cancel()  # nobody answers any more
    await shop.until_settled(payment)
    attempts = await shop.attempts(payment)
    found = []
    said = [each["outcome"] for each in attempts]
    if said != POINTS[point][finding]:
        found.append(f"{point} {finding}: {said}")
    if [each["step"] for each in attempts] != list(range(1, len(attempts) + 1)):
        found.append(f"{point} {finding}: the steps do not follow each other")
    again = await shop.gateway.post(path, {}, idempotency="the wish")
    attempt = again.json().get("payment", again.json())["attempt"]
    if not again.headers.get("idempotent-replayed") or attempt["id"] != attempts[-1]["id"]:
        found.append(f"{point} {finding}: the key answers {again.status_code} {again.text[:200]}")
    if len(await shop.attempts(payment)) != len(attempts):
        found.append(f"{point} {finding}: a repeat began an attempt")
    query = "select * from payments.attempt where merchant_id = $1"
    rows = [dict(row) for row in await living.look(Domain.CORE, query, merchant)]
    references = {row["attempt_id"] for row in rows}
    journal = [e for e in await simulated.control.journal() if e.reference in references]
    return [
        *found,
        *doubled(rows, journal),
        *live_authorizations(rows, journal),
        *contradictions(rows, journal),
        *unsettled(rows, journal, ()),
    ]


@pytest.mark.parametrize("finding", FINDINGS)
async def test_a_process_that_dies_while_a_wish_goes_on_leaves_nothing_doubled(
    two: tuple[Service, Service, Simulated], monkeypatch: pytest.MonkeyPatch, finding: str
) -> None:
    trap = Trap(monkeypatch)
    wrong = []
    for point in POINTS:  # one after another: a demanded fault is met by whoever comes next
        wrong += await dies(two, trap, point, finding)
    assert not wrong
