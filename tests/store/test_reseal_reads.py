# SPDX-License-Identifier: Apache-2.0
"""A page that is sealed anew reads its own rows, whatever the planner knows of the table."""

import pytest

from database import Databases
from strongroom.crypto.ids import new_id, new_ids
from strongroom.crypto.random import random_bytes
from strongroom.db.logins import Domain
from strongroom.db.pool import connect

TOKENS = 1_500
PAGE = 40

_TOKENS = """
insert into vault.token (merchant_id, mode, token_id, sealed_number, key_version, brand, bin, last4, exp_month,
                         exp_year, fingerprint, fingerprint_version, single_use, created_by, created_at)
select $1, 'test', u.id, u.sealed, 1, 'synthetic', '000000', '1234', 12, 2034, u.print, 1, false, 'key_test', now()
  from unnest($2::text[], $3::bytea[], $4::bytea[]) as u (id, sealed, print)
"""
_DETAILS = """
insert into vault.token_detail (merchant_id, mode, token_id, field, sealed, key_version)
select $1, 'test', u.id, 'holder', u.sealed, 1 from unnest($2::text[], $3::bytea[]) as u (id, sealed)
"""
_IDENTITIES = """
insert into vault.card_identity
select $1, 'test', 1, u.print, u.id from unnest($2::text[], $3::bytea[]) as u (id, print)
"""
_READ = (
    "select coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::integer from pg_stat_xact_all_tables"
    " where schemaname = 'vault' and relname in ('token', 'token_detail', 'card_identity')"
)
_ONES = "array_fill(1, array[cardinality($2::text[])])"
_HOLDERS = "array_fill('holder'::text, array[cardinality($2::text[])])"
STATEMENTS = {
    "numbers": "select vault.reseal_tokens($1, 'test', $2, $3, $4, 2)",
    "details": f"select vault.reseal_details($1, 'test', $2, {_HOLDERS}, $3, $4, 2)",
    "fingerprints": f"select vault.move_fingerprints($1, 'test', $2, $3, {_ONES}, $4, 2)",
}


TABLES = (
    "('vault.token'::regclass, 'vault.token_detail'::regclass, 'vault.card_identity'::regclass)"
)
#: What the planner may know of the tables: nothing, after an import or a restore; how many rows, after a vacuum, which
#: looks at no column; only of merchants that were there before this one came; and all that there is.
KNOWLEDGE = {
    "nothing": (
        f"delete from pg_statistic where starelid in {TABLES}",
        f"update pg_class set reltuples = -1, relpages = 0 where oid in {TABLES}",
    ),
    "how many rows": (
        f"delete from pg_statistic where starelid in {TABLES}",
        f"update pg_class set reltuples = 300000, relpages = 9000 where oid in {TABLES}",
    ),
    "other merchants": (
        (
            "update pg_statistic set stadistinct = -1, stakind1 = 0, stakind2 = 0, stakind3 = 0, stanumbers1 = null,"
            " stavalues1 = null, stanumbers2 = null, stavalues2 = null, stanumbers3 = null"
            f" where starelid in {TABLES}"
        ),
        f"update pg_class set reltuples = 10000000, relpages = 300000 where oid in {TABLES}",
    ),
    "everything": (),
}


@pytest.mark.parametrize("known", KNOWLEDGE)
@pytest.mark.parametrize("what", STATEMENTS)
async def test_a_page_reads_its_own_rows(databases: Databases, what: str, known: str) -> None:
    merchant, ids = new_id("mer"), new_ids("tok", TOKENS)
    sealed = [random_bytes(80) for _ in ids]
    prints = [random_bytes(32) for _ in ids]
    olds = prints if what == "fingerprints" else sealed
    news = [random_bytes(len(olds[0])) for _ in range(PAGE)]
    connection = await connect(databases.administrator(Domain.VAULT))
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(_TOKENS, merchant, ids, sealed, prints)
        await connection.execute(_DETAILS, merchant, ids, sealed)
        await connection.execute(_IDENTITIES, merchant, ids, prints)
        await connection.execute("analyze vault.token, vault.token_detail, vault.card_identity")
        for statement in KNOWLEDGE[known]:
            await connection.execute(statement)
        before = await connection.fetchval(_READ)
        touched = await connection.fetchval(
            STATEMENTS[what], merchant, ids[:PAGE], olds[:PAGE], news
        )
        read = await connection.fetchval(_READ) - before
    finally:
        await transaction.rollback()
        await connection.close()
    assert touched == PAGE
    assert PAGE <= read <= 4 * PAGE
