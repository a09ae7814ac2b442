# SPDX-License-Identifier: Apache-2.0
"""`strongroom vault`: what is done to a merchant's tokens at the machine itself, when they leaked."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from strongroom.cli.calling import CA, JSON, KEY_FILE
from strongroom.cli.calling import vault as vault_client
from strongroom.cli.console import confirm, out, print_json
from strongroom.cli.lists import newest
from strongroom.kernel.ids import is_id
from strongroom.kernel.mode import Mode

if TYPE_CHECKING:
    from strongroom.compose import Composer

_EXAMPLE = "01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_URL = typer.Option(
    "", envvar="STRONGROOM_URL", help="The vault; without it this machine's installation."
)
_ALL = 1_000_000


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(no_args_is_help=True, help="Give leaked tokens other ids.")
    noun.command(
        "retokenize",
        epilog=f"Example: strongroom vault retokenize --merchant mer_{_EXAMPLE} --mode test "
        "--container default --alias-days 30",
    )(retokenize)
    noun.command(
        "mapping", epilog=f"Example: strongroom vault mapping job_{_EXAMPLE} --out mapping.csv"
    )(mapping)
    app.add_typer(noun, name="vault")


def retokenize(
    *,
    merchant: str = typer.Option(help="The merchant's id (mer_…)."),
    mode: Mode = typer.Option(help="Whose tokens: live or test."),
    container: str = typer.Option("", help="Only the tokens of this container."),
    token: list[str] = typer.Option([], help="Only this token; repeat it for each."),
    alias_days: int = typer.Option(
        0, min=0, max=90, help="For so many days the old ids stand for the new; 0: dead at once."
    ),
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    as_json: bool = JSON,
) -> None:
    """Give tokens other ids, in test mode; in live mode two people do it: POST /v1/retokenizations.

    A vault that serves does it as a job; single-use tokens are left.
    """
    from strongroom.audit import Origin
    from strongroom.cli.key import merchant_id
    from strongroom.cli.operating import actor, composed

    tenant = merchant_id(merchant)
    confirm("Give these tokens other ids?", yes=yes)

    async def work(composer: "Composer") -> str:
        retokenizations = await composer.operator_retokenizations()
        job = await retokenizations.begin(
            tenant,
            mode,
            retokenizations.wish(token, container or None, alias_days),
            actor=actor(),
            origin=Origin(),
        )
        return job.job_id

    job = composed(work)
    if as_json:
        print_json({"job": job, "alias_days": alias_days})
        return
    out.print(f"job [bold]{job}[/] gives them other ids: strongroom job watch {job}")
    out.print(f"next: strongroom vault mapping {job} --out mapping.csv", style="dim")


def mapping(
    job: str = typer.Argument(metavar="JOB", help="The retokenization's job (job_…)."),
    *,
    to: Path = typer.Option(..., "--out", help="CSV file to make: old, new, until."),
    url: str = _URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Write what old ids became into a file of mode 0600, as a client of a running vault."""
    from strongroom.vault import MAPPING_HEADER, mapping_line

    if not is_id("job", job):
        raise typer.BadParameter("a job's id is job_ and 26 letters and digits")
    with vault_client(url, ca, key_file) as vault:
        found: list[dict[str, Any]] = newest(vault, f"/v1/retokenizations/{job}/mapping", _ALL)
    try:
        descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise typer.BadParameter(f"{to}: {error.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        file.write(MAPPING_HEADER)
        file.writelines(mapping_line(each["old"], each["new"], each["until"]) for each in found)
    if as_json:
        print_json({"file": str(to), "tokens": len(found)})
    else:
        out.print(f"wrote {len(found)} tokens to {to}", soft_wrap=True)
