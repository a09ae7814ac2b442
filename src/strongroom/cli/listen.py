# SPDX-License-Identifier: Apache-2.0
"""`strongroom listen`: a merchant who develops on a laptop sees events as they happen, and has them sent to a program.

Signs with a secret made for this run. Sends to this machine only, unless told otherwise.
"""

import json
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import typer
from rich.text import Text

from strongroom.cli.calling import CA, JSON, KEY_FILE, URL, gateway
from strongroom.cli.console import errors, out
from strongroom.kernel.events import EventType
from strongroom.kernel.secret import Secret

if TYPE_CHECKING:
    from strongroom.cli.following import Follower

SECONDS_MAX: Final = 15
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "listen",
        epilog="Example: strongroom listen --forward-to http://127.0.0.1:4242/webhooks "
        "--type payment.captured --key-file backend.key",
    )(listen)


def listen(
    *,
    forward_to: str = typer.Option(
        "", metavar="URL", help="Send each event there, signed; print them alone without it."
    ),
    event_type: list[EventType] = typer.Option(
        [], "--type", help="Of this type only; repeat it for each."
    ),
    allow_remote: bool = typer.Option(
        False, "--allow-remote", help="Send to another machine too, over https."
    ),
    every: float = typer.Option(1.0, min=0.2, max=60, help="Seconds between two looks."),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Print a merchant's events from now on, and send each to a program of yours. Ends with Ctrl-C."""
    from strongroom.cli.following import Follower
    from strongroom.webhooks import new_secret

    if forward_to:
        _require_target(forward_to, allow_remote=allow_remote)
    with gateway(url, ca, key_file) as client:
        follower = Follower(client, frozenset(each.value for each in event_type))
        follower.begin()
        forwarder = None
        if forward_to:
            secret = new_secret()
            errors.print("events are signed with this secret, until this command ends:")
            errors.print(Text(secret.expose()), soft_wrap=True)
            forwarder = Forwarder(forward_to, secret)
        errors.print("listening; Ctrl-C ends", style="dim")
        try:
            _follow(follower, forwarder, every, as_json=as_json)
            errors.print("ended", style="dim")
        finally:
            if forwarder is not None:
                forwarder.close()


def _follow(
    follower: "Follower", forwarder: "Forwarder | None", every: float, *, as_json: bool
) -> None:
    import signal
    from threading import Event
    from types import FrameType

    from strongroom.cli.client import AnswerLost, VaultAway

    stop = Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        # Raised somewhere inside a library, Ctrl-C can be lost there; a second one is raised all the same.
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, end)
    away = False
    while not stop.is_set():
        try:
            events = follower.poll()
        except (AnswerLost, VaultAway) as error:
            if not away:  # said once; a gateway that is restarted is waited for
                errors.print(Text(error.detail), style="yellow", soft_wrap=True)
            away, events = True, []
        else:
            away = False
        for event in events:
            said = None if forwarder is None else forwarder.send(event)
            _print(event, said, as_json=as_json)
        stop.wait(every)


def _print(event: dict[str, Any], said: str | None, *, as_json: bool) -> None:
    if as_json:
        out.file.write(json.dumps(event if said is None else {**event, "answer": said}) + "\n")
        out.file.flush()
        return
    line = f"{event['timestamp'][11:19]}  {event['type']:<24} {event['id']}"
    out.print(Text(line if said is None else f"{line}  → {said}"), soft_wrap=True)


class Forwarder:
    """Sends events to a program as an endpoint would get them, signed with a secret of this run."""

    def __init__(self, target: str, secret: Secret[str]) -> None:
        import httpx

        from strongroom.webhooks import signing_key

        self._target = target
        self._key = signing_key(secret)
        # No proxy that the environment names: events are the merchant's own business.
        self._client = httpx.Client(timeout=SECONDS_MAX, trust_env=False)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def send(self, event: dict[str, Any]) -> str:
        """Send an event once, and say what came of it."""
        import httpx

        from strongroom.webhooks import signed_headers

        body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {
            "content-type": "application/json",
            **signed_headers([self._key], event["id"], int(time()), body),
        }
        try:
            answer = self._client.post(self._target, content=body, headers=headers)
        except httpx.TransportError as error:
            return type(error).__name__
        return str(answer.status_code)


def _require_target(url: str, *, allow_remote: bool) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or "@" in parts.netloc:
        raise typer.BadParameter("--forward-to is http://host[:port]/path")
    if host in _LOOPBACK:
        return
    if not allow_remote:
        raise typer.BadParameter("--forward-to is on this machine, or say --allow-remote")
    if parts.scheme != "https":
        raise typer.BadParameter("another machine is reached over https")
