# SPDX-License-Identifier: Apache-2.0
"""What a service shows instead of a secret: a JWT that it signed a moment ago, for us and for once (RFC 7523 §3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from strongroom.crypto.digest import sha256
from strongroom.identity.jose import (
    JoseRefused,
    PublicKey,
    decode_segment,
    header_of,
    public_key,
    split,
    strict_json,
    verified,
)
from strongroom.kernel.ids import ServiceId, is_id

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#: How far ahead an assertion's end may be.
LIFETIME: Final = timedelta(minutes=5)
LEEWAY: Final = timedelta(seconds=5)
JTI_CHARACTERS: Final = range(8, 129)
_HEADER_MEMBERS: Final = frozenset({"alg", "kid", "typ"})
#: RFC 7523 names no type; OpenID's and later drafts' are these. Another kind of token is no assertion.
_TYPES: Final = frozenset({None, "JWT", "jwt", "client-authentication+jwt"})


@dataclass(frozen=True, slots=True)
class Assertion:
    """An assertion whose signature and claims hold; whether it was used before is asked of the database."""

    value_hash: bytes
    keep_until: datetime


def claimed_service(text: str) -> ServiceId:
    """Return whom an assertion claims to be of, unchecked: to know whose keys to check it with.

    Raises:
        JoseRefused: it has not an assertion's form.
    """
    header_of(text, _HEADER_MEMBERS)
    subject = strict_json(decode_segment(split(text)[1])).get("sub")
    if not isinstance(subject, str) or not is_id("svc", subject):
        raise JoseRefused("subject")
    return ServiceId(subject)


def read_assertion(
    text: str,
    service: ServiceId,
    keys: Sequence[Mapping[str, str]],
    audience: str,
    now: datetime,
) -> Assertion:
    """Check an assertion.

    Args:
        keys: the service's registered public JWKs.
        audience: the only audience it may be for: our issuer.

    Raises:
        JoseRefused: it does not hold; says in a word why.
    """
    header = header_of(text, _HEADER_MEMBERS)
    if header.get("typ") not in _TYPES:
        raise JoseRefused("type")
    claims = _signed(text, header, keys)
    if claims.get("iss") != service or claims.get("sub") != service:
        raise JoseRefused("issuer")
    if claims.get("aud") not in (audience, [audience]):
        raise JoseRefused("audience")
    ends = _moment(claims.get("exp"))
    if ends is None or ends <= now:
        raise JoseRefused("expired")
    if ends > now + LIFETIME + LEEWAY:
        raise JoseRefused("lifetime")
    for name in ("iat", "nbf"):
        if name in claims:
            begins = _moment(claims[name])
            if begins is None or begins > now + LEEWAY:
                raise JoseRefused("future")
    jti = claims.get("jti")
    if not isinstance(jti, str) or len(jti) not in JTI_CHARACTERS:
        raise JoseRefused("id")
    return Assertion(
        sha256(f"{service} ".encode() + jti.encode("utf-8", "surrogatepass")),
        ends + timedelta(seconds=1),
    )


def _signed(
    text: str, header: Mapping[str, Any], keys: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """Return the claims that one of the service's own keys has signed."""
    kid = header.get("kid")
    for jwk in keys:
        key = public_key(jwk)
        if header["alg"] != key.algorithm or kid not in (None, jwk.get("kid"), key.thumbprint):
            continue
        payload = _verified(text, key)
        if payload is not None:
            return strict_json(payload)
    raise JoseRefused("signature")


def _verified(text: str, key: PublicKey) -> bytes | None:
    try:
        return verified(text, key)
    except JoseRefused:
        return None


def _moment(seconds: object) -> datetime | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
