# SPDX-License-Identifier: Apache-2.0
"""What payments call: one question before an authorization is started, and one word where its answer is saved.

To ask:
 1. Read what the merchant has set, a moment old at most. Who has set nothing is asked nothing.
 2. Look at the lists.
 3. Count, in one statement for all payments that ask at once, and decide by what was counted before.
 4. Notice card testing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Final

import msgspec

from strongroom.audit import Action, Origin, Recorder
from strongroom.crypto import hmac_sha256
from strongroom.db.group_commit import GroupWriter
from strongroom.kernel.addresses import AddressMalformed, parse_address
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid, StrongroomError
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.invariant import invariant
from strongroom.kernel.mode import Mode
from strongroom.kernel.money import Money
from strongroom.kernel.secret import Secret
from strongroom.keys import DataKeys, KeyName
from strongroom.payments.brakes.decisions import (
    BLOCKED,
    WATCHED,
    checks_policy,
    counters,
    decide,
    is_small,
    listed,
    signs,
    subject_address,
)
from strongroom.payments.brakes.model import (
    TAKEN_UP_SECONDS,
    Brake,
    Counts,
    Entry,
    Facts,
    Listing,
    Setting,
    Signs,
    Subject,
    Tripped,
    Verdict,
)
from strongroom.payments.brakes.store import (
    QUERIES,
    ROUND,
    Asked,
    BrakeStore,
    Said,
    sign_seen,
)
from strongroom.payments.brakes.wire import CardTestingEvent, incident_out
from strongroom.payments.declines import Advice
from strongroom.payments.errors import PaymentThrottled
from strongroom.payments.model import Attempt, Outcome
from strongroom.telemetry.brake_metrics import BrakeMetrics
from strongroom.telemetry.log import Log
from strongroom.vault import CardFacts
from strongroom.webhooks import make_event

_REMEMBERED_MAX: Final = 10_000
_FINGERPRINT_BYTES: Final = 16
_LETTERS: Final = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
#: An incident is prolonged in the database at most so often.
_PROLONGED_EVERY: Final = timedelta(seconds=5)

Tenant = tuple[MerchantId, Mode]


@dataclass(frozen=True, slots=True)
class Shopper:
    """What the merchant says of its customer; kept by nobody as it is."""

    ip: str | None
    email: str | None


@dataclass(frozen=True, slots=True)
class Asking:
    """A payment that is about to be charged."""

    merchant: MerchantId
    mode: Mode
    #: Who asks: the key's, person's or service's id.
    key: str
    payment: str
    money: Money
    card: CardFacts
    shopper: Shopper
    #: Who pays, where the payment names its customer.
    customer: str | None = None
    #: The merchant begins it with a stored card: no customer is there.
    nobody_there: bool = False


@dataclass(frozen=True, slots=True)
class Guarded:
    """What brakes say of a payment."""

    verdict: Verdict
    #: What its attempt keeps: what is to become of an approval whose checks say no.
    checks_policy: str | None = None

    #: Nobody is there who could prove who they are.
    nobody_there: bool = False

    @property
    def refused(self) -> Tripped | None:
        """The brake that refuses it; None: it may be sent."""
        action = self.verdict.action
        refuses = action is Brake.REFUSE or (action is Brake.AUTHENTICATE and self.nobody_there)
        if not refuses:
            return None
        return next(each for each in self.verdict.tripped if each.action is action)


NOTHING_HELD: Final = Guarded(Verdict())


@dataclass(frozen=True, slots=True)
class GuardParts:
    """What the brakes of one process take."""

    store: BrakeStore
    writer: GroupWriter[Asked, Said]
    recorder: Recorder
    keys: DataKeys
    clock: Clock
    log: Log
    metrics: BrakeMetrics


class Brakes:
    """The brakes of one process."""

    def __init__(self, parts: GuardParts) -> None:
        self._parts = parts
        self._known: dict[Tenant, tuple[float, Setting, Sequence[Entry]]] = {}
        self._prolonged: dict[tuple[Tenant, Subject, str], datetime] = {}

    def forget(self, merchant: MerchantId, mode: Mode) -> None:
        """Read what a merchant has set anew the next time."""
        self._known.pop((merchant, mode), None)

    async def ask(self, asking: Asking) -> Guarded:
        """Say whether a payment may be sent, and count it where it may.

        Raises:
            PaymentThrottled: not now.
            Invalid: what is said of the customer is no address.
            Unavailable: the database does not answer; nothing is let through then.
        """
        address = read_address(asking.shopper.ip)
        setting, entries = await self._in_force(asking.merchant, asking.mode)  # (1)
        if not setting.counts and not entries:
            return Guarded(Verdict(), checks_policy(setting))
        now = self._parts.clock.now()
        facts = await self.facts(asking, address)
        on = listed(entries, facts, now)  # (2)
        if on is Listing.ALLOW:
            self._parts.metrics.decided(asking.mode.value, "pass")
            # Whom a merchant lets through still has the card checked: an allowance is of lists and rules.
            return Guarded(Verdict(), checks_policy(setting))
        if on is Listing.BLOCK:
            blocked = Tripped(BLOCKED, None, Brake.REFUSE)
            return self._told(asking, Guarded(Verdict(Brake.REFUSE, (blocked,))))
        verdict = await self._counted(asking, facts, setting, now) if setting.counts else Verdict()
        guarded = self._told(
            asking, Guarded(verdict, checks_policy(setting), nobody_there=asking.nobody_there)
        )
        if verdict.action is Brake.THROTTLE:
            raise PaymentThrottled(verdict.retry_after_seconds)
        return guarded

    async def blocks_again(
        self, merchant: MerchantId, mode: Mode, card: CardFacts, customer: str | None
    ) -> bool:
        """Tell whether a list refuses that a card is tried again, by its token, its BIN or its customer.

        For the worker, which has no key for fingerprints (ADR 10): entries of kind `card` are not seen.
        """
        _, entries = await self._in_force(merchant, mode)
        facts = Facts(
            amount=0,
            exponent=0,
            token=card.token,
            bin=card.bin,
            card="",
            key=None,
            customer=customer,
        )
        return listed(entries, facts, self._parts.clock.now()) is Listing.BLOCK

    async def settled(self, attempt: Attempt) -> None:
        """Count the decline of an authorization, once, however it was learnt. What fails here holds nobody up."""
        if not attempt.operation.authorizes or attempt.outcome is not Outcome.DECLINED:
            return
        if attempt.advice == Advice.OTHER_PROCESSOR:
            return  # the issuer was not asked: nothing of the card is known by that
        try:
            setting, _ = await self._in_force(attempt.merchant_id, attempt.mode)
            if not setting.counts:
                return
            now = self._parts.clock.now()
            for each in await self._parts.store.decline(
                attempt.merchant_id, attempt.mode, attempt.payment_id, now
            ):
                if each.window == setting.card_testing.window_seconds:
                    tenant = attempt.merchant_id, attempt.mode
                    await self._notice(tenant, setting, each.subject, each.value, each, now)
        except StrongroomError as error:
            self._parts.log.emit(
                "error",
                "payments.decline_not_counted",
                {"transaction_id": attempt.payment_id, "code": error.code},
            )

    async def facts(self, asking: Asking, address: str | None) -> Facts:
        """Say what brakes know of a payment. `address`: as `read_address` returns it."""
        email, card = asking.shopper.email, asking.card
        hashing = await self.hashing(asking.merchant, asking.mode)
        return Facts(
            amount=asking.money.minor_units,
            exponent=asking.money.exponent,
            token=card.token,
            bin=card.bin,
            card=hashing.card(card),
            key=asking.key,
            address=address,
            email_hash=None if email is None else hashing.email(email),
            customer=asking.customer,
        )

    async def hashing(self, merchant: MerchantId, mode: Mode) -> "Hashing":
        """Return what makes a merchant's fingerprints."""
        keys = self._parts.keys
        key = keys.cached(merchant, mode, KeyName.CUSTOMER_HASH)
        if key is None:
            key = await keys.current(merchant, mode, KeyName.CUSTOMER_HASH)
        return Hashing(key.secret)

    async def _in_force(self, merchant: MerchantId, mode: Mode) -> tuple[Setting, Sequence[Entry]]:
        known = self._known.get((merchant, mode))
        if known is not None and monotonic() - known[0] < TAKEN_UP_SECONDS:
            return known[1], known[2]
        asked_at = monotonic()
        setting, entries = await self._parts.store.in_force(merchant, mode, self._parts.clock.now())
        if len(self._known) > _REMEMBERED_MAX:
            self._known.clear()
        self._known[merchant, mode] = (asked_at, setting, entries)
        return setting, entries

    async def _counted(
        self, asking: Asking, facts: Facts, setting: Setting, now: datetime
    ) -> Verdict:
        wanted, detection = counters(setting, facts), setting.card_testing
        subjects = facts.subjects()
        brakes = detection.action == "brake"
        said = await self._parts.writer.write(
            Asked(
                merchant=asking.merchant,
                mode=asking.mode,
                now=now,
                payment=asking.payment,
                card=facts.card,
                small=is_small(detection, facts.amount, facts.exponent),
                counters=wanted,
                incidents=[(each, subjects[each]) for each in WATCHED if each in subjects]
                if brakes
                else [],
                pause_seconds=detection.pause_seconds,
                keeps_seconds=max((each.window for each in wanted), default=0),
            )
        )  # (3)
        verdict = decide(setting, list(zip(wanted, said.counts, strict=True)), said.incidents, now)
        invariant(verdict.passes is said.passes, "what passes is what is counted")
        for counter, before in zip(wanted, said.counts, strict=True):  # (4)
            if counter.window == detection.window_seconds:
                counts = _with_this(before) if said.passes else before
                tenant = asking.merchant, asking.mode
                await self._notice(tenant, setting, counter.subject, counter.value, counts, now)
        return verdict

    async def _notice(
        self,
        tenant: Tenant,
        setting: Setting,
        subject: Subject,
        value: str,
        counts: Counts,
        now: datetime,
    ) -> None:
        """Begin an incident where there are signs of one, or let the one that lasts last longer.

        It is in the database before the payment that showed it goes on, so the next one meets it.
        """
        seen = signs(setting.card_testing, subject, value, counts)
        last = self._prolonged.get((tenant, subject, value))
        if seen is None or (last is not None and now < last + _PROLONGED_EVERY):
            return
        begun = await self._begin(tenant, seen, now, setting)
        if len(self._prolonged) > _REMEMBERED_MAX:
            self._prolonged.clear()
        self._prolonged[tenant, subject, value] = now
        if begun:
            self._parts.metrics.testing(tenant[1].value, subject.value)

    async def _begin(self, tenant: Tenant, seen: Signs, now: datetime, setting: Setting) -> bool:
        parts, (merchant, mode) = self._parts, tenant
        calm = timedelta(seconds=setting.card_testing.calm_seconds)
        async with parts.store.database.transaction([merchant]) as tx:
            incident, begun = await sign_seen(tx, merchant, mode, seen, now, calm)
            if begun:
                record = parts.recorder.make(
                    Action.PAYMENTS_CARD_TESTING_NOTICED,
                    actor=ROUND,
                    merchant=merchant,
                    mode=mode,
                    thing=incident.incident_id,
                    origin=Origin(),
                    now=now,
                    details={
                        "reason": f"of_{seen.subject.value}",
                        "count": seen.counts.tries,
                        "refused": seen.counts.declines,
                    },
                )
                await parts.recorder.insert(tx, record)
                event = make_event(
                    EventType.INCIDENT_BEGAN,
                    incident.incident_id,
                    CardTestingEvent(incident_out(incident)),
                    mode,
                    now,
                )
                await tx.row(
                    QUERIES["tell_event"],
                    merchant,
                    mode,
                    event.id,
                    event.type.value,
                    event.object_id,
                    event.payload,
                    now,
                )
        return begun

    def _told(self, asking: Asking, guarded: Guarded) -> Guarded:
        """Count and log what brakes decided."""
        verdict, metrics = guarded.verdict, self._parts.metrics
        metrics.decided(asking.mode.value, verdict.action.value if verdict.action else "pass")
        for each in verdict.tripped:
            subject = "list" if each.subject is None else each.subject.value
            metrics.tripped(subject, each.action.value)
            self._parts.log.emit(
                "info",
                "payments.braked",
                {
                    "merchant_id": asking.merchant,
                    "mode": asking.mode.value,
                    "user_id": asking.key,
                    "action": each.action.value,
                    "check": each.name,
                    "outcome": subject,
                },
            )
        return guarded


@dataclass(frozen=True, slots=True)
class Hashing:
    """Makes fingerprints under a key of one merchant and mode. Letters only, so that none looks like a number."""

    key: Secret[bytes]

    def card(self, card: CardFacts) -> str:
        """Return a card's: of what may be shown of it, so that all its tokens have the same.

        Without its expiry: who has a number and no expiry tries one after another.
        """
        return self._letters(f"card:{card.bin} {card.last4}".encode())

    def email(self, email: str) -> str:
        """Return an e-mail address's, whatever the case of its letters."""
        return self._letters(b"email:" + email.strip().lower().encode())

    def _letters(self, text: bytes) -> str:
        digest = hmac_sha256(self.key.expose(), text)[:_FINGERPRINT_BYTES]
        return digest.hex().translate(_LETTERS)


def read_address(text: str | None) -> str | None:
    """Return under what a customer's address is counted.

    Raises:
        Invalid: it is none.
    """
    if text is None:
        return None
    try:
        return subject_address(str(parse_address(text)))
    except AddressMalformed as error:
        raise Invalid(FieldError("/customer_ip", "address_wrong", str(error))) from None


def _with_this(before: Counts) -> Counts:
    return msgspec.structs.replace(
        before, tries=before.tries + 1, cards=before.cards + before.new_card
    )
