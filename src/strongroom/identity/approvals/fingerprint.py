# SPDX-License-Identifier: Apache-2.0
"""What makes a request the very same request: one HMAC over everything that decides what it does.

Each part is preceded by its length, so that no two different requests are the same bytes.
"""

from collections.abc import Sequence

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
    return _of_path(key, request, action, request.path, about)


def fingerprints(
    key: Secret[bytes],
    request: Request,
    action: str,
    object_id: str | None,
    names: Sequence[str],
    about: ApprovalAbout | None = None,
) -> Sequence[bytes]:
    """Return those of the same request by each id that what it is about may be asked by, in their order; one at least.

    Args:
        key: of the fingerprints.
        request: as it came.
        action: what its route is marked with.
        object_id: the id that stands in its path.
        names: the ids; none: that one only.
        about: see `fingerprint`.
    """
    parts = request.path.split("/")
    if not names or object_id is None or object_id not in parts:
        return [fingerprint(key, request, action, about)]
    paths = ["/".join(each if part == object_id else part for part in parts) for each in names]
    return [_of_path(key, request, action, path, about) for path in paths]


def _of_path(
    key: Secret[bytes], request: Request, action: str, path: str, about: ApprovalAbout | None
) -> bytes:
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
        path,
        request.query,
    )
    parts = [text.encode() for text in texts] + [canonical(request.body)]
    if about is not None:
        parts.append(about.text().encode())
    return hmac_sha256(
        key.expose(), b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    )
