# SPDX-License-Identifier: Apache-2.0
"""Where commands print: answers to standard output, everything else to standard error.

What is slow to import is imported where it is used: `--help` and the offline commands need none of it.
"""

import json
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from rich.progress import Progress

    from strongroom.cli.installation import Installation

Result = TypeVar("Result")

_PIPE_COLUMNS: Final = 1_000

out = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def print_json(value: object) -> None:
    """Print one JSON document, for scripts."""
    out.file.write(json.dumps(value, indent=2, default=str) + "\n")


def print_table(table: Table) -> None:
    """Print a table: as wide as the terminal, or as wide as it needs where there is none (a pipe)."""
    # `print(width=…)` narrows and never widens, so a pipe gets a console of its own.
    wide = out if out.is_terminal else Console(file=out.file, width=_PIPE_COLUMNS, highlight=False)
    wide.print(table)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before what cannot be undone, unless `--yes` was said.

    Raises:
        BadParameter: there is nobody to ask.
        Abort: the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("without a terminal to ask at, say --yes")
    typer.confirm(question, abort=True, err=True)


def progress() -> "Progress":
    """Return a progress bar on standard error; it shows only where a person looks on, and leaves no trace."""
    from rich.progress import Progress

    return Progress(console=errors, transient=True, disable=not errors.is_terminal)


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's work on the loop that the server also runs on."""
    import asyncio

    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def installation(**overrides: Any) -> "Installation":
    """Return the installation that the environment and a command's options name."""
    from strongroom.cli.installation import Installation
    from strongroom.config import load_settings
    from strongroom.kernel.clock import SystemClock

    return Installation(load_settings(overrides=overrides), SystemClock())


def attached(
    work: Callable[["Installation"], Coroutine[Any, Any, Result]], **overrides: Any
) -> Result:
    """Do a command's work with the embedded server attached, and leave it as it was found."""
    here = installation(**overrides)
    here.attach()
    try:
        return run(work(here))
    finally:
        here.detach()
