# SPDX-License-Identifier: Apache-2.0
"""`strongroom login` and `strongroom logout`: begin a session at the console, and end it.

Password and code are asked for without an echo, or read as lines of standard input; never arguments.
"""

import sys
from pathlib import Path
from typing import Final

import typer

from strongroom.cli.calling import typed
from strongroom.cli.console import errors
from strongroom.cli.session import CA, URL, NotLoggedIn, anonymous, forget, keep, refreshed, where

_MODES: Final = ("live", "test")


def register(app: typer.Typer) -> None:
    """Add both commands."""
    app.command("login", epilog="Example: strongroom login --email ada@shop.example --mode test")(
        login
    )
    app.command("logout", epilog="Example: strongroom logout")(logout)


def login(
    *,
    email: str = typer.Option("", help="Your address; asked for without it."),
    mode: str = typer.Option("live", help="What to work on: live or test."),
    recovery: bool = typer.Option(
        False, "--recovery", help="Show a recovery code instead of a code of the app."
    ),
    url: str = URL,
    ca: Path | None = CA,
) -> None:
    """Log in with password and code. What is kept is a refresh token, in a file that only you can read."""
    if mode not in _MODES:
        raise typer.BadParameter("--mode is live or test")
    url, ca = where(url, ca)
    if not email:
        email = _asked("E-mail")
    password = typed("Password")
    with anonymous(url, ca) as client:
        begun = client.ask(
            "POST",
            "/v1/login",
            body={"email": email, "password": password.expose(), "mode": mode},
        )
        code = typed("Recovery code" if recovery else "Code of the app")
        tokens = client.ask(
            "POST",
            "/v1/login/recovery" if recovery else "/v1/login/totp",
            body={"handle": begun["handle"], "code": code.expose()},
        )
    keep(url, ca, email, mode, tokens)
    errors.print(f"logged in for {mode} mode", markup=False)
    left = tokens.get("recovery_codes_left")
    if left is not None:
        errors.print(f"recovery codes left: {left}", markup=False)


def logout() -> None:
    """End the session everywhere within two seconds, and forget it here."""
    from strongroom.cli.client import Client

    try:
        kept, access = refreshed()
        with Client(kept.url, kept.authority, access, is_console=True) as client:
            client.ask("POST", "/v1/session/end")
    except NotLoggedIn as over:
        errors.print(over.detail, markup=False)
        return
    forget()
    errors.print("logged out")


def _asked(what: str) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt(what, err=True)).strip()
    return typed(what).expose()
