# SPDX-License-Identifier: Apache-2.0
"""Disputes through the whole of a service: a simulator tells of them, and books on both sides agree."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest_asyncio

from money import misposted, sums_of
from paying import Shop, open_shop, simulating
from service import Service
from strongroom.db.logins import Domain
from strongroom.simulator.faults import Fault

NOBODY: Final = "dsp_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(service: Service, tmp_path_factory: Any) -> AsyncIterator[Shop]:
    folder: Path = tmp_path_factory.mktemp("disputes")
    async with simulating(folder, service) as simulated:
        yield await open_shop(service, simulated)


async def happen(shop: Shop, payment: str, kind: str, **more: Any) -> dict[str, Any]:
    """Let something happen to a payment's dispute, and wait until it was told and dealt with."""
    (first, *_) = await shop.attempts(payment)
    shown = await shop.simulated.control.happen(kind, first["id"], account=shop.account, **more)
    await shop.until_told()
    return dict(shown)


async def disputes(shop: Shop, **query: str) -> list[dict[str, Any]]:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    answer = await shop.gateway.get(f"/v1/disputes?{asked}")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


async def agree(shop: Shop) -> None:
    """Compare our balances and our ledger with the simulator's books, and the ledger with the payments."""
    books = await shop.simulated.control.books(account=shop.account)
    theirs = {each.reference: each.disputed for each in books.payments}
    rows = await shop.service.look(
        Domain.CORE,
        "select p.*, a.attempt_id as authorization from payments.payment p"
        " join payments.attempt a using (merchant_id, mode, payment_id)"
        " where p.merchant_id = $1 and a.operation in ('authorize', 'sale')",
        shop.tenant.merchant,
    )
    assert {row["authorization"]: row["disputed"] for row in rows} == theirs
    posted = await shop.service.look(
        Domain.CORE, "select * from payments.posting where merchant_id = $1", shop.tenant.merchant
    )
    assert misposted(map(dict, rows), map(dict, posted), sums_of(books)) == []
    check = (await shop.gateway.get("/v1/ledger/check")).json()
    assert check == {"object": "ledger_check", "agrees": True, "data": []}


async def test_a_dispute_is_opened_reversed_opened_again_and_lost(shop: Shop) -> None:
    payment = (await shop.captured())["id"]
    opened = await happen(shop, payment, "dispute_opened", amount=600)
    balances = (await shop.payment(payment))["balances"]
    assert (balances["disputed"], balances["refundable"]) == (600, 400)
    (dispute,) = await disputes(shop, payment=payment)
    assert dispute["processor_reference"] == opened["id"]
    assert (dispute["status"], dispute["amount"], dispute["counted"]) == ("opened", 600, 600)
    assert dispute["evidence_due_by"][:10] == opened["evidence_due_by"][:10]
    assert await disputes(shop, due_before=dispute["evidence_due_by"]) == []
    answer = await shop.gateway.get(f"/v1/disputes/{dispute['id']}")
    assert answer.json() == dispute
    await agree(shop)
    for kind, status, disputed in (
        ("dispute_reversed", "reversed", 0),
        ("dispute_opened", "opened", 600),
        ("dispute_lost", "lost", 600),
    ):
        await happen(shop, payment, kind)
        (dispute,) = await disputes(shop, payment=payment)
        assert (dispute["status"], dispute["counted"]) == (status, disputed)
        assert (await shop.payment(payment))["balances"]["disputed"] == disputed
        await agree(shop)
    heard = [each for each in await shop.events(payment) if each.startswith("dispute.")]
    assert heard == [
        "dispute.opened",
        "dispute.evidence_needed",
        "dispute.reversed",
        "dispute.opened",
        "dispute.lost",
    ]


async def test_an_inquiry_takes_nothing_and_may_be_refunded(shop: Shop) -> None:
    payment = (await shop.captured())["id"]
    await happen(shop, payment, "dispute_inquired", amount=1_000)
    assert (await shop.payment(payment))["balances"]["refundable"] == 1_000
    (dispute,) = await disputes(shop, payment=payment, status="inquiry")
    assert dispute["counted"] == 0
    answer = await shop.gateway.post(f"/v1/payments/{payment}/refunds", {"amount": 1_000})
    assert answer.status_code == 201, answer.text
    await happen(shop, payment, "dispute_won")
    (dispute,) = await disputes(shop, payment=payment)
    assert dispute["status"] == "won"
    await agree(shop)


async def test_two_disputes_of_one_payment_are_two(shop: Shop) -> None:
    payment = (await shop.captured())["id"]
    await happen(shop, payment, "dispute_opened", amount=300)
    await happen(shop, payment, "dispute_opened", amount=200)
    second, first = await disputes(shop, payment=payment)
    assert (first["amount"], second["amount"]) == (300, 200)
    assert (await shop.payment(payment))["balances"]["disputed"] == 500
    await happen(shop, payment, "dispute_won")
    assert (await shop.payment(payment))["balances"]["disputed"] == 300
    page = (await shop.gateway.get("/v1/disputes?limit=1")).json()
    assert (len(page["data"]), page["has_more"]) == (1, True)
    rest = (await shop.gateway.get(f"/v1/disputes?limit=1&cursor={page['next_cursor']}")).json()
    assert rest["data"] == [first]
    await agree(shop)


async def test_what_is_disputed_is_never_refunded_however_many_ask(shop: Shop) -> None:
    payment = (await shop.captured())["id"]
    await happen(shop, payment, "dispute_opened", amount=700)
    answer = await shop.gateway.post(f"/v1/payments/{payment}/refunds", {"amount": 301})
    assert (answer.status_code, answer.json()["code"]) == (422, "amount_beyond_left")
    whole = await shop.gateway.post(f"/v1/payments/{payment}/refunds", {})
    assert (whole.status_code, whole.json()["amount"]) == (201, 300)
    await agree(shop)


async def test_a_late_word_of_an_earlier_step_changes_nothing(shop: Shop) -> None:
    """The opening is held back until the end was told."""
    payment = (await shop.captured())["id"]
    await shop.until_told()
    (first,) = await shop.attempts(payment)
    control = shop.simulated.control
    await control.demand(Fault.WEBHOOK_REORDER, "dispute.opened", seconds=60)
    await control.happen("dispute_opened", first["id"], account=shop.account)
    await happen(shop, payment, "dispute_won")
    (dispute,) = await disputes(shop, payment=payment)
    assert (dispute["status"], dispute["counted"]) == ("won", 0)
    assert (await shop.payment(payment))["balances"]["disputed"] == 0
    heard = [each for each in await shop.events(payment) if each.startswith("dispute.")]
    assert heard == ["dispute.won"]


async def test_a_dispute_is_recorded_with_its_notice(shop: Shop) -> None:
    payment = (await shop.captured())["id"]
    await happen(shop, payment, "dispute_opened", amount=100)
    (dispute,) = await disputes(shop, payment=payment)

    rows = await shop.service.look(
        Domain.CORE,
        "select convert_from(payload, 'utf8') as payload from audit.event where merchant_id = $1",
        shop.tenant.merchant,
    )
    actions = [each["payload"] for each in rows if dispute["id"] in each["payload"]]
    assert len(actions) == 1
    assert "payments.dispute.recorded" in actions[0]


async def test_a_dispute_that_is_not_there(shop: Shop) -> None:
    for path in (f"/v1/disputes/{NOBODY}", "/v1/disputes/dsp_x"):
        answer = await shop.gateway.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "dispute_unknown")
    for query in ("cursor=x", "payment=x", "status=gone"):
        assert (await shop.gateway.get(f"/v1/disputes?{query}")).status_code in (400, 422)
