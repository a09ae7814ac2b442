# SPDX-License-Identifier: Apache-2.0
"""The text of a refresh token: `rt_` + the session's id + 256 random bits + a tag that only we can make.

The tag tells a token that we once made from a guess, without keeping one row for each: so an old one ends its session,
and a stranger who knows a session's id cannot end it. A successor is derived from the token before, a salt drawn for
that rotation and a key that is not in the database: whoever presents the token before can be given the same successor
once more, though only hashes are kept. The salt is random and replaced at each rotation, so a key that leaks later
leads nowhere from an old token.
"""

import re
from typing import Final, final

from strongroom.crypto.digest import equal, hkdf_sha256, hmac_sha256
from strongroom.crypto.random import base62, random_bytes
from strongroom.kernel.ids import SessionId
from strongroom.kernel.secret import Secret

SALT_BYTES: Final = 32
_TAG_BYTES: Final = 16
_FORM: Final = re.compile(
    r"rt_(?P<session>[0-7][0-9A-HJKMNP-TV-Z]{25})_(?P<secret>[0-9A-Za-z]{43})(?P<tag>[0-9A-Za-z]{22})"
)


@final
class RefreshTexts:
    """Makes and reads refresh tokens."""

    def __init__(self, key: Secret[bytes]) -> None:
        data_key = key.expose()
        self._tag_key = hkdf_sha256(data_key, b"strongroom refresh tag 1", 32)
        self._hash_key = hkdf_sha256(data_key, b"strongroom refresh hash 1", 32)
        self._successor_key = hkdf_sha256(data_key, b"strongroom refresh successor 1", 32)

    def first(self, session: SessionId) -> Secret[str]:
        """Make a session's first token."""
        return self._print(session, random_bytes(32))

    def successor(self, text: Secret[str], session: SessionId, salt: bytes) -> Secret[str]:
        """Return what follows a token under a rotation's salt."""
        derived = hmac_sha256(self._successor_key, salt + text.expose().encode())
        return self._print(session, derived)

    def hash_of(self, text: Secret[str]) -> bytes:
        """Return what is kept of a token."""
        return hmac_sha256(self._hash_key, text.expose().encode())

    def session_of(self, text: Secret[str]) -> SessionId | None:
        """Return the session of a token that we have made, or None for any other text."""
        found = _FORM.fullmatch(text.expose())
        if found is None:
            return None
        body = text.expose()[: found.start("tag")]
        if not equal(found["tag"].encode(), self._tag(body).encode()):
            return None
        return SessionId("ses_" + found["session"])

    def _print(self, session: SessionId, secret: bytes) -> Secret[str]:
        body = f"rt_{session.removeprefix('ses_')}_{base62(secret)}"
        return Secret(body + self._tag(body))

    def _tag(self, body: str) -> str:
        return base62(hmac_sha256(self._tag_key, body.encode())[:_TAG_BYTES])
