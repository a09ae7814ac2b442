# SPDX-License-Identifier: Apache-2.0
"""`strongroom simulator`: a processor to test against, until Ctrl-C. Loopback only, unless --listen says otherwise."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from strongroom.cli.console import errors, out, run

if TYPE_CHECKING:
    from strongroom.simulator import Account, Simulator

_LOOPBACK: Final = "127.0.0.1"
_WEBHOOK_KEY_BITS: Final = 256


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "simulator",
        epilog="Example: strongroom simulator --port 8460 --folder ./simulator --account acct_shop",
    )(simulator)


def simulator(
    *,
    port: int = typer.Option(8460, min=0, max=65_535, help="Where to listen; 0 takes a free port."),
    folder: Path = typer.Option(
        Path("simulator"), help="Where its journal, accounts and keys are; made if not there."
    ),
    account: str = typer.Option("acct_shop", help="An account to have; made if not there."),
    webhook: str = typer.Option(
        "", metavar="URL", help="Where the account's webhooks go; left as it is if not given."
    ),
    encrypted: bool = typer.Option(
        False, "--encrypted", help="Encrypt webhooks (AES-256-GCM) instead of signing them."
    ),
    latency_ms: float = typer.Option(0, min=0, max=60_000, help="How long each answer takes."),
    hold_seconds: float = typer.Option(
        604_800, min=1, max=7_776_000, help="How long authorizations hold, it says."
    ),
    seed: int | None = typer.Option(
        None, help="Let two in a hundred requests meet each fault, drawn by this seed."
    ),
    listen: str = typer.Option(
        _LOOPBACK, metavar="ADDRESS", help="Listen elsewhere than on loopback: over plain HTTP."
    ),
    public_url: str = typer.Option(
        "", metavar="URL", help="Where browsers reach it, if elsewhere."
    ),
    ca: Path | None = typer.Option(
        None,
        "--ca",
        help="PEM file of an authority that its webhooks trust: an installation's own.",
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print one line of JSON when it serves, for scripts."
    ),
) -> None:
    """Serve a simulated processor with accounts, test cards, webhooks, faults and a journal."""
    from strongroom.simulator import Simulator

    made = Simulator(
        folder,
        host=listen,
        port=port,
        latency_ms=latency_ms,
        hold_seconds=hold_seconds,
        public_url=public_url or None,
        authority=ca,
    )
    if listen not in {_LOOPBACK, "::1", "localhost"}:
        errors.print(
            "anybody who reaches this address can read what is sent: plain HTTP", style="bold"
        )
    run(_serve(made, account, webhook, encrypted=encrypted, seed=seed, as_json=as_json))


async def _serve(
    made: "Simulator",
    account: str,
    webhook: str,
    *,
    encrypted: bool,
    seed: int | None,
    as_json: bool,
) -> None:
    import asyncio
    import signal

    from strongroom.simulator import SimulatorControl

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    await made.start()
    try:
        async with SimulatorControl(made.url, made.control_key) as control:
            opened = await control.account(account, **_webhook(webhook, encrypted=encrypted))
            if seed is not None:
                await control.faults(seed=seed)
        _say(made, opened, as_json=as_json)
        await stop.wait()
        errors.print("stopping …")
    finally:
        await made.stop()
    errors.print("stopped")


def _webhook(url: str, *, encrypted: bool) -> dict[str, Any]:
    """What an account's new webhook is made of: a fresh secret, or a fresh key."""
    from strongroom.crypto import new_secret_text, random_bytes

    if not url:
        return {}
    if encrypted:
        return {"webhook_url": url, "webhook_encryption_key": random_bytes(32).hex()}
    return {
        "webhook_url": url,
        "webhook_secrets": ["sim_whsec_" + new_secret_text(_WEBHOOK_KEY_BITS)],
    }


def _say(made: "Simulator", account: "Account", *, as_json: bool) -> None:
    import json

    webhook = account.webhook
    facts = {
        "url": made.url,
        "account": account.account,
        "api_key": account.api_key,
        "control_key": made.control_key,
        "webhook_url": webhook.url if webhook else None,
        "webhook_secrets": list(webhook.secrets) if webhook else [],
        "webhook_encryption_key": webhook.encryption_key if webhook else None,
    }
    if as_json:
        out.file.write(json.dumps(facts) + "\n")
        out.file.flush()
        return
    for name, value in facts.items():
        if value:
            shown = value if isinstance(value, str) else " ".join(value)
            out.print(f"{name.replace('_', ' '):<23} {shown}", markup=False, soft_wrap=True)
    out.print("no money moves here: published test numbers only", style="dim")
    out.print(
        f"next: curl --header 'Authorization: Bearer {account.api_key}' {made.url}/v1/account",
        style="dim",
        markup=False,
        soft_wrap=True,
    )
