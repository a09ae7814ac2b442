# SPDX-License-Identifier: Apache-2.0
"""Promise 2: a CVC is never stored, and nothing that could open one outlives its half hour."""

import asyncio
import os
import signal
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from api.conftest import fly
from canary import CVC, NUMBER, PLANTED_CVC, PLANTED_NUMBER, Canary, dumped, everywhere, pg_dump
from database import SIZES, Databases, Server, fresh_databases, migrated_server
from forwarding import Forwarder, forwarder
from paying import open_shop
from polling import until, until_blocking
from service import Service, Tenant, running
from strongroom.crypto import Algorithm, CannotOpen, Sealer
from strongroom.db.logins import Domain, Login
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.ids import TokenId
from strongroom.kernel.mode import Mode
from strongroom.keys import CannotUnwrap, Purpose
from strongroom.simulator import Simulated
from strongroom.vault import CvcExpired
from strongroom.vault.cvc import (
    EPOCH_LIFE_SECONDS,
    EPOCH_SECONDS,
    PREFIX,
    PURPOSE,
    _context,
    _place,
)

VISA = "4242424242424242"
HALF_HOUR = timedelta(minutes=30)


async def test_no_table_dump_file_log_or_answer_holds_one(
    service: Service, processor: Simulated
) -> None:
    """CVCs go through every route; then everything that a running Strongroom leaves is searched for them."""
    await fly(service, processor)
    assert not await everywhere(Canary(NUMBER, CVC), service, service.databases)


async def test_a_charge_uses_one_once(service: Service, processor: Simulated) -> None:
    """A sealed CVC goes with one charge; a second charge with it is not sent, and both uses and refusals are told."""
    shop = await open_shop(service, processor)
    token = await shop.token(VISA, "123")
    body = {
        "amount": 100,
        "currency": "AED",
        "token": token["id"],
        "cvc": token["cvc"],
        "confirm": True,
    }
    first = await shop.gateway.post("/v1/payments", body)
    assert first.json()["status"] == "succeeded"
    second = (await shop.gateway.post("/v1/payments", body)).json()
    assert (second["attempt"]["outcome"], second["attempt"]["reason"]) == ("not_sent", "cvc_used")
    assert len(await processor.control.journal(account=shop.account)) == 1


async def test_sabotage_a_stored_cvc_is_found(server: Server, tmp_path: Path) -> None:
    """A merchant who keeps the CVC in metadata: the same search finds it in the table and in a dump."""
    canary = Canary(PLANTED_NUMBER, PLANTED_CVC)
    async with (
        fresh_databases(server) as databases,
        running(databases, tmp_path, listens=False) as service,
    ):
        await (await service.shop()).token(VISA, metadata={"note": PLANTED_CVC})
        administrator = databases.administrator(Domain.VAULT)
        assert [each for each in await canary.in_tables(administrator) if "vault.token" in each]
        assert await canary.in_dump(administrator, pg_dump())


# --- the half hour --------------------------------------------------------------------------------


@dataclass
class Thief:
    """Has the sealed CVC, the whole database, its files and the key store; wants the CVC."""

    service: Service
    tenant: Tenant
    token: str
    sealed: str

    async def opens(self) -> str | None:
        """Try whatever the database holds as the wrapped epoch key."""
        packed = urlsafe_b64decode(self.sealed.removeprefix(PREFIX) + "==")
        epoch_id, cvc_id, sealed = packed[:30].decode(), packed[30:46], packed[46:]
        store = await self.service.composer.key_store()
        place = _place(epoch_id, cvc_id, Mode.TEST, self.tenant.merchant, TokenId(self.token))
        for wrapped in await self.loot():
            try:
                key = await store.unwrap(Purpose.CARD, wrapped, _context(epoch_id))
                opener = Sealer(key.expose(), Algorithm.A256CBC_HS512, PURPOSE)
                return opener.open(sealed, place).decode()
            except (CannotUnwrap, CannotOpen):
                continue
        return None

    async def loot(self) -> list[bytes]:
        """Every byte string in every table of the vault database."""
        columns = await self.service.look(
            Domain.VAULT,
            "select c.oid::regclass::text as table, quote_ident(a.attname) as column from pg_class c"
            "  join pg_attribute a on a.attrelid = c.oid"
            " where c.relkind = 'r' and a.atttypid = 'bytea'::regtype and not a.attisdropped"
            "   and c.relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema')",
        )
        found: list[bytes] = []
        for column in columns:
            rows = await self.service.look(
                Domain.VAULT, f"select {column['column']} as value from {column['table']}"
            )
            found += [row["value"] for row in rows if row["value"] is not None]
        return found


@dataclass
class Ground:
    """A server that can be stopped, with a Strongroom whose time can be moved."""

    server: Server
    databases: Databases
    folder: Path
    clock: SteppedClock

    def running(self) -> Any:
        return running(self.databases, self.folder, clock=self.clock, listens=False)

    async def restart(self) -> None:
        """Stop in order, which writes everything out, and start again."""
        await asyncio.to_thread(self.server.embedded.stop, "fast")
        await asyncio.to_thread(self.server.embedded.attach)

    def on_disk(self, needle: bytes) -> list[str]:
        """The files of the server that hold these bytes."""
        return [
            str(path.relative_to(self.server.folder))
            for path in sorted(self.server.folder.rglob("*"))
            if path.is_file() and needle in path.read_bytes()
        ]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def own() -> AsyncIterator[Server]:
    async with migrated_server({**SIZES, "wal_compression": "off"}) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def ground(own: Server, tmp_path: Path) -> AsyncIterator[Ground]:
    now = int(datetime.now(UTC).timestamp())
    start = datetime.fromtimestamp(now - now % EPOCH_SECONDS, UTC)  # where a window begins
    async with fresh_databases(own) as databases:
        yield Ground(own, databases, tmp_path, SteppedClock(start))


@asynccontextmanager
async def with_a_sealed_cvc(ground: Ground) -> AsyncIterator[tuple[Service, Thief, bytes]]:
    """A Strongroom that has sealed one CVC, who wants it, and the wrapped epoch key as the database holds it."""
    async with ground.running() as service:
        tenant = await service.tenant()
        token = await service.vault(tenant.keys[Mode.TEST]).token(VISA, "737")
        (row,) = await service.look(Domain.VAULT, "select wrapped from vault.cvc_epoch")
        yield service, Thief(service, tenant, token["id"], token["cvc"]), row["wrapped"]


def require_gone(opened: str | None, files: list[str]) -> None:
    assert opened is None, "the sealed CVC opens with what is left"
    assert not files, f"the wrapped key is still in {files}"


async def test_after_half_an_hour_everything_together_opens_nothing(ground: Ground) -> None:
    """Sealed CVC, whole database with its files, and key store: they open it before, and nothing after."""
    async with with_a_sealed_cvc(ground) as (service, thief, wrapped):
        assert await thief.opens() == "737", "the thief knows how"
    await ground.restart()  # writes everything out
    assert any("base/" in file for file in ground.on_disk(wrapped)), "and it can be seen on disk"
    assert not [file for file in ground.on_disk(wrapped) if "pg_wal" in file], (
        "never in the write-ahead log"
    )
    async with ground.running() as service:
        thief.service = service
        ground.clock.step(HALF_HOUR - timedelta(seconds=1))
        await service.parts.maker._epochs.destroy_past()
        assert await thief.opens() == "737", "to its last second it is good"
        ground.clock.step(timedelta(seconds=1))
        await service.parts.maker._epochs.destroy_past()
        opened = await thief.opens()
        vault = service.vault(thief.tenant.keys[Mode.TEST])
        answer = await vault.post(f"/v1/tokens/{thief.token}/cvc/discard", {"cvc": thief.sealed})
        assert (answer.status_code, answer.json()["code"]) == (410, "cvc_expired")
    require_gone(opened, ground.on_disk(wrapped))
    await ground.restart()
    require_gone(None, ground.on_disk(wrapped))


async def test_sabotage_an_epoch_that_is_not_destroyed_is_noticed(ground: Ground) -> None:
    """Without the destruction, everything together still opens it after half an hour, and the check is red."""
    async with with_a_sealed_cvc(ground) as (_, thief, wrapped):
        ground.clock.step(2 * HALF_HOUR)
        opened = await thief.opens()
    assert opened == "737"
    await ground.restart()
    with pytest.raises(AssertionError):
        require_gone(opened, [])
    with pytest.raises(AssertionError):
        require_gone(None, ground.on_disk(wrapped))


async def test_sabotage_deleting_is_not_destroying(ground: Ground) -> None:
    """A deleted row's bytes stay in the file: why an epoch is truncated, not deleted."""
    async with with_a_sealed_cvc(ground) as (service, _, wrapped):
        await service.look(Domain.VAULT, "delete from vault.cvc_epoch")
    await ground.restart()
    with pytest.raises(AssertionError):
        require_gone(None, ground.on_disk(wrapped))


async def test_the_job_does_it_by_itself(ground: Ground) -> None:
    """Nobody has to ask: a process that starts, or has run for thirty seconds, destroys what is past."""
    async with with_a_sealed_cvc(ground) as (_, thief, wrapped):
        pass
    ground.clock.step(HALF_HOUR)
    async with ground.running() as service:

        async def none_left() -> bool:
            return not await service.look(Domain.VAULT, "select 1 from vault.cvc_epoch")

        await until(none_left, what="the job to destroy what is past")
        thief.service = service
        assert await thief.opens() is None
    assert not ground.on_disk(wrapped)


async def test_the_process_forgets_it_too(ground: Ground) -> None:
    """What the process held in memory is let go of, also where nobody seals a CVC any more."""
    async with with_a_sealed_cvc(ground) as (service, _, _):
        epochs = service.parts.maker._epochs
        assert epochs._open
        assert epochs._sealing is not None
        ground.clock.step(timedelta(seconds=EPOCH_LIFE_SECONDS))
        await epochs.destroy_past()
        assert not epochs._open
        assert epochs._sealing is None


async def test_a_dump_leaves_the_epoch_keys_out(ground: Ground) -> None:
    """A backup taken within the half hour holds no epoch key."""
    async with with_a_sealed_cvc(ground) as (_, _, wrapped):
        administrator = ground.databases.administrator(Domain.VAULT)
        dump = await dumped(administrator, pg_dump())
        assert b"COPY vault.token" in dump
        assert wrapped.hex().encode() not in dump
        assert wrapped not in dump


async def test_sabotage_a_dump_of_unlogged_tables_would_hold_them(ground: Ground) -> None:
    """A dump that takes unlogged tables along holds the key: the look at the dump can see it."""
    async with with_a_sealed_cvc(ground) as (_, _, wrapped):
        administrator = ground.databases.administrator(Domain.VAULT)
        dump = await dumped(administrator, pg_dump(), unlogged=True)
        assert wrapped.hex().encode() in dump


async def test_a_crash_destroys_the_epochs(ground: Ground) -> None:
    """`kill -9` of the database: its unlogged tables are empty afterwards, and the CVC has expired."""
    async with with_a_sealed_cvc(ground) as (_, thief, wrapped):
        pass
    embedded = ground.server.embedded
    pid = embedded.process_id
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until_blocking(lambda: embedded.process_id is None)
    await asyncio.to_thread(embedded.attach)
    async with ground.running() as service:
        thief.service = service
        assert await thief.opens() is None
        with pytest.raises(CvcExpired):
            await service.parts.maker._epochs.check(
                thief.sealed, Mode.TEST, thief.tenant.merchant, TokenId(thief.token)
            )
    require_gone(None, ground.on_disk(wrapped))


# --- one use, recorded first ------------------------------------------------------------------------


@dataclass
class Use:
    """A merchant with a card and its sealed CVC, and somewhere to send them."""

    forwarder: Forwarder
    destination: str
    token: dict[str, Any]

    async def once(self) -> str:
        """Forward them; return the CVC that arrived, or how it was refused."""
        token = self.token["id"]
        body = {"number": f"{{{{ {token}.number }}}}", "cvc": f"{{{{ {token}.cvc }}}}"}
        cvcs = {token: self.token["cvc"]}
        answer = (await self.forwarder.send(self.destination, body, cvcs=cvcs)).json()
        return str(answer["code"]) if "code" in answer else self.arrived()[-1]

    def arrived(self) -> list[str]:
        """Every CVC that left the vault."""
        return [str(each.json()["cvc"]) for each in self.forwarder.peer.requests]


@asynccontextmanager
async def with_a_cvc_to_use(ground: Ground) -> AsyncIterator[Use]:
    async with ground.running() as service, forwarder(service) as forwards:
        token = await forwards.key.token(VISA, "737")
        yield Use(forwards, await forwards.register(), token)


async def uses(service: Service, tenant: Tenant) -> tuple[int, int]:
    """How many uses are kept, and how many recorded."""
    (row,) = await service.look(
        Domain.VAULT,
        "select (select count(*) from vault.cvc_use where merchant_id = $1) as kept,"
        " (select count(*) from audit.event where merchant_id = $1"
        "    and convert_from(payload, 'UTF8')::jsonb ->> 'action' = 'vault.cvc.used') as recorded",
        tenant.merchant,
    )
    return row["kept"], row["recorded"]


async def test_it_opens_once_and_is_recorded(ground: Ground) -> None:
    """Of many who send it at once one does; the use and its record are there, once."""
    async with with_a_cvc_to_use(ground) as use:
        outcomes = await asyncio.gather(*(use.once() for _ in range(20)))
        assert sorted(outcomes) == ["737"] + ["cvc_used"] * 19
        assert use.arrived() == ["737"]
        assert await uses(use.forwarder.service, use.forwarder.tenant) == (1, 1)


async def test_it_does_not_open_when_its_use_cannot_be_recorded(ground: Ground) -> None:
    """The audit log cannot be written: the CVC stays closed, and is not spent."""
    async with with_a_cvc_to_use(ground) as use:
        await ground.databases.run(Domain.VAULT, f"revoke insert on audit.event from {Login.VAULT}")
        assert await use.once() != "737"
        assert use.arrived() == []
        assert await uses(use.forwarder.service, use.forwarder.tenant) == (0, 0)
        await ground.databases.run(
            Domain.VAULT,
            "grant insert (event_id, merchant_id, mode, payload, leaf_hash, row_mac) on audit.event"
            f" to {Login.VAULT}",
        )
        assert await use.once() == "737"
        assert await use.once() == "cvc_used"
        assert use.arrived() == ["737"]


def test_the_windows_end_within_half_an_hour() -> None:
    """A window of ten minutes, destroyed twenty minutes later."""
    assert EPOCH_SECONDS == 600
    assert timedelta(seconds=EPOCH_LIFE_SECONDS) == HALF_HOUR
