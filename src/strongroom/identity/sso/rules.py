# SPDX-License-Identifier: Apache-2.0
"""Decides what a provider may be, and which role its word gives. Pure; refuses when in doubt."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from strongroom.identity.sso.model import Identified, ProviderTerms
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.principal import Role

DOMAINS_MAX: Final = 20
REDIRECTS_MAX: Final = 5
ROLES_MAX: Final = 50
STATEMENTS_MAX: Final = 10
WORD_CHARACTERS_MAX: Final = 200
MAX_AGE_SECONDS_MAX: Final = 12 * 60 * 60
#: Accepted on the clock of another machine.
LEEWAY_SECONDS: Final = 60

#: The kinds of factor behind the words of RFC 8176 §2. `sms` and `tel` are none here: numbers are stolen.
_KNOWS: Final = frozenset("pwd pin kba".split())
_HAS: Final = frozenset("otp hwk swk sc pop".split())
_IS: Final = frozenset("face fpt iris retina vbm".split())
_DOMAIN: Final = re.compile(
    r"(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]"
)
#: Without TLS only the person's own machine (RFC 8252 §7.3); no query, which the provider would add to.
_REDIRECT: Final = re.compile(
    r"(?:https://[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|http://(?:localhost|127\.0\.0\.1|\[::1\]))"
    r"(?::[0-9]{1,5})?/[A-Za-z0-9._~/-]{0,200}"
)
_WORD: Final = re.compile(r"[!-~]{1,200}")


def has_several_factors(methods: Collection[str]) -> bool:
    """Tell whether these words of RFC 8176 say that at least two kinds of factor were shown (PCI DSS 8.4, 8.5)."""
    if "mfa" in methods:
        return True
    return sum(not kind.isdisjoint(methods) for kind in (_KNOWS, _HAS, _IS)) > 1


def require_sound(terms: ProviderTerms) -> None:
    """Let through a provider that can be kept.

    Raises:
        Invalid: names every field that is wrong.
    """
    if faults := list(_faults(terms)):
        raise Invalid(*faults)


def _faults(terms: ProviderTerms) -> Iterator[FieldError]:
    if not 0 < len(terms.name.strip()) <= 100 or not terms.name.isprintable():  # noqa: PLR2004
        yield FieldError("/name", "name_malformed", "a name has 1 to 100 printable characters")
    if has_cardlike(terms.name):
        yield FieldError("/name", "card_number_refused", "the name looks like a card number")
    if _WORD.fullmatch(terms.client_id) is None:
        yield FieldError("/client_id", "value_wrong", "a client id has no blanks")
    if not 0 < len(terms.domains) <= DOMAINS_MAX or not all(map(_DOMAIN.fullmatch, terms.domains)):
        yield FieldError(
            "/domains", "domain_malformed", f"1 to {DOMAINS_MAX} domains in lower case"
        )
    if not 0 < len(terms.redirects) <= REDIRECTS_MAX or not all(
        map(_REDIRECT.fullmatch, terms.redirects)
    ):
        yield FieldError(
            "/redirects",
            "redirect_malformed",
            f"1 to {REDIRECTS_MAX} addresses https://host[:port]/path (http:// on loopback)",
        )
    yield from _faults_of_roles(terms)
    yield from _faults_of_factors(terms)


def _faults_of_roles(terms: ProviderTerms) -> Iterator[FieldError]:
    if (terms.role_claim is None) != (not terms.roles):
        yield FieldError("/roles", "roles_incomplete", "a role claim and its values go together")
    if terms.role_claim is not None and _WORD.fullmatch(terms.role_claim) is None:
        yield FieldError("/role_claim", "value_wrong", "a claim's name has no blanks")
    if len(terms.roles) > ROLES_MAX or any(
        not 0 < len(each.value) <= WORD_CHARACTERS_MAX for each in terms.roles
    ):
        yield FieldError("/roles", "value_wrong", f"at most {ROLES_MAX} values")
    if any(each.role is Role.SERVICE for each in terms.roles):
        yield FieldError("/roles", "role_wrong", "a person is never a service")
    if terms.creates_people and not terms.roles:
        yield FieldError(
            "/creates_people", "roles_missing", "whom a provider makes gets its role from `roles`"
        )


def _faults_of_factors(terms: ProviderTerms) -> Iterator[FieldError]:
    for field, words in (("amr", terms.required_amr), ("acr", terms.required_acr)):
        if len(words) > STATEMENTS_MAX or not all(map(_WORD.fullmatch, words)):
            yield FieldError(f"/required_{field}", "value_wrong", f"at most {STATEMENTS_MAX} words")
    if not terms.required_acr and not has_several_factors(terms.required_amr):
        yield FieldError(
            "/required_amr",
            "mfa_statement_missing",
            "say which `amr` (mfa, or two kinds of factor) or `acr` proves several factors",
        )
    if terms.max_age_seconds is not None and not 0 < terms.max_age_seconds <= MAX_AGE_SECONDS_MAX:
        yield FieldError(
            "/max_age_seconds", "value_wrong", f"1 to {MAX_AGE_SECONDS_MAX} seconds, or null"
        )


def domain_of(address: str) -> str | None:
    """Return the domain of an e-mail address in lower case, or None if it has none that we take."""
    local, _, domain = address.rpartition("@")
    domain = domain.lower()
    return domain if local and _DOMAIN.fullmatch(domain) is not None else None


def may_vouch(terms: ProviderTerms, email: str | None) -> bool:
    """Tell whether an address is of the domains that a provider vouches for. A subdomain is another domain."""
    return email is not None and domain_of(email) in terms.domains


def mapped_role(terms: ProviderTerms, person: Identified) -> Role | None:
    """Return the role that the provider's word gives: the first rule whose value is there. None: it gives none."""
    if terms.role_claim is None:
        return None
    values = _texts(person.claims.get(terms.role_claim))
    return next((each.role for each in terms.roles if each.value in values), None)


def meets(terms: ProviderTerms, claims: Mapping[str, Any]) -> bool:
    """Tell whether a token says that the factors were shown that this provider must say.

    `acr` is one text, `amr` a list of texts (OpenID Connect Core 1.0 §2): anything else is no statement.
    """
    amr = claims.get("amr")
    stated = _texts(amr) if isinstance(amr, list) else frozenset()
    if not set(terms.required_amr) <= stated:
        return False
    acr = claims.get("acr")
    return not terms.required_acr or (isinstance(acr, str) and acr in terms.required_acr)


def _texts(value: object) -> frozenset[str]:
    if isinstance(value, str):
        return frozenset({value})
    if isinstance(value, list):
        return frozenset(each for each in value if isinstance(each, str))
    return frozenset()
