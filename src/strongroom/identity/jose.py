# SPDX-License-Identifier: Apache-2.0
"""The one door to JOSE: Ed25519 and P-256 signatures, public keys, and JSON that means one thing.

Two algorithms exist here, whatever a header asks for: EdDSA (RFC 8037, Ed25519 only) and ES256. Every fault is
`JoseRefused`, which carries nothing of what was read.
"""

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey
from joserfc.jws import JWSRegistry

from strongroom.crypto.digest import sha256
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.secret import Secret

EDDSA: Final = "EdDSA"
ALGORITHMS: Final = ("EdDSA", "ES256")
#: Characters of a compact JWS that is looked at at all.
COMPACT_CHARACTERS_MAX: Final = 4_096
_SEGMENTS: Final = 3
#: What a public key consists of (RFC 8037 §2, RFC 7518 §6.2.1), by its type and curve.
_MEMBERS: Final = {
    ("OKP", "Ed25519"): frozenset({"kty", "crv", "x"}),
    ("EC", "P-256"): frozenset({"kty", "crv", "x", "y"}),
}
#: What may stand beside that and means nothing here.
_IDLE_MEMBERS: Final = frozenset({"alg", "kid", "use"})

Json: TypeAlias = dict[str, Any]


class JoseRefused(StrongroomError):
    """A token, proof or key is not what it must be."""

    code = "jose_refused"

    def __init__(self, reason: str) -> None:
        super().__init__()
        #: A word for the audit log and metrics; never told to the caller.
        self.reason = reason


def _quiet(name: str) -> Any:
    # joserfc warns of EdDSA's name (RFC 9864 prefers `Ed25519`); callers' libraries still speak the old one, and the
    # key's curve is checked here anyway.
    ours = copy(JWSRegistry.algorithms[name])
    ours.security_warning = None
    return ours


class _Registry(JWSRegistry):
    """Two algorithms: whatever else a header asks for does not exist."""

    algorithms = {name: _quiet(name) for name in ALGORITHMS}  # noqa: RUF012 - the base class's own shape


_REGISTRY: Final = _Registry(algorithms=ALGORITHMS)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key, its algorithm and its thumbprint."""

    key: OKPKey | ECKey
    algorithm: str
    thumbprint: str
    jwk: Mapping[str, str]


def encode_segment(data: bytes) -> str:
    """Print bytes as base64url without padding (RFC 7515 §2)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_segment(text: str) -> bytes:
    """Read base64url without padding; only the one canonical form of any bytes.

    Raises:
        JoseRefused: `encoding`.
    """
    try:
        data = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        raise JoseRefused("encoding") from None
    if encode_segment(data) != text:  # left-over bits, foreign characters that the decoder skips
        raise JoseRefused("encoding")
    return data


def strict_json(data: bytes) -> Json:
    """Read a JSON object in which no member stands twice (RFC 8259 §4 leaves open what that would mean).

    Raises:
        JoseRefused: `json`, or `doubled`.
    """
    try:
        found = json.loads(
            data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        raise JoseRefused("json") from None
    if not isinstance(found, dict):
        raise JoseRefused("json")
    return found


def _once(pairs: Sequence[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise JoseRefused("doubled")
    return found


def _no_constant(_text: str) -> Any:
    raise JoseRefused("json")  # NaN and Infinity are Python's, not JSON's


def split(text: str, characters_max: int = COMPACT_CHARACTERS_MAX) -> tuple[str, str, str]:
    """Return the three segments of a compact JWS.

    Raises:
        JoseRefused: `form`: it is too long, not ASCII, or has another number of parts.
    """
    if len(text) > characters_max or not text.isascii():
        raise JoseRefused("form")
    parts = text.split(".")
    if len(parts) != _SEGMENTS or not all(parts):
        raise JoseRefused("form")
    return parts[0], parts[1], parts[2]


def header_of(
    text: str, members: frozenset[str], characters_max: int = COMPACT_CHARACTERS_MAX
) -> Json:
    """Return a compact JWS's header, which has these members at most.

    Raises:
        JoseRefused: `header`, `algorithm`, or a fault of its form.
    """
    header = strict_json(decode_segment(split(text, characters_max)[0]))
    if header.keys() - members:  # crit, jku, x5u, x5c, b64 …
        raise JoseRefused("header")
    if header.get("alg") not in ALGORITHMS:
        raise JoseRefused("algorithm")
    return header


def verified(text: str, key: PublicKey, characters_max: int = COMPACT_CHARACTERS_MAX) -> bytes:
    """Return the payload of a compact JWS that this key has signed, with the key's own algorithm.

    Raises:
        JoseRefused: `signature`, or a fault of its form.
    """
    for segment in split(text, characters_max):
        decode_segment(segment)
    try:
        checked = jws.deserialize_compact(
            text,
            key.key,
            algorithms=[key.algorithm],
            registry=_Registry(algorithms=[key.algorithm]),
        )
    except (JoseError, ValueError, TypeError):
        raise JoseRefused("signature") from None
    return checked.payload


def public_key(jwk: object) -> PublicKey:
    """Read a public key (RFC 7517): Ed25519 or P-256, and no private part.

    Raises:
        JoseRefused: `key`.
    """
    if not isinstance(jwk, dict) or not all(isinstance(each, str) for each in jwk.values()):
        raise JoseRefused("key")
    kind = (jwk.get("kty", ""), jwk.get("crv", ""))
    wanted = _MEMBERS.get(kind)
    if wanted is None or not wanted <= jwk.keys() <= wanted | _IDLE_MEMBERS:
        raise JoseRefused("key")
    algorithm = EDDSA if kind[0] == "OKP" else "ES256"
    if jwk.get("alg", algorithm) != algorithm or jwk.get("use", "sig") != "sig":
        raise JoseRefused("key")
    bare = {name: str(jwk[name]) for name in sorted(wanted)}
    for name in wanted - {"kty", "crv"}:
        decode_segment(bare[name])
    members: dict[str, str | list[str]] = {**bare}
    key: OKPKey | ECKey
    try:
        key = OKPKey.import_key(members) if algorithm == EDDSA else ECKey.import_key(members)
        key.get_op_key("verify")
    except (JoseError, ValueError, TypeError):
        raise JoseRefused("key") from None
    # RFC 7638: the required members in the order of their names, without spaces.
    thumbprint = encode_segment(sha256(json.dumps(bare, separators=(",", ":")).encode()))
    return PublicKey(key, algorithm, thumbprint, bare)


def ed25519_public_key(public: bytes) -> PublicKey:
    """Make a key of 32 bytes (RFC 8032 §5.1.5)."""
    return public_key({"kty": "OKP", "crv": "Ed25519", "x": encode_segment(public)})


class Ed25519Signer:
    """Signs compact JWS with one Ed25519 key."""

    __slots__ = ("_key", "kid")

    def __init__(self, seed: Secret[bytes], public: bytes, kid: str) -> None:
        self.kid = kid
        self._key = OKPKey.import_key(
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "x": encode_segment(public),
                "d": encode_segment(seed.expose()),
            }
        )

    def sign(self, header: Mapping[str, str], payload: bytes) -> str:
        """Return a compact JWS."""
        return jws.serialize_compact(
            dict(header), payload, self._key, algorithms=[EDDSA], registry=_REGISTRY
        )
