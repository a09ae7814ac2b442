# SPDX-License-Identifier: Apache-2.0
"""Settlement reports on the real database: what each line is found to be, whatever was done to it, after any crash."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from database import Databases
from store.settlement_ground import Ground, Move, Row, amount, settlement_ground, written
from strongroom.crypto import sha256
from strongroom.crypto.ids import new_id
from strongroom.db.pool import Database, Transaction
from strongroom.kernel.mode import Mode
from strongroom.payments.settlement.errors import (
    ReconciliationUnknown,
    ReportEnded,
    ReportNotRead,
    ReportNotTaken,
    ReportOffsetWrong,
    ReportTooLarge,
)
from strongroom.payments.settlement.model import Report, Result, State
from strongroom.payments.settlement.retention import Retention
from strongroom.payments.settlement.wire import ReconciliationIn

R = Result
#: So small that every report has many stretches.
SMALL = 400


@pytest_asyncio.fixture(loop_scope="session")
async def ground(databases: Databases) -> AsyncIterator[Ground]:
    async with settlement_ground(databases) as made:
        yield made


def counts(report: Report) -> dict[str, int]:
    return {each.value: getattr(report, each) for each in Result if getattr(report, each)}


async def test_what_each_line_is(ground: Ground) -> None:
    same, other_amount, other_currency, unnamed, refund, declined, in_parts = (
        Move(),
        Move(),
        Move(),
        Move(),
        Move("refund", 300),
        Move(outcome="declined"),
        Move("capture", 900),
    )
    await ground.move(
        same, other_amount, other_currency, unnamed, refund, declined, in_parts, last := Move()
    )
    stranger = Move()
    fee = {"kind": "fee", "gross": "0", "fee": "1.15", "net": "-1.15"}
    rows = [
        same.row(fee="0.35", net="10.15"),
        same.row(fee="0.35", net="10.15"),
        other_amount.row(**amount(1_049)),
        other_currency.row(currency="USD"),
        stranger.row(),
        refund.row(),
        declined.row(),
        in_parts.row(**amount(1_000)),
        in_parts.row(**amount(-100)),
        last.row(our_reference=""),
        {**last.row(**fee), "processor_reference": "", "our_reference": ""},
        {**last.row(**fee), "processor_reference": "", "our_reference": ""},
        last.row(kind="payout", **amount(-500), our_reference="", processor_reference="po_1"),
        last.row(kind="chargeback", **amount(-1_050), processor_reference="dp_1"),
        last.row(kind="chargeback", **amount(-1_050), processor_reference="dp_1"),
    ]
    report = await ground.compared(await ground.give(written(rows)))
    assert report.state is State.DONE
    found = {each.line: each.result for each in await ground.found(report)}
    assert found == {
        2: R.MATCHED,
        3: R.DOUBLED,
        4: R.AMOUNT_DIFFERS,
        5: R.CURRENCY_DIFFERS,
        6: R.MISSING_HERE,
        7: R.MATCHED,
        8: R.MISSING_HERE,
        9: R.MATCHED,
        10: R.MATCHED,
        11: R.MATCHED,
        12: R.KEPT,
        13: R.KEPT,
        14: R.KEPT,
        15: R.KEPT,
        16: R.DOUBLED,
        None: R.MISSING_THERE,
    }
    (missing,) = await ground.found(report, result=R.MISSING_THERE)
    assert (missing.attempt_id, missing.expected) == (unnamed.attempt, 1_050)
    assert counts(report) == {
        "matched": 5,
        "kept": 4,
        "doubled": 2,
        "amount_differs": 1,
        "currency_differs": 1,
        "missing_here": 2,
        "missing_there": 1,
    }
    assert (report.lines, report.differing) == (15, 7)
    assert report.totals["AED"]["fee"].fee == 230
    assert report.totals["AED"]["payout"].net == -500
    assert report.totals["AED"]["capture"].fee == 35
    differing = await ground.found(report, differing=True)
    assert {each.result for each in differing} == set(R) - {R.MATCHED, R.KEPT}


async def test_what_a_customer_paid_is_compared_where_the_balance_is_in_another_currency(
    ground: Ground,
) -> None:
    dollars, fewer = Move(currency="USD"), Move(currency="USD")
    await ground.move(dollars, fewer)
    rows = [
        each.row(
            currency="AED",
            gross="38.53",
            net="38.53",
            presented_amount=said,
            presented_currency="USD",
        )
        for each, said in ((dollars, "10.50"), (fewer, "10.49"))
    ]
    report = await ground.compared(await ground.give(written(rows)))
    assert counts(report) == {"matched": 1, "amount_differs": 1}


@pytest.mark.parametrize(
    ("move", "row", "result"),
    [
        (Move(), {"our_reference": "order-17"}, R.MATCHED),
        (Move(), {"our_reference": "", "processor_reference": ""}, R.MISSING_HERE),
        (Move("refund"), {"our_reference": "", "kind": "capture"}, R.MISSING_HERE),
        (Move("authorize"), {}, R.MISSING_HERE),
        (Move(outcome="unknown"), {}, R.MISSING_HERE),
        (Move(reason="capture_failed"), {}, R.MISSING_HERE),
        (Move(reason="capture_failed"), amount(0), R.MATCHED),
    ],
)
async def test_which_attempt_a_line_is_about(
    ground: Ground, move: Move, row: dict[str, str], result: Result
) -> None:
    await ground.move(move)
    if "our_reference" in row and "processor_reference" not in row:
        row = {**row, "processor_reference": move.reference}
    report = await ground.compared(await ground.give(written([move.row(**row)])))
    assert counts(report) == {result.value: 1}


async def test_a_processors_name_of_several_payments_leads_nowhere(ground: Ground) -> None:
    """Stripe's intent is one of several captures; a line that names it alone could be any of them."""
    intent = "pi_1"
    twice = [Move("capture", 500, reference=intent), Move("capture", 550, reference=intent)]
    once = Move("capture", 700, reference="pi_2")
    await ground.move(*twice, once)
    rows = [
        each.row(our_reference="", processor_reference=f"ch_{n}", payment_reference=each.reference)
        for n, each in enumerate((*twice, once))
    ]
    report = await ground.compared(await ground.give(written(rows)))
    assert counts(report) == {"missing_here": 2, "matched": 1}


async def test_another_connections_attempts_are_neither_named_nor_missing(ground: Ground) -> None:
    first, between, last = Move(), Move(), Move()
    other = await ground.connect(new_id("con"))
    await ground.move(first)
    await ground.move(between, connection=other)
    await ground.move(last)
    rows = [first.row(), between.row(), last.row()]
    report = await ground.compared(await ground.give(written(rows)))
    assert counts(report) == {"matched": 2, "missing_here": 1}


async def test_what_another_report_names_is_not_missing(ground: Ground) -> None:
    first, between, last = Move(), Move(), Move()
    await ground.move(first, between, last)
    outer = await ground.compared(await ground.give(written([first.row(), last.row()])))
    assert counts(outer) == {"matched": 2, "missing_there": 1}
    await ground.compared(await ground.give(written([between.row()])))
    again = await ground.reports.again(outer.report_id, ground.by)
    assert again.state is State.RECEIVED
    assert counts(await ground.compared(again)) == {"matched": 2}
    rows = await ground.run(
        "select distinct run from payments.settlement_line where report_id = $1", outer.report_id
    )
    assert [each["run"] for each in rows] == [2]


MUTATIONS = ("keep", "drop", "double", "amount", "currency", "stranger", "split")


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    books=st.lists(
        st.tuples(
            st.sampled_from(["sale", "capture", "refund"]),
            st.integers(2, 10**9),
            st.sampled_from(MUTATIONS),
            st.booleans(),
        ),
        min_size=1,
        max_size=40,
    ),
    stretch=st.sampled_from([1, 300, 700, 2**20]),
    shuffle=st.randoms(use_true_random=False),
)
def test_whatever_is_done_to_a_report_is_found_exactly(
    databases: Databases, books: list[tuple[str, int, str, bool]], stretch: int, shuffle: Any
) -> None:
    """Drops, doubles, other amounts and currencies, strangers, parts that add up: each is found, and nothing else."""

    async def hold() -> None:
        async with settlement_ground(databases) as ground:
            rows: list[tuple[Row, Result]] = []
            missing: Counter[str] = Counter()
            for operation, size, what, by_us in books:
                move = Move(operation, size)
                await ground.move(move)
                row = move.row() if by_us else move.row(our_reference="")
                sign = -1 if operation == "refund" else 1
                made: list[tuple[dict[str, str], Result]] = {
                    "keep": [(row, R.MATCHED)],
                    "drop": [],
                    "double": [(row, R.MATCHED), (row, R.DOUBLED)],
                    "amount": [({**row, **amount(sign * (size - 1))}, R.AMOUNT_DIFFERS)],
                    "currency": [({**row, "currency": "USD"}, R.CURRENCY_DIFFERS)],
                    "stranger": [(row, R.MATCHED), (Move(operation, size).row(), R.MISSING_HERE)],
                    "split": [
                        ({**row, **amount(sign * (size - 1))}, R.MATCHED),
                        ({**row, **amount(sign)}, R.MATCHED),
                    ],
                }[what]
                if size == 2 and what == "split":  # both parts are one line twice
                    made = [(row, R.MATCHED)]
                rows += made
                missing[move.attempt] += what == "drop"
            shuffle.shuffle(rows)
            content = written([row for row, _ in rows])
            report = await ground.give(content, part=2_000, whole=True)
            report = await ground.compared(report, ground.comparing(stretch_bytes=stretch))
            found = await ground.found(report)
            by_line = {each.line: each.result for each in found if each.line is not None}
            said: dict[int, Result] = {}
            seen: set[str] = set()
            for line, (each, result) in enumerate(rows, start=2):
                text = repr(sorted(each.items()))
                if result in (R.DOUBLED, R.MATCHED) and text in seen:
                    said[line] = R.DOUBLED
                else:
                    said[line] = R.MATCHED if result is R.DOUBLED else result
                seen.add(text)
            assert by_line == said
            assert {each.attempt_id for each in found if each.line is None} == set(+missing)
            assert Counter(each.result.value for each in found) == Counter(counts(report))

    asyncio.run(hold())


class Killed(BaseException):
    """The process is gone: nothing catches this."""


class Dying(Database):
    """A pool whose process dies at its n-th transaction, just before or just after the commit."""

    def __init__(self, of: Database, at: int, *, after: bool) -> None:
        super().__init__(of.address, connections_max=3)
        self._left = at
        self._after = after

    @asynccontextmanager
    async def transaction(self, merchants: Any = ()) -> AsyncIterator[Transaction]:
        self._left -= 1
        dies = self._left == 0
        async with super().transaction(merchants) as tx:
            yield tx
            if dies and not self._after:
                raise Killed
        if dies:
            raise Killed


def faulty(moves: list[Move]) -> bytes:
    """A report with something of everything."""
    rows = [each.row() for each in moves]
    rows[3] = moves[3].row(**amount(1))
    rows[5] = moves[5].row(currency="USD")
    rows += [moves[0].row(), Move().row(), moves[1].row(**amount(-1)), moves[1].row(**amount(1))]
    del rows[7]
    return written(rows)


async def seen(ground: Ground, report: Report) -> tuple[Any, ...]:
    lines = await ground.found(report)
    events = await ground.run(
        "select type from webhooks.event where merchant_id = $1 and object_id = $2",
        ground.merchant,
        report.report_id,
    )
    records = await ground.run(
        "select payload from audit.event where merchant_id = $1 and convert_from(payload, 'utf8') like $2",
        ground.merchant,
        f"%ended%{report.report_id}%",
    )
    facts = [(each.place, each.result, each.attempt_id) for each in lines]
    return facts, counts(report), report.totals, [each["type"] for each in events], len(records)


@pytest.mark.parametrize("after", [False, True], ids=["before the commit", "after the commit"])
async def test_a_worker_that_dies_at_any_commit_leaves_the_same_result(
    databases: Databases,
    ground: Ground,
    after: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    moves = [Move() for _ in range(12)]
    await ground.move(*moves)
    content = faulty(moves)
    undisturbed = await ground.compared(
        await ground.give(content, part=SMALL), ground.comparing(stretch_bytes=SMALL)
    )
    wanted = await seen(ground, undisturbed)
    assert wanted[3] == ["reconciliation.differed"]
    assert wanted[4] == 1
    died = 0
    for at in range(1, 60):
        async with settlement_ground(databases) as other:
            await other.move(*moves)
            report = await other.give(content, part=SMALL)
            dying = Dying(other.worker, at, after=after)
            try:
                ended = await other.compared(report, other.comparing(dying, stretch_bytes=SMALL))
            except Killed:
                died += 1
                ended = await other.compared(report, other.comparing(stretch_bytes=SMALL))
            finally:
                await dying.close()
            assert await seen(other, ended) == wanted, f"killed at transaction {at}"
            if died < at:
                break
    assert died > 8, "it died in the middle of its stretches"


async def test_two_workers_that_have_one_job_find_what_one_would(ground: Ground) -> None:
    moves = [Move() for _ in range(12)]
    await ground.move(*moves)
    report = await ground.give(faulty(moves), part=SMALL)
    workers = [ground.comparing(stretch_bytes=SMALL) for _ in range(2)]
    first, second = await asyncio.gather(*(ground.compared(report, each) for each in workers))
    assert counts(first) == counts(second)
    assert (await seen(ground, first))[3:] == (["reconciliation.differed"], 1)
    assert first.lines == first.matched + first.missing_here + first.amount_differs + (
        first.currency_differs + first.doubled
    )


async def test_the_same_file_is_one_report(ground: Ground) -> None:
    move = Move()
    await ground.move(move)
    content = written([move.row()])
    first = await ground.compared(await ground.give(content))
    assert (await ground.give(content)).report_id == first.report_id
    assert len(await ground.found(first)) == 1
    other = await ground.connect(new_id("con"))
    assert (await ground.give(content, connection=other)).report_id != first.report_id


async def test_a_file_that_is_not_what_its_sender_said_is_not_compared(ground: Ground) -> None:
    move = Move()
    await ground.move(move)
    content = written([move.row()])
    begun = await ground.reports.begin(_wish(ground, b"another file"), ground.by)
    await ground.reports.take(ground.merchant, Mode.TEST, begun.report_id, 0, content, last=True)
    ended = await ground.compared(begun)
    assert (ended.state, ended.lines) == (State.FAILED, 0)
    assert ended.problem == "the file is not the one whose SHA-256 was said"
    # It may come again.
    assert (await ground.give(b"another file"[:0] + content)).state is State.RECEIVED


def _wish(ground: Ground, content: bytes) -> Any:
    return ReconciliationIn(ground.connection, sha256(content).hex())


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda row: {**row, "batch": "4242 4242 4242 4242"}, 'line 3, column "batch": holds what'),
        (lambda row: {**row, "net": "1"}, 'line 3, column "net": is not gross less fee'),
        (lambda row: {**row, "kind": "gift"}, 'line 3, column "kind": not one of'),
    ],
)
async def test_nothing_stays_of_a_file_with_a_line_that_is_not_taken(
    ground: Ground, spoil: Callable[[dict[str, str]], Row], problem: str
) -> None:
    move = Move()
    await ground.move(move)
    content = written([move.row(), spoil(move.row())])
    with pytest.raises(ReportNotTaken) as refused:
        await ground.give(content, part=content.index(b"\n", 200) + 1)
    assert problem in refused.value.detail
    assert "4242" not in refused.value.detail
    (row,) = await ground.run(
        "select state, problem, pieces from payments.settlement_report where merchant_id = $1",
        ground.merchant,
    )
    assert (row["state"], row["problem"].startswith(problem)) == ("failed", True)
    assert not await ground.run(
        "select from payments.settlement_piece where merchant_id = $1", ground.merchant
    )


async def test_a_part_goes_where_the_file_stands(ground: Ground) -> None:
    move = Move()
    await ground.move(move)
    content = written([move.row()])
    begun = await ground.reports.begin(_wish(ground, content), ground.by)

    async def take(offset: int, part: bytes, *, last: bool = False, of: str = "") -> Report:
        return await ground.reports.take(
            ground.merchant, Mode.TEST, of or begun.report_id, offset, part, last=last
        )

    with pytest.raises(ReportOffsetWrong):
        await take(5, content)
    with pytest.raises(ReconciliationUnknown):
        await take(0, content, of=new_id("rcn"))
    with pytest.raises(ReportNotRead):
        await ground.reports.again(begun.report_id, ground.by)
    # Half a header: nothing is taken yet.
    assert (await take(0, content[:20])).received == 0
    header = content.index(b"\n") + 1
    assert (await take(0, content[: header + 9])).received == header
    assert (await take(header, content[header:], last=True)).state is State.RECEIVED
    with pytest.raises(ReportEnded):
        await take(len(content), b"")
    ended = await ground.compared(begun)
    assert counts(ended) == {"matched": 1}


async def test_a_report_has_its_bounds(ground: Ground) -> None:
    ground.reports._bytes_max = 300
    with pytest.raises(ReportTooLarge):
        await ground.give(written([Move().row() for _ in range(3)]), part=200)


async def test_reports_go_when_they_are_old(ground: Ground) -> None:
    move = Move()
    await ground.move(move)
    old = await ground.compared(await ground.give(written([move.row()])))
    begun = await ground.reports.begin(_wish(ground, b"never sent"), ground.by)
    ground.clock.step(timedelta(days=8))
    retention = Retention(ground.worker, ground.clock, 30)
    await retention.run()
    with pytest.raises(ReconciliationUnknown):
        await ground.reports.read(ground.merchant, Mode.TEST, begun.report_id)
    assert (await ground.reports.read(ground.merchant, Mode.TEST, old.report_id)).lines == 1
    ground.clock.step(timedelta(days=23))
    await retention.run()
    for table in ("report", "piece", "line"):
        assert not await ground.run(
            f"select from payments.settlement_{table} where merchant_id = $1", ground.merchant
        )


async def test_who_differs_is_told_and_counted(ground: Ground) -> None:
    first, between, last = Move(), Move(), Move()
    await ground.move(first, between, last)
    await ground.compared(await ground.give(written([first.row(), last.row()])))
    (line,) = [
        each for each in ground.lines.text().splitlines() if "reconciliation_differs" in each
    ]
    assert '"total":1' in line
    counted = ground.metrics.registry.get_sample_value
    assert counted("strongroom_reconciliation_lines_total", {"result": "missing_there"}) == 1
    assert counted("strongroom_reconciliation_lines_total", {"result": "matched"}) == 2
    assert counted("strongroom_reconciliations_total", {"outcome": "differed"}) == 1
