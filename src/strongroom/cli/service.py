# SPDX-License-Identifier: Apache-2.0
"""`strongroom service`: register, list, rotate and revoke services. Only public keys are taken."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from strongroom.cli.console import out, print_json, print_table
from strongroom.cli.key import merchant_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission

if TYPE_CHECKING:
    from strongroom.identity import Service, ServiceBook, SigningKeyBook

_JSON = typer.Option(False, "--json", help="Print JSON.")
_MERCHANT = typer.Option(help="The merchant's id (mer_…).")
_MODE = typer.Option(help="Which mode the service is of.")
_JWKS = typer.Option(
    help="File with its public key or keys: a JWK or a JWK set; OKP with Ed25519, or EC with P-256.",
    exists=True,
    dir_okay=False,
)
_ID = typer.Argument(metavar="ID", help="The service's id (svc_…).")
_BYTES_MAX = 65_536


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(
        no_args_is_help=True,
        help="Register, list, rotate and revoke services: machines with a key of their own.",
    )
    merchant = "--merchant mer_01KAHX3MZ4V8Q2T6N0R5W7Y9CB --mode test"
    noun.command(
        "create",
        epilog=f"Example: strongroom service create {merchant} --name billing --jwks billing.jwk "
        "--permission payments:payment:read",
    )(create)
    noun.command("list", epilog=f"Example: strongroom service list {merchant}")(list_)
    noun.command(
        "rotate-key",
        epilog=f"Example: strongroom service rotate-key svc_01KAHX3MZ4V8Q2T6N0R5W7Y9CB {merchant} --jwks both.jwks",
    )(rotate_key)
    noun.command(
        "revoke",
        epilog=f"Example: strongroom service revoke svc_01KAHX3MZ4V8Q2T6N0R5W7Y9CB {merchant}",
    )(revoke)
    noun.command(
        "revoke-certificate",
        epilog=f"Example: strongroom service revoke-certificate {merchant} "
        "--thumbprint A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0",
    )(revoke_certificate)
    app.add_typer(noun, name="service")


def create(
    *,
    merchant: str = _MERCHANT,
    mode: Mode = _MODE,
    name: str = typer.Option(help="What it is for: 1 to 100 characters."),
    permission: list[Permission] = typer.Option(
        help="What it may do; repeat it for each, at least one."
    ),
    jwks: Path = _JWKS,
    certificate_bound: bool = typer.Option(
        False,
        "--certificate-bound",
        help="Give it tokens only with a client certificate, bound to it (RFC 8705).",
    ),
    as_json: bool = _JSON,
) -> None:
    """Register a service."""
    from strongroom.audit import Origin
    from strongroom.cli.operating import actor, with_machines
    from strongroom.identity import ServiceWish

    wish = ServiceWish(
        merchant_id(merchant), mode, name, frozenset(permission), _read(jwks), certificate_bound
    )

    async def work(_: "SigningKeyBook", services: "ServiceBook") -> "Service":
        return await services.create(wish, actor=actor(), origin=Origin())

    made = with_machines(work)
    if as_json:
        print_json(printed(made))
    else:
        out.print(f"made [bold]{made.service}[/]")


def list_(*, merchant: str = _MERCHANT, mode: Mode = _MODE, as_json: bool = _JSON) -> None:
    """List a merchant's services of one mode."""
    from strongroom.cli.operating import with_machines

    owner = merchant_id(merchant)

    async def work(_: "SigningKeyBook", services: "ServiceBook") -> "Sequence[Service]":
        return await services.all_of(owner, mode)

    found = with_machines(work)
    if as_json:
        print_json([printed(each) for each in found])
        return
    if not found:
        out.print("no services yet: strongroom service create --help")
        return
    shown = Table(box=None, pad_edge=False)
    for column in ("id", "keys", "state"):
        shown.add_column(column, no_wrap=True)
    shown.add_column("name", overflow="fold")
    for each in found:
        state = "revoked" if each.revoked_at else "active"
        shown.add_row(each.service, str(len(each.public_keys)), state, Text(each.name))
    print_table(shown)


def rotate_key(
    service: str = _ID,
    *,
    merchant: str = _MERCHANT,
    mode: Mode = _MODE,
    jwks: Path = _JWKS,
    as_json: bool = _JSON,
) -> None:
    """Replace a service's keys: with the old and the new one while both are in use, then with the new one alone."""
    from strongroom.audit import Origin
    from strongroom.cli.operating import actor, with_machines

    owner, keys = merchant_id(merchant), _read(jwks)

    async def work(_: "SigningKeyBook", services: "ServiceBook") -> "Service":
        return await services.rotate(owner, mode, service, keys, actor=actor(), origin=Origin())

    changed = with_machines(work)
    if as_json:
        print_json(printed(changed))
    else:
        out.print(f"[bold]{changed.service}[/] has {len(changed.public_keys)} key(s) now")


def revoke(service: str = _ID, *, merchant: str = _MERCHANT, mode: Mode = _MODE) -> None:
    """End a service and every token of it, everywhere within two seconds. Safe to repeat."""
    from strongroom.audit import Origin
    from strongroom.cli.operating import actor, with_machines

    owner = merchant_id(merchant)

    async def work(_: "SigningKeyBook", services: "ServiceBook") -> None:
        await services.revoke(owner, mode, service, actor=actor(), origin=Origin())

    with_machines(work)
    out.print(f"revoked [bold]{service}[/]; it ends everywhere within two seconds")


def revoke_certificate(
    *,
    merchant: str = _MERCHANT,
    mode: Mode = _MODE,
    thumbprint: str = typer.Option(
        help="SHA-256 of the certificate: x5t#S256 in base64url, or hexadecimal as openssl prints it."
    ),
) -> None:
    """End a client certificate for a merchant's services of one mode, everywhere within two seconds. Safe to repeat."""
    from strongroom.audit import Origin
    from strongroom.cli.operating import actor, with_machines

    owner = merchant_id(merchant)

    async def work(_: "SigningKeyBook", services: "ServiceBook") -> None:
        await services.revoke_certificate(owner, mode, thumbprint, actor=actor(), origin=Origin())

    with_machines(work)
    out.print("revoked the certificate; it ends everywhere within two seconds")


def _read(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > _BYTES_MAX:
            raise typer.BadParameter(f"{file} is too large for a few keys")
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        raise typer.BadParameter(f"{file} cannot be read as JSON") from None
    if not isinstance(found, dict):
        raise typer.BadParameter(f"{file} holds no JWK and no JWK set")
    return found


def printed(service: "Service") -> dict[str, Any]:
    """Return a service as JSON shows it."""
    from strongroom.kernel.clock import rfc3339

    return {
        "id": service.service,
        "object": "service",
        "merchant": service.merchant,
        "mode": service.mode.value,
        "name": service.name,
        "permissions": sorted(service.permissions),
        "keys": [dict(each) for each in service.public_keys],
        "certificate_bound": service.certificate_bound,
        "created_by": service.created_by,
        "created_at": rfc3339(service.created_at),
        "revoked_at": rfc3339(service.revoked_at) if service.revoked_at else None,
        "last_used_at": rfc3339(service.last_used_at) if service.last_used_at else None,
    }
