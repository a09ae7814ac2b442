# SPDX-License-Identifier: Apache-2.0
"""Promise 7: a tenant sees only its own."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from api.test_openapi import EVERY, Operation, filled
from database import Databases, Server, fresh_databases
from service import Caller, Service, Tenant, running
from store.rights import (
    MINE,
    PAIR_IDS,
    PAIRS,
    RIGHTS,
    THEIRS,
    as_login,
    people,
    row_of,
    tenant_tables,
)
from strongroom.db.logins import Domain, Login
from strongroom.kernel.mode import Mode
from strongroom.vault.writes import QUERIES

VISA = "4242424242424242"
INSUFFICIENT_PRIVILEGE = "42501"
#: Who sees every tenant's rows of a table, and why: the sealer orders all records, operators list merchants.
SEES_ALL = {(Login.SEALER, "audit.event"), (Login.CONSOLE, "identity.merchant")}

#: What a login that may change some columns may change.
CHANGEABLE = {
    "identity.api_key": "revoked_at = now()",
    "identity.merchant": "status = 'suspended'",
    "keys.data_key": "mac = mac",
}


# --- the second wall: row-level security, asked as each login ---------------------------------------


async def leaks(
    databases: Databases, domain: Domain, login: Login, only: str | None = None
) -> list[str]:
    """Say where a login that states one merchant, or none, gets at another's rows."""
    found: list[str] = []
    for table, _, _ in await tenant_tables(databases, domain):
        if only in (None, table):
            found += [
                f"{login} {each} {table}" for each in await _leaks(databases, domain, login, table)
            ]
    return found


async def _leaks(databases: Databases, domain: Domain, login: Login, table: str) -> list[str]:
    async def gets(sql: str, merchants: str = MINE) -> bool:
        return bool(await as_login(databases, domain, login, sql, merchants=merchants))

    found = []
    rights = {word.rstrip("*") for word in RIGHTS[domain, login].get(table, ())}
    theirs = f"{table} where merchant_id = '{THEIRS}'"
    if "select" in rights and (login, table) not in SEES_ALL:
        found += [
            f"stating {merchants!r} reads"
            for merchants in (MINE, "", f"{MINE},x", "%", "''")
            if await gets(f"select 1 from {theirs}", merchants)
        ]
    if "update" in rights:
        column = CHANGEABLE.get(table, "mode = mode")
        changed = theirs.replace(" where", f" set {column} where")
        if await gets(f"update {changed} returning 1"):
            found.append("changes")
    if "delete" in rights and await gets(f"delete from {theirs} returning 1"):
        found.append("deletes from")
    if "insert" in rights:
        try:
            await gets(f"{row_of(table, THEIRS)} returning 1")
        except Exception as error:
            if getattr(error, "sqlstate", "") != INSUFFICIENT_PRIVILEGE:
                raise
        else:
            found.append("writes into")
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def peopled(databases: Databases) -> Databases:
    await people(databases)
    return databases


@pytest.mark.parametrize(("domain", "login"), PAIRS, ids=PAIR_IDS)
async def test_no_login_gets_at_anothers_rows(
    peopled: Databases, domain: Domain, login: Login
) -> None:
    """Each login, on each table with tenants: reads, changes, deletes and writes its own rows only."""
    assert not await leaks(peopled, domain, login)


async def test_each_login_does_see_its_own(peopled: Databases) -> None:
    """The same questions about one's own rows are answered: it is the tenant that decides, not the right."""
    for domain, login in PAIRS:
        for table, words in RIGHTS[domain, login].items():
            tenants = {name for name, _, _ in await tenant_tables(peopled, domain)}
            if "select" in words and table in tenants:
                sql = f"select 1 from {table} where merchant_id = '{MINE}'"
                assert await as_login(peopled, domain, login, sql), (login, table)


#: How the wall can come down, in a copied database, and who then gets through.
HOLES = [
    (Domain.VAULT, Login.VAULT, "vault.token", "alter table {} disable row level security"),
    (Domain.VAULT, Login.VAULT, "vault.token", "alter policy tenant on {} using (true)"),
    (Domain.VAULT, Login.VAULT, "vault.card_identity", "create policy open on {} using (true)"),
    (Domain.VAULT, Login.VAULT, "idempotency.request", "alter table {} disable row level security"),
    (Domain.VAULT, Login.VAULT, "audit.event", "create policy more on {} for select using (true)"),
    (Domain.VAULT, Login.VAULT, "vault.cvc_use", "alter policy tenant on {} using (merchant_id <> '')"),
    (Domain.VAULT, Login.SEALER, "keys.data_key", "alter table {} disable row level security"),
    (Domain.CORE, Login.GATEWAY, "identity.api_key", "alter table {} disable row level security"),
    (Domain.CORE, Login.CONSOLE, "identity.api_key", "alter policy tenant on {} using (true)"),
    (Domain.CORE, Login.VAULT, "identity.merchant", "alter table {} disable row level security"),
    (Domain.CORE, Login.GATEWAY, "audit.address", "create policy more on {} using (true)"),
]  # fmt: skip


@pytest.mark.parametrize(("domain", "login", "table", "hole"), HOLES)
async def test_sabotage_a_hole_in_the_wall_is_noticed(
    peopled: Databases, domain: Domain, login: Login, table: str, hole: str
) -> None:
    """A policy opened, added or switched off in a copied database: the same questions find the leak."""
    name = await peopled.server.copy(domain, template=peopled.names[domain])
    spoilt = Databases(peopled.server, {domain: name})
    try:
        assert not await leaks(spoilt, domain, login, table)
        await spoilt.run(domain, hole.format(table))
        assert await leaks(spoilt, domain, login, table)
    finally:
        await peopled.server.drop(name)


async def unprotected(databases: Databases) -> list[str]:
    """Tables with tenants whose rows are not protected by force."""
    return [
        table
        for domain in Domain
        for table, enabled, forced in await tenant_tables(databases, domain)
        if not (enabled and forced)
    ]


async def test_every_table_with_tenants_is_protected_by_force(databases: Databases) -> None:
    """Whatever table has a merchant in it has row-level security, forced on its owner too."""
    assert not await unprotected(databases)


async def test_sabotage_a_new_table_without_it_is_noticed(server: Server) -> None:
    """A table with a merchant and no policy, or one that spares its owner: found."""
    async with fresh_databases(server) as spoilt:
        await spoilt.run(
            Domain.VAULT,
            "create table vault.novelty (merchant_id text)",
            "alter table vault.token no force row level security",
        )
        assert await unprotected(spoilt) == ["vault.novelty", "vault.token"]


# --- the first wall: every route --------------------------------------------------------------------

WITH_AN_ID = [operation for operation in EVERY if "{" in operation.path]
LISTS = [
    operation
    for operation in EVERY
    if operation.method == "GET" and "{" not in operation.path and operation.path.startswith("/v1/")
]


class World:
    """Two tenants on one Strongroom; the first has something of everything."""

    def __init__(
        self, service: Service, tenant: Tenant, other: Tenant, ids: dict[str, str]
    ) -> None:
        self.service = service
        self.tenant = tenant
        self.other = other
        self.ids = ids

    @classmethod
    async def on(cls, service: Service) -> "World":
        tenant, other = await service.tenant(), await service.tenant()
        vault = service.vault(tenant.keys[Mode.TEST])
        token = await vault.token(VISA, "123", deduplicate=True)
        key = await service.key(tenant.merchant)
        ids = {"token_id": token["id"], "cvc": token["cvc"], "key_id": key.key.key_id}
        for listener, domain in (("vault", Domain.VAULT), ("gateway", Domain.CORE)):
            (row,) = await service.look(
                domain,
                "select min(event_id) as id from audit.event where merchant_id = $1 and mode = 'test'",
                tenant.merchant,
            )
            ids[f"{listener} event_id"] = row["id"]
        return cls(service, tenant, other, ids)

    def strangers(self, listener: str) -> Iterator[tuple[str, Caller]]:
        """Another merchant, and the same one in the other mode."""
        caller = self.service.vault if listener == "vault" else self.service.gateway
        yield "another merchant", caller(self.other.keys[Mode.TEST])
        yield "the other mode", caller(self.tenant.keys[Mode.LIVE])

    def body(self, operation: Operation) -> Any:
        if operation.path.endswith("/cvc/discard"):
            return {"cvc": self.ids["cvc"]}
        return operation.example(operation.says.get("requestBody", {}))

    async def gets_through(self, operation: Operation) -> list[str]:
        """Say which stranger is answered with anything but 404."""
        found = []
        for who, caller in self.strangers(operation.listener):
            answer = await caller.send(
                operation.method, filled(operation, self.ids), body=self.body(operation)
            )
            if answer.status_code != 404:
                found.append(f"{who}: {answer.status_code}")
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(service: Service) -> World:
    return await World.on(service)


@pytest.mark.parametrize("operation", WITH_AN_ID, ids=str)
async def test_over_http_what_is_anothers_is_not_there(world: World, operation: Operation) -> None:
    """Every route that takes an id, called as another merchant and in the other mode: 404, as for what never was."""
    assert not await world.gets_through(operation)


@pytest.mark.parametrize("operation", LISTS, ids=str)
async def test_over_http_lists_hold_ones_own(world: World, operation: Operation) -> None:
    """Every list, as another merchant and in the other mode, holds nothing of the first one's."""
    theirs = set(world.ids.values())
    for _, caller in world.strangers(operation.listener):
        answer = await caller.get(f"{operation.path}?limit=100")
        if isinstance(answer.json().get("data"), list):
            assert theirs.isdisjoint(each["id"] for each in answer.json()["data"])
        else:
            assert not any(each in answer.text for each in theirs)


async def test_the_strangers_have_changed_nothing(world: World) -> None:
    """After all of that the first one's things are as they were."""
    vault = world.service.vault(world.tenant.keys[Mode.TEST])
    assert (await vault.get(f"/v1/tokens/{world.ids['token_id']}")).status_code == 200
    answer = await vault.post(
        f"/v1/tokens/{world.ids['token_id']}/cvc/discard", {"cvc": world.ids["cvc"]}
    )
    assert answer.status_code == 200, "even the sealed CVC"


# --- either wall holds alone ------------------------------------------------------------------------

READ = next(each for each in EVERY if str(each) == "vault GET /v1/tokens/{token_id}")
_WALL = "merchant_id = $1 and mode = $2 and token_id = $3"
_NO_WALL = "$1::text <> '' and $2::text <> '' and token_id = $3"


@pytest.fixture
def no_first_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    """The query that forgets the tenant."""
    query = QUERIES["token_by_id"]
    assert _WALL in query.text
    monkeypatch.setitem(
        QUERIES, "token_by_id", replace(query, text=query.text.replace(_WALL, _NO_WALL))
    )


@pytest_asyncio.fixture(loop_scope="session")
async def small_world(server: Server, tmp_path: Path) -> AsyncIterator[tuple[World, Databases]]:
    async with (
        fresh_databases(server) as spoilt,
        running(spoilt, tmp_path, listens=False) as service,
    ):
        yield await World.on(service), spoilt


NO_SECOND_WALL = "alter table vault.token disable row level security"


@pytest.mark.usefixtures("no_first_wall")
async def test_the_second_wall_holds_where_a_query_forgets_the_tenant(
    small_world: tuple[World, Databases],
) -> None:
    """A query without its tenant: row-level security still answers 404 to another merchant."""
    world, _ = small_world
    assert not [each for each in await world.gets_through(READ) if "another merchant" in each]


async def test_the_first_wall_holds_where_the_database_forgets_its_policies(
    small_world: tuple[World, Databases],
) -> None:
    """Row-level security switched off: the queries themselves still answer 404."""
    world, spoilt = small_world
    await spoilt.run(Domain.VAULT, NO_SECOND_WALL)
    assert not await world.gets_through(READ)


@pytest.mark.usefixtures("no_first_wall")
async def test_sabotage_with_both_walls_down_it_is_noticed(
    small_world: tuple[World, Databases],
) -> None:
    """Both at once: the same check over HTTP finds the leak."""
    world, spoilt = small_world
    await spoilt.run(Domain.VAULT, NO_SECOND_WALL)
    assert len(await world.gets_through(READ)) == 2
