# SPDX-License-Identifier: Apache-2.0
"""Requests that a generator makes from the documents, sent to every listener by every kind of caller.

No internal error, no answer that the document does not list, none of another shape. Half of the requests have the shape
that is documented, half break it; paths name things that are there, and things that are not. What is generated is the
same each time (a fixed seed): a failure stays until it is mended. `STRONGROOM_SCHEMATHESIS_EXAMPLES=20` makes more.
"""

import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import hypothesis
import jsonschema
import pytest
import pytest_asyncio
import requests
from jsonschema.exceptions import best_match
from schemathesis import Case, Config, GenerationMode, openapi

from callers import PEOPLE, PLATFORM, Persons, edge_clients
from elsewhere import everything_of, put
from paying import open_shop
from service import Service
from signed_in import signed_in
from strongroom import compose
from strongroom.identity.grants import GRANTABLE, PERSONS_ONLY
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import CallerKind, KeyKind, Role
from strongroom.simulator import Simulated

DOCUMENTS: Final[Mapping[str, dict[str, Any]]] = {
    "vault": json.loads(compose.vault_document()),
    "gateway": json.loads(compose.gateway_document()),
    "console": json.loads(compose.console_document()),
    "webhooks": json.loads(compose.webhooks_document()),
}
SEED: Final = 20_261_120
#: Of an operation, with and without the documented shape each. The first is always the plainest there is: two at least.
EXAMPLES: Final = max(2, int(os.environ.get("STRONGROOM_SCHEMATHESIS_EXAMPLES", "2")))
#: People by name: of this merchant, or of the platform.
PERSONS: Final[Mapping[str, tuple[MerchantId | None, Role]]] = {
    **{role.value: (None, role) for role in PEOPLE},
    **{f"platform {role.value}": (PLATFORM, role) for role in PEOPLE},
}
#: Who is let in where anybody is; what is for people is tried by a person first.
ABLE: Final = ("sk", "admin", "operator")
ABLE_OF_PEOPLE: Final = ("admin", "operator", "sk")
#: Everybody else: a credential of each kind there is, and none.
OTHERS: Final = (
    "admin some time ago",
    "nobody",
    "nonsense",
    "pk",
    "rk",
    "service",
    *(name for name in PERSONS if name not in ABLE),
)
#: Said by the edge before any route is found, for any operation (`default` in the documents).
ANYWHERE: Final = frozenset({"method_not_allowed", "target_too_long", "headers_too_large"})
#: The whole module is to stay within a minute on two quiet cores; more examples take longer.
pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a listener."""

    listener: str
    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.listener} {self.method} {self.path}"

    @property
    def says(self) -> dict[str, Any]:
        return dict(DOCUMENTS[self.listener]["paths"][self.path][self.method.lower()])


EVERY: Final = [
    Operation(listener, method.upper(), path)
    for listener, document in DOCUMENTS.items()
    for path, item in document["paths"].items()
    for method in item
]
_NUMBERS: Final = {operation: number for number, operation in enumerate(EVERY)}
_CONFIG: Final = Config()
_CONFIG.projects.default.generation.update(with_security_parameters=False)
_SCHEMAS: Final = {
    listener: openapi.from_dict(document, config=_CONFIG)
    for listener, document in DOCUMENTS.items()
}


def cases(operation: Operation) -> list[Case[Any]]:
    """Make requests for an operation, the same each time."""
    found: list[Case[Any]] = []
    made = _SCHEMAS[operation.listener][operation.path][operation.method]
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        strategy = made.as_strategy(generation_mode=mode)

        @hypothesis.seed(SEED)
        @hypothesis.settings(
            max_examples=EXAMPLES,
            database=None,
            deadline=None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(strategy)
        def collect(case: Case[Any]) -> None:
            found.append(case)

        try:
            collect()
        except hypothesis.errors.Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, "a request of the documented shape can be made"
    return found


def callers_of(operation: Operation, number: int) -> tuple[str, str]:
    """Say who sends an operation's request of that number: somebody who is able, and somebody else, each in turn."""
    wanted = operation.says.get("x-requires", ())
    able = ABLE if PERSONS_ONLY.isdisjoint(wanted) else ABLE_OF_PEOPLE
    other = (_NUMBERS[operation] + number) % len(OTHERS)
    return able[number % len(able)], OTHERS[other]


@dataclass(frozen=True, slots=True)
class Ground:
    """Who calls, and what is there."""

    service: Service
    merchant: MerchantId
    clients: Mapping[str, httpx.AsyncClient]
    machines: Mapping[str, str | None]
    ids: Mapping[str, str]
    sessions: dict[str, str] = field(default_factory=dict)

    async def credential(self, name: str) -> str | None:
        """Return somebody's credential; people log in when they are first asked for, or their session has ended."""
        if name in PERSONS and name not in self.sessions:
            merchant, role = PERSONS[name]
            issued = await signed_in(self.service, merchant or self.merchant, role)
            self.sessions[name] = issued.access.expose()
        return self.sessions.get(name) or self.machines.get(name)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ground(service: Service, processor: Simulated) -> AsyncIterator[Ground]:
    shop = await open_shop(service, processor)
    merchant = shop.tenant.merchant
    persons = Persons.at(service)
    callers: dict[str, str | None] = {"nobody": None, "nonsense": "sk_test_nonsense"}
    for kind in (KeyKind.PUBLIC, KeyKind.RESTRICTED, KeyKind.SECRET):
        chosen = sorted(GRANTABLE[kind]) if kind is KeyKind.RESTRICTED else None
        made = await service.key(merchant, kind, permissions=chosen)
        callers[kind.value] = made.text.expose()
    long_ago = (await service.member(MerchantId(merchant))).id
    callers["admin some time ago"] = persons.token(
        Role.ADMIN, MerchantId(merchant), stepped_up=False, person=long_ago
    )
    callers["service"] = persons.machine(
        CallerKind.SERVICE, merchant, Mode.TEST, GRANTABLE[KeyKind.RESTRICTED]
    )
    assert {*callers, *PERSONS} == {*ABLE, *OTHERS}
    ids = {**await everything_of(shop), **await put(service, merchant, Mode.TEST)}
    async with edge_clients(service, checked=False) as clients:
        yield Ground(service, MerchantId(merchant), clients, callers, ids)


def there(operation: Operation, ids: Mapping[str, str]) -> dict[str, str]:
    """Ids of what is there, by the names in a path."""
    kind = "record" if operation.path.startswith("/v1/audit/") else "event"
    known = {**ids, "event_id": ids.get(f"{operation.listener} {kind}_id", "")}
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    return {name: known[name] for name in names if known.get(name)}


def requests_of(operation: Operation, ground: Ground) -> Iterator[requests.PreparedRequest]:
    """Print the cases as requests: as they are, and about what is there."""
    for case in cases(operation):
        for ids in ({}, there(operation, ground.ids)):
            if not ids and case.operation.path_parameters and operation.method == "DELETE":
                continue
            if ids:
                case.path_parameters = {**(case.path_parameters or {}), **ids}
            given = case.as_transport_kwargs(base_url="https://listener.test")
            yield requests.Request(
                **{name: each for name, each in given.items() if name in _OF_A_REQUEST}
            ).prepare()
            if not operation.path.count("{"):
                break


_OF_A_REQUEST: Final = frozenset("method url headers files data params cookies json".split())


def require_documented(operation: Operation, answer: httpx.Response, sent: str) -> None:
    """Fail for an answer that the document does not have."""
    said = f"{operation} {sent} → {answer.status_code} {answer.text[:500]}"
    assert answer.status_code < 500 or answer.status_code == 503, said
    is_problem = answer.headers["content-type"] == "application/problem+json"
    if is_problem and answer.json()["code"] in ANYWHERE:
        return
    documented = operation.says["responses"]
    assert str(answer.status_code) in documented, said
    described = documented[str(answer.status_code)]
    for name, header in described.get("headers", {}).items():
        known = DOCUMENTS[operation.listener]["components"]["headers"][name]
        assert name in answer.headers or not {**known, **header}.get("required"), said
    content = described.get("content", {})
    if not content:
        assert answer.content == b"", said
        return
    media = answer.headers["content-type"].partition(";")[0]
    assert media in content, said
    if media == "application/json" or media.endswith("+json"):  # lines of JSON are a text
        whole = {
            **content[media]["schema"],
            "components": DOCUMENTS[operation.listener]["components"],
        }
        # Whether the document's own schemas are sound is another test's business, once.
        wrong = best_match(jsonschema.Draft202012Validator(whole).iter_errors(answer.json()))
        assert wrong is None, f"{said}: {wrong and wrong.message}"


@pytest.mark.parametrize("operation", EVERY, ids=str)
async def test_every_answer_is_documented(ground: Ground, operation: Operation) -> None:
    client = ground.clients[operation.listener]
    for number, request in enumerate(requests_of(operation, ground)):
        assert request.method is not None
        assert request.url is not None
        for name in callers_of(operation, number):
            headers = {
                header: str(value)
                for header, value in request.headers.items()
                if header.lower() != "authorization"
            }
            credential = await ground.credential(name)
            if credential is not None:
                headers["authorization"] = f"Bearer {credential}"
            body = request.body.encode() if isinstance(request.body, str) else request.body
            assert body is None or isinstance(body, bytes)
            answer = await client.request(
                request.method,
                request.url.removeprefix("https://listener.test"),
                content=body,
                headers=headers,
            )
            if answer.status_code == 401:
                ground.sessions.pop(
                    name, None
                )  # it is over, as some operations are there to make it
            require_documented(operation, answer, f"as {name}: {request.url} {body!r}")


def test_every_kind_of_credential_is_shown_to_every_listener_that_knows_any() -> None:
    """By the first request of each operation alone: whatever is generated, nobody is left out."""
    for listener in ("vault", "gateway", "console"):
        shown = {callers_of(each, 0)[1] for each in EVERY if each.listener == listener}
        assert shown == {*OTHERS}, listener


@pytest.mark.parametrize(
    "path", ["%F3%85%A2%A4", "%00", "%25%32%46", "a%2Fb", "%C3%28", "%zz", "ü"]
)
async def test_a_path_of_any_characters_is_read_the_same_by_either_interface(
    ground: Ground, service: Service, path: str
) -> None:
    for listener, route in (("webhooks", "/v1/returns/"), ("vault", "/v1/tokens/")):
        headers = {"authorization": f"Bearer {ground.machines['sk']}"}
        told = []
        for clients in (ground.clients, service.clients):
            answer = await clients[listener].get(route + path, headers=headers)
            told.append((answer.status_code, answer.json()["code"]))
        assert told[0] == told[1]
        assert told[0][0] == 404
