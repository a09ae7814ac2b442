# SPDX-License-Identifier: Apache-2.0
"""A run from beginning to end: shops open, customers come, blows fall, calm returns, books are compared."""

import asyncio
import contextlib
import json
import random
import signal
import ssl
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from polling import until
from simulation import plan as plans
from simulation.books import Books, canaries, found_in, read_books
from simulation.ground import Ground, beaten_ground
from simulation.listener import Listener, listening
from simulation.plan import Blow, Plan
from simulation.shopper import Shop, Shopper
from simulation.till import Memory, Till, Wire
from strongroom.crypto.random import random_bytes
from strongroom.db.logins import Domain
from strongroom.simulator.control import SimulatorControlFailed

#: Each merchant, with how its processor can be asked, whether its notices are encrypted, and whether it listens.
SHOPS: Final = (
    ("asked", "by_reference", False, True),
    ("replayed", "by_replay", False, True),
    ("noticed", "by_notice", False, False),
    ("encrypted", "by_reference", True, False),
)
CALM_SECONDS_MAX: Final = 300.0
#: Of one request, longer than the gateway takes for any; a till asks again.
ANSWER_SECONDS_MAX: Final = 35.0
CONNECTIONS_MAX: Final = 400
#: Nobody listens there (the discard service's port).
_NOWHERE: Final = "http://127.0.0.1:9"
#: What still waits, after the storm. A look at what nobody will ever tell of waits for ever.
_WAITING: Final = """
select (select count(*) from payments.attempt a
         where (a.outcome is null or a.outcome in ('unknown', 'pending'))
           and a.connection_id <> all ($1)) as attempts,
       (select count(*) from webhooks.notice where state = 'kept') as notices,
       (select count(*) from webhooks.delivery where status = 'pending') as deliveries
"""
_CHALLENGES: Final = (
    "select action_url from payments.attempt where outcome = 'pending' and action_url is not null"
)
Say = Callable[[str], None]


@dataclass(slots=True)
class Storm:
    """A run under way."""

    plan: Plan
    ground: Ground
    memory: Memory
    say: Say
    begun: int = 0
    ended: int = 0
    over: bool = False
    kills: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run."""

    plan: Plan
    books: Books
    findings: dict[str, list[str]]
    figures: dict[str, Any]

    @property
    def is_sound(self) -> bool:
        return not any(self.findings.values())

    def text(self) -> str:
        """Say how it was, with the seed that replays it."""
        lines = [f"{kind}: {each}" for kind, found in self.findings.items() for each in found[:10]]
        counts = {kind: len(found) for kind, found in self.findings.items()}
        return "\n".join([f"seed {self.plan.seed}: {counts}", *lines])


async def simulate(plan: Plan, say: Say = lambda _: None) -> Outcome:
    """Run a plan and check what it left. What breaks the run itself says the seed, too."""
    try:
        return await _simulated(plan, say)
    except Exception as error:
        raise AssertionError(f"seed {plan.seed}: {type(error).__name__}: {error}") from error


async def _simulated(plan: Plan, say: Say) -> Outcome:
    begun = time.monotonic()
    memory = Memory()
    async with beaten_ground() as ground, listening(plan.seed) as listener:
        storm = Storm(plan, ground, memory, say)
        trusted = ssl.create_default_context(cafile=str(ground.authority))
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, ssl=trusted),
            timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX),
            trust_env=False,
        ) as session:
            shops = await _open_shops(storm, Wire(session), listener)
            # What was made so far is not to be recovered at each crash.
            await ground.databases.server.run("checkpoint")
            say(f"open after {time.monotonic() - begun:.1f} s")
            stormed = time.monotonic()
            await ground.simulated.control.faults(
                seed=plan.seed,
                draw_by="wish",
                rates={fault.value: rate for fault, rate in plans.RATES.items()},
                seconds={fault.value: seconds for fault, seconds in plans.SECONDS.items()},
                visibility=plans.VISIBILITY_SECONDS,
            )
            await _weather(storm, shops)
            storm_seconds = time.monotonic() - stormed
            say(f"storm over after {storm_seconds:.1f} s; calm")
            listener.unwell = 0.0
            # Who cannot be asked: a processor that tells by itself alone, and one where nobody is.
            quiet = [shop.away for shop in shops.values()]
            quiet += [
                connection
                for shop in shops.values()
                if shop.finding == "by_notice"
                for connection in shop.connections
            ]
            calm_seconds = await _calm(storm, quiet)
            books = await read_books(ground, memory)
        books.by_notice = quiet
        books.taken = {
            shop.account: listener.taken.get(name, Counter())
            for name, shop in shops.items()
            if name in listener.secrets
        }
        findings = found_in(books)
        findings["story"] = [*storm.broken, *listener.surprises]
        searched = time.monotonic()
        findings["canary"] = await canaries(ground)
        figures = _figures(storm, books, storm_seconds) | {
            "calm_seconds": round(calm_seconds, 1),
            "canary_seconds": round(time.monotonic() - searched, 1),
            "log": _log_figures(ground),
        }
    figures["seconds"] = round(time.monotonic() - begun, 1)
    return Outcome(plan, books, findings, figures)


async def _open_shops(storm: Storm, wire: Wire, listener: Listener) -> dict[str, Shop]:
    """Open each merchant's shop, with two accounts at the processor: a cart goes through one of them."""
    ground = storm.ground
    made = await ground.merchants([name for name, *_ in SHOPS])
    process = ground.processes["gateway"]
    shops = {}
    for name, finding, encrypted, listens in SHOPS:
        merchant, key = made[name]
        till = Till(wire, process.vault, process.gateway, key, storm.memory)
        connections = [
            await _connected(ground, till, f"acct_{name}_{number}", finding, encrypted=encrypted)
            for number in (1, 2)
        ]
        # Whoever leaves it to the rules is sent to where nobody listens first, until the breaker before that is open.
        away = await _connected(ground, till, f"acct_{name}_away", finding, encrypted=encrypted)
        chosen = [away, *connections] if listens else connections[::-1]
        rule = {"name": "all", "connections": [{"connection": each} for each in chosen]}
        await _made(till, "/v1/routing/rules", {"rules": [rule]})
        if listens:
            endpoint = await _made(till, "/v1/endpoints", {"url": f"{listener.url}/{name}"})
            listener.secrets[name] = endpoint["secret"]
        shops[name] = Shop(name, till, connections, away, finding, merchant)
    return shops


async def _connected(
    ground: Ground, till: Till, account: str, finding: str, *, encrypted: bool
) -> str:
    """Connect an account of the simulator's; return the connection."""
    secret = random_bytes(32).hex() if encrypted else f"sim_whsec_{random_bytes(24).hex()}"
    known = await ground.simulated.control.account(account)
    connection = await _made(
        till,
        "/v1/connections",
        {
            "name": account,
            "processor": "simulator",
            "account": account,
            "base_url": ground.simulated.url if account[-1].isdigit() else _NOWHERE,
            "credentials": {"api_key": known.api_key},
            "webhook_secret": secret,
            "finding": finding,
            **({"webhook_scheme": "aes_gcm_hex"} if encrypted else {}),
        },
        key=f"open-{account}",
    )
    await ground.simulated.control.account(
        account,
        api_key=known.api_key,
        webhook_url=connection["webhook_url"],
        webhook_secrets=() if encrypted else (secret,),
        webhook_encryption_key=secret if encrypted else None,
    )
    return str(connection["id"])


async def _made(
    till: Till, path: str, body: dict[str, Any], *, key: str = "open"
) -> dict[str, Any]:
    headers = {
        "authorization": f"Bearer {till.key}",
        "content-type": "application/json",
        "idempotency-key": key,
    }
    answer = await till.wire.send(
        "POST", f"{till.gateway}{path}", headers=headers, content=json.dumps(body).encode()
    )
    assert answer is not None
    assert answer.status == 201, answer.body
    return dict(answer.body)


async def _weather(storm: Storm, shops: dict[str, Shop]) -> None:
    """Let customers come while blows fall; end when all have gone, or time is over."""
    plan = storm.plan
    chance = random.Random(f"{plan.seed} shops")
    names = list(shops)
    order = [chance.choice(names) for _ in range(plan.payments)]
    end = time.monotonic() + plan.seconds_max

    async def counter() -> None:
        while storm.begun < plan.payments and time.monotonic() < end:
            number = storm.begun
            storm.begun += 1
            shopper = Shopper(
                plan.seed, number, shops[order[number]], storm.ground.simulated.control
            )
            try:
                await shopper.run()
            except Exception as error:  # noqa: BLE001 - one customer's accident is a finding, not the end
                storm.broken.append(f"shopper {number}: {type(error).__name__}: {error}")
            storm.ended += 1

    blows = asyncio.create_task(_blows(storm))
    telling = asyncio.create_task(_tell(storm))
    try:
        await asyncio.gather(*(counter() for _ in range(plan.shoppers)))
        storm.over = True
        await blows  # whoever was struck comes back first
    finally:
        telling.cancel()
        blows.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await telling
    if storm.begun < plan.payments:
        storm.broken.append(f"only {storm.begun} of {plan.payments} payments were begun in time")


async def _tell(storm: Storm) -> None:
    """Say every ten seconds how far it is, how fast it goes, and when it will be over at that pace."""
    begun, payments = time.monotonic(), storm.plan.payments
    while True:
        await asyncio.sleep(10)
        seconds = time.monotonic() - begun
        pace = storm.ended / seconds
        left = f"{(payments - storm.ended) / pace / 60:.1f} min left" if pace else "nothing yet"
        storm.say(
            f"{seconds:5.0f} s  {storm.ended} of {payments} payments ({storm.ended / payments:.0%}),"
            f" {pace:.1f}/s, {left}, killed {dict(storm.kills)}"
        )


async def _blows(storm: Storm) -> None:
    """Let blows fall: one after the other on each victim, and on several victims at once as it happens."""
    by_victim: dict[str, list[Blow]] = {}
    for blow in storm.plan.blows():
        by_victim.setdefault(blow.victim, []).append(blow)

    async def fall(blows: list[Blow]) -> None:
        for blow in blows:
            while storm.begun < blow.payments and not storm.over:
                await asyncio.sleep(0.02)
            if storm.over:
                return
            await asyncio.sleep(blow.after_seconds)
            await _strike(storm, blow)

    await asyncio.gather(*(fall(blows) for blows in by_victim.values()))


async def _strike(storm: Storm, blow: Blow) -> None:
    """Kill one, leave it away for a while, and bring it back."""
    ground = storm.ground
    storm.kills[f"{blow.victim}{'' if blow.hard else ', in order'}"] += 1
    if blow.victim == "database":
        ground.database_up.clear()
        await ground.kill_database(hard=blow.hard)
        await asyncio.sleep(blow.away_seconds)
        await ground.start_database()
        return
    process = ground.processes[blow.victim]
    await process.end(signal.SIGKILL if blow.hard else signal.SIGTERM)
    await asyncio.sleep(blow.away_seconds)
    await ground.database_up.wait()  # whoever starts servers waits for their database
    await process.start()
    await process.until_ready()


async def _calm(storm: Storm, quiet: list[str]) -> float:
    """Nothing goes wrong any more: wait until nothing is open and nobody waits to be told."""
    begun = time.monotonic()
    control = storm.ground.simulated.control
    await control.no_faults()
    await control.faults(pending_seconds=0.2)
    for process in storm.ground.processes.values():
        await process.until_ready()
    # A customer whose challenge came when the merchant's patience was over answers now.
    for row in await storm.ground.look(Domain.CORE, _CHALLENGES):
        with contextlib.suppress(SimulatorControlFailed):
            await control.challenge(str(row["action_url"]), approve=True)
    last = ""

    async def all_quiet() -> bool | None:
        nonlocal last
        (row,) = await storm.ground.look(Domain.CORE, _WAITING, quiet)
        waiting = {**row, "webhooks": (await control.notices()).waiting}
        if str(waiting) != last:
            last = str(waiting)
            storm.say(f"waiting: {last}")
        return not any(waiting.values()) or None

    try:
        await until(all_quiet, what="calm", seconds=CALM_SECONDS_MAX, every=0.2)
    except AssertionError:
        storm.broken.append(f"no calm after {CALM_SECONDS_MAX} s: {last}")
    return time.monotonic() - begun


def _figures(storm: Storm, books: Books, seconds: float) -> dict[str, Any]:
    """Count what a run met."""
    bases = Counter(
        f"{each['outcome']} by {each['basis']}" for each in books.attempts if each["basis"]
    )
    return {
        "payments": storm.begun,
        "storm_seconds": round(seconds, 1),
        "payments_per_second": round(storm.begun / seconds, 1),
        "kills": dict(storm.kills),
        "attempts": len(books.attempts),
        "outcomes": dict(bases.most_common()),
        "went_on": sum(each["step"] > 1 for each in books.attempts),
        "stay_unknown": sum(each["outcome"] in (None, "unknown") for each in books.attempts),
        "statuses": dict(Counter(each["status"] for each in books.payments).most_common()),
        "answers": dict(storm.memory.answers.most_common()),
        "events": len(books.events),
        "deliveries": len(books.deliveries),
        "notices": dict(Counter(str(each["result"]) for each in books.notices).most_common()),
        "journal": dict(Counter(entry.kind for entry in books.journal).most_common()),
    }


def _log_figures(ground: Ground) -> dict[str, int]:
    """Count the processes' log lines above "info", by event and code."""
    counted: Counter[str] = Counter()
    for path in sorted((ground.folder / "log").glob("*.log*")):
        for line in path.read_text("utf-8").splitlines():
            with contextlib.suppress(ValueError):
                found = json.loads(line)
                if found.get("level") not in {None, "debug", "info"}:
                    names = ("level", "event_type", "status", "code", "job", "error_class")
                    words = [found.get(name) for name in names]
                    counted[" ".join(str(word) for word in words if word)] += 1
    return dict(counted.most_common(40))
