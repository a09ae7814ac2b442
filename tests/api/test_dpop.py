# SPDX-License-Identifier: Apache-2.0
"""Tokens that are bound to a key (RFC 9449): no use without a proof, and no proof twice, elsewhere or for another."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from jwt_maker import AnyKey, EcKey, EdKey, jws, segment
from service import Service
from signed_in import begin, person_of, signed_in
from strongroom.crypto.digest import sha256
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.identity.jose import public_key
from strongroom.kernel.principal import Role

PATH: Final = "/v1/audit/records"
LISTENERS = ("vault", "gateway", "console")


@dataclass(frozen=True, slots=True)
class Bound:
    """A session bound to a key."""

    service: Service
    key: AnyKey
    access: str
    refresh: str

    def url(self, listener: str, path: str = PATH) -> str:
        return f"https://{getattr(self.service.settings, f'{listener}_listen')}{path}"

    def claims(self, listener: str, **changes: Any) -> dict[str, Any]:
        claims = {
            "jti": new_id("req"),
            "htm": "GET",
            "htu": self.url(listener),
            "iat": int(time.time()),
            "ath": segment(sha256(self.access.encode())),
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def header(self, **changes: Any) -> dict[str, Any]:
        header = {"alg": self.key.algorithm, "typ": "dpop+jwt", "jwk": self.key.jwk, **changes}
        return {name: value for name, value in header.items() if value is not None}

    def proof(self, listener: str, **changes: Any) -> str:
        return jws(self.header(), self.claims(listener, **changes), self.key.sign)

    async def ask(
        self, listener: str, proof: str | None, *, scheme: str = "DPoP", path: str = PATH
    ) -> httpx.Response:
        headers = {"authorization": f"{scheme} {self.access}"}
        if proof is not None:
            headers["dpop"] = proof
        return await self.service.clients[listener].get(path, headers=headers)


async def bound_to(service: Service, key: AnyKey) -> Bound:
    tenant = await service.tenant()
    person = await person_of(service, tenant.merchant, Role.AUDITOR)
    issued = await begin(service, person, dpop_thumbprint=public_key(key.jwk).thumbprint)
    assert issued.token_type == "DPoP"
    return Bound(service, key, issued.access.expose(), issued.refresh.expose())


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bound(service: Service) -> Bound:
    return await bound_to(service, EdKey())


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("key", [EdKey(), EcKey()], ids=["EdDSA", "ES256"])
async def test_a_proof_of_the_right_key_for_this_request_is_believed(
    service: Service, listener: str, key: AnyKey
) -> None:
    bound = await bound_to(service, key)
    assert (await bound.ask(listener, bound.proof(listener))).status_code == 200
    # Query and fragment do not count; the default spelling of scheme and host does not either.
    proof = bound.proof(listener, htu=bound.url(listener).replace("https", "HTTPS") + "?limit=1#x")
    assert (await bound.ask(listener, proof, path=f"{PATH}?limit=2")).status_code == 200


def _elsewhere(bound: Bound) -> str:
    return bound.proof("gateway", htu=f"https://evil.example{PATH}")


OTHER: Final = EdKey()
REFUSED: Final[Mapping[str, Callable[[Bound], str | None]]] = {
    "none": lambda _: None,
    "not a JWT": lambda _: "proof",
    "another method": lambda b: b.proof("gateway", htm="POST"),
    "no method": lambda b: b.proof("gateway", htm=None),
    "another path": lambda b: b.proof("gateway", htu=b.url("gateway", "/v1/keys")),
    "a longer path": lambda b: b.proof("gateway", htu=b.url("gateway", PATH + "/")),
    "another server": _elsewhere,
    "another listener": lambda b: b.proof("gateway", htu=b.url("vault")),
    "a user in the URL": lambda b: b.proof(
        "gateway", htu=b.url("gateway").replace("https://", "https://a@")
    ),
    "plain HTTP": lambda b: b.proof("gateway", htu=b.url("gateway").replace("https://", "http://")),
    "no URL": lambda b: b.proof("gateway", htu=None),
    "a URL that is none": lambda b: b.proof("gateway", htu="https://[::1"),
    "old": lambda b: b.proof("gateway", iat=int(time.time()) - 62),
    "from the future": lambda b: b.proof("gateway", iat=int(time.time()) + 65),
    "no time": lambda b: b.proof("gateway", iat=None),
    "a time that is text": lambda b: b.proof("gateway", iat=str(int(time.time()))),
    "a time that is true": lambda b: b.proof("gateway", iat=True),
    "no id": lambda b: b.proof("gateway", jti=None),
    "an id that is empty": lambda b: b.proof("gateway", jti=""),
    "an id too long": lambda b: b.proof("gateway", jti="x" * 129),
    "no token": lambda b: b.proof("gateway", ath=None),
    "another token": lambda b: b.proof("gateway", ath=segment(sha256(b"another"))),
    "another key": lambda b: jws(b.header(jwk=OTHER.jwk), b.claims("gateway"), OTHER.sign),
    "another key's signature": lambda b: jws(b.header(), b.claims("gateway"), OTHER.sign),
    "alg none": lambda b: f"{segment(b.header(alg='none'))}.{segment(b.claims('gateway'))}.eyJ9",
    "alg of another kind": lambda b: jws(b.header(alg="ES256"), b.claims("gateway"), b.key.sign),
    "another typ": lambda b: jws(b.header(typ="JWT"), b.claims("gateway"), b.key.sign),
    "no typ": lambda b: jws(b.header(typ=None), b.claims("gateway"), b.key.sign),
    "no jwk": lambda b: jws(b.header(jwk=None), b.claims("gateway"), b.key.sign),
    "crit": lambda b: jws(b.header(crit=["exp"]), b.claims("gateway"), b.key.sign),
    "a kid besides": lambda b: jws(b.header(kid="1"), b.claims("gateway"), b.key.sign),
    "a private key": lambda b: jws(
        b.header(jwk={**b.key.jwk, "d": "A" * 43}), b.claims("gateway"), b.key.sign
    ),
    "a symmetric key": lambda b: jws(
        b.header(jwk={"kty": "oct", "k": "AAAA"}), b.claims("gateway"), b.key.sign
    ),
    "a claim twice": lambda b: jws(
        b.header(),
        segment_json(b.claims("gateway"))[:-1] + b',"htm":"GET"}',
        b.key.sign,
    ),
}


def segment_json(claims: Mapping[str, Any]) -> bytes:
    return json.dumps(claims).encode()


@pytest.mark.parametrize("case", REFUSED)
async def test_any_other_is_refused(bound: Bound, case: str) -> None:
    answer = await bound.ask("gateway", REFUSED[case](bound))
    assert answer.status_code == 401, answer.text
    assert answer.headers["www-authenticate"].startswith("DPoP")


@pytest.mark.parametrize("listener", LISTENERS)
async def test_a_proof_counts_once_on_whichever_listener(bound: Bound, listener: str) -> None:
    proof = bound.proof(listener)
    assert (await bound.ask(listener, proof)).status_code == 200
    assert (await bound.ask(listener, proof)).status_code == 401
    # The same id under another signature is the same proof.
    jti = new_id("req")
    assert (await bound.ask(listener, bound.proof(listener, jti=jti))).status_code == 200
    other = LISTENERS[(LISTENERS.index(listener) + 1) % 3]
    assert (await bound.ask(other, bound.proof(other, jti=jti))).status_code == 401


@pytest.mark.parametrize("listener", LISTENERS)
async def test_a_bound_token_is_no_bearer_token_nor_the_reverse(
    bound: Bound, listener: str
) -> None:
    assert (await bound.ask(listener, None, scheme="Bearer")).status_code == 401
    proof = bound.proof(listener)
    assert (await bound.ask(listener, proof, scheme="Bearer")).status_code == 401
    free = await signed_in(bound.service, (await bound.service.tenant()).merchant, Role.AUDITOR)
    unbound = Bound(bound.service, bound.key, free.access.expose(), "")
    assert (await unbound.ask(listener, unbound.proof(listener))).status_code == 401
    assert (await unbound.ask(listener, None, scheme="Bearer")).status_code == 200
    # An API key is not presented as a bound token.
    key = (await bound.service.key((await bound.service.tenant()).merchant)).text.expose()
    headers = {"authorization": f"DPoP {key}", "dpop": proof}
    answer = await bound.service.clients[listener].get(PATH, headers=headers)
    assert answer.status_code == 401


async def test_a_bound_session_refreshes_with_a_proof_only(service: Service) -> None:
    bound = await bound_to(service, EcKey())
    path = "/v1/session/refresh"
    console = service.console(None)
    body = {"refresh_token": bound.refresh}

    def proof(key: AnyKey = bound.key, **changes: Any) -> str:
        claims = bound.claims(
            "console", htm="POST", htu=bound.url("console", path), ath=None, **changes
        )
        header = {"alg": key.algorithm, "typ": "dpop+jwt", "jwk": key.jwk}
        return jws(header, claims, key.sign)

    assert (await console.post(path, body)).status_code == 401
    thief = EdKey()
    assert (await console.post(path, body, headers={"dpop": proof(thief)})).status_code == 401
    once = proof()
    answer = await console.post(path, body, headers={"dpop": once})
    assert answer.status_code == 200, answer.text
    assert answer.json()["token_type"] == "DPoP"
    body = {"refresh_token": answer.json()["refresh_token"]}
    assert (await console.post(path, body, headers={"dpop": once})).status_code == 401
    # Refused for want of a proof, nothing has changed: the same token still refreshes.
    assert (await console.post(path, body, headers={"dpop": proof()})).status_code == 200


async def test_what_was_used_is_forgotten_once_it_could_not_be_presented(bound: Bound) -> None:
    assert (await bound.ask("gateway", bound.proof("gateway"))).status_code == 200
    (row,) = await bound.service.look(
        Domain.CORE,
        "select max(keep_until) - now() as ahead from identity.used_once where purpose = 'proof'",
    )
    assert 60 < row["ahead"].total_seconds() <= 122
