# SPDX-License-Identifier: Apache-2.0
"""Opens a kept notice for whoever handles it. Neither scheme nor secrets are needed: the seal is the proof by then."""

from dataclasses import dataclass
from datetime import datetime
from typing import final

from strongroom.db.group_commit import GroupWriter
from strongroom.db.pool import Database
from strongroom.kernel.ids import ConnectionId, MerchantId, NoticeId
from strongroom.kernel.mode import Mode
from strongroom.keys import DataKeys
from strongroom.webhooks.inbound.errors import CannotReadNotices, NoticeUnknown
from strongroom.webhooks.inbound.sealing import NOTICE_FIELD, SealedNotice, unseal
from strongroom.webhooks.inbound.store import NoticeName, NoticeRecord, NoticeRows
from strongroom.webhooks.inbound.verify import VerifiedNotice


@final
@dataclass(frozen=True, slots=True)
class OpenedNotice:
    """A kept notice, opened for whoever handles it."""

    notice_id: NoticeId
    connection_id: ConnectionId
    notice: VerifiedNotice
    received_at: datetime
    #: `kept`, or `handled`.
    state: str


@final
class KeptNotices:
    """The kept notices of one process's worker; those that are asked for at once are read in one query."""

    def __init__(self, database: Database, keys: DataKeys) -> None:
        self._keys = keys
        self._rows: GroupWriter[NoticeName, NoticeRecord | None] = GroupWriter(NoticeRows(database))

    async def open(self, merchant: MerchantId, mode: Mode, notice_id: str) -> OpenedNotice:
        """Open a kept notice: that it opens is proof that it was verified when it came, for this connection.

        Raises:
            NoticeUnknown: there is none.
            CannotReadNotices: its row was altered or moved, or its key is lost.
            Unavailable: the database or the key store does not answer.
        """
        row = await self._rows.write(NoticeName(merchant, mode, notice_id))
        if row is None:
            raise NoticeUnknown
        known = await unseal(
            self._keys, merchant, mode, notice_id, NOTICE_FIELD, row.sealed, SealedNotice
        )
        if (known.connection_id, known.event_key) != (row.connection_id, row.event_key):
            raise CannotReadNotices
        return OpenedNotice(
            NoticeId(notice_id),
            ConnectionId(known.connection_id),
            VerifiedNotice(known.said, known.event_key, known.scheme, signed=known.signed),
            row.received_at,
            row.state,
        )
