# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI documents tell the truth: their examples work as they stand, and no operation answers what they hide."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema
import pytest
import pytest_asyncio
from litestar import WebSocket, get, websocket
from openapi_spec_validator import validate

from api.test_services import machine
from approving import Two
from elsewhere import disputed, exporting_job, open_report, waiting_job
from jwt_maker import EdKey
from made_payments import SEVERAL, with_mandate
from members import ACT, Member
from oidc_provider import SECRET, OidcProvider, oidc_provider
from paying import DECLINED, Shop, open_shop
from persons import People
from polling import until
from proven import PROVEN
from proven_passkeys import PASSKEYS
from proven_reveals import REVEALS
from service import Caller, Service, wish
from signed_in import signed_in
from strongroom import compose
from strongroom.audit import PLATFORM
from strongroom.crypto.digest import hmac_sha256
from strongroom.crypto.ids import new_id
from strongroom.http import PUBLIC
from strongroom.http.app import build_app
from strongroom.http.limits import BODY_BYTES_MAX, BULK_BODY_BYTES_MAX
from strongroom.http.requires import RouteWithoutRequires
from strongroom.identity.access import examples as access_examples
from strongroom.identity.grants import PERSONS_ONLY
from strongroom.identity.people import examples as people_examples
from strongroom.identity.people.model import NewInvitation, PersonWish
from strongroom.identity.people.password_policy import Setter
from strongroom.identity.sso import examples as sso_examples
from strongroom.kernel.clock import SystemClock
from strongroom.kernel.ids import MerchantId, PersonId
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind, Role
from strongroom.simulator import Fault, Simulated
from strongroom.vault.containers import examples as container_examples
from strongroom.vault.forwarding import examples as forwarding_examples

VISA = "4242424242424242"
DOCUMENTS: Mapping[str, dict[str, Any]] = {
    "vault": json.loads(compose.vault_document()),
    "gateway": json.loads(compose.gateway_document()),
    "webhooks": json.loads(compose.webhooks_document()),
    "console": json.loads(compose.console_document()),
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a listener."""

    listener: str
    method: str
    path: str
    says: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.listener} {self.method} {self.path}"

    @property
    def success(self) -> int:
        """What its example is answered with. 202 is for an outcome that is not known."""
        return max(
            int(status) for status in self.says["responses"] if status < "300" and status != "202"
        )

    def example(self, part: dict[str, Any]) -> Any:
        """The example of a request body or an answer."""
        return _first(part.get("content", {})).get("example")

    def schema(self, status: int) -> dict[str, Any] | None:
        content = self.says["responses"][str(status)].get("content", {})
        found = _first(content).get("schema")
        return (
            None
            if found is None
            else {**found, "components": DOCUMENTS[self.listener]["components"]}
        )


def _first(content: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What is said of the one media type there is."""
    return next(iter(content.values()), {})


def operations() -> Iterator[Operation]:
    for listener, document in DOCUMENTS.items():
        for path, item in document["paths"].items():
            for method, says in item.items():
                yield Operation(listener, method.upper(), path, says)


EVERY = list(operations())
every_operation = pytest.mark.parametrize("operation", EVERY, ids=str)
PUBLIC_PATHS = {
    "/.well-known/jwks.json",
    "/v1/oauth/token",
    "/v1/session/refresh",
    "/livez",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/v1/inbound/{connection_id}",
    "/v1/receipts/jwks",
    "/v1/returns/{payment_id}",
    "/v1/login",
    "/v1/login/passkey",
    "/v1/login/passkey/options",
    "/v1/login/recovery",
    "/v1/login/totp",
    "/v1/setup",
    "/v1/setup/passkey",
    "/v1/setup/passkey/options",
    "/v1/setup/password",
    "/v1/setup/totp",
    "/v1/setup/totp/confirm",
    "/v1/sso/finish",
    "/v1/sso/start",
    # Pages, and what they load: there is nothing in them but how they look and what they do.
    *(
        path
        for path, item in DOCUMENTS["console"]["paths"].items()
        if item.get("get", {}).get("tags") == ["pages"]
    ),
}


@pytest.mark.parametrize("listener", DOCUMENTS)
def test_the_document_is_openapi_3_1(listener: str) -> None:
    assert DOCUMENTS[listener]["openapi"].startswith("3.1")
    validate(DOCUMENTS[listener])


async def test_each_listener_serves_its_document(service: Service) -> None:
    for listener, document in DOCUMENTS.items():
        caller = Caller(service.clients[listener], None)
        assert (await caller.get("/openapi.json")).json() == document


@every_operation
def test_every_operation_is_explained_by_an_example(operation: Operation) -> None:
    assert operation.says["summary"]
    if "requestBody" in operation.says:
        body = operation.says["requestBody"]
        example = operation.example(body)
        assert example is not None
        schema = next(iter(body["content"].values()))["schema"]
        components = DOCUMENTS[operation.listener]["components"]
        jsonschema.validate(example, {**schema, "components": components})
    answer = operation.says["responses"][str(operation.success)]
    example = operation.example(answer)
    if operation.success == 204 or operation.path in ("/metrics", "/openapi.json"):
        return
    assert example is not None
    if isinstance(example, dict):
        jsonschema.validate(example, operation.schema(operation.success))


@every_operation
def test_who_may_call_stands_there(operation: Operation) -> None:
    if operation.path in PUBLIC_PATHS:
        assert operation.says["security"] == []
    else:
        assert operation.says["x-requires"]
        assert {"401", "403", "429", "503"} <= set(operation.says["responses"])


@dataclass(frozen=True, slots=True)
class Ground:
    """A merchant with something of everything: its ids by the names that paths have, and its keys."""

    shop: Shop
    ids: Mapping[str, str]
    key: str
    weak: str
    weaker: str

    def caller(self, operation: Operation, key: str | None) -> Caller:
        return Caller(self.shop.service.clients[operation.listener], key)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ground(service: Service, processor: Simulated) -> Ground:
    shop = await open_shop(service, processor)
    tenant, vault, gateway = shop.tenant, shop.vault, shop.gateway
    token = await vault.token(VISA, "737")
    key = await service.key(tenant.merchant, KeyKind.PUBLIC)
    paid = await shop.captured()
    refund = await gateway.post(f"/v1/payments/{paid['id']}/refunds", {"amount": 1})
    endpoint = await gateway.post("/v1/endpoints", {"url": f"{processor.url}/nobody"})
    events = await gateway.get("/v1/events?limit=1")
    mandated = await with_mandate(shop)
    ids = {
        "token_id": token["id"],
        "cvc": token["cvc"],
        "import_id": await importing(shop),
        "reconciliation_id": await reported(shop),
        "export_id": await exporting_job(service, tenant.merchant, Mode.TEST),
        "key_id": key.key.key_id,
        "payment_id": paid["id"],
        "refund_id": refund.json()["id"],
        "destination_id": await destined(service, tenant.merchant),
        "connection_id": shop.connection["id"],
        "endpoint_id": endpoint.json()["id"],
        "gateway event_id": events.json()["data"][0]["id"],
        "customer_id": mandated["customer_id"],
        "mandate_id": mandated["mandate_id"],
        **await disputed(service, tenant.merchant, paid["id"], shop.connection["id"]),
    }
    for listener, caller in (("vault", vault), ("gateway", gateway)):
        page = await caller.get("/v1/audit/records?limit=1")
        record = page.json()["data"][0]["id"]
        ids[f"{listener} record_id"] = record
        if listener == "gateway":  # the console reads the same log
            ids["console record_id"] = record
        await until_sealed(caller, record)
    weak, weaker = [
        await service.key(tenant.merchant, KeyKind.RESTRICTED, permissions=[permission])
        for permission in (Permission.VAULT_CVC_DISCARD, Permission.AUDIT_CHECKPOINT_READ)
    ]
    return Ground(
        shop,
        ids,
        tenant.keys[Mode.TEST],
        weak.text.expose(),
        weaker.text.expose(),
    )


async def with_password(service: Service, merchant: MerchantId) -> Member:
    """An admin whose password is the one in the example of changing it."""
    desk, member = service.desk, await service.member(merchant)
    password = people_examples.PASSWORD_IN["current"]
    async with desk.people._parts.database.transaction([merchant]) as tx:
        setter = Setter("", "", "", reaches_vault=True)
        new = await desk.passwords.ready(
            await desk.passwords.kept(tx, member.person), setter, password
        )
        await desk.passwords.set(tx, new, desk.clock.now())
    return member


async def until_sealed(caller: Caller, event_id: str) -> None:
    async def sealed() -> bool:
        return (await caller.get(f"/v1/audit/records/{event_id}/proof")).status_code != 409

    await until(sealed, what="the sealer to seal")


async def waiting(shop: Shop) -> str:
    return await waiting_job(shop.service, shop.tenant.merchant, Mode.TEST)


async def retokenizing(shop: Shop) -> str:
    return await waiting_job(shop.service, shop.tenant.merchant, Mode.TEST, "retokenize")


async def erased(shop: Shop) -> str:
    return str(
        (await shop.vault.post("/v1/erasures", {"token": await tokenized(shop)})).json()["id"]
    )


async def importing(shop: Shop) -> str:
    await shop.vault.post("/v1/imports/key")
    return str((await shop.vault.post("/v1/imports", {"format": "csv"})).json()["id"])


async def reported(shop: Shop) -> str:
    """A settlement report whose file has not come."""
    return await open_report(shop.service, shop.tenant.merchant, Mode.TEST)


async def compared(shop: Shop) -> str:
    return await open_report(shop.service, shop.tenant.merchant, Mode.TEST, "done")


async def unconfirmed(shop: Shop) -> str:
    more = {"connection": shop.connection["id"]}
    return str((await shop.pay(confirm=False, capture_method="manual", **more)).json()["id"])


async def authorized(shop: Shop) -> str:
    return str((await shop.authorized(connection=shop.connection["id"]))["id"])


async def captured(shop: Shop) -> str:
    return str((await shop.captured(connection=shop.connection["id"]))["id"])


async def connected(shop: Shop) -> str:
    body = {
        "processor": "simulator",
        "account": shop.account,
        "base_url": shop.simulated.url,
        "credentials": {"api_key": shop.api_key},
        "webhook_secret": shop.secret,
    }
    return str((await shop.gateway.post("/v1/connections", body)).json()["id"])


async def listening(shop: Shop) -> str:
    answer = await shop.gateway.post("/v1/endpoints", {"url": f"{shop.simulated.url}/nobody"})
    return str(answer.json()["id"])


async def destined(service: Service, merchant: MerchantId, *, rotated: bool = False) -> str:
    """A destination, registered by somebody who may."""
    people = People(service)
    vault = people.at("vault", await people.make(merchant))
    made = await vault.post("/v1/destinations", forwarding_examples.DESTINATION_IN)
    assert made.status_code == 201, made.text
    path = f"/v1/destinations/{made.json()['id']}"
    if rotated:
        answer = await vault.post(f"{path}/rotate", forwarding_examples.CREDENTIALS_IN)
        assert answer.status_code == 200, answer.text
    return str(made.json()["id"])


async def destined_at(shop: Shop) -> str:
    return await destined(shop.service, shop.tenant.merchant)


async def tokenized(shop: Shop) -> str:
    return str((await shop.token(VISA))["id"])


async def allowed(shop: Shop) -> str:
    body = {"subject": "role:auditor", "mode": "test", "networks": ["203.0.113.0/24"]}
    admin = await signed_in(shop.service, shop.tenant.merchant)
    console = shop.service.console(admin.access.expose())
    return str((await console.post("/v1/networks", body)).json()["id"])


async def ruled(shop: Shop) -> str:
    admin = await shop.service.member(shop.tenant.merchant)
    made = await shop.service.vault(admin.key).post("/v1/access-rules", container_examples.RULE_IN)
    return str(made.json()["id"])


async def contained(shop: Shop) -> str:
    made = await shop.vault.post("/v1/containers", container_examples.CONTAINER_IN)
    return str(made.json()["name"])


async def somebody(shop: Shop) -> str:
    return (await shop.service.member(shop.tenant.merchant, Role.DEVELOPER)).id


async def suspended(shop: Shop) -> str:
    person = PersonId(await somebody(shop))
    await shop.service.desk.people.suspend(shop.tenant.merchant, person, ACT)
    return person


async def _invited(shop: Shop) -> NewInvitation:
    email = f"{new_id('usr').lower()}@shop.example"
    wish = PersonWish(shop.tenant.merchant, email, "Somebody", Role.AUDITOR)
    return await shop.service.desk.people.invite(wish, ACT)


async def invited(shop: Shop) -> str:
    return (await _invited(shop)).invitation.invitation_id


async def link(shop: Shop) -> str:
    return (await _invited(shop)).link.expose()


async def ticket(shop: Shop) -> str:
    made = await _invited(shop)
    return (await shop.service.desk.setup.open(made.link)).ticket.expose()


async def logged_in(shop: Shop) -> str:
    return (await signed_in(shop.service, shop.tenant.merchant)).session


async def refreshing(shop: Shop) -> str:
    return (await signed_in(shop.service, shop.tenant.merchant)).refresh.expose()


async def registered(shop: Shop) -> str:
    return (await machine(shop.service, EdKey(), shop.tenant)).id


async def asserted(shop: Shop) -> str:
    return (await machine(shop.service, EdKey(), shop.tenant)).assertion()


#: The identity provider of this module, when it is there.
IDENTITY_PROVIDERS: list[OidcProvider] = []


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def identity_provider() -> AsyncIterator[None]:
    async with oidc_provider(SystemClock()) as lent:
        IDENTITY_PROVIDERS.append(lent)
        yield
        IDENTITY_PROVIDERS.clear()


async def provided(shop: Shop) -> str:
    """An identity provider that is there, which makes people at their first login."""
    people = People(shop.service)
    admins = [await people.make(shop.tenant.merchant) for _ in range(2)]
    two = Two(*(people.at("console", each) for each in admins))
    body = {
        **sso_examples.PROVIDER_IN,
        "issuer": IDENTITY_PROVIDERS[0].issuer,
        "client_secret": SECRET,
    }
    answer = await two.done("/v1/providers", body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def brought_back(shop: Shop) -> str:
    """What a browser brings back from a provider, with its ticket."""
    body = {**sso_examples.START_IN, "provider": await provided(shop)}
    started = (await shop.service.console(None).post("/v1/sso/start", body)).json()
    email = f"{new_id('usr').lower()}@shop.example"
    back = IDENTITY_PROVIDERS[0].visited(
        started["authorization_url"], sub=email, email=email, groups=["support"]
    )
    return json.dumps({**back, "ticket": started["ticket"]})


async def routed(shop: Shop) -> str:
    """Write a version of routing rules, so that there is one; they narrow nothing that other operations do."""
    body: dict[str, Any] = {"rules": []}
    return str((await shop.gateway.post("/v1/routing/rules", body)).json()["version"])


#: What an operation uses up or changes is made for it: which id, and how.
FRESH: Mapping[str, tuple[str, Callable[[Shop], Awaitable[str]]]] = {
    "vault DELETE /v1/tokens/{token_id}": ("token_id", tokenized),
    "vault DELETE /v1/access-rules/{rule_id}": ("rule_id", ruled),
    "vault POST /v1/containers/remove": ("container", contained),
    "vault POST /v1/erasures": ("token_id", tokenized),
    "vault GET /v1/erasures/{erasure_id}": ("erasure_id", erased),
    "vault GET /v1/retokenizations/{job_id}/mapping": ("job_id", retokenizing),
    "vault POST /v1/forward": ("destination_id", destined_at),
    "vault PUT /v1/imports/{import_id}/content": ("import_id", importing),
    "vault POST /v1/imports/{import_id}/cancel": ("import_id", importing),
    **{
        f"vault {route}": ("job_id", waiting)
        for route in (
            "GET /v1/jobs/{job_id}",
            *(f"POST /v1/jobs/{{job_id}}/{act}" for act in ("cancel", "pause", "rate", "resume")),
        )
    },
    "gateway PUT /v1/reconciliations/{reconciliation_id}/content": ("reconciliation_id", reported),
    "gateway POST /v1/reconciliations/{reconciliation_id}/again": ("reconciliation_id", compared),
    "gateway POST /v1/payments/{payment_id}/confirm": ("payment_id", unconfirmed),
    "gateway POST /v1/payments/{payment_id}/capture": ("payment_id", authorized),
    "gateway POST /v1/payments/{payment_id}/cancel": ("payment_id", authorized),
    "gateway POST /v1/payments/{payment_id}/refunds": ("payment_id", captured),
    "gateway POST /v1/connections/{connection_id}/disable": ("connection_id", connected),
    "gateway GET /v1/routing/rules": ("rules_version", routed),
    "gateway POST /v1/routing/rules/activate": ("rules_version", routed),
    "gateway POST /v1/endpoints/{endpoint_id}": ("endpoint_id", listening),
    "gateway POST /v1/endpoints/{endpoint_id}/rotate": ("endpoint_id", listening),
    "gateway POST /v1/endpoints/{endpoint_id}/test": ("endpoint_id", listening),
    "gateway DELETE /v1/endpoints/{endpoint_id}": ("endpoint_id", listening),
    "gateway POST /v1/events/{event_id}/redeliver": ("endpoint_id", listening),
    "console DELETE /v1/networks/{network_id}": ("network_id", allowed),
    "console GET /v1/people/{person_id}": ("person_id", somebody),
    "console POST /v1/people/{person_id}/role": ("person_id", somebody),
    "console POST /v1/people/{person_id}/suspend": ("person_id", somebody),
    "console POST /v1/people/{person_id}/enable": ("person_id", suspended),
    "console POST /v1/people/{person_id}/unlock": ("person_id", somebody),
    "console POST /v1/people/{person_id}/reset": ("person_id", somebody),
    "console POST /v1/invitations/{invitation_id}/renew": ("invitation_id", invited),
    "console POST /v1/invitations/{invitation_id}/withdraw": ("invitation_id", invited),
    "console POST /v1/setup": ("link", link),
    "console POST /v1/setup/password": ("ticket", ticket),
    "console POST /v1/session/refresh": ("refresh_token", refreshing),
    "console POST /v1/sessions/{session_id}/end": ("session_id", logged_in),
    "console POST /v1/services/{service_id}/keys": ("service_id", registered),
    "console POST /v1/services/{service_id}/revoke": ("service_id", registered),
    "console POST /v1/oauth/token": ("client_assertion", asserted),
    "console POST /v1/sso/start": ("provider_id", provided),
    "console POST /v1/sso/finish": ("finish", brought_back),
}
#: What stands in a body and is made for it.
MADE = (
    *("client_assertion", "code", "credential", "handle", "link", "refresh_token"),
    *("staged_at", "ticket"),
)
#: An id in an example stands for one of the reader's own.
OWN = {
    "con_": "connection_id",
    "dst_": "destination_id",
    "sso_": "provider_id",
    "tok_": "token_id",
    "whe_": "endpoint_id",
}


def ids_of(operation: Operation, ids: Mapping[str, str]) -> dict[str, str]:
    """Ids by the names that stand in an operation's path: an event is a record in the audit log."""
    kind = "record" if operation.path.startswith("/v1/audit/") else "event"
    return {**ids, "event_id": ids.get(f"{operation.listener} {kind}_id", "")}


async def ids_for(operation: Operation, ground: Ground) -> Mapping[str, str]:
    """The ids that an operation is tried with."""
    ids = ids_of(operation, ground.ids)
    if str(operation) in FRESH:
        name, make = FRESH[str(operation)]
        ids[name] = await make(ground.shop)
    if str(operation) in SEVERAL:
        ids |= await SEVERAL[str(operation)](ground.shop)
    return ids


def body_of(operation: Operation, ids: Mapping[str, str]) -> Any:
    """The example of a body, as a reader sends it."""
    if operation.path.endswith("/cvc/discard"):  # a sealed CVC cannot stand in a document
        return {"cvc": ids["cvc"]}
    if (
        operation.path == "/v1/sso/finish"
    ):  # what a provider sends a browser back with, and its ticket
        return json.loads(ids["finish"])
    example = operation.example(operation.says.get("requestBody", {}))
    if not isinstance(example, dict):
        return example
    if operation.path == "/v1/routing/rules":  # where payments may go is the reader's own
        own = [{"connection": ids["connection_id"]}]
        rules = [{**each, "connections": own} for each in example["rules"]]
        return {**example, "rules": rules, "activate": False}
    if operation.path == "/v1/forward":
        example = {**example, "tokens": {"card": ids["token_id"]}}
    return {
        name: ids[OWN[value[:4]]] if isinstance(value, str) and value[:4] in OWN else value
        for name, value in example.items()
    } | {name: ids[name] for name in MADE if name in example and name in ids}


def notice(ground: Ground) -> dict[str, Any]:
    """What a processor sends: any bytes, and a signature over them."""
    content = json.dumps({"id": new_id("evt").replace("evt_", "se_")}).encode()
    now = str(int(time.time()))
    mac = hmac_sha256(ground.shop.secret.encode(), f"{now}.".encode() + content).hex()
    return {"content": content, "headers": {"sim-signature": f"t={now},v1={mac}"}}


def is_for_people(operation: Operation) -> bool:
    """No key may ever call it."""
    return not PERSONS_ONLY.isdisjoint(operation.says.get("x-requires", ()))


async def person_for(operation: Operation, ground: Ground, ids: dict[str, str]) -> str:
    """Log somebody in who may, at a merchant where what it names is there; return their credential."""
    if "/session" in operation.path:
        return (await signed_in(ground.shop.service, ground.shop.tenant.merchant)).access.expose()
    service, own = ground.shop.service, ground.shop.tenant.merchant
    if operation.path == "/v1/own/password":
        return (await with_password(service, own)).key
    if operation.path == "/v1/merchants":
        return (await service.member(PLATFORM)).key
    if operation.path.startswith(
        (
            *("/v1/people", "/v1/invitations", "/v1/networks", "/v1/access-rules"),
            *("/v1/brakes/enforced/{", "/v1/payments"),
        )
    ):
        return (await service.member(own)).key
    people = People(ground.shop.service)
    merchant = (await ground.shop.service.tenant()).merchant
    if "{person_id}" in operation.path or "{invitation_id}" in operation.path:
        merchant = ground.shop.tenant.merchant  # where they were made
    admin = await people.make(merchant)
    other = await people.make(merchant)  # who may approve
    operator = await people.make(merchant, Role.OPERATOR)
    if "/break-glass" in operation.path:
        if "{" in operation.path:
            body = access_examples.BREAK_GLASS_IN
            glass = await people.at("console", operator).post("/v1/break-glass", body)
            ids["break_glass_id"] = glass.json()["id"]
        return operator.credential
    if "{approval_id}" in operation.path:
        who = admin if operation.path.endswith("/withdraw") else operator
        ids["approval_id"] = await people.asked(who)
    if "{review_id}" in operation.path:
        review = await people.at("console", admin).post("/v1/access-reviews")
        ids["review_id"] = review.json()["id"]
        ids["subject_id"] = operator.id
    if "{destination_id}" in operation.path:
        rotated = operation.path.endswith("/restore")
        ids["destination_id"] = await destined(service, merchant, rotated=rotated)
    if "{provider_id}" in operation.path:
        two = Two(people.at("console", admin), people.at("console", other))
        made = await two.done("/v1/providers", sso_examples.PROVIDER_IN)
        ids["provider_id"] = made.json()["id"]
    return admin.credential


async def caller_for(operation: Operation, ground: Ground) -> tuple[str, Mapping[str, str]]:
    """The credential and the ids that an operation is tried with."""
    ids = dict(await ids_for(operation, ground))
    provers = {**PROVEN, **PASSKEYS, **REVEALS}
    if str(operation) in provers:
        made = await provers[str(operation)](ground.shop.service, ground.shop.tenant.merchant)
        return made.key or ground.key, {**ids, **made.fields}
    if is_for_people(operation):
        return await person_for(operation, ground, ids), ids
    if operation.path in ("/v1/brakes", "/v1/brakes/entries"):
        # Somewhere else: what is paid here is not braked.
        return (await ground.shop.service.tenant()).keys[Mode.TEST], ids
    return ground.key, ids


@every_operation
async def test_examples_work_as_they_stand(ground: Ground, operation: Operation) -> None:
    key, ids = await caller_for(operation, ground)
    headers = {
        parameter["name"]: parameter["example"]
        for parameter in operation.says.get("parameters", ())
        if parameter["in"] == "header" and "example" in parameter
    }
    if headers:
        headers = {"idempotency-key": f"{headers.popitem()[1]} of {operation.path}"}
    sent: dict[str, Any] = {"body": body_of(operation, ids), "headers": headers}
    if operation.path.startswith("/v1/inbound/"):
        sent = notice(ground)
    answer = await ground.caller(operation, key).send(
        operation.method, operation.path.format(**ids), **sent
    )
    # What takes two people waits for the second.
    waits = answer.status_code == 202 and "x-approval" in operation.says
    assert waits or answer.status_code == operation.success, answer.text
    schema = operation.schema(answer.status_code)
    if schema is not None and answer.headers["content-type"].startswith("application/json"):
        jsonschema.validate(answer.json(), schema)


UNKNOWN = {
    "caller": "key",
    "approval_id": "apr",
    "attempt_id": "att",
    "customer_id": "cus",
    "dispute_id": "dsp",
    "entry_id": "blk",
    "incident_id": "inc",
    "mandate_id": "mnd",
    "destination_id": "dst",
    "erasure_id": "ers",
    "break_glass_id": "brk",
    "review_id": "rvw",
    "subject_id": "usr",
    "token_id": "tok",
    "job_id": "job",
    "import_id": "imp",
    "reconciliation_id": "rcn",
    "export_id": "job",
    "key_id": "key",
    "payment_id": "pay",
    "refund_id": "ref",
    "connection_id": "con",
    "endpoint_id": "whe",
    "network_id": "net",
    "rule_id": "rul",
    "person_id": "usr",
    "invitation_id": "inv",
    "provider_id": "sso",
    "service_id": "svc",
    "passkey_id": "psk",
    "session_id": "ses",
}


def attempts(
    operation: Operation, ground: Ground, key: str, ids: Mapping[str, str]
) -> Iterator[tuple[str | None, str, dict[str, Any]]]:
    """Yield what goes wrong in practice: key, path, what is sent."""
    path = operation.path.format(**ids)
    bound = BULK_BODY_BYTES_MAX if operation.path.endswith("/bulk") else BODY_BYTES_MAX
    event = "aud" if operation.path.startswith("/v1/audit/") else "evt"
    unknown = operation.path.format(
        **{
            name: f"{prefix}_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
            for name, prefix in {**UNKNOWN, "event_id": event}.items()
        }
    )
    good = operation.example(operation.says.get("requestBody", {}))
    yield None, path, {"body": good}
    yield "sk_test_nonsense", path, {"body": good}
    yield ground.weak, path, {"body": good}
    yield ground.weaker, path, {"body": good}
    yield key, unknown, {"body": good}
    if operation.method == "GET":
        yield key, f"{path}?limit=0", {}
        yield key, f"{path}?cursor=x", {}
        yield key, f"{path}?unknown=1", {}
        return
    if operation.path.startswith("/v1/inbound/"):
        yield None, path, {"content": b"not json"}
        yield None, path, {**notice(ground), "content": b"{}"}
        yield None, path, notice(ground)
        yield None, unknown, notice(ground)
        yield None, path, {"content": b" " * (bound + 1)}
        yield None, path, {**notice(ground), "content": json.dumps({"a": VISA}).encode()}
        return
    if operation.method != "POST" or good is None:
        return
    yield key, path, {"content": b"not json"}
    yield key, path, {"content": b""}
    yield key, path, {"content": b"[]"}
    yield key, path, {"body": {"unknown": 1}}
    yield key, path, {"content": b" " * (bound + 1)}
    yield key, path, {"body": good, "headers": {"content-type": "text/plain"}}
    yield key, path, {"body": good, "idempotency": None}
    yield key, path, {"body": good, "idempotency": "x" * 300}
    yield key, path, {"body": {"cvc": "cvc_AAAA"}}
    yield key, path, {"body": {"cvc": ids["cvc"]}}
    yield key, path, {"body": {"metadata": {"a": VISA}}}
    yield key, path, {"body": {"name": VISA}}
    yield key, path, {"body": wish("4242424242424241")}
    yield key, path, {"body": body_of(operation, ids), "idempotency": "once"}
    yield key, path, {"body": {**good, "metadata": {"another": "body"}}, "idempotency": "once"}


@every_operation
async def test_no_operation_answers_what_its_document_hides(
    ground: Ground, operation: Operation
) -> None:
    documented = {int(status) for status in operation.says["responses"] if status.isdecimal()}
    own, ids = await caller_for(operation, ground)
    for key, path, more in attempts(operation, ground, own, ids):
        answer = await ground.caller(operation, key).send(operation.method, path, **more)
        assert answer.status_code in documented, (path, more, answer.text)
        schema = operation.schema(answer.status_code)
        kind = answer.headers["content-type"]
        if schema is not None and "json" in kind and "ndjson" not in kind:
            jsonschema.validate(answer.json(), schema)


async def test_a_decline_and_an_unknown_outcome_have_the_shapes_that_are_documented(
    ground: Ground,
) -> None:
    shop = ground.shop
    (creating,) = [each for each in EVERY if str(each) == "gateway POST /v1/payments"]
    through = {"connection": shop.connection["id"]}
    declined = await shop.pay(DECLINED, **through)
    assert declined.status_code == 402
    jsonschema.validate(declined.json(), creating.schema(402))
    await shop.simulated.control.demand(Fault.ERROR_500_AFTER, "authorize")
    unknown = await shop.pay(**through)
    assert unknown.status_code == 202
    jsonschema.validate(unknown.json(), creating.schema(202))
    await shop.until_settled(unknown.json()["id"])


async def test_a_customer_goes_on_to_the_page_that_the_merchant_named(ground: Ground) -> None:
    url = "https://shop.example/thanks?order=1042"
    payment = (await ground.shop.pay(confirm=False, return_url=url)).json()["id"]
    answer = await ground.shop.service.public.get(f"/v1/returns/{payment}")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("https://shop.example/thanks?order=1042&")


# --- a route says who may call it, or the app is not built ---------------------------------------


@get("/a")
async def silent() -> None: ...


@get("/a", requires=None)
async def says_nothing() -> None: ...


@get("/a", requires=frozenset())
async def nobody() -> None: ...


@get("/a", requires="vault:token:read")
async def a_text() -> None: ...


@websocket("/a", requires=PUBLIC)
async def not_http(socket: WebSocket[Any, Any, Any]) -> None: ...


@pytest.mark.parametrize("handler", [silent, says_nothing, nobody, a_text, not_http])
def test_a_route_without_requires_is_not_served(handler: Any) -> None:
    with pytest.raises(RouteWithoutRequires):
        build_app([*compose.VAULT_ROUTES, handler], {})


def test_the_products_routes_all_say_it() -> None:
    build_app(compose.VAULT_ROUTES, {})
    build_app(compose.GATEWAY_ROUTES, {})
    build_app(compose.WEBHOOKS_ROUTES, {})
    build_app(compose.CONSOLE_ROUTES, {})
