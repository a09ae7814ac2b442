# SPDX-License-Identifier: Apache-2.0
"""The rules of group commit (ADR-0004), on a sink in memory that fails on command."""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

import pytest

from strongroom.db.errors import (
    Again,
    ConnectionLost,
    ConstraintBroken,
    DatabaseAway,
    OutcomeUnknown,
    QueueFull,
)
from strongroom.db.group_commit import RETAKES_MAX, GroupWriter, Retake
from strongroom.kernel.errors import StrongroomError

Verdict = Callable[[Sequence[str]], None]


@dataclass
class MemorySink:
    """Keeps rows in a list. `script` is consulted before each write; `gate` holds writes back."""

    kept: list[str] = field(default_factory=list)
    batches: list[list[str]] = field(default_factory=list)
    script: list[Verdict] = field(default_factory=list)
    after: list[Verdict] = field(default_factory=list)
    gate: asyncio.Event | None = None
    reachable: bool = True
    bad: frozenset[str] = frozenset()

    def size_bytes(self, row: str) -> int:
        return len(row)

    def fold_keys(self, row: str) -> Sequence[Hashable]:
        return (row.partition("#")[0],)

    async def write(self, rows: Sequence[str]) -> Sequence[str | Retake[str] | StrongroomError]:
        self.batches.append(list(rows))
        if self.gate is not None:
            await self.gate.wait()
        if self.script:
            self.script.pop(0)(rows)
        if guilty := self.bad.intersection(rows):
            raise ConstraintBroken(f"constraint of {len(guilty)}")
        outcomes: list[str | Retake[str] | StrongroomError] = []
        for row in rows:
            if row.endswith("?"):
                outcomes.append(Retake(row.removesuffix("?")))
            else:
                self.kept.append(row)
                outcomes.append(f"kept {row}")
        if self.after:
            self.after.pop(0)(rows)
        return outcomes

    async def find(self, row: str) -> str | None:
        if not self.reachable:
            raise DatabaseAway
        return f"found {row}" if row in self.kept else None


def _raises(error: StrongroomError) -> Verdict:
    def verdict(_rows: Sequence[str]) -> None:
        raise error

    return verdict


def _passes(_rows: Sequence[str]) -> None:
    return


async def test_rows_that_arrive_while_a_batch_commits_share_the_next_one() -> None:
    sink = MemorySink(gate=asyncio.Event())
    writer = GroupWriter(sink, in_flight_max=1)
    first = writer.submit("a")
    await asyncio.sleep(0)
    others = [writer.submit(name) for name in "bcd"]
    assert sink.gate is not None
    sink.gate.set()
    assert await asyncio.gather(first, *others) == ["kept a", "kept b", "kept c", "kept d"]
    assert sink.batches == [["a"], ["b", "c", "d"]]


async def test_rows_of_one_turn_share_a_batch() -> None:
    sink = MemorySink()
    writer = GroupWriter(sink)
    await asyncio.gather(*[writer.submit(str(n)) for n in range(10)])
    assert len(sink.batches) == 1


async def test_where_nobody_is_in_a_hurry_rows_gather_for_a_moment() -> None:
    sink = MemorySink()
    writer = GroupWriter(sink, gather_seconds=0.05)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    first = writer.submit("a")
    await asyncio.sleep(0.01)
    assert not sink.batches
    assert list(await asyncio.gather(first, writer.submit("b"))) == ["kept a", "kept b"]
    assert sink.batches == [["a", "b"]]
    assert loop.time() - begun >= 0.04
    late = writer.submit("c")
    await writer.drain()
    assert late.result() == "kept c", "who ends does not wait for others"


@pytest.mark.parametrize(
    ("rows_max", "bytes_max", "expected"),
    [(2, 1000, [2, 2, 1]), (256, 3, [3, 2]), (1, 1000, [1, 1, 1, 1, 1]), (256, 0, [1, 1, 1, 1, 1])],
)
async def test_batches_are_bounded_in_rows_and_bytes(
    rows_max: int, bytes_max: int, expected: list[int]
) -> None:
    sink = MemorySink()
    writer = GroupWriter(sink, rows_max=rows_max, bytes_max=bytes_max, in_flight_max=1)
    await asyncio.gather(*[writer.submit(name) for name in "abcde"])
    assert [len(batch) for batch in sink.batches] == expected


async def test_duplicates_are_folded_into_the_next_batch_in_their_order() -> None:
    sink = MemorySink()
    writer = GroupWriter(sink)
    answers = await asyncio.gather(*[writer.submit(row) for row in ("k#1", "k#2", "j#1", "k#3")])
    assert answers == ["kept k#1", "kept k#2", "kept j#1", "kept k#3"]
    assert sink.batches == [["k#1", "j#1"], ["k#2"], ["k#3"]]


async def test_a_duplicate_of_a_row_in_flight_waits_for_it() -> None:
    sink = MemorySink(gate=asyncio.Event())
    writer = GroupWriter(sink, in_flight_max=2)
    first = writer.submit("k#1")
    await asyncio.sleep(0)
    second = writer.submit("k#2")
    await asyncio.sleep(0)
    assert sink.batches == [["k#1"]]
    assert sink.gate is not None
    sink.gate.set()
    await asyncio.gather(first, second)
    assert sink.batches == [["k#1"], ["k#2"]]


async def test_only_the_guilty_row_of_a_batch_fails() -> None:
    sink = MemorySink(bad=frozenset({"c"}))
    writer = GroupWriter(sink)
    answers = await asyncio.gather(*[writer.submit(n) for n in "abcde"], return_exceptions=True)
    assert [a if isinstance(a, str) else type(a) for a in answers] == [
        "kept a",
        "kept b",
        ConstraintBroken,
        "kept d",
        "kept e",
    ]
    assert sorted(sink.kept) == ["a", "b", "d", "e"]


async def test_a_deadlock_or_serialization_failure_repeats_the_whole_batch() -> None:
    sink = MemorySink(script=[_raises(Again()), _raises(Again())])
    writer = GroupWriter(sink)
    assert await asyncio.gather(*[writer.submit(n) for n in "ab"]) == ["kept a", "kept b"]
    assert sink.batches == [["a", "b"]] * 3
    assert sink.kept == ["a", "b"]


async def test_endless_serialization_failures_end_in_503_with_nothing_written() -> None:
    sink = MemorySink(script=[_raises(Again())] * 20)
    with pytest.raises(DatabaseAway):
        await GroupWriter(sink).write("a")
    assert sink.kept == []


async def test_a_connection_lost_after_commit_is_looked_up_and_not_repeated() -> None:
    sink = MemorySink(after=[_raises(ConnectionLost())])
    writer = GroupWriter(sink)
    assert await asyncio.gather(*[writer.submit(n) for n in "ab"]) == ["found a", "found b"]
    assert sink.kept == ["a", "b"]


async def test_a_connection_lost_before_commit_is_looked_up_and_then_repeated_once() -> None:
    sink = MemorySink(script=[_raises(ConnectionLost())])
    assert await GroupWriter(sink).write("a") == "kept a"
    assert sink.kept == ["a"]
    twice = MemorySink(script=[_raises(ConnectionLost()), _raises(ConnectionLost())])
    with pytest.raises(DatabaseAway):
        await GroupWriter(twice).write("a")
    assert twice.kept == []


async def test_where_nothing_can_be_looked_up_each_row_gets_503() -> None:
    sink = MemorySink(after=[_raises(ConnectionLost())], reachable=False)
    writer = GroupWriter(sink)
    answers = await asyncio.gather(*[writer.submit(n) for n in "ab"], return_exceptions=True)
    assert [type(a) for a in answers] == [OutcomeUnknown, OutcomeUnknown]
    assert all(isinstance(a, StrongroomError) and a.status == 503 for a in answers)
    assert len(sink.batches) == 1


async def test_the_database_away_fails_every_row_and_the_writer_lives_on() -> None:
    sink = MemorySink(script=[_raises(DatabaseAway()), _passes])
    writer = GroupWriter(sink)
    answers = await asyncio.gather(*[writer.submit(n) for n in "ab"], return_exceptions=True)
    assert [type(a) for a in answers] == [DatabaseAway, DatabaseAway]
    assert await writer.write("c") == "kept c"


async def test_a_caller_who_leaves_does_not_cancel_its_row() -> None:
    sink = MemorySink(gate=asyncio.Event())
    writer = GroupWriter(sink)
    leaving = asyncio.ensure_future(writer.write("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    leaving.cancel()
    assert sink.gate is not None
    sink.gate.set()
    await writer.drain()
    assert sink.kept == ["a"]


async def test_a_full_queue_refuses_and_keeps_what_it_has() -> None:
    sink = MemorySink(gate=asyncio.Event())
    writer = GroupWriter(sink, queue_rows_max=2, in_flight_max=1)
    in_flight = writer.submit("a")
    await asyncio.sleep(0)
    waiting = [writer.submit("b"), writer.submit("c")]
    with pytest.raises(QueueFull) as refused:
        writer.submit("d")
    assert refused.value.status == 503
    assert refused.value.retry_after_seconds >= 1
    assert sink.gate is not None
    sink.gate.set()
    await asyncio.gather(in_flight, *waiting)
    assert sink.kept == ["a", "b", "c"]


async def test_draining_answers_everything_and_takes_nothing_new() -> None:
    sink = MemorySink()
    writer = GroupWriter(sink, rows_max=1, in_flight_max=1)
    waiting = [writer.submit(n) for n in "abc"]
    await writer.drain()
    assert all(future.done() for future in waiting)
    with pytest.raises(QueueFull):
        writer.submit("d")


async def test_a_row_that_is_to_be_written_otherwise_is_taken_again_first() -> None:
    sink = MemorySink()
    writer = GroupWriter(sink)
    assert await writer.write("a?") == "kept a"
    assert sink.batches == [["a?"], ["a"]]


async def test_a_bug_in_the_sink_reaches_every_caller() -> None:
    def bug(_rows: Sequence[str]) -> None:
        raise ValueError("bug")

    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    try:
        with pytest.raises(ValueError, match="bug"):
            await GroupWriter(MemorySink(script=[bug])).write("a")
    finally:
        asyncio.get_running_loop().set_exception_handler(None)


async def test_a_row_that_is_retaken_at_every_try_is_answered_in_the_end() -> None:
    sink = MemorySink()
    writer = GroupWriter(sink)
    answers = await asyncio.gather(
        writer.submit("a" + "?" * RETAKES_MAX),
        writer.submit("b" + "?" * (RETAKES_MAX + 1)),
        writer.submit("c"),
        return_exceptions=True,
    )
    assert answers[0] == "kept a"
    assert isinstance(answers[1], DatabaseAway)
    assert answers[1].status == 503
    assert answers[2] == "kept c"
    assert sorted(sink.kept) == ["a", "c"]
    await writer.drain()
