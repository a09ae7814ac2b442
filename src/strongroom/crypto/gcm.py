# SPDX-License-Identifier: Apache-2.0
"""AES-256-GCM with its parts apart, as the processors that encrypt their webhooks send them. Not for what we store.

What Strongroom keeps is sealed by `crypto.aead`, which binds a value to its place; here the wire format is theirs.
"""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from strongroom.crypto.errors import CannotOpen

GCM_KEY_BYTES: Final = 32
GCM_IV_BYTES: Final = 12
GCM_TAG_BYTES: Final = 16


def aes_gcm_encrypt(key: bytes, plaintext: bytes) -> tuple[bytes, bytes, bytes]:
    """Return IV (drawn anew), ciphertext and tag (NIST SP 800-38D)."""
    iv = os.urandom(GCM_IV_BYTES)
    sealed = AESGCM(key).encrypt(iv, plaintext, None)
    return iv, sealed[:-GCM_TAG_BYTES], sealed[-GCM_TAG_BYTES:]


def aes_gcm_decrypt(key: bytes, iv: bytes, ciphertext: bytes, tag: bytes) -> bytes:
    """Return the plaintext whose tag holds.

    Raises:
        CannotOpen: and nothing else, whatever the bytes are. A shortened tag is refused.
    """
    if len(key) != GCM_KEY_BYTES or len(iv) != GCM_IV_BYTES or len(tag) != GCM_TAG_BYTES:
        raise CannotOpen
    try:
        return AESGCM(key).decrypt(iv, ciphertext + tag, None)
    except (InvalidTag, ValueError, OverflowError) as error:
        raise CannotOpen from error
