# SPDX-License-Identifier: Apache-2.0
"""Counts tries durably, under the lock of what is counted, before anything that was shown is looked at.

Both rows are locked, decided about (`lockout`) and saved in one transaction: of any number at once, each sees what the
one before has left. Whoever crashes after it has left a try counted, never one uncounted.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from strongroom.audit import Action, Outcome, Recorder
from strongroom.crypto import encode_parts, hmac_sha256
from strongroom.db.pool import Database, ReadOnly, Transaction
from strongroom.identity.factors.model import tenant_of
from strongroom.identity.login import lockout, store
from strongroom.identity.login.lockout import Alarm, Verdict
from strongroom.identity.login.model import Account, Visit
from strongroom.identity.login.ports import LoginMetrics
from strongroom.identity.people.model import Person
from strongroom.kernel.errors import Unavailable
from strongroom.kernel.ids import is_id
from strongroom.kernel.secret import Secret


def account_of(person: Person) -> Account:
    """Return whose tries are counted for a person."""
    return Account(person.merchant, person.person_id)


class Lockouts:
    """The tallies in the core database."""

    def __init__(
        self,
        database: Database,
        hash_key: Secret[bytes],
        recorder: Recorder,
        metrics: LoginMetrics,
    ) -> None:
        self._database = database
        self._hash_key = hash_key
        self._recorder = recorder
        self._metrics = metrics

    async def admit(
        self,
        tx: Transaction,
        account: Account,
        visit: Visit,
        now: datetime,
        *,
        counted: bool = True,
    ) -> Verdict:
        """Count a try and say whether it is looked at. What it shows is looked at after this is committed.

        Where this locks something, the record that raises the alarm commits with it.
        """
        network = self._network(account, visit)
        held = await store.hold_tallies(tx, account, network, now)
        admission = lockout.admit(*held, now, counted=counted)
        decided = (admission.network, admission.account)
        await store.save_tallies(tx, account, network, decided, now)
        if admission.alarm is not None:
            await self._alarm(tx, account, visit, admission.alarm, now)
        return admission.verdict

    async def give_back(
        self,
        tx: Transaction,
        account: Account,
        visit: Visit,
        now: datetime,
        *,
        holds: bool = True,
    ) -> None:
        """A try that was looked at holds: it is not counted. If not, the same is asked of the database for nothing."""
        network = self._network(account, visit)
        held = await store.hold_tallies(tx, account, network, now)
        kept = lockout.given_back(*held, now) if holds else held
        await store.save_tallies(tx, account, network, kept, now)

    @asynccontextmanager
    async def unless_looked_at(
        self,
        account: Account,
        visit: Visit,
        now: datetime,
        verdict: Verdict,
        *,
        counted: bool = True,
    ) -> AsyncIterator[None]:
        """Give a try back when it could not be looked at (too busy, no key store): an outage locks nobody out."""
        try:
            yield
        except Unavailable:
            if verdict is Verdict.CHECK and counted:
                async with self._database.transaction([account.merchant]) as tx:
                    await self.give_back(tx, account, visit, now)
            raise

    async def logged_in(
        self,
        tx: Transaction,
        account: Account,
        visit: Visit,
        now: datetime,
        *,
        counted: bool,
    ) -> None:
        """Somebody has shown all factors: what is counted of their network begins anew, and it is known."""
        network = self._network(account, visit)
        held = await store.hold_tallies(tx, account, network, now)
        kept = lockout.logged_in(*held, now, counted=counted)
        await store.save_tallies(tx, account, network, kept, now)

    async def clear(self, tx: Transaction, person: Person) -> bool:
        """Lift every lock of a person; tell whether anything was counted. The caller records it."""
        return await store.clear_tallies(tx, account_of(person))

    async def locked_until(self, read: ReadOnly, person: Person, now: datetime) -> datetime | None:
        """Return until when a network is locked for this person, the last of them; None if none is."""
        return await store.last_lock(read, account_of(person), now)

    async def sweep(self) -> None:
        """Remove logins that were never finished, and tallies that have been quiet. Once an hour will do."""
        async with self._database.transaction() as tx:
            await store.sweep(tx)

    def _network(self, account: Account, visit: Visit) -> bytes:
        """Return a network's keyed hash, another for each account: whence people log in is told to nobody."""
        parts = ("login network", account.name, lockout.network_of(visit.address))
        return hmac_sha256(self._hash_key.expose(), encode_parts(parts))

    async def _alarm(
        self, tx: Transaction, account: Account, visit: Visit, alarm: Alarm, now: datetime
    ) -> None:
        self._metrics.locked(alarm.value)
        if not is_id("usr", account.name):
            return  # nobody's: there is nothing to look at
        record = self._recorder.make(
            Action.IDENTITY_LOGIN_LOCKED,
            actor="anonymous",
            merchant=tenant_of(account.merchant),
            mode=None,
            thing=account.name,
            origin=visit.origin,
            now=now,
            details={
                "reason": alarm.value,
                "count": lockout.FAILURES_MAX,
                "lifetime_seconds": lockout.LOCK_SECONDS
                if alarm is Alarm.NETWORK
                else lockout.ACCOUNT_TRY_EVERY_SECONDS,
            },
            outcome=Outcome.DENIED,
        )
        await self._recorder.insert(tx, record)
