# SPDX-License-Identifier: Apache-2.0
"""AWS KMS as a key store, over the strict fake: the suite, roots that are off, and a key for each merchant.

The same suite over a moto server is in test_key_store.py; every answer that KMS may give in
tests/unit/test_aws_kms_faults.py.
"""

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiobotocore.session import AioSession, get_session

from contracts.fake_aws_kms import PREFIX, REGION, FakeAwsKms
from contracts.fakes import MemoryDataKeyTable
from contracts.key_store import CONTEXT, KeyStoreContract, Rotate
from peer import Peer, peer
from strongroom.kernel.clock import SteppedClock
from strongroom.keys import (
    CannotUnwrap,
    KeyName,
    KeyStore,
    KeyStoreRefused,
    KeyStoreUnavailable,
    Purpose,
    RootDisabled,
)
from strongroom.keys.keyring import Keyring
from strongroom.keys.stores.aws_kms import AwsKmsKeyStore

CARD = PREFIX + "card"
MERCHANTS = [
    "mer_1",
    "mer_2",
    "MER_1",
    "mer_",
    "mer_secret",
    *(f"mer_{n}" for n in range(3, 12)),
    "mer_0",
]


@functools.cache  # it reads AWS's large service descriptions once
def session() -> AioSession:
    made = get_session()
    made.set_credentials("testing", "testing")
    return made


async def open_store(
    server: Peer, *, merchant_keys: frozenset[Purpose] = frozenset(), seconds: float = 5
) -> AwsKmsKeyStore:
    return await AwsKmsKeyStore.open(
        {purpose: PREFIX + purpose for purpose in Purpose},
        region=REGION,
        endpoint_url=server.url,
        session=session(),
        merchant_keys=merchant_keys,
        call_timeout_seconds=seconds,
    )


@asynccontextmanager
async def store_at(
    fake: FakeAwsKms, *, merchant_keys: frozenset[Purpose] = frozenset(), seconds: float = 5
) -> AsyncIterator[tuple[AwsKmsKeyStore, Peer]]:
    async with peer(fake.behaviour()) as server:
        store = await open_store(server, merchant_keys=merchant_keys, seconds=seconds)
        yield store, server
        await store.close()


class TestStrictAwsKmsKeyStore(KeyStoreContract):
    # More than 6144 bytes are no blob, which KMS says as it says that any parameter is wrong.
    refuses_foreign_bytes_with = (CannotUnwrap, KeyStoreRefused)

    @pytest.fixture
    def fake(self) -> FakeAwsKms:
        return FakeAwsKms()

    @pytest.fixture
    async def store(self, fake: FakeAwsKms) -> AsyncIterator[KeyStore]:
        async with store_at(fake) as (store, _):
            yield store

    @pytest.fixture
    def rotate(self, fake: FakeAwsKms) -> Rotate:
        async def rotate(purpose: Purpose) -> None:
            fake.aliases[PREFIX + purpose].rotate()

        return rotate


class TestAwsKmsKeyStoreWithMerchantKeys(KeyStoreContract):
    refuses_foreign_bytes_with = (CannotUnwrap, KeyStoreRefused)

    @pytest.fixture
    def fake(self) -> FakeAwsKms:
        fake = FakeAwsKms()
        for purpose in Purpose:
            for merchant in MERCHANTS:
                fake.add(f"{PREFIX}{purpose}-{merchant}")
        return fake

    @pytest.fixture
    def rotate(self, fake: FakeAwsKms) -> Rotate:
        async def rotate(purpose: Purpose) -> None:
            fake.aliases[f"{PREFIX}{purpose}-mer_1"].rotate()

        return rotate

    @pytest.fixture
    async def store(self, fake: FakeAwsKms) -> AsyncIterator[KeyStore]:
        async with store_at(fake, merchant_keys=frozenset(Purpose)) as (store, _):
            yield store


# --- what moto lets pass ----------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["Disabled", "PendingDeletion", "PendingImport", "Unavailable"])
async def test_a_root_that_is_off_neither_wraps_nor_unwraps(state: str) -> None:
    fake = FakeAwsKms()
    async with store_at(fake) as (store, _):
        new = await store.generate(Purpose.CARD, CONTEXT)
        fake.aliases[CARD].state = state
        for call in (
            store.generate(Purpose.CARD, CONTEXT),
            store.wrap(Purpose.CARD, b"x", CONTEXT),
            store.unwrap(Purpose.CARD, new.wrapped, CONTEXT),
        ):
            with pytest.raises(RootDisabled):
                await call
        assert [root.purpose for root in await store.describe() if not root.enabled] == [
            Purpose.CARD
        ]
        await store.generate(Purpose.AUDIT, CONTEXT)


async def test_what_one_root_wrapped_is_not_opened_by_another_that_may_be_used() -> None:
    fake = FakeAwsKms()
    async with store_at(fake) as (store, server):
        new = await store.generate(Purpose.CARD, CONTEXT)
        with pytest.raises(CannotUnwrap):
            await store.unwrap(Purpose.AUDIT, new.wrapped, CONTEXT)
        assert server.requests[-1].json()["KeyId"] == PREFIX + "audit"


async def test_what_an_older_version_wrapped_opens() -> None:
    fake = FakeAwsKms()
    async with store_at(fake) as (store, _):
        before = await store.generate(Purpose.CARD, CONTEXT)
        fake.aliases[CARD].rotate()
        after = await store.generate(Purpose.CARD, CONTEXT)
        for new in (before, after):
            opened = await store.unwrap(Purpose.CARD, new.wrapped, CONTEXT)
            assert opened.expose() == new.plaintext.expose()


async def test_throttled_is_away_and_denied_is_refused() -> None:
    fake = FakeAwsKms()
    async with store_at(fake) as (store, server):
        fake.throttled = True
        with pytest.raises(KeyStoreUnavailable):
            await store.generate(Purpose.CARD, CONTEXT)
        fake.throttled = False
        fake.denied = {CARD}
        with pytest.raises(KeyStoreRefused, match=CARD):
            await store.generate(Purpose.CARD, CONTEXT)
        assert len(server.requests) == 2


async def test_a_slow_store_is_given_up() -> None:
    fake = FakeAwsKms()
    fake.gate.clear()
    async with store_at(fake, seconds=0.2) as (store, _):
        async with asyncio.timeout(5):
            with pytest.raises(KeyStoreUnavailable):
                await store.generate(Purpose.CARD, CONTEXT)
        fake.gate.set()


async def test_a_root_that_is_not_there_is_refused_by_its_name() -> None:
    fake = FakeAwsKms()
    del fake.aliases[CARD]
    async with store_at(fake) as (store, _):
        for call in (
            store.generate(Purpose.CARD, CONTEXT),
            store.unwrap(Purpose.CARD, b"x" * 40, CONTEXT),
            store.describe(),
        ):
            with pytest.raises(KeyStoreRefused, match=CARD):
                await call


async def test_a_root_is_described_with_its_rotation_where_that_can_be_known() -> None:
    fake = FakeAwsKms()
    later = datetime(2027, 6, 1, tzinfo=UTC)
    fake.aliases[CARD].rotates_at = later.timestamp()  # it was rotated a year before that
    fake.aliases[PREFIX + "audit"].rotates_at = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
    made = datetime.fromtimestamp(1_767_323_045.678, UTC)  # as every key of the fake
    async with store_at(fake) as (store, server):
        for _ in range(3):
            roots = {root.purpose: root for root in await store.describe()}
        card, audit, webhook = (
            roots[each] for each in (Purpose.CARD, Purpose.AUDIT, Purpose.WEBHOOK)
        )
        assert (card.created, card.rotates_at) == (datetime(2026, 6, 1, tzinfo=UTC), later)
        # Not rotated yet: the first version is as old as the key.
        assert (audit.created, audit.rotates_at) == (made, datetime(2026, 6, 1, tzinfo=UTC))
        assert (webhook.created, webhook.rotates_at) == (made, None)
        targets = [sent.headers["x-amz-target"] for sent in server.requests]
        assert targets.count("TrentService.GetKeyRotationStatus") == len(Purpose), "once an hour"


async def test_a_role_that_may_not_ask_for_rotation_describes_all_the_same() -> None:
    fake = FakeAwsKms()
    fake.tells_rotation = False
    async with store_at(fake) as (store, _):
        roots = await store.describe()
        assert {root.rotates_at for root in roots} == {None}
        assert all(root.enabled for root in roots)


# --- a key for each merchant ------------------------------------------------------------------------

OF_CARDS = frozenset({Purpose.CARD})
OF_NOBODY = CONTEXT | {"merchant": "platform", "mode": "platform"}


def used(server: Peer) -> list[str]:
    return [sent.json()["KeyId"] for sent in server.requests]


async def test_a_merchants_data_keys_are_wrapped_by_the_merchants_key() -> None:
    fake = FakeAwsKms()
    fake.add(f"{CARD}-mer_1")
    async with store_at(fake, merchant_keys=OF_CARDS) as (store, server):
        new = await store.generate(Purpose.CARD, CONTEXT)
        await store.unwrap(Purpose.CARD, new.wrapped, CONTEXT)
        await store.wrap(Purpose.CARD, b"x", CONTEXT)
        assert used(server) == [f"{CARD}-mer_1"] * 3


async def test_what_is_no_merchants_and_other_purposes_stay_on_the_purposes_key() -> None:
    async with store_at(FakeAwsKms(), merchant_keys=OF_CARDS) as (store, server):
        await store.generate(Purpose.CARD, OF_NOBODY)
        await store.generate(Purpose.WEBHOOK, CONTEXT)
        assert used(server) == [CARD, PREFIX + "webhook"]


async def test_a_keyring_asks_for_the_merchants_key_by_the_merchants_id() -> None:
    """Its keys over the rows, which are nobody's, are on the purpose's: it calls nobody what is expected."""
    fake = FakeAwsKms()
    fake.add(f"{CARD}-mer_1")
    clock = SteppedClock(datetime(2026, 3, 1, tzinfo=UTC))
    async with store_at(fake, merchant_keys=OF_CARDS) as (store, server):
        keyring = Keyring(store, MemoryDataKeyTable(), clock)
        await keyring.start([Purpose.CARD])
        assert set(used(server)) == {CARD}
        await keyring.current("mer_1", "live", KeyName.CARD)
        assert used(server)[-1] == f"{CARD}-mer_1"
        await keyring.close()


async def test_a_merchants_key_that_is_missing_is_refused_by_its_alias_and_not_made() -> None:
    fake = FakeAwsKms()
    async with store_at(fake, merchant_keys=OF_CARDS) as (store, server):
        before = set(fake.aliases)
        for call in (
            store.generate(Purpose.CARD, CONTEXT),
            store.wrap(Purpose.CARD, b"x", CONTEXT),
        ):
            with pytest.raises(KeyStoreRefused, match=f"{CARD}-mer_1"):
                await call
        assert set(fake.aliases) == before
        assert used(server) == [f"{CARD}-mer_1"] * 2, "never the purpose's key in its place"


async def test_what_the_purposes_key_wrapped_before_opens_and_moves_by_wrapping_it_again() -> None:
    fake = FakeAwsKms()
    async with peer(fake.behaviour()) as server:
        store = await open_store(server)
        before = await store.generate(Purpose.CARD, CONTEXT)
        await store.close()

        store = await open_store(server, merchant_keys=OF_CARDS)
        # Also before the merchant's key is made: cards go on opening.
        opened = await store.unwrap(Purpose.CARD, before.wrapped, CONTEXT)
        fake.add(f"{CARD}-mer_1")
        opened = await store.unwrap(Purpose.CARD, before.wrapped, CONTEXT)
        assert opened.expose() == before.plaintext.expose()
        with pytest.raises(CannotUnwrap):
            await store.unwrap(Purpose.CARD, before.wrapped, CONTEXT | {"version": "2"})

        moved = await store.wrap(Purpose.CARD, opened.expose(), CONTEXT)
        fake.aliases[CARD].state = "Disabled"
        opened = await store.unwrap(Purpose.CARD, moved, CONTEXT)
        assert opened.expose() == before.plaintext.expose()
        await store.close()


async def test_a_merchant_who_disables_or_takes_away_the_key_is_obeyed() -> None:
    fake = FakeAwsKms()
    fake.add(f"{CARD}-mer_1")
    fake.add(f"{CARD}-mer_2")
    async with store_at(fake, merchant_keys=OF_CARDS) as (store, _):
        new = await store.generate(Purpose.CARD, CONTEXT)
        fake.aliases[f"{CARD}-mer_1"].state = "Disabled"
        with pytest.raises(RootDisabled):
            await store.unwrap(Purpose.CARD, new.wrapped, CONTEXT)
        fake.denied = {f"{CARD}-mer_1"}
        with pytest.raises(KeyStoreRefused):
            await store.unwrap(Purpose.CARD, new.wrapped, CONTEXT)
        fake.denied.clear()
        del fake.aliases[f"{CARD}-mer_1"]
        with pytest.raises(KeyStoreRefused, match=f"{CARD}-mer_1"):
            await store.unwrap(Purpose.CARD, new.wrapped, CONTEXT)
        await store.generate(Purpose.CARD, CONTEXT | {"merchant": "mer_2"})


async def test_one_merchants_data_key_opens_under_no_other_merchants_key() -> None:
    fake = FakeAwsKms()
    fake.add(f"{CARD}-mer_1")
    fake.add(f"{CARD}-mer_2")
    async with store_at(fake, merchant_keys=OF_CARDS) as (store, _):
        new = await store.generate(Purpose.CARD, CONTEXT)
        with pytest.raises(CannotUnwrap):
            await store.unwrap(Purpose.CARD, new.wrapped, CONTEXT | {"merchant": "mer_2"})


@pytest.mark.parametrize("merchant", ["mer/1", "mer-1", "../card", "mer 1", "m" * 65])
async def test_an_id_that_is_no_merchants_makes_no_alias(merchant: str) -> None:
    async with store_at(FakeAwsKms(), merchant_keys=OF_CARDS) as (store, server):
        with pytest.raises(KeyStoreRefused):
            await store.generate(Purpose.CARD, CONTEXT | {"merchant": merchant})
    assert not server.requests


async def test_keys_of_merchants_need_an_alias_of_their_purpose() -> None:
    with pytest.raises(KeyStoreRefused):
        await AwsKmsKeyStore.open(
            {Purpose.CARD: "arn:aws:kms:me-central-1:1:key/2"},
            region=REGION,
            session=session(),
            merchant_keys=OF_CARDS,
        )
