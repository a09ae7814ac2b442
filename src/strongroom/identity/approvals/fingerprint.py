# SPDX-License-Identifier: Apache-2.0
"""What makes a request the very same request: one HMAC over everything that decides what it does.

Each part is preceded by its length, so that no two different requests are the same bytes.
"""

import msgspec

from strongroom.crypto.digest import hmac_sha256
from strongroom.http import Request
from strongroom.http.approval import ApprovalAbout
from strongroom.http.problems import UNDECODABLE
from strongroom.kernel.invariant import Bug
from strongroom.kernel.secret import Secret

_encoder = msgspec.json.Encoder(order="deterministic")


def canonical(body: bytes) -> bytes:
    """Return a body in one form: JSON with sorted names and no spaces, or the bytes themselves where it is none."""
    if not body:
        return b""
    try:
        return b"j" + _encoder.encode(msgspec.json.decode(body))
    except UNDECODABLE:
        return b"x" + body


def fingerprint(
    key: Secret[bytes], request: Request, action: str, about: ApprovalAbout | None = None
) -> bytes:
    """Return the fingerprint of a request: 32 bytes that say nothing to whoever lacks the key.

    Args:
        key: for nothing else.
        request: all that it is.
        action: the route's word.
        about: what the second person is shown of it, so that they decide on exactly this.
    """
    principal = request.principal
    if principal is None:
        raise Bug("nobody asks for an approval")
    texts = (
        principal.merchant,
        principal.mode,
        principal.subject,
        request.listener,
        action,
        request.method,
        request.path,
        request.query,
    )
    parts = [text.encode() for text in texts] + [canonical(request.body)]
    if about is not None:
        parts.append(about.text().encode())
    return hmac_sha256(
        key.expose(), b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    )
