# SPDX-License-Identifier: Apache-2.0
"""What the vault tells becomes an event once: whoever is killed between two steps, however many bring it over."""

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from database import Databases
from store.relay_process import STEPS
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database, connect
from strongroom.kernel.clock import SystemClock
from strongroom.kernel.errors import Unavailable
from strongroom.kernel.events import EventType, Happened
from strongroom.kernel.ids import MerchantId, OutboxId
from strongroom.kernel.mode import Mode
from strongroom.telemetry.log import Log
from strongroom.telemetry.sink import MemorySink
from strongroom.vault.outbox import store
from strongroom.vault.outbox.service import VaultOutbox
from strongroom.webhooks import relay as relaying
from strongroom.webhooks.relay import Relay, Source

AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


class Told(msgspec.Struct):
    """What is told in these tests."""

    number: int


SHAPES = dict.fromkeys(EventType, Told)


@dataclass
class Ground:
    """A vault that tells, a core, and a merchant who listens in either mode."""

    databases: Databases
    vault: Database
    core: Database
    lines: MemorySink = field(default_factory=MemorySink)
    merchant: MerchantId = field(default_factory=lambda: MerchantId(new_id("mer")))

    @property
    def outbox(self) -> VaultOutbox:
        return VaultOutbox(self.vault)

    def relay(self, source: Source | None = None) -> Relay:
        clock = SystemClock()
        return Relay(
            source=source or self.outbox,
            database=self.core,
            clock=clock,
            shapes=SHAPES,
            log=Log(self.lines, clock=clock),
        )

    async def tell(
        self,
        count: int = 1,
        *,
        merchant: MerchantId | None = None,
        mode: Mode = Mode.TEST,
        event_type: EventType = EventType.IMPORT_COMPLETED,
    ) -> list[str]:
        """Let the vault tell so many things; return the ids of what they happened to."""
        owner, objects = merchant or self.merchant, [new_id("imp") for _ in range(count)]
        async with self.vault.transaction([owner]) as tx:
            for number, each in enumerate(objects):
                await store.tell(tx, owner, mode, event_type, each, Told(number), AT)
        return objects

    async def endpoint(self, mode: Mode = Mode.TEST, *types: EventType) -> str:
        """Let the merchant listen."""
        endpoint = new_id("whe")
        await self.look(
            Domain.CORE,
            """insert into webhooks.endpoint (merchant_id, mode, endpoint_id, url, types, sealed_secrets, key_version,
                      status, created_at, updated_at)
               values ($1, $2, $3, 'https://shop.example/', $4, '', 1, 'active', now(), now())""",
            self.merchant,
            mode.value,
            endpoint,
            [each.value for each in types],
        )
        return endpoint

    async def look(self, domain: Domain, sql: str, *values: object) -> list[Any]:
        connection = await connect(self.databases.administrator(domain))
        try:
            return list(await connection.fetch(sql, *values))
        finally:
            await connection.close()

    async def left(self) -> list[str]:
        rows = await self.look(
            Domain.VAULT,
            "select object_id from vault.outbox where merchant_id = $1 order by outbox_id",
            self.merchant,
        )
        return [row["object_id"] for row in rows]

    async def events(self, merchant: MerchantId | None = None) -> list[dict[str, Any]]:
        rows = await self.look(
            Domain.CORE,
            "select * from webhooks.event where merchant_id = $1 order by event_id",
            merchant or self.merchant,
        )
        return [dict(row) for row in rows]

    async def deliveries(self) -> list[tuple[str, str, str]]:
        """What is to be delivered where, with a job each: of which object, in which mode."""
        rows = await self.look(
            Domain.CORE,
            """select e.object_id, d.mode, d.endpoint_id from webhooks.delivery d
                 join webhooks.event e using (merchant_id, mode, event_id)
                 join jobs.job j on j.object_id = d.delivery_id and j.mode = d.mode and j.kind = 'delivery'
                where d.merchant_id = $1 order by 1""",
            self.merchant,
        )
        return [tuple(row) for row in rows]


@pytest.fixture
async def ground(databases: Databases) -> Ground:
    await databases.run(Domain.VAULT, "truncate vault.outbox")
    return Ground(
        databases,
        await databases.open(Domain.VAULT, Login.VAULT),
        await databases.open(Domain.CORE, Login.WORKER),
    )


async def test_what_the_vault_tells_becomes_an_event_with_its_deliveries_and_is_forgotten(
    ground: Ground,
) -> None:
    endpoint = await ground.endpoint(Mode.TEST)
    await ground.endpoint(Mode.TEST, EventType.PAYMENT_CAPTURED)
    await ground.endpoint(Mode.LIVE)
    (thing,) = await ground.tell()
    before = datetime.now(UTC)
    assert await ground.relay().run() == 1
    (event,) = await ground.events()
    assert (event["type"], event["object_id"], event["mode"]) == (
        "import.completed",
        thing,
        "test",
    )
    said = json.loads(event["payload"])
    assert said == {
        "id": event["event_id"],
        "type": "import.completed",
        "timestamp": "2026-11-20T09:30:00.000000Z",
        "mode": "test",
        "api_version": "v1",
        "data": {"number": 0},
    }
    assert event["created_at"] >= before, "whoever follows events sees it when it comes"
    assert await ground.deliveries() == [(thing, "test", endpoint)]
    assert await ground.left() == []
    assert await ground.relay().run() == 0


async def test_what_is_undone_in_the_vault_was_never_told(ground: Ground) -> None:
    word = EventType.IMPORT_COMPLETED
    with suppress(ZeroDivisionError):
        async with ground.vault.transaction([ground.merchant]) as tx:
            await store.tell(tx, ground.merchant, Mode.TEST, word, "imp_1", Told(1), AT)
            raise ZeroDivisionError
    assert await ground.relay().run() == 0
    assert await ground.events() == []


# --- killed ------------------------------------------------------------------------------------------


def _address(databases: Databases, domain: Domain, login: Login) -> dict[str, Any]:
    address = databases.address(domain, login)
    assert address.password is not None
    return {
        "host": str(address.host),
        "port": address.port,
        "database": address.database,
        "user": str(address.user),
        "password": address.password.expose(),
    }


async def process(ground: Ground, dies_at: str) -> tuple[int, str]:
    """Let a process of its own bring everything over, and die on the way; return its end and what it said."""
    told = {
        "vault": _address(ground.databases, Domain.VAULT, Login.VAULT),
        "core": _address(ground.databases, Domain.CORE, Login.WORKER),
        "dies_at": dies_at,
    }
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).parent / "relay_process.py"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await running.communicate(json.dumps(told).encode() + b"\n")
    return running.returncode or 0, said.decode()


def _import(thing: str) -> bytes:
    """What an import's event carries: the process knows the real shapes."""
    return msgspec.json.encode(
        {
            "import": {
                **dict.fromkeys(
                    ("state", "format", "encryption", "container", "digest_kind", "created_by"), "x"
                ),
                **dict.fromkeys(("offset", "rows", "created", "duplicates", "refused"), 0),
                **dict.fromkeys(("digest", "problem", "job", "ended_at"), None),
                "id": thing,
                "object": "import",
                "mode": "test",
                "dry_run": False,
                "created_at": "2026-11-20T09:30:00.000000Z",
                "updated_at": "2026-11-20T09:30:00.000000Z",
            }
        }
    )


@pytest.mark.parametrize("step", STEPS)
async def test_a_process_killed_between_any_two_steps_loses_and_doubles_nothing(
    ground: Ground, step: str
) -> None:
    """Killed with SIGKILL at the step, twice, and then finished by another."""
    await ground.endpoint()
    things = await ground.tell(3)
    for thing in things:
        await ground.look(
            Domain.VAULT,
            "update vault.outbox set data = $2 where object_id = $1",
            thing,
            _import(thing).decode(),
        )
    for _ in range(2):
        code, said = await process(ground, step)
        if step in ("before_asking", "asked", "before_commit", "committed"):
            assert (code, said) == (-signal.SIGKILL, "")
        # What is committed may be left or forgotten; what is forgotten is committed.
        made = {each["object_id"] for each in await ground.events()}
        assert set(things) <= made | set(await ground.left())
    code, _ = await process(ground, "")
    assert code == 0
    events = await ground.events()
    assert sorted(each["object_id"] for each in events) == sorted(things)
    assert len(await ground.deliveries()) == len(things)
    assert await ground.left() == []


async def test_two_at_once_make_one_event_of_each(ground: Ground) -> None:
    await ground.endpoint()
    things = await ground.tell(30)
    made = await asyncio.gather(*(ground.relay().run() for _ in range(4)))
    assert sum(made) == len(things)
    assert sorted(each["object_id"] for each in await ground.events()) == sorted(things)
    assert len(await ground.deliveries()) == len(things)
    assert await ground.left() == []


@dataclass
class Forgetful:
    """A vault that never learns what was taken."""

    outbox: VaultOutbox
    asked: int = 0

    async def waiting(self, after: str, limit: int) -> Sequence[Happened]:
        return await self.outbox.waiting(after, limit)

    async def acknowledge(self, taken: Sequence[OutboxId]) -> None:
        self.asked += len(taken)
        raise Unavailable


async def test_sabotage_without_its_row_what_is_brought_twice_is_an_event_twice(
    ground: Ground,
) -> None:
    """The row of `webhooks.relayed` is what makes it once; nothing else does."""
    await ground.tell()
    for _ in range(2):
        with pytest.raises(Unavailable):
            await ground.relay(Forgetful(ground.outbox)).run()
    assert len(await ground.events()) == 1
    await ground.databases.run(Domain.CORE, "truncate webhooks.relayed")
    await ground.relay().run()
    assert len(await ground.events()) == 2


# --- order, pages, and what cannot be brought --------------------------------------------------------


async def test_what_commits_late_behind_the_mark_is_brought_by_the_next_round(
    ground: Ground,
) -> None:
    late: list[str] = []
    async with ground.vault.transaction([ground.merchant]) as tx:
        thing = new_id("imp")
        await store.tell(
            tx, ground.merchant, Mode.TEST, EventType.IMPORT_FAILED, thing, Told(1), AT
        )
        (later,) = await ground.tell()
        assert await ground.relay().run() == 1
        late.append(thing)
    assert await ground.relay().run() == 1
    assert {each["object_id"] for each in await ground.events()} == {later, *late}


async def test_more_than_a_page_is_brought_in_one_round(ground: Ground) -> None:
    things = await ground.tell(2 * relaying.PAGE_ROWS + 3)
    assert await ground.relay().run() == len(things)
    assert await ground.left() == []


async def test_what_this_release_does_not_know_stays_and_keeps_nothing_waiting(
    ground: Ground,
) -> None:
    """More than a page of them, in front of what can be told."""
    unknown = await ground.tell(relaying.PAGE_ROWS + 2)
    await ground.look(
        Domain.VAULT,
        """update vault.outbox set type = case when outbox_id < $2 then 'token.invented' else type end,
                  data = case when outbox_id < $2 then data else '{"number": "many"}' end
            where merchant_id = $1""",
        ground.merchant,
        (await ground.look(Domain.VAULT, "select max(outbox_id) from vault.outbox"))[0][0],
    )
    (known,) = await ground.tell()
    relay = ground.relay()
    assert await relay.run() == 1
    assert await relay.run() == 0
    assert [each["object_id"] for each in await ground.events()] == [known]
    assert sorted(await ground.left()) == sorted(unknown)
    refused = ground.lines.text().count("webhooks.relay_refused")
    assert refused == len(unknown), "each is said once"


async def test_without_the_cores_database_everything_waits(ground: Ground) -> None:
    things = await ground.tell(2)
    async with ground.databases.server.away(ground.databases.names[Domain.CORE]):
        with pytest.raises(Unavailable):
            await ground.relay().run()
    assert sorted(await ground.left()) == sorted(things)
    assert await ground.relay().run() == 2


# --- whose they are ----------------------------------------------------------------------------------


async def test_each_event_is_its_tenants_and_modes(ground: Ground) -> None:
    other = MerchantId(new_id("mer"))
    mine = await ground.tell(mode=Mode.TEST)
    live = await ground.tell(mode=Mode.LIVE)
    theirs = await ground.tell(merchant=other)
    await ground.relay().run()
    assert {(each["object_id"], each["mode"]) for each in await ground.events()} == {
        (mine[0], "test"),
        (live[0], "live"),
    }
    assert [each["object_id"] for each in await ground.events(other)] == theirs
    async with ground.core.transaction([ground.merchant]) as read:
        rows = await read.rows(store_of_core("list_events"), other, "test", "evt_~", None, 10)
    assert not rows, "another's rows are not seen by stating another's name"


def store_of_core(name: str) -> Any:
    from strongroom.webhooks.store import QUERIES  # noqa: PLC0415

    return QUERIES[name]


async def test_a_tenants_transaction_sees_no_other_tenants_and_writes_none(ground: Ground) -> None:
    other = MerchantId(new_id("mer"))
    await ground.tell(merchant=other)
    async with ground.vault.connection() as connection:
        async with connection.transaction():
            await connection.execute(
                "select set_config('strongroom.merchants', $1, true)", ground.merchant
            )
            assert await connection.fetch("select * from vault.outbox") == []
            assert await connection.execute("delete from vault.outbox") == "DELETE 0"
        # Whoever brings things over sees and deletes every tenant's, and writes none.
        async with connection.transaction():
            await connection.execute("select set_config('strongroom.job', 'outbox', true)")
            assert len(await connection.fetch("select * from vault.outbox")) == 1
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(
                    """insert into vault.outbox (merchant_id, mode, outbox_id, type, object_id, data, happened_at)
                       values ($1, 'test', 'obx_1', 'x', 'x', '{}', now())""",
                    other,
                )
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("update vault.outbox set data = ''")
