# SPDX-License-Identifier: Apache-2.0
"""Reading, listing and deleting: masked, newest first, and only one's own. What is not ours is as if it were not."""

import pytest

from service import Caller, Service, Tenant, wish
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.kernel.schemes import synthetic_number

VISA = "4242424242424242"
ROUTE = "/v1/tokens"
UNKNOWN = "tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"


@pytest.fixture
def vault(service: Service, tenant: Tenant) -> Caller:
    return service.vault(tenant.keys[Mode.TEST])


async def test_a_token_is_read_masked(vault: Caller) -> None:
    made = await vault.token(VISA, "123", metadata={"order": "7"})
    read = (await vault.get(f"{ROUTE}/{made['id']}")).json()
    assert read == {**made, "cvc": None, "cvc_expires_at": None, "cvc_state": "absent"}
    assert {"number", "sealed_number", "fingerprint"}.isdisjoint(read)


async def test_pages_go_from_new_to_old_and_miss_nothing(service: Service) -> None:
    vault = await service.shop()
    made = [(await vault.token(synthetic_number(n)))["id"] for n in range(1, 8)]
    seen: list[str] = []
    cursor = ""
    for expected in (3, 3, 1):
        page = (await vault.get(f"{ROUTE}?limit=3{cursor}")).json()
        assert len(page["data"]) == expected
        seen += [token["id"] for token in page["data"]]
        assert page["has_more"] == (page["next_cursor"] is not None) == (len(seen) < 7)
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == made[::-1]
    assert (await vault.get(ROUTE)).json()["has_more"] is False


async def test_a_page_that_ends_with_the_last_says_so(service: Service) -> None:
    vault = await service.shop()
    for n in range(1, 4):
        await vault.token(synthetic_number(n))
    page = (await vault.get(f"{ROUTE}?limit=3")).json()
    assert (len(page["data"]), page["has_more"], page["next_cursor"]) == (3, False, None)


async def test_an_empty_list(service: Service) -> None:
    assert (await (await service.shop()).get(ROUTE)).json() == {
        "data": [],
        "has_more": False,
        "next_cursor": None,
    }


#: Query, expected.
QUERIES = [
    ("limit=1", "200"),
    ("limit=100", "200"),
    (f"cursor={UNKNOWN}", "200"),
    ("limit=0", "422 /limit type_wrong"),
    ("limit=101", "422 /limit type_wrong"),
    ("limit=-1", "422 /limit type_wrong"),
    ("limit=ten", "422 /limit type_wrong"),
    ("limit=1e3", "422 /limit type_wrong"),
    ("limit=99999999999", "422 /limit type_wrong"),
    ("cursor=tok_", "422 /cursor cursor_malformed"),
    ("cursor=1", "422 /cursor cursor_malformed"),
    ("cursor=%00", "422 /cursor cursor_malformed"),
    ("cursor=%ff", "422 /cursor cursor_malformed"),
    ("cursor=tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB'--", "422 /cursor cursor_malformed"),
    ("cursor=key_01KAHX3MZ4V8Q2T6N0R5W7Y9CB", "422 /cursor cursor_malformed"),
]


@pytest.mark.parametrize(("query", "expected"), QUERIES)
async def test_parameters_have_their_form(vault: Caller, query: str, expected: str) -> None:
    answer = await vault.get(f"{ROUTE}?{query}")
    words = [str(answer.status_code)]
    if answer.status_code != 200:
        error = answer.json()["errors"][0]
        words += [error["pointer"], error["code"]]
    assert " ".join(words) == expected


#: Method, what is behind the id.
ACTS = [
    ("GET", "", None),
    ("DELETE", "", None),
    ("POST", "/keep", {}),
    ("POST", "/cvc", {"cvc": "123"}),
    ("POST", "/cvc/discard", {"cvc": "cvc_AAAA"}),
]
NOT_OURS = ["foreign", "other mode", "unknown", "deleted", "malformed", "not ASCII", "injected"]


@pytest.mark.parametrize("whose", NOT_OURS)
@pytest.mark.parametrize(("method", "behind", "body"), ACTS, ids=[m + b for m, b, _ in ACTS])
async def test_what_is_not_ours_is_not_there(
    service: Service,
    tenant: Tenant,
    method: str,
    behind: str,
    body: dict[str, str] | None,
    whose: str,
) -> None:
    vault = service.vault(tenant.keys[Mode.TEST])
    token = {
        "unknown": UNKNOWN,
        "malformed": "tok_1",
        "not ASCII": "t%C3%B6k",
        "injected": "tok_'--",
    }.get(whose)
    caller = vault
    if token is None:
        token = (await vault.token(VISA))["id"]
        if whose == "foreign":
            caller = await service.shop()
        elif whose == "other mode":
            caller = service.vault(tenant.keys[Mode.LIVE])
        else:
            await vault.delete(f"{ROUTE}/{token}")
    answer = await caller.send(method, f"{ROUTE}/{token}{behind}", body=body)
    expected = {
        "type": "https://strongroom.example/problems/token_unknown",
        "title": "Not found",
        "status": 404,
        "code": "token_unknown",
        "detail": "There is no such token.",
    }
    assert {k: v for k, v in answer.json().items() if k != "request_id"} == expected
    if whose in ("foreign", "other mode"):
        assert (await vault.get(f"{ROUTE}/{token}")).status_code == 200, "it is untouched"


async def test_lists_hold_ones_own(service: Service, tenant: Tenant, vault: Caller) -> None:
    token = (await vault.token(VISA))["id"]
    for caller in (await service.shop(), service.vault(tenant.keys[Mode.LIVE])):
        page = (await caller.get(f"{ROUTE}?limit=100")).json()
        assert token not in {each["id"] for each in page["data"]}


async def test_deleting_removes_the_sealed_number_and_the_identity(
    service: Service, vault: Caller
) -> None:
    token = (await vault.token(VISA, deduplicate=True))["id"]
    count = (
        "select (select count(*) from vault.token where token_id = $1)"
        " + (select count(*) from vault.card_identity where token_id = $1) as rows"
    )
    assert (await service.look(Domain.VAULT, count, token))[0]["rows"] == 2
    first = await vault.delete(f"{ROUTE}/{token}")
    assert (first.status_code, first.content) == (204, b"")
    assert (await service.look(Domain.VAULT, count, token))[0]["rows"] == 0
    assert (await vault.delete(f"{ROUTE}/{token}")).status_code == 404


async def test_each_act_leaves_a_record(service: Service) -> None:
    tenant = await service.tenant()
    vault = service.vault(tenant.keys[Mode.TEST])
    made = await vault.post(ROUTE, wish(VISA))
    token = made.json()["id"]
    await vault.get(f"{ROUTE}/{token}")
    await vault.get(ROUTE)
    await vault.delete(f"{ROUTE}/{token}")
    await vault.delete(f"{ROUTE}/{token}")
    rows = await service.look(
        Domain.VAULT,
        "select convert_from(payload, 'UTF8')::jsonb ->> 'action' as action from audit.event"
        " where merchant_id = $1 order by xid, payload",
        tenant.merchant,
    )
    assert [row["action"] for row in rows] == [
        "vault.token.created",
        "vault.token.read",
        "vault.token.listed",
        "vault.token.deleted",
    ]
