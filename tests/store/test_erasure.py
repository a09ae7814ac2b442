# SPDX-License-Identifier: Apache-2.0
"""Erasure on the real database: deleted rows, destroyed keys, and survivors that open; nothing else is destroyed."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from contracts.fakes import FakeKeyStore
from database import Databases
from store.erasing import KEY_BACKUP_DAYS, RETIRED, Eraser, driver_of, eraser_on
from store.rotation_ground import Ground, number
from store.telling import told
from strongroom.db.logins import Domain
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.errors import Invalid
from strongroom.kernel.ids import TokenId
from strongroom.kernel.mode import Mode
from strongroom.keys import DataKeyDestroyed, KeyName
from strongroom.vault.erasure.driver import _OF_A_MERCHANT
from strongroom.vault.erasure.errors import ErasureUnknown, NothingToErase
from strongroom.vault.erasure.model import GATHERING, RESEAL_AGAIN, ErasureState, Scope
from strongroom.vault.errors import MerchantErased, TokenUnknown
from strongroom.vault.rotation.model import ROTATABLE


@pytest.fixture(scope="module")
def store() -> FakeKeyStore:
    """The roots of this module's databases."""
    return FakeKeyStore()


@pytest_asyncio.fixture(loop_scope="session")
async def eraser(databases: Databases, store: FakeKeyStore) -> Eraser:
    await databases.run(Domain.VAULT, "truncate vault.job, vault.erasure")
    return await eraser_on(databases, store)


async def test_an_erased_card_opens_in_no_copy_and_the_others_open(eraser: Eraser) -> None:
    ground, process = eraser.ground, eraser.process
    erased, kept = await ground.fill(process, 1, 2, deduplicate=True)
    ((sealed, version),) = await ground.look(
        "select sealed_number, key_version from vault.token where token_id = $1", erased
    )
    begun = ground.clock.now()
    made = await eraser.erasures.erase_token(eraser.caller, erased, at_once=False)
    assert (made.state, made.tokens, made.key_version) == (ErasureState.WAITING, 1, 1)
    assert made.complete_at == begun + GATHERING + timedelta(hours=1, days=KEY_BACKUP_DAYS)
    assert await eraser.identities() == 1, "the card's identity goes with it"
    with pytest.raises(TokenUnknown):
        await eraser.erasures.erase_token(eraser.caller, erased, at_once=False)
    await eraser.finish()
    assert await eraser.states() == [(Scope.TOKEN, ErasureState.WAITING, 1)], "others may join"
    ground.clock.step(GATHERING)
    await eraser.finish()
    done = await eraser.erasures.read(ground.merchant, ground.mode, made.erasure_id)
    assert done.state is ErasureState.DESTROYED
    assert done.destroyed_at is not None
    assert done.complete_at == done.destroyed_at + timedelta(days=KEY_BACKUP_DAYS)
    assert not done.complete(ground.clock.now())
    assert done.complete(done.complete_at)
    with pytest.raises(DataKeyDestroyed):  # whoever has a copy of the row
        await process.sealer.open_number(
            bytes(sealed),
            mode=ground.mode,
            merchant=ground.merchant,
            token=TokenId(erased),
            key_version=version,
        )
    assert await ground.opened(process, kept) == number(2)
    assert [each for each in await eraser.actions() if "created" not in each] == [
        "vault.erasure.requested",
        "vault.token.deleted",
        "keys.data_key.rotated",
        "vault.reseal.started",
        "vault.reseal.ended",
        "keys.data_key.destroyed",
        "vault.erasure.completed",
    ]


async def test_one_rotation_serves_all_that_wait(eraser: Eraser) -> None:
    ground, process = eraser.ground, eraser.process
    tokens = await ground.fill(process, 1, 4)
    await eraser.erasures.erase_token(eraser.caller, tokens[0], at_once=False)
    await eraser.erasures.erase_token(eraser.caller, tokens[1], at_once=True)
    await ground.delete(process, tokens[2])  # an ordinary deletion is scheduled too
    assert {scope for scope, *_ in await eraser.states()} == {Scope.TOKEN, Scope.DELETED}
    ground.clock.step(timedelta(days=30))
    await eraser.finish()
    assert {state for _, state, _ in await eraser.states()} == {ErasureState.DESTROYED}
    assert (await eraser.actions()).count("keys.data_key.rotated") == 1
    assert await ground.opened(process, tokens[3]) == number(4)


async def test_whatever_deletes_is_scheduled_once_for_all(eraser: Eraser) -> None:
    ground, process = eraser.ground, eraser.process
    tokens = await ground.fill(process, 1, 3)
    for token in tokens:
        await ground.delete(process, token)
    assert await eraser.states() == [(Scope.DELETED, ErasureState.WAITING, 3)]


async def test_a_customer_is_erased_whole(eraser: Eraser) -> None:
    ground, process = eraser.ground, eraser.process
    tokens = await ground.fill(process, 1, 3)
    await ground.databases.run(
        Domain.VAULT,
        "update vault.token set metadata = jsonb_build_object('customer', 'c-17')"
        f" where token_id in ('{tokens[0]}', '{tokens[2]}')",
    )
    with pytest.raises(NothingToErase):
        await eraser.erasures.erase_customer(eraser.caller, "c-18", at_once=True)
    made = await eraser.erasures.erase_customer(eraser.caller, "c-17", at_once=True)
    assert (made.scope, made.tokens) == (Scope.CUSTOMER, 2)
    assert await ground.versions() == {1: 1}
    await eraser.finish()
    assert await eraser.states() == [(Scope.CUSTOMER, ErasureState.DESTROYED, 2)]
    assert await ground.opened(process, tokens[1]) == number(2)


async def test_a_merchant_is_erased_by_its_keys_and_takes_no_card_afterwards(
    eraser: Eraser,
) -> None:
    ground, process = eraser.ground, eraser.process
    (token, *_) = await ground.fill(process, 1, 700)
    ((sealed, version),) = await ground.look(
        "select sealed_number, key_version from vault.token where token_id = $1", token
    )
    with pytest.raises(Invalid):
        await eraser.erasures.erase_merchant(eraser.caller, "mer_of_another")
    await eraser.erasures.erase_merchant(eraser.caller, ground.merchant)
    await eraser.driver.advance()
    with pytest.raises(DataKeyDestroyed):
        await process.sealer.open_number(
            bytes(sealed),
            mode=ground.mode,
            merchant=ground.merchant,
            token=TokenId(token),
            key_version=version,
        )
    with pytest.raises(MerchantErased):
        await ground.fill(process, 9_000, 1)
    await eraser.run_jobs()
    assert await ground.versions() == {}
    assert await eraser.states() == [(Scope.MERCHANT, ErasureState.DESTROYED, 0)]
    assert (await eraser.actions()).count("keys.data_key.destroyed") == 3
    assert (await eraser.actions()).count("vault.token.deleted") == 2, "one a page"


async def test_what_a_container_keeps_too_long_is_deleted(eraser: Eraser) -> None:
    ground, process = eraser.ground, eraser.process
    old = await ground.fill(process, 1, 3)
    await ground.databases.run(
        Domain.VAULT,
        "insert into vault.container (merchant_id, mode, name, retention_days, created_by, created_at, updated_at)"
        f" values ('{ground.merchant}', 'test', 'default', 30, 'tests', now(), now())",
    )
    made = await ground.look("select max(token_id) from vault.token where token_id = $1", old[-1])
    assert made
    # Ids carry the time of the machine: what is old is what lies thirty days before this ground's clock.
    ground.clock.step(timedelta(days=60))
    assert await eraser.driver.begin_retention() == 1
    assert await eraser.driver.begin_retention() == 0, "one at a time, and once a day"
    await eraser.run_jobs()
    assert await ground.versions() == {}
    assert await eraser.states() == [(Scope.DELETED, ErasureState.WAITING, 3)]
    ground.clock.step(timedelta(days=1))
    assert await eraser.driver.begin_retention() == 1


async def altered(eraser: Eraser, token: str) -> None:
    """Change a byte of a sealed number; a second time, it is as it was."""
    await eraser.ground.databases.run(
        Domain.VAULT,
        "update vault.token set sealed_number = set_byte(sealed_number, 20, 255 - get_byte(sealed_number, 20))"
        f" where token_id = '{token}'",
    )


def alerts(eraser: Eraser) -> list[dict[str, Any]]:
    lines = [msgspec.json.decode(line) for line in eraser.process.lines.lines]
    return [line for line in lines if line["event_type"] == "vault.erasure.held"]


async def test_a_survivor_that_does_not_move_keeps_its_key(eraser: Eraser) -> None:
    """An altered row cannot be sealed anew: its key is not destroyed, and the erasure says why it waits."""
    ground, process = eraser.ground, eraser.process
    erased, kept = await ground.fill(process, 1, 2)
    await altered(eraser, kept)
    made = await eraser.erasures.erase_token(eraser.caller, erased, at_once=True)
    await eraser.finish()
    waits = await eraser.erasures.read(ground.merchant, ground.mode, made.erasure_id)
    assert (waits.state, waits.problem) == (ErasureState.ROTATING, "rows_unreadable")
    (alert,) = alerts(eraser)
    assert (alert["level"], alert["object_id"], alert["rows"]) == ("error", made.erasure_id, 1)
    await ground.delete(process, kept)  # somebody looked at it
    await eraser.finish()
    ended = await eraser.erasures.read(ground.merchant, ground.mode, made.erasure_id)
    assert (ended.state, ended.problem) == (ErasureState.DESTROYED, None)


async def test_what_does_not_open_is_sealed_anew_every_few_hours_and_no_more(
    eraser: Eraser,
) -> None:
    """Each re-seal reads all of a merchant's cards, and is a job and two records."""
    ground, process = eraser.ground, eraser.process
    erased, kept, _ = await ground.fill(process, 1, 3)
    await altered(eraser, kept)
    made = await eraser.erasures.erase_token(eraser.caller, erased, at_once=True)
    beginning = ground.clock.now()
    while ground.clock.now() < beginning + RESEAL_AGAIN:
        await eraser.finish()
    assert (await eraser.actions()).count("vault.reseal.started") == 1
    await eraser.finish()
    assert (await eraser.actions()).count("vault.reseal.started") == 2, "perhaps it was mended"
    assert len(alerts(eraser)) == 2
    await altered(eraser, kept)  # from a backup, say
    await process.rotation.reseal(ground.by, KeyName.CARD)  # does not wait for hours
    await eraser.finish()
    ended = await eraser.erasures.read(ground.merchant, ground.mode, made.erasure_id)
    assert (ended.state, ended.problem) == (ErasureState.DESTROYED, None)
    assert await ground.opened(process, kept) == number(2)


async def test_what_was_mended_needs_nobody_to_begin_a_reseal(eraser: Eraser) -> None:
    ground, process = eraser.ground, eraser.process
    erased, kept = await ground.fill(process, 1, 2)
    await altered(eraser, kept)
    await eraser.erasures.erase_token(eraser.caller, erased, at_once=True)
    await eraser.finish()
    await altered(eraser, kept)
    ground.clock.step(RESEAL_AGAIN)
    await eraser.finish()
    assert await eraser.states() == [(Scope.TOKEN, ErasureState.DESTROYED, 1)]
    assert await ground.opened(process, kept) == number(2)


async def test_two_drivers_do_it_once(eraser: Eraser) -> None:
    ground, process = eraser.ground, eraser.process
    (token,) = await ground.fill(process, 1, 1)
    await eraser.erasures.erase_token(eraser.caller, token, at_once=True)
    other = await ground.process()
    second = driver_of(other)
    for _ in range(4):
        await eraser.driver.advance()
        await second.advance()
        await eraser.run_jobs()
        ground.clock.step(RETIRED)
        await process.keyring.look()
        await other.keyring.look()
    assert await eraser.states() == [(Scope.TOKEN, ErasureState.DESTROYED, 1)]
    assert (await eraser.actions()).count("vault.erasure.completed") == 1
    assert (await eraser.actions()).count("keys.data_key.rotated") == 1


async def test_another_tenants_erasure_is_not_there(eraser: Eraser) -> None:
    ground, process = eraser.ground, eraser.process
    (token,) = await ground.fill(process, 1, 1)
    made = await eraser.erasures.erase_token(eraser.caller, token, at_once=True)
    stranger = Ground(ground.databases, ground.store)
    with pytest.raises(ErasureUnknown):
        await eraser.erasures.read(stranger.merchant, ground.mode, made.erasure_id)
    assert await eraser.erasures.list(stranger.merchant, ground.mode, None, 10) == ([], None)


def test_keys_of_a_merchant_are_all_that_the_vault_has_of_it() -> None:
    """Whatever data key a merchant gets in the vault's database is destroyed with the merchant."""
    assert set(_OF_A_MERCHANT) >= ROTATABLE
    assert KeyName.CARD in _OF_A_MERCHANT


async def test_an_erasure_is_told_once_when_its_keys_are_destroyed(eraser: Eraser) -> None:
    ground = eraser.ground
    erased, _ = await ground.fill(eraser.process, 1, 2)
    made = await eraser.erasures.erase_token(eraser.caller, erased, at_once=True)
    assert not await told(ground.look, ground.merchant), "the key that sealed it still opens copies"
    await eraser.finish()
    # Another process that saw it as it was before finds that it has moved on.
    await driver_of(eraser.process)._end(made)
    done = await eraser.erasures.read(ground.merchant, ground.mode, made.erasure_id)
    (heard,) = await told(ground.look, ground.merchant)
    assert (heard.type, heard.object_id, heard.mode) == (
        "erasure.completed",
        made.erasure_id,
        Mode.TEST.value,
    )
    assert done.destroyed_at is not None
    assert (heard.data["scope"], heard.data["tokens"], heard.data["state"]) == (
        "token",
        1,
        "destroyed",
    )
    assert heard.data["destroyed_at"] == rfc3339(done.destroyed_at)
    assert heard.data["complete_at"] == rfc3339(done.complete_at)
    assert done.complete_at == done.destroyed_at + timedelta(days=KEY_BACKUP_DAYS)
    assert heard.data["complete_at_is_final"] is True
