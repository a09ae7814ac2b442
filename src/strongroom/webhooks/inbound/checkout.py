# SPDX-License-Identifier: Apache-2.0
"""Notices of Checkout.com: `Cko-Signature`, HMAC-SHA-256 over the exact body in lower-case hexadecimal.

The scheme signs no time: what is sent again is a notice that was kept already, and an old one that never came is
believed when it comes. Where the secret has a second part, the header `Authorization` must be exactly that, too.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

import msgspec

from strongroom.crypto import equal, hmac_sha256
from strongroom.http.problems import UNDECODABLE
from strongroom.kernel.secret import Secret
from strongroom.webhooks.inbound.errors import NoticeRejected
from strongroom.webhooks.inbound.macs import from_hex
from strongroom.webhooks.inbound.verify import RawNotice, VerifiedNotice
from strongroom.webhooks.inbound.wire import RECEIVED

HEADER: Final = "cko-signature"
AUTHORIZATION: Final = "authorization"

#: The signature key and, behind one space, the value of the header `Authorization`, which may hold spaces inside.
_SECRET: Final = re.compile(
    r"(?P<key>[\x21-\x7e]{16,200})(?: (?P<authorization>[\x21-\x7e](?:[\x20-\x7e]{0,500}[\x21-\x7e])?))?"
)


class _Event(msgspec.Struct, frozen=True):
    """What is read of an event here: its name."""

    id: Annotated[str, msgspec.Meta(pattern=r"^evt_[A-Za-z0-9_-]{1,200}$(?!\n)")]


_decode: Final = msgspec.json.Decoder(_Event).decode


class CheckoutVerifier:
    """Implements `Verifier`."""

    scheme: Final = "checkout"
    headers: Final = frozenset({HEADER, AUTHORIZATION})
    acknowledgement: Final = RECEIVED

    def accepts(self, secret: Secret[str]) -> bool:
        """Tell whether a secret is a signature key, alone or with the value of an Authorization header."""
        return _SECRET.fullmatch(secret.expose()) is not None

    def verify(
        self,
        raw: RawNotice,
        secrets: Sequence[Secret[str]],
        now: datetime,  # noqa: ARG002 - the scheme signs no time
    ) -> VerifiedNotice:
        """Return the notice as one that holds. Raises NoticeRejected, and nothing else."""
        signature = from_hex(raw.headers.get(HEADER))
        authorization = raw.headers.get(AUTHORIZATION, "").encode("utf-8", "surrogatepass")
        signed = held = False
        for secret in secrets:  # all of them, without stopping at a match
            parts = _SECRET.fullmatch(secret.expose())
            if parts is None:
                continue
            authentic = equal(signature, hmac_sha256(parts["key"].encode(), raw.body))
            second = parts["authorization"]
            # Both factors are of one secret: of two in rotation, one's key and the other's header are not enough.
            expected = authorization if second is None else second.encode()
            signed |= authentic
            held |= authentic & equal(authorization, expected)
        if not signed:
            raise NoticeRejected("signature_wrong" if secrets else "no_secret")
        if not held:
            raise NoticeRejected("authorization_wrong")
        try:
            event = _decode(raw.body)
        except UNDECODABLE:
            raise NoticeRejected("body_malformed") from None
        return VerifiedNotice(raw.body, event.id, self.scheme)
