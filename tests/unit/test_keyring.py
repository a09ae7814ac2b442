# SPDX-License-Identifier: Apache-2.0
"""The keyring's keys: made once, versioned, checked row by row, and gone when they are destroyed."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from contracts.fakes import FakeKeyStore, MemoryDataKeyTable
from strongroom.crypto import Algorithm, Place, hmac_sha256
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.invariant import Bug
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.keys import (
    PLATFORM_MERCHANT,
    PLATFORM_MODE,
    CannotUnwrap,
    DataKeyDestroyed,
    DataKeyRow,
    DataKeys,
    DataKeyUnknown,
    KeyName,
    KeyRowAltered,
    KeyState,
    KeyStoreUnavailable,
    Purpose,
    RootDisabled,
)
from strongroom.keys.keyring import Keyring, _row_mac
from strongroom.keys.ports import Within
from strongroom.keys.purposes import _PURPOSES, KEYRING_MAC

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CARD = ("mer_1", Mode.TEST, KeyName.CARD)
V1 = ("mer_1", "test", "card", 1)
V2 = ("mer_1", "test", "card", 2)


@pytest.fixture
def store() -> FakeKeyStore:
    return FakeKeyStore()


@pytest.fixture
def table() -> MemoryDataKeyTable:
    return MemoryDataKeyTable()


async def started(store: FakeKeyStore, table: MemoryDataKeyTable) -> Keyring:
    keyring = Keyring(store, table, SteppedClock(NOW))
    await keyring.start(Purpose)
    return keyring


@pytest.fixture
async def keyring(store: FakeKeyStore, table: MemoryDataKeyTable) -> Keyring:
    return await started(store, table)


async def secret(keyring: Keyring, version: int | None = None) -> bytes:
    key = await (keyring.current(*CARD) if version is None else keyring.version(*CARD, version))
    return key.secret.expose()


def test_every_name_has_a_root_and_every_root_a_row_mac() -> None:
    assert set(_PURPOSES) == set(KeyName)
    assert set(KEYRING_MAC) == set(Purpose)


async def test_the_first_use_makes_the_first_version(
    keyring: Keyring, table: MemoryDataKeyTable
) -> None:
    keys: DataKeys = keyring
    key = await keys.current(*CARD)
    assert (key.version, len(key.secret.expose())) == (1, 32)
    row = table.rows[V1]
    assert (row.purpose, row.state, row.made_at) == ("card", KeyState.ACTIVE, NOW)
    assert key.secret.expose() not in row.wrapped


async def test_what_a_data_key_is_bound_to_is_stable(
    keyring: Keyring, store: FakeKeyStore, table: MemoryDataKeyTable
) -> None:
    """What is stored was wrapped under these contexts: they never change."""
    key = await keyring.current(*CARD)
    context = {"merchant": "mer_1", "mode": "test", "name": "card", "version": "1"}
    unwrapped = await store.unwrap(Purpose.CARD, table.rows[V1].wrapped, context)
    assert unwrapped.expose() == key.secret.expose()
    platform = await keyring.current(PLATFORM_MERCHANT, PLATFORM_MODE, KeyName.API_KEY_HASH)
    row = table.rows["", "", "api_key_hash", 1]
    context = {"merchant": "platform", "mode": "platform", "name": "api_key_hash", "version": "1"}
    unwrapped = await store.unwrap(Purpose.IDENTITY, row.wrapped, context)
    assert unwrapped.expose() == platform.secret.expose()


def test_what_the_mac_of_a_row_covers_is_stable() -> None:
    row = DataKeyRow(
        merchant="mer_1",
        mode="test",
        name="card",
        purpose="card",
        version=1,
        state=KeyState.ACTIVE,
        wrapped=b"\x01\x02",
        mac=b"",
        made_at=NOW,
    )
    covered = (
        b"25:strongroom data key row 15:mer_14:test4:card4:card1:16:active4:0102"
        b"27:2026-03-01T00:00:00.000000Z"
    )
    assert _row_mac(Secret(bytes(32)), row) == hmac_sha256(bytes(32), covered)


async def test_another_process_finds_the_same_keys(
    store: FakeKeyStore, table: MemoryDataKeyTable, keyring: Keyring
) -> None:
    first = await secret(keyring)
    again = await started(store, table)
    assert await secret(again) == first
    assert await secret(again, 1) == first


async def test_keys_are_apart_by_merchant_mode_and_name(keyring: Keyring) -> None:
    asked = [
        ("mer_1", Mode.TEST, KeyName.CARD),
        ("mer_1", Mode.LIVE, KeyName.CARD),
        ("mer_2", Mode.TEST, KeyName.CARD),
        ("mer_1", Mode.TEST, KeyName.FINGERPRINT),
        ("mer_1", Mode.TEST, KeyName.IDEMPOTENCY),
        (PLATFORM_MERCHANT, PLATFORM_MODE, KeyName.API_KEY_HASH),
        (PLATFORM_MERCHANT, PLATFORM_MODE, KeyName.AUDIT_ROW_MAC),
        (PLATFORM_MERCHANT, PLATFORM_MODE, KeyName.CHECKPOINT_SEED),
    ]
    keys = [await keyring.current(*which) for which in asked]
    assert len({key.secret.expose() for key in keys}) == len(asked)


async def test_two_processes_that_race_at_first_use_agree(
    store: FakeKeyStore, table: MemoryDataKeyTable
) -> None:
    rings = await asyncio.gather(*(started(store, table) for _ in range(5)))
    secrets = await asyncio.gather(*(secret(ring) for ring in rings))
    assert len(set(secrets)) == 1
    assert (
        store.calls["generate"] > 6
    )  # they did race: 5 row MACs and a card key would have been enough


async def test_a_version_that_never_was_is_unknown(keyring: Keyring) -> None:
    with pytest.raises(DataKeyUnknown):
        await keyring.version(*CARD, 1)
    await keyring.current(*CARD)
    with pytest.raises(DataKeyUnknown):
        await keyring.version(*CARD, 2)
    with pytest.raises(DataKeyUnknown):
        await keyring.destroy(*CARD, 2)


# --- rotation and destruction ------------------------------------------------------------------------------


async def test_rotation_seals_anew_and_goes_on_opening(
    keyring: Keyring, store: FakeKeyStore, table: MemoryDataKeyTable
) -> None:
    first = await secret(keyring)
    rotated = await keyring.rotate(*CARD)
    assert rotated.version == 2
    assert await secret(keyring) == rotated.secret.expose() != first
    assert await secret(keyring, 1) == first
    assert (table.rows[V1].state, table.rows[V2].state) == (KeyState.RETIRING, KeyState.ACTIVE)
    again = await started(store, table)
    assert [await secret(again, 1), await secret(again, 2)] == [first, await secret(again)]


async def test_rotating_what_was_never_used_makes_the_first_version(keyring: Keyring) -> None:
    assert (await keyring.rotate(*CARD)).version == 1


async def test_of_two_rotations_at_once_there_is_one(
    store: FakeKeyStore, table: MemoryDataKeyTable
) -> None:
    one, other = await started(store, table), await started(store, table)
    await one.current(*CARD)
    keys = await asyncio.gather(one.rotate(*CARD), other.rotate(*CARD))
    assert [key.version for key in keys] == [2, 2]
    assert keys[0].secret.expose() == keys[1].secret.expose()
    assert set(table.rows) >= {V1, V2}
    assert ("mer_1", "test", "card", 3) not in table.rows


async def test_a_rotation_cut_short_is_made_good_by_the_next(
    keyring: Keyring, table: MemoryDataKeyTable
) -> None:
    await keyring.current(*CARD)
    before = table.rows[V1]
    await keyring.rotate(*CARD)
    table.rows[V1] = before  # as if the process had died before it retired version 1
    assert (await keyring.rotate(*CARD)).version == 3
    assert (await keyring.current(*CARD)).version == 3
    await keyring.version(*CARD, 1)


async def test_a_destroyed_version_opens_nothing(
    keyring: Keyring, store: FakeKeyStore, table: MemoryDataKeyTable
) -> None:
    await keyring.current(*CARD)
    second = (await keyring.rotate(*CARD)).secret.expose()
    for _ in range(2):  # twice is once
        await keyring.destroy(*CARD, 1)
    for ring in (keyring, await started(store, table)):
        with pytest.raises(DataKeyDestroyed):
            await ring.version(*CARD, 1)
        assert await secret(ring) == second
    assert table.rows[V1].wrapped == b""


async def test_a_merchant_whose_keys_are_destroyed_gets_no_new_ones(
    keyring: Keyring, store: FakeKeyStore, table: MemoryDataKeyTable
) -> None:
    await keyring.current(*CARD)
    await keyring.destroy(*CARD, 1)
    assert keyring.cached(*CARD) is None
    for ring in (keyring, await started(store, table)):
        with pytest.raises(DataKeyDestroyed):
            await ring.current(*CARD)


# --- rows that were altered --------------------------------------------------------------------------------

ALTERED = {
    "merchant": "mer_2",
    "mode": "live",
    "name": "fingerprint",
    "purpose": "audit",
    "version": 2,
    "state": KeyState.RETIRING,
    "wrapped": b"other",
    "mac": bytes(32),
    "made_at": NOW + timedelta(microseconds=1),
}


def test_every_column_has_an_altered_case() -> None:
    assert set(ALTERED) == {column.name for column in dataclasses.fields(DataKeyRow)}


@pytest.mark.parametrize("column", ALTERED)
async def test_an_altered_row_is_refused(
    store: FakeKeyStore, table: MemoryDataKeyTable, keyring: Keyring, column: str
) -> None:
    await keyring.current(*CARD)
    row = table.rows[V1]
    altered = dataclasses.replace(row, **{column: ALTERED[column]})  # type: ignore[arg-type]
    table.rows[V1] = altered
    with pytest.raises(KeyRowAltered):
        await (await started(store, table)).version(*CARD, 1)
    with pytest.raises(KeyRowAltered):
        await keyring.destroy(*CARD, 1)
    if (altered.merchant, altered.mode, altered.name, altered.state) == (*CARD, "active"):
        with pytest.raises(KeyRowAltered):
            await (await started(store, table)).current(*CARD)
        with pytest.raises(KeyRowAltered):
            await keyring.rotate(*CARD)


async def test_an_authentic_row_in_another_place_is_refused(
    store: FakeKeyStore, table: MemoryDataKeyTable, keyring: Keyring
) -> None:
    await keyring.current("mer_2", Mode.TEST, KeyName.CARD)
    table.rows[V1] = table.rows["mer_2", "test", "card", 1]
    with pytest.raises(KeyRowAltered):
        await (await started(store, table)).version(*CARD, 1)


async def test_a_row_of_another_installation_is_refused(
    table: MemoryDataKeyTable, keyring: Keyring
) -> None:
    other_table = MemoryDataKeyTable()
    other = await started(FakeKeyStore(), other_table)
    await other.current(*CARD)
    table.rows[V1] = other_table.rows[V1]
    with pytest.raises(KeyRowAltered):
        await keyring.current(*CARD)


async def test_without_its_active_row_a_key_seals_nothing(
    store: FakeKeyStore, table: MemoryDataKeyTable, keyring: Keyring
) -> None:
    await keyring.current(*CARD)
    await keyring.rotate(*CARD)
    del table.rows[V2]
    again = await started(store, table)
    with pytest.raises(DataKeyUnknown):
        await again.current(*CARD)
    await again.version(*CARD, 1)


MAC_ROW = ("", "", "keyring_mac_card", 1)


@pytest.mark.parametrize("column", sorted(set(ALTERED) - {"wrapped"}))
async def test_an_altered_row_of_the_row_mac_itself_stops_the_start(
    store: FakeKeyStore, table: MemoryDataKeyTable, keyring: Keyring, column: str
) -> None:
    row = table.rows[MAC_ROW]
    table.rows[MAC_ROW] = dataclasses.replace(row, **{column: ALTERED[column]})  # type: ignore[arg-type]
    with pytest.raises(KeyRowAltered):
        await started(store, table)


async def test_another_key_in_the_place_of_the_row_mac_stops_the_start(
    store: FakeKeyStore, table: MemoryDataKeyTable, keyring: Keyring
) -> None:
    for other in (b"other", table.rows["", "", "keyring_mac_audit", 1].wrapped):
        row = table.rows[MAC_ROW]
        table.rows[MAC_ROW] = dataclasses.replace(row, wrapped=other)
        with pytest.raises(CannotUnwrap):
            await started(store, table)


async def test_without_the_row_mac_no_row_is_believed(
    store: FakeKeyStore, table: MemoryDataKeyTable, keyring: Keyring
) -> None:
    await keyring.current(*CARD)
    del table.rows[MAC_ROW]
    with pytest.raises(KeyRowAltered):
        await (await started(store, table)).current(*CARD)


# --- roles and stores --------------------------------------------------------------------------------------


async def test_a_role_starts_with_its_own_roots_only(
    store: FakeKeyStore, table: MemoryDataKeyTable
) -> None:
    store.disable(Purpose.CARD)
    keyring = Keyring(store, table, SteppedClock(NOW))
    await keyring.start([Purpose.AUDIT])
    await keyring.current("", "", KeyName.AUDIT_ROW_MAC)
    with pytest.raises(RootDisabled):
        await keyring.start([Purpose.CARD])
    store.enable(Purpose.CARD)
    with pytest.raises(Bug):
        await keyring.current(*CARD)


async def test_without_the_store_nothing_starts(
    store: FakeKeyStore, table: MemoryDataKeyTable
) -> None:
    store.away = True
    with pytest.raises(KeyStoreUnavailable):
        await started(store, table)
    assert table.rows == {}


async def test_a_data_key_prints_nothing_and_keeps_its_sealers(keyring: Keyring) -> None:
    key = await keyring.current(*CARD)
    sealer = key.sealer(Algorithm.A256CBC_HS512, "card")
    assert key.sealer(Algorithm.A256CBC_HS512, "card") is sealer
    place = Place(
        Algorithm.A256CBC_HS512, Mode.TEST, MerchantId("mer_1"), "tok_1", "number", 1, "card"
    )
    same = (await keyring.version(*CARD, 1)).sealer(Algorithm.A256CBC_HS512, "card")
    assert same.open(sealer.seal(b"4242424242424242", place), place) == b"4242424242424242"
    assert repr(key) == "DataKey(version=1, secret=Secret(***))"


class _Between(MemoryDataKeyTable):
    """A table in which somebody else does something between a rotation's reading and its writing."""

    def __init__(self, between: Callable[[], Awaitable[object]]) -> None:
        super().__init__()
        self._between = between
        self.armed = False

    async def replace(
        self, new: DataKeyRow, before: DataKeyRow, mac_before: bytes, within: Within | None = None
    ) -> DataKeyRow | None:
        if self.armed:
            self.armed = False
            await self._between()
        return await super().replace(new, before, mac_before, within)


async def test_a_rotation_keeps_what_was_wrapped_anew_meanwhile(store: FakeKeyStore) -> None:
    async def rewrap() -> None:
        assert await other.rewrap(table.rows[V1])

    table = _Between(rewrap)
    keyring, other = await started(store, table), await started(store, table)
    first = await secret(keyring)
    wrapped, table.armed = table.rows[V1].wrapped, True
    assert (await keyring.rotate(*CARD)).version == 2
    assert table.rows[V1].state is KeyState.RETIRING
    assert table.rows[V1].wrapped != wrapped, "what the rewrap has put stays"
    assert (await other.version(*CARD, 1)).secret.expose() == first


async def test_a_rotation_makes_nothing_after_what_was_destroyed_meanwhile(
    store: FakeKeyStore,
) -> None:
    async def destroy() -> None:
        await other.destroy(*CARD, 1)

    table = _Between(destroy)
    keyring, other = await started(store, table), await started(store, table)
    await keyring.current(*CARD)
    table.armed = True
    with pytest.raises(DataKeyDestroyed):
        await keyring.rotate(*CARD)
    assert V2 not in table.rows
