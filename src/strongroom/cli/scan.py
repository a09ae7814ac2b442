# SPDX-License-Identifier: Apache-2.0
"""`strongroom scan`: looks for card numbers where they should not be. Needs no installation and changes nothing.

Exit codes: 0 nothing was found, 1 something was, 2 not everything could be looked at and nothing was found.
"""

import enum
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer
from rich.markup import escape

from strongroom.cli.console import errors, progress, run

if TYPE_CHECKING:
    from rich.progress import Progress

    from strongroom.db.address import Address
    from strongroom.vault import ScanFinding, ScanProgress, ScanReport

FOUND: Final = 1
NOT_LOOKED: Final = 2
_SCHEMES: Final = ("postgres://", "postgresql://")
_STANDARD_INPUT: Final = "-"


class Least(enum.StrEnum):
    """The least sure findings that count."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Shown(enum.StrEnum):
    """How the report is printed."""

    TEXT = "text"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("scan", epilog="Example: strongroom scan /var/log --exclude '*.gz'")(scan)


def scan(
    target: str = typer.Argument(
        "", help="A file, a folder, - for standard input, or postgres://user@host/database."
    ),
    *,
    least: Least = typer.Option(
        Least.MEDIUM, "--confidence", help="The least sure findings that are told and counted."
    ),
    shown: Shown = typer.Option(Shown.TEXT, "--format", help="text or json."),
    baseline: Path | None = typer.Option(
        None, help="Findings that are known already; they are not told again."
    ),
    write_baseline: Path | None = typer.Option(
        None, "--write-baseline", help="Write what is found to a baseline, and exit with 0."
    ),
    exclude: list[str] = typer.Option(
        [], help="Names or paths that are left out, with * and ?; may be given again."
    ),
    ignore_test_numbers: bool = typer.Option(
        False, "--ignore-test-numbers", help="Leave out numbers that are published for testing."
    ),
    password_file: str = typer.Option(
        "", help="A private file with the database's password, or - for a line of standard input."
    ),
    self_test: bool = typer.Option(
        False, "--self-test", help="Plant decoys in every form, and say whether each is found."
    ),
) -> None:
    """Look for card numbers in files, streams and PostgreSQL databases (PCI DSS 12.10.7); exit code 1 if one is there."""
    from strongroom.cli import scan_shown
    from strongroom.cli.installation import write_private
    from strongroom.vault import ScanKind, ScanLevel, new_findings, read_baseline, written_baseline

    if self_test:
        raise typer.Exit(scan_shown.trials(as_json=shown is Shown.JSON))
    if not target:
        raise typer.BadParameter("what is searched is missing: a path, - or postgres://…")
    known = Counter() if baseline is None else read_baseline(baseline)

    def wanted(finding: "ScanFinding") -> bool:
        if finding.kind is ScanKind.ALIAS or (
            ignore_test_numbers and finding.kind is ScanKind.TEST
        ):
            return False
        return finding.level.reaches(ScanLevel(least))

    with progress() as bar:
        report = _search(target, exclude, password_file, wanted, _teller(bar))
    fresh = new_findings(report.findings, known)
    if write_baseline is not None:
        write_private(write_baseline, written_baseline(report.findings).encode())
        errors.print(f"wrote {len(report.findings)} findings to {write_baseline}", markup=False)
        fresh = []
    else:
        told = scan_shown.as_json if shown is Shown.JSON else scan_shown.as_text
        told(report, fresh)
    if fresh:
        raise typer.Exit(FOUND)
    if report.unread or report.overflowed:
        raise typer.Exit(NOT_LOOKED)


def _search(
    target: str,
    excluded: list[str],
    password_file: str,
    wanted: "Callable[[ScanFinding], bool]",
    tell: "Callable[[ScanProgress], None]",
) -> "ScanReport":
    from strongroom.vault import DatabaseSearch, FileSearch

    if target.startswith(_SCHEMES):
        address = _address(target, password_file)
        return run(DatabaseSearch(wanted=wanted, tell=tell).run(address))
    search = FileSearch(wanted=wanted, tell=tell, excluded=excluded)
    if target == _STANDARD_INPUT:
        return search.stream(sys.stdin.buffer)
    path = Path(target)
    if not path.exists():
        raise typer.BadParameter("there is no such file or folder")
    return search.path(path)


def _address(target: str, password_file: str) -> "Address":
    """Read where the database is. A password on the command line is shown to everybody on the machine."""
    from strongroom.cli.calling import typed
    from strongroom.cli.client import read_key_file
    from strongroom.db.address import parse_dsn

    address = parse_dsn(target)
    if address.password is not None:
        raise typer.BadParameter(
            "the process list and the shell's history keep arguments: give the password with --password-file"
        )
    if not password_file:
        return address
    given = typed("Password") if password_file == _STANDARD_INPUT else None
    return replace(address, password=given or read_key_file(Path(password_file)))


def _teller(bar: "Progress") -> "Callable[[ScanProgress], None]":
    task = bar.add_task("looking", total=None)

    def tell(now: "ScanProgress") -> None:
        bar.update(task, completed=now.done, total=now.total, description=escape(now.place[-40:]))

    return tell
