# SPDX-License-Identifier: Apache-2.0
"""What a crash just before and just after each outside effect means: another process finds out, and nothing is doubled.

The process that asks is stopped dead at a chosen point, as a kill would: what it held in memory is gone, what it had
committed is there. Rule 14's comments in `payments/attempts.py` and `vault/forward.py` say what these tests show.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from database import Server, fresh_databases
from money import contradictions, doubled, live_authorizations
from paying import Shop, open_shop, simulating
from polling import until
from service import Service, running
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.payments.attempts import Attempts
from strongroom.simulator import Simulated
from strongroom.vault.forward import VaultForwarder

#: Where it dies, and what then became of the attempt.
POINTS = {
    "before the call": "not_sent",
    "after the processor acted": "approved",
    "after the answer is saved": "approved",
}
OPERATIONS = ("authorize", "capture", "void", "refund", "increment")


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
        running(databases, folder, worker=False, processor_timeout_seconds=1) as dying,
        running(databases, folder, processor_timeout_seconds=1) as living,
        simulating(tmp_path_factory.mktemp("simulator"), living) as simulated,
    ):
        yield dying, living, simulated


class Trap:
    """Stops whatever asks for one shop's operation, at one point."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.points: dict[tuple[str, str], str] = {}
        self.sprung: set[tuple[str, str]] = set()
        forward, settle = VaultForwarder.forward, Attempts.settle
        trap = self

        async def forwarding(self: VaultForwarder, request: Any) -> Any:
            key = (request.merchant, request.template.route)
            point = trap.points.get(key)
            if point == "before the call":
                trap.spring(key)
            reply = await forward(self, request)
            if point == "after the processor acted":
                trap.spring(key)
            return reply

        async def settling(
            self: Attempts, loaded: Any, attempt_id: str, *more: Any, **named: Any
        ) -> Any:
            settled = await settle(self, loaded, attempt_id, *more, **named)
            operation = loaded.attempt(attempt_id).operation.value
            key = (loaded.payment.merchant_id, operation)
            if trap.points.get(key) == "after the answer is saved":
                trap.spring(key)
            return settled

        monkeypatch.setattr(VaultForwarder, "forward", forwarding)
        monkeypatch.setattr(Attempts, "settle", settling)

    def spring(self, key: tuple[str, str]) -> None:
        del self.points[key]
        self.sprung.add(key)
        raise asyncio.CancelledError(Killed())


async def begun(shop: Shop, operation: str) -> tuple[str, str, dict[str, Any]]:
    """Return a payment that is ready for an operation, and the request that asks for it."""
    if operation == "authorize":
        made = (await shop.pay(confirm=False, capture_method="manual")).json()
        return made["id"], f"/v1/payments/{made['id']}/confirm", {}
    made = await (shop.captured() if operation == "refund" else shop.authorized(estimated=True))
    words = {"capture": "capture", "increment": "increment", "void": "cancel", "refund": "refunds"}
    body = {"amount": 500} if operation == "increment" else {}
    return made["id"], f"/v1/payments/{made['id']}/{words[operation]}", body


async def dies(
    two: tuple[Service, Service, Simulated], trap: Trap, operation: str, point: str
) -> list[str]:
    """Kill at one point of one operation, and say what is wrong once the other process has found out."""
    dying, living, simulated = two
    shop = await open_shop(living, simulated, notices=False)
    payment, path, body = await begun(shop, operation)
    trap.points[shop.tenant.merchant, operation] = point
    caller = dying.gateway(shop.tenant.keys[Mode.TEST])
    asking = asyncio.create_task(caller.post(path, body, idempotency="the wish"))

    async def sprung() -> bool | None:
        return (shop.tenant.merchant, operation) in trap.sprung or None

    await until(sprung, what="the kill")
    asking.cancel()  # nobody answers any more
    settled = await shop.until_settled(payment)
    found = []
    attempt = (await shop.attempts(payment))[-1]
    if attempt["outcome"] != POINTS[point]:
        found.append(f"{operation} {point}: {attempt['outcome']}, {attempt['reason']}")
    balances = settled["balances"]
    if balances["capturing"] or balances["voiding"] or balances["refunding"]:
        found.append(f"{operation} {point}: still reserved")
    again = await shop.gateway.post(path, body, idempotency="the wish")
    if again.status_code not in (200, 201) or not again.headers.get("idempotent-replayed"):
        found.append(f"{operation} {point}: the key answers {again.status_code} {again.text[:200]}")
    rows = [
        dict(row)
        for row in await living.look(
            Domain.CORE,
            "select * from payments.attempt where merchant_id = $1",
            shop.tenant.merchant,
        )
    ]
    journal = await simulated.control.journal(account=shop.account)
    return [
        *found,
        *doubled(rows, journal),
        *live_authorizations(rows, journal),
        *contradictions(rows, journal),
    ]


async def test_a_process_that_dies_at_any_point_leaves_nothing_doubled_and_nothing_lost(
    two: tuple[Service, Service, Simulated], monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = Trap(monkeypatch)
    wrong = await asyncio.gather(
        *(dies(two, trap, operation, point) for operation in OPERATIONS for point in POINTS)
    )
    assert not [each for case in wrong for each in case]
