# SPDX-License-Identifier: Apache-2.0
"""Notes when keys were used, off the hot path: remembered where a key is checked, written once a minute.

A process that is killed loses a minute of it: a key then looks a minute less used, and nothing else changes.
"""

from datetime import datetime
from itertools import islice
from typing import Final, final

from strongroom.db.pool import Database
from strongroom.db.queries import load_queries
from strongroom.kernel.ids import KeyId, MerchantId

FLUSH_SECONDS: Final = 60.0
#: Keys that are remembered between two writings; a key beyond that is noted when it is checked the next time.
REMEMBERED_MAX: Final = 50_000
#: Keys that one transaction writes, and at most as many tenants that it states.
PER_TRANSACTION: Final = 500
_QUERIES: Final = load_queries("strongroom.identity.access")


@final
class KeyUse:
    """What one process has seen of keys."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[tuple[MerchantId, KeyId], datetime] = {}

    def note(self, merchant: MerchantId, key: KeyId, now: datetime) -> None:
        """Remember that a key was used. Does not wait."""
        if len(self._seen) < REMEMBERED_MAX or (merchant, key) in self._seen:
            self._seen[merchant, key] = now

    async def flush(self) -> int:
        """Write what was seen; return how many keys that were.

        Raises:
            DatabaseAway: what was not written is kept for the next time.
        """
        written = 0
        while self._seen:
            batch = dict(islice(self._seen.items(), PER_TRANSACTION))
            merchants = sorted({merchant for merchant, _ in batch})
            async with self._database.transaction(merchants) as tx:
                await tx.run(
                    _QUERIES["note_key_use"],
                    [merchant for merchant, _ in batch],
                    [key for _, key in batch],
                    list(batch.values()),
                )
            for name, moment in batch.items():
                if self._seen.get(name) == moment:  # else it was used again meanwhile
                    del self._seen[name]
            written += len(batch)
            if len(batch) < PER_TRANSACTION:
                break
        return written
