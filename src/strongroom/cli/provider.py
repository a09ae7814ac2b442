# SPDX-License-Identifier: Apache-2.0
"""`strongroom provider`: identity providers at the machine itself, for whom nobody else could approve one.

At the console it takes two people: whoever runs a provider could be any colleague. An operator is nobody's colleague.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from strongroom.cli.calling import typed
from strongroom.cli.console import out, print_json, print_table
from strongroom.cli.operating import with_providers
from strongroom.kernel.ids import MerchantId, is_id

if TYPE_CHECKING:
    from strongroom.identity import Provider, ProviderBook, ProviderBy, ProviderTerms, RoleRule
    from strongroom.kernel.secret import Secret

_SAMPLE: Final = "sso_01KAHX3MZ4V8Q2T6N0R5W7Y9CB --merchant mer_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_STANDARD_INPUT: Final = "-"
#: As where it is left out over HTTP.
_MAX_AGE_SECONDS: Final = 300

_JSON = typer.Option(False, "--json", help="Print JSON.")
_ID = typer.Argument(metavar="ID", help="The provider's id (sso_…).")
_MERCHANT = typer.Option(help="The merchant's id (mer_…), or `platform`.")
_DOMAIN = typer.Option([], "--domain", help="Whose addresses it may vouch for; may be repeated.")
_REDIRECT = typer.Option(
    [], "--redirect", help="Where it may send people back to; may be repeated."
)
_CLAIM = typer.Option("", help="The claim that gives a role, such as groups.")
_ROLE = typer.Option(
    [],
    "--role",
    help="VALUE=ROLE: who has this value in the claim has this role; the first counts.",
)
_AMR = typer.Option([], "--amr", help="What each login must state (RFC 8176), such as mfa.")
_ACR = typer.Option([], "--acr", help="Classes of which each login must state one; '' for none.")


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(no_args_is_help=True, help="Identity providers that people log in by.")
    noun.command(
        "create",
        epilog="Example: strongroom provider create --merchant mer_01KAHX3MZ4V8Q2T6N0R5W7Y9CB --name Accounts "
        "--issuer https://shop.example/accounts --client-id strongroom --client-secret-file client.secret "
        "--domain shop.example --redirect https://shop.example/signed-in --amr mfa",
    )(create)
    noun.command(
        "list", epilog="Example: strongroom provider list --merchant mer_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
    )(list_)
    noun.command(
        "change",
        epilog=f"Example: strongroom provider change {_SAMPLE} --role-claim groups --role support=operator",
    )(change)
    noun.command("disable", epilog=f"Example: strongroom provider disable {_SAMPLE}")(disable)
    app.add_typer(noun, name="provider")


def create(
    *,
    merchant: str = _MERCHANT,
    name: str = typer.Option(help="Its name, for people: 1 to 100 characters."),
    issuer: str = typer.Option(help="Its issuer, exactly as it spells it."),
    client_id: str = typer.Option(help="As which client it knows this Strongroom."),
    client_secret_file: str = typer.Option(
        help="A private file with the client secret, or - for the next line of standard input."
    ),
    domain: list[str] = _DOMAIN,
    redirect: list[str] = _REDIRECT,
    role_claim: str = _CLAIM,
    role: list[str] = _ROLE,
    amr: list[str] = _AMR,
    acr: list[str] = _ACR,
    max_age_seconds: int = typer.Option(
        _MAX_AGE_SECONDS, help="How old the proof there may be; 0: it does not tell."
    ),
    creates_people: bool = typer.Option(
        False, "--creates-people", help="Make whoever is new at their first login."
    ),
    as_json: bool = _JSON,
) -> None:
    """Make a provider. Its client secret is sealed and never shown again."""
    from strongroom.identity import ProviderTerms

    by = _by(merchant)
    terms = ProviderTerms(
        name,
        issuer,
        client_id,
        tuple(sorted(set(domain))),
        _once(redirect),
        role_claim or None,
        _rules(role),
        _once(amr),
        _once(acr),
        max_age_seconds or None,
        creates_people,
    )
    secret = _secret(client_secret_file)

    async def work(book: "ProviderBook") -> "Provider":
        return await book.create(terms, secret, by)

    _say(with_providers(work), as_json=as_json)


def list_(*, merchant: str = _MERCHANT, as_json: bool = _JSON) -> None:
    """List a tenant's providers, the disabled too, without their secrets."""
    tenant = _owner(merchant)

    async def work(book: "ProviderBook") -> "list[Provider]":
        return list(await book.all(tenant))

    found = with_providers(work)
    if as_json:
        print_json([printed(each) for each in found])
    elif not found:
        out.print("no providers yet: strongroom provider create --help")
    else:
        _show(found)


def change(
    provider: str = _ID,
    *,
    merchant: str = _MERCHANT,
    name: str | None = typer.Option(None, help="Another name."),
    client_secret_file: str = typer.Option(
        "",
        help="A private file with a new client secret, or - for the next line of standard input.",
    ),
    domain: list[str] = _DOMAIN,
    redirect: list[str] = _REDIRECT,
    role_claim: str = _CLAIM,
    role: list[str] = _ROLE,
    no_roles: bool = typer.Option(
        False, "--no-roles", help="It gives no roles: everybody keeps the one they have."
    ),
    amr: list[str] = _AMR,
    acr: list[str] = _ACR,
    max_age_seconds: int | None = typer.Option(
        None, help="How old the proof there may be; 0: it does not tell."
    ),
    creates_people: bool | None = typer.Option(
        None,
        "--creates-people/--no-creates-people",
        help="Whether somebody new is made at their first login.",
    ),
    as_json: bool = _JSON,
) -> None:
    """Change a provider. What is left out stays; a list that is given takes the place of the one before."""
    if no_roles and (role_claim or role):
        raise typer.BadParameter("--no-roles, or --role-claim and --role: not both")
    provider_id, by = _provider_id(provider), _by(merchant)
    given: dict[str, Any] = {
        "name": name,
        "domains": tuple(sorted(set(domain))) or None,
        "redirects": _once(redirect) or None,
        "role_claim": role_claim or None,
        "roles": _rules(role) or None,
        "required_amr": _once(amr) if amr else None,
        "required_acr": _once(acr) if acr else None,
        "creates_people": creates_people,
    }
    chosen = {key: value for key, value in given.items() if value is not None}
    if no_roles:
        chosen |= {"role_claim": None, "roles": ()}
    if max_age_seconds is not None:
        chosen["max_age_seconds"] = max_age_seconds or None
    if not chosen and not client_secret_file:
        raise typer.BadParameter("nothing to change: see strongroom provider change --help")
    secret = _secret(client_secret_file) if client_secret_file else None

    def changed(before: "ProviderTerms") -> "ProviderTerms":
        return replace(before, **chosen)

    async def work(book: "ProviderBook") -> "Provider":
        return await book.change(provider_id, changed, secret, by)

    _say(with_providers(work), as_json=as_json)


def disable(provider: str = _ID, *, merchant: str = _MERCHANT, as_json: bool = _JSON) -> None:
    """End a provider for good, and the sessions of whoever logged in by it last. Safe to repeat."""
    provider_id, by = _provider_id(provider), _by(merchant)

    async def work(book: "ProviderBook") -> "Provider":
        return await book.disable(provider_id, by)

    _say(with_providers(work), as_json=as_json)


def printed(found: "Provider") -> dict[str, Any]:
    """Return a provider as JSON shows it."""
    from strongroom.kernel.clock import rfc3339

    terms = found.terms
    return {
        "id": found.provider_id,
        "object": "identity_provider",
        "merchant": found.merchant,
        "name": terms.name,
        "issuer": terms.issuer,
        "client_id": terms.client_id,
        "domains": list(terms.domains),
        "redirects": list(terms.redirects),
        "role_claim": terms.role_claim,
        "roles": [{"value": each.value, "role": each.role.value} for each in terms.roles],
        "required_amr": list(terms.required_amr),
        "required_acr": list(terms.required_acr),
        "max_age_seconds": terms.max_age_seconds,
        "creates_people": terms.creates_people,
        "status": found.status.value,
        "created_by": found.created_by,
        "created_at": rfc3339(found.created_at),
        "updated_at": rfc3339(found.updated_at),
    }


def _once(words: list[str]) -> tuple[str, ...]:
    """Return words without repetition; an empty one stands for none at all."""
    return tuple(dict.fromkeys(each for each in words if each))


def _rules(pairs: list[str]) -> "tuple[RoleRule, ...]":
    from strongroom.identity import RoleRule
    from strongroom.kernel.principal import Role

    people = {each.value: each for each in Role if each is not Role.SERVICE}
    rules = []
    for pair in pairs:
        value, _, role = pair.rpartition("=")
        if not value or role not in people:
            raise typer.BadParameter(f"--role is VALUE=ROLE, with a role of {', '.join(people)}")
        rules.append(RoleRule(value, people[role]))
    return tuple(rules)


def _secret(source: str) -> "Secret[str]":
    """Read a client secret from a private file, or the next line of standard input."""
    from strongroom.cli.client import read_key_file

    if source == _STANDARD_INPUT:
        return typed("Client secret")
    return read_key_file(Path(source))


def _owner(text: str) -> MerchantId:
    from strongroom.audit import PLATFORM
    from strongroom.cli.key import merchant_id

    return PLATFORM if text == PLATFORM else merchant_id(text)


def _by(merchant: str) -> "ProviderBy":
    from strongroom.audit import Origin
    from strongroom.cli.operating import actor
    from strongroom.identity import ProviderBy

    return ProviderBy(_owner(merchant), actor(), Origin())


def _provider_id(text: str) -> str:
    if not is_id("sso", text):
        raise typer.BadParameter("a provider's id is sso_ and 26 letters and digits")
    return text


def _say(provider: "Provider", *, as_json: bool) -> None:
    if as_json:
        print_json(printed(provider))
    else:
        out.print(f"[bold]{provider.provider_id}[/] is {provider.status.value}")


def _show(providers: "list[Provider]") -> None:
    shown = Table(box=None, pad_edge=False)
    for column in ("id", "status", "domains"):
        shown.add_column(column, no_wrap=True)
    for column in ("issuer", "name"):
        shown.add_column(column, overflow="fold")
    for each in providers:
        shown.add_row(
            each.provider_id,
            each.status,
            Text(", ".join(each.terms.domains)),
            Text(each.terms.issuer),
            Text(each.terms.name),
        )
    print_table(shown)
