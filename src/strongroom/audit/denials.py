# SPDX-License-Identifier: Apache-2.0
"""Denials as records: the first of an address and reason at once, what follows within ten seconds as one.

Whoever knocks has no key, so neither memory nor records grow with their number. Nothing is dropped unsaid: what no
longer fits is counted together, without addresses, and waits while the database is away.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, final

from strongroom.audit.actions import TEXT_FACTS, Action, Outcome
from strongroom.audit.ports import PLATFORM, NewRecord, Origin, Recorder
from strongroom.db.pool import Database
from strongroom.kernel.clock import Clock
from strongroom.kernel.principal import Principal

WINDOW_SECONDS: Final = 10
#: Addresses and reasons that are told apart at once; what comes beyond is counted without its address.
WINDOWS_MAX: Final = 2_000
#: Records that wait for the database; what comes beyond is counted without its address.
WAITING_MAX: Final = 2_000
RECORDS_PER_TRANSACTION: Final = 200
_OTHER: Final = "other"
_ANYBODY: Final = ""


class _Who(NamedTuple):
    """What is counted together. The address is empty where too many are told apart already."""

    address: str
    reason: str
    listener: str
    #: Only where the refusal is their tenant's business.
    caller: Principal | None = None


@dataclass(slots=True)
class _Window:
    """Ten seconds of one of them, after its first."""

    began: datetime
    count: int = 0
    request_hash: str | None = None


@dataclass(slots=True)
class _Waiting:
    """A record to be made: who, how many, over how long."""

    who: _Who
    at: datetime
    count: int
    seconds: int
    request_hash: str | None = None


@final
class DenialLog:
    """Counts denials, and writes them when `flush` is called about once a second. Belongs to one event loop."""

    def __init__(self, database: Database, recorder: Recorder, clock: Clock) -> None:
        self._database = database
        self._recorder = recorder
        self._clock = clock
        self._windows: OrderedDict[_Who, _Window] = OrderedDict()  # by the time they began
        self._waiting: list[_Waiting] = []
        #: What did not fit into `_waiting`. Its keys are words of the code.
        self._crowd: dict[_Who, _Waiting] = {}
        self._flushing = asyncio.Lock()

    @property
    def waiting(self) -> int:
        """How many records wait to be written."""
        return len(self._waiting) + len(self._crowd)

    def note(
        self,
        address: str,
        reason: str,
        request_hash: str,
        listener: str,
        caller: Principal | None = None,
    ) -> None:
        """Count a denial. Does not wait, and does not raise.

        Args:
            address: whence; only its salted hash enters the record.
            reason: a word of ours; another text counts as `other`.
            request_hash: what ties the log line and the record.
            listener: which listener refused.
            caller: whose credential it was, where their tenant shall read of it; else it is the platform's record.
        """
        if TEXT_FACTS["reason"].fullmatch(reason) is None:
            reason = _OTHER
        who = _Who(address, reason, listener, caller)
        window = self._windows.get(who)
        if window is None and len(self._windows) >= WINDOWS_MAX:
            who = _Who(_ANYBODY, reason, listener)
            window = self._windows.get(who)
        if window is not None:
            window.count += 1
            window.request_hash = request_hash
            return
        now = self._clock.now()
        self._windows[who] = _Window(now)
        self._wait(_Waiting(who, now, 1, 0, request_hash))

    async def flush(self, *, final: bool = False) -> int:
        """Write what is to be written; return how many records that were. `final` closes windows that still run.

        Raises:
            Unavailable: the database is away. Everything is kept, and written by a later call.
        """
        written = 0
        async with self._flushing:
            self._close_windows(final=final)
            while self._waiting or self._crowd:
                if not self._waiting:
                    self._waiting, self._crowd = list(self._crowd.values()), {}
                batch = self._waiting[:RECORDS_PER_TRANSACTION]
                records = [await self._made(waiting) for waiting in batch]
                tenants = sorted({record.merchant for record in records})
                async with self._database.transaction(tenants) as tx:
                    for record in records:
                        await self._recorder.insert(tx, record)
                # A connection that breaks at the commit leaves it open whether these are written: they are written
                # again, and so a denial may be counted twice, but never not at all.
                del self._waiting[: len(batch)]
                written += len(batch)
        return written

    def _close_windows(self, *, final: bool) -> None:
        """Turn each window that is over into a record; one in which nothing followed is forgotten."""
        now = self._clock.now()
        while self._windows:
            who, window = next(iter(self._windows.items()))
            if not final and (now - window.began).total_seconds() < WINDOW_SECONDS:
                return
            del self._windows[who]
            if window.count:
                self._wait(_Waiting(who, now, window.count, WINDOW_SECONDS, window.request_hash))
                if not final:
                    # It goes on: what comes next is counted into a window of its own, not written at once.
                    self._windows[who] = _Window(now)

    def _wait(self, new: _Waiting) -> None:
        if len(self._waiting) < WAITING_MAX:
            self._waiting.append(new)
            return
        # The database is away for long. Whence is given up; how many were denied, and why, is not.
        nobody = new.who._replace(address=_ANYBODY, caller=None)
        kept = self._crowd.setdefault(nobody, _Waiting(nobody, new.at, 0, 0, new.request_hash))
        kept.count += new.count
        kept.seconds = int((new.at - kept.at).total_seconds()) + new.seconds

    async def _made(self, waiting: _Waiting) -> NewRecord:
        who = waiting.who
        caller = who.caller
        tenant = PLATFORM if caller is None else caller.merchant
        origin = Origin(waiting.request_hash)
        if who.address != _ANYBODY:
            origin = await self._recorder.origin(
                tenant, who.address, waiting.request_hash or "", waiting.at
            )
        details: Mapping[str, str | int] = {
            "count": waiting.count,
            "reason": who.reason,
            "window_seconds": waiting.seconds,
        }
        return self._recorder.make(
            Action.HTTP_REQUEST_DENIED,
            actor="anonymous" if caller is None else caller.actor,
            merchant=None if tenant == PLATFORM else tenant,
            mode=None if caller is None or tenant == PLATFORM else caller.mode,
            thing=f"listener:{who.listener}",
            origin=origin,
            now=waiting.at,
            details=details,
            outcome=Outcome.DENIED,
        )
