# SPDX-License-Identifier: Apache-2.0
"""Services over HTTP: registered by key, given tokens for assertions, each once; rotated, revoked, apart by tenant."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from canary import NUMBER
from jwt_maker import AnyKey, EcKey, EdKey, jws, segment
from polling import until
from service import Caller, Service, Tenant
from signed_in import signed_in
from strongroom.crypto.digest import sha256
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind, Role

PATH: Final = "/v1/oauth/token"
BEARER_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ISSUER: Final = "https://audit.strongroom.example"
PERMISSIONS: Final = ["payments:payment:read", "vault:token:read"]


@dataclass(frozen=True, slots=True)
class Machine:
    """A service and the key it has."""

    service: Service
    tenant: Tenant
    id: str
    key: AnyKey

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": self.id,
            "sub": self.id,
            "aud": ISSUER,
            "iat": now,
            "exp": now + 60,
            "jti": new_id("req"),
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def assertion(self, **changes: Any) -> str:
        return self.signed_by(self.key, **changes)

    def signed_by(
        self, key: AnyKey, header: Mapping[str, Any] | None = None, **changes: Any
    ) -> str:
        return jws(
            {"alg": key.algorithm, "typ": "JWT", **(header or {})}, self.claims(**changes), key.sign
        )

    async def ask(self, assertion: str | None = None, **more: Any) -> httpx.Response:
        body = {
            "grant_type": "client_credentials",
            "client_assertion_type": BEARER_TYPE,
            "client_assertion": assertion or self.assertion(),
            **more,
        }
        return await self.service.console(None).post(PATH, body)

    async def token(self, **more: Any) -> str:
        answer = await self.ask(**more)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])


async def machine(service: Service, key: AnyKey, tenant: Tenant | None = None) -> Machine:
    tenant = tenant or await service.tenant()
    body = {"name": "billing", "permissions": PERMISSIONS, "jwks": {"keys": [key.jwk]}}
    made = await service.console(tenant.keys[Mode.TEST]).post("/v1/services", body)
    assert made.status_code == 201, made.text
    return Machine(service, tenant, made.json()["id"], key)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def billing(service: Service) -> Machine:
    return await machine(service, EdKey())


async def until_refused(caller: Caller, path: str = "/v1/tokens") -> None:
    async def refused() -> bool:
        return (await caller.get(path)).status_code == 401

    await until(refused, what="the token to hold no more")


@pytest.mark.parametrize("key", [EdKey(), EcKey()], ids=["EdDSA", "ES256"])
async def test_a_service_gets_a_token_for_what_it_may_do(service: Service, key: AnyKey) -> None:
    made = await machine(service, key)
    answer = await made.ask()
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 300)
    assert body["scope"] == " ".join(PERMISSIONS)
    assert "refresh_token" not in body
    token = body["access_token"]
    assert (await service.vault(token).get("/v1/tokens")).status_code == 200
    assert (await service.gateway(token).get("/v1/payments")).status_code == 200
    assert (await service.gateway(token).get("/v1/keys")).status_code == 403
    narrow = await made.token(scope="vault:token:read")
    assert (await service.vault(narrow).get("/v1/tokens")).status_code == 200
    assert (await service.gateway(narrow).get("/v1/payments")).status_code == 403


async def test_a_form_is_taken_as_oauth_says(billing: Machine) -> None:
    client = billing.service.clients["console"]

    def form(**more: str) -> dict[str, str]:
        return {
            "grant_type": "client_credentials",
            "client_assertion_type": BEARER_TYPE,
            "client_assertion": billing.assertion(),
            "client_id": billing.id,
            **more,
        }

    answer = await client.post(PATH, data=form())
    assert answer.status_code == 200, answer.text
    answer = await client.post(PATH, data=form(scope=""))  # without a value is left out
    assert answer.status_code == 200, answer.text
    headers = {"content-type": "application/x-www-form-urlencoded"}
    twice = httpx.QueryParams(form()).add("grant_type", "client_credentials")
    for content in (str(twice), "nonsense", "", "a=%ff", "&".join(f"a{n}=1" for n in range(99))):
        answer = await client.post(PATH, content=content, headers=headers)
        assert answer.status_code in (400, 422), answer.text
    # The detector reads it both ways.
    spaced = " ".join(NUMBER[at : at + 4] for at in range(0, 16, 4))
    for number in (NUMBER, spaced, "%" + "%".join(f"{ord(digit):02x}" for digit in NUMBER)):
        content = f"{httpx.QueryParams(form())}&note={number.replace(' ', '+')}"
        answer = await client.post(PATH, content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "card_number_refused")
    answer = await billing.service.gateway(None).send(
        "POST", "/v1/keys", content=b"a=1", headers=headers
    )
    assert answer.status_code == 401  # a form is taken nowhere else
    key = billing.tenant.keys[Mode.TEST]
    answer = await billing.service.gateway(key).send(
        "POST", "/v1/keys", content=b"a=1", headers=headers
    )
    assert answer.status_code == 415


OTHER: Final = EdKey()
REFUSED: Final[Mapping[str, Callable[[Machine], str]]] = {
    "another key": lambda m: m.signed_by(OTHER),
    "another kind of key": lambda m: m.signed_by(EcKey()),
    "alg none": lambda m: f"{segment({'alg': 'none'})}.{segment(m.claims())}.eyJ9",
    "alg of another kind": lambda m: jws({"alg": "ES256"}, m.claims(), m.key.sign),
    "HS256": lambda m: jws({"alg": "HS256"}, m.claims(), m.key.sign),
    "a jwk in the header": lambda m: m.signed_by(OTHER, {"jwk": OTHER.jwk}),
    "jku": lambda m: m.signed_by(m.key, {"jku": "https://keys.example"}),
    "crit": lambda m: m.signed_by(m.key, {"crit": ["exp"]}),
    "a kid that it has not": lambda m: m.signed_by(m.key, {"kid": "other"}),
    "another typ": lambda m: m.signed_by(m.key, {"typ": "dpop+jwt"}),
    "an access token's typ": lambda m: m.signed_by(m.key, {"typ": "at+jwt"}),
    "another audience": lambda m: m.assertion(aud="https://other.example"),
    "its path as the audience": lambda m: m.assertion(aud=ISSUER + PATH),
    "two audiences": lambda m: m.assertion(aud=[ISSUER, "https://other.example"]),
    "no audience": lambda m: m.assertion(aud=None),
    "another issuer": lambda m: m.assertion(iss=new_id("svc")),
    "an unknown subject": lambda m: m.assertion(sub=new_id("svc"), iss=new_id("svc")),
    "a subject that is none": lambda m: m.assertion(sub="billing"),
    "expired": lambda m: m.assertion(exp=int(time.time()) - 1),
    "no expiry": lambda m: m.assertion(exp=None),
    "an expiry that is text": lambda m: m.assertion(exp=str(int(time.time()) + 60)),
    "an expiry beyond all time": lambda m: m.assertion(exp=1e300),
    "good for an hour": lambda m: m.assertion(exp=int(time.time()) + 3_600),
    "made in the future": lambda m: m.assertion(iat=int(time.time()) + 60),
    "not yet valid": lambda m: m.assertion(nbf=int(time.time()) + 60),
    "no id": lambda m: m.assertion(jti=None),
    "a short id": lambda m: m.assertion(jti="1"),
    "a claim twice": lambda m: jws(
        {"alg": m.key.algorithm},
        str(m.claims()).replace("'", '"').encode()[:-1] + f',"sub":"{m.id}"}}'.encode(),
        m.key.sign,
    ),
    "not a JWT": lambda _: "assertion",
}


@pytest.mark.parametrize("case", REFUSED)
async def test_any_other_assertion_is_refused(billing: Machine, case: str) -> None:
    answer = await billing.ask(REFUSED[case](billing))
    assert answer.status_code == 401, answer.text
    assert answer.json()["error"] == "invalid_client"


async def test_an_assertion_counts_once_however_many_show_it(billing: Machine) -> None:
    assertion = billing.assertion()
    answers = await asyncio.gather(*(billing.ask(assertion) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 9
    jti = new_id("req")
    assert (await billing.ask(billing.assertion(jti=jti))).status_code == 200
    assert (
        await billing.ask(billing.assertion(jti=jti, exp=int(time.time()) + 90))
    ).status_code == 401


async def test_what_it_asks_for_is_what_it_has(billing: Machine) -> None:
    for scope in ("payments:payment:create", "vault:token:read  vault:token:read", "x"):
        answer = await billing.ask(scope=scope)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
    answer = await billing.ask(grant_type="password")
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")
    answer = await billing.ask(client_assertion_type="urn:other")
    assert answer.status_code == 400
    answer = await billing.ask(client_id=new_id("svc"))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    # Refused for its scope, the assertion was not used up; asked rightly, it holds.
    assertion = billing.assertion()
    assert (await billing.ask(assertion, scope="x")).status_code == 400
    assert (await billing.ask(assertion)).status_code == 200


async def test_a_bound_token_wants_a_proof(billing: Machine) -> None:
    service, key = billing.service, EcKey()

    def proof(listener: str, method: str, path: str, access: str | None = None) -> dict[str, str]:
        claims: dict[str, Any] = {
            "jti": new_id("req"),
            "htm": method,
            "htu": f"https://{getattr(service.settings, f'{listener}_listen')}{path}",
            "iat": int(time.time()),
        }
        if access is not None:
            claims["ath"] = segment(sha256(access.encode()))
        header = {"alg": "ES256", "typ": "dpop+jwt", "jwk": key.jwk}
        return {"dpop": jws(header, claims, key.sign)}

    body = {
        "grant_type": "client_credentials",
        "client_assertion_type": BEARER_TYPE,
        "client_assertion": billing.assertion(),
    }
    answer = await service.console(None).post(PATH, body, headers=proof("console", "POST", PATH))
    assert (answer.status_code, answer.json()["token_type"]) == (200, "DPoP")
    token = answer.json()["access_token"]
    assert (await service.vault(token).get("/v1/tokens")).status_code == 401
    headers = proof("vault", "GET", "/v1/tokens", token) | {"authorization": f"DPoP {token}"}
    assert (await service.vault(None).get("/v1/tokens", headers=headers)).status_code == 200
    assert (await service.vault(None).get("/v1/tokens", headers=headers)).status_code == 401


async def test_keys_are_rotated_with_an_overlap(service: Service) -> None:
    old, new = EdKey(), EcKey()
    made = await machine(service, old)
    console = service.console(made.tenant.keys[Mode.TEST])
    path = f"/v1/services/{made.id}/keys"
    both = {"keys": [old.jwk, {**new.jwk, "kid": "new"}]}
    assert (await console.post(path, {"jwks": both})).status_code == 200
    for assertion in (
        made.signed_by(old),
        made.signed_by(new),
        made.signed_by(new, {"kid": "new"}),
    ):
        assert (await made.ask(assertion)).status_code == 200
    assert (await console.post(path, {"jwks": new.jwk})).status_code == 200
    assert (await made.ask(made.signed_by(old))).status_code == 401
    assert (await made.ask(made.signed_by(new))).status_code == 200


@pytest.mark.parametrize(
    "jwks",
    [
        {},
        {"keys": []},
        {"keys": [EdKey().jwk] * 6},
        {"keys": "x"},
        {"keys": [{**EdKey().jwk, "d": "A" * 43}]},
        {"keys": [{**EdKey().jwk, "x": "AAAA"}]},
        {"keys": [{**EdKey().jwk, "crv": "X25519"}]},
        {"keys": [{**EdKey().jwk, "alg": "none"}]},
        {"keys": [{**EdKey().jwk, "use": "enc"}]},
        {"keys": [{**EdKey().jwk, "kid": ""}]},
        {"keys": [{"kty": "oct", "k": "AAAA"}]},
        {"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]},
        {"keys": [{**EcKey().jwk, "y": EcKey().jwk["x"]}]},
        {"keys": [1]},
    ],
)
async def test_what_is_no_public_key_is_refused(billing: Machine, jwks: object) -> None:
    console = billing.service.console(billing.tenant.keys[Mode.TEST])
    body = {"name": "x", "permissions": PERMISSIONS, "jwks": jwks}
    assert (await console.post("/v1/services", body)).status_code == 422
    answer = await console.post(f"/v1/services/{billing.id}/keys", {"jwks": jwks})
    assert answer.status_code == 422


async def test_a_service_has_no_more_than_a_service_can_and_a_key_gives_no_more_than_it_has(
    service: Service,
) -> None:
    tenant = await service.tenant()
    body = {"name": "x", "permissions": PERMISSIONS, "jwks": EdKey().jwk}
    console = service.console(tenant.keys[Mode.TEST])
    for word in ("identity:key:create", "identity:person:read", "payments:connection:create"):
        answer = await console.post("/v1/services", {**body, "permissions": [word]})
        assert (answer.status_code, answer.json()["code"]) == (422, "service_refused")
    assert (await console.post("/v1/services", {**body, "permissions": []})).status_code == 422
    assert (await console.post("/v1/services", {**body, "name": NUMBER})).status_code == 422
    weak = await service.key(
        tenant.merchant, KeyKind.RESTRICTED, permissions=[Permission.VAULT_TOKEN_READ]
    )
    answer = await service.console(weak.text.expose()).post("/v1/services", body)
    assert answer.status_code == 403
    admin = await signed_in(service, tenant.merchant, Role.ADMIN)
    answer = await service.console(admin.access.expose()).post("/v1/services", body)
    assert answer.status_code == 201
    developer = await signed_in(service, tenant.merchant, Role.DEVELOPER)
    answer = await service.console(developer.access.expose()).post("/v1/services", body)
    assert answer.status_code == 403


async def test_a_revoked_service_ends_everywhere(service: Service) -> None:
    made = await machine(service, EdKey())
    token = await made.token()
    assert (await service.vault(token).get("/v1/tokens")).status_code == 200
    console = service.console(made.tenant.keys[Mode.TEST])
    for _ in range(2):  # safe to repeat
        assert (await console.post(f"/v1/services/{made.id}/revoke")).status_code == 204
    await until_refused(service.vault(token))
    await until_refused(service.gateway(token), "/v1/payments")
    assert (await made.ask()).status_code == 401
    answer = await console.post(f"/v1/services/{made.id}/keys", {"jwks": EdKey().jwk})
    assert answer.status_code == 404


async def test_another_merchants_services_are_not_there(billing: Machine) -> None:
    service = billing.service
    stranger = await service.tenant()
    for key in (stranger.keys[Mode.TEST], billing.tenant.keys[Mode.LIVE]):
        console = service.console(key)
        assert (await console.get("/v1/services")).json()["data"] == []
        path = f"/v1/services/{billing.id}"
        assert (await console.post(f"{path}/revoke")).status_code == 404
        answer = await console.post(f"{path}/keys", {"jwks": EdKey().jwk})
        assert answer.status_code == 404
    listed = await service.console(billing.tenant.keys[Mode.TEST]).get("/v1/services")
    assert [each["id"] for each in listed.json()["data"]] == [billing.id]
    (row,) = await service.look(
        Domain.CORE,
        "select revoked_at, jsonb_array_length(public_keys) as keys from identity.service"
        " where service_id = $1",
        billing.id,
    )
    assert (row["revoked_at"], row["keys"]) == (None, 1)
