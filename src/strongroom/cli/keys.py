# SPDX-License-Identifier: Apache-2.0
"""`strongroom keys`: the inventory of encryption keys, their rotation and destruction, at the machine itself.

API keys are `strongroom key`.
"""

from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from strongroom.cli.console import installation, out, print_json, print_table, progress

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from strongroom.cli.operating import Result
    from strongroom.compose import OperatorKeys

_JSON = typer.Option(False, "--json", help="Print JSON.")
_MERCHANT = typer.Option(help="The merchant's id (mer_…).")
_MODE = typer.Option("live", help="live or test.")
_NAME = typer.Argument(metavar="NAME", help="card, credentials, fingerprint or idempotency.")
_RATE = typer.Option(0, min=0, help="Rows a second that the job looks at; 0: as fast as it goes.")
_NAMES = ("card", "credentials", "fingerprint", "idempotency")
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
                "made_at": text(each.made_at),
                "rotates_at": text(each.rotates_at),
                "overdue": each.overdue,
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
    rate: int = _RATE,
    as_json: bool = _JSON,
) -> None:
    """Make a new version of a merchant's key; a job of the vault seals anew what is there."""
    _begin(name, merchant, mode, rate, None, as_json=as_json, new=True)


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
    if name == "idempotency":
        raise typer.BadParameter("nothing lasting is sealed under it")
    _begin(name, merchant, mode, rate, algorithm or None, as_json=as_json, new=False)


def destroy(
    name: str = _NAME,
    version: int = typer.Argument(min=1, help="The version: not the current one."),
    *,
    merchant: str = _MERCHANT,
    mode: str = _MODE,
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    as_json: bool = _JSON,
) -> None:
    """Destroy a version that nothing is sealed under any more: what it sealed, in any backup, does not open again."""
    from strongroom.cli.key import merchant_id
    from strongroom.cli.operating import actor
    from strongroom.kernel.mode import Mode

    _require(name, mode)
    owner = merchant_id(merchant)
    if not yes:
        typer.confirm(f"Destroy version {version} of {name} of {owner}?", abort=True, err=True)

    async def work(keys: "OperatorKeys") -> None:
        await keys.destroy(owner, Mode(mode), name, version, actor())

    _with_keys(work)
    if as_json:
        print_json({"name": name, "version": version, "state": "destroyed"})
    else:
        out.print(f"destroyed version {version} of [bold]{name}[/]")


def rotate_root(
    purpose: str = typer.Argument(help="audit, card, credential, identity or webhook."),
    *,
    rewrap_only: bool = typer.Option(
        False,
        "--rewrap-only",
        help="The store has rotated the root already (a KMS), or an earlier run was cut off.",
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
            )

    done = _with_keys(work)
    if as_json:
        print_json({"purpose": purpose, "rewrapped": done})
    else:
        out.print(f"wrapped {done} data keys anew under [bold]{purpose}[/]")


def _begin(
    name: str,
    merchant: str,
    mode: str,
    rate: int,
    algorithm: str | None,
    *,
    as_json: bool,
    new: bool,
) -> None:
    from strongroom.cli.key import merchant_id
    from strongroom.cli.operating import actor
    from strongroom.kernel.mode import Mode

    _require(name, mode)
    owner, of = merchant_id(merchant), Mode(mode)

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


def _require(name: str, mode: str) -> None:
    if name not in _NAMES:
        raise typer.BadParameter(f"a key is one of {', '.join(_NAMES)}")
    if mode not in ("live", "test"):
        raise typer.BadParameter("--mode is live or test")


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
            each["algorithm"],
            each["made_at"][:10],
            f"[red]{due}[/]" if each["overdue"] else due,
        )
    return table


def _with_keys(work: "Callable[[OperatorKeys], Awaitable[Result]]") -> "Result":
    """Do work on keys."""
    from strongroom.cli.operating import composed

    async def inside(composer: Any) -> "Result":
        return await work(await composer.operator_keys())

    return composed(inside)
