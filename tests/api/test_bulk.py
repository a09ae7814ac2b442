# SPDX-License-Identifier: Apache-2.0
"""POST /v1/tokens/bulk: a result an item, in order; what is refused does not stop the others."""

import json
from math import ceil
from typing import Any

import pytest

from service import Caller, Service, Tenant, card, wish
from strongroom.http.limits import BULK_BODY_BYTES_MAX
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import KeyKind
from strongroom.kernel.schemes import synthetic_number
from strongroom.vault.made import TOKENS_A_RECORD
from strongroom.vault.wire import TOKENS_PER_CALL_MAX

VISA = "4242424242424242"
ROUTE = "/v1/tokens/bulk"


@pytest.fixture
def vault(service: Service, tenant: Tenant) -> Caller:
    return service.vault(tenant.keys[Mode.TEST])


async def test_a_thousand_cards(service: Service, vault: Caller, tenant: Tenant) -> None:
    before = await service.written(tenant.merchant)
    numbers = [synthetic_number(700_000 + n) for n in range(TOKENS_PER_CALL_MAX)]
    answer = await vault.post(ROUTE, {"tokens": [wish(number) for number in numbers]})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["object"], body["created"], body["refused"]) == ("list", 1_000, 0)
    assert [item["index"] for item in body["data"]] == list(range(1_000))
    assert [item["token"]["last4"] for item in body["data"]] == [n[-4:] for n in numbers]
    assert len({item["token"]["id"] for item in body["data"]}) == 1_000
    after = await service.written(tenant.merchant)
    assert {name: after[name] - before[name] for name in after} == {
        "token": 1_000,
        "card_identity": 0,
        "request": 1,
        "event": ceil(1_000 / TOKENS_A_RECORD),
    }


#: Calls whose answers are kept in another form than they are sent in, or in the same.
REPEATED: list[tuple[str, list[dict[str, Any]]]] = [
    ("alike", [wish(synthetic_number(710_000 + n)) for n in range(150)]),
    ("known", [wish(synthetic_number(711_000 + n % 12), deduplicate=True) for n in range(20)]),
    ("with a CVC", [wish(VISA, "123" if n == 5 else None) for n in range(20)]),
    ("with a problem", [wish(VISA if n else "4242424242424241") for n in range(20)]),
    ("with details", [wish(VISA, holder="A B", metadata={"n": str(n)}) for n in range(20)]),
    ("some with an alias", [wish(VISA, alias=n % 2 == 0) for n in range(20)]),
    ("few", [wish(VISA), wish(VISA)]),
]


@pytest.mark.parametrize(
    ("what", "tokens"), REPEATED, ids=[what.replace(" ", "_") for what, _ in REPEATED]
)
async def test_a_repeat_is_told_what_was_sent(
    service: Service, tenant: Tenant, vault: Caller, what: str, tokens: list[dict[str, Any]]
) -> None:
    key = f"repeat-{what.replace(' ', '-')}"
    first = await vault.post(ROUTE, {"tokens": tokens}, idempotency=key)
    before = await service.written(tenant.merchant)
    again = await vault.post(ROUTE, {"tokens": tokens}, idempotency=key)
    assert (first.status_code, again.status_code) == (200, 200)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    sent, told = first.json(), again.json()
    if what == "with a CVC":  # sealed CVCs are told once
        kept = {"cvc": None, "cvc_expires_at": None, "cvc_state": "not_replayable"}
        sent["data"][5]["token"] |= kept
        assert told == sent
    else:
        assert again.content == first.content
    assert await service.written(tenant.merchant) == before


#: An item as it stands in the body, expected: its brand, or what is wrong with it.
ITEMS: list[tuple[str, str]] = [
    (json.dumps(wish(VISA)), "visa"),
    (json.dumps(wish(VISA, "123", metadata={"a": "b"})), "visa"),
    (json.dumps(wish("4242424242424241")), "invalid /card/number number_checksum_wrong"),
    (json.dumps({"card": {**card(VISA), "exp_year": 2001}}), "invalid /card/exp_year card_expired"),
    (json.dumps({"card": {**card(VISA), VISA: 1}}), "invalid /card field_unknown"),
    (json.dumps(wish(VISA, metadata={"a": VISA})), "invalid /metadata card_number_refused"),
    (json.dumps(wish(VISA, metadata={"a": "\0"})), "invalid /metadata/* type_wrong"),
    ("{}", "invalid /card field_missing"),
    ("null", "invalid / type_wrong"),
    ("[]", "invalid / type_wrong"),
    (f'"{VISA}"', "invalid / type_wrong"),
    (VISA, "invalid / type_wrong"),
    ("9" * 5_000, "invalid / value_wrong"),
    ("[" * 200 + "]" * 200, "invalid / type_wrong"),
    (json.dumps(wish("5555555555554444")), "mastercard"),
]


async def test_each_item_has_a_result_of_its_own(vault: Caller) -> None:
    content = f'{{"tokens":[{",".join(text for text, _ in ITEMS)}]}}'.encode()
    answer = await vault.post(ROUTE, content=content)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert [said(item) for item in body["data"]] == [expected for _, expected in ITEMS]
    assert (body["created"], body["refused"]) == (3, len(ITEMS) - 3)


def said(item: dict[str, Any]) -> str:
    if "token" in item:
        return str(item["token"]["brand"])
    problem = item["problem"]
    first = problem["errors"][0] if problem["errors"] else {}
    return " ".join([problem["code"], *(first[name] for name in ("pointer", "code") if first)])


async def test_an_item_that_is_not_utf8_is_refused_alone(vault: Caller) -> None:
    bad = b'{"card":{"number":"\xff\xfe","exp_month":1,"exp_year":2034}}'
    content = b'{"tokens":[' + bad + b"," + json.dumps(wish(VISA)).encode() + b"]}"
    answer = await vault.post(ROUTE, content=content)
    assert [said(item) for item in answer.json()["data"]] == ["malformed_json", "visa"]


#: The whole body, expected.
WHOLE: list[tuple[str, bytes, str]] = [
    ("no items", b'{"tokens":[]}', "422 invalid"),
    ("one too many", b'{"tokens":[' + b"1," * TOKENS_PER_CALL_MAX + b"1]}", "422 invalid"),
    ("no field", b"{}", "422 invalid"),
    ("another field", b'{"tokens":[1],"mode":"live"}', "422 invalid"),
    ("not a list", json.dumps({"tokens": wish(VISA)}).encode(), "422 invalid"),
    ("half a surrogate pair", b'{"tokens":["\\ud800"]}', "400 malformed_json"),
    ("half an item", b'{"tokens":[{"card":]}', "400 malformed_json"),
    (
        "100,000 brackets",
        b'{"tokens":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}",
        "400 malformed_json",
    ),
    ("100,000 open brackets", b'{"tokens":[' + b"[" * 100_000, "400 malformed_json"),
    ("100,000 objects", b'{"tokens":[' + b'{"a":' * 100_000, "400 malformed_json"),
    ("too large", b'{"tokens":["' + b"x" * BULK_BODY_BYTES_MAX + b'"]}', "413 body_too_large"),
]


@pytest.mark.parametrize(("what", "content", "expected"), WHOLE, ids=[row[0] for row in WHOLE])
async def test_a_body_that_is_no_list_of_items(
    service: Service, tenant: Tenant, what: str, content: bytes, expected: str
) -> None:
    vault = service.vault(tenant.keys[Mode.TEST])
    before = await service.written(tenant.merchant)
    answer = await vault.post(ROUTE, content=content)
    assert f"{answer.status_code} {answer.json()['code']}" == expected
    assert await service.written(tenant.merchant) == before


async def test_items_that_are_all_refused_are_still_an_answer(
    service: Service, vault: Caller, tenant: Tenant
) -> None:
    before = await service.written(tenant.merchant)
    answer = await vault.post(ROUTE, {"tokens": [wish("4242424242424241")] * 3})
    assert (answer.status_code, answer.json()["created"], answer.json()["refused"]) == (200, 0, 3)
    after = await service.written(tenant.merchant)
    assert after["token"] == before["token"]


async def test_a_body_just_within_the_bound(vault: Caller) -> None:
    items = [wish(synthetic_number(n), "123", metadata={"a": "b" * 300}) for n in range(1, 900)]
    content = json.dumps({"tokens": items}).encode()
    padded = content + b" " * (BULK_BODY_BYTES_MAX - len(content))
    answer = await vault.post(ROUTE, content=padded)
    assert (answer.status_code, answer.json()["created"]) == (200, 899)


async def test_a_public_key_makes_no_bulk_call(service: Service, tenant: Tenant) -> None:
    public = service.vault((await service.key(tenant.merchant, KeyKind.PUBLIC)).text.expose())
    answer = await public.post(ROUTE, {"tokens": [wish(VISA)]})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
