# SPDX-License-Identifier: Apache-2.0
"""New ids for tokens on the real database: every card opens under its new id, old ids live as long as they should."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from contracts.fakes import FakeKeyStore
from database import Databases
from polling import until
from residence import AtHome
from store.rotation_ground import Ground, Process, number
from store.telling import told
from strongroom.audit import Origin
from strongroom.crypto import Algorithm, sha256
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.db.pool import connect
from strongroom.kernel.clock import SteppedClock, rfc3339
from strongroom.kernel.errors import Invalid
from strongroom.kernel.ids import is_id
from strongroom.kernel.mode import Mode
from strongroom.keys import KeyName
from strongroom.vault.containers.errors import AccessRefused
from strongroom.vault.containers.feed import RuleFeed
from strongroom.vault.containers.model import Access, Changer, GranteeKind, RuleWish
from strongroom.vault.containers.service import ContainerDesk
from strongroom.vault.errors import CannotReadCard, TokenUnknown
from strongroom.vault.finding import Caller
from strongroom.vault.forwarding.errors import TakesTwoPeople
from strongroom.vault.retokenize.job import PAGE_ROWS, RetokenizeHandler
from strongroom.vault.retokenize.mapping import MAPPING_HEADER, mapping_line
from strongroom.vault.retokenize.model import NAMED_MAX, Mapped, Wish
from strongroom.vault.retokenize.service import PAGE_ROWS_MAX, Retokenizations
from strongroom.vault.wire import CardIn, NetworkTokenIn, TokenIn
from strongroom.vault.wishes import Asked
from strongroom.vault.work.ending import write_end
from strongroom.vault.work.errors import JobUnknown
from strongroom.vault.work.model import Job, JobKind, JobState


@pytest.fixture(scope="module")
def store() -> FakeKeyStore:
    """The roots of this module's databases."""
    return FakeKeyStore()


@dataclass
class Shop:
    """A ground with retokenizations on it."""

    ground: Ground
    process: Process
    retokenizations: Retokenizations

    @property
    def caller(self) -> Caller:
        return Caller(self.ground.principal, Origin())

    async def run(self, wish: Wish) -> Job:
        """Do a retokenization to its end."""
        ground, process = self.ground, self.process
        # Ids carry the machine's time; the job replaces what is older than itself.
        ground.clock.step(timedelta(hours=1))
        begun = await self.retokenizations.begin(
            ground.merchant, ground.mode, wish, actor="operator:tests", origin=Origin()
        )
        runner = process.runner()
        handler = RetokenizeHandler(
            process.keyring,
            AtHome(),
            process.recorder,
            process.clock,
            Algorithm.A256CBC_HS512,
        )
        runner._handlers = {JobKind.RETOKENIZE: handler}
        runner.start()
        try:

            async def ended() -> bool:
                ground.clock.step(timedelta(milliseconds=200))
                found = await process.jobs.read(ground.merchant, ground.mode, begun.job_id)
                return found.state in (JobState.DONE, JobState.FAILED)

            await until(ended)
        finally:
            await runner.stop()
        return await process.jobs.read(ground.merchant, ground.mode, begun.job_id)

    async def mapping(self, job: Job) -> dict[str, str]:
        page, following = await self.retokenizations.mapping(
            job.merchant_id, job.mode, job.job_id, "", 1_000
        )
        assert following is None
        return {each.old: each.new for each in page}

    async def read(self, token: str) -> str:
        """Read a token as a merchant does; return its id."""
        return (await self.process.tokens.read(self.caller, token)).token.token_id

    async def row(self, token: str) -> dict[str, object]:
        (found,) = await self.ground.look("select * from vault.token where token_id = $1", token)
        return dict(found)


@pytest_asyncio.fixture(loop_scope="session")
async def shop(databases: Databases, store: FakeKeyStore) -> Shop:
    await databases.run(
        Domain.VAULT, "truncate vault.job, vault.erasure, vault.token_alias, vault.outbox"
    )
    ground = Ground(databases, store, SteppedClock(datetime.now(UTC)))
    process = await ground.process()
    retokenizations = Retokenizations(
        database=process.database,
        rules=RuleFeed(process.database),
        jobs=process.jobs,
        recorder=process.recorder,
        clock=process.clock,
    )
    return Shop(ground, process, retokenizations)


async def test_every_card_opens_under_its_new_id_and_nothing_else_changes(shop: Shop) -> None:
    ground = shop.ground
    count = PAGE_ROWS + 20
    tokens = await ground.fill(shop.process, 1, count, deduplicate=True)
    before = await shop.row(tokens[0])
    job = await shop.run(Wish(alias_days=30))
    assert (job.state, job.done, job.refused) == (JobState.DONE, count, 0)
    became = await shop.mapping(job)
    assert set(became) == set(tokens)
    assert all(is_id("tok", new) for new in became.values())
    assert len(set(became.values())) == count
    for card in (1, 2, count):
        old = tokens[card - 1]
        assert await ground.opened(shop.process, became[old]) == number(card)
        assert await shop.read(old) == became[old], "the old id stands for the new one"
    after = await shop.row(became[tokens[0]])
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"token_id", "sealed_number"}, "every other column came along"
    rows = await ground.look(
        "select count(*) from vault.card_identity where merchant_id = $1 and token_id = any ($2)",
        ground.merchant,
        list(became.values()),
    )
    assert rows[0][0] == count
    again = await ground.token(shop.process, 1, deduplicate=True)
    assert became[tokens[0]].encode() in again.answer, "the card is known by its new id"
    erasures = await ground.look(
        "select count(*) from vault.erasure where merchant_id = $1", ground.merchant
    )
    assert erasures[0][0] == 0, "the cards live on"


async def test_old_ids_die_at_their_time(shop: Shop) -> None:
    (token,) = await shop.ground.fill(shop.process, 1, 1)
    await shop.run(Wish(alias_days=2))
    assert await shop.read(token)
    shop.ground.clock.step(timedelta(days=2, seconds=1))
    with pytest.raises(TokenUnknown):
        await shop.read(token)


async def test_without_an_alias_the_old_id_is_dead_at_once(shop: Shop) -> None:
    kept, leaked = await shop.ground.fill(shop.process, 1, 2)
    job = await shop.run(Wish(tokens=[leaked]))
    assert (job.done, job.total) == (1, 1)
    with pytest.raises(TokenUnknown):
        await shop.read(leaked)
    assert await shop.read((await shop.mapping(job))[leaked])
    assert await shop.read(kept) == kept


async def test_what_was_sealed_for_the_old_id_does_not_open_for_the_new(shop: Shop) -> None:
    (token,) = await shop.ground.fill(shop.process, 1, 1)
    ((sealed,),) = await shop.ground.look(
        "select sealed_number from vault.token where token_id = $1", token
    )
    job = await shop.run(Wish())
    (new,) = (await shop.mapping(job)).values()
    await shop.ground.databases.run(
        Domain.VAULT,
        f"update vault.token set sealed_number = '\\x{bytes(sealed).hex()}'"
        f" where token_id = '{new}'",
    )
    with pytest.raises(CannotReadCard):
        await shop.ground.opened(shop.process, new)


async def test_ids_that_are_replaced_twice_lead_to_the_last(shop: Shop) -> None:
    (first,) = await shop.ground.fill(shop.process, 1, 1)
    once = await shop.mapping(await shop.run(Wish(alias_days=90)))
    twice = await shop.mapping(await shop.run(Wish(tokens=[once[first]], alias_days=90)))
    assert await shop.read(first) == twice[once[first]]


async def test_an_altered_row_is_left_and_counted(shop: Shop) -> None:
    good, bad = await shop.ground.fill(shop.process, 1, 2)
    await shop.ground.databases.run(
        Domain.VAULT,
        "update vault.token set sealed_number = set_byte(sealed_number, 20, 255 - get_byte(sealed_number, 20))"
        f" where token_id = '{bad}'",
    )
    job = await shop.run(Wish())
    assert (job.done, job.refused) == (1, 1)
    assert set(await shop.mapping(job)) == {good}
    assert await shop.read(bad) == bad


async def test_cards_under_older_keys_move_too(shop: Shop) -> None:
    (token,) = await shop.ground.fill(shop.process, 1, 1)
    await shop.process.rotation.rotate(shop.ground.by, KeyName.CARD)
    await shop.ground.databases.run(Domain.VAULT, "truncate vault.job")  # not moved yet
    job = await shop.run(Wish())
    (new,) = (await shop.mapping(job)).values()
    assert (await shop.row(new))["key_version"] == 2
    assert await shop.ground.opened(shop.process, new) == number(1)
    assert token != new


@pytest.mark.parametrize(
    "wish",
    [
        Wish(tokens=["tok_nothing"]),
        Wish(tokens=["tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"] * (NAMED_MAX + 1)),
        Wish(tokens=["tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"], container="default"),
        Wish(container="No Such"),
        Wish(alias_days=91),
        Wish(alias_days=-1),
    ],
)
async def test_a_wish_that_makes_no_sense_is_refused(shop: Shop, wish: Wish) -> None:
    with pytest.raises(Invalid):
        await shop.run(wish)


async def test_another_tenants_mapping_is_not_there(shop: Shop) -> None:
    await shop.ground.fill(shop.process, 1, 1)
    job = await shop.run(Wish())
    stranger = Ground(shop.ground.databases, shop.ground.store)
    for name in (job.job_id, "job_nothing"):
        with pytest.raises(JobUnknown):
            await shop.retokenizations.mapping(stranger.merchant, stranger.mode, name, "", 10)


async def with_details(shop: Shop) -> str:
    """Make a token with a holder and a cryptogram beside its number."""
    ground = shop.ground
    wish = TokenIn(
        card=CardIn(number(1), 12, 2034),
        holder="Amal",
        network_token=NetworkTokenIn("40010030273", "05", "AgAAAAAAAIR8CQrXcIhbQAAAAAA="),
    )
    asked = Asked(ground.principal, Origin(), new_id("req"), ground.clock.now(), new_id("req"))
    return str(json.loads((await shop.process.maker.create(wish, asked)).answer)["id"])


async def fields(shop: Shop) -> set[str]:
    rows = await shop.ground.look(
        "select field from vault.token_detail where merchant_id = $1", shop.ground.merchant
    )
    return {str(row[0]) for row in rows}


async def test_a_detail_that_goes_meanwhile_does_not_come_back(shop: Shop) -> None:
    """A cryptogram that is used while its card gets another id would serve twice."""
    ground, process = shop.ground, shop.process
    await with_details(shop)
    assert await fields(shop) == {"holder", "network_token", "cryptogram"}
    ground.clock.step(timedelta(minutes=1))
    job = await shop.retokenizations.begin(
        ground.merchant, ground.mode, Wish(), actor="operator:tests", origin=Origin()
    )
    handler = RetokenizeHandler(
        process.keyring, AtHome(), process.recorder, process.clock, Algorithm.A256CBC_HS512
    )

    async def step() -> int:
        async with process.database.transaction([ground.merchant]) as tx:
            return (await handler.step(job, tx)).done

    connection = await connect(ground.databases.administrator(Domain.VAULT))
    try:
        async with connection.transaction():
            await connection.execute(
                "delete from vault.token_detail where merchant_id = $1 and field = 'cryptogram'",
                ground.merchant,
            )
            stepping = asyncio.create_task(step())

            async def waits() -> bool:
                rows = await ground.look(
                    "select count(*) from pg_stat_activity"
                    " where datname = current_database() and wait_event_type = 'Lock'"
                )
                return bool(rows[0][0])

            await until(waits)
    finally:
        await connection.close()
    assert await stepping == 1
    assert await fields(shop) == {"holder", "network_token"}


async def test_a_caller_needs_use_of_what_is_meant(shop: Shop) -> None:
    ground, process = shop.ground, shop.process
    (token,) = await ground.fill(process, 1, 1)
    feed = RuleFeed(process.database)
    desk = ContainerDesk(process.database, process.recorder, process.clock, feed)
    by = Changer(ground.merchant, ground.mode, "operator:tests", Origin())
    await desk.put(by, "closed", "", None)
    rule = RuleWish("closed", 1, GranteeKind.KEY, "*", Access.MASK)
    await desk.add_rule(by, rule)
    service = Retokenizations(
        database=process.database,
        rules=feed,
        jobs=process.jobs,
        recorder=process.recorder,
        clock=process.clock,
    )

    async def begin(wish: Wish) -> Job:
        return await service.begin(
            ground.merchant,
            ground.mode,
            wish,
            actor="key_tests",
            origin=Origin(),
            principal=ground.principal,
        )

    assert (await begin(Wish(tokens=[token]))).total == 1
    assert await begin(Wish(container="default"))
    await ground.databases.run(
        Domain.VAULT, f"update vault.token set container = 'closed' where token_id = '{token}'"
    )
    for wish in (Wish(), Wish(container="closed"), Wish(tokens=[token])):
        with pytest.raises(AccessRefused):
            await begin(wish)


async def test_one_person_at_the_machine_does_it_in_test_mode_only(shop: Shop) -> None:
    with pytest.raises(TakesTwoPeople, match="POST /v1/retokenizations"):
        await shop.retokenizations.begin(
            shop.ground.merchant, Mode.LIVE, Wish(), actor="operator:tests", origin=Origin()
        )


# --- what the merchant is told -----------------------------------------------------------------------


def file_of(mapping: Sequence[Mapped]) -> str:
    return MAPPING_HEADER + "".join(
        mapping_line(each.old, each.new, rfc3339(each.until)) for each in mapping
    )


async def mapped(shop: Shop, job: Job) -> Sequence[Mapped]:
    page, _ = await shop.retokenizations.mapping(
        job.merchant_id, job.mode, job.job_id, "", PAGE_ROWS_MAX
    )
    return page


async def test_the_merchant_is_told_once_with_the_mapping_files_digest(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hashed in several steps, of which each has a few lines."""
    monkeypatch.setattr("strongroom.vault.retokenize.job.HASHED_ROWS", 7)
    await shop.ground.fill(shop.process, 1, 20)
    job = await shop.run(Wish(alias_days=2))
    assert await shop.mapping(job)
    file = file_of(await mapped(shop, job))
    assert file.startswith("old,new,until\r\ntok_")
    (heard,) = await told(shop.ground.look, shop.ground.merchant)
    (until_,) = {each.until for each in await mapped(shop, job)}
    assert (heard.type, heard.object_id, heard.at) == (
        "token.retokenized",
        job.job_id,
        job.ended_at,
    )
    assert heard.data == {
        "id": job.job_id,
        "object": "retokenization",
        "mode": "test",
        "state": "done",
        "scope": "all",
        "container": None,
        "alias_days": 2,
        "replaced": 20,
        "left": 0,
        "old_ids_end_from": rfc3339(until_),
        "old_ids_end_by": rfc3339(until_),
        "mapping_sha256": sha256(file.encode()).hex(),
        "problem": None,
        "created_by": "operator:tests",
        "created_at": rfc3339(job.created_at),
        "ended_at": rfc3339(job.ended_at) if job.ended_at else None,
    }


async def test_a_process_that_did_not_hash_the_beginning_hashes_all_of_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strongroom.vault.retokenize.job.HASHED_ROWS", 3)
    ground, process = shop.ground, shop.process
    await ground.fill(process, 1, 8)
    ground.clock.step(timedelta(hours=1))
    job = await shop.retokenizations.begin(
        ground.merchant, ground.mode, Wish(), actor="operator:tests", origin=Origin()
    )
    digests = []
    handlers = [
        RetokenizeHandler(
            process.keyring, AtHome(), process.recorder, process.clock, Algorithm.A256CBC_HS512
        )
        for _ in range(2)
    ]
    for handler in (handlers[0], handlers[0], handlers[0], *[handlers[1]] * 4, handlers[0]):
        async with process.database.transaction([ground.merchant]) as tx:
            step = await handler.step(job, tx)
        job = replace(job, cursor=step.cursor)
        if step.ended:
            digests.append(step.result["mapping_sha256"])
    whole = sha256(file_of(await mapped(shop, job)).encode()).hex()
    assert digests == [whole, whole], "whichever process comes to the end"


@pytest.mark.parametrize(
    ("wish", "scope"),
    [(Wish(container="default"), "container"), (Wish(tokens=["?"]), "tokens")],
    ids=["container", "named"],
)
async def test_it_is_told_which_tokens_were_meant(shop: Shop, wish: Wish, scope: str) -> None:
    (token, _) = await shop.ground.fill(shop.process, 1, 2)
    if wish.tokens:
        wish = Wish(tokens=[token])
    await shop.run(wish)
    (heard,) = await told(shop.ground.look, shop.ground.merchant)
    assert (heard.data["scope"], heard.data["container"]) == (scope, wish.container)
    assert heard.data["replaced"] == (1 if wish.tokens else 2)


async def test_one_that_is_canceled_on_the_way_tells_what_it_has_replaced(shop: Shop) -> None:
    ground, process = shop.ground, shop.process
    count = PAGE_ROWS + 1
    await ground.fill(process, 1, count)
    ground.clock.step(timedelta(hours=1))
    job = await shop.retokenizations.begin(
        ground.merchant, ground.mode, Wish(alias_days=1), actor="operator:tests", origin=Origin()
    )
    handler = RetokenizeHandler(
        process.keyring, AtHome(), process.recorder, process.clock, Algorithm.A256CBC_HS512
    )
    handlers = {JobKind.RETOKENIZE: handler}
    # Slow enough that a page is all it does.
    await process.jobs.put_rate(shop.caller, job.job_id, PAGE_ROWS)
    runner = process.runner()
    runner._handlers = handlers
    runner.start()
    try:

        async def some() -> bool:
            return (await process.jobs.read(ground.merchant, ground.mode, job.job_id)).done > 0

        await until(some)
    finally:
        await runner.stop()
    process.jobs._handlers = handlers
    ended = await process.jobs.cancel(shop.caller, job.job_id)
    (heard,) = await told(ground.look, ground.merchant)
    assert 0 < ended.done < count
    assert (heard.data["state"], heard.data["replaced"]) == ("canceled", ended.done)
    assert heard.data["mapping_sha256"] is None
    assert heard.data["old_ids_end_by"] == rfc3339((await mapped(shop, job))[0].until)


async def test_what_is_told_is_undone_with_the_step_that_ended_the_job(shop: Shop) -> None:
    """A runner whose claim stands no more has told nothing."""
    ground, process = shop.ground, shop.process
    await ground.fill(process, 1, 1)
    ground.clock.step(timedelta(hours=1))
    job = await shop.retokenizations.begin(
        ground.merchant, ground.mode, Wish(), actor="operator:tests", origin=Origin()
    )
    handler = RetokenizeHandler(
        process.keyring, AtHome(), process.recorder, process.clock, Algorithm.A256CBC_HS512
    )
    with suppress(ZeroDivisionError):
        async with process.database.transaction([ground.merchant]) as tx:
            await write_end(handler, replace(job, state=JobState.DONE), tx, process.recorder)
            raise ZeroDivisionError
    assert not await told(ground.look, ground.merchant)
