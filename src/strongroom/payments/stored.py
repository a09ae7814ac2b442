# SPDX-License-Identifier: Apache-2.0
"""What the schemes want to know of a payment with a stored card: who begins it, why, and whether it is the first.

Pure. The first payment with a card that is to be stored has a scheme's transaction id, which later ones name.
"""

import enum
import re
from typing import Final

import msgspec

from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.errors import FieldError, Invalid

AT: Final = "/stored_credential"
#: As the vault keeps one beside a card.
_ID: Final = re.compile(r"[A-Za-z0-9 ]{1,64}")


class Initiator(enum.StrEnum):
    """Who begins a payment."""

    CUSTOMER = "customer"
    #: Nobody is there: no security code, and nobody who could pass a challenge.
    MERCHANT = "merchant"


class StoredReason(enum.StrEnum):
    """Why a card is stored, or used again."""

    INSTALMENT = "instalment"
    #: The customer pays with a card that they stored before, or stores one to pay faster.
    ONE_OFF = "one_off"
    #: At fixed intervals.
    RECURRING = "recurring"
    #: Agreed on, but not when and how much: a top-up.
    UNSCHEDULED = "unscheduled"


class Stage(enum.StrEnum):
    """Whether a payment begins a series."""

    INITIAL = "initial"
    LATER = "later"


class StoredCredential(msgspec.Struct, frozen=True):
    """What a payment says of its stored card. Given when it is made, and never changed."""

    initiator: Initiator
    reason: StoredReason
    stage: Stage
    #: Of the first payment of the series, where the merchant knows it better than the token does.
    scheme_transaction_id: str | None = None

    @property
    def by_merchant(self) -> bool:
        """Whether nobody is there."""
        return self.initiator is Initiator.MERCHANT

    @property
    def begins(self) -> bool:
        """Whether it is the first of a series: its approval names what later ones refer to."""
        return self.stage is Stage.INITIAL


#: What is said of a card that a customer saved, where nothing else is said of it.
CARD_ON_FILE: Final = StoredCredential(Initiator.CUSTOMER, StoredReason.ONE_OFF, Stage.LATER)


def checked(wanted: StoredCredential | None) -> StoredCredential | None:
    """Return what a merchant says of a stored card, if it can be.

    Raises:
        Invalid: a series begins with its customer, and without an earlier id; a merchant has no payment of once.
    """
    if wanted is None:
        return None
    wrong = []
    if wanted.by_merchant and wanted.begins:
        wrong.append(_wrong("stage", "a series begins with a payment of the customer's"))
    if wanted.by_merchant and wanted.reason is StoredReason.ONE_OFF:
        wrong.append(_wrong("reason", "what a merchant begins is of a series, or unscheduled"))
    given = wanted.scheme_transaction_id
    if given is not None and wanted.begins:
        wrong.append(_wrong("scheme_transaction_id", "the first payment has none before it"))
    if given is not None and has_cardlike(given):
        wrong.append(
            FieldError(
                f"{AT}/scheme_transaction_id",
                "card_number_refused",
                "this holds what looks like a card number",
            )
        )
    if wrong:
        raise Invalid(*wrong)
    return wanted


def wished(
    given: msgspec.Struct | None, amount: int, capture_method: str, cvc: str | None
) -> StoredCredential | None:
    """Read what a wish for a payment says of a stored card.

    Raises:
        Invalid: it cannot be; or an amount of 0 is to be captured later.
    """
    if not amount and capture_method != "automatic":
        raise Invalid(
            FieldError("/capture_method", "nothing_to_capture", "an amount of 0 is never captured")
        )
    stored = (
        None if given is None else msgspec.convert(given, StoredCredential, from_attributes=True)
    )
    require_nobody_asked(stored, cvc)
    return checked(stored)


def reference_for(stored: StoredCredential | None, known: str | None) -> str | None:
    """Return the scheme's id of the first payment, for a later one: the merchant's word, else what the token knows.

    Raises:
        Invalid: nobody is there, and nobody knows what was agreed to.
    """
    if stored is None or stored.begins:
        return None
    found = stored.scheme_transaction_id or known
    if stored.by_merchant and found is None:
        raise Invalid(
            FieldError(
                f"{AT}/scheme_transaction_id",
                "initial_payment_unknown",
                "what a merchant begins refers to a first payment: neither its token nor this names one",
            )
        )
    return found


def require_nobody_asked(stored: StoredCredential | None, cvc: str | None) -> None:
    """Refuse a security code where nobody is there who could have typed it.

    Raises:
        Invalid: a payment that the merchant begins carries one.
    """
    if stored is not None and stored.by_merchant and cvc is not None:
        raise Invalid(
            FieldError("/cvc", "cvc_refused", "what a merchant begins carries no security code")
        )


def _wrong(member: str, detail: str) -> FieldError:
    return FieldError(f"{AT}/{member}", "stored_credential_wrong", detail)


def readable_id(told: str | None) -> str | None:
    """Return what a processor calls a scheme's transaction id, where it can be one and may be kept; else None.

    It decides over no money: what is not one is left out, and the payment is believed all the same.
    """
    if told is None or not _ID.fullmatch(told) or has_cardlike(told):
        return None
    return told
