# SPDX-License-Identifier: Apache-2.0
"""The inbox and the schemes of processors: each event once by its own identity, several of an envelope, corrections."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import pytest
import pytest_asyncio

from contracts.fakes import FakeKeyStore
from database import Databases
from notice_makers import SENDERS, adyen_envelope, adyen_item, adyen_signed
from store.inbox_ground import VISA, Ground, grounded, merchant, refused
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain, Login
from strongroom.http.bounds import CardNumberRefused
from strongroom.kernel.ids import ConnectionId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.webhooks.inbound import VERIFIERS, NoticeRejected, RawNotice
from strongroom.webhooks.inbound.restated import WORDS_MAX
from strongroom.webhooks.inbound.sealing import NOTICE_FIELD, Sealed, SealedNotice, unseal

SCHEMES: Final = sorted(VERIFIERS)
ADYEN: Final = SENDERS["adyen"]
KEY: Final = ADYEN.secret


@pytest_asyncio.fixture(loop_scope="session")
async def ground(databases: Databases) -> AsyncIterator[Ground]:
    await databases.run(Domain.CORE, "delete from keys.data_key")
    async with grounded(databases, FakeKeyStore()) as made:
        yield made


async def connected(
    ground: Ground, scheme: str, mode: Mode = Mode.TEST, secrets: Sequence[str] = ()
) -> tuple[MerchantId, ConnectionId]:
    shop = merchant()
    held = secrets or (SENDERS[scheme].secret,)
    return shop, await ground.connection(shop, mode, scheme, held)


def sent(ground: Ground, scheme: str, connection: str, body: bytes, secret: str = "") -> RawNotice:
    sender = SENDERS[scheme]
    headers, signed = sender.sign(body, secret or sender.secret, ground.clock.now())
    return RawNotice(connection, headers, signed)


async def rejected(ground: Ground, raw: RawNotice) -> str:
    error = await refused(ground, raw)
    assert isinstance(error, NoticeRejected), error
    return error.reason


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_each_scheme_keeps_an_event_once_and_opens_it_as_it_was_verified(
    ground: Ground, scheme: str
) -> None:
    shop, connection = await connected(ground, scheme)
    body = SENDERS[scheme].event()
    raw = sent(ground, scheme, connection, body)
    first = await ground.inbox.receive(raw)
    assert (await ground.inbox.receive(raw)).duplicate
    (row,) = await ground.kept(connection)
    verified = (await ground.handled(shop, Mode.TEST, first.notice_id)).notice
    assert verified.scheme == scheme
    assert verified.event_key == row["event_key"]
    assert json.loads(verified.body) == json.loads(body if scheme != "adyen" else raw.body)
    assert (verified.signed is not None) == (scheme == "adyen")
    assert (first.acknowledgement.body == b"[accepted]") == scheme.startswith("adyen")
    assert ground.seen.counted == [(scheme, "kept"), (scheme, "duplicate")]


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_each_scheme_refuses_and_keeps_nothing(ground: Ground, scheme: str) -> None:
    """Another secret, a header twice, a card number, signed as it may be."""
    _, connection = await connected(ground, scheme)
    sender = SENDERS[scheme]
    wrong = await rejected(
        ground, sent(ground, scheme, connection, sender.event(), sender.other.split(" ")[0])
    )
    assert wrong in ("signature_wrong", "not_authentic")
    good = sent(ground, scheme, connection, sender.event())
    for header in VERIFIERS[scheme].headers:
        doubled = RawNotice(connection, good.headers, good.body, frozenset({header}))
        assert await rejected(ground, doubled) == "header_repeated"
    card = sender.event(note=VISA)
    error = await refused(ground, sent(ground, scheme, connection, card))
    assert isinstance(error, CardNumberRefused)
    assert await ground.kept(connection) == []
    elsewhere = RawNotice(connection, good.headers, good.body, frozenset({"x-forwarded-for"}))
    assert not (await ground.inbox.receive(elsewhere)).duplicate


#: Scheme, what says the mode, in live mode and in test mode.
SAYS: Final[list[tuple[str, dict[str, Any], dict[str, Any]]]] = [
    ("stripe", {"livemode": True}, {"livemode": False}),
    ("adyen", {"live": "true"}, {"live": "false"}),
    ("adyen", {"live": True}, {"live": False}),
    ("adyen_platform", {"environment": "live"}, {"environment": "test"}),
]


@pytest.mark.parametrize(("scheme", "live", "test"), SAYS)
async def test_a_notice_of_the_other_mode_is_refused(
    ground: Ground, scheme: str, live: dict[str, Any], test: dict[str, Any]
) -> None:
    make = SENDERS[scheme].event
    for mode, own, other in ((Mode.LIVE, live, test), (Mode.TEST, test, live)):
        _, connection = await connected(ground, scheme, mode)
        foreign = sent(ground, scheme, connection, make(**other))
        alerts = ground.seen.lines.text().count('"webhooks.notice_not_believed"')
        assert await rejected(ground, foreign) == "mode_differs"
        said = ground.seen.lines.text()
        assert said.count('"webhooks.notice_not_believed"') == alerts + 1
        assert '"outcome":"mode_differs"' in said
        assert await ground.kept(connection) == []
        await ground.inbox.receive(sent(ground, scheme, connection, make(**own)))


async def test_a_second_factor_is_asked_for_and_kept_nowhere(ground: Ground) -> None:
    secret = SENDERS["checkout"].other
    shop, connection = await connected(ground, "checkout", secrets=(secret,))
    raw = sent(ground, "checkout", connection, SENDERS["checkout"].event(), secret)
    bare = {name: value for name, value in raw.headers.items() if name != "authorization"}
    reason = await rejected(ground, RawNotice(connection, bare, raw.body))
    assert reason == "authorization_wrong"
    await ground.inbox.receive(raw)
    (row,) = await ground.kept(connection)
    known = await unseal(
        ground.keyrings[Login.WORKER],
        shop,
        Mode.TEST,
        row["notice_id"],
        NOTICE_FIELD,
        Sealed(row["sealed"], row["key_version"]),
        SealedNotice,
    )
    assert set(known.headers) == {"cko-signature"}


# --- Adyen: what is signed is eight fields ------------------------------------------------------------


def adyen(connection: str, *items: dict[str, Any], **more: Any) -> RawNotice:
    """An envelope of items, each signed as it stands."""
    signed = [adyen_signed(each, KEY) for each in items]
    return RawNotice(connection, {}, adyen_envelope(*signed, **more))


async def test_several_events_of_an_envelope_are_kept_each_for_itself(ground: Ground) -> None:
    shop, connection = await connected(ground, "adyen")
    items = [adyen_item(eventCode=code) for code in ("AUTHORISATION", "CAPTURE", "A_NOVELTY")]
    await ground.inbox.receive(adyen(connection, items[1]))
    received = await ground.inbox.receive(adyen(connection, *items))
    assert not received.duplicate, "two of the three are new"
    assert (await ground.inbox.receive(adyen(connection, *items))).duplicate
    rows = await ground.kept(connection)
    assert sorted(row["event_key"] for row in rows) == sorted(
        f"{each['eventCode']}:{each['pspReference']}:true" for each in items
    )
    assert {row["kind"] for row in rows} == {"notice"}
    for row in rows:
        opened = await ground.handled(shop, Mode.TEST, row["notice_id"])
        (wrapped,) = json.loads(opened.notice.body)["notificationItems"]
        assert wrapped["NotificationRequestItem"]["eventCode"] == row["event_key"].split(":")[0]


async def test_a_networks_reference_that_looks_like_a_card_holds_nothing_up(
    ground: Ground,
) -> None:
    """Adyen sends nothing behind a notice that is refused."""
    _, connection = await connected(ground, "adyen")
    reference = "360000000000004"
    await ground.inbox.receive(
        adyen(connection, adyen_item(additionalData={"networkTxReference": reference}))
    )
    card = adyen(connection, adyen_item(additionalData={"authCode": reference}))
    assert isinstance(await refused(ground, card), CardNumberRefused)


async def test_of_an_envelope_with_one_forged_item_nothing_is_kept(ground: Ground) -> None:
    _, connection = await connected(ground, "adyen")
    good, forged = adyen_signed(adyen_item(), KEY), adyen_signed(adyen_item(), ADYEN.other)
    for items in ((good, forged), (forged, good)):
        raw = RawNotice(connection, {}, adyen_envelope(*items))
        assert await rejected(ground, raw) == "signature_wrong"
    assert await ground.kept(connection) == []


async def test_other_words_that_nobody_signed_are_kept_and_nothing_is_done_about_them(
    ground: Ground,
) -> None:
    """The latest is kept last, beside the first; there is one job, whatever a stranger makes of the rest."""
    shop, connection = await connected(ground, "adyen")
    item = adyen_item()
    first = await ground.inbox.receive(adyen(connection, item))
    for reason in ("a", "a", "b", "b", "a"):
        again = await ground.inbox.receive(adyen(connection, {**item, "reason": reason}))
        assert again.duplicate
    rows = await ground.kept(connection)
    words = []
    for row in rows:
        opened = await ground.handled(shop, Mode.TEST, row["notice_id"])
        told = json.loads(opened.notice.body)["notificationItems"][0]["NotificationRequestItem"]
        words.append((told["reason"], row["state"], row["result"], row["kind"]))
    assert words == [
        ("", "kept", None, "notice"),
        ("a", "handled", "restated", None),
        ("b", "handled", "restated", None),
        ("a", "handled", "restated", None),
    ]
    assert rows[0]["notice_id"] == first.notice_id
    assert ground.seen.woken == 1
    for n in range(2 * WORDS_MAX):
        await ground.inbox.receive(adyen(connection, {**item, "reason": f"flood {n}"}))
    assert len(await ground.kept(connection)) == 1 + WORDS_MAX


async def test_other_words_that_are_signed_are_a_notice_of_their_own(ground: Ground) -> None:
    """A correction is looked at once, and what was kept before stands."""
    shop, connection = await connected(ground, "adyen")
    item = adyen_item()
    corrected = {**item, "amount": {"value": 1131, "currency": "EUR"}}
    first = await ground.inbox.receive(adyen(connection, item))
    second = await ground.inbox.receive(adyen(connection, corrected))
    assert (first.duplicate, second.duplicate) == (False, False)
    for again in (item, corrected, {**corrected, "reason": "whatever"}):
        assert (await ground.inbox.receive(adyen(connection, again))).duplicate
    rows = await ground.kept(connection)
    assert [row["kind"] for row in rows] == ["notice", "notice"]
    assert rows[1]["event_key"].startswith(rows[0]["event_key"] + ":")
    values = []
    for row in rows:
        opened = await ground.handled(shop, Mode.TEST, row["notice_id"])
        assert opened.notice.signed is not None
        values.append(opened.notice.signed["value"])
    assert values == ["1130", "1131"]
    assert ground.seen.woken == 2


async def test_of_many_corrections_at_once_each_is_kept_once(ground: Ground) -> None:
    _, connection = await connected(ground, "adyen")
    item = adyen_item()
    await ground.inbox.receive(adyen(connection, item))
    amounts = [{"value": 2_000 + n % 5, "currency": "EUR"} for n in range(40)]
    answers = await asyncio.gather(
        *(ground.inbox.receive(adyen(connection, {**item, "amount": each})) for each in amounts)
    )
    assert sum(not answer.duplicate for answer in answers) == 5
    assert len(await ground.kept(connection)) == 6


async def test_an_altered_row_is_no_measure_of_what_comes_again(ground: Ground) -> None:
    _, connection = await connected(ground, "adyen")
    item = adyen_item()
    received = await ground.inbox.receive(adyen(connection, item))
    await ground.databases.run(
        Domain.CORE,
        f"update webhooks.notice set sealed = sealed || '\\x00'::bytea where notice_id = '{received.notice_id}'",
    )
    error = await refused(ground, adyen(connection, {**item, "reason": new_id("x")}))
    assert error.code == "cannot_read_notices"
