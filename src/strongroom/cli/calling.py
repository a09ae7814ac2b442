# SPDX-License-Identifier: Apache-2.0
"""What the nouns that speak to a vault or gateway share: options, a client, and wishes that can be repeated safely."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from strongroom.cli.console import installation
from strongroom.kernel.secret import Secret

if TYPE_CHECKING:
    from strongroom.cli.client import Client

_LINE_CHARACTERS_MAX: Final = 4_096
_DECLINED: Final = 402

URL: Final = typer.Option(
    "",
    envvar="STRONGROOM_GATEWAY_URL",
    help="The gateway; without it this machine's installation.",
)
CA: Final = typer.Option(
    None,
    envvar="STRONGROOM_CA",
    help="PEM file of the authority to trust; without it this installation's, or the system's.",
)
KEY_FILE: Final = typer.Option(
    None, help="File (mode 0600) with the API key; without it STRONGROOM_KEY, or a prompt."
)
JSON: Final = typer.Option(False, "--json", help="Print JSON.")


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of a wish: an answer, or the problem of a decline, which holds the payment too."""

    answer: Mapping[str, Any]
    problem: Mapping[str, Any] | None = None


def gateway(
    url: str, ca: Path | None, key_file: Path | None, *, access: Secret[str] | None = None
) -> "Client":
    """Return a client of the gateway that is named, else of this machine's installation. `access`: see `vault`."""
    return _client(url, ca, key_file, is_gateway=True, access=access)


def vault(
    url: str, ca: Path | None, key_file: Path | None, *, access: Secret[str] | None = None
) -> "Client":
    """Return a client of the vault that is named, else of this machine's installation.

    With an access token it asks as whoever has that, and no key is looked for.
    """
    return _client(url, ca, key_file, is_gateway=False, access=access)


def _client(
    url: str,
    ca: Path | None,
    key_file: Path | None,
    *,
    is_gateway: bool,
    access: Secret[str] | None = None,
) -> "Client":
    from strongroom.cli.client import Client, KeyMissing, read_key_file
    from strongroom.config.load import client_key

    key = access
    if key is None:
        key = read_key_file(key_file) if key_file is not None else client_key()
    if key is None:
        if not sys.stdin.isatty():
            raise KeyMissing
        key = typed("API key")
    if not url:
        here = installation()
        scheme = "http" if here.settings.plain_http else "https"
        listen = here.settings.gateway_listen if is_gateway else here.settings.vault_listen
        url = f"{scheme}://{listen}"
        if ca is None and here.settings.tls_certificate is None and here.authority_file.exists():
            ca = here.authority_file
    return Client(url, ca, key, is_gateway=is_gateway)


def wish(client: "Client", path: str, body: Mapping[str, Any], idempotency_key: str) -> Asked:
    """Send a wish under a key of its own, and return what came of it.

    Raises:
        AnswerLost: no answer came; it names the key to repeat the wish under.
        GatewayRefused: it was refused, and no processor was asked.
    """
    from strongroom.cli.client import AnswerLost, GatewayRefused
    from strongroom.crypto import new_secret_text

    key = idempotency_key or "cli-" + new_secret_text(128)
    try:
        return Asked(client.ask("POST", path, body=body, headers={"idempotency-key": key}))
    except AnswerLost as error:
        raise AnswerLost(
            f"no answer came, and whether it was done is not known: repeat this with "
            f"--idempotency-key {key}"
        ) from error
    except GatewayRefused as refused:
        if refused.answered != _DECLINED or "payment" not in refused.problem:
            raise
        return Asked({}, refused.problem)


def typed(what: str) -> Secret[str]:
    """Read a secret: a hidden prompt at a terminal, else the next line of standard input."""
    if sys.stdin.isatty():
        return Secret(typer.prompt(what, hide_input=True, err=True).strip())
    line = sys.stdin.readline(_LINE_CHARACTERS_MAX).strip()
    if not line:
        raise typer.BadParameter(f"{what} is missing: give it as a line of standard input")
    return Secret(line)


def metadata(pairs: list[str]) -> dict[str, str]:
    """Read KEY=VALUE pairs from the command line."""
    facts = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise typer.BadParameter("--metadata is KEY=VALUE")
        facts[key] = value
    return facts
