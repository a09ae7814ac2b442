# SPDX-License-Identifier: Apache-2.0
"""The parts of one simulator, and what happens without being asked: events are sent, pending payments decided."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from strongroom.kernel.clock import Clock
from strongroom.simulator import wire
from strongroom.simulator.books import Operation, Payment, Status
from strongroom.simulator.faults import NOTICE, Chosen, DrawBy, Faults, named
from strongroom.simulator.journal import Announcement, Line
from strongroom.simulator.ledger import Ledger
from strongroom.simulator.notices import Notices
from strongroom.simulator.processor import Processor

#: After so long a pending payment is approved by itself.
PENDING_SECONDS: Final = 5.0


@dataclass(slots=True)
class Pace:
    """How slowly things go, in seconds."""

    #: Every answer that concerns money takes so long, from when its request had come; what it tells of happens at once.
    latency: float = 0.0
    #: What is made is found by its reference only after so long.
    visibility: float = 0.0
    #: Pending payments are approved after so long; None: only the control API decides.
    pending: float | None = PENDING_SECONDS


@dataclass(slots=True)
class Simulation:
    """Everything that the routes share."""

    ledger: Ledger
    processor: Processor
    notices: Notices
    clock: Clock
    #: Where browsers reach it, without a slash at the end.
    url: str = ""
    faults: Faults = field(default_factory=Faults)
    pace: Pace = field(default_factory=Pace)
    stopping: bool = False
    _deciding: dict[str, asyncio.TimerHandle] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, clock: Clock) -> "Simulation":
        """Read a folder's journal back and go on from there.

        Raises:
            SimulatorFolderTaken: another simulator has it.
            JournalUnreadable: it is not a simulator's.
        """
        ledger = Ledger(folder)
        notices = Notices(ledger.account, clock)
        return cls(ledger, Processor(ledger, clock), notices, clock)

    async def start(self) -> None:
        """Begin to send events and to decide what is pending."""
        await self.notices.start()
        self.set_pending(self.pace.pending)

    async def stop(self) -> None:
        """Send and decide no more, and let go of the folder."""
        self.stopping = True
        for timer in self._deciding.values():
            timer.cancel()
        await self.notices.stop()
        self.ledger.close()

    # --- what was asked for ---------------------------------------------------------------------------

    def visible(self, account: str, reference: str) -> list[Payment | Operation]:
        """Return what an account finds under a reference now."""
        since = self.clock.now() - timedelta(seconds=self.pace.visibility)
        return [each for each in self.ledger.named(account, reference) if each.created <= since]

    def named(self, key: str, reference: str) -> str:
        """Return what a look, or what happens by itself, is named in a draw. What never came is known by its key."""
        if self.faults.draw_by is DrawBy.KEY:
            return key
        for each in self.ledger.named_anywhere(reference):
            whole = self.ledger.payments[each.payment_id]
            part = None if isinstance(each, Payment) else each.amount
            return named(whole.account, whole.amount, whole.currency, part)
        return key

    def happened(self, line: Line, notice: Chosen | None) -> None:
        """Announce a line, and see to what follows from it."""
        if line.operation_after is None and line.payment_after.status is Status.PENDING:
            self._decide_later(line.payment)
        if line.announces is not None:
            self.announce(line, line.announces, notice)

    def happened_by_itself(self, line: Line) -> None:
        """Likewise, for what no client's request caused: its faults are drawn by event and reference."""
        operation = "" if line.announces is None else line.announces.type
        name = self.named(line.reference, line.reference)
        seen = self.faults.see(operation, name)
        notice = self.faults.choose(
            NOTICE, operation, key=name, reference=line.reference, seen=seen
        )
        self.happened(line, notice)

    def announce(self, line: Line, event: Announcement, notice: Chosen | None) -> None:
        """Send a line's event: always the same bytes, as things stood then."""
        shown = wire.EventView(
            id=event.event_id,
            type=event.type,
            created=line.at,
            account=line.account,
            mode=wire.MODE,
            data=wire.view(line.subject, self.url),
        )
        self.notices.send(line.account, line.payment, wire.encode(shown), notice)

    # --- what is pending ------------------------------------------------------------------------------

    def set_pending(self, seconds: float | None) -> None:
        """Set when pending payments are decided, also for those that wait now."""
        self.pace.pending = seconds
        for timer in self._deciding.values():
            timer.cancel()
        self._deciding.clear()
        for payment in self.ledger.payments.values():
            if payment.status is Status.PENDING:
                self._decide_later(payment.payment_id)

    def _decide_later(self, payment_id: str) -> None:
        if self.pace.pending is not None:
            loop = asyncio.get_running_loop()
            self._deciding[payment_id] = loop.call_later(
                self.pace.pending, self._decide, payment_id
            )

    def _decide(self, payment_id: str) -> None:
        self._deciding.pop(payment_id, None)
        payment = self.ledger.payments[payment_id]
        if payment.status is Status.PENDING:  # nobody decided it meanwhile
            self.happened_by_itself(self.processor.decided(payment, approved=True))
