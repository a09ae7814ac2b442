# SPDX-License-Identifier: Apache-2.0
"""`strongroom destination`: where a merchant's own requests may take cards, at the machine itself.

A destination is described in a JSON file. Credentials are read from files that are their owner's alone, or from
standard input: arguments stand in the process list and in the shell's history.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from strongroom.cli.console import out, print_json, print_table
from strongroom.kernel.ids import is_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from strongroom.cli.operating import Result
    from strongroom.vault import OperatedDestinations

_JSON = typer.Option(False, "--json", help="Print JSON.")
_MERCHANT = typer.Option(help="The merchant's id (mer_…).")
_MODE = typer.Option(
    Mode.TEST, help="test, or live, where destinations are only looked at and ended here."
)
_ID = typer.Argument(metavar="ID", help="The destination's id (dst_…).")
_FILE = typer.Argument(
    metavar="FILE", help="What the destination is, in JSON, as the API takes it, less credentials."
)
_CREDENTIAL = typer.Option(
    [],
    metavar="NAME=FILE",
    help="A credential, and the file (mode 0600) that holds it; - is a line of standard input. Repeat it.",
)
_OVERLAP_SECONDS_MAX = 7 * 86_400
_OWNER = "--merchant mer_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_EXAMPLE = f"dst_01KAHX3MZ4V8Q2T6N0R5W7Y9CB {_OWNER}"


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(
        no_args_is_help=True, help="Where a merchant's own requests may take cards (forward)."
    )
    for name, command, example in (
        ("create", create, f"partner.json {_OWNER} --credential token=partner.key"),
        ("list", list_, _OWNER),
        ("show", show, _EXAMPLE),
        ("update", update, f"{_EXAMPLE.split(maxsplit=1)[0]} partner.json {_OWNER}"),
        ("rotate", rotate, f"{_EXAMPLE} --credential token=new.key"),
        ("restore", restore, _EXAMPLE),
        ("disable", disable, _EXAMPLE),
    ):
        noun.command(name, epilog=f"Example: strongroom destination {name} {example}")(command)
    app.add_typer(noun, name="destination")


def create(
    file: Path = _FILE,
    *,
    merchant: str = _MERCHANT,
    mode: Mode = _MODE,
    credential: list[str] = _CREDENTIAL,
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Print the destination's id alone."),
    as_json: bool = _JSON,
) -> None:
    """Register a destination. Its credentials are sealed and never shown again."""
    from strongroom.cli.key import merchant_id
    from strongroom.cli.operating import actor

    owner, described, given = merchant_id(merchant), _described(file), _credentials(credential)

    async def work(destinations: "OperatedDestinations") -> dict[str, Any]:
        return await destinations.create(owner, mode, described, given, actor())

    made = _with_destinations(work)
    if quiet and not as_json:
        typer.echo(made["id"])
    else:
        _tell(made, as_json=as_json)


def list_(*, merchant: str = _MERCHANT, mode: Mode = _MODE, as_json: bool = _JSON) -> None:
    """List a merchant's destinations of one mode, newest first."""
    from strongroom.cli.key import merchant_id

    owner = merchant_id(merchant)

    async def work(destinations: "OperatedDestinations") -> list[dict[str, Any]]:
        return list(await destinations.list(owner, mode))

    found = _with_destinations(work)
    if as_json:
        print_json(found)
        return
    if not found:
        out.print("no destinations yet: strongroom destination create --help")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("id", "status", "base_url", "path", "auth"):
        table.add_column(column, no_wrap=column in ("id", "status"), overflow="fold")
    table.add_column("name", overflow="fold")
    for each in found:
        texts = (Text(str(each[name])) for name in ("base_url", "path", "auth", "name"))
        table.add_row(each["id"], each["status"], *texts)
    print_table(table)


def show(
    destination: str = _ID, *, merchant: str = _MERCHANT, mode: Mode = _MODE, as_json: bool = _JSON
) -> None:
    """Show a destination, without what is secret."""
    owner, known = _owner_and_id(merchant, destination)

    async def work(destinations: "OperatedDestinations") -> dict[str, Any]:
        return await destinations.read(owner, mode, known)

    _tell(_with_destinations(work), as_json=as_json)


def update(
    destination: str = _ID,
    file: Path = _FILE,
    *,
    merchant: str = _MERCHANT,
    mode: Mode = _MODE,
    as_json: bool = _JSON,
) -> None:
    """Change what a destination is; its credentials stay. It holds everywhere within two seconds."""
    from strongroom.cli.operating import actor

    owner, known = _owner_and_id(merchant, destination)
    described = _described(file)

    async def work(destinations: "OperatedDestinations") -> dict[str, Any]:
        return await destinations.update(owner, mode, known, described, actor())

    _tell(_with_destinations(work), as_json=as_json)


def rotate(
    destination: str = _ID,
    *,
    merchant: str = _MERCHANT,
    mode: Mode = _MODE,
    credential: list[str] = _CREDENTIAL,
    overlap_seconds: int = typer.Option(
        86_400, min=0, max=_OVERLAP_SECONDS_MAX, help="How long those from before are kept."
    ),
    as_json: bool = _JSON,
) -> None:
    """Take new credentials at once; an HMAC signs with both for the overlap, and `restore` undoes it."""
    from strongroom.cli.operating import actor

    owner, known = _owner_and_id(merchant, destination)
    given = _credentials(credential)
    if not given:
        raise typer.BadParameter("nothing to rotate: --credential NAME=FILE")

    async def work(destinations: "OperatedDestinations") -> dict[str, Any]:
        return await destinations.rotate(owner, mode, known, given, overlap_seconds, actor())

    _tell(_with_destinations(work), as_json=as_json)


def restore(
    destination: str = _ID, *, merchant: str = _MERCHANT, mode: Mode = _MODE, as_json: bool = _JSON
) -> None:
    """Put the credentials from before back, while the overlap of a rotation lasts."""
    from strongroom.cli.operating import actor

    owner, known = _owner_and_id(merchant, destination)

    async def work(destinations: "OperatedDestinations") -> dict[str, Any]:
        return await destinations.restore(owner, mode, known, actor())

    _tell(_with_destinations(work), as_json=as_json)


def disable(
    destination: str = _ID, *, merchant: str = _MERCHANT, mode: Mode = _MODE, as_json: bool = _JSON
) -> None:
    """End a destination for good, everywhere within two seconds. Safe to repeat."""
    from strongroom.cli.operating import actor

    owner, known = _owner_and_id(merchant, destination)

    async def work(destinations: "OperatedDestinations") -> dict[str, Any]:
        return await destinations.disable(owner, mode, known, actor())

    ended = _with_destinations(work)
    if as_json:
        print_json(ended)
    else:
        out.print(
            f"disabled [bold]{known}[/]; within two seconds nothing is forwarded there",
            soft_wrap=True,
        )


def _owner_and_id(merchant: str, destination: str) -> tuple[Any, str]:
    from strongroom.cli.key import merchant_id

    if not is_id("dst", destination):
        raise typer.BadParameter("a destination's id is dst_ and 26 letters and digits")
    return merchant_id(merchant), destination


def _described(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"the file cannot be read: {error.strerror}") from None


def _credentials(pairs: list[str]) -> dict[str, Secret[str]]:
    from strongroom.cli.calling import typed
    from strongroom.cli.client import read_key_file

    found = {}
    for pair in pairs:
        name, equals, source = pair.partition("=")
        if not equals or not name or not source:
            raise typer.BadParameter("--credential is NAME=FILE: the value stands in the file")
        found[name] = typed(f"Credential {name}") if source == "-" else read_key_file(Path(source))
    return found


def _tell(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in found.items():
        if value not in (None, "", [], False):
            table.add_row(
                name, Text(", ".join(map(str, value)) if isinstance(value, list) else str(value))
            )
    print_table(table)


def _with_destinations(
    work: "Callable[[OperatedDestinations], Awaitable[Result]]",
) -> "Result":
    """Do work on destinations, under the vault's login."""
    from strongroom.cli.operating import composed

    async def inside(composer: Any) -> "Result":
        return await work(await composer.operator_destinations())

    return composed(inside)
