# SPDX-License-Identifier: Apache-2.0
"""Customers for the routes: load, decide, save, with a record of each change in its transaction.

What the key store may be asked for is sealed before a transaction begins, and opened after it ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import msgspec
from msgspec import UNSET

from strongroom.audit import Action, Recorder
from strongroom.crypto.ids import new_id
from strongroom.db.pool import Database, Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import CustomerId, MandateId, TokenId, is_id
from strongroom.payments.connections import By
from strongroom.payments.customers import store
from strongroom.payments.customers.errors import (
    CardNotSaved,
    CustomerFull,
    CustomerUnknown,
    MandateUnknown,
)
from strongroom.payments.customers.model import (
    CARDS_MAX,
    MANDATES_MAX,
    Customer,
    Evidence,
    Mandate,
    MandateMethod,
    MandateStatus,
    Personal,
    SavedCard,
)
from strongroom.payments.customers.sealing import (
    EVIDENCE_FIELD,
    PERSONAL_FIELD,
    CustomerSealer,
    Sealed,
)
from strongroom.payments.customers.store import QUERIES, CustomerRow, MandateRow
from strongroom.payments.customers.wire import (
    CustomerChangeIn,
    CustomerErased,
    CustomerIn,
    MandateIn,
    MandateRevokedEvent,
    SavedCardIn,
)
from strongroom.vault import Forwarder
from strongroom.webhooks import make_event

_encode: Final = msgspec.json.Encoder(order="sorted").encode
_PERSONAL: Final = Personal.__struct_fields__


@dataclass(frozen=True, slots=True)
class Shown:
    """A saved card, and the mandate that holds for it, or the last that did."""

    card: SavedCard
    mandate: Mandate | None


class CustomerService:
    """Customers, saved cards and mandates of one process."""

    def __init__(
        self,
        *,
        database: Database,
        sealer: CustomerSealer,
        forwarder: Forwarder,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._forwarder = forwarder
        self._recorder = recorder
        self._clock = clock

    # --- customers --------------------------------------------------------------------------------------

    async def create(self, wish: CustomerIn, by: By) -> Customer:
        """Make a customer.

        Raises:
            KeyStoreUnavailable: what is personal cannot be sealed now.
        """
        now, name = self._clock.now(), CustomerId(new_id("cus"))
        personal = Personal(wish.name, wish.email, wish.phone)
        sealed = await self._seal(by, name, personal)
        metadata = wish.metadata or {}
        async with self._database.transaction([by.merchant]) as tx:
            await tx.run(
                QUERIES["insert_customer"],
                by.merchant,
                by.mode,
                name,
                wish.reference,
                _encode(metadata).decode(),
                *sealed,
                now,
            )
            await self._record(tx, Action.PAYMENTS_CUSTOMER_CREATED, by, name, now)
        return Customer(
            by.merchant, by.mode, name, wish.reference, metadata, personal, None, now, now
        )

    async def read(self, customer: str, by: By) -> Customer:
        """Return a customer. Raises CustomerUnknown, CustomerUnreadable."""
        _require_form(customer)
        async with self._database.transaction([by.merchant]) as read:
            row = await store.one(read, (by.merchant, by.mode), customer)
        return await self._opened(row)

    async def page(
        self, by: By, before: str | None, reference: str | None, limit: int
    ) -> tuple[Sequence[Customer], str | None]:
        """Return a page, newest first, and the cursor of the next if there is one."""
        async with self._database.transaction([by.merchant]) as read:
            rows = await store.page(read, (by.merchant, by.mode), before, reference, limit + 1)
        found = [await self._opened(row) for row in rows[:limit]]
        return found, found[-1].customer_id if len(rows) > limit else None

    async def change(self, customer: str, wish: CustomerChangeIn, by: By) -> Customer:
        """Change what is given.

        Raises:
            CustomerUnknown, CustomerUnreadable, KeyStoreUnavailable: see each.
        """
        given = {
            name: getattr(wish, name)
            for name in wish.__struct_fields__
            if getattr(wish, name) is not UNSET
        }
        known = await self.read(customer, by)
        changed = msgspec.structs.replace(
            known.personal, **{name: given[name] for name in _PERSONAL if name in given}
        )
        after = replace(
            known,
            personal=changed,
            reference=given.get("reference", known.reference),
            metadata=given["metadata"] or {} if "metadata" in given else known.metadata,
            updated_at=self._clock.now(),
        )
        sealed = await self._seal(by, known.customer_id, changed)
        async with self._database.transaction([by.merchant]) as tx:
            held = await store.one(tx, (by.merchant, by.mode), customer, held=True)
            if held.customer.updated_at != known.updated_at:
                # Somebody else's change is not overwritten by what was read before it.
                raise Invalid(FieldError("", "changed_meanwhile", "read it again, and change that"))
            await tx.run(
                QUERIES["change_customer"],
                by.merchant,
                by.mode,
                customer,
                after.reference,
                _encode(dict(after.metadata)).decode(),
                *sealed,
                after.updated_at,
            )
            await self._record(tx, Action.PAYMENTS_CUSTOMER_CHANGED, by, customer, after.updated_at)
        return after

    async def erase(self, customer: str, by: By) -> None:
        """Erase who somebody is, with their saved cards and from where they agreed. Raises CustomerUnknown.

        Payments that name the customer keep the id, which then stands for nobody.
        """
        _require_form(customer)
        now, scope = self._clock.now(), (by.merchant, by.mode)
        async with self._database.transaction([by.merchant]) as tx:
            await store.one(tx, scope, customer, held=True)
            saved = await store.cards(tx, scope, customer)
            await tx.run(QUERIES["erase_mandates"], *scope, customer, now)
            await tx.run(QUERIES["erase_cards"], *scope, customer)
            await tx.row(QUERIES["erase_customer"], *scope, customer, now)
            await self._record(tx, Action.PAYMENTS_CUSTOMER_ERASED, by, customer, now)
            told = CustomerErased(customer, len(saved))
            event = make_event(EventType.CUSTOMER_ERASED, customer, told, by.mode, now)
            await store.publish(tx, scope, event, now)

    # --- cards ------------------------------------------------------------------------------------------

    async def save_card(self, customer: str, wish: SavedCardIn, by: By) -> Shown:
        """Save a card of a customer; one that is saved already may become the one they pay with.

        Raises:
            CustomerUnknown, CustomerFull, TokenUnknown: see each.
            Invalid: the token is for one use; verify it or charge it first.
        """
        _require_form(customer)
        facts = await self._forwarder.describe(by.merchant, by.mode, TokenId(wish.token))
        if facts.single_use:
            raise Invalid(
                FieldError(
                    "/token", "token_single_use", "charge it or verify it first: then it lasts"
                )
            )
        now, scope = self._clock.now(), (by.merchant, by.mode)
        async with self._database.transaction([by.merchant]) as tx:
            await store.one(tx, scope, customer, held=True)
            there = await store.cards(tx, scope, customer)
            if len(there) >= CARDS_MAX and all(each.token_id != facts.token for each in there):
                raise CustomerFull
            card = SavedCard(
                CustomerId(customer),
                facts.token,
                facts.brand,
                facts.bin,
                facts.last4,
                facts.exp_month,
                facts.exp_year,
                wish.default or not there,
                now,
            )
            await store.save_card(tx, scope, card)
            await self._record(tx, Action.PAYMENTS_CARD_SAVED, by, facts.token, now)
        return await self.card(customer, facts.token, by)

    async def cards(self, customer: str, by: By) -> Sequence[Shown]:
        """Return a customer's saved cards, newest first. Raises CustomerUnknown."""
        _require_form(customer)
        scope = by.merchant, by.mode
        async with self._database.transaction([by.merchant]) as read:
            await store.one(read, scope, customer)
            found = await store.cards(read, scope, customer)
            agreed = await store.mandates(read, scope, customer)
        return [Shown(card, _mandate_of(card, agreed)) for card in found]

    async def card(self, customer: str, token: str, by: By) -> Shown:
        """Return a saved card. Raises CustomerUnknown, CardNotSaved."""
        for shown in await self.cards(customer, by):
            if shown.card.token_id == token:
                return shown
        raise CardNotSaved

    async def forget_card(self, customer: str, token: str, by: By) -> None:
        """Save a card no more, and revoke what was agreed to with it. The token stays in the vault.

        Raises:
            CustomerUnknown, CardNotSaved: see each.
        """
        _require_form(customer)
        now, scope = self._clock.now(), (by.merchant, by.mode)
        async with self._database.transaction([by.merchant]) as tx:
            await store.one(tx, scope, customer, held=True)
            if await tx.row(QUERIES["forget_card"], *scope, customer, token) is None:
                raise CardNotSaved
            await self._record(tx, Action.PAYMENTS_CARD_REMOVED, by, token, now)
            rows = await tx.rows(QUERIES["revoke_mandates_of_card"], *scope, customer, token, now)
            for row in rows:
                await self._revoked(tx, by, customer, token, row["mandate_id"], now)

    # --- mandates ---------------------------------------------------------------------------------------

    async def agree(self, customer: str, wish: MandateIn, by: By) -> Mandate:
        """Write down what a customer agreed to, with a card that they saved.

        Raises:
            CustomerUnknown, CardNotSaved, CustomerFull: see each.
            Invalid: it is said to have been agreed to later than now.
        """
        _require_form(customer)
        now, scope = self._clock.now(), (by.merchant, by.mode)
        agreed_at = wish.agreed_at or now
        if agreed_at.tzinfo is None or agreed_at > now:
            raise Invalid(FieldError("/agreed_at", "moment_out_of_range", "nobody agrees tomorrow"))
        evidence = Evidence(wish.ip_address, wish.user_agent)
        name = MandateId(new_id("mnd"))
        sealed = await self._sealer.seal(*scope, name, EVIDENCE_FIELD, evidence)
        method = MandateMethod(wish.method)
        async with self._database.transaction([by.merchant]) as tx:
            await store.one(tx, scope, customer, held=True)
            saved = await store.cards(tx, scope, customer)
            if all(each.token_id != wish.token for each in saved):
                raise CardNotSaved
            if len(await store.mandates(tx, scope, customer)) >= MANDATES_MAX:
                raise CustomerFull
            await tx.run(
                QUERIES["insert_mandate"],
                *scope,
                name,
                customer,
                wish.token,
                method.value,
                wish.text_version,
                agreed_at,
                *sealed,
                now,
            )
            await self._record(tx, Action.PAYMENTS_MANDATE_CREATED, by, name, now)
        return Mandate(
            name,
            CustomerId(customer),
            TokenId(wish.token),
            MandateStatus.ACTIVE,
            method,
            wish.text_version,
            agreed_at,
            evidence,
            now,
            None,
        )

    async def mandates(self, customer: str, by: By) -> Sequence[Mandate]:
        """Return a customer's mandates, newest first. Raises CustomerUnknown, CustomerUnreadable."""
        _require_form(customer)
        async with self._database.transaction([by.merchant]) as read:
            await store.one(read, (by.merchant, by.mode), customer)
            rows = await store.mandates(read, (by.merchant, by.mode), customer)
        return [
            replace(
                row.mandate,
                evidence=await self._sealer.open(
                    by.merchant,
                    by.mode,
                    row.mandate.mandate_id,
                    EVIDENCE_FIELD,
                    row.sealed,
                    Evidence,
                ),
            )
            for row in rows
        ]

    async def revoke(self, customer: str, mandate: str, by: By) -> Mandate:
        """Revoke a mandate: from here on nothing is begun with it. Safe to repeat.

        Raises:
            CustomerUnknown, MandateUnknown: see each.
        """
        _require_form(customer)
        now, scope = self._clock.now(), (by.merchant, by.mode)
        async with self._database.transaction([by.merchant]) as tx:
            await store.one(tx, scope, customer, held=True)
            row = await tx.row(QUERIES["revoke_mandate"], *scope, customer, mandate, now)
            if row is not None:
                await self._revoked(tx, by, customer, row["token_id"], mandate, now)
        for found in await self.mandates(customer, by):
            if found.mandate_id == mandate:
                return found
        raise MandateUnknown

    async def _revoked(
        self, tx: Transaction, by: By, customer: str, token: str, mandate: str, now: datetime
    ) -> None:
        await self._record(tx, Action.PAYMENTS_MANDATE_REVOKED, by, mandate, now)
        told = MandateRevokedEvent(mandate, customer, token)
        event = make_event(EventType.MANDATE_REVOKED, mandate, told, by.mode, now)
        await store.publish(tx, (by.merchant, by.mode), event, now)

    async def _seal(self, by: By, customer: CustomerId, personal: Personal) -> Sealed:
        return await self._sealer.seal(by.merchant, by.mode, customer, PERSONAL_FIELD, personal)

    async def _opened(self, row: CustomerRow) -> Customer:
        known = row.customer
        personal = await self._sealer.open(
            known.merchant_id, known.mode, known.customer_id, PERSONAL_FIELD, row.sealed, Personal
        )
        return replace(known, personal=personal)

    async def _record(
        self, tx: Transaction, action: Action, by: By, thing: str, now: datetime
    ) -> None:
        record = self._recorder.make(
            action,
            actor=by.actor,
            merchant=by.merchant,
            mode=by.mode,
            thing=thing,
            origin=by.origin,
            now=now,
        )
        await self._recorder.insert(tx, record)


def _mandate_of(card: SavedCard, agreed: Sequence[MandateRow]) -> Mandate | None:
    """Return the mandate that holds for a card, else the last that did."""
    mine = [row.mandate for row in agreed if row.mandate.token_id == card.token_id]
    holding = [each for each in mine if each.status is MandateStatus.ACTIVE]
    return next(iter(holding or mine), None)


def _require_form(customer: str) -> None:
    if not is_id("cus", customer):
        raise CustomerUnknown
