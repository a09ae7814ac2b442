# SPDX-License-Identifier: Apache-2.0
"""`strongroom setup`: open a set-up link, set the password, and set up an authenticator app with a QR code right here.

Password and code are asked for without an echo, or read as lines of standard input. Recovery codes are printed once,
to standard output; everything else goes to standard error.
"""

import base64
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO, cast
from urllib.parse import urlsplit

import typer

from strongroom.cli.calling import typed
from strongroom.cli.console import errors
from strongroom.cli.session import CA, URL, anonymous, where
from strongroom.kernel.invariant import Bug

if TYPE_CHECKING:
    from strongroom.cli.client import Client
    from strongroom.kernel.secret import Secret

_TRIES: Final = 3
_INVALID: Final = 422
_LINK: Final = typer.Argument(
    "",
    metavar="LINK",
    help="The link that you were given. Without it, it is asked for: arguments stand in the process list.",
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("setup", epilog="Example: strongroom setup --png app.png")(setup)


def setup(
    link: str = _LINK,
    *,
    png: Path | None = typer.Option(
        None, metavar="FILE", help="Put the QR code into a new file as well (mode 0600), as a PNG."
    ),
    uri_file: Path | None = typer.Option(
        None,
        metavar="FILE",
        help="Put what the QR code says into a new file (mode 0600), for a program on this machine.",
    ),
    url: str = URL,
    ca: Path | None = CA,
) -> None:
    """Set up your access with a link that holds once: password, authenticator app, recovery codes."""
    if not link:
        link = typed("Link").expose()
    url, ca = where(url or _console_of(link), ca)
    with anonymous(url, ca) as client:
        opened = client.ask("POST", "/v1/setup", body={"link": link})
        ticket = str(opened["ticket"])
        errors.print(f"{opened['name']} <{opened['email']}>, {opened['role']}", markup=False)
        _tried(lambda: _set_password(client, ticket))
        enrolled = client.ask("POST", "/v1/setup/totp", body={"ticket": ticket})
        _show(enrolled, png, uri_file)
        confirmed = _tried(lambda: _confirm(client, ticket))
    errors.print("Set up. Keep these recovery codes away from your phone; each lets you in once:")
    for code in confirmed["recovery_codes"] or []:
        typer.echo(code)
    errors.print("next: strongroom login")


def _console_of(link: str) -> str:
    """Return the console that a link leads to; nothing for the bare secret of one."""
    parts = urlsplit(link)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def _set_password(client: "Client", ticket: str) -> Mapping[str, Any]:
    password = typed("New password")
    if sys.stdin.isatty() and not _same(password, typed("The same again")):
        raise typer.BadParameter("the two are not the same")
    return client.ask(
        "POST", "/v1/setup/password", body={"ticket": ticket, "password": password.expose()}
    )


def _confirm(client: "Client", ticket: str) -> Mapping[str, Any]:
    code = typed("Code of the app")
    return client.ask(
        "POST", "/v1/setup/totp/confirm", body={"ticket": ticket, "code": code.expose()}
    )


def _same(left: "Secret[str]", right: "Secret[str]") -> bool:
    from strongroom.crypto import equal

    return equal(left.expose().encode(), right.expose().encode())


def _tried(work: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Do what a person may get wrong: they are asked again, a script is not."""
    from strongroom.cli.client import ConsoleRefused

    for left in range(_TRIES - 1, -1, -1):
        try:
            return work()
        except (ConsoleRefused, typer.BadParameter) as refused:
            mended = isinstance(refused, typer.BadParameter) or refused.answered == _INVALID
            if not left or not mended or not sys.stdin.isatty():
                raise
            errors.print(str(refused), markup=False, soft_wrap=True)
    raise Bug("the last try returns or raises")


def _show(enrolled: Mapping[str, Any], png: Path | None, uri_file: Path | None) -> None:
    """Draw the QR code, and print the secret for who cannot scan it."""
    import segno

    if png is not None:
        _put(png, base64.b64decode(enrolled["qr_png"]))
    if uri_file is not None:
        _put(uri_file, str(enrolled["uri"]).encode() + b"\n")
    errors.print("Scan this with an authenticator app:")
    code = segno.make(enrolled["uri"], error="l", micro=False)
    code.terminal(out=cast("TextIO", errors.file), compact=True)
    secret = str(enrolled["secret"])
    groups = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
    errors.print(f"or type its key: {groups}", markup=False, soft_wrap=True)


def _put(path: Path, content: bytes) -> None:
    """Write a new file that is its owner's alone. One that is there is not written over."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}") from None
    with open(descriptor, "wb") as file:  # noqa: PTH123 - the flags above
        file.write(content)
