# SPDX-License-Identifier: Apache-2.0
"""What webhooks in offer to whoever owns connections."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from strongroom.db.pool import Transaction
from strongroom.kernel.ids import ConnectionId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.webhooks.inbound.sources import PreparedSource


class NoticeSources(Protocol):
    """Where notices may come from. To prepare asks the key store; to write is part of the caller's transaction."""

    async def prepare(
        self,
        merchant: MerchantId,
        mode: Mode,
        connection_id: ConnectionId,
        scheme: str,
        secrets: Sequence[Secret[str]],
    ) -> PreparedSource:
        """Check and seal a new source.

        Raises:
            SourceRefused: the scheme is unknown, or a secret is missing, malformed or one too many.
        """

    async def register(self, tx: Transaction, source: PreparedSource) -> None:
        """Write a new source."""

    async def prepare_rotation(
        self,
        merchant: MerchantId,
        mode: Mode,
        connection_id: ConnectionId,
        new_secret: Secret[str],
        overlap_seconds: int,
    ) -> PreparedSource:
        """Seal the present secrets with a new one, which holds at once; the others hold that much longer.

        Raises:
            SourceUnknown: there is no active source.
            SourceRefused: the secret is malformed, or too many would hold at once.
        """

    async def rotate(self, tx: Transaction, source: PreparedSource) -> None:
        """Write a rotation.

        Raises:
            SourceChanged: the source was changed since the rotation was prepared.
        """

    async def secrets_until(
        self, merchant: MerchantId, mode: Mode, connection_id: ConnectionId
    ) -> Sequence[datetime | None]:
        """Say until when each secret holds that does now, the present one first; None: until it is rotated.

        Nothing where there is no active source.
        """

    async def disable(
        self, tx: Transaction, merchant: MerchantId, mode: Mode, connection_id: ConnectionId
    ) -> None:
        """Take no more notices.

        Raises:
            SourceUnknown: there is no source.
        """
