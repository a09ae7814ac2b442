# SPDX-License-Identifier: Apache-2.0
"""Opens a stored number to send it elsewhere. The one place that asks a `Pan` for its digits (a test looks).

Whoever calls this has committed the record of the card's use: `vault.use_card` and `vault.begin_forward` give out what
is sealed in the same transaction, and nothing else does.
"""

from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.vault.sealing import CardSealer


async def digits_to_send(
    sealer: CardSealer,
    sealed: bytes,
    *,
    mode: Mode,
    merchant: MerchantId,
    token: TokenId,
    key_version: int,
) -> str:
    """Return a number's digits, for one call. Record the use first.

    Raises:
        CannotReadCard, KeyStoreUnavailable: as `CardSealer.open_number`.
    """
    pan = await sealer.open_number(
        sealed, mode=mode, merchant=merchant, token=token, key_version=key_version
    )
    return pan.digits_for_forwarding()
