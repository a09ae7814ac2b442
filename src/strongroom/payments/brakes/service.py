# SPDX-License-Identifier: Apache-2.0
"""What a merchant sets, blocks and allows. Every change commits with its audit record."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from strongroom.audit import Action, NewRecord, Origin, Recorder
from strongroom.crypto.ids import new_id
from strongroom.kernel.addresses import AddressMalformed, parse_network
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import Denied, FieldError, Invalid
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import MerchantId, TokenId, is_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.money import Money
from strongroom.kernel.principal import Principal
from strongroom.payments.brakes.decisions import decide, listed
from strongroom.payments.brakes.guard import Asking, Brakes, Shopper, read_address
from strongroom.payments.brakes.model import (
    Brake,
    Entry,
    EntryId,
    Incident,
    IncidentId,
    Kind,
    Listing,
    Tripped,
    Verdict,
)
from strongroom.payments.brakes.store import (
    QUERIES,
    ROUND,
    BrakeStore,
    Present,
    add_entry,
    add_setting,
    end_incident,
    entry_by_id,
    remove_entry,
)
from strongroom.payments.brakes.trial import counts_of
from strongroom.payments.brakes.wire import (
    BrakesIn,
    CardTestingEvent,
    EntryIn,
    TrialIn,
    incident_out,
    setting_of,
)
from strongroom.payments.errors import BrakesChanged, EntryUnknown, IncidentUnknown, ListFull
from strongroom.vault import Forwarder
from strongroom.webhooks import make_event

BIN_DIGITS: Final = 6
PAGE_ROWS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class By:
    """Who changes something, and whence."""

    principal: Principal
    origin: Origin

    @property
    def tenant(self) -> tuple[MerchantId, Mode]:
        """Whose it is."""
        return self.principal.merchant, self.principal.mode


class BrakeService:
    """Brakes for the routes of one process."""

    def __init__(
        self,
        *,
        store: BrakeStore,
        brakes: Brakes,
        forwarder: Forwarder,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self.store = store
        self._brakes = brakes
        self._forwarder = forwarder
        self._recorder = recorder
        self._clock = clock

    async def set(self, wanted: BrakesIn, by: By) -> Present:
        """Put what counts from now on in the place of what did.

        Raises:
            BrakesChanged: another version stands there by now.
            Invalid: two rules have one name.
        """
        names = [each.name for each in wanted.rules]
        if len(set(names)) != len(names):
            raise Invalid(FieldError("/rules", "name_twice", "every rule has a name of its own"))
        merchant, mode = by.tenant
        now = self._clock.now()
        present = await self.store.setting(merchant, mode)
        if present.version != wanted.version:
            raise BrakesChanged
        following = Present(wanted.version + 1, setting_of(wanted), by.principal.actor, now)
        record = self._record(
            Action.PAYMENTS_BRAKES_CHANGED,
            by,
            None,
            now,
            {
                "count": len(wanted.rules),
                "key_version": following.version,
                "state": wanted.card_testing.action,
            },
        )
        async with self.store.database.transaction([merchant]) as tx:
            if not await add_setting(tx, merchant, mode, following):
                raise BrakesChanged
            await self._recorder.insert(tx, record)
        self._brakes.forget(merchant, mode)
        return following

    async def add(self, wanted: EntryIn, by: By, *, enforced: bool = False) -> Entry:
        """Block or allow somebody. `enforced`: no allowance overrides it.

        Raises:
            Invalid: the value is none of its kind.
            ListFull, TokenUnknown: see each.
        """
        if has_cardlike(wanted.reason):
            raise Invalid(
                FieldError("/reason", "card_number_refused", "a reason holds no card number")
            )
        merchant, mode = by.tenant
        now = self._clock.now()
        life = wanted.expires_in_seconds
        entry = Entry(
            entry_id=EntryId(new_id("blk")),
            list=wanted.list,
            kind=wanted.kind,
            value=await self._value(wanted, merchant, mode),
            enforced=enforced,
            reason=wanted.reason,
            made_by=by.principal.actor,
            made_at=now,
            expires_at=None if life is None else now + timedelta(seconds=life),
        )
        record = self._listed(entry, by, now, "added")
        async with self.store.database.transaction([merchant]) as tx:
            if not await add_entry(tx, merchant, mode, entry):
                raise ListFull
            await self._recorder.insert(tx, record)
        self._brakes.forget(merchant, mode)
        return entry

    async def remove(self, entry_id: str, by: By, *, enforced: bool = False) -> None:
        """Take an entry off its list; an enforced block takes who may put one.

        Raises:
            EntryUnknown: there is none of this kind.
            Denied: it is an enforced block.
        """
        merchant, mode = by.tenant
        if not is_id("blk", entry_id):
            raise EntryUnknown
        now = self._clock.now()
        async with self.store.database.transaction([merchant]) as tx:
            entry = await entry_by_id(tx, merchant, mode, EntryId(entry_id))
            if entry is None or (enforced and not entry.enforced):
                raise EntryUnknown
            if entry.enforced and not enforced:
                raise Denied("a block that is enforced is lifted where it was put")
            if not await remove_entry(tx, merchant, mode, entry.entry_id):
                raise EntryUnknown
            await self._recorder.insert(tx, self._listed(entry, by, now, "removed"))
        self._brakes.forget(merchant, mode)

    async def end(self, incident_id: str, by: By) -> Incident:
        """End an incident before it is over: a person has looked.

        Raises:
            IncidentUnknown: there is none that lasts.
        """
        if not is_id("inc", incident_id):
            raise IncidentUnknown
        ended = await ended_incident(
            self.store,
            self._recorder,
            by.tenant,
            IncidentId(incident_id),
            self._clock.now(),
            actor=by.principal.actor,
            origin=by.origin,
        )
        if ended is None:
            raise IncidentUnknown
        return ended

    async def trial(self, wanted: TrialIn, by: By) -> Verdict:
        """Say what brakes would say of a payment, and count nothing.

        Raises:
            Invalid, TokenUnknown: see each.
        """
        merchant, mode = by.tenant
        money = Money(wanted.amount, wanted.currency)
        address = read_address(wanted.customer_ip)
        card = await self._forwarder.describe(merchant, mode, TokenId(wanted.token))
        now = self._clock.now()
        asking = Asking(
            merchant,
            mode,
            wanted.key or by.principal.subject,
            "",
            money,
            card,
            Shopper(wanted.customer_ip, wanted.customer_email),
            customer=wanted.customer and _customer("/customer", wanted.customer),
        )
        facts = await self._brakes.facts(asking, address)
        setting, entries = await self.store.in_force(merchant, mode, now)
        on = listed(entries, facts, now)
        if on is Listing.ALLOW:
            return Verdict()
        if on is Listing.BLOCK:
            return Verdict(Brake.REFUSE, (Tripped("blocked", None, Brake.REFUSE),))
        counted, incidents = await counts_of(self.store, merchant, mode, setting, facts, now)
        return decide(setting, counted, incidents, now)

    async def _value(self, wanted: EntryIn, merchant: MerchantId, mode: Mode) -> str:
        """Return what a payment's facts are compared with.

        A customer's id is looked at for its form alone, since brakes have no port to the customers: an entry for an id
        that nobody has holds nothing.

        Raises:
            Invalid: it is none of its kind.
            TokenUnknown: there is no such token.
        """
        if wanted.kind is Kind.ADDRESS:
            try:
                return str(parse_network(wanted.value))
            except AddressMalformed as error:
                raise _wrong(str(error)) from None
        if wanted.kind is Kind.BIN:
            if not (wanted.value.isascii() and wanted.value.isdecimal()) or (
                len(wanted.value) != BIN_DIGITS
            ):
                raise _wrong("a BIN is the first six digits of a card")
            return wanted.value
        if wanted.kind is Kind.EMAIL:
            if "@" not in wanted.value:
                raise _wrong("an e-mail address has an @")
            return (await self._brakes.hashing(merchant, mode)).email(wanted.value)
        if wanted.kind is Kind.CUSTOMER:
            return _customer("/value", wanted.value)
        card = await self._forwarder.describe(merchant, mode, TokenId(wanted.value))
        if wanted.kind is Kind.TOKEN:
            return card.token
        return (await self._brakes.hashing(merchant, mode)).card(card)

    def _listed(self, entry: Entry, by: By, now: datetime, what: str) -> NewRecord:
        return self._record(
            Action.PAYMENTS_LIST_CHANGED,
            by,
            entry.entry_id,
            now,
            {
                "operation": what,
                "result": "enforced" if entry.enforced else entry.list.value,
                "reason": entry.kind.value,
            },
        )

    def _record(
        self,
        action: Action,
        by: By,
        thing: str | None,
        now: datetime,
        details: dict[str, str | int],
    ) -> NewRecord:
        merchant, mode = by.tenant
        return self._recorder.make(
            action,
            actor=by.principal.actor,
            merchant=merchant,
            mode=mode,
            thing=thing,
            origin=by.origin,
            now=now,
            details=details,
        )


async def ended_incident(
    store: BrakeStore,
    recorder: Recorder,
    tenant: tuple[MerchantId, Mode],
    incident_id: IncidentId,
    now: datetime,
    *,
    actor: str,
    origin: Origin,
) -> Incident | None:
    """End an incident, with its record and its event in the same commit; None: it has ended, or goes on."""
    merchant, mode = tenant
    async with store.database.transaction([merchant]) as tx:
        ended = await end_incident(tx, merchant, mode, incident_id, now, actor)
        if ended is None:
            return None
        record = recorder.make(
            Action.PAYMENTS_CARD_TESTING_ENDED,
            actor=actor,
            merchant=merchant,
            mode=mode,
            thing=incident_id,
            origin=origin,
            now=now,
            details={"count": ended.held},
        )
        await recorder.insert(tx, record)
        event = make_event(
            EventType.INCIDENT_ENDED,
            incident_id,
            CardTestingEvent(incident_out(ended)),
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
    return ended


class Round:
    """The worker's round: ends incidents that are over, and removes what does not count any more."""

    def __init__(self, store: BrakeStore, recorder: Recorder, clock: Clock) -> None:
        self._store = store
        self._recorder = recorder
        self._clock = clock

    async def run(self) -> int:
        """Go round once; return how many incidents were ended. Safe beside itself in another process."""
        now = self._clock.now()
        ended = 0
        for merchant, mode, incident in await self._store.over(now):
            found = await ended_incident(
                self._store,
                self._recorder,
                (merchant, mode),
                incident,
                now,
                actor=ROUND,
                origin=Origin(),
            )
            ended += found is not None
        await self._store.sweep(now)
        return ended


def _customer(field: str, given: str) -> str:
    """Return a customer's id as it was given.

    Raises:
        Invalid: it has not the form of one.
    """
    if not is_id("cus", given):
        raise _wrong("a customer is named by its id: cus_ and what follows", field)
    return given


def _wrong(why: str, field: str = "/value") -> Invalid:
    return Invalid(FieldError(field, "value_wrong", why))
