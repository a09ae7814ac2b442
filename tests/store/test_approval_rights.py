# SPDX-License-Identifier: Apache-2.0
"""Whoever holds a listener's login cannot approve: neither change what waits, nor add what is approved already."""

import asyncpg
import pytest

from database import Databases
from store.rights import MINE, THEIRS, as_login, row_of
from strongroom.db.logins import Domain, Login

DECIDED = "update identity.approval set state = 'approved', decided_by = 'y', decided_at = now()"
PERMITTED = (
    "insert into identity.approval (merchant_id, approval_id, mode, action, listener, method, route, fingerprint,"
    f" requested_by, requested_at, expires_at, state) values ('{MINE}', 'a', 'test', 'a', 'l', 'POST', '/',"
    " decode(repeat('00', 32), 'hex'), 'x', now(), now(), 'approved')"
)


#: The listeners that ask for approvals and use them, and decide none.
ASKING = pytest.mark.parametrize("login", [Login.GATEWAY, Login.VAULT])


@ASKING
@pytest.mark.parametrize("statement", [DECIDED, PERMITTED])
async def test_a_listener_cannot_approve(
    databases: Databases, statement: str, login: Login
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await as_login(databases, Domain.CORE, login, statement)


@pytest.mark.parametrize("login", [Login.WORKER, Login.WEBHOOKS, Login.SEALER])
async def test_others_do_not_see_them(databases: Databases, login: Login) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await as_login(databases, Domain.CORE, login, "select 1 from identity.approval")


@pytest.mark.parametrize(
    "change",
    [
        "state = 'approved'",  # by nobody
        "state = 'approved', decided_by = requested_by",  # by themselves
        "used_at = now()",  # not approved
        "state = 'approved', decided_by = 'y', used_at = expires_at",  # too late
    ],
)
async def test_the_table_itself_refuses(databases: Databases, change: str) -> None:
    await databases.run(Domain.CORE, row_of("identity.approval", MINE))
    with pytest.raises(asyncpg.CheckViolationError):
        await as_login(
            databases, Domain.CORE, Login.CONSOLE, f"update identity.approval set {change}"
        )


@ASKING
async def test_a_listener_sees_no_name_of_a_person(databases: Databases, login: Login) -> None:
    for column in ("email", "name"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_login(databases, Domain.CORE, login, f"select {column} from identity.person")


@pytest.mark.parametrize("table", ["identity.approval", "identity.break_glass"])
async def test_the_jobs_see_whose_is_over_and_change_nothing_by_it(
    databases: Databases, table: str
) -> None:
    """Every tenant's that is open, for the console's login, when it states that it is the job; nothing else."""
    await databases.run(Domain.CORE, row_of(table, THEIRS))
    sql = f"select merchant_id from {table}"
    seen = await as_login(databases, Domain.CORE, Login.CONSOLE, sql, merchants="", job="expiry")
    assert (THEIRS,) in seen
    assert await as_login(databases, Domain.CORE, Login.CONSOLE, sql, merchants="", job="x") == []
    assert await as_login(databases, Domain.CORE, Login.CONSOLE, sql, merchants="") == []
    changed = {
        "identity.approval": "update identity.approval set state = 'expired' returning merchant_id",
        "identity.break_glass": "update identity.break_glass set ended_at = now() returning merchant_id",
    }[table]
    assert (
        await as_login(databases, Domain.CORE, Login.CONSOLE, changed, merchants="", job="expiry")
        == []
    )


@ASKING
async def test_a_listener_is_no_job(databases: Databases, login: Login) -> None:
    await databases.run(Domain.CORE, row_of("identity.approval", THEIRS))
    sql = "select merchant_id from identity.approval"
    assert await as_login(databases, Domain.CORE, login, sql, merchants="", job="expiry") == []
