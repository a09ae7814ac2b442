# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of brakes. Unknown fields are refused; no card number goes in, and no e-mail address comes out."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from strongroom.kernel.clock import rfc3339
from strongroom.kernel.events import EventType
from strongroom.payments.brakes.model import (
    RULES_MAX,
    THRESHOLD_MAX,
    WINDOW_SECONDS_MAX,
    WINDOW_SECONDS_MIN,
    Brake,
    Detection,
    Entry,
    Incident,
    Kind,
    Listing,
    Measure,
    Policy,
    Rule,
    Setting,
    Subject,
    Verdict,
)
from strongroom.payments.brakes.store import Present
from strongroom.payments.customer_wire import CustomerEmail, CustomerIp
from strongroom.payments.wire import (
    NO_NUL,
    Amount,
    Currency,
    TokenText,
)

Name = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z_]{0,47}[0-9]{0,3}$(?!\n)",
        max_length=51,
        description="lower-case letters, _ and up to three digits at its end",
    ),
]
Seconds = Annotated[int, Meta(ge=WINDOW_SECONDS_MIN, le=WINDOW_SECONDS_MAX)]
Threshold = Annotated[int, Meta(ge=1, le=THRESHOLD_MAX)]


class RuleShape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most `threshold` of what `measure` says from one subject in `window_seconds`; beyond it `action` is done."""

    name: Name
    subject: Subject
    measure: Measure = Measure.TRIES
    window_seconds: Seconds
    threshold: Threshold
    action: Brake


class DetectionShape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When payments look like somebody who tries cards: docs/explain/payments.md says how it is noticed."""

    action: Literal["off", "observe", "brake"] = "off"
    window_seconds: Seconds = 600
    cards: Annotated[int, Meta(ge=2, le=THRESHOLD_MAX)] = 10
    declines: Annotated[int, Meta(ge=2, le=THRESHOLD_MAX)] = 10
    decline_percent: Annotated[int, Meta(ge=1, le=100)] = 50
    small_amount: Annotated[
        int, Meta(ge=0, le=1_000, description="whole units of the currency")
    ] = 5
    pause_seconds: Annotated[int, Meta(ge=1, le=3_600)] = 10
    calm_seconds: Annotated[int, Meta(ge=60, le=86_400)] = 900


class ChecksShape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of an approval whose AVS or CVC did not match."""

    avs: Policy = Policy.IGNORE
    cvc: Policy = Policy.IGNORE


class BrakesIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a merchant sets for a mode; it takes the place of what was set before."""

    #: The version that this was made from (0: none was set): another one meanwhile is a conflict.
    version: Annotated[int, Meta(ge=0)]
    rules: Annotated[list[RuleShape], Meta(max_length=RULES_MAX)] = []
    card_testing: DetectionShape = DetectionShape()
    checks: ChecksShape = ChecksShape()


class BrakesOut(msgspec.Struct, frozen=True, kw_only=True):
    """What a merchant has set for a mode."""

    object: Literal["brakes"] = "brakes"
    mode: str
    version: int
    rules: list[RuleShape]
    card_testing: DetectionShape
    checks: ChecksShape
    set_by: str | None
    set_at: str | None


class EntryIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody to block or to allow."""

    list: Listing
    kind: Kind
    #: A token (for `token`, and for `card`: the card that it stands for), a BIN, an address or a network, an e-mail
    #: address, a customer's id.
    value: Annotated[str, Meta(min_length=1, max_length=254, pattern=NO_NUL)]
    reason: Annotated[str, Meta(min_length=1, max_length=200, pattern=NO_NUL)]
    #: Until when; without it, until it is removed.
    expires_in_seconds: Annotated[int, Meta(ge=1, le=10 * 366 * 86_400)] | None = None


class EnforcedIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody to block against every allowance: as an entry of the list `block`."""

    kind: Kind
    value: Annotated[str, Meta(min_length=1, max_length=254, pattern=NO_NUL)]
    reason: Annotated[str, Meta(min_length=1, max_length=200, pattern=NO_NUL)]
    expires_in_seconds: Annotated[int, Meta(ge=1, le=10 * 366 * 86_400)] | None = None

    def as_entry(self) -> EntryIn:
        """Return the entry that it is."""
        return EntryIn(
            list=Listing.BLOCK,
            kind=self.kind,
            value=self.value,
            reason=self.reason,
            expires_in_seconds=self.expires_in_seconds,
        )


class EntryOut(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is blocked or allowed. The value of an e-mail address is a hash."""

    id: str
    object: Literal["brake_entry"] = "brake_entry"
    list: str
    kind: str
    value: str
    enforced: bool
    reason: str
    made_by: str
    made_at: str
    expires_at: str | None


class EntryPage(msgspec.Struct, frozen=True):
    """A page of entries, newest first."""

    data: list[EntryOut]
    has_more: bool
    next_cursor: str | None


class IncidentOut(msgspec.Struct, frozen=True, kw_only=True):
    """Card testing that was noticed. `held` and `passed`: payments of the subject since."""

    id: str
    object: Literal["card_testing"] = "card_testing"
    subject: str
    value: str
    signs: list[str]
    tries: int
    declines: int
    cards: int
    held: int
    passed: int
    started_at: str
    last_sign_at: str
    until: str
    ended_at: str | None
    ended_by: str | None


class IncidentPage(msgspec.Struct, frozen=True):
    """A page of incidents, newest first."""

    data: list[IncidentOut]
    has_more: bool
    next_cursor: str | None


class CardTestingEvent(msgspec.Struct, frozen=True):
    """What an event about card testing carries."""

    incident: IncidentOut


#: What the `data` of each event of brakes is.
EVENT_DATA: Final[Mapping[EventType, type[msgspec.Struct]]] = {
    EventType.INCIDENT_BEGAN: CardTestingEvent,
    EventType.INCIDENT_ENDED: CardTestingEvent,
}


class TrialIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A payment that nobody makes: what brakes would say of it."""

    amount: Amount
    currency: Currency
    token: TokenText
    customer_ip: CustomerIp | None = None
    customer_email: CustomerEmail | None = None
    #: Which of your customers would pay (cus_…); where none is named, no entry of a customer holds.
    customer: Annotated[str, Meta(min_length=1, max_length=40, pattern=NO_NUL)] | None = None
    #: Who would ask; without it, whoever asks this.
    key: Annotated[str, Meta(min_length=1, max_length=40, pattern=NO_NUL)] | None = None


class TrippedOut(msgspec.Struct, frozen=True):
    """A brake that would hold; `subject` is null where a list does."""

    name: str
    subject: str | None
    action: str


class TrialOut(msgspec.Struct, frozen=True, kw_only=True):
    """What brakes would say; nothing was counted."""

    object: Literal["brake_test"] = "brake_test"
    #: None: nothing holds, and the payment would be sent.
    action: str | None
    would_be_sent: bool
    retry_after_seconds: int
    tripped: list[TrippedOut]


def setting_of(wanted: BrakesIn) -> Setting:
    """Read what is to be set."""
    return Setting(
        rules=tuple(Rule(**msgspec.structs.asdict(each)) for each in wanted.rules),
        card_testing=Detection(**msgspec.structs.asdict(wanted.card_testing)),
        avs=wanted.checks.avs,
        cvc=wanted.checks.cvc,
    )


def brakes_out(present: Present, mode: str) -> BrakesOut:
    """Print what is set."""
    setting = present.setting
    return BrakesOut(
        mode=mode,
        version=present.version,
        rules=[RuleShape(**msgspec.structs.asdict(each)) for each in setting.rules],
        card_testing=msgspec.convert(msgspec.structs.asdict(setting.card_testing), DetectionShape),
        checks=ChecksShape(avs=setting.avs, cvc=setting.cvc),
        set_by=present.set_by,
        set_at=None if present.set_at is None else rfc3339(present.set_at),
    )


def entry_out(entry: Entry) -> EntryOut:
    """Print an entry."""
    return EntryOut(
        id=entry.entry_id,
        list=entry.list,
        kind=entry.kind,
        value=entry.value,
        enforced=entry.enforced,
        reason=entry.reason,
        made_by=entry.made_by,
        made_at=rfc3339(entry.made_at),
        expires_at=None if entry.expires_at is None else rfc3339(entry.expires_at),
    )


def incident_out(incident: Incident) -> IncidentOut:
    """Print an incident."""
    return IncidentOut(
        id=incident.incident_id,
        subject=incident.subject,
        value=incident.value,
        signs=incident.signs.split(),
        tries=incident.tries,
        declines=incident.declines,
        cards=incident.cards,
        held=incident.held,
        passed=incident.passed,
        started_at=rfc3339(incident.started_at),
        last_sign_at=rfc3339(incident.last_sign_at),
        until=rfc3339(incident.until),
        ended_at=None if incident.ended_at is None else rfc3339(incident.ended_at),
        ended_by=incident.ended_by,
    )


def trial_out(verdict: Verdict) -> TrialOut:
    """Print what brakes would say."""
    return TrialOut(
        action=None if verdict.action is None else verdict.action.value,
        would_be_sent=verdict.passes,
        retry_after_seconds=verdict.retry_after_seconds,
        tripped=[
            TrippedOut(
                each.name, None if each.subject is None else each.subject.value, each.action.value
            )
            for each in verdict.tripped
        ],
    )
