# SPDX-License-Identifier: Apache-2.0
"""The second wall (promise 7): what each login may do, and which rows it sees, asked of the server as that login."""

from typing import Final

import asyncpg
import pytest
import pytest_asyncio

from database import Databases
from store.rights import (
    MINE,
    NOBODYS,
    NOT_A_ROLE,
    PAIR_IDS,
    PAIRS,
    RIGHTS,
    ROWS,
    SCHEMAS,
    THEIRS,
    as_login,
    ask,
    people,
    row_of,
    tenant_tables,
)
from strongroom.db.errors import QueryFailed
from strongroom.db.facts import facts_of
from strongroom.db.logins import LOGINS, Domain, Login
from strongroom.db.pool import connect


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def peopled(databases: Databases) -> Databases:
    """Databases in which two merchants have a row in every table."""
    await people(databases)
    return databases


BACKUPS: Final = [(domain, Login.BACKUP) for domain in Domain]


# --- rights ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("domain", "login"), PAIRS, ids=PAIR_IDS)
async def test_a_login_may_do_what_is_listed_and_nothing_else(
    databases: Databases, domain: Domain, login: Login
) -> None:
    rows = await ask(
        databases,
        domain,
        f"""select n.nspname || '.' || c.relname, lower(p),
                   has_table_privilege($1, c.oid, p)
              from pg_class c join pg_namespace n on n.oid = c.relnamespace,
                   unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) p
             where n.nspname in {SCHEMAS} and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
               and (has_table_privilege($1, c.oid, p)
                    or (p in ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') and has_any_column_privilege($1, c.oid, p)))
        """,
        login.value,
    )
    found: dict[str, set[str]] = {}
    for table, word, whole in rows:
        found.setdefault(table, set()).add(word if whole else f"{word}*")
    assert found == RIGHTS[domain, login]


async def test_no_login_may_choose_a_records_transaction(databases: Databases) -> None:
    """The sealer finds records by it: one with an old number would never be looked at."""
    for domain, login in PAIRS:
        if "audit.event" in RIGHTS[domain, login]:
            rows = await ask(
                databases,
                domain,
                "select has_column_privilege($1, 'audit.event', 'xid', 'INSERT')",
                login.value,
            )
            assert rows == [(False,)]


@pytest.mark.parametrize("domain", Domain)
async def test_every_login_that_connects_is_listed(databases: Databases, domain: Domain) -> None:
    rows = await ask(
        databases,
        domain,
        "select rolname from pg_roles where rolcanlogin and not rolsuper"
        " and has_database_privilege(rolname, current_database(), 'CONNECT')",
    )
    assert {name for (name,) in rows} == {login.value for login in LOGINS[domain]}
    assert {login for place, login in RIGHTS if place == domain} == LOGINS[domain] - NOT_A_ROLE


async def test_a_login_of_the_core_cannot_connect_to_the_vault(databases: Databases) -> None:
    for login in LOGINS[Domain.CORE] - LOGINS[Domain.VAULT]:
        with pytest.raises(QueryFailed) as refused:
            await connect(databases.address(Domain.VAULT, login))
        assert refused.value.sqlstate == asyncpg.InsufficientPrivilegeError.sqlstate


async def test_logins_are_nothing_and_own_nothing(databases: Databases) -> None:
    for domain in Domain:
        rows = await ask(
            databases,
            domain,
            """select rolname, rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls,
                      (select count(*) from pg_auth_members m where m.member = r.oid),
                      (select count(*) from pg_shdepend d where d.refobjid = r.oid and d.deptype = 'o')
                 from pg_roles r where rolname like 'strongroom%' and rolname <> 'strongroom_bootstrap'""",
        )
        assert {name for name, *_ in rows} == {login.value for login in Login}
        for name, mighty, member_of, owns in rows:
            assert not mighty
            assert member_of == 0
            assert (owns > 0) == (name == Login.OWNER)
    for domain, login in PAIRS:
        facts = await facts_of(databases.address(domain, login), "it")
        assert (facts.superuser, facts.bypasses_rls, facts.owns_tables) == (False, False, False)


@pytest.mark.parametrize("domain", Domain)
async def test_the_backups_login_reads_every_row_of_every_table_and_changes_none(
    peopled: Databases, domain: Domain
) -> None:
    rows = await ask(
        peopled,
        domain,
        f"""select c.oid::regclass::text, lower(p), has_table_privilege($1, c.oid, p)
              from pg_class c join pg_namespace n on n.oid = c.relnamespace,
                   unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) p
             where n.nspname in {SCHEMAS} and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')""",
        Login.BACKUP.value,
    )
    assert len(rows) > 100
    for table, word, may in rows:
        assert may == (word == "select"), table
    for table, _, _ in await tenant_tables(peopled, domain):
        seen = await as_login(
            peopled, domain, Login.BACKUP, f"select count(*) from {table}", merchants=""
        )
        assert seen == await ask(peopled, domain, f"select count(*) from {table}")


async def test_the_backups_login_reads_a_partition_that_came_by_itself(
    databases: Databases,
) -> None:
    await databases.run(
        Domain.VAULT,
        "create table idempotency.request_20990101 partition of idempotency.request"
        " for values from ('2099-01-01') to ('2099-01-02')",
        "alter table idempotency.request_20990101 enable row level security, force row level security",
        "alter table idempotency.request_20990101 owner to strongroom_owner",
    )
    let = "select strongroom.let_backup_read()"
    assert await as_login(databases, Domain.VAULT, Login.BACKUP, let) == [(2,)]


@pytest.mark.parametrize("domain", Domain)
async def test_the_public_has_no_right_at_all(databases: Databases, domain: Domain) -> None:
    rows = await ask(
        databases,
        domain,
        f"""select 'schema ' || nspname from pg_namespace
             where (nspname in {SCHEMAS} or nspname = 'public')
               and (has_schema_privilege('public', oid, 'USAGE') or has_schema_privilege('public', oid, 'CREATE'))
            union all
            select 'function ' || p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace
             where n.nspname in {SCHEMAS} and has_function_privilege('public', p.oid, 'EXECUTE')
               and p.prorettype <> 'trigger'::regtype
               and p.proowner = 'strongroom_owner'::regrole  -- a range type's constructors are the server's own
            union all
            select 'database' where has_database_privilege('public', current_database(), 'CONNECT')
                                 or has_database_privilege('public', current_database(), 'TEMPORARY')
        """,
    )
    assert rows == []


@pytest.mark.parametrize("domain", Domain)
async def test_nobody_has_a_right_on_a_partition(databases: Databases, domain: Domain) -> None:
    """Rights and policies are the whole table's. CVC keys have no tenant, and their slots are truncated one by one."""
    rows = await ask(
        databases,
        domain,
        """select c.oid::regclass::text, r.rolname, c.relrowsecurity and c.relforcerowsecurity
             from pg_class c
             left join pg_roles r on r.rolname in (select unnest($1::text[]))
                  and (has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
                       or has_any_column_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE'))
            where c.relispartition and c.relkind = 'r' and c.oid::regclass::text not like 'vault.cvc_epoch%'""",
        [login.value for login in Login if login not in NOT_A_ROLE],
    )
    assert len(rows) > 10
    assert all(login is None and protected for _, login, protected in rows)


@pytest.mark.parametrize(
    "attempt",
    [
        "set role strongroom_owner",
        "set session authorization strongroom_owner",
        "set session_replication_role = replica",
        "create table public.mine (a int)",
        "create temporary table mine (a int)",
        "create schema mine",
        "alter table audit.event disable trigger all",
        "alter table audit.event no force row level security",
        "drop policy tenant on audit.event",
        "copy audit.event to '/tmp/x'",
        "select pg_read_file('PG_VERSION')",
        "select lo_import('/etc/passwd')",
        "alter role strongroom_vault superuser",
        "alter system set fsync = off",
    ],
)
@pytest.mark.parametrize(
    ("domain", "login"), [*PAIRS, *BACKUPS], ids=[*PAIR_IDS, *map(str, Domain)]
)
async def test_a_login_cannot_raise_itself(
    databases: Databases, domain: Domain, login: Login, attempt: str
) -> None:
    connection = await connect(databases.address(domain, login))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(attempt)
    finally:
        await connection.close()


# --- rows --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("domain", Domain)
async def test_row_security_is_forced_on_every_table_with_tenants(
    databases: Databases, domain: Domain
) -> None:
    tables = await tenant_tables(databases, domain)
    assert {table for table, _, _ in tables} <= set(ROWS)
    assert all(enabled and forced for _, enabled, forced in tables)
    everywhere = {table for each in Domain for table, _, _ in await tenant_tables(databases, each)}
    assert everywhere == set(ROWS)


def readable() -> list[tuple[Domain, Login, str]]:
    return [
        (domain, login, table)
        for (domain, login), tables in sorted(RIGHTS.items())
        for table, words in sorted(tables.items())
        if table in ROWS and "select" in words
    ]


READABLE: Final = readable()
READABLE_IDS: Final = [f"{table} as {login} in {domain}" for domain, login, table in READABLE]
#: Who sees every merchant's rows of a table, by a policy of its own.
SEES_ALL: Final = {
    (Domain.VAULT, Login.SEALER, "audit.event"),
    (Domain.CORE, Login.SEALER, "audit.event"),
    (Domain.CORE, Login.CONSOLE, "identity.merchant"),
    (Domain.CORE, Login.WORKER, "jobs.job"),
}


@pytest.mark.parametrize(("domain", "login", "table"), READABLE, ids=READABLE_IDS)
async def test_another_merchants_rows_are_invisible(
    peopled: Databases, domain: Domain, login: Login, table: str
) -> None:
    sql = f"select distinct merchant_id from {table} where merchant_id like 'mer%'"
    mine = {name for (name,) in await as_login(peopled, domain, login, sql)}
    both = {
        name
        for (name,) in await as_login(
            peopled, domain, login, sql, merchants=f"{MINE},{THEIRS},{NOBODYS}"
        )
    }
    none = await as_login(peopled, domain, login, sql, merchants="")
    assert both == {MINE, THEIRS}
    if (domain, login, table) in SEES_ALL:
        assert mine == both
    else:
        assert mine == {MINE}
        assert none == []
        # `%` and `_` are no wildcards, an empty name is no merchant, and a part is not the whole
        for tried in ("%", MINE[:-1], f"{MINE} ", f"'{MINE}'", ","):
            assert await as_login(peopled, domain, login, sql, merchants=tried) == []


ADDABLE: Final = [
    (domain, login, table)
    for (domain, login), tables in sorted(RIGHTS.items())
    for table, words in sorted(tables.items())
    if table in ROWS and {"insert", "insert*"} & words
]


@pytest.mark.parametrize(
    ("domain", "login", "table"),
    ADDABLE,
    ids=[f"{table} as {login} in {domain}" for domain, login, table in ADDABLE],
)
async def test_a_row_of_another_merchant_cannot_be_added(
    peopled: Databases, domain: Domain, login: Login, table: str
) -> None:
    await as_login(
        peopled, domain, login, row_of(table, NOBODYS if table == "identity.merchant" else MINE),
        merchants=NOBODYS if table == "identity.merchant" else MINE,
    )  # fmt: skip
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await as_login(peopled, domain, login, row_of(table, THEIRS))


@pytest.mark.parametrize(
    ("login", "domain", "change"),
    [
        (Login.VAULT, Domain.VAULT, "update vault.token set last4 = '0000' returning token_id"),
        (Login.VAULT, Domain.VAULT, "delete from vault.token returning token_id"),
        (Login.VAULT, Domain.VAULT, "delete from vault.card_identity returning token_id"),
        (Login.VAULT, Domain.VAULT, "delete from vault.cvc_use returning cvc_id"),
        (Login.VAULT, Domain.VAULT, "update keys.data_key set state = 'destroyed' returning name"),
        (Login.GATEWAY, Domain.CORE, "update identity.api_key set revoked_at = now() returning key_id"),
        (Login.CONSOLE, Domain.CORE, "update identity.api_key set revoked_at = now() returning key_id"),
        (Login.VAULT, Domain.VAULT, "update vault.connection set status = 'disabled' returning connection_id"),
        (Login.GATEWAY, Domain.CORE, "update payments.connection set status = 'disabled' returning connection_id"),
        (Login.GATEWAY, Domain.CORE, "update payments.payment set status = 'canceled' returning payment_id"),
        (Login.GATEWAY, Domain.CORE, "update payments.attempt set advice = 'x' returning attempt_id"),
        (Login.GATEWAY, Domain.CORE, "update payments.refund set status = 'failed' returning refund_id"),
        (Login.GATEWAY, Domain.CORE, "update webhooks.endpoint set status = 'disabled' returning endpoint_id"),
        (Login.GATEWAY, Domain.CORE, "update webhooks.source set status = 'disabled' returning connection_id"),
        (Login.GATEWAY, Domain.CORE, "update idempotency.request set status = 200 returning key"),
        (Login.GATEWAY, Domain.CORE, "update jobs.job set run_at = now() returning object_id"),
        (Login.GATEWAY, Domain.CORE, "delete from jobs.job returning object_id"),
        (Login.WORKER, Domain.CORE, "update payments.payment set status = 'canceled' returning payment_id"),
        (Login.WORKER, Domain.CORE, "update payments.attempt set advice = 'x' returning attempt_id"),
        (Login.WORKER, Domain.CORE, "update payments.refund set status = 'failed' returning refund_id"),
        (Login.WORKER, Domain.CORE, "update webhooks.delivery set status = 'failed' returning delivery_id"),
        (Login.WORKER, Domain.CORE, "update webhooks.endpoint set status = 'disabled' returning endpoint_id"),
        (Login.WORKER, Domain.CORE, "update idempotency.request set status = 200 returning key"),
        (
            Login.WORKER,
            Domain.CORE,
            "update webhooks.notice set state = 'handled', result = 'x', handled_at = now() returning notice_id",
        ),
        (Login.WEBHOOKS, Domain.CORE, "update jobs.job set run_at = now() returning object_id"),
    ],
)  # fmt: skip
async def test_another_merchants_rows_cannot_be_changed(
    peopled: Databases, login: Login, domain: Domain, change: str
) -> None:
    assert len(await as_login(peopled, domain, login, change)) == 1
    assert len(await as_login(peopled, domain, login, change, merchants=NOBODYS)) == 0


async def test_a_row_cannot_be_given_to_another_merchant(peopled: Databases) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await as_login(
            peopled, Domain.VAULT, Login.VAULT, f"update vault.token set merchant_id = '{THEIRS}'"
        )  # fmt: skip


async def test_what_was_asked_for_cannot_be_changed_and_no_job_be_given_away(
    peopled: Databases,
) -> None:
    """Nobody has the right to, whatever rows it sees."""
    for login in (Login.GATEWAY, Login.WORKER):
        for change in (
            "update payments.payment set amount = 2",
            "update payments.payment set currency = 'EUR'",
            "update payments.payment set merchant_id = merchant_id",
            "update payments.attempt set amount = 2",
            "update payments.attempt set wish = 'x'",
            "update payments.refund set amount = 2",
            "update webhooks.event set payload = ''",
            "update jobs.job set merchant_id = merchant_id",
            "delete from payments.payment",
            "delete from payments.attempt",
            "delete from webhooks.notice",
            "delete from webhooks.event",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                await as_login(peopled, Domain.CORE, login, change)


async def test_the_worker_takes_every_merchants_jobs_and_opens_nothing_of_theirs_before_it_states_them(
    peopled: Databases,
) -> None:
    change = "update jobs.job set run_at = now(), tries = tries + 1 returning merchant_id"
    found = await as_login(peopled, Domain.CORE, Login.WORKER, change, merchants="")
    assert {name for (name,) in found} == {MINE, THEIRS}
    for table in ("payments.payment", "webhooks.notice", "webhooks.delivery"):
        sql = f"select merchant_id from {table}"
        assert await as_login(peopled, Domain.CORE, Login.WORKER, sql, merchants="") == []


@pytest.mark.parametrize(
    ("table", "column", "setting", "logins"),
    [
        (
            "webhooks.source",
            "connection_id",
            "presented_connection",
            (Login.GATEWAY, Login.WEBHOOKS),
        ),
        (
            "payments.payment",
            "payment_id",
            "presented_payment",
            (Login.GATEWAY, Login.WORKER, Login.WEBHOOKS),
        ),
    ],
)
async def test_whoever_names_an_id_sees_that_row_and_may_not_change_it(
    peopled: Databases, table: str, column: str, setting: str, logins: tuple[Login, ...]
) -> None:
    ((theirs,),) = await ask(
        peopled, Domain.CORE, f"select {column} from {table} where merchant_id = $1", THEIRS
    )
    sql = f"select merchant_id from {table}"
    for login in logins:
        for presented, seen in ((theirs, [(THEIRS,)]), (theirs[:-1], []), ("", []), ("%", [])):
            named = {setting: presented}
            assert await as_login(peopled, Domain.CORE, login, sql, merchants="", **named) == seen
    change = f"update {table} set status = status returning {column}"
    named = {setting: theirs}
    assert await as_login(
        peopled, Domain.CORE, Login.GATEWAY, change, merchants="", **named
    ) == []  # fmt: skip


async def test_whoever_presents_a_keys_hash_sees_that_key_and_its_merchant(
    peopled: Databases,
) -> None:
    ((theirs,),) = await ask(
        peopled,
        Domain.CORE,
        "select encode(key_hash, 'hex') from identity.api_key where merchant_id = $1",
        THEIRS,
    )
    for sql in (
        "select merchant_id from identity.api_key",
        "select merchant_id from identity.merchant",
    ):
        for login in (Login.VAULT, Login.GATEWAY):
            for presented, seen in ((theirs, [(THEIRS,)]), ("00" * 32, []), ("", [])):
                found = await as_login(
                    peopled, Domain.CORE, login, sql, merchants="", presented_key=presented
                )
                assert found == seen
    # To see is not to change: the policy is for looking.
    ended = "update identity.api_key set revoked_at = now() returning merchant_id"
    for login in (Login.GATEWAY, Login.CONSOLE):
        found = await as_login(
            peopled, Domain.CORE, login, ended, merchants="", presented_key=theirs
        )
        assert found == []


async def test_a_key_that_has_ended_stays_ended_whoever_asks(peopled: Databases) -> None:
    """The vault, which ends a key that names a honeytoken, changes nothing of one but by the function for that."""
    ((key,),) = await ask(
        peopled, Domain.CORE, "select key_id from identity.api_key where merchant_id = $1", MINE
    )
    for change in (
        "revoked_at = null",
        "revoked_at = now()",
        "permissions = '{}'",
        "expires_at = null",
        "key_hash = ''",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
            await as_login(
                peopled, Domain.CORE, Login.VAULT, f"update identity.api_key set {change}"
            )
    end = f"select identity.end_key('{MINE}', 'test', '{key}')"
    when = f"select revoked_at is not null from identity.api_key where key_id = '{key}'"
    for login in (Login.VAULT, Login.GATEWAY, Login.CONSOLE):
        assert await as_login(peopled, Domain.CORE, login, end) == [("sk",)]
        # Nothing of another tenant's, nor of none that is stated.
        for merchants in (THEIRS, ""):
            assert await as_login(peopled, Domain.CORE, login, end, merchants=merchants) == [
                (None,)
            ]
    await peopled.run(
        Domain.CORE,
        f"update identity.api_key set revoked_at = now() - interval '1 day' where key_id = '{key}'",
    )
    for login in (Login.GATEWAY, Login.CONSOLE):
        for value in ("null", "now()", "'infinity'"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="stays ended"):
                await as_login(
                    peopled, Domain.CORE, login, f"update identity.api_key set revoked_at = {value}"
                )
    # Ended twice is ended once.
    for login in (Login.VAULT, Login.GATEWAY, Login.CONSOLE):
        assert await as_login(peopled, Domain.CORE, login, end) == [("sk",)]
        assert await as_login(peopled, Domain.CORE, login, when) == [(True,)]
    for login in (Login.SEALER, Login.WORKER, Login.WEBHOOKS):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_login(peopled, Domain.CORE, login, end)


#: Table, what names a row of it, what states that, what would change it.
PRESENTED: Final = [
    ("identity.person", "email", "presented_email", "status = status"),
    ("identity.person", "person_id", "presented_person", "status = status"),
    ("identity.invitation", "encode(link_hash, 'hex')", "presented_link", "openings = 9"),
    ("identity.invitation", "encode(ticket_hash, 'hex')", "presented_ticket", "openings = 9"),
]


@pytest.mark.parametrize(("table", "column", "setting", "change"), PRESENTED)
async def test_before_a_login_that_one_row_is_seen_and_not_changed(
    peopled: Databases, table: str, column: str, setting: str, change: str
) -> None:
    await peopled.run(
        Domain.CORE,
        "update identity.invitation set ticket_hash = sha256(link_hash), ticket_expires_at = now()",
    )
    ((theirs,),) = await ask(
        peopled, Domain.CORE, f"select {column} from {table} where merchant_id = $1", THEIRS
    )
    sql = f"select merchant_id from {table}"
    for presented, seen in (
        (theirs, [(THEIRS,)]),
        ("0" * len(theirs), []),
        ("", []),
    ):
        named = {setting: presented}
        found = await as_login(peopled, Domain.CORE, Login.CONSOLE, sql, merchants="", **named)
        assert found == seen
    named = {setting: theirs}
    update = f"update {table} set {change} returning merchant_id"
    assert await as_login(
        peopled, Domain.CORE, Login.CONSOLE, update, merchants="", **named
    ) == []  # fmt: skip
    hashes = "select merchant_id from identity.password"
    assert await as_login(
        peopled, Domain.CORE, Login.CONSOLE, hashes, merchants="", **named
    ) == []  # fmt: skip


async def test_retention_sees_only_what_has_run_out(peopled: Databases) -> None:
    sql = "select merchant_id from vault.token"
    assert await as_login(
        peopled, Domain.VAULT, Login.VAULT, sql, merchants="", job="expiry"
    ) == []  # fmt: skip
    await peopled.run(
        Domain.VAULT,
        f"update vault.token set expires_at = now() - interval '1 s' where merchant_id = '{THEIRS}'",
    )
    assert await as_login(
        peopled, Domain.VAULT, Login.VAULT, sql, merchants="", job="expiry"
    ) == [(THEIRS,)]  # fmt: skip
    assert await as_login(peopled, Domain.VAULT, Login.VAULT, sql, merchants="", job="x") == []
