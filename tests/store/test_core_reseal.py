# SPDX-License-Identifier: Apache-2.0
"""Sealing the core database anew: every column with sealed values moves to the newest version of its key, and opens.

A table over the columns, and over the schema: a column that holds bytes and that nobody has judged fails here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from contracts.fakes import FakeKeyStore
from database import Databases
from store.rights import ask, row_of
from store.work_ground import ROW_KEY
from strongroom.audit.recorder import EventRecorder
from strongroom.compose.core_keys import CORE_COLUMNS, recorded, reseal_ended
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database, connect
from strongroom.db.queries import load_queries
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.ids import MerchantId
from strongroom.keys import (
    ROTATING,
    DataKey,
    DataKeyDestroyed,
    KeyInUse,
    KeyIsCurrent,
    KeyName,
    KeyNotRotated,
    KeyStillServes,
    KeyVersionUnknown,
    Purpose,
    Row,
    SealedColumn,
)
from strongroom.keys.keyring import Keyring
from strongroom.keys.reseal.model import RETIREMENT, SETTLING, Reseal
from strongroom.keys.reseal.runner import ALGORITHM, LEASE_SECONDS, Resealer
from strongroom.keys.reseal.service import CoreKeys, KeyOf
from strongroom.keys.store import PostgresDataKeyTable
from strongroom.telemetry.log import Log
from strongroom.telemetry.sink import MemorySink
from strongroom.vault.rotation.columns import COLUMNS as VAULT_COLUMNS
from strongroom.vault.rotation.columns import NAMES as VAULT_NAMES

START: Final = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
#: Which login seals which column anew, and the mode that its key has.
WHERE: Final[dict[str, tuple[Login, str]]] = {
    "identity.provider.sealed_secret": (Login.CONSOLE, "live"),
    "identity.totp.sealed_secret": (Login.CONSOLE, ""),
    "payments.customer.sealed_personal": (Login.GATEWAY, "test"),
    "payments.mandate.sealed_evidence": (Login.GATEWAY, "test"),
    "webhooks.endpoint.sealed_secrets": (Login.GATEWAY, "test"),
    "webhooks.notice.sealed": (Login.WORKER, "test"),
    "webhooks.source.sealed_secrets": (Login.GATEWAY, "test"),
}
#: Columns of bytes that hold nothing sealed under a data key, each with the reason.
NOT_SEALED: Final[dict[str, str]] = {
    "audit.address.reference": "a salted hash",
    "audit.address.salt": "a salt",
    "audit.checkpoint.root": "a hash",
    "audit.event.leaf_hash": "a hash",
    "audit.event.payload": "a record, masked and in clear",
    "audit.event.row_mac": "a MAC",
    "audit.tile.hashes": "hashes",
    "audit.tree.frontier": "hashes",
    "audit.tree.origin_mac": "a MAC",
    "idempotency.request.fingerprint": "a keyed hash",
    "idempotency.request.response": "public fields of an answer, in clear",
    "identity.api_key.key_hash": "a keyed hash",
    "identity.approval.fingerprint": "a keyed hash",
    "identity.invitation.link_hash": "a keyed hash",
    "identity.invitation.ticket_hash": "a keyed hash",
    "identity.login.handle_hash": "a keyed hash",
    "identity.login_network.network": "a keyed hash",
    "identity.passkey.credential_id": "public",
    "identity.passkey.public_key": "public",
    "identity.passkey_challenge.challenge_hash": "a hash",
    "identity.provider_flow.state_hash": "a keyed hash",
    "identity.provider_link.subject_hash": "a keyed hash",
    "identity.recovery_code.code_hash": "a keyed hash",
    "identity.session.previous_hash": "a keyed hash",
    "identity.session.refresh_hash": "a keyed hash",
    "identity.session.salt": "a salt",
    "identity.signing_key.public_key": "public",
    "identity.used_once.value_hash": "a hash",
    "keys.data_key.mac": "a MAC",
    "keys.data_key.wrapped": "wrapped under a root: `rotate-root` wraps it anew",
    "payments.settlement_piece.content": "a report of a processor, which holds no card number, in clear",
    "payments.settlement_report.digest": "a hash",
    "vault.canary.sealed": "one row, under the platform's key: its rotation seals it anew at once",
    "vault.card_identity.fingerprint": "a keyed hash: moved by the vault's re-seal of `fingerprint`",
    "vault.cvc_epoch.wrapped": "wrapped under a root, for half an hour",
    "vault.export_piece.content": "sealed for its receiver: we cannot open it",
    "vault.export_piece.digest": "a hash",
    "vault.forward.fingerprint": "a keyed hash",
    "vault.import.digest": "a keyed hash",
    "vault.import_part.results": "masked, in clear",
    "vault.import_seen.card": "a keyed hash, forgotten when its dry run has ended",
    "vault.token.fingerprint": "a keyed hash: moved by the vault's re-seal of `fingerprint`",
}


# --- the schema ------------------------------------------------------------------------------------


async def columns_of_bytes(databases: Databases, domain: Domain) -> set[str]:
    """Every column of bytes of every table of ours that is no partition."""
    rows = await ask(
        databases,
        domain,
        """select n.nspname || '.' || c.relname || '.' || a.attname
             from pg_class c join pg_namespace n on n.oid = c.relnamespace
             join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            where c.relkind in ('r', 'p') and not c.relispartition
              and a.atttypid in ('bytea'::regtype, 'bytea[]'::regtype)
              and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'""",
    )
    return {row[0] for row in rows}


async def test_every_column_of_bytes_is_sealed_anew_or_judged(databases: Databases) -> None:
    found = set().union(*[await columns_of_bytes(databases, domain) for domain in Domain])
    covered = {column.name for column in CORE_COLUMNS} | set(VAULT_NAMES)
    assert found - covered - set(NOT_SEALED) == set(), "seal it anew, or say why not"
    assert covered - found == set(), "there is no such column"
    assert set(NOT_SEALED) - found == set(), "what is judged is there"
    assert not covered & set(NOT_SEALED)


async def test_the_check_bites(databases: Databases) -> None:
    await databases.run(Domain.CORE, "create table webhooks.forgotten (sealed_thing bytea)")
    try:
        found = await columns_of_bytes(databases, Domain.CORE)
        covered = {column.name for column in CORE_COLUMNS} | set(NOT_SEALED)
        assert found - covered == {"webhooks.forgotten.sealed_thing"}
    finally:
        await databases.run(Domain.CORE, "drop table webhooks.forgotten")


def test_every_key_that_seals_has_its_columns() -> None:
    """A key whose rotation moves what it sealed has a column that moves; `fingerprint` has a walk of its own."""
    moved = {column.key for column in (*CORE_COLUMNS, *VAULT_COLUMNS)} | {KeyName.FINGERPRINT}
    assert moved == {name for name, how in ROTATING.items() if how == "moves"}
    assert set(ROTATING) == set(KeyName), "every key has its line"
    assert set(VAULT_NAMES.values()) == set(VAULT_COLUMNS)


# --- what moves ------------------------------------------------------------------------------------


@dataclass
class Ground:
    """A tenant with values in one column, and the parts that seal them anew."""

    databases: Databases
    column: SealedColumn
    store: FakeKeyStore
    clock: SteppedClock = field(default_factory=lambda: SteppedClock(START))
    merchant: MerchantId = field(default_factory=lambda: MerchantId(new_id("mer")))
    lines: MemorySink = field(default_factory=MemorySink)

    @property
    def of(self) -> KeyOf:
        return KeyOf(self.merchant, WHERE[self.column.name][1], self.column.key)

    async def keyring(self, database: Database) -> Keyring:
        keyring = Keyring(self.store, PostgresDataKeyTable(database, self.clock), self.clock)
        await keyring.start([Purpose.IDENTITY, Purpose.WEBHOOK, Purpose.AUDIT])
        await keyring.look()
        return keyring

    async def keys(self) -> tuple[CoreKeys, Callable[..., Awaitable[None]], Keyring]:
        database = await self.databases.open(Domain.CORE, Login.CONSOLE)
        keyring = await self.keyring(database)
        recorder = EventRecorder(database, ROW_KEY, self.clock)
        table = PostgresDataKeyTable(database, self.clock)
        keys = CoreKeys(database, keyring, table, CORE_COLUMNS, self.clock)
        return keys, recorded(recorder, self.clock, self.of, "operator:tests"), keyring

    async def resealer(self, page_rows: int = 3) -> tuple[Resealer, Keyring]:
        """Under the login of the role that seals this column, over all columns of that role."""
        login = WHERE[self.column.name][0]
        database = await self.databases.open(Domain.CORE, login)
        keyring = await self.keyring(database)
        columns = [each for each in CORE_COLUMNS if WHERE[each.name][0] is login]
        recorder = EventRecorder(database, ROW_KEY, self.clock)
        log = Log(self.lines, clock=self.clock)
        ended = reseal_ended(recorder)
        resealer = Resealer(
            database, keyring, columns, self.clock, log, ended=ended, page_rows=page_rows
        )
        return resealer, keyring

    async def fill(self, key: DataKey, count: int) -> None:
        """Put values that are sealed under a version."""
        table = self.column.name.rpartition(".")[0]
        for _ in range(count):
            own = new_id("aud")
            if table == "identity.totp":
                await self.run(row_of("identity.person", self.merchant, own=own))
                made = row_of(table, self.merchant).replace(f"usr_{self.merchant}", f"usr_{own}")
                await self.run(made)
                continue
            if table == "webhooks.notice":
                made = row_of("webhooks.source", self.merchant, own=self.merchant)
                await self.run(f"{made} on conflict do nothing")
                # Of no version that a test counts.
                await self.run(
                    f"update webhooks.source set key_version = 2 where merchant_id = '{self.merchant}'"
                )
            if table == "payments.mandate":
                made = row_of("payments.customer", self.merchant, own=self.merchant)
                made = made.replace("'', 1, now()", "null, null, now()")
                await self.run(f"{made} on conflict do nothing")
            await self.run(row_of(table, self.merchant, own=own))
        if table == "webhooks.endpoint":
            await self.delete_one(key)
        rows = [each for each in await self.rows() if not each["sealed"]]
        assert len(rows) == count
        clears = [f"clear {each['id']}".encode() for each in rows]
        places = [self.column.place(self.row(each), key.version) for each in rows]
        sealed = [
            key.sealer(ALGORITHM, place.purpose).seal(clear, place)
            for clear, place in zip(clears, places, strict=True)
        ]
        await self.query(
            self.column.put.text,
            self.merchant,
            self.of.mode,
            [each["id"] for each in rows],
            [each["part"] for each in rows],
            [b""] * count,
            sealed,
            key.version,
        )

    async def delete_one(self, key: DataKey) -> None:
        """Have an endpoint that is deleted: its row stays, and nothing that was sealed."""
        own = new_id("aud")
        await self.run(row_of("webhooks.endpoint", self.merchant, own=own))
        delete = load_queries("strongroom.webhooks")["delete_endpoint"]
        (endpoint,) = await self.query(
            "update webhooks.endpoint set key_version = $2 where merchant_id = $1 and endpoint_id like '%' || $3"
            " returning endpoint_id",
            self.merchant,
            key.version,
            own,
        )
        gone = await self.query(
            delete.text, self.merchant, self.of.mode, endpoint["endpoint_id"], START
        )
        assert len(gone) == 1

    def row(self, found: Any) -> Row:
        return Row(self.merchant, self.of.mode, found["id"], found["part"])

    async def run(self, sql: str) -> None:
        await self.databases.run(Domain.CORE, sql)

    async def query(self, sql: str, *values: object) -> list[Any]:
        connection = await connect(self.databases.administrator(Domain.CORE))
        try:
            return list(await connection.fetch(sql, *values))
        finally:
            await connection.close()

    async def rows(self) -> list[Any]:
        return await self.query(
            self.column.page.text, self.merchant, self.of.mode, "", 1_000, 1_000_000
        )

    async def opened(self, keyring: Keyring) -> dict[int, int]:
        """Open every value as it says of itself; return how many there are under each version."""
        found: dict[int, int] = {}
        for each in await self.rows():
            key = await keyring.version(
                self.merchant, self.of.mode, self.column.key, each["key_version"]
            )
            place = self.column.place(self.row(each), key.version)
            clear = key.sealer(ALGORITHM, place.purpose).open(each["sealed"], place)
            assert clear == f"clear {each['id']}".encode()
            found[key.version] = found.get(key.version, 0) + 1
        return found

    async def mine(self, keys: CoreKeys) -> Reseal:
        (found,) = [
            each
            for each in await keys.progress()
            if each.merchant == self.merchant and each.part == self.column.name
        ]
        return found

    async def actions(self) -> Sequence[str]:
        rows = await self.query(
            "select convert_from(payload, 'utf8')::jsonb ->> 'action' as action from audit.event"
            " where merchant_id = $1 order by convert_from(payload, 'utf8')::jsonb ->> 'time', 1",
            self.merchant,
        )
        return [row["action"] for row in rows]


@pytest.fixture(scope="module")
def key_store() -> FakeKeyStore:
    """The roots of this module's databases."""
    return FakeKeyStore()


@pytest.fixture(params=CORE_COLUMNS, ids=[column.name for column in CORE_COLUMNS])
def ground(request: Any, databases: Databases, key_store: FakeKeyStore) -> Ground:
    return Ground(databases, request.param, key_store)


async def test_what_is_sealed_moves_opens_and_its_old_version_is_destroyed(ground: Ground) -> None:
    keys, record, keyring = await ground.keys()
    first = await keyring.current(ground.merchant, ground.of.mode, ground.column.key)
    await ground.fill(first, 10)
    version, begun = await keys.rotate(ground.of, "operator:tests", record)
    assert version == 2
    assert ground.column.name in begun
    resealer, _ = await ground.resealer()
    await resealer.run()
    assert await ground.opened(keyring) == {1: 10}, "not before every process knows of the version"
    assert await keys.uses(ground.of, 1) == 10
    with pytest.raises(KeyStillServes):
        await keys.destroy(ground.of, 1, record)
    ground.clock.step(RETIREMENT)
    await keyring.look()
    with pytest.raises(KeyInUse):
        await keys.destroy(ground.of, 1, record)
    resealer, _ = await ground.resealer()
    await resealer.run()
    assert await ground.opened(keyring) == {2: 10}
    done = await ground.mine(keys)
    assert (done.state, done.total, done.looked, done.resealed, done.unread) == (
        "done",
        10,
        10,
        10,
        0,
    )
    assert await keys.uses(ground.of, 1) == 0
    await keys.destroy(ground.of, 1, record)
    await keys.destroy(ground.of, 1, record)  # twice is once
    assert await ground.opened(keyring) == {2: 10}
    with pytest.raises(DataKeyDestroyed):
        await keyring.version(ground.merchant, ground.of.mode, ground.column.key, 1)
    with pytest.raises(KeyIsCurrent):
        await keys.destroy(ground.of, 2, record)
    with pytest.raises(KeyVersionUnknown):
        await keys.destroy(ground.of, 9, record)
    actions = await ground.actions()
    assert {"keys.data_key.rotated", "keys.reseal.started", "keys.reseal.ended"} <= set(actions)
    assert actions.count("keys.data_key.destroyed") == 1


async def test_a_killed_one_goes_on_where_it_was(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in its second page: the first stays as written, the second is undone, the next process does the rest."""
    keys, record, keyring = await ground.keys()
    first = await keyring.current(ground.merchant, ground.of.mode, ground.column.key)
    await ground.fill(first, 8)
    await keys.rotate(ground.of, "operator:tests", record)
    ground.clock.step(SETTLING)
    resealer, its_keyring = await ground.resealer()
    real, pages = its_keyring.version, 0

    async def version(merchant: str, *of: Any) -> DataKey:
        nonlocal pages
        pages += merchant == ground.merchant
        if pages == 2:
            raise asyncio.CancelledError
        return await real(merchant, *of)

    monkeypatch.setattr(its_keyring, "version", version)
    with pytest.raises(asyncio.CancelledError):
        await resealer.run()
    half = await ground.mine(keys)
    assert (half.state, half.looked, half.resealed) == ("waiting", 3, 3)
    assert await ground.opened(keyring) == {1: 5, 2: 3}
    written = {
        each["id"]: each["sealed"] for each in await ground.rows() if each["key_version"] == 2
    }
    after, _ = await ground.resealer()
    await after.run()
    assert (await ground.mine(keys)).looked == 3, "its lease has not ended"
    ground.clock.step(timedelta(seconds=LEASE_SECONDS + 1))
    after, _ = await ground.resealer()
    await after.run()
    done = await ground.mine(keys)
    assert (done.state, done.looked, done.resealed) == ("done", 8, 8)
    assert await ground.opened(keyring) == {2: 8}
    now = {each["id"]: each["sealed"] for each in await ground.rows()}
    assert {each: now[each] for each in written} == written, "nothing is done twice"


async def test_what_does_not_open_is_left_counted_and_keeps_its_key(ground: Ground) -> None:
    keys, record, keyring = await ground.keys()
    first = await keyring.current(ground.merchant, ground.of.mode, ground.column.key)
    await ground.fill(first, 4)
    schema, table, name = ground.column.name.split(".")
    broken = (await ground.rows())[1]
    await ground.query(
        f"update {schema}.{table} set {name} = set_byte({name}, 20, get_byte({name}, 20) # 1) where {name} = $1",
        broken["sealed"],
    )
    await keys.rotate(ground.of, "operator:tests", record)
    ground.clock.step(RETIREMENT)
    await keyring.look()
    resealer, _ = await ground.resealer()
    await resealer.run()
    done = await ground.mine(keys)
    assert (done.state, done.looked, done.resealed, done.unread) == ("done", 4, 3, 1)
    with pytest.raises(KeyInUse):
        await keys.destroy(ground.of, 1, record)


async def test_while_the_key_store_is_away_it_waits_and_says_so(ground: Ground) -> None:
    keys, record, keyring = await ground.keys()
    first = await keyring.current(ground.merchant, ground.of.mode, ground.column.key)
    await ground.fill(first, 4)
    await keys.rotate(ground.of, "operator:tests", record)
    ground.clock.step(SETTLING)
    resealer, _ = await ground.resealer()
    ground.store.away = True
    try:
        await resealer.run()
    finally:
        ground.store.away = False
    waits = await ground.mine(keys)
    assert (waits.state, waits.problem, waits.looked) == ("waiting", "key_store_unavailable", 0)
    ground.clock.step(timedelta(seconds=2))
    await resealer.run()
    done = await ground.mine(keys)
    assert (done.state, done.problem, done.resealed) == ("done", None, 4)


async def test_what_changes_while_a_page_is_in_hand_is_left_as_it_is(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that was written anew since it was read is not overwritten with the older one."""
    keys, record, keyring = await ground.keys()
    first = await keyring.current(ground.merchant, ground.of.mode, ground.column.key)
    await ground.fill(first, 2)
    await keys.rotate(ground.of, "operator:tests", record)
    ground.clock.step(SETTLING)
    resealer, its_keyring = await ground.resealer()
    one = (await ground.rows())[0]
    real = its_keyring.version

    async def version(merchant: str, *of: Any) -> DataKey:
        if merchant == ground.merchant:
            await ground.query(
                ground.column.put.text, merchant, ground.of.mode, [one["id"]], [one["part"]],
                [one["sealed"]], [b"written meanwhile"], 2,
            )  # fmt: skip
        return await real(merchant, *of)

    monkeypatch.setattr(its_keyring, "version", version)
    await resealer.run()
    found = {each["id"]: each["sealed"] for each in await ground.rows()}
    assert found[one["id"]] == b"written meanwhile"
    assert (await ground.mine(keys)).resealed == 1


async def test_a_key_that_seals_nothing_is_not_rotated_here(
    databases: Databases, key_store: FakeKeyStore
) -> None:
    ground = Ground(databases, CORE_COLUMNS[0], key_store)
    keys, record, _ = await ground.keys()
    for name in (KeyName.API_KEY_HASH, KeyName.CARD, KeyName.AUDIT_ROW_MAC):
        of = KeyOf(ground.merchant, "test", name)
        with pytest.raises(KeyNotRotated):
            await keys.rotate(of, "operator:tests", record)
        with pytest.raises(KeyNotRotated):
            await keys.reseal(of, "operator:tests", record)
