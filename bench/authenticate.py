# SPDX-License-Identifier: Apache-2.0
"""What it costs to know who asks: `python -m bench.authenticate`. In the same run: an API key, which is the baseline.

Each figure is one request's authentication and permission at the gateway's edge, in this process, without the network:
remembered from a moment ago, and from nothing.
"""

import argparse
import asyncio
import json
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter, time
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.instance import free_port
from bench.rig import rig
from strongroom import compose
from strongroom.audit import Origin
from strongroom.cli.installation import Installation
from strongroom.config import load_settings
from strongroom.crypto.digest import sha256
from strongroom.crypto.ids import new_id
from strongroom.crypto.sign import SigningKey
from strongroom.db.logins import Domain, Login
from strongroom.db.queries import Query
from strongroom.http.auth import credential_of
from strongroom.http.request import Request
from strongroom.http.requires import permit
from strongroom.identity.jose import Ed25519Signer, ed25519_public_key, encode_segment
from strongroom.identity.model import KeyWish
from strongroom.identity.people.model import Person, PersonStatus
from strongroom.kernel.clock import SystemClock
from strongroom.kernel.ids import MerchantId, PersonId
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind, Role
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import Metrics
from strongroom.telemetry.sink import MemorySink

PATH = "/v1/merchant"
INSERT_PERSON = Query(
    "insert_person",
    (),
    "insert into identity.person (merchant_id, person_id, email, name, role, status, created_by, created_at)"
    " values ($1, $2, $3, 'Bench', 'auditor', 'active', 'bench', $4)",
)


@contextmanager
def installed(further: Mapping[str, str] | None = None) -> Iterator[Installation]:
    """Make an installation with its databases and further settings, and remove it in the end."""
    state = Path(tempfile.mkdtemp(prefix="strongroom-bench-", dir="/var/tmp"))
    state.chmod(0o711)
    listeners = {
        f"STRONGROOM_{name}_LISTEN": f"127.0.0.1:{free_port()}"
        for name in ("VAULT", "GATEWAY", "WEBHOOKS", "CONSOLE")
    }
    variables = {"STRONGROOM_STATE": str(state), **listeners, **(further or {})}
    variables["STRONGROOM_RATE_SECRET_PER_SECOND"] = "1000000000"  # noqa: S105 - a rate
    here = Installation(load_settings(variables), SystemClock())
    try:
        here.make_secrets()
        here.make_keys()
        here.attach()
        yield here
    finally:
        here.detach()
        shutil.rmtree(state, ignore_errors=True)


def asking(authorization: str, proof: str | None = None) -> Request:
    """A request as the edge has read it."""
    headers = {"authorization": authorization} | ({} if proof is None else {"dpop": proof})
    return Request(
        listener="gateway",
        method="GET",
        path=PATH,
        query="",
        headers=headers,
        address="127.0.0.1",
        request_id="req_bench",
        trace_hash="0" * 64,
        started=perf_counter(),
    )


async def sample(work: Callable[[], Awaitable[None]], count: int) -> list[float]:
    """Time `count` calls, in microseconds."""
    found = []
    for _ in range(count):
        began = perf_counter()
        await work()
        found.append((perf_counter() - began) * 1e6)
    return found


async def measured(here: Installation, *, runs: int, count: int) -> dict[str, list[list[float]]]:
    """Measure each way, by turns."""
    await here.make_databases(lambda _step: None)
    log = Log(MemorySink(), clock=here.clock)
    site = compose.Site(here.settings, here.address, here.passphrase(), log, Metrics(), here.clock)
    composer = compose.Composer(site)
    try:
        await composer.vault()
        gateway: Any = await composer.gateway()
        console: Any = await composer.console()
        ways = await _ways(composer, gateway, console._app.state.sessions.service)  # noqa: SLF001 - no route begins one
        results: dict[str, list[list[float]]] = {name: [] for name in ways}
        for _ in range(runs):
            for name, (work, share) in ways.items():
                results[name].append(await sample(work, max(1, count // share)))
        return results
    finally:
        await composer.close()


async def _ways(
    composer: compose.Composer, gateway: Any, sessions: Any
) -> dict[str, tuple[Callable[[], Awaitable[None]], int]]:
    """What is measured, and how many times less often than the quickest."""
    identity = await composer.operator_identity()
    merchant = await identity.create_merchant("Bench", actor="system:bench", origin=Origin())
    made = await identity.create_key(
        KeyWish(merchant.merchant_id, Mode.TEST, KeyKind.SECRET, "bench"),
        actor="system:bench",
        origin=Origin(),
    )
    caller = SigningKey.generate()
    public = ed25519_public_key(caller.public)
    bearer = await _session(composer, sessions, merchant.merchant_id, None)
    bound = await _session(composer, sessions, merchant.merchant_id, public.thumbprint)
    signer = Ed25519Signer(caller.seed, caller.public, "")
    url = f"https://{composer.site.settings.gateway_listen}{PATH}"
    key_header = f"Bearer {made.text.expose()}"
    authenticator = gateway._authenticator  # noqa: SLF001 - measured alone

    async def edge(request: Request) -> None:
        await gateway._authenticate(request)  # noqa: SLF001 - likewise
        permit(Permission.IDENTITY_MERCHANT_READ, request.principal)

    async def anew(request: Request) -> None:
        credential = credential_of(request.headers["authorization"])
        principal = await authenticator.authenticate(request, credential)
        permit(Permission.IDENTITY_MERCHANT_READ, principal)

    async def proved() -> None:
        header = {"alg": "EdDSA", "typ": "dpop+jwt", "jwk": dict(public.jwk)}
        claims = {
            "jti": new_id("req"),
            "htm": "GET",
            "htu": url,
            "iat": int(time()),
            "ath": encode_segment(sha256(bound.encode())),
        }
        proof = signer.sign(header, json.dumps(claims).encode())  # type: ignore[arg-type]
        await anew(asking(f"DPoP {bound}", proof))

    return {
        "API key, remembered": (lambda: edge(asking(key_header)), 1),
        "access token, remembered": (lambda: edge(asking(f"Bearer {bearer}")), 1),
        "API key, from the database": (lambda: anew(asking(key_header)), 20),
        "access token, verified": (lambda: anew(asking(f"Bearer {bearer}")), 20),
        "access token with a DPoP proof, made and verified": (proved, 100),
    }


async def _session(
    composer: compose.Composer, sessions: Any, merchant: MerchantId, thumbprint: str | None
) -> str:
    """Begin a session; return its access token."""
    database = await composer.database(Domain.CORE, Login.CONSOLE, connections_max=1)
    now = composer.site.clock.now()
    person = PersonId(new_id("usr"))
    email = f"{person.lower()}@bench.example"
    async with database.transaction([merchant]) as tx:
        await tx.run(INSERT_PERSON, merchant, person, email, now)
        issued = await sessions.begin(
            tx,
            Person(
                person,
                merchant,
                email,
                "Bench",
                Role.AUDITOR,
                PersonStatus.ACTIVE,
                "bench",
                now,
                None,
            ),
            Mode.TEST,
            ["mfa", "otp", "pwd"],
            origin=Origin(),
            now=now,
            dpop_thumbprint=thumbprint,
        )
    return str(issued.access.expose())


def p99(values: list[float]) -> float:
    """The 99th of a hundred."""
    return sorted(values)[int(len(values) * 0.99)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each; the median counts")
    parser.add_argument("--count", type=int, default=20_000, help="calls a run of the quickest")
    parser.add_argument("--out", type=Path, default=Path("bench/results/authenticate.json"))
    chosen = parser.parse_args()
    console = Console()
    before = rig()
    with installed() as here:
        results = asyncio.run(measured(here, runs=chosen.runs, count=chosen.count))
    figures = {
        name: {
            "p50_us": round(median(median(run) for run in runs), 2),
            "p99_us": round(median(p99(run) for run in runs), 2),
        }
        for name, runs in results.items()
    }
    base = figures["API key, remembered"]["p50_us"]
    table = Table("", "p50 µs", "p99 µs", "times an API key, remembered")
    for name, each in figures.items():
        each["ratio"] = round(each["p50_us"] / base, 2)
        table.add_row(
            name, f"{each['p50_us']:.1f}", f"{each['p99_us']:.1f}", f"{each['ratio']:.2f}"
        )
    console.print(table)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    document = {"bench": "authenticate", "rig": before, "runs": chosen.runs, "figures": figures}
    chosen.out.write_text(json.dumps(document, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
