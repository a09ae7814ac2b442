# SPDX-License-Identifier: Apache-2.0
"""Deduplication: one token a card for those who ask; per merchant and mode; and it changes nothing that is stored."""

import asyncio

from service import Caller, Service, Tenant, card, wish
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import KeyKind
from strongroom.kernel.schemes import complete_luhn, synthetic_number

ROUTE = "/v1/tokens"
_numbers = iter(synthetic_number(serial) for serial in range(50_000, 60_000))


def shop_of(service: Service, tenant: Tenant, mode: Mode = Mode.TEST) -> Caller:
    return service.vault(tenant.keys[mode])


async def test_with_and_without(service: Service, tenant: Tenant) -> None:
    vault, number = shop_of(service, tenant), next(_numbers)
    plain = [await vault.token(number), await vault.token(number)]
    first = await vault.tokenize(number, deduplicate=True)
    second = await vault.tokenize(number, deduplicate=True)
    assert (first.status_code, second.status_code) == (201, 200)
    assert len({plain[0]["id"], plain[1]["id"], first.json()["id"]}) == 3
    assert second.json()["id"] == first.json()["id"]
    assert (first.json()["deduplicated"], second.json()["deduplicated"]) == (False, True)
    assert (await vault.token(number))["id"] != first.json()["id"]


async def test_what_is_stored_does_not_change(service: Service, tenant: Tenant) -> None:
    vault, number = shop_of(service, tenant), next(_numbers)
    first = await vault.token(number, deduplicate=True, metadata={"kept": "yes"})
    rows = "select * from vault.token where token_id = $1"
    before = await service.look(Domain.VAULT, rows, first["id"])
    other = {"number": number, "exp_month": 1, "exp_year": 2040}
    second = await vault.post(
        ROUTE, {"card": other, "deduplicate": True, "metadata": {"new": "no"}}
    )
    assert second.json()["id"] == first["id"]
    assert (second.json()["exp_month"], second.json()["exp_year"]) == (12, 2034)
    assert second.json()["metadata"] == {"kept": "yes"}
    assert await service.look(Domain.VAULT, rows, first["id"]) == before


async def test_a_cvc_is_sealed_anew_for_the_token_that_was_there(
    service: Service, tenant: Tenant
) -> None:
    vault, number = shop_of(service, tenant), next(_numbers)
    first = await vault.token(number, "123", deduplicate=True)
    second = await vault.token(number, "123", deduplicate=True)
    assert second["id"] == first["id"]
    assert second["cvc_state"] == "sealed"
    assert second["cvc"] != first["cvc"]
    for sealed in (first["cvc"], second["cvc"]):
        answer = await vault.post(f"{ROUTE}/{first['id']}/cvc/discard", {"cvc": sealed})
        assert answer.status_code == 200


async def test_merchants_and_modes_know_nothing_of_each_other(
    service: Service, tenant: Tenant
) -> None:
    number, live_number = next(_numbers), complete_luhn("400000999999998")
    other = await service.tenant()
    mine = await shop_of(service, tenant).token(number, deduplicate=True)
    theirs = await shop_of(service, other).tokenize(number, deduplicate=True)
    assert (theirs.status_code, theirs.json()["deduplicated"]) == (201, False)
    assert theirs.json()["id"] != mine["id"]
    live = await shop_of(service, tenant, Mode.LIVE).token(live_number, deduplicate=True)
    again = await shop_of(service, tenant, Mode.LIVE).token(live_number, deduplicate=True)
    assert (again["id"], again["deduplicated"]) == (live["id"], True)
    identities = await service.look(
        Domain.VAULT,
        "select mode, fingerprint from vault.card_identity where token_id = any ($1::text[])",
        [mine["id"], theirs.json()["id"], live["id"]],
    )
    assert len({row["fingerprint"] for row in identities}) == 3, "keyed per merchant and mode"


async def test_fifty_at_once_make_one_token(service: Service, tenant: Tenant) -> None:
    vault, number = shop_of(service, tenant), next(_numbers)
    before = await service.written(tenant.merchant)
    answers = await asyncio.gather(*(vault.tokenize(number, deduplicate=True) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    after = await service.written(tenant.merchant)
    assert {name: after[name] - before[name] for name in after} == {
        "token": 1,
        "card_identity": 1,
        "request": 50,
        "event": 50,
    }


async def test_different_cards_at_once_stay_different(service: Service, tenant: Tenant) -> None:
    vault = shop_of(service, tenant)
    numbers = [next(_numbers) for _ in range(25)]
    answers = await asyncio.gather(
        *(vault.token(number, deduplicate=True) for number in numbers for _ in range(2))
    )
    assert len({answer["id"] for answer in answers}) == 25
    for number, answer in zip([n for n in numbers for _ in range(2)], answers, strict=True):
        assert answer["last4"] == number[-4:]


async def test_duplicates_within_a_bulk_call_and_across(service: Service, tenant: Tenant) -> None:
    vault = shop_of(service, tenant)
    known, new, plain = (next(_numbers) for _ in range(3))
    there = await vault.token(known, deduplicate=True)
    wishes = [
        wish(known, deduplicate=True),
        wish(new, "123", deduplicate=True),
        wish(new, "123", deduplicate=True),
        wish(plain),
        wish(plain),
        wish(known),
        wish(known, deduplicate=True),
    ]
    answer = await vault.post(f"{ROUTE}/bulk", {"tokens": wishes})
    tokens = [item["token"] for item in answer.json()["data"]]
    ids = [token["id"] for token in tokens]
    assert ids[0] == ids[6] == there["id"]
    assert ids[1] == ids[2]
    assert len(set(ids)) == 5
    assert [token["deduplicated"] for token in tokens] == [
        True, False, True, False, False, False, True,
    ]  # fmt: skip
    assert [token["cvc_state"] for token in tokens[1:3]] == ["sealed", "absent"]


async def test_bulk_calls_at_once_over_the_same_cards(service: Service, tenant: Tenant) -> None:
    vault = shop_of(service, tenant)
    numbers = [next(_numbers) for _ in range(40)]
    bodies = [
        {"tokens": [wish(number, deduplicate=True) for number in order]}
        for order in (numbers, numbers[::-1], numbers[20:] + numbers[:20], numbers)
    ]
    answers = await asyncio.gather(*(vault.post(f"{ROUTE}/bulk", body) for body in bodies))
    assert [answer.json()["refused"] for answer in answers] == [0] * 4
    by_card = {
        (item["token"]["last4"], item["token"]["id"])
        for answer in answers
        for item in answer.json()["data"]
    }
    assert len({token for _, token in by_card}) == 40


async def test_after_deletion_the_card_is_new(service: Service, tenant: Tenant) -> None:
    vault, number = shop_of(service, tenant), next(_numbers)
    first = await vault.token(number, deduplicate=True)
    assert (await vault.delete(f"{ROUTE}/{first['id']}")).status_code == 204
    second = await vault.tokenize(number, deduplicate=True)
    assert (second.status_code, second.json()["deduplicated"]) == (201, False)
    assert second.json()["id"] != first["id"]


async def test_a_public_key_is_never_told_of_another_token(
    service: Service, tenant: Tenant
) -> None:
    number = next(_numbers)
    public = service.vault((await service.key(tenant.merchant, KeyKind.PUBLIC)).text.expose())
    known = await shop_of(service, tenant).token(number, deduplicate=True)
    answers = [await public.tokenize(number, deduplicate=True) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert not any(answer.json()["deduplicated"] for answer in answers)
    assert len({known["id"], *(answer.json()["id"] for answer in answers)}) == 3
    rows = await service.look(
        Domain.VAULT,
        "select fingerprint from vault.token where token_id = any ($1::text[])",
        [answer.json()["id"] for answer in answers],
    )
    assert [row["fingerprint"] for row in rows] == [None, None]


async def test_no_two_fields_but_the_number_decide(service: Service, tenant: Tenant) -> None:
    vault, number = shop_of(service, tenant), next(_numbers)
    one = await vault.post(ROUTE, {"card": {**card(number), "exp_month": 1}, "deduplicate": True})
    two = await vault.post(ROUTE, {"card": {**card(number), "exp_month": 2}, "deduplicate": True})
    assert one.json()["id"] == two.json()["id"]


async def test_making_and_deleting_at_once_leave_no_identity_without_its_token(
    service: Service, tenant: Tenant
) -> None:
    vault = shop_of(service, tenant)
    number = next(_numbers)

    async def turn() -> None:
        answer = await vault.tokenize(number, deduplicate=True)
        assert answer.status_code in (200, 201), answer.text
        deleted = await vault.delete(f"{ROUTE}/{answer.json()['id']}")
        assert deleted.status_code in (204, 404), deleted.text

    for _ in range(10):
        await asyncio.gather(*(turn() for _ in range(12)))
    dangling = await service.look(
        Domain.VAULT,
        "select i.token_id from vault.card_identity i"
        " where not exists (select from vault.token t where t.token_id = i.token_id)"
        "   and i.merchant_id = $1",
        tenant.merchant,
    )
    assert not dangling
    assert (await vault.tokenize(number, deduplicate=True)).status_code in (200, 201)
