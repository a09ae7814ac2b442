# SPDX-License-Identifier: Apache-2.0
"""The sealer of one database's audit tree: takes committed records, grows the tree, signs, commits, then publishes.

One at a time is elected. What does not hold is never healed: sealing stops, and says so until a person has looked.
Records go on being written meanwhile; they wait.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter
from typing import Final, final

from strongroom.audit import store
from strongroom.audit.actions import TEXT_FACTS
from strongroom.audit.batch import seal_rows
from strongroom.audit.errors import (
    RestartRefused,
    RowAltered,
    SealingStopped,
    SinkFailed,
    TreeDamaged,
    TreeTaken,
)
from strongroom.audit.founding import Founder
from strongroom.audit.note import encode_base64, sign_note
from strongroom.audit.ports import PLATFORM, SecurityStream, Sink, SinkHead
from strongroom.audit.publish import Publisher, Recent
from strongroom.audit.signing import TreeKeys
from strongroom.audit.standing import Standing
from strongroom.audit.store import Cursor, UnsealedRow
from strongroom.db.locks import SessionLock
from strongroom.db.pool import Database
from strongroom.kernel.clock import Clock, rfc3339
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.ids import id_time
from strongroom.kernel.invariant import invariant
from strongroom.keys import DataKeys
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import AuditMetrics

#: Records in one transaction, and in one signature. Small, with a breather in between, because requests are
#: served by the same loop: their p99 at half load fell from 23 to 9 ms when this fell from 4,096.
BATCH_RECORDS_MAX: Final = 512
BREATHER_SECONDS: Final = 0.01
SEAL_SECONDS: Final = 1.0
HEARTBEAT: Final = timedelta(minutes=5)
#: How often a process that is not elected asks again.
STANDBY_SECONDS: Final = 2.0
#: How often a tree that a person must look at is looked at again.
STOPPED_SECONDS: Final = 10.0
BACKOFF_SECONDS_MAX: Final = 30.0
LAST_ROUND_SECONDS_MAX: Final = 5.0
RESTART_SECONDS_MAX: Final = 20.0
#: The sweep over all records gives way to the rest after this long.
SWEEP_SECONDS: Final = 0.25
SINK_SAYS_EVERY: Final = timedelta(minutes=1)
_NONE: Final[Sequence[UnsealedRow]] = ()
#: Locks are a database's own, so every database has the same.
_LOCK_KEY: Final = 2_081_202

invariant(
    STOPPED_SECONDS < RESTART_SECONDS_MAX,
    "a restart waits until a sealer that has stopped lets go of the tree",
)


@final
@dataclass(frozen=True, slots=True)
class SealResult:
    """What one round did. Where this process is not elected, nothing else is known."""

    elected: bool
    sealed: int = 0
    size: int = 0
    root: bytes = b""
    #: The sinks that did not take it; the next round tries them again.
    sinks_failed: tuple[str, ...] = ()


@final
class Sealer:
    """Seals the tree of one database, under the sealer's login. Belongs to one event loop."""

    def __init__(
        self,
        database: Database,
        keys: DataKeys,
        *,
        sinks: Sequence[Sink],
        clock: Clock,
        tree: str,
        origin: str,
        log: Log,
        metrics: AuditMetrics,
        stream: SecurityStream | None = None,
    ) -> None:
        """`tree` is the database's name for people; `origin` names the tree for ever, in every checkpoint."""
        self._database = database
        self._clock = clock
        self._tree = tree
        self._log = log.logger(tree=tree)
        self._metrics = metrics
        self._keys = TreeKeys(keys, origin)
        self._founder = Founder(
            database, self._keys, clock, tree=tree, origin=origin, stream=stream
        )
        self._lock = SessionLock(database, _LOCK_KEY)
        self._publishers = tuple(Publisher(sink, self._keys, origin) for sink in sinks)
        self._standing: Standing | None = None
        self._recent: Recent | None = None
        self._said_at = clock.now()
        self._sink_said_at: dict[str, datetime] = {}
        # The sweep: which cluster's it is, and up to which record it came; None when it is done.
        self._swept_in: str | None = None
        self._sweep_after: str | None = store.BEFORE_EVERY_ID
        #: Why nothing is sealed (an error's code), for health checks; None while it is.
        self.stopped: str | None = None

    # --- rounds --------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Seal until told to stop, then once more. Nothing but cancellation ends it."""
        failures = 0
        while not stop.is_set():
            pause = SEAL_SECONDS
            try:
                result = await self.seal_once()
                failures, self.stopped = 0, None
                if not result.elected:
                    pause = STANDBY_SECONDS
                elif self._sweep_after is not None:
                    pause = 0.0
            except (SealingStopped, TreeDamaged) as error:
                self._say_stopped(error)
                await self._measure()
                pause = STOPPED_SECONDS
            except Exception as error:  # noqa: BLE001 - whatever it is, records wait for the next round
                failures += 1
                self._say_failed(error)
                pause = min(BACKOFF_SECONDS_MAX, 2.0**failures / 2)
            await _sleep(stop, pause)
        try:
            async with asyncio.timeout(LAST_ROUND_SECONDS_MAX):
                await self.seal_once()
        except Exception as error:  # noqa: BLE001 - what is not sealed now is sealed at the next start
            self._say_failed(error)
        finally:
            await self.close()

    async def seal_once(self) -> SealResult:
        """Seal and publish all that is committed; then sweep a little, and measure.

        Raises:
            SealingStopped, TreeDamaged: a person must look.
            SinkFailed: at election, a sink did not say what it holds.
            StrongroomError: the database or the key store is away.
        """
        try:
            if not await self._elected():
                return SealResult(elected=False)
            sealed = 0
            failed: set[str] = set()
            while True:
                seen, taken = await self._seal_batch()
                sealed += taken
                await self._publish(failed)
                if seen < BATCH_RECORDS_MAX:
                    break
                await asyncio.sleep(BREATHER_SECONDS)
            sealed += await self._sweep()
            await self._publish(failed)
            await self._beat(failed)
            standing = self._stand()
            await self._measure()
        except BaseException:
            await self.close()
            raise
        root = standing.head.frontier.root()
        return SealResult(
            elected=True,
            sealed=sealed,
            size=standing.size,
            root=root,
            sinks_failed=tuple(sorted(failed)),
        )

    async def close(self) -> None:
        """Let another process be elected."""
        self._standing = self._recent = None
        await self._lock.release()

    # --- election ------------------------------------------------------------------------------------

    async def _elected(self) -> bool:
        """Tell whether this process seals; on being elected, read everything back."""
        if self._lock.held and self._standing is not None:
            return True
        if not await self._lock.acquire():
            return False
        heads = await self._heads()
        async with self._lock.transaction([PLATFORM]) as tx:
            standing = await self._founder.stand(tx, heads)
        self._standing = standing
        if self._swept_in != standing.cluster:
            self._swept_in, self._sweep_after = standing.cluster, store.BEFORE_EVERY_ID
        self._said_at = self._clock.now()
        self._log.info("audit.sealer_elected", tree_size=standing.size)
        return True

    async def _acquire(self, seconds: float) -> None:
        """Be elected within this time: a sealer that has stopped lets go of the tree between two looks at it."""
        deadline = perf_counter() + seconds
        while not await self._lock.acquire():
            if perf_counter() > deadline:
                raise TreeTaken
            await asyncio.sleep(SEAL_SECONDS / 4)

    async def _heads(self) -> Sequence[SinkHead]:
        """Ask every sink what it holds. Where one does not say, nothing can be sealed: it may hold more."""
        heads: list[SinkHead] = []
        for publisher in self._publishers:
            try:
                head = await publisher.head()
            except SinkFailed:
                self._metrics.sink_failures.labels(self._tree, publisher.sink.name).inc()
                raise
            if head is not None:
                heads.append(head)
        return heads

    # --- sealing -------------------------------------------------------------------------------------

    async def _seal_batch(self) -> tuple[int, int]:
        """Seal what comes next; return how many rows were seen, and how many of them were new."""
        standing = self._stand()
        async with self._lock.transaction([PLATFORM]) as tx:
            rows = await store.unsealed(tx, standing.cursor, BATCH_RECORDS_MAX)
            if not rows:
                return 0, 0
            cursor = Cursor(rows[-1].xid, rows[-1].event_id)
            started = perf_counter()
            moved, taken = await seal_rows(
                tx, self._keys, standing, rows, cursor=cursor, now=self._clock.now()
            )
        # Crash before the commit: nothing happened. After it: the head is signed and kept, and published later.
        self._moved(moved, taken, started)
        return len(rows), len(taken)

    def _moved(self, standing: Standing, taken: Sequence[UnsealedRow], started: float) -> None:
        """Remember what is committed now."""
        old, self._standing = self._stand(), standing
        if not taken:
            return
        self._said_at = self._clock.now()
        self._recent = Recent(old.size, [row.payload for row in taken])
        self._metrics.sealed_records.labels(self._tree).set(standing.size)
        self._log.info(
            "audit.sealed",
            rows=len(taken),
            tree_size=standing.size,
            root_hash=standing.head.frontier.root().hex(),
            duration_ms=(perf_counter() - started) * 1000,
        )

    async def _sweep(self) -> int:
        """Look through all records for what was never sealed, a while at a time; return how many were found."""
        found = 0
        until = perf_counter() + SWEEP_SECONDS
        while self._sweep_after is not None and perf_counter() < until:
            standing = self._stand()
            started = perf_counter()
            moved, taken = standing, _NONE
            async with self._lock.transaction([PLATFORM]) as tx:
                last, missed = await store.missed(
                    tx, self._sweep_after, BATCH_RECORDS_MAX, standing.cursor
                )
                if missed:
                    rows = await store.rows_by_id(tx, missed)
                    moved, taken = await seal_rows(
                        tx,
                        self._keys,
                        standing,
                        rows,
                        cursor=standing.cursor,
                        now=self._clock.now(),
                    )
            self._moved(moved, taken, started)
            self._sweep_after = last
            found += len(taken)
            if taken:
                self._log.warning("audit.records_found", rows=len(taken))
        return found

    # --- sinks ---------------------------------------------------------------------------------------

    async def _publish(self, failed: set[str]) -> None:
        """Bring every sink up to the tree; each at most once a round where it fails."""
        standing = self._stand()
        for publisher in self._publishers:
            name = publisher.sink.name
            if name in failed:
                continue
            try:
                await publisher.catch_up(standing, self._lock.transaction, self._recent)
                self._sink_said_at.pop(name, None)
            except SinkFailed as error:
                failed.add(name)
                self._say_sink_failed(name, error)

    async def _beat(self, failed: set[str]) -> None:
        """Where nothing has grown for a while, say so: a signed statement with the time, to the sinks alone.

        A checkpoint has no time in it, and Ed25519 signs the same head with the same bytes: signing it again would
        say nothing. The first line keeps this from ever passing for a checkpoint.
        """
        now, standing = self._clock.now(), self._stand()
        if now - self._said_at < HEARTBEAT:
            return
        root = standing.head.frontier.root()
        text = (
            f"{standing.origin} heartbeat\n{standing.size}\n{encode_base64(root)}\n{rfc3339(now)}\n"
        )
        note = sign_note(text, await self._keys.signers())
        for publisher in self._publishers:
            if publisher.sink.name in failed:
                continue
            try:
                await publisher.sink.beat(standing.generation, note)
            except SinkFailed as error:
                failed.add(publisher.sink.name)
                self._say_sink_failed(publisher.sink.name, error)
        self._said_at = now
        self._log.info("audit.heartbeat", tree_size=standing.size, root_hash=root.hex())

    # --- restart -------------------------------------------------------------------------------------

    async def restart_tree(
        self, reason: str, *, actor: str = "operator", within_seconds: float = RESTART_SECONDS_MAX
    ) -> SealResult:
        """Let a tree go on that was rolled back: under the origin of its next generation, and on record.

        What the database has stays as it is, so its last head is a prefix of what is signed from now on; what the
        sinks had of the generation before stays in them.

        Args:
            reason: one word (`a-z`, `_`, digits at its end), for the record.
            actor: who restarts it, as records name people.
            within_seconds: how long to wait for a sealer that holds the tree.

        Raises:
            RestartRefused: the tree leads to what its sinks hold, or the reason is not one word.
            TreeTaken: another process goes on sealing this tree.
        """
        if TEXT_FACTS["reason"].fullmatch(reason) is None:
            raise RestartRefused("the reason is one word of small letters and _")
        await self.close()
        try:
            await self._acquire(within_seconds)
            heads = await self._heads()
            async with self._lock.transaction([PLATFORM]) as tx:
                await self._founder.restart(tx, heads, reason=reason, actor=actor)
        except BaseException:
            await self.close()
            raise
        self._log.critical("audit.tree_restarted", reason=reason)
        return await self.seal_once()

    # --- saying --------------------------------------------------------------------------------------

    def _stand(self) -> Standing:
        standing = self._standing
        invariant(standing is not None, "who is elected knows where the tree stands")
        return standing  # type: ignore[return-value]  # the line above

    async def _measure(self) -> None:
        """Say how old the oldest record is that is not sealed. On a connection of its own, so that it can always."""
        try:
            async with self._database.transaction() as read:
                row = await store.tree(read)
                waiting = await store.waiting(read, row.cursor if row else Cursor(0, ""))
        except StrongroomError:
            return  # the round that comes says what is wrong
        lag = 0.0
        if waiting.oldest is not None:
            lag = max(0.0, (self._clock.now() - id_time(waiting.oldest)).total_seconds())
        self._metrics.unsealed_lag_seconds.labels(self._tree).set(lag)

    def _say_stopped(self, error: SealingStopped | TreeDamaged) -> None:
        self.stopped = error.code
        more = {"audit_event_id": error.event_id} if isinstance(error, RowAltered) else {}
        # audit.row_altered, audit.tree_rolled_back, audit.tree_foreign, audit.tree_damaged: each pages someone
        self._log.critical(
            error.code.replace("_", ".", 1), code=error.code, reason=error.detail, **more
        )

    def _say_failed(self, error: Exception) -> None:
        if isinstance(error, StrongroomError):
            self.stopped = error.code
            self._log.warning("audit.sealing_failed", code=error.code, reason=error.detail)
        else:
            self.stopped = "internal"
            self._log.error("audit.sealing_failed", exc_info=error)

    def _say_sink_failed(self, name: str, error: SinkFailed) -> None:
        """Count each time; say it when it begins, and once a minute while it lasts."""
        self._metrics.sink_failures.labels(self._tree, name).inc()
        now = self._clock.now()
        said_at = self._sink_said_at.get(name)
        if said_at is None or now - said_at >= SINK_SAYS_EVERY:
            self._sink_said_at[name] = now
            self._log.error("audit.sink_failed", sink=name, reason=error.detail)


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    """Wait, or less if told to stop."""
    try:
        await asyncio.wait_for(stop.wait(), timeout=seconds)
    except TimeoutError:
        return
