# SPDX-License-Identifier: Apache-2.0
"""Credentials of connections, from files that are their owner's alone or from standard input; never from arguments."""

from pathlib import Path
from typing import Final

import typer

from strongroom.cli.calling import typed
from strongroom.kernel.ids import is_id

_STANDARD_INPUT: Final = "-"
ID: Final = typer.Argument(metavar="ID", help="The connection's id (con_…).")
CREDENTIAL: Final = typer.Option(
    [],
    metavar="NAME=FILE",
    help="A credential, and the file (mode 0600) that holds it; - is a line of standard input. Repeat it.",
)


def sources_of(pairs: list[str]) -> dict[str, str]:
    """Read NAME=FILE pairs from the command line."""
    found = {}
    for pair in pairs:
        name, equals, source = pair.partition("=")
        if not equals or not name or not source:
            raise typer.BadParameter("--credential is NAME=FILE: the value stands in the file")
        found[name] = source
    return found


def credentials_of(sources: dict[str, str]) -> dict[str, str]:
    """Read the credentials that these files hold."""
    return {name: read_value(f"Credential {name}", source) for name, source in sources.items()}


def read_value(what: str, source: str) -> str:
    """Read a secret from a private file, or the next line of standard input."""
    from strongroom.cli.client import read_key_file

    if source == _STANDARD_INPUT:
        return typed(what).expose()
    return read_key_file(Path(source)).expose()


def connection_id(text: str) -> str:
    """Return a connection's id. Raises typer.BadParameter."""
    if not is_id("con", text):
        raise typer.BadParameter("a connection's id is con_ and 26 letters and digits")
    return text
