# SPDX-License-Identifier: Apache-2.0
"""Logs people in whom their provider vouches for: to the provider, back with a code, and into a session.

What binds the two halves (RFC 9700 §4): a state that is taken once; a ticket that never leaves the browser that began;
PKCE and the nonce, so that a code of another login is worth nothing here; the issuer's name in what comes back (RFC
9207), or, where a provider does not say it, the redirect address of its own that the browser came to (mix-up).
"""

from collections.abc import Mapping
from datetime import timedelta
from time import monotonic
from typing import Any, Final
from urllib.parse import urlencode

from strongroom.audit import Action, Origin, Outcome, Recorder
from strongroom.crypto import equal
from strongroom.db.pool import Database
from strongroom.http.rate_limit import Rate, RateLimiter
from strongroom.identity.login.lockout import caller_of
from strongroom.identity.sessions.ports import Issued
from strongroom.identity.sso import store
from strongroom.identity.sso.admission import Admission
from strongroom.identity.sso.discovery import Discovery, Metadata
from strongroom.identity.sso.errors import ProviderSilent, ProviderUnknown, SignInRefused
from strongroom.identity.sso.exchange import exchanged
from strongroom.identity.sso.id_token import Expected, KeyMissing, verified_claims
from strongroom.identity.sso.model import (
    Flow,
    Identified,
    Provider,
    ProviderStatus,
    Returned,
    Started,
)
from strongroom.identity.sso.proofs import Proofs
from strongroom.identity.sso.rules import domain_of, meets
from strongroom.identity.sso.secret import open_secret
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import is_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.keys import DataKeys

FLOW_SECONDS: Final = 600
SCOPES: Final = "openid email profile"
_CLAIMS: Final = (
    '{"id_token":{"email":{"essential":true},"email_verified":{"essential":true},"name":null}}'
)


class SignIn:
    """Logins by the providers of every tenant. `rate` bounds the steps of one address (IPv6: one /64)."""

    def __init__(
        self,
        *,
        database: Database,
        keys: DataKeys,
        proofs: Proofs,
        discovery: Discovery,
        admission: Admission,
        recorder: Recorder,
        clock: Clock,
        rate: Rate,
    ) -> None:
        self._database = database
        self._keys = keys
        self._proofs = proofs
        self._discovery = discovery
        self._admission = admission
        self._recorder = recorder
        self._clock = clock
        self._addresses = RateLimiter(rate)

    async def start(
        self, *, provider: str | None, email: str | None, mode: Mode, redirect: str, address: str
    ) -> Started:
        """Return where to send somebody. Nothing is told of people: only which provider a domain has.

        Raises:
            ProviderUnknown: no active provider has this id, or not exactly one has this domain.
            Invalid: the redirect address is not one of the provider's.
            ProviderSilent: the provider does not answer.
            TooMany: this address asks too often.
        """
        self._addresses.take(caller_of(address), monotonic())
        found = await self._presented(provider, email)
        if redirect not in found.terms.redirects:
            raise Invalid(
                FieldError("/redirect", "redirect_unknown", "not a redirect of this provider")
            )
        metadata = await self._discovery.metadata(found.terms.issuer)
        state = self._proofs.new_state()
        now = self._clock.now()
        flow = Flow(
            found.merchant,
            found.provider_id,
            mode,
            redirect,
            now,
            now + timedelta(seconds=FLOW_SECONDS),
        )
        async with self._database.transaction([found.merchant]) as tx:
            await store.insert_flow(tx, self._proofs.state_hash(state), flow)
        return Started(
            self._address(found, metadata, state, flow),
            Secret(self._proofs.ticket(state)),
            FLOW_SECONDS,
        )

    async def finish(self, back: Returned, *, address: str, request_hash: str) -> Issued:
        """Log somebody in with what they brought from their provider. What they began is over, whatever comes of it.

        Raises:
            SignInRefused: it does not hold; the reason stands in the tenant's audit log.
            ProviderSilent, ProviderUnreadable: it could not be found out.
            TooMany: this address asks too often.
        """
        self._addresses.take(caller_of(address), monotonic())
        async with self._database.transaction() as tx:
            flow = await store.take_flow(tx, self._proofs.state_hash(back.state))
        if flow is None:
            raise SignInRefused("state_unknown")
        now = self._clock.now()
        origin = await self._recorder.origin(flow.merchant, address, request_hash, now)
        try:
            if now >= flow.expires_at:
                raise SignInRefused("state_expired")
            if not self._proofs.has_ticket(back.state, back.ticket):
                raise SignInRefused("ticket_wrong")
            provider = await self._provider(flow)
            who = await self._identified(provider, flow, back)
            return await self._admission.admit(provider, flow.mode, who, origin=origin)
        except (SignInRefused, ProviderSilent) as refused:
            await self._record_refusal(flow, refused.reason, origin)
            raise

    async def _presented(self, provider: str | None, email: str | None) -> Provider:
        domain = domain_of(email) if email is not None else None
        if (provider is None) == (domain is None) or (
            provider is not None and not is_id("sso", provider)
        ):
            raise ProviderUnknown
        async with self._database.transaction() as read:
            found = await store.presented_provider(
                read, provider=provider or "", domain=domain or ""
            )
        if found is None:
            raise ProviderUnknown
        return found

    async def _provider(self, flow: Flow) -> Provider:
        async with self._database.transaction([flow.merchant]) as read:
            provider = await store.provider_by_id(read, flow.merchant, flow.provider_id)
            works = await store.tenant_works(read, flow.merchant)
        if not works:
            raise SignInRefused("merchant_suspended")
        if provider is None or provider.status is not ProviderStatus.ACTIVE:
            raise SignInRefused("provider_disabled")
        if flow.redirect not in provider.terms.redirects:
            raise SignInRefused("redirect_removed")
        return provider

    def _address(self, provider: Provider, metadata: Metadata, state: str, flow: Flow) -> str:
        """Return the authorization request (Core 1.0 §3.1.2.1)."""
        terms = provider.terms
        asked = {
            "response_type": "code",
            "client_id": terms.client_id,
            "redirect_uri": flow.redirect,
            "scope": SCOPES,
            "state": state,
            "nonce": self._proofs.nonce(state),
            "code_challenge": self._proofs.challenge(state),
            "code_challenge_method": "S256",
            # Factors are shown at every login of ours, not at some login of this morning.
            "prompt": "login",
        }
        if terms.max_age_seconds is not None:
            asked["max_age"] = str(terms.max_age_seconds)
        if terms.required_acr:
            asked["acr_values"] = " ".join(terms.required_acr)
        if metadata.claims_parameter_supported:
            asked["claims"] = _CLAIMS
        joint = "&" if "?" in metadata.authorization_endpoint else "?"
        return f"{metadata.authorization_endpoint}{joint}{urlencode(asked)}"

    async def _identified(self, provider: Provider, flow: Flow, back: Returned) -> Identified:
        """Return who the provider says somebody is, once everything about it holds."""
        terms = provider.terms
        metadata = await self._discovery.metadata(terms.issuer)
        _require_no_mix_up(provider, metadata, back)
        tokens = await exchanged(
            self._discovery,
            metadata,
            terms,
            await open_secret(self._keys, provider),
            code=back.code,
            verifier=self._proofs.verifier(back.state),
            redirect=flow.redirect,
        )
        expected = Expected(
            terms.issuer,
            terms.client_id,
            tokens.access_token,
            self._clock.now(),
            terms.max_age_seconds,
        )
        claims = await self._verified(tokens.id_token, expected)
        if not self._proofs.has_nonce(back.state, claims.get("nonce")):
            raise SignInRefused("token_nonce_wrong")
        if not meets(terms, claims):
            raise SignInRefused("factors_missing")
        return _identified(claims)

    async def _verified(self, token: str, expected: Expected) -> Mapping[str, Any]:
        """Verify with the keys at hand, and once more with newer ones: providers rotate theirs."""
        try:
            keys = await self._discovery.keys(expected.issuer)
            return verified_claims(token, keys, expected)
        except KeyMissing:
            pass
        try:
            keys = await self._discovery.keys(expected.issuer, again=True)
            return verified_claims(token, keys, expected)
        except KeyMissing:
            raise SignInRefused("token_key_unknown") from None

    async def _record_refusal(self, flow: Flow, reason: str, origin: Origin) -> None:
        record = self._recorder.make(
            Action.IDENTITY_LOGIN_FAILED,
            actor=flow.provider_id,
            merchant=flow.merchant,
            mode=flow.mode,
            thing=flow.provider_id,
            origin=origin,
            now=self._clock.now(),
            details={"method": "oidc", "reason": reason},
            outcome=Outcome.DENIED,
        )
        async with self._database.transaction([flow.merchant]) as tx:
            await self._recorder.insert(tx, record)


def _require_no_mix_up(provider: Provider, metadata: Metadata, back: Returned) -> None:
    """Refuse an answer that is not certainly this provider's (RFC 9207 §2.4, RFC 9700 §4.4)."""
    if back.provider_id is not None and not _same(back.provider_id, provider.provider_id):
        raise SignInRefused("provider_other")
    if back.issuer is not None:
        if not _same(back.issuer, provider.terms.issuer):
            raise SignInRefused("issuer_other")
    elif metadata.authorization_response_iss_parameter_supported or back.provider_id is None:
        raise SignInRefused("issuer_missing")


def _same(left: str, right: str) -> bool:
    return equal(left.encode("utf-8", "surrogatepass"), right.encode("utf-8", "surrogatepass"))


def _identified(claims: Mapping[str, Any]) -> Identified:
    email, name = claims.get("email"), claims.get("name")
    amr = claims.get("amr")
    words = [each for each in amr if isinstance(each, str)] if isinstance(amr, list) else []
    return Identified(
        subject=claims["sub"],
        email=email.lower()
        if isinstance(email, str) and claims.get("email_verified") is True
        else None,
        name=name if isinstance(name, str) else None,
        methods=frozenset(words),
        claims=claims,
    )
