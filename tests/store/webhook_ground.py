# SPDX-License-Identifier: Apache-2.0
"""Ground for what merchants are told: endpoints and events over a real database, a deliverer, peers that listen."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from standardwebhooks.webhooks import Webhook

from contracts.fakes import FakeKeyStore
from database import Databases
from peer import Behaviour, Peer, Sent, answer, peer
from strongroom.audit import Origin
from strongroom.audit.recorder import EventRecorder
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database, connect
from strongroom.egress import EgressPolicy, Outgoing, Reply, check_url
from strongroom.egress.client import Egress
from strongroom.jobs import Again, Claimed, Done, JobQueue, JobResult, PutOff
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import KeyId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import CallerKind, Principal
from strongroom.keys import KeyName, Purpose
from strongroom.keys.keyring import Keyring
from strongroom.keys.model import PLATFORM_MERCHANT, PLATFORM_MODE
from strongroom.keys.store import PostgresDataKeyTable
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import Metrics
from strongroom.telemetry.sink import MemorySink
from strongroom.webhooks.deliver import Deliverer
from strongroom.webhooks.endpoints import Endpoints
from strongroom.webhooks.envelope import make_event
from strongroom.webhooks.events import Events
from strongroom.webhooks.model import Caller, EndpointWish, NewEvent, NewSecret

DELAYS: Final = (5, 300, 1_800)
POLICY: Final = EgressPolicy(loopback=frozenset({"127.0.0.1"}))
OK: Final = answer(b"thanks", 200)


def listens(*statuses: int, headers: str = "") -> Behaviour:
    """Answer with these statuses in turn; the last one repeats."""
    left = list(statuses)

    async def behave(_sent: Sent, _writer: Any) -> bytes:
        return answer(b"", left.pop(0) if len(left) > 1 else left[0], headers)

    return behave


@dataclass(slots=True)
class WebhookGround:
    """Two roles over one database: the gateway's services and a worker's deliverer."""

    databases: Databases
    gateway: Database
    worker: Database
    endpoints: Endpoints
    events: Events
    deliverer: Deliverer
    queue: JobQueue
    clock: SteppedClock
    lines: MemorySink
    metrics: Metrics
    store: FakeKeyStore
    stack: AsyncExitStack
    woken: list[str]
    merchant: MerchantId = field(default_factory=lambda: MerchantId(new_id("mer")))

    def caller(self, merchant: MerchantId | None = None, mode: Mode = Mode.TEST) -> Caller:
        principal = Principal(
            KeyId(new_id("key")),
            CallerKind.SECRET,
            merchant or self.merchant,
            mode,
            frozenset(Permission),
        )
        return Caller(principal, Origin())

    async def listen(self, behaviour: Behaviour) -> Peer:
        """Begin to listen somewhere."""
        return await self.stack.enter_async_context(peer(behaviour))

    async def endpoint(self, url: str, *types: EventType, **more: Any) -> NewSecret:
        return await self.endpoints.create(
            EndpointWish(url, types=frozenset(types)), self.caller(**more)
        )

    async def publish(
        self,
        event_type: EventType = EventType.PAYMENT_CAPTURED,
        *,
        object_id: str | None = None,
        merchant: MerchantId | None = None,
        mode: Mode = Mode.TEST,
        data: Mapping[str, object] | None = None,
    ) -> NewEvent:
        """Write an event as the gateway does, in a transaction of its merchant."""
        event = make_event(
            event_type, object_id or new_id("pay"), data or {"n": 1}, mode, self.clock.now()
        )
        owner = merchant or self.merchant
        async with self.gateway.connection() as connection, connection.transaction():
            await connection.execute("select set_config('strongroom.merchants', $1, true)", owner)
            await connection.execute(
                "select webhooks.publish($1, $2, $3, $4, $5, $6, $7)",
                owner,
                mode.value,
                event.id,
                event.type.value,
                event.object_id,
                event.payload,
                self.clock.now(),
            )
        return event

    async def work(self, limit: int = 100) -> list[JobResult]:
        """Do what is due now, as a worker does, all at once."""
        jobs = await self.queue.claim("delivery", limit, 60)
        results = await asyncio.gather(*[self.deliverer.run(job) for job in jobs])
        await self.give_back(list(zip(jobs, results, strict=True)))
        return list(results)

    async def give_back(self, ended: Sequence[tuple[Claimed, JobResult]]) -> None:
        await self.queue.done([job for job, result in ended if isinstance(result, Done)])
        await self.queue.again(
            [PutOff(job, result.at) for job, result in ended if isinstance(result, Again)]
        )

    def step(self, seconds: float) -> None:
        self.clock.step(timedelta(seconds=seconds))

    async def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Ask as the superuser, who sees every tenant's rows."""
        connection = await connect(self.databases.administrator(Domain.CORE))
        try:
            return [dict(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()

    async def actions(self, merchant: MerchantId | None = None) -> list[tuple[str, dict[str, Any]]]:
        """What the audit log says of a merchant: (action, details)."""
        rows = await self.rows(
            "select payload from audit.event where merchant_id = $1 order by xmin::text::bigint, ctid",
            merchant or self.merchant,
        )
        said = [json.loads(row["payload"]) for row in rows]
        return [(each["action"], each["details"]) for each in said]

    async def log_of(self, event: str) -> list[list[tuple[int, int | None, str]]]:
        """The tries of an event's deliveries: (number, status, reason)."""
        return [
            [(each.number, each.status, each.reason) for each in delivery.tries]
            for delivery in await self.events.deliveries(self.caller(), event)
        ]


def verified(sent: Sent, secret: NewSecret) -> Any:
    """What a merchant does: verify with an implementation that is not ours, and read."""
    return Webhook(secret.secret.expose()).verify(sent.body, sent.headers)


@asynccontextmanager
async def webhook_ground(
    databases: Databases,
    *,
    send: Callable[[Outgoing], Awaitable[Reply]] | None = None,
) -> AsyncIterator[WebhookGround]:
    """Start both roles' parts."""
    # The independent verifier asks the machine what time it is.
    clock = SteppedClock(datetime.now(UTC))
    lines, metrics, woken = MemorySink(), Metrics(), list[str]()
    # One store a set of databases: what one ground wrapped in there, the next one unwraps.
    keys = _STORES.setdefault(id(databases), FakeKeyStore())
    async with AsyncExitStack() as stack:

        async def role(login: Login) -> tuple[Database, Keyring, EventRecorder]:
            database = Database(databases.address(Domain.CORE, login), connections_max=4)
            await database.open()
            stack.push_async_callback(database.close)
            keyring = Keyring(keys, PostgresDataKeyTable(database), clock)
            await keyring.start([Purpose.WEBHOOK, Purpose.AUDIT])
            row_key = await keyring.current(PLATFORM_MERCHANT, PLATFORM_MODE, KeyName.AUDIT_ROW_MAC)
            return database, keyring, EventRecorder(database, row_key.secret, clock)

        gateway, gateway_keys, gateway_recorder = await role(Login.GATEWAY)
        worker, worker_keys, worker_recorder = await role(Login.WORKER)
        egress = Egress(POLICY)
        stack.push_async_callback(egress.close)
        deliverer = Deliverer(
            database=worker,
            keys=worker_keys,
            send=send or egress.send,
            recorder=worker_recorder,
            clock=clock,
            delays_seconds=DELAYS,
            log=Log(lines, clock=clock),
            metrics=metrics.webhooks,
        )
        stack.push_async_callback(deliverer.close)
        await databases.run(Domain.CORE, "truncate jobs.job")
        yield WebhookGround(
            databases=databases,
            gateway=gateway,
            worker=worker,
            endpoints=Endpoints(
                database=gateway,
                keys=gateway_keys,
                recorder=gateway_recorder,
                clock=clock,
                check_url=lambda url: check_url(url, POLICY, port=None),
                wake=lambda: woken.append("delivery"),
            ),
            events=Events(
                database=gateway,
                recorder=gateway_recorder,
                clock=clock,
                wake=lambda: woken.append("delivery"),
            ),
            deliverer=deliverer,
            queue=JobQueue(worker, clock),
            clock=clock,
            lines=lines,
            metrics=metrics,
            store=keys,
            stack=stack,
            woken=woken,
        )


_STORES: Final[dict[int, FakeKeyStore]] = {}
