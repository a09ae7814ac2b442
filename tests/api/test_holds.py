# SPDX-License-Identifier: Apache-2.0
"""Holds over HTTP: until when they last, what the worker does about them by itself, and that they can be raised."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from paying import Shop, open_shop, simulating
from polling import until
from service import Service
from strongroom.db.logins import Domain
from strongroom.simulator import Fault, Simulated

#: Long enough for a busy machine to authorize and ask for something, short enough to wait for.
SHORT_SECONDS = 4.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def simulated(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Simulated]:
    async with simulating(tmp_path_factory.mktemp("simulator"), service) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(service: Service, simulated: Simulated) -> Shop:
    return await open_shop(service, simulated)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hasty(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Simulated]:
    """A processor whose holds last seconds."""
    folder = tmp_path_factory.mktemp("hasty")
    async with simulating(folder, service, hold_seconds=SHORT_SECONDS) as running:
        yield running


def moment(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def days_from(payment: dict[str, Any], name: str) -> float:
    made, then = (datetime.fromisoformat(payment[each]) for each in ("created_at", name))
    return (then - made).total_seconds() / 86_400


async def attempt_of(shop: Shop, payment: str, operation: str) -> dict[str, Any]:
    """Wait for the attempt that the worker makes."""

    async def look() -> dict[str, Any] | None:
        found = [each for each in await shop.attempts(payment) if each["operation"] == operation]
        return found[0] if found and found[0]["outcome"] else None

    return await until(look, what=f"the worker's {operation}")


async def heard(shop: Shop, payment: str, event: str) -> None:
    async def look() -> bool | None:
        return event in await shop.events(payment) or None

    await until(look, what=event)


async def kinds(shop: Shop, payment: str) -> list[str]:
    return [each.kind for each in await shop.happened(payment)]


async def test_the_processor_says_until_when_it_holds(shop: Shop) -> None:
    held = await shop.authorized(1_000)
    assert days_from(held, "capture_before") == pytest.approx(7, abs=0.01)
    assert (held["capture_at"], held["on_expiry"], held["estimated"]) == (None, "cancel", False)
    sold = await shop.captured(1_000)
    assert (sold["capture_before"], sold["on_expiry"]) == (None, None)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"capture_at": moment(-5)}, "/capture_at"),
        ({"capture_at": moment(91 * 86_400)}, "/capture_at"),
        ({"capture_at": "2027-01-01T00:00:00"}, "/capture_at"),
        ({"capture_at": moment(60), "capture_method": "automatic"}, "/capture_at"),
        ({"estimated": True, "capture_method": "automatic"}, "/estimated"),
        ({"on_expiry": "leave", "capture_method": "automatic"}, "/on_expiry"),
        ({"on_expiry": "forget"}, "/on_expiry"),
    ],
)
async def test_what_cannot_be_is_refused(shop: Shop, body: dict[str, Any], param: str) -> None:
    answer = await shop.pay(confirm=False, **{"capture_method": "manual", **body})
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == [param]


async def test_a_capture_is_scheduled_moved_called_off_and_made_once(shop: Shop) -> None:
    held = await shop.authorized(1_000, capture_at=moment(3_600))
    path = f"/v1/payments/{held['id']}/hold"
    assert held["capture_at"] is not None
    off = await shop.gateway.post(path, {"capture_at": None}, idempotency=None)
    assert off.status_code == 200, off.text
    assert off.json()["capture_at"] is None
    late = await shop.gateway.post(path, {"capture_at": moment(8 * 86_400)}, idempotency=None)
    assert late.status_code == 422  # the hold ends before
    kept = await shop.gateway.post(path, {"on_expiry": "leave"}, idempotency=None)
    assert (kept.json()["on_expiry"], kept.json()["capture_at"]) == ("leave", None)
    soon = await shop.gateway.post(path, {"capture_at": moment(0.5)}, idempotency=None)
    assert soon.json()["on_expiry"] == "leave"
    done = await shop.until_status(held["id"], "succeeded")
    assert (done["capture_at"], done["balances"]["captured"]) == (None, 1_000)
    assert await kinds(shop, held["id"]) == ["authorized", "captured"]
    over = await shop.gateway.post(path, {"capture_at": moment(60)}, idempotency=None)
    assert (over.status_code, over.json()["code"]) == (409, "payment_not_ready")
    records = await shop.service.look(
        Domain.CORE,
        "select convert_from(payload, 'utf8')::json ->> 'actor' as actor,"
        " convert_from(payload, 'utf8')::json ->> 'action' as action from audit.event"
        " where convert_from(payload, 'utf8')::json ->> 'transaction_id' = $1",
        held["id"],
    )
    assert sorted(row["action"] for row in records).count("payments.hold.changed") == 3
    assert "system:holds" in {row["actor"] for row in records}


async def test_the_job_runs_as_often_as_it_likes_and_captures_once(shop: Shop) -> None:
    """Its lease ends under it, again and again; the wish is used up with the attempt."""
    await shop.simulated.control.demand(Fault.SLOW, "capture", seconds=1.0)
    held = await shop.authorized(1_000, capture_at=moment(1.0))

    async def again() -> bool | None:
        await shop.service.look(
            Domain.CORE,
            "update jobs.job set run_at = now() where kind = 'hold' and object_id = $1 returning 1",
            held["id"],
        )
        return (await shop.payment(held["id"]))["status"] == "succeeded" or None

    await until(again, what="the capture")
    attempts = await shop.attempts(held["id"])
    assert [each["operation"] for each in attempts] == ["authorize", "capture"]
    assert await kinds(shop, held["id"]) == ["authorized", "captured"]


async def test_a_scheduled_capture_that_fails_leaves_the_authorization_and_is_told(
    shop: Shop,
) -> None:
    held = await shop.authorized(1_000, number="4000000000000341", capture_at=moment(0.5))
    made = await attempt_of(shop, held["id"], "capture")
    assert made["outcome"] == "declined"
    left = await shop.payment(held["id"])
    assert (left["status"], left["balances"]["capturable"]) == ("requires_capture", 1_000)
    await heard(shop, held["id"], "payment.capture_failed")


async def test_a_scheduled_capture_that_was_not_sent_is_made_later(shop: Shop) -> None:
    held = await shop.authorized(1_000, capture_at=moment(1.0))
    await shop.simulated.control.demand(Fault.BUSY, "capture")
    captured = await shop.until_status(held["id"], "succeeded")
    assert captured["balances"]["captured"] == 1_000
    outcomes = [
        each["outcome"]
        for each in await shop.attempts(held["id"])
        if each["operation"] == "capture"
    ]
    assert sorted(outcomes) == ["approved", "not_sent"]
    assert await kinds(shop, held["id"]) == ["authorized", "captured"]


async def test_a_hold_that_ends_is_told_of_and_released(service: Service, hasty: Simulated) -> None:
    shop = await open_shop(service, hasty)
    held = await shop.authorized(1_000)
    await heard(shop, held["id"], "payment.capture_due_soon")
    ended = await shop.until_status(held["id"], "canceled")
    assert (ended["cancellation_reason"], ended["balances"]["voided"]) == ("expired", 1_000)
    assert await kinds(shop, held["id"]) == ["authorized", "voided"]
    events = await shop.events(held["id"])
    assert events.count("payment.capture_due_soon") == 1
    assert {"payment.voided", "payment.canceled"} <= set(events)


async def test_a_hold_that_is_to_be_left_is_told_of_and_left(
    service: Service, hasty: Simulated
) -> None:
    shop = await open_shop(service, hasty)
    held = await shop.authorized(1_000, on_expiry="leave")
    await heard(shop, held["id"], "payment.capture_due_soon")

    async def no_job() -> bool | None:
        rows = await service.look(
            Domain.CORE, "select 1 from jobs.job where kind = 'hold' and object_id = $1", held["id"]
        )
        return not rows or None

    await until(no_job, what="nothing to be left to do")
    assert (await shop.payment(held["id"]))["status"] == "requires_capture"
    assert await kinds(shop, held["id"]) == ["authorized"]


async def test_a_part_that_was_captured_stays_and_the_rest_is_released(
    service: Service, hasty: Simulated
) -> None:
    shop = await open_shop(service, hasty)
    held = await shop.authorized(1_000)
    await shop.gateway.post(
        f"/v1/payments/{held['id']}/capture", {"amount": 300, "final_capture": False}
    )
    ended = await shop.until_status(held["id"], "succeeded")
    assert (ended["balances"]["captured"], ended["balances"]["voided"]) == (300, 700)


async def test_nothing_is_released_while_an_attempt_is_unknown(
    service: Service, hasty: Simulated
) -> None:
    """The capture happened, and nobody can say so: at its end the hold is looked at, and neither taken nor released."""
    shop = await open_shop(service, hasty, notices=False, finding="by_notice")
    held = await shop.authorized(1_000)
    await hasty.control.demand(Fault.CUT_AFTER, "capture")
    answer = await shop.gateway.post(
        f"/v1/payments/{held['id']}/capture", {"amount": 300, "final_capture": False}
    )
    assert (answer.status_code, answer.json()["status"]) == (202, "processing")

    async def put_off() -> bool | None:
        rows = await service.look(
            Domain.CORE,
            "select run_at > now() + interval '20 s' as later from jobs.job"
            " where kind = 'hold' and object_id = $1",
            held["id"],
        )
        late = datetime.now(UTC) > datetime.fromisoformat(held["capture_before"])
        return bool(late and rows and rows[0]["later"]) or None

    await until(put_off, what="the hold to be put off behind its end")
    assert await kinds(shop, held["id"]) == ["authorized", "captured"]
    assert [each["operation"] for each in await shop.attempts(held["id"])] == [
        "authorize",
        "capture",
    ]


async def test_a_release_that_was_not_sent_is_asked_for_again(
    service: Service, hasty: Simulated
) -> None:
    shop = await open_shop(service, hasty)
    held = await shop.authorized(1_000)
    await hasty.control.demand(Fault.CUT_BEFORE, "void")
    await shop.until_status(held["id"], "canceled")
    voids = [each for each in await shop.attempts(held["id"]) if each["operation"] == "void"]
    assert [each["outcome"] for each in voids] == ["not_sent", "approved"]
    assert await kinds(shop, held["id"]) == ["authorized", "voided"]
    assert "payment.void_failed" in await shop.events(held["id"])


async def test_a_hold_that_was_captured_is_nobodys_work(shop: Shop) -> None:
    held = await shop.authorized(1_000)
    jobs = "select run_at from jobs.job where kind = 'hold' and object_id = $1"
    assert len(await shop.service.look(Domain.CORE, jobs, held["id"])) == 1
    await shop.gateway.post(f"/v1/payments/{held['id']}/capture", {})
    assert not await shop.service.look(Domain.CORE, jobs, held["id"])
    await shop.until_told()
    (capture,) = [e for e in await shop.attempts(held["id"]) if e["operation"] == "capture"]
    await shop.simulated.control.happen("capture_failed", capture["id"])
    await shop.until_status(held["id"], "requires_capture")
    assert len(await shop.service.look(Domain.CORE, jobs, held["id"])) == 1


# --- increments --------------------------------------------------------------------------------------


async def test_an_estimate_is_raised_and_captured_whole(shop: Shop) -> None:
    held = await shop.authorized(1_000, estimated=True)
    path = f"/v1/payments/{held['id']}"
    raised = await shop.gateway.post(f"{path}/increment", {"amount": 500}, idempotency="more-1")
    assert raised.status_code == 200, raised.text
    found = raised.json()
    assert (found["status"], found["amount"]) == ("requires_capture", 1_000)
    assert {name: found["balances"][name] for name in ("authorized", "incremented")} == {
        "authorized": 1_500,
        "incremented": 500,
    }
    assert (found["attempt"]["operation"], found["attempt"]["raises_to"]) == ("increment", 1_500)
    again = await shop.gateway.post(f"{path}/increment", {"amount": 500}, idempotency="more-1")
    assert again.headers["idempotent-replayed"] == "true"
    second = await shop.gateway.post(f"{path}/increment", {"amount": 1})
    assert second.json()["balances"]["authorized"] == 1_501
    taken = await shop.gateway.post(f"{path}/capture", {"amount": 1_400})
    assert (taken.json()["status"], taken.json()["balances"]["voided"]) == ("succeeded", 101)
    more = await shop.gateway.post(f"{path}/increment", {"amount": 1})
    assert (more.status_code, more.json()["code"]) == (409, "payment_not_ready")
    assert await kinds(shop, held["id"]) == [
        *("authorized", "incremented", "incremented", "captured", "released"),
    ]
    assert (await shop.events(held["id"])).count("payment.incremented") == 2
    check = await shop.gateway.get("/v1/ledger/check")
    assert check.json()["agrees"], check.text


async def test_what_is_no_estimate_is_not_raised(shop: Shop) -> None:
    held = await shop.authorized(1_000)
    answer = await shop.gateway.post(f"/v1/payments/{held['id']}/increment", {"amount": 1})
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_not_ready")
    waiting = (await shop.pay(confirm=False, capture_method="manual", estimated=True)).json()
    early = await shop.gateway.post(f"/v1/payments/{waiting['id']}/increment", {"amount": 1})
    assert early.status_code == 409


async def test_a_payment_that_expires_after_it_was_raised_is_released_whole(shop: Shop) -> None:
    held = await shop.authorized(1_000, estimated=True)
    await shop.gateway.post(f"/v1/payments/{held['id']}/increment", {"amount": 500})
    await shop.until_told()
    await shop.simulated.control.happen("payment_expired", held["attempt"]["id"])
    ended = await shop.until_status(held["id"], "canceled")
    assert (ended["balances"]["authorized"], ended["balances"]["voided"]) == (1_500, 1_500)
    assert not ended["discrepancy"]


@pytest.mark.parametrize(
    ("fault", "outcome", "authorized"),
    [(Fault.CUT_AFTER, "approved", 1_500), (Fault.CUT_BEFORE, "not_sent", 1_000)],
)
async def test_an_increment_without_an_answer_is_found_out(
    shop: Shop, fault: Fault, outcome: str, authorized: int
) -> None:
    held = await shop.authorized(1_000, estimated=True)
    await shop.simulated.control.demand(fault, "increment")
    path = f"/v1/payments/{held['id']}"
    answer = await shop.gateway.post(f"{path}/increment", {"amount": 500})
    if fault is Fault.CUT_BEFORE:
        assert answer.json()["balances"]["incrementing"] == 500
        busy = await shop.gateway.post(f"{path}/capture", {})
        assert (busy.status_code, busy.json()["code"]) == (409, "payment_busy")
    settled = await shop.until_settled(held["id"])
    assert (settled["balances"]["authorized"], settled["balances"]["incrementing"]) == (
        authorized,
        0,
    )
    (attempt,) = [e for e in await shop.attempts(held["id"]) if e["operation"] == "increment"]
    assert attempt["outcome"] == outcome
    taken = await shop.gateway.post(f"{path}/capture", {})
    assert taken.json()["balances"]["captured"] == authorized


async def test_captures_voids_and_increments_at_once_make_no_money(shop: Shop) -> None:
    """Whatever wins, what is captured, released and held is what the processor has, to the last unit."""
    held = await shop.authorized(1_000, estimated=True)
    path = f"/v1/payments/{held['id']}"
    wishes = [
        *([(f"{path}/increment", {"amount": 100})] * 10),
        *([(f"{path}/capture", {"amount": 300, "final_capture": False})] * 10),
        *([(f"{path}/cancel", {})] * 2),
    ]
    answers = await asyncio.gather(*(shop.gateway.post(*wish) for wish in wishes))
    assert {each.status_code for each in answers} <= {200, 402, 409, 422}
    settled = (await shop.until_settled(held["id"]))["balances"]
    books = await shop.simulated.control.books(account=shop.account)
    (theirs,) = [each for each in books.payments if each.reference == held["attempt"]["id"]]
    assert [settled[name] for name in ("authorized", "captured", "voided")] == [
        theirs.authorized,
        theirs.captured,
        theirs.voided,
    ]
    assert settled["captured"] + settled["voided"] <= settled["authorized"]
