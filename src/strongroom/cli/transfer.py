# SPDX-License-Identifier: Apache-2.0
"""`strongroom import` and `strongroom export`: cards in from another provider, and out to one, through a running vault.

The file is read here and opened there: what is encrypted stays so on its way, and what is not leaves this machine over
TLS to the vault only. Nothing of a row is printed.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.table import Table

from strongroom.cli.calling import CA, JSON, KEY_FILE
from strongroom.cli.calling import metadata as read_pairs
from strongroom.cli.calling import vault as vault_client
from strongroom.cli.console import errors, out, print_json, print_table, progress
from strongroom.cli.job import ENDED
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.ids import is_id

if TYPE_CHECKING:
    from strongroom.cli.client import Client

PART_BYTES: Final = 1024 * 1024
#: How often in a row an answer may be lost before this gives up; the import goes on from where it is, whenever.
_LOST_MAX: Final = 5
_WAIT_SECONDS: Final = 0.5
_OFFSET_WRONG: Final = "import_offset_wrong"
#: It has told of more cards that are stored than may be told at once.
_SLOWED: Final = "import_slowed"
_FORMATS: Final = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_ENCRYPTIONS: Final = {".pgp": "pgp", ".gpg": "pgp", ".asc": "pgp", ".jwe": "jwe"}

_URL = typer.Option(
    "", envvar="STRONGROOM_URL", help="The vault; without it this machine's installation."
)


class ImportFailed(StrongroomError):
    """The import has failed."""

    code = "import_failed"


class ExportNotWhole(StrongroomError):
    """The export ended without all of it, or a piece is not what its digest says."""

    code = "export_not_whole"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        "import",
        epilog="Example: strongroom import cards.csv --column number=card_number --column expiry=exp --dry-run",
    )(import_)
    app.command(
        "export",
        epilog="Example: strongroom export --to-key provider.asc --to exported --container cards/eu",
    )(export)
    noun = typer.Typer(
        no_args_is_help=True, help="What another provider encrypts a file of cards to."
    )
    noun.command("create", epilog="Example: strongroom import-key create > import-key.asc")(
        create_key
    )
    noun.command("show", epilog="Example: strongroom import-key show --jwk > import-key.json")(
        show_key
    )
    app.add_typer(noun, name="import-key")


def import_(
    file: Path = typer.Argument(metavar="FILE", help="CSV or JSON Lines, as it is or encrypted."),
    *,
    file_format: str = typer.Option(
        "", "--format", help="csv or jsonl; without it by the file's name."
    ),
    encryption: str = typer.Option(
        "", help="none, pgp, jwe (the whole file) or jwe_lines (each row); without it by the name."
    ),
    column: list[str] = typer.Option(
        [],
        metavar="OURS=THEIRS",
        help="Where the file has number, exp_month, exp_year, expiry, external_id, holder, billing_address.country, "
        "… (the names of a token's wish).",
    ),
    metadata: list[str] = typer.Option(
        [], metavar="KEY=THEIRS", help="A column to keep as metadata; repeat it for each."
    ),
    as_exported: bool = typer.Option(
        False,
        "--as-exported",
        help="The file is an export of a Strongroom: everything that a card has in it, by its own name.",
    ),
    delimiter: str = typer.Option(",", help="Between the fields of a CSV row: , ; | or a tab."),
    container: str = typer.Option("default", help="Where the tokens stand."),
    no_deduplicate: bool = typer.Option(
        False, "--no-deduplicate", help="Make a token of a card that has one already, too."
    ),
    take_expired: bool = typer.Option(
        False, "--take-expired", help="Take cards whose expiry has passed, too."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Check every row and keep nothing."),
    resume: str = typer.Option("", metavar="ID", help="Go on with an import (imp_…) that was cut."),
    results: Path | None = typer.Option(
        None, help="Write there what became of each row: .csv, or JSON Lines."
    ),
    url: str = _URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Make tokens of a file of cards. It may be cut at any moment and gone on with: no card is lost or doubled."""
    from strongroom.cli.hardening import forbid_dumps

    if not file.is_file():
        raise typer.BadParameter(f"{file} is no file")
    if resume and not is_id("imp", resume):
        raise typer.BadParameter("an import's id is imp_ and 26 letters and digits")
    forbid_dumps()
    how = {
        "format": file_format or _format(file),
        "encryption": encryption or _ENCRYPTIONS.get(file.suffix, "none"),
        "columns": {
            **({"exported": True} if as_exported else {}),
            **_nested(read_pairs(column)),
            **({"metadata": read_pairs(metadata)} if metadata else {}),
        },
        "delimiter": "\t" if delimiter in ("\\t", "tab") else delimiter,
        "container": container,
        "deduplicate": not no_deduplicate,
        "take_expired": take_expired,
        "dry_run": dry_run,
    }
    with vault_client(url, ca, key_file) as vault:
        begun = (
            vault.ask("GET", f"/v1/imports/{resume}")
            if resume
            else vault.ask("POST", "/v1/imports", body=how)
        )
        ended = _settled(vault, _sent(vault, begun, file))
        if results is not None:
            _write_results(vault, ended["id"], results)
    if as_json:
        print_json(ended)
    else:
        print_table(_table(ended))
    if ended["state"] != "done":
        raise ImportFailed(f"{ended['id']} {ended['state']}: {ended['problem'] or 'by somebody'}")


def _nested(columns: dict[str, str]) -> dict[str, Any]:
    """Put `billing_address.country` where the API has it: a member inside another."""
    found: dict[str, Any] = {}
    for path, theirs in columns.items():
        outer, _, inner = path.partition(".")
        if not inner:
            found[outer] = theirs
            continue
        inside = found.setdefault(outer, {})
        if not isinstance(inside, dict):
            raise typer.BadParameter(f"--column {outer} holds others: name one of them")
        inside[inner] = theirs
    return found


def _format(file: Path) -> str:
    """Tell by its name how a file's rows are written: `cards.csv.pgp` is CSV."""
    for suffix in reversed(file.suffixes):
        if suffix in _FORMATS:
            return _FORMATS[suffix]
    raise typer.BadParameter(f"say --format csv or --format jsonl: {file.name} does not tell")


def _sent(vault: "Client", begun: dict[str, Any], file: Path) -> dict[str, Any]:
    """Send the file on from where its import stands, in parts; a lost answer is asked after."""
    from strongroom.cli.client import AnswerLost, VaultAway, VaultRefused

    at, lost, size = begun, 0, file.stat().st_size
    errors.print(f"{at['id']}: to go on after a cut, --resume {at['id']}", style="dim")
    with file.open("rb") as content, progress() as shown:
        task = shown.add_task(file.name, total=size, completed=at["offset"])
        while at["state"] == "open":
            content.seek(at["offset"])
            part = content.read(PART_BYTES)
            last = at["offset"] + len(part) >= size
            try:
                at = vault.ask(
                    "PUT",
                    f"/v1/imports/{at['id']}/content",
                    content=part,
                    headers={"content-type": "application/octet-stream"},
                    query={"offset": str(at["offset"]), "last": str(last).lower()},
                )
                lost = 0
            except (AnswerLost, VaultAway):
                lost += 1
                if lost >= _LOST_MAX:
                    raise
                time.sleep(_WAIT_SECONDS * lost)
                at = vault.ask("GET", f"/v1/imports/{at['id']}")
            except VaultRefused as error:
                if error.problem.get("code") == _SLOWED:
                    shown.update(task, description=f"{file.name}: waits, many cards are stored")
                    time.sleep(error.retry_after_seconds or 1)
                elif error.problem.get("code") != _OFFSET_WRONG:
                    raise
                at = vault.ask("GET", f"/v1/imports/{at['id']}")
            shown.update(task, completed=at["offset"], description=file.name)
    return at


def _settled(vault: "Client", at: dict[str, Any]) -> dict[str, Any]:
    """Wait for the vault to open and read a file that it has."""
    with progress() as shown:
        task = shown.add_task("the vault reads the file", total=None)
        while at["state"] not in ENDED:
            time.sleep(_WAIT_SECONDS)
            at = vault.ask("GET", f"/v1/imports/{at['id']}")
            shown.update(task, description=f"the vault reads the file: {at['rows']:,} rows")
    return at


def _write_results(vault: "Client", of: str, path: Path) -> None:
    """Write what became of each row."""
    as_csv = str(path.suffix == ".csv").lower()
    row = "1"
    with path.open("wb") as file:
        while row:
            content, headers = vault.fetch(
                f"/v1/imports/{of}/results", query={"row": row, "as_csv": as_csv}
            )
            file.write(content)
            row = headers.get("strongroom-next-row", "")


def _table(of: dict[str, Any]) -> Table:
    shown = Table(box=None, pad_edge=False)
    for column in ("import", "state", "rows", "created", "duplicates", "refused", "digest"):
        shown.add_column(column, no_wrap=True)
    counts = (f"{of[name]:,}" for name in ("rows", "created", "duplicates", "refused"))
    state = f"{of['state']}{' (dry run)' if of['dry_run'] else ''}"
    shown.add_row(of["id"], state, *counts, f"{of['digest_kind']} {of['digest'] or ''}")
    return shown


# --- what another provider encrypts to ---------------------------------------------------------------


def create_key(
    *,
    url: str = _URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Make an import key and print its OpenPGP certificate. Earlier ones go on opening what was sealed for them."""
    with vault_client(url, ca, key_file) as vault:
        _show_key(vault.ask("POST", "/v1/imports/key"), as_json=as_json)


def show_key(
    *,
    jwk: bool = typer.Option(False, "--jwk", help="Print the JWK, for JWE, instead."),
    url: str = _URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Print what a file of cards is to be encrypted to."""
    with vault_client(url, ca, key_file) as vault:
        found = vault.ask("GET", "/v1/imports/key")
    if jwk:
        print_json(found["jwk"])
    else:
        _show_key(found, as_json=as_json)


def _show_key(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        errors.print(f"{found['id']}, {found['mode']} mode", style="dim")
        typer.echo(found["certificate"].rstrip("\n"))


# --- out ---------------------------------------------------------------------------------------------


def export(
    *,
    to: Path = typer.Option(help="Folder for the pieces; made if it is not there."),
    to_key: Path | None = typer.Option(
        None, help="The receiver's OpenPGP certificate, or its public JWK (.json)."
    ),
    purpose: str = typer.Option(
        "",
        help="Why: legal_request, portability, provider_change or recovery. Needed to begin one; stands in the audit "
        "record, and whoever approves sees it.",
    ),
    note: str = typer.Option("", help="In your words, for whoever approves. No card number."),
    container: str = typer.Option("default", help="Which cards."),
    rate: int = typer.Option(1_000, min=1, max=5_000, help="Cards a second at most."),
    approval: str = typer.Option(
        "", metavar="ID", help="What another person has approved (apr_…)."
    ),
    job: str = typer.Option("", metavar="ID", help="Fetch an export that was begun (job_…)."),
    url: str = _URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Seal every card of a container for another provider. It takes two people: the first call waits."""
    if job and not is_id("job", job):
        raise typer.BadParameter("a job's id is job_ and 26 letters and digits")
    if (to_key is None) == (not job):
        raise typer.BadParameter("say --to-key to begin an export, or --job to fetch one")
    if to_key is not None and not purpose:
        raise typer.BadParameter("say --purpose: why the cards leave")
    with vault_client(url, ca, key_file) as vault:
        if to_key is None:
            found = vault.ask("GET", f"/v1/exports/{job}")
        else:
            wish = {
                "encryption": "jwe_lines" if to_key.suffix in (".json", ".jwk") else "pgp",
                "recipient": to_key.read_text("utf-8"),
                "purpose": purpose,
                **({"note": note} if note else {}),
                "container": container,
                "rate": rate,
            }
            headers = {"strongroom-approval": approval} if approval else {}
            found = vault.ask("POST", "/v1/exports", body=wish, headers=headers)
        if found["object"] == "approval":
            out.print(
                f"{found['id']} waits for another person; then the same with --approval {found['id']}"
            )
            return
        found = _fetched(vault, found, to)
    if as_json:
        print_json(found)
    else:
        out.print(f"{found['done']:,} cards in {to}, sha256 over the pieces' {found['digest']}")


def _fetched(vault: "Client", found: dict[str, Any], to: Path) -> dict[str, Any]:
    """Fetch pieces as they are written, and compare what came with the digest of the whole.

    Raises:
        ExportNotWhole: see there.
    """
    from strongroom.crypto import sha256

    to.mkdir(mode=0o700, parents=True, exist_ok=True)
    suffix = "jsonl.jwe" if found["encryption"] == "jwe_lines" else "jsonl.pgp"
    digests: list[bytes] = []
    errors.print(f"{found['id']}: to go on after a cut, --job {found['id']}", style="dim")
    with progress() as shown:
        task = shown.add_task("exporting", total=found["total"])
        while True:
            found = vault.ask("GET", f"/v1/exports/{found['id']}")
            shown.update(task, completed=found["done"])
            while (content := _piece(vault, found["id"], len(digests))) is not None:
                digests.append(sha256(content))
                (to / f"{len(digests):06}.{suffix}").write_bytes(content)
            if found["state"] in ENDED:
                break
            time.sleep(_WAIT_SECONDS)
    if found["state"] != "done" or sha256(b"".join(digests)).hex() != found["digest"]:
        raise ExportNotWhole(f"{found['id']} {found['state']}: {found['problem'] or 'not whole'}")
    return found


def _piece(vault: "Client", job: str, number: int) -> bytes | None:
    """Return a piece, or None where there is none (yet)."""
    from strongroom.cli.client import VaultRefused

    try:
        content, _ = vault.fetch(f"/v1/exports/{job}/content", query={"piece": str(number)})
    except VaultRefused as error:
        if error.problem.get("code") == "export_piece_unknown":
            return None
        raise
    return content
