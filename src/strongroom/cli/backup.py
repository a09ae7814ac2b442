# SPDX-License-Identifier: Apache-2.0
"""`strongroom backup`: data, wrapped keys and audit log apart, sealed; put back; and the drill that shows it opens."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from strongroom.cli.console import (
    attached,
    installation,
    out,
    print_json,
    print_table,
    progress,
    run,
)

if TYPE_CHECKING:
    from strongroom.cli.backups.model import Manifest
    from strongroom.cli.installation import Installation
    from strongroom.compose.backups import Shown
    from strongroom.kernel.secret import Secret

_JSON = typer.Option(False, "--json", help="Print JSON.")
_FOLDER = typer.Argument(help="The backup's folder.")
_IDENTITY = typer.Option(
    ..., "--identity", help="File with the secret key (AGE-SECRET-KEY-1…) that opens it."
)


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(no_args_is_help=True, help="Back up, restore, and show that a backup opens.")
    noun.command("keygen", epilog="Example: strongroom backup keygen --out backup.key")(keygen)
    noun.command(
        "create",
        epilog="Example: strongroom backup create --to /mnt/backups/monday --recipient age1…",
    )(create)
    noun.command(
        "drill", epilog="Example: strongroom backup drill /mnt/backups/monday --identity backup.key"
    )(drill)
    noun.command(
        "restore",
        epilog="Example: strongroom backup restore /mnt/backups/monday --identity backup.key",
    )(restore)
    app.add_typer(noun, name="backup")


def keygen(
    target: Path = typer.Option(
        ..., "--out", help="File to make, of mode 0600: keep it elsewhere."
    ),
) -> None:
    """Make the key pair that backups are sealed for. Prints the public key; the machine needs no more than that."""
    from strongroom.cli.installation import write_once
    from strongroom.crypto import new_parcel_identity

    secret, public = new_parcel_identity()
    if not write_once(target, f"# public key: {public}\n{secret.expose()}\n"):
        raise typer.BadParameter(f"{target} is there already")
    typer.echo(public)


def create(
    *,
    to: Path = typer.Option(help="Folder to make; it must not be there yet."),
    recipient: list[str] = typer.Option(
        help="Public key (age1…) that it is sealed for; repeat it, and any of them opens it."
    ),
    as_json: bool = _JSON,
) -> None:
    """Back up both databases and the audit sink. That it was made is recorded, with the manifest's digest."""
    from strongroom.audit import Action
    from strongroom.cli.backups.making import make_backup, place
    from strongroom.cli.backups.model import digest_of, read_manifest
    from strongroom.cli.operating import actor, require_initialised, site_of

    async def work(here: "Installation") -> "Manifest":
        from strongroom.compose import Composer
        from strongroom.compose.backups import record_backup

        require_initialised(here)
        with progress() as bar:
            task = bar.add_task("backup", total=None)
            aside = await make_backup(
                here, to, recipient, lambda step: bar.update(task, description=step)
            )
        manifest = read_manifest(aside)
        composer = Composer(site_of(here))
        try:
            await record_backup(
                composer,
                Action.VAULT_BACKUP_MADE,
                digest=digest_of(aside),
                size=manifest.size,
                actor=actor(),
            )
        finally:
            await composer.close()
        # Crash here: the record stands, and the folder still says that it is partial.
        place(aside, to)
        return manifest

    made = attached(work)
    facts = {
        "folder": str(to),
        "digest": digest_of(to),
        "files": len(made.files),
        "size": made.size,
        "rows": {domain: sum(tables.values()) for domain, tables in made.rows.items()},
    }
    if as_json:
        print_json(facts)
        return
    out.print(
        f"backed up {sum(sum(tables.values()) for tables in made.rows.values())} rows to [bold]{to}[/]: "
        f"{len(made.files)} sealed files, {made.size} bytes",
        soft_wrap=True,
    )
    out.print(f"manifest sha-256 {facts['digest']}", soft_wrap=True)
    out.print(f"next: strongroom backup drill {to} --identity FILE, where that key is", style="dim")


def drill(
    folder: Path = _FOLDER,
    *,
    identity: Path = _IDENTITY,
    roots: Path | None = typer.Option(
        None, help="Key file in the place of the installation's own: the copy in escrow."
    ),
    as_json: bool = _JSON,
) -> None:
    """Restore into a server of its own; open the canary, unwrap every key, verify the logs. Exit code 1 if not."""
    from strongroom.cli.backups import drill as drilling

    secret = _identity(identity)

    async def work(here: "Installation") -> "list[Shown]":
        with progress() as bar:
            task = bar.add_task("drill", total=None)
            return await drilling.drill(
                here,
                folder,
                secret,
                lambda step: bar.update(task, description=step),
                roots=roots,
            )

    found = run(work(installation()))
    if as_json:
        print_json(
            {
                "holds": all(each.holds for each in found),
                "shown": [
                    {"name": each.name, "holds": each.holds, "detail": each.detail}
                    for each in found
                ],
            }
        )
    else:
        table = Table(box=None, show_header=False, pad_edge=False)
        for each in found:
            mark = Text("holds", style="green") if each.holds else Text("FAILS", style="bold red")
            table.add_row(mark, each.name, Text(each.detail))
        print_table(table)
    if not all(each.holds for each in found):
        raise typer.Exit(1)


def restore(
    folder: Path = _FOLDER,
    *,
    identity: Path = _IDENTITY,
    keys_from: Path | None = typer.Option(
        None,
        help="A newer backup whose wrapped keys are taken: what was erased since stays erased.",
    ),
    accept_unreadable: int = typer.Option(
        0, min=0, help="How many cards may be sealed under keys that were destroyed since."
    ),
    administrator: str = typer.Option(
        "", help="URL of a login that may make roles and databases; only for external databases."
    ),
    as_json: bool = _JSON,
) -> None:
    """Put a backup into empty databases. The key store must be the one that was backed up, its key file from escrow."""
    from strongroom.audit import Action
    from strongroom.cli.backups.model import BackupRefused, digest_of
    from strongroom.cli.backups.restoring import restore_backup
    from strongroom.cli.operating import actor, site_of
    from strongroom.db.address import parse_dsn

    secret = _identity(identity)

    async def work(here: "Installation") -> "Manifest":
        from strongroom.compose import Composer
        from strongroom.compose.backups import heard, record_backup

        with progress() as bar:
            task = bar.add_task("restore", total=None)
            manifest = await restore_backup(
                here,
                folder,
                secret,
                lambda step: bar.update(task, description=step),
                keys_from=keys_from,
                unreadable_accepted=accept_unreadable,
                administrator=parse_dsn(administrator) if administrator else None,
            )
        composer = Composer(site_of(here))
        try:
            await heard(composer)
            await record_backup(
                composer,
                Action.VAULT_BACKUP_RESTORED,
                digest=digest_of(folder),
                size=manifest.size,
                actor=actor(),
            )
        finally:
            await composer.close()
        return manifest

    from strongroom.compose import key_file
    from strongroom.config import KeyStoreName

    here = installation()
    if here.settings.key_store is KeyStoreName.FILE and not key_file(here.settings).exists():
        raise BackupRefused(
            f"{key_file(here.settings)} is not there: put the key file and its passphrase back from escrow first"
        )
    here.make_secrets()
    here.tls()
    restored = attached(work)
    if as_json:
        print_json({"made_at": restored.made_at, "rows": restored.rows})
        return
    out.print(f"restored the backup of {restored.made_at}; its canary opens")
    out.print(
        "next: strongroom audit status; where a sink is ahead of what was restored, strongroom audit tree restart",
        style="dim",
        soft_wrap=True,
    )


def _identity(path: Path) -> "Secret[str]":
    from strongroom.kernel.secret import Secret

    try:
        return Secret(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        raise typer.BadParameter(f"{path} cannot be read") from None
