# SPDX-License-Identifier: Apache-2.0
"""`strongroom token reveal`: show a stored card, as a key that may or as the person who is logged in here.

The number goes to standard output alone; with `--jwe-key`, only a text that the key's owner opens does.
"""

import json
from pathlib import Path
from typing import Any, Final

import typer

from strongroom.cli.calling import CA, JSON, KEY_FILE
from strongroom.cli.calling import vault as vault_client
from strongroom.cli.console import errors, print_json
from strongroom.kernel.ids import is_id

_JWK_BYTES_MAX: Final = 8_192
_APPROVAL: Final = "strongroom-approval"


def reveal(
    token: str = typer.Argument(metavar="ID", help="The token's id (tok_…)."),
    *,
    purpose: str = typer.Option(
        help="Why: dispute, fraud_review, legal_request, legacy_system, manual_payment, reconciliation or "
        "troubleshooting. Stands in the audit record."
    ),
    note: str = typer.Option(
        "", help="In your words, kept apart from the record: a ticket, a name. No card number."
    ),
    jwe_key: Path | None = typer.Option(
        None, help="File with a public key (JWK): the card comes encrypted to it."
    ),
    approval: str = typer.Option(
        "", metavar="APR", help="What another person has approved (apr_…)."
    ),
    person: bool = typer.Option(
        False, "--person", help="Ask as who is logged in here (strongroom login), not with a key."
    ),
    url: str = typer.Option(
        "", envvar="STRONGROOM_URL", help="The vault; without it this machine's installation."
    ),
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Show a stored card, for a stated purpose. A person waits for another's approval first."""
    from strongroom.cli.hardening import forbid_dumps

    if not is_id("tok", token):
        raise typer.BadParameter("a token's id is tok_ and 26 letters and digits")
    if approval and not is_id("apr", approval):
        raise typer.BadParameter("--approval is apr_ and 26 letters and digits")
    wish: dict[str, Any] = {"purpose": purpose}
    if note:
        wish["note"] = note
    if jwe_key is not None:
        wish["jwe_key"] = _read_jwk(jwe_key)
    forbid_dumps()
    access = None
    if person:
        from strongroom.cli.session import refreshed

        access = refreshed()[1]
    with vault_client(url, ca, key_file, access=access) as vault:
        answer = vault.ask(
            "POST",
            f"/v1/tokens/{token}/reveal",
            body=wish,
            headers={_APPROVAL: approval} if approval else None,
        )
    if as_json:
        print_json(answer)
    elif answer.get("object") == "approval":
        errors.print(
            "nothing was shown: this waits for another person. When they have approved it, say the same again with "
            f"--approval {answer['id']}",
            markup=False,
        )
        typer.echo(answer["id"])
    elif answer["card"] is None:
        typer.echo(answer["jwe"])
    else:
        card = answer["card"]
        typer.echo(f"{card['number']} {card['exp_month']:02}/{card['exp_year']}")


def _read_jwk(path: Path) -> dict[str, Any]:
    """Read a public key. That it is public and strong is the vault's to say; that a private one stays here, ours."""
    try:
        with path.open(encoding="utf-8") as file:
            found = json.loads(file.read(_JWK_BYTES_MAX))
    except (OSError, ValueError):
        raise typer.BadParameter(f"{path} is not a file with a JWK") from None
    if not isinstance(found, dict):
        raise typer.BadParameter(f"{path} is not a file with a JWK")
    if not {"d", "k"}.isdisjoint(found):
        raise typer.BadParameter(f"{path} holds a private key: give the public one alone")
    return found
