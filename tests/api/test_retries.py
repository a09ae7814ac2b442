# SPDX-License-Identifier: Apache-2.0
"""Retries over HTTP, by a running worker: scheduled, made once, canceled, ended; nothing where nobody wants them."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from made_payments import LATER, SHORT
from paying import Shop, open_shop, simulating
from polling import until
from renaming import renamed
from service import Service
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.simulator import Fault, Simulated

#: What is declined softly once.
SHORT_ONCE: Final = 1_066
#: An account's card is declined once for each of these amounts.
_amounts: Final = itertools.count(SHORT_ONCE, 100)
WRONG_ADDRESS: Final = "4000000000000010"
LOST: Final = "4000000000009987"
PATIENCE_SECONDS: Final = 60.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def simulated(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Simulated]:
    async with simulating(tmp_path_factory.mktemp("simulator"), service) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(service: Service, simulated: Simulated) -> Shop:
    return await wanting(service, simulated, [1, 2])


async def wanting(service: Service, simulated: Simulated, hours: list[int]) -> Shop:
    """A shop that wants retries."""
    shop = await open_shop(service, simulated)
    body = {"enabled": True, "delays_hours": hours}
    assert (await shop.gateway.post("/v1/retry-policy", body)).status_code == 200
    return shop


async def declined(
    shop: Shop, number: str = "4242424242424242", *, token: str = "", **more: Any
) -> str:
    body = {
        "amount": next(_amounts),
        "currency": "AED",
        "token": token or (await shop.token(number))["id"],
        "confirm": True,
        "stored_credential": LATER,
        **more,
    }
    answer = await shop.gateway.post("/v1/payments", body)
    assert answer.status_code == 402, answer.text
    return str(answer.json()["payment"]["id"])


async def scheduled(shop: Shop, payment: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        found = await shop.payment(payment)
        return found if found["next_retry_at"] is not None else None

    return await until(look, what=f"{payment} to be scheduled", seconds=PATIENCE_SECONDS)


async def looked_at(shop: Shop, payment: str) -> None:
    """Wait until no job waits for a payment any more."""

    async def look() -> bool | None:
        rows = await shop.service.look(
            Domain.CORE,
            "select 1 from jobs.job where kind = 'retry' and object_id = $1",
            payment,
        )
        return not rows or None

    await until(look, what=f"{payment} to be left alone", seconds=PATIENCE_SECONDS)


async def make_due(shop: Shop, payment: str) -> None:
    """Let the time of a retry come."""
    await shop.service.look(
        Domain.CORE,
        "with p as (update payments.payment set retry_at = now() where payment_id = $1)"
        " update jobs.job set run_at = now() where kind = 'retry' and object_id = $1 returning 1",
        payment,
    )


async def test_retries_are_off_until_somebody_wants_them(
    service: Service, simulated: Simulated
) -> None:
    shop = await open_shop(service, simulated)
    policy = (await shop.gateway.get("/v1/retry-policy")).json()
    assert (policy["enabled"], policy["updated_at"]) == (False, None)
    payment = await declined(shop)
    await looked_at(shop, payment)
    assert (await shop.payment(payment))["next_retry_at"] is None
    assert len(await shop.attempts(payment)) == 1


async def test_a_soft_decline_is_tried_again_when_it_is_time(shop: Shop) -> None:
    payment = await declined(shop)
    found = await scheduled(shop, payment)
    assert found["status"] == "requires_payment_method"
    assert len(await shop.attempts(payment)) == 1
    await make_due(shop, payment)
    paid = await shop.until_status(payment, "succeeded")
    assert paid["next_retry_at"] is None
    first, second = await shop.attempts(payment)
    assert (first["outcome"], second["outcome"]) == ("declined", "approved")
    assert first["id"] != second["id"]
    assert second["initial_transaction_id"] == "FIRST1"
    events = await shop.events(payment)
    assert events == [
        "payment.created",
        "payment.declined",
        "payment.retry_scheduled",
        "payment.captured",
    ]
    assert len([each for each in await shop.happened(payment) if each.kind == "captured"]) == 1


async def test_a_try_is_asked_for_as_the_one_before_it_was(
    service: Service, simulated: Simulated
) -> None:
    """The policy about checks holds at a retry: what it approves with a wrong address is given back."""
    shop = await wanting(service, simulated, [1])
    checks = {"version": 0, "rules": [], "checks": {"avs": "void"}}
    assert (await shop.gateway.send("PUT", "/v1/brakes", body=checks)).status_code == 200
    payment = await declined(shop, WRONG_ADDRESS)
    await scheduled(shop, payment)
    await make_due(shop, payment)

    async def given_back() -> bool | None:
        balances = (await shop.payment(payment))["balances"]
        return balances["captured"] == balances["refunded"] > 0 or None

    await until(given_back, what=f"{payment} to be given back", seconds=PATIENCE_SECONDS)
    rows = await shop.service.look(
        Domain.CORE,
        "select wish, three_ds, checks_policy from payments.attempt"
        " where payment_id = $1 and operation = 'sale' order by attempt_id",
        payment,
    )
    assert [row["checks_policy"] for row in rows] == ["avs_void", "avs_void"]
    assert rows[-1]["wish"] == "retry 1"


async def test_as_many_tries_as_the_policy_has_and_no_more(shop: Shop) -> None:
    payment = await declined(shop, SHORT, amount=1_000)
    for tries in (2, 3):
        await scheduled(shop, payment)
        await make_due(shop, payment)

        async def tried(wanted: int = tries) -> bool | None:
            found = await shop.attempts(payment)
            done = [each for each in found if each["outcome"] == "declined"]
            return len(done) == wanted or None

        await until(tried, what=f"{tries} attempts", seconds=PATIENCE_SECONDS)
    await looked_at(shop, payment)
    assert (await shop.payment(payment))["next_retry_at"] is None
    assert len(await shop.attempts(payment)) == 3


async def test_a_job_that_runs_twice_asks_once(shop: Shop) -> None:
    """Two jobs of one payment at once, as after a worker's death: one key, one request, one charge."""
    payment = await declined(shop)
    await scheduled(shop, payment)
    await make_due(shop, payment)
    for _ in range(3):
        await put_job(shop, payment)
        await asyncio.sleep(0)
    await shop.until_status(payment, "succeeded")
    await looked_at_last(shop, payment)
    assert [each["outcome"] for each in await shop.attempts(payment)] == ["declined", "approved"]
    captured = [each for each in await shop.happened(payment) if each.kind == "captured"]
    assert len({each.idempotency_key for each in captured}) == len(captured) == 1
    rows = await shop.service.look(
        Domain.CORE, "select wish from payments.attempt where payment_id = $1 order by 1", payment
    )
    assert [row["wish"] for row in rows][-1] == "retry 1"


async def looked_at_last(shop: Shop, payment: str) -> None:
    """Have whatever waits for a payment that is paid run now."""
    await make_due_job(shop, payment)
    await looked_at(shop, payment)


async def make_due_job(shop: Shop, payment: str) -> None:
    await shop.service.look(
        Domain.CORE,
        "update jobs.job set run_at = now() where kind = 'retry' and object_id = $1 returning 1",
        payment,
    )


@pytest.mark.parametrize(
    ("number", "more"),
    [
        (LOST, {}),  # never
        ("4000000000000069", {}),  # another card
        (SHORT, {"stored_credential": {**LATER, "initiator": "customer"}}),
        (SHORT, {"stored_credential": None}),
    ],
)
async def test_nothing_else_is_tried_again(shop: Shop, number: str, more: dict[str, Any]) -> None:
    payment = await declined(shop, number, amount=1_000, **more)
    await looked_at(shop, payment)
    assert (await shop.payment(payment))["next_retry_at"] is None
    assert len(await shop.attempts(payment)) == 1


async def test_while_an_outcome_is_not_known_nothing_is_tried(shop: Shop) -> None:
    """Promise 4: the try that was lost is looked for; no other is made."""
    payment = await declined(shop)
    await scheduled(shop, payment)
    await shop.simulated.control.demand(Fault.ERROR_500_AFTER, "authorize")
    await make_due(shop, payment)
    await shop.until_settled(payment)
    paid = await shop.until_status(payment, "succeeded")
    assert paid["balances"]["captured"] == paid["amount"]
    assert len(await shop.attempts(payment)) == 2


async def test_a_card_whose_bin_was_blocked_since_is_not_tried_again(
    service: Service, simulated: Simulated
) -> None:
    shop = await wanting(service, simulated, [1, 2])
    payment = await declined(shop)
    await scheduled(shop, payment)
    entry = {"list": "block", "reason": "stolen cards", "kind": "bin", "value": "424242"}
    blocked = await shop.gateway.post("/v1/brakes/entries", entry)
    assert blocked.status_code == 201, blocked.text
    await make_due(shop, payment)

    async def ended() -> bool | None:
        return "payment.retries_ended" in await shop.events(payment) or None

    await until(ended, what=f"the retries of {payment} to end", seconds=PATIENCE_SECONDS)
    await looked_at(shop, payment)
    assert [each["outcome"] for each in await shop.attempts(payment)] == ["declined"]


async def test_a_scheduled_retry_can_be_canceled(shop: Shop) -> None:
    payment = await declined(shop)
    await scheduled(shop, payment)
    path = f"/v1/payments/{payment}/retries/cancel"
    canceled = await shop.gateway.post(path)
    assert (canceled.status_code, canceled.json()["next_retry_at"]) == (200, None)
    await looked_at(shop, payment)
    again = await shop.gateway.post(path)
    assert (again.status_code, again.json()["code"]) == (409, "payment_not_ready")
    assert (await shop.events(payment))[-1] == "payment.retry_canceled"
    assert len(await shop.attempts(payment)) == 1
    other = await shop.service.tenant()
    stranger = await shop.service.gateway(other.keys[Mode.TEST]).post(path)
    assert stranger.status_code == 404


async def test_a_worker_who_had_begun_makes_no_retry_that_was_canceled_meanwhile(
    shop: Shop,
) -> None:
    """The job was claimed, and the payment is loaded after the cancellation: the retry stays canceled."""
    payment = await declined(shop, SHORT, amount=1_000)
    await scheduled(shop, payment)
    canceled = await shop.gateway.post(f"/v1/payments/{payment}/retries/cancel")
    assert (canceled.status_code, canceled.json()["next_retry_at"]) == (200, None)
    await put_job(shop, payment)  # what a worker would still be busy with
    await looked_at(shop, payment)
    assert (await shop.payment(payment))["next_retry_at"] is None
    assert (await shop.events(payment))[-1] == "payment.retry_canceled"
    assert len(await shop.attempts(payment)) == 1
    # Whoever asks again may be declined again: that is scheduled as ever.
    token = (await shop.token(SHORT))["id"]
    again = await shop.gateway.post(f"/v1/payments/{payment}/confirm", {"token": token})
    assert again.status_code == 402, again.text
    await scheduled(shop, payment)


async def put_job(shop: Shop, payment: str) -> None:
    """Have a worker look at a payment now."""
    await shop.service.look(
        Domain.CORE,
        "select jobs.put($1, 'test', 'retry', $2, now(), now())",
        shop.tenant.merchant,
        payment,
    )


async def test_calling_a_payment_off_calls_its_retry_off(shop: Shop) -> None:
    payment = await declined(shop)
    await scheduled(shop, payment)
    canceled = await shop.gateway.post(f"/v1/payments/{payment}/cancel", {})
    assert (canceled.json()["status"], canceled.json()["next_retry_at"]) == ("canceled", None)
    await make_due_job(shop, payment)
    await looked_at(shop, payment)
    assert len(await shop.attempts(payment)) == 1


@pytest.mark.parametrize("what", ["policy", "mandate", "card", "limit", "blocked"])
async def test_what_does_not_hold_any_more_ends_it(
    service: Service, simulated: Simulated, what: str
) -> None:
    shop = await wanting(service, simulated, [1])
    token = (await shop.token())["id"]
    customer = (await shop.gateway.post("/v1/customers", {"reference": "c"})).json()["id"]
    await shop.gateway.post(f"/v1/customers/{customer}/cards", {"token": token})
    agreed = {"token": token, "method": "web", "text_version": "1"}
    path = f"/v1/customers/{customer}/mandates"
    mandate = (await shop.gateway.post(path, agreed)).json()["id"]
    body = {"amount": SHORT_ONCE, "currency": "AED", "customer": customer, "confirm": True}
    answer = await shop.gateway.post("/v1/payments", {**body, "stored_credential": LATER})
    payment = answer.json()["payment"]["id"]
    await scheduled(shop, payment)
    if what == "policy":
        off = {"enabled": False, "delays_hours": [1]}
        await shop.gateway.post("/v1/retry-policy", off)
    if what == "mandate":
        await shop.gateway.post(f"{path}/{mandate}/revoke")
    if what == "card":
        assert (await shop.vault.delete(f"/v1/tokens/{token}")).status_code == 204
    if what == "blocked":
        entry = {"list": "block", "reason": "moved away", "kind": "customer", "value": customer}
        assert (await shop.gateway.post("/v1/brakes/entries", entry)).status_code == 201
    if what == "limit":
        await shop.service.look(
            Domain.CORE,
            "insert into payments.attempt (merchant_id, mode, attempt_id, payment_id, operation, wish, connection_id,"
            " amount, currency, token_id, outcome, basis, created_at, lease_until)"
            " select merchant_id, mode, attempt_id || n, payment_id, operation, wish || n, connection_id, amount,"
            " currency, token_id, 'declined', 'answer', now() - interval '1 day', now()"
            " from payments.attempt, generate_series(1, 14) n where payment_id = $1 returning 1",
            payment,
        )
    before = len(await shop.simulated.control.journal(account=shop.account))
    await make_due(shop, payment)
    await looked_at(shop, payment)
    assert (await shop.payment(payment))["next_retry_at"] is None
    assert (await shop.events(payment))[-1] == "payment.retries_ended"
    assert len(await shop.simulated.control.journal(account=shop.account)) == before


@pytest.mark.parametrize("revoked", [False, True])
async def test_an_agreement_is_looked_for_under_the_id_that_a_card_has_now(
    service: Service, simulated: Simulated, *, revoked: bool
) -> None:
    shop = await wanting(service, simulated, [1])
    token = (await shop.token())["id"]
    payment = await declined(shop, token=token)
    await scheduled(shop, payment)
    present = await renamed(service, shop.tenant, token)
    customer = (await shop.gateway.post("/v1/customers", {"reference": "c"})).json()["id"]
    path = f"/v1/customers/{customer}/mandates"
    await shop.gateway.post(f"/v1/customers/{customer}/cards", {"token": present})
    agreed = {"token": present, "method": "web", "text_version": "1"}
    mandate = (await shop.gateway.post(path, agreed)).json()["id"]
    if revoked:
        assert (await shop.gateway.post(f"{path}/{mandate}/revoke")).is_success
    await make_due(shop, payment)
    await looked_at(shop, payment)
    last = (await shop.events(payment))[-1]
    assert last == ("payment.retries_ended" if revoked else "payment.captured")
    assert len(await shop.attempts(payment)) == (1 if revoked else 2)


@pytest.mark.parametrize(
    "body",
    [
        {"enabled": True},
        {"enabled": True, "delays_hours": []},
        {"enabled": True, "delays_hours": [0]},
        {"enabled": True, "delays_hours": [1] * 11},
        {"enabled": True, "delays_hours": [700, 21]},
        {"enabled": "yes", "delays_hours": [1]},
    ],
)
async def test_a_policy_that_cannot_be_is_refused(shop: Shop, body: dict[str, Any]) -> None:
    assert (await shop.gateway.post("/v1/retry-policy", body)).status_code in (400, 422)
