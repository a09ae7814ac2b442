# SPDX-License-Identifier: Apache-2.0
"""Denials in the audit log: the first at once, the rest counted; bounded; nothing lost while the database is away."""

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from database import Server
from store.audit_ground import Ground, grounded
from strongroom.audit import Action, AuditRecord, Outcome
from strongroom.audit.denials import WAITING_MAX, WINDOW_SECONDS, WINDOWS_MAX, DenialLog
from strongroom.audit.record import decode, salted
from strongroom.db.logins import Domain
from strongroom.kernel.errors import Unavailable

HASH = "ab" * 32
LATER = "cd" * 32
ADDRESS = "203.0.113.7"


@pytest_asyncio.fixture(loop_scope="session")
async def ground(server: Server, tmp_path: Path) -> AsyncIterator[Ground]:
    async with grounded(server, tmp_path) as made:
        yield made


@pytest.fixture
def denials(ground: Ground) -> DenialLog:
    return DenialLog(ground.app, ground.recorder, ground.clock)


async def written(ground: Ground) -> list[AuditRecord]:
    """Every denial on record, in order of the ids."""
    payloads = await ground.value(
        "select coalesce(array_agg(payload order by xmin::text::bigint, ctid), '{}') from audit.event"
        " where merchant_id = 'platform' and mode = ''"
    )
    return [decode(payload) for payload in payloads]


def facts(record: AuditRecord) -> Mapping[str, Any]:
    return record.details


async def test_the_first_is_written_at_once(ground: Ground, denials: DenialLog) -> None:
    denials.note(ADDRESS, "revoked", HASH, "vault")
    assert await denials.flush() == 1
    (record,) = await written(ground)
    assert (record.action, record.outcome) == (Action.HTTP_REQUEST_DENIED, Outcome.DENIED)
    assert (record.actor, record.object, record.merchant) == ("anonymous", "listener:vault", None)
    assert record.request_hash == HASH
    assert record.details == {"count": 1, "reason": "revoked", "window_seconds": 0}
    # The address itself is in the erasable table only; the record holds its salted hash.
    salt = await ground.value("select salt from audit.address where address = $1", ADDRESS)
    assert record.origin == salted(salt, ADDRESS)
    assert ADDRESS.encode() not in await ground.value("select payload from audit.event")


async def test_what_follows_within_ten_seconds_is_one_record(
    ground: Ground, denials: DenialLog
) -> None:
    for _ in range(50):
        denials.note(ADDRESS, "unknown", HASH, "vault")
    denials.note(ADDRESS, "unknown", LATER, "vault")
    assert await denials.flush() == 1
    ground.stepped.step(timedelta(seconds=WINDOW_SECONDS - 1))
    assert await denials.flush() == 0
    ground.stepped.step(timedelta(seconds=1))
    assert await denials.flush() == 1
    first, rest = await written(ground)
    assert facts(first)["count"] == 1
    assert facts(rest) == {"count": 50, "reason": "unknown", "window_seconds": WINDOW_SECONDS}
    assert rest.request_hash == LATER


async def test_a_flood_is_one_record_every_ten_seconds(ground: Ground, denials: DenialLog) -> None:
    for _ in range(60):
        for _ in range(100):
            denials.note(ADDRESS, "unknown", HASH, "vault")
        ground.stepped.step(timedelta(seconds=1))
        await denials.flush()
    counts = [facts(record)["count"] for record in await written(ground)]
    assert sum(counts) <= 6_000
    assert len(counts) == 7  # the first, and one for each ten seconds
    await denials.flush(final=True)
    assert sum(facts(record)["count"] for record in await written(ground)) == 6_000


async def test_whoever_stopped_for_a_while_is_new_again(ground: Ground, denials: DenialLog) -> None:
    denials.note(ADDRESS, "unknown", HASH, "vault")
    await denials.flush()
    ground.stepped.step(timedelta(seconds=2 * WINDOW_SECONDS))
    assert await denials.flush() == 0
    denials.note(ADDRESS, "unknown", HASH, "vault")
    assert await denials.flush() == 1


@pytest.mark.parametrize(
    ("other", "records"),
    [
        ((ADDRESS, "unknown", HASH, "vault"), 1),
        ((ADDRESS, "revoked", HASH, "vault"), 2),
        (("203.0.113.8", "unknown", HASH, "vault"), 2),
        ((ADDRESS, "unknown", HASH, "gateway"), 2),
        ((ADDRESS, "unknown", LATER, "vault"), 1),
    ],
    ids=["the same", "another reason", "another address", "another listener", "another request"],
)
async def test_what_is_counted_together(
    denials: DenialLog, other: tuple[str, str, str, str], records: int
) -> None:
    denials.note(ADDRESS, "unknown", HASH, "vault")
    denials.note(*other)
    assert await denials.flush() == records


async def test_a_reason_that_is_no_word_of_ours_is_not_recorded(
    ground: Ground, denials: DenialLog
) -> None:
    denials.note(ADDRESS, "4242424242424242", HASH, "vault")
    await denials.flush()
    (record,) = await written(ground)
    assert facts(record)["reason"] == "other"


async def test_memory_does_not_grow_with_addresses(ground: Ground, denials: DenialLog) -> None:
    for number in range(WINDOWS_MAX + 500):
        denials.note(f"2001:db8::{number:x}", "unknown", HASH, "vault")
    assert denials.waiting <= WAITING_MAX + 1
    async with ground.databases.server.away(ground.databases.names[Domain.VAULT]):
        with pytest.raises(Unavailable):
            await denials.flush()
    assert denials.waiting <= WAITING_MAX + 1
    ground.stepped.step(timedelta(seconds=WINDOW_SECONDS))
    await denials.flush()
    records = await written(ground)
    # The addresses that were one too many are counted, without being named.
    assert sum(facts(record)["count"] for record in records) == WINDOWS_MAX + 500
    assert sum(facts(record)["count"] for record in records if record.origin is None) == 500


async def test_nothing_is_lost_while_the_database_is_away(
    ground: Ground, denials: DenialLog
) -> None:
    noted = 0
    async with ground.databases.server.away(ground.databases.names[Domain.VAULT]):
        for minute in range(6):
            for number in range(WAITING_MAX // 3):
                denials.note(f"2001:db8:{minute}::{number:x}", "unknown", HASH, "vault")
                noted += 1
            ground.stepped.step(timedelta(seconds=60))
            with pytest.raises(Unavailable):
                await denials.flush()
        assert denials.waiting <= WAITING_MAX + 1
    await denials.flush(final=True)
    records = await written(ground)
    assert sum(facts(record)["count"] for record in records) == noted
    assert denials.waiting == 0
    crowd = [record for record in records if record.origin is None]
    assert len(crowd) == 1
    assert facts(crowd[0])["window_seconds"] >= 60


async def test_denials_are_sealed_like_everything_else(ground: Ground, denials: DenialLog) -> None:
    denials.note(ADDRESS, "unknown", HASH, "vault")
    await denials.flush()
    assert (await (await ground.sealer()).seal_once()).sealed >= 1
