# SPDX-License-Identifier: Apache-2.0
"""The logins: one a role, NOSUPERUSER, NOBYPASSRLS, owner of nothing, with a random SCRAM secret (ARCHITECTURE.md §6).

Only `prepare` uses an administrator's login, and only to make these; the owner is used by migrations alone.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import resources
from typing import Final

import asyncpg

from strongroom.config.roles import ServedRole
from strongroom.db.address import Address
from strongroom.db.errors import translated
from strongroom.db.pool import connect
from strongroom.kernel.invariant import invariant
from strongroom.kernel.secret import Secret


class Login(enum.StrEnum):
    """Who logs in."""

    #: Reads everything and writes nothing: what `strongroom backup` logs in as, and no role of the product.
    BACKUP = "strongroom_backup"
    CONSOLE = "strongroom_console"
    GATEWAY = "strongroom_gateway"
    OWNER = "strongroom_owner"
    SEALER = "strongroom_sealer"
    VAULT = "strongroom_vault"
    WEBHOOKS = "strongroom_webhooks"
    WORKER = "strongroom_worker"


class Domain(enum.StrEnum):
    """Which of the two databases."""

    CORE = "core"
    VAULT = "vault"


#: Who logs in where.
LOGINS: Final[Mapping[Domain, frozenset[Login]]] = {
    Domain.VAULT: frozenset({Login.BACKUP, Login.OWNER, Login.VAULT, Login.SEALER}),
    Domain.CORE: frozenset(Login),
}
#: Which logins each role of the product takes, and no others.
ROLE_LOGINS: Final[Mapping[ServedRole, frozenset[tuple[Domain, Login]]]] = {
    ServedRole.VAULT: frozenset(
        {(Domain.VAULT, Login.VAULT), (Domain.VAULT, Login.SEALER), (Domain.CORE, Login.VAULT)}
    ),
    ServedRole.GATEWAY: frozenset({(Domain.CORE, Login.GATEWAY), (Domain.CORE, Login.SEALER)}),
    ServedRole.WEBHOOKS: frozenset({(Domain.CORE, Login.WEBHOOKS)}),
    ServedRole.CONSOLE: frozenset({(Domain.CORE, Login.CONSOLE)}),
    ServedRole.WORKER: frozenset({(Domain.CORE, Login.WORKER)}),
}

_ATTRIBUTES: Final = (
    "select rolsuper, rolbypassrls, rolreplication from pg_roles where rolname = $1"
)


def logins_of(roles: Iterable[ServedRole]) -> list[tuple[Domain, Login]]:
    """Return which logins these roles take: the vault database's first, then by name."""
    taken = {login for role in roles for login in ROLE_LOGINS[role]}
    return sorted(taken, key=lambda each: (each[0] is Domain.CORE, each[1]))


def domains_of(roles: Iterable[ServedRole]) -> frozenset[Domain]:
    """Return whose databases these roles reach."""
    return frozenset(domain for domain, _ in logins_of(roles))


async def prepare(
    administrator: Address, domain: Domain, database: str, secrets: Mapping[Login, Secret[str]]
) -> None:
    """Make the logins and the database, or bring them to what they should be. May be run again.

    `administrator` names a login that may create roles and databases, connected to any existing database.
    """
    connection = await connect(administrator)
    try:
        for login in Login:
            await _prepare_login(connection, login, secrets[login])
        exists = await connection.fetchval("select 1 from pg_database where datname = $1", database)
        quoted = _identifier(database)
        if not exists:
            await connection.execute(f"grant {Login.OWNER} to current_user")
            # Ids are ordered as bytes, whatever language the server speaks.
            await connection.execute(
                f"create database {quoted} owner {Login.OWNER} template template0 encoding 'UTF8' "
                "locale_provider libc locale 'C'"
            )
        await connection.execute(f"revoke all on database {quoted} from public")
        for login in LOGINS[domain]:
            await connection.execute(f"grant connect on database {quoted} to {login}")
    except Exception as error:
        raise translated(error) from None
    finally:
        await connection.close()
    inside = await connect(replace(administrator, database=database))
    try:
        await inside.execute("revoke all on schema public from public")
    except Exception as error:
        raise translated(error) from None
    finally:
        await inside.close()


async def _prepare_login(connection: asyncpg.Connection, login: Login, secret: Secret[str]) -> None:
    role = await connection.fetchrow(_ATTRIBUTES, login.value)
    if role is None:
        await connection.execute(f"create role {login}")
    elif any(role):
        # Only a superuser may even name these attributes, and a managed server's administrator is none: they are
        # named only where they are wrong.
        await connection.execute(f"alter role {login} nosuperuser nobypassrls noreplication")
    # A role's password cannot be a bound parameter; the server's own quoting keeps the text a literal.
    literal = await connection.fetchval("select quote_literal($1)", secret.expose())
    await connection.execute(
        f"alter role {login} login nocreatedb nocreaterole inherit password {literal}"
    )
    if login is not Login.OWNER:
        for name, value in (
            ("statement_timeout", "5s"),
            ("lock_timeout", "2s"),
            ("idle_in_transaction_session_timeout", "10s"),
        ):
            await connection.execute(f"alter role {login} set {name} = '{value}'")


def grants_sql(domain: Domain) -> str:
    """Return the statements that give each login its rights in a domain's database."""
    return resources.files("strongroom.db").joinpath("grants", f"{domain}.sql").read_text("utf-8")


def _identifier(name: str) -> str:
    invariant(
        name.isascii() and name.replace("_", "").isalnum(), "a database's name is a plain word"
    )
    return f'"{name}"'
