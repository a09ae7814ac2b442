# SPDX-License-Identifier: Apache-2.0
"""Group commit (ADR-0004): concurrent writes coalesce into one statement with their audit records.

No timer where somebody waits for the answer: when a commit returns, the writer takes what waits. Validation is done
before a row joins.
It never answers for a row whose commit it has not seen, and never repeats one whose outcome it has not learnt.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from strongroom.db.errors import (
    Again,
    ConnectionLost,
    ConstraintBroken,
    DatabaseAway,
    OutcomeUnknown,
    QueueFull,
)
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.invariant import invariant

BATCH_ROWS_MAX: Final = 256
BATCH_BYTES_MAX: Final = 1024 * 1024
QUEUE_ROWS_MAX: Final = 4_096
BATCHES_IN_FLIGHT_MAX: Final = 2
AGAIN_TRIES_MAX: Final = 8
#: So often one row is written as another; then it is answered that nothing was written.
RETAKES_MAX: Final = AGAIN_TRIES_MAX
LOOKUP_TRIES_MAX: Final = 3

invariant(
    QUEUE_ROWS_MAX >= BATCH_ROWS_MAX * BATCHES_IN_FLIGHT_MAX, "a full queue keeps every batch full"
)

Row = TypeVar("Row")
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Retake(Generic[Row]):
    """Nothing was written for this row; write that one instead (a card that turned out to be known)."""

    row: Row


class Sink(Protocol[Row, Result_co]):
    """Writes one table family."""

    def size_bytes(self, row: Row) -> int:
        """Return about how many bytes the row adds to a statement."""

    def fold_keys(self, row: Row) -> Sequence[Hashable]:
        """Return the keys of which a batch may hold only one each; a row that repeats one waits for the next."""

    async def write(
        self, rows: Sequence[Row]
    ) -> Sequence["Result_co | Retake[Row] | StrongroomError"]:
        """Write and commit the rows in one transaction; return one outcome a row, in order.

        Raises:
            Again: nothing was written; the whole batch may be tried again.
            ConstraintBroken: nothing was written; one of the rows is guilty.
            ConnectionLost: whether it was written is not known.
        """

    async def find(self, row: Row) -> Result_co | None:
        """Tell what became of a row after the connection was lost at COMMIT; None: it was not written."""


class _Waiting(Generic[Row, Result]):
    __slots__ = ("future", "repeated", "retakes", "row", "since", "size")

    def __init__(self, row: Row, size: int, future: "asyncio.Future[Result]", since: float) -> None:
        self.row = row
        self.since = since
        self.repeated = False
        self.retakes = 0
        self.size = size
        self.future = future


@dataclass(slots=True)
class BatchObserver:
    """What the writer tells metrics, if anybody listens."""

    batch: Callable[[int, float], None] = lambda _rows, _seconds: None
    #: How long a batch's first row waited to be taken, in seconds.
    waited: Callable[[float], None] = lambda _seconds: None


class GroupWriter(Generic[Row, Result]):
    """The writer of one process and table family."""

    def __init__(
        self,
        sink: Sink[Row, Result],
        *,
        rows_max: int = BATCH_ROWS_MAX,
        bytes_max: int = BATCH_BYTES_MAX,
        queue_rows_max: int = QUEUE_ROWS_MAX,
        in_flight_max: int = BATCHES_IN_FLIGHT_MAX,
        gather_seconds: float = 0,
        observer: BatchObserver | None = None,
    ) -> None:
        # `gather_seconds`: how long a row that comes alone waits for others, where its sender is in no hurry.
        self._sink = sink
        self._rows_max = rows_max
        self._bytes_max = bytes_max
        self._queue_rows_max = queue_rows_max
        self._in_flight_max = in_flight_max
        self._gather_seconds = gather_seconds
        self._observer = observer or BatchObserver()
        self._queue: deque[_Waiting[Row, Result]] = deque()
        self._batches: set[asyncio.Task[None]] = set()
        self._keys_in_flight: set[Hashable] = set()
        self._pump_scheduled = False
        self._closing = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def waiting(self) -> int:
        """How many rows wait and are not yet in a batch."""
        return len(self._queue)

    def submit(self, row: Row) -> "asyncio.Future[Result]":
        """Queue a validated row and return its answer to come. Who stops awaiting it cancels the answer, not the row.

        Raises:
            QueueFull: nothing was queued; answer 503 with Retry-After.
        """
        if self._closing or len(self._queue) >= self._queue_rows_max:
            raise QueueFull
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._queue.append(_Waiting(row, self._sink.size_bytes(row), future, loop.time()))
        if not self._pump_scheduled and len(self._batches) < self._in_flight_max:
            # Not now but in this turn's end: requests that were read in the same turn share a batch.
            self._pump_scheduled = True
            if self._gather_seconds:
                loop.call_later(self._gather_seconds, self._pump)
            else:
                loop.call_soon(self._pump)
        return future

    async def write(self, row: Row) -> Result:
        """Queue a row and wait until it is durable. Cancelling the caller leaves the row to be written."""
        return await self.submit(row)

    async def drain(self) -> None:
        """Take nothing new and wait until everything queued has been answered."""
        self._closing = True
        while self._queue or self._batches:
            self._pump()
            await self._idle.wait()

    def _pump(self) -> None:
        self._pump_scheduled = False
        while self._queue and len(self._batches) < self._in_flight_max:
            batch, keys = self._take()
            if not batch:
                return  # what waits repeats keys that are in flight
            self._idle.clear()
            self._keys_in_flight.update(keys)
            self._observer.waited(asyncio.get_running_loop().time() - batch[0].since)
            task = asyncio.get_running_loop().create_task(self._write(batch))
            self._batches.add(task)
            task.add_done_callback(lambda done, keys=keys: self._after(done, keys))  # type: ignore[misc]

    def _after(self, task: "asyncio.Task[None]", keys: set[Hashable]) -> None:
        self._batches.discard(task)
        self._keys_in_flight.difference_update(keys)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a batch ended with a bug", "exception": error}
            )
        self._pump()
        if not self._batches:
            self._idle.set()

    def _take(self) -> "tuple[list[_Waiting[Row, Result]], set[Hashable]]":
        """Take what fits, fold duplicates: a row whose key is taken stays at the head for the next batch."""
        batch: list[_Waiting[Row, Result]] = []
        keys: set[Hashable] = set()
        left: list[_Waiting[Row, Result]] = []
        size = 0
        queue, busy, fold_keys = self._queue, self._keys_in_flight, self._sink.fold_keys
        while queue and len(batch) < self._rows_max:
            waiting = queue[0]
            if batch and size + waiting.size > self._bytes_max:
                break
            queue.popleft()
            own = fold_keys(waiting.row)
            if not (keys.isdisjoint(own) and busy.isdisjoint(own)):
                left.append(waiting)
                continue
            keys.update(own)
            batch.append(waiting)
            size += waiting.size
        queue.extendleft(reversed(left))
        return batch, keys

    async def _write(self, batch: "list[_Waiting[Row, Result]]") -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            await self._write_until_known(batch)
        except BaseException as error:
            for waiting in batch:
                _answer(waiting, error if isinstance(error, Exception) else OutcomeUnknown())
            raise
        self._observer.batch(len(batch), loop.time() - started)

    async def _write_until_known(self, batch: "list[_Waiting[Row, Result]]") -> None:
        for _ in range(AGAIN_TRIES_MAX):
            try:
                outcomes = await self._sink.write([waiting.row for waiting in batch])
            except Again:
                continue  # nothing was written: the whole batch again
            except ConstraintBroken as broken:
                await self._one_by_one(batch, broken)
                return
            except ConnectionLost:
                await self._look_up(batch)
                return
            except StrongroomError as error:
                for waiting in batch:
                    _answer(waiting, error)
                return
            self._deliver(batch, outcomes)
            return
        for waiting in batch:
            _answer(waiting, DatabaseAway("the database kept refusing to serialize this"))

    def _deliver(
        self,
        batch: "list[_Waiting[Row, Result]]",
        outcomes: Sequence["Result | Retake[Row] | StrongroomError"],
    ) -> None:
        invariant(len(outcomes) == len(batch), "a sink answers for every row")
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if not isinstance(outcome, Retake):
                _answer(waiting, outcome)
            elif waiting.retakes >= RETAKES_MAX:
                _answer(waiting, DatabaseAway("what this row met changed at every try"))
            else:
                waiting.retakes += 1
                waiting.row = outcome.row
                self._queue.appendleft(waiting)

    async def _one_by_one(
        self, batch: "list[_Waiting[Row, Result]]", broken: ConstraintBroken
    ) -> None:
        """One row spoilt the statement: write each alone, so that only the guilty one fails."""
        if len(batch) == 1:
            _answer(batch[0], broken)
            return
        for waiting in batch:
            await self._write_until_known([waiting])

    async def _look_up(self, batch: "list[_Waiting[Row, Result]]") -> None:
        """The connection broke: ask for each row by its key before anything is repeated."""
        for waiting in batch:
            try:
                found = await self._find(waiting.row)
            except StrongroomError:
                _answer(waiting, OutcomeUnknown())
                continue
            if found is not None:
                _answer(waiting, found)
            elif waiting.repeated:
                _answer(waiting, DatabaseAway())
            else:
                # Not written so far. Should the old backend still commit, the key makes this a replay.
                waiting.repeated = True
                self._queue.append(waiting)

    async def _find(self, row: Row) -> Result | None:
        for attempt in range(LOOKUP_TRIES_MAX):
            try:
                return await self._sink.find(row)
            except StrongroomError:
                if attempt == LOOKUP_TRIES_MAX - 1:
                    raise
        return None


def _answer(
    waiting: "_Waiting[Row, Result]", outcome: "Result | StrongroomError | Exception"
) -> None:
    if waiting.future.done():
        return
    if isinstance(outcome, Exception):
        waiting.future.set_exception(outcome)
        # A caller who left does not collect it; that is not a warning's matter.
        waiting.future.exception()
    else:
        waiting.future.set_result(outcome)
