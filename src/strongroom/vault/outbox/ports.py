# SPDX-License-Identifier: Apache-2.0
"""What the vault offers to whoever makes events of what happened in it."""

from collections.abc import Sequence
from typing import Final, Protocol

from strongroom.kernel.events import Happened
from strongroom.kernel.ids import OutboxId

#: So many are asked for at once; each is at most 16 KiB, so that a page fits into an answer of the internal port.
PAGE_ROWS_MAX: Final = 100


class Outbox(Protocol):
    """What waits to be told, of every tenant, in this process or over the internal port."""

    async def waiting(self, after: str, limit: int) -> Sequence[Happened]:
        """Return what waits, in the order of its ids, behind one of them ('': from the first).

        Ids are made before their transactions commit: one may come to be seen behind which somebody has already
        looked. So what was looked past is no mark of what was taken; only `acknowledge` is.

        Raises:
            Unavailable: the vault or its database does not answer.
        """

    async def acknowledge(self, taken: Sequence[OutboxId]) -> None:
        """Forget what is committed elsewhere. What is not there any more is passed by: this may be said twice.

        Raises:
            Unavailable: it may have been forgotten or not. Say it again.
        """
