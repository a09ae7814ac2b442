# SPDX-License-Identifier: Apache-2.0
"""What imports tell of stored cards is paid for as a search is; what a dry run finds, and leaves behind."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pysequoia
import pytest
import pytest_asyncio

from database import Databases
from store.transfer_ground import CSV, Ground, Parts, csv_file, filled, ground_of
from strongroom.crypto import hmac_sha256, sha256
from strongroom.http.rate_limit import Rate, TooMany
from strongroom.kernel.mode import Mode
from strongroom.kernel.schemes import synthetic_number
from strongroom.keys import KeyName
from strongroom.vault.finding import Caller
from strongroom.vault.search.limiter import NUMBER_RATE, NumberLimiter
from strongroom.vault.transfer import chunks, ending
from strongroom.vault.transfer.errors import ImportSlowed
from strongroom.vault.transfer.model import CHUNK_ROWS, Encryption, Import, ImportState, ImportWish
from strongroom.vault.transfer.store import RowResult

TRY = replace(CSV, dry_run=True)
HEADER = b"number,exp_month,exp_year\n"


@dataclass
class Seconds:
    """A process's clock that moves when told to."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest_asyncio.fixture(loop_scope="session")
async def ground(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ground]:
    async with ground_of(databases, tmp_path_factory.mktemp("transfer")) as ground:
        yield ground


def limited(ground: Ground, rate: Rate = NUMBER_RATE) -> tuple[Parts, NumberLimiter, Seconds]:
    """Parts of a process with a limiter that moves when told to; their caller is always the same."""
    seconds = Seconds()
    numbers = NumberLimiter(rate, seconds)
    parts = Parts(ground.parts.database, ground.parts.keyring, ground.merchant, numbers=numbers)
    return parts, numbers, seconds


def rows_of(*serials: int) -> bytes:
    return "".join(f"{synthetic_number(n)},12,2034\n" for n in serials).encode()


async def results(parts: Parts, of: Import) -> list[RowResult]:
    found: list[RowResult] = []
    while part := await parts.imports.results(parts.caller.principal, of.import_id, len(found)):
        found += part.results
    return found


async def fed(
    parts: Parts, who: Caller, of: Import, content: bytes, seconds: Seconds, size: int = 1_000_000
) -> list[int]:
    """Send a file on, waiting as long as one is told to; return how long that was, each time."""
    waited: list[int] = []
    while True:
        at = await parts.imports.read(parts.merchant, Mode.TEST, of.import_id)
        if at.state is not ImportState.OPEN:
            return waited
        part = content[at.received : at.received + size]
        last = at.received + len(part) == len(content)
        try:
            await parts.imports.take(who, of.import_id, at.received, part, last=last)
        except ImportSlowed as slowed:
            waited.append(slowed.better_after_seconds)
            seconds.now += slowed.better_after_seconds


# --- what is paid for --------------------------------------------------------------------------------


async def test_cards_that_are_stored_are_paid_for_with_searches(ground: Ground) -> None:
    await filled(ground, 60)
    parts, numbers, seconds = limited(ground)
    who = parts.caller
    of = await parts.imports.begin(who, CSV)
    await fed(parts, who, of, csv_file(1, 60), seconds)
    with pytest.raises(TooMany):
        numbers.ask(who.principal.subject)
    seconds.now += 1  # of sixty fifty were there: ten are owed, at five a second
    with pytest.raises(TooMany):
        numbers.ask(who.principal.subject)
    seconds.now += 1.5
    numbers.ask(who.principal.subject)
    numbers.ask(parts.caller.principal.subject)  # nobody else pays


async def test_an_import_of_stored_cards_goes_on_more_slowly_and_tells_the_truth(
    ground: Ground,
) -> None:
    """Nothing of a chunk is told, and nothing of it is kept, until what was told before is paid for."""
    stored = 3 * CHUNK_ROWS
    await filled(ground, stored)
    parts, _, seconds = limited(ground)
    who, began = parts.caller, seconds.now
    of = await parts.imports.begin(who, CSV)
    waited = await fed(parts, who, of, csv_file(1, stored + 1_000), seconds)
    ended = await parts.imports.read(ground.merchant, Mode.TEST, of.import_id)
    assert (ended.counts.created, ended.counts.duplicates) == (1_000, stored)
    # Each chunk waits for what the one before has overdrawn, the last one too, although all of it is new.
    assert waited == [(CHUNK_ROWS - 50) // 5, CHUNK_ROWS // 5, CHUNK_ROWS // 5]
    assert seconds.now - began == sum(waited)
    found = await results(parts, of)
    assert [each.status for each in found] == ["duplicate"] * stored + ["created"] * 1_000
    assert await ground.tokens() == stored + 1_000


async def test_a_chunk_that_may_not_be_told_is_not_told_by_halves(ground: Ground) -> None:
    await filled(ground, 100)
    parts, numbers, _ = limited(ground)
    who = parts.caller
    numbers.charge(who.principal.subject, 51)
    of = await parts.imports.begin(who, CSV)
    content = HEADER + rows_of(200, 1, 201)
    with pytest.raises(ImportSlowed):
        await parts.imports.take(who, of.import_id, 0, content, last=True)
    at = await parts.imports.read(ground.merchant, Mode.TEST, of.import_id)
    assert (at.state, at.received, at.counts.rows) == (ImportState.OPEN, 0, 0)
    assert await results(parts, of) == []
    assert await ground.tokens() == 100


@pytest.mark.parametrize("wish", [CSV, TRY])
async def test_whoever_owes_something_is_told_nothing_whatever_they_send(
    ground: Ground, wish: ImportWish
) -> None:
    await filled(ground, 1)
    parts, numbers, _ = limited(ground)
    who = parts.caller
    numbers.charge(who.principal.subject, 51)
    waits = set()
    for rows in (rows_of(1), rows_of(200), b"x,12,2034\n", rows_of(1, 1)):
        of = await parts.imports.begin(who, wish)
        with pytest.raises(ImportSlowed) as slowed:
            await parts.imports.take(who, of.import_id, 0, HEADER + rows, last=True)
        waits.add(slowed.value.better_after_seconds)
    assert len(waits) == 1
    assert numbers.owed(who.principal.subject) == pytest.approx(0.2)
    assert await ground.tokens() == 1
    assert await seen(ground) == []


async def test_a_commit_that_is_repeated_is_paid_for_once(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alias that was drawn before is drawn again."""
    await filled(ground, 40)
    parts, numbers, seconds = limited(ground, Rate(1, 0))
    who = parts.caller
    wish = replace(CSV, columns=replace(CSV.columns, beside={"alias": "alias"}))
    drawn = ["9900000000000001", "9900000000000001", "9900000000000009"]
    monkeypatch.setattr(chunks, "new_alias", lambda _pan: drawn.pop(0))
    monkeypatch.setattr(chunks, "pan_alias", lambda *_: drawn.pop(0))
    first = await parts.imports.begin(who, wish)
    header = b"number,exp_month,exp_year,alias\n"
    row = f"{synthetic_number(100)},12,2034,1\n".encode()
    await fed(parts, who, first, header + row, seconds)
    again = await parts.imports.begin(who, wish)
    known = b"".join(line + b",\n" for line in rows_of(*range(1, 41)).splitlines())
    row = f"{synthetic_number(101)},12,2034,1\n".encode()
    assert await fed(parts, who, again, header + known + row, seconds) == []
    assert drawn == []
    assert numbers.owed(who.principal.subject) == pytest.approx(40)


async def test_what_an_import_has_stored_itself_costs_nothing(ground: Ground) -> None:
    """A legitimate file repeats itself; that its own cards are there is nothing that its sender does not know."""
    parts, numbers, seconds = limited(ground, Rate(0.001, 0))
    who = parts.caller
    of = await parts.imports.begin(who, CSV)
    content = csv_file(1, 2 * CHUNK_ROWS) + rows_of(*range(2 * CHUNK_ROWS, 0, -1))
    assert await fed(parts, who, of, content, seconds) == []
    ended = await parts.imports.read(ground.merchant, Mode.TEST, of.import_id)
    assert (ended.counts.created, ended.counts.duplicates) == (2 * CHUNK_ROWS,) * 2
    assert numbers.charge(who.principal.subject, 1) == 0.0
    # The same once more is another import's, whoever sends it: who has stolen a key has made nothing of it.
    again = await parts.imports.begin(who, CSV)
    with pytest.raises(ImportSlowed):
        await parts.imports.take(who, again.import_id, 0, content[:100_000], last=False)


async def test_rows_that_are_sent_into_another_ones_import_are_their_senders(
    ground: Ground,
) -> None:
    """In the records, on the tokens, and in what is paid for: its cards are not the sender's own."""
    parts, numbers, seconds = limited(ground, Rate(1, 0))
    owner, other = parts.caller, parts.caller
    mine, theirs = owner.principal.subject, other.principal.subject
    of = await parts.imports.begin(owner, CSV)
    first, second = csv_file(1, 30), rows_of(*range(1, 21), 40)
    await parts.imports.take(owner, of.import_id, 0, first, last=False)
    await parts.imports.take(other, of.import_id, len(first), second, last=False)
    assert numbers.owed(theirs) == pytest.approx(20)
    assert numbers.owed(mine) == 0
    # Nor are the sender's cards the owner's: what each has stored costs nothing to itself alone.
    at = len(first) + len(second)
    await parts.imports.take(owner, of.import_id, at, rows_of(30, 40), last=False)
    assert numbers.owed(mine) == pytest.approx(1)
    at += len(rows_of(30, 40))
    seconds.now += 20
    await parts.imports.take(other, of.import_id, at, b"", last=True)
    told = [(each["action"], each["actor"]) for each in await ground.records(of.import_id)]
    assert told == [
        ("vault.import.started", mine),
        ("vault.token.created", mine),
        ("vault.token.created", theirs),
        ("vault.import.ended", theirs),
    ]
    made = await ground.look(
        "select created_by, count(*) from vault.token where merchant_id = $1 group by 1",
        ground.merchant,
    )
    assert {row["created_by"]: row["count"] for row in made} == {mine: 30, theirs: 1}


async def test_whoever_looks_into_another_ones_dry_run_pays_for_what_repeats(
    ground: Ground,
) -> None:
    parts, numbers, _ = limited(ground, Rate(1, 0))
    owner, other = parts.caller, parts.caller
    of = await parts.imports.begin(owner, TRY)
    first = csv_file(1, 30)
    await parts.imports.take(owner, of.import_id, 0, first, last=False)
    content = rows_of(*range(1, 11), 11, 11)
    await parts.imports.take(other, of.import_id, len(first), content, last=False)
    assert numbers.owed(owner.principal.subject) == pytest.approx(0.3)
    assert numbers.owed(other.principal.subject) == pytest.approx(11)
    told = [each for each in await ground.records(of.import_id) if "searched" in each["action"]]
    assert [each["actor"] for each in told] == [
        owner.principal.subject,
        other.principal.subject,
    ]


async def test_what_another_stored_at_the_same_moment_is_paid_for(ground: Ground) -> None:
    await filled(ground, 1)
    parts, numbers, seconds = limited(ground, Rate(1, 0))
    who = parts.caller
    of = await parts.imports.begin(who, CSV)
    content = csv_file(2, 1)
    await parts.imports.take(who, of.import_id, 0, content, last=False)
    await ground.look(
        "update vault.token set created_at = (select made_at from vault.import_part where import_id = $2)"
        " where merchant_id = $1",
        ground.merchant,
        of.import_id,
    )
    assert await fed(parts, who, of, content + rows_of(1, 2), seconds) == []
    assert numbers.charge(who.principal.subject, 0) == pytest.approx(1.0)


async def test_the_job_of_an_encrypted_file_waits_and_goes_on(ground: Ground) -> None:
    stored = 2 * CHUNK_ROWS
    await filled(ground, stored)
    parts, _, seconds = limited(ground)
    key = await parts.keys.make(parts.caller)
    recipient = pysequoia.Cert.from_bytes(key.certificate.encode())
    content = csv_file(1, stored + 10)
    sealed = bytes(pysequoia.encrypt(content, recipients=[recipient], armor=False))
    who = parts.caller
    of = await parts.imports.begin(who, ImportWish(CSV.file_format, Encryption.PGP))
    taken = await parts.imports.take(who, of.import_id, 0, sealed, last=True)
    assert taken.job_id is not None
    job = await parts.jobs.read(ground.merchant, Mode.TEST, taken.job_id)
    waited, steps = [], 0
    try:
        while True:
            async with parts.database.transaction([ground.merchant]) as tx:
                step = await parts.unspooler.step(job, tx)
            job = replace(job, cursor=step.cursor)
            steps += 1
            assert steps < 20
            if step.ended:
                break
            if step.wait_seconds:
                waited.append(step.wait_seconds)
                seconds.now += step.wait_seconds
    finally:
        await parts.unspooler.close()
    ended = await parts.imports.read(ground.merchant, Mode.TEST, of.import_id)
    assert (ended.state, ended.counts.duplicates) == (ImportState.DONE, stored)
    assert ended.counts.created == 10
    assert ended.digest == sha256(sealed)
    assert waited == [(CHUNK_ROWS - 50) / 5, CHUNK_ROWS / 5]


async def test_two_imports_of_the_same_cards_at_once(ground: Ground) -> None:
    """Where both may be told: each card has one token, whichever of the two came first."""
    count = 2 * CHUNK_ROWS - 1
    numbers = [synthetic_number(n) for n in range(1, count + 1)]

    async def imported(order: list[str]) -> Import:
        of = await ground.parts.imports.begin(ground.parts.caller, CSV)
        content = HEADER + "".join(f"{number},12,2034\n" for number in order).encode()
        return await ground.parts.feed(of, content, 1_000_000)

    ended = await asyncio.gather(imported(numbers), imported(numbers[::-1]))
    assert sum(each.counts.created for each in ended) == count
    assert sum(each.counts.duplicates for each in ended) == count
    tokens = {each.token for of in ended for each in await results(ground.parts, of)}
    assert len(tokens) == count == await ground.tokens()


# --- dry runs ----------------------------------------------------------------------------------------


async def tried(ground: Ground, content: bytes, **more: Any) -> tuple[Import, list[RowResult]]:
    of = await ground.parts.imports.begin(ground.parts.caller, replace(TRY, **more))
    # Parts of few rows, so that nothing that is read together holds both of what repeats.
    ended = await ground.parts.feed(of, content, 30_000)
    return ended, await results(ground.parts, of)


async def test_a_dry_run_finds_repeats_however_far_apart(ground: Ground) -> None:
    count = 3 * CHUNK_ROWS
    content = csv_file(1, count) + rows_of(1, count, 7, 7, count + 1)
    ended, found = await tried(ground, content)
    assert (ended.counts.created, ended.counts.duplicates) == (count + 1, 4)
    assert [each.status for each in found[-5:]] == [*["duplicate"] * 4, "created"]
    assert not any(each.token for each in found)
    assert await ground.tokens() == 0
    assert not await ground.look(
        "select 1 from vault.card_identity where merchant_id = $1", ground.merchant
    )


async def test_a_dry_run_finds_what_is_stored(ground: Ground) -> None:
    """Under whichever version of the fingerprint key, and although a key is rotated while the file is read."""
    await filled(ground, 5)
    await ground.parts.keyring.rotate(ground.merchant, Mode.TEST, KeyName.FINGERPRINT)
    await filled(ground, 5, first=6)
    content = HEADER + rows_of(1, 6, 11, 1, 11)
    of = await ground.parts.imports.begin(ground.parts.caller, TRY)
    half = len(HEADER) + 3 * len(rows_of(1))
    await ground.parts.imports.take(
        ground.parts.caller, of.import_id, 0, content[:half], last=False
    )
    await ground.parts.keyring.rotate(ground.merchant, Mode.TEST, KeyName.FINGERPRINT)
    ended = await ground.parts.feed(of, content, 1_000)
    assert (ended.counts.created, ended.counts.duplicates) == (1, 4)
    found = await results(ground.parts, of)
    assert [each.status for each in found] == [*["duplicate"] * 2, "created", *["duplicate"] * 2]
    assert not any(each.token for each in found)
    assert await ground.tokens() == 10
    told = [each for each in await ground.records(of.import_id) if "searched" in each["action"]]
    assert [each["details"] for each in told] == [
        {"basis": "dry_run", "count": 2},
        {"basis": "dry_run", "count": 0},
    ]


async def test_a_dry_run_pays_for_what_it_looks_up(ground: Ground) -> None:
    """Also for what is not stored: it leaves no token behind, and to guess would cost nothing."""
    await filled(ground, 3)
    parts, numbers, seconds = limited(ground, Rate(1, 10))
    who = parts.caller
    of = await parts.imports.begin(who, TRY)
    assert await fed(parts, who, of, csv_file(1, 1_003), seconds) == []
    # Three were there and a thousand were not: thirteen, of ten.
    assert numbers.charge(who.principal.subject, 1) == pytest.approx(3.0)
    again = await parts.imports.begin(who, TRY)
    assert await fed(parts, who, again, csv_file(5_000, 1), seconds) == [3]
    apart = await parts.imports.begin(who, replace(TRY, deduplicate=False))
    numbers.charge(who.principal.subject, 100)
    assert await fed(parts, who, apart, csv_file(1, 1_003), seconds) == []
    assert {each.status for each in await results(parts, apart)} == {"created"}


async def seen(ground: Ground) -> list[bytes]:
    rows = await ground.look(
        "select card from vault.import_seen where merchant_id = $1", ground.merchant
    )
    return [bytes(row["card"]) for row in rows]


async def test_what_a_dry_run_remembers_says_nothing_beside_anything_else(ground: Ground) -> None:
    """The same card in two dry runs, and in the vault, is three values; none is a plain hash."""
    await filled(ground, 1)
    for _ in range(2):
        of = await ground.parts.imports.begin(ground.parts.caller, TRY)
        await ground.parts.imports.take(
            ground.parts.caller, of.import_id, 0, csv_file(1, 1), last=False
        )
    one, two = await seen(ground)
    ((identity,),) = await ground.look(
        "select fingerprint from vault.card_identity where merchant_id = $1", ground.merchant
    )
    number = synthetic_number(1).encode()
    plain = sha256(number), sha256(of.import_id.encode() + number), hmac_sha256(b"", number)
    assert len({one, two, bytes(identity), *plain}) == 6


async def test_what_a_dry_run_remembers_is_forgotten_when_it_ends(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    endings = ground.parts.imports.endings
    await endings.forget_seen()
    of = await ground.parts.imports.begin(ground.parts.caller, TRY)
    content = csv_file(1, 500)
    await ground.parts.imports.take(ground.parts.caller, of.import_id, 0, content, last=False)
    assert await endings.forget_seen() == 0
    assert len(await seen(ground)) == 500
    await ground.parts.feed(of, content, 1_000_000)
    monkeypatch.setattr(ending, "FORGOTTEN_AT_ONCE_MAX", 100)
    assert await endings.forget_seen() == 500
    assert await seen(ground) == []
    assert await endings.forget_seen() == 0
    assert not await ground.look(
        "select 1 from vault.import where import_id = $1 and remembers", of.import_id
    )


async def test_of_an_erased_merchant_no_dry_run_remembers(ground: Ground) -> None:
    """As many at once as are deleted at once, within the time that a statement has."""
    of = await ground.parts.imports.begin(ground.parts.caller, TRY)
    content = csv_file(1, 18_000)
    await ground.parts.imports.take(ground.parts.caller, of.import_id, 0, content, last=False)
    assert len(await seen(ground)) == 18_000
    async with ground.parts.database.transaction([ground.merchant]) as tx:
        assert await ground.parts.imports.endings.end_all(tx, ground.merchant, Mode.TEST)
    assert await seen(ground) == []


async def test_a_real_import_remembers_nothing(ground: Ground) -> None:
    await filled(ground, 10)
    assert await seen(ground) == []
    rows = await ground.look(
        "select p.made_at, t.created_at from vault.import_part p"
        " join vault.token t on t.merchant_id = p.merchant_id where p.merchant_id = $1",
        ground.merchant,
    )
    assert rows
    assert all(row["made_at"] == row["created_at"] for row in rows)
