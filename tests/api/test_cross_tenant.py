# SPDX-License-Identifier: Apache-2.0
"""What is another tenant's, or the other mode's, is as if it had never existed (promise 7).

Every route that takes an id is called with ids of another tenant and of the other mode. The answer is the same as for
an id that never was, but for what is each request's own. And, so that time tells nothing either, the database is
asked exactly the same statements in the same order: unlike a stopwatch, that does not depend on a busy machine.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from elsewhere import LIVE, OF_BOTH_MODES, World, world_of
from service import Caller, Service
from statements import counted, statements
from strongroom import compose
from strongroom.identity.grants import PERSONS_ONLY
from strongroom.simulator import Simulated

NEVER: Final = "01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
DOCUMENTS: Final[Mapping[str, dict[str, Any]]] = {
    "vault": json.loads(compose.vault_document()),
    "gateway": json.loads(compose.gateway_document()),
    "console": json.loads(compose.console_document()),
}
#: Thousands of calls, on a machine that may be busy.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module", autouse=True)
def counts() -> Iterator[None]:
    """Count statements in this module."""
    with counted():
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(service: Service, processor: Simulated) -> AsyncIterator[World]:
    async with world_of(service, processor) as made:
        yield made


# --- routes with an id in their path ---------------------------------------------------------------------

PREFIXES: Final = {
    "caller": "key",
    "approval_id": "apr",
    "connection_id": "con",
    "destination_id": "dst",
    "endpoint_id": "whe",
    "erasure_id": "ers",
    "job_id": "job",
    "import_id": "imp",
    "reconciliation_id": "rcn",
    "attempt_id": "att",
    "customer_id": "cus",
    "dispute_id": "dsp",
    "entry_id": "blk",
    "incident_id": "inc",
    "mandate_id": "mnd",
    "export_id": "job",
    "key_id": "key",
    "network_id": "net",
    "rule_id": "rul",
    "payment_id": "pay",
    "provider_id": "sso",
    "refund_id": "ref",
    "token_id": "tok",
    "break_glass_id": "brk",
    "event_id": "evt",
    "invitation_id": "inv",
    "passkey_id": "psk",
    "person_id": "usr",
    "record_id": "aud",
    "review_id": "rvw",
    "service_id": "svc",
    "session_id": "ses",
    "subject_id": "usr",
}


@dataclass(frozen=True, slots=True)
class Route:
    """A route with an id in its path."""

    listener: str
    method: str
    path: str
    name: str
    body: Any
    #: Takes another person's approval, which is asked for before anything is looked for.
    waits: bool
    #: No key may call it.
    for_people: bool

    def __str__(self) -> str:
        return f"{self.listener} {self.method} {self.path}"

    @property
    def kind(self) -> str:
        """The id by the name that the world has: what stands in the audit log is a record."""
        return "record_id" if self.path.startswith("/v1/audit/") else self.name

    def ids(self, made: Mapping[str, str]) -> str | None:
        return made.get(f"{self.listener} {self.kind}") or made.get(self.kind)

    def target(self, object_id: str) -> str:
        """The path with this id; what else it names never was."""
        named = self.path.replace(f"{{{self.name}}}", object_id)
        return re.sub(r"\{([a-z_]+)\}", lambda found: f"{PREFIXES[found[1]]}_{NEVER}", named)


def with_ids() -> list[Route]:
    found = []
    for listener, document in DOCUMENTS.items():
        for path, item in document["paths"].items():
            if "{" not in path:
                continue
            name = path.partition("{")[2].partition("}")[0]
            for method, says in item.items():
                content = [*says.get("requestBody", {}).get("content", {}).values()]
                body = content[0].get("example") if content else None
                for_people = not PERSONS_ONLY.isdisjoint(says.get("x-requires", ()))
                waits = "x-approval" in says
                found.append(Route(listener, method.upper(), path, name, body, waits, for_people))
    return found


ROUTES: Final = with_ids()


def own_body(route: Route, own: Mapping[str, str]) -> Any:
    """The documented body with the caller's own ids in it, so that nothing but the path names what is elsewhere."""
    if not isinstance(route.body, dict):
        return route.body
    if route.path.endswith("/cvc/discard"):
        return {"cvc": own["cvc"]}
    names = {"tok_": "token_id", "whe_": "endpoint_id", "con_": "connection_id"}
    return {
        name: own[names[value[:4]]] if isinstance(value, str) and value[:4] in names else value
        for name, value in route.body.items()
    }


@dataclass(frozen=True, slots=True)
class Told:
    """What two same requests are told, without what is each request's own, and what the second one asked."""

    #: (status, body, headers), of the first and of the second: the first could have changed what the second finds.
    answers: tuple[tuple[int, str, Mapping[str, str]], ...]
    statements: tuple[str, ...]

    @property
    def status(self) -> int:
        return self.answers[0][0]

    @property
    def body(self) -> str:
        return self.answers[0][1]


_OWN_ID: Final = re.compile(r"[a-z]{3}_[0-7][0-9A-HJKMNP-TV-Z]{25}")
_TIME: Final = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z")
_EACH_ITS_OWN: Final = frozenset({"request-id", "content-length"})


def _said(answer: httpx.Response) -> tuple[int, str, Mapping[str, str]]:
    body = _TIME.sub("then", _OWN_ID.sub(lambda found: found[0][:4], answer.text))
    headers = {name: each for name, each in answer.headers.items() if name not in _EACH_ITS_OWN}
    return answer.status_code, body, headers


async def told(caller: Caller, method: str, target: str, body: Any) -> Told:
    """Call twice; by the second time, what is remembered for a moment is known."""
    first = await caller.send(method, target, body=body)
    with statements() as written:
        second = await caller.send(method, target, body=body)
    return Told((_said(first), _said(second)), tuple(written))


async def require_the_same(
    caller: Caller, method: str, never: tuple[str, Any], elsewhere: tuple[str, Any]
) -> Told:
    """Fail unless two requests (target, body) are told the same and ask the same.

    What is remembered runs out at times between two calls: then statements are compared once more.
    """
    for _ in range(TRIES):
        first = await told(caller, method, *never)
        second = await told(caller, method, *elsewhere)
        assert first.answers == second.answers
        if first.statements == second.statements:
            break
    assert first.statements == second.statements
    return first


TRIES: Final = 3
#: Found in the caller's own list, which is remembered for a second: the database need not be asked.
REMEMBERED: Final = frozenset({"connection_id"})
#: What these tests do not make in live mode: no processor is connected there, and some is of both modes.
NOT_IN_LIVE: Final = OF_BOTH_MODES | {
    "attempt_id",
    "connection_id",
    "dispute_id",
    "payment_id",
    "refund_id",
    "token_id",
}
#: Their payment is read by one statement with whatever others ask for then, in a task of its own.
READ_TOGETHER: Final = (
    "/v1/payments/{payment_id}/attempts/{attempt_id}/resolve",
    "/v1/payments/{payment_id}/hold",
    "/v1/payments/{payment_id}/retries/cancel",
)


@pytest.mark.parametrize("route", ROUTES, ids=str)
async def test_what_is_elsewhere_is_as_if_it_had_never_been(world: World, route: Route) -> None:
    person = route.for_people and route.listener != "console"
    caller = world.caller(route.listener, person=person)
    body = own_body(route, world.own)
    assert route.kind in PREFIXES, f"say in PREFIXES which ids {route.name} takes, and make one"
    never = route.target(f"{PREFIXES[route.kind]}_{NEVER}")
    for whose, made in world.elsewhere.items():
        object_id = route.ids(made)
        if object_id is None:
            assert whose == LIVE, f"make something for {route}"
            assert route.kind in NOT_IN_LIVE, f"make something for {route}"
            continue
        found = await require_the_same(
            caller, route.method, (never, body), (route.target(object_id), body)
        )
        assert found.status == 404 or (route.waits and found.status in (202, 403)), found.body
        asked = found.statements or route.kind in REMEMBERED or route.path in READ_TOGETHER
        assert asked, "the database was asked"


# --- bodies and queries that name ids --------------------------------------------------------------------

PAYMENT: Final = {"amount": 1_000, "currency": "AED"}
#: Listener, method, target, body: `{own …}` is the caller's own, `{it}` what is elsewhere or never was.
NAMED: Final[tuple[tuple[str, str, str, Any, str], ...]] = (
    ("vault", "POST", "/v1/erasures", {"token": "{it}"}, "token_id"),
    ("gateway", "POST", "/v1/payments", {**PAYMENT, "token": "{it}"}, "token_id"),
    ("gateway", "POST", "/v1/payments", {**PAYMENT, "token": "{it}", "confirm": True}, "token_id"),
    (
        "gateway",
        "POST",
        "/v1/payments",
        {**PAYMENT, "token": "{own token_id}", "connection": "{it}", "confirm": True},
        "connection_id",
    ),
    (
        "gateway",
        "POST",
        "/v1/events/{own gateway event_id}/redeliver",
        {"endpoint": "{it}"},
        "endpoint_id",
    ),
    ("gateway", "GET", "/v1/payments?token={it}", None, "token_id"),
    ("gateway", "GET", "/v1/events?object={it}", None, "payment_id"),
    ("gateway", "GET", "/v1/events?object={it}", None, "refund_id"),
    (
        "console",
        "POST",
        "/v1/networks",
        {"subject": "key:{it}", "networks": ["192.0.2.0/24"], "mode": "test"},
        "key_id",
    ),
)


@pytest.mark.parametrize(
    ("listener", "method", "target", "body", "kind"),
    NAMED,
    ids=[f"{method} {target} {kind}" for _, method, target, _, kind in NAMED],
)
async def test_what_is_elsewhere_is_named_in_vain(
    world: World, listener: str, method: str, target: str, body: Any, kind: str
) -> None:
    caller = world.caller(listener)

    def filled(object_id: str) -> tuple[str, Any]:
        text = json.dumps([target, body]).replace("{it}", object_id)
        for name, own in world.own.items():
            text = text.replace(f"{{own {name}}}", own)
        found = json.loads(text)
        return found[0], found[1]

    for whose, made in world.elsewhere.items():
        if kind not in made or (whose == LIVE and listener == "console"):
            assert whose == LIVE  # a person answers for the keys of both modes
            continue
        found = await require_the_same(
            caller, method, filled(f"{PREFIXES[kind]}_{NEVER}"), filled(made[kind])
        )
        if method == "GET":
            assert '"data":[]' in found.body
        else:
            assert 400 <= found.status < 500, found.body


@pytest.mark.parametrize(
    ("listener", "path"),
    [
        (listener, path)
        for listener, document in DOCUMENTS.items()
        for path, item in document["paths"].items()
        if "{" not in path and path.startswith("/v1/") and "get" in item
    ],
)
async def test_no_list_holds_what_is_elsewhere(world: World, listener: str, path: str) -> None:
    caller = world.caller(listener)
    answers = [await caller.get(path)]
    names = {
        parameter["name"]
        for parameter in DOCUMENTS[listener]["paths"][path]["get"].get("parameters", ())
    }
    if "cursor" in names:
        ids = [each for made in world.elsewhere.values() for each in made.values()]
        answers += [await caller.get(f"{path}?cursor={each}") for each in ids]
    for answer in answers:
        for made in world.elsewhere.values():
            assert not [each for each in made.values() if f'"{each}"' in answer.text]
