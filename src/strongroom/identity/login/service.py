# SPDX-License-Identifier: Apache-2.0
"""Logs people in: a password first, then a second factor, always both, and no setting to leave one out.

The first step answers alike whatever it was shown: a handle, and every kind of second step there is. Only the second
step refuses, and does not say what was wrong (PCI DSS 8.5.1: nobody learns which factor failed before all were shown;
ASVS 6.3.8: nor whether there is such an account). So the first step counts a try, knows one password at full cost and
keeps one row, for a person and for nobody; a second step after a first that failed does the work of one and cannot
succeed. The database is asked the same questions, too, but for one row: a person's failure is a record of its own,
nobody's are counted together. That is less than a millisecond beside an argon2 that takes a hundred times as long, and
there are ten tries in half an hour.
"""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from strongroom.audit import PLATFORM, Action, Outcome, Recorder
from strongroom.crypto import encode_parts, hmac_sha256, new_secret_text
from strongroom.db.pool import Database, Transaction
from strongroom.http.rate_limit import RateLimiter
from strongroom.http.request import Request
from strongroom.identity import store as merchants
from strongroom.identity.dpop import Proofs
from strongroom.identity.factors.model import tenant_of
from strongroom.identity.factors.service import Factors
from strongroom.identity.login import store
from strongroom.identity.login.errors import LoginRefused
from strongroom.identity.login.lockout import Verdict, caller_of
from strongroom.identity.login.lockouts import Lockouts, account_of
from strongroom.identity.login.model import (
    HANDLE_SECONDS,
    Account,
    Begun,
    Handle,
    LoggedIn,
    Visit,
)
from strongroom.identity.login.ports import Denials, LoginMetrics, Passwords
from strongroom.identity.people.model import Person, PersonStatus
from strongroom.identity.people.ports import People
from strongroom.identity.sessions.ports import Issued, Sessions
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import MerchantId, PersonId
from strongroom.kernel.invariant import invariant
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret

LISTENER: Final = "console"
_HANDLE_BITS: Final = 256
#: Addresses that nobody has share so many tallies, so that strangers cannot grow the table.
_NOBODYS_ACCOUNTS: Final = 4_096
#: Whom nothing is known of.
_NOBODY: Final = "nobody"
#: RFC 8176. A recovery code is a one-time password, too.
_PASSWORD_AND_CODE: Final = ("pwd", "otp", "mfa")


@dataclass(frozen=True, slots=True)
class _Tried:
    """A second step that was counted, and is not looked at yet."""

    login: Handle
    person: Person | None
    verdict: Verdict
    method: str


class Logins:
    """Logins of people. Passkeys and single sign-on end here as well (`ports.Finishing`)."""

    def __init__(
        self,
        *,
        database: Database,
        people: People,
        passwords: Passwords,
        factors: Factors,
        lockouts: Lockouts,
        sessions: Sessions,
        recorder: Recorder,
        denials: Denials,
        hash_key: Secret[bytes],
        clock: Clock,
        metrics: LoginMetrics,
        throttle: RateLimiter,
        proofs: Proofs,
    ) -> None:
        self._database = database
        self._people = people
        self._passwords = passwords
        self._factors = factors
        self._lockouts = lockouts
        self._sessions = sessions
        self._recorder = recorder
        self._denials = denials
        self._hash_key = hash_key
        self._clock = clock
        self._metrics = metrics
        self._throttle = throttle
        self._proofs = proofs

    async def visit(self, request: Request) -> Visit:
        """Take a request to log in. Its address is salted for the platform: nobody is known yet.

        Raises:
            TooMany: this address asks too often.
            ProofRefused: it shows a key (RFC 9449) in a way that does not hold.
        """
        self._throttle.take(caller_of(request.address), request.started)
        now = self._clock.now()
        origin = await self._recorder.origin(PLATFORM, request.address, request.trace_hash, now)
        return Visit(request.address, request.trace_hash, origin, self._proofs.read(request))

    # --- the first step -----------------------------------------------------------------------------------

    async def begin(self, email: str, password: str, mode: Mode, visit: Visit) -> Begun:
        """Take an address and a password, and answer alike whatever they are."""
        # To begin a login:
        #  1. Find whoever has the address.
        #  2. Count the try, committed.
        #  3. Verify one password at full cost: theirs if the try is looked at, else nobody's.
        #  4. If it holds, the try is not counted; if not, it is recorded.
        #  5. Keep a handle that says whether it held.
        now = self._clock.now()
        if (
            not email.isprintable()
        ):  # nobody has such an address, and the database could not be asked for it
            email = _NOBODY
        async with self._database.transaction() as read:
            person = await self._people.by_email(read, email)  # (1)
        account = self._nobodys(email) if person is None else account_of(person)
        async with self._database.transaction([account.merchant]) as tx:
            verdict = await self._lockouts.admit(tx, account, visit, now)  # (2)
        reason = _why_not(person, verdict)
        async with self._database.transaction([account.merchant]) as read:
            kept = await self._passwords.kept(read, person if reason is None else None)
        async with self._lockouts.unless_looked_at(account, visit, now, verdict):
            holds = await self._passwords.holds(kept, password)  # (3)
        if reason is None and not holds:
            reason = "password"
        handle = Secret(new_secret_text(_HANDLE_BITS))
        until = now + timedelta(seconds=HANDLE_SECONDS)
        async with self._database.transaction([account.merchant]) as tx:
            await self._lockouts.give_back(tx, account, visit, now, holds=reason is None)  # (4)
            if reason is not None:
                await self._refused(tx, person, verdict, visit, "password", reason)
            login = Handle(self._hash(handle.expose()), account, reason is None, mode)
            await store.insert_login(tx, login, until)  # (5)
        self._count("password", reason)
        return Begun(handle, until)

    # --- the second step ----------------------------------------------------------------------------------

    async def with_totp(self, handle: str, code: str, visit: Visit) -> LoggedIn:
        """End a login with a code of an authenticator app.

        Raises:
            LoginRefused: something that was shown does not hold.
        """
        now = self._clock.now()
        tried = await self._second_try(handle, visit, now, "totp")
        account = tried.login.account
        async with self._database.transaction([account.merchant]) as read:
            totp = await self._factors.totp(read, account.merchant, account.name)
        async with self._lockouts.unless_looked_at(
            account, visit, now, tried.verdict, counted=tried.login.proved
        ):
            step = await self._factors.step_of(totp, code, now)

        async def take(tx: Transaction, name: str) -> bool:
            # Of any number of logins that show one code at once, one takes its step.
            return step is not None and await self._factors.take_step(
                tx, account.merchant, name, step
            )

        return await self._second_end(tried, visit, now, take)

    async def with_recovery_code(self, handle: str, code: str, visit: Visit) -> LoggedIn:
        """End a login with a recovery code, which is used up.

        Raises:
            LoginRefused: something that was shown does not hold.
        """
        now = self._clock.now()
        tried = await self._second_try(handle, visit, now, "recovery_code")
        merchant = tried.login.account.merchant

        async def take(tx: Transaction, name: str) -> bool:
            return await self._factors.use_recovery_code(tx, merchant, name, code, now)

        return await self._second_end(tried, visit, now, take)

    async def _second_try(self, handle: str, visit: Visit, now: datetime, method: str) -> _Tried:
        """Find the login and count the try, committed, before anything is looked at."""
        async with self._database.transaction() as read:
            login = await store.login_by_handle(read, self._hash(handle), now)
        if login is None:
            raise self._refusal(method, "handle")
        account = login.account
        async with self._database.transaction([account.merchant]) as tx:
            person = await self._people.of(tx, account.merchant, PersonId(account.name))
            # A first step that failed was counted then: this is the same try.
            verdict = await self._lockouts.admit(tx, account, visit, now, counted=login.proved)
        return _Tried(login, person, verdict, method)

    async def _second_end(
        self,
        tried: _Tried,
        visit: Visit,
        now: datetime,
        take: Callable[[Transaction, str], Awaitable[bool]],
    ) -> LoggedIn:
        """Use up what was shown, and let in or refuse, in one transaction.

        Where nothing can be let in, the same statements are asked about nobody.
        """
        login, person, method = tried.login, tried.person, tried.method
        account = login.account
        async with self._database.transaction([account.merchant]) as tx:
            reason = _why_not(person, tried.verdict) or (None if login.proved else "password")
            shut_out = await self._shut_out(tx, account.merchant, person)
            reason = reason or shut_out
            name = account.name if reason is None else _NOBODY
            await self._factors.hold_id(tx, account.merchant, name)
            took = await take(tx, name)
            if took and reason is None and person is not None:
                left = None
                if method == "recovery_code":
                    left = await self._recovered(tx, person, visit, login.mode)
                issued = await self._finish(
                    tx, person, login.mode, _PASSWORD_AND_CODE, visit, now, method, login
                )
            else:
                reason = reason or "code"
                await self._refused(tx, person, tried.verdict, visit, method, reason)
        if reason is not None or person is None:
            raise self._refusal(method, reason)
        self._count(method, None)
        return LoggedIn(issued, person, left)

    async def _recovered(self, tx: Transaction, person: Person, visit: Visit, mode: Mode) -> int:
        """Record that a recovery code was used; return how many are left."""
        left = (await self._factors.standing(tx, person)).recovery_codes_left
        await self._record(
            tx,
            Action.IDENTITY_RECOVERY_CODE_USED,
            person,
            visit,
            mode=mode,
            count=left,
        )
        return left

    # --- what passkeys and single sign-on use -------------------------------------------------------------

    async def person_of(self, tx: Transaction, handle: str) -> tuple[Person, Mode] | None:
        """Return who has shown their password under this handle, and for which mode; None for anything else."""
        login = await store.login_by_handle(tx, self._hash(handle), self._clock.now())
        if login is None or not login.proved:
            return None
        person = await self._people.by_presented_id(tx, PersonId(login.account.name))
        return None if person is None else (person, login.mode)

    async def finish(
        self,
        tx: Transaction,
        person: Person,
        mode: Mode,
        methods: Collection[str],
        visit: Visit,
        *,
        method: str,
        handle: str | None = None,
    ) -> Issued:
        """Let somebody in who has shown all factors, in the caller's transaction, which sees their merchant.

        Raises:
            LoginRefused: person or merchant is not active, or the handle is not theirs or was used.
        """
        now = self._clock.now()
        login = None
        if (reason := await self._shut_out(tx, person.merchant, person)) is not None:
            raise self._refusal(method, reason)
        if handle is not None:
            login = await store.login_by_handle(tx, self._hash(handle), now)
            if login is None or not login.proved or login.account != account_of(person):
                raise self._refusal(method, "handle")
        issued = await self._finish(tx, person, mode, methods, visit, now, method, login)
        self._count(method, None)
        return issued

    async def failed(
        self, person: Person | None, visit: Visit, *, method: str, reason: str
    ) -> None:
        """Record a login that failed. For nobody known it is counted together with others from there."""
        self._count(method, reason)
        merchants_seen = [] if person is None else [person.merchant]
        async with self._database.transaction(merchants_seen) as tx:
            await self._refused(tx, person, Verdict.CHECK, visit, method, reason)

    # --- the same for all ---------------------------------------------------------------------------------

    async def _finish(
        self,
        tx: Transaction,
        person: Person,
        mode: Mode,
        methods: Collection[str],
        visit: Visit,
        now: datetime,
        method: str,
        login: Handle | None,
    ) -> Issued:
        """Begin the session. Everything it takes is here, whichever way somebody came; a refusal undoes it all."""
        invariant("mfa" in methods, "nobody is let in on one factor")
        if login is not None and not await store.end_login(
            tx, login.account.merchant, login.handle_hash
        ):
            raise self._refusal(method, "handle")
        counted = method in ("totp", "recovery_code")
        await self._lockouts.logged_in(tx, account_of(person), visit, now, counted=counted)
        await self._people.used(tx, person, now)
        await self._record(
            tx, Action.IDENTITY_LOGIN_SUCCEEDED, person, visit, mode=mode, method=method
        )
        if visit.proof is not None:
            await self._proofs.use(person.merchant, visit.proof, tx)
        return await self._sessions.begin(
            tx,
            person,
            mode,
            methods,
            origin=visit.origin,
            now=now,
            dpop_thumbprint=None if visit.proof is None else visit.proof.thumbprint,
        )

    async def _shut_out(
        self, tx: Transaction, merchant: MerchantId, person: Person | None
    ) -> str | None:
        """Say why somebody may not come in, whatever they show; None if they may. Asks the same for everybody."""
        tenant = await merchants.merchant_by_id(tx, merchant)
        if person is None:
            return "unknown"
        if person.status is not PersonStatus.ACTIVE:
            return "suspended"
        if merchant == PLATFORM:
            return None
        return None if tenant is not None and tenant.status == "active" else "merchant"

    def _refusal(self, method: str, reason: str | None) -> LoginRefused:
        reason = reason or "unknown"
        self._count(method, reason)
        return LoginRefused(f"login_{reason}")

    def _count(self, method: str, reason: str | None) -> None:
        outcome = "succeeded" if reason is None else "refused"
        self._metrics.login(method, outcome, reason or "none")

    async def _refused(
        self,
        tx: Transaction,
        person: Person | None,
        verdict: Verdict,
        visit: Visit,
        method: str,
        reason: str,
    ) -> None:
        """Record a failure. What was not looked at, and nobody's failures, are counted together: they can be many."""
        if person is None or verdict is not Verdict.CHECK:
            self._denials.note(visit.address, f"login_{reason}", visit.request_hash, LISTENER)
            return
        await self._record(
            tx,
            Action.IDENTITY_LOGIN_FAILED,
            person,
            visit,
            outcome=Outcome.FAILED,
            method=method,
            reason=reason,
        )

    async def _record(
        self,
        tx: Transaction,
        action: Action,
        person: Person,
        visit: Visit,
        *,
        mode: Mode | None = None,
        outcome: Outcome = Outcome.SUCCESS,
        **details: str | int,
    ) -> None:
        record = self._recorder.make(
            action,
            # Whoever fails has not shown who they are.
            actor=person.person_id if outcome is Outcome.SUCCESS else "anonymous",
            merchant=tenant_of(person.merchant),
            mode=mode,
            thing=person.person_id,
            origin=visit.origin,
            now=self._clock.now(),
            details=details,
            outcome=outcome,
        )
        await self._recorder.insert(tx, record)

    def _hash(self, handle: str) -> bytes:
        parts = ("login handle", handle)
        return hmac_sha256(self._hash_key.expose(), encode_parts(parts))

    def _nobodys(self, email: str) -> Account:
        """Return the tally of an address that nobody has: one of a few, always the same for one address."""
        parts = ("login account", email.strip().lower())
        number = int.from_bytes(
            hmac_sha256(self._hash_key.expose(), encode_parts(parts))[:4], "big"
        )
        return Account(PLATFORM, f"nobody:{number % _NOBODYS_ACCOUNTS}")


def _why_not(person: Person | None, verdict: Verdict) -> str | None:
    """Say why a try is not looked at; None if it is."""
    if verdict is not Verdict.CHECK:
        return verdict.value
    if person is None:
        return "unknown"
    return None if person.status is PersonStatus.ACTIVE else "suspended"
