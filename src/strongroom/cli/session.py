# SPDX-License-Identifier: Apache-2.0
"""Who is logged in on this machine: the refresh token, in a file (mode 0600) below the client's state.

An access token is never kept: each command refreshes, and the token that takes the place of the one sent is in the file
before anything else is asked. Refuses a file that others can read.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from strongroom.cli.console import installation
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.secret import Secret

if TYPE_CHECKING:
    from strongroom.cli.client import Client

URL: Final = typer.Option(
    "",
    envvar="STRONGROOM_CONSOLE_URL",
    help="The console; without it this machine's installation.",
)
CA: Final = typer.Option(
    None,
    envvar="STRONGROOM_CA",
    help="PEM file of the authority to trust; without it this installation's, or the system's.",
)
_FILE_BYTES_MAX: Final = 8_192


class NotLoggedIn(StrongroomError):
    """Nobody is logged in here: strongroom login."""

    code = "not_logged_in"


class SessionFileRefused(StrongroomError):
    """The file that keeps the session cannot be used."""

    code = "session_file_refused"


@dataclass(frozen=True, slots=True)
class Kept:
    """A session, as it is kept between commands."""

    url: str
    authority: Path | None
    email: str
    mode: str
    refresh: Secret[str]


def session_file() -> Path:
    """Return where the session of this machine's user is kept."""
    return installation().settings.state / "client" / "session.json"


def where(url: str, ca: Path | None) -> tuple[str, Path | None]:
    """Return the console's address and the authority to trust: as given, else this machine's installation's."""
    here = installation()
    scheme = "http" if here.settings.plain_http else "https"
    ours = f"{scheme}://{here.settings.console_listen}"
    if (
        url in ("", ours, here.settings.console_url)
        and ca is None
        and here.settings.tls_certificate is None
        and here.authority_file.exists()
    ):
        ca = here.authority_file
    return url or ours, ca


def anonymous(url: str, ca: Path | None) -> "Client":
    """Return a client of a console, before anybody has logged in."""
    from strongroom.cli.client import Client

    return Client(url, ca, None, is_console=True)


@contextlib.contextmanager
def console() -> Iterator["Client"]:
    """Lend a client of the console with a new access token of whoever is logged in here.

    Raises:
        NotLoggedIn: nobody is, or the session has ended.
    """
    from strongroom.cli.client import Client

    kept, access = refreshed()
    with Client(kept.url, kept.authority, access, is_console=True) as client:
        yield client


def refreshed() -> tuple[Kept, Secret[str]]:
    """Refresh the session that is kept, keep its successor, and return it with a new access token.

    Raises:
        NotLoggedIn: there is none, or it has ended; then it is no longer kept.
    """
    from strongroom.cli.client import ConsoleRefused

    kept = read()
    body = {"refresh_token": kept.refresh.expose(), "mode": kept.mode}
    with anonymous(kept.url, kept.authority) as client:
        try:
            tokens = client.ask("POST", "/v1/session/refresh", body=body)
        except ConsoleRefused as refused:
            if refused.answered != 401:  # noqa: PLR2004 - RFC 9110's number
                raise
            forget()
            raise NotLoggedIn("the session has ended: strongroom login") from None
    kept = keep(kept.url, kept.authority, kept.email, kept.mode, tokens)
    return kept, Secret(str(tokens["access_token"]))


def keep(url: str, authority: Path | None, email: str, mode: str, tokens: dict[str, Any]) -> Kept:
    """Put a session into the file, in place of any before: whole or not at all, and nobody else's to read."""
    path = session_file()
    content = {
        "url": url,
        "authority": None if authority is None else str(authority.resolve()),
        "email": email,
        "mode": mode,
        "refresh_token": tokens["refresh_token"],
    }
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_suffix(f".{os.getpid()}")
    new.unlink(missing_ok=True)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(new, flags, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123 - the flags
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise SessionFileRefused(f"{path}: {error.strerror}") from None
    return Kept(url, authority, email, mode, Secret(str(tokens["refresh_token"])))


def read() -> Kept:
    """Return the session that is kept.

    Raises:
        NotLoggedIn: there is none.
        SessionFileRefused: others can read the file, or it is not one of ours.
    """
    path = session_file()
    try:
        with path.open(encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise SessionFileRefused(f"others can read {path}: remove it, and log in again")
            found = json.loads(file.read(_FILE_BYTES_MAX))
        authority = found["authority"]
        return Kept(
            str(found["url"]),
            None if authority is None else Path(authority),
            str(found["email"]),
            str(found["mode"]),
            Secret(str(found["refresh_token"])),
        )
    except FileNotFoundError:
        raise NotLoggedIn from None
    except OSError as error:
        raise SessionFileRefused(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise SessionFileRefused(f"{path} holds no session: remove it") from None


def forget() -> bool:
    """Remove the file; tell whether there was one."""
    path = session_file()
    there = path.exists()
    path.unlink(missing_ok=True)
    return there
