# SPDX-License-Identifier: Apache-2.0
"""Verifies a provider's ID token (OpenID Connect Core 1.0 §3.1.3.7). The only module that reads one.

Algorithms are ours to choose, never the token's: public-key signatures only. A key is one that the provider published
at its own address; what a token's header points to (`jku`, `x5u`, `jwk`) is not looked at.
"""

import json
import warnings
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from joserfc import jwk, jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jws import JWSRegistry, extract_compact

from strongroom.crypto import equal, sha256, sha512
from strongroom.identity.sso.errors import SignInRefused
from strongroom.identity.sso.rules import LEEWAY_SECONDS
from strongroom.kernel.errors import StrongroomError

#: By algorithm: the type of key, and the curve where there are several.
ALGORITHMS: Final[Mapping[str, tuple[str, str | None]]] = {
    "ES256": ("EC", "P-256"),
    "Ed25519": ("OKP", "Ed25519"),  # RFC 9864
    "EdDSA": ("OKP", "Ed25519"),
    "PS256": ("RSA", None),
    "RS256": ("RSA", None),
}
TOKEN_CHARACTERS_MAX: Final = 32_768
#: A token older than a login can be is somebody else's.
ISSUED_SECONDS_MAX: Final = 600
RSA_BITS_MIN: Final = 2_048
SUBJECT_CHARACTERS_MAX: Final = 255


class KeyMissing(StrongroomError):
    """The token names a key that the provider's published keys do not have."""


class _Registry(JWSRegistry):
    """Our algorithms, without the library's remark that RFC 9864 has a newer name for EdDSA."""

    def get_alg(self, name: str) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            return super().get_alg(name)


class _Once(json.JSONDecoder):
    """Refuses an object that says one name twice: two readers of it could differ."""

    def __init__(self) -> None:
        super().__init__(object_pairs_hook=_without_doubles)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


_REGISTRY: Final = _Registry(algorithms=sorted(ALGORITHMS), strict_check_header=False)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must say to be this login's."""

    issuer: str
    client_id: str
    access_token: str
    now: datetime
    #: None: it need not say when somebody proved themselves.
    max_age_seconds: int | None


def verified_claims(
    token: str, published: Sequence[Mapping[str, Any]], expected: Expected
) -> Mapping[str, Any]:
    """Return the claims of a token that holds. The nonce is the caller's to compare.

    Raises:
        SignInRefused: it does not hold; `reason` says why, for the audit log only.
        KeyMissing: it is signed by a key that is not among those published; ask for them again, once.
    """
    if len(token) > TOKEN_CHARACTERS_MAX or not token.isascii() or token.count(".") != 2:  # noqa: PLR2004
        raise SignInRefused("token_malformed")
    try:
        header = jwt_header(token)
        key = _key(header, published)
        decoded = jwt.decode(token, key, registry=_REGISTRY, decoder_cls=_Once)
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        raise SignInRefused("token_signature_wrong") from None
    claims = decoded.claims
    _require_addressed(claims, expected)
    _require_timely(claims, expected)
    _require_access_token(claims, str(header["alg"]), expected.access_token)
    return claims


def jwt_header(token: str) -> Mapping[str, Any]:
    """Return a token's header, which nothing vouches for yet.

    Raises:
        SignInRefused: the algorithm is not one of ours.
        ValueError, JoseError: it is no header.
    """
    header = extract_compact(token.encode(), None, _REGISTRY).headers()
    if header.get("alg") not in ALGORITHMS:
        raise SignInRefused("token_algorithm_wrong")
    return header


def _key(header: Mapping[str, Any], published: Sequence[Mapping[str, Any]]) -> jwk.Key:
    """Return the one key that a header can mean: by its id, or the only one that fits (Core 1.0 §10.1)."""
    algorithm = str(header["alg"])
    kind, curve = ALGORITHMS[algorithm]
    fitting = [
        each
        for each in published
        if each.get("kty") == kind
        and (curve is None or each.get("crv") == curve)
        and each.get("use", "sig") == "sig"
        and each.get("alg", algorithm) in {algorithm, "EdDSA" if kind == "OKP" else algorithm}
    ]
    wanted = header.get("kid")
    if wanted is not None:
        fitting = [each for each in fitting if each.get("kid") == wanted]
    if not fitting:
        raise KeyMissing
    if len(fitting) > 1:
        raise SignInRefused("token_key_ambiguous")
    public = {
        name: value
        for name, value in fitting[0].items()
        if name in {"kty", "crv", "n", "e", "x", "y"}
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # a short key is refused below
        key = jwk.import_key(public)
    if isinstance(key, jwk.RSAKey) and key.public_key.key_size < RSA_BITS_MIN:
        raise SignInRefused("token_key_short")
    return key


def _require_addressed(claims: Mapping[str, Any], expected: Expected) -> None:
    if claims.get("iss") != expected.issuer:
        raise SignInRefused("token_issuer_wrong")
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or expected.client_id not in audiences:
        raise SignInRefused("token_audience_wrong")
    party = claims.get("azp")
    if (party is not None or len(audiences) > 1) and party != expected.client_id:
        raise SignInRefused("token_audience_wrong")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_CHARACTERS_MAX:
        raise SignInRefused("token_subject_malformed")


def _require_timely(claims: Mapping[str, Any], expected: Expected) -> None:
    now = expected.now.timestamp()
    expires, issued = _moment(claims, "exp"), _moment(claims, "iat")
    if expires is None or issued is None:
        raise SignInRefused("token_time_missing")
    if expires <= now - LEEWAY_SECONDS:
        raise SignInRefused("token_expired")
    if not now - ISSUED_SECONDS_MAX <= issued <= now + LEEWAY_SECONDS:
        raise SignInRefused("token_time_wrong")
    if "nbf" in claims and (_moment(claims, "nbf") or now * 2) > now + LEEWAY_SECONDS:
        raise SignInRefused("token_time_wrong")
    if expected.max_age_seconds is not None:
        proved = _moment(claims, "auth_time")
        if proved is None or not (
            now - expected.max_age_seconds - LEEWAY_SECONDS <= proved <= now + LEEWAY_SECONDS
        ):
            raise SignInRefused("token_proof_old")


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < 10**11 else None


def _require_access_token(claims: Mapping[str, Any], algorithm: str, access_token: str) -> None:
    """A token that names an access token names the one that came with it (Core 1.0 §3.1.3.6)."""
    stated = claims.get("at_hash")
    if stated is None:
        return
    # The hash is that of the algorithm; Ed25519's is SHA-512.
    hashed = sha512 if ALGORITHMS[algorithm][0] == "OKP" else sha256
    digest = hashed(access_token.encode("utf-8", "surrogatepass"))
    left = urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=")
    if not isinstance(stated, str) or not equal(left, stated.encode("utf-8", "surrogatepass")):
        raise SignInRefused("token_access_token_other")
