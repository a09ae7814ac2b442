# SPDX-License-Identifier: Apache-2.0
"""`strongroom audit verify` and `verify-proof`: files and public keys alone; no installation, database or network.

What they cannot show is that an export is the newest one: for that, give a head that was kept elsewhere.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.text import Text

from strongroom.cli.console import errors, out, print_json, progress
from strongroom.kernel.errors import StrongroomError

if TYPE_CHECKING:
    from strongroom.audit import VerificationFailed, VerifiedBundle, VerifiedExport, VerifierKey

_MANIFEST_BYTES_MAX: Final = 4096
_FILE_BYTES_MAX: Final = 1 << 20
_JSON = typer.Option(False, "--json", help="Print JSON.")
_KEYS = typer.Option(
    "--key",
    metavar="VKEY|FILE",
    help="A trusted public key (strongroom audit key), or a file with one a line; repeat it.",
)
_ORIGIN = typer.Option(
    "", help="The tree that is expected; without it the one that the files name, of the key's tree."
)


class FileUnreadable(StrongroomError):
    """A file cannot be read."""

    code = "file_unreadable"


def register(noun: typer.Typer) -> None:
    """Add the commands."""
    noun.command(
        "verify",
        epilog="Example: strongroom audit verify --export ./export --key audit.vkey "
        "--anchor-sink /mnt/worm/vault",
    )(verify)
    noun.command(
        "verify-proof",
        epilog="Example: strongroom audit verify-proof --record r.json --proof r.tlog-proof "
        "--key audit.vkey",
    )(verify_proof)


def verify(
    *,
    export: Path = typer.Option(help="Folder of an export, or of a merchant's bundle."),
    key: list[str] = _KEYS,
    origin: str = _ORIGIN,
    anchor_sink: Path | None = typer.Option(
        None,
        help="Folder of the tree's file sink: shows that the log was not rewritten or cut back.",
    ),
    as_json: bool = _JSON,
) -> None:
    """Verify a whole log offline. Exit code 1, and every finding, if it does not hold."""
    from strongroom.audit import VerificationFailed, verify_directory

    keys = read_keys(key)
    failure: VerificationFailed | None = None
    with progress() as bar:
        task = bar.add_task("records", total=_announced(export))
        try:
            held = verify_directory(
                export,
                keys,
                origin=origin or None,
                sink=anchor_sink,
                progress=lambda done: bar.update(task, completed=done),
            )
        except VerificationFailed as error:
            failure = error
    if failure is not None:
        _print_findings(failure, as_json=as_json)
        raise typer.Exit(1)
    facts = _facts(held.log)
    if held.kept is not None:
        facts["sink_holds"] = held.kept.size
    if as_json:
        print_json({"ok": True, **facts})
        return
    out.print("[bold green]holds[/]")
    for name, value in facts.items():
        out.print(Text(f"  {name.replace('_', ' '):<16} {value}"), soft_wrap=True)
    if held.kept is None:
        out.print(
            "  nothing shows that this is the newest: see --anchor-sink",
            style="dim",
            soft_wrap=True,
        )


def verify_proof(
    *,
    record: Path = typer.Option(help="File with the record's exact bytes."),
    proof: Path = typer.Option(help="File with its proof (C2SP tlog-proof)."),
    key: list[str] = _KEYS,
    origin: str = _ORIGIN,
    as_json: bool = _JSON,
) -> None:
    """Verify offline that one record is in the signed log."""
    from strongroom.audit import verify_record

    # A record has no newline of its own; an editor or `jq -c` puts one at the end of the file.
    payload = read_file(record).removesuffix(b"\n")
    held = verify_record(payload, read_file(proof), read_keys(key), origin=origin or None)
    facts = {
        "event_id": held.record.event_id,
        "action": held.record.action.value,
        "time": held.record.time,
        "index": held.inclusion.index,
        "origin": held.inclusion.checkpoint.origin,
        "size": held.inclusion.checkpoint.size,
    }
    if as_json:
        print_json({"ok": True, **facts})
        return
    out.print("[bold green]holds[/]")
    for name, value in facts.items():
        out.print(Text(f"  {name.replace('_', ' '):<10} {value}"), soft_wrap=True)


def _facts(held: "VerifiedExport | VerifiedBundle") -> dict[str, Any]:
    from strongroom.audit import VerifiedExport

    if isinstance(held, VerifiedExport):
        facts: dict[str, Any] = {
            "kind": "export",
            "origin": held.manifest.origin,
            "records": held.head.size,
            "checkpoints": held.checkpoints,
            "root": held.head.root.hex(),
            "made_at": held.manifest.made_at,
        }
    else:
        facts = {
            "kind": "bundle",
            "origin": held.manifest.origin,
            "merchant": held.manifest.merchant,
            "records": held.manifest.records,
            "made_at": held.manifest.made_at,
        }
    return {**facts, "from": held.first_time, "to": held.last_time}


def _print_findings(failure: "VerificationFailed", *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "ok": False,
                "trust_ends_at": failure.first_index,
                "findings": [
                    {
                        "kind": finding.kind.value,
                        "where": finding.where,
                        "detail": finding.detail,
                        "index": finding.index,
                        "until": finding.until,
                    }
                    for finding in failure.findings
                ],
                "omitted": failure.omitted,
            }
        )
        return
    errors.print("[bold red]does not hold[/]")
    for finding in failure.findings:
        errors.print(Text(f"  {finding}"), soft_wrap=True)
    if failure.omitted:
        errors.print(f"  and {failure.omitted} more")
    if failure.first_index is not None:
        errors.print(f"what stands before record {failure.first_index} is vouched for")


def read_keys(given: list[str]) -> "Sequence[VerifierKey]":
    """Read each as a key, or as a file of keys. A key has two + in it, and no file of that name is likely."""
    from strongroom.audit import trusted_keys

    found: dict[VerifierKey, None] = {}
    for text in given:
        content = read_file(Path(text)).decode("utf-8", "replace") if _is_file(text) else text
        found.update(dict.fromkeys(trusted_keys(content)))
    return list(found)


def _is_file(text: str) -> bool:
    try:
        return "\n" not in text and (Path(text).exists() or "+" not in text)
    except OSError:  # longer than a name may be
        return False


def read_file(path: Path) -> bytes:
    """Return a file's bytes, up to a mebibyte. Raises FileUnreadable."""
    try:
        with path.open("rb") as file:
            return file.read(_FILE_BYTES_MAX)
    except OSError as error:
        raise FileUnreadable(f"{path}: {error.strerror}") from None


def _announced(directory: Path) -> int | None:
    """Return how many records to expect, for the progress bar alone."""
    for name, field in (("export.json", "size"), ("bundle.json", "records")):
        try:
            with (directory / name).open("rb") as file:
                count = json.loads(file.read(_MANIFEST_BYTES_MAX))[field]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        return count if isinstance(count, int) else None
    return None
