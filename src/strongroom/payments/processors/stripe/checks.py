# SPDX-License-Identifier: Apache-2.0
"""What Stripe tells of a card beside the outcome: the issuer's checks, and the scheme's id. Nothing of it decides."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from strongroom.payments.model import Check
from strongroom.payments.processors.stripe.wire import DetailsOut
from strongroom.payments.stored import readable_id

#: "one of `pass`, `fail`, `unavailable`, or `unchecked`".
_CHECKS: Final[Mapping[str | None, Check]] = {
    "fail": Check.MISMATCH,
    "pass": Check.MATCH,
    "unavailable": Check.UNAVAILABLE,
    "unchecked": Check.UNCHECKED,
}


class Checked(NamedTuple):
    """What is told beside an outcome; None: nothing."""

    scheme_transaction_id: str | None
    avs: Check | None
    cvc: Check | None


def checks_of(details: DetailsOut | None) -> Checked:
    """Return what is told of a card."""
    card = None if details is None else details.card
    if card is None:
        return Checked(None, None, None)
    told = card.checks
    if told is None:
        return Checked(readable_id(card.network_transaction_id), None, None)
    street = _CHECKS.get(told.address_line1_check)
    postal = _CHECKS.get(told.address_postal_code_check)
    return Checked(
        readable_id(card.network_transaction_id), _both(street, postal), _CHECKS.get(told.cvc_check)
    )


def _both(street: Check | None, postal: Check | None) -> Check | None:
    """Say in one word what was found of a street and a postal code."""
    if street is postal or postal is None:
        return street
    if street is None:
        return postal
    found = {street, postal}
    if Check.MATCH in found:
        return Check.PARTIAL
    return Check.MISMATCH if Check.MISMATCH in found else Check.UNAVAILABLE
