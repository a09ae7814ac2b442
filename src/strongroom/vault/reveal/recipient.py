# SPDX-License-Identifier: Apache-2.0
"""Encrypts what is shown to the caller's own public key (JWE, RFC 7516): nothing between here and there reads it.

The key comes with the request, as a JWK (RFC 7517). One algorithm a kind of key: RSA-OAEP-256 for RSA,
ECDH-ES+A256KW for the NIST curves; the content is A256GCM (RFC 7518 §4, §5.3). Whatever else is asked for is refused.
"""

import binascii
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any, Final, TypeAlias, final

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.invariant import invariant

Jwk: TypeAlias = Mapping[str, Any]

ENCRYPTION: Final = "A256GCM"
RSA_ALGORITHM: Final = "RSA-OAEP-256"
EC_ALGORITHM: Final = "ECDH-ES+A256KW"
#: NIST SP 800-57 part 1, table 2: from 2,048 bits on. The upper bound is for what an encryption costs.
RSA_BITS_MIN: Final = 2_048
RSA_BITS_MAX: Final = 4_096
#: FIPS 186-5 §A.1.1: odd, and above 2^16. What is common is this.
RSA_EXPONENT: Final = 65_537
CURVES: Final = frozenset({"P-256", "P-384", "P-521"})
#: What a private or a shared key has besides (RFC 7518 §6.2.2, §6.3.2, §6.4).
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_ASIDE: Final = frozenset({"kty", "alg", "kid", "use", "key_ops"})
_MEMBERS: Final = {"RSA": frozenset({"n", "e"}), "EC": frozenset({"crv", "x", "y"})}
_KEY_OPS: Final = {
    "RSA": frozenset({"encrypt", "wrapKey"}),
    "EC": frozenset({"deriveBits", "deriveKey"}),
}
_KID_CHARACTERS_MAX: Final = 128


@final
class Recipient:
    """A public key that a card may be encrypted to."""

    __slots__ = ("_header", "_key", "algorithm")

    def __init__(self, key: RSAKey | ECKey, algorithm: str, kid: str | None) -> None:
        self._key = key
        self.algorithm = algorithm
        self._header = {"alg": algorithm, "enc": ENCRYPTION, "typ": "JWE", "cty": "json"}
        if kid is not None:
            self._header["kid"] = kid

    @classmethod
    def read(cls, jwk: Jwk, at: str = "/jwe_key") -> "Recipient":
        """Read a JWK.

        Args:
            jwk: as it came in the request.
            at: JSON pointer of the key in the request.

        Raises:
            Invalid: it is private, weak, meant for something else, or no key; nothing of it is repeated.
        """
        if not _PRIVATE.isdisjoint(jwk):
            raise Invalid(
                FieldError(
                    at, "jwe_key_private", "this holds a private key: send the public one alone"
                )
            )
        kty = jwk.get("kty")
        if kty not in _MEMBERS:
            raise Invalid(FieldError(at, "jwe_key_kind", "the key's kty is RSA or EC"))
        algorithm = RSA_ALGORITHM if kty == "RSA" else EC_ALGORITHM
        _require_meant_for_this(jwk, kty, algorithm, at)
        members = {name: jwk[name] for name in _MEMBERS[kty] if isinstance(jwk.get(name), str)}
        if set(jwk) - _MEMBERS[kty] - _ASIDE or len(members) < len(_MEMBERS[kty]):
            raise Invalid(FieldError(at, "jwe_key_malformed", "this is no JWK of that kind"))
        if kty == "RSA":
            _require_strong(members["n"], members["e"], at)
        elif members["crv"] not in CURVES:
            raise Invalid(FieldError(at, "jwe_key_weak", "the curve is P-256, P-384 or P-521"))
        return cls(_imported(kty, {"kty": kty, **members}, at), algorithm, jwk.get("kid"))

    @property
    def thumbprint(self) -> str:
        """The key's SHA-256 thumbprint (RFC 7638): what its owner tells apart from the request."""
        return self._key.thumbprint()

    def encrypt(self, plaintext: bytes) -> str:
        """Return a compact JWE that the key's owner alone opens."""
        text = jwe.encrypt_compact(
            dict(self._header), plaintext, self._key, algorithms=[self.algorithm, ENCRYPTION]
        )
        invariant(text.count(".") == 4, "a compact JWE has five parts")  # noqa: PLR2004 - RFC 7516 §3.1
        return text


def _require_meant_for_this(jwk: Jwk, kty: str, algorithm: str, at: str) -> None:
    """Refuse a key that says it is for signing, or for another algorithm (RFC 7517 §4.2–4.4)."""
    if jwk.get("alg", algorithm) != algorithm:
        raise Invalid(
            FieldError(
                at, "jwe_key_algorithm", f"the algorithm of a key of this kind is {algorithm}"
            )
        )
    if jwk.get("use", "enc") != "enc":
        raise Invalid(FieldError(at, "jwe_key_use", "the key's use is enc"))
    operations = jwk.get("key_ops")
    if operations is not None and (
        not isinstance(operations, list) or _KEY_OPS[kty].isdisjoint(map(str, operations))
    ):
        raise Invalid(
            FieldError(at, "jwe_key_use", "the key's operations are not those of encryption")
        )
    kid = jwk.get("kid")
    if kid is not None and not (
        isinstance(kid, str) and 0 < len(kid) <= _KID_CHARACTERS_MAX and kid.isprintable()
    ):
        raise Invalid(FieldError(at, "jwe_key_malformed", "the key's id is a short printable text"))


def _require_strong(modulus: str, exponent: str, at: str) -> None:
    n, e = _number(modulus, at), _number(exponent, at)
    if not RSA_BITS_MIN <= n.bit_length() <= RSA_BITS_MAX:
        raise Invalid(
            FieldError(at, "jwe_key_weak", f"an RSA key has {RSA_BITS_MIN} to {RSA_BITS_MAX} bits")
        )
    if e != RSA_EXPONENT or n % 2 == 0:
        raise Invalid(FieldError(at, "jwe_key_weak", f"an RSA key's exponent is {RSA_EXPONENT}"))


def _number(text: str, at: str) -> int:
    try:
        return int.from_bytes(urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
    except (ValueError, binascii.Error):
        raise Invalid(FieldError(at, "jwe_key_malformed", "this is no JWK of that kind")) from None


def _imported(kty: str, members: dict[str, Any], at: str) -> RSAKey | ECKey:
    try:
        key = RSAKey.import_key(members) if kty == "RSA" else ECKey.import_key(members)
        # The library reads lazily: a point that is not on its curve shows when it is used.
        invariant(key.public_key is not None, "a public key was read")
    except (JoseError, ValueError, TypeError):
        raise Invalid(FieldError(at, "jwe_key_malformed", "this is no JWK of that kind")) from None
    return key
