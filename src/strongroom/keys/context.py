# SPDX-License-Identifier: Apache-2.0
"""The context that a wrapped key is bound to. One rule for every store: none accepts what another would not.

Refuses an empty context, an empty name or value, and our own name for the purpose.
"""

from collections.abc import Mapping
from typing import Final

from strongroom.crypto import encode_parts
from strongroom.kernel.invariant import invariant
from strongroom.keys.purposes import Purpose

PURPOSE_ENTRY: Final = "strongroom:purpose"
#: AWS KMS encrypts at most this much, and a context may be at most 8192 characters there.
LARGEST_PLAINTEXT_BYTES: Final = 4096
LARGEST_CONTEXT_CHARACTERS: Final = 4096
#: The first of the parts that are authenticated: what is wrapped is good for nothing else that this key encrypts.
WRAPPED_LABEL: Final = "strongroom wrapped key 1"


def bound_context(purpose: Purpose, context: Mapping[str, str]) -> dict[str, str]:
    """Return the context with the purpose in it, in the order of its names.

    What it holds is written to the store's own log (CloudTrail): identifiers, never a secret.
    """
    invariant(bool(context), "a wrapped key is bound to something")
    invariant(all(context) and all(context.values()), "no name or value of a context is empty")
    invariant(PURPOSE_ENTRY not in context, "the purpose is bound by the store")
    size = sum(len(name) + len(value) for name, value in context.items())
    invariant(size <= LARGEST_CONTEXT_CHARACTERS, "a context is short")
    return dict(sorted({**context, PURPOSE_ENTRY: purpose}.items()))


def associated(purpose: Purpose, context: Mapping[str, str]) -> bytes:
    """Return the bound context as one text of bytes, for stores that authenticate bytes and no names."""
    bound = bound_context(purpose, context)
    return encode_parts((WRAPPED_LABEL, *(text for entry in bound.items() for text in entry)))


def check_plaintext(plaintext: bytes) -> None:
    """Stop at what the smallest store could not wrap."""
    invariant(0 < len(plaintext) <= LARGEST_PLAINTEXT_BYTES, "a store wraps keys, not data")
