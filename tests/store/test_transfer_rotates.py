# SPDX-License-Identifier: Apache-2.0
"""The key `transfer` is rotated: import keys and pieces of uploads move and open, and the old version is destroyed."""

from datetime import timedelta

import pytest

from contracts.fakes import FakeKeyStore
from database import Databases
from residence import AtHome
from store.rights import row_of
from store.rotation_ground import Ground
from strongroom.audit import Origin
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.kernel.ids import ImportId, TokenId
from strongroom.keys import DataKeyDestroyed, KeyInUse, KeyName
from strongroom.vault.canary import hear_canary, put_canary, reseal_canary
from strongroom.vault.finding import Caller
from strongroom.vault.transfer.opening import ImportKeys
from strongroom.vault.work.model import JobState

RETIRED = timedelta(minutes=10, seconds=1)
PIECES = 20


@pytest.fixture(scope="module")
def key_store() -> FakeKeyStore:
    """The roots of this module's databases."""
    return FakeKeyStore()


@pytest.fixture
def ground(databases: Databases, key_store: FakeKeyStore) -> Ground:
    return Ground(databases, key_store)


async def test_import_keys_and_pieces_move_and_the_old_version_is_destroyed(ground: Ground) -> None:
    process = await ground.process(page_rows=3)
    keys = ImportKeys(process.database, process.keyring, AtHome(), process.recorder, ground.clock)
    made = [await keys.make(Caller(ground.principal, Origin())) for _ in range(7)]
    before = await keys.opened(ground.merchant, ground.mode)
    upload = ImportId(new_id("imp"))
    for begins in range(0, PIECES * 100, 100):
        content = f"piece {begins}".encode()
        sealed, version = await keys.seal_piece(
            ground.merchant, ground.mode, upload, begins, content
        )
        assert version == 1
        await ground.look(
            "insert into vault.import_piece values ($1, $2, $3, $4, $5, $6)",
            ground.merchant, ground.mode, upload, begins, sealed, version,
        )  # fmt: skip
    digest = await keys.digest_key(ground.merchant, ground.mode)
    rotated = await process.rotation.rotate(ground.by, KeyName.TRANSFER)
    assert (rotated.version, bool(rotated.job_id)) == (2, True)
    assert await process.rotation.stored(ground.merchant, ground.mode, KeyName.TRANSFER) == {
        1: (len(made) + PIECES, ["A256CBC-HS512"])
    }
    again = await keys.digest_key(ground.merchant, ground.mode)
    assert again.expose() == digest.expose(), (
        "digests compare for as long as the first version lives"
    )
    job = await ground.done(process, rotated.job_id)
    assert job.state is JobState.DONE
    assert job.result == {"resealed": len(made) + PIECES, "unreadable": 0}
    assert await process.rotation.stored(ground.merchant, ground.mode, KeyName.TRANSFER) == {
        2: (len(made) + PIECES, ["A256CBC-HS512"])
    }
    after = await keys.opened(ground.merchant, ground.mode)
    assert [each.expose() for each in after.pgp] == [each.expose() for each in before.pgp]
    for row in await ground.look(
        "select * from vault.import_piece where import_id = $1 order by begins", upload
    ):
        clear = await keys.open_piece(
            ground.merchant, ground.mode, upload, row["begins"], row["sealed"], row["key_version"]
        )
        assert clear == f"piece {row['begins']}".encode()

    ground.clock.step(RETIRED)
    await process.keyring.look()
    await ground.databases.run(Domain.VAULT, row_of("vault.import", ground.merchant))
    with pytest.raises(KeyInUse):  # its digest may be keyed with it
        await process.rotation.destroy(ground.by, KeyName.TRANSFER, 1)
    await ground.look(
        "update vault.import set state = 'done' where merchant_id = $1", ground.merchant
    )
    await process.rotation.destroy(ground.by, KeyName.TRANSFER, 1)
    with pytest.raises(DataKeyDestroyed):
        await process.keyring.version(ground.merchant, ground.mode, KeyName.TRANSFER, 1)
    assert len((await keys.opened(ground.merchant, ground.mode)).pgp) == len(made)
    now = await keys.digest_key(ground.merchant, ground.mode)
    assert now.expose() != digest.expose(), "and no longer"


async def test_the_canary_moves_with_the_platforms_key(ground: Ground) -> None:
    process = await ground.process()
    await put_canary(process.database, process.keyring, ground.clock)
    assert await reseal_canary(process.database, process.keyring) == 1
    await process.keyring.rotate("", "", KeyName.CARD)
    await hear_canary(process.database, process.keyring)
    assert await reseal_canary(process.database, process.keyring) == 2
    rows = await ground.look("select key_version from vault.canary")
    assert [row["key_version"] for row in rows] == [2]
    await hear_canary(process.database, process.keyring)
    await process.keyring.destroy("", "", KeyName.CARD, 1)
    await hear_canary(process.database, process.keyring)


async def test_a_card_is_no_business_of_it(ground: Ground) -> None:
    """Rotating `transfer` moves no card."""
    process = await ground.process()
    (token,) = await ground.fill(process, 1, 1)
    await process.rotation.rotate(ground.by, KeyName.TRANSFER)
    rotated = await process.rotation.rotate(ground.by, KeyName.TRANSFER)
    await ground.done(process, rotated.job_id)
    assert await ground.versions() == {1: 1}
    assert await ground.opened(process, TokenId(token))
