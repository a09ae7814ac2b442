# SPDX-License-Identifier: Apache-2.0
"""The edge: every answer's headers, problems for every kind of refusal, limits of size and time, TLS, rates."""

import asyncio
import json
import re
import ssl
import warnings
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from answers import Echo, check
from api.listener import KEY, UNSPEAKABLE, Notebook, edge, listening
from database import Databases, Server, fresh_databases
from service import Caller, Service, Tenant, running, wish
from strongroom.db.logins import Domain
from strongroom.http import limits
from strongroom.http.limits import (
    BODY_BYTES_MAX,
    HEADER_BYTES_MAX,
    HEADERS_MAX,
    TARGET_BYTES_MAX,
)
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import KeyKind

VISA = "4242424242424242"
RAW_SECONDS = 15.0


@pytest.fixture
def vault(service: Service, tenant: Tenant) -> Caller:
    return service.vault(tenant.keys[Mode.TEST])


#: Method, path, what else, expected.
REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    ("GET", "/v1/nowhere", {}, "404 route_unknown"),
    ("GET", "/v1/tokens/", {}, "200"),
    ("GET", "//v1/tokens", {}, "404 route_unknown"),
    ("GET", "/v1/tokens/../tokens", {}, "200"),
    ("PUT", "/v1/tokens", {"body": {}}, "405 method_not_allowed"),
    ("PATCH", "/v1/tokens/tok_1", {"body": {}}, "405 method_not_allowed"),
    ("DELETE", "/v1/tokens", {}, "405 method_not_allowed"),
    ("GET", "/v1/tokens/tok_1/keep", {}, "405 method_not_allowed"),
    ("TRACE", "/v1/tokens", {}, "405 method_not_allowed"),
    ("BREW", "/v1/tokens", {}, "405 method_not_allowed"),
    ("POST", "/v1/tokens", {"content": b" " * (BODY_BYTES_MAX + 1)}, "413 body_too_large"),
    ("POST", "/v1/tokens/tok_1/keep", {"content": b" " * (BODY_BYTES_MAX + 1)}, "413 body_too_large"),
    ("GET", "/v1/tokens?" + "a" * TARGET_BYTES_MAX, {}, "414 target_too_long"),
    ("GET", "/" + "a" * TARGET_BYTES_MAX, {}, "414 target_too_long"),
    ("POST", "/v1/tokens", {"headers": {"content-type": "text/plain"}}, "415 content_type_wrong"),
    ("POST", "/v1/tokens", {"headers": {"content-type": "(none)"}}, "415 content_type_wrong"),
    ("POST", "/v1/tokens", {"headers": {"content-type": "application/jsonp"}}, "415 content_type_wrong"),
    ("POST", "/v1/tokens", {"headers": {"content-type": "multipart/form-data"}}, "415 content_type_wrong"),
    ("POST", "/v1/tokens", {"headers": {"content-type": "application/json; charset=utf-8"}}, "400 malformed_json"),
    ("POST", "/v1/tokens", {"headers": {"content-type": "application/json;charset=UTF-8"}}, "400 malformed_json"),
    ("POST", "/v1/tokens", {"headers": {"content-type": "Application/JSON"}}, "400 malformed_json"),
    ("POST", "/v1/tokens", {"headers": {"content-encoding": "gzip"}}, "415 content_type_wrong"),
    ("GET", "/v1/tokens", {"headers": {"x-large": "a" * HEADER_BYTES_MAX}}, "431 headers_too_large"),
    ("GET", "/v1/tokens", {"headers": {f"x-{n}": "a" for n in range(HEADERS_MAX)}}, "431 headers_too_large"),
    ("GET", "/livez", {}, "200"),
    ("GET", "/readyz", {}, "200"),
    ("GET", "/metrics", {}, "200"),
    ("GET", "/openapi.json", {}, "200"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "more", "expected"),
    REFUSED,
    ids=[f"{row[0]} {row[1][:25]} {row[3]}" for row in REFUSED],
)
async def test_every_kind_of_refusal_is_a_problem(
    vault: Caller, method: str, path: str, more: dict[str, Any], expected: str
) -> None:
    if method == "POST" and "content" not in more:
        more = {**more, "content": b"not json"}
    answer = await vault.send(method, path, **more)
    words = [str(answer.status_code)]
    if answer.status_code >= 400:
        words.append(answer.json()["code"])
    assert " ".join(words) == expected
    if answer.status_code == 405:
        assert answer.headers["allow"], "RFC 9110 §15.5.6"
        assert method not in answer.headers["allow"]


async def test_without_a_key_nobody_learns_which_routes_there_are(service: Service) -> None:
    stranger = service.vault(None)
    for method, path in (
        ("GET", "/v1/nowhere"),
        ("PUT", "/v1/tokens"),
        ("GET", "/v1/tokens/tok_1"),
    ):
        assert (await stranger.send(method, path)).status_code == 401


async def test_head_has_no_body(vault: Caller) -> None:
    answer = await vault.send("HEAD", "/v1/tokens")
    assert (answer.status_code, answer.content) == (405, b"")


async def test_every_request_has_a_name_of_its_own_that_no_caller_chooses(vault: Caller) -> None:
    given = {"request-id": "req_01KAHX3MZ4V8Q2T6N0R5W7Y9CB", "x-request-id": "mine"}
    answers = [await vault.get("/livez", headers=given) for _ in range(20)]
    names = {answer.headers["request-id"] for answer in answers}
    assert len(names) == 20
    assert names.isdisjoint(given.values())


async def test_the_log_knows_the_request_and_no_more(service: Service, vault: Caller) -> None:
    answer = await vault.get("/v1/tokens?limit=7&cursor=nonsense", headers={"x-private": "hush"})
    lines = [json.loads(line) for line in service.log_text().splitlines()]
    (line,) = [one for one in lines if one["request_id"] == answer.headers["request-id"]]
    assert (line["status"], line["route"], line["method"]) == (422, "/v1/tokens", "GET")
    assert "nonsense" not in json.dumps(line)
    assert "hush" not in json.dumps(line)


async def test_the_checker_itself_bites() -> None:
    """An answer that repeats five digits of a card is found, whichever way the card was sent."""

    headers = dict((await _good_answer()).headers)
    for request in (
        httpx.Request("GET", f"https://a.test/{VISA}"),
        httpx.Request("GET", "https://a.test/?q=4242+4242+4242+4242"),
        httpx.Request("POST", "https://a.test/", content=b'{"number":"\\u0034242424242424242"}'),
        httpx.Request("GET", "https://a.test/", headers={"x-card": "4242-4242-4242-4242"}),
    ):
        with pytest.raises(Echo):
            check(request, httpx.Response(200, headers=headers, text=f"not {VISA[:9]}"))
        with pytest.raises(Echo):
            check(request, httpx.Response(422, headers=headers, text=f"not {VISA[:5]}"))
        check(request, httpx.Response(200, headers=headers, text=f"{VISA[:6]}…{VISA[-4:]}"))


async def _good_answer() -> httpx.Response:
    transport = httpx.ASGITransport(app=edge(Notebook()))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="https://small.test") as client:
        return await client.get("/open")


async def test_what_breaks_tells_nothing() -> None:
    notebook = Notebook()
    transport = httpx.ASGITransport(app=edge(notebook))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="https://small.test") as client:
        answer = await client.get("/broken")
    check(answer.request, answer)
    assert (answer.status_code, answer.json()["code"]) == (500, "error")
    assert UNSPEAKABLE not in answer.text
    assert "ValueError" not in answer.text
    assert [(path, type(error)) for path, error in notebook.failures] == [("/broken", ValueError)]


async def test_what_takes_too_long_is_stopped_and_to_be_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "HANDLER_SECONDS_MAX", 0.01)
    notebook = Notebook()
    transport = httpx.ASGITransport(app=edge(notebook))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="https://small.test") as client:
        answer = await client.get("/slow")
    check(answer.request, answer)
    assert (answer.status_code, answer.json()["code"]) == (503, "handler_too_slow")
    assert answer.headers["retry-after"] == "1"
    assert not notebook.failures


#: What is done to the vault's database, the request that meets it, and what the log says of it.
DAMAGES = [
    ("alter table vault.token rename to gone", "POST", "SQLSTATE 42P01"),
    ("alter table vault.token rename to gone", "GET", "SQLSTATE 42P01"),
    (
        "alter table vault.token add constraint never check (false) not valid",
        "POST",
        "violates never",
    ),
    ("revoke select on vault.token from strongroom_vault", "GET", "SQLSTATE 42501"),
]


@pytest.mark.parametrize(("damage", "method", "logged"), DAMAGES)
async def test_damage_is_logged_and_not_told(
    server: Server, tmp_path: Any, damage: str, method: str, logged: str
) -> None:
    """What only an operator can mend: the caller gets a number to ask by, the operator gets the reason."""
    async with (
        fresh_databases(server) as databases,
        running(databases, tmp_path, listens=False) as service,
    ):
        shop = await service.shop()
        await databases.run(Domain.VAULT, damage)
        answer = await shop.send(
            method, "/v1/tokens", body=wish(VISA) if method == "POST" else None
        )
        assert (answer.status_code, answer.json()["code"]) == (500, "error")
        assert (
            answer.json()["detail"] == "something failed here; it is logged under this request id"
        )
        lines = [json.loads(line) for line in service.log_text().splitlines()]
        (line,) = [each for each in lines if each["event_type"] == "http.failed"]
        assert line["request_id"] == answer.headers["request-id"]
        assert logged in line["reason"]


async def test_who_is_let_in(tmp_path: Any) -> None:
    notebook = Notebook()
    transport = httpx.ASGITransport(app=edge(notebook))  # type: ignore[arg-type]
    #: Path, key, expected.
    rows = [
        ("/open", None, 200),
        ("/who", None, 401),
        ("/who", "b-key", 401),
        ("/who", KEY, 200),
        ("/more", KEY, 403),
        ("/nowhere", None, 401),
        ("/nowhere", KEY, 404),
    ]
    async with httpx.AsyncClient(transport=transport, base_url="https://small.test") as client:
        for path, key, expected in rows:
            headers = {} if key is None else {"authorization": f"Bearer {key}"}
            answer = await client.get(path, headers=headers)
            check(answer.request, answer)
            assert answer.status_code == expected, path
    assert notebook.denials == [
        ("/who", "absent"),
        ("/who", "unknown"),
        ("/more", "forbidden"),
        ("/nowhere", "absent"),
    ]
    assert [status for _, status, _, _ in notebook.answers] == [row[2] for row in rows]


# --- raw requests: what no client library sends --------------------------------------------------


async def exchange(port: int, *parts: bytes, to_the_end: bool = True) -> bytes:
    """Send bytes, and return what comes back: until the server closes, or at first."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(RAW_SECONDS):
            return await reader.read() if to_the_end else await reader.read(65_536)
    except ConnectionError:
        return b""
    finally:
        writer.close()


POST = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
CLOSE = b"Connection: close\r\n"
GOOD = b'{"a":"bc"}'
BIG = b'{"a":"' + b"b" * BODY_BYTES_MAX + b'"}'


def chunked(data: bytes, size: int = 1_000) -> bytes:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


#: What it is, the bytes, how the answer begins (empty: the connection is closed without one).
RAW: list[tuple[str, bytes, bytes]] = [
    ("good", POST + CLOSE + b"Content-Length: 10\r\n\r\n" + GOOD, b"HTTP/1.1 201"),
    ("good, chunked", POST + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(GOOD), b"HTTP/1.1 201"),
    ("too large, chunked", POST + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(BIG), b"HTTP/1.1 413"),
    (
        "too large, chunked, and called small",
        POST + CLOSE + b"Transfer-Encoding: chunked\r\nContent-Length: 10\r\n\r\n" + chunked(BIG),
        b"HTTP/1.1 4",
    ),
    (
        "called small first, then chunked",
        POST + CLOSE + b"Content-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(BIG),
        b"HTTP/1.1 4",
    ),
    ("two lengths", POST + b"Content-Length: 10\r\nContent-Length: 11\r\n\r\n" + GOOD, b"HTTP/1.1 400"),
    ("a length that is none", POST + b"Content-Length: ten\r\n\r\n" + GOOD, b"HTTP/1.1 400"),
    ("a negative length", POST + b"Content-Length: -10\r\n\r\n" + GOOD, b"HTTP/1.1 400"),
    ("a length of 30 digits", POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", b"HTTP/1.1 4"),
    ("a large length, no body", POST + CLOSE + b"Content-Length: 1000000\r\n\r\n", b"HTTP/1.1 413"),
    ("a folded header", b"GET /open HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", b"HTTP/1.1 400"),
    ("a space before the colon", b"GET /open HTTP/1.1\r\nHost : a\r\n\r\n", b"HTTP/1.1 400"),
    ("a NUL in a header", b"GET /open HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", b"HTTP/1.1 400"),
    ("not HTTP", b"HELO strongroom\r\n\r\n", b"HTTP/1.1 400"),
    ("200 headers", b"GET /open HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 200 + b"\r\n", b"HTTP/1.1 431"),
    ("a header of a megabyte", b"GET /open HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 1_000_000, b"HTTP/1.1 431"),
    ("HTTP/2 at once", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b""),
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def small() -> AsyncIterator[int]:
    async with listening(Notebook(), body_seconds_max=0.4, header_seconds_max=1) as port:
        yield port


@pytest.mark.parametrize(("what", "sent", "expected"), RAW, ids=[row[0] for row in RAW])
async def test_odd_requests(small: int, what: str, sent: bytes, expected: bytes) -> None:
    answer = await exchange(small, sent, to_the_end=False)
    assert answer.startswith(expected), answer[:200]
    assert expected or not answer
    lower = answer.lower()
    assert b"granian" not in lower
    assert b"hyper" not in lower
    after = await exchange(small, b"GET /open HTTP/1.1\r\nHost: a\r\n" + CLOSE + b"\r\n")
    assert after.startswith(b"HTTP/1.1 200"), "the next one is served"


async def test_a_body_that_does_not_arrive_is_not_waited_for(small: int) -> None:
    answer = await exchange(
        small, POST + b"Content-Length: 100\r\n\r\n", b'{"a":', to_the_end=False
    )
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"code":"body_too_slow"' in answer


async def test_a_chunked_body_that_does_not_end_is_not_waited_for(small: int) -> None:
    answer = await exchange(
        small,
        POST + b"Transfer-Encoding: chunked\r\n\r\n",
        b'5\r\n{"a":\r\n',
        to_the_end=False,
    )
    assert answer.startswith(b"HTTP/1.1 408")


async def test_headers_that_do_not_arrive_are_not_waited_for(small: int) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    answer = await exchange(small, b"GET /open HTTP/1.1\r\nHost: a\r\nX: ")
    assert loop.time() - started < 5
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408")


async def test_who_leaves_in_mid_body_harms_nobody(small: int) -> None:
    for _ in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", small)
        writer.write(POST + b"Content-Length: 1000\r\n\r\n{")
        await writer.drain()
        writer.transport.abort()
    answer = await exchange(small, POST + CLOSE + b"Content-Length: 10\r\n\r\n" + GOOD)
    assert answer.startswith(b"HTTP/1.1 201")


# --- TLS -----------------------------------------------------------------------------------------


def _client(low: ssl.TLSVersion, high: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers(
        "ALL:@SECLEVEL=0"
    )  # the client would take anything: whoever refuses is the server
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = low, high
    return context


#: The one version offered, expected: the version agreed on, or the server's alert.
VERSIONS = [
    (ssl.TLSVersion.TLSv1, "ALERT"),
    (ssl.TLSVersion.TLSv1_1, "ALERT"),
    (ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
    (ssl.TLSVersion.TLSv1_3, "TLSv1.3"),
]


@pytest.mark.parametrize("listener", ["vault", "gateway"])
@pytest.mark.parametrize(("version", "expected"), VERSIONS, ids=[row[0].name for row in VERSIONS])
async def test_tls_is_1_2_or_1_3(
    service: Service, version: ssl.TLSVersion, expected: str, listener: str
) -> None:
    where = getattr(service.settings, f"{listener}_listen")
    context = _client(version, version)
    if expected == "ALERT":
        with pytest.raises(ssl.SSLError, match="ALERT"):
            await asyncio.open_connection(where.host, where.port, ssl=context)
        return
    _, writer = await asyncio.open_connection(where.host, where.port, ssl=context)
    assert writer.get_extra_info("ssl_object").version() == expected
    writer.close()


async def test_the_certificate_is_verified(service: Service) -> None:
    where = service.settings.vault_listen
    trusted = ssl.create_default_context(cafile=str(service.authority))
    for name in ("localhost", "127.0.0.1"):
        _, writer = await asyncio.open_connection(
            where.host, where.port, ssl=trusted, server_hostname=name
        )
        writer.close()
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection(
            where.host, where.port, ssl=trusted, server_hostname="vault.example"
        )
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection(
            where.host, where.port, ssl=ssl.create_default_context(), server_hostname="localhost"
        )


async def test_plain_http_is_not_answered(service: Service) -> None:
    answer = await exchange(
        service.settings.vault_listen.port, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert b"HTTP/1.1 200" not in answer


# --- rates and operators -------------------------------------------------------------------------


async def test_a_key_that_asks_too_often_waits(databases: Databases, tmp_path: Any) -> None:
    async with running(
        databases, tmp_path, listens=False, rate_secret_per_second=1, rate_public_per_second=1,
        rate_stranger_per_second=1, operations_from=("192.0.2.0/24",),
    ) as limited:  # fmt: skip
        tenant = await limited.tenant()
        vault = limited.vault(tenant.keys[Mode.TEST])
        public = limited.vault((await limited.key(tenant.merchant, KeyKind.PUBLIC)).text.expose())
        answers = await asyncio.gather(*(vault.get("/v1/tokens") for _ in range(20)))
        assert [answer.status_code for answer in answers].count(200) >= 2
        late = [answer for answer in answers if answer.status_code != 200]
        assert len(late) >= 10
        assert {(a.status_code, a.json()["code"]) for a in late} == {(429, "rate_limited")}
        assert {answer.headers["retry-after"] for answer in late} == {"1"}
        assert (await public.tokenize(VISA)).status_code == 201, "a class of its own"
        stranger = limited.vault("sk_test_x")
        answers = await asyncio.gather(*(stranger.get("/v1/tokens") for _ in range(20)))
        assert {answer.status_code for answer in answers} == {401, 429}
        other = limited.vault((await limited.tenant()).keys[Mode.TEST])
        assert (await other.get("/v1/tokens")).status_code == 200, "who has a key is not kept out"
        for path in ("/metrics", "/readyz"):
            answer = await limited.vault(None).get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_metrics_count_what_happened(service: Service, vault: Caller) -> None:
    await vault.post("/v1/tokens", wish(VISA))
    text = (await service.vault(None).get("/metrics")).text
    assert (
        'strongroom_requests_total{listener="vault",method="POST",route="/v1/tokens",status="201"}'
        in text
    )
    assert not re.search(r"\b(?:mer|tok)_", text)  # no id; a key is called customer_hash
