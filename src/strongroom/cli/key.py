# SPDX-License-Identifier: Apache-2.0
"""`strongroom key`: make, list and revoke API keys. A key's text is printed once, when it is made, and kept nowhere."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from strongroom.cli.console import errors, out, print_json, print_table, progress
from strongroom.kernel.ids import KeyId, MerchantId, is_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind

if TYPE_CHECKING:
    from strongroom.identity import ApiKey, Identity, NewKey

_JSON = typer.Option(False, "--json", help="Print JSON.")
_MERCHANT = typer.Option(help="The merchant's id (mer_…).")


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")
    noun.command(
        "create",
        epilog="Example: umask 077; strongroom key create --merchant mer_01KAHX3MZ4V8Q2T6N0R5W7Y9CB "
        "--mode test --kind sk --name backend --quiet > backend.key",
    )(create)
    noun.command(
        "list", epilog="Example: strongroom key list --merchant mer_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
    )(list_)
    noun.command("revoke", epilog="Example: strongroom key revoke key_01KAHX3MZ4V8Q2T6N0R5W7Y9CB")(
        revoke
    )
    app.add_typer(noun, name="key")


def create(
    *,
    merchant: str = _MERCHANT,
    mode: Mode = typer.Option(help="Test keys never touch live cards, and the other way round."),
    kind: KeyKind = typer.Option(
        help="sk: all of a merchant's rights; rk: chosen ones; pk: public, single-use tokens only."
    ),
    name: str = typer.Option(help="What it is for: 1 to 100 characters."),
    permission: list[Permission] = typer.Option(
        [], help="What a restricted key (rk) may do; repeat it for each."
    ),
    origin: list[str] = typer.Option(
        [], help="Web origin a public key (pk) works from (https://shop.example); repeat it."
    ),
    expires: str = typer.Option(
        "",
        metavar="ISO",
        help="When it ends: 2034-01-01 or 2034-01-01T12:00:00Z; UTC without a zone.",
    ),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Print the key's text alone."),
    as_json: bool = _JSON,
) -> None:
    """Make an API key. Its text is printed once: keep it now."""
    from strongroom.audit import Origin
    from strongroom.cli.operating import actor, with_identity
    from strongroom.identity import KeyWish

    wish = KeyWish(
        merchant_id(merchant),
        mode,
        kind,
        name,
        permission or None,
        tuple(origin),
        _moment(expires) if expires else None,
    )

    async def work(identity: "Identity") -> "NewKey":
        return await identity.create_key(wish, actor=actor(), origin=Origin())

    made = with_identity(work)
    text = made.text.expose()
    if as_json:
        print_json({**printed(made.key), "text": text})
    elif quiet:
        typer.echo(text)
    else:
        errors.print(
            f"made [bold]{made.key.key_id}[/]; this is its text, shown once:", soft_wrap=True
        )
        typer.echo(text)


def list_(
    *,
    merchant: str = _MERCHANT,
    mode: Mode | None = typer.Option(None, help="Of this mode only."),
    as_json: bool = _JSON,
) -> None:
    """List a merchant's keys, without their texts."""
    from strongroom.cli.operating import with_identity

    owner = merchant_id(merchant)

    async def work(identity: "Identity") -> "list[ApiKey]":
        await identity.merchant(owner)  # an unknown merchant is an error, not an empty list
        return [
            key for each in ([mode] if mode else Mode) for key in await identity.keys(owner, each)
        ]

    found = with_identity(work)
    if as_json:
        print_json([printed(key) for key in found])
    else:
        show(found)


def revoke(
    key: str = typer.Argument(metavar="ID", help="The key's id (key_…)."),
    *,
    merchant: str = typer.Option("", help="Its merchant, if known: saves looking for it."),
    as_json: bool = _JSON,
) -> None:
    """End a key everywhere within two seconds. Safe to repeat."""
    from strongroom.audit import Origin
    from strongroom.cli.operating import actor, with_identity

    if not is_id("key", key):
        raise typer.BadParameter("a key's id is key_ and 26 letters and digits")
    owner = merchant_id(merchant) if merchant else None
    key_id = KeyId(key)

    async def work(identity: "Identity") -> "ApiKey":
        found = await _look_for(identity, key_id, owner)
        await identity.revoke_key(
            found.merchant_id, found.mode, key_id, actor=actor(), origin=Origin()
        )
        return next(
            each
            for each in await identity.keys(found.merchant_id, found.mode)
            if each.key_id == key_id
        )

    revoked = with_identity(work)
    if as_json:
        print_json(printed(revoked))
    else:
        out.print(f"revoked [bold]{key}[/]; it ends everywhere within two seconds")


async def _look_for(identity: "Identity", key: KeyId, owner: MerchantId | None) -> "ApiKey":
    """Return the key. Operators see keys one merchant at a time, so without its merchant each is looked through.

    Raises:
        KeyUnknown: nobody has it.
    """
    from strongroom.identity import KeyUnknown

    owners = [owner] if owner else [each.merchant_id for each in await identity.merchants()]
    with progress() as bar:
        for each in bar.track(owners, description="looking for the key"):
            for mode in Mode:
                for found in await identity.keys(each, mode):
                    if found.key_id == key:
                        return found
    raise KeyUnknown


def merchant_id(text: str) -> MerchantId:
    """Read a merchant's id from the command line."""
    if not is_id("mer", text):
        raise typer.BadParameter("a merchant's id is mer_ and 26 letters and digits")
    return MerchantId(text)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            "--expires is a date or a time in ISO 8601, such as 2034-01-01T12:00:00Z"
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def printed(key: "ApiKey") -> dict[str, Any]:
    """Return a key as JSON shows it: never its text."""
    from strongroom.kernel.clock import rfc3339

    return {
        "id": key.key_id,
        "object": "api_key",
        "merchant": key.merchant_id,
        "kind": key.kind.value,
        "mode": key.mode.value,
        "name": key.name,
        "last4": key.last4,
        "permissions": sorted(key.permissions),
        "origins": list(key.origins),
        "created_at": rfc3339(key.created_at),
        "created_by": key.created_by,
        "expires_at": rfc3339(key.expires_at) if key.expires_at else None,
        "revoked_at": rfc3339(key.revoked_at) if key.revoked_at else None,
    }


def show(keys: "Sequence[ApiKey]") -> None:
    """Print keys as people read them."""
    if not keys:
        out.print("no keys yet: strongroom key create --help")
        return
    shown = Table(box=None, pad_edge=False)
    for column in ("id", "mode", "kind", "ends", "state"):
        shown.add_column(column, no_wrap=True)
    shown.add_column("name", overflow="fold")
    for key in keys:
        shown.add_row(key.key_id, key.mode, key.kind, f"…{key.last4}", _state(key), Text(key.name))
    print_table(shown)


def _state(key: "ApiKey") -> str:
    if key.revoked_at:
        return "revoked"
    return f"until {key.expires_at:%Y-%m-%d}" if key.expires_at else "active"
