# SPDX-License-Identifier: Apache-2.0
"""`strongroom job`: list, show, watch, pause, resume and cancel the long work of a running vault, as its client."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.table import Table

from strongroom.cli.calling import CA, JSON, KEY_FILE
from strongroom.cli.calling import vault as vault_client
from strongroom.cli.console import out, print_json, print_table, progress
from strongroom.cli.lists import newest, print_list
from strongroom.kernel.ids import is_id

if TYPE_CHECKING:
    from strongroom.cli.client import Client

#: The states that a job, an import or an export does not leave.
ENDED: Final = frozenset({"done", "failed", "canceled"})
_URL = typer.Option(
    "", envvar="STRONGROOM_URL", help="The vault; without it this machine's installation."
)
_ID = typer.Argument(metavar="ID", help="The job's id (job_…).")
_EXAMPLE: Final = "job_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(
        no_args_is_help=True, help="Long work of a running vault: re-seals, imports, exports."
    )
    noun.command("list", epilog="Example: strongroom job list --limit 50 --json")(list_)
    noun.command("show", epilog=f"Example: strongroom job show {_EXAMPLE}")(show)
    noun.command("watch", epilog=f"Example: strongroom job watch {_EXAMPLE}")(watch)
    noun.command("pause", epilog=f"Example: strongroom job pause {_EXAMPLE}")(pause)
    noun.command("resume", epilog=f"Example: strongroom job resume {_EXAMPLE}")(resume)
    noun.command("rate", epilog=f"Example: strongroom job rate {_EXAMPLE} 500")(rate)
    noun.command("cancel", epilog=f"Example: strongroom job cancel {_EXAMPLE} --yes")(cancel)
    app.add_typer(noun, name="job")


def list_(
    *,
    limit: int = typer.Option(20, min=1, help="How many, newest first."),
    url: str = _URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """List jobs, newest first."""
    with vault_client(url, ca, key_file) as vault:
        found = newest(vault, "/v1/jobs", limit)
    print_list(found, lambda each: print_table(_table(each)), none="no jobs yet", as_json=as_json)


def show(
    job: str = _ID,
    *,
    url: str = _URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Show how far a job is."""
    path = f"/v1/jobs/{_job_id(job)}"
    with vault_client(url, ca, key_file) as vault:
        _print(vault.ask("GET", path), as_json=as_json)


def watch(
    job: str = _ID,
    *,
    every: float = typer.Option(1.0, min=0.1, help="Seconds between two looks."),
    url: str = _URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Wait for a job to end, with a progress bar where somebody looks on. Exit code 1 unless it is done."""
    path = f"/v1/jobs/{_job_id(job)}"
    with vault_client(url, ca, key_file) as vault:
        ended = follow(vault, path, every)
    _print(ended, as_json=as_json)
    if ended["state"] != "done":
        raise typer.Exit(1)


def pause(
    job: str = _ID,
    *,
    url: str = _URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Let a job stand still."""
    _change(job, "pause", url, ca, key_file, as_json=as_json)


def resume(
    job: str = _ID,
    *,
    url: str = _URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Let a paused job go on where it was."""
    _change(job, "resume", url, ca, key_file, as_json=as_json)


def rate(
    job: str = _ID,
    items: int = typer.Argument(
        metavar="RATE", min=0, help="Items a second at most; 0: as fast as it goes."
    ),
    *,
    url: str = _URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Say how fast a job may go."""
    _change(job, "rate", url, ca, key_file, as_json=as_json, body={"rate": items or None})


def cancel(
    job: str = _ID,
    *,
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    url: str = _URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """End a job where it is: what it has done stays done."""
    _job_id(job)
    if not yes:
        typer.confirm(f"End {job} for ever?", abort=True, err=True)
    _change(job, "cancel", url, ca, key_file, as_json=as_json)


def follow(vault: "Client", path: str, every: float) -> dict[str, Any]:
    """Ask again and again until a job has ended, and return it."""
    import time

    with progress() as bar:
        task = bar.add_task("", total=None)
        while True:
            found = vault.ask("GET", path)
            bar.update(
                task,
                description=f"{found['kind']} {found['state']}",
                total=found["total"],
                completed=found["done"] + found["refused"],
            )
            if found["state"] in ENDED:
                return found
            time.sleep(every)


def _change(
    job: str,
    act: str,
    url: str,
    ca: Path | None,
    key_file: Path | None,
    *,
    as_json: bool,
    body: dict[str, Any] | None = None,
) -> None:
    path = f"/v1/jobs/{_job_id(job)}/{act}"
    with vault_client(url, ca, key_file) as vault:
        _print(vault.ask("POST", path, body=body), as_json=as_json)


def _job_id(text: str) -> str:
    if not is_id("job", text):
        raise typer.BadParameter("a job's id is job_ and 26 letters and digits")
    return text


def _print(job: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(job)
        return
    out.print(f"[bold]{job['id']}[/]  {job['kind']}  {job['state']}", soft_wrap=True)
    out.print(_far(job), soft_wrap=True)
    if job["problem"]:
        out.print(f"[red]{job['problem']}[/]")


def _far(job: dict[str, Any]) -> str:
    """Say how far a job is, in one line."""
    through = job["done"] + job["refused"]
    parts = [f"{through:,}" if job["total"] is None else f"{through:,} of {job['total']:,}"]
    if job["refused"]:
        parts.append(f"{job['refused']:,} refused")
    if job["items_per_second"] is not None and job["state"] == "running":
        parts.append(f"{job['items_per_second']:,.0f} a second")
    if job["seconds_left"] is not None and job["state"] == "running":
        parts.append(f"{job['seconds_left']:,} s left")
    return ", ".join(parts)


def _table(jobs: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("id", "kind", "state", "how far", "created"):
        table.add_column(column, no_wrap=True)
    for each in jobs:
        table.add_row(each["id"], each["kind"], each["state"], _far(each), each["created_at"])
    return table
