# SPDX-License-Identifier: Apache-2.0
"""Signs what is delivered: Standard Webhooks 1.0, scheme `v1` (HMAC-SHA-256 over id, time and exact body).

The key is what the secret's base64 says, not its text. While secrets are rotated, each signs.
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Final

from strongroom.crypto import hmac_sha256, random_bytes
from strongroom.kernel.invariant import invariant
from strongroom.kernel.secret import Secret

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - a prefix
SECRET_BYTES: Final = 32
#: What the specification allows.
SECRET_BYTES_MIN: Final = 24
SECRET_BYTES_MAX: Final = 64


def new_secret() -> Secret[str]:
    """Make a secret, as it is shown to a merchant."""
    return Secret(SECRET_PREFIX + b64encode(random_bytes(SECRET_BYTES)).decode())


def signing_key(secret: Secret[str]) -> Secret[bytes]:
    """Return the key that a secret stands for. One that was not made as `new_secret` makes them is a bug."""
    text = secret.expose()
    try:
        key = b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    invariant(
        text.startswith(SECRET_PREFIX) and SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX,
        "a secret for signing is whsec_ and the base64 of 24 to 64 bytes",
    )
    return Secret(key)


def signed_headers(
    keys: Sequence[Secret[bytes]], event_id: str, timestamp: int, body: bytes
) -> Mapping[str, str]:
    """Return the three headers of one try. `timestamp` is the try's own, in Unix seconds; the id stays the event's."""
    invariant(bool(keys), "an event is signed")
    content = b"%b.%d.%b" % (event_id.encode(), timestamp, body)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(
            "v1," + b64encode(hmac_sha256(key.expose(), content)).decode() for key in keys
        ),
    }
