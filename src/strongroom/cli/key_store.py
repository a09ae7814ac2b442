# SPDX-License-Identifier: Apache-2.0
"""`strongroom key-store`: the roots in the key store. For an HSM it makes them, so that no vendor's tool is needed."""

from typing import TYPE_CHECKING

import typer
from rich.table import Table

from strongroom.cli.console import installation, out, print_json, print_table, run
from strongroom.kernel.errors import StrongroomError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from strongroom.cli.installation import Installation
    from strongroom.compose import Composer
    from strongroom.keys import Purpose, RootInfo

_JSON = typer.Option(False, "--json", help="Print JSON.")


class NotAToken(StrongroomError):
    """Roots are made here in a PKCS#11 token only: a file's are made by `init`, a KMS's with the KMS's own tools."""

    code = "key_store_makes_no_roots"


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(no_args_is_help=True, help="The roots in the key store.")
    noun.command("show", epilog="Example: strongroom key-store show")(show)
    noun.command("init", epilog="Example: strongroom key-store init")(init)
    noun.command("rotate", epilog="Example: strongroom key-store rotate card")(rotate)
    app.add_typer(noun, name="key-store")


def show(*, as_json: bool = _JSON) -> None:
    """Ask the key store for its roots."""
    from strongroom.compose import open_key_store

    here = installation()

    async def work() -> "Sequence[RootInfo]":
        store = await open_key_store(here.settings, here.passphrase())
        try:
            return await store.describe()
        finally:
            await store.close()

    roots = run(work())
    if as_json:
        print_json(
            [
                {
                    "purpose": root.purpose.value,
                    "key_id": root.key_id,
                    "algorithm": root.algorithm,
                    "created": root.created,
                    "enabled": root.enabled,
                }
                for root in roots
            ]
        )
        return
    shown = Table("purpose", "key", "algorithm", "made", "", box=None, pad_edge=False)
    for root in roots:
        made = f"{root.created:%Y-%m-%d}"
        state = "enabled" if root.enabled else "disabled"
        shown.add_row(root.purpose.value, root.key_id, root.algorithm, made, state)
    print_table(shown)


def init(*, as_json: bool = _JSON) -> None:
    """Have the HSM make the roots that its token does not hold yet. They never leave it. Safe to repeat."""
    from strongroom.compose import open_pkcs11
    from strongroom.keys import Purpose

    here = installation()
    _require_token(here)

    async def work() -> "list[tuple[Purpose, int]]":
        store = await open_pkcs11(here.settings)
        try:
            return await store.make_roots(Purpose, here.clock.now())
        finally:
            await store.close()

    made = run(work())
    if as_json:
        print_json([{"purpose": purpose.value, "version": version} for purpose, version in made])
    elif made:
        names = ", ".join(purpose.value for purpose, _ in made)
        out.print(f"made in the token {here.settings.pkcs11_token}: {names}", soft_wrap=True)
    else:
        out.print(f"the token {here.settings.pkcs11_token} holds every root already")


def rotate(
    purpose: str = typer.Argument(help="audit, card, credential, identity or webhook."),
) -> None:
    """Have the HSM make the next version of a root. It wraps from now on; what older ones wrapped opens as before."""
    from strongroom.cli.operating import actor, composed
    from strongroom.compose import rotate_token_root
    from strongroom.keys import Purpose

    known = {each.value: each for each in Purpose}
    if purpose not in known:
        raise typer.BadParameter(f"one of {', '.join(sorted(known))}")
    _require_token(installation())

    async def work(composer: "Composer") -> int:
        database, recorder = await composer.operator_recorder()
        return await rotate_token_root(composer.site, database, recorder, known[purpose], actor())

    out.print(f"version {composed(work)} of the root {purpose} wraps from now on")


def _require_token(here: "Installation") -> None:
    from strongroom.config import KeyStoreName

    if here.settings.key_store is not KeyStoreName.PKCS11:
        raise NotAToken
