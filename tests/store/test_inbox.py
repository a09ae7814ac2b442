# SPDX-License-Identifier: Apache-2.0
"""The inbox on a real database: each event once, sealed, with its job; whose it is; what is refused leaves nothing."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from typing import Final

import asyncpg
import pytest
import pytest_asyncio

from contracts.fakes import FakeKeyStore
from database import Databases, Server, fresh_databases
from notice_makers import SENDERS
from store.inbox_ground import (
    HEX_KEY,
    NEW,
    OLD,
    START,
    VISA,
    Ground,
    event,
    grounded,
    inbox_over,
    merchant,
    refused,
)
from strongroom.crypto import aes_gcm_encrypt
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain, Login
from strongroom.http.body import BodyTooLarge
from strongroom.http.bounds import CardNumberRefused
from strongroom.kernel.errors import StrongroomError, Unavailable
from strongroom.kernel.ids import ConnectionId, MerchantId, NoticeId, is_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.webhooks.inbound import (
    VERIFIERS,
    CannotReadNotices,
    ConnectionUnknownHere,
    NoticeRejected,
    NoticeUnknown,
    RawNotice,
    SourceChanged,
    SourceRefused,
    SourceUnknown,
)
from strongroom.webhooks.inbound.inbox import Received
from strongroom.webhooks.inbound.sealing import Sealed
from strongroom.webhooks.inbound.sources import OPEN_SECONDS
from strongroom.webhooks.inbound.store import NoticeRow, NoticeSink
from strongroom.webhooks.inbound.wire import RECEIVED


@pytest_asyncio.fixture(loop_scope="session")
async def ground(databases: Databases) -> AsyncIterator[Ground]:
    # A store a test: each test has merchants of its own, and the rows' MAC keys are the store's.
    await databases.run(Domain.CORE, "delete from keys.data_key")
    async with grounded(databases, FakeKeyStore()) as made:
        yield made


async def test_a_notice_is_kept_with_its_job_and_opens_as_it_came(ground: Ground) -> None:
    shop = merchant()
    connection = await ground.connection(shop)
    raw = ground.signed(connection)
    received = await ground.inbox.receive(raw)
    assert received == Received(shop, Mode.TEST, connection, received.notice_id, RECEIVED)
    assert received.notice_id is not None
    assert is_id("ntc", received.notice_id)
    assert not received.duplicate
    (row,) = await ground.kept(connection)
    assert (row["state"], row["result"], row["handled_at"]) == ("kept", None, None)
    assert (row["kind"], row["run_at"], row["tries"]) == ("notice", START, 0)
    assert row["event_key"] == json.loads(raw.body)["id"]
    assert (ground.seen.woken, ground.seen.counted) == (1, [("simulator", "kept")])
    opened = await ground.handled(shop, Mode.TEST, received.notice_id)
    assert opened.notice_id == received.notice_id
    assert (opened.connection_id, opened.received_at, opened.state) == (connection, START, "kept")
    assert (opened.notice.body, opened.notice.event_key) == (raw.body, row["event_key"])


async def test_at_rest_it_is_sealed(ground: Ground) -> None:
    connection = await ground.connection(merchant(), secrets=(OLD, NEW))
    raw = ground.signed(connection, reference="order-1042")
    await ground.inbox.receive(raw)
    rows = await ground.kept(connection)
    rows += await ground.look("select * from webhooks.source where connection_id = $1", connection)
    stored = b"".join(
        bytes(v) if isinstance(v, bytes) else str(v).encode() for r in rows for v in r.values()
    )
    for clear in (
        b"order-1042",
        b"captured",
        OLD.encode(),
        NEW.encode(),
        raw.headers["sim-signature"].encode(),
    ):
        assert clear not in stored


async def test_a_notice_is_kept_once_and_a_repeat_changes_nothing(ground: Ground) -> None:
    connection = await ground.connection(merchant())
    raw = ground.signed(connection)
    first = await ground.inbox.receive(raw)
    before = await ground.kept(connection)
    ground.clock.step(timedelta(seconds=7))
    again = await ground.inbox.receive(raw)
    signed_anew = await ground.inbox.receive(ground.signed(connection, raw.body))
    assert (first.duplicate, again.duplicate, signed_anew.duplicate) == (False, True, True)
    assert again.notice_id is None
    assert await ground.kept(connection) == before
    assert ground.seen.woken == 1


async def test_of_many_at_once_one_is_kept(ground: Ground, databases: Databases) -> None:
    """In one process and in two: the second waits for the first's commit."""
    shop = merchant()
    connection = await ground.connection(shop)
    other = await databases.open(Domain.CORE, Login.WEBHOOKS)
    beside = inbox_over(other, ground.keyrings[Login.WEBHOOKS], ground.clock, ground.seen)
    events = [ground.signed(connection) for _ in range(20)]
    answers = await asyncio.gather(
        *(
            inbox.receive(raw)
            for _ in range(5)
            for raw in events
            for inbox in (ground.inbox, beside)
        )
    )
    await other.close()
    assert sum(not answer.duplicate for answer in answers) == len(events)
    rows = await ground.kept(connection)
    assert sorted(row["event_key"] for row in rows) == sorted(
        json.loads(raw.body)["id"] for raw in events
    )
    assert {row["kind"] for row in rows} == {"notice"}
    assert ground.seen.woken == len(events)


async def test_the_same_event_of_two_connections_is_two_notices(ground: Ground) -> None:
    """A processor's event ids are its own affair: they say nothing across accounts and tenants."""
    ours, theirs = merchant(), merchant()
    connections = [
        await ground.connection(ours),
        await ground.connection(ours, Mode.LIVE),
        await ground.connection(theirs),
    ]
    body = event()
    answers = await asyncio.gather(
        *(ground.inbox.receive(ground.signed(each, body)) for each in connections)
    )
    assert [(a.merchant, a.mode, a.duplicate) for a in answers] == [
        (ours, Mode.TEST, False),
        (ours, Mode.LIVE, False),
        (theirs, Mode.TEST, False),
    ]
    ids = [a.notice_id for a in answers]
    for shop, mode, notice in (
        (theirs, Mode.TEST, ids[0]),
        (ours, Mode.LIVE, ids[0]),
        (ours, Mode.TEST, ids[2]),
        (ours, Mode.TEST, "ntc_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"),
    ):
        with pytest.raises(NoticeUnknown):
            await ground.handled(shop, mode, str(notice))


async def test_each_connection_has_secrets_of_its_own(ground: Ground) -> None:
    mine = await ground.connection(merchant(), secrets=(OLD,))
    theirs = await ground.connection(merchant(), secrets=(NEW,))
    body = event()
    raw = ground.signed(mine, body)
    assert isinstance(await refused(ground, RawNotice(theirs, raw.headers, body)), NoticeRejected)
    assert await ground.kept(theirs) == []


async def test_what_is_refused_leaves_nothing(ground: Ground) -> None:
    connection = await ground.connection(merchant())
    forged = ground.signed(connection, secret=NEW)
    late = ground.signed(connection)
    ground.clock.step(timedelta(seconds=301))
    card = ground.signed(connection, note=f"card {VISA}")
    large = ground.signed(connection, event() + b" " * 65_536)
    for raw, expected in (
        (forged, NoticeRejected),
        (late, NoticeRejected),
        (card, CardNumberRefused),
        (large, BodyTooLarge),
    ):
        error = await refused(ground, raw)
        assert type(error) is expected
        assert VISA not in str(error)
    assert ground.seen.counted == [
        ("simulator", "signature_wrong"),
        ("simulator", "too_old"),
        ("simulator", "card_number_refused"),
    ]
    assert await ground.kept(connection) == []
    assert (
        await ground.look(
            "select * from jobs.job where object_id like 'ntc%' and run_at > $1", START
        )
        == []
    )
    assert ground.seen.woken == 0


async def test_a_connection_that_is_unknown_or_malformed(ground: Ground) -> None:
    known = await ground.connection(merchant())
    for name in (
        new_id("con"),
        known[:-1],
        known.lower(),
        "con_",
        "",
        "../" + known,
        "é",
        known + "\n",
    ):
        assert isinstance(await refused(ground, ground.signed(name)), ConnectionUnknownHere)


async def verdict(ground: Ground, raw: RawNotice) -> type[Received] | type[StrongroomError]:
    try:
        return type(await ground.inbox.receive(raw))
    except StrongroomError as error:
        return type(error)


async def until(
    ground: Ground,
    send: Callable[[], RawNotice],
    expected: type[Received] | type[StrongroomError],
    seconds: float = 2 * OPEN_SECONDS,
) -> None:
    """Send until a change of the source has reached the inbox: a second later, it believes nothing that it read."""
    end = asyncio.get_running_loop().time() + seconds
    while (found := await verdict(ground, send())) is not expected:
        assert asyncio.get_running_loop().time() < end, f"still {found}"
        await asyncio.sleep(0.02)


async def test_a_disabled_source_takes_nothing_more(ground: Ground) -> None:
    shop = merchant()
    connection = await ground.connection(shop)
    await ground.inbox.receive(ground.signed(connection))
    for _ in range(2):
        async with ground.gateway.transaction([shop]) as tx:
            await ground.sources.disable(tx, shop, Mode.TEST, connection)
    await until(ground, lambda: ground.signed(connection), ConnectionUnknownHere)
    row = (await ground.kept(connection))[0]
    opened = await ground.handled(shop, Mode.TEST, row["notice_id"])
    assert opened.state == "kept", "what was kept is still handled"


async def rotated(ground: Ground, shop: MerchantId, connection: ConnectionId, overlap: int) -> None:
    prepared = await ground.sources.prepare_rotation(
        shop, Mode.TEST, connection, Secret(NEW), overlap
    )
    async with ground.gateway.transaction([shop]) as tx:
        await ground.sources.rotate(tx, prepared)
    await until(ground, lambda: ground.signed(connection, secret=NEW), Received)


async def test_in_rotation_both_secrets_hold_and_then_the_new_one(ground: Ground) -> None:
    shop = merchant()
    connection = await ground.connection(shop)
    await ground.inbox.receive(ground.signed(connection, secret=OLD))
    assert isinstance(await refused(ground, ground.signed(connection, secret=NEW)), NoticeRejected)
    await rotated(ground, shop, connection, 3_600)
    for secret in (OLD, NEW):
        await ground.inbox.receive(ground.signed(connection, secret=secret))
    ground.clock.step(timedelta(seconds=3_600))
    assert isinstance(await refused(ground, ground.signed(connection, secret=OLD)), NoticeRejected)
    await ground.inbox.receive(ground.signed(connection, secret=NEW))


async def test_without_overlap_the_old_secret_is_worth_nothing(ground: Ground) -> None:
    shop = merchant()
    connection = await ground.connection(shop)
    await rotated(ground, shop, connection, 0)
    assert isinstance(await refused(ground, ground.signed(connection, secret=OLD)), NoticeRejected)
    await ground.inbox.receive(ground.signed(connection, secret=NEW))


async def test_of_two_rotations_at_once_one_is_told(ground: Ground) -> None:
    shop = merchant()
    connection = await ground.connection(shop)
    first, second = [
        await ground.sources.prepare_rotation(shop, Mode.TEST, connection, Secret(each), 60)
        for each in (NEW, NEW + "_2")
    ]
    async with ground.gateway.transaction([shop]) as tx:
        await ground.sources.rotate(tx, first)
    with pytest.raises(SourceChanged):
        async with ground.gateway.transaction([shop]) as tx:
            await ground.sources.rotate(tx, second)


async def test_rotations_that_are_refused(ground: Ground) -> None:
    shop, other = merchant(), merchant()
    connection = await ground.connection(shop, secrets=[f"{OLD}_{n}" for n in range(5)])

    async def wish(whose: MerchantId, secret: str, overlap: int) -> None:
        await ground.sources.prepare_rotation(whose, Mode.TEST, connection, Secret(secret), overlap)

    for whose, secret, overlap, expected in (
        (shop, NEW, 60, SourceRefused),  # six would hold
        (shop, NEW, -1, SourceRefused),
        (shop, NEW, 8 * 86_400, SourceRefused),
        (shop, "", 0, SourceRefused),
        (other, NEW, 60, SourceUnknown),
    ):
        with pytest.raises(expected):
            await wish(whose, secret, overlap)
    await wish(shop, NEW, 0)  # the five end, and one begins
    async with ground.gateway.transaction([other]) as tx:
        with pytest.raises(SourceUnknown):
            await ground.sources.disable(tx, other, Mode.TEST, connection)


@pytest.mark.parametrize(
    ("scheme", "secrets"),
    [
        ("paypal", (OLD,)),
        ("", (OLD,)),
        *((scheme, secrets) for scheme in sorted(VERIFIERS) for secrets in ((), ("",), ("x",))),
        ("stripe", (OLD,)),
        ("stripe", (SENDERS["stripe"].secret, "whsec_")),
        ("stripe", [f"{SENDERS['stripe'].secret}{n}" for n in range(6)]),
        ("adyen", (SENDERS["stripe"].secret,)),
        ("adyen", (HEX_KEY, HEX_KEY[:-1])),
        ("adyen_platform", (SENDERS["stripe"].secret,)),
        ("checkout", ("short",)),
        ("checkout", (SENDERS["checkout"].secret + " ",)),
        ("simulator", (OLD, "x")),
        ("simulator", [f"{OLD}_{n}" for n in range(6)]),
        ("aes_gcm_hex", (OLD,)),
        ("aes_gcm_base64", (HEX_KEY,)),
    ],
)
async def test_sources_that_are_refused(
    ground: Ground, scheme: str, secrets: Sequence[str]
) -> None:
    with pytest.raises(SourceRefused) as caught:
        await ground.connection(merchant(), scheme=scheme, secrets=secrets)
    assert caught.value.status == 422
    assert OLD not in str(caught.value)


async def test_an_encrypted_notice_is_kept_as_it_came_and_opens_in_clear(ground: Ground) -> None:
    """Also when the key that decrypted it is rotated away before it is handled."""
    shop = merchant()
    connection = await ground.connection(shop, scheme="aes_gcm_hex", secrets=(HEX_KEY,))
    iv, ciphertext, tag = aes_gcm_encrypt(bytes.fromhex(HEX_KEY), b'{"type":"PAYMENT"}')
    headers = {"x-initialization-vector": iv.hex(), "x-authentication-tag": tag.hex()}
    raw = RawNotice(connection, headers, ciphertext.hex().encode())
    received = await ground.inbox.receive(raw)
    assert (await ground.inbox.receive(raw)).duplicate
    assert received.notice_id is not None
    prepared = await ground.sources.prepare_rotation(
        shop, Mode.TEST, connection, Secret("ff" * 32), 0
    )
    async with ground.gateway.transaction([shop]) as tx:
        await ground.sources.rotate(tx, prepared)
    opened = await ground.handled(shop, Mode.TEST, received.notice_id)
    assert (opened.notice.body, opened.notice.scheme) == (b'{"type":"PAYMENT"}', "aes_gcm_hex")
    card = f'{{"card":"{VISA}"}}'.encode()
    iv, ciphertext, tag = aes_gcm_encrypt(bytes.fromhex("ff" * 32), card)
    headers = {"x-initialization-vector": iv.hex(), "x-authentication-tag": tag.hex()}
    with_card = RawNotice(connection, headers, ciphertext.hex().encode())
    await until(ground, lambda: with_card, CardNumberRefused)  # where only decryption shows it


#: What an intruder with the database's pen does to a notice's row.
MOVES: Final = [
    "update webhooks.notice set event_key = 'se_other' where notice_id = '{notice}'",
    "update webhooks.notice set connection_id = '{other}' where notice_id = '{notice}'",
    "update webhooks.notice set sealed = sealed || '\\x00'::bytea where notice_id = '{notice}'",
    (
        "update webhooks.notice n set sealed = o.sealed from webhooks.notice o "
        "where n.notice_id = '{notice}' and o.connection_id = '{other}'"
    ),
]


@pytest.mark.parametrize("move", MOVES)
async def test_a_row_that_was_changed_or_moved_does_not_open(ground: Ground, move: str) -> None:
    shop = merchant()
    connection, other = await ground.connection(shop), await ground.connection(shop)
    received = await ground.inbox.receive(ground.signed(connection))
    await ground.inbox.receive(ground.signed(other))
    await ground.databases.run(Domain.CORE, move.format(notice=received.notice_id, other=other))
    with pytest.raises(CannotReadNotices):
        await ground.handled(
            shop,
            Mode.TEST,
            str(received.notice_id),
        )


async def test_a_source_that_was_moved_believes_nothing(ground: Ground) -> None:
    """Somebody puts secrets that he knows under a connection that is not his."""
    his, ours = merchant(), merchant()
    known = await ground.connection(his, secrets=(NEW,))
    connection = await ground.connection(ours)
    await ground.databases.run(
        Domain.CORE,
        f"update webhooks.source s set sealed_secrets = o.sealed_secrets from webhooks.source o "
        f"where s.connection_id = '{connection}' and o.connection_id = '{known}'",
    )
    error = await refused(ground, ground.signed(connection, secret=NEW))
    assert isinstance(error, CannotReadNotices)
    assert await ground.kept(connection) == []


async def test_the_listener_sees_the_source_that_is_named_and_no_other(ground: Ground) -> None:
    connection = await ground.connection(merchant())
    await ground.connection(merchant())
    async with ground.listener.connection() as bare:
        assert await bare.fetch("select * from webhooks.source") == []
        async with bare.transaction():
            await bare.execute(
                "select set_config('strongroom.presented_connection', $1, true)", connection
            )
            assert len(await bare.fetch("select * from webhooks.source")) == 1
        assert await bare.fetch("select * from webhooks.source") == []
        assert await bare.fetch("select * from webhooks.notice") == []
        for change in (
            "update webhooks.source set status = 'active'",
            "delete from webhooks.notice",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await bare.execute(change)


async def test_a_batch_that_mixes_tenants_states_all_of_theirs(ground: Ground) -> None:
    shops = [merchant() for _ in range(6)]
    connections = [await ground.connection(shop) for shop in shops]
    raws = [ground.signed(each) for each in connections for _ in range(10)]
    answers = await asyncio.gather(*(ground.inbox.receive(raw) for raw in raws))
    assert not any(answer.duplicate for answer in answers)
    for connection in connections:
        assert len(await ground.kept(connection)) == 10


async def test_without_a_database_nothing_is_acknowledged(server: Server) -> None:
    async with (
        fresh_databases(server, [Domain.CORE]) as databases,
        grounded(databases, FakeKeyStore()) as ground,
    ):
        connection = await ground.connection(merchant())
        await ground.inbox.receive(ground.signed(connection))
        unseen = await ground.connection(merchant())
        raw = ground.signed(connection)
        async with server.away(databases.names[Domain.CORE]):
            for each in (raw, ground.signed(unseen)):  # the source of the first is still known
                error = await refused(ground, each)
                assert isinstance(error, Unavailable)
                assert error.status == 503
        assert len(await ground.kept(connection)) == 1
        await until(ground, lambda: raw, Received, seconds=10)  # sent again, as a processor does
        assert len(await ground.kept(connection)) == 2
        assert ground.seen.woken == 2


async def test_without_the_key_store_nothing_is_acknowledged(databases: Databases) -> None:
    await databases.run(Domain.CORE, "delete from keys.data_key")
    store = FakeKeyStore()
    async with grounded(databases, store) as ground:
        connection = await ground.connection(merchant())
        store.away = True
        assert isinstance(await refused(ground, ground.signed(connection)), Unavailable)
        store.away = False
        assert not (await ground.inbox.receive(ground.signed(connection))).duplicate


async def test_a_connection_that_breaks_at_the_commit_is_looked_up(ground: Ground) -> None:
    """Whether a notice is new is learnt from its row: told twice, it is not handled twice."""
    shop = merchant()
    connection = await ground.connection(shop)
    sink = NoticeSink(ground.listener)
    await ground.inbox.receive(ground.signed(connection))
    (kept,) = await ground.kept(connection)
    sealed = Sealed(kept["sealed"], kept["key_version"])
    row = NoticeRow(
        shop, Mode.TEST, kept["notice_id"], connection, kept["event_key"], sealed, START
    )
    assert await sink.find(row) is True
    assert await sink.find(row._replace(notice_id=NoticeId("ntc_other"))) is False
    assert await sink.find(row._replace(event_key="se_other")) is None
