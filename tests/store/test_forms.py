# SPDX-License-Identifier: Apache-2.0
"""What a column of the tables that payments write may hold is refused as it was by checks: by its name (ADR-0023)."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from database import Databases
from strongroom.db.logins import Domain
from strongroom.db.pool import connect

PAYMENT = """
insert into payments.payment (merchant_id, mode, payment_id, version, status, amount, currency, capture_method,
                              connection_id, created_by, created_at, updated_at)
values ('mer_1', 'test', 'pay_1', 1, 'processing', 100, 'AED', 'manual', 'con_1', 'key_1', now(), now())
"""
ROWS = (
    """
insert into payments.connection
values ('mer_1', 'test', 'con_1', 'x', 'simulator', 'x', 'by_reference', 'active', now(), now())
""",
    PAYMENT,
    """
insert into payments.attempt (merchant_id, mode, attempt_id, payment_id, operation, wish, connection_id, amount,
                              currency, created_at, lease_until)
values ('mer_1', 'test', 'att_1', 'pay_1', 'authorize', 'w', 'con_1', 100, 'AED', now(), now())
""",
    """
insert into payments.posting (merchant_id, mode, payment_id, cause, debit, credit, amount, currency, connection_id,
                              made_at)
values ('mer_1', 'test', 'pay_1', 'c', 'holds', 'authorizations', 1, 'AED', 'con_1', now())
""",
    """
insert into jobs.job (merchant_id, mode, kind, object_id, run_at, made_at)
values ('mer_1', 'test', 'lookup', 'att_1', now(), now())
""",
)
REFUSED = [
    ("payments.payment", "mode = 'both'", "payment_mode_check"),
    ("payments.payment", "status = 'paid'", "payment_status_check"),
    ("payments.payment", "version = 0", "payment_version_check"),
    ("payments.payment", "currency = 'DIRHAM'", "payment_currency_check"),
    ("payments.payment", "refunding = -1", "payment_refunding_check"),
    ("payments.payment", "last4 = '4'", "payment_last4_check"),
    ("payments.attempt", "operation = 'try'", "attempt_operation_check"),
    ("payments.attempt", "outcome = 'maybe', basis = 'answer'", "attempt_outcome_check"),
    ("payments.attempt", "basis = 'answer'", "attempt_check"),
    ("payments.attempt", "releases = -1", "attempt_releases_check"),
    ("payments.attempt", "browser = '{}'", "attempt_browser_check"),
    (
        "payments.attempt",
        """browser = '{"user_agent": "Mozilla/5.0"}'""",
        "attempt_browser_check",
    ),
    (
        "payments.attempt",
        "browser = jsonb_build_object('user_agent', repeat('M', 2049), 'accept_header', '*/*')",
        "attempt_browser_check",
    ),
    (
        "payments.attempt",
        "browser = jsonb_build_object('user_agent', 'M', 'accept_header', '*', 'more', repeat('x', 10000))",
        "attempt_browser_check",
    ),
    ("payments.posting", "debit = 'elsewhere'", "posting_debit_check"),
    ("payments.posting", "credit = debit", "posting_check"),
    ("payments.posting", "amount = 0", "posting_amount_check"),
    ("jobs.job", "kind = 'chore'", "job_kind_check"),
]


@pytest_asyncio.fixture(loop_scope="session")
async def written(databases: Databases) -> AsyncIterator[asyncpg.Connection]:
    """Rows that hold, in a transaction that is rolled back."""
    connection = await connect(databases.administrator(Domain.CORE))
    transaction = connection.transaction()
    await transaction.start()
    for row in ROWS:
        await connection.execute(row)
    yield connection
    await transaction.rollback()
    await connection.close()


@pytest.mark.parametrize(("table", "change", "constraint"), REFUSED)
async def test_a_row_that_has_not_its_form_is_refused_by_name(
    written: asyncpg.Connection, table: str, change: str, constraint: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await written.execute(f"update {table} set {change} where merchant_id = 'mer_1'")
    assert refused.value.constraint_name == constraint


async def test_a_row_of_another_form_is_not_inserted(written: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await written.execute(PAYMENT.replace("'processing'", "'paid'").replace("pay_1", "pay_2"))
    assert refused.value.constraint_name == "payment_status_check"


async def test_deliveries_have_ids_of_their_events_time(written: asyncpg.Connection) -> None:
    event = "evt_01KAZ12345ABCDEFGHJKMNPQRS"
    made = await written.fetch(
        "select webhooks.new_delivery_id($1) as id from generate_series(1, 1000)", event
    )
    ids = {str(row["id"]) for row in made}
    assert len(ids) == 1_000
    assert {(each[:14], len(each)) for each in ids} == {("dlv_" + event[4:14], 30)}
    assert set("".join(each[14:] for each in ids)) <= set("0123456789ABCDEF")
