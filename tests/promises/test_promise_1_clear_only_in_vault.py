# SPDX-License-Identifier: Apache-2.0
"""Promise 1: a card number is in clear only inside the vault process, for one call."""

import json
import logging
import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from answers import Echo
from api.conftest import fly
from api.listener import Notebook, edge
from canary import CVC, NUMBER, PLANTED_CVC, PLANTED_NUMBER, Canary, everywhere, pg_dump
from database import Databases, Server, fresh_databases
from peer import answer, says
from promises.tap import Tap, tapped
from revealing import show
from service import Service, running, wish
from store.forward_ground import authorize, forward_ground
from strongroom.db.logins import Domain
from strongroom.db.pool import connect
from strongroom.kernel.cardlike import has_cardlike_bytes
from strongroom.kernel.clock import SystemClock
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.kernel.schemes import VISA
from strongroom.simulator import Simulated
from strongroom.telemetry.canary import decoys
from strongroom.telemetry.capture import captured
from strongroom.telemetry.log import Log
from strongroom.telemetry.sink import MemorySink
from strongroom.vault.answers import Cleaner
from strongroom.vault.pan import Pan
from strongroom.vault.sealing import MerchantKeys

CANARY = Canary(NUMBER, CVC)
#: Another number, so that what is planted stays apart from what must not be there.
PLANTED = Canary(PLANTED_NUMBER, PLANTED_CVC)


async def test_no_table_dump_file_log_metric_or_answer_holds_it(
    service: Service, processor: Simulated
) -> None:
    """Cards go through every route; then tables, dumps, files, write-ahead log, logs and answers are searched."""
    await fly(service, processor)
    assert not await everywhere(CANARY, service, service.databases)


# --- the line to the database --------------------------------------------------------------------


@asynccontextmanager
async def on_the_line(databases: Databases, folder: Path) -> AsyncIterator[tuple[Service, Tap]]:
    """A Strongroom, and all that it says to its databases."""
    with tempfile.TemporaryDirectory(prefix="tap-", dir="/var/tmp") as socket:
        async with (
            tapped(databases, Path(socket)) as (through, tap),
            running(through, folder, listens=False) as service,
        ):
            yield service, tap


async def found_on_the_line(service: Service, tap: Tap, canary: Canary) -> list[str]:
    """Make tokens in every way there is, and search what was said to the databases meanwhile."""
    vault = await service.shop()
    token = await vault.token(canary.number, canary.cvc, metadata={"order": "1042"})
    for _ in range(2):
        await vault.token(canary.number, canary.cvc, deduplicate=True)
    await vault.post("/v1/tokens/bulk", {"tokens": [wish(canary.number, canary.cvc)] * 3})
    await vault.post(f"/v1/tokens/{token['id']}/cvc", {"cvc": canary.cvc})
    await vault.tokenize(canary.number, canary.cvc, metadata={"note": canary.number})
    assert bytes(tap.sent).count(b"put_tokens") >= 1, "it is this line that tokens go over"
    return [
        *canary.in_bytes(bytes(tap.sent), "sent"),
        *canary.in_bytes(bytes(tap.received), "received"),
    ]


async def test_it_is_sealed_before_it_reaches_the_driver(
    databases: Databases, tmp_path: Path
) -> None:
    """Every byte between Strongroom and PostgreSQL is kept and searched."""
    async with on_the_line(databases, tmp_path) as (service, tap):
        assert not await found_on_the_line(service, tap, CANARY)
        await show(service, CANARY.number)
        assert bytes(tap.sent).count(b"vault.reveal") >= 1, "it is this line that reveals go over"
        assert not CANARY.in_bytes(bytes(tap.sent), "sent")
        assert not CANARY.in_bytes(bytes(tap.received), "received")


@pytest.fixture
def clear_sealer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard taken away: what should seal hands the digits on."""

    def clear(
        self: MerchantKeys, pan: Pan, mode: Mode, merchant: MerchantId, token: TokenId
    ) -> bytes:
        return pan.sealable()

    monkeypatch.setattr(MerchantKeys, "sealed", clear)


@pytest.mark.usefixtures("clear_sealer")
async def test_sabotage_a_sealer_that_does_not_seal_is_noticed(
    server: Server, tmp_path: Path
) -> None:
    """Without sealing, the same searches find the number on the line, in the tables, in a dump and in the files."""
    async with fresh_databases(server) as databases:
        async with on_the_line(databases, tmp_path) as (service, tap):
            found = await found_on_the_line(service, tap, PLANTED)
            assert {place.partition(":")[0] for place in found} >= {"sent"}
        everything = await everywhere_here(databases, PLANTED)
        places = " ".join(everything)
        assert "vault.token" in places
        assert "dump of" in places
        assert "/base/" in places
        assert "/pg_wal/" in places


async def everywhere_here(databases: Databases, canary: Canary) -> list[str]:
    """Search the vault database and the files of its server."""
    await databases.server.run("checkpoint")
    administrator = databases.administrator(Domain.VAULT)
    return [
        *await canary.in_tables(administrator),
        *await canary.in_dump(administrator, pg_dump()),
        *canary.in_folder(databases.server.folder),
    ]


# --- errors and logs -----------------------------------------------------------------------------


async def test_an_error_that_holds_it_tells_nobody(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something breaks in the middle of a call, with the number in its message: answer and log stay clean."""

    def breaks(self: MerchantKeys, pan: Pan, *_place: object) -> bytes:
        raise ValueError(f"cannot seal {pan.identity().decode()}: {pan!r}")

    monkeypatch.setattr(MerchantKeys, "sealed", breaks)
    async with (
        fresh_databases(server) as databases,
        running(databases, tmp_path, listens=False) as service,
    ):
        answer = await (await service.shop()).tokenize(NUMBER, CVC)
        assert answer.status_code == 500
        assert not CANARY.in_bytes(answer.content, "answer")
        log = service.log_text()
    lines = [json.loads(line) for line in log.splitlines()]
    assert [line for line in lines if line["event_type"] == "http.failed"], (
        "it is logged all the same"
    )
    assert not CANARY.in_bytes(log.encode(), "log")


class NoScrubber:
    """The last line taken away."""

    def dirty(self, line: bytes) -> bool:  # noqa: ARG002 - the port's
        return False

    def clean(self, text: str) -> str:
        return text


def logged(log: Log, sink: MemorySink) -> list[str]:
    """What a library that knows no better leaves in the log, under a log's protection."""
    with captured(log):
        logging.getLogger("somebody.elses").warning("declined: %s", NUMBER)
        logging.getLogger("somebody.elses").error(
            "card %s", " ".join((NUMBER[:4], NUMBER[4:8], NUMBER[8:12], NUMBER[12:]))
        )
        log.logger().error("vault.failed", reason=f"about {NUMBER}")
    return CANARY.in_bytes(sink.text().encode(), "log")


def test_what_libraries_log_is_scrubbed() -> None:
    """A library logs the number: it does not reach the log."""
    sink = MemorySink()
    assert not logged(Log(sink, clock=SystemClock()), sink)
    assert "[card number removed]" in sink.text()


def test_sabotage_without_the_scrubber_it_is_found() -> None:
    """The same lines without the scrubber hold the number, and the search finds it."""
    sink = MemorySink()
    log = Log(sink, clock=SystemClock(), scrubber=NoScrubber())
    assert logged(log, sink)


# --- the process ---------------------------------------------------------------------------------

_CRASH = """
import os, resource, sys
sys.path[:0] = {path!r}
resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
from strongroom.cli.hardening import can_be_dumped, forbid_dumps
if {guarded}:
    forbid_dumps()
print(can_be_dumped(), flush=True)
card = "{number}"
os.abort()
"""


def crashed(folder: Path, *, guarded: bool) -> tuple[bool, list[Path]]:
    """Crash a process that holds the number: whether it could be dumped, and the cores it left."""
    source = _CRASH.format(path=sys.path, guarded=guarded, number=NUMBER)
    ended = subprocess.run(
        [sys.executable, "-c", source], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ended.returncode == -signal.SIGABRT, ended.stderr
    return ended.stdout.strip() == "True", list(folder.glob("*core*"))


def test_a_crash_leaves_no_core(tmp_path: Path) -> None:
    """The vault process forbids dumps of its memory: a crash leaves no core."""
    assert crashed(tmp_path, guarded=True) == (False, [])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may raise the limit on cores again")
def test_sabotage_a_process_that_does_not_forbid_it_can_be_dumped(tmp_path: Path) -> None:
    """Without that, the same look says that the process can be dumped."""
    dumpable, _ = crashed(tmp_path, guarded=False)
    assert dumpable


def test_the_number_is_a_type_that_does_not_print() -> None:
    """Inside the vault the number is a type that neither prints, formats, pickles nor compares."""
    pan = Pan(NUMBER, VISA)
    for shown in (
        repr(pan),
        str(pan),
        f"{pan}",
        f"{pan!r:>30}",
        str([pan]),
        repr([pan]),
        repr({"a": pan}),
    ):
        assert not CANARY.in_bytes(shown.encode(), "text")
    with pytest.raises(TypeError):
        pickle.dumps(pan)
    with pytest.raises(TypeError):
        pan == pan  # noqa: B015, PLR0124
    with pytest.raises(TypeError):
        hash(pan)


# --- other processes -----------------------------------------------------------------------------


async def answered(*, carries_cards: bool) -> httpx.Response:
    """What a listener says to a body with a card number in it."""
    small = edge(Notebook(), carries_cards=carries_cards)
    transport = httpx.ASGITransport(app=small)  # type: ignore[arg-type]  # dict, not MutableMapping
    async with httpx.AsyncClient(transport=transport, base_url="https://small.test") as client:
        return await client.post("/echo", json={"a": NUMBER})


async def test_no_other_listener_takes_one() -> None:
    """A listener that carries no cards refuses a body that holds one, before any route sees it."""
    answer = await answered(carries_cards=False)
    assert (answer.status_code, answer.json()["code"]) == (422, "card_number_refused")


async def test_sabotage_a_gateway_that_carries_cards_lets_one_through() -> None:
    """With that guard taken away the same body reaches the route."""
    assert (await answered(carries_cards=True)).status_code == 201


async def kept_disguised(
    server: Server, folder: Path, canary: Canary, text: str
) -> tuple[str, list[str]]:
    """Give the gateway a reference that holds a number: how it refuses, and where the number stands then."""
    async with (
        fresh_databases(server) as databases,
        running(databases, folder, listens=False) as service,
    ):
        gateway = service.gateway((await service.tenant()).keys[Mode.TEST])
        body = f'{{"name":"Amal","reference":"{text}"}}'.encode()
        try:
            said = await gateway.post("/v1/customers", content=body)
            code = said.json().get("code", "not refused")
        except Echo:  # every answer is searched
            code = "not refused"
        return code, await canary.in_tables(databases.administrator(Domain.CORE))


def escaped(number: str) -> str:
    """Write a number as JSON may (RFC 8259 §7)."""
    return "".join(f"\\u{ord(digit):04x}" for digit in number)


@pytest.mark.parametrize("text", [escaped(NUMBER), f"card{NUMBER}", f"PAN{NUMBER}END"])
async def test_one_in_disguise_is_taken_by_no_other_listener(
    server: Server, tmp_path: Path, text: str
) -> None:
    """A number that only reading the JSON shows, or that touches letters, is refused too, and stands in no table."""
    assert await kept_disguised(server, tmp_path, CANARY, text) == ("card_number_refused", [])


async def test_sabotage_a_gateway_that_searches_only_what_was_sent_keeps_it(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the edge searches a body as it came and not as it is read, the number is found in a table."""
    monkeypatch.setattr("strongroom.http.edge.carries_cardlike", has_cardlike_bytes)
    code, found = await kept_disguised(server, tmp_path, PLANTED, escaped(PLANTED_NUMBER))
    assert code == "not refused"
    assert any("payments.customer" in place for place in found), found


async def test_sabotage_a_detector_that_takes_letters_for_an_id_keeps_it(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where letters beside a number count as a part of it, as in an id, the number is found in a table."""
    monkeypatch.setattr("strongroom.kernel.cardlike._BEFORE", re.compile(r"(?!)"))
    code, found = await kept_disguised(server, tmp_path, PLANTED, f"card{PLANTED_NUMBER}")
    assert code == "not refused"
    assert any("payments.customer" in place for place in found), found


# --- what a processor echoes -------------------------------------------------------------------------


async def echoed(server: Server) -> bytes:
    """A processor answers a charge with the number it was sent: what of that leaves the vault, headers included."""
    async with fresh_databases(server) as databases, forward_ground(databases) as ground:
        token, _ = await ground.token(NUMBER)
        echo = f'{{"card": "{NUMBER}", "hex": "{NUMBER.encode().hex()}"}}'.encode()
        ground.peer.behaviour = says(answer(echo, 200, f"x-card: {NUMBER}\r\n"))
        reply = await ground.process.forwarder.forward(ground.call(authorize(), token=token))
        (asked,) = ground.peer.requests
        assert NUMBER.encode() in asked.body, "the processor itself was sent the number"
        return reply.body + str(reply.headers).encode()


async def test_what_a_processor_echoes_stays_inside(server: Server) -> None:
    """A processor's answer holds the number, in clear and in hex: neither leaves the vault."""
    left = await echoed(server)
    assert NUMBER.encode() not in left
    assert NUMBER.encode().hex().encode() not in left


async def test_sabotage_an_answer_that_is_not_cleaned_carries_it_out(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the cleaning of answers, the same look finds it."""
    monkeypatch.setattr(Cleaner, "body", lambda _self, body: body)
    monkeypatch.setattr(Cleaner, "text", lambda _self, text: text)
    left = await echoed(server)
    assert left.count(NUMBER.encode()) == 2
    assert NUMBER.encode().hex().encode() in left


# --- the search itself: it finds one in each kind of place -----------------------------------------

FORMS = [*decoys(PLANTED_NUMBER)]
#: Where a file stands, what stands before and behind what is planted.
FILES = [
    ("state/log/strongroom.log", b'{"event_type":"http.answered","reason":"', b'"}\n'),
    ("state/postgres/log", b"2026-11-20 FATAL:  ", b"\n"),
    ("state/postgres/data/base/16384/24576", bytes(8_192), bytes(8_000)),
    ("state/postgres/data/pg_wal/000000010000000000000001", os.urandom(10_000), os.urandom(500)),
    ("state/audit/vault/records/000", b"\x00\x01{", b"}"),
    ("state/keys/roots.sealed", b"", b""),
    ("answers", b"HTTP/1.1 422\r\n\r\n", b"\r\n"),
    ("metrics", b'strongroom_requests_total{route="', b'"} 1\n'),
    ("trace", b"0af7651916cd43dd8448eb211c80319c-", b"-01"),
    ("core.4711", os.urandom(5_000), os.urandom(5_000)),
]


@pytest.mark.parametrize(("place", "before", "behind"), FILES, ids=[row[0] for row in FILES])
def test_sabotage_one_planted_in_a_file_is_found_in_every_form(
    tmp_path: Path, place: str, before: bytes, behind: bytes
) -> None:
    """One number in a file of each kind, in each form (clear, spaced, base64, hex, URL …): all are found."""
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(before + behind)
    assert not PLANTED.in_folder(tmp_path)
    for form, planted in FORMS:
        path.write_bytes(before + planted + behind)
        found = PLANTED.in_folder(tmp_path)
        assert any(str(place) in each and str(form) in each for each in found), form


def test_sabotage_one_planted_in_a_files_name_is_found(tmp_path: Path) -> None:
    """The names of files are searched too."""
    (tmp_path / f"receipt-{PLANTED_NUMBER}.txt").write_text("nothing")
    assert PLANTED.in_folder(tmp_path)


TOKEN = (
    "('mer_x', 'test', 'tok_x', '{sealed}', 1, 'visa', '520082', '8210', 1, 2034, null, null, false, null, {metadata},"
    " 'key_x', now())"
)
#: A table of the vault database, and a row that plants `$number` or `$cvc` in it.
ROWS = [
    (
        "keys.data_key",
        "('mer_x', 'test', 'card', 1, 'card', 'active', '$number', sha256('a'), now())",
    ),
    ("vault.cvc_use", "('mer_x', 'test', '$number', now())"),
    ("vault.cvc_use", "('mer_x', 'test', '$cvc', now())"),
    ("vault.card_identity", "('mer_x', 'test', 1, rpad('$number', 32)::bytea, 'tok_x')"),
    ("vault.cvc_epoch", "(0, 'cvk_x', '$number', now(), now())"),
    ("audit.address", "('mer_x', now(), sha256('a'), 'salt', '$number')"),
    (
        "audit.event",
        "(audit.id_floor(now()), 'mer_x', 'test', '{\"cvc\":\"$cvc\"}', sha256('a'), sha256('a'))",
    ),
    (
        "audit.event",
        "(audit.id_floor(now()), 'mer_x', 'test', '{\"at\":$number}', sha256('a'), sha256('a'))",
    ),
    ("audit.checkpoint", "(1, 'o', sha256('a'), '$number', now())"),
    (
        "idempotency.request",
        "(now(), 'mer_x', 'test', 'r', 'k', 'c', sha256('a'), 201, null, '{\"a\":\"$number\"}')",
    ),
    (
        "idempotency.request",
        "(now(), 'mer_x', 'test', 'r', 'k', 'c', sha256('a'), 201, null, '{\"a\":\"$cvc\"}')",
    ),
    (
        "idempotency.request",
        "(now(), 'mer_x', 'test', 'r', '$number', 'c', sha256('a'), 201, null, '')",
    ),
    ("vault.token", TOKEN.format(sealed="$number", metadata="null")),
    ("vault.token", TOKEN.format(sealed="sealed", metadata='\'{"note":"$number"}\'')),
    ("vault.token", TOKEN.format(sealed="sealed", metadata='\'{"code":"$cvc"}\'')),
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def throwaway(server: Server) -> AsyncIterator[Databases]:
    """Databases to spoil."""
    async with fresh_databases(server) as fresh:
        yield fresh


@pytest.mark.parametrize(("table", "row"), ROWS)
async def test_sabotage_one_planted_in_a_table_is_found(
    throwaway: Databases, table: str, row: str
) -> None:
    """One number or CVC in a row of each kind of table is found."""
    planted = row.replace("$number", PLANTED_NUMBER).replace("$cvc", PLANTED_CVC)
    columns = "(event_id, merchant_id, mode, payload, leaf_hash, row_mac)"
    connection = await connect(throwaway.administrator(Domain.VAULT))
    transaction = connection.transaction()
    await transaction.start()
    try:
        assert not await PLANTED.in_rows(connection)
        await connection.execute(
            f"insert into {table} {columns if table == 'audit.event' else ''} values {planted}"
        )
        found = await PLANTED.in_rows(connection)
        assert any(table in each for each in found), found
    finally:
        await transaction.rollback()
        await connection.close()
