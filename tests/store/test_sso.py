# SPDX-License-Identifier: Apache-2.0
"""Single sign-on against a provider that keeps to the standard, and that lies in one way at a time."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from database import Databases
from oidc_provider import CLIENT, SECRET, Claims, Lies, OidcProvider, new_key, signed
from peer import answer
from store.rights import as_login
from store.sso_ground import DOMAIN, REDIRECT, SsoGround, mapping, sso_ground, terms
from strongroom.audit import Action
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import connect
from strongroom.http.rate_limit import Rate, TooMany
from strongroom.identity.people.model import PersonStatus
from strongroom.identity.sso.errors import (
    ProviderDisabled,
    ProvidersFull,
    ProviderSilent,
    ProviderUnknown,
    ProviderUnreadable,
    SignInRefused,
)
from strongroom.identity.sso.model import Provider
from strongroom.identity.sso.providers import PROVIDERS_MAX
from strongroom.kernel.errors import Invalid
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Role
from strongroom.kernel.secret import Secret


@pytest_asyncio.fixture(loop_scope="session")
async def ground(databases: Databases) -> AsyncIterator[SsoGround]:
    async with sso_ground(databases) as lent:
        yield lent


def address() -> str:
    """Somebody's address, another each time: addresses are unique in the installation."""
    return f"{new_id('usr').lower()}@{DOMAIN}"


async def refused(ground: SsoGround, login: Any) -> str:
    """The one reason that the audit log has for a login that is refused."""
    before = len(await ground.refusals())
    begun = len(ground.sessions.begun)
    with pytest.raises((SignInRefused, ProviderSilent)) as error:
        await login
    assert len(ground.sessions.begun) == begun
    if isinstance(error.value, SignInRefused):
        assert error.value.code == "unauthenticated"  # told as any other
        assert error.value.detail == SignInRefused().detail
    reasons = await ground.refusals()
    assert len(reasons) == before + 1
    return reasons[-1]


# --- who is let in ---------------------------------------------------------------------------------


async def test_an_active_person_logs_in_by_their_verified_address_and_then_by_their_subject(
    ground: SsoGround,
) -> None:
    provider, email = await ground.provider(), address()
    person = await ground.person(email)
    issued = await ground.signed_in(provider, sub="ada", email=email.upper())
    assert issued.access.expose() == "an access token"
    somebody, mode, methods = ground.sessions.begun[-1]
    assert (somebody.person_id, mode) == (person, Mode.LIVE)
    assert methods == {"pwd", "otp", "mfa"}
    (row,) = await ground.people()
    assert row["last_used_at"] == ground.clock.now()
    # From now on the subject counts: the address may be another, or unsaid.
    await ground.signed_in(provider, sub="ada", email="other@elsewhere.example")
    await ground.signed_in(provider, sub="ada", email_verified=False)
    assert {each.person_id for each, *_ in ground.sessions.begun} == {person}
    assert (await ground.actions()).count(Action.IDENTITY_LOGIN_SUCCEEDED) == 3
    assert not ground.sessions.ended


async def test_an_invited_person_becomes_active_by_logging_in(ground: SsoGround) -> None:
    provider, email = await ground.provider(), address()
    person = await ground.person(email, status=PersonStatus.INVITED)
    await ground.run(
        """insert into identity.invitation
                  (merchant_id, invitation_id, person_id, reason, link_hash, created_by, created_at, expires_at)
           values ($1, $2::text, $3, 'invited', decode(md5($2::text) || md5($2::text), 'hex'), 'x', now(),
                   now() + interval '1 day')""",
        ground.merchant,
        new_id("inv"),
        person,
    )
    await ground.signed_in(provider, sub="ada", email=email)
    (row,) = await ground.people()
    assert row["status"] == "active"
    (link,) = await ground.rows(
        "select * from identity.invitation where merchant_id = $1", ground.merchant
    )
    assert link["withdrawn_at"] == ground.clock.now()
    assert Action.IDENTITY_INVITATION_ACCEPTED in await ground.actions()


async def test_a_person_of_the_platform_logs_in_by_the_platforms_provider(
    ground: SsoGround,
) -> None:
    platform, email = MerchantId("platform"), address()
    provider = await ground.provider(platform)
    person = await ground.person(email, Role.AUDITOR, merchant=platform)
    await ground.signed_in(provider, sub="ada", email=email)
    assert ground.sessions.begun[-1][0].person_id == person
    assert ground.sessions.begun[-1][0].merchant == platform


async def test_somebody_new_is_made_with_the_role_of_the_mapping(ground: SsoGround) -> None:
    provider = await ground.provider(**mapping(support=Role.OPERATOR, lookers=Role.AUDITOR))
    email = address()
    await ground.signed_in(
        provider, sub="ada", email=email, name="Ada L.", groups=["everybody", "lookers"]
    )
    (row,) = await ground.people()
    assert (row["role"], row["status"], row["name"]) == ("auditor", "active", "Ada L.")
    assert row["created_by"] == provider.provider_id
    made = [
        each for each in await ground.records() if each["action"] == Action.IDENTITY_PERSON_CREATED
    ]
    assert [each["details"] for each in made] == [{"method": "oidc", "role": "auditor"}]


async def test_a_changed_role_counts_at_the_next_login_and_ends_the_sessions_before(
    ground: SsoGround,
) -> None:
    provider = await ground.provider(**mapping(admins=Role.ADMIN, support=Role.OPERATOR))
    email = address()
    await ground.signed_in(provider, sub="ada", email=email, groups="support")
    assert ground.sessions.ended == []
    await ground.signed_in(provider, sub="ada", groups=["support", "admins"])
    (row,) = await ground.people()
    assert row["role"] == "admin"
    assert ground.sessions.ended == [(row["person_id"], "role_changed")]
    assert ground.sessions.begun[-1][0].role is Role.ADMIN
    assert Action.IDENTITY_PERSON_CHANGED in await ground.actions()


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [("ES256", "EC"), ("RS256", "RSA"), ("PS256", "RSA"), ("EdDSA", "OKP"), ("Ed25519", "OKP")],
)
async def test_every_algorithm_of_the_list(ground: SsoGround, algorithm: str, kind: str) -> None:
    ground.idp.use(kind, algorithm, "one")
    provider, email = await ground.provider(), address()
    await ground.person(email)
    await ground.signed_in(provider, sub="ada", email=email)


async def test_an_acr_is_asked_for_and_is_enough(ground: SsoGround) -> None:
    provider = await ground.provider(required_amr=(), required_acr=("urn:mfa", "urn:hw"))
    email = address()
    await ground.person(email)
    await ground.signed_in(provider, sub="ada", email=email, acr="urn:hw", amr=None)
    assert ground.sessions.begun[-1][2] == {"mfa"}
    back = await ground.begun(provider, sub="ada", acr="urn:pwd")
    assert await refused(ground, ground.finished(back)) == "factors_missing"
    assert not ground.idp.codes  # each was redeemed, once
    await ground.begun(provider)
    (asked,) = ground.idp.codes.values()
    assert asked["acr_values"] == "urn:mfa urn:hw"
    assert asked["max_age"] == "300"


async def test_a_provider_is_found_by_the_domain_of_an_address(ground: SsoGround) -> None:
    domain = f"{new_id('usr')[4:].lower()}.example"
    provider = await ground.provider(domains=(domain,))

    async def start(email: str) -> str:
        started = await ground.sign_in.start(
            provider=None, email=email, mode=Mode.TEST, redirect=REDIRECT, address="192.0.2.7"
        )
        return started.authorization_url

    assert (await start(f"anybody@{domain.upper()}")).startswith(ground.idp.issuer)
    for nobody in (f"a@sub.{domain}", "a@other.example", domain, "@", ""):
        with pytest.raises(ProviderUnknown):
            await start(nobody)
    # Somebody else who claims the same domain does not get its people: then the id must be named.
    other = await ground.tenant()
    theirs = await ground.provider(other, domains=(domain,))
    with pytest.raises(ProviderUnknown):
        await start(f"anybody@{domain}")
    await ground.providers.disable(theirs.provider_id, ground.by(other))
    assert await start(f"anybody@{domain}")
    await ground.providers.disable(provider.provider_id, ground.by())
    with pytest.raises(ProviderUnknown):
        await start(f"anybody@{domain}")


async def test_keys_that_the_provider_rotates_are_asked_for_again_but_not_by_forgeries(
    ground: SsoGround,
) -> None:
    provider, email = await ground.provider(), address()
    await ground.person(email)
    await ground.signed_in(provider, sub="ada", email=email)
    ground.step(61)
    ground.idp.use("EC", "ES256", "two")
    await ground.signed_in(provider, sub="ada")
    assert ground.idp.requests("/jwks") == 2
    ground.idp.lies.token = lambda _, claims: signed(
        claims, new_key("EC", "x"), {"alg": "ES256", "kid": "x"}
    )
    for _ in range(3):
        login = ground.signed_in(provider, sub="ada")
        assert await refused(ground, login) == "token_key_unknown"
    assert ground.idp.requests("/jwks") == 2
    assert ground.idp.requests("/.well-known/openid-configuration") == 1


# --- who is not let in ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"email_verified": False}, "email_unverified"),
        ({"email_verified": "true"}, "email_unverified"),
        ({"email_verified": None}, "email_unverified"),
        ({"email": None}, "email_unverified"),
        ({"email": f"ada@sub.{DOMAIN}"}, "email_domain_wrong"),
        ({"email": f"ada@{DOMAIN}@evil.example"}, "email_domain_wrong"),
        ({"email": f"nobody@{DOMAIN}"}, "person_unknown"),
        ({"sub": ""}, "token_subject_malformed"),
        ({"sub": "x" * 256}, "token_subject_malformed"),
        ({"sub": 7}, "token_subject_malformed"),
    ],
)
async def test_an_address_that_is_not_vouched_for(
    ground: SsoGround, claims: Claims, reason: str
) -> None:
    provider, email = await ground.provider(), address()
    await ground.person(email)
    login = ground.signed_in(provider, **{"sub": "ada", "email": email, **claims})
    assert await refused(ground, login) == reason


async def test_an_address_that_is_given_to_somebody_else_gives_no_access_with_it(
    ground: SsoGround,
) -> None:
    provider, email = await ground.provider(), address()
    await ground.person(email)
    await ground.signed_in(provider, sub="ada", email=email)
    login = ground.signed_in(provider, sub="the next who has it", email=email)
    assert await refused(ground, login) == "person_linked_otherwise"


async def test_a_person_of_another_tenant_is_nobody_here(ground: SsoGround) -> None:
    other, email = await ground.tenant(), address()
    await ground.person(email, merchant=other)
    provider = await ground.provider(**mapping(support=Role.OPERATOR))
    login = ground.signed_in(provider, sub="ada", email=email, groups="support")
    assert await refused(ground, login) == "person_unknown"
    assert await ground.people() == []


async def test_a_suspended_person_or_tenant_is_not_let_in(ground: SsoGround) -> None:
    provider, email = await ground.provider(), address()
    await ground.person(email, status=PersonStatus.SUSPENDED)
    login = ground.signed_in(provider, sub="ada", email=email)
    assert await refused(ground, login) == "person_suspended"
    (row,) = await ground.people()
    assert row["status"] == "suspended"
    assert not await ground.rows(
        "select * from identity.provider_link where merchant_id = $1", ground.merchant
    )
    back = await ground.begun(provider, sub="ada", email=email)
    await ground.run(
        "update identity.merchant set status = 'suspended' where merchant_id = $1", ground.merchant
    )
    assert await refused(ground, ground.finished(back)) == "merchant_suspended"


async def test_whoever_has_no_mapped_role_is_not_let_in_though_they_were(ground: SsoGround) -> None:
    provider, email = await ground.provider(**mapping(support=Role.OPERATOR)), address()
    await ground.signed_in(provider, sub="ada", email=email, groups=["support"])
    for groups in (None, [], ["Support"], "support ", {"support": True}, [["support"]]):
        login = ground.signed_in(provider, sub="ada", groups=groups)
        assert await refused(ground, login) == "role_unmapped"


async def demotable(ground: SsoGround, *subjects: str) -> Provider:
    """A provider of a tenant whose admins are these subjects, and that gives everybody another role from now on."""
    provider = await ground.provider(**mapping(admins=Role.ADMIN, support=Role.OPERATOR))
    for subject in subjects:
        await ground.signed_in(provider, sub=subject, email=address(), groups="admins")
    return provider


async def roles(ground: SsoGround) -> list[str]:
    return sorted(each["role"] for each in await ground.people())


async def test_no_login_takes_the_last_admin_from_a_tenant(ground: SsoGround) -> None:
    provider = await demotable(ground, "ada", "grace")
    for status in (PersonStatus.SUSPENDED, PersonStatus.INVITED):  # they let nobody in
        await ground.person(address(), Role.ADMIN, status)
    other = await ground.tenant()
    await ground.person(address(), Role.ADMIN, merchant=other)
    await ground.signed_in(provider, sub="ada", groups="support")  # there is another
    begun = len(ground.sessions.begun)
    login = ground.signed_in(provider, sub="grace", groups="support")
    assert await refused(ground, login) == "last_admin"
    assert await roles(ground) == ["admin", "admin", "admin", "operator"]
    assert len(ground.sessions.begun) == begun
    await ground.signed_in(provider, sub="ada", groups="support")  # who is none, is let in
    await ground.signed_in(provider, sub="grace", groups="admins")
    await ground.person(address(), Role.ADMIN)
    await ground.signed_in(provider, sub="grace", groups="support")
    assert await roles(ground) == ["admin", "admin", "admin", "operator", "operator"]


async def test_two_last_admins_who_log_in_at_once_do_not_both_lose_it(ground: SsoGround) -> None:
    provider = await demotable(ground, "ada", "grace")
    backs = [
        await ground.begun(provider, sub=subject, groups="support") for subject in ("ada", "grace")
    ]
    held = await connect(ground.databases.administrator(Domain.CORE))
    try:
        async with held.transaction():
            await held.execute(
                "select 1 from identity.person where merchant_id = $1 for update", ground.merchant
            )
            logins = [asyncio.create_task(ground.finished(back)) for back in backs]
            deadline = asyncio.get_running_loop().time() + 30
            while await waiting(ground) < len(logins):  # both are as far as they come
                assert asyncio.get_running_loop().time() < deadline, "two logins wait"
                await asyncio.sleep(0.01)
        ends = await asyncio.gather(*logins, return_exceptions=True)
    finally:
        await held.close()
    assert sorted(type(each).__name__ for each in ends) == ["Issued", "SignInRefused"], ends
    assert await ground.refusals() == ["last_admin"]
    assert await roles(ground) == ["admin", "operator"]


async def waiting(ground: SsoGround) -> int:
    """How many wait for another's rows."""
    (row,) = await ground.rows(
        "select count(*) as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    )
    return int(row["n"])


async def test_nothing_commits_when_the_session_cannot_begin(ground: SsoGround) -> None:
    provider, email = await ground.provider(**mapping(support=Role.OPERATOR)), address()
    ground.sessions.fails = True
    before = await ground.actions()
    with pytest.raises(RuntimeError):
        await ground.signed_in(provider, sub="ada", email=email, groups="support")
    assert await ground.people() == []
    assert await ground.actions() == before
    assert not await ground.rows(
        "select * from identity.provider_link where merchant_id = $1", ground.merchant
    )


# --- what a provider may not say --------------------------------------------------------------------


def with_claim(name: str, value: object) -> Lies:
    return Lies(claims=lambda claims: {**claims, name: value})


def without(name: str) -> Lies:
    return Lies(claims=lambda claims: {k: v for k, v in claims.items() if k != name})


def later(name: str, seconds: float) -> Lies:
    return Lies(claims=lambda claims: {**claims, name: claims[name] + seconds})


def token(make: Callable[[OidcProvider, Claims], str]) -> Lies:
    return Lies(token=make)


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(_: OidcProvider, claims: Claims) -> str:
    return f"{_part({'alg': 'none'})}.{_part(claims)}."


def by_the_secret(_: OidcProvider, claims: Claims) -> str:
    from joserfc import jwk  # noqa: PLC0415 - the one test that needs it

    return signed(claims, jwk.OctKey.import_key(SECRET), {"alg": "HS256", "kid": "one"})


def by_the_public_key(idp: OidcProvider, claims: Claims) -> str:
    from joserfc import jwk  # noqa: PLC0415 - likewise

    public = json.dumps(idp.key.as_dict(private=False))
    return signed(claims, jwk.OctKey.import_key(public), {"alg": "HS256", "kid": "one"})


def by_another_key(idp: OidcProvider, claims: Claims) -> str:
    return signed(claims, new_key("EC", "one"), {"alg": "ES256", "kid": "one"})


def by_a_key_of_its_own_header(idp: OidcProvider, claims: Claims) -> str:
    other = new_key("EC", "own")
    header = {"alg": "ES256", "kid": "own", "jwk": other.as_dict(private=False)}
    return signed(claims, other, {**header, "jku": "https://evil.example/jwks"})


def altered(idp: OidcProvider, claims: Claims) -> str:
    head, _, tail = signed(claims, idp.key, {"alg": "ES256", "kid": "one"}).split(".")
    return f"{head}.{_part({**claims, 'sub': 'admin'})}.{tail}"


def truncated(idp: OidcProvider, claims: Claims) -> str:
    return signed(claims, idp.key, {"alg": "ES256", "kid": "one"})[:-4]


def doubled(idp: OidcProvider, claims: Claims) -> str:
    from joserfc import jws  # noqa: PLC0415 - likewise

    body = json.dumps(claims)[:-1] + ', "sub": "admin"}'
    return str(jws.serialize_compact({"alg": "ES256", "kid": "one"}, body, idp.key))


LIES: dict[str, tuple[Lies, str]] = {
    "another nonce": (with_claim("nonce", "x" * 43), "token_nonce_wrong"),
    "no nonce": (without("nonce"), "token_nonce_wrong"),
    "another issuer": (with_claim("iss", "https://other.example"), "token_issuer_wrong"),
    "no issuer": (without("iss"), "token_issuer_wrong"),
    "another audience": (with_claim("aud", "another client"), "token_audience_wrong"),
    "no audience": (without("aud"), "token_audience_wrong"),
    "several audiences and no party": (
        with_claim("aud", [CLIENT, "another"]),
        "token_audience_wrong",
    ),
    "another party": (with_claim("azp", "another"), "token_audience_wrong"),
    "expired": (later("exp", -361), "token_expired"),
    "no end": (without("exp"), "token_time_missing"),
    "an end that is no number": (with_claim("exp", "2999"), "token_time_missing"),
    "an end that is a truth": (with_claim("exp", True), "token_time_missing"),
    "made in the future": (later("iat", 61), "token_time_wrong"),
    "made long ago": (later("iat", -601), "token_time_wrong"),
    "not yet": (with_claim("nbf", 9_999_999_999), "token_time_wrong"),
    "a begin that is no number": (with_claim("nbf", "now"), "token_time_wrong"),
    "an old proof": (later("auth_time", -361), "token_proof_old"),
    "no time of the proof": (without("auth_time"), "token_proof_old"),
    "another access token": (with_claim("at_hash", "x" * 22), "token_access_token_other"),
    "no factors": (without("amr"), "factors_missing"),
    "one factor": (with_claim("amr", ["pwd"]), "factors_missing"),
    "factors in a text": (with_claim("amr", "mfa"), "factors_missing"),
    "alg none": (token(unsigned), "token_algorithm_wrong"),
    "HS256 with the client's secret": (token(by_the_secret), "token_algorithm_wrong"),
    "HS256 with the public key": (token(by_the_public_key), "token_algorithm_wrong"),
    "another key of the same name": (token(by_another_key), "token_signature_wrong"),
    "a key in its own header": (token(by_a_key_of_its_own_header), "token_key_unknown"),
    "altered": (token(altered), "token_signature_wrong"),
    "truncated": (token(truncated), "token_signature_wrong"),
    "a claim that stands twice": (token(doubled), "token_signature_wrong"),
    "no token at all": (token(lambda *_: "x"), "token_malformed"),
    "three empty parts": (token(lambda *_: ".."), "token_signature_wrong"),
    "a token without end": (token(lambda *_: "x" * 40_000), "token_malformed"),
    "no keys": (Lies(keys=lambda _: []), "token_key_unknown"),
    "a shared key among its keys": (
        Lies(
            keys=lambda _: [{"kty": "oct", "k": _part(SECRET), "kid": "one"}], token=by_the_secret
        ),
        "token_algorithm_wrong",
    ),
    "a key for encryption": (
        Lies(keys=lambda keys: [{**each, "use": "enc"} for each in keys]),
        "token_key_unknown",
    ),
    "two keys of one name": (Lies(keys=lambda keys: keys * 2), "token_key_ambiguous"),
    "another kind of token": (
        Lies(tokens=lambda tokens: {**tokens, "token_type": "mac"}),
        "token_answer_malformed",
    ),
    "no id token": (
        Lies(tokens=lambda tokens: {**tokens, "id_token": None}),
        "token_answer_malformed",
    ),
    "nothing but an error": (Lies(everything=answer(b"oh", 500)), "configuration_refused"),
}


@pytest.mark.parametrize("name", LIES)
async def test_a_provider_that_lies_is_not_believed(ground: SsoGround, name: str) -> None:
    lies, reason = LIES[name]
    provider, email = await ground.provider(), address()
    await ground.person(email)
    back = await ground.begun(provider, sub="ada", email=email)
    ground.idp.lies = lies
    if reason == "configuration_refused":
        ground.step(3_601)  # what was known of it is forgotten by then, and so is the login
        reason = "state_expired"
    assert await refused(ground, ground.finished(back)) == reason
    ground.idp.lies = Lies()
    ground.step(3_601)  # keys that it lied about are asked for again by then
    await ground.signed_in(provider, sub="ada", email=email)  # and honestly it goes on


DOCUMENTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "another issuer": lambda says: {**says, "issuer": "https://other.example"},
    "an issuer with a slash more": lambda says: {**says, "issuer": says["issuer"] + "/"},
    "no endpoint": lambda says: {k: v for k, v in says.items() if k != "token_endpoint"},
    "an endpoint inside our network": lambda says: {**says, "token_endpoint": "https://10.0.0.1/"},
    "the cloud's own endpoint": lambda says: {**says, "jwks_uri": "http://169.254.169.254/keys"},
    "plain HTTP": lambda says: {**says, "authorization_endpoint": "http://login.example/"},
    "a script": lambda says: {**says, "authorization_endpoint": "javascript:alert(1)"},
}


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_a_document_that_lies_is_not_believed(ground: SsoGround, name: str) -> None:
    ground.idp.lies.document = DOCUMENTS[name]
    with pytest.raises(ProviderSilent):
        await ground.begun(await ground.provider())


@pytest.mark.parametrize(
    "everything",
    [
        answer(b"not json"),
        answer(b"[" * 10_000),
        answer(b" " * 200_000),
        answer(b"{}", 302, "location: http://169.254.169.254/\r\n"),
        answer(b"{}", 500),
        b"",
    ],
)
async def test_a_provider_that_does_not_answer_as_it_should_is_silent(
    ground: SsoGround, everything: bytes
) -> None:
    ground.idp.lies.everything = everything or b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
    if not everything:
        ground.idp.listening.hang_up()
    provider = await ground.provider()
    if not everything:

        async def hangs_up(_sent: Any, writer: Any) -> None:
            writer.close()

        ground.idp.listening.behaviour = hangs_up
    with pytest.raises(ProviderSilent):
        await ground.begun(provider)


# --- what comes back is once, and this browser's ------------------------------------------------------


async def test_what_came_back_does_not_come_back_again(ground: SsoGround) -> None:
    provider, email = await ground.provider(), address()
    await ground.person(email)
    back = await ground.begun(provider, sub="ada", email=email)
    await ground.finished(back)
    with pytest.raises(SignInRefused) as again:
        await ground.finished(back)
    assert again.value.reason == "state_unknown"
    # The code in another login of the same browser: the provider knows it no more, and no verifier fits it.
    other = await ground.begun(provider, sub="ada", email=email)
    login = ground.finished(replace(other, code=back.code))
    assert await refused(ground, login) == "code_refused"
    assert not await ground.rows(
        "select * from identity.provider_flow where merchant_id = $1", ground.merchant
    )


async def test_of_two_at_once_one_is_let_in(ground: SsoGround) -> None:
    provider, email = await ground.provider(), address()
    await ground.person(email)
    back = await ground.begun(provider, sub="ada", email=email)
    both = await asyncio.gather(*(ground.finished(back) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(each, SignInRefused) for each in both) == 3
    assert len(ground.sessions.begun) == 1


async def test_two_first_logins_at_once_make_one_person(ground: SsoGround) -> None:
    provider, email = await ground.provider(**mapping(support=Role.OPERATOR)), address()
    backs = [
        await ground.begun(provider, sub=sub, email=email, groups="support")
        for sub in ("ada", "another")
    ]
    both = await asyncio.gather(*map(ground.finished, backs), return_exceptions=True)
    assert sum(isinstance(each, SignInRefused) for each in both) == 1
    assert len(await ground.people()) == 1


async def test_a_code_of_another_login_is_worth_nothing(ground: SsoGround) -> None:
    """Code injection: somebody else's code, fresh and not yet used, in a login that is mine."""
    provider, email = await ground.provider(), address()
    await ground.person(email)
    theirs = await ground.begun(provider, sub="ada", email=email)
    mine = await ground.begun(provider, sub="mallory", email=email)
    login = ground.finished(replace(mine, code=theirs.code))
    assert await refused(ground, login) == "code_refused"
    assert theirs.code not in ground.idp.redeemed


async def test_a_forwarded_return_is_worth_nothing_in_another_browser(ground: SsoGround) -> None:
    """Login CSRF: state and code of the attacker's login, put before somebody else's browser."""
    provider, email = await ground.provider(), address()
    await ground.person(email)
    for ticket in ("x", "", "\ud800", "x" * 43):
        back = await ground.begun(provider, sub="ada", email=email)
        login = ground.finished(replace(back, ticket=ticket))
        assert await refused(ground, login) == "ticket_wrong"
    assert ground.idp.redeemed == []


async def test_an_answer_of_another_provider_is_refused_before_its_code_goes_anywhere(
    ground: SsoGround,
) -> None:
    """Mix-up (RFC 9207): the code would be sent to whom the state names, not to whose it is."""
    provider, email = await ground.provider(), address()
    other = await ground.provider()
    await ground.person(email)
    for changed, reason in (
        ({"issuer": "https://honest.example"}, "issuer_other"),
        ({"issuer": f"{ground.idp.issuer}/"}, "issuer_other"),
        ({"issuer": None}, "issuer_missing"),
        ({"issuer": None, "provider_id": provider.provider_id}, "issuer_missing"),
        ({"provider_id": other.provider_id}, "provider_other"),
    ):
        back = replace(await ground.begun(provider, sub="ada", email=email), **changed)
        assert await refused(ground, ground.finished(back)) == reason
    assert ground.idp.redeemed == []


async def test_where_a_provider_does_not_name_itself_the_redirect_says_whose_it_is(
    ground: SsoGround,
) -> None:
    ground.idp.says_issuer = False
    provider, email = await ground.provider(), address()
    other = await ground.provider()
    await ground.person(email)
    back = await ground.begun(provider, sub="ada", email=email)
    assert await refused(ground, ground.finished(back)) == "issuer_missing"
    back = await ground.begun(provider, sub="ada", email=email)
    login = ground.finished(replace(back, provider_id=other.provider_id))
    assert await refused(ground, login) == "provider_other"
    back = await ground.begun(provider, sub="ada", email=email)
    await ground.finished(replace(back, provider_id=provider.provider_id))


async def test_a_login_that_takes_too_long_is_over(ground: SsoGround) -> None:
    provider, email = await ground.provider(), address()
    await ground.person(email)
    back = await ground.begun(provider, sub="ada", email=email)
    ground.step(600)
    assert await refused(ground, ground.finished(back)) == "state_expired"
    left = await ground.begun(provider)
    ground.step(601)
    await ground.begun(provider)  # forgets those that never came back
    rows = await ground.rows(
        "select state_hash from identity.provider_flow where merchant_id = $1", ground.merchant
    )
    assert len(rows) == 1
    assert bytes(rows[0]["state_hash"]) != ground.proofs.state_hash(left.state)


async def test_a_login_under_way_ends_with_its_provider_or_its_redirect(ground: SsoGround) -> None:
    provider, email = await ground.provider(), address()
    await ground.person(email)
    back = await ground.begun(provider, sub="ada", email=email)
    moved = f"{REDIRECT}/moved"
    await ground.providers.change(
        provider.provider_id,
        lambda before: replace(before, redirects=(moved,)),
        None,
        ground.by(),
    )
    assert await refused(ground, ground.finished(back)) == "redirect_removed"
    provider = await ground.providers.one(ground.merchant, provider.provider_id)
    back = await ground.begun(provider, sub="ada", email=email)
    await ground.providers.disable(provider.provider_id, ground.by())
    assert await refused(ground, ground.finished(back)) == "provider_disabled"


async def test_nothing_at_rest_lets_anybody_finish(ground: SsoGround) -> None:
    provider = await ground.provider()
    back = await ground.begun(provider, sub="ada")
    (known,) = ground.idp.codes.values()
    (flow,) = await ground.rows(
        "select * from identity.provider_flow where merchant_id = $1", ground.merchant
    )
    kept = repr(dict(flow)) + bytes(flow["state_hash"]).hex()
    for secret in (
        back.state,
        back.ticket,
        known["nonce"],
        known["code_challenge"],
        ground.proofs.verifier(back.state),
    ):
        assert secret not in kept
    (row,) = await ground.rows(
        "select * from identity.provider where merchant_id = $1", ground.merchant
    )
    assert SECRET not in repr(dict(row))
    for record in await ground.records():
        assert SECRET not in json.dumps(record)


async def test_an_address_that_begins_too_often_waits(databases: Databases) -> None:
    async with sso_ground(databases, Rate(0.001, 2)) as ground:
        provider = await ground.provider()
        await ground.begun(provider)
        await ground.begun(provider)
        with pytest.raises(TooMany):
            await ground.begun(provider)


@pytest.mark.parametrize(
    "redirect", [f"{REDIRECT}/", f"{REDIRECT}?next=1", "https://evil.example/", "", "javascript:1"]
)
async def test_nobody_is_sent_elsewhere(ground: SsoGround, redirect: str) -> None:
    provider = await ground.provider()
    with pytest.raises(Invalid):
        await ground.sign_in.start(
            provider=provider.provider_id,
            email=None,
            mode=Mode.LIVE,
            redirect=redirect,
            address="192.0.2.7",
        )


# --- providers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"required_amr": ()}, "/required_amr"),
        ({"required_amr": ("pwd",)}, "/required_amr"),
        ({"required_amr": ("otp", "hwk")}, "/required_amr"),
        ({"required_amr": ("pwd", "sms")}, "/required_amr"),
        ({"required_amr": ("mfa", "a b")}, "/required_amr"),
        ({"domains": ()}, "/domains"),
        ({"domains": ("Shop.example",)}, "/domains"),
        ({"domains": ("localhost",)}, "/domains"),
        ({"domains": ("*.shop.example",)}, "/domains"),
        ({"redirects": ()}, "/redirects"),
        ({"redirects": ("http://console.example/",)}, "/redirects"),
        ({"redirects": ("https://console.example/?a=1",)}, "/redirects"),
        ({"redirects": ("https://me@console.example/",)}, "/redirects"),
        ({"creates_people": True}, "/creates_people"),
        ({"role_claim": "groups"}, "/roles"),
        ({"max_age_seconds": 0}, "/max_age_seconds"),
        ({"name": "4242 4242 4242 4242"}, "/name"),
        ({"issuer": "http://login.example"}, "/issuer"),
        ({"issuer": "https://10.0.0.7"}, "/issuer"),
        ({"issuer": "https://login.example/?tenant=1"}, "/issuer"),
        ({"secret": "über"}, "/client_secret"),
    ],
)
async def test_a_provider_that_cannot_be_kept(
    ground: SsoGround, more: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(Invalid) as error:
        await ground.provider(**more)
    assert pointer in [each.pointer for each in error.value.errors]


async def test_two_kinds_of_factor_are_a_statement_without_the_word(ground: SsoGround) -> None:
    provider, email = await ground.provider(required_amr=("pwd", "otp")), address()
    await ground.person(email)
    await ground.signed_in(provider, sub="ada", email=email, amr=["otp", "pwd"])
    login = ground.signed_in(provider, sub="ada", amr=["mfa"])  # not what was asked for
    assert await refused(ground, login) == "factors_missing"


async def test_the_database_holds_no_provider_without_a_statement(ground: SsoGround) -> None:
    provider = await ground.provider()
    with pytest.raises(Exception, match="provider_check"):
        await ground.run(
            "update identity.provider set required_amr = '{}' where provider_id = $1",
            provider.provider_id,
        )


async def test_what_is_changed_and_ended_stands_in_the_audit_log(ground: SsoGround) -> None:
    provider, email = await ground.provider(), address()
    person = await ground.person(email)
    await ground.signed_in(provider, sub="ada", email=email)
    by = ground.by()
    change = (lambda before: replace(before, name="Another name"), None, by)
    await ground.providers.change(provider.provider_id, *change)
    await ground.providers.change(provider.provider_id, *change)  # nothing new, no record
    for _ in range(2):
        await ground.providers.disable(provider.provider_id, by)
    assert ground.sessions.ended == [(person, "provider_disabled")]
    said = [
        (each["actor"], each["details"]["operation"])
        for each in await ground.records()
        if each["action"] == Action.IDENTITY_PROVIDER_CHANGED
    ]
    assert [what for _, what in said] == ["created", "changed", "disabled"]
    assert {actor for actor, _ in said[1:]} == {by.actor}
    with pytest.raises(ProviderDisabled):
        await ground.providers.change(provider.provider_id, *change)


async def test_a_changed_secret_is_the_one_that_is_shown(ground: SsoGround) -> None:
    provider, email = await ground.provider(secret="an old one"), address()
    await ground.person(email)
    login = ground.signed_in(provider, sub="ada", email=email)
    assert await refused(ground, login) == "code_refused"
    await ground.providers.change(
        provider.provider_id, lambda before: before, Secret(SECRET), ground.by()
    )
    await ground.signed_in(provider, sub="ada", email=email)


async def test_a_secret_that_was_moved_to_another_provider_does_not_open(ground: SsoGround) -> None:
    provider, other = await ground.provider(), await ground.provider()
    await ground.run(
        "update identity.provider set sealed_secret = (select sealed_secret from identity.provider"
        " where provider_id = $2) where provider_id = $1",
        provider.provider_id,
        other.provider_id,
    )
    with pytest.raises(ProviderUnreadable):
        await ground.signed_in(provider, sub="ada")


async def test_a_tenant_sees_and_changes_its_own_only(ground: SsoGround) -> None:
    other = await ground.tenant()
    theirs = await ground.provider(other)
    assert await ground.providers.all(ground.merchant) == []
    mine = ground.by()
    for unknown in (theirs.provider_id, "sso_01KAHX3MZ4V8Q2T6N0R5W7Y9CB", "nonsense"):
        with pytest.raises(ProviderUnknown):
            await ground.providers.one(ground.merchant, unknown)
        with pytest.raises(ProviderUnknown):
            await ground.providers.change(unknown, lambda before: before, None, mine)
        with pytest.raises(ProviderUnknown):
            await ground.providers.disable(unknown, mine)


async def test_a_tenant_has_so_many_and_no_more(ground: SsoGround) -> None:
    made = [await ground.provider() for _ in range(PROVIDERS_MAX)]
    with pytest.raises(ProvidersFull):
        await ground.provider()
    await ground.providers.disable(made[0].provider_id, ground.by())
    await ground.provider()


async def test_before_a_tenant_is_known_only_what_is_named_is_seen_and_nothing_changed(
    ground: SsoGround,
) -> None:
    """The second wall (promise 7): a provider by its id or domain, a login under way by its state's hash."""
    domain = f"{new_id('usr')[4:].lower()}.example"
    provider = await ground.provider(domains=(domain,))
    back = await ground.begun(provider)
    state = ground.proofs.state_hash(back.state).hex()

    async def seen(table: str, **named: str) -> int:
        sql = f"select merchant_id from identity.{table}"
        return len(
            await as_login(ground.databases, Domain.CORE, Login.CONSOLE, sql, merchants="", **named)
        )

    for table, setting, value in (
        ("provider", "presented_provider", provider.provider_id),
        ("provider", "presented_domain", domain),
        ("provider_flow", "presented_flow", state),
    ):
        assert await seen(table, **{setting: value}) == 1
        for other in ("", "%", value[:-1], value.upper() + "x"):
            assert await seen(table, **{setting: other}) == 0
    assert await seen("provider_link", presented_provider=provider.provider_id) == 0
    for change in (
        "update identity.provider set status = 'disabled' returning 1",
        "delete from identity.provider_flow returning 1",
    ):
        named = {"presented_provider": provider.provider_id, "presented_domain": domain}
        assert not await as_login(
            ground.databases, Domain.CORE, Login.CONSOLE, change, merchants="", **named
        )


def test_what_a_provider_is_prints_no_secret() -> None:
    assert "groups" in repr(terms("https://login.example", **mapping(support=Role.OPERATOR)))
