# SPDX-License-Identifier: Apache-2.0
"""Chapter 14: looks for every card number that any run used, everywhere that anything was written or printed.

Both databases (tables, write-ahead log, a logical dump), logs, audit sink, the whole state folder with the simulator's,
metrics, every answer, what the merchant heard, this terminal. First it proves that it would find one.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final

from strongroom.cli.scenario import dump
from strongroom.cli.scenario.sieve import FORMS, Searched, Sieve
from strongroom.cli.scenario.story import Story
from strongroom.kernel.published import TEST_NUMBERS
from strongroom.kernel.schemes import synthetic_number
from strongroom.telemetry.canary import decoys

TITLE: Final = "14 · Where are the card numbers now?"
DECOYS: Final = 40
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere to look: files, or bytes at hand."""

    what: str
    files: tuple[Path, ...] = ()
    streams: tuple[bytes, ...] = ()


async def play(story: Story) -> None:
    """Play it."""
    sieve = Sieve(story.ledger.numbers | TEST_NUMBERS | set(_of_every_run(story)))
    story.report.note(f"looking for {len(sieve):,} numbers, each in {len(FORMS)} forms")
    _prove(story)
    begun = perf_counter()
    databases = await dump.checkpointed(story.settings)
    total = await _dumps(story, sieve, databases)
    places = [*_files(story), *await _at_hand(story)]
    with story.report.progress() as progress:
        task = progress.add_task("searching", total=len(places))
        for place in places:
            searched = await asyncio.to_thread(_search, sieve, place)
            total.add(searched)
            progress.advance(task)
            _judge(story, place.what, searched)
    seconds = perf_counter() - begun
    story.report.figure("searched for every card number", total.bytes / 1e6, "MB")
    story.report.figure("search", seconds, "s")


def _of_every_run(story: Story) -> Iterator[str]:
    """Yield every synthetic number that any run of this demo took."""
    following = next(story.serials)
    return (synthetic_number(serial) for serial in range(story.first_serial, following))


def _prove(story: Story) -> None:
    """A search that finds no decoy shows nothing (PCI DSS A3.2.5.1): plant one, in a copy, in every form."""
    check = story.report.check
    planted = [story.card() for _ in range(DECOYS)]
    sieve = Sieve([*planted, *TEST_NUMBERS])
    missed: list[str] = []
    count = 0
    for number in (*planted, *sorted(TEST_NUMBERS)[:DECOYS]):
        for form, encoded in decoys(number):
            if form in FORMS:
                count += 1
                seen = {last_four for _, last_four in sieve.scan(b"\x07x" + encoded + b" y")}
                missed += [] if number[-4:] in seen else [f"{form} was not found"]
    check(
        f"decoys: {2 * DECOYS} numbers, every form",
        f"{count:,} planted in memory, all found",
        sorted(set(missed)),
    )
    source = story.settings.log_file or story.folder.server_output
    with tempfile.TemporaryDirectory(prefix="strongroom-decoy-") as folder:
        copy = Path(folder) / "copy.log"
        shutil.copyfile(source, copy)
        before = sieve.file(copy)
        with copy.open("ab") as file:
            file.write(b'{"event_type":"planted","reason":"%s"}\n' % planted[0].encode())
        after = sieve.file(copy)
    differences = (
        [] if after.hits and not before.hits else ["it was not found in a copy of the log"]
    )
    check("a decoy in a copy of the log", "found in the copy, not in the log", differences)


def _files(story: Story) -> Iterator[Place]:
    """Everything on the disk, by kind; nothing of the state folder is left out."""
    settings = story.settings
    data = settings.state / "postgres" / "pgdata"
    kinds = {
        "tables and indexes of both databases": data,
        "write-ahead log": data / "pg_wal",
        "PostgreSQL's own log": settings.state / "postgres" / "server.log",
        "our log": settings.log_file or settings.state / "log",
        "audit sink": settings.sink_folder,
        "the simulator's journal and accounts": story.folder.processor,
        "the rest of the state folder": settings.state,
    }
    found: dict[str, list[Path]] = {what: [] for what in kinds}
    # The deepest place that a file lies in names its kind.
    ranked = sorted(kinds.items(), key=lambda kind: len(kind[1].parts), reverse=True)
    roots = [
        settings.state,
        *(place for place in kinds.values() if not place.is_relative_to(settings.state)),
    ]
    for root in roots:
        for path in sorted([root, *root.rglob("*")]):
            if path.is_file() and not path.is_symlink():
                what = next(what for what, place in ranked if path.is_relative_to(place))
                found[what].append(path)
    for what, files in found.items():
        yield Place(what, files=tuple(files))


async def _at_hand(story: Story) -> list[Place]:
    """What was said over HTTP and on this terminal."""
    metrics = []
    for listener in (story.vault, story.gateway, story.webhooks, story.console):
        answer = await story.stranger.at(listener).get("/metrics")
        metrics.append(answer.body if answer.status == 200 else b"")  # noqa: PLR2004 - OK
    terminal = story.report.console.export_text(clear=False).encode()
    heard = () if story.connected is None else tuple(story.connected.shop.received)
    return [
        Place("metrics of the four listeners", streams=tuple(metrics)),
        Place(
            f"{story.ledger.answers:,} answers, with their headers",
            streams=tuple(story.ledger.received),
        ),
        Place("everything that the merchant heard", streams=heard),
        Place("this terminal, and what commands printed", streams=(terminal, *story.printed)),
    ]


async def _dumps(story: Story, sieve: Sieve, databases: list[str]) -> Searched:
    """Dump each database and search what comes."""
    total = Searched()
    program = dump.find_pg_dump(story.settings)
    for database in databases:
        address = dump.bootstrap(story.settings, database)
        if program is not None:
            chunks = dump.unpacked(dump.dumped(program, address))
            searched = await asyncio.to_thread(sieve.stream, chunks, f"dump of {database}")
        else:
            searched = sieve.stream(
                dump.unpacked(await dump.copied(address)), f"dump of {database}"
            )
        total.add(searched)
    way = "pg_dump" if program is not None else "COPY"
    _judge(story, f"a dump of {len(databases)} databases ({way})", total)
    return total


def _search(sieve: Sieve, place: Place) -> Searched:
    searched = Searched()
    for path in place.files:
        searched.add(sieve.file(path))
    if place.streams:
        # Joined with what no form can span, so that small answers are searched at once.
        searched.add(sieve.stream([b"\n~|~\n".join(place.streams)], place.what))
    return searched


def _judge(story: Story, what: str, searched: Searched) -> None:
    differences = [
        f"{hit.place}: a number that ends with {hit.last_four}, form {hit.form}"
        for hit in searched.hits[:_SHOWN]
    ]
    differences += searched.unread[:_SHOWN]
    differences += [] if searched.bytes else ["there was nothing to search"]
    files = f" of {searched.files} files" if searched.files > 1 else ""
    found = f"{len(searched.hits)} found" if searched.hits else "none found"
    story.report.check(
        what,
        f"{found} in {searched.bytes / 1e6:,.1f} MB{files}, {searched.seconds:.1f} s",
        differences,
    )
