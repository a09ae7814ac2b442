# SPDX-License-Identifier: Apache-2.0
"""Ids of before a retokenization, as long as they stand for a token: shown and forwarded as it, by its rules, once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from database import Databases
from forwarding import Forwarder, forwarder
from renaming import renamed as retokenized
from revealing import APPROVAL, VISA, WISH, Ground, revealing
from service import Service
from strongroom.audit import Origin
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import CallerKind, Principal
from strongroom.vault.errors import TokenUnknown
from strongroom.vault.finding import Caller
from strongroom.vault.forwarding.plan import Sender
from strongroom.vault.forwarding.requests import Asked, read_request
from strongroom.vault.forwarding.service import Forwarding

SLOT: Final = {"pan": "{{ card.number }}"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lent(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    async with revealing(databases, tmp_path_factory.mktemp("old-ids")) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="session")
async def ground(lent: Service) -> Ground:
    return await Ground.on(lent)


@pytest_asyncio.fixture(loop_scope="session")
async def forwards(lent: Service) -> AsyncIterator[Forwarder]:
    async with forwarder(lent) as made:
        yield made


async def renamed(ground: Ground | Forwarder, token: str, days: int = 30) -> str:
    """Give a token another id; the old one stands for it for so many days. Return the new one."""
    return await retokenized(ground.service, ground.tenant, token, days)


async def end_aliases(ground: Ground | Forwarder) -> None:
    """Let the time of every old id be over."""
    await ground.service.look(
        Domain.VAULT,
        "update vault.token_alias set until = now() - interval '1 second' where merchant_id = $1",
        ground.tenant.merchant,
    )


def reveal_of(token: str) -> str:
    return f"/v1/tokens/{token}/reveal"


# --- reveals -----------------------------------------------------------------------------------------


async def test_an_old_id_shows_the_card_and_answer_record_and_note_name_the_present_one(
    ground: Ground,
) -> None:
    old = ground.token["id"]
    new = await renamed(ground, await renamed(ground, old))
    answer = await ground.ask(body={**WISH, "note": "ticket 1042"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["token"], answer.json()["card"]["number"]) == (new, VISA)
    (record,) = await ground.records("vault.token.revealed")
    assert record["object"] == new
    (kept,) = await ground.service.look(
        Domain.VAULT,
        "select token_id from vault.reveal where merchant_id = $1",
        ground.tenant.merchant,
    )
    assert kept["token_id"] == new


async def test_what_is_sealed_beside_the_number_is_shown_by_the_old_id_too(ground: Ground) -> None:
    token = (await ground.vault.token(VISA, holder="Ada Example"))["id"]
    await renamed(ground, token)
    shown = (await ground.ask(path=reveal_of(token))).json()["card"]
    assert (shown["number"], shown["holder"]) == (VISA, "Ada Example")


async def test_an_old_id_whose_time_is_over_is_no_token_of_anybody(ground: Ground) -> None:
    old = ground.token["id"]
    await renamed(ground, old)
    await end_aliases(ground)
    for key in (ground.key, ground.asker.key):
        ended = await ground.ask(key)
        never = await ground.ask(key, path=reveal_of(new_id("tok")))
        assert (ended.status_code, ended.json()["code"]) == (404, "token_unknown")
        assert {**ended.json(), "request_id": "", "instance": ""} == {
            **never.json(),
            "request_id": "",
            "instance": "",
        }
    assert not await ground.records("vault.token.revealed")
    dead = (await ground.vault.token(VISA))["id"]
    await renamed(ground, dead, days=0)
    assert (await ground.ask(path=reveal_of(dead))).status_code == 404


async def test_another_tenants_and_the_other_modes_old_id_is_no_token(
    ground: Ground, lent: Service
) -> None:
    old = ground.token["id"]
    await renamed(ground, old)
    stranger = await Ground.on(lent)
    assert (await stranger.ask(path=reveal_of(old))).status_code == 404
    await lent.look(
        Domain.VAULT,
        "update vault.token_alias set mode = 'live' where merchant_id = $1",
        ground.tenant.merchant,
    )
    assert (await ground.ask()).status_code == 404


async def test_the_rules_of_the_tokens_container_hold_for_the_old_id(ground: Ground) -> None:
    await renamed(ground, ground.token["id"])
    await ground.rule("use")
    for key in (ground.key, ground.asker.key):
        refused = await ground.ask(key)
        assert (refused.status_code, refused.json()["code"]) == (403, "vault_access_refused")


async def test_reveals_by_either_id_are_counted_together(ground: Ground) -> None:
    old = ground.token["id"]
    new = await renamed(ground, old)
    for token in (old, new, old):
        assert (await ground.ask(path=reveal_of(token))).status_code == 200
    rows = await ground.service.look(
        Domain.VAULT,
        "select token_id, count(*) from vault.reveal where merchant_id = $1 group by 1",
        ground.tenant.merchant,
    )
    assert {row[0]: row[1] for row in rows} == {new: 3}


async def test_an_approval_for_the_old_id_passes_once_by_whichever_id(ground: Ground) -> None:
    """It was asked for and given before the ids were replaced, and is neither lost nor doubled by that."""
    old = ground.token["id"]
    approval = await ground.approved()
    new = await renamed(ground, old)
    by_new: dict[str, Any] = {"path": reveal_of(new), "headers": {APPROVAL: approval}}
    seen = await ground.ask(ground.asker.key, **by_new)
    assert seen.status_code == 200, seen.text
    for path in (reveal_of(old), reveal_of(new)):
        again = await ground.ask(ground.asker.key, path=path, headers={APPROVAL: approval})
        assert (again.status_code, again.json()["code"]) == (403, "approval_not_usable")
    assert len(await ground.records("vault.token.revealed")) == 1


async def test_of_two_at_once_by_either_id_an_approval_lets_one_through(ground: Ground) -> None:
    old = ground.token["id"]
    approval = await ground.approved()
    new = await renamed(ground, old)
    answers = await asyncio.gather(
        *(
            ground.ask(ground.asker.key, path=reveal_of(token), headers={APPROVAL: approval})
            for token in (old, new) * 3
        )
    )
    assert sorted(each.status_code for each in answers) == [200, *[403] * 5]


async def test_what_waits_by_one_id_is_not_asked_for_again_by_the_other(ground: Ground) -> None:
    old = ground.token["id"]
    first = await ground.ask(ground.asker.key)
    assert (first.status_code, first.json()["object_id"]) == (202, old)
    new = await renamed(ground, old)
    for path in (reveal_of(old), reveal_of(new)):
        waits = await ground.ask(ground.asker.key, path=path)
        assert (waits.status_code, waits.json()["id"]) == (202, first.json()["id"])
    another = (await ground.vault.token("5555555555554444"))["id"]
    other = await ground.ask(ground.asker.key, path=reveal_of(another))
    assert other.json()["id"] != first.json()["id"]


async def test_an_approval_by_the_new_id_passes_by_the_old_and_for_no_other_token(
    ground: Ground,
) -> None:
    old = ground.token["id"]
    new = await renamed(ground, old)
    approval = await ground.approved()  # asked for by the old id, which stands for the new one
    (asked,) = await ground.service.look(
        Domain.CORE, "select object_id from identity.approval where approval_id = $1", approval
    )
    assert asked["object_id"] == new, "who approves is told the present id"
    another = (await ground.vault.token("5555555555554444"))["id"]
    await renamed(ground, another)
    wrong = await ground.ask(
        ground.asker.key, path=reveal_of(another), headers={APPROVAL: approval}
    )
    assert (wrong.status_code, wrong.json()["code"]) == (403, "approval_not_usable")
    right = await ground.ask(ground.asker.key, headers={APPROVAL: approval})
    assert right.json()["card"]["number"] == VISA, right.text


async def test_an_approval_for_an_id_that_is_dead_opens_nothing(ground: Ground) -> None:
    old = ground.token["id"]
    approval = await ground.approved()
    new = await renamed(ground, old, days=0)
    gone = await ground.ask(ground.asker.key, headers={APPROVAL: approval})
    assert (gone.status_code, gone.json()["code"]) == (404, "token_unknown")
    refused = await ground.ask(ground.asker.key, path=reveal_of(new), headers={APPROVAL: approval})
    assert (refused.status_code, refused.json()["code"]) == (403, "approval_not_usable")


# --- forwards ----------------------------------------------------------------------------------------


async def sent(
    forwards: Forwarder, destination: str, token: str, **more: Any
) -> tuple[int, dict[str, Any]]:
    said = await forwards.send(destination, SLOT, tokens={"card": token}, **more)
    return said.status_code, said.json()


async def test_an_old_id_is_forwarded_and_the_record_names_the_present_one(
    forwards: Forwarder,
) -> None:
    old = (await forwards.key.token(VISA))["id"]
    destination = await forwards.register()
    new = await renamed(forwards, old)
    by_name = await forwards.send(destination, SLOT, tokens={"card": old})
    by_id = await forwards.send(destination, {"pan": f"{{{{ {old}.number }}}}"})
    assert (by_name.status_code, by_id.status_code) == (200, 200), by_id.text
    assert [each.json() for each in forwards.peer.requests] == [{"pan": VISA}] * 2
    records = await forwards.records("vault.token.forwarded")
    assert [each["object"] for each in records] == [new] * 2


async def test_a_dry_run_takes_the_old_id(forwards: Forwarder) -> None:
    old = (await forwards.key.token(VISA))["id"]
    destination = await forwards.register()
    new = await renamed(forwards, old)
    seen = await forwards.send(destination, SLOT, tokens={"card": old}, dry_run=True)
    assert seen.status_code == 200, seen.text
    assert '"pan":"424242******4242"' in seen.json()["request"]["body"].replace(" ", "")
    assert not forwards.peer.requests
    assert (await forwards.records("vault.token.read"))[-1]["object"] == new


async def test_an_old_id_whose_time_is_over_is_not_forwarded(forwards: Forwarder) -> None:
    old = (await forwards.key.token(VISA))["id"]
    destination = await forwards.register()
    await renamed(forwards, old)
    await end_aliases(forwards)
    ended = await sent(forwards, destination, old)
    never = await sent(forwards, destination, new_id("tok"))
    assert (ended[0], ended[1]["code"], ended[1]["title"]) == (
        never[0],
        "token_unknown",
        never[1]["title"],
    )
    assert not forwards.peer.requests


async def test_a_key_is_used_once_whichever_id_the_token_is_written_with(
    forwards: Forwarder,
) -> None:
    """Begun by the old id before and after it was replaced, and by the new one: one request leaves."""
    oldest = (await forwards.key.token(VISA))["id"]
    destination = await forwards.register()
    first = await sent(forwards, destination, oldest, idempotency="once")
    between = await renamed(forwards, oldest)
    newest = await renamed(forwards, between)
    for token in (oldest, between, newest):
        status, body = await sent(forwards, destination, token, idempotency="once")
        assert (status, body["replayed"] if "replayed" in body else body["id"]) == (
            200,
            first[1]["id"],
        )
    assert len(forwards.peer.requests) == 1
    another = (await forwards.key.token("5555555555554444"))["id"]
    status, body = await sent(forwards, destination, another, idempotency="once")
    assert (status, body["code"]) == (422, "idempotency_key_reused")
    # Begun by the newest, and repeated by the oldest; a dead id repeats as well, as that of a deleted token does.
    await sent(forwards, destination, newest, idempotency="twice")
    assert (await sent(forwards, destination, oldest, idempotency="twice"))[0] == 200
    await end_aliases(forwards)
    assert (await sent(forwards, destination, oldest, idempotency="twice"))[0] == 200
    assert len(forwards.peer.requests) == 2


async def test_many_at_once_by_either_id_send_one(forwards: Forwarder) -> None:
    old = (await forwards.key.token(VISA))["id"]
    destination = await forwards.register()
    new = await renamed(forwards, old)
    answers = await asyncio.gather(
        *(sent(forwards, destination, each, idempotency="together") for each in (old, new) * 4)
    )
    assert {status for status, _ in answers} <= {200, 409}
    assert len(forwards.peer.requests) == 1


async def test_both_ids_in_one_request_are_one_card(forwards: Forwarder) -> None:
    old = (await forwards.key.token(VISA))["id"]
    destination = await forwards.register()
    new = await renamed(forwards, old)
    body = {"one": f"{{{{ {old}.number }}}}", "other": f"{{{{ {new}.last4 }}}}"}
    said = await forwards.send(destination, body)
    assert said.status_code == 200, said.text
    assert forwards.peer.requests[0].json() == {"one": VISA, "other": "4242"}
    assert len(await forwards.records("vault.token.forwarded")) == 1


async def test_a_cvc_that_was_sealed_for_the_old_id_serves_no_more_and_a_new_one_does(
    forwards: Forwarder,
) -> None:
    made = await forwards.key.token(VISA, "737")
    old, destination = made["id"], await forwards.register()
    new = await renamed(forwards, old)
    body = {"pan": "{{ card.number }}", "cvc": "{{ card.cvc }}"}
    more: dict[str, Any] = {"tokens": {"card": old}}
    refused = await forwards.send(destination, body, cvcs={"card": made["cvc"]}, **more)
    assert (refused.status_code, refused.json()["code"]) == (422, "cvc_invalid")
    typed = await forwards.key.post(f"/v1/tokens/{old}/cvc", {"cvc": "737"})
    assert typed.status_code in (200, 201), typed.text
    said = await forwards.send(destination, body, cvcs={"card": typed.json()["cvc"]}, **more)
    assert said.status_code == 200, said.text
    assert forwards.peer.requests[0].json() == {"pan": VISA, "cvc": "737"}
    both = {"one": f"{{{{ {old}.cvc }}}}", "other": f"{{{{ {new}.cvc }}}}"}
    twice = await forwards.send(destination, both, cvcs={old: made["cvc"], new: "cvc_x"})
    assert twice.json()["errors"][0]["code"] == "cvc_twice", twice.text


async def test_the_rules_hold_for_a_forward_by_the_old_id(forwards: Forwarder) -> None:
    old = (await forwards.key.token(VISA))["id"]
    destination = await forwards.register()
    await renamed(forwards, old)
    rule = {
        "container": "default",
        "priority": 1,
        "grantee_kind": "anybody",
        "grantee": "*",
        "access": "mask",
    }
    assert (await forwards.admin.post("/v1/access-rules", rule)).status_code == 201
    status, body = await sent(forwards, destination, old)
    assert (status, body["code"]) == (403, "vault_access_refused")
    assert not forwards.peer.requests


async def test_a_token_that_gets_another_id_between_look_and_record_is_forwarded(
    forwards: Forwarder,
) -> None:
    token = (await forwards.key.token(VISA))["id"]
    destination = await forwards.register()
    vault: Any = forwards.service.edges["vault"]
    forwarding: Forwarding = vault._app.state.forwarding.forwarding
    principal = Principal(
        new_id("key"),
        CallerKind.SECRET,
        forwards.tenant.merchant,
        Mode.TEST,
        frozenset({Permission.VAULT_TOKEN_FORWARD}),
    )
    sender = Sender(Caller(principal, Origin()), "raced", new_id("req"))
    opened = await forwarding._book.open(*sender.caller.scope, destination)
    asked = Asked("POST", "/v1/pay/1", {}, {}, {"card": token}, {}, {}, SLOT)
    read = read_request(asked, opened.destination.config)
    look = await forwarding._look(read, sender)
    new = await renamed(forwards, token)
    plan, _, _, sealed = await forwarding._begun(opened, read, look, bytes(32), sender)
    assert list(plan.cards) == [each.token for each in sealed] == [new]
    deleted = await forwarding._look(read, sender)
    assert (await forwards.key.delete(f"/v1/tokens/{new}")).status_code in (200, 204)
    with pytest.raises(TokenUnknown):
        await forwarding._begun(opened, read, deleted, bytes(32), sender)
