# SPDX-License-Identifier: Apache-2.0
"""Access tokens: JWTs of five minutes (RFC 9068) that this installation signs and no other may.

To believe one, its header must be, byte for byte, the one that we print for a key that we believe; so there is no
algorithm, key or extension for a caller to choose (RFC 8725 §3.1). Then the signature, then the claims, which must be
printed as we print them: no member twice, none that we do not know.
"""

import json
from datetime import datetime, timedelta
from typing import Final, NamedTuple, final

import msgspec

from strongroom.crypto.random import entropy
from strongroom.http.auth import Unauthenticated
from strongroom.identity.jose import (
    EDDSA,
    Ed25519Signer,
    JoseRefused,
    decode_segment,
    encode_segment,
    split,
    verified,
)
from strongroom.identity.revocation import PublishedKey, Trust
from strongroom.kernel.clock import Clock
from strongroom.kernel.secret import Secret

ACCESS_SECONDS: Final = 300
#: How far another process's clock may run ahead of ours.
LEEWAY_SECONDS: Final = 5
#: How long a token may still be presented after whoever has it was revoked.
OUTLIVED_BY: Final = timedelta(seconds=ACCESS_SECONDS + 60)
TYPE: Final = "at+jwt"
#: Every access token begins so: `{"` in base64url. No API key does.
BEGINNING: Final = "eyJ"
TOKEN_CHARACTERS_MAX: Final = 3_072


class Confirmation(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the presenter must show besides: a key (RFC 9449 §6.1) or a client certificate (RFC 8705 §3.1)."""

    jkt: str | None = None
    certificate: str | None = msgspec.field(default=None, name="x5t#S256")


class Claims(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a token says. Times are Unix time in seconds."""

    iss: str
    aud: str
    sub: str
    client_id: str
    jti: str
    iat: int
    exp: int
    merchant: str
    mode: str
    role: str
    #: Of a person.
    sid: str | None = None
    amr: tuple[str, ...] = ()
    auth_time: int | None = None
    #: Permissions beside the role, a space between two (break-glass).
    extra: str | None = None
    #: When a second factor was last shown.
    sut: int | None = None
    #: Of a service: its permissions, a space between two (RFC 8693 §4.2).
    scope: str | None = None
    cnf: Confirmation | None = None


class Names(NamedTuple):
    """Who issues here, and for whom."""

    issuer: str
    audience: str


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Claims).decode


def names_of(origin: str) -> Names:
    """Return an installation's issuer and audience, by its `audit_origin` setting."""
    return Names(f"https://{origin}", f"urn:strongroom:{origin}")


def header_segment(kid: str) -> str:
    """Return the one header that a token of this key has, as it stands in the token."""
    return encode_segment(json.dumps(_header(kid), separators=(",", ":")).encode())


def _header(kid: str) -> dict[str, str]:
    return {"alg": EDDSA, "kid": kid, "typ": TYPE}


def sign(signer: Ed25519Signer, claims: Claims) -> Secret[str]:
    """Print a token."""
    return Secret(signer.sign(_header(signer.kid), _encode(claims)))


def new_token_id() -> str:
    """Return a new `jti`."""
    return encode_segment(entropy(16))


@final
class TokenVerifier:
    """Believes access tokens, or says in a word why not."""

    def __init__(self, trust: Trust, names: Names, clock: Clock) -> None:
        self._trust = trust
        self._names = names
        self._clock = clock
        #: By the header segment, with the keys it was made from.
        self._headers: dict[str, PublishedKey] = {}
        self._made_from: object = None

    async def claims(self, text: str) -> Claims:
        """Return what a token says, if it holds now; whether it was revoked is the caller's question.

        Raises:
            Unauthenticated: it does not hold.
        """
        try:
            if len(text) > TOKEN_CHARACTERS_MAX:
                raise JoseRefused("form")
            head = split(text)[0]
            key = self._key(head)
            if key is None and _could_be_ours(head):
                await self._trust.next_reading()
                key = self._key(head)
            now = self._clock.now()
            if key is None or not key.believed(now):
                raise JoseRefused("key")
            return self._read(verified(text, key.key), now)
        except JoseRefused as refused:
            raise Unauthenticated(f"token_{refused.reason}") from None

    def _key(self, head: str) -> PublishedKey | None:
        keys = self._trust.keys
        if keys is not self._made_from:
            self._headers = {header_segment(kid): key for kid, key in keys.items()}
            self._made_from = keys
        return self._headers.get(head)

    def _read(self, payload: bytes, now: datetime) -> Claims:
        try:
            claims = _decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise JoseRefused("claims") from None
        if _encode(claims) != payload:  # a member twice, another order, a space
            raise JoseRefused("claims")
        if claims.iss != self._names.issuer:
            raise JoseRefused("issuer")
        if claims.aud != self._names.audience:
            raise JoseRefused("audience")
        seconds = now.timestamp()
        if claims.iat > seconds + LEEWAY_SECONDS:
            raise JoseRefused("future")
        if claims.exp <= seconds:
            raise JoseRefused("expired")
        if not 0 < claims.exp - claims.iat <= ACCESS_SECONDS:
            raise JoseRefused("lifetime")
        return claims


def _could_be_ours(head: str) -> bool:
    """Tell whether a header is one that we print, for a key that is not known here yet."""
    try:
        given = json.loads(decode_segment(head))
        kid = given["kid"]
    except (JoseRefused, ValueError, KeyError, TypeError, RecursionError):
        return False
    return isinstance(kid, str) and len(kid) == _KID_CHARACTERS and head == header_segment(kid)


#: A SHA-256 in base64url.
_KID_CHARACTERS: Final = 43
