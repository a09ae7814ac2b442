# SPDX-License-Identifier: Apache-2.0
"""Makes and ends services, and gives them access tokens; each change commits with its audit record."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from time import monotonic
from typing import Final, final

from strongroom.audit import Action, Origin, Recorder
from strongroom.crypto.ids import new_id
from strongroom.db.errors import ConstraintBroken
from strongroom.db.pool import Database, Transaction
from strongroom.db.queries import load_queries
from strongroom.http.auth import BEARER, DPOP
from strongroom.http.rate_limit import Rate, RateLimiter
from strongroom.identity.access_tokens import (
    ACCESS_SECONDS,
    OUTLIVED_BY,
    Claims,
    Confirmation,
    Names,
    new_token_id,
    sign,
)
from strongroom.identity.dpop import Proof, Proofs
from strongroom.identity.errors import MerchantUnknown
from strongroom.identity.grants import ROLE_PERMISSIONS
from strongroom.identity.jose import JoseRefused, public_key
from strongroom.identity.revocation import certificate_subject, revoke
from strongroom.identity.service import require_name
from strongroom.identity.services import store
from strongroom.identity.services.assertions import (
    ASSERTION_TYPE,
    Assertion,
    claimed_service,
    read_assertion,
)
from strongroom.identity.services.certificates import (
    CERTIFICATE_OUTLIVED_BY,
    CERTIFICATES_MAX,
    fact_of,
    read_thumbprint,
)
from strongroom.identity.services.errors import (
    ClientRefused,
    GrantUnsupported,
    ScopeRefused,
    ServiceRefused,
    ServiceUnknown,
)
from strongroom.identity.services.model import Granted, Service, ServiceWish, TokenWish
from strongroom.identity.signing_keys import SigningKeys
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import MerchantId, ServiceId, is_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Role

KEYS_MAX: Final = 5
_KID_CHARACTERS_MAX: Final = 128
_GRANT: Final = "client_credentials"
#: Of one service, whose assertion held: a token is good for five minutes, so few are needed.
_TOKENS: Final = Rate(per_second=20, burst=100)
_QUERIES: Final = load_queries("strongroom.identity")


@final
class Services:
    """Services in the core database, under the console's login."""

    def __init__(
        self,
        *,
        database: Database,
        signing: SigningKeys,
        proofs: Proofs,
        recorder: Recorder,
        names: Names,
        clock: Clock,
    ) -> None:
        self._database = database
        self._signing = signing
        self._proofs = proofs
        self._recorder = recorder
        self._names = names
        self._clock = clock
        self._limiter = RateLimiter(_TOKENS)

    async def create(self, wish: ServiceWish, *, actor: str, origin: Origin) -> Service:
        """Make a service.

        Raises:
            Invalid, ServiceRefused, MerchantUnknown: it may not be what was asked for.
        """
        require_name(wish.name)
        if excess := wish.permissions - ROLE_PERMISSIONS[Role.SERVICE]:
            raise ServiceRefused(f"a service cannot have {', '.join(sorted(excess))}")
        if not wish.permissions:
            raise ServiceRefused("a service is made with at least one permission")
        made = Service(
            ServiceId(new_id("svc")),
            wish.merchant,
            wish.mode,
            wish.name,
            wish.permissions,
            read_keys(wish.keys),
            wish.certificate_bound,
            actor,
            self._clock.now(),
            None,
            None,
        )
        try:
            async with self._database.transaction([wish.merchant]) as tx:
                await store.insert(tx, made)
                await self._record(
                    tx,
                    Action.IDENTITY_SERVICE_CREATED,
                    made,
                    actor=actor,
                    origin=origin,
                    now=made.created_at,
                )
        except ConstraintBroken:
            raise MerchantUnknown from None
        return made

    async def all_of(self, merchant: MerchantId, mode: Mode) -> Sequence[Service]:
        """Return a tenant's services of one mode, the newest first."""
        async with self._database.transaction([merchant]) as read:
            return await store.all_of(read, merchant, mode)

    async def rotate(
        self,
        merchant: MerchantId,
        mode: Mode,
        service: str,
        keys: Mapping[str, object],
        *,
        actor: str,
        origin: Origin,
    ) -> Service:
        """Let a service prove itself with other keys from now on; name old and new ones while both are in use.

        Raises:
            Invalid: these are no keys.
            ServiceUnknown: there is none, or it was revoked.
        """
        wanted = read_keys(keys)
        async with self._database.transaction([merchant]) as tx:
            known = await self._held(tx, mode, service)
            if known.revoked_at is not None:
                raise ServiceUnknown
            await store.replace_keys(tx, known.service, wanted)
            await self._record(
                tx,
                Action.IDENTITY_SERVICE_ROTATED,
                known,
                actor=actor,
                origin=origin,
                now=self._clock.now(),
            )
            return await self._held(tx, mode, service)

    async def revoke(
        self, merchant: MerchantId, mode: Mode, service: str, *, actor: str, origin: Origin
    ) -> None:
        """End a service and every token of it, everywhere within two seconds. Safe to repeat.

        Raises:
            ServiceUnknown: there is none.
        """
        async with self._database.transaction([merchant]) as tx:
            known = await self._held(tx, mode, service)
            # Asked once the row is held: whatever token was made beside this says an earlier time.
            now = self._clock.now()
            if not await store.revoke(tx, known.service, now):
                return
            await revoke(tx, "service", known.service, now=now, outlived_by=OUTLIVED_BY)
            await self._record(
                tx, Action.IDENTITY_SERVICE_REVOKED, known, actor=actor, origin=origin, now=now
            )

    async def revoke_certificate(
        self, merchant: MerchantId, mode: Mode, thumbprint: str, *, actor: str, origin: Origin
    ) -> None:
        """End a client certificate for a tenant's services of one mode, everywhere within two seconds. Safe to repeat.

        Tokens that are bound to it end, and none is given with it again. To another tenant's services it says nothing.

        Args:
            thumbprint: see `certificates.read_thumbprint`.

        Raises:
            Invalid: this names no certificate.
            MerchantUnknown: there is none.
            ServiceRefused: the tenant has ended `CERTIFICATES_MAX` already.
        """
        read = read_thumbprint(thumbprint)
        subject = certificate_subject(merchant, mode.value, read)
        async with self._database.transaction([merchant]) as tx:
            now = self._clock.now()
            if not await store.merchant_there(tx, merchant):
                raise MerchantUnknown
            if await store.certificate_revoked(tx, subject, now):
                return
            if await store.count_certificates(tx, merchant, mode, now) >= CERTIFICATES_MAX:
                raise ServiceRefused(f"{CERTIFICATES_MAX} certificates are ended: revoke services")
            await revoke(tx, "certificate", subject, now=now, outlived_by=CERTIFICATE_OUTLIVED_BY)
            record = self._recorder.make(
                Action.IDENTITY_SERVICE_REVOKED,
                actor=actor,
                merchant=merchant,
                mode=mode,
                thing=None,
                origin=origin,
                now=now,
                details={"certificate": fact_of(read), "reason": "certificate"},
            )
            await self._recorder.insert(tx, record)

    async def _held(self, tx: Transaction, mode: Mode, service: str) -> Service:
        found = await store.for_change(tx, ServiceId(service)) if is_id("svc", service) else None
        if found is None or found[0].mode is not mode:
            raise ServiceUnknown
        return found[0]

    async def token(
        self, wish: TokenWish, proof: Proof | None, *, address: str, request_hash: str
    ) -> Granted:
        """Give a service an access token for its assertion (RFC 6749 §4.4, RFC 7523).

        Raises:
            GrantUnsupported, ScopeRefused: it asks for what it cannot have.
            ClientRefused: it has not proved itself.
        """
        if wish.grant_type != _GRANT or wish.assertion_type != ASSERTION_TYPE:
            raise GrantUnsupported
        try:
            service = claimed_service(wish.assertion.expose())
        except JoseRefused as refused:
            raise ClientRefused(f"assertion_{refused.reason}") from None
        if wish.client_id not in (None, service):
            raise ClientRefused("assertion_other_client")
        async with self._database.transaction() as read:
            merchant = await store.merchant_of(read, service)
            signer = await self._signing.signer(read)
        if merchant is None:
            raise ClientRefused("service_unknown")
        origin = await self._recorder.origin(merchant, address, request_hash, self._clock.now())
        async with self._database.transaction([merchant]) as tx:
            known, now = await self._proved(tx, service, wish, proof)
            scope = _scope(known, wish.scope)
            await store.touch(tx, service, now)
            await self._record(
                tx, Action.IDENTITY_TOKEN_ISSUED, known, actor=service, origin=origin, now=now
            )
        issued = int(now.timestamp())
        bound = Confirmation(
            jkt=None if proof is None else proof.thumbprint, certificate=wish.certificate
        )
        access = sign(
            signer,
            Claims(
                iss=self._names.issuer,
                aud=self._names.audience,
                sub=service,
                client_id=service,
                jti=new_token_id(),
                iat=issued,
                exp=issued + ACCESS_SECONDS,
                merchant=merchant,
                mode=known.mode.value,
                role=Role.SERVICE.value,
                scope=scope,
                cnf=None if bound == Confirmation() else bound,
            ),
        )
        return Granted(access, BEARER if proof is None else DPOP, ACCESS_SECONDS, scope)

    async def _proved(
        self, tx: Transaction, service: ServiceId, wish: TokenWish, proof: Proof | None
    ) -> tuple[Service, datetime]:
        """Hold the service and check its assertion, its certificate and its proof; each of them once."""
        found = await store.for_change(tx, service)
        now = self._clock.now()
        if found is None:
            raise ClientRefused("service_unknown")
        known, merchant_active = found
        assertion = self._assertion(known, wish, now)
        if known.revoked_at is not None:
            raise ClientRefused("service_revoked")
        if not merchant_active:
            raise ClientRefused("merchant_suspended")
        if known.certificate_bound and wish.certificate is None:
            raise ClientRefused("certificate_absent")
        if wish.certificate is not None:
            subject = certificate_subject(known.merchant, known.mode.value, wish.certificate)
            if await store.certificate_revoked(tx, subject, now):
                raise ClientRefused("certificate_revoked")
        if not await tx.run(
            _QUERIES["use_once"],
            known.merchant,
            "assertion",
            assertion.value_hash,
            assertion.keep_until,
        ):
            raise ClientRefused("assertion_replayed")
        # Behind the check above: who has a copy of an assertion does not use up what its service may ask for.
        self._limiter.take(service, monotonic())
        if proof is not None:
            await self._proofs.use(known.merchant, proof, tx)
        return known, now

    def _assertion(self, known: Service, wish: TokenWish, now: datetime) -> Assertion:
        try:
            return read_assertion(
                wish.assertion.expose(),
                known.service,
                known.public_keys,
                self._names.issuer,
                now,
            )
        except JoseRefused as refused:
            raise ClientRefused(f"assertion_{refused.reason}") from None

    async def _record(
        self,
        tx: Transaction,
        action: Action,
        service: Service,
        *,
        actor: str,
        origin: Origin,
        now: datetime,
    ) -> None:
        record = self._recorder.make(
            action,
            actor=actor,
            merchant=service.merchant,
            mode=service.mode,
            thing=service.service,
            origin=origin,
            now=now,
        )
        await self._recorder.insert(tx, record)


def read_keys(given: Mapping[str, object]) -> tuple[Mapping[str, str], ...]:
    """Read the public keys of a service: a JWK set or one JWK; each is kept bare, with a `kid`.

    Raises:
        Invalid: not that, or with a private part.
    """
    listed = given.get("keys", [given])
    if not isinstance(listed, list) or not 0 < len(listed) <= KEYS_MAX:
        raise Invalid(
            FieldError("/jwks/keys", "keys_malformed", f"a service has 1 to {KEYS_MAX} keys")
        )
    found = []
    for number, jwk in enumerate(listed):
        try:
            key = public_key(jwk)
        except JoseRefused:
            raise Invalid(
                FieldError(
                    f"/jwks/keys/{number}",
                    "key_malformed",
                    "a key is a public JWK: OKP with Ed25519, or EC with P-256, and no private part",
                )
            ) from None
        kid = jwk.get("kid", key.thumbprint)
        if not 0 < len(kid) <= _KID_CHARACTERS_MAX or not kid.isprintable() or has_cardlike(kid):
            raise Invalid(
                FieldError(f"/jwks/keys/{number}/kid", "kid_malformed", "a kid is short text")
            )
        found.append({**key.jwk, "kid": kid})
    return tuple(found)


def _scope(service: Service, wanted: str | None) -> str:
    """Return the permissions that a token shall have: those asked for, or all that the service has."""
    if wanted is None:
        return " ".join(sorted(service.permissions))
    words = frozenset(wanted.split(" "))
    if not words <= {permission.value for permission in service.permissions}:
        raise ScopeRefused
    return " ".join(sorted(words))
