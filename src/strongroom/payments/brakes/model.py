# SPDX-License-Identifier: Apache-2.0
"""What a merchant can set about its brakes, and what is known of a payment that they look at. No card number."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NewType

import msgspec

from strongroom.kernel.ids import MerchantId
from strongroom.kernel.invariant import invariant
from strongroom.kernel.mode import Mode

EntryId = NewType("EntryId", str)
IncidentId = NewType("IncidentId", str)

#: In how many parts of its length a window is counted. The part that is ending counts whole, so a window is counted as
#: at most a twentieth longer than it is, never shorter.
WINDOW_PARTS: Final = 20
WINDOW_SECONDS_MIN: Final = 60
WINDOW_SECONDS_MAX: Final = 7 * 86_400
THRESHOLD_MAX: Final = 100_000
RULES_MAX: Final = 50
ENTRIES_MAX: Final = 10_000
#: How late another process may take up what was set.
TAKEN_UP_SECONDS: Final = 2.0

invariant(WINDOW_SECONDS_MIN % WINDOW_PARTS == 0, "the shortest window has parts of whole seconds")


class Brake(enum.StrEnum):
    """What a brake does, in the order of how much it holds back (`HARDNESS`)."""

    AUTHENTICATE = "authenticate"
    OBSERVE = "observe"
    REFUSE = "refuse"
    THROTTLE = "throttle"

    @property
    def holds_back(self) -> bool:
        """Whether the payment does not pass."""
        return self in (Brake.REFUSE, Brake.THROTTLE)


#: The softest first: of several brakes that hold, the hardest decides.
HARDNESS: Final = (Brake.OBSERVE, Brake.AUTHENTICATE, Brake.THROTTLE, Brake.REFUSE)


class Subject(enum.StrEnum):
    """Whose payments are counted together."""

    #: The customer's address, as the merchant gives it: an IPv4 address, or the /64 of an IPv6 address.
    ADDRESS = "address"
    #: The first six digits of the card.
    BIN = "bin"
    #: The card, by what may be shown of it.
    CARD = "card"
    #: The API key, person or service that asks.
    KEY = "key"


class Measure(enum.StrEnum):
    """What is counted."""

    #: Different cards: a card counts once a window.
    CARDS = "cards"
    DECLINES = "declines"
    #: Payments that were let through to a processor.
    TRIES = "tries"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """At most `threshold` of something from one subject in a window; what comes beyond it is acted upon."""

    name: str
    subject: Subject
    measure: Measure
    window_seconds: int
    threshold: int
    action: Brake


class Detection(msgspec.Struct, frozen=True, kw_only=True):
    """When payments look like somebody who tries cards, and what is done then."""

    #: `off`, `observe` (tell only) or `brake` (let few through, and ask these to authenticate).
    action: str = "off"
    window_seconds: int = 600
    #: So many new cards, or declines, from one address; from a key or a BIN the share of declines must fit, too.
    cards: int = 10
    declines: int = 10
    #: The share of tries that are declined, in percent, from which on a key or a BIN is suspicious.
    decline_percent: int = 50
    #: Below so many whole units of its currency an amount is small. Where half of them are, half the figures do.
    small_amount: int = 5
    #: While it lasts, one payment of the subject passes in so many seconds.
    pause_seconds: int = 10
    #: It ends when there was no sign for so long.
    calm_seconds: int = 900


class Policy(enum.StrEnum):
    """What becomes of an approval whose check says no."""

    IGNORE = "ignore"
    MARK = "mark"
    #: Released, or given back where it was captured already; the merchant is answered as for a decline.
    VOID = "void"


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What a merchant has set for a mode."""

    rules: tuple[Rule, ...] = ()
    card_testing: Detection = Detection()
    avs: Policy = Policy.IGNORE
    cvc: Policy = Policy.IGNORE

    @property
    def counts(self) -> bool:
        """Whether anything is counted."""
        return bool(self.rules) or self.card_testing.action != "off"


class Listing(enum.StrEnum):
    """The two lists."""

    ALLOW = "allow"
    BLOCK = "block"


class Kind(enum.StrEnum):
    """What an entry of a list names."""

    ADDRESS = "address"
    BIN = "bin"
    CARD = "card"
    CUSTOMER = "customer"
    EMAIL = "email"
    TOKEN = "token"  # noqa: S105 - a word


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is blocked or allowed. `value` of an e-mail address is a keyed hash."""

    entry_id: EntryId
    list: Listing
    kind: Kind
    value: str
    enforced: bool
    reason: str
    made_by: str
    made_at: datetime
    expires_at: datetime | None = None

    def is_alive(self, now: datetime) -> bool:
        """Whether it still counts."""
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True, slots=True)
class Facts:
    """What brakes know of a payment: nothing that is not known outside the vault anyhow."""

    amount: int
    #: How many decimals its currency has.
    exponent: int
    token: str
    bin: str
    #: BIN, last four and expiry: what may be shown of a card, and the same for each of its tokens.
    card: str
    #: Who asks: the key's, person's or service's id; None: nobody does, it is a retry.
    key: str | None
    #: The customer's, as the merchant gave it.
    address: str | None = None
    email_hash: str | None = None
    customer: str | None = None

    def subjects(self) -> Mapping[Subject, str]:
        """Say under what it is counted; what is not known is not."""
        known = {
            Subject.BIN: self.bin,
            Subject.CARD: self.card,
            Subject.KEY: self.key,
            Subject.ADDRESS: self.address,
        }
        return {subject: value for subject, value in known.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Counter:
    """What is to be counted of a subject, and how much may pass; None: as much as there is."""

    subject: Subject
    value: str
    window: int
    tries_max: int | None = None
    declines_max: int | None = None
    cards_max: int | None = None
    watches_cards: bool = False


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a subject was counted in a window. `recent`: in its newest quarter."""

    tries: int = 0
    declines: int = 0
    cards: int = 0
    small: int = 0
    #: Whether this card was not seen of the subject in the window.
    new_card: bool = False
    recent_tries: int = 0
    recent_declines: int = 0


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """An incident that lasts, of one of a payment's subjects."""

    id: IncidentId
    subject: Subject
    until: datetime
    next_pass_at: datetime


@dataclass(frozen=True, slots=True)
class Tripped:
    """A brake that holds: of which subject, and what it does."""

    name: str
    subject: Subject | None
    action: Brake


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a payment before a processor is asked."""

    #: None: nothing holds.
    action: Brake | None = None
    #: Which brakes hold, whatever they do.
    tripped: Sequence[Tripped] = ()
    #: Of a throttled payment: when asking again may help, in seconds.
    retry_after_seconds: int = 0

    @property
    def passes(self) -> bool:
        """Whether a processor may be asked."""
        return self.action is None or not self.action.holds_back

    @property
    def challenge(self) -> bool:
        """Whether the customer has to prove who they are."""
        return self.action is Brake.AUTHENTICATE


@dataclass(frozen=True, slots=True)
class Signs:
    """That somebody tries cards, and what says so."""

    subject: Subject
    value: str
    words: Sequence[str]
    counts: Counts


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """Card testing that was noticed, as its row is."""

    merchant_id: MerchantId
    mode: Mode
    incident_id: IncidentId
    subject: Subject
    value: str
    signs: str
    tries: int
    declines: int
    cards: int
    held: int
    passed: int
    started_at: datetime
    last_sign_at: datetime
    until: datetime
    ended_at: datetime | None = None
    ended_by: str | None = None
