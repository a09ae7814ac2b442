# SPDX-License-Identifier: Apache-2.0
"""A card leaves the vault for a registered destination only, after its use was recorded, and does not come back."""

import asyncio
import hmac
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import pytest
import pytest_asyncio

from database import Databases
from peer import Sent, answer, cut, says, silent
from polling import until
from store.forward_ground import (
    ACTOR,
    API_KEY,
    FIND,
    LATER,
    SIGNING,
    START,
    VISA,
    ForwardGround,
    authorize,
    ended,
    forward_ground,
    started,
)
from strongroom.audit import Origin
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.db.pool import connect
from strongroom.kernel.cardlike import REMOVED
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.errors import Invalid, StrongroomError
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import CallerKind
from strongroom.kernel.schemes import complete_luhn, synthetic_number
from strongroom.kernel.secret import Secret
from strongroom.keys import KeyName
from strongroom.keys.errors import DataKeyDestroyed
from strongroom.vault import (
    CannotReadCard,
    CannotReadCredentials,
    CardFacts,
    CardNotForProcessor,
    ConnectionDisabled,
    ConnectionExists,
    ConnectionUnknown,
    CvcExpired,
    CvcInvalid,
    CvcUsed,
    TemplateRefused,
    TokenUnknown,
)
from strongroom.vault.held import HeldCvcs
from strongroom.vault.writes import QUERIES

SYNTHETIC = synthetic_number(4_711)
LIVE = complete_luhn("400000999999999")
ORIGIN = Origin()


@pytest_asyncio.fixture
async def ground(databases: Databases) -> AsyncIterator[ForwardGround]:
    async with forward_ground(databases) as made:
        yield made


async def look(ground: ForwardGround, sql: str, *values: object) -> list[Any]:
    connection = await connect(ground.databases.administrator(Domain.VAULT))
    try:
        return [tuple(row) for row in await connection.fetch(sql, *values)]
    finally:
        await connection.close()


async def refused(ground: ForwardGround, error: type[StrongroomError], call: Any) -> None:
    """The call is refused, nothing was sent, and the log says nothing of a use."""
    before = len(ground.peer.requests)
    with pytest.raises(error) as raised:
        await ground.process.forwarder.forward(call)
    assert len(ground.peer.requests) == before
    assert VISA not in str(raised.value)
    assert not {"vault.token.used", "vault.cvc.used"} & set(await ground.actions())


# --- what is sent -------------------------------------------------------------------------------------


async def test_slots_are_filled_and_credentials_stand_in_front(ground: ForwardGround) -> None:
    token, cvc = await ground.token(VISA, "737")
    call = ground.call(authorize(cvc=True), token=token, cvc=cvc)
    reply = await ground.process.forwarder.forward(call)
    assert (reply.outcome, reply.status, reply.reason, reply.cvc_state) == (
        "answered",
        201,
        "",
        "used",
    )
    assert reply.body == b'{"id": "sp_1", "status": "authorized"}'
    assert reply.headers == {"content-type": "application/json"}
    (sent,) = ground.peer.requests
    assert (sent.method, sent.target) == ("POST", "/v1/payments")
    assert sent.json() == {
        "reference": "att_1",
        "amount": 1_000,
        "currency": "AED",
        "card": {"number": VISA, "exp_month": 12, "exp_year": 2034, "cvc": "737"},
    }
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["authorization"] == f"Bearer {API_KEY}"
    assert sent.headers["idempotency-key"] == "att_1"
    assert sent.headers["x-signature"] == hmac.digest(SIGNING.encode(), sent.body, "sha256").hex()


async def test_a_form_is_filled_signed_and_sent_as_one(ground: ForwardGround) -> None:
    keys = {"api_key": Secret("test_a"), "signing": Secret(SIGNING)}
    connection = await ground.register(processor="formal", credentials=keys)
    token, cvc = await ground.token(VISA, "737")
    call = replace(ground.call(authorize(cvc=True), token=token, cvc=cvc), connection=connection)
    broken = replace(call, template=authorize(metadata={"a[b]": "c"}), cvc=None)
    await refused(ground, TemplateRefused, broken)
    reply = await ground.process.forwarder.forward(call)
    assert (reply.outcome, reply.cvc_state) == ("answered", "used")
    (sent,) = ground.peer.requests
    assert sent.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qsl(sent.body.decode("ascii")) == [
        ("reference", "att_1"),
        ("amount", "1000"),
        ("currency", "AED"),
        ("card[number]", VISA),
        ("card[exp_month]", "12"),
        ("card[exp_year]", "2034"),
        ("card[cvc]", "737"),
    ]
    assert sent.headers["x-signature"] == hmac.digest(SIGNING.encode(), sent.body, "sha256").hex()
    with pytest.raises(Invalid):
        await ground.process.connections.rotate(
            ground.merchant,
            Mode.TEST,
            connection,
            {**keys, "api_key": Secret("live_a")},
            actor=ACTOR,
            origin=ORIGIN,
        )


async def test_the_use_is_recorded_before_the_card_leaves(ground: ForwardGround) -> None:
    token, cvc = await ground.token(VISA, "737")
    seen: list[list[Any]] = []

    async def behave(_sent: Sent, _writer: asyncio.StreamWriter) -> bytes:
        seen.append(list(await ground.records()))
        return answer()

    ground.peer.behaviour = behave
    call = ground.call(authorize(cvc=True), token=token, cvc=cvc)
    await ground.process.forwarder.forward(call)
    ((first, second),) = seen  # of one moment, so in any order
    cvc_used, used = sorted((first, second), key=lambda record: str(record["action"]))
    assert used["action"] == "vault.token.used"
    assert used["details"] == {
        "brand": "visa",
        "last4": "4242",
        "operation": "authorize",
        "processor": "simulator",
    }
    assert cvc_used["action"] == "vault.cvc.used"
    for record in (used, cvc_used):
        assert (record["actor"], record["object"]) == (ACTOR, token)
        assert (record["transaction_id"], record["mode"]) == (call.payment, "test")
        assert record["request_hash"] == "00" * 32
    assert await ground.records() == [first, second]


async def test_a_card_that_was_described_costs_one_round_trip(ground: ForwardGround) -> None:
    token, cvc = await ground.token(VISA, "737")
    facts = await ground.process.forwarder.describe(ground.merchant, Mode.TEST, token)
    assert facts == CardFacts(token, "visa", "424242", "4242", 12, 2034, single_use=False)
    await ground.process.forwarder.forward(ground.call(FIND))
    before = ground.process.database.lent
    await ground.process.forwarder.forward(ground.call(authorize(cvc=True), token=token, cvc=cvc))
    assert ground.process.database.lent == before + 1
    await ground.process.forwarder.forward(ground.call(FIND))
    assert ground.process.database.lent == before + 1
    assert ground.peer.connections == 1


async def test_a_call_without_a_card_is_not_recorded_here(ground: ForwardGround) -> None:
    reply = await ground.process.forwarder.forward(ground.call(FIND))
    assert (reply.outcome, reply.cvc_state) == ("answered", "absent")
    (sent,) = ground.peer.requests
    assert (sent.method, sent.target, sent.body) == ("GET", "/v1/operations?reference=att_1", b"")
    assert sent.headers["authorization"] == f"Bearer {API_KEY}"
    assert "content-type" not in sent.headers
    assert await ground.actions() == []


async def test_live_and_test_are_called_alike(ground: ForwardGround) -> None:
    token, _ = await ground.token(LIVE, mode=Mode.LIVE)
    live = await ground.register(processor="acme", mode=Mode.LIVE)
    call = ground.call(authorize(), token=token, mode=Mode.LIVE, connection=live)
    assert (await ground.process.forwarder.forward(call)).outcome == "answered"
    assert ground.peer.requests[0].json()["card"]["number"] == LIVE
    with pytest.raises(ConnectionUnknown):  # of the other mode
        await ground.process.forwarder.forward(replace(call, connection=ground.connection))
    assert len(ground.peer.requests) == 1


async def test_an_answer_that_echoes_the_card_leaves_without_it(ground: ForwardGround) -> None:
    token, cvc = await ground.token(VISA, "737")
    echo = (
        '{"card": {"number": "4242 4242 4242 4242", "cvc": "737"}, "hex": "'
        + VISA.encode().hex()
        + f'", "n": {VISA}, "other": "5555555555554444"}}'
    )
    ground.peer.behaviour = says(answer(echo.encode(), 200, f"x-card: {VISA}\r\nx-no: 1\r\n"))
    reply = await ground.process.forwarder.forward(
        ground.call(authorize(cvc=True), token=token, cvc=cvc)
    )
    assert reply.headers == {"x-card": REMOVED}
    text = reply.body.decode()
    for gone in (VISA, VISA.encode().hex(), "4242 4242", "5555555555554444", "737"):
        assert gone not in text
    assert text.count(REMOVED) == 4


@pytest.mark.parametrize(
    ("behaviour", "outcome", "reason"),
    [
        (cut(), "unknown", "connection_lost"),
        (silent(), "unknown", "timeout"),
        (says(answer(b"x" * 300_000)), "unknown", "answer_too_large"),
    ],
    ids=["cut", "silent", "too large"],
)
async def test_an_answer_that_does_not_come_is_unknown_and_the_cvc_is_spent(
    ground: ForwardGround, behaviour: Any, outcome: str, reason: str
) -> None:
    token, cvc = await ground.token(VISA, "737")
    ground.peer.behaviour = behaviour
    call = ground.call(authorize(cvc=True), token=token, cvc=cvc, timeout_seconds=1)
    reply = await ground.process.forwarder.forward(call)
    assert (reply.outcome, reply.reason, reply.status, reply.body) == (outcome, reason, 0, b"")
    assert reply.cvc_state == "used"
    with pytest.raises(CvcUsed):
        await ground.process.forwarder.forward(call)
    assert len(ground.peer.requests) == 1


# --- what is refused ----------------------------------------------------------------------------------


async def test_what_is_not_this_merchants_is_not_there(ground: ForwardGround) -> None:
    stranger = MerchantId(new_id("mer"))
    theirs, _ = await ground.token(merchant=stranger)
    live, _ = await ground.token(LIVE, mode=Mode.LIVE)
    mine, _ = await ground.token()
    forwarder = ground.process.forwarder
    for token in (theirs, live, TokenId(new_id("tok")), TokenId("tok_1"), TokenId("")):
        await refused(ground, TokenUnknown, ground.call(authorize(), token=token))
        with pytest.raises(TokenUnknown):
            await forwarder.describe(ground.merchant, Mode.TEST, token)
        with pytest.raises(TokenUnknown):
            await forwarder.keep(ground.merchant, Mode.TEST, token, ACTOR)
    for more in (
        {"merchant": stranger, "token": theirs},
        {"mode": Mode.LIVE, "token": live},
        {"connection": new_id("con"), "token": mine},
        {"connection": "con_1' or true", "token": mine},
    ):
        await refused(ground, ConnectionUnknown, ground.call(authorize(), **more))


async def test_a_token_that_is_deleted_after_it_was_described_is_not_used(
    ground: ForwardGround,
) -> None:
    token, _ = await ground.token()
    await ground.process.forwarder.describe(ground.merchant, Mode.TEST, token)
    await ground.databases.run(Domain.VAULT, f"delete from vault.token where token_id = '{token}'")
    await refused(ground, TokenUnknown, ground.call(authorize(), token=token))


async def test_templates_that_are_not_registered_are_refused(ground: ForwardGround) -> None:
    token, cvc = await ground.token(VISA, "737")
    for template, more in (
        (authorize(extra={"$slot": "card.number"}), {"token": token}),
        (replace(authorize(), path="/v1/refunds"), {"token": token}),
        (replace(authorize(), headers={"authorization": "x"}), {"token": token}),
        (authorize(), {}),
        (FIND, {"token": token}),
        (authorize(cvc=True), {"token": token}),
        (authorize(), {"token": token, "cvc": cvc}),
        (FIND, {"cvc": cvc}),
        (authorize(note="x" * 70_000), {"token": token}),
        (authorize(note=object()), {"token": token}),
    ):
        await refused(ground, TemplateRefused, ground.call(template, **more))


async def test_the_synthetic_range_goes_to_the_simulator_only(ground: ForwardGround) -> None:
    token, _ = await ground.token(SYNTHETIC)
    acme = await ground.register(processor="acme")
    await refused(
        ground, CardNotForProcessor, ground.call(authorize(), token=token, connection=acme)
    )
    reply = await ground.process.forwarder.forward(ground.call(authorize(), token=token))
    assert reply.outcome == "answered"
    assert ground.peer.requests[0].json()["card"]["number"] == SYNTHETIC
    test_card, _ = await ground.token()
    call = ground.call(authorize(), token=test_card, connection=acme)
    assert (await ground.process.forwarder.forward(call)).outcome == "answered"


async def test_without_a_record_nothing_is_sent(ground: ForwardGround) -> None:
    token, cvc = await ground.token(VISA, "737")
    call = ground.call(authorize(cvc=True), token=token, cvc=cvc)
    columns = "(event_id, merchant_id, mode, payload, leaf_hash, row_mac)"
    right = f"insert {columns} on audit.event"
    await ground.databases.run(Domain.VAULT, f"revoke {right} from strongroom_vault")
    try:
        await refused(ground, StrongroomError, call)
    finally:
        await ground.databases.run(Domain.VAULT, f"grant {right} to strongroom_vault")
    # Nothing of the attempt is left: the CVC serves.
    reply = await ground.process.forwarder.forward(call)
    assert (reply.outcome, reply.cvc_state) == ("answered", "used")


async def test_without_a_database_nothing_is_sent(ground: ForwardGround) -> None:
    token, _ = await ground.token()
    call = ground.call(authorize(), token=token)
    await ground.process.forwarder.forward(ground.call(FIND))
    async with ground.databases.server.away(ground.databases.names[Domain.VAULT]):
        with pytest.raises(StrongroomError):
            await ground.process.forwarder.forward(call)
    assert len(ground.peer.requests) == 1


async def test_a_card_whose_key_is_destroyed_does_not_leave(ground: ForwardGround) -> None:
    token, _ = await ground.token()
    await ground.process.keyring.destroy(ground.merchant, Mode.TEST, KeyName.CARD, 1)
    with pytest.raises(DataKeyDestroyed):
        await ground.process.forwarder.forward(ground.call(authorize(), token=token))
    assert ground.peer.requests == []


async def test_a_card_that_was_altered_does_not_leave(ground: ForwardGround) -> None:
    token, _ = await ground.token()
    other, _ = await ground.token()
    await ground.databases.run(
        Domain.VAULT,
        "update vault.token set sealed_number = (select sealed_number from vault.token"
        f" where token_id = '{other}') where token_id = '{token}'",
    )
    with pytest.raises(CannotReadCard):
        await ground.process.forwarder.forward(ground.call(authorize(), token=token))
    assert ground.peer.requests == []


# --- CVC --------------------------------------------------------------------------------------------


async def test_of_many_uses_of_a_cvc_at_once_one_is_sent(ground: ForwardGround) -> None:
    token, cvc = await ground.token(VISA, "737")
    calls = [ground.call(authorize(cvc=True), token=token, cvc=cvc) for _ in range(12)]
    outcomes = await asyncio.gather(
        *(ground.process.forwarder.forward(call) for call in calls), return_exceptions=True
    )
    assert sum(isinstance(outcome, CvcUsed) for outcome in outcomes) == 11
    assert len(ground.peer.requests) == 1
    assert sorted(await ground.actions()) == ["vault.cvc.used", "vault.token.used"]


async def test_a_cvc_of_another_token_or_altered_is_refused(ground: ForwardGround) -> None:
    token, cvc = await ground.token(VISA, "737")
    other, others = await ground.token(VISA, "737")
    assert cvc is not None
    altered = cvc[:-2] + ("A" if cvc[-2] != "A" else "B") + cvc[-1]
    for text in (others, altered, "cvc_", "737", ""):
        call = ground.call(authorize(cvc=True), token=token, cvc=text)
        await refused(ground, CvcInvalid, call)
    assert other != token


async def test_a_cvc_whose_half_hour_is_over_is_refused(databases: Databases) -> None:
    clock = SteppedClock(START)
    async with forward_ground(databases, clock=clock) as ground:
        token, cvc = await ground.token(VISA, "737")
        clock.step(LATER)
        await refused(ground, CvcExpired, ground.call(authorize(cvc=True), token=token, cvc=cvc))


async def nowhere(ground: ForwardGround) -> str:
    """A connection that leads where nobody listens."""
    return await ground.register(base_url="http://127.0.0.1:9")


async def test_a_cvc_is_held_for_the_same_payment_while_nothing_was_sent(
    ground: ForwardGround,
) -> None:
    token, cvc = await ground.token(VISA, "737")
    dead = await nowhere(ground)
    call = ground.call(authorize(cvc=True), token=token, cvc=cvc, connection=dead)
    for _ in range(2):
        reply = await ground.process.forwarder.forward(call)
        assert (reply.outcome, reply.reason) == ("not_sent", "connect_failed")
        assert reply.cvc_state == "held"
    elsewhere = replace(call, payment=new_id("pay"), connection=ground.connection)
    with pytest.raises(CvcUsed):
        await ground.process.forwarder.forward(elsewhere)
    with pytest.raises(CvcUsed):
        await ground.process.forwarder.forward(replace(elsewhere, payment=None))
    reply = await ground.process.forwarder.forward(replace(call, connection=ground.connection))
    assert (reply.outcome, reply.cvc_state) == ("answered", "used")
    assert ground.peer.requests[0].json()["card"]["cvc"] == "737"
    with pytest.raises(CvcUsed):
        await ground.process.forwarder.forward(replace(call, connection=ground.connection))
    assert (await ground.actions()).count("vault.cvc.used") == 1
    assert (await ground.actions()).count("vault.token.used") == 3


async def test_a_held_cvc_is_found_by_the_id_that_its_card_has_since(ground: ForwardGround) -> None:
    """The payment knows the card by the id of before a retokenization, at every try."""
    token, cvc = await ground.token(VISA, "737")
    old = new_id("tok")
    await ground.databases.run(
        Domain.VAULT,
        "insert into vault.token_alias (merchant_id, mode, old_id, token_id, job_id, until, made_at)"
        f" values ('{ground.merchant}', 'test', '{old}', '{token}', 'job_x', now() + interval '9 years', now())",
    )
    dead = await nowhere(ground)
    call = ground.call(authorize(cvc=True), token=TokenId(old), cvc=cvc, connection=dead)
    for _ in range(2):
        assert (await ground.process.forwarder.forward(call)).cvc_state == "held"
    reply = await ground.process.forwarder.forward(replace(call, connection=ground.connection))
    assert (reply.outcome, reply.cvc_state) == ("answered", "used")
    assert ground.peer.requests[0].json()["card"]["cvc"] == "737"


async def test_a_held_cvc_is_dropped_in_time(databases: Databases) -> None:
    held = HeldCvcs(seconds=0.05)
    async with forward_ground(databases, held=held) as ground:
        token, cvc = await ground.token(VISA, "737")
        dead = await nowhere(ground)
        call = ground.call(authorize(cvc=True), token=token, cvc=cvc, connection=dead)
        await ground.process.forwarder.forward(call)
        await until(lambda: not len(held), what="the CVC to be dropped")
        with pytest.raises(CvcUsed):
            await ground.process.forwarder.forward(replace(call, connection=ground.connection))


# --- keep -------------------------------------------------------------------------------------------


async def test_a_single_use_token_is_kept(databases: Databases) -> None:
    clock = SteppedClock(START)
    async with forward_ground(databases, clock=clock) as ground:
        forwarder = ground.process.forwarder
        token, _ = await ground.token(kind=CallerKind.PUBLIC)
        gone, _ = await ground.token(kind=CallerKind.PUBLIC)
        assert (await forwarder.describe(ground.merchant, Mode.TEST, token)).single_use
        for _ in range(2):
            await forwarder.keep(ground.merchant, Mode.TEST, token, ACTOR)
        assert not (await forwarder.describe(ground.merchant, Mode.TEST, token)).single_use
        assert await ground.actions() == ["vault.token.kept"]
        clock.step(LATER)
        assert await forwarder.describe(ground.merchant, Mode.TEST, token)
        await refused(ground, TokenUnknown, ground.call(authorize(), token=gone))
        with pytest.raises(TokenUnknown):
            await forwarder.keep(ground.merchant, Mode.TEST, gone, ACTOR)


# --- connections ------------------------------------------------------------------------------------


async def test_a_disabled_connection_stops_within_two_seconds_everywhere(
    ground: ForwardGround,
) -> None:
    other = await started(ground.databases, ground.store, ground.clock)
    try:
        await ground.process.forwarder.forward(ground.call(FIND))
        for _ in range(2):
            await other.connections.disable(
                ground.merchant, Mode.TEST, ground.connection, actor=ACTOR, origin=ORIGIN
            )
        with pytest.raises(ConnectionDisabled):  # at once where it was disabled
            await other.forwarder.forward(ground.call(FIND))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 2
        stopped = False
        while not stopped:
            assert loop.time() < deadline
            try:
                await ground.process.forwarder.forward(ground.call(FIND))
            except ConnectionDisabled:
                stopped = True
            await asyncio.sleep(0.02)
        assert await ground.actions() == ["vault.connection.disabled"]
    finally:
        await ended(other)


async def test_rotated_credentials_are_used_within_two_seconds(ground: ForwardGround) -> None:
    other = await started(ground.databases, ground.store, ground.clock)
    try:
        await ground.process.forwarder.forward(ground.call(FIND))
        fresh = {"api_key": Secret("fresh"), "signing": Secret("fresh")}
        await other.connections.rotate(
            ground.merchant, Mode.TEST, ground.connection, fresh, actor=ACTOR, origin=ORIGIN
        )
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 2
        while ground.peer.requests[-1].headers["authorization"] != "Bearer fresh":
            assert loop.time() < deadline
            await ground.process.forwarder.forward(ground.call(FIND))
            await asyncio.sleep(0.02)
        (record,) = await ground.records()
        assert record["action"] == "vault.connection.rotated"
        assert (record["object"], record["details"]) == (
            ground.connection,
            {"processor": "simulator"},
        )
    finally:
        await ended(other)


async def test_credentials_are_sealed_and_forgotten(ground: ForwardGround) -> None:
    rows = await look(ground, "select c::text, c.sealed_credentials from vault.connection c")
    for text, sealed in rows:
        assert API_KEY not in text
        assert API_KEY.encode() not in sealed
    await ground.process.forwarder.forward(ground.call(FIND))
    opened = await ground.process.connections.open(ground.merchant, Mode.TEST, ground.connection)
    assert API_KEY not in repr(opened)
    assert SIGNING not in repr(opened)
    await until(lambda: not ground.process.connections._open)


@pytest.mark.parametrize(
    "change",
    [
        "base_url = 'http://127.0.0.1:9'",
        "processor = 'acme'",
        "sealed_credentials = sealed_credentials || '\\x00'",
        "sealed_credentials = ''",
    ],
)
async def test_a_connection_that_was_pointed_elsewhere_does_not_open(
    ground: ForwardGround, change: str
) -> None:
    token, _ = await ground.token()
    await ground.databases.run(
        Domain.VAULT,
        f"update vault.connection set {change} where connection_id = '{ground.connection}'",
    )
    await refused(ground, CannotReadCredentials, ground.call(authorize(), token=token))
    with pytest.raises(CannotReadCredentials):
        await ground.process.connections.rotate(
            ground.merchant,
            Mode.TEST,
            ground.connection,
            {"api_key": Secret("a"), "signing": Secret("b")},
            actor=ACTOR,
            origin=ORIGIN,
        )


async def test_another_connections_row_does_not_open_here(ground: ForwardGround) -> None:
    other = await ground.register()
    await ground.databases.run(
        Domain.VAULT,
        "update vault.connection set sealed_credentials = (select sealed_credentials from vault.connection"
        f" where connection_id = '{other}') where connection_id = '{ground.connection}'",
    )
    await refused(ground, CannotReadCredentials, ground.call(FIND))


KEYS = {"api_key": Secret("a"), "signing": Secret("b")}

#: What is registered, the places that do not fit.
REGISTERED = [
    ({"processor": "nobody"}, ["/processor"]),
    ({"mode": Mode.LIVE}, ["/processor"]),
    ({"base_url": "http://10.0.0.1"}, ["/base_url"]),
    ({"base_url": "https://169.254.169.254"}, ["/base_url"]),
    ({"base_url": "https://localhost"}, ["/base_url"]),
    ({"base_url": "http://api.example.com"}, ["/base_url"]),
    ({"base_url": "https://api.example.com/?x=1"}, ["/base_url"]),
    ({"base_url": "https://user@api.example.com"}, ["/base_url"]),
    ({"credentials": {}}, ["/credentials/api_key", "/credentials/signing"]),
    ({"credentials": {"api_key": Secret("a")}}, ["/credentials/signing"]),
    ({"credentials": {**KEYS, "x": Secret("a")}}, ["/credentials"]),
    ({"credentials": {**KEYS, "api_key": Secret("")}}, ["/credentials/api_key"]),
    ({"credentials": {**KEYS, "api_key": Secret("a\r\nx: y")}}, ["/credentials/api_key"]),
    ({"credentials": {**KEYS, "api_key": Secret(" a")}}, ["/credentials/api_key"]),
    ({"credentials": {**KEYS, "api_key": Secret("é")}}, ["/credentials/api_key"]),
    ({"credentials": {**KEYS, "api_key": Secret("a" * 4_097)}}, ["/credentials/api_key"]),
    ({"connection": "con_1"}, ["/connection"]),
    (
        {"processor": "formal", "credentials": {**KEYS, "api_key": Secret("live_a")}},
        ["/credentials/api_key"],
    ),
    (
        {
            "processor": "formal",
            "mode": Mode.LIVE,
            "credentials": {**KEYS, "api_key": Secret("test_a")},
        },
        ["/credentials/api_key"],
    ),
    (
        {"processor": "formal", "credentials": {**KEYS, "api_key": Secret("xtest_a")}},
        ["/credentials/api_key"],
    ),
]


@pytest.mark.parametrize(("given", "pointers"), REGISTERED)
async def test_what_does_not_fit_is_not_registered(
    ground: ForwardGround, given: dict[str, Any], pointers: list[str]
) -> None:
    with pytest.raises(Invalid) as raised:
        await ground.register(**given)
    assert [error.pointer for error in raised.value.errors] == pointers


async def test_an_id_is_taken_once(ground: ForwardGround) -> None:
    with pytest.raises(ConnectionExists):
        await ground.register(ground.connection, base_url="https://api.example.com")
    assert await ground.actions() == []
    ways = ground.process.connections
    for merchant, mode in ((MerchantId(new_id("mer")), Mode.TEST), (ground.merchant, Mode.LIVE)):
        with pytest.raises(ConnectionUnknown):
            await ways.rotate(merchant, mode, ground.connection, KEYS, actor=ACTOR, origin=ORIGIN)
        with pytest.raises(ConnectionUnknown):
            await ways.disable(merchant, mode, ground.connection, actor=ACTOR, origin=ORIGIN)
    with pytest.raises(Invalid):
        await ways.rotate(
            ground.merchant, Mode.TEST, ground.connection, {}, actor=ACTOR, origin=ORIGIN
        )


async def test_a_path_of_a_base_url_stands_in_front(ground: ForwardGround) -> None:
    connection = await ground.register(base_url=f"{ground.peer.url}/eu/")
    await ground.process.forwarder.forward(ground.call(FIND, connection=connection))
    assert ground.peer.requests[0].target == "/eu/v1/operations?reference=att_1"


async def test_the_database_refuses_the_simulator_in_live_mode(ground: ForwardGround) -> None:
    with pytest.raises(Exception, match="connection_check"):
        await ground.databases.run(
            Domain.VAULT,
            "insert into vault.connection select merchant_id, 'live', connection_id, processor, base_url,"
            " sealed_credentials, key_version, status, created_at, updated_at from vault.connection limit 1",
        )


async def test_connections_of_another_tenant_are_invisible_to_the_login(
    ground: ForwardGround,
) -> None:
    async with ground.process.database.transaction([MerchantId(new_id("mer"))]) as read:
        found = await read.row(
            QUERIES["connection_by_id"], ground.merchant, Mode.TEST, ground.connection
        )
    assert found is None
