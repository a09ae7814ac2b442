# SPDX-License-Identifier: Apache-2.0
"""The listener that processors reach: public routes, exact bytes by either lane, limits by address, denials told.

Behind the real edge, with an inbox on a real database; and what the edge itself does, with routes of this file.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from litestar import Request as LitestarRequest
from litestar import get, post

from answers import check
from api.listener import KEY, Notebook, OneKey
from contracts.fakes import FakeKeyStore
from database import Databases
from notice_makers import SENDERS
from service import free_ports
from strongroom.crypto.ids import new_id
from strongroom.db.group_commit import GroupWriter
from strongroom.db.logins import Domain, Login
from strongroom.http import PUBLIC, Answer, Request
from strongroom.http.app import as_response, build_app, build_listener
from strongroom.http.edge import Edge, Rates
from strongroom.http.limits import BODY_BYTES_MAX, NOTICE_BODY_BYTES_MAX
from strongroom.http.path_table import PathTable
from strongroom.http.rate_limit import Rate, RateLimiter
from strongroom.http.requires import KeysUnknownHere, request_of
from strongroom.http.server import Endpoint, Servers
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.ids import ConnectionId, MerchantId
from strongroom.kernel.invariant import Bug
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.secret import Secret
from strongroom.keys import Purpose
from strongroom.keys.keyring import Keyring
from strongroom.keys.store import PostgresDataKeyTable
from strongroom.simulator.notices import signature
from strongroom.telemetry.log import Log
from strongroom.telemetry.sink import MemorySink
from strongroom.webhooks.inbound import VERIFIERS, NoticeRejected
from strongroom.webhooks.inbound import api as inbound_api
from strongroom.webhooks.inbound.inbox import Inbox
from strongroom.webhooks.inbound.restated import Restated
from strongroom.webhooks.inbound.sources import OpenSources, Sources
from strongroom.webhooks.inbound.store import NoticeSink

VISA: Final = "4242424242424242"
SECRET: Final = "sim_wh_secret_0123456789"
START: Final = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
PLENTY: Final = Rate(10_000, 10_000)
ROUTE: Final = "/v1/inbound/{connection_id}"


class Observer:
    def noticed(self, scheme: str, outcome: str) -> None:
        """Nobody counts here."""


def rates(*, visitor: Rate = PLENTY, stranger: Rate = PLENTY) -> Rates:
    return Rates(
        RateLimiter(PLENTY), RateLimiter(PLENTY), RateLimiter(stranger), RateLimiter(visitor)
    )


def client(edge: Edge, address: str = "192.0.2.7") -> httpx.AsyncClient:
    async def passes(response: httpx.Response) -> None:
        await response.aread()
        check(response.request, response)

    transport = httpx.ASGITransport(app=edge, client=(address, 40_000))  # type: ignore[arg-type]
    return httpx.AsyncClient(
        transport=transport,
        base_url="https://webhooks.test",
        event_hooks={"response": [passes]},
    )


# --- with an inbox on a real database -----------------------------------------------------------------


@get("/v1/returns/{payment_id:str}", requires=PUBLIC)
async def returned(payment_id: str) -> str:
    return payment_id


@get("/livez", requires=PUBLIC)
async def livez() -> str:
    return "ok"


@dataclass
class Ground:
    """An inbox with one connection, and where a listener over it writes down what it sees."""

    inbox: Inbox
    connection: ConnectionId
    clock: SteppedClock
    notebook: Notebook
    connect: Callable[[str, str], Awaitable[ConnectionId]]

    def listener(self, *, lean_lane: bool = True, **limits: Rate) -> Edge:
        return build_listener(
            build_app((*inbound_api.ROUTES, returned, livez), {"inbox": self.inbox}),
            listener="webhooks",
            authenticator=None,
            rates=rates(**limits),
            watcher=self.notebook,
            carries_cards=False,
            body_bytes_max={},
            lean_lane=lean_lane,
        )

    def signed(
        self, body: bytes | None = None, secret: str = SECRET, **more: Any
    ) -> tuple[bytes, dict[str, str]]:
        if body is None:
            body = json.dumps({"id": new_id("se"), **more}).encode()
        return body, {"sim-signature": signature((secret,), body, self.clock.now())}

    @property
    def path(self) -> str:
        return f"/v1/inbound/{self.connection}"


@pytest_asyncio.fixture(loop_scope="session")
async def ground(databases: Databases) -> AsyncIterator[Ground]:
    await databases.run(Domain.CORE, "delete from keys.data_key")
    clock = SteppedClock(START)
    store = FakeKeyStore()
    async with AsyncExitStack() as stack:
        keyrings, opened = {}, {}
        for login in (Login.GATEWAY, Login.WEBHOOKS):
            opened[login] = await databases.open(Domain.CORE, login)
            stack.push_async_callback(opened[login].close)
            keyrings[login] = Keyring(store, PostgresDataKeyTable(opened[login]), clock)
            stack.push_async_callback(keyrings[login].close)
            await keyrings[login].start([Purpose.WEBHOOK])
        gateway, listener = opened[Login.GATEWAY], opened[Login.WEBHOOKS]
        keys = keyrings[Login.WEBHOOKS]
        merchant = MerchantId(new_id("mer"))
        sources = Sources(gateway, keyrings[Login.GATEWAY], clock, VERIFIERS)

        async def connect(scheme: str, secret: str) -> ConnectionId:
            connection = ConnectionId(new_id("con"))
            prepared = await sources.prepare(
                merchant, Mode.TEST, connection, scheme, [Secret(secret)]
            )
            async with gateway.transaction([merchant]) as tx:
                await sources.register(tx, prepared)
            return connection

        inbox = Inbox(
            OpenSources(listener, keys, VERIFIERS),
            GroupWriter(NoticeSink(listener)),
            keys,
            clock,
            restated=Restated(listener, keys),
            observer=Observer(),
            log=Log(MemorySink(), clock=clock),
            on_kept=lambda: None,
        )
        yield Ground(inbox, await connect("simulator", SECRET), clock, Notebook(), connect)


@pytest.mark.parametrize("lean_lane", [True, False])
async def test_a_notice_is_taken_of_any_media_type_and_once(
    ground: Ground, *, lean_lane: bool
) -> None:
    body, headers = ground.signed()
    async with client(ground.listener(lean_lane=lean_lane)) as processor:
        for kind in ("application/json", "text/plain", "application/octet-stream", None):
            given = headers if kind is None else {**headers, "content-type": kind}
            answer = await processor.post(ground.path, content=body, headers=given)
            assert (answer.status_code, answer.content) == (200, b'{"received":true}')
    first, *others = [facts for _, _, _, facts in ground.notebook.answers]
    assert (first["outcome"], first["mode"]) == ("kept", "test")
    assert {facts["outcome"] for facts in others} == {"duplicate"}
    assert {route for route, _, _, _ in ground.notebook.answers} == {ROUTE}
    assert ground.notebook.denials == []


#: What is sent instead of a good notice, and what is answered.
REFUSED: Final = [
    ("unsigned", {"headers": {}}, "401 notice_rejected"),
    ("no body", {"body": b""}, "401 notice_rejected"),
    ("another secret", {"secret": "sim_wh_foreign_0123456789"}, "401 notice_rejected"),
    ("another connection", {"path": "/v1/inbound/con_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"}, "404 connection_unknown_here"),
    ("a connection that is none", {"path": "/v1/inbound/con_1"}, "404 connection_unknown_here"),
    ("no connection", {"path": "/v1/inbound"}, "404 route_unknown"),
    ("a path beyond", {"path": "/v1/inbound/con_1/more"}, "404 route_unknown"),
    ("a card number", {"note": VISA}, "422 card_number_refused"),
    ("a card number in the URL", {"path": f"/v1/inbound/{VISA}"}, "422 card_number_refused"),
    ("too large", {"body": b" " * (NOTICE_BODY_BYTES_MAX + 1)}, "413 body_too_large"),
]  # fmt: skip


@pytest.mark.parametrize("lean_lane", [True, False])
@pytest.mark.parametrize(("what", "change", "expected"), REFUSED, ids=[row[0] for row in REFUSED])
async def test_what_is_refused(
    ground: Ground, what: str, change: Mapping[str, Any], expected: str, *, lean_lane: bool
) -> None:
    more = dict(change)
    path = more.pop("path", ground.path)
    headers = more.pop("headers", None)
    body, signed = ground.signed(**more)
    async with client(ground.listener(lean_lane=lean_lane)) as processor:
        answer = await processor.post(
            path, content=body, headers=signed if headers is None else headers
        )
    # What no inbox takes is an ordinary route's matter, which wants JSON first.
    if "route_unknown" in expected:
        assert answer.status_code in (404, 415)
    else:
        assert f"{answer.status_code} {answer.json()['code']}" == expected
    denied = expected.startswith(("401", "404 connection"))
    assert len(ground.notebook.denials) == denied


async def test_a_large_notice_is_taken_and_a_late_one_is_not(ground: Ground) -> None:
    body, headers = ground.signed(note="x" * (NOTICE_BODY_BYTES_MAX - 100))
    assert len(body) > BODY_BYTES_MAX
    async with client(ground.listener()) as processor:
        assert (await processor.post(ground.path, content=body, headers=headers)).is_success
        body, headers = ground.signed()
        ground.clock.step(timedelta(seconds=301))
        answer = await processor.post(ground.path, content=body, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["detail"] == "The notice is not authentic."
    assert ground.notebook.denials == [(ground.path, "too_old")]


async def test_over_the_wire_it_is_the_same(ground: Ground) -> None:
    """By granian's own interface, with a length and in chunks."""
    (port,) = free_ports(1)
    servers = Servers([Endpoint("webhooks", ground.listener(), "127.0.0.1", port, None)])
    await servers.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as processor:
            body, headers = ground.signed()
            first = await processor.post(ground.path, content=body, headers=headers)

            async def pieces() -> AsyncIterator[bytes]:
                yield body[:5]
                yield body[5:]

            again = await processor.post(ground.path, content=pieces(), headers=headers)
            forged = await processor.post(ground.path, content=body + b" ", headers=headers)
            back = await processor.get("/v1/returns/pay_1")
    finally:
        await servers.stop()
    assert [each.status_code for each in (first, again, forged, back)] == [200, 200, 401, 200]
    assert [facts.get("outcome") for _, _, _, facts in ground.notebook.answers] == [
        "kept",
        "duplicate",
        None,
        None,
    ]


@pytest.mark.parametrize("lean_lane", [True, False])
async def test_a_signature_that_comes_twice_is_none(ground: Ground, *, lean_lane: bool) -> None:
    """Of two headers a proxy would read one and we the other: neither counts, whichever holds."""
    body, headers = ground.signed()
    _, wrong = ground.signed(secret="sim_wh_foreign_0123456789")
    good, bad = headers["sim-signature"], wrong["sim-signature"]
    async with client(ground.listener(lean_lane=lean_lane)) as processor:
        for pair in ((good, bad), (bad, good), (good, good)):
            doubled = [("sim-signature", each) for each in pair]
            answer = await processor.post(ground.path, content=body, headers=doubled)
            assert answer.status_code == 401
        others = [("x-else", "1"), ("x-else", "2"), *headers.items()]
        assert (await processor.post(ground.path, content=body, headers=others)).is_success
    assert {reason for _, reason in ground.notebook.denials} == {"header_repeated"}


@pytest.mark.parametrize("lean_lane", [True, False])
@pytest.mark.parametrize("scheme", sorted(SENDERS))
async def test_each_processor_gets_the_answer_that_it_expects(
    ground: Ground, scheme: str, *, lean_lane: bool
) -> None:
    """Also for a duplicate. Any media type: what Adyen sends as JSON is answered with a word that is none."""
    sender = SENDERS[scheme]
    path = f"/v1/inbound/{await ground.connect(scheme, sender.secret)}"
    headers, body = sender.sign(sender.event(), sender.secret, ground.clock.now())
    async with client(ground.listener(lean_lane=lean_lane)) as processor:
        answers = [await processor.post(path, content=body, headers=headers) for _ in range(2)]
        forged = await processor.post(path, content=body.swapcase(), headers=headers)
        nothing = await processor.post(path, content=b"", headers=headers)
    for answer in answers:
        kind = answer.headers["content-type"].partition(";")[0]
        told = (answer.status_code, answer.content, kind)
        if scheme.startswith("adyen"):
            assert told == (202, b"[accepted]", "text/plain")
        else:
            assert told == (200, b'{"received":true}', "application/json")
    # Letters of hexadecimal may be of either case; nothing else of any scheme may.
    assert forged.status_code == (200 if scheme == "aes_gcm_hex" else 401)
    assert nothing.status_code == 401


async def test_routes_that_are_no_inbox(ground: Ground) -> None:
    #: Method, path, content, expected.
    rows = [
        ("GET", "/v1/returns/pay_1", None, 200),
        ("GET", "/livez", None, 200),
        ("GET", "/v1/nowhere", None, 404),
        ("GET", ground.path, None, 405),
        ("POST", "/v1/returns/pay_1", b"{}", 405),
        ("POST", "/v1/returns/pay_1", b"{" + b" " * BODY_BYTES_MAX, 413),
        ("POST", "/v1/nowhere", f'"{VISA}"'.encode(), 422),
    ]
    async with client(ground.listener()) as visitor:
        for method, path, content, expected in rows:
            answer = await visitor.request(
                method, path, content=content, headers={"content-type": "application/json"}
            )
            assert answer.status_code == expected, (method, path)
        text = await visitor.post(
            "/v1/returns/pay_1", content=b"x", headers={"content-type": "text/plain"}
        )
        assert text.status_code == 415, "any media type is the inbox's alone"
    assert ground.notebook.denials == []


async def test_every_address_has_a_limit_and_who_watches_the_process_has_none(
    ground: Ground,
) -> None:
    edge = ground.listener(visitor=Rate(0.001, 3))
    async with client(edge) as one, client(edge, "192.0.2.8") as other:
        paths = ["/v1/returns/pay_1", "/v1/nowhere", "/v1/inbound/con_1", "/v1/returns/pay_1"]
        assert [(await one.get(path)).status_code for path in paths] == [200, 404, 405, 429]
        body, headers = ground.signed()
        refused = await one.post(ground.path, content=body, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert (await one.get("/livez")).status_code == 200
        taken = await other.post(ground.path, content=body, headers=headers)
        assert taken.status_code == 200, "the limit is an address's own"
    assert [reason for _, reason in ground.notebook.denials] == ["rate_limited"] * 2


async def test_who_keeps_failing_is_slowed_down_and_what_is_authentic_is_not(
    ground: Ground,
) -> None:
    edge = ground.listener(stranger=Rate(0.001, 2))
    async with client(edge) as shared:
        body, headers = ground.signed()
        wrong = [(ground.path, body + b" "), ("/v1/inbound/con_1", body)] * 2
        answers = [
            await shared.post(path, content=content, headers=headers) for path, content in wrong
        ]
        assert [answer.status_code for answer in answers] == [401, 404, 429, 429]
        good = await shared.post(ground.path, content=body, headers=headers)
        assert good.status_code == 200, "behind one address there may be others"
    assert [reason for _, reason in ground.notebook.denials] == [
        "signature_wrong",
        "connection_unknown",
        "rate_limited",
        "rate_limited",
    ]


# --- what the edge itself does ------------------------------------------------------------------------


@get("/needs/{it:str}", requires=Permission.VAULT_TOKEN_READ)
async def needs(it: str) -> str:
    return it


async def _echoed(request: Request) -> Answer:
    if request.body == b"who?":
        raise NoticeRejected
    return Answer(200, request.body, "text/plain")


@post("/echo/{it:str}", requires=PUBLIC, exact_body=20_000, lean=lambda _state: _echoed)
async def echo(request: LitestarRequest[Any, Any, Any], it: str) -> Any:
    return as_response(await _echoed(request_of(request)))


@post("/echo/static", requires=PUBLIC)
async def static() -> None:
    """Stands beside a parameter."""


@post("/echo/{it:str}/far/behind", requires=PUBLIC, exact_body=1)
async def behind(it: str) -> None:
    """Has its parameter far from its end."""


def listener(*handlers: Any, keyless: bool = True, limits: Rates | None = None) -> Edge:
    return build_listener(
        build_app(handlers, {}),
        listener="small",
        authenticator=None if keyless else OneKey(),
        rates=limits or rates(),
        watcher=Notebook(),
        carries_cards=False,
        body_bytes_max={},
    )


def test_without_keys_there_are_public_routes_only() -> None:
    with pytest.raises(KeysUnknownHere):
        listener(echo, needs)
    listener(echo, needs, keyless=False)


def test_without_keys_every_caller_has_a_limit() -> None:
    limited = Rates(RateLimiter(PLENTY), RateLimiter(PLENTY), RateLimiter(PLENTY))
    with pytest.raises(Bug):
        listener(echo, limits=limited)


@pytest.mark.parametrize("other", [static, behind])
def test_a_route_that_the_edge_would_confuse_does_not_start(other: Any) -> None:
    with pytest.raises(Bug):
        listener(echo, other)


async def test_exact_bytes_are_what_was_sent() -> None:
    sent = bytes(range(256)) * 70
    async with client(listener(echo)) as any_body:
        answer = await any_body.post("/echo/1", content=sent)
        assert answer.content == sent
        packed = await any_body.post("/echo/1", content=sent, headers={"content-encoding": "gzip"})
        assert packed.content == sent, "nothing is unpacked before it is verified"
        assert (await any_body.post("/echo/1", content=b"x" * 20_001)).status_code == 413
        assert (await any_body.post("/echo/1", content=b"who?")).status_code == 401
        assert (await any_body.post("/echo/", content=b"x")).status_code in (404, 415)


async def test_where_there_are_keys_a_public_parameter_asks_for_one_all_the_same() -> None:
    """Only whole paths are public there: what is open is listed, not matched."""
    async with client(listener(echo, needs, keyless=False)) as caller:
        assert (await caller.post("/echo/1", content=b"x")).status_code == 401
        given = {"authorization": f"Bearer {KEY}"}
        assert (await caller.post("/echo/1", content=b"x", headers=given)).status_code == 200
        assert (await caller.get("/needs/1", headers=given)).status_code == 200


#: Method, path, expected.
PATHS: Final = [
    ("POST", "/v1/inbound/con_1", "one"),
    ("POST", "/v1/inbound/con%5F1", "one"),
    ("POST", "/v1/inbound/", None),
    ("POST", "/v1/inbound", None),
    ("POST", "/v1/inbound/con_1/", None),
    ("POST", "//v1/inbound/con_1", None),
    ("GET", "/v1/inbound/con_1", None),
    ("POST", "/v1/tokens", "whole"),
    ("POST", "/v1/tokens/", None),
    ("POST", "/v1/tokens/1", None),
    ("POST", "/v1/payments/pay_1/capture", "around"),
    ("POST", "/v1/payments//capture", None),
    ("POST", "/v1/payments/pay_1/more/capture", None),
    ("POST", "/v2/payments/pay_1/capture", None),
    ("POST", "/v1/payments/pay_1/void", None),
    ("POST", "/v1/inbound/capture", "one"),
    ("POST", "", None),
    ("POST", "/", None),
]


@pytest.mark.parametrize(("method", "path", "expected"), PATHS)
def test_paths(method: str, path: str, expected: str | None) -> None:
    table = PathTable(
        {
            ("POST", ROUTE): "one",
            ("POST", "/v1/tokens"): "whole",
            ("POST", "/v1/payments/{payment_id}/capture"): "around",
        }
    )
    assert table.find(method, path) == expected
    assert ((method, path) in table) is (expected is not None)
