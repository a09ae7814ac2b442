# SPDX-License-Identifier: Apache-2.0
"""A moment of a database that is held to be dumped, on a real one."""

import pytest

from database import Databases
from polling import until
from strongroom.db.dumps import snapshot
from strongroom.db.errors import QueryFailed
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import connect


async def connections(databases: Databases, login: Login) -> int:
    """Count a login's connections to the vault's database, as the server sees them."""
    asking = await connect(databases.administrator(Domain.VAULT))
    try:
        return int(
            await asking.fetchval(
                "select count(*) from pg_stat_activity where datname = current_database() and usename = $1",
                login.value,
            )
        )
    finally:
        await asking.close()


async def require_none_left(databases: Databases, login: Login) -> None:
    """A login's connections are closed; the server sees it a moment later."""

    async def gone() -> bool:
        return await connections(databases, login) == 0

    await until(gone, what="the connection to be closed")


async def test_a_snapshot_holds_one_connection_for_as_long_as_it_lasts(
    databases: Databases,
) -> None:
    async with snapshot(databases.address(Domain.VAULT, Login.BACKUP)) as moment:
        assert moment.rows["vault.token"] == 0
        assert await connections(databases, Login.BACKUP) == 1
    await require_none_left(databases, Login.BACKUP)


async def test_a_snapshot_that_cannot_be_prepared_leaves_no_connection(
    databases: Databases,
) -> None:
    # The vault's login gets in, and may not read as a backup does: a statement after the first fails.
    with pytest.raises(QueryFailed) as refused:
        async with snapshot(databases.address(Domain.VAULT, Login.VAULT)):
            pass
    assert refused.value.sqlstate == "42501"
    await require_none_left(databases, Login.VAULT)
