# SPDX-License-Identifier: Apache-2.0
"""What each login may do, as a table; a row of a merchant for each table; and asking the server as a login."""

from typing import Any, Final

from database import Databases
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import connect

_READ = frozenset({"select"})
_ADD = frozenset({"select", "insert"})
#: All that a login may do with a table; `insert*` and `update*` are rights on some columns only.
RIGHTS: Final[dict[tuple[Domain, Login], dict[str, frozenset[str]]]] = {
    (Domain.VAULT, Login.VAULT): {
        "audit.address": _ADD,
        "audit.checkpoint": _READ,
        "audit.event": frozenset({"select", "insert*"}),
        "audit.tile": _READ,
        "audit.tree": _READ,
        "idempotency.request": _ADD,
        "keys.data_key": frozenset({"select", "insert", "update"}),
        "strongroom.migration": _READ,
        "vault.card_identity": frozenset({"select", "insert", "delete"}),
        "vault.cvc_epoch": _ADD,
        "vault.cvc_epoch_0": frozenset({"select", "truncate"}),
        "vault.cvc_epoch_1": frozenset({"select", "truncate"}),
        "vault.cvc_epoch_2": frozenset({"select", "truncate"}),
        "vault.cvc_epoch_3": frozenset({"select", "truncate"}),
        "vault.cvc_use": frozenset({"select", "insert", "delete"}),
        "vault.token": frozenset({"select", "insert", "update", "delete"}),
    },
    (Domain.VAULT, Login.SEALER): {
        "audit.checkpoint": _ADD,
        "audit.event": frozenset({"select", "insert*"}),
        "audit.tile": frozenset({"select", "insert", "update"}),
        "audit.tree": frozenset({"select", "insert", "update"}),
        "keys.data_key": _ADD,
        "strongroom.migration": _READ,
    },
    (Domain.CORE, Login.SEALER): {
        "audit.checkpoint": _ADD,
        "audit.event": frozenset({"select", "insert*"}),
        "audit.tile": frozenset({"select", "insert", "update"}),
        "audit.tree": frozenset({"select", "insert", "update"}),
        "keys.data_key": _ADD,
        "strongroom.migration": _READ,
    },
    (
        Domain.CORE,
        Login.VAULT,
    ): {  # authenticates its own callers, and sees nothing else of this database
        "identity.api_key": _READ,
        "identity.merchant": _READ,
        "keys.data_key": _ADD,
        "strongroom.migration": _READ,
    },
    (Domain.CORE, Login.GATEWAY): {
        "audit.address": _ADD,
        "audit.checkpoint": _READ,
        "audit.event": frozenset({"select", "insert*"}),
        "audit.tile": _READ,
        "audit.tree": _READ,
        "idempotency.request": _ADD,
        "identity.api_key": frozenset({"select", "insert", "update*"}),
        "identity.merchant": _READ,
        "keys.data_key": _ADD,
        "strongroom.migration": _READ,
    },
    (Domain.CORE, Login.CONSOLE): {
        "audit.address": _ADD,
        "audit.checkpoint": _READ,
        "audit.event": frozenset({"select", "insert*"}),
        "audit.tile": _READ,
        "audit.tree": _READ,
        "identity.api_key": frozenset({"select", "insert", "update*"}),
        "identity.merchant": frozenset({"select", "insert", "update*"}),
        "keys.data_key": frozenset({"select", "insert", "update*"}),
        "strongroom.migration": _READ,
    },
}
PAIRS: Final = sorted(RIGHTS)
PAIR_IDS: Final = [f"{login} in {domain}" for domain, login in PAIRS]
SCHEMAS: Final = "('audit', 'idempotency', 'identity', 'keys', 'strongroom', 'vault')"

#: One row of a merchant, for each table with tenants: what the server is told.
_HASH = "decode(md5(random()::text) || md5(random()::text), 'hex')"
ROWS: Final[dict[str, str]] = {
    "audit.address": f"(merchant_id, day, reference, salt, address) values ('{{m}}', now()::date, {_HASH}, '', '')",
    "audit.event": (
        "(event_id, merchant_id, mode, payload, leaf_hash, row_mac)"
        f" values ('{{aud}}', '{{m}}', 'test', '{{{{}}}}', {_HASH}, {_HASH})"
    ),
    "idempotency.request": (
        "(day, merchant_id, mode, route, key, claim, fingerprint, status, response)"
        f" values (now()::date, '{{m}}', 'test', 'r', '{{aud}}', 'c', {_HASH}, 201, '')"
    ),
    "identity.api_key": (
        "(merchant_id, mode, key_id, kind, key_hash, last4, name, permissions, created_by, created_at)"
        f" values ('{{m}}', 'test', '{{aud}}', 'sk', {_HASH}, 'abcd', 'n', '{{{{}}}}', 'x', now())"
    ),
    "identity.merchant": (
        "(merchant_id, name, status, created_at) values ('{m}', 'n', 'active', now())"
    ),
    "keys.data_key": (
        "(merchant_id, mode, name, version, purpose, state, wrapped, mac, made_at)"
        f" values ('{{m}}', 'test', '{{aud}}', 1, 'card', 'active', '', {_HASH}, now())"
    ),
    "vault.card_identity": (
        f"(merchant_id, mode, key_version, fingerprint, token_id) values ('{{m}}', 'test', 1, {_HASH}, 't')"
    ),
    "vault.cvc_use": (
        "(merchant_id, mode, cvc_id, used_at) values ('{m}', 'test', '{aud}', now())"
    ),
    "vault.token": (
        "(merchant_id, mode, token_id, sealed_number, key_version, brand, bin, last4, exp_month, exp_year,"
        " single_use, created_by, created_at)"
        " values ('{m}', 'test', '{aud}', '', 1, 'visa', '424242', '4242', 12, 2034, false, 'x', now())"
    ),
}
MINE, THEIRS, NOBODYS = new_id("mer"), new_id("mer"), new_id("mer")


def row_of(table: str, merchant: str) -> str:
    values = ROWS[table].format(m=merchant, aud=new_id("aud"))
    return f"insert into {table} {values}"


async def ask(databases: Databases, domain: Domain, sql: str, *values: object) -> list[Any]:
    connection = await connect(databases.administrator(domain))
    try:
        return [tuple(row) for row in await connection.fetch(sql, *values)]
    finally:
        await connection.close()


async def tenant_tables(databases: Databases, domain: Domain) -> list[Any]:
    """(table, row security, forced) of each table with tenants that is not a partition."""
    return await ask(
        databases,
        domain,
        f"""select n.nspname || '.' || c.relname, c.relrowsecurity, c.relforcerowsecurity
              from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where n.nspname in {SCHEMAS} and c.relkind in ('r', 'p') and not c.relispartition
               and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'merchant_id')
             order by 1""",
    )


async def as_login(
    databases: Databases,
    domain: Domain,
    login: Login,
    sql: str,
    *,
    merchants: str = MINE,
    **settings: str,
) -> list[Any]:
    """Run one statement as a login in a transaction that is rolled back."""
    connection = await connect(databases.address(domain, login))
    try:
        running = connection.transaction()
        await running.start()
        await connection.execute("select set_config('strongroom.merchants', $1, true)", merchants)
        for name, value in settings.items():
            await connection.execute("select set_config($1, $2, true)", f"strongroom.{name}", value)
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


async def people(databases: Databases) -> None:
    """Give two merchants a row in every table with tenants."""
    for domain in Domain:
        present = {table for table, _, _ in await tenant_tables(databases, domain)}
        # A key refers to its merchant.
        for table in sorted(present, key=lambda name: name != "identity.merchant"):
            for merchant in (MINE, THEIRS):
                await databases.run(domain, row_of(table, merchant))
