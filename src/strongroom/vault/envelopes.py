# SPDX-License-Identifier: Apache-2.0
"""What a sealed value's outside says, before a key is asked for: whether it is whole, and of a kind that was shipped.

What only a key can tell (another key, place, row or algorithm, an altered byte) is one refusal to callers,
`CannotReadCard`: an authenticated cipher does not say which. `diagnosis` finds out for operators what can be found.
"""

from typing import Final

from strongroom.crypto import CannotOpen
from strongroom.crypto.aead import Algorithm, algorithm_of
from strongroom.vault.errors import CardEnvelopeCut, CardEnvelopeUnknown

#: Version byte, nonce or IV, the shortest ciphertext and tag of each algorithm.
_SHORTEST: Final = {Algorithm.A256CBC_HS512: 1 + 16 + 16 + 32, Algorithm.A256GCM: 1 + 12 + 16}
_CBC_BLOCK: Final = 16


def require_envelope(sealed: bytes, clear_bytes: int = 0) -> Algorithm:
    """Return the algorithm that a sealed value claims. A claim only: opening it is what checks it.

    Args:
        sealed: as it is kept.
        clear_bytes: how long what is sealed is at least; of numbers, which all have one length, exactly that.

    Raises:
        CardEnvelopeUnknown: its version byte was never shipped.
        CardEnvelopeCut: it is shorter than what was sealed, or not of whole blocks.
    """
    if not sealed:
        raise CardEnvelopeCut
    try:
        algorithm = algorithm_of(sealed)
    except CannotOpen:
        raise CardEnvelopeUnknown from None
    if len(sealed) < _SHORTEST[algorithm] + _ciphertext_bytes(algorithm, clear_bytes):
        raise CardEnvelopeCut
    if algorithm is Algorithm.A256CBC_HS512 and (len(sealed) - 1 - 16 - 32) % _CBC_BLOCK:
        raise CardEnvelopeCut
    return algorithm


def _ciphertext_bytes(algorithm: Algorithm, clear_bytes: int) -> int:
    """Return how much longer than the shortest value one is in which so much is sealed."""
    if algorithm is Algorithm.A256GCM:
        return clear_bytes
    return clear_bytes // _CBC_BLOCK * _CBC_BLOCK  # PKCS #7 fills up, by a whole block if need be
