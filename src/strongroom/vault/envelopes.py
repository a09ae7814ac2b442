# SPDX-License-Identifier: Apache-2.0
"""What a sealed value's outside says, before a key is asked for: whether it is whole, and of a kind that was shipped.

What only a key can tell (another key, place, row or algorithm, an altered byte) is one refusal, `CannotReadCard`: an
authenticated cipher does not say which, and nobody should be told.
"""

from typing import Final

from strongroom.crypto import CannotOpen
from strongroom.crypto.aead import Algorithm, algorithm_of
from strongroom.vault.errors import CardEnvelopeCut, CardEnvelopeUnknown

#: Version byte, nonce or IV, the shortest ciphertext and tag of each algorithm.
_SHORTEST: Final = {Algorithm.A256CBC_HS512: 1 + 16 + 16 + 32, Algorithm.A256GCM: 1 + 12 + 16}
_CBC_BLOCK: Final = 16


def require_envelope(sealed: bytes) -> Algorithm:
    """Return the algorithm that a sealed value claims. A claim only: opening it is what checks it.

    Raises:
        CardEnvelopeUnknown: its version byte was never shipped.
        CardEnvelopeCut: it is shorter than anything that was ever sealed, or not of whole blocks.
    """
    if not sealed:
        raise CardEnvelopeCut
    try:
        algorithm = algorithm_of(sealed)
    except CannotOpen:
        raise CardEnvelopeUnknown from None
    if len(sealed) < _SHORTEST[algorithm]:
        raise CardEnvelopeCut
    if algorithm is Algorithm.A256CBC_HS512 and (len(sealed) - 1 - 16 - 32) % _CBC_BLOCK:
        raise CardEnvelopeCut
    return algorithm
