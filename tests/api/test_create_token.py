# SPDX-License-Identifier: Apache-2.0
"""POST /v1/tokens: what becomes a token, and what is refused. An error names the field and writes nothing."""

import asyncio
import json
from typing import Any

import pytest

from canary import CVC, NUMBER
from service import Service, Tenant, card, wish
from strongroom.http.limits import BODY_BYTES_MAX
from strongroom.kernel.ids import is_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.published import TEST_NUMBERS
from strongroom.kernel.schemes import classify, complete_luhn, synthetic_number
from strongroom.vault.wire import METADATA_ENTRIES_MAX

VISA = "4242424242424242"
AMEX = "378282246310005"
#: Luhn-valid and published by nobody: what live mode takes for a card. The range is Visa's own for testing.
NOT_PUBLISHED = complete_luhn("400000999999999")

#: Number, CVC, brand.
ACCEPTED = [
    (VISA, "123", "visa"),
    (VISA, None, "visa"),
    ("4222222222222", "123", "visa"),
    ("4917610000000000003", "000", "visa"),
    (NUMBER, CVC, "visa"),
    ("5555555555554444", "123", "mastercard"),
    ("2223003122003222", "123", "mastercard"),
    (AMEX, "1234", "amex"),
    ("6011111111111117", "123", "discover"),
    ("36227206271667", "123", "diners"),
    ("3056930009020004", "123", "diners"),
    ("3566002020360505", "123", "jcb"),
    ("6200000000000005", "123", "unionpay"),
    ("6205500000000000004", "123", "unionpay"),
    ("6759649826438453", "123", "maestro"),
    ("5066991111111118", "123", "elo"),
    ("6062828888666688", "123", "hipercard"),
    (synthetic_number(1), "123", "synthetic"),
    (synthetic_number(10**14 - 1), None, "synthetic"),
]


@pytest.mark.parametrize(
    ("number", "cvc", "brand"), ACCEPTED, ids=[f"{n[:6]}-{len(n)}-{b}" for n, _, b in ACCEPTED]
)
async def test_a_card_becomes_a_token(
    service: Service, tenant: Tenant, number: str, cvc: str | None, brand: str
) -> None:
    answer = await service.vault(tenant.keys[Mode.TEST]).tokenize(number, cvc)
    assert answer.status_code == 201
    token = answer.json()
    assert is_id("tok", token["id"])
    assert (token["object"], token["mode"], token["brand"]) == ("token", "test", brand)
    assert (token["bin"], token["last4"]) == (number[:6], number[-4:])
    assert (token["exp_month"], token["exp_year"]) == (12, 2034)
    assert (token["single_use"], token["deduplicated"], token["expires_at"]) == (False, False, None)
    assert token["cvc_state"] == ("absent" if cvc is None else "sealed")
    assert (token["cvc"] or "cvc_").startswith("cvc_")
    assert (token["cvc"] is None, token["cvc_expires_at"] is None) == (cvc is None, cvc is None)


async def test_every_published_number_is_taken_and_named_by_its_scheme(
    service: Service, tenant: Tenant
) -> None:
    numbers = sorted(TEST_NUMBERS)
    answer = await service.vault(tenant.keys[Mode.TEST]).post(
        "/v1/tokens/bulk", {"tokens": [wish(number) for number in numbers]}
    )
    assert answer.json()["refused"] == 0
    for number, item in zip(numbers, answer.json()["data"], strict=True):
        scheme = classify(number)
        assert scheme is not None
        assert (item["token"]["brand"], item["token"]["last4"]) == (scheme.name, number[-4:])


def but(**changes: Any) -> dict[str, Any]:
    """A good wish whose card has these fields changed; `...` takes one away."""
    changed = {**card(VISA), **changes}
    return {"card": {name: value for name, value in changed.items() if value is not ...}}


MALFORMED = "400 malformed_json"
#: What it is, body, expected: status, code, and the first field with its code.
REFUSED: list[tuple[str, object, str]] = [
    (
        "last digit",
        but(number="4242424242424241"),
        "422 invalid /card/number number_checksum_wrong",
    ),
    ("one digit short", but(number=VISA[:-1]), "422 invalid /card/number scheme_unknown"),
    ("12 digits", but(number="424242424242"), "422 invalid /card/number number_malformed"),
    ("20 digits", but(number=VISA + "4242"), "422 invalid /card/number number_malformed"),
    ("33 digits", but(number="4" * 33), "422 invalid /card/number type_wrong"),
    ("empty", but(number=""), "422 invalid /card/number number_malformed"),
    ("spaces", but(number="4242 4242 4242 4242"), "422 invalid /card/number number_malformed"),
    ("dashes", but(number="4242-4242-4242-4242"), "422 invalid /card/number number_malformed"),
    ("newline behind", but(number=VISA + "\n"), "422 invalid /card/number number_malformed"),
    ("Arabic-Indic digits", but(number="٤٢٤٢" * 4), "422 invalid /card/number number_malformed"),
    ("full-width digits", but(number="４２４２" * 4), "422 invalid /card/number number_malformed"),
    ("one Persian digit", but(number="۴" + VISA[1:]), "422 invalid /card/number number_malformed"),
    ("superscripts", but(number="⁴²" * 8), "422 invalid /card/number number_malformed"),
    ("no scheme", but(number="9999999999999995"), "422 invalid /card/number scheme_unknown"),
    ("an alias", but(number="9942424242424243"), "422 invalid /card/number scheme_unknown"),
    (
        "not published",
        but(number=NOT_PUBLISHED),
        "422 invalid /card/number live_number_in_test_mode",
    ),
    ("a number", but(number=int(VISA)), "422 invalid /card/number type_wrong"),
    ("null", but(number=None), "422 invalid /card/number type_wrong"),
    ("a list", but(number=[VISA]), "422 invalid /card/number type_wrong"),
    ("no number", but(number=...), "422 invalid /card/number field_missing"),
    ("expired last year", but(exp_year=2025), "422 invalid /card/exp_year card_expired"),
    ("expired long ago", but(exp_year=2000), "422 invalid /card/exp_year card_expired"),
    ("year of two digits", but(exp_year=34), "422 invalid /card/exp_year type_wrong"),
    ("no card lasts so long", but(exp_year=2099), "422 invalid /card/exp_year expiry_impossible"),
    ("year 3000", but(exp_year=3000), "422 invalid /card/exp_year type_wrong"),
    ("year as text", but(exp_year="2034"), "422 invalid /card/exp_year type_wrong"),
    ("no year", but(exp_year=...), "422 invalid /card/exp_year field_missing"),
    ("month 13", but(exp_month=13), "422 invalid /card/exp_month type_wrong"),
    ("month 0", but(exp_month=0), "422 invalid /card/exp_month type_wrong"),
    ("month -1", but(exp_month=-1), "422 invalid /card/exp_month type_wrong"),
    ("month 1.5", but(exp_month=1.5), "422 invalid /card/exp_month type_wrong"),
    ("month true", but(exp_month=True), "422 invalid /card/exp_month type_wrong"),
    ("month as text", but(exp_month="12"), "422 invalid /card/exp_month type_wrong"),
    ("month of 400 digits", but(exp_month=10**400), "422 invalid /card/exp_month type_wrong"),
    ("month of 20 digits", but(exp_month=10**19), "422 invalid /card/exp_month type_wrong"),
    ("CVC of two digits", but(cvc="12"), "422 invalid /card/cvc cvc_malformed"),
    ("CVC of four digits", but(cvc="1234"), "422 invalid /card/cvc cvc_malformed"),
    ("CVC of three for Amex", but(number=AMEX, cvc="123"), "422 invalid /card/cvc cvc_malformed"),
    ("CVC of letters", but(cvc="abc"), "422 invalid /card/cvc cvc_malformed"),
    ("CVC of full-width digits", but(cvc="１２３"), "422 invalid /card/cvc cvc_malformed"),
    ("CVC empty", but(cvc=""), "422 invalid /card/cvc cvc_malformed"),
    ("CVC as number", but(cvc=123), "422 invalid /card/cvc type_wrong"),
    ("CVC is the card", but(cvc=VISA), "422 invalid /card/cvc cvc_malformed"),
    ("unknown field", {**wish(VISA), "colour": "red"}, "422 invalid / field_unknown"),
    ("unknown field of the card", but(holder="A"), "422 invalid /card field_unknown"),
    ("a field named like a card", {**wish(VISA), VISA: 1}, "422 invalid / field_unknown"),
    ("a card's field likewise", but(**{f"n{VISA}": 1}), "422 invalid /card field_unknown"),
    ("no card", {}, "422 invalid /card field_missing"),
    ("card null", {"card": None}, "422 invalid /card type_wrong"),
    ("card text", {"card": VISA}, "422 invalid /card type_wrong"),
    ("deduplicate text", wish(VISA, deduplicate="yes"), "422 invalid /deduplicate type_wrong"),
    ("deduplicate 1", wish(VISA, deduplicate=1), "422 invalid /deduplicate type_wrong"),
    ("metadata list", wish(VISA, metadata=["a"]), "422 invalid /metadata type_wrong"),
    ("metadata number", wish(VISA, metadata={"a": 1}), "422 invalid /metadata/* type_wrong"),
    ("metadata nested", wish(VISA, metadata={"a": {}}), "422 invalid /metadata/* type_wrong"),
    ("metadata NUL", wish(VISA, metadata={"a": "\0"}), "422 invalid /metadata/* type_wrong"),
    ("metadata long", wish(VISA, metadata={"a": "b" * 501}), "422 invalid /metadata/* type_wrong"),
    ("metadata key", wish(VISA, metadata={"a b": ""}), "422 invalid /metadata type_wrong"),
    ("metadata key newline", wish(VISA, metadata={"a\n": ""}), "422 invalid /metadata type_wrong"),
    ("metadata key empty", wish(VISA, metadata={"": ""}), "422 invalid /metadata type_wrong"),
    ("metadata key long", wish(VISA, metadata={"a" * 41: ""}), "422 invalid /metadata type_wrong"),
    (
        "metadata of many",
        wish(VISA, metadata={f"k{n}": "" for n in range(METADATA_ENTRIES_MAX + 1)}),
        "422 invalid /metadata type_wrong",
    ),
    (
        "card in metadata",
        wish(VISA, metadata={"a": VISA}),
        "422 invalid /metadata card_number_refused",
    ),
    (
        "another card in metadata",
        wish(VISA, metadata={"a": "pays with 5555 5555 5555 4444, thanks"}),
        "422 invalid /metadata card_number_refused",
    ),
    (
        "card in Arabic-Indic digits in metadata",
        wish(VISA, metadata={"a": "٤٢٤٢" * 4}),
        "422 invalid /metadata card_number_refused",
    ),
    (
        "card as metadata key",
        wish(VISA, metadata={"4242-4242-4242-4242": "a"}),
        "422 invalid /metadata card_number_refused",
    ),
    (
        "everything",
        but(number="42", cvc="x", exp_year=2001),
        "422 invalid /card/number number_malformed",
    ),
    ("nothing", b"", MALFORMED),
    ("not JSON", b"card=" + VISA.encode(), MALFORMED),
    ("half", json.dumps(wish(VISA)).encode()[:-9], MALFORMED),
    ("text behind", json.dumps(wish(VISA)).encode() + b"x", MALFORMED),
    ("two values", json.dumps(wish(VISA)).encode() * 2, MALFORMED),
    ("byte order mark", b"\xef\xbb\xbf" + json.dumps(wish(VISA)).encode(), MALFORMED),
    ("UTF-16", json.dumps(wish(VISA)).encode("utf-16"), MALFORMED),
    (
        "not UTF-8 in the number",
        b'{"card":{"number":"\xff4242","exp_month":1,"exp_year":2034}}',
        MALFORMED,
    ),
    ("not UTF-8 in a key", b'{"c\xc3\x28":1}', MALFORMED),
    ("half a surrogate pair", b'{"card":{"number":"\\ud800"}}', MALFORMED),
    ("not a number", b'{"card":{"number":"4242","exp_month":NaN}}', MALFORMED),
    ("a list", b"[]", "422 invalid / type_wrong"),
    ("a text", b'"4242424242424242"', "422 invalid / type_wrong"),
    ("a number alone", VISA.encode(), "422 invalid / type_wrong"),
    ("null alone", b"null", "422 invalid / type_wrong"),
    ("10,000 brackets", b"[" * 10_000, "422 invalid / type_wrong"),
    ("10,000 brackets in a card", b'{"card":' + b"[" * 10_000, "422 invalid /card type_wrong"),
    ("2,000 objects", b'{"card":' * 2_000, "422 invalid /card field_unknown"),
    ("too large", b" " * (BODY_BYTES_MAX + 1), "413 body_too_large"),
    ("far too large", b'{"card":"' + b"4" * 2_000_000 + b'"}', "413 body_too_large"),
]


@pytest.mark.parametrize(("what", "body", "expected"), REFUSED, ids=[row[0] for row in REFUSED])
async def test_what_is_wrong_is_refused_precisely(
    service: Service, tenant: Tenant, what: str, body: object, expected: str
) -> None:
    vault = service.vault(tenant.keys[Mode.TEST])
    before = await service.written(tenant.merchant)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await vault.post("/v1/tokens", content=content)
    problem = answer.json()
    words = [str(answer.status_code), problem["code"]]
    if errors := problem.get("errors"):
        words += [errors[0]["pointer"], errors[0]["code"]]
    assert " ".join(words) == expected
    assert await service.written(tenant.merchant) == before, "nothing was written"


async def test_every_fault_of_a_card_is_named_at_once(service: Service, tenant: Tenant) -> None:
    body = but(number="4242424242424241", exp_year=2001)
    answer = await service.vault(tenant.keys[Mode.TEST]).post("/v1/tokens", body)
    pointers = {error["pointer"] for error in answer.json()["errors"]}
    assert pointers == {"/card/number", "/card/exp_year"}


#: What mode takes what number.
MODES = [
    (Mode.TEST, VISA, "201"),
    (Mode.TEST, synthetic_number(7), "201"),
    (Mode.TEST, NOT_PUBLISHED, "live_number_in_test_mode"),
    (Mode.LIVE, NOT_PUBLISHED, "201"),
    (Mode.LIVE, VISA, "test_number_in_live_mode"),
    (Mode.LIVE, NUMBER, "test_number_in_live_mode"),
    (Mode.LIVE, synthetic_number(7), "test_number_in_live_mode"),
]


@pytest.mark.parametrize(("mode", "number", "expected"), MODES)
async def test_live_and_test_do_not_mix(
    service: Service, tenant: Tenant, mode: Mode, number: str, expected: str
) -> None:
    answer = await service.vault(tenant.keys[mode]).tokenize(number)
    if expected == "201":
        assert (answer.status_code, answer.json()["mode"]) == (201, mode)
    else:
        assert answer.json()["errors"][0]["code"] == expected


async def test_of_a_field_given_twice_the_last_counts(service: Service, tenant: Tenant) -> None:
    body = b'{"card":{"number":"4242424242424242","number":"5555555555554444","exp_month":1,"exp_year":2034}}'
    answer = await service.vault(tenant.keys[Mode.TEST]).post("/v1/tokens", content=body)
    assert (answer.status_code, answer.json()["brand"]) == (201, "mastercard")


#: Where a card number may not be: request, expected code.
STRAY = [
    ("GET", f"/v1/tokens/{VISA}", {}, "422 card_number_refused"),
    ("GET", "/v1/tokens/4242%204242%204242%204242", {}, "422 card_number_refused"),
    ("GET", "/v1/tokens/%34%32%34%32424242424242", {}, "422 card_number_refused"),
    ("GET", f"/v1/tokens?card={VISA}", {}, "422 card_number_refused"),
    ("GET", "/v1/tokens?card=4242%204242%204242%204242", {}, "422 card_number_refused"),
    ("GET", "/v1/tokens?card=4242+4242+4242+4242", {}, "422 card_number_refused"),
    ("GET", "/v1/tokens?card=4242-4242-4242-4242", {}, "422 card_number_refused"),
    ("GET", "/v1/tokens?%34%32%34%32424242424242=", {}, "422 card_number_refused"),
    ("GET", f"/{VISA}", {}, "422 card_number_refused"),
    ("DELETE", f"/v1/tokens/{VISA}", {}, "422 card_number_refused"),
    ("POST", f"/v1/tokens/{VISA}/keep", {}, "422 card_number_refused"),
    ("POST", "/v1/tokens", {"idempotency-key": VISA}, "400 idempotency_key_malformed"),
    ("POST", "/v1/tokens", {"idempotency-key": f'"{VISA}"'}, "400 idempotency_key_malformed"),
    (
        "POST",
        "/v1/tokens",
        {"idempotency-key": "order 4242-4242-4242-4242"},
        "400 idempotency_key_malformed",
    ),
    ("POST", "/v1/tokens", {"authorization": f"Bearer {VISA}"}, "401 unauthenticated"),
    ("POST", "/v1/tokens", {"authorization": VISA}, "401 unauthenticated"),
    ("POST", "/v1/tokens", {"content-type": f"application/{VISA}"}, "415 content_type_wrong"),
]


@pytest.mark.parametrize(
    ("method", "path", "headers", "expected"), STRAY, ids=[f"{m} {p} {h}" for m, p, h, _ in STRAY]
)
async def test_a_card_number_where_none_may_be_is_refused(
    service: Service,
    tenant: Tenant,
    method: str,
    path: str,
    headers: dict[str, str],
    expected: str,
) -> None:
    before = await service.written(tenant.merchant)
    vault = service.vault(tenant.keys[Mode.TEST])
    body = wish(VISA) if method == "POST" else None
    answer = await vault.send(method, path, body=body, headers=headers)
    assert f"{answer.status_code} {answer.json()['code']}" == expected
    assert await service.written(tenant.merchant) == before


#: A card number on the listener that never carries one: body of POST /v1/keys.
AT_THE_GATEWAY: list[tuple[str, bytes]] = [
    ("as sent to the vault", json.dumps(wish(VISA, "123")).encode()),
    ("in a name", json.dumps({"kind": "pk", "name": VISA}).encode()),
    ("in a sentence", json.dumps({"kind": "pk", "name": "key of 4242 4242 4242 4242"}).encode()),
    ("escaped", b'{"kind":"pk","name":"\\u0034242424242424242"}'),
    (
        "in an origin",
        json.dumps({"kind": "pk", "name": "a", "origins": [f"https://{VISA}"]}).encode(),
    ),
    (
        "escaped in an origin",
        b'{"kind":"pk","name":"a","origins":["https://\\u0034242424242424242"]}',
    ),
    ("in other digits", json.dumps({"kind": "pk", "name": "٤٢٤٢" * 4}).encode()),
    ("not JSON", f"number={VISA}".encode()),
]


@pytest.mark.parametrize(("what", "body"), AT_THE_GATEWAY, ids=[row[0] for row in AT_THE_GATEWAY])
async def test_the_gateway_takes_no_card_number(
    service: Service, tenant: Tenant, what: str, body: bytes
) -> None:
    gateway = service.gateway(tenant.keys[Mode.TEST])
    count = len((await gateway.get("/v1/keys")).json()["data"])
    answer = await gateway.post("/v1/keys", content=body)
    assert answer.status_code == 422
    assert len((await gateway.get("/v1/keys")).json()["data"]) == count


#: Every digit as it may be written in JSON, and what some would put between groups: another notation of one number.
ESCAPED: list[str] = [
    "\\u0034" + VISA[1:],
    VISA[:8] + "\\u0034" + VISA[9:],
    "".join(f"\\u{ord(digit):04X}" for digit in VISA),
    "\\t".join(VISA[at : at + 4] for at in range(0, 16, 4)),
    "\\u002d".join(VISA[at : at + 4] for at in range(0, 16, 4)),
    "".join(f"\\u{0x0660 + int(digit):04x}" for digit in VISA),
]
#: Bodies of routes whose fields are free text, a number in the place of `%s`.
FREE_TEXT: list[tuple[str, str]] = [
    ("/v1/customers", '{"reference":"%s"}'),
    ("/v1/customers", '{"name":"a","metadata":{"a":"%s"}}'),
    ("/v1/customers", '{"name":"a","metadata":{"%s":"a"}}'),
    ("/v1/customers/cus_01KAHX3MZ4V8Q2T6N0R5W7Y9CB/mandates", '{"text_version":"%s"}'),
    ("/v1/payments", '{"amount":1,"currency":"AED","reference":"%s"}'),
    ("/v1/payments", '{"amount":1,"currency":"AED","metadata":{"a":"%s"}}'),
    ("/v1/payments/pay_01KAHX3MZ4V8Q2T6N0R5W7Y9CB/refunds", '{"reason":"%s"}'),
    ("/v1/endpoints", '{"url":"https://a.example","description":"%s"}'),
    ("/v1/brakes/entries", '{"list":"block","kind":"bin","value":"1","reason":"%s"}'),
    ("/v1/connections", '{"processor":"simulator","name":"%s"}'),
]


@pytest.mark.parametrize("escaped", ESCAPED)
@pytest.mark.parametrize(("path", "body"), FREE_TEXT)
async def test_no_free_text_of_the_gateway_takes_a_card_number_that_json_escapes(
    service: Service, tenant: Tenant, path: str, body: str, escaped: str
) -> None:
    gateway = service.gateway(tenant.keys[Mode.TEST])
    answer = await gateway.post(path, content=(body % escaped).encode())
    assert (answer.status_code, answer.json()["code"]) == (422, "card_number_refused")
    plain = await gateway.post(path, content=(body % "order 1042\\t4242\\u0034").encode())
    assert plain.status_code != 422 or plain.json()["code"] != "card_number_refused"


async def test_the_gateway_does_not_serve_the_vaults_routes(
    service: Service, tenant: Tenant
) -> None:
    gateway = service.gateway(tenant.keys[Mode.TEST])
    assert (await gateway.get("/v1/tokens")).json()["code"] == "route_unknown"
    assert (await gateway.tokenize(VISA)).json()["code"] == "card_number_refused"


async def test_what_one_caller_sends_does_not_fail_anothers_row(service: Service) -> None:
    """A batch is shared: what PostgreSQL would refuse must not reach it."""
    shop = await service.shop()
    bad = [shop.tokenize(VISA, metadata={"a": f"{n}\0"}) for n in range(20)]
    good = [
        shop.tokenize(VISA, metadata={"a": f"{n} \u2028 \U0001f4b3 ' \\ \" $1"}) for n in range(20)
    ]
    answers = await asyncio.gather(*(each for pair in zip(bad, good, strict=True) for each in pair))
    assert [answer.status_code for answer in answers] == [422, 201] * 20
