# SPDX-License-Identifier: Apache-2.0
"""Which connection a payment goes through, and why. Pure: the same facts give the same order, whoever asks again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from strongroom.crypto import sha256
from strongroom.kernel.ids import ConnectionId
from strongroom.payments.route import Listed, Result, Route
from strongroom.payments.routing.rules import UNKNOWN, ActiveRules, Rule, When

_DRAW_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules may ask of a payment."""

    payment: str
    amount: int
    currency: str
    brand: str | None = None
    bin: str | None = None
    country: str = UNKNOWN
    funding: str = UNKNOWN
    stored_credential: str = "none"
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """The connections that one wish may go through, in their order."""

    by: Literal["default", "request", "rule"]
    order: tuple[ConnectionId, ...]
    version: int | None = None
    rule: str | None = None
    #: Without rules there is one attempt a wish.
    attempts_max: int = 1
    without_cvc: bool = False


@dataclass(frozen=True, slots=True)
class Tried:
    """Where an attempt of the wish went before, and what came of it."""

    connection: ConnectionId
    reason: str


def planned(
    active: ActiveRules | None,
    facts: Facts,
    *,
    wanted: ConnectionId | None,
    newest: ConnectionId | None,
) -> Plan:
    """Say where a payment may go: where the request says, else where the first rule that fits says, else the newest.

    Args:
        active: the merchant's rules; None: none.
        facts: the payment.
        wanted: the connection that the request names.
        newest: the newest connection that is active.
    """
    if wanted is not None:
        return Plan("request", (wanted,))
    for rule in () if active is None else active.rules:
        if active is not None and fits(rule.when, facts):
            return Plan(
                "rule",
                in_order(rule, facts.payment),
                active.version,
                rule.name,
                rule.attempts_max,
                rule.without_cvc,
            )
    version = None if active is None else active.version
    return Plan("default", () if newest is None else (newest,), version)


def fits(when: When, facts: Facts) -> bool:
    """Tell whether a rule is for a payment. What is not known of a card fits only where `unknown` is asked for."""
    amount = when.amount
    return (
        _among(facts.currency, when.currency)
        and _among(facts.brand, when.brand)
        and _among(facts.country, when.country)
        and _among(facts.funding, when.funding)
        and _among(facts.stored_credential, when.stored_credential)
        and (when.bin is None or (facts.bin or "-").startswith(tuple(when.bin)))
        and (amount is None or amount.min is None or facts.amount >= amount.min)
        and (amount is None or amount.max is None or facts.amount <= amount.max)
        and all(facts.metadata.get(key) in some for key, some in (when.metadata or {}).items())
    )


def in_order(rule: Rule, payment: str) -> tuple[ConnectionId, ...]:
    """Return a rule's connections, the one that the split begins at first. A payment's id always gives the same."""
    listed = [ConnectionId(each.connection) for each in rule.connections]
    total = sum(each.weight or 0 for each in rule.connections)
    if total == 0:
        return tuple(listed)
    left = drawn(payment, rule.name, total)
    for at, target in enumerate(rule.connections):
        left -= target.weight or 0
        if left < 0:
            return (listed[at], *listed[:at], *listed[at + 1 :])
    return tuple(listed)


def drawn(payment: str, rule: str, total: int) -> int:
    """Return a number from 0 to below `total`. Of its own for each rule, so that two splits are not the same one."""
    digest = sha256(f"{rule}\0{payment}".encode())
    return int.from_bytes(digest[:_DRAW_BYTES], "big") % total


def choose(
    plan: Plan, unusable: Mapping[ConnectionId, str], tried: Sequence[Tried] = ()
) -> tuple[ConnectionId | None, Route]:
    """Return the first connection that may be used and was not tried, and what became of every other.

    Args:
        plan: the connections in their order.
        unusable: those that may not be used now, and why.
        tried: where attempts of this wish went before.
    """
    before = {each.connection: each.reason for each in tried}
    chosen: ConnectionId | None = None
    listed: list[Listed] = []
    for each in plan.order:
        if each in before:
            listed.append(Listed(each, Result.TRIED, before[each]))
        elif chosen is not None:
            listed.append(Listed(each, Result.NOT_NEEDED))
        elif each in unusable:
            listed.append(Listed(each, Result.PASSED_OVER, unusable[each]))
        else:
            chosen = each
            listed.append(Listed(each, Result.CHOSEN))
    return chosen, Route(
        by=plan.by, version=plan.version, rule=plan.rule, connections=tuple(listed)
    )


def _among(word: str | None, some: Sequence[str] | None) -> bool:
    return some is None or word in some
