# SPDX-License-Identifier: Apache-2.0
"""`strongroom serve`: every role in one process, or those that are named, until a signal; then all stops in order."""

import typer

from strongroom.cli.console import errors, run
from strongroom.config.roles import ALL_ROLES, ServedRole

#: What people are told of each listener.
SAID = {
    "vault": "cards go in here, tokens come out",
    "gateway": "payments, and never a card number",
    "webhooks": "processors tell here, customers return here",
    "console": "people log in here",
    "worker": "health and metrics; the work is in the background",
    "vault_internal": "gateway and worker call the vault here, over mutual TLS",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "serve",
        epilog="Example: STRONGROOM_LOG_FILE=/tmp/strongroom.log strongroom serve\n\n"
        "Example: strongroom serve --role webhooks",
    )(serve)


def serve(
    role: list[ServedRole] = typer.Option(
        [],
        "--role",
        help="Serve this role and not the others; may be given again. Without it: every role in this process.",
    ),
) -> None:
    """Serve vault, gateway, webhooks, console and worker until Ctrl-C or SIGTERM. Initialise first: strongroom init."""
    run(_serve(frozenset(role)))


async def _serve(roles: frozenset[ServedRole]) -> None:
    import asyncio
    import signal

    from strongroom.cli.installation import Installation
    from strongroom.cli.serving import Serving
    from strongroom.config import load_settings
    from strongroom.kernel.clock import SystemClock

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stop.set)
    serving = Serving(Installation(load_settings(), SystemClock(), roles or ALL_ROLES))
    served = await serving.start()
    for name, url in served.urls.items():
        errors.print(f"{name:<8} [bold]{url}[/]  {SAID[name]}", soft_wrap=True)
    await stop.wait()
    errors.print("stopping …")
    await serving.stop()
    errors.print("stopped")
