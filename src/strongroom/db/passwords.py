# SPDX-License-Identifier: Apache-2.0
"""A login's password at the server: whether it holds, and another in its place. A login changes its own.

Connections that are open stay open; new ones need the new password from the moment of the change.
"""

from collections.abc import Sequence
from dataclasses import replace

from strongroom.crypto import new_secret_text, scram_verifier
from strongroom.db.address import Address
from strongroom.db.errors import LoginRefused
from strongroom.db.pool import connect, connected
from strongroom.kernel.secret import Secret

_BITS = 256


class ServerAsksNoPassword(LoginRefused):
    """The server lets a login in with any password (`trust` in pg_hba.conf): none can be rotated there."""

    code = "database_asks_no_password"


class LoginPasswords:
    """A login's password, everywhere it logs in. Implements `keys.secrets.rotation.SecretHolder`."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses

    async def takes(self, password: Secret[str]) -> bool:
        """Tell whether every server lets the login in with this password. Raises DatabaseAway, ServerAsksNoPassword."""
        for address in self._addresses:
            if not await _lets_in(address, password):
                return False
            if await _lets_in(address, Secret(new_secret_text(_BITS))):
                raise ServerAsksNoPassword
        return True

    async def change(self, now: Secret[str], then: Secret[str]) -> None:
        """Change it wherever it is not changed yet. Raises LoginRefused if the present one holds no more."""
        for address in self._addresses:
            if not await _lets_in(address, then):
                await _change(address, now, then)


async def _lets_in(address: Address, password: Secret[str]) -> bool:
    try:
        connection = await connect(replace(address, password=password, passwords=None))
    except LoginRefused:
        return False
    await connection.close()
    return True


async def _change(address: Address, now: Secret[str], then: Secret[str]) -> None:
    async with connected(replace(address, password=now, passwords=None)) as connection:
        # What stands in the statement, and in a log of statements, opens nothing.
        literal = await connection.fetchval("select quote_literal($1)", scram_verifier(then))
        user = await connection.fetchval("select quote_ident(current_user)")
        await connection.execute(f"alter role {user} password {literal}")
