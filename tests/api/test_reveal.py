# SPDX-License-Identifier: Apache-2.0
"""Showing a card over HTTP: who sees it, what is asked of them first, and everything that shows nothing."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from joserfc import jwe
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from database import Databases
from revealing import APPROVAL, VISA, WISH, Ground, revealing
from service import Service
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.kernel.clock import SteppedClock, SystemClock
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind, Role
from strongroom.vault.containers.model import Access
from strongroom.vault.reveal.model import Purpose

RSA = RSAKey.generate_key(2_048)
CURVE = ECKey.generate_key("P-256")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stepped(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Service, SteppedClock]]:
    clock = SteppedClock(SystemClock().now())
    async with revealing(databases, tmp_path_factory.mktemp("reveal"), clock=clock) as service:
        yield service, clock


@pytest_asyncio.fixture(loop_scope="session")
async def ground(stepped: tuple[Service, SteppedClock]) -> Ground:
    return await Ground.on(stepped[0])


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert VISA not in answer.text


# --- who sees it ----------------------------------------------------------------------------------


async def test_a_key_that_was_made_for_it_sees_the_card(ground: Ground) -> None:
    answer = await ground.ask(body={"purpose": "reconciliation", "note": "ticket 1042"})
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert shown["card"] == {"number": VISA, "exp_month": 12, "exp_year": 2034}
    assert (shown["token"], shown["brand"], shown["jwe"]) == (ground.token["id"], "visa", None)
    assert answer.headers["cache-control"] == "no-store"
    (record,) = await ground.records("vault.token.revealed")
    assert shown["record"] == record["event_id"]
    assert record["object"] == ground.token["id"]
    assert record["actor"].startswith("key_")
    assert record["details"] == {
        "brand": "visa",
        "container": "default",
        "last4": "4242",
        "method": "clear",
        "purpose": "reconciliation",
    }


async def test_what_is_sealed_beside_the_number_comes_with_it(ground: Ground) -> None:
    more: dict[str, Any] = {
        "holder": "Ada Example",
        "billing_address": {"line1": "1 High Street", "country": "GB"},
    }
    token = await ground.vault.token("5555555555554444", **more)
    shown = (await ground.ask(path=f"/v1/tokens/{token['id']}/reveal")).json()["card"]
    assert (shown["number"], shown["holder"]) == ("5555555555554444", "Ada Example")
    assert shown["billing_address"]["line1"] == "1 High Street"


async def test_a_person_shows_a_second_factor_and_waits_for_another(ground: Ground) -> None:
    approval = await ground.approved()
    answer = await ground.ask(ground.asker.key, headers={APPROVAL: approval})
    assert answer.json()["card"]["number"] == VISA, answer.text
    (record,) = await ground.records("vault.token.revealed")
    assert record["actor"] == ground.asker.id
    # Once.
    again = await ground.ask(ground.asker.key, headers={APPROVAL: approval})
    refused(again, 403, "approval_not_usable")
    assert len(await ground.records("vault.token.revealed")) == 1


async def test_a_real_sessions_second_factor_is_believed_for_five_minutes(
    stepped: tuple[Service, SteppedClock], ground: Ground
) -> None:
    """The vault's listener takes the console's access tokens, and reads in them when the person last proved it."""
    assert (await ground.ask(ground.asker.key)).status_code == 202
    service, clock = stepped
    tired = service.composer.known.as_if(ground.asker, stepped_up=False)
    refused(await ground.ask(tired.key), 401, "step_up_needed")
    clock.step(timedelta(minutes=5, seconds=1))
    assert (await ground.ask(ground.asker.key)).status_code == 401


async def test_every_purpose_is_taken_and_stands_in_the_record(ground: Ground) -> None:
    for purpose in Purpose:
        answer = await ground.ask(body={"purpose": purpose})
        assert answer.status_code == 200, answer.text
    records = await ground.records("vault.token.revealed")
    assert [each["details"]["purpose"] for each in records] == list(Purpose)


# --- who does not ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Refusal:
    """What is asked, and how it is refused."""

    ask: Callable[[Ground], Awaitable[httpx.Response]]
    status: int
    code: str


async def without_approval_of_another(ground: Ground) -> httpx.Response:
    asked = await ground.ask(ground.asker.key)
    approval = asked.json()["id"]
    own = await ground.service.console(ground.asker.key).post(
        f"/v1/approvals/{approval}/approve", {}
    )
    refused(own, 403, "approval_own")
    return await ground.ask(ground.asker.key, headers={APPROVAL: approval})


async def with_an_approval_for_something_else(ground: Ground) -> httpx.Response:
    approval = await ground.approved()
    return await ground.ask(
        ground.asker.key, {"purpose": "fraud_review"}, headers={APPROVAL: approval}
    )


async def with_anothers_approval(ground: Ground) -> httpx.Response:
    approval = await ground.approved()
    return await ground.ask(ground.other.key, headers={APPROVAL: approval})


async def of_role(ground: Ground, role: Role) -> httpx.Response:
    return await ground.ask((await ground.service.member(ground.tenant.merchant, role)).key)


async def without_permission(ground: Ground) -> httpx.Response:
    made = await ground.service.key(
        ground.tenant.merchant,
        KeyKind.RESTRICTED,
        permissions=[Permission.VAULT_TOKEN_READ, Permission.VAULT_TOKEN_FORWARD],
    )
    return await ground.ask(made.text.expose())


async def where_the_rule_says(ground: Ground, access: Access) -> httpx.Response:
    await ground.rule(access)
    return await ground.ask()


async def where_the_rule_shows(ground: Ground, transform: str) -> httpx.Response:
    await ground.rule(Access.REVEAL, transform=transform)
    return await ground.ask()


async def the_person_where_the_rule_says_use(ground: Ground) -> httpx.Response:
    await ground.rule(Access.USE)
    return await ground.ask(ground.asker.key)


async def another_tenants(ground: Ground) -> httpx.Response:
    other = await Ground.on(ground.service)
    return await ground.ask(path=other.path)


async def of_the_other_mode(ground: Ground) -> httpx.Response:
    made = await ground.service.key(
        ground.tenant.merchant,
        KeyKind.RESTRICTED,
        Mode.LIVE,
        permissions=[Permission.VAULT_TOKEN_REVEAL],
    )
    return await ground.ask(made.text.expose())


async def the_deleted(ground: Ground) -> httpx.Response:
    assert (await ground.vault.delete(f"/v1/tokens/{ground.token['id']}")).status_code == 204
    return await ground.ask()


async def the_expired(ground: Ground) -> httpx.Response:
    await ground.service.look(
        Domain.VAULT,
        "update vault.token set expires_at = $2 where token_id = $1 returning 1",
        ground.token["id"],
        ground.service.composer.site.clock.now(),
    )
    return await ground.ask()


async def the_single_use(ground: Ground) -> httpx.Response:
    public = await ground.service.key(ground.tenant.merchant, KeyKind.PUBLIC)
    token = await ground.service.vault(public.text.expose()).token(VISA)
    return await ground.ask(path=f"/v1/tokens/{token['id']}/reveal")


async def the_altered(ground: Ground) -> httpx.Response:
    await ground.service.look(
        Domain.VAULT,
        "update vault.token set sealed_number = set_byte(sealed_number, 20, get_byte(sealed_number, 20) # 1)"
        " where token_id = $1 returning 1",
        ground.token["id"],
    )
    return await ground.ask()


async def moved_from_another_row(ground: Ground) -> httpx.Response:
    other = await ground.vault.token("5555555555554444")
    await ground.service.look(
        Domain.VAULT,
        "update vault.token set sealed_number = (select sealed_number from vault.token where token_id = $2)"
        " where token_id = $1 returning 1",
        ground.token["id"],
        other["id"],
    )
    return await ground.ask()


REFUSALS: dict[str, Refusal] = {
    "a secret key": Refusal(lambda g: g.ask(g.tenant.keys[Mode.TEST]), 403, "forbidden"),
    "a restricted key made for other things": Refusal(without_permission, 403, "forbidden"),
    "a developer": Refusal(lambda g: of_role(g, Role.DEVELOPER), 403, "forbidden"),
    "an auditor": Refusal(lambda g: of_role(g, Role.AUDITOR), 403, "forbidden"),
    "an operator": Refusal(lambda g: of_role(g, Role.OPERATOR), 403, "forbidden"),
    "nobody": Refusal(lambda g: g.ask("sk_test_nonsense"), 401, "unauthenticated"),
    "a person without a step-up": Refusal(
        lambda g: g.ask(g.service.composer.known.as_if(g.asker, stepped_up=False).key),
        401,
        "step_up_needed",
    ),
    "a person with their own approval": Refusal(
        without_approval_of_another, 403, "approval_not_usable"
    ),
    "an approval for another purpose": Refusal(
        with_an_approval_for_something_else, 403, "approval_not_usable"
    ),
    "another's approval": Refusal(with_anothers_approval, 403, "approval_not_usable"),
    "an approval that is none": Refusal(
        lambda g: g.ask(g.asker.key, headers={APPROVAL: new_id("apr")}), 403, "approval_not_usable"
    ),
    "no purpose": Refusal(lambda g: g.ask(body={"note": "because"}), 422, "invalid"),
    "a purpose that is none": Refusal(
        lambda g: g.ask(body={"purpose": "curiosity"}), 422, "invalid"
    ),
    "a note with a card number": Refusal(
        lambda g: g.ask(body={**WISH, "note": "card 4000 0566 5566 5556"}), 422, "invalid"
    ),
    "a long note": Refusal(lambda g: g.ask(body={**WISH, "note": "x" * 201}), 422, "invalid"),
    "a note with a line break": Refusal(
        lambda g: g.ask(body={**WISH, "note": "a\nb"}), 422, "invalid"
    ),
    "a CVC too": Refusal(lambda g: g.ask(body={**WISH, "cvc": True}), 422, "invalid"),
    "the rule says use": Refusal(
        lambda g: where_the_rule_says(g, Access.USE), 403, "vault_access_refused"
    ),
    "the rule says mask": Refusal(
        lambda g: where_the_rule_says(g, Access.MASK), 403, "vault_access_refused"
    ),
    "the rule reveals, and shows digits masked": Refusal(
        lambda g: where_the_rule_shows(g, "mask"), 403, "vault_access_refused"
    ),
    "the rule reveals, and shows no digits": Refusal(
        lambda g: where_the_rule_shows(g, "redact"), 403, "vault_access_refused"
    ),
    "the rule says none": Refusal(
        lambda g: where_the_rule_says(g, Access.NONE), 403, "vault_access_refused"
    ),
    "the rule says use, to a person": Refusal(
        the_person_where_the_rule_says_use, 403, "vault_access_refused"
    ),
    "another tenant's": Refusal(another_tenants, 404, "token_unknown"),
    "the other mode's": Refusal(of_the_other_mode, 404, "token_unknown"),
    "not there": Refusal(
        lambda g: g.ask(path=f"/v1/tokens/{new_id('tok')}/reveal"), 404, "token_unknown"
    ),
    "no id": Refusal(lambda g: g.ask(path="/v1/tokens/x/reveal"), 404, "token_unknown"),
    "not there, for a person": Refusal(
        lambda g: g.ask(g.asker.key, path=f"/v1/tokens/{new_id('tok')}/reveal"),
        404,
        "token_unknown",
    ),
    "deleted": Refusal(the_deleted, 404, "token_unknown"),
    "expired": Refusal(the_expired, 404, "token_unknown"),
    "single-use": Refusal(the_single_use, 409, "reveal_single_use"),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_nothing_is_shown_and_nothing_says_it_was(ground: Ground, name: str) -> None:
    case = REFUSALS[name]
    refused(await case.ask(ground), case.status, case.code)
    assert await ground.records("vault.token.revealed") == []
    assert (
        await ground.service.look(
            Domain.VAULT,
            "select 1 from vault.reveal where merchant_id = $1",
            ground.tenant.merchant,
        )
        == []
    )


@pytest.mark.parametrize("break_it", [the_altered, moved_from_another_row])
async def test_what_does_not_open_is_recorded_and_not_shown(
    ground: Ground, break_it: Callable[[Ground], Awaitable[httpx.Response]]
) -> None:
    refused(await break_it(ground), 503, "card_unreadable")
    assert len(await ground.records("vault.token.revealed")) == 1


# --- to the caller's own key ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (RSA, "RSA-OAEP-256"),
        (CURVE, "ECDH-ES+A256KW"),
        (ECKey.generate_key("P-384"), "ECDH-ES+A256KW"),
    ],
    ids=["RSA", "P-256", "P-384"],
)
async def test_it_comes_encrypted_to_the_callers_key(
    ground: Ground, key: RSAKey | ECKey, algorithm: str
) -> None:
    jwk = {**key.as_dict(private=False), "use": "enc", "kid": "shop-1"}
    answer = await ground.ask(body={**WISH, "jwe_key": jwk})
    assert answer.status_code == 200, answer.text
    assert VISA not in answer.text
    assert answer.json()["card"] is None
    opened = jwe.decrypt_compact(answer.json()["jwe"], key, algorithms=[algorithm, "A256GCM"])
    assert opened.headers()["kid"] == "shop-1"
    assert json.loads(opened.plaintext or b"") == {
        "number": VISA,
        "exp_month": 12,
        "exp_year": 2034,
    }
    (record,) = await ground.records("vault.token.revealed")
    assert record["details"]["method"] == "encrypted"


def public(key: RSAKey | ECKey = RSA, **changes: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), **changes}


WEAK: dict[str, dict[str, Any]] = {
    "a private RSA key": dict(RSA.as_dict(private=True)),
    "a private curve key": dict(CURVE.as_dict(private=True)),
    "a shared key": dict(OctKey.generate_key(256).as_dict(private=True)),
    "1,024 bits": {"kty": "RSA", "e": "AQAB", "n": "s" + "A" * 169 + "E"},
    "8,192 bits": {"kty": "RSA", "e": "AQAB", "n": "s" + "A" * 1_363 + "E"},
    "exponent 3": public(e="Aw"),
    "exponent 1": public(e="AQ"),
    "an even modulus": {"kty": "RSA", "e": "AQAB", "n": "s" + "A" * 341},
    "Ed25519": dict(OKPKey.generate_key("Ed25519").as_dict(private=False)),
    "X25519": dict(OKPKey.generate_key("X25519").as_dict(private=False)),
    "secp256k1": public(ECKey.generate_key("secp256k1")),
    "not on its curve": public(CURVE, x=CURVE.as_dict(private=False)["y"]),
    "RSA1_5": public(alg="RSA1_5"),
    "RSA-OAEP with SHA-1": public(alg="RSA-OAEP"),
    "ECDH-ES alone": public(CURVE, alg="ECDH-ES"),
    "dir": public(alg="dir"),
    "for signing": public(use="sig"),
    "for signing, by its operations": public(key_ops=["verify"]),
    "with a certificate's address": public(x5u="https://shop.example/key"),
    "no type": {"n": RSA.as_dict(private=False)["n"], "e": "AQAB"},
    "no modulus": {"kty": "RSA", "e": "AQAB"},
    "a number for a modulus": public(n=12),
    "nothing": {},
}  # fmt: skip


@pytest.mark.parametrize("name", WEAK)
async def test_a_key_that_does_not_protect_is_refused(ground: Ground, name: str) -> None:
    answer = await ground.ask(body={**WISH, "jwe_key": WEAK[name]})
    refused(answer, 422, "invalid")
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "/jwe_key"
    assert error["code"].startswith("jwe_key_")
    secret = WEAK[name].get("d") or WEAK[name].get("k")
    assert (error["code"] == "jwe_key_private") == (secret is not None)
    assert secret is None or secret not in answer.text
    assert await ground.records("vault.token.revealed") == []


# --- notes -------------------------------------------------------------------------------------------


async def test_a_note_stands_beside_the_record_and_can_be_erased(ground: Ground) -> None:
    await ground.ask(body={**WISH, "note": "asked for by Rosa of the bank"})
    records = json.dumps(await ground.records())
    assert "Rosa" not in records
    auditor = await ground.service.member(ground.tenant.merchant, Role.AUDITOR)
    page = (await ground.service.vault(auditor.key).get("/v1/reveals")).json()
    (kept,) = page["data"]
    assert kept["note"] == "asked for by Rosa of the bank"
    assert (kept["token"], kept["purpose"]) == (ground.token["id"], "dispute")
    assert (await ground.records("audit.record.read"))[0]["actor"] == auditor.id
    key = await ground.service.vault(ground.key).get("/v1/reveals")
    refused(key, 403, "forbidden")
    await ground.service.look(
        Domain.VAULT,
        "update vault.reveal set revealed_at = revealed_at - interval '401 days'"
        " where merchant_id = $1 returning 1",
        ground.tenant.merchant,
    )
    await ground.reveals.forget()
    assert (await ground.service.vault(auditor.key).get("/v1/reveals")).json()["data"] == []


async def test_pages_of_reveals_follow_each_other(ground: Ground) -> None:
    for _ in range(3):
        await ground.ask()
    admin = ground.service.vault(ground.asker.key)
    first = (await admin.get("/v1/reveals?limit=2")).json()
    assert (len(first["data"]), first["has_more"]) == (2, True)
    second = (await admin.get(f"/v1/reveals?limit=2&cursor={first['next_cursor']}")).json()
    assert (len(second["data"]), second["has_more"]) == (1, False)
    refused(await admin.get("/v1/reveals?cursor=x"), 422, "invalid")


async def test_an_answer_is_kept_by_nothing(ground: Ground) -> None:
    """An Idempotency-Key means nothing: each request is a reveal of its own, with a record of its own."""
    first = await ground.ask(idempotency="one")
    second = await ground.ask(idempotency="one")
    assert first.json()["record"] != second.json()["record"]
    assert (
        await ground.service.look(
            Domain.VAULT,
            "select 1 from idempotency.request where merchant_id = $1 and route like '%reveal%'",
            ground.tenant.merchant,
        )
        == []
    )


async def test_it_is_told_to_the_security_stream(ground: Ground) -> None:
    shown = (await ground.ask()).json()
    lines = [json.loads(line) for line in ground.service.log_text().splitlines()]
    (event,) = [each for each in lines if each.get("audit_event_id") == shown["record"]
                and each.get("event_type") == "security.event"]  # fmt: skip
    assert event["severity"] == "high"
    assert VISA not in ground.service.log_text()
