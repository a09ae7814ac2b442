# SPDX-License-Identifier: Apache-2.0
"""What a caller says who wants to see a card, and what is kept of it."""

import enum
from dataclasses import dataclass, field
from datetime import datetime

from strongroom.vault.reveal.recipient import Recipient


class Purpose(enum.StrEnum):
    """What a card is shown for: a word of the audit record. A word once shipped is never given another meaning.

    PCI DSS 3.4.1 and 3.4.2 ask for a legitimate business need that is documented; this is where it is stated.
    """

    #: A disputed payment is answered, and the scheme's or acquirer's form wants the whole number.
    DISPUTE = "dispute"
    #: Somebody looks into fraud with this card.
    FRAUD_REVIEW = "fraud_review"
    #: A court, an authority or the card's holder has a right to it (a subject access request, a warrant).
    LEGAL_REQUEST = "legal_request"
    #: A system that no forward reaches takes the number: an old terminal, a file for a partner.
    LEGACY_SYSTEM = "legacy_system"
    #: A payment is keyed in by hand where the processor's own connection is down.
    MANUAL_PAYMENT = "manual_payment"
    #: Two books do not agree, and only the whole number tells which payment is which.
    RECONCILIATION = "reconciliation"
    #: Something of ours is broken, and nothing less than the number shows what.
    TROUBLESHOOTING = "troubleshooting"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of one token."""

    purpose: Purpose
    #: In the caller's words; kept where it can be erased, and in no record.
    note: str | None = field(default=None, repr=False)
    #: Whose eyes alone it is for; None: the answer holds the number itself.
    recipient: Recipient | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a reveal, besides its audit record."""

    event_id: str
    token_id: str
    caller: str
    purpose: str
    note: str | None
    revealed_at: datetime


@dataclass(frozen=True, slots=True)
class Stop:
    """A caller who revealed too much at once."""

    caller: str
    count: int
    stopped_at: datetime
    ends_at: datetime
    lifted_at: datetime | None
    lifted_by: str | None

    def holds(self, now: datetime) -> bool:
        """Tell whether the caller may reveal nothing now."""
        return self.lifted_at is None and now < self.ends_at
