# SPDX-License-Identifier: Apache-2.0
"""Who calls, as the edge makes of it: limits and denials go by the address behind the proxy; what a certificate is."""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from api.listener import KEY, Notebook, edge
from strongroom.config import ForwardedHeader
from strongroom.crypto.digest import sha256
from strongroom.crypto.pki import make_authority
from strongroom.http.callers import Callers, ClientCertificateMalformed, thumbprint_of
from strongroom.http.client_address import host_of
from strongroom.http.edge import Edge, Rates
from strongroom.http.rate_limit import Rate, RateLimiter
from strongroom.kernel.addresses import Networks

PROXY = "10.0.0.1"
CALLERS = Callers(Networks.parse(["10.0.0.0/8"]), ForwardedHeader.X_FORWARDED_FOR, "x-cert")
Headers = Sequence[tuple[str, str]]


async def ask(listener: Edge, path: str, headers: Headers, peer: str = PROXY) -> tuple[int, str]:
    """Send one request as a server would hand it over, and return status and body."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        "client": (peer, 4711),
    }
    await listener(scope, receive, send)
    return sent[0]["status"], sent[1]["body"].decode()


def listener(notebook: Notebook | None = None, **more: Any) -> Edge:
    return edge(notebook or Notebook(), callers=CALLERS, **more)


async def test_repeated_headers_count_in_their_order() -> None:
    lines = [
        ("x-forwarded-for", "6.6.6.6"),
        ("host", "a"),
        ("x-forwarded-for", "203.0.113.7, 10.0.0.9"),
    ]
    assert await ask(listener(), "/whence", lines) == (200, "203.0.113.7")
    assert await ask(listener(), "/whence", lines[::-1]) == (200, "6.6.6.6")
    assert await ask(listener(), "/whence", lines, peer="203.0.113.9") == (200, "203.0.113.9")


async def test_strangers_are_slowed_down_one_by_one_behind_a_proxy() -> None:
    plenty = RateLimiter(Rate(10_000, 10_000))
    once = Rates(plenty, plenty, RateLimiter(Rate(0.001, 1)))
    notebook = Notebook()
    small = listener(notebook, rates=once)

    async def knock(whence: str) -> int:
        return (
            await ask(small, "/who", [("x-forwarded-for", whence), ("authorization", "Bearer x")])
        )[0]

    assert await knock("203.0.113.7") == 401
    assert await knock("203.0.113.7") == 429
    assert await knock("203.0.113.8") == 401
    assert await knock("6.6.6.6, 203.0.113.7") == 429, "what a caller writes makes nobody new"


async def test_a_denial_says_whence() -> None:
    seen: list[str] = []

    class Whence(Notebook):
        def denied(self, request: Any, reason: str) -> None:  # noqa: ARG002
            seen.append(request.address)

    small = listener(Whence())
    await ask(small, "/who", [("x-forwarded-for", "203.0.113.7"), ("authorization", "Bearer x")])
    await ask(
        small, "/more", [("x-forwarded-for", "203.0.113.8"), ("authorization", f"Bearer {KEY}")]
    )
    assert seen == ["203.0.113.7", "203.0.113.8"]


@pytest.mark.parametrize(
    ("client", "host"),
    [
        ("203.0.113.7:4711", "203.0.113.7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("[fe80::1%2]:4711", "fe80::1"),
        ("local:0", "local"),
        ("", ""),
    ],
)
def test_a_peer_has_a_host(client: str, host: str) -> None:
    assert host_of(client) == host


# --- certificates ------------------------------------------------------------------------------------

PEM = make_authority(datetime(2026, 11, 26, tzinfo=UTC)).certificate.decode("ascii")
DER = base64.b64decode("".join(PEM.splitlines()[1:-1]))
THUMBPRINT = base64.urlsafe_b64encode(sha256(DER)).rstrip(b"=").decode("ascii")


def test_a_thumbprint_is_that_of_rfc_8705() -> None:
    assert len(THUMBPRINT) == 43
    assert thumbprint_of(quote(PEM)) == THUMBPRINT
    assert thumbprint_of(quote(PEM, safe="")) == THUMBPRINT
    assert thumbprint_of(quote(PEM.replace("\n", "\r\n"))) == THUMBPRINT


@pytest.mark.parametrize(
    "given",
    [
        "garbage",
        quote(PEM + PEM),
        quote(PEM.replace("CERTIFICATE", "PUBLIC KEY")),
        quote(PEM.replace("-----END CERTIFICATE-----", "")),
        quote("-----BEGIN CERTIFICATE----------END CERTIFICATE-----"),
        quote("-----BEGIN CERTIFICATE-----\nMA\n-----END CERTIFICATE-----"),
        quote("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"),
        quote("-----BEGIN CERTIFICATE-----\n*AAA\n-----END CERTIFICATE-----"),
        THUMBPRINT,
    ],
)
def test_what_is_no_certificate_is_refused(given: str) -> None:
    with pytest.raises(ClientCertificateMalformed):
        thumbprint_of(given)


async def test_a_certificate_is_believed_once_and_from_a_proxy_only() -> None:
    whence, cert = ("x-forwarded-for", "203.0.113.7"), ("x-cert", quote(PEM))
    small = listener()
    assert await ask(small, "/whence", [whence, cert]) == (200, f"203.0.113.7 {THUMBPRINT}")
    assert await ask(small, "/whence", [whence, ("x-cert", "")]) == (200, "203.0.113.7")
    assert await ask(small, "/whence", [whence]) == (200, "203.0.113.7")
    assert await ask(small, "/whence", [cert], peer="203.0.113.9") == (200, "203.0.113.9")
    for refused in ([cert, cert], [cert, ("x-cert", "")], [("x-cert", "garbage")]):
        status, body = await ask(small, "/whence", [whence, *refused])
        assert (status, "client_certificate_malformed" in body) == (400, True)
