# SPDX-License-Identifier: Apache-2.0
"""What the scenario found: checks, figures and targets, printed as they come and kept as JSON.

A check passes or says what differed. Nothing here repeats a card number: what differed is redacted.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.rule import Rule
from rich.table import Table

from strongroom.kernel.cardlike import redact

SENT_COLUMNS: Final = 47
WIDTH_MAX: Final = 100
DIFFERENCES_SHOWN: Final = 4
REPORT_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation: what was sent, what came back, and in what it differed (nothing: as expected)."""

    chapter: str
    sent: str
    got: str
    differences: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.differences


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. `target` is a bound that the release must reach on two cores; None: only shown."""

    name: str
    value: float
    unit: str
    target: str = ""
    met: bool | None = None


@dataclass(slots=True)
class Report:
    """Prints checks as they come and knows in the end whether all passed."""

    console: Console
    checks: list[Check] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    #: Whether the scenario was played to its end.
    finished: bool = False
    _chapter: str = "start"

    @property
    def failed(self) -> list[Check]:
        """The checks that did not pass."""
        return [check for check in self.checks if not check.passed]

    @contextmanager
    def chapter(self, title: str) -> Iterator[None]:
        """Print a heading; tell at the end how long the chapter took."""
        self._chapter = title
        self.console.print()
        self.console.print(Rule(f"[bold]{escape(title)}[/]", align="left", style="cyan"))
        begun, before = perf_counter(), len(self.checks)
        yield
        done = self.checks[before:]
        wrong = sum(1 for check in done if not check.passed)
        verdict = f"[bold red]{wrong} not as expected[/]" if wrong else "as expected"
        self.console.print(
            f"    [dim]{len(done)} checks, {verdict}, {perf_counter() - begun:.1f} s[/]"
        )

    def check(self, sent: str, got: str, differences: Sequence[str] = ()) -> bool:
        """Keep and print one check; return whether it passed."""
        found = Check(self._chapter, sent, got, _few(differences))
        self.checks.append(found)
        mark = "[green]✓[/]" if found.passed else "[bold red]✗[/]"
        got = got if found.passed else "not as expected:"
        room = min(self.console.width, WIDTH_MAX) - SENT_COLUMNS - 5
        left = escape(_cut(sent, SENT_COLUMNS).ljust(SENT_COLUMNS))
        self.console.print(
            f"  {mark} {left} [dim]{escape(_cut(got, room))}[/]", no_wrap=True, crop=True
        )
        for difference in found.differences:
            self.console.print(f"      [red]{escape(difference)}[/]")
        return found.passed

    def note(self, text: str) -> None:
        """Print a line that is no check."""
        self.console.print(f"    [dim]{escape(text)}[/]")

    def figure(
        self, name: str, value: float, unit: str, target: str = "", *, met: bool | None = None
    ) -> None:
        """Keep a measured value for the table at the end."""
        self.figures.append(Figure(name, value, unit, target, met))

    def target(self, name: str, seconds: float, most: float) -> None:
        """Keep a duration with the bound that a release must reach. A slow machine misses it and fails nothing."""
        self.figure(name, seconds, "s", f"< {most:g} s", met=seconds < most)
        self.note(f"{seconds:5.2f} s  {name.removesuffix(' after')}")

    def headline(self, text: str) -> None:
        """Print the first lines."""
        self.console.print("[bold]Strongroom demo[/]  [dim]a vault of its own on this machine[/]")
        self.note(text)

    def progress(self) -> Progress:
        """Return a progress bar; where the output is no terminal it stays silent."""
        return Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )

    @contextmanager
    def busy(self, text: str) -> Iterator[None]:
        """Show that something takes a while; where the output is no terminal, nothing."""
        if not self.console.is_terminal:
            yield
            return
        with self.console.status(text, spinner="dots"):
            yield

    def table(self) -> None:
        """Print the figures, and every check that did not pass."""
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        table.add_column("figure", min_width=SENT_COLUMNS)
        table.add_column("measured", justify="right")
        table.add_column("must reach", justify="right")
        table.add_column("")
        for figure in self.figures:
            verdict = {None: "", True: "[green]reached[/]", False: "[yellow]missed[/]"}[figure.met]
            table.add_row(
                figure.name, f"{_number(figure.value)} {figure.unit}", figure.target, verdict
            )
        self.console.print()
        self.console.print(Rule("[bold]Figures[/]", align="left", style="cyan"))
        self.console.print(table)
        self.console.print()
        if not self.failed:
            self.console.print(f"[bold green]{len(self.checks)} checks, all as expected[/]")
            return
        self.console.print(
            f"[bold red]{len(self.failed)} of {len(self.checks)} checks not as expected:[/]"
        )
        for check in self.failed:
            self.console.print(f"  [red]✗[/] {escape(check.chapter)}: {escape(check.sent)}")
            for difference in check.differences:
                self.console.print(f"      {escape(difference)}")

    def as_json(self) -> dict[str, Any]:
        """Return everything for a script."""
        return {
            "version": REPORT_VERSION,
            "passed": self.finished and not self.failed,
            "checks": [{**asdict(check), "passed": check.passed} for check in self.checks],
            "figures": [asdict(figure) for figure in self.figures],
        }

    def write(self, path: Path) -> None:
        """Write the JSON report, whole or not at all."""
        aside = path.with_name(path.name + ".new")
        aside.write_text(json.dumps(self.as_json(), indent=2, ensure_ascii=False) + "\n", "utf-8")
        aside.replace(path)


def make_console(*, record: bool = True) -> Console:
    """Return the console of a demo: it remembers what it printed, so that this too can be searched."""
    console = Console(highlight=False, record=record)
    if not console.is_terminal:
        console.width = WIDTH_MAX
    return console


def _few(differences: Sequence[str]) -> tuple[str, ...]:
    """Keep the first ones, each once, and no card number."""
    each = list(dict.fromkeys(redact(difference) for difference in differences))
    more = len(each) - DIFFERENCES_SHOWN
    return (*each[:DIFFERENCES_SHOWN], *((f"and {more} more",) if more > 0 else ()))


def _number(value: float) -> str:
    if value >= 100:  # noqa: PLR2004 - from here decimals say nothing
        return f"{value:,.0f}"
    return f"{value:.2f}"


def _cut(text: str, columns: int) -> str:
    return text if len(text) <= columns else text[: columns - 1] + "…"
