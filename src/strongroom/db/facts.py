# SPDX-License-Identifier: Apache-2.0
"""What a login finds when it asks its database about itself: the facts that promise 8 is decided on."""

from typing import Final

from strongroom.config.safety import DatabaseFacts
from strongroom.db.address import Address
from strongroom.db.errors import translated
from strongroom.db.pool import connect

_FACTS: Final = """
select r.rolname as login, r.rolsuper as superuser, r.rolbypassrls as bypasses_rls,
       exists (select from pg_class c where c.relowner = r.oid) as owns_tables,
       current_setting('fsync') = 'on' as fsync,
       current_setting('synchronous_commit') in ('on', 'remote_apply', 'remote_write', 'local') as synchronous_commit
  from pg_roles r where r.rolname = current_user
"""


async def facts_of(address: Address, name: str) -> DatabaseFacts:
    """Ask a database about the login that asks.

    Raises:
        DatabaseAway: it does not answer.
    """
    connection = await connect(address)
    try:
        row = await connection.fetchrow(_FACTS)
    except Exception as error:
        raise translated(error) from None
    finally:
        await connection.close()
    return DatabaseFacts(
        name=name,
        login=row["login"],
        tls_verified=address.tls == "verify-full",
        superuser=row["superuser"],
        bypasses_rls=row["bypasses_rls"],
        owns_tables=row["owns_tables"],
        fsync=row["fsync"],
        synchronous_commit=row["synchronous_commit"],
    )
