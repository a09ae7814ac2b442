# SPDX-License-Identifier: Apache-2.0
"""The simulator's faults over HTTP and the truth behind each; restarts; a process that is killed."""

import asyncio
import json
import logging
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from contracts.simulator_shop import (
    QUICK,
    SECONDS_MAX,
    Shop,
    answered,
    shop_at,
    shopping,
    simulating,
)
from polling import until
from strongroom.kernel.schemes import synthetic_number
from strongroom.simulator import (
    Fault,
    JournalUnreadable,
    Simulated,
    SimulatorControl,
    SimulatorControlFailed,
    SimulatorFolderTaken,
    SimulatorPortTaken,
    running_simulator,
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def simulated(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Simulated]:
    async with simulating(tmp_path_factory.mktemp("simulator")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def shop(simulated: Simulated) -> AsyncIterator[Shop]:
    async with shopping(simulated) as made:
        yield made


# --- faults -------------------------------------------------------------------------------------------

#: Fault, seconds; what the client meets, whether it was executed.
FAULTS: list[tuple[Fault, float | None, Any, bool]] = [
    (Fault.TIMEOUT_BEFORE, None, httpx.ReadTimeout, False),
    (Fault.TIMEOUT_BEFORE, 0.02, httpx.RemoteProtocolError, False),
    (Fault.ERROR_500_BEFORE, None, 500, False),
    (Fault.CUT_BEFORE, None, httpx.RemoteProtocolError, False),
    (Fault.TIMEOUT_AFTER, None, httpx.ReadTimeout, True),
    (Fault.ERROR_500_AFTER, None, 500, True),
    (Fault.CUT_AFTER, None, httpx.RemoteProtocolError, True),
    (Fault.SLOW, 0.05, 201, True),
    (Fault.SLOW, 0.4, httpx.ReadTimeout, True),
    (Fault.ACT_LATE, 0.05, 201, True),
    (Fault.ACT_LATE, 0.4, httpx.ReadTimeout, True),
    (Fault.WRONG_SHAPE, None, 201, True),
]


@pytest.mark.parametrize("row", FAULTS, ids=[f"{row[0]}-{row[1]}" for row in FAULTS])
async def test_a_fault_and_the_truth_behind_it(
    shop: Shop, row: tuple[Fault, float | None, Any, bool], caplog: pytest.LogCaptureFixture
) -> None:
    fault, seconds, met, executed = row
    caplog.set_level(logging.INFO)
    payment = await shop.paid()
    path = f"/v1/payments/{payment['id']}/captures"
    body = {"reference": "c", "amount": 100, "final": False}
    await shop.control.demand(fault, "capture", reference="c", seconds=seconds)
    headers = {"Idempotency-Key": "k"}
    if isinstance(met, int):
        answer = await shop.http.post(path, json=body, headers=headers)
        assert answer.status_code == met
        if fault is Fault.WRONG_SHAPE:
            shown = answer.json()
            assert not isinstance(shown, dict) or shown.get("status") != "succeeded"
    else:
        with pytest.raises(met):
            await shop.http.post(path, json=body, headers=headers, timeout=0.15)
    if fault is not Fault.ACT_LATE:
        captured = (await shop.kinds())[1:]
        assert captured == (["captured"] if executed else []), "the journal says it at once"
    again = await answered(lambda: shop.post(path, "k", **body))
    assert again.status_code == 201
    assert again.json()["status"] == "succeeded"
    assert ("Idempotent-Replayed" in again.headers) is executed
    assert await shop.kinds() == ["authorized", "captured"], "executed once in the end"
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert (await shop.control.faults()).waiting == 0


@pytest.mark.parametrize(
    ("fault", "met"),
    [
        (Fault.CUT_BEFORE, httpx.RemoteProtocolError),
        (Fault.CUT_AFTER, httpx.RemoteProtocolError),
        (Fault.TIMEOUT_BEFORE, httpx.ReadTimeout),
        (Fault.TIMEOUT_AFTER, httpx.ReadTimeout),
        (Fault.ERROR_500_BEFORE, 500),
        (Fault.ERROR_500_AFTER, 500),
        (Fault.SLOW, 200),
        (Fault.WRONG_SHAPE, 200),
    ],
)
async def test_looking_meets_faults_too(shop: Shop, fault: Fault, met: Any) -> None:
    payment = await shop.paid()
    for path, params in (
        ("/v1/operations", {"reference": payment["reference"]}),
        (f"/v1/payments/{payment['id']}", {}),
    ):
        await shop.control.demand(fault, "find", seconds=None if met == httpx.ReadTimeout else 0.01)
        if isinstance(met, int):
            answer = await shop.http.get(path, params=params)
            assert answer.status_code == met
            assert (fault is Fault.WRONG_SHAPE) is (
                met == 200 and answer.json() not in ({"data": [payment]}, payment)
            )
        else:
            with pytest.raises(met):
                await shop.http.get(path, params=params, timeout=0.1)
        assert (await shop.http.get(path, params=params)).status_code == 200


async def test_what_is_made_is_found_only_after_a_while(shop: Shop) -> None:
    await shop.control.faults(visibility=0.2)
    try:
        payment = await shop.paid()
        assert await shop.find(payment["reference"]) == []
        assert (await shop.http.get(f"/v1/payments/{payment['id']}")).status_code == 200
        end = time.monotonic() + SECONDS_MAX
        while await shop.find(payment["reference"]) != [payment]:
            assert time.monotonic() < end
    finally:
        await shop.control.no_faults()


async def test_a_seed_replays_whatever_the_order(shop: Shop) -> None:
    """Twice the same keys, in another order: the same fault for each key and each repeat."""

    async def meets(key: str) -> str:
        try:
            answer = await shop.pay(key=key, reference=key)
        except httpx.HTTPError as error:
            return type(error).__name__
        return f"{answer.status_code}"

    rates = {Fault.CUT_BEFORE: 0.2, Fault.CUT_AFTER: 0.2, Fault.ERROR_500_AFTER: 0.2}
    met = []
    for order in (1, -1):
        await shop.control.no_faults()
        await shop.control.faults(seed=11, rates=rates)
        seen: dict[str, list[str]] = {}
        for key in [f"seed-{n}" for n in range(20)][::order]:
            seen[key] = [await meets(key) for _ in range(3)]
        met.append(seen)
    await shop.control.no_faults()
    assert met[0] == met[1]
    assert {each for row in met[0].values() for each in row} == {
        "201",
        "500",
        "RemoteProtocolError",
    }
    kinds = await shop.kinds()
    assert kinds == ["authorized"] * len(kinds)
    assert len(kinds) <= 20, "each key at most once"


async def test_a_seed_replays_for_a_client_whose_keys_are_others(shop: Shop) -> None:
    """Named by what is wished for, the same amounts meet the same faults, and so do looks at what came of them."""

    async def meets(asking: Awaitable[httpx.Response]) -> str:
        try:
            return str((await asking).status_code)
        except httpx.HTTPError as error:
            return type(error).__name__

    rates = {Fault.CUT_BEFORE: 0.2, Fault.ERROR_500_AFTER: 0.3}
    met = []
    for run in ("first", "second"):
        await shop.control.no_faults()
        await shop.control.faults(seed=11, draw_by="wish", rates=rates)
        seen: list[list[str]] = []
        for amount in range(5_000, 5_020):
            name = f"{run}-{amount}"
            row = [
                await meets(shop.pay(amount=amount, key=f"{name}-{repeat}", reference=name))
                for repeat in range(2)
            ]
            if set(row) != {
                "RemoteProtocolError"
            }:  # what never came has no other name than its own
                looks = {"reference": name}
                row.append(await meets(shop.http.get("/v1/operations", params=looks)))
            seen.append(row)
        met.append(seen)
    await shop.control.no_faults()
    assert met[0] == met[1]
    assert {each for row in met[0] for each in row} == {"200", "201", "500", "RemoteProtocolError"}


async def test_wrong_settings_are_refused(shop: Shop) -> None:
    wrong: list[dict[str, Any]] = [
        {"rates": {"slow": 0.6, "cut_after": 0.6}, "seed": 1},
        {"rates": {"slow": 2}, "seed": 1},
        {"rates": {"slow": 0.1}},
        {"rates": {"unheard_of": 0.1}, "seed": 1},
        {"latency_ms": -1},
        {"colour": 1},
    ]
    for settings in wrong:
        with pytest.raises(SimulatorControlFailed):
            await shop.control.faults(**settings)
    assert (await shop.control.faults(seed=3)).rates.keys() == set(Fault) - {
        Fault.ACQUIRER_AWAY,
        Fault.BUSY,
    }
    assert (await shop.control.no_faults()).seed is None


# --- journal, books, restart --------------------------------------------------------------------------


async def test_the_journal_says_what_happened_and_the_books_sum_it(shop: Shop) -> None:
    payment = await shop.paid(amount=1077)
    path = f"/v1/payments/{payment['id']}"
    reference = shop.fresh()
    await shop.post(f"{path}/captures", "key-c", reference=reference, amount=500, final=True)
    entries = await shop.control.journal(account=shop.name)
    assert [(e.kind, e.amount, e.reference) for e in entries] == [
        ("authorized", 538, payment["reference"]),
        ("captured", 500, reference),
        ("released", 38, reference),
    ]
    assert entries[1].idempotency_key == "key-c"
    assert [e.n for e in entries] == list(range(entries[0].n, entries[0].n + 3))
    assert await shop.control.journal(account=shop.name, after=entries[1].n) == [entries[2]]
    books = await shop.control.books(account=shop.name)
    assert [(t.currency, t.authorized, t.captured, t.voided) for t in books.totals] == [
        ("AED", 538, 500, 38)
    ]
    assert [(p.id, p.status, p.captured) for p in books.payments] == [
        (payment["id"], "captured", 500)
    ]


async def test_a_restarted_simulator_knows_everything(tmp_path: Path) -> None:
    async with running_simulator(tmp_path, **QUICK) as first:  # type: ignore[arg-type]
        account = {"webhook_url": "http://127.0.0.1:9/", "webhook_secrets": ["a-secret"]}
        async with shop_at(first, "acct_a", **account) as shop:
            created = await shop.pay(key="k-p", reference="p")
            challenged = await shop.paid("4000002760003184", reference="ch")
            await shop.paid(amount=188, reference="pend")
            path = f"/v1/payments/{created.json()['id']}"
            captured = await shop.post(
                f"{path}/captures", "k-c", reference="c", amount=400, final=False
            )
            journal = await first.control.journal()
            books = await first.control.books()
            key = shop.http.headers["Authorization"]
        with pytest.raises(SimulatorFolderTaken):
            async with running_simulator(tmp_path):
                pass
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b'{"n":7,"torn')
    async with running_simulator(tmp_path, pending_seconds=0.01) as second:
        assert second.control_key == first.control_key
        assert (await second.control.journal())[: len(journal)] == journal
        async with httpx.AsyncClient(base_url=second.url, headers={"Authorization": key}) as http:
            shop = Shop(http, second.control, "acct_a")
            again = await shop.pay(key="k-p", reference="p")
            assert again.content == created.content
            body = {"reference": "c", "amount": 400, "final": False}
            assert (await shop.post(f"{path}/captures", "k-c", **body)).content == captured.content
            mismatch = await shop.pay(key="k-p", reference="p", amount=1)
            assert mismatch.status_code == 422
            end = time.monotonic() + SECONDS_MAX
            while (await shop.find("pend"))[0]["status"] == "pending":
                assert time.monotonic() < end, "what was pending is decided after a restart"
            await second.control.challenge(f"{second.url}/challenge/{challenged['id']}")
            assert (await shop.find("ch"))[0]["status"] == "authorized"
            assert (await shop.find("c"))[0]["totals"]["captured"] == 400
            now = {p.reference: p for p in (await second.control.books()).payments}
            assert now["p"] == next(p for p in books.payments if p.reference == "p")
    async with running_simulator(tmp_path) as third:
        assert len(await third.control.journal()) == len(journal) + 2, "numbers go on behind it"


async def test_a_journal_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text('{"n": 1}\n')
    with pytest.raises(JournalUnreadable, match="line 1"):
        async with running_simulator(tmp_path):
            pass
    (tmp_path / "journal.jsonl").unlink()
    async with running_simulator(tmp_path) as running:  # it let go of the folder
        port = int(running.url.rpartition(":")[2])
        other = tmp_path / "other"
        with pytest.raises(SimulatorPortTaken):
            async with running_simulator(other, port=port):
                pass


async def test_no_card_number_and_no_cvc_is_kept(simulated: Simulated, shop: Shop) -> None:
    number = synthetic_number(90_909_090)
    await shop.paid(number, card={"number": number, "exp_month": 1, "exp_year": 2031, "cvc": "987"})
    kept = b"".join(path.read_bytes() for path in simulated.folder.iterdir())
    assert number.encode() not in kept
    by_chance = rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z|[A-Z0-9]{26}|[0-9a-f]{32}"
    assert b"987" not in re.sub(by_chance, b"", kept)
    assert all(path.stat().st_mode & 0o077 == 0 for path in simulated.folder.iterdir())
    assert all(number not in repr(each) for each in await simulated.control.journal())


async def test_many_clients_at_once_never_exceed_what_is_left(shop: Shop) -> None:
    payment = await shop.paid(amount=1000)
    path = f"/v1/payments/{payment['id']}"

    async def one(n: int) -> None:
        route, body = [
            ("captures", {"amount": 30, "final": False}),
            ("refunds", {"amount": 20}),
            ("captures", {"amount": 50, "final": n > 50}),
            ("voids", {}),
        ][n % 4 if n > 40 else n % 3]
        await shop.post(f"{path}/{route}", f"many-{n}", reference=f"many-{n}", **body)

    await shop.control.faults(latency_ms=5)
    try:
        await asyncio.gather(*(one(n) for n in range(60)))
    finally:
        await shop.control.faults(latency_ms=0)
    sums: Counter[str] = Counter()
    for entry in await shop.control.journal(account=shop.name):
        sums[entry.kind] += entry.amount
    now = (await shop.http.get(path)).json()
    assert now["captured"] == sums["captured"]
    assert now["voided"] == sums["voided"] + sums["released"]
    assert now["refunded"] == sums["refunded"] <= now["captured"]
    assert now["captured"] + now["voided"] <= 1000


# --- in a process of its own --------------------------------------------------------------------------


async def test_killed_at_any_moment_it_knows_what_it_answered(tmp_path: Path) -> None:
    """SIGKILL amid requests: what was answered stands in the journal, and nothing stands there twice."""
    program = (
        "import sys, typer\nfrom strongroom.cli import simulator\n"
        "app = typer.Typer()\nsimulator.register(app)\napp(sys.argv[1:])\n"
    )
    arguments = ["--port", "0", "--folder", str(tmp_path), "--json"]
    answered: dict[str, str] = {}
    for turn in range(3):
        process = subprocess.Popen(  # noqa: ASYNC220 - it starts at once, and is killed
            [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        with process, process.stdout:
            facts = json.loads(await asyncio.to_thread(process.stdout.readline))
            headers = {"Authorization": f"Bearer {facts['api_key']}"}
            async with (
                httpx.AsyncClient(base_url=facts["url"], headers=headers) as http,
                SimulatorControl(facts["url"], facts["control_key"]) as control,
            ):
                shop = Shop(http, control, "acct_shop")
                for key, made in list(answered.items())[-20:]:
                    again = await shop.pay(key=key, reference=key)
                    assert (again.json()["id"], "Idempotent-Replayed" in again.headers) == (
                        made,
                        True,
                    )

                async def client(number: int, turn: int = turn, shop: Shop = shop) -> None:
                    for n in range(10_000):
                        key = f"turn-{turn}-{number}-{n}"
                        try:
                            answered[key] = (await shop.pay(key=key, reference=key)).json()["id"]
                        except httpx.HTTPError:
                            return

                clients = asyncio.gather(*(client(number) for number in range(4)))
                await until(lambda turn=turn: len(answered) > 100 * (turn + 1))  # type: ignore[misc]
                process.kill()
                await clients
    async with running_simulator(tmp_path) as running:
        entries = await running.control.journal()
    assert Counter(entry.idempotency_key for entry in entries).most_common(1)[0][1] == 1
    executed = {str(entry.idempotency_key): entry.payment for entry in entries}
    assert answered.items() <= executed.items()
    assert len(executed) - len(answered) <= 3 * 4, "at most what was under way"
