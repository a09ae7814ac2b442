# SPDX-License-Identifier: Apache-2.0
"""`strongroom serve`: every role in one process, until a signal; then everything stops in order."""

import typer

from strongroom.cli.console import errors, installation, run


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "serve", epilog="Example: STRONGROOM_LOG_FILE=/tmp/strongroom.log strongroom serve"
    )(serve)


def serve() -> None:
    """Serve vault, gateway, webhooks, console and worker until Ctrl-C or SIGTERM. Initialise first: strongroom init."""
    run(_serve())


async def _serve() -> None:
    import asyncio
    import signal

    from strongroom.cli.serving import Serving

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    serving = Serving(installation())
    served = await serving.start()
    errors.print(f"vault    [bold]{served.vault}[/]   cards go in here, tokens come out")
    errors.print(f"gateway  [bold]{served.gateway}[/]   payments, and never a card number")
    errors.print(
        f"webhooks [bold]{served.webhooks}[/]  processors tell here, customers return here"
    )
    errors.print(f"console  [bold]{served.console}[/]  people log in here")
    await stop.wait()
    errors.print("stopping …")
    await serving.stop()
    errors.print("stopped")
