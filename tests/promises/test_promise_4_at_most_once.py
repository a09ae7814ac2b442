# SPDX-License-Identifier: Apache-2.0
"""Promise 4: a processor is asked to move money at most once per wish of the merchant."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from database import Databases
from money import contradictions, doubled, live_authorizations
from paying import Shop, open_shop, simulating
from polling import until
from service import Service, running
from strongroom.audit import Origin
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.payments.attempts import Attempts
from strongroom.payments.model import Basis, Found, Outcome
from strongroom.payments.processors.simulator import SimulatorAdapter
from strongroom.payments.records import Act
from strongroom.simulator import Fault, Simulated

FINDINGS = ("by_reference", "by_replay", "by_notice")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def simulated(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Simulated]:
    async with simulating(tmp_path_factory.mktemp("simulator"), service) as started:
        yield started


async def rows(shop: Shop) -> list[dict[str, Any]]:
    found = await shop.service.look(
        Domain.CORE, "select * from payments.attempt where merchant_id = $1", shop.tenant.merchant
    )
    return [dict(row) for row in found]


async def broken(shop: Shop) -> list[str]:
    """Say where the promise does not hold for a shop: its attempts against the processor's journal."""
    journal = await shop.simulated.control.journal(account=shop.account)
    attempts = await rows(shop)
    return [
        *doubled(attempts, journal),
        *live_authorizations(attempts, journal),
        *contradictions(attempts, journal),
    ]


async def test_one_wish_repeated_many_times_at_once_is_one_attempt(
    service: Service, simulated: Simulated
) -> None:
    """Twenty requests with one key at once: one attempt, one execution, and every answer is that payment or 409."""
    shop = await open_shop(service, simulated)
    token = await shop.token()
    body = {"amount": 700, "currency": "AED", "token": token["id"], "confirm": True}
    answers = await asyncio.gather(
        *(shop.gateway.post("/v1/payments", body, idempotency="order-1") for _ in range(20))
    )
    assert {answer.status_code for answer in answers} <= {201, 409}
    again = await shop.gateway.post("/v1/payments", body, idempotency="order-1")
    assert again.headers["idempotent-replayed"] == "true"
    made = {answer.json()["id"] for answer in [*answers, again] if answer.status_code == 201}
    assert len(made) == 1
    assert len(await rows(shop)) == 1
    assert not await broken(shop)


async def test_an_attempt_is_committed_before_the_processor_is_asked(
    service: Service, simulated: Simulated
) -> None:
    """While the processor holds the request: the attempt is there for everybody, with its reservation and its key."""
    shop = await open_shop(service, simulated)
    payment = await shop.authorized(1_000)
    await simulated.control.demand(Fault.SLOW, "capture", seconds=1.0)
    asking = asyncio.create_task(
        shop.gateway.post(f"/v1/payments/{payment['id']}/capture", {"amount": 400})
    )

    async def reserved() -> dict[str, Any] | None:
        found = await shop.payment(payment["id"])
        return found if found["balances"]["capturing"] else None

    seen = await until(reserved, what="the reservation")
    assert seen["balances"]["capturing"] == 400
    (attempt,) = [each for each in await rows(shop) if each["operation"] == "capture"]
    assert attempt["outcome"] is None
    assert (await asking).status_code == 200
    (entry,) = [each for each in await shop.happened(payment["id"]) if each.kind == "captured"]
    assert entry.idempotency_key == entry.reference == attempt["attempt_id"]


async def test_nothing_of_the_database_is_held_while_a_processor_is_asked(
    databases: Databases, tmp_path: Path, simulated: Simulated
) -> None:
    """Sixty requests wait for a slow processor, with twelve connections in the pool: others are served at once."""
    # Here nobody gives up on a processor: on a slow machine the last of sixty may be asked late.
    patient = running(databases, tmp_path, processor_timeout_seconds=20)
    async with patient as service:
        shop = await open_shop(service, simulated, notices=False)
        await require_nothing_held(shop)


async def require_nothing_held(shop: Shop) -> None:
    simulated = shop.simulated
    payments = await asyncio.gather(*(shop.authorized(100) for _ in range(60)))
    await simulated.control.faults(latency_ms=1_500)
    try:
        waiting = [
            asyncio.create_task(shop.gateway.post(f"/v1/payments/{each['id']}/capture", {}))
            for each in payments
        ]

        async def all_asked() -> Any:
            found = await rows(shop)
            asked = [e for e in found if e["operation"] == "capture" and e["outcome"] is None]
            return asked if len(asked) == 60 else None

        asked = await until(all_asked, what="sixty captures under way")
        last = max(asked, key=lambda each: each["attempt_id"])["payment_id"]
        assert (await shop.payment(last))["status"] == "processing"
        held = await shop.service.look(
            Domain.CORE,
            "select count(*) as n from pg_stat_activity where usename = 'strongroom_gateway'"
            " and state like 'idle in transaction%'",
        )
        assert held[0]["n"] == 0
        answers = await asyncio.gather(*waiting)
    finally:
        await simulated.control.faults(latency_ms=0)
    assert {answer.status_code for answer in answers} == {200}
    assert not await broken(shop)


@pytest.mark.parametrize("finding", FINDINGS)
@pytest.mark.parametrize("fault", ["timeout_after", "cut_after", "error_500_after", "wrong_shape"])
async def test_what_happened_without_an_answer_is_unknown_and_then_found(
    service: Service, simulated: Simulated, finding: str, fault: str
) -> None:
    """The processor acts and its answer is lost: 202, never failed; then found as the connection declares, once."""
    shop = await open_shop(service, simulated, finding=finding)
    await simulated.control.demand(Fault(fault), "authorize")
    answer = await shop.pay(capture_method="manual")
    assert answer.status_code == 202, answer.text
    assert answer.json()["status"] == "processing"
    payment = answer.json()["id"]
    refused = await shop.gateway.post(f"/v1/payments/{payment}/confirm", {})
    assert refused.status_code in (200, 409), "resolved meanwhile, or nothing else may be sent"
    settled = await shop.until_status(payment, "requires_capture")
    assert settled["balances"]["authorized"] == 1_000
    (attempt,) = await shop.attempts(payment)
    assert attempt["outcome"] == "approved"
    bases = {"by_reference": {"lookup"}, "by_replay": {"replay"}, "by_notice": {"notice"}}
    assert attempt["basis"] in bases[finding] | {"notice"}
    assert not await broken(shop)


@pytest.mark.parametrize("fault", ["timeout_before", "cut_before", "error_500_before"])
async def test_what_did_not_happen_is_not_sent_once_it_would_be_visible(
    service: Service, simulated: Simulated, fault: str
) -> None:
    """The processor never acts: unknown first, not sent once it was asked late enough; the merchant may try again."""
    shop = await open_shop(service, simulated)
    await simulated.control.demand(Fault(fault), "authorize")
    answer = await shop.pay(capture_method="manual")
    assert answer.status_code == 202, answer.text
    payment = answer.json()["id"]
    await shop.until_status(payment, "requires_confirmation")
    (attempt,) = await shop.attempts(payment)
    assert (attempt["outcome"], attempt["reason"]) == ("not_sent", "not_found")
    again = await shop.gateway.post(f"/v1/payments/{payment}/confirm", {})
    assert again.status_code == 200, again.text
    assert again.json()["status"] == "requires_capture"
    assert not await broken(shop)


async def test_a_sender_who_comes_late_frees_no_payment(
    service: Service, simulated: Simulated
) -> None:
    """Its outcome is unknown, and a process that stood still says it sent nothing: nothing else is sent for that."""
    shop = await open_shop(service, simulated, notices=False, finding="by_notice")
    await simulated.control.demand(Fault.CUT_AFTER, "authorize")
    answer = (await shop.pay(capture_method="manual")).json()
    app: Any = service.edges["gateway"]._app
    attempts: Attempts = app.state.payments.service._attempts
    payment, merchant = answer["id"], shop.tenant.merchant
    loaded = await attempts._parts.changes.load(merchant, Mode.TEST, payment)
    late = Found(Outcome.NOT_SENT, Basis.ANSWER, reason="too_late_to_send")
    act = Act("key_late", Origin(), loaded.payment.updated_at)
    await attempts.settle(loaded, loaded.attempts[0].attempt_id, late, act)
    assert (await shop.attempts(payment))[0]["outcome"] == "unknown"
    assert (await shop.gateway.post(f"/v1/payments/{payment}/confirm", {})).status_code == 409
    assert not await broken(shop)


@pytest.mark.parametrize("operation", ["capture", "cancel", "refunds"])
async def test_every_operation_that_moves_money_is_found_again(
    service: Service, simulated: Simulated, operation: str
) -> None:
    """Captures, voids and refunds whose answers were lost: reserved while unknown, then found, and executed once."""
    shop = await open_shop(service, simulated)
    payment = await (shop.captured() if operation == "refunds" else shop.authorized())
    word = {"capture": "capture", "cancel": "void", "refunds": "refund"}[operation]
    await simulated.control.demand(Fault.CUT_AFTER, word)
    answer = await shop.gateway.post(f"/v1/payments/{payment['id']}/{operation}", {})
    assert answer.status_code == 202, answer.text
    settled = await shop.until_settled(payment["id"])
    balances = settled["balances"]
    assert {"capture": "captured", "cancel": "voided", "refunds": "refunded"}[operation]
    done = {"capture": "captured", "cancel": "voided", "refunds": "refunded"}[operation]
    assert balances[done] == 1_000
    assert balances["capturing"] == balances["voiding"] == balances["refunding"] == 0
    assert not await broken(shop)


async def test_a_key_whose_process_died_is_answered_with_the_payment(
    service: Service, simulated: Simulated
) -> None:
    """The key of a request that never ended, its lease over: the same key finds out, and sends nothing again."""
    shop = await open_shop(service, simulated)
    await simulated.control.demand(Fault.CUT_AFTER, "authorize")
    token = await shop.token()
    body = {"amount": 900, "currency": "AED", "token": token["id"], "confirm": True}
    first = await shop.gateway.post("/v1/payments", body, idempotency="order-9")
    assert first.status_code == 202
    await service.databases.run(
        Domain.CORE,
        "update idempotency.request set status = 0, response = '', lease_until = now() - interval '1 s'"
        f" where merchant_id = '{shop.tenant.merchant}' and key = 'order-9'",
    )
    again = await shop.gateway.post("/v1/payments", body, idempotency="order-9")
    assert again.status_code in (201, 202), again.text
    assert again.json()["id"] == first.json()["id"]
    await shop.until_status(first.json()["id"], "succeeded")
    assert len(await rows(shop)) == 1
    assert not await broken(shop)


async def test_sabotage_a_recovery_that_sends_again_under_another_key_is_noticed(
    service: Service, simulated: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request gets a key and a reference of its own: the same check finds money asked for twice."""
    shop = await open_shop(service, simulated, finding="by_replay", notices=False)
    honest = SimulatorAdapter.template

    def careless(self: SimulatorAdapter, command: Any) -> Any:
        template = honest(self, command)
        key = new_id("att")
        body = {**template.body, "reference": key} if isinstance(template.body, dict) else None
        return replace(template, headers={"idempotency-key": key}, body=body)

    monkeypatch.setattr(SimulatorAdapter, "template", careless)
    await simulated.control.demand(Fault.CUT_AFTER, "authorize")
    await shop.pay()

    async def noticed() -> list[str] | None:
        journal = await simulated.control.journal(account=shop.account)
        return await broken(shop) if len(journal) > 1 else None

    assert await until(noticed, what="a second execution")
    monkeypatch.undo()


async def test_sabotage_an_unknown_outcome_that_is_called_failed_is_noticed(
    service: Service, simulated: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost answer is read as a decline: the same check finds a payment called declined that was executed."""
    shop = await open_shop(service, simulated, notices=False)
    honest = Attempts._read

    def hasty(self: Attempts, adapter: Any, command: Any, reply: Any, basis: Basis) -> Found:
        found = honest(self, adapter, command, reply, basis)
        return (
            replace(found, outcome=Outcome.DECLINED) if found.outcome is Outcome.UNKNOWN else found
        )

    monkeypatch.setattr(Attempts, "_read", hasty)
    await simulated.control.demand(Fault.CUT_AFTER, "authorize")
    assert (await shop.pay()).status_code == 402
    assert await broken(shop)
