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
    "identity.sso": {"identity"},
    "identity.networks": {"identity"},
    "identity.passkeys": {"identity"},
    "identity.access": {"identity"},
    "identity.approvals": {"identity"},
    "identity.services": {"identity"},
    "identity.sessions": {"identity"},
    "identity.people": {"identity"},
    "identity.factors": {"identity"},
    "identity.login": {"identity"},
    "jobs": {"jobs"},
    "keys": {"keys"},
    "keys.reseal": {"keys"},
    # What a payment's change writes at once is one function of the database; job and record are looked for here.
    "payments": {"payments", "idempotency", "audit", "jobs"},
    "payments.routing": {"payments"},
    "payments.customers": {"payments", "webhooks"},  # what is told of one commits with it
    "payments.retries": {"payments"},
    # A report's end commits with its event, and its arrival with the job that compares it.
    "payments.settlement": {"payments", "jobs", "webhooks"},
    # An incident is told in the transaction that begins or ends it.
    "payments.brakes": {"payments", "webhooks"},
    "payments.health": {"payments"},
    "vault.rotation": {"vault"},
    "vault.work": {"vault"},
    "vault.retokenize": {"vault"},
    "vault.outbox": {"vault"},
    "vault.honey": {"vault"},
    "vault.erasure": {"vault", "keys"},  # a deletion finds out which key sealed what it deletes
    "vault.reveal": {"vault"},
    "vault.forwarding": {"vault"},
    "vault": {"vault", "idempotency"},  # a token and its idempotency key are written at once
    "vault.containers": {"vault"},
    "vault.search": {"vault"},
    "vault.transfer": {"vault"},
    "webhooks": {
        "webhooks",
        "jobs",
    },  # a delivery and a notice commit with the job that deals with them
    "webhooks.inbound": {"webhooks", "jobs"},
}
_CORE: Final = LOGINS[Domain.CORE] - {Login.BACKUP, Login.OWNER}


def core(*logins: Login) -> dict[Domain, set[Login]]:
    return {Domain.CORE: set(logins)}


_VAULTS: Final = {Domain.VAULT: {Login.VAULT, Login.SEALER}}
_SEALER: Final = {Domain.VAULT: {Login.SEALER}, Domain.CORE: {Login.SEALER}}
_EVERYBODY: Final = {**_VAULTS, Domain.CORE: set(_CORE)}
_OPERATORS: Final = core(Login.CONSOLE)
_GATEWAY: Final = core(Login.GATEWAY)
_GATEWAY_AND_OPERATORS: Final = core(Login.GATEWAY, Login.CONSOLE)
#: Who asks for approvals and uses them.
_APPROVALS: Final = core(Login.GATEWAY, Login.VAULT, Login.CONSOLE)
_PAYMENTS: Final = core(Login.GATEWAY, Login.WORKER)
_WORKER: Final = core(Login.WORKER)
#: Whoever changes something may read the records of its tenant, too: a broken commit is looked for there.
_RECORDS: Final = {
    **_VAULTS,
    Domain.CORE: {Login.GATEWAY, Login.CONSOLE, Login.SEALER, Login.WORKER},
}
#: All three see a tenant's payments, and may hasten a job of its; only the worker sees everybody's jobs.
_SERVING: Final = core(Login.GATEWAY, Login.WORKER, Login.WEBHOOKS)
#: Who seals here, and so looks which keys were rotated.
_CHANGING: Final = frozenset({Login.GATEWAY, Login.WORKER, Login.WEBHOOKS})
#: Who runs a package's queries, and where.
RUN_BY: Final = {
    "audit": {**_VAULTS, Domain.CORE: {Login.GATEWAY, Login.CONSOLE, Login.SEALER}},
    "identity": core(Login.GATEWAY, Login.CONSOLE, Login.VAULT),
    "identity.sso": core(Login.CONSOLE),
    "identity.networks": core(Login.GATEWAY, Login.CONSOLE, Login.VAULT),
    "identity.passkeys": _OPERATORS,
    "identity.access": _OPERATORS,
    "identity.approvals": _APPROVALS,
    "identity.services": core(Login.CONSOLE),
    "identity.sessions": core(Login.CONSOLE),
    "identity.people": _OPERATORS,
    "identity.factors": _OPERATORS,
    "identity.login": _OPERATORS,
    "jobs": _WORKER,
    "keys": _EVERYBODY,
    "keys.reseal": core(Login.GATEWAY, Login.CONSOLE, Login.WORKER),
    "payments": _PAYMENTS,
    "payments.customers": _GATEWAY,
    "payments.retries": _PAYMENTS,
    "payments.routing": _GATEWAY,
    "payments.settlement": _PAYMENTS,
    "payments.brakes": _PAYMENTS,
    "payments.health": _PAYMENTS,
    "vault": {Domain.VAULT: {Login.VAULT}},
    "vault.rotation": {Domain.VAULT: {Login.VAULT}},
    "vault.work": {Domain.VAULT: {Login.VAULT}},
    "vault.retokenize": {Domain.VAULT: {Login.VAULT}},
    "vault.outbox": {Domain.VAULT: {Login.VAULT}},
    "vault.honey": {Domain.VAULT: {Login.VAULT}},
    "vault.erasure": {Domain.VAULT: {Login.VAULT}},
    "vault.reveal": {Domain.VAULT: {Login.VAULT}},
    "vault.forwarding": {Domain.VAULT: {Login.VAULT}},
    "vault.containers": {Domain.VAULT: {Login.VAULT}},
    "vault.search": {Domain.VAULT: {Login.VAULT}},
    "vault.transfer": {Domain.VAULT: {Login.VAULT}},
    "webhooks": _GATEWAY,
    "webhooks.inbound": _GATEWAY,
}
#: Where fewer may, or others.
ONLY: Final[dict[str, dict[Domain, set[Login]]]] = {
    "audit.count_unsealed": _RECORDS,
    "audit.event_by_id": _RECORDS,
    "audit.events_about": _RECORDS,
    "audit.events_by_ids": _RECORDS,
    "audit.events_of_merchant": _RECORDS,
    "audit.insert_address": {
        Domain.VAULT: {Login.VAULT},
        Domain.CORE: {Login.GATEWAY, Login.CONSOLE, Login.WEBHOOKS, Login.VAULT},
    },
    "audit.insert_checkpoint": _SEALER,
    "audit.insert_event": {**_VAULTS, Domain.CORE: set(_CORE)},
    "audit.list_events": _RECORDS,
    "audit.move_cluster": _SEALER,
    "audit.move_tree": _SEALER,
    "audit.payloads_of_events": _RECORDS,
    "audit.put_tile": _SEALER,
    "audit.rename_tree": _SEALER,
    "audit.seal_horizon": _EVERYBODY,  # names no table either
    "audit.start_tree": _SEALER,
    "audit.unsealed_events": _RECORDS,
    "identity.access.be_expiry_job": _EVERYBODY,  # names no table
    "identity.approvals.be_expiry_job": _EVERYBODY,  # names no table
    "identity.approvals.tenants_with_past_approvals": _APPROVALS,  # gateway and vault see no row by it
    "identity.access.keys_with_access": core(Login.GATEWAY, Login.CONSOLE, Login.VAULT),
    "identity.access.note_key_use": core(Login.GATEWAY, Login.CONSOLE, Login.VAULT),
    "identity.approvals.decide_approval": _OPERATORS,
    "identity.approvals.expire_approvals": _OPERATORS,
    "identity.approvals.forget_abouts": _OPERATORS,
    "identity.approvals.withdraw_approval": _OPERATORS,
    "identity.end_signing_keys": _OPERATORS,
    "identity.insert_revocation": _OPERATORS,
    # Whoever checks credentials may read both tables, and so may ask these.
    "identity.services.certificate_revoked": core(Login.CONSOLE, Login.GATEWAY, Login.VAULT),
    "identity.services.count_revoked_certificates": core(Login.CONSOLE, Login.GATEWAY, Login.VAULT),
    "identity.services.merchant_there": core(Login.CONSOLE, Login.GATEWAY, Login.VAULT),
    "identity.insert_signing_key": _OPERATORS,
    "identity.remove_past_revocations": _OPERATORS,
    "identity.remove_past_uses": _OPERATORS,
    "identity.services.present_service": _EVERYBODY,  # names no table
    "identity.sessions.present_session": _EVERYBODY,  # names no table
    "identity.insert_key": _GATEWAY_AND_OPERATORS,
    "identity.insert_merchant": _OPERATORS,
    "identity.login.present_login": _EVERYBODY,  # names no table
    "identity.networks.note_change": _OPERATORS,
    "identity.networks.person_is_there": _APPROVALS,
    "identity.networks.put_network": _OPERATORS,
    "identity.networks.remove_network": _OPERATORS,
    "identity.passkeys.merchant_status": core(Login.GATEWAY, Login.CONSOLE, Login.VAULT),
    "identity.passkeys.present_credential": _EVERYBODY,  # names no table
    **{
        f"identity.people.present_{each}": _EVERYBODY
        for each in ("email", "link", "person", "ticket")
    },
    "identity.people.wait_for_turn": _EVERYBODY,  # names no table either
    "identity.present_key": _EVERYBODY,  # names no table: whoever may log in may state a key's hash
    # The vault ends a key that names a honeytoken.
    "identity.revoke_key": core(Login.GATEWAY, Login.CONSOLE, Login.VAULT),
    "identity.sso.present_domain": _EVERYBODY,  # names no table
    "identity.sso.present_flow": _EVERYBODY,  # names no table
    "identity.sso.present_provider": _EVERYBODY,  # names no table
    "identity.sso.tenant_status": core(Login.GATEWAY, Login.CONSOLE, Login.VAULT),
    "jobs.due_kinds": _SERVING,
    "jobs.job_lag": _SERVING,
    "jobs.remove_jobs": _PAYMENTS,
    "keys.be_key_watch": _EVERYBODY,  # names no table
    "keys.key_changes": {Domain.VAULT: {Login.VAULT}, Domain.CORE: {Login.CONSOLE, *_CHANGING}},
    "keys.note_key_change": {Domain.VAULT: {Login.VAULT}, Domain.CORE: {Login.CONSOLE}},
    "keys.retire_data_key": {Domain.VAULT: {Login.VAULT}, Domain.CORE: {Login.CONSOLE}},
    "keys.rewrap_data_key": {Domain.VAULT: {Login.VAULT}, Domain.CORE: {Login.CONSOLE}},
    "keys.update_data_key": {Domain.VAULT: {Login.VAULT}, Domain.CORE: {Login.CONSOLE}},
    "keys.end_rewrap": {Domain.VAULT: {Login.VAULT}, Domain.CORE: {Login.CONSOLE}},
    "keys.note_rewrap": {Domain.VAULT: {Login.VAULT}, Domain.CORE: {Login.CONSOLE}},
    "keys.rewrap_at": {Domain.VAULT: {Login.VAULT}, Domain.CORE: {Login.CONSOLE}},
    "keys.reseal.be_resealer": _EVERYBODY,  # names no table
    "keys.reseal.begin_reseal": _OPERATORS,
    "keys.reseal.lock_key": _EVERYBODY,  # names no table
    "keys.reseal.take_time": _EVERYBODY,  # likewise
    "payments.brakes.add_entry": _GATEWAY,
    "payments.brakes.add_setting": _GATEWAY,
    "payments.brakes.remove_entry": _GATEWAY,
    "payments.brakes.be_brakes": _EVERYBODY,  # names no table
    "payments.brakes.lock_entries": _EVERYBODY,  # names no table
    "payments.brakes.sweep_counts": _WORKER,
    "payments.brakes.sweep_passes": _WORKER,
    "payments.brakes.sweep_seen": _WORKER,
    "payments.ask_for_a_look": _SERVING,
    "payments.attempt_by_wish": _SERVING,
    "payments.attempt_by_processor_reference": _SERVING,
    "payments.attempts_of_payment": _SERVING,
    "payments.customers.count_evidence": _GATEWAY_AND_OPERATORS,
    "payments.customers.count_personal": _GATEWAY_AND_OPERATORS,
    "payments.customers.mandates_of_token": _PAYMENTS,
    "payments.customers.publish": _PAYMENTS,
    "payments.disable_connection": _GATEWAY,
    "payments.insert_connection": _GATEWAY,
    "payments.keep_returned": core(Login.WEBHOOKS),
    "payments.list_payments": _SERVING,
    "payments.returned_results": _SERVING,
    "payments.open_attempt": _SERVING,
    "payments.open_authorization": _SERVING,
    "payments.payment_by_id": _SERVING,
    "payments.present_payment": _EVERYBODY,  # names no table
    "payments.record_is_there": _RECORDS,
    "payments.returned_payment": _SERVING,
    "payments.be_bookkeeper": _EVERYBODY,  # names no table
    "payments.retries.asked_with": _SERVING,
    "payments.retries.put_policy": _GATEWAY,
    "payments.retries.tries_of_payment": _SERVING,
    "payments.state_merchant": _EVERYBODY,  # names no table
    "payments.health.be_prober": _EVERYBODY,  # names no table
    "payments.health.count_outcomes": _SERVING,
    "payments.touch_connection": _GATEWAY,
    # Reports come in through the gateway; the worker compares them.
    **{
        f"payments.settlement.{each}": _GATEWAY
        for each in ("insert_piece", "insert_report", "read_again", "report_taken")
    },
    **{
        f"payments.settlement.{each}": _WORKER
        for each in ("clear_lines", "compare_lines", "drop_report", "look_for_unnamed", "result_is")
    },
    "payments.settlement.be_settlement_retention": _EVERYBODY,  # names no table
    "payments.settlement.prefer_indexes": _EVERYBODY,  # likewise
    "payments.settlement.put_job": _SERVING,
    "vault.be_expiry_job": _EVERYBODY,  # names no table
    "vault.rotation.lock_key": _EVERYBODY,  # names no table
    "vault.rotation.take_time": _EVERYBODY,  # names no table
    "vault.honey.be_watch": _EVERYBODY,  # likewise
    "vault.erasure.be_eraser": _EVERYBODY,  # names no table
    "vault.erasure.state_erasing": _EVERYBODY,  # names no table
    "vault.erasure.hold_ids": _EVERYBODY,  # names no table
    "vault.retokenize.hold_ids": _EVERYBODY,  # likewise
    "vault.erasure.living_card_key": _EVERYBODY,  # names the keys alone
    "vault.erasure.newest_card_key": _EVERYBODY,  # names the keys alone
    "vault.work.be_worker": _EVERYBODY,  # names no table
    "vault.outbox.be_relay": _EVERYBODY,  # likewise
    "vault.transfer.be_import_ender": _EVERYBODY,  # likewise
    "vault.transfer.be_seen_forgetter": _EVERYBODY,  # likewise
    "vault.search.walk_indexes": _EVERYBODY,  # names no table
    "vault.request_by_key": {Domain.VAULT: {Login.VAULT}, **_PAYMENTS},
    "webhooks.count_endpoint_secrets": core(Login.GATEWAY, Login.WORKER, Login.CONSOLE),
    "webhooks.deliveries_of_event": _PAYMENTS,
    "webhooks.disable_endpoint": _PAYMENTS,
    "webhooks.endpoint_by_id": _PAYMENTS,
    "webhooks.endpoint_for_change": _PAYMENTS,
    "webhooks.event_by_id": _PAYMENTS,
    # Each role seals anew what it may write: the worker sees no secret of a source, and the gateway no notice.
    "webhooks.inbound.count_notices": core(Login.WORKER, Login.WEBHOOKS, Login.CONSOLE),
    "webhooks.inbound.count_source_secrets": core(Login.GATEWAY, Login.WEBHOOKS, Login.CONSOLE),
    "webhooks.inbound.page_of_notices": core(Login.WORKER, Login.WEBHOOKS),
    "webhooks.inbound.page_of_source_secrets": core(Login.GATEWAY, Login.WEBHOOKS),
    "webhooks.inbound.reseal_notices": _WORKER,
    "webhooks.inbound.keep_notices": core(Login.WEBHOOKS),
    "webhooks.inbound.keep_word": core(Login.WEBHOOKS),
    "webhooks.inbound.notice_by_event": core(Login.WORKER, Login.WEBHOOKS),
    "webhooks.inbound.notices_by_id": core(Login.WORKER, Login.WEBHOOKS),
    "webhooks.inbound.present_connection": _EVERYBODY,  # names no table
    "webhooks.inbound.source_by_connection": core(Login.GATEWAY, Login.WEBHOOKS),
    "webhooks.inbound.source_by_id": core(Login.GATEWAY, Login.WEBHOOKS),
    "webhooks.inbound.words_by_event": core(Login.WORKER, Login.WEBHOOKS),
    "webhooks.insert_deliveries": _PAYMENTS,
    "webhooks.insert_event": _PAYMENTS,
    "webhooks.list_endpoints": _PAYMENTS,
    "webhooks.list_events": _PAYMENTS,
    "webhooks.list_events_after": _PAYMENTS,
    "webhooks.list_events_of_object": _PAYMENTS,
    "webhooks.listening_endpoints": _PAYMENTS,
    "webhooks.load_deliveries": _WORKER,
    "webhooks.publish_once": _WORKER,
    "webhooks.page_of_endpoint_secrets": _PAYMENTS,
    "webhooks.put_delivery_jobs": _SERVING,
    "webhooks.record_tries": _WORKER,
    "webhooks.tries_of_deliveries": _PAYMENTS,
    "webhooks.try_is_there": _PAYMENTS,
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


_ROOT: Final = resources.files("strongroom")


def packages() -> list[str]:
    """Every package with queries, however deep, by its dotted name below ours."""
    found = []
    waiting = [("", _ROOT)]
    while waiting:
        name, folder = waiting.pop()
        for each in folder.iterdir():
            if each.is_dir():
                waiting.append((f"{name}{each.name}.", each))
            elif each.name == "queries.sql":
                found.append(name.removesuffix("."))
    return sorted(found)


def queries() -> list[tuple[str, Query]]:
    found: list[tuple[str, Query]] = []
    for package in packages():
        text = _ROOT.joinpath(*package.split("."), "queries.sql").read_text("utf-8")
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
        for login in LOGINS[domain] - {Login.BACKUP, Login.OWNER}:
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
            except (
                asyncpg.InvalidSchemaNameError,
                asyncpg.UndefinedFunctionError,
                asyncpg.UndefinedColumnError,
            ):
                return False  # this database has no such schema, or not all of it
            finally:
                await running.rollback()
                await connection.execute("deallocate all")
        return True
    finally:
        await database.close()
