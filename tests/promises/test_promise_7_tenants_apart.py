# SPDX-License-Identifier: Apache-2.0
"""Promise 7: a tenant sees only its own."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import asyncpg
import pytest
import pytest_asyncio

from api.test_cross_tenant import ROUTES, Route, own_body
from api.test_openapi import EVERY, Operation, body_of, destined, ids_of, is_for_people
from database import Databases, Server, fresh_databases
from elsewhere import World as Persons
from elsewhere import (
    customer_and_brakes,
    disputed,
    erasure_under_way,
    exporting_job,
    open_report,
    waiting_job,
    world_of,
)
from paying import Shop, open_shop
from polling import until
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
from strongroom.crypto.digest import hmac_sha256
from strongroom.crypto.ids import new_id
from strongroom.db import pool
from strongroom.db.logins import Domain, Login
from strongroom.db.queries import Query
from strongroom.identity.grants import NAMED_ONLY
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.invariant import Bug
from strongroom.kernel.mode import Mode
from strongroom.payments.store import QUERIES as PAYMENT_QUERIES
from strongroom.simulator import Simulated
from strongroom.vault.writes import QUERIES as VAULT_QUERIES

VISA = "4242424242424242"
INSUFFICIENT_PRIVILEGE = "42501"
#: Who sees every tenant's rows of a table, and why: the sealer orders all records, operators list merchants, the
#: worker takes what is due.
SEES_ALL = {
    (Login.SEALER, "audit.event"),
    (Login.CONSOLE, "identity.merchant"),
    (Login.WORKER, "jobs.job"),
}
#: Who moves and removes them, too: to claim a job is to move it.
TAKES_ALL = {(Login.WORKER, "jobs.job")}

#: What a login that may change some columns may change.
CHANGEABLE = {
    "identity.access_item": "decision = decision",
    "identity.access_review": "closed_at = closed_at",
    "identity.api_key": "last_used_at = now()",
    "identity.approval": "used_at = used_at",
    "identity.break_glass": "ended_at = ended_at",
    "identity.invitation": "used_at = used_at",
    "identity.login_account": "spent_until = spent_until",
    "identity.login_network": "failures = failures",
    "identity.merchant": "status = 'suspended'",
    "identity.network": "name = name",
    "identity.passkey": "name = name",
    "identity.password": "holds = holds",
    "identity.person": "name = name",
    "identity.provider": "name = name",
    "identity.provider_link": "used_at = used_at",
    "identity.recovery_code": "used_at = used_at",
    "identity.service": "revoked_at = revoked_at",
    "identity.session": "used_at = used_at",
    "identity.totp": "last_step = last_step",
    "idempotency.request": "response = response",
    "jobs.job": "run_at = run_at",
    "keys.data_key": "mac = mac",
    "keys.reseal": "total = total",
    "payments.attempt": "advice = advice",
    "payments.bin_range": "country = country",
    "payments.brake_incident": "held = held",
    "payments.connection": "status = status",
    "payments.connection_probe": "reason = reason",
    "payments.dispute": "status = status",
    "payments.routing_active": "version = version",
    "payments.customer": "reference = reference",
    "payments.mandate": "status = status",
    "payments.payment": "status = status",
    "payments.refund": "status = status",
    "payments.retry_policy": "enabled = enabled",
    "payments.saved_card": "is_default = is_default",
    "payments.settlement_line": "result = result",
    "payments.settlement_report": "state = state",
    "vault.card_identity": "token_id = token_id",
    "vault.connection": "status = status",
    "vault.erasure": "state = state",
    "vault.honeytoken_use": "contained_at = contained_at",
    "vault.token_alias": "token_id = token_id",
    "vault.reveal_stop": "ends_at = ends_at",
    "vault.destination": "status = status",
    "vault.forward": "status = status",
    "vault.container": "description = description",
    "vault.token_detail": "key_version = key_version",
    "vault.import": "state = state",
    "vault.import_key": "key_version = key_version",
    "vault.import_piece": "key_version = key_version",
    "webhooks.delivery": "status = status",
    "webhooks.endpoint": "status = status",
    "webhooks.notice": "state = state",
    "webhooks.source": "status = status",
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
        try:
            return bool(await as_login(databases, domain, login, sql, merchants=merchants))
        except asyncpg.InsufficientPrivilegeError:
            # Where one table's wall is down, another's still stands: what is deleted there is noted here.
            if sql.startswith("delete"):
                return False
            raise

    found = []
    rights = {word.rstrip("*") for word in RIGHTS[domain, login].get(table, ())}
    theirs = f"{table} where merchant_id = '{THEIRS}'"
    if "select" in rights and (login, table) not in SEES_ALL:
        found += [
            f"stating {merchants!r} reads"
            for merchants in (MINE, "", f"{MINE},x", "%", "''")
            if await gets(f"select 1 from {theirs}", merchants)
        ]
    if "update" in rights and (login, table) not in TAKES_ALL:
        column = CHANGEABLE.get(table, "mode = mode")
        changed = theirs.replace(" where", f" set {column} where")
        if await gets(f"update {changed} returning 1"):
            found.append("changes")
    if (
        "delete" in rights
        and (login, table) not in TAKES_ALL
        and await gets(f"delete from {theirs} returning 1")
    ):
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
    (Domain.VAULT, Login.VAULT, "vault.connection", "alter table {} disable row level security"),
    (Domain.CORE, Login.GATEWAY, "payments.payment", "alter table {} disable row level security"),
    (Domain.CORE, Login.GATEWAY, "payments.attempt", "alter policy tenant on {} using (true)"),
    (Domain.CORE, Login.GATEWAY, "payments.connection", "create policy more on {} for select using (true)"),
    (Domain.CORE, Login.GATEWAY, "jobs.job", "create policy more on {} using (true)"),
    (Domain.CORE, Login.GATEWAY, "webhooks.endpoint", "alter table {} disable row level security"),
    (Domain.CORE, Login.WORKER, "payments.refund", "alter policy tenant on {} using (merchant_id <> '')"),
    (Domain.CORE, Login.WORKER, "webhooks.notice", "alter table {} disable row level security"),
    (Domain.CORE, Login.WORKER, "webhooks.delivery", "create policy more on {} using (true)"),
    (Domain.CORE, Login.WORKER, "jobs.job", "create policy more on {} for insert with check (true)"),
    (Domain.CORE, Login.WEBHOOKS, "webhooks.source", "alter policy presented on {} using (true)"),
    (Domain.CORE, Login.WEBHOOKS, "payments.payment", "alter policy presented on {} using (true)"),
    (Domain.CORE, Login.WEBHOOKS, "audit.event", "create policy more on {} for insert with check (true)"),
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


async def read_late(databases: Databases) -> set[str]:
    """Say whose tokens are read through a transaction of one merchant's that ended, while another's is under way."""
    tokens = Query("tokens", (), "select merchant_id from vault.token")
    # One connection: the second transaction runs on that of the first.
    database = await databases.open(Domain.VAULT, Login.VAULT, connections_max=1)
    try:
        async with database.transaction([MerchantId(MINE)]) as ended:
            assert {row["merchant_id"] for row in await ended.rows(tokens)} == {MINE}
        async with database.transaction([MerchantId(THEIRS)]):
            try:
                return {row["merchant_id"] for row in await ended.rows(tokens)}
            except Bug:
                return set()
    finally:
        await database.close()


async def test_a_transaction_that_has_ended_reads_nobodys_rows(peopled: Databases) -> None:
    """Connections go from tenant to tenant; what was lent to one ends with its transaction."""
    assert not await read_late(peopled)


async def test_sabotage_a_transaction_that_does_not_end_is_noticed(
    peopled: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that goes on reading after its end reads the rows of whom its connection was lent to next."""
    monkeypatch.setattr(pool._Bound, "end", lambda _self: None)
    assert await read_late(peopled) == {THEIRS}


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

#: By keys. What people ask for at the console is below, asked for by people.
BY_KEYS = [
    operation
    for operation in EVERY
    if operation.listener != "console"
    and not is_for_people(operation)
    # What a secret key never has is asked with a key that was made for it, in api/test_cross_tenant and test_reveal.
    and NAMED_ONLY.isdisjoint(operation.says.get("x-requires", ()))
]
WITH_AN_ID = [
    operation for operation in BY_KEYS if "{" in operation.path and operation.says["security"]
]
LISTS = [
    operation
    for operation in BY_KEYS
    if operation.method == "GET" and "{" not in operation.path and operation.path.startswith("/v1/")
]
AT_THE_CONSOLE = [route for route in ROUTES if route.listener == "console"]
#: What anybody may call who has no credential at all: it takes something else that they must have.
PUBLIC = {
    "POST /v1/inbound/{connection_id}",  # a processor's signature
    "GET /v1/returns/{payment_id}",  # nothing, and it tells nothing
    "GET /v1/receipts/jwks",  # public keys
    "POST /v1/login",
    "POST /v1/login/passkey",
    "POST /v1/login/passkey/options",
    "POST /v1/login/recovery",
    "POST /v1/login/totp",
    "POST /v1/oauth/token",  # a service's assertion
    "POST /v1/session/refresh",  # a refresh token
    "POST /v1/setup",  # a set-up link
    "POST /v1/setup/passkey",
    "POST /v1/setup/passkey/options",
    "POST /v1/setup/password",
    "POST /v1/setup/totp",
    "POST /v1/setup/totp/confirm",
    "POST /v1/sso/finish",
    "POST /v1/sso/start",
}


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
        """What needs no processor."""
        tenant, other = await service.tenant(), await service.tenant()
        vault = service.vault(tenant.keys[Mode.TEST])
        gateway = service.gateway(tenant.keys[Mode.TEST])
        token = await vault.token(VISA, "123", deduplicate=True)
        key = await service.key(tenant.merchant)
        body = {"amount": 1_000, "currency": "AED", "token": token["id"]}
        payment = await gateway.post("/v1/payments", body)
        ids = {
            "token_id": token["id"],
            "cvc": token["cvc"],
            "key_id": key.key.key_id,
            "payment_id": payment.json()["id"],
            "reconciliation_id": await open_report(service, tenant.merchant, Mode.TEST),
            "import_id": (await vault.post("/v1/imports", {"format": "csv"})).json()["id"],
            "export_id": await exporting_job(service, tenant.merchant, Mode.TEST),
            "job_id": await waiting_job(service, tenant.merchant, Mode.TEST),
            "erasure_id": await erasure_under_way(service, tenant.merchant, Mode.TEST),
        }
        ids["destination_id"] = await destined(service, tenant.merchant)
        ids |= await customer_and_brakes(service, tenant.merchant, Mode.TEST)
        for listener, domain in (("vault", Domain.VAULT), ("gateway", Domain.CORE)):
            (row,) = await service.look(
                domain,
                "select min(event_id) as id from audit.event where merchant_id = $1 and mode = 'test'",
                tenant.merchant,
            )
            ids[f"{listener} record_id"] = row["id"]
        return cls(service, tenant, other, ids)

    def strangers(self, listener: str) -> Iterator[tuple[str, Caller]]:
        """Another merchant, and the same one in the other mode."""
        client = self.service.clients[listener]
        yield "another merchant", Caller(client, self.other.keys[Mode.TEST])
        yield "the other mode", Caller(client, self.tenant.keys[Mode.LIVE])

    async def gets_through(self, operation: Operation) -> list[str]:
        """Say which stranger is answered with anything but 404."""
        found = []
        ids = ids_of(operation, self.ids)
        for who, caller in self.strangers(operation.listener):
            answer = await caller.send(
                operation.method, operation.path.format(**ids), body=body_of(operation, ids)
            )
            if answer.status_code != 404:
                found.append(f"{who}: {answer.status_code}")
        return found


@dataclass(frozen=True, slots=True)
class Market:
    """A world in which both tenants are connected to a processor; the first has paid, been refunded and told."""

    world: World
    mine: Shop
    others: Shop


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def market(service: Service, processor: Simulated) -> Market:
    world = await World.on(service)
    mine = await open_shop(service, processor, tenant=world.tenant)
    others = await open_shop(service, processor, tenant=world.other)
    endpoint = await mine.gateway.post("/v1/endpoints", {"url": f"{processor.url}/nobody"})
    paid = await mine.captured(reference="order-1042")
    refund = await mine.gateway.post(f"/v1/payments/{paid['id']}/refunds", {"amount": 1})
    events = await mine.gateway.get("/v1/events?limit=1")
    world.ids |= {
        "payment_id": paid["id"],
        "refund_id": refund.json()["id"],
        "connection_id": mine.connection["id"],
        "endpoint_id": endpoint.json()["id"],
        "gateway event_id": events.json()["data"][0]["id"],
        **await disputed(service, world.tenant.merchant, paid["id"], mine.connection["id"]),
    }
    return Market(world, mine, others)


@pytest.mark.parametrize("operation", WITH_AN_ID, ids=str)
async def test_over_http_what_is_anothers_is_not_there(
    market: Market, operation: Operation
) -> None:
    """Every route that takes an id, called as another merchant and in the other mode: 404, as for what never was."""
    assert not await market.world.gets_through(operation)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def persons(service: Service, processor: Simulated) -> AsyncIterator[Persons]:
    async with world_of(service, processor) as made:
        yield made


@pytest.mark.parametrize("route", AT_THE_CONSOLE, ids=str)
async def test_at_the_console_what_is_anothers_is_not_there(persons: Persons, route: Route) -> None:
    """Every route of the console that takes an id, called with another tenant's: 404, or never looked for."""
    caller, tried = persons.caller("console"), 0
    for made in persons.elsewhere.values():
        object_id = route.ids(made)
        if object_id is not None:
            answer = await caller.send(
                route.method, route.target(object_id), body=own_body(route, persons.own)
            )
            assert answer.status_code == 404 or (route.waits and answer.status_code in (202, 403))
            tried += 1
    assert tried


@pytest.mark.parametrize("operation", LISTS, ids=str)
async def test_over_http_lists_hold_ones_own(market: Market, operation: Operation) -> None:
    """Every list, as another merchant and in the other mode, holds nothing of the first one's."""
    theirs = set(market.world.ids.values())
    for _, caller in market.world.strangers(operation.listener):
        answer = await caller.get(f"{operation.path}?limit=100")
        assert not any(each in answer.text for each in theirs)
        if isinstance(answer.json().get("data"), list):
            assert theirs.isdisjoint(each.get("id") for each in answer.json()["data"])


@pytest.mark.parametrize("filtered", ["reference=order-1042", "last4=4242", "amount=1000", "token"])
async def test_over_http_a_search_finds_ones_own(market: Market, filtered: str) -> None:
    """Payments are searched by what the first one's have: it finds them, and a stranger none."""
    wanted = f"token={market.world.ids['token_id']}" if filtered == "token" else filtered
    found = (await market.mine.gateway.get(f"/v1/payments?{wanted}")).json()["data"]
    assert found
    theirs = {each["id"] for each in found}
    for _, caller in market.world.strangers("gateway"):
        answer = await caller.get(f"/v1/payments?{wanted}")
        assert theirs.isdisjoint(each["id"] for each in answer.json()["data"])


async def test_what_a_body_names_is_ones_own_too(market: Market) -> None:
    """Another's token, connection, endpoint and sealed CVC in a request of one's own: not there, nothing is charged."""
    ids, others = market.world.ids, market.others
    token = await others.token()
    own = {"amount": 1_000, "currency": "AED", "token": token["id"], "confirm": True}
    for body in ({**own, "token": ids["token_id"]}, {**own, "connection": ids["connection_id"]}):
        answer = await others.gateway.post("/v1/payments", body)
        assert 400 <= answer.status_code < 500, answer.text
    answer = await others.gateway.post("/v1/payments", {**own, "cvc": ids["cvc"]})
    assert answer.json()["attempt"]["outcome"] == "not_sent"
    paid = await others.captured()
    events = (await others.gateway.get(f"/v1/events?object={paid['id']}")).json()["data"]
    answer = await others.gateway.post(
        f"/v1/events/{events[0]['id']}/redeliver", {"endpoint": ids["endpoint_id"]}
    )
    assert answer.status_code == 404
    journal = await others.simulated.control.journal(account=others.account)
    assert {each.reference for each in journal} == {
        each["id"] for each in await others.attempts(paid["id"])
    }


def test_the_routes_without_a_key_are_these() -> None:
    """Notices, returns and the steps of proving oneself can be called by whoever has no key; nothing else can."""
    without = {
        f"{each.method} {each.path}"
        for each in EVERY
        if each.path.startswith("/v1/") and not each.says["security"]
    }
    assert without == PUBLIC


async def test_the_public_listener_tells_nothing(market: Market) -> None:
    """Whoever knows a payment's or connection's id gets the page that the merchant named, or a refusal: no fact."""
    ids, public = market.world.ids, market.world.service.public
    made = await market.mine.pay(confirm=False, return_url="https://shop.example/thanks")
    payment = made.json()["id"]
    onward = await public.get(f"/v1/returns/{payment}")
    assert (onward.status_code, onward.content) == (303, b"")
    assert onward.headers["location"] == f"https://shop.example/thanks?payment={payment}"
    known = await public.get(f"/v1/returns/{ids['payment_id']}")
    assert (known.status_code, known.text) == (200, "You can close this page.")
    assert (await public.get(f"/v1/returns/{new_id('pay')}")).status_code == 404
    for caller in (public, Caller(public.client, market.mine.gateway.key)):
        unsigned = await caller.send("POST", f"/v1/inbound/{ids['connection_id']}", content=b"{}")
        assert (unsigned.status_code, unsigned.json()["code"]) == (401, "notice_rejected")
        unknown = await caller.send("POST", f"/v1/inbound/{new_id('con')}", content=b"{}")
        assert unknown.status_code == 404
        for answer in (unsigned, unknown):
            assert not [each for each in ids.values() if each in answer.text]
            assert market.world.tenant.merchant not in answer.text


async def test_a_notice_speaks_of_its_own_merchant_only(market: Market) -> None:
    """A processor's notice, truly signed for one merchant's connection, about another's attempt: it changes nothing."""
    victim = await market.mine.authorized()
    (attempt,) = await market.mine.attempts(victim["id"])
    thing = {
        "id": attempt["processor_reference"],
        "object": "payment",
        "account": market.others.account,
        "mode": "test",
        "reference": attempt["id"],
        "status": "voided",
        "amount": 1_000,
        "currency": "AED",
        "capture": False,
        "authorized": 1_000,
        "captured": 0,
        "voided": 1_000,
        "refunded": 0,
    }
    event = {
        "id": new_id("evt").replace("evt_", "se_"),
        "type": "payment.voided",
        "created": "2026-11-20T09:30:00.000000Z",
        "account": market.others.account,
        "mode": "test",
        "data": thing,
    }
    body, now = json.dumps(event).encode(), str(int(time.time()))
    mac = hmac_sha256(market.others.secret.encode(), f"{now}.".encode() + body).hex()
    path = f"/v1/inbound/{market.others.connection['id']}"
    headers = {"sim-signature": f"t={now},v1={mac}"}
    service = market.world.service
    kept = await service.public.send("POST", path, content=body, headers=headers)
    assert kept.status_code == 200, kept.text

    async def dealt_with() -> str | None:
        rows = await service.look(
            Domain.CORE, "select result from webhooks.notice where event_key = $1", event["id"]
        )
        return rows[0]["result"] if rows else None

    assert await until(dealt_with, what="the notice to be dealt with") == "uncorrelated"
    after = await market.mine.payment(victim["id"])
    assert (after["status"], after["balances"]) == (victim["status"], victim["balances"])


async def test_the_strangers_have_changed_nothing(market: Market) -> None:
    """After all of that the first one's things are as they were."""
    ids, mine = market.world.ids, market.mine
    assert (await mine.vault.get(f"/v1/tokens/{ids['token_id']}")).status_code == 200
    answer = await mine.vault.post(f"/v1/tokens/{ids['token_id']}/cvc/discard", {"cvc": ids["cvc"]})
    assert answer.status_code == 200, "even the sealed CVC"
    payment = await mine.payment(ids["payment_id"])
    assert payment["status"] == "succeeded"
    assert (payment["balances"]["captured"], payment["balances"]["refunded"]) == (1_000, 1)
    for path in (f"connections/{ids['connection_id']}", f"endpoints/{ids['endpoint_id']}"):
        assert (await mine.gateway.get(f"/v1/{path}")).json()["status"] == "active"


# --- either wall holds alone ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reading:
    """A route that reads one thing; the query behind it with its tenant; where the second wall stands."""

    operation: str
    queries: dict[str, Any]
    query: str
    thing: str
    domain: Domain
    table: str

    def __str__(self) -> str:
        return self.table

    @property
    def asked(self) -> Operation:
        return next(each for each in EVERY if str(each) == self.operation)

    def forget_the_tenant(self, monkeypatch: pytest.MonkeyPatch) -> None:
        query = self.queries[self.query]
        wall = f"merchant_id = $1 and mode = $2 and {self.thing} = $3"
        assert wall in query.text
        text = query.text.replace(wall, f"$1::text <> '' and $2::text <> '' and {self.thing} = $3")
        monkeypatch.setitem(self.queries, self.query, replace(query, text=text))


READINGS = [
    Reading(
        "vault GET /v1/tokens/{token_id}",
        cast("dict[str, Any]", VAULT_QUERIES),
        "token_by_id",
        "token_id",
        Domain.VAULT,
        "vault.token",
    ),
    Reading(
        "gateway GET /v1/payments/{payment_id}",
        cast("dict[str, Any]", PAYMENT_QUERIES),
        "payment_by_id",
        "payment_id",
        Domain.CORE,
        "payments.payment",
    ),
]
each_reading = pytest.mark.parametrize("reading", READINGS, ids=str)


@pytest_asyncio.fixture(loop_scope="session")
async def small_world(server: Server, tmp_path: Path) -> AsyncIterator[tuple[World, Databases]]:
    async with (
        fresh_databases(server) as spoilt,
        running(spoilt, tmp_path, listens=False) as service,
    ):
        yield await World.on(service), spoilt


NO_SECOND_WALL = "alter table {} disable row level security"


@each_reading
async def test_the_second_wall_holds_where_a_query_forgets_the_tenant(
    small_world: tuple[World, Databases], monkeypatch: pytest.MonkeyPatch, reading: Reading
) -> None:
    """A query without its tenant: row-level security still answers 404 to another merchant."""
    world, _ = small_world
    reading.forget_the_tenant(monkeypatch)
    through = await world.gets_through(reading.asked)
    assert not [each for each in through if "another merchant" in each]


@each_reading
async def test_the_first_wall_holds_where_the_database_forgets_its_policies(
    small_world: tuple[World, Databases], reading: Reading
) -> None:
    """Row-level security switched off: the queries themselves still answer 404."""
    world, spoilt = small_world
    await spoilt.run(reading.domain, NO_SECOND_WALL.format(reading.table))
    assert not await world.gets_through(reading.asked)


@each_reading
async def test_sabotage_with_both_walls_down_it_is_noticed(
    small_world: tuple[World, Databases], monkeypatch: pytest.MonkeyPatch, reading: Reading
) -> None:
    """Both at once: the same check over HTTP finds the leak."""
    world, spoilt = small_world
    reading.forget_the_tenant(monkeypatch)
    await spoilt.run(reading.domain, NO_SECOND_WALL.format(reading.table))
    assert len(await world.gets_through(reading.asked)) == 2
