# SPDX-License-Identifier: Apache-2.0
"""The job `delivery`: tells an endpoint of an event, once or more often, until it says 2xx or the schedule ends.

Deliveries are made at least once, in no order: what comes twice has the same `webhook-id`.
"""

from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from strongroom.audit import Action, Origin, Recorder
from strongroom.crypto import entropy
from strongroom.db.group_commit import GroupWriter
from strongroom.db.pool import Database
from strongroom.egress import Answered, Outgoing, Reply
from strongroom.jobs import Again, Claimed, Done, Handler, JobResult, Kept
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import EndpointId
from strongroom.kernel.invariant import invariant
from strongroom.kernel.secret import Secret
from strongroom.keys import DataKeys
from strongroom.telemetry.log import Log
from strongroom.telemetry.work_metrics import WebhookMetrics
from strongroom.webhooks import store
from strongroom.webhooks.deliveries import Load, Loads, Tried, Tries
from strongroom.webhooks.model import DeliveryStatus, EndpointStatus, TryReason
from strongroom.webhooks.retry import Verdict, judge
from strongroom.webhooks.secrets import EndpointSecret, Sealed, open_secrets
from strongroom.webhooks.signing import signed_headers, signing_key

#: What Standard Webhooks recommends an endpoint is given.
TIMEOUT_SECONDS: Final = 15.0
ANSWER_BYTES_MAX: Final = 64 * 1024
LEASE_SECONDS: Final = 60.0
AT_ONCE_MAX: Final = 64
#: An endpoint whose last try took longer than this is slow, and leaves room for the others: so many of its deliveries
#: are under way at once, and the next ones wait so long.
SLOW_SECONDS: Final = 2.0
AT_ONCE_PER_SLOW_ENDPOINT_MAX: Final = 16
CROWDED_SECONDS: Final = 15.0
SLOW_ENDPOINTS_MAX: Final = 10_000
#: How long opened secrets are remembered, and of how many endpoints; others are opened anew.
SECRETS_SECONDS: Final = 1.0
SECRETS_ENDPOINTS_MAX: Final = 1_000
HTTPS_PORT: Final = 443
ACTOR: Final = "system:delivery"

invariant(AT_ONCE_PER_SLOW_ENDPOINT_MAX < AT_ONCE_MAX, "a slow endpoint leaves room")
invariant(TIMEOUT_SECONDS < LEASE_SECONDS / 2, "a try is written down before its lease ends")

Send: TypeAlias = Callable[[Outgoing], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class _Opened:
    sealed: Sealed
    secrets: Sequence[tuple[EndpointSecret, Secret[bytes]]] = field(repr=False)
    until: datetime


class Deliverer:
    """Delivers what one process's worker claims."""

    def __init__(
        self,
        *,
        database: Database,
        keys: DataKeys,
        send: Send,
        recorder: Recorder,
        clock: Clock,
        delays_seconds: Sequence[int],
        log: Log,
        metrics: WebhookMetrics,
    ) -> None:
        self._database = database
        self._keys = keys
        self._send = send
        self._recorder = recorder
        self._clock = clock
        self._delays = tuple(delays_seconds)
        self._log = log
        self._metrics = metrics
        self._loads: GroupWriter[Claimed, Load | None] = GroupWriter(Loads(database))
        self._tries: GroupWriter[Tried, Tried] = GroupWriter(Tries(database))
        self._opened: OrderedDict[EndpointId, _Opened] = OrderedDict()
        self._under_way: Counter[EndpointId] = Counter()
        self._slow: OrderedDict[EndpointId, None] = OrderedDict()

    def handler(self) -> Handler:
        """Return what a worker needs to know of this job."""
        return Handler(self.run, AT_ONCE_MAX, LEASE_SECONDS)

    async def close(self) -> None:
        """Wait until every try is written down. Stop the worker first."""
        await self._tries.drain()
        await self._loads.drain()

    async def run(self, job: Claimed) -> JobResult:
        """Make one try.

        1. Load the delivery, its event's text and its endpoint, together with what else was claimed now.
        2. Nothing is left to do where it is through; an endpoint that is not active is not told.
        3. Open the endpoint's secrets, and sign for this moment.
        4. Send, and judge what comes back.
        5. An endpoint that is gone is disabled, with its record.
        6. Write down the try, the delivery and the job, at once.
        """
        load = await self._loads.write(job)  # (1)
        if load is None or load.status != DeliveryStatus.PENDING:  # (2)
            return Done()
        if load.endpoint_status != EndpointStatus.ACTIVE:
            verdict = Verdict(DeliveryStatus.FAILED, TryReason.ENDPOINT_DISABLED.value)
            return await self._write(job, load, self._clock.now(), 0.0, verdict)
        if (
            load.endpoint_id in self._slow
            and self._under_way[load.endpoint_id] >= AT_ONCE_PER_SLOW_ENDPOINT_MAX
        ):
            return Again(self._clock.now() + timedelta(seconds=CROWDED_SECONDS))
        self._under_way[load.endpoint_id] += 1
        try:
            return await self._try(job, load)
        finally:
            self._under_way[load.endpoint_id] -= 1
            if not self._under_way[load.endpoint_id]:
                del self._under_way[load.endpoint_id]

    async def _try(self, job: Claimed, load: Load) -> JobResult:
        at = self._clock.now()
        request = await self._signed(job, load, at)  # (3)
        # Crash here: nothing was sent; the lease ends, and the next claimer sends.
        reply = await self._send(request)  # (4)
        # Crash here: the endpoint was told and the log does not know: it is told again, under the same id.
        self._note_pace(load.endpoint_id, reply.seconds)
        verdict = judge(
            reply,
            tries_before=load.tries,
            delays_seconds=self._delays,
            now=self._clock.now(),
            chance=entropy(1)[0] / 255,
        )
        if isinstance(reply, Answered) and verdict.reason == TryReason.GONE:
            await self._disable(job, load)  # (5)
            # Crash here: its next try finds it disabled, and ends there.
        return await self._write(job, load, at, reply.seconds, verdict)

    async def _signed(self, job: Claimed, load: Load, at: datetime) -> Outgoing:
        keys = [key for secret, key in await self._secrets(job, load, at) if secret.holds(at)]
        body = load.payload.encode()
        headers = signed_headers(keys, load.event_id, int(at.timestamp()), body)
        return Outgoing(
            method="POST",
            url=load.url,
            headers={"content-type": "application/json", **headers},
            body=body,
            timeout_seconds=TIMEOUT_SECONDS,
            answer_bytes_max=ANSWER_BYTES_MAX,
            port=urlsplit(load.url).port or HTTPS_PORT,  # it was registered with this one
        )

    async def _secrets(
        self, job: Claimed, load: Load, now: datetime
    ) -> Sequence[tuple[EndpointSecret, Secret[bytes]]]:
        """Open an endpoint's secrets; those of a row that did not change are remembered for a moment."""
        known = self._opened.get(load.endpoint_id)
        if known is not None and known.sealed == load.sealed and now < known.until:
            return known.secrets
        found = await open_secrets(
            self._keys, job.merchant, job.mode, load.endpoint_id, load.sealed
        )
        secrets = [(each, signing_key(each.text)) for each in found]
        self._opened[load.endpoint_id] = _Opened(
            load.sealed, secrets, now + timedelta(seconds=SECRETS_SECONDS)
        )
        self._opened.move_to_end(load.endpoint_id)
        while len(self._opened) > SECRETS_ENDPOINTS_MAX:
            self._opened.popitem(last=False)
        return secrets

    def _note_pace(self, endpoint: EndpointId, seconds: float) -> None:
        if seconds < SLOW_SECONDS:
            self._slow.pop(endpoint, None)
            return
        self._slow[endpoint] = None
        if len(self._slow) > SLOW_ENDPOINTS_MAX:
            self._slow.popitem(last=False)

    async def _disable(self, job: Claimed, load: Load) -> None:
        now = self._clock.now()
        async with self._database.transaction([job.merchant]) as tx:
            scope = store.Scope(job.merchant, job.mode)
            reason = TryReason.GONE.value
            if not await store.disable_endpoint(tx, scope, load.endpoint_id, reason, now):
                return
            record = self._recorder.make(
                Action.WEBHOOKS_ENDPOINT_DISABLED,
                actor=ACTOR,
                merchant=job.merchant,
                mode=job.mode,
                thing=load.endpoint_id,
                origin=Origin(),
                now=now,
                details={"reason": reason},
            )
            await self._recorder.insert(tx, record)

    async def _write(
        self, job: Claimed, load: Load, at: datetime, seconds: float, verdict: Verdict
    ) -> JobResult:
        await self._tries.write(Tried(job, at, round(seconds * 1_000), verdict))  # (6)
        self._metrics.tried(verdict.reason, seconds)
        if verdict.outcome is DeliveryStatus.DELIVERED:
            self._metrics.delivered(max(0.0, (at - load.published_at).total_seconds() + seconds))
        elif verdict.outcome is DeliveryStatus.FAILED:
            self._metrics.given_up()
            self._log.emit(
                "warning",
                "webhooks.delivery_given_up",
                {
                    "merchant_id": job.merchant,
                    "mode": job.mode.value,
                    "outcome": verdict.reason,
                    "attempt": load.tries + 1,
                },
            )
        return Kept()
