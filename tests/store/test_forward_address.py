# SPDX-License-Identifier: Apache-2.0
"""The holder's address goes to a processor from the vault alone, once the use is recorded, and does not come back."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import pytest
import pytest_asyncio

from database import Databases
from peer import answer, says
from store.forward_ground import VISA, ForwardGround, authorize, forward_ground
from strongroom.db.logins import Domain
from strongroom.db.pool import Record
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.vault import CannotReadCard, CvcUsed, Forwarded
from strongroom.vault.details import BILLING_ADDRESS, DetailSealer
from strongroom.vault.uses import CardUse, UseRows
from strongroom.vault.wire import BillingAddress

ADDRESS: Final = BillingAddress("AE", "1 Harbour Street", "Flat 2", "Dubai", None, "12345")
SENT: Final = {"line1": "1 Harbour Street", "city": "Dubai", "zip": "12345", "country": "AE"}
TEXTS: Final = (b"1 Harbour Street", b"Dubai", b"12345")


@pytest_asyncio.fixture
async def ground(databases: Databases) -> AsyncIterator[ForwardGround]:
    async with forward_ground(databases) as made:
        yield made


async def sent(ground: ForwardGround, token: TokenId, **more: Any) -> bytes:
    await ground.process.forwarder.forward(ground.call(authorize(**more), token=token))
    return ground.peer.requests[-1].body


async def test_a_token_without_an_address_sends_what_was_sent_before(ground: ForwardGround) -> None:
    """To the byte, and with one round trip as before; of one with an address the same bytes go at every try."""
    plain, _ = await ground.token(VISA, exp_month=11)
    addressed, _ = await ground.token(VISA, holder="Amal Haddad", billing_address=ADDRESS)
    for token in (plain, addressed):
        await ground.process.forwarder.describe(ground.merchant, Mode.TEST, token)
    assert await sent(ground, plain, address=True) == await sent(ground, plain)
    lent = ground.process.database.lent
    first = await sent(ground, addressed, address=True)
    assert ground.process.database.lent - lent == 1
    assert first == await sent(ground, addressed, address=True)
    card = json.loads(first)["card"]
    assert card.pop("billing_address") == SENT
    assert card == json.loads(await sent(ground, addressed))["card"]
    for text in (*TEXTS, b"billing", b"Amal"):
        assert text not in await sent(ground, addressed), "no slot, no address"
        assert text not in await sent(ground, plain, address=True)


async def test_an_address_is_of_the_token_it_is_kept_with(ground: ForwardGround) -> None:
    """Of several uses that are recorded together each has its own address, or none."""
    tokens = [
        (await ground.token(VISA, exp_month=month, billing_address=billed))[0]
        for month, billed in [(1, ADDRESS), (2, None), (3, BillingAddress("GB", city="Leeds"))]
    ]
    for token, expected in zip(
        tokens, [SENT, None, {"city": "Leeds", "country": "GB"}], strict=True
    ):
        body = json.loads(await sent(ground, token, address=True))
        assert body["card"].get("billing_address") == expected


async def test_an_address_is_opened_once_its_use_is_recorded(
    ground: ForwardGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, _ = await ground.token(VISA, billing_address=ADDRESS)
    seen: list[tuple[list[str], list[str]]] = []
    real = DetailSealer.open

    async def watched(
        self: DetailSealer, rows: Any, mode: Mode, merchant: MerchantId, of: TokenId
    ) -> Any:
        rows = list(rows)
        seen.append(([row.field for row in rows], await ground.actions()))
        return await real(self, rows, mode, merchant, of)

    await ground.process.forwarder.describe(ground.merchant, Mode.TEST, token)
    monkeypatch.setattr(DetailSealer, "open", watched)
    await sent(ground, token, address=True)
    assert seen == [([BILLING_ADDRESS], ["vault.token.used"])]


async def test_the_database_gives_out_an_address_with_a_recorded_use_that_has_a_place_for_it(
    ground: ForwardGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[str, bool]] = []
    real = UseRows.write

    async def watched(self: UseRows, rows: Sequence[CardUse]) -> Sequence[Record]:
        found = await real(self, rows)
        given.extend((row["verdict"], row["address_sealed"] is not None) for row in found)
        return found

    monkeypatch.setattr(UseRows, "write", watched)
    token, cvc = await ground.token(VISA, "737", billing_address=ADDRESS)
    call = ground.call(authorize(cvc=True, address=True), token=token, cvc=cvc)
    await ground.process.forwarder.forward(call)
    with pytest.raises(CvcUsed):
        await ground.process.forwarder.forward(call)
    await sent(ground, token)
    assert given == [("used", True), ("cvc_used", False), ("used", False)]


async def test_an_address_that_does_not_open_is_sent_nowhere(ground: ForwardGround) -> None:
    """One that was moved from another token stays closed, and so does the payment."""
    token, _ = await ground.token(VISA, exp_month=5, billing_address=ADDRESS)
    other, _ = await ground.token(VISA, exp_month=6, billing_address=BillingAddress("GB"))
    await ground.databases.run(
        Domain.VAULT,
        "update vault.token_detail d set sealed = o.sealed from vault.token_detail o"
        f" where d.token_id = '{token}' and o.token_id = '{other}'",
    )
    with pytest.raises(CannotReadCard):
        await sent(ground, token, address=True)
    assert ground.peer.requests == []
    assert await ground.actions() == ["vault.token.used", "vault.opening.failed"]


async def test_an_address_that_is_echoed_stays_inside(ground: ForwardGround) -> None:
    echo = {"id": "sp_1", "card": {"billing_address": SENT, "avs_check": "S"}}
    ground.peer.behaviour = says(answer(json.dumps(echo).encode(), 201))
    token, _ = await ground.token(VISA, billing_address=ADDRESS)
    reply = await ground.process.forwarder.forward(
        ground.call(authorize(address=True), token=token)
    )
    assert isinstance(reply, Forwarded)
    assert json.loads(reply.body) == {"id": "sp_1", "card": {"avs_check": "S"}}
