# SPDX-License-Identifier: Apache-2.0
"""Proves people by passkeys: at a login, where nobody is known yet, and when a session steps up.

A passkey with user verification is two factors at once (PCI DSS 8.4.1, 8.4.2). To believe an answer (WebAuthn §7.2):
 1. Find whose credential it claims to be.
 2. Take its challenge back, once, whatever comes of it; it must be bound to exactly this.
 3. Lock the passkey, and check its signature and all that it signed.
 4. Compare the counter: one that goes back is a copy, is refused and told.
 5. Begin or strengthen the session in the same transaction, with the record.
Every refusal has one answer; why stands in the audit log.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from strongroom.audit import PLATFORM, Action, Origin, Outcome, Recorder
from strongroom.db.pool import Database, Transaction
from strongroom.http import Unauthenticated
from strongroom.identity.passkeys import ceremony, store
from strongroom.identity.passkeys.errors import PasskeyNotAccepted, ProofBroken
from strongroom.identity.passkeys.model import (
    METHODS,
    Bound,
    Me,
    Passkey,
    Purpose,
    RelyingParty,
    Whence,
    counter_went_back,
)
from strongroom.identity.passkeys.ports import Alerts, ProofMetrics
from strongroom.identity.people.model import Person, PersonStatus
from strongroom.identity.people.ports import People
from strongroom.identity.sessions.ports import Issued, Sessions
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import MerchantId, PersonId
from strongroom.kernel.mode import Mode

_NOBODY_YET: Final = Bound(Purpose.LOGIN, PLATFORM)
_PASSKEY: Final = "passkey"
_COPIED: Final = "counter_went_back"


class Proofs:
    """Proves people by passkeys."""

    def __init__(
        self,
        database: Database,
        recorder: Recorder,
        clock: Clock,
        party: RelyingParty,
        *,
        people: People,
        sessions: Sessions,
        alerts: Alerts,
        metrics: ProofMetrics,
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._clock = clock
        self._party = party
        self._people = people
        self._sessions = sessions
        self._alerts = alerts
        self._metrics = metrics

    async def login_options(self) -> dict[str, Any]:
        """Return what any browser is asked at a login: a passkey of this installation, whosever it is."""
        async with self._database.transaction([PLATFORM]) as tx:
            challenge = await store.new_challenge(tx, _NOBODY_YET, self._clock.now())
        return ceremony.request_options(self._party, challenge)

    async def login(self, credential: Mapping[str, Any], mode: Mode, whence: Whence) -> Issued:
        """Begin a session of whoever holds the passkey.

        Raises:
            PasskeyNotAccepted: for whatever reason.
        """
        now = self._clock.now()
        owner = await self._owner(credential, now)  # (1)
        if owner is None:
            self._metrics.login(_PASSKEY, Outcome.DENIED, "passkey_unknown")
            raise PasskeyNotAccepted("passkey_unknown")
        merchant = owner[0]
        origin = await self._recorder.origin(merchant, whence.address, whence.request_hash, now)
        async with self._database.transaction([merchant, PLATFORM]) as tx:
            try:
                person = await self._proven(tx, _NOBODY_YET, owner, credential, now)  # (2) to (4)
            except ProofBroken as broken:
                reason: str | None = broken.reason
                action = Action.IDENTITY_LOGIN_FAILED
                await self._record(tx, action, owner, mode, origin, now, reason)
            else:
                await self._people.used(tx, person, now)
                action = Action.IDENTITY_LOGIN_SUCCEEDED
                await self._record(tx, action, owner, mode, origin, now)
                issued = await self._sessions.begin(
                    tx, person, mode, METHODS, origin=origin, now=now
                )  # (5)
                reason = None
        self._metrics.login(
            _PASSKEY, Outcome.DENIED if reason else Outcome.SUCCESS, reason or "proven"
        )
        if reason is None:
            return issued
        self._tell(reason, owner, mode)
        raise PasskeyNotAccepted(reason)

    async def step_up_options(self, me: Me) -> dict[str, Any]:
        """Return what a person's browser is asked to step up: one of the person's own passkeys."""
        async with self._database.transaction([me.merchant]) as tx:
            own = await store.of_person(tx, me.merchant, me.person)
            challenge = await store.new_challenge(tx, _step_up(me), self._clock.now())
        return ceremony.request_options(self._party, challenge, own)

    async def step_up(self, me: Me, credential: Mapping[str, Any], whence: Whence) -> Issued:
        """Note that the session's person is there, and return a new access token.

        Raises:
            PasskeyNotAccepted: for whatever reason; the session goes on as it was.
            Unauthenticated: the session has ended meanwhile.
        """
        now = self._clock.now()
        owner = (me.merchant, me.person)
        origin = await self._recorder.origin(me.merchant, whence.address, whence.request_hash, now)
        async with self._database.transaction([me.merchant]) as tx:
            try:
                await self._proven(tx, _step_up(me), owner, credential, now)
            except ProofBroken as broken:
                reason: str | None = broken.reason
                action = Action.IDENTITY_STEP_UP_FAILED
                await self._record(tx, action, owner, me.mode, origin, now, reason)
            else:
                action = Action.IDENTITY_STEP_UP_SUCCEEDED
                await self._record(tx, action, owner, me.mode, origin, now)
                stepped = await self._sessions.step_up(tx, me.session, METHODS, now=now)
                if stepped is None:
                    raise Unauthenticated("session_ended")
                issued, reason = stepped, None
        self._metrics.stepped_up(_PASSKEY, Outcome.DENIED if reason else Outcome.SUCCESS)
        if reason is None:
            return issued
        self._tell(reason, owner, me.mode)
        raise PasskeyNotAccepted(reason)

    async def _owner(
        self, credential: Mapping[str, Any], now: datetime
    ) -> tuple[MerchantId, PersonId] | None:
        """Return whose credential an answer claims to come from; the challenge of an unknown one is used up."""
        try:
            presented = ceremony.credential_id(credential)
            challenge = ceremony.answered_challenge(credential)
        except ProofBroken as broken:
            raise PasskeyNotAccepted(broken.reason) from None
        async with self._database.transaction() as read:
            owner = await store.owner_of_credential(read, presented)
        if owner is None:
            async with self._database.transaction([PLATFORM]) as tx:
                await store.take_challenge(tx, challenge, _NOBODY_YET, now)
        return owner

    async def _proven(
        self,
        tx: Transaction,
        bound: Bound,
        owner: tuple[MerchantId, PersonId],
        credential: Mapping[str, Any],
        now: datetime,
    ) -> Person:
        """Return the person whose passkey signed this.

        Raises:
            ProofBroken: names the first check that failed.
        """
        merchant, person_id = owner
        challenge = ceremony.answered_challenge(credential)
        if not await store.take_challenge(tx, challenge, bound, now):  # (2)
            raise ProofBroken("challenge_unknown")
        passkey = await store.for_use(tx, merchant, ceremony.credential_id(credential))  # (3)
        if passkey is None or passkey.person != person_id:
            raise ProofBroken("passkey_not_theirs")
        if bound.person is None and ceremony.user_handle(credential) is None:
            raise ProofBroken("user_handle_missing")  # WebAuthn §7.2 step 6
        if ceremony.user_handle(credential) not in (None, person_id):
            raise ProofBroken("user_handle_wrong")
        shown = ceremony.check_assertion(self._party, credential, challenge, passkey)
        if counter_went_back(passkey.sign_count, shown.sign_count):  # (4)
            raise ProofBroken(_COPIED)
        person = await self._admitted(tx, passkey)
        await store.used(tx, passkey, shown.sign_count, now, backed_up=shown.backed_up)
        return person

    async def _admitted(self, tx: Transaction, passkey: Passkey) -> Person:
        """Return the passkey's person, who and whose tenant must be active."""
        person = await self._people.of(tx, passkey.merchant, passkey.person)
        if person is None or person.status is not PersonStatus.ACTIVE:
            raise ProofBroken("person_not_active")
        if not await store.is_merchant_active(tx, passkey.merchant):
            raise ProofBroken("merchant_suspended")
        return person

    async def _record(
        self,
        tx: Transaction,
        action: Action,
        owner: tuple[MerchantId, PersonId],
        mode: Mode,
        origin: Origin,
        now: datetime,
        reason: str | None = None,
    ) -> None:
        merchant, person = owner
        details = {"method": _PASSKEY}
        if reason is not None:
            details["reason"] = reason
        if reason == _COPIED:
            details["severity"] = "high"
        record = self._recorder.make(
            action,
            # Whoever fails at a login has not shown to be the person.
            actor="anonymous" if action is Action.IDENTITY_LOGIN_FAILED else person,
            merchant=None if merchant == PLATFORM else merchant,
            mode=mode,
            thing=person,
            origin=origin,
            now=now,
            details=details,
            outcome=Outcome.SUCCESS if reason is None else Outcome.DENIED,
        )
        await self._recorder.insert(tx, record)

    def _tell(self, reason: str, owner: tuple[MerchantId, PersonId], mode: Mode) -> None:
        """Alert: an authenticator that was copied may be in somebody else's hands."""
        if reason == _COPIED:
            merchant, person = owner
            self._alerts.emit(
                "error",
                "identity.passkey_copied",
                {"merchant_id": merchant, "user_id": person, "mode": mode.value},
            )


def _step_up(me: Me) -> Bound:
    return Bound(Purpose.STEP_UP, me.merchant, me.person, me.session)
