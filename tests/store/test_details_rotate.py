# SPDX-License-Identifier: Apache-2.0
"""What is sealed beside numbers moves to a new key as numbers do, keeps that key in use, and opens afterwards."""

import json
from datetime import timedelta
from typing import Final

import pytest
import pytest_asyncio

from contracts.fakes import FakeKeyStore
from database import Databases
from store.rotation_ground import Ground, Process, number
from strongroom.audit import Origin
from strongroom.crypto import Algorithm
from strongroom.crypto.aead import VERSION_BYTES
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.keys import KeyInUse, KeyName
from strongroom.vault.details import FIELDS
from strongroom.vault.finding import Caller
from strongroom.vault.wire import (
    BillingAddress,
    CardIn,
    NetworkTokenIn,
    StoredCredential,
    TokenIn,
)
from strongroom.vault.wishes import Asked
from strongroom.vault.work.model import JobState

RETIRED: Final = timedelta(minutes=10, seconds=1)


@pytest.fixture(scope="module")
def store() -> FakeKeyStore:
    """The roots of this module's databases."""
    return FakeKeyStore()


@pytest_asyncio.fixture(loop_scope="session")
async def ground(databases: Databases, store: FakeKeyStore) -> Ground:
    await databases.run(Domain.VAULT, "truncate vault.job")
    return Ground(databases, store)


async def token(ground: Ground, process: Process, card: int) -> str:
    """Make a token with everything beside its number."""
    wish = TokenIn(
        card=CardIn(number(card), 12, 2034),
        holder=f"Holder {card}",
        billing_address=BillingAddress("AE", city="Dubai"),
        network_token=NetworkTokenIn("40010030273", "05", "AgAAAAAAAIR8CQrXcIhbQAAAAAA="),
        stored_credential=StoredCredential("customer"),
    )
    asked = Asked(ground.principal, Origin(), new_id("req"), ground.clock.now(), new_id("req"))
    return str(json.loads((await process.maker.create(wish, asked)).answer)["id"])


async def holder(ground: Ground, process: Process, name: str) -> str | None:
    seen = await process.tokens.read(Caller(ground.principal, Origin()), name)
    assert seen.details is not None
    return seen.details.holder


async def versions(ground: Ground) -> dict[tuple[int, int], int]:
    """How many details are sealed under each version and algorithm."""
    rows = await ground.look(
        "select key_version, get_byte(sealed, 0), count(*) from vault.token_detail"
        " where merchant_id = $1 group by 1, 2",
        ground.merchant,
    )
    return {(row[0], row[1]): row[2] for row in rows}


async def test_details_move_to_the_new_key(ground: Ground) -> None:
    process = await ground.process(page_rows=7)  # pages end between the fields of one token
    made = [await token(ground, process, card) for card in range(1, 9)]
    rows = len(made) * len(FIELDS)
    assert await versions(ground) == {(1, 1): rows}
    rotated = await process.rotation.rotate(ground.by, KeyName.CARD)
    job = await ground.done(process, rotated.job_id)
    assert job.state is JobState.DONE
    assert job.result == {"resealed": rows + len(made), "unreadable": 0}
    assert await versions(ground) == {(2, 1): rows}
    for card, name in enumerate(made, start=1):
        assert await holder(ground, process, name) == f"Holder {card}"


async def test_a_key_that_seals_only_a_detail_is_in_use(ground: Ground) -> None:
    process = await ground.process()
    name = await token(ground, process, 1)
    await process.rotation.rotate(ground.by, KeyName.CARD)
    await ground.look(
        "update vault.token set key_version = 2 where merchant_id = $1", ground.merchant
    )
    ground.clock.step(RETIRED)
    await process.keyring.look()
    with pytest.raises(KeyInUse):
        await process.rotation.destroy(ground.by, KeyName.CARD, 1)
    assert name


async def found(ground: Ground, process: Process) -> list[str]:
    """With what the inventory says that stored cards are sealed."""
    (card,) = [
        view
        for view in await process.rotation.inventory(ground.merchant, ground.mode)
        if view.row.name == KeyName.CARD
    ]
    return list(card.algorithms)


async def test_the_inventory_says_what_stored_cards_are_sealed_with(ground: Ground) -> None:
    """Whatever the setting is; and what lies beside them, too."""
    process = await ground.process()
    await token(ground, process, 1)
    assert await found(ground, process) == ["A256CBC-HS512"]
    begun = await process.rotation.reseal(ground.by, KeyName.CARD, algorithm=Algorithm.A256GCM)
    await ground.done(process, begun.job_id)
    assert process.rotation.algorithm is Algorithm.A256CBC_HS512
    assert await found(ground, process) == ["A256GCM"]
    for byte, other in ((1, "A256CBC-HS512"), (9, "unknown")):
        await ground.look(
            "update vault.token_detail set sealed = set_byte(sealed, 0, $2)"
            " where merchant_id = $1 and field = 'holder'",
            ground.merchant,
            byte,
        )
        assert await found(ground, process) == sorted(["A256GCM", other])
    await ground.fill(process, 2, 1)
    assert await found(ground, process) == ["A256CBC-HS512", "A256GCM", "unknown"]
    views = await process.rotation.inventory(ground.merchant, ground.mode)
    assert {view.row.name: (view.uses, list(view.algorithms)) for view in views} == {
        "card": (2, ["A256CBC-HS512", "A256GCM", "unknown"]),
        "fingerprint": (0, []),
        "idempotency": (None, []),
    }


async def test_details_move_to_another_algorithm(ground: Ground) -> None:
    before = await ground.process()
    name = await token(ground, before, 1)
    after = await ground.process(Algorithm.A256GCM)
    assert await holder(ground, after, name) == "Holder 1", "either opens"
    rotated = await after.rotation.rotate(ground.by, KeyName.CARD)
    await ground.done(after, rotated.job_id)
    assert await versions(ground) == {(2, VERSION_BYTES[Algorithm.A256GCM]): len(FIELDS)}
    assert await holder(ground, after, name) == "Holder 1"
    new = await token(ground, after, 2)
    assert await holder(ground, before, new) == "Holder 2"
