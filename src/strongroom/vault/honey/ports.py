# SPDX-License-Identifier: Apache-2.0
"""What who watches over honeytokens asks of identity."""

from typing import Protocol

from strongroom.audit import Origin
from strongroom.kernel.ids import KeyId, MerchantId
from strongroom.kernel.mode import Mode


class KeyEnder(Protocol):
    """Ends API keys."""

    async def revoke_key(
        self, merchant: MerchantId, mode: Mode, key: KeyId, *, actor: str, origin: Origin
    ) -> None:
        """End a key, with a record. To end one twice is no error.

        Raises:
            NotThere: there is no such key.
        """
