# SPDX-License-Identifier: Apache-2.0
"""Customers over HTTP: who they are, what they saved, what they agreed to, and what is charged by it."""

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from paying import DECLINED, Shop, open_shop, simulating
from service import Caller, Service
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.simulator import Simulated

WHO: Final = {"reference": "c-17", "name": "Amal Haddad", "email": "amal@example.com"}
AGREED: Final = {
    "method": "web",
    "text_version": "terms-3",
    "ip_address": "192.0.2.7",
    "user_agent": "Mozilla/5.0 (a browser of its own kind)",
}
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


async def made(caller: Caller, **more: Any) -> dict[str, Any]:
    answer = await caller.post("/v1/customers", {**WHO, **more})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def with_card(shop: Shop, number: str = "4242424242424242") -> tuple[str, str]:
    """A customer who saved a card."""
    customer, token = (await made(shop.gateway))["id"], (await shop.token(number))["id"]
    saved = await shop.gateway.post(f"/v1/customers/{customer}/cards", {"token": token})
    assert saved.status_code == 201, saved.text
    return customer, token


async def agreed(shop: Shop, customer: str, token: str) -> dict[str, Any]:
    answer = await shop.gateway.post(
        f"/v1/customers/{customer}/mandates", {"token": token, **AGREED}
    )
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def charge(shop: Shop, **body: Any) -> Any:
    return await shop.gateway.post(
        "/v1/payments", {"amount": 1_000, "currency": "AED", "confirm": True, **body}
    )


# --- who they are -----------------------------------------------------------------------------------


async def test_a_customer_is_made_read_changed_listed_and_erased(shop: Shop) -> None:
    customer = await made(shop.gateway, metadata={"plan": "yearly"}, reference="c-1")
    path = f"/v1/customers/{customer['id']}"
    assert (await shop.gateway.get(path)).json() == customer
    assert (customer["name"], customer["default_card"]) == ("Amal Haddad", None)
    changed = (await shop.gateway.post(path, {"phone": "+971 4", "email": None})).json()
    assert (changed["name"], changed["phone"], changed["email"]) == ("Amal Haddad", "+971 4", None)
    assert changed["metadata"] == {"plan": "yearly"}
    found = (await shop.gateway.get("/v1/customers?reference=c-1")).json()
    assert [each["id"] for each in found["data"]] == [customer["id"]]
    assert (await shop.gateway.delete(path)).status_code == 204
    for answer in (
        await shop.gateway.get(path),
        await shop.gateway.delete(path),
        await shop.gateway.post(path, {"name": "Nobody"}),
        await shop.gateway.get(f"{path}/cards"),
        await charge(shop, customer=customer["id"]),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "customer_unknown")
    assert (await shop.gateway.get("/v1/customers?reference=c-1")).json()["data"] == []


async def test_pages_are_walked_by_cursor(shop: Shop) -> None:
    names = [(await made(shop.gateway, reference="page"))["id"] for _ in range(3)]
    first = (await shop.gateway.get("/v1/customers?reference=page&limit=2")).json()
    assert first["has_more"]
    path = f"/v1/customers?reference=page&limit=2&cursor={first['next_cursor']}"
    rest = (await shop.gateway.get(path)).json()
    seen = [each["id"] for each in (*first["data"], *rest["data"])]
    assert (seen, rest["has_more"]) == (names[::-1], False)


async def test_who_somebody_is_rests_sealed_and_goes_when_they_are_erased(shop: Shop) -> None:
    customer, token = await with_card(shop)
    await agreed(shop, customer, token)
    asked = (
        "select row_to_json(c)::text || coalesce((select string_agg(row_to_json(m)::text, '') from payments.mandate m"
        " where m.customer_id = c.customer_id), '') as all from payments.customer c where customer_id = $1"
    )
    (row,) = await shop.service.look(Domain.CORE, asked, customer)
    for word in ("Amal", "amal@", "192.0.2.7", "Mozilla"):
        assert word not in row["all"]
        assert word.encode().hex() not in row["all"]
    (kept,) = await shop.service.look(
        Domain.CORE,
        "select sealed_personal, key_version from payments.customer where customer_id = $1",
        customer,
    )
    assert kept["key_version"] == 1
    # Another row's sealed value does not open here.
    other = (await made(shop.gateway))["id"]
    await shop.service.look(
        Domain.CORE,
        "update payments.customer set sealed_personal = $2 where customer_id = $1 returning 1",
        other,
        kept["sealed_personal"],
    )
    swapped = await shop.gateway.get(f"/v1/customers/{other}")
    assert (swapped.status_code, swapped.json()["code"]) == (503, "customer_unreadable")
    assert "Amal" not in swapped.text
    assert (await shop.gateway.delete(f"/v1/customers/{customer}")).status_code == 204
    (row,) = await shop.service.look(
        Domain.CORE,
        "select c.reference, c.sealed_personal, m.sealed_evidence, m.status,"
        " (select count(*) from payments.saved_card s where s.customer_id = c.customer_id) as cards"
        " from payments.customer c join payments.mandate m using (customer_id) where customer_id = $1",
        customer,
    )
    assert tuple(row) == (None, None, None, "revoked", 0)
    events = await shop.service.look(
        Domain.CORE, "select payload from webhooks.event where object_id = $1", customer
    )
    assert ['"cards":1' in each["payload"] for each in events] == [True]


async def test_what_has_ended_does_not_come_back(shop: Shop) -> None:
    """Not even by a login that may change the row."""
    customer, token = await with_card(shop)
    mandate = await agreed(shop, customer, token)
    path = f"/v1/customers/{customer}/mandates/{mandate['id']}/revoke"
    assert (await shop.gateway.post(path)).json()["status"] == "revoked"
    for statement in (
        f"update payments.mandate set status = 'active', revoked_at = null where mandate_id = '{mandate['id']}'",
        f"update payments.customer set reference = 'x', status = 'erased' where customer_id = '{customer}'",
    ):
        with pytest.raises(Exception, match=r"ended|erased_says_nothing"):
            await shop.service.look(Domain.CORE, statement)


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"email": "x" * 201},
        {"number": "4242424242424242"},
        {"name": "4242424242424242"},
        {"unknown": 1},
        {"metadata": {"k": 1}},
    ],
)
async def test_what_is_wrong_is_refused(shop: Shop, body: dict[str, Any]) -> None:
    refused = await shop.gateway.post("/v1/customers", body)
    assert refused.status_code == 422, refused.text
    assert "4242424242424242" not in refused.text


# --- cards and mandates -----------------------------------------------------------------------------


async def test_the_first_card_is_the_default_until_another_is(shop: Shop) -> None:
    customer, first = await with_card(shop)
    path = f"/v1/customers/{customer}"
    second = (await shop.token("5555555555554444"))["id"]
    saved = await shop.gateway.post(f"{path}/cards", {"token": second})
    assert (saved.json()["default"], saved.json()["last4"]) == (False, "4444")
    assert (await shop.gateway.get(path)).json()["default_card"] == first
    await shop.gateway.post(f"{path}/cards", {"token": second, "default": True})
    found = (await shop.gateway.get(f"{path}/cards")).json()["data"]
    assert {each["token"]: each["default"] for each in found} == {first: False, second: True}
    paid = await charge(shop, customer=customer)
    assert (paid.json()["token"], paid.json()["customer"]) == (second, customer)
    # A card on file is said to be one.
    assert paid.json()["stored_credential"]["reason"] == "one_off"
    assert paid.json()["stored_credential"]["stage"] == "later"
    assert (await shop.gateway.delete(f"{path}/cards/{second}")).status_code == 204
    gone = await shop.gateway.delete(f"{path}/cards/{second}")
    assert (gone.status_code, gone.json()["code"]) == (404, "card_not_saved")
    without = await charge(shop, customer=customer)
    assert without.status_code == 422, without.text


async def test_a_token_for_one_use_is_not_saved(shop: Shop) -> None:
    from strongroom.kernel.principal import KeyKind  # noqa: PLC0415 - of this test alone

    key = await shop.service.key(shop.tenant.merchant, KeyKind.PUBLIC, Mode.TEST)
    token = await shop.service.vault(key.text.expose()).token("4242424242424242")
    customer = (await made(shop.gateway))["id"]
    path = f"/v1/customers/{customer}/cards"
    refused = await shop.gateway.post(path, {"token": token["id"]})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "token_single_use")
    assert (await charge(shop, token=token["id"], amount=0)).status_code == 201
    assert (await shop.gateway.post(path, {"token": token["id"]})).status_code == 201


async def test_a_mandate_says_when_how_and_what(shop: Shop) -> None:
    customer, token = await with_card(shop)
    mandate = await agreed(shop, customer, token)
    assert {name: mandate[name] for name in AGREED} == AGREED
    assert (mandate["status"], mandate["revoked_at"]) == ("active", None)
    path = f"/v1/customers/{customer}"
    (card,) = (await shop.gateway.get(f"{path}/cards")).json()["data"]
    assert (card["mandate"], card["mandate_status"]) == (mandate["id"], "active")
    assert (await shop.gateway.get(f"{path}/mandates")).json()["data"] == [mandate]
    for body, status in (
        ({"token": (await shop.token("5555555555554444"))["id"], **AGREED}, 404),
        ({"token": token, **AGREED, "agreed_at": "2999-01-01T00:00:00Z"}, 422),
        ({"token": token, **AGREED, "method": "telepathy"}, 422),
    ):
        assert (await shop.gateway.post(f"{path}/mandates", body)).status_code == status


async def test_what_a_merchant_begins_takes_a_mandate_that_holds(shop: Shop) -> None:
    customer, token = await with_card(shop)
    assert (await charge(shop, customer=customer, stored_credential=FIRST)).status_code == 201
    refused = await charge(shop, customer=customer, stored_credential=LATER)
    assert (refused.status_code, refused.json()["code"]) == (422, "mandate_missing")
    mandate = await agreed(shop, customer, token)
    paid = await charge(shop, customer=customer, stored_credential=LATER)
    assert paid.status_code == 201, paid.text
    unconfirmed = await charge(shop, customer=customer, stored_credential=LATER, confirm=False)
    path = f"/v1/customers/{customer}/mandates/{mandate['id']}/revoke"
    for _ in range(2):
        assert (await shop.gateway.post(path)).json()["status"] == "revoked"
    before = len(await shop.simulated.control.journal(account=shop.account))
    for answer in (
        await charge(shop, customer=customer, stored_credential=LATER),
        # By the token alone, too: whose card it is, is known.
        await charge(shop, token=token, stored_credential=LATER),
        await shop.gateway.post(f"/v1/payments/{unconfirmed.json()['id']}/confirm", {}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "mandate_revoked")
    assert len(await shop.simulated.control.journal(account=shop.account)) == before
    # The customer themselves still pays with it, and may agree anew.
    assert (await charge(shop, customer=customer)).status_code == 201
    await agreed(shop, customer, token)
    assert (await charge(shop, customer=customer, stored_credential=LATER)).status_code == 201
    unknown = path.replace(mandate["id"], new_id("mnd"))
    assert (await shop.gateway.post(unknown)).json()["code"] == "mandate_unknown"


async def test_a_card_that_is_forgotten_is_charged_by_nobody(shop: Shop) -> None:
    customer, token = await with_card(shop)
    await charge(shop, customer=customer, stored_credential=FIRST)
    await agreed(shop, customer, token)
    await shop.gateway.delete(f"/v1/customers/{customer}/cards/{token}")
    refused = await charge(shop, token=token, stored_credential=LATER)
    assert refused.json()["code"] == "mandate_revoked"
    (mandate,) = (await shop.gateway.get(f"/v1/customers/{customer}/mandates")).json()["data"]
    assert mandate["status"] == "revoked"


async def test_a_card_on_file_is_charged_while_it_is_one(shop: Shop) -> None:
    """A payment that waits for its confirmation holds nobody who has gone, and no card that was forgotten."""
    customer, token = await with_card(shop)
    waits = [await charge(shop, customer=customer, confirm=False) for _ in range(3)]
    first, second, third = [f"/v1/payments/{each.json()['id']}/confirm" for each in waits]
    assert (await shop.gateway.post(first, {})).json()["status"] == "succeeded"
    await shop.gateway.delete(f"/v1/customers/{customer}/cards/{token}")
    forgotten = await shop.gateway.post(second, {})
    assert (forgotten.status_code, forgotten.json()["code"]) == (404, "card_not_saved")
    assert (await shop.gateway.post(second, {"token": token})).json()["status"] == "succeeded"
    await shop.gateway.delete(f"/v1/customers/{customer}")
    gone = await shop.gateway.post(third, {"token": token})
    assert (gone.status_code, gone.json()["code"]) == (404, "customer_unknown")


async def test_the_card_on_file_does_not_stand_in_for_one_that_was_declined(shop: Shop) -> None:
    customer, _ = await with_card(shop)
    other = (await shop.token(DECLINED))["id"]
    declined = await charge(shop, customer=customer, token=other)
    assert declined.status_code == 402, declined.text
    path = f"/v1/payments/{declined.json()['payment']['id']}/confirm"
    again = await shop.gateway.post(path, {})
    assert again.status_code in (409, 422), again.text


# --- whose ------------------------------------------------------------------------------------------


async def test_a_customer_is_of_one_tenant_and_mode(shop: Shop) -> None:
    customer, token = await with_card(shop)
    mandate = await agreed(shop, customer, token)
    other = await shop.service.tenant()
    path = f"/v1/customers/{customer}"
    for key in (other.keys[Mode.TEST], shop.tenant.keys[Mode.LIVE]):
        caller = shop.service.gateway(key)
        for answer in (
            await caller.get(path),
            await caller.post(path, {"name": "Mallory"}),
            await caller.delete(path),
            await caller.get(f"{path}/cards"),
            await caller.get(f"{path}/mandates"),
            await caller.post(f"{path}/mandates/{mandate['id']}/revoke"),
            await caller.delete(f"{path}/cards/{token}"),
            await caller.post(f"{path}/mandates", {"token": token, **AGREED}),
            await caller.post(
                "/v1/payments", {"amount": 1, "currency": "AED", "customer": customer}
            ),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "customer_unknown")
        stranger = (await made(caller))["id"]
        stolen = await caller.post(f"/v1/customers/{stranger}/cards", {"token": token})
        assert stolen.status_code == 404, stolen.text
    assert (await shop.gateway.get(path)).json()["name"] == "Amal Haddad"
