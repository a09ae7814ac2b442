# SPDX-License-Identifier: Apache-2.0
"""`strongroom demo`: everything from nothing, a scenario over HTTPS, then a running gateway until Ctrl-C.

The server is a process of its own, and so is the simulated processor; this one is the merchant. Exit code 1 if
anything was not as expected.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

if TYPE_CHECKING:
    from strongroom.cli.scenario.folder import DemoFolder
    from strongroom.cli.scenario.host import ChildProcess, Ready
    from strongroom.cli.scenario.places import Places
    from strongroom.cli.scenario.report import Report
    from strongroom.cli.scenario.story import Story
    from strongroom.config import Settings

READY_SECONDS: Final = 3.0
FIRST_TOKEN_SECONDS: Final = 5.0
WHOLE_SECONDS: Final = 60.0
#: More than this between a process's age and its work: another program (an installer) ran in it before `exec`.
_WAITED_SECONDS_MAX: Final = 1.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asked for."""

    once: bool
    fresh: bool
    cards: int
    json_file: Path | None


def _begun() -> float:
    """Return when this program was started, on the monotonic clock. Called as soon as this file is imported."""
    worked = time.monotonic() - time.process_time()
    try:
        stat = Path("/proc/self/stat").read_text("ascii")
        ticks = int(
            stat.rpartition(")")[2].split()[19]
        )  # proc(5): starttime; the first one here is the state
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError, IndexError):  # no /proc here
        return worked
    made = time.monotonic() - age
    return made if worked - made < _WAITED_SECONDS_MAX else worked


_BEGUN: Final = _begun()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo", epilog="Example: strongroom demo --once --json report.json")(demo)


def demo(
    *,
    once: bool = typer.Option(False, "--once", help="Exit after the scenario."),
    fresh: bool = typer.Option(
        False, "--fresh", help="Remove what an earlier demo left, and start over."
    ),
    cards: int = typer.Option(
        20_000,
        min=10,
        max=1_000_000,
        help="How many synthetic cards chapter 5 sends; chapter 11's payments scale with it.",
    ),
    json_file: Path | None = typer.Option(None, "--json", help="Write the report to this file."),
) -> None:
    """Start a gateway of its own, play the scenario as a merchant would, then serve until Ctrl-C."""
    from strongroom.cli.console import run

    if json_file is not None and not json_file.absolute().parent.is_dir():
        raise typer.BadParameter(f"{json_file.parent} is no folder", param_hint="--json")
    if not run(_demo(Wish(once, fresh, cards, json_file))):
        sys.exit(1)


async def _demo(wish: Wish) -> bool:
    from strongroom.cli.scenario.folder import DemoFolder, demo_settings
    from strongroom.cli.scenario.report import Report, make_console

    report = Report(make_console())
    settings = demo_settings()
    folder = DemoFolder(settings.state)
    folder.claim(lambda: report.console.print("waiting for another demo to stop …"))
    try:
        if wish.fresh:
            folder.clear()
        return await _until_signal(_served(settings, folder, report, wish), report)
    finally:
        folder.release()


async def _until_signal(work: Coroutine[Any, Any, None], report: "Report") -> bool:
    """Do the work until it ends or a signal comes; either way it leaves in order. Tell whether all was well."""
    import asyncio

    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
    if not report.finished:
        report.console.print("[yellow]the scenario was interrupted[/]")
    return report.finished and not report.failed


async def _served(settings: "Settings", folder: "DemoFolder", report: "Report", wish: Wish) -> None:
    """Start the server, play, serve; stop in order whatever happens."""
    from strongroom.cli.scenario.places import Places

    places = Places.wanted(settings).freed()
    async with _server(settings, places, folder, report) as (server, ready):
        from strongroom.cli.scenario import cards, play

        here = replace(settings, **places.overrides())
        async with play.told(here, folder, report, ready, places, wish.cards) as story:
            first = await cards.first_token(story)
            report.target("first token after", _since_start(), FIRST_TOKEN_SECONDS)
            report.check("the first token", f"{first.status}  {first.took}", first.differs(201))
            await play.scenario(story)
            report.target("everything after", _since_start(), WHOLE_SECONDS)
            report.finished = True
            report.table()
            if wish.json_file is not None:
                report.write(wish.json_file)
            if wish.once:
                return
            _invite(story, ready)
            await server.ended()
            report.check("the server serves until Ctrl-C", "it ended by itself", ["see its log"])


@asynccontextmanager
async def _server(
    settings: "Settings", places: "Places", folder: "DemoFolder", report: "Report"
) -> "AsyncIterator[tuple[ChildProcess, Ready]]":
    import asyncio

    from strongroom.cli.scenario.host import ChildProcess, Program, Ready

    starting = True

    def told(text: str) -> None:
        report.note(f"{_since_start():5.2f} s  {text}" if starting else text)

    module = "strongroom.cli.scenario.server"
    server = ChildProcess(Program("server", module, places.arguments(), folder.server_output), told)
    await server.start(keep=[folder.lock])
    try:
        report.headline(f"state in {settings.state}")
        for wanted, place in zip(places.wanted(settings), places, strict=True):
            if wanted != place:
                report.note(f"{wanted} is taken: port {place.port} instead")
        with report.busy("the server starts …"):
            said = await server.ready()
        starting = False
        report.target("server ready after", _since_start(), READY_SECONDS)
        yield server, Ready(said["vault"], said["gateway"], said["webhooks"], said["console"])
    finally:
        report.console.print("\nstopping …")
        # A server that was killed could not stop its database.
        stopped = await _uncut(server.stop()) or await asyncio.to_thread(folder.stop_database)
        report.console.print(
            "stopped, PostgreSQL too" if stopped else "stopped; PostgreSQL goes on stopping"
        )


async def _uncut(work: Coroutine[Any, Any, bool]) -> bool:
    """Finish the work although this task may be cancelled again meanwhile: a second Ctrl-C changes nothing."""
    import asyncio

    task = asyncio.create_task(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    return task.result()


def _since_start() -> float:
    """Return the seconds since this program was started, interpreter and imports included."""
    return time.monotonic() - _BEGUN


def _invite(story: "Story", ready: "Ready") -> None:
    """Say what runs, with which keys, and how to charge a first card; then print what the merchant hears."""
    console, till = story.report.console, story.connected
    console.print()
    served = [
        ("vault", ready.vault, "card numbers go in here, tokens come out"),
        ("gateway", ready.gateway, "payments, merchants, keys; no card number"),
        ("webhooks", ready.webhooks, "processors' notices, returning customers"),
    ]
    if till is not None:
        served += [
            ("simulator", till.processor, "the processor, with books of its own"),
            ("merchant", till.shop.events_url, "hears events, which appear below"),
        ]
    for name, url, what in served:
        console.print(f"  {name:<9} [bold]{url:<32}[/] {what}")
    console.print(f"  CA        {story.authority}", soft_wrap=True)
    for party in (story.shop, story.market):
        console.print(f"  {party.name}: test keys", highlight=False)
        for client in (party.secret, party.public):
            console.print(f"    {client.key}", soft_wrap=True)
    console.print(
        "\n  A first card, spelt so that no screen, history or process list holds its number:\n"
    )
    console.print(_card_command(story, ready), markup=False, soft_wrap=True)
    if till is not None and story.token:
        console.print("\n  A payment with a token that the scenario made:\n")
        console.print(_payment_command(story, ready), markup=False, soft_wrap=True)
    console.print("\n  Ctrl-C stops everything, the database included.")
    if till is not None:
        till.shop.told = lambda heard: console.print(
            f"  [dim]the merchant heard[/] {heard}", highlight=False
        )


def _card_command(story: "Story", ready: "Ready") -> str:
    return (
        '  printf \'{"card":{"number":"%s","exp_month":12,"exp_year":2034}}\' \\\n'
        "    $(printf 4242%.0s 1 2 3 4) |\n"
        f"  curl --cacert {story.authority} {ready.vault}/v1/tokens -d @- \\\n"
        f"    -H 'Authorization: Bearer {story.shop.secret.key}' \\\n"
        "    -H 'Idempotency-Key: hello-1' -H 'Content-Type: application/json'"
    )


def _payment_command(story: "Story", ready: "Ready") -> str:
    return (
        f"  curl --cacert {story.authority} {ready.gateway}/v1/payments \\\n"
        f"    -H 'Authorization: Bearer {story.shop.secret.key}' \\\n"
        f"    -H 'Idempotency-Key: hello-{story.token[-6:]}' -H 'Content-Type: application/json' \\\n"
        f'    -d \'{{"amount":1250,"currency":"AED","token":"{story.token}","confirm":true}}\''
    )
