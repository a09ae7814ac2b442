# SPDX-License-Identifier: Apache-2.0
"""Adyen's adapter through the vault: what arrives over the wire is as Adyen describes it, answers come back whole."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

import msgspec
import pytest
import pytest_asyncio

from contracts.adyen_words import ADAPTER, JUDGED, asked, complaints, received
from database import Databases
from peer import answer, cut, says
from store.forward_ground import ACTOR, VISA, ForwardGround, forward_ground
from strongroom.audit import Origin
from strongroom.crypto.ids import new_id
from strongroom.kernel.errors import Invalid
from strongroom.kernel.mode import Mode
from strongroom.kernel.schemes import synthetic_number
from strongroom.kernel.secret import Secret
from strongroom.payments.model import Operation, Outcome
from strongroom.payments.ports import Command
from strongroom.vault import CardNotForProcessor, Forwarded
from strongroom.vault.destinations import Destination

KEY: Final = "an-api-key-of-a-test"
#: Where a test's peer is. The real hosts are judged apart: nothing is sent there.
HERE: Final[Destination] = replace(ADAPTER.destination, hosts_by_mode={})
LIVE: Final = "https://1797a841fbb37ca7-shop-checkout-live.adyenpayments.com/checkout"
TEST: Final = "https://checkout-test.adyen.com"


@pytest_asyncio.fixture
async def ground(databases: Databases) -> AsyncIterator[ForwardGround]:
    async with forward_ground(databases, more=[HERE]) as made:
        made.connection = await made.register(
            processor="adyen",
            base_url=made.peer.url + "/checkout",
            credentials={"api_key": Secret(KEY)},
        )
        yield made


async def sent(ground: ForwardGround, command: Command) -> Forwarded:
    template = ADAPTER.template(command)
    if not command.attempt.operation.authorizes:
        return await ground.process.forwarder.forward(ground.call(template))
    token, cvc = await ground.token(VISA, "737", exp_month=3)
    return await ground.process.forwarder.forward(ground.call(template, token=token, cvc=cvc))


@pytest.mark.parametrize("operation", list(Operation))
async def test_a_request_arrives_as_adyen_describes_it(
    ground: ForwardGround, operation: Operation
) -> None:
    """The card in the description's types, the key in its header, behind the path of the connection."""
    command = asked(operation)
    body: object = {"resultCode": "Authorised", "pspReference": "8536214160615591"}
    if not operation.authorizes:
        body = received(command)
    status = 200 if operation.authorizes else 201
    ground.peer.behaviour = says(answer(msgspec.json.encode(body), status))
    reply = await sent(ground, command)
    (request,) = ground.peer.requests
    template = ADAPTER.template(command)
    assert request.target == "/checkout" + template.path
    assert complaints(JUDGED[template.route], None, request.json()) == []
    assert request.headers["x-api-key"] == KEY
    assert request.headers["idempotency-key"] == command.attempt.attempt_id
    assert "authorization" not in request.headers
    if operation.authorizes:
        assert request.json()["paymentMethod"] == {
            "type": "scheme",
            "number": VISA,
            "expiryMonth": "03",
            "expiryYear": "2034",
            "cvc": "737",
        }
    found = ADAPTER.answer(command, reply)
    assert found.outcome is (Outcome.APPROVED if operation.authorizes else Outcome.PENDING)
    # Sixteen digits, and no card's: it comes back whole.
    assert not operation.authorizes or found.processor_reference == "8536214160615591"


async def test_a_transient_error_is_seen_through_the_vault(ground: ForwardGround) -> None:
    headers = "content-type: application/json\r\nTransient-Error: true\r\n"
    ground.peer.behaviour = says(answer(b'{"resultCode": "Error"}', 200, headers))
    command = asked(Operation.SALE)
    found = ADAPTER.answer(command, await sent(ground, command))
    assert (found.outcome, found.reason) == (Outcome.UNKNOWN, "transient_error")


async def test_the_same_request_goes_again_under_the_same_key(ground: ForwardGround) -> None:
    """A lost answer, and the replay: but for the CVC, which was for one use, not a byte differs."""
    command = asked(Operation.SALE)
    token, cvc = await ground.token(VISA, "737")
    ground.peer.behaviour = cut()
    call = ground.call(ADAPTER.template(command), token=token, cvc=cvc)
    assert (await ground.process.forwarder.forward(call)).outcome == "unknown"
    body = b'{"resultCode": "Authorised", "pspReference": "993617895204576J"}'
    ground.peer.behaviour = says(answer(body))
    again = replace(command, with_cvc=False)
    reply = await ground.process.forwarder.forward(
        ground.call(ADAPTER.template(again), token=token)
    )
    assert ADAPTER.answer(again, reply).outcome is Outcome.APPROVED
    first, second = ground.peer.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    without = first.json()
    del without["paymentMethod"]["cvc"]
    assert second.json() == without


async def test_a_synthetic_number_does_not_go_to_adyen(ground: ForwardGround) -> None:
    token, _ = await ground.token(synthetic_number(4_711))
    template = ADAPTER.template(asked(Operation.SALE, with_cvc=False))
    with pytest.raises(CardNotForProcessor):
        await ground.process.forwarder.forward(ground.call(template, token=token))
    assert ground.peer.requests == []


@pytest.mark.parametrize(
    ("mode", "url", "taken"),
    [
        (Mode.TEST, TEST, True),
        (Mode.LIVE, LIVE, True),
        (Mode.TEST, LIVE, False),
        (Mode.LIVE, TEST, False),
        (Mode.LIVE, "https://checkout-live.adyenpayments.com/checkout", False),
        (Mode.TEST, "https://checkout-test.adyen.com.shop.example", False),
        (Mode.TEST, "https://shop.example/checkout-test.adyen.com", False),
        (Mode.TEST, "http://checkout-test.adyen.com", False),
    ],
)
async def test_a_connection_is_made_to_the_hosts_of_its_mode(
    databases: Databases, mode: Mode, url: str, *, taken: bool
) -> None:
    """The live address carries the merchant's prefix as a part of the connection; neither mode leads to the other."""
    async with forward_ground(databases, more=[ADAPTER.destination]) as ground:
        registered = ground.process.connections.register(
            ground.merchant,
            mode,
            new_id("con"),
            "adyen",
            url,
            {"api_key": Secret(KEY)},
            actor=ACTOR,
            origin=Origin(),
        )
        if taken:
            await registered
            return
        with pytest.raises(Invalid) as refused:
            await registered
        assert [each.pointer for each in refused.value.errors] == ["/base_url"]
