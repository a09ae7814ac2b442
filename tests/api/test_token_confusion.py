# SPDX-License-Identifier: Apache-2.0
"""Every way to have a token believed that we did not make as it is: refused by each listener, over real HTTP.

The payloads and keys are genuine but for the one thing that a case changes, so that nothing else refuses it.
"""

import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from canary import NUMBER
from jwt_maker import EcKey, EdKey, jws, segment
from service import Caller, Service
from signed_in import desk_of, signed_in
from strongroom.crypto.digest import hmac_sha256
from strongroom.kernel.principal import Role
from strongroom.keys import PLATFORM_MERCHANT, PLATFORM_MODE, KeyName

LISTENERS = ("vault", "gateway", "console")
PATH = "/v1/audit/records"


@dataclass(frozen=True, slots=True)
class Genuine:
    """A token that holds, taken apart, and the key that signed it."""

    text: str
    header: dict[str, Any]
    claims: dict[str, Any]
    key: EdKey
    refresh: str

    def signed(self, **changes: Any) -> str:
        """With other claims, signed by the true key."""
        claims = {**self.claims, **changes}
        claims = {name: value for name, value in claims.items() if value is not None}
        return jws(self.header, claims, self.key.sign)

    def headed(self, **changes: Any) -> str:
        """With another header, signed by the true key."""
        header = {**self.header, **changes}
        header = {name: value for name, value in header.items() if value is not None}
        return jws(header, self.claims, self.key.sign)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def genuine(service: Service) -> Genuine:
    tenant = await service.tenant()
    issued = await signed_in(service, tenant.merchant, Role.AUDITOR)
    text = issued.access.expose()
    seed = await desk_of(service).signing._keys.version(
        PLATFORM_MERCHANT, PLATFORM_MODE, KeyName.TOKEN_SIGNING_SEED, 1
    )
    header, claims = (json.loads(_decoded(part)) for part in text.split(".")[:2])
    return Genuine(text, header, claims, EdKey(seed.secret.expose()), issued.refresh.expose())


def _decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _cut(text: str, count: int) -> str:
    return text[:-count]


def doubled(genuine: Genuine) -> str:
    """`role` twice: a reader that takes the first sees another than one that takes the last."""
    payload = json.dumps(genuine.claims, separators=(",", ":"))
    payload = payload[:-1] + ',"role":"auditor"}'
    return jws(genuine.header, payload.encode(), genuine.key.sign)


def reordered(genuine: Genuine) -> str:
    return jws(genuine.header, dict(reversed(genuine.claims.items())), genuine.key.sign)


def public_secret(genuine: Genuine, secret: bytes) -> str:
    """HS256 with what everybody knows as the secret."""
    header = {**genuine.header, "alg": "HS256"}
    return jws(header, genuine.claims, lambda data: hmac_sha256(secret, data))


def es256(genuine: Genuine) -> str:
    return jws({**genuine.header, "alg": "ES256"}, genuine.claims, EcKey().sign)


def with_own_key(genuine: Genuine) -> str:
    """The key that is to check it stands in its own header."""
    own = EdKey()
    return jws({**genuine.header, "jwk": own.jwk}, genuine.claims, own.sign)


def other_key(genuine: Genuine) -> str:
    return jws(genuine.header, genuine.claims, EdKey().sign)


def _none(name: str) -> Callable[[Genuine], str]:
    return lambda g: f"{segment({**g.header, 'alg': name})}.{segment(g.claims)}."


NOW: Final = time.time
CASES: Final[dict[str, Callable[[Genuine], str]]] = {
    "alg none": _none("none"),
    "alg None": _none("None"),
    "alg none, true signature": lambda g: g.headed(alg="none"),
    "alg none, a letter for a signature": lambda g: _none("none")(g) + "eyJ",
    "HS256 with the public key": lambda g: public_secret(g, g.key.public),
    "HS256 with the public key's text": lambda g: public_secret(g, g.key.jwk["x"].encode()),
    "HS256 with the JWK": lambda g: public_secret(g, json.dumps(g.key.jwk).encode()),
    "HS256 with nothing": lambda g: public_secret(g, b""),
    "HS512, true signature": lambda g: g.headed(alg="HS512"),
    "ES256 with a key of its own": es256,
    "RS256, true signature": lambda g: g.headed(alg="RS256"),
    "Ed25519, the other name": lambda g: g.headed(alg="Ed25519"),
    "no alg": lambda g: g.headed(alg=None),
    "a list of algs": lambda g: g.headed(alg=["EdDSA", "none"]),
    "another key under our kid": other_key,
    "unknown kid": lambda g: g.headed(kid="A" * 43),
    "no kid": lambda g: g.headed(kid=None),
    "kid of another length": lambda g: g.headed(kid="1"),
    "kid that is a path": lambda g: g.headed(kid="../../dev/null"),
    "kid that is SQL": lambda g: g.headed(kid="' or 1=1 --"),
    "kid that is a number": lambda g: g.headed(kid=1),
    "jwk in the header": with_own_key,
    "our jwk in the header": lambda g: g.headed(jwk=g.key.jwk),
    "jku": lambda g: g.headed(jku="https://keys.example/jwks.json"),
    "x5u": lambda g: g.headed(x5u="https://keys.example/chain.pem"),
    "x5c": lambda g: g.headed(x5c=["MIIB"]),
    "crit": lambda g: g.headed(crit=["exp"]),
    "b64 false": lambda g: g.headed(b64=False, crit=["b64"]),
    "zip": lambda g: g.headed(zip="DEF"),
    "cty, as if nested": lambda g: g.headed(cty="JWT"),
    "typ JWT": lambda g: g.headed(typ="JWT"),
    "typ dpop+jwt": lambda g: g.headed(typ="dpop+jwt"),
    "typ application/at+jwt": lambda g: g.headed(typ="application/at+jwt"),
    "no typ": lambda g: g.headed(typ=None),
    "header in another order": lambda g: jws(
        dict(reversed(g.header.items())), g.claims, g.key.sign
    ),
    "header with a member twice": lambda g: jws(
        json.dumps(g.header, separators=(",", ":"))[:-1].encode() + b',"alg":"EdDSA"}',
        g.claims,
        g.key.sign,
    ),
    "another audience": lambda g: g.signed(aud="urn:strongroom:other.example"),
    "a list of audiences": lambda g: g.signed(aud=[g.claims["aud"]]),
    "no audience": lambda g: g.signed(aud=None),
    "another issuer": lambda g: g.signed(iss="https://other.example"),
    "issuer with a slash": lambda g: g.signed(iss=g.claims["iss"] + "/"),
    "no issuer": lambda g: g.signed(iss=None),
    "expired": lambda g: g.signed(iat=int(NOW()) - 301, exp=int(NOW()) - 1),
    "no expiry": lambda g: g.signed(exp=None),
    "expiry that is text": lambda g: g.signed(exp=str(g.claims["exp"])),
    "expiry with a fraction": lambda g: g.signed(exp=g.claims["exp"] + 0.5),
    "expiry beyond all time": lambda g: g.signed(exp=1e300),
    "a day of life": lambda g: g.signed(exp=g.claims["iat"] + 86_400),
    "not yet valid": lambda g: g.signed(nbf=int(NOW()) + 600),
    "made in the future": lambda g: g.signed(iat=int(NOW()) + 60, exp=int(NOW()) + 300),
    "made in the far future": lambda g: g.signed(iat=10**11, exp=10**11 + 300),
    "made after it expires": lambda g: g.signed(exp=g.claims["iat"]),
    "no iat": lambda g: g.signed(iat=None),
    "a claim that we do not know": lambda g: g.signed(admin=True),
    "another role": lambda g: g.signed(role="root"),
    "a person that is a service": lambda g: g.signed(role="service"),
    "a service of the platform": lambda g: g.signed(
        role="service", sid=None, merchant="platform", scope="audit:record:read"
    ),
    "a service without a scope": lambda g: g.signed(role="service", sid=None),
    "no step-up time": lambda g: g.signed(sut=None),
    "another mode": lambda g: g.signed(mode="demo"),
    "a member twice": doubled,
    "claims in another order": reordered,
    "claims with a space": lambda g: jws(g.header, json.dumps(g.claims).encode(), g.key.sign),
    "claims with a null": lambda g: jws(g.header, {**g.claims, "scope": None}, g.key.sign),
    "claims that are a list": lambda g: jws(g.header, b"[]", g.key.sign),
    "claims that are no JSON": lambda g: jws(g.header, b"{", g.key.sign),
    "claims that are not UTF-8": lambda g: jws(g.header, b'{"sub":"\xff"}', g.key.sign),
    "claims nested deeply": lambda g: jws(g.header, b"[" * 2_000, g.key.sign),
    "a token in a token": lambda g: jws(g.header, g.text.encode(), g.key.sign),
    "a card number as a subject": lambda g: g.signed(sub=NUMBER, mode="demo"),
    "other claims, old signature": lambda g: ".".join(
        [g.text.split(".")[0], segment({**g.claims, "role": "admin"}), g.text.split(".")[2]]
    ),
    "a letter less": lambda g: _cut(g.text, 1),
    "half a signature": lambda g: _cut(g.text, 43),
    "no signature": lambda g: g.text.rpartition(".")[0],
    "an empty signature": lambda g: g.text.rpartition(".")[0] + ".",
    "the header alone": lambda g: g.text.split(".")[0],
    "one segment more": lambda g: g.text + ".eyJ9",
    "a JWE's five segments": lambda g: g.text + ".a.b",
    "padding": lambda g: g.text + "==",
    "another last letter": lambda g: g.text[:-1] + ("B" if g.text[-1] != "B" else "C"),
    "too long": lambda g: g.signed(jti="x" * 4_000),
    "longer than a header": lambda _: "eyJ" + "a" * 20_000,
    "the other kind of token": lambda g: "eyJ" + g.refresh,
}


def _refused(answer: httpx.Response) -> None:
    assert answer.status_code in (401, 431), answer.text
    assert NUMBER not in answer.text
    if answer.status_code == 401:
        assert answer.json()["code"] == "unauthenticated"
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("listener", LISTENERS)
async def test_the_genuine_one_holds(service: Service, genuine: Genuine, listener: str) -> None:
    caller = Caller(service.clients[listener], genuine.text)
    assert (await caller.get(PATH)).status_code == 200
    # What the cases change is all that refuses them: made anew from the same parts, it holds.
    caller = Caller(service.clients[listener], genuine.signed(jti="made-anew"))
    assert (await caller.get(PATH)).status_code == 200


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("case", CASES)
async def test_no_other_does(service: Service, genuine: Genuine, listener: str, case: str) -> None:
    caller = Caller(service.clients[listener], CASES[case](genuine))
    _refused(await caller.get(PATH))


@pytest.mark.parametrize("listener", LISTENERS)
async def test_what_is_not_ascii_is_refused(
    service: Service, genuine: Genuine, listener: str
) -> None:
    client = service.clients[listener]
    for text in (b"Bearer eyJ\xc3\xa9." + b"a.b", genuine.text.encode() + b"\xff"):
        answer = await client.get(PATH, headers={b"authorization": b"Bearer " + text})
        _refused(answer)


@pytest.mark.parametrize("listener", LISTENERS)
async def test_the_scheme_is_part_of_it(service: Service, genuine: Genuine, listener: str) -> None:
    client = service.clients[listener]
    for scheme in ("bearer", "BEARER", "Token", "Basic", "DPoP"):
        answer = await client.get(PATH, headers={"authorization": f"{scheme} {genuine.text}"})
        assert answer.status_code == 401
    answer = await client.get(PATH, headers={"authorization": genuine.text})
    assert answer.status_code == 401


async def test_none_of_them_stands_in_the_log(service: Service, genuine: Genuine) -> None:
    log = service.log_text()
    assert NUMBER not in log
    assert genuine.text not in log
    assert genuine.text.rpartition(".")[2] not in log
