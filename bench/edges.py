# SPDX-License-Identifier: Apache-2.0
"""What finding out the caller and asking the allow-lists adds to a request: `python -m bench.edges`.

And what the relay that reads the PROXY protocol costs: the same small requests over kept-alive TLS, through it and past
it, in the same run. No database is needed.
"""

import argparse
import asyncio
import json
import ssl
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench.rig import rig
from strongroom.config import ForwardedHeader
from strongroom.crypto.ids import new_id
from strongroom.crypto.pki import issue_server_certificate, make_authority
from strongroom.http.callers import Callers
from strongroom.http.gate import RouteGroup
from strongroom.http.relay import Relay
from strongroom.http.relayed import RelayedPeers
from strongroom.http.request import Request
from strongroom.http.server import Endpoint, Servers, Tls
from strongroom.identity.networks.decision import TenantLists
from strongroom.identity.networks.model import AllowList, ListMode, Subject
from strongroom.kernel.addresses import Networks, parse_address
from strongroom.kernel.ids import MerchantId, NetworkId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import CallerKind, Principal

TURNS: Final = 200_000
HEADER: Final = b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n"
REQUEST: Final = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"


def microseconds(work: Callable[[], object], turns: int = TURNS) -> float:
    """Return how long a call takes: the best of five rounds, without the loop's own time."""

    def nothing() -> None:
        return None

    def best(each: Callable[[], object]) -> float:
        rounds = []
        for _ in range(5):
            began = perf_counter()
            for _ in range(turns):
                each()
            rounds.append(perf_counter() - began)
        return min(rounds)

    return max(0.0, 1e6 * (best(work) - best(nothing)) / turns)


def allow_list_microseconds(turns: int = TURNS) -> dict[str, float]:
    """Return what the allow-lists add to a request of a tenant without lists, with one, and with 64 networks a list."""
    principal = Principal(
        new_id("key"), CallerKind.SECRET, MerchantId(new_id("mer")), Mode.TEST, frozenset()
    )
    when = datetime(2026, 11, 26, tzinfo=UTC)

    def of(subject: str, *networks: str) -> AllowList:
        return AllowList(
            NetworkId(new_id("net")),
            principal.merchant,
            ListMode.BOTH,
            Subject.parse(subject),
            networks,
            "",
            "x",
            when,
        )

    many = [f"10.0.{number}.0/24" for number in range(63)] + ["203.0.113.0/24"]
    cases: dict[str, dict[MerchantId, TenantLists]] = {
        "no list": {},
        "one network": {principal.merchant: TenantLists([of("tenant", "203.0.113.0/24")])},
        "two lists of 64": {
            principal.merchant: TenantLists([of("tenant", *many), of("group:vault", *many)])
        },
    }
    groups = (RouteGroup.VAULT,)

    def asking(lists: dict[MerchantId, TenantLists]) -> Callable[[], object]:
        def ask() -> None:
            """As `NetworkGate` does: is it fresh, whose lists, the caller, the route."""
            if perf_counter() < 0:
                return
            mine = lists.get(principal.merchant)
            if mine is not None:
                mine.admit_caller(principal, parse_address("203.0.113.7"))
            mine = lists.get(principal.merchant)
            if mine is not None:
                mine.admit_route(principal.mode, groups, parse_address("203.0.113.7"))

        return ask

    return {name: round(microseconds(asking(lists), turns), 3) for name, lists in cases.items()}


def caller_microseconds(turns: int = TURNS) -> dict[str, float]:
    """Return what finding out the caller behind one and two proxies adds."""
    callers = Callers(Networks.parse(["10.0.0.0/8"]), ForwardedHeader.X_FORWARDED_FOR)
    request = Request(
        listener="vault",
        method="GET",
        path="/",
        query="",
        headers={},
        address="",
        request_id="",
        trace_hash="",
        started=0.0,
    )
    plain = [("host", "a"), ("authorization", "b"), ("content-type", "c"), ("user-agent", "d")]

    def of(value: str) -> Callable[[], object]:
        items = [*plain, ("x-forwarded-for", value)]
        return lambda: callers.identify(request, "10.0.0.1:4711", items)

    return {
        "one proxy": round(microseconds(of("203.0.113.7"), turns), 3),
        "two proxies": round(microseconds(of("203.0.113.7, 10.0.0.2"), turns), 3),
    }


async def _answer(scope: Any, protocol: Any) -> None:
    del scope
    protocol.response_bytes(200, [("content-type", "text/plain")], b"ok")


async def relay_rates(seconds: float, connections: int) -> dict[str, float]:
    """Return requests a second over kept-alive TLS, straight to a server and through a relay before the same one."""
    folder = Path(tempfile.mkdtemp(prefix="strongroom-bench-"))
    now = datetime.now(UTC)
    authority = make_authority(now)
    issued = issue_server_certificate(authority, ["localhost"], now)
    tls = Tls(folder / "server.pem", folder / "server.key")
    tls.certificate.write_bytes(issued.certificate)
    tls.key.write_bytes(issued.private_key.expose())
    trusted = ssl.create_default_context(cadata=authority.certificate.decode("ascii"))
    relay = Relay(RelayedPeers(), Networks.parse(["127.0.0.1"]))
    servers = Servers([Endpoint("bench", _answer, "127.0.0.1", 18_459, tls, relay=relay)])
    await servers.start()
    try:
        rates: dict[str, list[float]] = {"straight": [], "through the relay": []}
        for _ in range(3):
            for name, port, first in (
                ("straight", relay.upstream[1], b""),
                ("through the relay", 18_459, HEADER),
            ):
                counts = await asyncio.gather(
                    *(_client(port, first, trusted, seconds) for _ in range(connections))
                )
                rates[name].append(sum(counts) / seconds)
        return {name: round(sorted(each)[1], 1) for name, each in rates.items()}
    finally:
        await servers.stop()


async def _client(port: int, first: bytes, trusted: ssl.SSLContext, seconds: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    if first:
        writer.write(first)
    await writer.start_tls(trusted, server_hostname="localhost")
    count = 0
    end = perf_counter() + seconds
    while perf_counter() < end:
        writer.write(REQUEST)
        await reader.readuntil(b"ok")
        count += 1
    writer.close()
    return count


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3, help="how long a run takes")
    parser.add_argument("--connections", type=int, default=32, help="kept alive")
    parser.add_argument("--out", type=Path, default=Path("bench/results/edges.json"))
    chosen = parser.parse_args()
    console = Console()
    import uvloop

    lists, callers = allow_list_microseconds(), caller_microseconds()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rates = runner.run(relay_rates(chosen.seconds, chosen.connections))
    table = Table("", "µs added to a request")
    for name, each in (
        *((f"allow-lists: {name}", each) for name, each in lists.items()),
        *((f"caller: {name}", each) for name, each in callers.items()),
    ):
        table.add_row(name, f"{each:.2f}")
    console.print(table)
    ratio = rates["through the relay"] / rates["straight"]
    console.print(
        f"relay: {rates['through the relay']:,.0f} requests/s, {rates['straight']:,.0f} past it, in this process with "
        f"its clients; {ratio:.2f} of it"
    )
    document = {
        "bench": "edges",
        "rig": rig(),
        "allow_lists_us": lists,
        "callers_us": callers,
        "relay_per_second": rates,
        "relay_ratio": round(ratio, 3),
    }
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(document, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
