# SPDX-License-Identifier: Apache-2.0
"""Who is asking, by whichever credential: an API key, or an access token of a person or a service.

A token that held is remembered for at most a second, as a key is; what was revoked is looked for at every use, in the
process's own memory.
"""

from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from time import monotonic
from typing import Final, final

from strongroom.audit import PLATFORM
from strongroom.crypto.digest import HmacSha256
from strongroom.crypto.random import random_bytes
from strongroom.http import Authenticator, Credential, Request, Unauthenticated
from strongroom.http.auth import BEARER, DPOP, STEP_UP_SECONDS
from strongroom.identity.access_tokens import BEGINNING, Claims, TokenVerifier
from strongroom.identity.dpop import ProofRefused, Proofs
from strongroom.identity.grants import ROLE_PERMISSIONS, breakable, granted_to
from strongroom.identity.revocation import Trust, certificate_subject
from strongroom.identity.store import permissions_of
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import MerchantId, SessionId
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import CallerKind, Presence, Principal, Role

REMEMBERED_SECONDS: Final = 1.0
REMEMBERED_TOKENS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Held:
    claims: Claims
    principal: Principal
    until: float
    certificate: str | None


@final
class TokenAuthenticator:
    """Authenticates by access tokens."""

    def __init__(self, verifier: TokenVerifier, trust: Trust, proofs: Proofs, clock: Clock) -> None:
        self._verifier = verifier
        self._trust = trust
        self._proofs = proofs
        self._clock = clock
        #: Tokens are remembered under a hash, so that memory alone presents none.
        self._hashed = HmacSha256(random_bytes(32))
        self._held: OrderedDict[bytes, _Held] = OrderedDict()

    def recent(self, request: Request, credential: Credential) -> Principal | None:
        """Return the principal of a token that held within the last second and was not revoked since.

        One that is bound to a key needs a new proof each time, and is checked anew.
        """
        if credential.scheme != BEARER or not credential.text.isascii():
            return None
        held = self._held.get(self._hashed.of(credential.text.encode()))
        if held is None or monotonic() >= held.until or not self._trust.fresh:
            return None
        if held.certificate is not None and held.certificate != request.client_certificate:
            return None
        if held.claims.exp <= self._clock.now().timestamp() or self._ended(held.claims):
            return None
        return held.principal

    async def authenticate(self, request: Request, credential: Credential) -> Principal:
        """Check a token.

        Raises:
            Unauthenticated: it does not hold.
            RevocationsUnknown: nobody can say now what was revoked.
        """
        self._trust.require_fresh()
        claims = await self._verifier.claims(credential.text)
        if self._ended(claims):
            raise Unauthenticated("token_revoked")
        principal = self._principal(claims)
        await self._confirm(request, credential, claims)
        # A while may have passed since the first look: a reading that was waited for, a proof that was written down.
        self._trust.require_fresh()
        if self._ended(claims):
            raise Unauthenticated("token_revoked")
        if claims.cnf is None or claims.cnf.jkt is None:
            self._remember(credential, claims, principal)
        return principal

    def _ended(self, claims: Claims) -> bool:
        trust = self._trust
        if claims.sid is None:
            return trust.revoked_since("service", claims.sub, claims.iat) or (
                claims.cnf is not None
                and claims.cnf.certificate is not None
                and trust.revoked(
                    "certificate",
                    certificate_subject(claims.merchant, claims.mode, claims.cnf.certificate),
                )
            )
        return trust.revoked("session", claims.sid) or trust.revoked_since(
            "person", claims.sub, claims.iat
        )

    async def _confirm(self, request: Request, credential: Credential, claims: Claims) -> None:
        """Ask for what a token is bound to. One bound to a key is no bearer token (RFC 9449 §7.2), nor the reverse."""
        bound = claims.cnf
        wanted = None if bound is None else bound.jkt
        if credential.scheme == DPOP:
            if wanted is None:
                raise ProofRefused("token_not_bound")
            proof = self._proofs.read(request, access_token=credential.text)
            if proof is None:
                raise ProofRefused("proof_absent")
            if proof.thumbprint != wanted:
                raise ProofRefused("proof_key")
            await self._proofs.use(MerchantId(claims.merchant), proof)
        elif wanted is not None:
            raise ProofRefused("token_bound")
        if bound is not None and bound.certificate is not None:
            if request.client_certificate is None:
                raise Unauthenticated("certificate_absent")
            if request.client_certificate != bound.certificate:
                raise Unauthenticated("certificate_other")

    def _remember(self, credential: Credential, claims: Claims, principal: Principal) -> None:
        key = self._hashed.of(credential.text.encode())
        if key not in self._held and len(self._held) >= REMEMBERED_TOKENS_MAX:
            self._held.popitem(last=False)
        certificate = None if claims.cnf is None else claims.cnf.certificate
        self._held[key] = _Held(claims, principal, monotonic() + REMEMBERED_SECONDS, certificate)

    def _principal(self, claims: Claims) -> Principal:
        try:
            role, mode = Role(claims.role), Mode(claims.mode)
        except ValueError:
            raise Unauthenticated("token_claims") from None
        merchant = MerchantId(claims.merchant)
        if claims.sid is None:
            if role is not Role.SERVICE or claims.scope is None or merchant == PLATFORM:
                raise Unauthenticated("token_claims")
            granted = _of_scope(claims.scope) & ROLE_PERMISSIONS[Role.SERVICE]
            return Principal(claims.sub, CallerKind.SERVICE, merchant, mode, granted)
        if role is Role.SERVICE or claims.sut is None:
            raise Unauthenticated("token_claims")
        platform = merchant == PLATFORM
        granted = _granted(role, mode, platform)
        if claims.extra is not None:
            granted |= _of_scope(claims.extra) & breakable(role, platform=platform)
        stepped_up = self._clock.now().timestamp() - claims.sut <= STEP_UP_SECONDS
        return Principal(
            claims.sub,
            CallerKind.PERSON,
            merchant,
            mode,
            granted,
            Presence(SessionId(claims.sid), role, frozenset(claims.amr), stepped_up),
        )


@cache
def _granted(role: Role, mode: Mode, platform: bool) -> frozenset[Permission]:  # noqa: FBT001 - a cache's key
    return granted_to(role, mode, platform=platform)


def _of_scope(scope: str) -> frozenset[Permission]:
    return permissions_of(scope.split(" "))


@final
class Authenticators:
    """API keys and access tokens; which of the two a text is, its beginning says."""

    def __init__(self, keys: Authenticator, tokens: TokenAuthenticator) -> None:
        self._keys = keys
        self._tokens = tokens

    def recent(self, request: Request, credential: Credential) -> Principal | None:
        """Return the principal of a credential that was checked less than a second ago, without waiting."""
        if credential.text.startswith(BEGINNING):
            return self._tokens.recent(request, credential)
        return self._keys.recent(request, credential)

    async def authenticate(self, request: Request, credential: Credential) -> Principal:
        """Check a credential.

        Raises:
            Unauthenticated: it does not hold.
            Unavailable: it could not be checked, so it does not hold now.
        """
        if credential.text.startswith(BEGINNING):
            return await self._tokens.authenticate(request, credential)
        return await self._keys.authenticate(request, credential)
