# SPDX-License-Identifier: Apache-2.0
"""`strongroom reconcile` and `strongroom reconciliation`: a processor's report against our books, through a gateway."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.table import Table

from strongroom.cli.amounts import shown
from strongroom.cli.calling import CA, JSON, KEY_FILE, URL, gateway
from strongroom.cli.console import errors, out, print_json, print_table, progress
from strongroom.cli.lists import newest, print_list
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.ids import is_id

if TYPE_CHECKING:
    from strongroom.cli.client import Client

PART_BYTES: Final = 1024 * 1024
#: How often in a row an answer may be lost before this gives up; the same command goes on from where it was.
_LOST_MAX: Final = 5
_WAIT_SECONDS: Final = 0.5
_OFFSET_WRONG: Final = "report_offset_wrong"
_DIFFERING: Final = (
    "amount_differs",
    "currency_differs",
    "doubled",
    "missing_here",
    "missing_there",
)
_FORMATS: Final = ("adyen", "generic", "stripe")
_EXAMPLE: Final = "rcn_01KAHX7T2B5M8R4V0Q3S6W9YCE"
_RESULTS: Final = typer.Option(
    None, help="Write there, as CSV, what each line of the report was found to be."
)


class ReportFailed(StrongroomError):
    """The report cannot be read."""

    code = "report_failed"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        "reconcile",
        epilog="Example: strongroom reconcile payouts.csv --connection con_01KAHX2Q7N5B8D3F6H9J1K4M0P "
        "--results differences.csv --differing",
    )(reconcile)
    noun = typer.Typer(no_args_is_help=True, help="Reports of processors, and how they compare.")
    for name, command, example in (
        ("list", list_, ""),
        ("show", show, _EXAMPLE),
        ("lines", lines, f"{_EXAMPLE} --result missing_here"),
        ("again", again, _EXAMPLE),
    ):
        noun.command(name, epilog=f"Example: strongroom reconciliation {name} {example}".rstrip())(
            command
        )
    app.add_typer(noun, name="reconciliation")


def reconcile(
    file: Path = typer.Argument(metavar="FILE", help="The processor's settlement report, CSV."),
    *,
    connection: str = typer.Option(metavar="ID", help="Whose report it is (con_…)."),
    form: str = typer.Option(
        "",
        "--format",
        help="adyen, generic or stripe; without it as the connection's processor writes them.",
    ),
    begin: str = typer.Option(
        "",
        "--from",
        metavar="MOMENT",
        help="Whose movements it has to name: what was asked for from here on (RFC 3339) …",
    ),
    end: str = typer.Option("", "--to", metavar="MOMENT", help="… and before here."),
    results: Path | None = _RESULTS,
    differing: bool = typer.Option(
        False, "--differing", help="Write only those lines on which the two do not agree."
    ),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Compare a settlement report with what was captured and given back. Exit code 1 where they differ.

    It may be cut at any moment: the same command goes on, and a file that was compared is not compared again.
    """
    from strongroom.crypto import sha256_file

    if not file.is_file():
        raise typer.BadParameter(f"{file} is no file")
    if not is_id("con", connection):
        raise typer.BadParameter("a connection's id is con_ and 26 letters and digits")
    if form not in ("", *_FORMATS):
        raise typer.BadParameter("--format is adyen, generic or stripe")
    if bool(begin) != bool(end):
        raise typer.BadParameter("--from and --to go together")
    wish: dict[str, Any] = {"connection": connection, "sha256": sha256_file(file).hex()}
    if form:
        wish["format"] = form
    if begin:
        wish["period"] = {"from": begin, "to": end}
    with gateway(url, ca, key_file) as client:
        begun = client.ask("POST", "/v1/reconciliations", body=wish)
        ended = _compared(client, _sent(client, begun, file))
        if results is not None and ended["state"] == "done":
            _write_results(client, ended["id"], results, differing=differing)
    _print_ended(ended, as_json=as_json)


def list_(
    *,
    connection: str = typer.Option("", metavar="ID", help="Of this connection (con_…) only."),
    limit: int = typer.Option(20, min=1, help="How many at most."),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """List reports, newest first."""
    query = {"connection": connection} if connection else {}
    with gateway(url, ca, key_file) as client:
        found = newest(client, "/v1/reconciliations", limit, query)
    print_list(
        found, lambda each: print_table(_table(each)), none="no report was given", as_json=as_json
    )


def show(
    reconciliation: str = typer.Argument(metavar="ID", help="The reconciliation's id (rcn_…)."),
    *,
    results: Path | None = _RESULTS,
    differing: bool = typer.Option(
        False, "--differing", help="Write only those lines on which the two do not agree."
    ),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Show a report: how its lines compare, and what it comes to. Exit code 1 where it differs."""
    with gateway(url, ca, key_file) as client:
        found = client.ask("GET", f"/v1/reconciliations/{_checked(reconciliation)}")
        if results is not None:
            _write_results(client, found["id"], results, differing=differing)
    _print_ended(found, as_json=as_json)


def lines(
    reconciliation: str = typer.Argument(metavar="ID", help="The reconciliation's id (rcn_…)."),
    *,
    result: str = typer.Option(
        "",
        help="Those that are this only: matched, kept, amount_differs, currency_differs, doubled, missing_here or "
        "missing_there; without it all on which the two do not agree.",
    ),
    limit: int = typer.Option(100, min=1, help="How many at most."),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """List the lines of a report that differ, or that are one thing, in the file's order."""
    query = {"result": result} if result else {"differing": "true"}
    with gateway(url, ca, key_file) as client:
        path = f"/v1/reconciliations/{_checked(reconciliation)}/lines"
        found = newest(client, path, limit, query)
    print_list(found, _print_lines, none="there is no such line", as_json=as_json)


def again(
    reconciliation: str = typer.Argument(metavar="ID", help="The reconciliation's id (rcn_…)."),
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Compare a report that is kept once more, with what is known by now."""
    with gateway(url, ca, key_file) as client:
        begun = client.ask("POST", f"/v1/reconciliations/{_checked(reconciliation)}/again")
        ended = _compared(client, begun)
    _print_ended(ended, as_json=as_json)


def _checked(reconciliation: str) -> str:
    if not is_id("rcn", reconciliation):
        raise typer.BadParameter("a reconciliation's id is rcn_ and 26 letters and digits")
    return reconciliation


def _sent(client: "Client", begun: dict[str, Any], file: Path) -> dict[str, Any]:
    """Send the file on from where its report stands, in parts; a lost answer is asked after."""
    from strongroom.cli.client import AnswerLost, GatewayRefused, VaultAway

    at, lost, size = begun, 0, file.stat().st_size
    if at["state"] == "open":
        errors.print(f"{at['id']}: to go on after a cut, the same command", style="dim")
    with file.open("rb") as content, progress() as bar:
        task = bar.add_task(file.name, total=size, completed=at["offset"])
        while at["state"] == "open":
            content.seek(at["offset"])
            part = content.read(PART_BYTES)
            last = at["offset"] + len(part) >= size
            try:
                at = client.ask(
                    "PUT",
                    f"/v1/reconciliations/{at['id']}/content",
                    content=part,
                    headers={"content-type": "text/csv"},
                    query={"offset": str(at["offset"]), "last": str(last).lower()},
                )
                lost = 0
            except (AnswerLost, VaultAway):
                lost += 1
                if lost >= _LOST_MAX:
                    raise
                time.sleep(_WAIT_SECONDS * lost)
                at = client.ask("GET", f"/v1/reconciliations/{at['id']}")
            except GatewayRefused as error:
                if error.problem.get("code") != _OFFSET_WRONG:
                    raise
                at = client.ask("GET", f"/v1/reconciliations/{at['id']}")
            bar.update(task, completed=at["offset"])
    return at


def _compared(client: "Client", at: dict[str, Any]) -> dict[str, Any]:
    """Wait for a worker to compare a report to its end."""
    with progress() as bar:
        task = bar.add_task("comparing", total=None)
        while at["state"] == "received":
            time.sleep(_WAIT_SECONDS)
            at = client.ask("GET", f"/v1/reconciliations/{at['id']}")
            bar.update(task, description=f"comparing: {at['lines']:,} lines")
    return at


def _write_results(client: "Client", of: str, path: Path, *, differing: bool) -> None:
    """Write what each line was found to be."""
    behind = "0"
    with path.open("wb") as file, progress() as bar:
        task = bar.add_task(path.name, total=None)
        while behind:
            content, headers = client.fetch(
                f"/v1/reconciliations/{of}/csv",
                query={"behind": behind, "differing": str(differing).lower()},
            )
            file.write(content)
            bar.advance(task)
            behind = headers.get("strongroom-next", "")


def _print_ended(ended: dict[str, Any], *, as_json: bool) -> None:
    """Print a report; end with 1 where it differs, or cannot be read."""
    if as_json:
        print_json(ended)
    else:
        print_table(_table([ended]))
        if ended["totals"]:
            print_table(_totals(ended["totals"]))
    if ended["state"] == "failed":
        raise ReportFailed(f"{ended['id']}: {ended['problem']}")
    if ended["agrees"] is False:
        errors.print(
            f"they differ: strongroom reconciliation lines {ended['id']}", style="bold red"
        )
        raise typer.Exit(1)
    if ended["agrees"] and not as_json:
        out.print("the report and the books agree")


def _table(reports: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("reconciliation", "connection", "state", "lines", "matched", "kept", "differ"):
        table.add_column(column, no_wrap=True)
    for each in reports:
        counts = each["counts"]
        differing = {name: counts[name] for name in _DIFFERING if counts[name]}
        table.add_row(
            each["id"],
            each["connection"],
            each["state"],
            f"{each['lines']:,}",
            f"{counts['matched']:,}",
            f"{counts['kept']:,}",
            ", ".join(f"{name} {count:,}" for name, count in differing.items()) or "0",
        )
    return table


def _totals(totals: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("of kind", "lines", "gross", "fees", "net", box=None, pad_edge=False)
    for each in totals:
        amounts = [shown(each[name], each["currency"]) for name in ("gross", "fee", "net")]
        table.add_row(each["kind"], f"{each['lines']:,}", *amounts)
    return table


def _print_lines(found: Sequence[Mapping[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("line", "result", "kind", "payment", "reference", "says", "ours"):
        table.add_column(column, no_wrap=True)
    for each in found:
        amount, currency = each["gross"], each["currency"]
        if each["presented_amount"] is not None:
            amount, currency = each["presented_amount"], each["presented_currency"]
        table.add_row(
            "" if each["line"] is None else str(each["line"]),
            each["result"],
            each["kind"],
            each["payment"] or "",
            each["processor_reference"] or each["our_reference"] or "",
            "" if amount is None else shown(amount, currency),
            "" if each["expected"] is None else shown(each["expected"], each["expected_currency"]),
        )
    print_table(table)
