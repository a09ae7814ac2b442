# SPDX-License-Identifier: Apache-2.0
"""Randomness from the kernel's generator. There is no seed and no second source."""

import os
import secrets
from math import ceil, log2
from typing import Final

_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def random_bytes(count: int) -> bytes:
    """Return `count` secret random bytes."""
    return os.urandom(count)


def random_below(limit: int) -> int:
    """Return a secret random whole number from 0 to below `limit`, each as likely as any other."""
    return secrets.randbelow(limit)


_POOL_BYTES: Final = 4_096
_pool = b""
_used = 0


def entropy(count: int) -> bytes:
    """Return `count` random bytes for an id or a salt: the same source, drawn a page at a time.

    Not for keys, nonces or secrets: what was drawn and not yet used lies in memory until then.
    """
    global _pool, _used  # noqa: PLW0603 - one pool a process, that is what it is for
    if _used + count > len(_pool):
        _pool, _used = os.urandom(max(_POOL_BYTES, count)), 0
    taken = _pool[_used : _used + count]
    _used += count
    return taken


def _forget_pool() -> None:
    global _pool  # noqa: PLW0603 - likewise
    _pool = b""


os.register_at_fork(after_in_child=_forget_pool)  # a child must not draw what its parent draws


def new_secret_text(bits: int) -> str:
    """Return a secret of at least `bits` random bits (a multiple of 8) in base62, always of the same length.

    256 bits print as 43 characters: no character needs escaping in a header, a URL or a shell.
    """
    return base62(os.urandom(ceil(bits / 8)))


def base62(data: bytes) -> str:
    """Print bytes in base62; as many bytes always give as many characters."""
    value = int.from_bytes(data, "big")
    characters = []
    for _ in range(base62_length(len(data) * 8)):
        value, digit = divmod(value, 62)
        characters.append(_BASE62[digit])
    return "".join(reversed(characters))


def base62_length(bits: int) -> int:
    """Return how many base62 characters `new_secret_text(bits)` has."""
    return ceil(ceil(bits / 8) * 8 / log2(62))
