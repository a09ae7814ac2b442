# SPDX-License-Identifier: Apache-2.0
"""`strongroom audit`: export, prove, look and restart, on this machine's installation. What is printed is masked.

Records hold no card number; whoever reads them is recorded in turn. Verifying needs none of this: `audit_offline`.
"""

import enum
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.text import Text

from strongroom.cli import audit_offline
from strongroom.cli.console import confirm, out, print_json, progress
from strongroom.kernel.errors import StrongroomError

if TYPE_CHECKING:
    from strongroom.audit import LogState, LogView, PublishedHead, ReadRecord
    from strongroom.compose import Composer
    from strongroom.db.logins import Domain


class Tree(enum.StrEnum):
    """Which of the two logs."""

    CORE = "core"
    VAULT = "vault"


class FileExists(StrongroomError):
    """A file stands there already; nothing is overwritten."""

    code = "file_exists"


#: A route and a certificate are whole; of what names eight tokens the first three.
_FACT_CHARACTERS_SHOWN = 120
_JSON = typer.Option(False, "--json", help="Print JSON.")
_TREE = typer.Option(help="Which log: the vault's, or the core's (merchants and keys).")
_TREES = typer.Option(None, "--tree", help="One log only; without it both.")


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(no_args_is_help=True, help="Export, verify and look at the audit logs.")
    for name, command, example in (
        ("export", export, "export --tree vault --out ./export"),
        ("key", key, "key > audit.vkey"),
        ("prove", prove, "prove aud_01KAHX3MZ4V8Q2T6N0R5W7Y9CB --out record.tlog-proof"),
        ("tail", tail, "tail --tree vault -n 50"),
        ("checkpoint", checkpoint, "checkpoint --tree vault"),
        ("status", status, "status --json"),
    ):
        noun.command(name, epilog=f"Example: strongroom audit {example}")(command)
    audit_offline.register(noun)
    tree = typer.Typer(no_args_is_help=True, help="Begin a log's next generation.")
    tree.command(
        "restart",
        epilog="Example: strongroom audit tree restart --tree vault --reason backup_restored",
    )(restart)
    noun.add_typer(tree, name="tree")
    app.add_typer(noun, name="audit")


def export(
    *,
    tree: Tree = _TREE,
    to: Path = typer.Option(..., "--out", help="Folder to make; it must not be there yet."),
    merchant: str = typer.Option("", help="Only this merchant's records, each with its proof."),
    as_json: bool = _JSON,
) -> None:
    """Write a log to a folder, for `strongroom audit verify`. That it was exported is recorded."""
    from strongroom.cli.key import merchant_id
    from strongroom.cli.operating import actor, composed

    tenant = merchant_id(merchant) if merchant else None

    async def work(composer: "Composer") -> dict[str, Any]:
        exporter = (await composer.audit_log(_domain(tree))).exporter()
        with progress() as bar:
            task = bar.add_task("records", total=None)

            def tell(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)

            if tenant is None:
                made = await exporter.export_tree(to, actor=actor(), progress=tell)
            else:
                made = await exporter.export_tenant(to, tenant, actor=actor(), progress=tell)
        return {
            "out": str(to),
            "origin": made.manifest.origin,
            "size": made.head.size,
            "root": made.head.root.hex(),
            "vkeys": [str(each) for each in made.keys],
        }

    made = composed(work)
    if as_json:
        print_json(made)
        return
    out.print(f"exported {made['size']} records of {made['origin']} to {to}", soft_wrap=True)
    out.print("next: strongroom audit key > audit.vkey", style="dim")
    out.print(
        f"      strongroom audit verify --export {to} --key audit.vkey", style="dim", soft_wrap=True
    )


def key(*, tree: Tree | None = _TREES, as_json: bool = _JSON) -> None:
    """Print the public keys that verify a log, one a line, the present one first."""
    from strongroom.cli.operating import composed

    async def work(composer: "Composer") -> dict[str, list[str]]:
        return {
            each: [str(one) for one in await (await _overview(composer, each)).keys()]
            for each in _chosen(tree)
        }

    found = composed(work)
    if as_json:
        print_json(found)
        return
    for keys in found.values():
        for one in keys:
            typer.echo(one)


def prove(
    event_id: str = typer.Argument(metavar="EVENT_ID", help="The record's id (aud_…)."),
    *,
    to: Path = typer.Option(..., "--out", help="File to write the proof to."),
    record: Path | None = typer.Option(
        None, help="File to write the record's exact bytes to; without it --out with .json added."
    ),
    tree: Tree | None = _TREES,
    as_json: bool = _JSON,
) -> None:
    """Write the proof that a record is in the signed log, and the record itself."""
    from strongroom.cli.operating import actor, composed

    beside = record or to.with_name(to.name + ".json")
    for path in (to, beside):
        if path.exists():
            raise FileExists(f"{path} is there already; nothing is overwritten")

    async def work(composer: "Composer") -> dict[str, Any]:
        which = await _holder(composer, event_id, tree)
        proven = await (await _overview(composer, which)).proven(event_id, actor=actor())
        _write_new(to, proven.proof.encode())
        _write_new(beside, proven.payload + b"\n")
        return {
            "tree": which.value,
            "index": proven.proof.index,
            "proof": str(to),
            "record": str(beside),
            "vkeys": [str(each) for each in proven.keys],
        }

    made = composed(work)
    if as_json:
        print_json(made)
        return
    out.print(
        f"record {made['index']} of the {made['tree']} log: {to} and {beside}", soft_wrap=True
    )
    out.print(
        f"next: strongroom audit verify-proof --record {beside} --proof {to} --key audit.vkey",
        style="dim",
        soft_wrap=True,
    )


def tail(
    *,
    tree: Tree = _TREE,
    count: int = typer.Option(20, "-n", min=1, max=4096, help="How many records."),
    as_json: bool = _JSON,
) -> None:
    """Show the newest records of a log, masked, oldest first. That they were read is recorded."""
    from strongroom.cli.operating import actor, composed

    async def work(composer: "Composer") -> "list[ReadRecord]":
        return list(await (await _overview(composer, tree)).latest(count, actor=actor()))

    found = composed(work)
    if as_json:
        print_json([_record(each) for each in found])
        return
    for each in found:
        record = each.record
        place = "waits" if each.index is None else str(each.index)
        facts = " ".join(f"{name}={_short(value)}" for name, value in record.details.items())
        whose = f"{record.merchant} {record.mode or ''}" if record.merchant else "platform"
        out.print(
            Text.assemble(
                (f"{place:>8} {record.time[:19]}Z ", "dim"),
                (record.action, "bold"),
                f" {record.outcome} {record.actor} → {record.object or '-'} ({whose.strip()}) ",
                (facts, "dim"),
            ),
            soft_wrap=True,
        )


def checkpoint(
    *,
    tree: Tree = _TREE,
    seal: bool = typer.Option(
        False, "--seal", help="First seal what waits, if no running server does it."
    ),
    as_json: bool = _JSON,
) -> None:
    """Print the newest signed checkpoint of a log (C2SP tlog-checkpoint)."""
    from strongroom.cli.operating import composed

    async def work(composer: "Composer") -> "PublishedHead":
        if seal:
            sealer = (await composer.audit_log(_domain(tree))).sealer()
            try:
                await sealer.seal_once()
            finally:
                await sealer.close()
        return await (await _overview(composer, tree)).head()

    head = composed(work)
    if as_json:
        from strongroom.kernel.clock import rfc3339

        print_json(
            {
                "origin": head.checkpoint.origin,
                "size": head.checkpoint.size,
                "root": head.checkpoint.root.hex(),
                "sealed_at": rfc3339(head.sealed_at),
                "note": head.note.decode(),
                "vkeys": [str(each) for each in head.keys],
            }
        )
    else:
        typer.echo(head.note.decode(), nl=False)


def restart(
    *,
    tree: Tree = _TREE,
    reason: str = typer.Option(help="One word for the record, such as backup_restored."),
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    as_json: bool = _JSON,
) -> None:
    """Let a log go on after its database was put back to an older state. It is recorded for ever."""
    from strongroom.cli.operating import actor, composed

    confirm(
        f"What the sinks hold of the {tree} log and this database does not stays lost here. Go on?",
        yes=yes,
    )

    async def work(composer: "Composer") -> dict[str, Any]:
        sealer = (await composer.audit_log(_domain(tree))).sealer()
        try:
            with progress() as bar:
                bar.add_task("waiting for the sealer to let go of the tree", total=None)
                result = await sealer.restart_tree(reason, actor=actor())
        finally:
            await sealer.close()
        head = await (await _overview(composer, tree)).head()
        return {"origin": head.checkpoint.origin, "size": result.size}

    made = composed(work)
    if as_json:
        print_json(made)
    else:
        out.print(f"the {tree} log goes on as {made['origin']} with {made['size']} records")


def status(*, tree: Tree | None = _TREES, as_json: bool = _JSON) -> None:
    """Say how far each log is sealed and published. Exit code 1 if something is wrong with one."""
    from strongroom.cli.operating import composed

    async def work(composer: "Composer") -> "dict[Tree, LogState]":
        return {each: await (await _overview(composer, each)).state() for each in _chosen(tree)}

    found = composed(work)
    if as_json:
        print_json({each.value: _state(state) for each, state in found.items()})
    else:
        for each, state in found.items():
            _print_state(each, state)
    if any(state.fault or any(s.fault for s in state.sinks) for state in found.values()):
        raise typer.Exit(1)


def _domain(tree: Tree) -> "Domain":
    from strongroom.db.logins import Domain

    return Domain(tree.value)


async def _overview(composer: "Composer", tree: Tree) -> "LogView":
    return (await composer.audit_log(_domain(tree))).overview()


def _chosen(tree: Tree | None) -> list[Tree]:
    return [tree] if tree else [Tree.VAULT, Tree.CORE]


async def _holder(composer: "Composer", event_id: str, tree: Tree | None) -> Tree:
    """Return which log has the record: the named one, else the first that has it."""
    for each in _chosen(tree)[:-1]:
        if await (await _overview(composer, each)).has(event_id):
            return each
    return _chosen(tree)[-1]


def _write_new(path: Path, content: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise FileExists(f"{path}: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _short(fact: str | int) -> str | int:
    """Cut what names many tokens; `--json` has it whole."""
    text = str(fact)
    return fact if len(text) <= _FACT_CHARACTERS_SHOWN else f"{text[:_FACT_CHARACTERS_SHOWN]}…"


def _record(read: "ReadRecord") -> dict[str, Any]:
    record = read.record
    return {
        "index": read.index,
        "leaf_hash": read.leaf_hash.hex(),
        "record": {name: getattr(record, name) for name in record.__struct_fields__},
    }


def _state(state: "LogState") -> dict[str, Any]:
    from strongroom.kernel.clock import rfc3339

    return {
        "origin": state.origin,
        "size": state.size,
        "checkpoint_at": rfc3339(state.checkpoint_at) if state.checkpoint_at else None,
        "waiting": state.waiting,
        "waiting_since": rfc3339(state.waiting_since) if state.waiting_since else None,
        "fault": state.fault,
        "sinks": [
            {
                "name": sink.name,
                "generation": sink.head.generation if sink.head else None,
                "size": sink.head.size if sink.head else None,
                "fault": sink.fault,
            }
            for sink in state.sinks
        ],
    }


def _print_state(tree: Tree, state: "LogState") -> None:
    waiting = f", {state.waiting} wait" if state.waiting else ""
    if state.waiting_since:
        waiting += f" since {state.waiting_since:%Y-%m-%d %H:%M:%S}Z"
    signed = f", signed {state.checkpoint_at:%Y-%m-%d %H:%M:%S}Z" if state.checkpoint_at else ""
    out.print(
        Text(f"{tree:<6} {state.origin or 'not begun'}: {state.size} sealed{signed}{waiting}"),
        soft_wrap=True,
    )
    if state.fault:
        out.print(Text(f"       {state.fault}", style="bold red"), soft_wrap=True)
    for sink in state.sinks:
        held = f"{sink.head.size} records" if sink.head else "nothing yet"
        out.print(
            Text(
                f"       sink {sink.name}: {sink.fault or held}", "bold red" if sink.fault else ""
            ),
            soft_wrap=True,
        )
