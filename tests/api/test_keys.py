# SPDX-License-Identifier: Apache-2.0
"""API keys over HTTP: made within one's own rights, shown once, and refused everywhere when they do not hold."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from database import Databases
from service import Caller, Service, Tenant, running, wish
from strongroom.db.logins import Domain
from strongroom.identity.grants import GRANTABLE
from strongroom.identity.key_text import PATTERN, is_well_formed, new_key_text
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind

VISA = "4242424242424242"
#: A revocation is seen everywhere within this.
SEEN_WITHIN_SECONDS = 2.0


@pytest.fixture
def gateway(service: Service, tenant: Tenant) -> Caller:
    return service.gateway(tenant.keys[Mode.TEST])


async def test_the_merchant_behind_a_key(service: Service, tenant: Tenant) -> None:
    for mode in Mode:
        answer = await service.gateway(tenant.keys[mode]).get("/v1/merchant")
        body = answer.json()
        assert (body["id"], body["mode"], body["status"]) == (tenant.merchant, mode, "active")


#: Wish, expected.
WISHES: list[tuple[dict[str, Any], str]] = [
    ({"kind": "pk", "name": "checkout"}, "201"),
    ({"kind": "pk", "name": "checkout", "origins": ["https://shop.example"]}, "201"),
    ({"kind": "pk", "name": "checkout", "origins": ["http://localhost:3000"]}, "201"),
    ({"kind": "rk", "name": "export", "permissions": ["vault:token:read"]}, "201"),
    ({"kind": "pk", "name": "a", "expires_at": "2034-01-01T00:00:00Z"}, "201"),
    ({"kind": "pk", "name": "a", "expires_at": "2034-01-01T04:00:00+04:00"}, "201"),
    ({"kind": "sk", "name": "a"}, "422 /kind value_wrong"),
    ({"kind": "pk\n", "name": "a"}, "422 /kind value_wrong"),
    ({"kind": 1, "name": "a"}, "422 /kind type_wrong"),
    ({"name": "a"}, "422 /kind field_missing"),
    ({"kind": "pk"}, "422 /name field_missing"),
    ({"kind": "pk", "name": ""}, "422 /name type_wrong"),
    ({"kind": "pk", "name": "  "}, "422 /name name_malformed"),
    ({"kind": "pk", "name": "a" * 101}, "422 /name type_wrong"),
    ({"kind": "pk", "name": "a\nb"}, "422 /name name_malformed"),
    ({"kind": "pk", "name": "a\0"}, "422 /name name_malformed"),
    ({"kind": "rk", "name": "a"}, "422 key_refused"),
    ({"kind": "rk", "name": "a", "permissions": []}, "422 key_refused"),
    ({"kind": "rk", "name": "a", "permissions": ["identity:key:create"]}, "422 key_refused"),
    ({"kind": "rk", "name": "a", "permissions": ["vault:everything:do"]}, "422 /permissions/0 value_wrong"),
    ({"kind": "pk", "name": "a", "permissions": ["vault:token:read"]}, "422 key_refused"),
    ({"kind": "rk", "name": "a", "permissions": ["vault:token:read"], "origins": ["https://a.example"]},
     "422 key_refused"),
    ({"kind": "pk", "name": "a", "origins": ["http://shop.example"]}, "422 key_refused"),
    ({"kind": "pk", "name": "a", "origins": ["https://shop.example/path"]}, "422 key_refused"),
    ({"kind": "pk", "name": "a", "origins": ["https://shop.example\0"]}, "422 key_refused"),
    ({"kind": "pk", "name": "a", "origins": ["http://localhost.evil.example"]}, "422 key_refused"),
    ({"kind": "pk", "name": "a", "origins": ["*"]}, "422 key_refused"),
    ({"kind": "pk", "name": "a", "origins": ["https://a.example"] * 21}, "422 key_refused"),
    ({"kind": "pk", "name": "a", "expires_at": "2020-01-01T00:00:00Z"}, "422 /expires_at expiry_past"),
    ({"kind": "pk", "name": "a", "expires_at": "2034-01-01T00:00:00"}, "422 /expires_at type_wrong"),
    ({"kind": "pk", "name": "a", "expires_at": "tomorrow"}, "422 /expires_at value_wrong"),
    ({"kind": "pk", "name": "a", "expires_at": 2034}, "422 /expires_at type_wrong"),
    ({"kind": "pk", "name": "a", "merchant": "mer_x"}, "422 / field_unknown"),
    ({"kind": "pk", "name": "a", "mode": "live"}, "422 / field_unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "expected"), WISHES, ids=[str(row[0])[:70] for row in WISHES])
async def test_what_a_key_may_be(gateway: Caller, asked: dict[str, Any], expected: str) -> None:
    before = (await gateway.get("/v1/keys")).json()["data"]
    answer = await gateway.post("/v1/keys", asked)
    body = answer.json()
    words = [str(answer.status_code)]
    if errors := body.get("errors"):
        words += [errors[0]["pointer"], errors[0]["code"]]
    elif answer.status_code != 201:
        words.append(body["code"])
    assert " ".join(words) == expected
    after = (await gateway.get("/v1/keys")).json()["data"]
    assert len(after) - len(before) == (answer.status_code == 201)
    if answer.status_code == 201:
        assert is_well_formed(body["text"])
        assert body["text"].startswith(f"{asked['kind']}_test_")
        assert body["last4"] == body["text"][-4:]
        assert after[-1] == {**body, "text": None}, "its text is shown once"
        if "expires_at" in asked:
            assert body["expires_at"] == "2034-01-01T00:00:00.000000Z"


async def test_a_text_is_stored_nowhere(service: Service, tenant: Tenant) -> None:
    made = await service.key(tenant.merchant)
    rows = await service.look(Domain.CORE, "select k::text as row from identity.api_key k")
    secret = made.text.expose()[8:-4]
    assert not any(secret in row["row"] or secret.encode().hex() in row["row"] for row in rows)


@pytest.mark.parametrize("kind", [KeyKind.SECRET, KeyKind.RESTRICTED])
async def test_nobody_gives_more_than_they_have(
    service: Service, tenant: Tenant, kind: KeyKind
) -> None:
    """A restricted key that may make keys does not exist today; the rule is the route's own all the same."""
    permissions = sorted(GRANTABLE[KeyKind.RESTRICTED])
    granted = None if kind is KeyKind.SECRET else permissions
    key = (await service.key(tenant.merchant, kind, permissions=granted)).text.expose()
    body = {"kind": "rk", "name": "a", "permissions": ["vault:token:read"]}
    answer = await service.gateway(key).post("/v1/keys", body)
    assert answer.status_code == (201 if kind is KeyKind.SECRET else 403)


#: What a restricted key has, method, path, body, expected.
ONE_PERMISSION = [
    (Permission.VAULT_TOKEN_READ, "GET", "/v1/tokens", None, 200),
    (Permission.VAULT_TOKEN_READ, "POST", "/v1/tokens", wish(VISA), 403),
    (Permission.VAULT_TOKEN_CREATE, "POST", "/v1/tokens", wish(VISA), 201),
    (Permission.VAULT_TOKEN_CREATE, "GET", "/v1/tokens", None, 403),
    (Permission.VAULT_TOKEN_DELETE, "GET", "/v1/tokens", None, 403),
    (Permission.VAULT_CVC_SEAL, "POST", "/v1/tokens", wish(VISA), 403),
]


@pytest.mark.parametrize(("permission", "method", "path", "body", "expected"), ONE_PERMISSION)
async def test_a_restricted_key_does_what_it_was_made_for(
    service: Service,
    tenant: Tenant,
    permission: Permission,
    method: str,
    path: str,
    body: Any,
    expected: int,
) -> None:
    made = await service.key(tenant.merchant, KeyKind.RESTRICTED, permissions=[permission])
    answer = await service.vault(made.text.expose()).send(method, path, body=body)
    assert answer.status_code == expected
    if expected == 403:
        assert "vault:token:" in answer.json()["detail"], "it says what is lacking"


def altered(text: str, at: int) -> str:
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


_GOOD = new_key_text(KeyKind.SECRET, Mode.TEST).expose()
#: An Authorization header. All are answered alike: 401, and not why.
CREDENTIALS = [
    ("none", "(none)"),
    ("empty", ""),
    ("no scheme", _GOOD),
    ("basic", "Basic c2s6"),
    ("lower-case scheme of another kind", f"token {_GOOD}"),
    ("unknown", f"Bearer {_GOOD}"),
    ("checksum", f"Bearer {altered(_GOOD, len(_GOOD) - 1)}"),
    ("one character", f"Bearer {altered(_GOOD, 20)}"),
    ("shorter", f"Bearer {_GOOD[:-1]}"),
    ("longer", f"Bearer {_GOOD}A"),
    ("very long", f"Bearer {'A' * 10_000}"),
    ("space behind", f"Bearer {_GOOD} x"),
    ("injected", "Bearer ' or 1=1 --"),
    ("a card", f"Bearer {VISA}"),
]


@pytest.mark.parametrize("listener", ["vault", "gateway"])
@pytest.mark.parametrize(("what", "header"), CREDENTIALS, ids=[row[0] for row in CREDENTIALS])
async def test_what_is_no_key(service: Service, what: str, header: str, listener: str) -> None:
    caller = service.vault(None) if listener == "vault" else service.gateway(None)
    path = "/v1/tokens" if listener == "vault" else "/v1/keys"
    answer = await caller.get(path, headers={"authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.json()["detail"] == "No valid credential was given."


async def test_a_key_of_the_other_kind_or_mode_by_its_text_alone_is_unknown(
    service: Service, tenant: Tenant
) -> None:
    """The hash is over the whole text: nobody turns a test key into a live one."""
    text = tenant.keys[Mode.TEST].replace("sk_test_", "sk_live_")
    assert PATTERN.fullmatch(text)
    assert (await service.vault(text).get("/v1/tokens")).status_code == 401


async def refused_by(caller: Caller, path: str, deadline_seconds: float) -> float:
    """Ask until it is refused; return after how long, at most so long."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    while loop.time() - started < deadline_seconds:
        if (await caller.get(path)).status_code == 401:
            return loop.time() - started
    raise AssertionError(f"it still holds after {deadline_seconds} s")


async def test_a_revoked_key_is_refused_on_both_listeners_within_two_seconds(
    service: Service, tenant: Tenant, gateway: Caller
) -> None:
    made = await service.key(tenant.merchant)
    text, key_id = made.text.expose(), made.key.key_id
    vault, ours = service.vault(text), service.gateway(text)
    assert (await vault.get("/v1/tokens")).status_code == 200
    assert (await ours.get("/v1/merchant")).status_code == 200
    answer = await gateway.post(f"/v1/keys/{key_id}/revoke")
    assert (answer.status_code, answer.content) == (204, b"")
    await asyncio.gather(
        refused_by(vault, "/v1/tokens", SEEN_WITHIN_SECONDS),
        refused_by(ours, "/v1/merchant", SEEN_WITHIN_SECONDS),
    )
    assert (await vault.tokenize(VISA)).status_code == 401
    listed = (await gateway.get("/v1/keys")).json()["data"]
    revoked = next(key for key in listed if key["id"] == key_id)
    again = await gateway.post(f"/v1/keys/{key_id}/revoke")
    assert again.status_code == 204
    listed = (await gateway.get("/v1/keys")).json()["data"]
    assert revoked == next(key for key in listed if key["id"] == key_id), "the first time stays"


#: Whose key, expected.
NOT_OURS = ["foreign", "other mode", "unknown", "malformed"]


@pytest.mark.parametrize("whose", NOT_OURS)
async def test_a_key_that_is_not_ours_is_not_there(
    service: Service, tenant: Tenant, gateway: Caller, whose: str
) -> None:
    key: str
    if whose == "foreign":
        key = (await service.key((await service.tenant()).merchant)).key.key_id
    elif whose == "other mode":
        key = (await service.key(tenant.merchant, mode=Mode.LIVE)).key.key_id
    else:
        key = {"unknown": "key_01KAHX3MZ4V8Q2T6N0R5W7Y9CB", "malformed": "key_1"}[whose]
    answer = await gateway.post(f"/v1/keys/{key}/revoke")
    assert (answer.status_code, answer.json()["code"]) == (404, "key_unknown")
    rows = await service.look(
        Domain.CORE, "select revoked_at from identity.api_key where key_id = $1", key
    )
    assert not [row for row in rows if row["revoked_at"] is not None]


async def test_lists_hold_ones_own(service: Service, tenant: Tenant, gateway: Caller) -> None:
    live = (await service.key(tenant.merchant, mode=Mode.LIVE)).key.key_id
    foreign = (await service.key((await service.tenant()).merchant)).key.key_id
    listed = {key["id"] for key in (await gateway.get("/v1/keys")).json()["data"]}
    assert listed.isdisjoint({live, foreign})
    assert {key["mode"] for key in (await gateway.get("/v1/keys")).json()["data"]} == {"test"}


async def test_a_key_expires(databases: Databases, tmp_path: Any) -> None:
    clock = SteppedClock(datetime.now(UTC))
    async with running(databases, tmp_path, clock=clock, listens=False) as stepped:
        tenant = await stepped.tenant()
        ends = clock.now() + timedelta(minutes=10)
        made = await stepped.key(tenant.merchant, expires_at=ends)
        vault, gateway = (f(made.text.expose()) for f in (stepped.vault, stepped.gateway))
        clock.step(timedelta(minutes=10) - timedelta(seconds=1))
        assert (await vault.get("/v1/tokens")).status_code == 200
        assert (await gateway.get("/v1/merchant")).status_code == 200
        clock.step(timedelta(seconds=1))
        await asyncio.gather(
            refused_by(vault, "/v1/tokens", SEEN_WITHIN_SECONDS),
            refused_by(gateway, "/v1/merchant", SEEN_WITHIN_SECONDS),
        )


async def test_a_suspended_merchants_keys_do_not_hold(service: Service) -> None:
    tenant = await service.tenant()
    vault = service.vault(tenant.keys[Mode.TEST])
    assert (await vault.get("/v1/tokens")).status_code == 200
    await service.look(
        Domain.CORE,
        "update identity.merchant set status = 'suspended' where merchant_id = $1",
        tenant.merchant,
    )
    await refused_by(vault, "/v1/tokens", SEEN_WITHIN_SECONDS)
