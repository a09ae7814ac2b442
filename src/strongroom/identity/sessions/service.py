# SPDX-License-Identifier: Apache-2.0
"""Begins, refreshes, lists and ends sessions; each change commits with its audit record. Implements `Sessions`."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple, final

from strongroom.audit import PLATFORM, Action, Origin, Outcome, Recorder
from strongroom.crypto.ids import new_id
from strongroom.crypto.random import random_bytes
from strongroom.db.pool import Database, Transaction
from strongroom.http import Unauthenticated
from strongroom.http.auth import BEARER, DPOP
from strongroom.identity.access_tokens import (
    ACCESS_SECONDS,
    OUTLIVED_BY,
    Claims,
    Confirmation,
    Names,
    new_token_id,
    sign,
)
from strongroom.identity.dpop import Proof, ProofRefused, Proofs
from strongroom.identity.jose import Ed25519Signer
from strongroom.identity.people.model import Person
from strongroom.identity.revocation import revoke
from strongroom.identity.sessions import store
from strongroom.identity.sessions.decisions import ABSOLUTE, Verdict, judge
from strongroom.identity.sessions.errors import SessionUnknown
from strongroom.identity.sessions.model import Rotation, Session
from strongroom.identity.sessions.ports import Extras, Issued
from strongroom.identity.sessions.refresh_text import SALT_BYTES, RefreshTexts
from strongroom.identity.signing_keys import SigningKeys
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import MerchantId, PersonId, SessionId, is_id
from strongroom.kernel.invariant import Bug, invariant
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import Role
from strongroom.kernel.secret import Secret
from strongroom.telemetry.work_metrics import IdentityMetrics

#: The `client_id` of tokens that people log in for (RFC 9068 §2.2 wants one).
CLIENT: Final = "strongroom"
_FACTORS: Final = "mfa"
_ENDS: Final = {
    Verdict.IDLE: "idle",
    Verdict.EXPIRED: "expired",
    Verdict.SUSPENDED: "suspended",
    Verdict.REUSED: "refresh_reused",
}


class Whence(NamedTuple):
    """Where a request came from."""

    address: str
    request_hash: str


class _Allowed(NamedTuple):
    """What an access token lets its person do."""

    role: Role
    mode: Mode
    more: frozenset[Permission] = frozenset()
    #: When `more` ends.
    until: datetime | None = None


class _Refused(NamedTuple):
    """What a refresh was refused for; what it changed commits all the same."""

    reason: str


@final
class SessionService:
    """Sessions in the core database, under the console's login."""

    def __init__(
        self,
        *,
        database: Database,
        signing: SigningKeys,
        texts: RefreshTexts,
        proofs: Proofs,
        recorder: Recorder,
        names: Names,
        clock: Clock,
        metrics: IdentityMetrics,
    ) -> None:
        self._database = database
        self._signing = signing
        self._texts = texts
        self._proofs = proofs
        self._recorder = recorder
        self._names = names
        self._clock = clock
        self._metrics = metrics
        #: What a session may do beside its person's role; joined by whoever composes both.
        self.extras: Extras | None = None

    async def begin(
        self,
        tx: Transaction,
        person: Person,
        mode: Mode,
        methods: Collection[str],
        *,
        origin: Origin,
        now: datetime,
        dpop_thumbprint: str | None = None,
    ) -> Issued:
        """Begin a session. `tx` states the person's tenant."""
        invariant(_FACTORS in methods, "nobody logs in with one factor")
        await store.hold_person(tx, person.merchant, person.person_id)
        session = Session(
            SessionId(new_id("ses")),
            person.merchant,
            person.person_id,
            mode,
            tuple(sorted(methods)),
            dpop_thumbprint,
            now,
            now,
            now,
            now + ABSOLUTE,
            None,
            None,
        )
        refresh = self._texts.first(session.session)
        await store.insert(tx, session, self._texts.hash_of(refresh))
        await self._record(tx, Action.IDENTITY_SESSION_STARTED, session, mode, origin, now)
        signer = await self._signing.signer(tx)
        return self._issued(signer, session, _Allowed(person.role, mode), now, refresh)

    async def step_up(
        self, tx: Transaction, session: SessionId, methods: Collection[str], *, now: datetime
    ) -> Issued | None:
        """Note a second factor; return a new access token in the session's own mode, or None when it has ended."""
        signer = await self._signing.signer(tx)
        found = await store.for_change(tx, session)
        if found is None:
            return None
        known, rotation, holder = found
        # The present token's hash in hand, only what ends a session is left to be judged.
        verdict = judge(known, rotation, holder, rotation.refresh_hash, now)
        if verdict is not Verdict.ROTATE:
            return None
        shown = tuple(sorted({*known.methods, *methods}))
        await store.step_up(tx, session, shown, now)
        changed = known.with_proof(shown, now)
        allowed = await self._allowed(tx, changed, holder.role, known.mode, now)
        return self._issued(signer, changed, allowed, now, Secret(""))

    async def end(
        self, tx: Transaction, session: SessionId, *, reason: str, origin: Origin, now: datetime
    ) -> bool:
        """End one session of the stated tenant; tell whether it was open."""
        return await self._end(tx, session, reason, origin, now)

    async def end_all(
        self,
        tx: Transaction,
        person: Person,
        *,
        reason: str,
        origin: Origin,
        now: datetime,
        but: SessionId | None = None,
    ) -> int:
        """End a person's sessions but for one; return how many were open."""
        await store.hold_person(tx, person.merchant, person.person_id)
        ended = 0
        for session in await store.open_of(tx, person.merchant, person.person_id):
            if session != but:
                ended += await self._end(tx, session, reason, origin, now)
        return ended

    def session_of(self, text: Secret[str]) -> SessionId:
        """Return the session of a refresh token that we have made, without asking whether it still holds.

        Raises:
            Unauthenticated: we have not.
        """
        session = self._texts.session_of(text)
        if session is None:
            raise Unauthenticated("refresh_malformed")
        return session

    async def refresh(
        self, text: Secret[str], mode: Mode | None, proof: Proof | None, whence: Whence
    ) -> Issued:
        """Give the successor of a refresh token and a new access token, in the session's own mode or another.

        Args:
            proof: the request's proof of possession; a session that is bound to a key wants one of that key.

        Raises:
            Unauthenticated: the token does not hold. An old one has ended its session by now.
        """
        session = self.session_of(text)
        async with self._database.transaction() as read:
            merchant = await store.merchant_of(read, session)
            signer = await self._signing.signer(read)
        if merchant is None:
            raise Unauthenticated("refresh_unknown")
        now = self._clock.now()
        origin = await self._recorder.origin(merchant, whence.address, whence.request_hash, now)
        async with self._database.transaction([merchant]) as tx:
            answer = await self._refresh(tx, signer, session, text, mode, proof, origin, now)
        if isinstance(answer, _Refused):
            raise Unauthenticated(answer.reason)
        return answer

    async def _refresh(
        self,
        tx: Transaction,
        signer: Ed25519Signer,
        session: SessionId,
        text: Secret[str],
        mode: Mode | None,
        proof: Proof | None,
        origin: Origin,
        now: datetime,
    ) -> Issued | _Refused:
        # To refresh:
        #  1. Hold the session: of many at once, the first rotates, and the others find that it has.
        #  2. Judge. What ends the session is written, and commits with the refusal.
        #  3. Ask for the proof before anything changes.
        #  4. Rotate, or find the same successor again.
        found = await store.for_change(tx, session)  # (1)
        if found is None:
            return _Refused("refresh_unknown")
        known, rotation, holder = found
        verdict = judge(known, rotation, holder, self._texts.hash_of(text), now)  # (2)
        if verdict is Verdict.OVER:
            return _Refused("session_ended")
        if verdict in _ENDS:
            await self._end(tx, session, _ENDS[verdict], origin, now)
            if verdict is Verdict.REUSED:
                self._metrics.refresh_reused.inc()
            return _Refused(f"session_{_ENDS[verdict]}")
        await self._require_proof(tx, known, proof)  # (3)
        salt = rotation.salt if verdict is Verdict.REPEAT else random_bytes(SALT_BYTES)
        if salt is None:
            raise Bug("a session that has rotated keeps the salt")
        successor = self._texts.successor(text, session, salt)  # (4)
        if verdict is Verdict.ROTATE:
            hashes = Rotation(self._texts.hash_of(successor), rotation.refresh_hash, salt)
            await store.rotate(tx, session, hashes, now)
        wanted = mode or known.mode
        await self._record(tx, Action.IDENTITY_TOKEN_ISSUED, known, wanted, origin, now)
        allowed = await self._allowed(tx, known, holder.role, wanted, now)
        return self._issued(signer, known, allowed, now, successor)

    async def _allowed(
        self, tx: Transaction, session: Session, role: Role, mode: Mode, now: datetime
    ) -> "_Allowed":
        if self.extras is None:
            return _Allowed(role, mode)
        more, until = await self.extras.beside_role(
            tx, session.merchant, session.person, role, session.session, now
        )
        return _Allowed(role, mode, more, until)

    async def _require_proof(self, tx: Transaction, session: Session, proof: Proof | None) -> None:
        if session.dpop_thumbprint is None:
            return
        if proof is None:
            raise ProofRefused("proof_absent")
        if proof.thumbprint != session.dpop_thumbprint:
            raise ProofRefused("proof_key")
        await self._proofs.use(session.merchant, proof, tx)

    async def open_sessions(
        self, merchant: MerchantId, person: PersonId | None, *, after: str, limit: int
    ) -> Sequence[Session]:
        """Return a tenant's open sessions, or one person's, the newest first."""
        async with self._database.transaction([merchant]) as read:
            return await store.page(
                read, merchant, person, now=self._clock.now(), after=after, limit=limit
            )

    async def end_one(
        self,
        merchant: MerchantId,
        session: str,
        *,
        person: PersonId | None,
        reason: str,
        actor: str,
        whence: Whence,
    ) -> None:
        """End a session of a tenant. Safe to repeat.

        Args:
            person: whose it must be; None for anybody's of the tenant.

        Raises:
            SessionUnknown: there is none, or it is somebody else's.
        """
        if not is_id("ses", session):
            raise SessionUnknown
        now = self._clock.now()
        origin = await self._recorder.origin(merchant, whence.address, whence.request_hash, now)
        async with self._database.transaction([merchant]) as tx:
            known = await store.by_id(tx, merchant, SessionId(session))
            if known is None or (person is not None and known.person != person):
                raise SessionUnknown
            await self._end(tx, known.session, reason, origin, now, actor=actor)

    async def remove_past(self) -> None:
        """Remove sessions that ended more than a day ago."""
        async with self._database.transaction() as tx:
            await store.remove_past(tx)

    async def _end(
        self,
        tx: Transaction,
        session: SessionId,
        reason: str,
        origin: Origin,
        now: datetime,
        *,
        actor: str | None = None,
    ) -> bool:
        ended = await store.end(tx, session, reason, now)
        if ended is None:
            return False
        await revoke(tx, "session", session, now=now, outlived_by=OUTLIVED_BY)
        reused = reason == _ENDS[Verdict.REUSED]
        await self._record(
            tx,
            Action.IDENTITY_SESSION_REUSED if reused else Action.IDENTITY_SESSION_ENDED,
            ended,
            ended.mode,
            origin,
            now,
            reason=reason,
            actor=actor,
        )
        self._metrics.sessions_ended.labels(reason).inc()
        return True

    async def _record(
        self,
        tx: Transaction,
        action: Action,
        session: Session,
        mode: Mode,
        origin: Origin,
        now: datetime,
        *,
        reason: str | None = None,
        actor: str | None = None,
    ) -> None:
        record = self._recorder.make(
            action,
            actor=actor or session.person,
            merchant=None if session.merchant == PLATFORM else session.merchant,
            mode=mode,
            thing=session.session,
            origin=origin,
            now=now,
            details={} if reason is None else {"reason": reason},
            outcome=Outcome.DENIED if action is Action.IDENTITY_SESSION_REUSED else Outcome.SUCCESS,
        )
        await self._recorder.insert(tx, record)

    def _issued(
        self,
        signer: Ed25519Signer,
        session: Session,
        allowed: "_Allowed",
        now: datetime,
        refresh: Secret[str],
    ) -> Issued:
        issued = int(now.timestamp())
        ends = min(session.ends_at, allowed.until or session.ends_at)
        expires = min(issued + ACCESS_SECONDS, int(ends.timestamp()))
        bound = session.dpop_thumbprint
        access = sign(
            signer,
            Claims(
                iss=self._names.issuer,
                aud=self._names.audience,
                sub=session.person,
                client_id=CLIENT,
                jti=new_token_id(),
                iat=issued,
                exp=expires,
                merchant=session.merchant,
                mode=allowed.mode.value,
                role=allowed.role.value,
                extra=" ".join(sorted(allowed.more)) or None,
                sid=session.session,
                amr=session.methods,
                auth_time=int(session.started_at.timestamp()),
                sut=int(session.stepped_up_at.timestamp()),
                cnf=None if bound is None else Confirmation(jkt=bound),
            ),
        )
        return Issued(session.session, access, expires - issued, refresh, DPOP if bound else BEARER)
