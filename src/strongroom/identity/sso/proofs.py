# SPDX-License-Identifier: Apache-2.0
"""What a login at a provider is bound by, all made from its state under a key of the installation.

The state is 256 random bits that the browser carries. Kept is only its keyed hash; the PKCE verifier (RFC 7636), the
nonce (OpenID Connect Core 1.0 §15.5.2) and the ticket that stays in the browser that began are made again from it.
"""

from base64 import urlsafe_b64encode
from typing import Final, final

from strongroom.crypto import encode_parts, equal, hmac_sha256, new_secret_text, sha256
from strongroom.kernel.secret import Secret

STATE_BITS: Final = 256


@final
class Proofs:
    """Makes and checks what one login is bound by."""

    def __init__(self, key: Secret[bytes]) -> None:
        self._key = key

    def new_state(self) -> str:
        """Return a new state."""
        return new_secret_text(STATE_BITS)

    def state_hash(self, state: str) -> bytes:
        """Return the name under which a login is kept: 32 bytes."""
        return self._made("state", state)

    def verifier(self, state: str) -> str:
        """Return the code verifier: 43 characters (RFC 7636 §4.1)."""
        return _text(self._made("verifier", state))

    def challenge(self, state: str) -> str:
        """Return the S256 challenge (RFC 7636 §4.2)."""
        return _text(sha256(self.verifier(state).encode()))

    def nonce(self, state: str) -> str:
        """Return the nonce that the token must repeat."""
        return _text(self._made("nonce", state))

    def ticket(self, state: str) -> str:
        """Return what the browser that began keeps to itself: a state in a forwarded address is not enough."""
        return _text(self._made("ticket", state))

    def has_ticket(self, state: str, ticket: str) -> bool:
        """Tell whether this is the ticket of that state, in constant time."""
        return equal(self.ticket(state).encode(), ticket.encode("utf-8", "surrogatepass"))

    def has_nonce(self, state: str, nonce: object) -> bool:
        """Tell whether this is the nonce of that state, in constant time."""
        return isinstance(nonce, str) and equal(
            self.nonce(state).encode(), nonce.encode("utf-8", "surrogatepass")
        )

    def subject_hash(self, issuer: str, subject: str) -> bytes:
        """Return the name of somebody at a provider: 32 bytes that say nothing of them."""
        return self._made("subject", issuer, subject)

    def _made(self, *parts: str) -> bytes:
        return hmac_sha256(self._key.expose(), encode_parts(("sign-in", *parts)))


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
