# SPDX-License-Identifier: Apache-2.0
"""The vault's database on one PostgreSQL server, the core's on another: nothing spans them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from database import Databases, Server, fresh_databases, migrated_server
from paying import open_shop, simulating
from service import Service, running
from strongroom.config.roles import ServedRole
from strongroom.db.address import Address
from strongroom.db.logins import ROLE_LOGINS, Domain, Login
from strongroom.db.pool import connect


class TwoServers(Databases):
    """The core database of one server, and the vault database of another."""

    vault: Databases

    def address(self, domain: Domain, login: Login) -> Address:
        there = self.vault if domain is Domain.VAULT else self
        return there.server.address(there.names[domain], login)

    def administrator(self, domain: Domain) -> Address:
        there = self.vault if domain is Domain.VAULT else self
        return there.server.administrator(there.names[domain])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def apart(server: Server) -> AsyncIterator[TwoServers]:
    async with (
        migrated_server() as other,
        fresh_databases(other, [Domain.VAULT]) as vault,
        fresh_databases(server, [Domain.CORE]) as core,
    ):
        both = TwoServers(core.server, core.names)
        both.vault = vault
        yield both


async def logins_on(service: Service, domain: Domain) -> set[str]:
    """Who is connected to the server of a domain, but for its superuser and this test's others."""
    connection = await connect(service.databases.administrator(domain))
    try:
        rows = await connection.fetch(
            "select distinct usename::text as login from pg_stat_activity"
            " where datname = current_database() and usename like 'strongroom_%' and usename <> 'strongroom_bootstrap'"
        )
    finally:
        await connection.close()
    return {row["login"] for row in rows}


async def test_a_card_is_taken_charged_and_refunded_over_two_servers(
    apart: TwoServers, tmp_path: Path
) -> None:
    assert apart.address(Domain.VAULT, Login.VAULT).host != (
        apart.address(Domain.CORE, Login.GATEWAY).host
    )
    async with (
        running(apart, tmp_path / "service") as service,
        simulating(tmp_path / "simulator", service) as simulated,
    ):
        shop = await open_shop(service, simulated)
        paid = await shop.captured(1_000, cvc="123")
        refund = await shop.gateway.post(f"/v1/payments/{paid['id']}/refunds", {"amount": 400})
        assert refund.status_code == 201, refund.text
        await shop.until_told()
        actions = [
            row["action"]
            for row in await service.look(
                Domain.VAULT,
                "select convert_from(payload, 'utf8')::json ->> 'action' as action from audit.event"
                " where merchant_id = $1",
                shop.tenant.merchant,
            )
        ]
        assert {"vault.token.created", "vault.token.used", "vault.cvc.used"} <= set(actions)
        kept = await service.look(
            Domain.CORE,
            "select count(*) as n from payments.payment where merchant_id = $1",
            shop.tenant.merchant,
        )
        assert kept[0]["n"] == 1
        assert await logins_on(service, Domain.VAULT) <= {
            login for domain, login in ROLE_LOGINS[ServedRole.VAULT] if domain is Domain.VAULT
        }


async def test_neither_database_has_the_others_schemas(apart: TwoServers) -> None:
    found = {}
    for domain in Domain:
        connection = await connect(apart.administrator(domain))
        try:
            rows = await connection.fetch("select nspname::text as name from pg_namespace")
        finally:
            await connection.close()
        found[domain] = {row["name"] for row in rows}
    assert "vault" in found[Domain.VAULT] - found[Domain.CORE]
    assert {"payments", "webhooks"} <= found[Domain.CORE] - found[Domain.VAULT]
