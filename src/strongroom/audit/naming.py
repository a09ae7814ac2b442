# SPDX-License-Identifier: Apache-2.0
"""How one record names several tokens (ADR-0027), and how to read them from any record. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from strongroom.audit.actions import TOKEN_FACTS, TOKENS_A_FACT, grouped
from strongroom.kernel.invariant import invariant

_PREFIX: Final = "tok_"


def token_facts(tokens: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the facts that name tokens, given as id and last four digits; at most 32 of them."""
    invariant(
        0 < len(tokens) <= len(TOKEN_FACTS) * TOKENS_A_FACT, "a record names a bounded number"
    )
    names = [f"{_grouped(token)}:{last4}" for token, last4 in tokens]
    begins = range(0, len(names), TOKENS_A_FACT)
    return {
        fact: ",".join(names[at : at + TOKENS_A_FACT])
        for fact, at in zip(TOKEN_FACTS, begins, strict=False)
    }


def tokens_named(details: Mapping[str, str | int], thing: str | None) -> dict[str, str]:
    """Return the tokens that a record names, each with its last four, from its details and what it was done to.

    A token that is the record's object has the last four of the details, or none.
    """
    if thing is not None:
        is_token = thing.startswith(_PREFIX)
        return {thing: str(details.get("last4", ""))} if is_token else {}
    found = {}
    for fact in TOKEN_FACTS:
        for name in filter(None, str(details.get(fact, "")).split(",")):
            token, _, last4 = name.partition(":")
            found[_PREFIX + token.replace("-", "")] = last4
    return found


def _grouped(token: str) -> str:
    return grouped(token).partition("-")[2]
