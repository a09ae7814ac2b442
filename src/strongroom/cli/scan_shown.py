# SPDX-License-Identifier: Apache-2.0
"""How a search for card numbers is told: to people as a table, to scripts as one JSON document. Numbers are masked."""

from collections.abc import Sequence
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from strongroom.cli.console import errors, out, print_json, print_table
from strongroom.vault import ScanFinding, ScanKind, ScanLevel, ScanReport, self_test

MISSED: Final = 2
#: So many things that could not be looked at are named to people; JSON has them all.
_UNREAD_SHOWN: Final = 20


def as_text(report: ScanReport, fresh: Sequence[ScanFinding]) -> None:
    """Print findings to standard output, and what came of the search beside it."""
    if fresh:
        table = Table(box=None, pad_edge=False)
        for column in ("number", "scheme", "sure", "form", "where"):
            table.add_column(column, no_wrap=column != "where", overflow="fold")
        for each in fresh:
            scheme = f"{each.scheme} (test)" if each.kind is ScanKind.TEST else each.scheme
            where = f"{each.place}:{each.line}:{each.column}"
            table.add_row(each.masked, scheme, each.level, each.form, Text(where))
        print_table(table)
    for note in report.unread[:_UNREAD_SHOWN]:
        errors.print(f"not looked at: {note.place} ({note.reason})", markup=False, soft_wrap=True)
    if len(report.unread) > _UNREAD_SHOWN:
        errors.print(f"… and {len(report.unread) - _UNREAD_SHOWN} more")
    errors.print(_sentence(report, fresh), markup=False, soft_wrap=True)


def _sentence(report: ScanReport, fresh: Sequence[ScanFinding]) -> str:
    looked = f"{report.rows} rows" if report.rows and not report.files else f"{report.files} files"
    said = [f"{len(fresh)} found in {looked}, {report.bytes} bytes"]
    if known := len(report.findings) - len(fresh):
        said.append(f"{known} known")
    if report.overflowed:
        said.append(f"{report.overflowed} more than are listed")
    aliases = _counted(report, ScanKind.ALIAS)
    if aliases:
        said.append(f"{aliases} aliases of ours")
    told = len(report.findings) + report.overflowed + aliases
    if below := sum(report.found.values()) - told:
        said.append(f"{below} left out")
    if report.unread:
        said.append(f"{len(report.unread)} not looked at")
    return "; ".join(said)


def _counted(report: ScanReport, kind: ScanKind) -> int:
    return sum(count for (each, _), count in report.found.items() if each is kind)


def as_json(report: ScanReport, fresh: Sequence[ScanFinding]) -> None:
    """Print the whole report as one document."""
    print_json(
        {
            "object": "scan",
            "findings": [_printed(each) for each in fresh],
            "known": len(report.findings) - len(fresh),
            "more": report.overflowed,
            "counts": {
                kind.value: {level.value: report.found[kind, level] for level in ScanLevel}
                for kind in ScanKind
            },
            "not_looked_at": [
                {"place": each.place, "reason": each.reason} for each in report.unread
            ],
            "files": report.files,
            "rows": report.rows,
            "bytes": report.bytes,
        }
    )


def _printed(each: ScanFinding) -> dict[str, Any]:
    return {
        "place": each.place,
        "line": each.line,
        "column": each.column,
        "offset": each.offset,
        "number": each.masked,
        "scheme": each.scheme,
        "kind": each.kind.value,
        "confidence": each.level.value,
        "form": each.form.value,
    }


def trials(*, as_json: bool) -> int:
    """Plant decoys, tell which are found, and return the exit code."""
    came_of = list(self_test())
    missed = [each.name for each in came_of if not each.passed]
    if as_json:
        print_json({"object": "scan_self_test", "decoys": len(came_of), "missed": missed})
    else:
        for name in missed:
            out.print(f"missed: {name}", markup=False)
        out.print(f"{len(came_of) - len(missed)} of {len(came_of)} decoys as they should be")
    return MISSED if missed else 0
