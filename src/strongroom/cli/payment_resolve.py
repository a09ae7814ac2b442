# SPDX-License-Identifier: Apache-2.0
"""`strongroom payment resolve`: say what became of an attempt that nobody could find out, as who is logged in here."""

from pathlib import Path
from typing import Any, Final

import typer

from strongroom.cli.calling import CA, JSON, URL, gateway
from strongroom.cli.console import errors, print_json
from strongroom.cli.payment_asked import payment_id
from strongroom.cli.payment_shown import print_payment
from strongroom.kernel.ids import is_id

_APPROVAL: Final = "strongroom-approval"


def resolve(
    payment: str = typer.Argument(metavar="ID", help="The payment's id (pay_…)."),
    attempt: str = typer.Argument(metavar="ATTEMPT", help="The attempt's id (att_…)."),
    *,
    outcome: str = typer.Option(help="What the processor says: approved, declined or not_sent."),
    evidence: str = typer.Option(help="How you know: whom you asked, when, what they answered."),
    processor_reference: str = typer.Option("", help="The processor's name of it."),
    approval: str = typer.Option(
        "", metavar="APR", help="What another person has approved (apr_…)."
    ),
    url: str = URL,
    ca: Path | None = CA,
    as_json: bool = JSON,
) -> None:
    """Say what became of an attempt that was left to people. Another person approves it first."""
    from strongroom.cli.session import refreshed

    if not is_id("att", attempt):
        raise typer.BadParameter("an attempt's id is att_ and 26 letters and digits")
    body: dict[str, Any] = {"outcome": outcome, "evidence": evidence}
    if processor_reference:
        body["processor_reference"] = processor_reference
    path = f"/v1/payments/{payment_id(payment)}/attempts/{attempt}/resolve"
    with gateway(url, ca, None, access=refreshed()[1]) as client:
        answer = client.ask(
            "POST", path, body=body, headers={_APPROVAL: approval} if approval else None
        )
    if as_json:
        print_json(answer)
    elif answer.get("object") == "approval":
        errors.print(
            "nothing was changed: this waits for another person. When they have approved it, say the same again with "
            f"--approval {answer['id']}",
            markup=False,
        )
        typer.echo(answer["id"])
    else:
        print_payment(answer)
