# SPDX-License-Identifier: Apache-2.0
"""Group commit on the real database: what the rules of ADR-0004 mean where deadlocks and crashes are real."""

import asyncio
import os
import random
import signal
from datetime import UTC, datetime

import asyncpg
import pytest
import pytest_asyncio

from database import Databases, running_server
from polling import until
from strongroom.audit import NewRecord
from strongroom.crypto.ids import new_id
from strongroom.crypto.random import random_bytes
from strongroom.db.errors import ConstraintBroken
from strongroom.db.group_commit import GroupWriter
from strongroom.db.logins import Domain, Login, prepare
from strongroom.db.migrate import migrate
from strongroom.db.pool import Database, connect
from strongroom.http.idempotency import IdempotencyInFlight, IdempotencyMismatch
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.ids import AuditId, MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.vault.model import StoredToken
from strongroom.vault.writes import TokenRow, TokenSink, TokenWrite, Written

MERCHANT = MerchantId(new_id("mer"))


def a_write(
    key: str,
    *,
    fingerprint: bytes | None = None,
    body: bytes = b"body",
    merchant: MerchantId = MERCHANT,
    brand: str = "synthetic",
) -> TokenWrite:
    """Make a write of one token. `fingerprint` is the card's, for deduplication."""
    token = TokenId(new_id("tok"))
    row = TokenRow(
        token, random_bytes(80), 1, brand, "000000", "1234", 12, 2034,
        fingerprint, 1 if fingerprint else None, single_use=False, expires_at=None, metadata=None,
        created_by="key_test", created_at=datetime(2026, 3, 1, tzinfo=UTC),
    )  # fmt: skip
    record = NewRecord(
        AuditId(new_id("aud")), merchant, Mode.TEST, b"{}", random_bytes(32), random_bytes(32)
    )

    def rebuild(found: dict[int, StoredToken]) -> TokenWrite:
        known = a_write(key, body=body, merchant=merchant)
        known.tokens = ()
        known.object_id = found[0].token_id
        known.answer = known.response = found[0].token_id.encode()
        return known

    return TokenWrite(
        merchant=merchant, mode=Mode.TEST, route="POST /v1/tokens", key=key, claim=new_id("req"),
        fingerprint=body.ljust(32, b"\0"), status=201, object_id=token, response=token.encode(),
        answer=token.encode(), tokens=(row,), records=(record,), rebuild=rebuild,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def vault(databases: Databases) -> Database:
    return await databases.open(Domain.VAULT, Login.VAULT, connections_max=6)


async def _count(databases: Databases, table: str, where: str = "true") -> int:
    connection = await connect(databases.administrator(Domain.VAULT))
    try:
        return int(await connection.fetchval(f"select count(*) from {table} where {where}"))
    finally:
        await connection.close()


async def test_a_batch_writes_key_token_identity_and_record_at_once(
    vault: Database, databases: Databases
) -> None:
    writer = GroupWriter(TokenSink(vault))
    written = await asyncio.gather(
        *[writer.submit(a_write(f"one-{n}", fingerprint=random_bytes(32))) for n in range(100)]
    )
    assert {w.status for w in written} == {201}
    assert await _count(databases, "idempotency.request", "key like 'one-%'") == 100
    tokens = [w.answer.decode() for w in written]
    assert (
        await _count(databases, "vault.token", f"token_id = any('{{{','.join(tokens)}}}')") == 100
    )
    assert (
        await _count(databases, "vault.card_identity", f"token_id = any('{{{','.join(tokens)}}}')")
        == 100
    )


async def test_a_repeat_gets_the_first_answer_and_another_body_is_refused(vault: Database) -> None:
    writer = GroupWriter(TokenSink(vault))
    first = await writer.write(a_write("repeat"))
    again = await writer.write(a_write("repeat"))
    assert (again.replayed, again.answer) == (True, first.answer)
    answers = await asyncio.gather(
        *[writer.submit(a_write("repeat", body=b"other")) for _ in range(3)], return_exceptions=True
    )
    assert {type(answer) for answer in answers} == {IdempotencyMismatch}


async def test_yesterdays_key_still_answers(vault: Database, databases: Databases) -> None:
    writer = GroupWriter(TokenSink(vault))
    first = await writer.write(a_write("yesterday"))
    await databases.run(
        Domain.VAULT, "update idempotency.request set day = day - 1 where key = 'yesterday'"
    )
    again = await writer.write(a_write("yesterday"))
    assert (again.replayed, again.answer) == (True, first.answer)


async def test_overlapping_writers_neither_deadlock_nor_make_two_tokens_of_one_card(
    vault: Database, databases: Databases
) -> None:
    cards = [random_bytes(32) for _ in range(40)]
    generator = random.Random(7)
    writers = [GroupWriter(TokenSink(vault)) for _ in range(3)]
    writes = [
        writer.submit(a_write(f"overlap-{index}-{n}", fingerprint=generator.choice(cards)))
        for n in range(200)
        for index, writer in enumerate(writers)
    ]
    written = await asyncio.gather(*writes)
    assert all(isinstance(w, Written) for w in written)
    keys = "'overlap-%'"
    assert await _count(databases, "idempotency.request", f"key like {keys}") == 600
    assert (
        await _count(
            databases,
            "(select fingerprint from vault.token where fingerprint is not null group by 1 having count(*) > 1) twice",
        )
        == 0
    )


async def test_a_key_that_another_process_is_writing_is_in_flight_and_stops_no_other(
    vault: Database, databases: Databases
) -> None:
    elsewhere = await connect(databases.administrator(Domain.VAULT))
    writer = GroupWriter(TokenSink(vault))
    writes = [a_write("held"), a_write("not-held")]
    try:
        transaction = elsewhere.transaction()
        await transaction.start()
        await elsewhere.execute(
            "insert into idempotency.request values ((now() at time zone 'utc')::date, $1, 'test', "
            "'POST /v1/tokens', 'held', 'another', $2, 201, null, '')",
            MERCHANT,
            bytes(32),
        )
        answers = await asyncio.gather(*[writer.submit(w) for w in writes], return_exceptions=True)
        assert [type(answer) for answer in answers] == [IdempotencyInFlight, Written]
        await transaction.rollback()
    finally:
        await elsewhere.close()
    assert not (await writer.write(a_write("held"))).replayed


@pytest.mark.parametrize("commits", [True, False])
async def test_a_card_that_another_process_is_making_a_token_of_gets_that_token_or_its_own(
    vault: Database, databases: Databases, *, commits: bool
) -> None:
    card, theirs = random_bytes(32), new_id("tok")
    elsewhere = await connect(databases.administrator(Domain.VAULT))
    watching = await connect(databases.administrator(Domain.VAULT))
    try:
        transaction = elsewhere.transaction()
        await transaction.start()
        other = a_write(new_id("idem"))
        await elsewhere.execute(
            "insert into vault.card_identity values ($1, 'test', 1, $2, $3)", MERCHANT, card, theirs
        )
        await elsewhere.execute(
            "insert into vault.token (merchant_id, mode, token_id, sealed_number, key_version, brand, bin, last4,"
            " exp_month, exp_year, single_use, created_by, created_at)"
            " values ($1, 'test', $2, $3, 1, 'synthetic', '000000', '1234', 12, 2034, false, 'key_test', now())",
            MERCHANT,
            theirs,
            other.tokens[0].sealed,
        )
        # Step 1 sees no identity yet; the insertion waits for how the other transaction ends.
        waiting = GroupWriter(TokenSink(vault)).submit(a_write(new_id("idem"), fingerprint=card))

        async def waits() -> bool:
            return bool(
                await watching.fetchval(
                    "select count(*) from pg_stat_activity"
                    " where datname = current_database() and wait_event_type = 'Lock'"
                )
            )

        await until(waits)
        await (transaction.commit() if commits else transaction.rollback())
        written = await waiting
    finally:
        await elsewhere.close()
        await watching.close()
    assert (written.answer.decode() == theirs) is commits
    assert await _count(databases, "vault.card_identity", f"token_id = '{theirs}'") == commits


async def test_only_the_row_that_breaks_a_constraint_fails(vault: Database) -> None:
    writer = GroupWriter(TokenSink(vault))
    good = [a_write(f"guilty-{n}") for n in range(5)]
    bad = a_write("guilty-bad")
    bad.tokens = (bad.tokens[0]._replace(last4="12345"),)
    answers = await asyncio.gather(
        *[writer.submit(w) for w in (*good[:2], bad, *good[2:])], return_exceptions=True
    )
    assert [type(a) for a in answers] == [
        Written,
        Written,
        ConstraintBroken,
        Written,
        Written,
        Written,
    ]


async def test_nothing_of_a_refused_row_stays(vault: Database, databases: Databases) -> None:
    bad = a_write("left-nothing", fingerprint=random_bytes(32))
    bad.tokens = (bad.tokens[0]._replace(exp_month=13),)
    with pytest.raises(ConstraintBroken):
        await GroupWriter(TokenSink(vault)).write(bad)
    assert await _count(databases, "idempotency.request", "key = 'left-nothing'") == 0
    assert await _count(databases, "audit.event", f"event_id = '{bad.records[0].event_id}'") == 0


async def test_a_connection_killed_in_mid_batch_loses_nothing_and_doubles_nothing(
    vault: Database, databases: Databases
) -> None:
    writer = GroupWriter(TokenSink(vault))
    done = asyncio.Event()

    async def assassin() -> None:
        connection = await connect(databases.administrator(Domain.VAULT))
        try:
            while not done.is_set():
                await connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where usename = 'strongroom_vault' and datname = current_database() order by random() limit 1"
                )
                await asyncio.sleep(0.02)
        finally:
            await connection.close()

    hunting = asyncio.create_task(assassin())
    answers: list[Written | BaseException] = []
    for round_ in range(20):
        answers += await asyncio.gather(
            *[writer.submit(a_write(f"killed-{round_}-{n}")) for n in range(25)],
            return_exceptions=True,
        )
    done.set()
    await hunting
    acknowledged = [a.answer.decode() for a in answers if isinstance(a, Written)]
    assert acknowledged
    odd = [
        a
        for a in answers
        if not isinstance(a, Written) and not (isinstance(a, StrongroomError) and a.status == 503)
    ]
    assert odd == []
    listed = ",".join(acknowledged)
    assert await _count(databases, "vault.token", f"token_id = any('{{{listed}}}')") == len(
        acknowledged
    )
    assert (
        await _count(
            databases,
            "(select key from idempotency.request where key like 'killed-%' group by key having count(*) > 1) twice",
        )
        == 0
    )


async def test_kill_9_of_the_server_in_mid_batch_loses_nothing_acknowledged() -> None:
    """A server of its own: its postmaster and every child are killed while batches commit."""
    with running_server() as (embedded, _folder):
        secrets = {login: Secret("x" * 24) for login in Login}
        await prepare(embedded.bootstrap_address(), Domain.VAULT, "victim", secrets)
        owner = embedded.connection("victim", user=Login.OWNER.value, password=Secret("x" * 24))
        await migrate(owner, Domain.VAULT)
        address = embedded.connection("victim", user=Login.VAULT.value, password=Secret("x" * 24))
        database = Database(address)
        await database.open()
        writer = GroupWriter(TokenSink(database))
        acknowledged: list[str] = []
        refused: list[BaseException] = []

        async def client(number: int) -> None:
            for n in range(100_000):
                try:
                    written = await writer.write(
                        a_write(f"c{number}-{n}", fingerprint=random_bytes(32))
                    )
                except (StrongroomError, asyncpg.PostgresError) as error:
                    refused.append(error)
                    return
                acknowledged.append(written.answer.decode())

        clients = [asyncio.create_task(client(number)) for number in range(24)]
        end = asyncio.get_running_loop().time() + 20
        while len(acknowledged) < 500 and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.005)
        process = embedded.process_id
        assert process is not None
        _kill_tree(process)
        await asyncio.wait_for(asyncio.gather(*clients), timeout=30)
        assert len(acknowledged) >= 500
        assert all(isinstance(e, StrongroomError) and e.status == 503 for e in refused), refused
        await asyncio.to_thread(embedded.attach)
        await database.close()
        fresh = await connect(address)
        try:
            async with fresh.transaction():
                await fresh.execute("select set_config('strongroom.merchants', $1, true)", MERCHANT)
                stored = {
                    row["token_id"] for row in await fresh.fetch("select token_id from vault.token")
                }
                events = await fresh.fetchval("select count(*) from audit.event")
        finally:
            await fresh.close()
        assert not set(acknowledged) - stored
        assert events == len(stored), "every token came with its record"


def _kill_tree(process: int) -> None:
    children = [
        int(entry)
        for entry in os.listdir("/proc")
        if entry.isdigit() and _parent_of(int(entry)) == process
    ]
    os.kill(process, signal.SIGKILL)
    for child in children:
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _parent_of(process: int) -> int | None:
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return None


async def test_a_database_that_is_away_answers_503_at_once(databases: Databases) -> None:
    database = Database(databases.server.address("no_such_database", Login.VAULT))
    writer = GroupWriter(TokenSink(database))
    answers = await asyncio.gather(
        *[writer.submit(a_write(f"away-{n}")) for n in range(3)], return_exceptions=True
    )
    assert all(isinstance(a, StrongroomError) and a.status == 503 for a in answers)
