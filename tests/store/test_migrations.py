# SPDX-License-Identifier: Apache-2.0
"""Migrations on a real database: from nothing, again, from the future, altered, two at once; and what they made."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from database import Databases, Server
from strongroom import __version__
from strongroom.crypto.ids import new_id
from strongroom.db.errors import MigrationChanged, SchemaAhead, SchemaBehind
from strongroom.db.logins import LOGINS, Domain, Login
from strongroom.db.migrate import (
    Migration,
    migrate,
    migrations,
    pending,
    require_current,
)
from strongroom.db.pool import Database, connect
from strongroom.kernel.ids import id_floor

SCHEMAS = {
    Domain.VAULT: {"audit", "idempotency", "keys", "strongroom", "vault"},
    Domain.CORE: {
        "audit",
        "idempotency",
        "identity",
        "jobs",
        "keys",
        "payments",
        "strongroom",
        "webhooks",
    },
}
OURS = "'audit', 'idempotency', 'identity', 'jobs', 'keys', 'payments', 'strongroom', 'vault', 'webhooks'"
#: Everything that a migration can make, as text. Ids of objects are left out, so two databases can be compared.
SHAPE = f"""
select concat_ws(' ', n.nspname, c.relname, c.relkind, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity,
       (select string_agg(acl::text, ' ' order by acl::text)
          from unnest(coalesce(c.relacl, acldefault('r', c.relowner))) acl),
       (select string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attstorage,
                                    a.attcollation::regcollation, a.attacl), ', ' order by a.attnum)
          from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)) as shape
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where n.nspname in ({OURS})
union all
select concat_ws(' ', 'schema', nspname,
                 (select string_agg(acl::text, ' ' order by acl::text)
                    from unnest(coalesce(nspacl, acldefault('n', nspowner))) acl))
  from pg_namespace where nspname in ({OURS})
union all
select concat_ws(' ', 'function', p.oid::regprocedure, md5(p.prosrc), p.prosecdef,
                 (select string_agg(acl::text, ' ' order by acl::text)
                    from unnest(coalesce(p.proacl, acldefault('f', p.proowner))) acl))
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
 where n.nspname in ({OURS})
union all
select concat_ws(' ', 'policy', polrelid::regclass, polname, polcmd, pg_get_expr(polqual, polrelid)) from pg_policy
union all
select concat_ws(' ', 'trigger', tgrelid::regclass, pg_get_triggerdef(oid)) from pg_trigger where not tgisinternal
union all
select concat_ws(' ', 'constraint', conrelid::regclass, pg_get_constraintdef(oid)) from pg_constraint
 where connamespace::regnamespace::text in ({OURS})
 order by 1
"""


async def ask(server: Server, name: str, sql: str, *values: object) -> list[Any]:
    connection = await connect(server.administrator(name))
    try:
        return [tuple(row) for row in await connection.fetch(sql, *values)]
    finally:
        await connection.close()


async def tell(server: Server, name: str, *statements: str) -> None:
    await server.run(*statements, database=name)


@pytest.mark.parametrize("domain", Domain)
async def test_from_nothing_and_again(server: Server, domain: Domain) -> None:
    name = await server.blank(domain)
    owner = server.address(name, Login.OWNER)
    seen: list[str] = []
    known = migrations(domain)
    assert await migrate(owner, domain, seen.append) == len(known) == len(seen)
    assert seen == [migration.name for migration in known]
    shape = await ask(server, name, SHAPE)
    assert await migrate(owner, domain, seen.append) == 0
    assert len(seen) == len(known)
    assert await ask(server, name, SHAPE) == shape
    found = await ask(
        server, name, "select nspname from pg_namespace where nspowner = $1::regrole", Login.OWNER
    )
    assert {schema for (schema,) in found} == SCHEMAS[domain]
    await server.drop(name)


@pytest.mark.parametrize("domain", Domain)
async def test_the_history_says_what_ran(
    server: Server, databases: Databases, domain: Domain
) -> None:
    rows = await ask(
        server,
        databases.names[domain],
        "select number, name, digest, release, applied_at <= now() from strongroom.migration order by number",
    )
    assert rows == [(m.number, m.name, m.digest, __version__, True) for m in migrations(domain)]


@pytest.mark.parametrize("domain", Domain)
async def test_every_login_finds_the_schema_current(databases: Databases, domain: Domain) -> None:
    for login in sorted(LOGINS[domain] - {Login.OWNER}):
        await require_current(await databases.open(domain, login), domain)


async def test_a_newer_schema_is_refused(server: Server) -> None:
    name = await server.copy(Domain.VAULT)
    await tell(
        server,
        name,
        "insert into strongroom.migration values (9999, '9999_vault_expand_more.sql', 'x', '9.9.9')",
    )
    with pytest.raises(SchemaAhead, match="9999"):
        await migrate(server.address(name, Login.OWNER), Domain.VAULT)
    with pytest.raises(SchemaAhead):
        await checked(server, name, Login.VAULT)
    await server.drop(name)


async def test_a_changed_file_is_refused(server: Server) -> None:
    name = await server.copy(Domain.VAULT)
    await tell(server, name, "update strongroom.migration set digest = 'other' where number = 2")
    with pytest.raises(MigrationChanged, match="0002_both_expand_audit"):
        await migrate(server.address(name, Login.OWNER), Domain.VAULT)
    with pytest.raises(MigrationChanged):
        await checked(server, name, Login.SEALER)
    await server.drop(name)


async def test_an_older_schema_is_refused_at_start(server: Server) -> None:
    name = await server.copy(Domain.CORE)
    await tell(server, name, "delete from strongroom.migration where number = 7")
    with pytest.raises(SchemaBehind, match="0007_core_expand_identity"):
        await checked(server, name, Login.GATEWAY, Domain.CORE)
    await server.drop(name)


async def test_an_empty_database_is_refused_at_start(server: Server) -> None:
    name = await server.blank(Domain.VAULT)
    for login in (Login.VAULT, Login.OWNER):
        with pytest.raises(SchemaBehind, match="strongroom migrate"):
            await checked(server, name, login)
    await server.drop(name)


async def test_a_login_without_rights_is_told_to_migrate(server: Server) -> None:
    name = await server.copy(Domain.VAULT)
    await tell(server, name, "revoke all on schema strongroom from strongroom_vault")
    with pytest.raises(SchemaBehind, match="no rights"):
        await checked(server, name, Login.VAULT)
    # and migrating once more gives them back
    assert await migrate(server.address(name, Login.OWNER), Domain.VAULT) == 0
    await checked(server, name, Login.VAULT)
    await server.drop(name)


async def test_rights_that_somebody_added_are_taken_back(server: Server) -> None:
    name = await server.copy(Domain.VAULT)
    before = await ask(server, name, SHAPE)
    await tell(
        server,
        name,
        "grant delete, truncate on audit.event to strongroom_vault",
        "grant usage on schema vault to strongroom_sealer",
        "grant select on vault.token to strongroom_sealer, public",
        "grant execute on function audit.keep_partitions(integer) to public",
    )
    assert await ask(server, name, SHAPE) != before
    await migrate(server.address(name, Login.OWNER), Domain.VAULT)
    assert await ask(server, name, SHAPE) == before
    await server.drop(name)


async def test_two_at_once_migrate_once(server: Server) -> None:
    name = await server.blank(Domain.CORE)
    owner = server.address(name, Login.OWNER)
    ran = await asyncio.gather(*(migrate(owner, Domain.CORE) for _ in range(3)))
    assert sorted(ran) == [0, 0, len(migrations(Domain.CORE))]
    await server.drop(name)


KNOWN = [
    Migration(1, "0001_both_expand_a.sql", "expand", "both", "a"),
    Migration(3, "0003_core_expand_b.sql", "expand", "core", "b"),
]


@pytest.mark.parametrize(
    ("applied", "outcome"),
    [
        ({}, [1, 3]),
        ({1: KNOWN[0].digest}, [3]),
        ({3: KNOWN[1].digest}, [1]),
        ({1: KNOWN[0].digest, 3: KNOWN[1].digest}, []),
        ({1: KNOWN[0].digest, 2: "?"}, SchemaAhead),
        ({4: "?"}, SchemaAhead),
        ({1: KNOWN[1].digest}, MigrationChanged),
    ],
)
def test_what_is_pending(applied: dict[int, str], outcome: list[int] | type[Exception]) -> None:
    if isinstance(outcome, list):
        assert [migration.number for migration in pending(KNOWN, applied)] == outcome
    else:
        with pytest.raises(outcome):
            pending(KNOWN, applied)


async def test_ids_are_ordered_as_bytes(server: Server, databases: Databases) -> None:
    for name in databases.names.values():
        ((collation, provider),) = await ask(
            server,
            name,
            "select datcollate, datlocprovider::text from pg_database where datname = current_database()",
        )
        assert (collation, provider) == ("C", "c")


async def test_the_servers_id_floor_is_ours(databases: Databases, server: Server) -> None:
    moments = [
        datetime(2000, 1, 1, tzinfo=UTC),
        datetime(2026, 2, 28, 23, 59, 59, 999_000, tzinfo=UTC),
        datetime(2026, 3, 1, tzinfo=UTC),
        datetime(2099, 12, 31, 12, 34, 56, 789_000, tzinfo=UTC),
        datetime.now(UTC).replace(microsecond=0),
    ]
    rows = await ask(
        server,
        databases.names[Domain.VAULT],
        "select m, audit.id_floor(m) from unnest($1::timestamptz[]) as m",
        moments,
    )
    assert [floor for _, floor in rows] == [id_floor("aud", moment) for moment, _ in rows]


async def test_records_of_now_and_of_the_coming_months_have_a_partition(
    databases: Databases, server: Server
) -> None:
    name = databases.names[Domain.VAULT]
    bounds = await ask(
        server,
        name,
        "select pg_get_expr(c.relpartbound, c.oid) from pg_inherits i join pg_class c on c.oid = i.inhrelid"
        " where i.inhparent = 'audit.event'::regclass",
    )
    assert len(bounds) == 5  # the month before, this one, three ahead
    now = datetime.now(UTC)
    for moment in (now, now + timedelta(days=60), now - timedelta(days=25)):
        floor = id_floor("aud", moment)
        assert any(_bounds(text)[0] <= floor < _bounds(text)[1] for (text,) in bounds), (
            f"{floor} has no partition"
        )


async def test_keeping_partitions_twice_makes_none_twice(databases: Databases) -> None:
    database = await databases.open(Domain.VAULT, Login.VAULT)
    assert await database.value("select audit.keep_partitions(3)") == 0
    assert await database.value("select audit.keep_partitions(5)") == 2
    assert await database.value("select audit.keep_partitions(5)") == 0
    assert await database.value("select idempotency.keep_partitions(14, 3)") == 0
    assert await database.value("select idempotency.keep_partitions(15, 3)") == 1
    assert new_id("aud") < id_floor("aud", datetime.now(UTC) + timedelta(seconds=1))


async def checked(server: Server, name: str, login: Login, domain: Domain = Domain.VAULT) -> None:
    database = Database(server.address(name, login), connections_max=1)
    try:
        await require_current(database, domain)
    finally:
        await database.close()


def _bounds(text: str) -> tuple[str, str]:
    _, lower, _, upper, _ = text.split("'")
    return lower, upper


async def test_payments_of_before_the_ledger_open_its_books(server: Server) -> None:
    """What a database of the release before holds of payments is posted as the ledger's opening."""
    name = await server.copy(Domain.CORE)
    await tell(
        server,
        name,
        "drop table payments.posting",
        "drop policy books on payments.payment",
        "delete from strongroom.migration where name like '%ledger%'",
        "insert into payments.connection values ('mer_a', 'test', 'con_a', 'shop', 'simulator', 'acct', "
        "'by_reference', 'active', now(), now())",
        *(
            "insert into payments.payment (merchant_id, mode, payment_id, version, status, amount, currency, "
            "capture_method, connection_id, authorized, captured, voided, refunded, created_by, created_at, "
            "updated_at) values "
            f"('mer_a', 'test', '{payment}', 4, 'succeeded', 1000, 'AED', 'manual', {connection}, {amounts}, 'key_a', "
            "now(), now())"
            for payment, connection, amounts in (
                ("pay_part", "'con_a'", "1000, 600, 300, 250"),
                ("pay_held", "'con_a'", "700, 0, 0, 0"),
                ("pay_new", "null", "0, 0, 0, 0"),
            )
        ),
    )
    await migrate(server.address(name, Login.OWNER), Domain.CORE)
    assert await ask(
        server,
        name,
        "select payment_id, cause, debit, credit, amount from payments.posting order by payment_id, cause",
    ) == [
        ("pay_held", "opening:authorize", "holds", "authorizations", 700),
        ("pay_part", "opening:authorize", "holds", "authorizations", 1_000),
        ("pay_part", "opening:capture", "receivable", "sales", 600),
        ("pay_part", "opening:refund", "refunds", "receivable", 250),
        ("pay_part", "opening:release", "authorizations", "holds", 900),
    ]
    await server.drop(name)
