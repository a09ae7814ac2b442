# SPDX-License-Identifier: Apache-2.0
"""The outbox of this process's vault. Implements `Outbox`."""

from collections.abc import Sequence
from typing import final

from strongroom.db.pool import Database
from strongroom.kernel.events import Happened
from strongroom.kernel.ids import OutboxId
from strongroom.vault.outbox import store
from strongroom.vault.outbox.ports import PAGE_ROWS_MAX


@final
class VaultOutbox:
    """Hands over what waits in the vault's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def waiting(self, after: str, limit: int) -> Sequence[Happened]:
        """Return what waits. See `Outbox`."""
        async with self._database.transaction() as tx:
            return await store.waiting(tx, after, min(limit, PAGE_ROWS_MAX))

    async def acknowledge(self, taken: Sequence[OutboxId]) -> None:
        """Forget what is committed elsewhere. See `Outbox`."""
        if taken:
            async with self._database.transaction() as tx:
                await store.forget(tx, taken)
