# SPDX-License-Identifier: Apache-2.0
"""A tenant, another one, and the other mode: what exists elsewhere, for tests that it is as if it had never existed."""

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx

from callers import Persons, edge_clients
from paying import VISA, Shop, open_shop
from service import Caller, Service, Tenant
from signed_in import signed_in
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.identity.grants import GRANTABLE, NAMED_ONLY, PERSONS_ONLY
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import CallerKind, KeyKind, Role
from strongroom.simulator import Simulated

LIVE: Final = "the other mode's"
#: BINs that no test card has.
_bins: Final = itertools.count(900_000)


@dataclass(frozen=True, slots=True)
class World:
    """Who asks, and what exists elsewhere: ids by the names that paths have, for each elsewhere."""

    clients: Mapping[str, httpx.AsyncClient]
    #: The caller's credentials at listeners.
    credentials: Mapping[str, str]
    #: The caller's own ids.
    own: Mapping[str, str]
    elsewhere: Mapping[str, Mapping[str, str]]

    def caller(self, listener: str, *, person: bool = False) -> Caller:
        """Whoever asks at a listener: a machine where machines may."""
        credential = self.credentials["person" if person else listener]
        return Caller(self.clients[listener], credential)


Made = dict[str, str]


async def everything_of(shop: Shop) -> Made:
    """Make one of everything that has an id, in test mode."""
    service, gateway = shop.service, shop.gateway
    paid = await shop.captured()
    refund = await gateway.post(f"/v1/payments/{paid['id']}/refunds", {"amount": 1})
    assert refund.status_code == 201, refund.text
    endpoint = await gateway.post("/v1/endpoints", {"url": f"{shop.simulated.url}/nobody"})
    events = await gateway.get("/v1/events?limit=1")
    token = await shop.token(VISA, "737")
    return {
        "token_id": token["id"],
        "cvc": token["cvc"],
        "payment_id": paid["id"],
        "refund_id": refund.json()["id"],
        "connection_id": shop.connection["id"],
        "endpoint_id": endpoint.json()["id"],
        "gateway event_id": events.json()["data"][0]["id"],
        **await disputed(service, shop.tenant.merchant, paid["id"], shop.connection["id"]),
        **await read_and_kept(service, shop.tenant, Mode.TEST),
    }


async def read_and_kept(service: Service, tenant: Tenant, mode: Mode) -> Made:
    """Records in each listener's log, and a key."""
    found = {
        "key_id": (await service.key(tenant.merchant, KeyKind.PUBLIC, mode)).key.key_id,
        "job_id": await waiting_job(service, tenant.merchant, mode),
        "erasure_id": await erasure_under_way(service, tenant.merchant, mode),
        "rule_id": await access_rule(service, tenant.merchant, mode),
        "caller": await stopped_caller(service, tenant.merchant, mode),
        "export_id": await exporting_job(service, tenant.merchant, mode),
    }
    begun = await service.vault(tenant.keys[mode]).post("/v1/imports", {"format": "csv"})
    found["import_id"] = begun.json()["id"]
    found["reconciliation_id"] = await open_report(service, tenant.merchant, mode)
    found |= await customer_and_brakes(service, tenant.merchant, mode)
    for listener, caller in (
        ("vault", service.vault(tenant.keys[mode])),
        ("gateway", service.gateway(tenant.keys[mode])),
    ):
        await caller.get("/v1/audit/records?limit=1")  # which is itself recorded
        page = (await caller.get("/v1/audit/records?limit=1")).json()
        found[f"{listener} record_id"] = page["data"][0]["id"]
    return {**found, "console record_id": found["gateway record_id"]}


async def customer_and_brakes(service: Service, merchant: MerchantId, mode: Mode) -> Made:
    """A customer who agreed to be charged, somebody who is blocked, and somebody who tries cards."""
    customer, mandate, entry, incident = (new_id(kind) for kind in ("cus", "mnd", "blk", "inc"))
    bin_ = str(next(_bins))
    for sql, *more in (
        (
            """insert into payments.customer (merchant_id, mode, customer_id, status, created_at, updated_at)
               values ($1, $2, $3, 'active', now(), now())""",
            customer,
        ),
        (
            """insert into payments.mandate (merchant_id, mode, mandate_id, customer_id, token_id, status, method,
                                             text_version, agreed_at, created_at)
               values ($1, $2, $3, $4, 'tok_of_nobody', 'active', 'web', '1', now(), now())""",
            mandate,
            customer,
        ),
        (
            """insert into payments.brake_entry (merchant_id, mode, entry_id, list, kind, value, enforced, reason,
                                                 made_by, made_at)
               values ($1, $2, $3, 'block', 'bin', $4, false, 'a test', 'x', now())""",
            entry,
            bin_,
        ),
        (
            """insert into payments.brake_incident (merchant_id, mode, incident_id, subject, value, signs, tries,
                                                    declines, cards, started_at, last_sign_at, until, next_pass_at)
               values ($1, $2, $3, 'bin', $4, 'cards', 1, 1, 1, now(), now(), now() + interval '1 day', now())""",
            incident,
            bin_,
        ),
    ):
        await service.look(Domain.CORE, sql, merchant, mode.value, *more)
    return {
        "customer_id": customer,
        "mandate_id": mandate,
        "entry_id": entry,
        "incident_id": incident,
    }


async def disputed(service: Service, merchant: MerchantId, payment: str, connection: str) -> Made:
    """A dispute that takes nothing yet of a payment in test mode, and the payment's attempt."""
    dispute = new_id("dsp")
    await service.look(
        Domain.CORE,
        "insert into payments.dispute (merchant_id, mode, dispute_id, payment_id, connection_id, processor_reference,"
        " status, step, amount, currency, counted, created_at, updated_at)"
        " values ($1, 'test', $2, $3, $4, $2, 'inquiry', 1, 1, 'AED', 0, now(), now())",
        merchant,
        dispute,
        payment,
        connection,
    )
    (row,) = await service.look(
        Domain.CORE,
        "select min(attempt_id) as id from payments.attempt where payment_id = $1",
        payment,
    )
    return {"dispute_id": dispute, "attempt_id": row["id"]}


async def open_report(
    service: Service, merchant: MerchantId, mode: Mode, state: str = "open"
) -> str:
    """A settlement report whose file has not come, of a connection of its own; or one that was compared."""
    connection, report = new_id("con"), new_id("rcn")
    await service.look(
        Domain.CORE,
        """insert into payments.connection values ($1, $2, $3, 'n', 'checkout', 'a', 'by_reference', 'disabled', now(),
                                                   now())""",
        merchant,
        mode.value,
        connection,
    )
    await service.look(
        Domain.CORE,
        """insert into payments.settlement_report (merchant_id, mode, report_id, connection_id, format, state, digest,
                                                   created_by, created_at, updated_at)
           values ($1, $2, $3, $4, 'generic', $6, sha256($5), 'x', now(), now())""",
        merchant,
        mode.value,
        report,
        connection,
        report.encode(),
        state,
    )
    return report


async def access_rule(service: Service, merchant: MerchantId, mode: Mode) -> str:
    """A rule about a container that is not there."""
    rule = new_id("rul")
    await service.look(
        Domain.VAULT,
        """insert into vault.access_rule (merchant_id, mode, rule_id, container, priority, grantee_kind, grantee,
                                          access, transform, created_by, created_at)
           values ($1, $2, $3, 'nowhere', 100, 'key', '*', 'mask', 'mask', 'x', now())""",
        merchant,
        mode.value,
        rule,
    )
    return rule


async def erasure_under_way(service: Service, merchant: MerchantId, mode: Mode) -> str:
    """An erasure that waits for its rotation."""
    erasure = new_id("ers")
    await service.look(
        Domain.VAULT,
        """insert into vault.erasure (merchant_id, mode, erasure_id, scope, state, tokens, key_version, requested_by,
                   requested_at, rotate_at, look_at, complete_at)
           values ($1, $2, $3, 'token', 'waiting', 1, 1, 'tests', now(), now() + interval '1 day',
                   now() + interval '1 day', now() + interval '36 days')""",
        merchant,
        mode.value,
        erasure,
    )
    return erasure


async def waiting_job(
    service: Service, merchant: MerchantId, mode: Mode, kind: str = "reseal"
) -> str:
    """A job of the vault's that nobody takes before the end of the century."""
    job = new_id("job")
    await service.look(
        Domain.VAULT,
        """insert into vault.job (merchant_id, mode, job_id, kind, state, params, total, run_at, created_by,
                  created_at, updated_at)
           values ($1, $2, $3, $4, 'waiting', '{"name": "card", "to": 1, "algorithm": "A256CBC-HS512"}', 10,
                  '2099-12-31', 'operator:tests', now(), now())""",
        merchant,
        mode.value,
        job,
        kind,
    )
    return job


async def stopped_caller(service: Service, merchant: MerchantId, mode: Mode) -> str:
    """Somebody who revealed too much at once."""
    caller = new_id("key")
    await service.look(
        Domain.VAULT,
        """insert into vault.reveal_stop (merchant_id, mode, caller, count, stopped_at, ends_at)
           values ($1, $2, $3, 30, now(), now() + interval '1 hour')""",
        merchant,
        mode.value,
        caller,
    )
    return caller


async def exporting_job(service: Service, merchant: MerchantId, mode: Mode) -> str:
    """An export that is done, with a piece."""
    job = new_id("job")
    params = '{"container": "default", "encryption": "pgp", "fingerprint": "f", "recipient": "r"}'
    await service.look(
        Domain.VAULT,
        """insert into vault.job (merchant_id, mode, job_id, kind, state, params, run_at, created_by, created_at,
                  updated_at, ended_at)
           values ($1, $2, $3, 'export', 'done', $4::text::jsonb, now(), 'tests', now(), now(), now())""",
        merchant,
        mode.value,
        job,
        params,
    )
    await service.look(
        Domain.VAULT,
        """insert into vault.export_piece (merchant_id, mode, job_id, number, cards, content, digest, created_at)
           values ($1, $2, $3, 0, 1, 'x', sha256('x'), now())""",
        merchant,
        mode.value,
        job,
    )
    return job


async def live_of(service: Service, tenant: Tenant) -> Made:
    """What a tenant can make in live mode without a processor: here nothing is charged."""
    gateway = service.gateway(tenant.keys[Mode.LIVE])
    endpoint = await gateway.post("/v1/endpoints", {"url": "https://shop.example/live"})
    assert endpoint.status_code == 201, endpoint.text
    tested = await gateway.post(f"/v1/endpoints/{endpoint.json()['id']}/test")
    assert tested.status_code in (200, 201, 202), tested.text
    events = await gateway.get("/v1/events?limit=1")
    return {
        "endpoint_id": endpoint.json()["id"],
        "gateway event_id": events.json()["data"][0]["id"],
        **await read_and_kept(service, tenant, Mode.LIVE),
    }


#: What is put into the database as it stands: merchant, id, mode. How it comes there is the business of other tests.
PUT: Final[Mapping[str, tuple[str, str]]] = {
    "approval_id": (
        "apr",
        """insert into identity.approval (merchant_id, approval_id, mode, action, listener, method, route, fingerprint,
                  requested_by, requested_at, expires_at)
           values ($1, $2, $3, 'connection_rotate', 'gateway', 'POST', '/v1/a', sha256('a'),
                  'usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CB',
                  now(), now() + interval '1 hour')""",
    ),
    "network_id": (
        "net",
        """insert into identity.network (merchant_id, network_id, mode, subject, networks, name, changed_by, changed_at)
           values ($1, $2, $3, 'key:' || $2, '{192.0.2.0/24}', '', 'usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CB', now())""",
    ),
    "provider_id": (
        "sso",
        """insert into identity.provider (merchant_id, provider_id, name, issuer, client_id, sealed_secret, key_version,
                  domains, redirects, roles, required_amr, required_acr, creates_people, status, created_by, created_at,
                  updated_at)
           select $1, $2, $3, 'https://a.example', 'c', '', 1, '{a.example}', '{https://a.example/}', '[]', '{mfa}',
                  '{}', false, 'active', 'usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CB', now(), now()""",
    ),
    "person_id": (
        "usr",
        """insert into identity.person (merchant_id, person_id, email, name, role, status, created_by, created_at)
           select $1, $2::text, lower($2::text) || '@shop.example', 'Somebody', 'operator', 'active', 'tests', now()""",
    ),
    "invitation_id": (
        "inv",
        """insert into identity.invitation
                  (merchant_id, invitation_id, person_id, reason, link_hash, created_by, created_at, expires_at)
           select $1, $2::text, '{person_id}', 'invited', decode(md5($2::text) || md5($2::text), 'hex'), 'tests', now(),
                  now() + interval '1 day'""",
    ),
    "session_id": (
        "ses",
        """insert into identity.session
                  (merchant_id, session_id, person_id, mode, methods, refresh_hash, started_at, stepped_up_at, used_at,
                   ends_at)
           select $1, $2::text, '{person_id}', $3, '{mfa}', decode(md5($2::text) || md5($2::text), 'hex'), now(), now(),
                  now(), now() + interval '1 hour'""",
    ),
    "passkey_id": (
        "psk",
        """insert into identity.passkey
                  (merchant_id, person_id, passkey_id, credential_id, public_key, sign_count, aaguid, attestation,
                   transports, backup_eligible, backed_up, name, created_at)
           select $1, '{person_id}', $2::text, decode(md5($2::text), 'hex'), '', 0, '', 'none', '{}', false, false, 'n',
                  now()""",
    ),
    "service_id": (
        "svc",
        """insert into identity.service
                  (merchant_id, service_id, mode, name, permissions, public_keys, certificate_bound, created_by,
                   created_at)
           values ($1, $2, $3, 'n', '{}', '[]', false, 'tests', now())""",
    ),
    "review_id": (
        "rvw",
        """insert into identity.access_review (merchant_id, review_id, started_by, started_at)
           values ($1, $2, 'usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CB', now())""",
    ),
    "break_glass_id": (
        "brk",
        """insert into identity.break_glass
                  (merchant_id, break_glass_id, mode, person_id, session_id, permissions, reason, started_at,
                   expires_at)
           values ($1, $2, $3, '{person_id}', 'ses_a', '{payments:payment:read}', 'a reason of tests', now(),
                   now() + interval '30 minutes')""",
    ),
}
#: The same, in the vault's database.
PUT_IN_VAULT: Final[Mapping[str, tuple[str, str]]] = {
    "destination_id": (
        "dst",
        """insert into vault.destination
                  (merchant_id, mode, destination_id, name, config, sealed, key_version, status, created_by, created_at,
                   updated_at, credentials_changed_at)
           values ($1, $3, $2, 'n', '{}', '', 1, 'active', 'tests', now(), now(), now())""",
    ),
}
#: A person answers for both modes of these: what is in the other mode is one's own.
OF_BOTH_MODES: Final = frozenset(
    "invitation_id network_id passkey_id person_id provider_id review_id session_id".split()
)


async def put(service: Service, merchant: MerchantId, mode: Mode) -> Made:
    """Put one of everything that people govern."""
    made: Made = {}
    names = sorted(PUT, key=lambda name: name != "person_id")  # others refer to a person
    for name in names:
        prefix, statement = PUT[name]
        made[name] = new_id(prefix)
        text = statement.replace("{person_id}", made["person_id"])
        values = (merchant, made[name], mode.value)
        await service.look(Domain.CORE, text, *values[: 3 if "$3" in text else 2])
    for name, (prefix, statement) in PUT_IN_VAULT.items():
        made[name] = new_id(prefix)
        await service.look(Domain.VAULT, statement, merchant, made[name], mode.value)
    return made


def of_one_mode(made: Made) -> Made:
    """Leave out what is the same in either mode."""
    return {name: each for name, each in made.items() if name not in OF_BOTH_MODES}


@asynccontextmanager
async def world_of(service: Service, processor: Simulated) -> AsyncIterator[World]:
    mine, theirs = await open_shop(service, processor), await open_shop(service, processor)
    persons = Persons.at(service)

    me = mine.tenant.merchant
    machine = persons.machine(
        CallerKind.SECRET, me, Mode.TEST, GRANTABLE[KeyKind.SECRET] | NAMED_ONLY | PERSONS_ONLY
    )  # known without a question, so that statements are those of the route
    admin = await signed_in(service, me)
    async with edge_clients(service) as clients:
        yield World(
            clients,
            {
                "vault": machine,
                "gateway": machine,
                "console": admin.access.expose(),
                "person": persons.token(Role.ADMIN, me),
            },
            await everything_of(mine),
            {
                "another tenant's": {
                    **await everything_of(theirs),
                    **await put(service, theirs.tenant.merchant, Mode.TEST),
                },
                LIVE: {
                    **await live_of(service, mine.tenant),
                    **of_one_mode(await put(service, me, Mode.LIVE)),
                },
            },
        )
