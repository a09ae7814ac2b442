# SPDX-License-Identifier: Apache-2.0
"""What a token has besides its number: sealed details, an end, an alias, a container; changed, shown and kept apart."""

import json
from datetime import timedelta
from typing import Any

import pytest

from service import Caller, Service, Tenant, wish
from strongroom.db.logins import Domain
from strongroom.kernel.clock import SystemClock, rfc3339
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.pan_alias import is_pan_alias
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind
from strongroom.kernel.schemes import synthetic_number

VISA, MASTERCARD, AMEX = "4242424242424242", "5555555555554444", "378282246310005"
HOLDER = "Amal Haddad"
ADDRESS = {"country": "AE", "line1": "1 Harbour Street", "city": "Dubai"}
STORED = {
    "initiator": "merchant",
    "scheme_transaction_id": "MCC1234560123",
    "mandate_reference": "m-17",
    "agreed_at": "2026-11-20T09:30:00Z",
}
NETWORK = {"requestor_id": "40010030273", "eci": "05", "cryptogram": "AgAAAAAAAIR8CQrXcIhbQAAAAAA="}


@pytest.fixture
async def shop(service: Service) -> Tenant:
    """A merchant without any rule."""
    return await service.tenant()


@pytest.fixture
def vault(service: Service, shop: Tenant) -> Caller:
    return service.vault(shop.keys[Mode.TEST])


async def records(service: Service, merchant: MerchantId, action: str) -> list[dict[str, Any]]:
    rows = await service.look(
        Domain.VAULT,
        "select convert_from(payload, 'utf8') as text from audit.event where merchant_id = $1"
        f" and convert_from(payload, 'utf8') like '%\"{action}\"%' order by xid, payload",
        merchant,
    )
    return [json.loads(row["text"]) for row in rows]


async def made_rule(service: Service, shop: Tenant, **rule: Any) -> None:
    person = service.vault((await service.member(shop.merchant)).key)
    body = {"container": "default", "priority": 10, "grantee_kind": "key", **rule}
    answer = await person.post("/v1/access-rules", body)
    assert answer.status_code == 201, answer.text


def codes(answer: Any) -> list[str]:
    return [f"{each['pointer']} {each['code']}" for each in answer.json().get("errors", ())]


# --- what is sealed beside the number ---------------------------------------------------------------


async def test_details_are_sealed_apart_and_shown_to_whoever_reads_one_token(
    service: Service, shop: Tenant, vault: Caller
) -> None:
    more: dict[str, Any] = {
        "holder": HOLDER,
        "billing_address": ADDRESS,
        "stored_credential": STORED,
    }
    made = await vault.token(VISA, **more)
    assert made["details"] == ["billing_address", "holder", "stored_credential"]
    assert "holder" not in made, "an answer that is kept holds names of details only"
    read = (await vault.get(f"/v1/tokens/{made['id']}")).json()
    assert read["holder"] == HOLDER
    assert read["billing_address"]["city"] == "Dubai"
    assert read["stored_credential"]["scheme_transaction_id"] == "MCC1234560123"
    listed = (await vault.get("/v1/tokens")).json()["data"][0]
    assert listed["details"] == made["details"]
    assert "holder" not in listed
    rows = await service.look(
        Domain.VAULT,
        "select field, sealed from vault.token_detail where merchant_id = $1",
        shop.merchant,
    )
    assert len({bytes(row["sealed"]) for row in rows}) == 3
    for row in rows:
        assert HOLDER.encode() not in bytes(row["sealed"])
        # Version, IV and tag are 49 bytes, and the padded text with its own padding a multiple of 64 and one block.
        assert (len(row["sealed"]) - 49) % 64 == 16
    kept = await service.look(
        Domain.VAULT,
        "select response from idempotency.request where merchant_id = $1",
        shop.merchant,
    )
    assert HOLDER.encode() not in bytes(kept[0]["response"])


async def test_a_plain_token_has_nothing_beside_it(vault: Caller) -> None:
    made = await vault.token(VISA)
    read = (await vault.get(f"/v1/tokens/{made['id']}")).json()
    assert made["container"] == read["container"] == "default"
    for name in ("holder", "details", "pan_alias", "fingerprint", "kind", "billing_address"):
        assert name not in made
        assert name not in read


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"metadata": {"card.cvc": "1234"}}, "/metadata cvc_member_refused"),
        ({"metadata": {"order": "1", "UCAF": "AAABBBCCC"}}, "/metadata cryptogram_refused"),
        ({"holder": f"Amal {VISA}"}, "/holder card_number_refused"),
        ({"billing_address": {**ADDRESS, "line2": VISA}}, "/billing_address card_number_refused"),
        ({"stored_credential": {**STORED, "mandate_text": f"on {VISA}"}},
         "/stored_credential card_number_refused"),
        ({"holder": "a\nb"}, "/holder type_wrong"),
        ({"billing_address": {"country": "Dubai"}}, "/billing_address/country type_wrong"),
        ({"network_token": {"requestor_id": "1"}}, "/network_token/requestor_id type_wrong"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at moment_out_of_range"),
        ({"expires_at": "2099-01-01T00:00:00Z"}, "/expires_at moment_out_of_range"),
        ({"expires_at": "2030-01-01T00:00:00"}, "/expires_at moment_out_of_range"),
        ({"network_token": {**NETWORK, "cryptogram_expires_at": "2030-01-01T00:00:00Z"}},
         "/network_token/cryptogram_expires_at moment_out_of_range"),
    ],
)  # fmt: skip
async def test_what_stands_beside_a_number_is_looked_at(
    vault: Caller, more: dict[str, Any], expected: str
) -> None:
    answer = await vault.tokenize(VISA, **more)
    assert answer.status_code == 422, answer.text
    assert codes(answer) == [expected]


async def test_details_go_with_their_token(service: Service, shop: Tenant, vault: Caller) -> None:
    made = await vault.token(VISA, holder=HOLDER)
    assert (await vault.delete(f"/v1/tokens/{made['id']}")).status_code == 204
    left = await service.look(
        Domain.VAULT, "select 1 from vault.token_detail where merchant_id = $1", shop.merchant
    )
    assert left == []


async def test_many_at_once_have_their_own_details(vault: Caller) -> None:
    cards = [
        wish(synthetic_number(900), holder="First"),
        wish(synthetic_number(901)),
        {"card": {"number": "1"}},
        wish(synthetic_number(902), holder="Third", alias=True),
    ]
    data = (await vault.post("/v1/tokens/bulk", {"tokens": cards})).json()["data"]
    assert [("token" in each) for each in data] == [True, True, False, True]
    holders = []
    for each in (data[0], data[1], data[3]):
        read = (await vault.get(f"/v1/tokens/{each['token']['id']}")).json()
        holders.append(read.get("holder"))
    assert holders == ["First", None, "Third"]
    assert is_pan_alias(data[3]["token"]["pan_alias"])


async def test_the_same_key_with_another_holder_is_another_request(vault: Caller) -> None:
    first = await vault.post("/v1/tokens", wish(VISA, holder="A"), idempotency="one")
    again = await vault.post("/v1/tokens", wish(VISA, holder="A"), idempotency="one")
    other = await vault.post("/v1/tokens", wish(VISA, holder="B"), idempotency="one")
    assert first.content == again.content
    assert other.json()["code"] == "idempotency_key_reused", other.text


# --- a public key -----------------------------------------------------------------------------------


async def test_what_a_public_key_may_say_of_a_card(service: Service, shop: Tenant) -> None:
    key = await service.key(shop.merchant, KeyKind.PUBLIC)
    public = service.vault(key.text.expose())
    made = await public.token(VISA, holder=HOLDER, billing_address=ADDRESS)
    assert made["details"] == ["billing_address", "holder"]
    refused = await public.tokenize(
        VISA,
        container="cards",
        alias=True,
        expires_at="2030-01-01T00:00:00Z",
        network_token=NETWORK,
        stored_credential=STORED,
    )
    assert codes(refused) == [
        f"/{name} not_for_public_keys"
        for name in ("container", "expires_at", "alias", "network_token", "stored_credential")
    ]


# --- what is changed --------------------------------------------------------------------------------


async def test_a_token_is_changed_field_by_field(
    service: Service, shop: Tenant, vault: Caller
) -> None:
    token = (await vault.token(VISA, metadata={"a": "1"}))["id"]
    ends = rfc3339(SystemClock().now() + timedelta(days=9))
    answer = await vault.post(
        f"/v1/tokens/{token}",
        {
            "exp_month": 1,
            "exp_year": 2036,
            "holder": HOLDER,
            "billing_address": ADDRESS,
            "stored_credential": STORED,
            "metadata": {"b": "2"},
            "expires_at": ends,
        },
    )
    assert answer.status_code == 200, answer.text
    read = (await vault.get(f"/v1/tokens/{token}")).json()
    assert (read["exp_month"], read["exp_year"], read["metadata"]) == (1, 2036, {"b": "2"})
    assert (read["holder"], read["expires_at"]) == (HOLDER, ends)
    changed = await records(service, shop.merchant, "vault.token.changed")
    assert sorted(each["details"]["operation"] for each in changed) == [
        "billing_address",
        "expires_at",
        "expiry",
        "holder",
        "metadata",
        "stored_credential",
    ]
    assert HOLDER not in json.dumps(changed)
    cleared = await vault.post(
        f"/v1/tokens/{token}",
        {"holder": None, "billing_address": None, "metadata": None, "expires_at": None},
    )
    assert cleared.json()["details"] == ["stored_credential"]
    read = (await vault.get(f"/v1/tokens/{token}")).json()
    assert (read["metadata"], read["expires_at"], read["exp_year"]) == ({}, None, 2036)
    assert "holder" not in read


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, " nothing_to_change"),
        ({"exp_month": 1}, "/exp_year expiry_incomplete"),
        ({"exp_month": 1, "exp_year": 2020}, "/exp_year card_expired"),
        ({"exp_month": 1, "exp_year": 2099}, "/exp_year expiry_impossible"),
        ({"metadata": {"a": VISA}}, "/metadata card_number_refused"),
        ({"metadata": {"cvv2": "123"}}, "/metadata cvc_member_refused"),
        ({"metadata": {"cavv": "AAABBBCCC"}}, "/metadata cryptogram_refused"),
        ({"holder": VISA}, "/holder card_number_refused"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at moment_out_of_range"),
        ({"number": VISA}, " field_unknown"),
    ],
)
async def test_what_a_change_may_not_be(vault: Caller, body: dict[str, Any], expected: str) -> None:
    token = (await vault.token(VISA))["id"]
    answer = await vault.post(f"/v1/tokens/{token}", body)
    assert answer.status_code == 422
    assert codes(answer)[0].rpartition(" ")[2] == expected.rpartition(" ")[2], answer.text


async def test_a_token_that_lives_an_hour_is_kept_first(service: Service, shop: Tenant) -> None:
    key = await service.key(shop.merchant, KeyKind.PUBLIC)
    token = (await service.vault(key.text.expose()).token(VISA))["id"]
    vault = service.vault(shop.keys[Mode.TEST])
    refused = await vault.post(f"/v1/tokens/{token}", {"expires_at": None})
    assert refused.json()["code"] == "token_single_use"
    assert (await vault.post(f"/v1/tokens/{token}", {"holder": HOLDER})).status_code == 200
    assert (await vault.post(f"/v1/tokens/{token}/keep", {})).json()["single_use"] is False
    ends = rfc3339(SystemClock().now() + timedelta(days=9))
    await vault.post(f"/v1/tokens/{token}", {"expires_at": ends})
    again = await vault.post(f"/v1/tokens/{token}/keep", {})
    assert again.json()["expires_at"] == ends, "what lasts until a day is not kept for ever"


async def test_a_token_of_another_tenant_or_mode_is_not_changed(
    service: Service, shop: Tenant, vault: Caller
) -> None:
    made = await vault.token(VISA, alias=True)
    other = await service.tenant()
    for key in (shop.keys[Mode.LIVE], other.keys[Mode.TEST]):
        for name in (made["id"], made["pan_alias"]):
            answer = await service.vault(key).post(f"/v1/tokens/{name}", {"holder": HOLDER})
            assert answer.json()["code"] == "token_unknown"


# --- containers -------------------------------------------------------------------------------------


async def test_a_token_stands_in_a_container(service: Service, shop: Tenant, vault: Caller) -> None:
    unknown = await vault.tokenize(VISA, container="cards")
    assert unknown.json()["code"] == "vault_access_refused", "no rule means 403"
    await made_rule(service, shop, container="cards/", access="use")
    assert (await vault.tokenize(VISA, container="cards")).json()["code"] == "container_unknown"
    await vault.post("/v1/containers", {"name": "cards"})
    made = await vault.token(VISA, container="cards", deduplicate=True)
    assert made["container"] == "cards"
    full = await vault.post("/v1/containers/remove", {"name": "cards"})
    assert full.json()["code"] == "container_not_empty"
    moved = await vault.post(f"/v1/tokens/{made['id']}", {"container": "default"})
    assert moved.json()["container"] == "default"
    (record,) = await records(service, shop.merchant, "vault.token.changed")
    assert record["details"] == {"container": "default", "operation": "container"}
    assert (await vault.post("/v1/containers/remove", {"name": "cards"})).status_code == 204
    gone = await vault.post(f"/v1/tokens/{made['id']}", {"container": "cards"})
    assert gone.json()["code"] == "container_unknown"


async def test_a_card_whose_token_the_caller_may_not_use_is_not_handed_out(
    service: Service, shop: Tenant, vault: Caller
) -> None:
    await made_rule(service, shop, container="vip", access="use", priority=20)
    await vault.post("/v1/containers", {"name": "vip"})
    await vault.token(VISA, container="vip", deduplicate=True)
    await made_rule(service, shop, container="vip", access="mask", priority=10)
    refused = await vault.tokenize(VISA, deduplicate=True)
    assert refused.json()["code"] == "vault_access_refused"
    cards = [wish(VISA, deduplicate=True), wish(MASTERCARD, deduplicate=True)]
    data = (await vault.post("/v1/tokens/bulk", {"tokens": cards})).json()
    assert (data["created"], data["refused"]) == (1, 1)
    assert data["data"][0]["problem"]["code"] == "vault_access_refused"
    assert data["data"][1]["token"]["last4"] == "4444"


async def test_a_rule_that_redacts_takes_digits_and_names_away(
    service: Service, shop: Tenant, vault: Caller
) -> None:
    made = await vault.token(VISA, holder=HOLDER, alias=True, deduplicate=True)
    await made_rule(service, shop, access="use", transform="redact")
    read = (await vault.get(f"/v1/tokens/{made['id']}")).json()
    assert (read["brand"], read["bin"], read["last4"]) == ("visa", None, None)
    assert "holder" not in read
    assert "pan_alias" not in read
    assert "fingerprint" not in read
    assert (await vault.get("/v1/tokens")).json()["data"][0]["last4"] is None
    for body in ({"last4": "4242"}, {"bin": "424242"}, {"number": VISA}):
        assert (await vault.post("/v1/tokens/search", body)).json()["data"] == [], body
    found = await vault.post("/v1/tokens/search", {"brand": "visa"})
    assert [each["last4"] for each in found.json()["data"]] == [None]


async def test_a_list_leaves_out_what_may_not_be_read(
    service: Service, shop: Tenant, vault: Caller
) -> None:
    await made_rule(service, shop, container="a/", access="use", priority=50)
    for name in ("a", "a/b"):
        await vault.post("/v1/containers", {"name": name})
    ids = [
        (await vault.token(synthetic_number(700 + place), container=name))["id"]
        for place, name in enumerate(("default", "a", "a/b", "a", "default", "a/b"))
    ]

    async def listed(limit: int) -> list[str]:
        found: list[str] = []
        cursor = ""
        while True:
            page = (await vault.get(f"/v1/tokens?limit={limit}{cursor}")).json()
            found += [each["id"] for each in page["data"]]
            if not page["has_more"]:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    everything = list(reversed(ids))
    assert await listed(2) == await listed(100) == everything
    await made_rule(service, shop, container="a/b", access="none", priority=1)
    without = [each for each in everything if each not in (ids[2], ids[5])]
    assert await listed(2) == await listed(100) == without
    await made_rule(service, shop, container="default", access="none", priority=1)
    assert await listed(1) == await listed(100) == [ids[3], ids[1]]


# --- aliases and fingerprints -----------------------------------------------------------------------


@pytest.mark.parametrize("number", [VISA, AMEX, MASTERCARD])
async def test_an_alias_looks_like_a_card_and_finds_its_token(vault: Caller, number: str) -> None:
    made = await vault.token(number, alias=True)
    alias = made["pan_alias"]
    assert is_pan_alias(alias)
    assert (len(alias), alias[-4:]) == (len(number), number[-4:])
    assert (await vault.get(f"/v1/tokens/{alias}")).json()["id"] == made["id"]
    changed = await vault.post(f"/v1/tokens/{alias}", {"holder": HOLDER})
    assert changed.json()["id"] == made["id"]
    assert (await vault.delete(f"/v1/tokens/{alias}")).status_code == 204
    assert (await vault.get(f"/v1/tokens/{alias}")).json()["code"] == "token_unknown"


async def test_no_two_tokens_share_an_alias(vault: Caller) -> None:
    made = [(await vault.token(VISA, alias=True))["pan_alias"] for _ in range(20)]
    assert len(set(made)) == len(made)


async def test_a_fingerprint_is_told_to_secret_keys_only(
    service: Service, shop: Tenant, vault: Caller
) -> None:
    first = await vault.token(VISA, deduplicate=True)
    assert first["fingerprint"].startswith("fp1_")
    again = await vault.token(VISA, deduplicate=True)
    assert again["fingerprint"] == first["fingerprint"]
    other = await service.tenant()
    elsewhere = await service.vault(other.keys[Mode.TEST]).token(VISA, deduplicate=True)
    assert elsewhere["fingerprint"] != first["fingerprint"], "keyed by merchant"
    key = await service.key(
        shop.merchant, KeyKind.RESTRICTED, permissions=[Permission.VAULT_TOKEN_READ]
    )
    read = await service.vault(key.text.expose()).get(f"/v1/tokens/{first['id']}")
    assert "fingerprint" not in read.json()


# --- an end -----------------------------------------------------------------------------------------


async def test_a_token_ends_with_the_identity_of_its_card(
    service: Service, shop: Tenant, vault: Caller
) -> None:
    ends = rfc3339(SystemClock().now() + timedelta(days=9))
    made = await vault.token(VISA, deduplicate=True, holder=HOLDER, expires_at=ends)
    assert made["expires_at"] == ends
    await service.look(
        Domain.VAULT,
        "update vault.token set expires_at = now() - interval '1 second' where token_id = $1",
        made["id"],
    )
    assert (await vault.get(f"/v1/tokens/{made['id']}")).json()["code"] == "token_unknown"
    await service.parts.tokens.delete_expired()
    assert await service.written(shop.merchant) | {"event": 0} == {
        "token": 0,
        "card_identity": 0,
        "request": 1,
        "event": 0,
    }
    again = await vault.token(VISA, deduplicate=True)
    assert (again["deduplicated"], again["id"] != made["id"]) == (False, True)
    ended = await records(service, shop.merchant, "vault.token.deleted")
    assert [each["details"]["reason"] for each in ended] == ["expired"]


# --- network tokens ---------------------------------------------------------------------------------


async def test_a_network_token_keeps_its_cryptogram_to_itself(
    service: Service, shop: Tenant, vault: Caller
) -> None:
    made = await vault.token(VISA, network_token=NETWORK)
    assert made["kind"] == "network_token"
    assert made["details"] == ["cryptogram", "network_token"]
    read = await vault.get(f"/v1/tokens/{made['id']}")
    assert read.json()["network_token"] == {"requestor_id": "40010030273", "eci": "05"}
    assert str(NETWORK["cryptogram"]) not in read.text
    changed = await vault.post(
        f"/v1/tokens/{made['id']}", {"network_token": {"requestor_id": "40010030273"}}
    )
    assert changed.json()["details"] == ["network_token"], "the old cryptogram does not stay behind"
    card = await vault.token(VISA)
    refused = await vault.post(f"/v1/tokens/{card['id']}", {"network_token": NETWORK})
    assert refused.json()["code"] == "not_a_network_token"


async def test_a_cryptogram_is_gone_when_its_time_is_over(
    service: Service, shop: Tenant, vault: Caller
) -> None:
    made = await vault.token(VISA, network_token=NETWORK)
    await service.look(
        Domain.VAULT,
        "update vault.token_detail set expires_at = now() - interval '1 second'"
        " where token_id = $1 and field = 'cryptogram'",
        made["id"],
    )
    await service.parts.tokens.delete_expired()
    read = (await vault.get(f"/v1/tokens/{made['id']}")).json()
    assert read["details"] == ["network_token"]
