# SPDX-License-Identifier: Apache-2.0
"""A merchant's own request leaves with the card in it, once, for a registered destination, and nothing comes back."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from forwarding import ANSWER, TOKEN, Forwarder, forwarder
from peer import Sent, answer, cut, says, silent
from service import Service
from strongroom.db.logins import Domain
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind
from strongroom.kernel.schemes import synthetic_number

VISA = "4242424242424242"
SLOTS = {
    "pan": "{{ card.number }}",
    "expiry": "{{ card.expiry }}",
    "month": "{{ card.exp_month | int }}",
    "text": "card {{card.last4}} of {{ card . brand }}",
}


@pytest_asyncio.fixture
async def ground(service: Service) -> AsyncIterator[Forwarder]:
    async with forwarder(service) as made:
        yield made


async def test_slots_are_filled_and_the_answer_comes_back(ground: Forwarder) -> None:
    token = (await ground.key.token(VISA))["id"]
    destination = await ground.register()
    said = await ground.send(
        destination,
        {"amount": 1_500, "card": SLOTS},
        tokens={"card": token},
        headers={"X-Order": "o-1", "x-card": "{{ card.bin }}"},
        query={"expand": "a&b=c"},
    )
    assert said.status_code == 200, said.text
    body = said.json()
    assert (body["outcome"], body["status"], body["body"]) == ("answered", 201, ANSWER.decode())
    assert body["headers"] == {"content-type": "application/json"}
    assert said.headers["strongroom-destination-status"] == "201"
    assert int(said.headers["strongroom-destination-duration-ms"]) == body["duration_ms"]
    (sent,) = ground.peer.requests
    assert (sent.method, sent.target) == ("POST", "/v1/pay/1?expand=a%26b%3Dc")
    assert sent.json() == {
        "amount": 1_500,
        "card": {"pan": VISA, "expiry": "12/34", "month": 12, "text": "card 4242 of visa"},
    }
    assert sent.headers["authorization"] == f"Bearer {TOKEN}"
    assert (sent.headers["x-order"], sent.headers["x-card"]) == ("o-1", "424242")
    (used,) = await ground.records("vault.token.forwarded")
    assert used["object"] == token
    assert used["details"] == {
        "brand": "visa",
        "container": "default",
        "destination": "-".join(["dst", *(destination[4:][at : at + 8] for at in range(0, 26, 8))]),
        "last4": "4242",
        "method": "post",
        "operation": "forward",
    }


async def test_the_use_is_recorded_before_the_card_leaves(ground: Forwarder) -> None:
    made = await ground.key.token(VISA, "737")
    destination = await ground.register()
    seen: list[list[str]] = []

    async def behave(_sent: Sent, _writer: asyncio.StreamWriter) -> bytes:
        seen.append([each["action"] for each in await ground.records()])
        return answer()

    ground.peer.behaviour = behave
    body = {"pan": f"{{{{ {made['id']}.number }}}}", "cvc": f"{{{{ {made['id']}.cvc }}}}"}
    said = await ground.send(destination, body, cvcs={made["id"]: made["cvc"]})
    assert said.status_code == 200, said.text
    assert said.json()["cvc_state"] == "used"
    assert ground.peer.requests[0].json() == {"pan": VISA, "cvc": "737"}
    assert {"vault.token.forwarded", "vault.cvc.used"} <= set(seen[0])
    again = await ground.send(destination, body, cvcs={made["id"]: made["cvc"]})
    assert (again.status_code, again.json()["code"]) == (409, "cvc_used")
    assert len(ground.peer.requests) == 1


async def test_a_repeat_sends_nothing_and_keeps_nothing(ground: Forwarder) -> None:
    token = (await ground.key.token(VISA))["id"]
    destination = await ground.register()
    more = {"tokens": {"card": token}, "idempotency": "once"}
    first = await ground.send(destination, SLOTS, **more)
    again = await ground.send(destination, SLOTS, **more)
    assert again.status_code == 200
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == {
        **first.json(),
        "headers": None,
        "body": None,
        "withheld": "not_kept",
    }
    other = await ground.send(destination, {**SLOTS, "more": 1}, **more)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    missing = await ground.key.post("/v1/forward", {}, idempotency=None)
    assert missing.status_code in (400, 422)
    assert len(ground.peer.requests) == 1
    assert len(await ground.records("vault.token.forwarded")) == 1


async def test_of_many_at_once_one_is_sent(ground: Forwarder) -> None:
    token = (await ground.key.token(VISA))["id"]
    destination = await ground.register()
    more = {"tokens": {"card": token}, "idempotency": "together"}
    answers = await asyncio.gather(*(ground.send(destination, SLOTS, **more) for _ in range(8)))
    assert {each.status_code for each in answers} <= {200, 409}
    assert sum(each.status_code == 200 for each in answers) >= 1
    assert len(ground.peer.requests) == 1


@pytest.mark.parametrize("behaviour", [cut(), silent(b"HTTP/1.1 200 OK\r\n")], ids=["cut", "slow"])
async def test_an_answer_that_does_not_come_is_unknown(
    ground: Forwarder, behaviour: object
) -> None:
    token = (await ground.key.token(VISA))["id"]
    destination = await ground.register(timeout_ms=500)
    ground.peer.behaviour = behaviour  # type: ignore[assignment]
    more = {"tokens": {"card": token}, "idempotency": "lost"}
    said = await ground.send(destination, SLOTS, **more)
    assert (said.status_code, said.json()["outcome"]) == (202, "unknown")
    assert said.headers["strongroom-forward-outcome"] == "unknown"
    assert "strongroom-destination-status" not in said.headers
    ground.peer.behaviour = says(answer())
    again = await ground.send(destination, SLOTS, **more)
    assert (again.status_code, again.json()["outcome"]) == (202, "unknown")
    assert len(ground.peer.requests) == 1


async def test_what_certainly_was_not_sent_is_told_apart(ground: Forwarder) -> None:
    token = (await ground.key.token(VISA))["id"]
    destination = await ground.register(base_url="http://127.0.0.1:9")
    said = await ground.send(destination, SLOTS, tokens={"card": token})
    assert said.status_code == 202, said.text
    assert (said.json()["outcome"], said.json()["reason"]) == ("not_sent", "connect_failed")


async def test_a_dry_run_opens_and_sends_nothing(ground: Forwarder) -> None:
    made = await ground.key.token(VISA, "737")
    destination = await ground.register()
    body = {**SLOTS, "code": "{{ card.cvc }}"}
    more = {"tokens": {"card": made["id"]}, "cvcs": {"card": made["cvc"]}}
    said = await ground.send(destination, body, **more, dry_run=True, idempotency="dry")
    assert said.status_code == 200, said.text
    shown = said.json()["request"]
    assert shown["url"] == f"{ground.peer.url}/v1/pay/1"
    assert shown["headers"]["authorization"] == "[sealed]"
    assert json.loads(shown["body"]) == {
        "pan": "424242******4242",
        "expiry": "12/34",
        "month": 12,
        "text": "card 4242 of visa",
        "code": "[hidden]",
    }
    assert not ground.peer.requests
    assert not await ground.records("vault.token.forwarded")
    # Neither the key nor the CVC was used up.
    sent = await ground.send(destination, body, **more, idempotency="dry")
    assert sent.status_code == 200, sent.text


async def test_an_answer_that_echoes_the_card_or_the_secret_leaves_without_them(
    ground: Forwarder,
) -> None:
    token = (await ground.key.token(VISA))["id"]
    destination = await ground.register()
    echo = json.dumps({"pan": VISA, "other": "5555555555554444", "auth": f"Bearer {TOKEN}"})
    headers = f"content-type: application/json\r\nx-answer: {VISA}\r\nx-else: 1\r\n"
    ground.peer.behaviour = says(answer(echo.encode(), 200, headers))
    said = await ground.send(destination, SLOTS, tokens={"card": token})
    assert said.status_code == 200
    assert VISA not in said.text
    assert "5555555555554444" not in said.text
    assert TOKEN not in said.text
    assert said.json()["headers"].keys() == {"content-type", "x-answer"}


async def test_a_card_in_an_answer_becomes_a_token_where_the_destination_says_so(
    ground: Forwarder,
) -> None:
    token = (await ground.key.token(VISA))["id"]
    place = {"number": "/card/pan", "exp_month": "/card/month", "exp_year": "/card/year"}
    destination = await ground.register(answers="tokenize", tokenize=[place])
    given = {"card": {"pan": "5555555555554444", "month": 1, "year": 33}, "old": VISA}
    ground.peer.behaviour = says(answer(json.dumps(given).encode()))
    said = await ground.send(destination, SLOTS, tokens={"card": token})
    assert said.status_code == 200, said.text
    (made,) = said.json()["tokens"]
    body = json.loads(said.json()["body"])
    assert body["card"] == {"pan": made, "month": 1, "year": 33}
    assert VISA not in said.text
    read = (await ground.key.get(f"/v1/tokens/{made}")).json()
    assert (read["last4"], read["exp_year"]) == ("4444", 2033)


async def test_what_is_not_text_stays_here(ground: Forwarder) -> None:
    token = (await ground.key.token(VISA))["id"]
    destination = await ground.register()
    ground.peer.behaviour = says(answer(b"\xff\xfe\x00", 200))
    said = await ground.send(destination, SLOTS, tokens={"card": token})
    assert (said.json()["body"], said.json()["withheld"]) == (None, "not_text")


async def test_a_redirect_is_an_answer_and_is_not_followed(ground: Forwarder) -> None:
    token = (await ground.key.token(VISA))["id"]
    destination = await ground.register()
    ground.peer.behaviour = says(answer(b"", 307, f"location: {ground.peer.url}/v1/pay/2\r\n"))
    said = await ground.send(destination, SLOTS, tokens={"card": token})
    assert said.json()["status"] == 307
    assert len(ground.peer.requests) == 1


async def test_a_synthetic_card_leaves_to_this_machine_only(ground: Forwarder) -> None:
    token = (await ground.key.token(synthetic_number(4_711)))["id"]
    outside = await ground.register(base_url="https://api.partner.example")
    said = await ground.send(outside, SLOTS, tokens={"card": token})
    assert (said.status_code, said.json()["code"]) == (422, "card_not_for_destination")
    assert not await ground.records("vault.token.forwarded")
    here = await ground.register()
    assert (await ground.send(here, SLOTS, tokens={"card": token})).status_code == 200


async def test_a_holders_name_goes_where_a_slot_asks_for_it(ground: Forwarder) -> None:
    named = (await ground.key.token(VISA, holder="Amal & Co"))["id"]
    unnamed = (await ground.key.token(VISA))["id"]
    destination = await ground.register(content_type="application/xml")
    body = "<c h='{{ card.holder }}'>{{ card.number }}</c>"
    said = await ground.send(
        destination, body, tokens={"card": named}, headers={"x-card": "{{ card.holder }}"}
    )
    assert said.status_code == 200, said.text
    (sent,) = ground.peer.requests
    assert sent.body == f"<c h='Amal &#38; Co'>{VISA}</c>".encode()
    assert sent.headers["x-card"] == "Amal & Co"
    refused = await ground.send(destination, body, tokens={"card": unnamed})
    assert (refused.status_code, refused.json()["code"]) == (422, "holder_missing")
    # Of the other one nothing was recorded.
    assert len(await ground.records("vault.token.forwarded")) == 1


ADDRESS = {"country": "AE", "line1": "1 Palm Street", "city": "Dubai"}
NETWORK_TOKEN = {"requestor_id": "40012345678", "eci": "05"}
CRYPTOGRAM = "AJkBByEyYgAAAASwgmEodQAAAAA="


async def test_what_else_a_token_holds_goes_where_a_slot_asks_for_it(ground: Forwarder) -> None:
    token = (await ground.key.token(VISA, billing_address=ADDRESS, network_token=NETWORK_TOKEN))[
        "id"
    ]
    destination = await ground.register()
    body = {
        "dpan": "{{ card.number }}",
        "requestor": "{{ card.requestor_id }}",
        "eci": "{{ card.eci }}",
        "where": "{{ card.address_line1 }}, {{ card.address_city }} {{ card.address_country }}",
    }
    said = await ground.send(destination, body, tokens={"card": token})
    assert said.status_code == 200, said.text
    assert ground.peer.requests[0].json() == {
        "dpan": VISA,
        "requestor": "40012345678",
        "eci": "05",
        "where": "1 Palm Street, Dubai AE",
    }


@pytest.mark.parametrize("field", ["address_line1", "requestor_id", "eci"])
async def test_a_slot_whose_token_holds_nothing_is_refused_by_name(
    ground: Forwarder, field: str
) -> None:
    token = (await ground.key.token(VISA))["id"]
    destination = await ground.register()
    body = {"pan": "{{ card.number }}", "more": f"{{{{ card.{field} }}}}"}
    for dry_run in (True, False):
        said = await ground.send(destination, body, tokens={"card": token}, dry_run=dry_run)
        assert said.status_code == 422, said.text
        (wrong,) = said.json()["errors"]
        assert (wrong["pointer"], wrong["code"]) == ("/tokens/card", "slot_empty")
        assert field in wrong["detail"]
    assert not ground.peer.requests
    assert not await ground.records("vault.token.forwarded")


async def test_a_member_that_an_address_has_not_is_refused_by_name_and_not_sent(
    ground: Forwarder,
) -> None:
    """Only when it is open can be seen which members it has: the use is recorded, and nothing is sent."""
    token = (await ground.key.token(VISA, billing_address=ADDRESS))["id"]
    destination = await ground.register()
    body = {"pan": "{{ card.number }}", "more": "{{ card.address_line2 }}"}
    more = {"tokens": {"card": token}, "idempotency": "half an address"}
    said = await ground.send(destination, body, **more)
    assert said.status_code == 422, said.text
    (wrong,) = said.json()["errors"]
    assert (wrong["pointer"], wrong["code"]) == ("/tokens/card", "slot_empty")
    assert "Palm" not in said.text
    again = await ground.send(destination, body, **more)
    assert (again.status_code, again.json()["outcome"]) == (202, "not_sent")
    assert not ground.peer.requests


async def test_a_cryptogram_is_sent_once_stored_nowhere_and_not_given_back(
    service: Service, ground: Forwarder
) -> None:
    token = (await ground.key.token(VISA, network_token=NETWORK_TOKEN))["id"]
    destination = await ground.register()
    given = {"card": {"cryptogram": CRYPTOGRAM, "eci": "07"}}
    body = {"tavv": "{{ card.cryptogram }}", "eci": "{{ card.eci }}", "dpan": "{{ card.number }}"}

    async def echo(sent: Sent, _writer: asyncio.StreamWriter) -> bytes:
        return answer(sent.body)

    ground.peer.behaviour = echo
    more = {"tokens": {"card": token}, "cryptograms": given, "idempotency": "tavv"}
    shown = await ground.send(destination, body, **more, dry_run=True)
    assert CRYPTOGRAM not in shown.text
    said = await ground.send(destination, body, **more)
    assert said.status_code == 200, said.text
    assert ground.peer.requests[0].json() == {"tavv": CRYPTOGRAM, "eci": "07", "dpan": VISA}
    assert CRYPTOGRAM not in said.text
    # A repeat of the key sends nothing, whatever it brings along.
    other = {**more, "cryptograms": {"card": {"cryptogram": CRYPTOGRAM[::-1].strip("=") + "A"}}}
    again = await ground.send(destination, body, **other)
    assert again.json()["outcome"] == "answered"
    assert len(ground.peer.requests) == 1
    for table in ("vault.forward", "vault.token_detail", "vault.token", "audit.event"):
        rows = await service.look(Domain.VAULT, f"select t::text as row from {table} t")
        seen = "".join(row["row"] for row in rows)
        assert CRYPTOGRAM not in seen
        assert CRYPTOGRAM.encode().hex() not in seen


async def test_a_cryptogram_and_its_slot_come_together(ground: Forwarder) -> None:
    token = (await ground.key.token(VISA))["id"]
    destination = await ground.register()
    given = {"card": {"cryptogram": CRYPTOGRAM}}
    for body, cryptograms in (("{{ card.cryptogram }}", {}), ("{{ card.number }}", given)):
        said = await ground.send(
            destination, {"v": body}, tokens={"card": token}, cryptograms=cryptograms
        )
        assert said.status_code == 422, said.text
        assert said.json()["errors"][0]["code"] == "cryptogram_mismatch"
    assert not ground.peer.requests


async def test_a_value_that_does_not_fit_is_recorded_and_not_sent(ground: Forwarder) -> None:
    """Only when it is open can be seen that it does not fit into a header."""
    token = (await ground.key.token(VISA, holder="Ámal"))["id"]
    destination = await ground.register()
    more = {
        "tokens": {"card": token},
        "headers": {"x-card": "{{ card.holder }}"},
        "idempotency": "unfit",
    }
    said = await ground.send(destination, SLOTS, **more)
    assert said.status_code == 422, said.text
    assert said.json()["errors"][0]["code"] == "slot_unfit"
    assert "mal" not in said.text
    again = await ground.send(destination, SLOTS, **more)
    assert (again.status_code, again.json()["outcome"]) == (202, "not_sent")
    assert not ground.peer.requests


async def test_who_makes_no_tokens_makes_none_of_answers_either(
    service: Service, ground: Forwarder
) -> None:
    place = {"number": "/pan", "exp_month": "/month", "exp_year": "/year"}
    destination = await ground.register(answers="tokenize", tokenize=[place])
    token = (await ground.key.token(VISA))["id"]
    weak = await service.key(
        ground.tenant.merchant, KeyKind.RESTRICTED, permissions=[Permission.VAULT_TOKEN_FORWARD]
    )
    wish = {
        "destination": destination,
        "path": "/v1/pay/1",
        "body": SLOTS,
        "tokens": {"card": token},
    }
    said = await service.vault(weak.text.expose()).post("/v1/forward", wish)
    assert (said.status_code, said.json()["code"]) == (403, "forbidden")
    assert not ground.peer.requests
