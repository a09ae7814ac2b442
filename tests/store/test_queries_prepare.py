# SPDX-License-Identifier: Apache-2.0
"""Every named query as it stands: prepares against the migrated schema, is allowed to exactly those logins that need
it, takes as many parameters as its head names, and names no other domain's schema.
"""

import re
from importlib import resources
from typing import Final

import asyncpg
import pytest

from database import Databases
from strongroom.db.logins import LOGINS, Domain, Login
from strongroom.db.queries import Query, parse_queries

#: Which schemas a package's queries may name.
SCHEMAS: Final = {
    "audit": {"audit"},
    "identity": {"identity"},
    "jobs": {"jobs"},
    "keys": {"keys"},
    # What a payment's change writes at once is one function of the database; its job and its record are looked for here.
    "payments": {"payments", "idempotency", "audit", "jobs"},
    "vault": {"vault", "idempotency"},  # a token and its idempotency key are written at once
}
#: Who runs a package's queries, and where.
RUN_BY: Final = {
    "audit": {
        Domain.VAULT: {Login.VAULT, Login.SEALER},
        Domain.CORE: {Login.GATEWAY, Login.CONSOLE, Login.SEALER},
    },
    "identity": {Domain.CORE: {Login.GATEWAY, Login.CONSOLE, Login.VAULT}},
    "keys": {
        Domain.VAULT: {Login.VAULT, Login.SEALER},
        Domain.CORE: {Login.GATEWAY, Login.CONSOLE, Login.VAULT, Login.SEALER},
    },
    "vault": {Domain.VAULT: {Login.VAULT}},
}
_SEALER: Final = {Domain.VAULT: {Login.SEALER}, Domain.CORE: {Login.SEALER}}
_EVERYBODY: Final = {
    Domain.VAULT: {Login.VAULT, Login.SEALER},
    Domain.CORE: {Login.GATEWAY, Login.CONSOLE, Login.VAULT, Login.SEALER},
}
_OPERATORS: Final = {Domain.CORE: {Login.CONSOLE}}
_GATEWAY_AND_OPERATORS: Final = {Domain.CORE: {Login.GATEWAY, Login.CONSOLE}}
#: Where fewer may, or others.
ONLY: Final = {
    "audit.insert_address": {
        Domain.VAULT: {Login.VAULT},
        Domain.CORE: {Login.GATEWAY, Login.CONSOLE},
    },
    "audit.insert_checkpoint": _SEALER,
    "audit.move_cluster": _SEALER,
    "audit.move_tree": _SEALER,
    "audit.put_tile": _SEALER,
    "audit.rename_tree": _SEALER,
    "audit.seal_horizon": _EVERYBODY,  # names no table either
    "audit.start_tree": _SEALER,
    "identity.insert_key": _GATEWAY_AND_OPERATORS,
    "identity.insert_merchant": _OPERATORS,
    "identity.present_key": _EVERYBODY,  # names no table: whoever may log in may state a key's hash
    "identity.revoke_key": _GATEWAY_AND_OPERATORS,
    "keys.update_data_key": {Domain.VAULT: {Login.VAULT}, Domain.CORE: {Login.CONSOLE}},
    "vault.be_expiry_job": _EVERYBODY,  # names no table
    "vault.request_by_key": {Domain.VAULT: {Login.VAULT}, Domain.CORE: {Login.GATEWAY}},
}
_EVERY_SCHEMA: Final = {
    "audit",
    "idempotency",
    "identity",
    "jobs",
    "keys",
    "payments",
    "strongroom",
    "vault",
    "webhooks",
}


def packages() -> list[str]:
    return sorted(
        package.name
        for package in resources.files("strongroom").iterdir()
        if package.is_dir() and package.joinpath("queries.sql").is_file()
    )


def queries() -> list[tuple[str, Query]]:
    found: list[tuple[str, Query]] = []
    for package in packages():
        text = resources.files("strongroom").joinpath(package, "queries.sql").read_text("utf-8")
        found += ((package, query) for query in parse_queries(text).values())
    return found


QUERIES: Final = queries()
IDS: Final = [f"{package}.{query.name}" for package, query in QUERIES]


def allowed(package: str, query: Query) -> dict[Domain, set[Login]]:
    return ONLY.get(f"{package}.{query.name}", RUN_BY[package])


def test_every_package_with_queries_is_known_here() -> None:
    assert packages() == sorted(SCHEMAS) == sorted(RUN_BY)
    assert set(ONLY) <= set(IDS)


@pytest.mark.parametrize(("package", "query"), QUERIES, ids=IDS)
def test_a_query_names_only_its_own_schemas(package: str, query: Query) -> None:
    words = re.findall(r"\b([a-z_]+)\.[a-z_]+", re.sub(r"--.*|'[^']*'", "", query.text))
    named = {word for word in words if word in _EVERY_SCHEMA}
    assert named <= SCHEMAS[package]


@pytest.mark.parametrize(("package", "query"), QUERIES, ids=IDS)
async def test_a_query_takes_what_its_head_names(
    databases: Databases, package: str, query: Query
) -> None:
    for domain, logins in allowed(package, query).items():
        for login in logins:
            database = await databases.open(domain, login, connections_max=1)
            async with database.connection() as connection:
                if query.text.splitlines()[-1].startswith("truncate"):
                    continue
                statement = await connection.prepare(query.text)
                assert len(statement.get_parameters()) == len(query.parameters)
            await database.close()


@pytest.mark.parametrize(("package", "query"), QUERIES, ids=IDS)
async def test_a_query_is_allowed_to_whoever_needs_it_and_to_nobody_else(
    databases: Databases, package: str, query: Query
) -> None:
    may: dict[Domain, set[Login]] = {}
    for domain in Domain:
        for login in LOGINS[domain] - {Login.OWNER}:
            if await runs(databases, domain, login, query):
                may.setdefault(domain, set()).add(login)
    assert may == allowed(package, query)


async def runs(databases: Databases, domain: Domain, login: Login, query: Query) -> bool:
    """Tell whether the server would run it as this login. Rights are checked when a plan is started, not before."""
    database = await databases.open(domain, login, connections_max=1)
    try:
        async with database.connection() as connection:
            running = connection.transaction()
            await running.start()
            try:
                if query.text.splitlines()[-1].startswith("truncate"):  # cannot be prepared
                    await connection.execute(query.text)
                    return True
                await connection.execute(f"prepare q as {query.text}")
                nothing = ", ".join(["null"] * len(query.parameters))
                await connection.execute(
                    f"explain execute q({nothing})" if nothing else "explain execute q"
                )
            except (asyncpg.InsufficientPrivilegeError, asyncpg.UndefinedTableError):
                return False
            except (asyncpg.InvalidSchemaNameError, asyncpg.UndefinedFunctionError):
                return False  # this database has no such schema
            finally:
                await running.rollback()
                await connection.execute("deallocate all")
        return True
    finally:
        await database.close()
