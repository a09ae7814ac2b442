# SPDX-License-Identifier: Apache-2.0
"""Stored cards over HTTP: the first payment of a series, what a merchant begins later, and cards that are verified."""

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from paying import DECLINED, VISA, WITH_CHALLENGE, Shop, open_shop, simulating
from service import Service
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import KeyKind
from strongroom.simulator import Fault, Simulated

FIRST: Final = {"initiator": "customer", "reason": "recurring", "stage": "initial"}
LATER: Final = {"initiator": "merchant", "reason": "recurring", "stage": "later"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def simulated(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Simulated]:
    async with simulating(tmp_path_factory.mktemp("simulator"), service) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(service: Service, simulated: Simulated) -> Shop:
    return await open_shop(service, simulated)


async def charge(shop: Shop, token: str, said: dict[str, Any] | None, **more: Any) -> Any:
    body = {"amount": 1_000, "currency": "AED", "token": token, "confirm": True, **more}
    if said is not None:
        body["stored_credential"] = said
    return await shop.gateway.post("/v1/payments", body)


async def test_a_series_refers_to_its_first_payment(shop: Shop) -> None:
    token = (await shop.token(cvc="123"))["id"]
    first = await charge(shop, token, FIRST)
    assert first.status_code == 201, first.text
    attempt = first.json()["attempt"]
    scheme = attempt["scheme_transaction_id"]
    assert scheme
    assert attempt["initial_transaction_id"] is None
    assert first.json()["stored_credential"] == {**FIRST, "scheme_transaction_id": None}
    kept = (await shop.vault.get(f"/v1/tokens/{token}")).json()["stored_credential"]
    assert (kept["initiator"], kept["scheme_transaction_id"]) == ("customer", scheme)
    later = await charge(shop, token, LATER)
    assert later.status_code == 201, later.text
    attempt = later.json()["attempt"]
    assert (attempt["outcome"], attempt["initial_transaction_id"]) == ("approved", scheme)
    assert (await shop.payment(later.json()["id"]))["stored_credential"] == {
        **LATER,
        "scheme_transaction_id": None,
    }
    # The agreement is still the first one's.
    again = (await shop.vault.get(f"/v1/tokens/{token}")).json()["stored_credential"]
    assert again == kept


async def test_a_mandate_that_stands_with_the_token_keeps_its_words(shop: Shop) -> None:
    words = {"initiator": "customer", "mandate_reference": "M-7", "mandate_text": "each month"}
    token = (await shop.token(stored_credential=words))["id"]
    assert (await charge(shop, token, FIRST)).status_code == 201
    kept = (await shop.vault.get(f"/v1/tokens/{token}")).json()["stored_credential"]
    assert (kept["mandate_reference"], kept["mandate_text"]) == ("M-7", "each month")
    assert kept["scheme_transaction_id"]


async def test_a_payment_without_a_first_one_is_not_sent(shop: Shop) -> None:
    token = (await shop.token())["id"]
    before = len(await shop.simulated.control.journal(account=shop.account))
    refused = await charge(shop, token, LATER)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["code"] == "initial_payment_unknown"
    assert len(await shop.simulated.control.journal(account=shop.account)) == before
    # Where the first one was made elsewhere, the merchant says what the scheme called it.
    paid = await charge(shop, token, {**LATER, "scheme_transaction_id": "MCC123456 0912"})
    assert paid.status_code == 201
    assert paid.json()["attempt"]["initial_transaction_id"] == "MCC123456 0912"


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        ({**LATER, "stage": "initial"}, "/stored_credential/stage"),
        ({**LATER, "reason": "one_off"}, "/stored_credential/reason"),
        ({**FIRST, "scheme_transaction_id": "X1"}, "/stored_credential/scheme_transaction_id"),
        ({**LATER, "scheme_transaction_id": VISA}, "/card_number_refused"),
        ({**LATER, "initiator": "nobody"}, "/stored_credential/initiator"),
        ({**LATER, "more": 1}, "/stored_credential/more"),
    ],
)
async def test_what_cannot_be_said_is_refused(
    shop: Shop, said: dict[str, Any], pointer: str
) -> None:
    token = (await shop.token())["id"]
    refused = await charge(shop, token, said)
    assert refused.status_code in (400, 422), refused.text
    assert VISA not in refused.text
    assert pointer.rpartition("/")[2] in refused.text


async def test_what_a_merchant_begins_carries_no_code(shop: Shop) -> None:
    card = await shop.token(cvc="123")
    said = {**LATER, "scheme_transaction_id": "X1"}
    refused = await charge(shop, card["id"], said, cvc=card["cvc"])
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/cvc")
    made = await charge(shop, card["id"], said, confirm=False)
    path = f"/v1/payments/{made.json()['id']}/confirm"
    refused = await shop.gateway.post(path, {"cvc": card["cvc"]})
    assert refused.status_code == 422
    assert (await shop.gateway.post(path, {})).json()["status"] == "succeeded"


async def test_nobody_is_challenged_who_is_not_there(shop: Shop) -> None:
    token = (await shop.token(WITH_CHALLENGE))["id"]
    first = await charge(shop, token, FIRST)
    assert first.json()["status"] == "requires_action"
    declined = await charge(shop, token, {**LATER, "scheme_transaction_id": "UNKNOWN1"})
    assert declined.status_code == 402
    assert declined.json()["decline_code"] == "authentication_required"
    assert declined.json()["payment"]["next_action"] is None


# --- zero amount ------------------------------------------------------------------------------------


async def test_a_card_is_verified_and_nothing_moves(shop: Shop) -> None:
    card = await shop.token(cvc="123")
    answer = await charge(shop, card["id"], FIRST, amount=0, cvc=card["cvc"])
    assert answer.status_code == 201, answer.text
    payment = answer.json()
    assert (payment["status"], set(payment["balances"].values())) == ("succeeded", {0})
    attempt = payment["attempt"]
    assert (attempt["operation"], attempt["amount"], attempt["outcome"]) == (
        "verify",
        0,
        "approved",
    )
    assert (attempt["cvc_result"], attempt["avs_result"]) == ("match", None)
    assert await shop.events(payment["id"]) == ["payment.created", "payment.verified"]
    postings = await shop.gateway.get(f"/v1/ledger/postings?payment={payment['id']}")
    assert postings.json()["data"] == []
    for what in ("capture", "refunds"):
        refused = await shop.gateway.post(f"/v1/payments/{payment['id']}/{what}", {})
        assert refused.status_code in (409, 422), what
    # Its first payment was this: what the merchant begins later refers to it.
    later = await charge(shop, card["id"], LATER)
    assert later.json()["attempt"]["initial_transaction_id"] == attempt["scheme_transaction_id"]


async def test_a_verified_card_lasts(shop: Shop) -> None:
    key = await shop.service.key(shop.tenant.merchant, KeyKind.PUBLIC, Mode.TEST)
    token = await shop.service.vault(key.text.expose()).token(VISA)
    before = (await shop.vault.get(f"/v1/tokens/{token['id']}")).json()
    assert before["single_use"]
    assert (await charge(shop, token["id"], None, amount=0)).status_code == 201
    assert not (await shop.vault.get(f"/v1/tokens/{token['id']}")).json()["single_use"]


async def test_a_bad_card_is_declined(shop: Shop) -> None:
    token = (await shop.token(DECLINED))["id"]
    answer = await charge(shop, token, None, amount=0)
    assert (answer.status_code, answer.json()["payment"]["status"]) == (
        402,
        "requires_payment_method",
    )
    wrong = await shop.token("4000000000000127", cvc="123")
    answer = await charge(shop, wrong["id"], None, amount=0, cvc=wrong["cvc"])
    assert answer.json()["payment"]["attempt"]["cvc_result"] == "mismatch"


async def test_what_is_not_known_of_a_verification_is_found_out(shop: Shop) -> None:
    await shop.simulated.control.demand(Fault.ERROR_500_AFTER, "authorize")
    token = (await shop.token())["id"]
    answer = await charge(shop, token, FIRST, amount=0)
    assert answer.status_code == 202, answer.text
    settled = await shop.until_settled(answer.json()["id"])
    assert settled["status"] == "succeeded"
    (attempt,) = await shop.attempts(settled["id"])
    assert attempt["scheme_transaction_id"]
    kept = (await shop.vault.get(f"/v1/tokens/{token}")).json()["stored_credential"]
    assert kept["scheme_transaction_id"] == attempt["scheme_transaction_id"]


async def test_nothing_cannot_be_held_for_later(shop: Shop) -> None:
    token = (await shop.token())["id"]
    refused = await charge(shop, token, None, amount=0, capture_method="manual")
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (
        422,
        "/capture_method",
    )
