# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI documents tell the truth: their examples work as they stand, and no operation answers what they hide."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema
import pytest
import pytest_asyncio
from litestar import WebSocket, get, websocket
from openapi_spec_validator import validate

from service import Caller, Service, wish
from strongroom import compose
from strongroom.http import PUBLIC
from strongroom.http.app import build_app
from strongroom.http.limits import BODY_BYTES_MAX, BULK_BODY_BYTES_MAX
from strongroom.http.requires import RouteWithoutRequires
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind

VISA = "4242424242424242"
DOCUMENTS: Mapping[str, dict[str, Any]] = {
    "vault": json.loads(compose.vault_document()),
    "gateway": json.loads(compose.gateway_document()),
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
        return max(int(status) for status in self.says["responses"] if status < "300")

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
PUBLIC_PATHS = {"/livez", "/readyz", "/metrics", "/openapi.json"}


@pytest.mark.parametrize("listener", DOCUMENTS)
def test_the_document_is_openapi_3_1(listener: str) -> None:
    assert DOCUMENTS[listener]["openapi"].startswith("3.1")
    validate(DOCUMENTS[listener])


async def test_each_listener_serves_its_document(service: Service) -> None:
    for listener, document in DOCUMENTS.items():
        caller = service.vault(None) if listener == "vault" else service.gateway(None)
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


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ids(service: Service) -> dict[str, str]:
    """A merchant with something of everything, and ids for the paths."""
    tenant = await service.tenant()
    vault = service.vault(tenant.keys[Mode.TEST])
    gateway = service.gateway(tenant.keys[Mode.TEST])
    token = await vault.token(VISA, "737")
    key = await service.key(tenant.merchant, KeyKind.PUBLIC)
    found = {
        "key": tenant.keys[Mode.TEST],
        "token_id": token["id"],
        "cvc": token["cvc"],
        "key_id": key.key.key_id,
    }
    for listener, caller in (("vault", vault), ("gateway", gateway)):
        page = await caller.get("/v1/audit/records?limit=1")
        found[f"{listener} event_id"] = page.json()["data"][0]["id"]
        await until_sealed(caller, found[f"{listener} event_id"])
    weak = await service.key(
        tenant.merchant, KeyKind.RESTRICTED, permissions=[Permission.VAULT_CVC_DISCARD]
    )
    weaker = await service.key(
        tenant.merchant, KeyKind.RESTRICTED, permissions=[Permission.AUDIT_CHECKPOINT_READ]
    )
    return {**found, "weak": weak.text.expose(), "weaker": weaker.text.expose()}


async def until_sealed(caller: Caller, event_id: str) -> None:
    deadline = asyncio.get_running_loop().time() + 20
    while (await caller.get(f"/v1/audit/records/{event_id}/proof")).status_code == 409:
        assert asyncio.get_running_loop().time() < deadline, "the sealer does not seal"
        await asyncio.sleep(0.05)


def filled(operation: Operation, ids: Mapping[str, str]) -> str:
    return operation.path.format(
        token_id=ids["token_id"],
        key_id=ids["key_id"],
        event_id=ids[f"{operation.listener} event_id"],
    )


def caller_of(service: Service, operation: Operation, key: str | None) -> Caller:
    return service.vault(key) if operation.listener == "vault" else service.gateway(key)


@every_operation
async def test_examples_work_as_they_stand(
    service: Service, ids: dict[str, str], operation: Operation
) -> None:
    body = operation.example(operation.says.get("requestBody", {}))
    if operation.path.endswith("/cvc/discard"):  # a sealed CVC cannot stand in a document
        body = {"cvc": ids["cvc"]}
    headers = {
        parameter["name"]: parameter["example"]
        for parameter in operation.says.get("parameters", ())
        if parameter["in"] == "header"
    }
    if operation.method == "DELETE":
        ids = {**ids, "token_id": (await service.vault(ids["key"]).token(VISA))["id"]}
    if headers:
        headers = {"idempotency-key": f"{headers.popitem()[1]} of {operation.path}"}
    answer = await caller_of(service, operation, ids["key"]).send(
        operation.method, filled(operation, ids), body=body, headers=headers
    )
    assert answer.status_code == operation.success, answer.text
    schema = operation.schema(answer.status_code)
    if schema is not None and answer.headers["content-type"].startswith("application/json"):
        jsonschema.validate(answer.json(), schema)


def attempts(
    operation: Operation, ids: Mapping[str, str]
) -> Iterator[tuple[str | None, str, dict[str, Any]]]:
    """Yield what goes wrong in practice: key, path, what is sent."""
    path = filled(operation, ids)
    bound = BULK_BODY_BYTES_MAX if operation.path.endswith("/bulk") else BODY_BYTES_MAX
    unknown = operation.path.format(
        token_id="tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
        key_id="key_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
        event_id="aud_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    )
    good = operation.example(operation.says.get("requestBody", {}))
    yield None, path, {"body": good}
    yield "sk_test_nonsense", path, {"body": good}
    yield ids["weak"], path, {"body": good}
    yield ids["weaker"], path, {"body": good}
    yield ids["key"], unknown, {"body": good}
    if operation.method == "GET":
        yield ids["key"], f"{path}?limit=0", {}
        yield ids["key"], f"{path}?cursor=x", {}
        yield ids["key"], f"{path}?unknown=1", {}
        return
    if operation.method != "POST" or good is None:
        return
    yield ids["key"], path, {"content": b"not json"}
    yield ids["key"], path, {"content": b""}
    yield ids["key"], path, {"content": b"[]"}
    yield ids["key"], path, {"body": {"unknown": 1}}
    yield ids["key"], path, {"content": b" " * (bound + 1)}
    yield ids["key"], path, {"body": good, "headers": {"content-type": "text/plain"}}
    yield ids["key"], path, {"body": good, "idempotency": None}
    yield ids["key"], path, {"body": good, "idempotency": "x" * 300}
    yield ids["key"], path, {"body": {"cvc": "cvc_AAAA"}}
    yield ids["key"], path, {"body": {"cvc": ids["cvc"]}}
    yield ids["key"], path, {"body": {"metadata": {"a": VISA}}}
    yield ids["key"], path, {"body": {"name": VISA}}
    yield ids["key"], path, {"body": wish("4242424242424241")}


@every_operation
async def test_no_operation_answers_what_its_document_hides(
    service: Service, ids: dict[str, str], operation: Operation
) -> None:
    documented = {int(status) for status in operation.says["responses"] if status.isdecimal()}
    for key, path, more in attempts(operation, ids):
        answer = await caller_of(service, operation, key).send(operation.method, path, **more)
        assert answer.status_code in documented, (path, more, answer.text)


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
