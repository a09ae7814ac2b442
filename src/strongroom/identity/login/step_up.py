# SPDX-License-Identifier: Apache-2.0
"""Asks somebody who is logged in for a second factor again (RFC 9470), before what is sensitive.

Wrong codes count like those of a login: whoever stole a session guesses no more than a stranger.
"""

from typing import Final

from strongroom.audit import Action, Outcome, Recorder
from strongroom.db.pool import Database, Transaction
from strongroom.http.auth import Unauthenticated
from strongroom.http.request import Request
from strongroom.identity.factors.model import tenant_of
from strongroom.identity.factors.service import Factors
from strongroom.identity.login.errors import StepUpRefused
from strongroom.identity.login.lockout import Verdict
from strongroom.identity.login.lockouts import Lockouts, account_of
from strongroom.identity.login.model import Visit
from strongroom.identity.login.ports import LoginMetrics
from strongroom.identity.people.ports import People
from strongroom.identity.sessions.ports import Issued, Sessions
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import Denied
from strongroom.kernel.ids import PersonId
from strongroom.kernel.principal import Principal

_METHODS: Final = ("otp",)


class StepUps:
    """Step-up with an authenticator app. Passkeys do theirs, and record it here (`succeeded`, `failed`)."""

    def __init__(
        self,
        *,
        database: Database,
        people: People,
        factors: Factors,
        lockouts: Lockouts,
        sessions: Sessions,
        recorder: Recorder,
        clock: Clock,
        metrics: LoginMetrics,
    ) -> None:
        self._database = database
        self._people = people
        self._factors = factors
        self._lockouts = lockouts
        self._sessions = sessions
        self._recorder = recorder
        self._clock = clock
        self._metrics = metrics

    async def with_totp(self, principal: Principal, code: str, request: Request) -> Issued:
        """Take a code of the caller's app, and return a new access token.

        Raises:
            StepUpRefused: it does not hold, or too many did not.
            Unauthenticated: the session has ended.
            Denied: the caller is a machine, which has no second factor.
        """
        if principal.presence is None:
            raise Denied("only somebody who is logged in can step up")
        now = self._clock.now()
        origin = await self._recorder.origin(
            principal.merchant, request.address, request.trace_hash, now
        )
        visit = Visit(request.address, request.trace_hash, origin)
        async with self._database.transaction([principal.merchant]) as tx:
            person = await self._people.of(tx, principal.merchant, PersonId(principal.subject))
            if person is None:
                raise Unauthenticated("person_unknown")
            verdict = await self._lockouts.admit(tx, account_of(person), visit, now)
            totp = await self._factors.totp(tx, person.merchant, person.person_id)
        async with self._lockouts.unless_looked_at(account_of(person), visit, now, verdict):
            step = await self._factors.step_of(totp, code, now)
        async with self._database.transaction([principal.merchant]) as tx:
            await self._factors.hold(tx, person)
            if (
                verdict is Verdict.CHECK
                and step is not None
                and await self._factors.take_step(tx, person.merchant, person.person_id, step)
            ):
                await self._lockouts.give_back(tx, account_of(person), visit, now)
                return await self.succeeded(tx, principal, visit, method="totp", methods=_METHODS)
            reason = "code" if verdict is Verdict.CHECK else verdict.value
            await self.failed(tx, principal, visit, method="totp", reason=reason)
        raise StepUpRefused(f"step_up_{reason}")

    async def succeeded(
        self,
        tx: Transaction,
        principal: Principal,
        visit: Visit,
        *,
        method: str,
        methods: tuple[str, ...],
    ) -> Issued:
        """Note and record that the caller has shown a second factor again.

        Raises:
            Unauthenticated: the session has ended.
        """
        if principal.presence is None:
            raise Denied("only somebody who is logged in can step up")
        now = self._clock.now()
        session = principal.presence.session
        issued = await self._sessions.step_up(tx, session, methods, now=now)
        if issued is None:
            raise Unauthenticated("session_ended")
        await self._record(tx, Action.IDENTITY_STEP_UP_SUCCEEDED, principal, visit, method=method)
        self._metrics.stepped_up(method, "succeeded")
        return issued

    async def failed(
        self,
        tx: Transaction,
        principal: Principal,
        visit: Visit,
        *,
        method: str,
        reason: str,
    ) -> None:
        """Record that what the caller has shown does not hold."""
        await self._record(
            tx,
            Action.IDENTITY_STEP_UP_FAILED,
            principal,
            visit,
            outcome=Outcome.FAILED,
            method=method,
            reason=reason,
        )
        self._metrics.stepped_up(method, "refused")

    async def _record(
        self,
        tx: Transaction,
        action: Action,
        principal: Principal,
        visit: Visit,
        *,
        outcome: Outcome = Outcome.SUCCESS,
        **details: str | int,
    ) -> None:
        session = None if principal.presence is None else principal.presence.session
        record = self._recorder.make(
            action,
            actor=principal.subject,
            merchant=tenant_of(principal.merchant),
            mode=principal.mode,
            thing=session,
            origin=visit.origin,
            now=self._clock.now(),
            details=details,
            outcome=outcome,
        )
        await self._recorder.insert(tx, record)
