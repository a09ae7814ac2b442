# SPDX-License-Identifier: Apache-2.0
"""An event that is told again in other words, where a scheme signs a few fields only.

Nothing that was kept is changed. Other *signed* words are a correction by the processor: a notice of their own, dealt
with like any; what has happened already is not done again. Other words that nobody signed are kept beside the first,
the latest last, and nothing is done about them: a stranger who alters what is not signed makes no event happen twice.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from strongroom.crypto import sha256
from strongroom.db.pool import Database
from strongroom.db.queries import load_queries
from strongroom.http.problems import UNDECODABLE
from strongroom.keys import DataKeys
from strongroom.webhooks.inbound.errors import CannotReadNotices
from strongroom.webhooks.inbound.sealing import NOTICE_FIELD, Sealed, SealedNotice, unseal
from strongroom.webhooks.inbound.store import NoticeRow
from strongroom.webhooks.inbound.verify import VerifiedNotice

#: How often other unsigned words are kept. More of them say nothing more, and whoever sends them wants our disk.
WORDS_MAX: Final = 8

_QUERIES: Final = load_queries("strongroom.webhooks.inbound")


class Again(NamedTuple):
    """Under which name what is told again is kept, and whether it is signed otherwise than at first."""

    event_key: str
    corrects: bool


class Restated:
    """Compares what is told again with what was kept of it, and keeps other words beside it."""

    def __init__(self, database: Database, keys: DataKeys) -> None:
        self._database = database
        self._keys = keys

    async def compare(self, row: NoticeRow, notice: VerifiedNotice) -> Again | None:
        """Say what is new in a duplicate; None: nothing is.

        Raises:
            CannotReadNotices: what was kept does not open.
            Unavailable: the database or the key store does not answer.
        """
        names = [row.event_key, *(f"{row.event_key}#{n + 1}" for n in range(WORDS_MAX))]
        words = await self._words(row, names)
        known = [words[name] for name in names if name in words]
        if not known:
            raise CannotReadNotices  # it was a duplicate a moment ago, and nothing is ever removed
        if known[0].signed != notice.signed:
            signed = msgspec.json.encode(notice.signed, order="sorted")
            return Again(f"{row.event_key}:{sha256(signed).hex()[:32]}", corrects=True)
        if len(known) == len(names) or _same(known[-1].said, notice.body):
            return None
        return Again(names[len(known)], corrects=False)

    async def keep(self, row: NoticeRow) -> None:
        """Keep words that nobody signed. Of two at once that take the same place one is kept: both are the latest.

        Raises:
            Unavailable: the database does not answer.
        """
        async with self._database.transaction([row.merchant]) as tx:
            await tx.row(
                _QUERIES["keep_word"],
                row.merchant,
                row.mode,
                row.notice_id,
                row.connection_id,
                row.event_key,
                row.sealed.value,
                row.sealed.key_version,
                row.received_at,
            )

    async def _words(self, row: NoticeRow, keys: list[str]) -> Mapping[str, SealedNotice]:
        async with self._database.transaction([row.merchant]) as read:
            rows = await read.rows(
                _QUERIES["words_by_event"], row.merchant, row.mode, row.connection_id, keys
            )
        return {
            each["event_key"]: await unseal(
                self._keys,
                row.merchant,
                row.mode,
                each["notice_id"],
                NOTICE_FIELD,
                Sealed(each["sealed"], each["key_version"]),
                SealedNotice,
            )
            for each in rows
        }


def _same(one: bytes, other: bytes) -> bool:
    """Tell whether two bodies say the same: an event that came alone is not spelt as one that came with others."""
    if one == other:
        return True
    try:
        return bool(msgspec.json.decode(one) == msgspec.json.decode(other))
    except UNDECODABLE:  # somewhere in what nobody signed
        return False
