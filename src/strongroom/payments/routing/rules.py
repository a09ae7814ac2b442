# SPDX-License-Identifier: Apache-2.0
"""A merchant's routing rules, as they are written, kept and shown. Amounts are minor units of the one currency named.

The first rule that fits a payment says which connections it may go through, in their order. What a rule does not
mention does not narrow it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from strongroom.kernel.errors import FieldError, Invalid
from strongroom.payments.wire import Amount, Currency, MetadataKey

RULES_MAX: Final = 50
CONNECTIONS_MAX: Final = 10
ATTEMPTS_MAX: Final = 5
#: What a country or a kind of funding is called where no range of the merchant's says more.
UNKNOWN: Final = "unknown"

_NAME: Final = r"^[a-z0-9][a-z0-9_-]{0,39}$(?!\n)"
ConnectionText = Annotated[str, Meta(min_length=30, max_length=30, description="con_…")]
Country = Annotated[
    str,
    Meta(pattern=r"^([A-Z]{2}|unknown)$(?!\n)", description="ISO 3166-1 alpha-2, or unknown"),
]
Funding = Literal["credit", "debit", "prepaid", "unknown"]
StoredCredential = Literal["customer", "merchant", "none"]
_Some = Meta(min_length=1, max_length=100)


class AmountRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """From one amount to another, both included."""

    min: Amount | None = None
    max: Amount | None = None


class When(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a payment must be for a rule to fit: one word of each list that is given."""

    currency: Annotated[list[Currency], _Some] | None = None
    #: Needs exactly one currency: the same number is another amount in another one.
    amount: AmountRange | None = None
    brand: Annotated[list[Annotated[str, Meta(pattern=r"^[a-z_]{1,40}$(?!\n)")]], _Some] | None = (
        None
    )
    #: How the card's number begins; up to six digits.
    bin: Annotated[list[Annotated[str, Meta(pattern=r"^[0-9]{1,6}$(?!\n)")]], _Some] | None = None
    #: Of the issuer, as the merchant's ranges say.
    country: Annotated[list[Country], _Some] | None = None
    funding: Annotated[list[Funding], _Some] | None = None
    #: Who begins the payment, where it or its token says that the card is stored.
    stored_credential: Annotated[list[StoredCredential], _Some] | None = None
    #: One value of each key.
    metadata: (
        Annotated[
            dict[MetadataKey, Annotated[list[Annotated[str, Meta(max_length=500)]], _Some]],
            Meta(min_length=1, max_length=10),
        ]
        | None
    ) = None


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A connection of a rule. Of those with a weight, which stand first, a share of the payments begins at each."""

    connection: ConnectionText
    weight: Annotated[int, Meta(ge=1, le=1_000)] | None = None


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where payments of a kind go."""

    name: Annotated[str, Meta(pattern=_NAME)]
    connections: Annotated[list[Target], Meta(min_length=1, max_length=CONNECTIONS_MAX)]
    when: When = When()
    #: How many of them one request tries at most; 1 is no failover.
    attempts_max: Annotated[int, Meta(ge=1, le=ATTEMPTS_MAX)] = 3
    #: Whether a payment goes on without its CVC, where that was spent at the connection before.
    without_cvc: bool = False


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rules in their order: the first that fits is followed. None: as without rules."""

    rules: Annotated[list[Rule], Meta(max_length=RULES_MAX)]


@dataclass(frozen=True, slots=True)
class ActiveRules:
    """The rules that hold, and which version they are."""

    version: int
    rules: tuple[Rule, ...]

    @property
    def ask_for_ranges(self) -> bool:
        """Whether any of them narrows by what only ranges of card numbers tell."""
        return any(each.when.country or each.when.funding for each in self.rules)


def require_sound(rules: Rules, connections: Mapping[str, str]) -> None:
    """Refuse rules that cannot mean what they say. `connections` are the merchant's own, by id.

    That no card number stands in them is the edge's part, as of every body.

    Raises:
        Invalid: naming each member that does not fit.
    """
    errors: list[FieldError] = []
    names: set[str] = set()
    for at, rule in enumerate(rules.rules):
        place = f"/rules/{at}"
        if rule.name in names:
            errors.append(FieldError(f"{place}/name", "name_taken", "two rules have this name"))
        names.add(rule.name)
        errors += _of_amount(rule.when, place)
        errors += _of_targets(rule, place, connections)
    if errors:
        raise Invalid(*errors)


def _of_amount(when: When, place: str) -> list[FieldError]:
    amount = when.amount
    if amount is None:
        return []
    place = f"{place}/when/amount"
    errors = []
    if len(when.currency or ()) != 1:
        errors.append(FieldError(place, "currency_missing", "an amount is of one currency"))
    if amount.min is not None and amount.max is not None and amount.min > amount.max:
        errors.append(FieldError(place, "range_empty", "nothing lies between these amounts"))
    return errors


def _of_targets(rule: Rule, place: str, connections: Mapping[str, str]) -> list[FieldError]:
    errors = []
    seen: set[str] = set()
    for at, target in enumerate(rule.connections):
        where = f"{place}/connections/{at}"
        if target.connection in seen:
            errors.append(FieldError(where, "connection_twice", "it stands in this rule before"))
        seen.add(target.connection)
        if target.connection not in connections:
            errors.append(FieldError(where, "connection_unknown", "there is no such connection"))
        before = rule.connections[at - 1] if at else None
        if target.weight is not None and before is not None and before.weight is None:
            errors.append(FieldError(where, "weight_misplaced", "those with a weight stand first"))
    return errors
