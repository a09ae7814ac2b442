# SPDX-License-Identifier: Apache-2.0
"""Opens a connection with the password that holds now. Connections that are open do not notice a change of it."""

from typing import Any

import asyncpg

from strongroom.db.address import Address

_REFUSALS = (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)


async def dial(address: Address, *dsn: str | None, **arguments: Any) -> asyncpg.Connection:
    """Connect. Where the password may change, one that is refused is read anew, and the one under rotation tried.

    A pool gives its `dsn` first, which is None here. Raises what the driver raises; of several refusals the first.
    """
    source = address.passwords
    if source is None:
        password = address.password.expose() if address.password else None
        return await asyncpg.connect(*dsn, password=password, **arguments)
    try:
        return await asyncpg.connect(*dsn, password=(await source.at_hand()).expose(), **arguments)
    except _REFUSALS as refusal:
        first = refusal
    for candidate in await source.anew():
        try:
            connection = await asyncpg.connect(*dsn, password=candidate.expose(), **arguments)
        except _REFUSALS:
            continue
        source.held(candidate)
        return connection
    raise first
