# SPDX-License-Identifier: Apache-2.0
"""People manage their own second factors: with a session, or with a set-up ticket in place of one.

Each act commits with its audit record. Whoever adds or removes a factor ends their other sessions. What a person is
shown once (secret, codes) is returned and never kept in clear.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from strongroom.audit import Action, Origin, Recorder
from strongroom.db.pool import Database, Transaction
from strongroom.identity.factors import store
from strongroom.identity.factors.errors import LastFactor, NothingToConfirm, NoTotp
from strongroom.identity.factors.model import (
    Confirmed,
    Enrolment,
    SealedTotp,
    Standing,
    tenant_of,
)
from strongroom.identity.factors.ports import OtherFactors, SetupTickets
from strongroom.identity.factors.qr import qr_png
from strongroom.identity.factors.recovery import CODES
from strongroom.identity.factors.service import Factors
from strongroom.identity.factors.totp import base32, otpauth_uri
from strongroom.identity.people.model import Person
from strongroom.identity.people.ports import People
from strongroom.identity.sessions.ports import Sessions
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import MerchantId, PersonId, SessionId
from strongroom.kernel.invariant import Bug
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Principal
from strongroom.kernel.secret import Secret

#: How long an app that was begun may wait for its first code.
ENROLMENT_SECONDS_MAX: Final = 900


class OwnFactors:
    """What somebody does with their own factors."""

    def __init__(
        self,
        *,
        database: Database,
        factors: Factors,
        others: OtherFactors,
        people: People,
        sessions: Sessions,
        tickets: SetupTickets,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._database = database
        self._factors = factors
        self._others = others
        self._people = people
        self._sessions = sessions
        self._tickets = tickets
        self._recorder = recorder
        self._clock = clock

    async def origin(self, merchant: MerchantId, address: str, request_hash: str) -> Origin:
        """Return the origin of a request, for records."""
        return await self._recorder.origin(merchant, address, request_hash, self._clock.now())

    # --- with a session ---------------------------------------------------------------------------------

    async def standing(self, principal: Principal) -> Standing:
        """Say what the caller has."""
        person = await self._caller(principal)
        async with self._database.transaction([person.merchant]) as read:
            return await self._factors.standing(read, person)

    async def enrol(self, principal: Principal) -> Enrolment:
        """Begin to set up an authenticator app. The one in use goes on until the new one has shown a code."""
        return await self._enrol(await self._caller(principal))

    async def confirm(self, principal: Principal, code: str, *, origin: Origin) -> Confirmed:
        """Take the app that is being set up into use.

        Raises:
            NothingToConfirm: there is none, or it was begun too long ago.
            Invalid: the code is not its.
        """
        person = await self._caller(principal)
        totp, step = await self._checked(person, code)
        async with self._database.transaction([person.merchant]) as tx:
            return await self._activate(
                tx, person, totp, step, origin=origin, mode=principal.mode, but=_session(principal)
            )

    async def remove(self, principal: Principal, *, origin: Origin) -> None:
        """Remove the app in use.

        Raises:
            NoTotp: there is none.
            LastFactor: the person would have no second factor left.
        """
        person = await self._caller(principal)
        async with self._database.transaction([person.merchant]) as tx:
            await self._factors.hold(tx, person)
            if not await store.remove_totp(tx, person, "active"):
                raise NoTotp
            if await self._others.count(tx, person) < 1:
                raise LastFactor  # and what was removed above comes back with it
            await self._record(
                tx, Action.IDENTITY_FACTOR_REMOVED, person, principal.mode, origin, method="totp"
            )
            await self._end_others(tx, person, origin, _session(principal))

    async def new_codes(self, principal: Principal, *, origin: Origin) -> Sequence[Secret[str]]:
        """Make ten recovery codes; the old ones end."""
        person = await self._caller(principal)
        async with self._database.transaction([person.merchant]) as tx:
            await self._factors.hold(tx, person)
            return await self._codes(tx, person, principal.mode, origin)

    # --- with a set-up ticket ---------------------------------------------------------------------------

    async def ticket_enrol(self, ticket: Secret[str]) -> Enrolment:
        """Begin to set up an app for whoever holds a set-up link.

        Raises:
            Unrecognized: the ticket does not hold.
        """
        return await self._enrol(await self._holder(ticket))

    async def ticket_confirm(
        self, ticket: Secret[str], code: str, *, address: str, request_hash: str
    ) -> Confirmed:
        """Take the app into use, hand out recovery codes, and end the ticket.

        Raises:
            Unrecognized: the ticket does not hold.
            NothingToConfirm, Invalid: see `confirm`.
            Conflict: something else is missing yet, such as a password.
        """
        person = await self._holder(ticket)
        totp, step = await self._checked(person, code)
        origin = await self.origin(person.merchant, address, request_hash)
        async with self._database.transaction([person.merchant]) as tx:
            # Again, inside: of two that show one ticket at once, the second finds it ended.
            await self._factors.hold(tx, person)
            await self._tickets.person(tx, ticket, self._clock.now())
            confirmed = await self._activate(tx, person, totp, step, origin=origin)
            await self._tickets.finish(tx, person, ticket, origin=origin, now=self._clock.now())
        return confirmed

    # --- the same for both ------------------------------------------------------------------------------

    async def _caller(self, principal: Principal) -> Person:
        async with self._database.transaction([principal.merchant]) as read:
            person = await self._people.of(read, principal.merchant, PersonId(principal.subject))
        if person is None:
            raise Bug("a session belongs to somebody")
        return person

    async def _holder(self, ticket: Secret[str]) -> Person:
        async with self._database.transaction() as read:
            return await self._tickets.person(read, ticket, self._clock.now())

    async def _enrol(self, person: Person) -> Enrolment:
        kept, secret = await self._factors.sealed_secret(person, self._clock.now())
        async with self._database.transaction([person.merchant]) as tx:
            await self._factors.hold(tx, person)
            await store.put_pending_totp(tx, kept)
        uri = otpauth_uri(secret, person.email)
        return Enrolment(uri, Secret(base32(secret)), qr_png(uri))

    async def _checked(self, person: Person, code: str) -> tuple[SealedTotp, int]:
        now = self._clock.now()
        async with self._database.transaction([person.merchant]) as read:
            totp = await store.totp_of(read, person.merchant, person.person_id, "pending")
        if totp is None or now - totp.created_at > timedelta(seconds=ENROLMENT_SECONDS_MAX):
            raise NothingToConfirm
        step = await self._factors.step_of(totp, code, now)
        if step is None:
            raise Invalid(
                FieldError("/code", "code_wrong", "this is not the code that the app shows now")
            )
        return totp, step

    async def _activate(
        self,
        tx: Transaction,
        person: Person,
        totp: SealedTotp,
        step: int,
        *,
        origin: Origin,
        mode: Mode | None = None,
        but: SessionId | None = None,
    ) -> Confirmed:
        await self._factors.hold(tx, person)
        before = await self._factors.standing(tx, person)
        if not await store.activate_totp(tx, totp, step):
            raise NothingToConfirm  # another enrolment, or another confirmation, was faster
        await self._record(
            tx,
            Action.IDENTITY_FACTOR_ADDED,
            person,
            mode,
            origin,
            method="totp",
            result="first" if before.totp_since is None else "replaced",
        )
        codes = None
        if before.recovery_codes_left == 0:
            codes = await self._codes(tx, person, mode, origin)
        await self._end_others(tx, person, origin, but)
        return Confirmed(codes)

    async def _codes(
        self, tx: Transaction, person: Person, mode: Mode | None, origin: Origin
    ) -> Sequence[Secret[str]]:
        codes = await self._factors.new_recovery_codes(tx, person, self._clock.now())
        await self._record(
            tx, Action.IDENTITY_RECOVERY_CODES_MADE, person, mode, origin, count=CODES
        )
        return codes

    async def _end_others(
        self, tx: Transaction, person: Person, origin: Origin, but: SessionId | None
    ) -> None:
        """Whoever else is logged in as this person may be why the factor was changed (ASVS 7.4.3)."""
        await self._sessions.end_all(
            tx, person, reason="factor_changed", origin=origin, now=self._clock.now(), but=but
        )

    async def _record(
        self,
        tx: Transaction,
        action: Action,
        person: Person,
        mode: Mode | None,
        origin: Origin,
        **details: str | int,
    ) -> None:
        record = self._recorder.make(
            action,
            actor=person.person_id,
            merchant=tenant_of(person.merchant),
            mode=mode,
            thing=person.person_id,
            origin=origin,
            now=self._clock.now(),
            details=details,
        )
        await self._recorder.insert(tx, record)


def _session(principal: Principal) -> SessionId | None:
    return None if principal.presence is None else principal.presence.session
