# SPDX-License-Identifier: Apache-2.0
"""The inbox: a notice is verified on its exact bytes, kept once, sealed as received, and only then acknowledged.

Fails closed: what cannot be verified now is refused, and what cannot be written now is not acknowledged.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, final

from strongroom.crypto.ids import new_id
from strongroom.http.body import BodyTooLarge
from strongroom.http.bounds import CardNumberRefused
from strongroom.http.limits import NOTICE_BODY_BYTES_MAX
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import ConnectionId, MerchantId, NoticeId
from strongroom.kernel.mode import Mode
from strongroom.keys import DataKeys
from strongroom.telemetry.log import Log
from strongroom.webhooks.inbound.errors import NoticeRejected
from strongroom.webhooks.inbound.references import has_card_number
from strongroom.webhooks.inbound.restated import Restated
from strongroom.webhooks.inbound.sealing import NOTICE_FIELD, Sealed, SealedNotice, seal
from strongroom.webhooks.inbound.sources import OpenSource, OpenSources
from strongroom.webhooks.inbound.store import NoticeRow
from strongroom.webhooks.inbound.verify import Acknowledgement, RawNotice, VerifiedNotice

#: A secret that is kept nowhere but sealed in its source.
AUTHORIZATION: Final = "authorization"
KEPT: Final = "kept"
DUPLICATE: Final = "duplicate"


class NoticeWriter(Protocol):
    """Who commits notices: a `db.group_commit.GroupWriter` over `store.NoticeSink`."""

    async def write(self, row: NoticeRow) -> bool:
        """Return, once it is durable, whether the notice is new."""


class InboxObserver(Protocol):
    """Who counts. Must not raise."""

    def noticed(self, scheme: str, outcome: str) -> None:
        """A notice of a known connection: `kept`, `duplicate`, or why it was refused. Words of the code."""


@final
@dataclass(frozen=True, slots=True)
class Received:
    """A notice that was acknowledged: durable, now or before."""

    merchant: MerchantId
    mode: Mode
    connection_id: ConnectionId
    #: The first that is new of what one envelope held. None for a duplicate: the first one's id stays.
    notice_id: NoticeId | None
    #: What its sender is to be answered.
    acknowledgement: Acknowledgement

    @property
    def duplicate(self) -> bool:
        """Whether it had been kept before, so that nothing changed."""
        return self.notice_id is None


class Inbox:
    """Takes the notices of every connection. Belongs to one event loop."""

    def __init__(
        self,
        sources: OpenSources,
        writer: NoticeWriter,
        keys: DataKeys,
        clock: Clock,
        *,
        restated: Restated,
        observer: InboxObserver,
        log: Log,
        on_kept: Callable[[], None],
    ) -> None:
        self._sources = sources
        self._writer = writer
        self._keys = keys
        self._clock = clock
        self._restated = restated
        self._observer = observer
        self._log = log
        self._on_kept = on_kept

    async def receive(self, raw: RawNotice) -> Received:
        """Take a notice; what returns may be acknowledged.

        Raises:
            BodyTooLarge, ConnectionUnknownHere, NoticeRejected, CardNumberRefused: it is not taken.
            CannotReadNotices: its source's row was altered.
            Unavailable: it could not be kept now; the processor sends it again.
        """
        # To take a notice:
        #  1. Bound it.
        #  2. Find the source of the connection that is named; it is at most a second old.
        #  3. Verify the exact bytes and the time, under the secrets that hold now. An envelope of several: all or none.
        #  4. Refuse a card number in what it says, whoever signed it.
        #  5. Seal it as it was received.
        #  6. Keep it once, with the job that looks at it, in one commit.
        #  7. Where not all of it is signed and it was kept before: compare the two, and keep what is new.
        #  8. Wake who handles it. The caller acknowledges.
        if len(raw.body) > NOTICE_BODY_BYTES_MAX:  # (1)
            raise BodyTooLarge
        source = await self._sources.open(raw.connection_id)  # (2)
        now = self._clock.now()
        notice = self._verified(source, raw, now)  # (3) (4)
        # Crash between two of one envelope: it was not acknowledged, and when it comes again the first is a duplicate.
        kept = [
            await self._kept(source, raw, each, now)  # (5) (6) (7)
            for each in (notice, *notice.beside)
        ]
        new = [notice_id for notice_id in kept if notice_id is not None]
        if new:
            self._on_kept()  # (8)
        return Received(
            source.merchant,
            source.mode,
            source.connection_id,
            new[0] if new else None,
            source.verifier.acknowledgement,
        )

    async def _kept(
        self, source: OpenSource, raw: RawNotice, notice: VerifiedNotice, now: datetime
    ) -> NoticeId | None:
        """Keep one event; None for one that was kept already."""
        row = await self._row(source, raw, notice, notice.event_key, now)  # (5)
        # Crash here: nothing was acknowledged, and the processor sends it again.
        new = await self._writer.write(row)  # (6)
        # Crash here: the job is there and the notice is handled; the processor sends it again, and it is a duplicate.
        if not new and notice.signed is not None:
            again = await self._restated.compare(row, notice)  # (7)
            if again is not None:
                row = await self._row(source, raw, notice, again.event_key, now)
                if again.corrects:
                    new = await self._writer.write(row)
                else:
                    await self._restated.keep(row)
        self._observer.noticed(notice.scheme, KEPT if new else DUPLICATE)
        return row.notice_id if new else None

    def _verified(self, source: OpenSource, raw: RawNotice, now: datetime) -> VerifiedNotice:
        verifier = source.verifier
        try:
            if raw.repeated & verifier.headers:
                raise NoticeRejected("header_repeated")
            notice = verifier.verify(raw, source.secrets(now), now)
            if notice.mode not in (None, source.mode):
                # Authentic, and of money that is none here or is real there: somebody has to hear of it.
                fields = {"merchant_id": source.merchant, "mode": source.mode.value}
                self._log.emit(
                    "error", "webhooks.notice_not_believed", {**fields, "outcome": "mode_differs"}
                )
                raise NoticeRejected("mode_differs")
        except NoticeRejected as rejected:
            self._observer.noticed(verifier.scheme, rejected.reason)
            raise
        if any(has_card_number(each.body) for each in (notice, *notice.beside)):
            self._observer.noticed(verifier.scheme, CardNumberRefused.code)
            raise CardNumberRefused
        return notice

    async def _row(
        self,
        source: OpenSource,
        raw: RawNotice,
        notice: VerifiedNotice,
        event_key: str,
        now: datetime,
    ) -> NoticeRow:
        notice_id = NoticeId(new_id("ntc"))
        sealed = await self._sealed(source, notice_id, raw, notice, event_key)
        return NoticeRow(
            source.merchant, source.mode, notice_id, source.connection_id, event_key, sealed, now
        )

    async def _sealed(
        self,
        source: OpenSource,
        notice_id: NoticeId,
        raw: RawNotice,
        notice: VerifiedNotice,
        event_key: str,
    ) -> Sealed:
        headers = {
            name: raw.headers[name]
            for name in source.verifier.headers - {AUTHORIZATION}
            if name in raw.headers
        }
        received = SealedNotice(
            source.connection_id,
            event_key,
            notice.scheme,
            headers,
            raw.body,
            None if notice.body == raw.body else notice.body,
            None if notice.signed is None else dict(notice.signed),
        )
        return await seal(
            self._keys, source.merchant, source.mode, notice_id, NOTICE_FIELD, received
        )
