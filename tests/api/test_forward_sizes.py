# SPDX-License-Identifier: Apache-2.0
"""A destination says how long a request to it and an answer from it may be: to the byte, and nothing more leaves.

A request's length is what is sent, with every slot filled. What certainly does not fit is refused before anything is
recorded; what only shows when a card is open is recorded and not sent.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import pytest
import pytest_asyncio

from forwarding import Forwarder, forwarder
from peer import Sent, answer, says
from service import Service

VISA: Final = "4242424242424242"
HOLDER: Final = "A Holder Whose Name Is Long"
#: The least that a destination may be registered with, and something else.
LIMITS: Final = (256, 1_000)
MARK: Final = "said-by-the-destination"
TOO_LARGE: Final = [("/body", "body_too_large")]


def as_json(fields: Mapping[str, str]) -> tuple[object, bytes]:
    """A body as it is asked for, and as it is sent."""
    return dict(fields), json.dumps(fields, separators=(",", ":")).encode()


def as_form(fields: Mapping[str, str]) -> tuple[object, bytes]:
    return dict(fields), urlencode(fields).encode()


def as_xml(fields: Mapping[str, str]) -> tuple[object, bytes]:
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    return f"<card>{inner}</card>", f"<card>{inner}</card>".encode()


FORMS: Final[Mapping[str, Callable[[Mapping[str, str]], tuple[object, bytes]]]] = {
    "application/json": as_json,
    "application/x-www-form-urlencoded": as_form,
    "application/xml": as_xml,
}
#: What slots stand in a body, and what they become: known only when it is open, known before, and both.
SLOTS: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "a number": {"pan": ("{{ card.number }}", VISA)},
    "a holder": {"name": ("{{ card.holder }}", HOLDER)},
    "a code": {"cvc": ("{{ card.cvc }}", "737")},
    "what is shown": {
        "month": ("{{ card.exp_month }}", "12"),
        "last": ("{{ card.last4 }}", "4242"),
    },
    "many short ones": {
        "pan": ("{{ card.number }}", VISA),
        **{f"m{at}": ("{{ card.exp_month }}", "12") for at in range(8)},
    },
}


def body_of(
    size: int, slots: str = "a number", kind: str = "application/json"
) -> tuple[Any, bytes]:
    """A body that is so long when it is sent, and what is sent."""
    form, fields = FORMS[kind], SLOTS[slots]
    filled = {name: value for name, (_, value) in fields.items()}
    pad = "x" * (size - len(form({**filled, "pad": ""})[1]))
    asked, _ = form({name: slot for name, (slot, _) in fields.items()} | {"pad": pad})
    _, sent = form({**filled, "pad": pad})
    assert len(sent) == size
    return asked, sent


@pytest_asyncio.fixture
async def ground(service: Service) -> AsyncIterator[Forwarder]:
    async with forwarder(service) as made:
        yield made


async def with_card(ground: Forwarder, slots: str = "a number") -> dict[str, Any]:
    """What a request says beside its body: a token, and a sealed code where a slot asks for one."""
    wants_code = slots == "a code"
    made = await ground.key.token(VISA, "737" if wants_code else None, holder=HOLDER)
    cvcs = {"card": made["cvc"]} if wants_code else {}
    return {"tokens": {"card": made["id"]}, "cvcs": cvcs}


def errors_of(said: Any) -> list[tuple[str, str]]:
    assert said.status_code == 422, said.text
    assert VISA not in said.text
    return [(each["pointer"], each["code"]) for each in said.json()["errors"]]


# --- what is sent ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("slots", SLOTS)
async def test_a_request_as_long_as_its_destination_takes_is_sent_and_one_byte_more_is_not(
    ground: Forwarder, slots: str, kind: str
) -> None:
    for limit in LIMITS:
        destination = await ground.register(content_type=kind, request_bytes_max=limit)
        before = len(ground.peer.requests)
        asked, sent = body_of(limit, slots, kind)
        card = await with_card(ground, slots)
        dry = await ground.send(destination, asked, **card, dry_run=True)
        assert dry.status_code == 200, dry.text
        said = await ground.send(destination, asked, **card)
        assert said.status_code == 200, said.text
        assert [each.body for each in ground.peer.requests[before:]] == [sent]
        more, _ = body_of(limit + 1, slots, kind)
        refused = await ground.send(destination, more, **await with_card(ground, slots))
        assert errors_of(refused) == TOO_LARGE
        assert len(ground.peer.requests) == before + 1


@pytest.mark.parametrize("slots", SLOTS)
async def test_what_certainly_does_not_fit_is_refused_before_anything_is_recorded(
    ground: Forwarder, slots: str
) -> None:
    """Neither the key nor a code that came along is spent: the request may be sent again, shortened."""
    (limit, _) = LIMITS
    destination = await ground.register(request_bytes_max=limit)
    card = {**await with_card(ground, slots), "idempotency": "shortened"}
    long, _ = body_of(limit + 64, slots)
    for dry_run in (True, False):
        refused = await ground.send(destination, long, **card, dry_run=dry_run)
        assert errors_of(refused) == TOO_LARGE
    assert not ground.peer.requests
    for action in ("vault.token.forwarded", "vault.cvc.used"):
        assert not await ground.records(action)
    asked, _ = body_of(limit, slots)
    said = await ground.send(destination, asked, **card)
    assert (said.status_code, said.json()["outcome"]) == (200, "answered"), said.text


@pytest.mark.parametrize("slots", ["a number", "a holder", "a code"])
async def test_what_does_not_fit_once_it_is_open_is_recorded_and_not_sent(
    ground: Forwarder, slots: str
) -> None:
    (limit, _) = LIMITS
    destination = await ground.register(request_bytes_max=limit)
    card = {**await with_card(ground, slots), "idempotency": "a byte too long"}
    asked, _ = body_of(limit + 1, slots)
    assert errors_of(await ground.send(destination, asked, **card)) == TOO_LARGE
    assert len(await ground.records("vault.token.forwarded")) == 1
    again = await ground.send(destination, asked, **card)
    assert (again.status_code, again.json()["outcome"]) == (202, "not_sent")
    assert not ground.peer.requests
    assert not ground.peer.connections


async def test_a_longer_request_is_sent_once_its_destination_takes_more(ground: Forwarder) -> None:
    """What holds is what the destination says now, for requests and for answers."""
    (limit, more) = LIMITS
    destination = await ground.register(request_bytes_max=limit, answer_bytes_max=limit)
    asked, sent = body_of(more)
    card = await with_card(ground)
    assert errors_of(await ground.send(destination, asked, **card)) == TOO_LARGE
    change = ground.destination(request_bytes_max=more, answer_bytes_max=more)
    del change["credentials"]
    changed = await ground.admin.post(f"/v1/destinations/{destination}", change)
    assert changed.status_code == 200, changed.text
    said_by_peer = told(more)
    ground.peer.behaviour = says(answer(said_by_peer.encode()))
    said = await ground.send(destination, asked, **card)
    assert (said.status_code, said.json()["body"]) == (200, said_by_peer), said.text
    assert [each.body for each in ground.peer.requests] == [sent]


# --- what comes back ------------------------------------------------------------------------------------


def told(size: int) -> str:
    """An answer so long, by which it is known again."""
    pad = "y" * (size - len(json.dumps({"mark": MARK, "pad": ""})))
    return json.dumps({"mark": MARK, "pad": pad})


def whole(body: str) -> bytes:
    return answer(body.encode())


def in_chunks(body: str) -> bytes:
    """Its length is known only when it is over."""
    pieces = [body[at : at + 100] for at in range(0, len(body), 100)]
    chunks = "".join(f"{len(piece):x}\r\n{piece}\r\n" for piece in pieces)
    return f"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n".encode()


@pytest.mark.parametrize("framed", [whole, in_chunks])
@pytest.mark.parametrize("limit", LIMITS)
async def test_an_answer_as_long_as_its_destination_may_give_is_told_and_one_byte_more_is_not(
    ground: Forwarder, limit: int, framed: Callable[[str], bytes]
) -> None:
    """The longer one was answered to what had been sent: its outcome is unknown, and nothing of it is told."""
    destination = await ground.register(answer_bytes_max=limit)
    body = {"pan": "{{ card.number }}"}
    card = await with_card(ground)
    ground.peer.behaviour = says(framed(told(limit)))
    said = await ground.send(destination, body, **card)
    assert (said.status_code, said.json()["body"]) == (200, told(limit)), said.text
    ground.peer.behaviour = says(framed(told(limit + 1)))
    for _ in range(2):  # the second one is a repeat
        lost = await ground.send(destination, body, **card, idempotency="a byte too long")
        assert lost.status_code == 202, lost.text
        found = lost.json()
        assert (found["outcome"], found["reason"]) == ("unknown", "answer_too_large")
        assert (found["headers"], found["body"]) == (None, None)
        assert MARK not in lost.text
        assert "strongroom-destination-status" not in lost.headers
    assert len(ground.peer.requests) == 2


async def test_an_answer_that_goes_on_for_ever_ends_at_the_bound(ground: Forwarder) -> None:
    """It is not read to its end, and neither its cards nor its mark are told."""
    destination = await ground.register(answer_bytes_max=256, timeout_ms=20_000)
    ended = asyncio.Event()

    async def goes_on(_sent: Sent, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        piece = f"{MARK} {VISA} ".encode()
        try:
            while not writer.is_closing():
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                await writer.drain()
        finally:
            ended.set()

    ground.peer.behaviour = goes_on
    said = await ground.send(destination, {"pan": "{{ card.number }}"}, **await with_card(ground))
    assert said.status_code == 202, said.text
    assert (said.json()["outcome"], said.json()["reason"]) == ("unknown", "answer_too_large")
    assert MARK not in said.text
    await asyncio.wait_for(ended.wait(), timeout=60)
