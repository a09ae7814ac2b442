# SPDX-License-Identifier: Apache-2.0
"""What payments use and read: the rules of where a token stands decide at the moment of the use; a cryptogram once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from database import Databases
from store.forward_ground import ACTOR, ForwardGround, authorize, forward_ground
from strongroom.audit import Origin
from strongroom.db.logins import Domain
from strongroom.db.pool import connect
from strongroom.kernel.mode import Mode
from strongroom.vault import (
    AccessRefused,
    CryptogramUsed,
    NetworkTokenFacts,
    Slot,
    StoredCredentialFacts,
    Template,
    slot,
)
from strongroom.vault.containers.model import Access, GranteeKind
from strongroom.vault.containers.service import Changer
from strongroom.vault.wire import NetworkTokenIn, StoredCredential

CRYPTOGRAM = "AgAAAAAAAIR8CQrXcIhbQAAAAAA="
NETWORK = NetworkTokenIn("40010030273", "05", CRYPTOGRAM)
USED = "vault.token.used"


@pytest_asyncio.fixture(loop_scope="session")
async def ground(databases: Databases) -> AsyncIterator[ForwardGround]:
    async with forward_ground(databases) as opened:
        yield opened


def network() -> Template:
    body: dict[str, Any] = {
        "number": slot(Slot.CARD_NUMBER),
        "cryptogram": slot(Slot.CARD_CRYPTOGRAM),
    }
    return Template("network", "/v1/payments", {}, {}, {"token": body})


async def moved(ground: ForwardGround, token: str, container: str) -> None:
    await ground.databases.run(
        Domain.VAULT,
        f"update vault.token set container = '{container}' where token_id = '{token}'",
    )


async def test_payments_use_what_a_rule_lets_them_use(ground: ForwardGround) -> None:
    token, _ = await ground.token()
    call = ground.call(authorize(), token=token)
    assert (await ground.process.forwarder.forward(call)).outcome == "answered"
    await ground.rule(GranteeKind.KEY, Access.USE, "default", 10)  # what is built in ends with it
    with pytest.raises(AccessRefused):
        await ground.process.forwarder.forward(call)
    await ground.rule(GranteeKind.PAYMENTS, Access.MASK, "default", 5)
    with pytest.raises(AccessRefused):
        await ground.process.forwarder.forward(call)
    assert len(ground.peer.requests) == 1
    actions = await ground.actions()
    assert actions.count(USED) == 1, "what is refused is not recorded as used"
    await ground.rule(GranteeKind.PAYMENTS, Access.USE, "default", 1)
    assert (await ground.process.forwarder.forward(call)).outcome == "answered"


async def test_a_token_that_was_moved_is_used_under_the_rules_of_its_new_place(
    ground: ForwardGround,
) -> None:
    """The forwarder remembers where a token stood; the use itself looks where it stands."""
    token, _ = await ground.token()
    call = ground.call(authorize(), token=token)
    await ground.process.forwarder.forward(call)
    await moved(ground, token, "secret")
    with pytest.raises(AccessRefused):
        await ground.process.forwarder.forward(call)
    assert len(ground.peer.requests) == 1
    assert (await ground.actions()).count(USED) == 1
    await ground.rule(GranteeKind.PAYMENTS, Access.USE, "secret", 1)
    assert (await ground.process.forwarder.forward(call)).outcome == "answered"
    await moved(ground, token, "default")
    assert (await ground.process.forwarder.forward(call)).outcome == "answered"


async def test_what_payments_read_of_a_token(ground: ForwardGround) -> None:
    agreed = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
    stored = StoredCredential("merchant", "MCC1234560123", "m-17", "Monthly", agreed)
    token, _ = await ground.token(network_token=NETWORK, stored_credential=stored)
    facts = await ground.process.forwarder.describe(ground.merchant, Mode.TEST, token)
    assert facts.container == "default"
    assert facts.network_token == NetworkTokenFacts("40010030273", "05", has_cryptogram=True)
    assert facts.stored_credential == StoredCredentialFacts(
        "merchant", "MCC1234560123", "m-17", agreed
    )


async def test_a_cryptogram_fills_its_slot_once(ground: ForwardGround) -> None:
    token, _ = await ground.token(network_token=NETWORK)
    call = ground.call(network(), token=token)
    assert (await ground.process.forwarder.forward(call)).outcome == "answered"
    assert ground.peer.requests[0].json()["token"]["cryptogram"] == CRYPTOGRAM
    with pytest.raises(CryptogramUsed):
        await ground.process.forwarder.forward(call)
    facts = await ground.process.forwarder.describe(ground.merchant, Mode.TEST, token)
    assert facts.network_token == NetworkTokenFacts("40010030273", "05", has_cryptogram=False)
    assert (await ground.actions()).count(USED) == 1


async def test_of_many_uses_of_a_cryptogram_at_once_one_is_sent(ground: ForwardGround) -> None:
    token, _ = await ground.token(network_token=NETWORK)
    said = await asyncio.gather(
        *(ground.process.forwarder.forward(ground.call(network(), token=token)) for _ in range(6)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, CryptogramUsed) for each in said) == 5
    assert len(ground.peer.requests) == 1


async def test_a_card_has_no_cryptogram(ground: ForwardGround) -> None:
    token, _ = await ground.token()
    with pytest.raises(CryptogramUsed):
        await ground.process.forwarder.forward(ground.call(network(), token=token))
    assert ground.peer.requests == []


async def test_a_container_does_not_end_under_a_token_on_its_way(ground: ForwardGround) -> None:
    """The writer holds the container's row: of an end and a token at once one is refused."""
    by = Changer(ground.merchant, Mode.TEST, ACTOR, Origin())
    await ground.rule(GranteeKind.KEY, Access.USE, "/", 1)
    for number in range(12):
        name = f"short{number}"
        await ground.desk.put(by, name, "", None)
        await asyncio.gather(
            ground.token(container=name), ground.desk.remove(by, name), return_exceptions=True
        )
    connection = await connect(ground.databases.administrator(Domain.VAULT))
    try:
        astray = await connection.fetchval(
            "select count(*) from vault.token t where container like 'short%' and not exists"
            " (select from vault.container c where c.merchant_id = t.merchant_id and c.name = t.container)"
        )
    finally:
        await connection.close()
    assert astray == 0
