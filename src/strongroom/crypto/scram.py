# SPDX-License-Identifier: Apache-2.0
"""What PostgreSQL keeps of a password (RFC 5803, RFC 7677), made here: so the password itself is in no statement."""

import base64
import hashlib
import hmac
import os
from typing import Final

from strongroom.kernel.invariant import invariant
from strongroom.kernel.secret import Secret

#: PostgreSQL's own default. A password of ours has 256 random bits, which need no stretching.
ITERATIONS: Final = 4096
_SALT_BYTES: Final = 16


def scram_verifier(
    password: Secret[str], *, salt: bytes | None = None, iterations: int = ITERATIONS
) -> str:
    """Return `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey` for a password of printable ASCII."""
    text = password.expose()
    # Others would have to be prepared by RFC 4013, in which libraries differ.
    invariant(text.isascii() and text.isprintable() and text != "", "a password is plain ASCII")
    salt = os.urandom(_SALT_BYTES) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", text.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored = base64.b64encode(hashlib.sha256(client_key).digest()).decode()
    server = base64.b64encode(hmac.digest(salted, b"Server Key", "sha256")).decode()
    return f"SCRAM-SHA-256${iterations}:{base64.b64encode(salt).decode()}${stored}:{server}"
