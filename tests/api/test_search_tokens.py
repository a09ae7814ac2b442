# SPDX-License-Identifier: Apache-2.0
"""Searching tokens: by what may be shown, or by a number under every version of its key; bounded, limited, recorded."""

import json
from typing import Any

import pytest
import pytest_asyncio

from service import Caller, Service, Tenant
from strongroom.audit import Origin
from strongroom.db.logins import Domain
from strongroom.http.rate_limit import Rate, TooMany
from strongroom.kernel.ids import KeyId
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import CallerKind, KeyKind, Principal
from strongroom.kernel.schemes import synthetic_number
from strongroom.keys import DataKeys, KeyName
from strongroom.vault.finding import Caller as VaultCaller
from strongroom.vault.search.limiter import NumberLimiter
from strongroom.vault.search.service import TokenSearch
from strongroom.vault.search.wire import SearchIn

VISA, MASTERCARD, AMEX = "4242424242424242", "5555555555554444", "378282246310005"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(service: Service) -> Tenant:
    return await service.tenant()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ids(service: Service, shop: Tenant) -> dict[str, str]:
    """A merchant's tokens, by what they are for."""
    vault = service.vault(shop.keys[Mode.TEST])
    await vault.post("/v1/containers", {"name": "cards"})
    person = service.vault((await service.member(shop.merchant)).key)
    for container in ("cards", "default"):
        rule = {"container": container, "priority": 50, "grantee_kind": "key", "access": "use"}
        assert (await person.post("/v1/access-rules", rule)).status_code == 201
    made = {}
    for name, number, more in (
        ("visa", VISA, {"deduplicate": True, "metadata": {"customer": "c-1", "shop": "a"}}),
        ("master", MASTERCARD, {"metadata": {"customer": "c-2"}}),
        ("amex", AMEX, {"container": "cards", "metadata": {"customer": "c-1"}}),
        ("again", VISA, {"metadata": {"customer": "c-3"}}),
    ):
        made[name] = (await vault.token(number, **more))["id"]
    await vault.post(f"/v1/tokens/{made['master']}", {"exp_month": 1, "exp_year": 2030})
    return made


#: What is asked for, and which tokens are found, newest first.
FOUND: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["again", "amex", "master", "visa"]),
    ({"number": VISA}, ["visa"]),
    ({"number": MASTERCARD}, []),  # made without deduplication: it has no fingerprint
    ({"number": VISA, "last4": "4242"}, ["visa"]),
    ({"number": VISA, "last4": "4444"}, []),
    ({"last4": "4242"}, ["again", "visa"]),
    ({"last4": "4242", "metadata": {"customer": "c-3"}}, ["again"]),
    ({"last4": "0000"}, []),
    ({"bin": "555555"}, ["master"]),
    ({"bin": "424242", "last4": "4242"}, ["again", "visa"]),
    ({"brand": "amex"}, ["amex"]),
    ({"expires_to": "2031-12"}, ["master"]),
    ({"expires_from": "2034-12", "expires_to": "2034-12"}, ["again", "amex", "visa"]),
    ({"expires_from": "2035-01"}, []),
    ({"metadata": {"customer": "c-1"}}, ["amex", "visa"]),
    ({"metadata": {"customer": "c-1", "shop": "a"}}, ["visa"]),
    ({"container": "cards"}, ["amex"]),
    ({"container": "default", "brand": "visa"}, ["again", "visa"]),
    ({"container": "cards", "bin": "424242"}, []),
    ({"container": "cards", "last4": "0005"}, ["amex"]),
]


@pytest.mark.parametrize(("asked", "expected"), FOUND, ids=json.dumps)
async def test_what_is_found(
    service: Service, shop: Tenant, ids: dict[str, str], asked: dict[str, Any], expected: list[str]
) -> None:
    vault = service.vault(shop.keys[Mode.TEST])
    answer = await vault.post("/v1/tokens/search", asked)
    assert answer.status_code == 200, answer.text
    names = {token: name for name, token in ids.items()}
    assert [names[each["id"]] for each in answer.json()["data"]] == expected
    paged: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await vault.post("/v1/tokens/search", {**asked, "limit": 1, **cursor})).json()
        paged += [names[each["id"]] for each in page["data"]]
        if not page["has_more"]:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert paged == expected


async def test_a_printed_fingerprint_finds_its_token(
    service: Service, shop: Tenant, ids: dict[str, str]
) -> None:
    vault = service.vault(shop.keys[Mode.TEST])
    printed = (await vault.get(f"/v1/tokens/{ids['visa']}")).json()["fingerprint"]
    found = await vault.post("/v1/tokens/search", {"fingerprint": printed})
    assert [each["id"] for each in found.json()["data"]] == [ids["visa"]]
    other = service.vault((await service.tenant()).keys[Mode.TEST])
    assert (await other.post("/v1/tokens/search", {"fingerprint": printed})).json()["data"] == []
    live = service.vault(shop.keys[Mode.LIVE])
    assert (await live.post("/v1/tokens/search", {"number": VISA})).json()["data"] == []


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"number": "1234"}, "/number number_malformed"),
        ({"number": "9" * 16}, "/number number_malformed"),
        ({"fingerprint": "fp1_x"}, "/fingerprint fingerprint_malformed"),
        ({"fingerprint": "x" * 43}, "/fingerprint fingerprint_malformed"),
        ({"last4": "42a2"}, "/last4 type_wrong"),
        ({"bin": "4242424242"}, "/bin type_wrong"),
        ({"expires_from": "2034-13"}, "/expires_from type_wrong"),
        ({"cursor": "pay_1"}, "/cursor cursor_malformed"),
        ({"container": "Cards"}, "/container container_malformed"),
        ({"limit": 101}, "/limit type_wrong"),
    ],
)
async def test_what_a_search_may_not_be(
    service: Service, shop: Tenant, asked: dict[str, Any], expected: str
) -> None:
    answer = await service.vault(shop.keys[Mode.TEST]).post("/v1/tokens/search", asked)
    assert answer.status_code == 422
    assert [f"{each['pointer']} {each['code']}" for each in answer.json()["errors"]] == [expected]


async def test_a_container_without_a_rule_is_refused(
    service: Service, shop: Tenant, ids: dict[str, str]
) -> None:
    answer = await service.vault(shop.keys[Mode.TEST]).post(
        "/v1/tokens/search", {"container": "other"}
    )
    assert answer.json()["code"] == "vault_access_refused"
    assert ids


async def test_who_may_not_search(service: Service, shop: Tenant) -> None:
    key = await service.key(
        shop.merchant, KeyKind.RESTRICTED, permissions=[Permission.VAULT_TOKEN_READ]
    )
    answer = await service.vault(key.text.expose()).post("/v1/tokens/search", {"last4": "4242"})
    assert answer.json()["code"] == "forbidden"


async def test_what_is_recorded_of_a_search(service: Service) -> None:
    tenant = await service.tenant()
    vault = service.vault(tenant.keys[Mode.TEST])
    await vault.token(VISA, deduplicate=True)
    for body in ({"number": VISA}, {"last4": "4242"}, {"container": "default"}, {}):
        await vault.post("/v1/tokens/search", body)
    rows = await service.look(
        Domain.VAULT,
        "select convert_from(payload, 'utf8') as text from audit.event where merchant_id = $1"
        " and convert_from(payload, 'utf8') like '%\"vault.token.searched\"%' order by xid, payload",
        tenant.merchant,
    )
    assert [json.loads(row["text"])["details"] for row in rows] == [
        {"basis": "number", "count": 1},
        {"basis": "last_four", "count": 1},
        {"basis": "container", "container": "default", "count": 1},
        {"basis": "everything", "count": 1},
    ]


async def test_a_number_is_found_under_every_version_of_its_key(service: Service) -> None:
    tenant = await service.tenant()
    vault = service.vault(tenant.keys[Mode.TEST])
    old = (await vault.token(VISA, deduplicate=True))["id"]
    keyring: DataKeys = service.parts.search._keyring
    await keyring.rotate(tenant.merchant, Mode.TEST, KeyName.FINGERPRINT)
    new = (await vault.token(MASTERCARD, deduplicate=True))["id"]
    for number, token in ((VISA, old), (MASTERCARD, new)):
        found = await vault.post("/v1/tokens/search", {"number": number})
        assert [each["id"] for each in found.json()["data"]] == [token]
    await keyring.destroy(tenant.merchant, Mode.TEST, KeyName.FINGERPRINT, 1)
    assert (await vault.post("/v1/tokens/search", {"number": VISA})).json()["data"] == []


async def test_a_page_goes_on_behind_what_was_looked_at(service: Service) -> None:
    """A call looks at a bounded number of rows; what is rare is found over several pages, and nothing is left out."""
    tenant = await service.tenant()
    vault: Caller = service.vault(tenant.keys[Mode.TEST])
    cards = [
        {
            "card": {"number": synthetic_number(300 + place), "exp_month": 12, "exp_year": 2034},
            "metadata": {"rare": "yes" if place in (0, 7, 24) else "no"},
        }
        for place in range(25)
    ]
    data = (await vault.post("/v1/tokens/bulk", {"tokens": cards})).json()["data"]
    ids = [each["token"]["id"] for each in data]
    whole: TokenSearch = service.parts.search
    search = TokenSearch(
        whole._database,
        whole._rules,
        whole._finder,
        whole._keyring,
        NumberLimiter(),
        looked_at_max=4,
    )
    caller = VaultCaller(
        Principal(
            KeyId("key_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"),
            CallerKind.SECRET,
            tenant.merchant,
            Mode.TEST,
            frozenset(),
        ),
        Origin(),
    )
    found: list[str] = []
    cursor, pages = None, 0
    while True:
        page = await search.find(caller, SearchIn(metadata={"rare": "yes"}, cursor=cursor))
        found += [each.token.token_id for each in page.found]
        pages += 1
        if page.following is None:
            break
        cursor = page.following
    assert sorted(found) == sorted(ids[place] for place in (0, 7, 24))
    assert found == sorted(found, reverse=True)
    assert pages == 7


async def test_asking_for_numbers_is_limited(service: Service) -> None:
    tenant = await service.tenant()
    whole: TokenSearch = service.parts.search
    search = TokenSearch(
        whole._database,
        whole._rules,
        whole._finder,
        whole._keyring,
        NumberLimiter(Rate(0.001, 3)),
    )
    principal = Principal(
        KeyId("key_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"),
        CallerKind.SECRET,
        tenant.merchant,
        Mode.TEST,
        frozenset(),
    )
    caller = VaultCaller(principal, Origin())
    for _ in range(3):
        await search.find(caller, SearchIn(number=VISA))
    with pytest.raises(TooMany):
        await search.find(caller, SearchIn(number=VISA))
    with pytest.raises(TooMany):
        await search.find(caller, SearchIn(fingerprint="fp1_" + "A" * 43))
    await search.find(caller, SearchIn(last4="4242"))
