# SPDX-License-Identifier: Apache-2.0
"""`strongroom keys`: the inventory of encryption keys, their rotation and destruction, at the machine itself.

API keys are `strongroom key`.
"""

from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from strongroom.cli.console import installation, out, print_json, print_table, progress

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from strongroom.cli.operating import Result
    from strongroom.compose import OperatorKeys, Reseal

_JSON = typer.Option(False, "--json", help="Print JSON.")
_MERCHANT = typer.Option(
    "", help="The merchant's id (mer_…); `platform` for its own people's secrets."
)
_PLATFORM = typer.Option(False, "--platform", help="The installation's own key, of no merchant.")
_MODE = typer.Option("live", help="live or test.")
_NAME = typer.Argument(metavar="NAME", help="A key's name, as `strongroom keys list` shows it.")
_RATE = typer.Option(
    0,
    min=0,
    help="Rows a second that the job looks at; 0: as fast as it goes. "
    "Of a merchant's card, credentials, fingerprint and transfer: no other key has such a job.",
)
_LOOK_SECONDS = 1.0
_EXAMPLE = "mer_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(
        no_args_is_help=True,
        help="List, rotate and destroy the keys that cards and secrets are sealed with.",
    )
    noun.command("list", epilog="Example: strongroom keys list --overdue")(list_)
    noun.command("rotate", epilog=f"Example: strongroom keys rotate card --merchant {_EXAMPLE}")(
        rotate
    )
    noun.command(
        "reseal",
        epilog=f"Example: strongroom keys reseal card --merchant {_EXAMPLE} --algorithm A256GCM",
    )(reseal)
    noun.command(
        "destroy", epilog=f"Example: strongroom keys destroy card 1 --merchant {_EXAMPLE} --yes"
    )(destroy)
    noun.command("progress", epilog="Example: strongroom keys progress --wait")(progress_)
    noun.command("rotate-root", epilog="Example: strongroom keys rotate-root card")(rotate_root)
    app.add_typer(noun, name="keys")


def list_(
    *,
    overdue: bool = typer.Option(False, "--overdue", help="Only those whose cryptoperiod is over."),
    as_json: bool = _JSON,
) -> None:
    """List every root and every version of every data key. Exit code 1 if `--overdue` finds any."""
    from strongroom.kernel.clock import rfc3339

    def text(at: "datetime | None") -> str | None:
        return None if at is None else rfc3339(at)

    async def work(keys: "OperatorKeys") -> list[dict[str, Any]]:
        return [
            {
                "kind": each.kind,
                "where": each.where,
                "merchant": each.merchant or None,
                "mode": each.mode or None,
                "name": each.name,
                "version": each.version,
                "state": each.state,
                "algorithm": each.algorithm,
                "algorithms_in_use": None if each.algorithms is None else list(each.algorithms),
                "made_at": text(each.made_at),
                "rotates_at": text(each.rotates_at),
                "overdue": each.overdue,
                "retired_at": text(each.retired_at),
                "uses": each.uses,
            }
            for each in await keys.inventory()
            if each.overdue or not overdue
        ]

    found = _with_keys(work)
    if as_json:
        print_json(found)
    elif found:
        print_table(_table(found))
    else:
        out.print("no key is overdue" if overdue else "no keys yet")
    if overdue and found:
        raise typer.Exit(1)


def rotate(
    name: str = _NAME,
    *,
    merchant: str = _MERCHANT,
    mode: str = _MODE,
    platform: bool = _PLATFORM,
    rate: int = _RATE,
    as_json: bool = _JSON,
) -> None:
    """Make a new version of a key; jobs seal anew what is there.

    Cards and what belongs to them by a job of the vault; secrets of endpoints, people and providers by the roles that
    serve them (`strongroom keys progress`).
    """
    _begin(name, _owner(merchant, platform=platform), mode, rate, None, as_json=as_json, new=True)


def reseal(
    name: str = _NAME,
    *,
    merchant: str = _MERCHANT,
    mode: str = _MODE,
    algorithm: str = typer.Option("", help="A256CBC-HS512 or A256GCM; without it the setting."),
    rate: int = _RATE,
    as_json: bool = _JSON,
) -> None:
    """Seal anew what is under older versions or another algorithm, without a new version."""
    if algorithm not in ("", "A256CBC-HS512", "A256GCM"):
        raise typer.BadParameter("--algorithm is A256CBC-HS512 or A256GCM")
    owner = _owner(merchant, platform=False)
    _begin(name, owner, mode, rate, algorithm or None, as_json=as_json, new=False)


def destroy(
    name: str = _NAME,
    version: int = typer.Argument(min=1, help="The version: not the current one."),
    *,
    merchant: str = _MERCHANT,
    mode: str = _MODE,
    platform: bool = _PLATFORM,
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    as_json: bool = _JSON,
) -> None:
    """Destroy a version that nothing is sealed under any more: what it sealed, in any backup, does not open again."""
    from strongroom.cli.operating import actor
    from strongroom.kernel.mode import Mode

    _require(name, mode)
    owner = _owner(merchant, platform=platform)
    if not yes:
        whose = owner or "the installation"
        typer.confirm(f"Destroy version {version} of {name} of {whose}?", abort=True, err=True)

    async def work(keys: "OperatorKeys") -> None:
        await keys.destroy(owner, Mode(mode), name, version, actor())

    _with_keys(work)
    if as_json:
        print_json({"name": name, "version": version, "state": "destroyed"})
    else:
        out.print(f"destroyed version {version} of [bold]{name}[/]")


def progress_(
    *,
    wait: bool = typer.Option(False, "--wait", help="Until everything is sealed anew."),
    as_json: bool = _JSON,
) -> None:
    """Show how far what the core database holds is sealed anew, by tenant and column."""
    import asyncio

    async def work(keys: "OperatorKeys") -> "Sequence[Reseal]":
        found = await keys.progress()
        if not wait:
            return found
        with progress() as bar:
            task = bar.add_task("sealed anew", total=None)
            while any(each.ended_at is None for each in found):
                bar.update(
                    task,
                    total=sum(each.total for each in found),
                    completed=sum(each.looked for each in found),
                )
                await asyncio.sleep(_LOOK_SECONDS)
                found = await keys.progress()
        return found

    found = _with_keys(work)
    if as_json:
        print_json([_far(each) for each in found])
        return
    if not found:
        out.print("nothing was ever to be sealed anew")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("merchant", "mode", "name", "column", "to", "state", "looked", "anew", "unread"):
        table.add_column(column, no_wrap=True)
    for each in found:
        table.add_row(
            each.merchant,
            each.mode,
            each.name,
            each.part,
            str(each.version),
            each.state if each.problem is None else f"[red]{each.problem}[/]",
            f"{each.looked:,} of {each.total:,}",
            f"{each.resealed:,}",
            f"[red]{each.unread:,}[/]" if each.unread else "0",
        )
    print_table(table)


def rotate_root(
    purpose: str = typer.Argument(help="audit, card, credential, identity or webhook."),
    *,
    rewrap_only: bool = typer.Option(
        False,
        "--rewrap-only",
        help="The store has rotated the root already (a KMS), or an earlier run was cut off: go on from there.",
    ),
    again: bool = typer.Option(
        False,
        "--again",
        help="With --rewrap-only: from the beginning, where a KMS does not tell that it has rotated again.",
    ),
    as_json: bool = _JSON,
) -> None:
    """Make a new version of a root (key file), and wrap its data keys anew; no card is touched. Safe to repeat."""
    from strongroom.cli.operating import actor
    from strongroom.keys import Purpose

    if purpose not in {each.value for each in Purpose}:
        raise typer.BadParameter("a root is audit, card, credential, identity or webhook")

    def rooted() -> None:
        here = installation()
        if here.settings.state.joinpath("keys", "vault.passphrase").exists():
            here.split_keys()  # each role's own file gets the new version before anything is wrapped under it

    async def work(keys: "OperatorKeys") -> int:
        if not rewrap_only:
            await keys.new_root(Purpose(purpose))
            rooted()
        with progress() as bar:
            task = bar.add_task("data keys", total=None)
            return await keys.rewrap(
                Purpose(purpose),
                actor(),
                told=lambda done: bar.update(task, completed=done),
                resume=rewrap_only and not again,
            )

    done = _with_keys(work)
    if as_json:
        print_json({"purpose": purpose, "rewrapped": done})
    else:
        out.print(f"wrapped {done} data keys anew under [bold]{purpose}[/]")


def _begin(
    name: str,
    owner: str,
    mode: str,
    rate: int,
    algorithm: str | None,
    *,
    as_json: bool,
    new: bool,
) -> None:
    from strongroom.cli.operating import actor
    from strongroom.kernel.mode import Mode

    _require(name, mode)
    of = Mode(mode)

    async def work(keys: "OperatorKeys") -> tuple[int, str | None]:
        if new:
            return await keys.rotate(owner, of, name, rate or None, actor())
        return await keys.reseal(owner, of, name, algorithm, rate or None, actor())

    version, job = _with_keys(work)
    if as_json:
        print_json({"name": name, "version": version, "job": job})
        return
    out.print(f"[bold]{name}[/] seals under version {version}", soft_wrap=True)
    if job is not None:
        out.print(f"{job} seals anew what is there: strongroom job watch {job}", soft_wrap=True)


def _owner(merchant: str, *, platform: bool) -> str:
    """Return whose key is meant: a merchant's id, `platform`, or nothing for the installation's own."""
    from strongroom.cli.key import merchant_id

    if platform == bool(merchant):
        raise typer.BadParameter("name the merchant (--merchant), or --platform")
    return merchant if merchant in ("", "platform") else merchant_id(merchant)


def _require(name: str, mode: str) -> None:
    from strongroom.keys import KeyName

    if name not in {each.value for each in KeyName}:
        raise typer.BadParameter("no key has this name: see `strongroom keys list`")
    if mode not in ("live", "test"):
        raise typer.BadParameter("--mode is live or test")


def _far(each: "Reseal") -> dict[str, Any]:
    return {
        "merchant": each.merchant,
        "mode": each.mode or None,
        "name": each.name,
        "column": each.part,
        "version": each.version,
        "state": each.state,
        "problem": each.problem,
        "total": each.total,
        "looked": each.looked,
        "resealed": each.resealed,
        "unread": each.unread,
    }


def _table(found: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in (
        "where",
        "merchant",
        "mode",
        "name",
        "version",
        "state",
        "algorithm",
        "made",
        "due",
        "retired",
        "uses",
    ):
        table.add_column(column, no_wrap=True)
    for each in found:
        due = (each["rotates_at"] or "")[:10]
        table.add_row(
            each["where"],
            each["merchant"] or "",
            each["mode"] or "",
            each["name"],
            str(each["version"] or ""),
            each["state"],
            _algorithm(each),
            each["made_at"][:10],
            f"[red]{due}[/]" if each["overdue"] else due,
            (each["retired_at"] or "")[:10],
            "" if each["uses"] is None else f"{each['uses']:,}",
        )
    return table


def _algorithm(each: dict[str, Any]) -> str:
    """Print what a key is used with, and what is found beside that in what it has sealed."""
    others = [found for found in each["algorithms_in_use"] or () if found != each["algorithm"]]
    return ", ".join([each["algorithm"], *(f"stored: {found}" for found in others)])


def _with_keys(work: "Callable[[OperatorKeys], Awaitable[Result]]") -> "Result":
    """Do work on keys."""
    from strongroom.cli.operating import composed

    async def inside(composer: Any) -> "Result":
        return await work(await composer.operator_keys())

    return composed(inside)
