# SPDX-License-Identifier: Apache-2.0
"""Sabotage of promise 3: a Strongroom that acts and writes no record, whether Python or the database inserts it."""

import re

from database import Databases
from service import ComposerWithStore
from strongroom.audit import NewRecord
from strongroom.audit.recorder import EventRecorder
from strongroom.db.logins import Domain
from strongroom.db.pool import Database, Transaction, connect
from strongroom.keys.keyring import Keyring


class ForgetfulRecorder(EventRecorder):
    """Makes records, and does not insert them."""

    async def insert(self, tx: Transaction, record: NewRecord) -> None: ...


class ForgetfulComposer(ComposerWithStore):
    """Composes with a recorder that forgets."""

    async def recorder(self, database: Database, keyring: Keyring) -> EventRecorder:
        real = await super().recorder(database, keyring)
        real.__class__ = ForgetfulRecorder
        return real


async def forget_in(databases: Databases, domain: Domain, *functions: str) -> None:
    """Cut the audit log's insert out of functions that write many rows at once."""
    connection = await connect(databases.administrator(domain))
    try:
        for name in functions:
            found = await connection.fetch(
                "select pg_get_functiondef(oid) as source from pg_proc where proname = $1", name
            )
            assert found
            for row in found:  # one for each list of parameters that there is or was
                cut = re.sub(r"insert into audit\.event.*?;", "", row["source"], flags=re.DOTALL)
                assert cut != row["source"]
                await connection.execute(cut)
    finally:
        await connection.close()
