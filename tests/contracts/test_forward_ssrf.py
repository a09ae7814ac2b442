# SPDX-License-Identifier: Apache-2.0
"""Where a forward may never lead, as one table (CWE-918, OWASP SSRF): registered, asked for, resolved, redirected to.

A row says where the address comes from, and the word that refuses it. Whatever the word, nothing is sent.
"""

import socket
from collections.abc import Sequence
from typing import Any, Final

import pytest

from peer import answer, peer, says
from strongroom.egress import Answered, EgressPolicy, NotSent, Outgoing, Reason
from strongroom.egress.client import Egress
from strongroom.kernel.errors import Invalid
from strongroom.kernel.mode import Mode
from strongroom.vault.forwarding.bodies import ContentType
from strongroom.vault.forwarding.model import AuthKind, Config
from strongroom.vault.forwarding.registration import require_registrable
from strongroom.vault.forwarding.requests import Asked, read_request

STRICT: Final = EgressPolicy()
SLOT: Final = "{{ card.number }}"


def config(**more: Any) -> Config:
    given: dict[str, Any] = {
        "base_url": "https://api.partner.example",
        "path": "/v1/pay/*",
        "methods": ("POST",),
        "content_type": ContentType.JSON,
        "request_headers": ("x-order",),
        "query": ("expand",),
        "answer_headers": (),
        "auth": AuthKind.NONE,
        "auth_header": "",
        "hmac": None,
        "client_certificate": False,
        "answers": "redact",
        "tokenize": (),
        "timeout_ms": 2_000,
        "request_bytes_max": 65_536,
        "answer_bytes_max": 65_536,
        **more,
    }
    return Config(**given)


def asked(**more: Any) -> Asked:
    given: dict[str, Any] = {
        "method": "POST",
        "path": "/v1/pay/1",
        "query": {},
        "headers": {},
        "tokens": {"card": "tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"},
        "cvcs": {},
        "proofs": {},
        "body": SLOT,
        **more,
    }
    return Asked(**given)


#: What somebody registers, and why that is refused.
REGISTERED: Final = [
    # addresses that are not for everybody
    ("https://127.0.0.1", "address_loopback"),
    ("https://127.8.8.8", "address_loopback"),
    ("https://[::1]", "address_loopback"),
    ("https://0.0.0.0", "address_unspecified"),
    ("https://[::]", "address_unspecified"),
    ("https://10.1.2.3", "address_private"),
    ("https://172.16.0.1", "address_private"),
    ("https://192.168.0.1", "address_private"),
    ("https://[fd12:3456::1]", "address_private"),
    ("https://[fc00::1]", "address_private"),
    ("https://[fec0::1]", "address_private"),
    ("https://100.64.0.1", "address_shared"),
    ("https://169.254.1.1", "address_link_local"),
    ("https://[fe80::1]", "address_link_local"),
    ("https://224.0.0.1", "address_multicast"),
    ("https://[ff02::1]", "address_multicast"),
    ("https://255.255.255.255", "address_reserved"),
    ("https://198.18.0.1", "address_reserved"),
    ("https://192.0.2.1", "address_reserved"),
    ("https://[2001:db8::1]", "address_reserved"),
    # clouds' own
    ("https://169.254.169.254", "address_metadata"),
    ("https://169.254.170.2", "address_metadata"),
    ("https://100.100.100.200", "address_metadata"),
    ("https://168.63.129.16", "address_metadata"),
    ("https://192.0.0.192", "address_reserved"),
    ("https://[fd00:ec2::254]", "address_metadata"),
    ("https://metadata.google.internal", "host_not_public"),
    # IPv4 in another dress
    ("https://[::ffff:127.0.0.1]", "address_embedded"),
    ("https://[::ffff:a9fe:a9fe]", "address_embedded"),
    ("https://[::127.0.0.1]", "address_embedded"),
    ("https://[64:ff9b::169.254.169.254]", "address_embedded"),
    ("https://[64:ff9b:1::a00:1]", "address_embedded"),
    ("https://[2002:a00:1::]", "address_embedded"),
    ("https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]", "address_embedded"),
    ("https://[2606:4700::5efe:a00:1]", "address_embedded"),
    # other spellings of addresses and names
    ("https://2130706433", "host_number"),
    ("https://0177.0.0.1", "host_number"),
    ("https://0x7f.0.0.1", "host_number"),
    ("https://0x7f000001", "host_number"),
    ("https://127.1", "host_number"),
    ("https://127.0.0.1.", "host_number"),
    ("https://localhost", "host_not_public"),
    ("https://localhost.", "host_malformed"),
    ("https://intranet", "host_not_public"),
    ("https://api.partner.example.", "host_malformed"),
    ("https://①②⑦.0.0.1", "url_characters"),
    ("https://127。0。0。1", "url_characters"),
    ("https://lоcalhost.example", "url_characters"),
    ("https://api%2epartner.example", "url_malformed"),
    ("https://api.partner.example@127.0.0.1", "url_userinfo"),
    ("https://127.0.0.1#@api.partner.example", "url_fragment"),
    ("https://127.0.0.1\\@api.partner.example", "url_characters"),
    ("https:\\\\127.0.0.1", "url_characters"),
    ("https://api.partner.example\r\nhost: 127.0.0.1", "url_characters"),
    ("https://api.partner.example\t", "url_characters"),
    # schemes and ports
    ("http://api.partner.example", "scheme_plain"),
    ("ftp://api.partner.example", "url_malformed"),
    ("file:///etc/passwd", "url_malformed"),
    ("gopher://api.partner.example", "url_malformed"),
    ("https://api.partner.example:22", "port_refused"),
    ("https://api.partner.example:25", "port_refused"),
    ("https://api.partner.example:80", "port_refused"),
    ("https://api.partner.example:5432", "port_refused"),
    ("https://api.partner.example:6379", "port_refused"),
    ("https://api.partner.example:10250", "port_refused"),
    ("https://api.partner.example:0", "url_malformed"),
    ("https://api.partner.example:65536", "url_malformed"),
    ("https://api.partner.example:0443", "url_malformed"),
    # a place to hide a path
    ("https://api.partner.example/", "url_path"),
    ("https://api.partner.example/v1", "url_path"),
    ("https://api.partner.example?x=1", "url_path"),
]  # fmt: skip
#: What a request asks of a destination that is in order, and the field that is refused.
REQUESTED: Final[list[tuple[dict[str, Any], str, str]]] = [
    ({"path": path}, "/path", "path_refused")
    for path in (
        "",
        "v1/pay/1",
        "//127.0.0.1/v1/pay/1",
        "/v1/pay",
        "/v1/pay/",
        "/v1/pay/1/",
        "/v1/pay/1/2",
        "/v1/refund/1",
        "/v1/pay/..",
        "/v1/pay/.",
        "/v1/pay/../admin",
        "/v1/pay/%2e%2e",
        "/v1/pay/a%2fb",
        "/v1/pay/a%252fb",
        "/v1/pay/a%5cb",
        "/v1/pay/a\\b",
        "/v1//pay/1",
        "/v1/pay/1;x=/admin",
        "/v1/pay/1?admin=1",
        "/v1/pay/1#x",
        "/v1/pay/1\r\nhost: 127.0.0.1",
        "/v1/pay/1 HTTP/1.1",
        "/v1/pay/\x00",
        "/v1/pay/é",
        "/v1/pay/@127.0.0.1",
        "https://127.0.0.1/v1/pay/1",
        f"/v1/pay/{SLOT}",
        "/v1/pay/4242424242424242",
        "/v1/pay/" + "a" * 600,
    )
] + [
    ({"headers": headers}, pointer, "header_refused")
    for headers, pointer in (
        ({"host": "127.0.0.1"}, "/headers"),
        ({"Host": "127.0.0.1"}, "/headers"),
        ({"x-forwarded-host": "127.0.0.1"}, "/headers"),
        ({"authorization": "Bearer x"}, "/headers"),
        ({"transfer-encoding": "chunked"}, "/headers"),
        ({"content-length": "1"}, "/headers"),
        ({"x-order\r\nhost": "127.0.0.1"}, "/headers"),
        ({"x-order": "1\r\nhost: 127.0.0.1"}, "/headers/x-order"),
        ({"x-order": "1\nhost: 127.0.0.1"}, "/headers/x-order"),
        ({"x-order": f"{SLOT}\r\n"}, "/headers/x-order"),
        ({"x-order": "1\x00"}, "/headers/x-order"),
        ({"x-order": "é"}, "/headers/x-order"),
        ({"x-order": ""}, "/headers/x-order"),
        ({"x-order": " 1"}, "/headers/x-order"),
    )
] + [
    ({"query": {"other": "1"}}, "/query", "query_refused"),
    ({"query": {"expand": SLOT}}, "/query/expand", "query_refused"),
    ({"query": {"expand": "4242424242424242"}}, "/query/expand", "query_refused"),
    ({"method": "GET"}, "/method", "method_refused"),
    ({"method": "PUT"}, "/method", "method_refused"),
    ({"method": "POST /x HTTP/1.1\r\n"}, "/method", "method_refused"),
]  # fmt: skip
#: What a registered name resolves to, a list for each time it is asked.
RESOLVED: Final[list[list[list[str]]]] = [
    [["127.0.0.1"]],
    [["8.8.8.8", "127.0.0.1"]],
    [["10.0.0.1"]],
    [["169.254.169.254"]],
    [["::1"]],
    [["::ffff:10.0.0.1"]],
    [["64:ff9b::7f00:1"]],
    [["fe80::1"]],
    [["0.0.0.0"]],  # noqa: S104 - refused
    [["224.0.0.1"]],
]
#: What a destination may not let requests set, or take secrets in.
REGISTERED_HEADERS: Final = (
    "host authorization cookie content-length content-type transfer-encoding connection x-forwarded-for "
    "x-forwarded-host forwarded x-original-url x-rewrite-url x-http-method-override proxy-authorization te upgrade "
    "sec-fetch-site strongroom-approval x-real-ip via expect"
).split()


@pytest.mark.parametrize(("base_url", "word"), REGISTERED)
@pytest.mark.parametrize("mode", Mode)
def test_what_is_registered(base_url: str, word: str, mode: Mode) -> None:
    with pytest.raises(Invalid) as refused:
        require_registrable("x", config(base_url=base_url), {}, mode, STRICT)
    assert [(each.pointer, each.code, each.detail) for each in refused.value.errors] == [
        ("/base_url", "destination_refused", f"this may not be called ({word})")
    ]


def test_what_is_in_order_is_registered() -> None:
    for base_url in (
        "https://api.partner.example",
        "https://api.partner.example:8443",
        "https://xn--bcher-kva.example",
        "https://8.8.8.8",
    ):
        for mode in Mode:
            require_registrable("x", config(base_url=base_url), {}, mode, STRICT)


def test_an_exception_for_this_machine_is_for_test_mode_or_tls() -> None:
    here = EgressPolicy(loopback=frozenset({"127.0.0.1"}))
    require_registrable("x", config(base_url="http://127.0.0.1:80"), {}, Mode.TEST, here)
    with pytest.raises(Invalid):
        require_registrable("x", config(base_url="http://127.0.0.1:80"), {}, Mode.LIVE, here)


@pytest.mark.parametrize(("more", "pointer", "code"), REQUESTED)
def test_what_is_asked_for(more: dict[str, Any], pointer: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_request(asked(**more), config())
    assert [(each.pointer, each.code) for each in refused.value.errors] == [(pointer, code)]
    assert "127.0.0.1" not in str(refused.value)


@pytest.mark.parametrize("header", REGISTERED_HEADERS)
def test_headers_that_no_request_sets(header: str) -> None:
    with pytest.raises(Invalid):
        require_registrable("x", config(request_headers=(header,)), {}, Mode.TEST, STRICT)
    if header != "authorization":
        auth = {"auth": AuthKind.HEADER, "auth_header": header}
        with pytest.raises(Invalid):
            require_registrable("x", config(**auth), {"value": "v"}, Mode.TEST, STRICT)


@pytest.mark.parametrize(
    "pattern",
    "|v1|/v1/**|/v1/*a|/v1/|/../x|/a/./b|/%2e|/a?b|/a\nb|/a//b|/{{ card.number }}".split("|"),
)
def test_patterns_that_two_readers_could_read_differently(pattern: str) -> None:
    with pytest.raises(Invalid) as refused:
        require_registrable("x", config(path=pattern), {}, Mode.TEST, STRICT)
    assert refused.value.errors[0].pointer == "/path"


@pytest.mark.parametrize("times", RESOLVED, ids=str)
async def test_what_a_name_resolves_to(times: Sequence[Sequence[str]]) -> None:
    left = [list(each) for each in times]

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return left.pop(0)

    egress = Egress(STRICT, resolve=resolve)
    try:
        reply = await egress.send(Outgoing("POST", "https://api.partner.example/v1", {}, b"{}"))
    finally:
        await egress.close()
    assert isinstance(reply, NotSent)
    assert reply.reason is Reason.DESTINATION_REFUSED


async def test_a_name_that_answers_differently_the_second_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was checked is what is connected to: the name is not asked again in between."""
    times = [["198.51.101.7"], ["127.0.0.1"]]
    connected: list[Any] = []

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return times.pop(0)

    class Watched(socket.socket):
        def connect(self, address: Any) -> None:
            connected.append(address)
            raise ConnectionRefusedError

    egress = Egress(STRICT, resolve=resolve)
    monkeypatch.setattr(socket, "socket", Watched)
    try:
        for _ in range(2):
            request = Outgoing("POST", "https://api.partner.example/v1", {}, b"{}", 1.0)
            assert isinstance(await egress.send(request), NotSent)
    finally:
        monkeypatch.undo()
        await egress.close()
    assert {address[0] for address in connected} == {"198.51.101.7"}
    assert len(times) == 1  # kept for ten seconds, and what comes then is checked like the first


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_where_an_answer_would_lead(status: int) -> None:
    here = EgressPolicy(loopback=frozenset({"127.0.0.1"}))
    async with peer(
        says(answer(b"", status, "location: http://169.254.169.254/\r\n"))
    ) as listening:
        egress = Egress(here)
        port = listening.port
        request = Outgoing("POST", f"{listening.url}/v1/pay/1", {}, b"{}", 2.0, 1_024, port)
        reply = await egress.send(request)
        await egress.close()
        assert isinstance(reply, Answered)
        assert reply.status == status
        assert len(listening.requests) == 1
