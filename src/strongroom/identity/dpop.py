# SPDX-License-Identifier: Apache-2.0
"""Proofs of possession (RFC 9449): a caller signs each request with the key that its token is bound to.

A proof names the method and the URL as the caller sees it. The host is compared, too: a proof that was made for
another server, and captured there, is worth nothing here. Behind a proxy the caller's URL is another than the
listener's, so the hosts are a setting (`api_urls`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, final
from urllib.parse import urlsplit

from strongroom.crypto.digest import equal, sha256
from strongroom.db.pool import Database, Transaction
from strongroom.db.queries import load_queries
from strongroom.http import Request
from strongroom.http.auth import Unauthenticated
from strongroom.identity.jose import (
    JoseRefused,
    encode_segment,
    header_of,
    public_key,
    strict_json,
    verified,
)
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import MerchantId

HEADER: Final = "dpop"
TYPE: Final = "dpop+jwt"
#: How far a proof's time may be from ours, either way.
WINDOW_SECONDS: Final = 60
JTI_CHARACTERS_MAX: Final = 128
JTI_CHARACTERS_MIN: Final = 8
_HEADER_MEMBERS: Final = frozenset({"alg", "jwk", "typ"})
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_QUERIES: Final = load_queries("strongroom.identity")


class ProofRefused(Unauthenticated):
    """No valid credential was given."""

    challenge = 'DPoP realm="strongroom", error="invalid_dpop_proof", algs="EdDSA ES256"'


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof whose signature and claims hold; whether it was used before is asked by `use`."""

    thumbprint: str
    value_hash: bytes


@final
class Proofs:
    """Checks the proofs of one listener's callers.

    Args:
        urls: under which callers reach it: `https://host[:port][/prefix]`.
    """

    def __init__(self, database: Database, urls: Iterable[str], clock: Clock) -> None:
        self._database = database
        self._bases = frozenset(_normal(url).rstrip("/") for url in urls)
        self._clock = clock

    def read(self, request: Request, *, access_token: str | None = None) -> Proof | None:
        """Return the request's proof, or None where it has none.

        Args:
            access_token: the token that the proof must be for (`ath`).

        Raises:
            ProofRefused: it does not hold for this request.
        """
        text = request.headers.get(HEADER)
        if text is None:
            return None
        try:
            return self._read(request, text, access_token)
        except JoseRefused as refused:
            raise ProofRefused(f"proof_{refused.reason}") from None

    def _read(self, request: Request, text: str, access_token: str | None) -> Proof:
        # RFC 9449 §4.3, in its order.
        header = header_of(text, _HEADER_MEMBERS)
        if header.get("typ") != TYPE:
            raise JoseRefused("type")
        key = public_key(header.get("jwk"))
        if header["alg"] != key.algorithm:
            raise JoseRefused("algorithm")
        claims = strict_json(verified(text, key))
        if claims.get("htm") != request.method:
            raise JoseRefused("method")
        if not self._is_here(claims.get("htu"), request.path):
            raise JoseRefused("url")
        issued = claims.get("iat")
        now = self._clock.now().timestamp()
        if not isinstance(issued, int | float) or isinstance(issued, bool):
            raise JoseRefused("time")
        if not now - WINDOW_SECONDS <= issued <= now + WINDOW_SECONDS:
            raise JoseRefused("time")
        jti = claims.get("jti")
        if not isinstance(jti, str) or not JTI_CHARACTERS_MIN <= len(jti) <= JTI_CHARACTERS_MAX:
            raise JoseRefused("id")
        if access_token is not None:
            wanted = encode_segment(sha256(access_token.encode()))
            given = claims.get("ath")
            if not isinstance(given, str) or not equal(
                given.encode("utf-8", "surrogatepass"), wanted.encode()
            ):
                raise JoseRefused("token")
        return Proof(
            key.thumbprint,
            sha256(f"{key.thumbprint} ".encode() + jti.encode("utf-8", "surrogatepass")),
        )

    def _is_here(self, url: object, path: str) -> bool:
        """Compare without query and fragment (RFC 9449 §4.3 point 9), scheme and host in lower case."""
        if not isinstance(url, str):
            return False
        try:
            given = _normal(url)
        except ValueError:
            return False
        return any(given == base + path for base in self._bases)

    async def use(self, merchant: MerchantId, proof: Proof, tx: Transaction | None = None) -> None:
        """Note that a proof was used, in every process; in a transaction of its own unless one is given.

        Raises:
            ProofRefused: it was used before.
        """
        if tx is None:
            async with self._database.transaction([merchant]) as own:
                await self.use(merchant, proof, own)
            return
        keep_until = self._clock.now() + timedelta(seconds=2 * WINDOW_SECONDS + 1)
        if not await tx.run(_QUERIES["use_once"], merchant, "proof", proof.value_hash, keep_until):
            raise ProofRefused("proof_replayed")


def _normal(url: str) -> str:
    """Return a URL without query and fragment, in one spelling of scheme, host and port.

    Raises:
        ValueError: it is none of HTTP's, or names a user.
    """
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS or parts.hostname is None or "@" in parts.netloc:
        raise ValueError("not a URL of HTTP")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    return f"{parts.scheme}://{host}:{port}{parts.path}"
