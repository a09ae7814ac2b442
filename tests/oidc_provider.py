# SPDX-License-Identifier: Apache-2.0
"""An OpenID provider of tests that keeps to the standard strictly, and lies in one chosen way when told to.

It demands what a client must send (client authentication, exact redirect, PKCE with S256, each code once), signs with
real keys, and writes down what it was asked. `Lies` says what it says wrongly.
"""

import base64
import hashlib
import json
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from joserfc import jwk, jwt
from joserfc.errors import SecurityWarning

from peer import Peer, Sent, answer, peer
from strongroom.crypto import new_secret_text
from strongroom.kernel.clock import Clock

CLIENT: Final = "strongroom"
SECRET: Final = "the client's + secret: 100%"
Claims = dict[str, Any]


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def new_key(kind: str, kid: str) -> jwk.Key:
    if kind == "RSA":
        return jwk.RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})
    if kind == "EC":
        return jwk.ECKey.generate_key("P-256", {"kid": kid, "use": "sig"})
    return jwk.OKPKey.generate_key("Ed25519", {"kid": kid, "use": "sig"})


def signed(claims: Claims, key: Any, header: dict[str, Any]) -> str:
    """Sign a token, with whatever algorithm."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        return jwt.encode(header, claims, key, algorithms=[str(header["alg"])])


@dataclass(slots=True)
class Lies:
    """What the provider says wrongly. Nothing: it is honest."""

    #: Changes the claims before they are signed.
    claims: Callable[[Claims], Claims] = lambda claims: claims
    #: Makes the token from the claims, instead of signing them.
    token: Callable[["OidcProvider", Claims], str] | None = None
    #: Changes the answer of the token endpoint.
    tokens: Callable[[dict[str, Any]], dict[str, Any]] = lambda tokens: tokens
    #: Changes the document.
    document: Callable[[dict[str, Any]], dict[str, Any]] = lambda document: document
    #: Changes the published keys.
    keys: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = lambda keys: keys
    #: Answers every request with these bytes.
    everything: bytes | None = None


@dataclass(slots=True)
class OidcProvider:
    """A provider on loopback."""

    clock: Clock
    listening: Peer
    algorithm: str = "ES256"
    key: jwk.Key = field(default_factory=lambda: new_key("EC", "one"))
    lies: Lies = field(default_factory=Lies)
    claims: Claims = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    redeemed: list[str] = field(default_factory=list)
    #: Whether it names itself in what it sends the browser back with (RFC 9207).
    says_issuer: bool = True

    @property
    def issuer(self) -> str:
        return self.listening.url

    def requests(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(urlsplit(each.target).path == path for each in self.listening.requests)

    def use(self, kind: str, algorithm: str, kid: str) -> None:
        """Sign with another key from now on."""
        self.key, self.algorithm = new_key(kind, kid), algorithm

    def visited(self, url: str, **claims: Any) -> dict[str, str]:
        """Do what a browser and somebody at it do: log in there, and be sent back. Returns the query of the return."""
        asked = {name: value[0] for name, value in parse_qs(urlsplit(url).query).items()}
        assert url.startswith(f"{self.issuer}/authorize?")
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert "openid" in asked["scope"].split()
        assert asked["code_challenge_method"] == "S256"
        assert len(asked["code_challenge"]) == 43
        assert asked["prompt"] == "login"
        code = new_secret_text(128)
        self.codes[code] = {**asked, "claims": json.dumps({**self.claims, **claims})}
        back = {"code": code, "state": asked["state"]}
        return {**back, "iss": self.issuer} if self.says_issuer else back

    async def serve(self, sent: Sent, _writer: Any) -> bytes:
        if self.lies.everything is not None:
            return self.lies.everything
        path = urlsplit(sent.target).path
        if path == "/.well-known/openid-configuration":
            return answer(json.dumps(self.lies.document(self._document())).encode())
        if path == "/jwks":
            published = self.lies.keys([self.key.as_dict(private=False)])
            return answer(json.dumps({"keys": published}).encode())
        assert (sent.method, path) == ("POST", "/token")
        return self._token(sent)

    def _document(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.algorithm],
            "authorization_response_iss_parameter_supported": self.says_issuer,
        }

    def _token(self, sent: Sent) -> bytes:
        refused = answer(b'{"error":"invalid_grant"}', 400)
        form = {name: value[0] for name, value in parse_qs(sent.body.decode()).items()}
        scheme, _, pair = sent.headers["authorization"].partition(" ")
        client, _, secret = base64.b64decode(pair).decode().partition(":")
        if (scheme, unquote(client), unquote(secret)) != ("Basic", CLIENT, SECRET):
            return answer(b'{"error":"invalid_client"}', 401)
        known = self.codes.pop(form.get("code", ""), None)
        if known is None or form.get("grant_type") != "authorization_code":
            return refused
        hashed = _b64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if hashed != known["code_challenge"] or form.get("redirect_uri") != known["redirect_uri"]:
            return refused
        self.redeemed.append(form["code"])
        access = new_secret_text(256)
        now = int(self.clock.now().timestamp())
        claims = self.lies.claims(
            {
                "iss": self.issuer,
                "aud": CLIENT,
                "exp": now + 300,
                "iat": now,
                "auth_time": now,
                "nonce": known["nonce"],
                "at_hash": self.hash_of(access),
                "amr": ["pwd", "otp", "mfa"],
                "email_verified": True,
                **json.loads(known["claims"]),
            }
        )
        if self.lies.token is not None:
            token = self.lies.token(self, claims)
        else:
            token = signed(claims, self.key, {"alg": self.algorithm, "kid": self.key.kid})
        tokens = {"access_token": access, "token_type": "Bearer", "id_token": token}
        return answer(json.dumps(self.lies.tokens(tokens)).encode())

    def hash_of(self, access: str) -> str:
        """The `at_hash` of an access token."""
        hashed = hashlib.sha512 if self.algorithm in ("EdDSA", "Ed25519") else hashlib.sha256
        digest = hashed(access.encode()).digest()
        return _b64(digest[: len(digest) // 2])


@asynccontextmanager
async def oidc_provider(clock: Clock) -> AsyncIterator[OidcProvider]:
    """Lend a provider."""

    async def nothing(_sent: Sent, _writer: Any) -> bytes:
        raise AssertionError("nobody is asked before it is there")

    async with peer(nothing) as listening:
        provider = OidcProvider(clock, listening)
        listening.behaviour = provider.serve
        yield provider
