# SPDX-License-Identifier: Apache-2.0
"""Destinations: who registers them, what is never shown, what a row that was altered is worth, how secrets rotate."""

import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from forwarding import TOKEN, Forwarder, forwarder, live_two
from persons import People
from polling import until
from service import Caller, Service
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.identity.grants import GRANTABLE
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind, Role

VISA = "4242424242424242"
BODY = {"pan": "{{ card.number }}"}


@pytest_asyncio.fixture
async def ground(service: Service) -> AsyncIterator[Forwarder]:
    async with forwarder(service) as made:
        yield made


async def sent(ground: Forwarder, destination: str) -> Any:
    """Forward a card, and return what arrived; None where nothing did."""
    token = (await ground.key.token(VISA))["id"]
    before = len(ground.peer.requests)
    said = await ground.send(destination, BODY, tokens={"card": token})
    if len(ground.peer.requests) == before:
        return said
    return ground.peer.requests[-1]


async def until_forgotten(service: Service) -> None:
    """Let no process go on with what it opened less than a second ago."""
    app: Any = service.edges["vault"]._app
    app.state.forwarding.book._open.clear()


# --- who ------------------------------------------------------------------------------------------------


async def test_a_key_or_an_auditor_registers_nothing(ground: Forwarder) -> None:
    assert Permission.VAULT_DESTINATION_UPDATE not in GRANTABLE[KeyKind.SECRET]
    people = People(ground.service)
    auditor = people.at("vault", await people.make(ground.tenant.merchant, Role.AUDITOR))
    stale = people.at("vault", await people.make(ground.tenant.merchant, stepped_up=False))
    for caller, status in ((ground.key, 403), (auditor, 403), (stale, 401)):
        answer = await caller.post("/v1/destinations", ground.destination())
        assert answer.status_code == status, answer.text
    assert (await auditor.get("/v1/destinations")).status_code == 200


async def test_in_live_mode_it_takes_two(service: Service, ground: Forwarder) -> None:
    two = await live_two(service, ground.tenant)
    wish = ground.destination(base_url="https://api.partner.example")
    waits = await two.asker.post("/v1/destinations", wish)
    assert waits.status_code == 202, waits.text
    assert TOKEN not in waits.text
    made = await two.done("/v1/destinations", wish)
    assert made.status_code == 201, made.text
    path = f"/v1/destinations/{made.json()['id']}"
    change = {name: value for name, value in wish.items() if name != "credentials"}
    for target, body in (
        (path, change),
        (f"{path}/rotate", {"credentials": {"token": "another-secret"}}),
    ):
        assert (await two.asker.post(target, body)).status_code == 202
        assert (await two.done(target, body)).status_code == 200
    assert (await two.asker.post(f"{path}/restore")).status_code == 202
    nobody = f"/v1/destinations/{new_id('dst')}"
    assert (await two.asker.post(f"{nobody}/restore")).status_code == 404
    # To end one, a single person is enough.
    assert (await two.asker.post(f"{path}/disable")).status_code == 200


async def test_what_is_anothers_is_not_there(service: Service, ground: Forwarder) -> None:
    destination = await ground.register()
    people = People(service)
    other = await service.tenant()
    strangers = [
        people.at("vault", await people.make(other.merchant)),
        people.at("vault", await people.make(ground.tenant.merchant, mode=Mode.LIVE)),
    ]
    path = f"/v1/destinations/{destination}"
    for stranger in strangers:
        assert (await stranger.get(path)).status_code == 404
        assert (await stranger.post(f"{path}/disable")).status_code == 404
        assert destination not in (await stranger.get("/v1/destinations")).text
    theirs = Caller(service.clients["vault"], other.keys[Mode.TEST])
    token = (await theirs.token(VISA))["id"]
    wish = {
        "destination": destination,
        "path": "/v1/pay/1",
        "body": BODY,
        "tokens": {"card": token},
    }
    assert (await theirs.post("/v1/forward", wish)).json()["code"] == "destination_unknown"
    mine = {**wish, "tokens": {"card": token}}
    assert (await ground.key.post("/v1/forward", mine)).json()["code"] == "token_unknown"
    assert not ground.peer.requests


# --- what is shown and kept -------------------------------------------------------------------------------


async def test_a_destination_is_shown_without_what_is_secret(ground: Forwarder) -> None:
    destination = await ground.register()
    path = f"/v1/destinations/{destination}"
    for caller in (ground.admin, ground.key):
        read = await caller.get(path)
        listed = await caller.get("/v1/destinations?limit=1")
        assert read.json() == listed.json()["data"][0]
        assert TOKEN not in read.text + listed.text
    rows = await ground.service.look(
        Domain.VAULT, "select destination::text as all from vault.destination destination"
    )
    assert not any(TOKEN in row["all"] or TOKEN.encode().hex() in row["all"] for row in rows)
    (made,) = await ground.records("vault.destination.created")
    assert (made["object"], made["details"]) == (destination, {"result": "created"})


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"name": f"card {VISA}"}, "/name"),
        ({"path": f"/v1/{VISA}"}, "/"),
        ({"base_url": "https://10.0.0.1"}, "/base_url"),
        ({"base_url": "http://api.partner.example"}, "/base_url"),
        ({"request_headers": ["host"]}, "/request_headers/0"),
        ({"request_headers": ["Host"]}, "/request_headers/0"),
        ({"credentials": {}}, "/credentials/token"),
        ({"credentials": {"token": "a\r\nb"}}, "/credentials/token"),
        ({"credentials": {"token": "abc", "certificate": "x", "private_key": "y"}}, "/credentials/certificate"),
        ({"methods": ["GET"]}, "/methods/0"),
        ({"timeout_ms": 60_000}, "/timeout_ms"),
        ({"unknown": 1}, "/"),
    ],
)  # fmt: skip
async def test_what_does_not_fit_is_refused_by_its_field(
    ground: Forwarder, more: dict[str, Any], pointer: str
) -> None:
    answer = await ground.admin.post("/v1/destinations", ground.destination(**more))
    assert answer.status_code == 422, answer.text
    assert pointer in {each["pointer"] for each in answer.json()["errors"]}
    assert VISA not in answer.text


@pytest.mark.parametrize(
    "statement",
    [
        "config = replace(config, '127.0.0.1', '127.0.0.2')",
        "config = replace(config, '/v1/pay/*', '/v1/*/1')",
        "config = replace(config, '\"redact\"', '\"tokenize\"')",
        "config = '{}'",
        "sealed = set_byte(sealed, 40, get_byte(sealed, 40) # 1)",
        "sealed = (select sealed from vault.destination where destination_id <> $1 limit 1)",
        "mode = 'live'",
    ],
)
async def test_a_row_that_was_altered_does_not_open(ground: Forwarder, statement: str) -> None:
    await ground.register()
    destination = await ground.register()
    await ground.service.look(
        Domain.VAULT,
        f"update vault.destination set {statement} where destination_id = $1",
        destination,
    )
    await until_forgotten(ground.service)
    answer = await sent(ground, destination)
    assert not ground.peer.requests
    assert answer.json()["code"] in ("destination_unreadable", "destination_unknown")
    assert not await ground.records("vault.token.forwarded")


# --- changed, rotated, ended --------------------------------------------------------------------------------


async def test_what_is_changed_holds_within_two_seconds(ground: Forwarder) -> None:
    destination = await ground.register()
    assert (await sent(ground, destination)).target == "/v1/pay/1"
    change = {n: v for n, v in ground.destination(path="/v2/pay").items() if n != "credentials"}
    answer = await ground.admin.post(f"/v1/destinations/{destination}", change)
    assert answer.status_code == 200, answer.text
    refused = await sent(ground, destination)
    assert refused.json()["errors"][0]["code"] == "path_refused"
    assert [each["details"] for each in await ground.records("vault.destination.changed")] == [
        {"result": "changed"}
    ]


async def test_credentials_are_not_taken_to_another_address(ground: Forwarder) -> None:
    """Who changes a destination need not know its secret, and does not get it sent to themselves."""
    destination = await ground.register()
    wish = ground.destination(base_url="https://elsewhere.example")
    change = {name: value for name, value in wish.items() if name != "credentials"}
    answer = await ground.admin.post(f"/v1/destinations/{destination}", change)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["code"] == "base_url_fixed"


@pytest.mark.parametrize(
    "token", ["", "\x00", "tok_\x00", "nonsense", "é", "tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"]
)
async def test_what_is_no_token_is_not_there(ground: Forwarder, token: str) -> None:
    destination = await ground.register()
    said = await ground.send(destination, BODY, tokens={"card": token})
    assert (said.status_code, said.json()["code"]) == (404, "token_unknown")


async def test_credentials_rotate_and_are_put_back(ground: Forwarder) -> None:
    destination = await ground.register()
    path = f"/v1/destinations/{destination}"
    nothing = await ground.admin.post(f"{path}/restore")
    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_to_restore")
    body = {"credentials": {"token": "the-new-secret"}, "overlap_seconds": 60}
    assert (await ground.admin.post(f"{path}/rotate", body)).status_code == 200
    assert (await sent(ground, destination)).headers["authorization"] == "Bearer the-new-secret"
    assert (await ground.admin.post(f"{path}/restore")).status_code == 200
    assert (await sent(ground, destination)).headers["authorization"] == f"Bearer {TOKEN}"
    assert (await ground.admin.post(f"{path}/restore")).status_code == 409
    gone = {**body, "overlap_seconds": 0}
    assert (await ground.admin.post(f"{path}/rotate", gone)).status_code == 200
    assert (await ground.admin.post(f"{path}/restore")).status_code == 409
    wrong = await ground.admin.post(f"{path}/rotate", {"credentials": {"password": "x"}})
    assert wrong.status_code == 422


async def test_an_hmac_signs_with_both_secrets_for_the_overlap(ground: Forwarder) -> None:
    destination = await ground.register(
        auth="hmac", hmac={"header": "x-signature"}, credentials={"secret": "the-old-secret"}
    )
    path = f"/v1/destinations/{destination}"

    def mac(secret: str, body: bytes) -> str:
        return hmac.digest(secret.encode(), body, "sha256").hex()

    first = await sent(ground, destination)
    assert first.headers["x-signature"] == mac("the-old-secret", first.body)
    body = {"credentials": {"secret": "the-new-secret"}, "overlap_seconds": 3_600}
    assert (await ground.admin.post(f"{path}/rotate", body)).status_code == 200
    second = await sent(ground, destination)
    assert second.headers["x-signature"].split(",") == [
        mac("the-new-secret", second.body),
        mac("the-old-secret", second.body),
    ]


async def test_a_disabled_destination_takes_nothing_any_more(ground: Forwarder) -> None:
    destination = await ground.register()
    await sent(ground, destination)
    path = f"/v1/destinations/{destination}"
    for _ in range(2):
        answer = await ground.admin.post(f"{path}/disable")
        assert (answer.status_code, answer.json()["status"]) == (200, "disabled")
    refused = await sent(ground, destination)
    assert (refused.status_code, refused.json()["code"]) == (409, "destination_disabled")
    change = {n: v for n, v in ground.destination().items() if n != "credentials"}
    assert (await ground.admin.post(path, change)).status_code == 409
    assert len(await ground.records("vault.destination.disabled")) == 1


# --- what a forward keeps -----------------------------------------------------------------------------------


async def test_after_a_crash_the_outcome_is_unknown_and_nothing_is_sent_again(
    ground: Forwarder,
) -> None:
    """A process that died between the record and the answer leaves a row without an outcome."""
    destination = await ground.register()
    token = (await ground.key.token(VISA))["id"]
    more = {"tokens": {"card": token}, "idempotency": "crashed"}
    await ground.send(destination, BODY, **more)
    for lease, status, code in (
        ("interval '1 minute'", 409, "idempotency_in_flight"),
        ("interval '-1 minute'", 202, None),
    ):
        await ground.service.look(
            Domain.VAULT,
            "update vault.forward set outcome = null, status = 0, duration_ms = 0,"
            f" lease_until = now() + {lease} where merchant_id = $1",
            ground.tenant.merchant,
        )
        again = await ground.send(destination, BODY, **more)
        assert (again.status_code, again.json().get("code")) == (status, code), again.text
    assert (again.json()["outcome"], again.json()["reason"]) == ("unknown", "interrupted")
    assert len(ground.peer.requests) == 1
    assert len(await ground.records("vault.token.forwarded")) == 1


async def test_neither_request_nor_answer_is_kept(ground: Forwarder) -> None:
    destination = await ground.register()
    token = (await ground.key.token(VISA))["id"]
    marked = {**BODY, "mark": "a-mark-in-the-request"}
    await ground.send(destination, marked, tokens={"card": token}, headers={"x-order": "mark-2"})
    found = await ground.service.look(
        Domain.VAULT,
        "select f::text as row from vault.forward f where merchant_id = $1"
        " union all select r::text from idempotency.request r where merchant_id = $1"
        " union all select convert_from(e.payload, 'utf8') from audit.event e where merchant_id = $1",
        ground.tenant.merchant,
    )
    text = " ".join(row["row"] for row in found)
    assert destination in text
    for mark in ("a-mark-in-the-request", "mark-2", "accepted", VISA, TOKEN):
        assert mark not in text


async def test_without_a_rule_nobody_forwards(ground: Forwarder) -> None:
    """A container that no rule lets this key use."""
    destination = await ground.register()
    token = (await ground.key.token(VISA))["id"]
    await ground.service.look(
        Domain.VAULT, "update vault.token set container = 'closed' where token_id = $1", token
    )
    for dry_run in (False, True):
        said = await ground.send(destination, BODY, tokens={"card": token}, dry_run=dry_run)
        assert (said.status_code, said.json()["code"]) == (403, "vault_access_refused")
    assert not ground.peer.requests
    assert not await ground.records("vault.token.forwarded")


async def test_without_a_record_nothing_is_sent(ground: Forwarder) -> None:
    """Promise 3: where the audit record cannot be written, the card is not opened."""
    destination = await ground.register()
    token = (await ground.key.token(VISA))["id"]
    databases = ground.service.databases
    held = f"merchant_id <> '{ground.tenant.merchant}' or payload is null"
    await databases.run(
        Domain.VAULT, f"alter table audit.event add constraint broken check ({held}) not valid"
    )
    try:
        said = await ground.send(destination, BODY, tokens={"card": token}, idempotency="kept")
        assert said.status_code in (500, 503)
        assert not ground.peer.requests
    finally:
        await databases.run(Domain.VAULT, "alter table audit.event drop constraint broken")
    # Nothing was recorded, so the key is as new.
    again = await ground.send(destination, BODY, tokens={"card": token}, idempotency="kept")
    assert again.status_code == 200, again.text


async def test_a_clear_number_is_refused_and_named_by_no_error(ground: Forwarder) -> None:
    destination = await ground.register()
    token = (await ground.key.token(VISA))["id"]
    spelled = "".join(f"\\u00{ord(each):x}" for each in VISA)
    raw = json.dumps({"destination": destination, "path": "/v1/pay/1", "tokens": {"card": token}})
    for body in (f'"{VISA}"', VISA, f'"{spelled}"', '"4242 4242 4242 4242"'):
        content = f'{raw[:-1]}, "body": ["{{{{ card.number }}}}", {body}]}}'.encode()
        said = await ground.key.post("/v1/forward", content=content)
        assert said.status_code == 422, said.text
        assert said.json()["errors"][0]["code"] == "card_number_refused"
    assert not ground.peer.requests


async def test_forms_and_xml_go_as_such(ground: Forwarder) -> None:
    token = (await ground.key.token(VISA))["id"]
    form = await ground.register(content_type="application/x-www-form-urlencoded")
    said = await ground.send(form, {"a": "{{ card.number }}", "b": "x&y"}, tokens={"card": token})
    assert said.status_code == 200, said.text
    assert ground.peer.requests[-1].body == f"a={VISA}&b=x%26y".encode()
    xml = await ground.register(content_type="application/xml")
    said = await ground.send(
        xml, '<p n="{{ card.expiry }}">{{ card.number }}</p>', tokens={"card": token}
    )
    assert said.status_code == 200, said.text
    arrived = ground.peer.requests[-1]
    assert arrived.body == f'<p n="12/34">{VISA}</p>'.encode()
    assert arrived.headers["content-type"] == "application/xml"


async def test_what_is_sealed_moves_to_a_new_key_and_keeps_its_algorithm(ground: Forwarder) -> None:
    """Rotation knows destinations: an old version of the key is not destroyed under them."""
    destination = await ground.register()
    for path in ("/v1/keys/rotate", "/v1/keys/reseal"):
        other = {"name": "credentials", "algorithm": "A256GCM"}
        refused = await ground.admin.post(path, other)
        assert refused.status_code == 422, refused.text
        assert [each["code"] for each in refused.json()["errors"]] == ["algorithm_not_chosen"]
        begun = await ground.admin.post(path, {"name": "credentials"})
        assert begun.status_code == 200, begun.text
        await done(ground, begun.json()["job"])
    (row,) = await ground.service.look(
        Domain.VAULT,
        "select key_version, get_byte(sealed, 0) as algorithm from vault.destination where destination_id = $1",
        destination,
    )
    assert (row["key_version"], row["algorithm"]) == (2, 1)
    await until_forgotten(ground.service)
    assert (await sent(ground, destination)).headers["authorization"] == f"Bearer {TOKEN}"


async def done(ground: Forwarder, job: str) -> None:
    async def is_done() -> bool:
        return bool((await ground.admin.get(f"/v1/jobs/{job}")).json()["state"] == "done")

    await until(is_done, what=f"{job} to be done")
