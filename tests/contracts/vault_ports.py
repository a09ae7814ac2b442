# SPDX-License-Identifier: Apache-2.0
"""What payments may count on of `Forwarder` and `Connections`, whichever process the vault is in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from database import Databases
from peer import answer, cut, says, silent
from store.forward_ground import ACTOR, API_KEY, FIND, ForwardGround, authorize, forward_ground
from strongroom.audit import Origin
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.kernel.errors import Invalid, StrongroomError, Unavailable, told
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.kernel.schemes import synthetic_number
from strongroom.kernel.secret import Secret
from strongroom.keys import DataKeyDestroyed, KeyName
from strongroom.vault import (
    CardFacts,
    CardNotForProcessor,
    ConnectionDisabled,
    ConnectionExists,
    Connections,
    ConnectionUnknown,
    CvcInvalid,
    CvcUsed,
    Forwarder,
    Outbox,
    TemplateRefused,
    TokenUnknown,
)
from strongroom.vault.errors import CannotReadCard
from strongroom.vault.outbox.ports import PAGE_ROWS_MAX
from strongroom.vault.outbox.store import tell
from strongroom.vault.wire import BillingAddress

ORIGIN = Origin("00" * 32, None)
TOLD_AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


class Said(msgspec.Struct):
    """What is told in these tests."""

    what: str


@dataclass(slots=True)
class Ports:
    """The ports, and the vault behind them."""

    ground: ForwardGround
    forwarder: Forwarder
    connections: Connections
    outbox: Outbox

    async def refuses(self, error: type[StrongroomError], call: Any) -> None:
        """The call is refused with what is told as that very error, and nothing was sent."""
        before = len(self.ground.peer.requests)
        with pytest.raises(error) as raised:
            await self.forwarder.forward(call)
        assert type(told(raised.value)) is error
        assert len(self.ground.peer.requests) == before


class VaultPortsContract:
    """Subclass it, and override `opened` with the implementation over a ground."""

    def opened(self, ground: ForwardGround) -> AbstractAsyncContextManager[Ports]:
        raise NotImplementedError

    @pytest.fixture
    async def ports(self, databases: Databases) -> AsyncIterator[Ports]:
        async with forward_ground(databases) as ground, self.opened(ground) as made:
            yield made

    # --- calls ----------------------------------------------------------------------------------------

    async def test_an_answer_comes_back_as_it_is(self, ports: Ports) -> None:
        ground = ports.ground
        token, cvc = await ground.token(cvc="737")
        body = '{"id": "sp_1", "note": "ü\\n"}'.encode() + bytes(range(128, 256))
        ground.peer.behaviour = says(answer(body, 202))
        reply = await ports.forwarder.forward(
            ground.call(authorize(cvc=True, order=["b", {"a": 1.5}, None]), token=token, cvc=cvc)
        )
        assert (reply.outcome, reply.status, reply.reason) == ("answered", 202, "")
        assert reply.cvc_state == "used"
        assert reply.headers == {"content-type": "application/json"}
        assert body.startswith(reply.body[:29])
        assert 0 < reply.seconds < 2
        (sent,) = ground.peer.requests
        assert sent.body.index(b'"reference"') < sent.body.index(b'"amount"')
        assert sent.json()["order"] == ["b", {"a": 1.5}, None]
        assert sent.headers["authorization"] == f"Bearer {API_KEY}"

    async def test_the_holders_address_is_filled_in_by_the_vault(self, ports: Ports) -> None:
        ground = ports.ground
        billed = BillingAddress("AE", "1 Harbour Street", None, "Dubai", None, "12345")
        for exp_month, address in ((3, None), (4, billed)):
            token, _ = await ground.token(exp_month=exp_month, billing_address=address)
            await ports.forwarder.forward(ground.call(authorize(address=True), token=token))
        without, with_it = (sent.json()["card"] for sent in ground.peer.requests)
        assert "billing_address" not in without
        assert with_it["billing_address"] == {
            "line1": "1 Harbour Street",
            "city": "Dubai",
            "zip": "12345",
            "country": "AE",
        }

    async def test_the_use_is_recorded_with_whose_wish_it_was(self, ports: Ports) -> None:
        ground = ports.ground
        token, _ = await ground.token()
        call = ground.call(authorize(), token=token)
        await ports.forwarder.forward(call)
        (record,) = await ground.records()
        assert (record["action"], record["actor"]) == ("vault.token.used", ACTOR)
        assert (record["transaction_id"], record["request_hash"]) == (call.payment, "00" * 32)

    async def test_a_call_without_a_card(self, ports: Ports) -> None:
        reply = await ports.forwarder.forward(ports.ground.call(FIND))
        assert (reply.outcome, reply.cvc_state) == ("answered", "absent")
        assert ports.ground.peer.requests[0].target == "/v1/operations?reference=att_1"

    @pytest.mark.parametrize(
        ("behaviour", "reason"),
        [(cut(), "connection_lost"), (silent(), "timeout")],
        ids=["cut", "silent"],
    )
    async def test_no_whole_answer_is_unknown_and_spends_the_cvc(
        self, ports: Ports, behaviour: Any, reason: str
    ) -> None:
        ground = ports.ground
        token, cvc = await ground.token(cvc="737")
        ground.peer.behaviour = behaviour
        call = ground.call(authorize(cvc=True), token=token, cvc=cvc, timeout_seconds=1)
        reply = await ports.forwarder.forward(call)
        assert (reply.outcome, reply.reason, reply.status) == ("unknown", reason, 0)
        assert reply.cvc_state == "used"
        await ports.refuses(CvcUsed, call)
        assert len(ground.peer.requests) == 1

    async def test_a_processor_that_is_not_there_was_not_asked_and_the_cvc_is_held(
        self, ports: Ports
    ) -> None:
        ground = ports.ground
        token, cvc = await ground.token(cvc="737")
        away = await ground.register(base_url="http://127.0.0.1:1")
        call = ground.call(authorize(cvc=True), token=token, cvc=cvc)
        reply = await ports.forwarder.forward(replace(call, connection=away))
        assert (reply.outcome, reply.cvc_state) == ("not_sent", "held")
        reply = await ports.forwarder.forward(call)
        assert (reply.outcome, reply.cvc_state) == ("answered", "used")
        await ports.refuses(CvcUsed, call)

    async def test_a_cvc_serves_once_among_many(self, ports: Ports) -> None:
        ground = ports.ground
        token, cvc = await ground.token(cvc="737")
        calls = [ground.call(authorize(cvc=True), token=token, cvc=cvc) for _ in range(6)]
        said = await asyncio.gather(
            *(ports.forwarder.forward(call) for call in calls), return_exceptions=True
        )
        assert sum(isinstance(each, CvcUsed) for each in said) == 5
        assert len(ground.peer.requests) == 1

    # --- refusals -------------------------------------------------------------------------------------

    async def test_refusals_are_the_same_errors(self, ports: Ports) -> None:
        ground = ports.ground
        token, cvc = await ground.token(cvc="737")
        other, _ = await ground.token()
        synthetic, _ = await ground.token(synthetic_number(4_711))
        acme = await ground.register(processor="acme")
        for error, template, more in (
            (TokenUnknown, authorize(), {"token": TokenId(new_id("tok"))}),
            (TokenUnknown, authorize(), {"token": TokenId("tok_1")}),
            (ConnectionUnknown, authorize(), {"token": token, "connection": new_id("con")}),
            (ConnectionUnknown, FIND, {"merchant": MerchantId(new_id("mer"))}),
            (CvcInvalid, authorize(cvc=True), {"token": other, "cvc": cvc}),
            (CvcInvalid, authorize(cvc=True), {"token": token, "cvc": "cvc_x"}),
            (CardNotForProcessor, authorize(), {"token": synthetic, "connection": acme}),
            (TemplateRefused, replace(authorize(), path="/v1/x"), {"token": token}),
            (TemplateRefused, authorize(), {}),
            (TemplateRefused, authorize(note=object()), {"token": token}),
            (TemplateRefused, authorize(note="x" * 70_000), {"token": token}),
            (TemplateRefused, authorize(note="x" * 400_000), {"token": token}),
        ):
            await ports.refuses(error, ground.call(template, **more))

    async def test_what_pages_someone_is_told_apart(self, ports: Ports) -> None:
        ground = ports.ground
        token, _ = await ground.token()
        other, _ = await ground.token()
        altered = "(select sealed_number from vault.token where token_id = '{}')"
        await ground.databases.run(
            Domain.VAULT,
            f"update vault.token set sealed_number = {altered.format(other)}"
            f" where token_id = '{token}'",
        )
        await ports.refuses(CannotReadCard, ground.call(authorize(), token=token))
        await ground.process.keyring.destroy(ground.merchant, Mode.TEST, KeyName.CARD, 1)
        await ports.refuses(DataKeyDestroyed, ground.call(authorize(), token=other))

    async def test_without_the_vaults_database_nothing_is_sent(self, ports: Ports) -> None:
        ground = ports.ground
        token, _ = await ground.token()
        await ports.forwarder.forward(ground.call(FIND))
        async with ground.databases.server.away(ground.databases.names[Domain.VAULT]):
            for _ in range(2):
                with pytest.raises(Unavailable):
                    await ports.forwarder.forward(ground.call(authorize(), token=token))
        assert len(ground.peer.requests) == 1

    # --- what merchants are told ----------------------------------------------------------------------

    async def test_what_is_told_waits_in_its_order_until_it_is_acknowledged(
        self, ports: Ports
    ) -> None:
        ground, outbox = ports.ground, ports.outbox
        await ground.databases.run(Domain.VAULT, "truncate vault.outbox")
        other = MerchantId(new_id("mer"))
        for merchant, mode in (
            (ground.merchant, Mode.TEST),
            (ground.merchant, Mode.LIVE),
            (other, Mode.TEST),
        ):
            async with ground.process.database.transaction([merchant]) as tx:
                await tell(
                    tx, merchant, mode, EventType.IMPORT_FAILED, "imp_1", Said("ü\n"), TOLD_AT
                )
        found = await outbox.waiting("", 10)
        assert [each.outbox_id for each in found] == sorted(each.outbox_id for each in found)
        assert {(each.merchant, each.mode) for each in found} == {
            (ground.merchant, Mode.TEST),
            (ground.merchant, Mode.LIVE),
            (other, Mode.TEST),
        }
        first = found[0]
        assert (first.type, first.object_id, first.at) == ("import.failed", "imp_1", TOLD_AT)
        assert first.data == '{"what":"ü\\n"}'
        assert await outbox.waiting(first.outbox_id, 1) == [found[1]]
        assert await outbox.waiting(found[-1].outbox_id, 10) == []
        for _ in range(2):
            await outbox.acknowledge([first.outbox_id, found[2].outbox_id])
            assert await outbox.waiting("", 10) == [found[1]]
        await outbox.acknowledge([])
        async with ground.databases.server.away(ground.databases.names[Domain.VAULT]):
            with pytest.raises(Unavailable):
                await outbox.waiting("", 10)
            with pytest.raises(Unavailable):
                await outbox.acknowledge([found[1].outbox_id])
        assert await outbox.waiting("", 10) == [found[1]]

    async def test_a_page_of_the_longest_comes_whole(self, ports: Ports) -> None:
        ground = ports.ground
        await ground.databases.run(Domain.VAULT, "truncate vault.outbox")
        async with ground.process.database.transaction([ground.merchant]) as tx:
            for _ in range(PAGE_ROWS_MAX + 1):
                await tell(
                    tx,
                    ground.merchant,
                    Mode.TEST,
                    EventType.IMPORT_FAILED,
                    "imp_1",
                    Said("x" * 16_000),
                    TOLD_AT,
                )
        assert len(await ports.outbox.waiting("", PAGE_ROWS_MAX)) == PAGE_ROWS_MAX

    # --- tokens ---------------------------------------------------------------------------------------

    async def test_a_card_is_described(self, ports: Ports) -> None:
        token, _ = await ports.ground.token()
        facts = await ports.forwarder.describe(ports.ground.merchant, Mode.TEST, token)
        assert facts == CardFacts(token, "visa", "424242", "4242", 12, 2034, single_use=False)
        for merchant, mode, wrong in (
            (MerchantId(new_id("mer")), Mode.TEST, token),
            (ports.ground.merchant, Mode.LIVE, token),
            (ports.ground.merchant, Mode.TEST, TokenId("tok_1")),
        ):
            with pytest.raises(TokenUnknown):
                await ports.forwarder.describe(merchant, mode, wrong)
            with pytest.raises(TokenUnknown):
                await ports.forwarder.keep(merchant, mode, wrong, ACTOR)

    async def test_a_lasting_token_is_kept_without_a_change(self, ports: Ports) -> None:
        token, _ = await ports.ground.token()
        await ports.forwarder.keep(ports.ground.merchant, Mode.TEST, token, ACTOR)
        assert await ports.ground.actions() == []

    # --- connections ----------------------------------------------------------------------------------

    async def test_a_connection_is_kept_rotated_and_ended(self, ports: Ports) -> None:
        ground, connection = ports.ground, new_id("con")
        who = ground.merchant, Mode.TEST, connection
        by: dict[str, Any] = {"actor": ACTOR, "origin": ORIGIN}
        secrets = {"api_key": Secret("first-key"), "signing": Secret("s")}
        await ports.connections.register(*who, "simulator", ground.peer.url, secrets, **by)
        with pytest.raises(ConnectionExists):
            await ports.connections.register(*who, "simulator", ground.peer.url, secrets, **by)
        await ports.forwarder.forward(ground.call(FIND, connection=connection))
        secrets["api_key"] = Secret("second-key")
        await ports.connections.rotate(*who, secrets, **by)
        await ports.forwarder.forward(ground.call(FIND, connection=connection))
        said = [each.headers["authorization"] for each in ground.peer.requests]
        assert said == ["Bearer first-key", "Bearer second-key"]
        await ports.connections.disable(*who, **by)
        await ports.connections.disable(*who, **by)
        await ports.refuses(ConnectionDisabled, ground.call(FIND, connection=connection))
        with pytest.raises(ConnectionDisabled):
            await ports.connections.rotate(*who, secrets, **by)
        with pytest.raises(ConnectionUnknown):
            await ports.connections.disable(who[0], Mode.LIVE, connection, **by)
        assert (await ground.actions())[-2:] == [
            "vault.connection.rotated",
            "vault.connection.disabled",
        ]

    async def test_every_wrong_field_is_named_and_no_value_is(self, ports: Ports) -> None:
        ground = ports.ground
        with pytest.raises(Invalid) as raised:
            await ports.connections.register(
                ground.merchant,
                Mode.TEST,
                "con_1",
                "simulator",
                "http://10.0.0.1/",
                {"api_key": Secret("a secret\n"), "more": Secret("x")},
                actor=ACTOR,
                origin=ORIGIN,
            )
        assert type(raised.value) is Invalid
        assert [(each.pointer, each.code) for each in raised.value.errors] == [
            ("/connection", "id_malformed"),
            ("/base_url", "destination_refused"),
            ("/credentials/signing", "required"),
            ("/credentials", "unknown_field"),
            ("/credentials/api_key", "malformed"),
        ]
        assert "a secret" not in str(raised.value)
