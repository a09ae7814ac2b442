# SPDX-License-Identifier: Apache-2.0
"""The search for card numbers: every decoy, however it is cut; how sure; what is packed, bounded; what is known."""

import bz2
import gzip
import io
import json
import os
import random
import re
import sqlite3
import stat
import tarfile
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery_set import measured
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.published import TEST_NUMBERS
from strongroom.kernel.schemes import synthetic_number
from strongroom.vault.discovery import baseline, decoys, judge, views
from strongroom.vault.discovery.bounds import Limits
from strongroom.vault.discovery.files import FileSearch, Progress
from strongroom.vault.discovery.model import (
    FINDINGS_MAX,
    Finding,
    Form,
    Kind,
    Level,
    Report,
    Tagger,
    masked,
)
from strongroom.vault.discovery.search import CHUNK_BYTES, Searcher

CARD = "4242424242424242"
GROUPS = "4242 4242 4242 4242"
MASKED = "424242******4242"


def found(data: bytes | str) -> list[Finding]:
    text = data.encode() if isinstance(data, str) else data
    return FileSearch().stream(io.BytesIO(text)).findings


# --- the self-test ------------------------------------------------------------------------------------


def test_every_decoy_is_as_it_should_be() -> None:
    trials = list(decoys.self_test())
    assert [each.name for each in trials if not each.passed] == []
    assert len(trials) > 100


@pytest.mark.parametrize("pattern", ["_TEXT", "_ESCAPED", "_BASE64", "_HEX", "_EBCDIC", "_CODES"])
def test_sabotage_a_form_that_is_not_looked_for_is_missed_by_name(
    monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    never = re.compile(rb"(?!)")
    monkeypatch.setattr(views, pattern, never)
    assert any(not each.passed for each in decoys.self_test())


# --- streams ------------------------------------------------------------------------------------------

forms = st.sampled_from([each.data for each in decoys._written()])


@given(
    before=st.integers(0, 300),
    form=forms,
    cuts=st.lists(st.integers(1, 700), max_size=8),
)
def test_however_a_stream_is_cut_the_same_is_found(
    before: int, form: bytes, cuts: list[int]
) -> None:
    data = b"x y\n" * before + form + b"\nthe end\n"
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(data[at : at + cut])
        at += cut
    searcher = Searcher()
    whole = list(searcher.stream([data], "-"))
    assert list(searcher.stream([*pieces, data[at:]], "-")) == whole
    assert len(whole) == 1


def test_line_and_column_are_where_it_stands_far_into_a_stream() -> None:
    line = b"nothing to see here, move along\n"
    count = 3 * CHUNK_BYTES // len(line)
    (finding,) = found(line * count + f"é card {CARD}\n".encode())
    assert (finding.line, finding.column) == (count + 1, 9)
    assert finding.offset == count * len(line) + 8
    assert finding.form is Form.TEXT


def test_a_number_is_told_once_wherever_a_chunk_ends() -> None:
    for at in range(CHUNK_BYTES - 1_060, CHUNK_BYTES + 40, 37):
        data = b"." * at + b" " + CARD.encode() + b" " + b"." * 2_000
        assert [each.offset for each in found(data)] == [at + 1], at


def test_a_stream_is_held_a_chunk_at_a_time() -> None:
    searcher = Searcher()
    line = f'{{"time":"2026-11-20T22:07:31Z","card":"{CARD}"}}\n'.encode() + b"x" * 3_000 + b"\n"

    def chunks(count: int) -> Iterator[bytes]:
        for _ in range(count):
            yield line * 30

    peaks = []
    for count in (20, 60):
        tracemalloc.start()
        assert sum(1 for _ in searcher.stream(chunks(count), "-")) == count * 30
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.3, peaks


@given(st.binary(max_size=600))
def test_any_bytes_can_be_looked_at(data: bytes) -> None:
    for each in found(data):
        assert 0 <= each.offset < len(data)


def test_repetition_does_not_make_it_slow() -> None:
    """Each would take very long where a pattern tried again from every place."""
    for unit in (
        b"4",
        b"4 ",
        b"%34",
        b"A",
        b"4242-",
        b"\\u0034",
        b"3",
        b"=\n",
        b"\xf4",
        b"M",
        b"4\x00",
    ):
        data = unit * (CHUNK_BYTES // 16 // len(unit))
        began = time.process_time()
        found(data)
        assert time.process_time() - began < 10, unit


# --- how sure -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "level"),
    [
        (f"card_number={CARD}", Level.HIGH),
        (f'"cardNumber": "{CARD}"', Level.HIGH),
        (f"<PAN>{CARD}</PAN>", Level.HIGH),
        (f"رقم البطاقة {CARD}", Level.HIGH),
        (f"it was {GROUPS} I think", Level.HIGH),
        (f"{CARD} 12/34", Level.MEDIUM),
        (f"%B{CARD}^DOE/JANE^3412101000?", Level.HIGH),
        (f"it was {CARD} I think", Level.MEDIUM),
        (f"order_id={CARD}", Level.LOW),
        (f'"traceId":"{CARD}"', Level.LOW),
        (f"card order_id={CARD}", Level.LOW),
        (f"order 17, card {CARD}", Level.HIGH),
        (f"timestamp: {CARD}", Level.LOW),
        (f"score 0.{CARD}", Level.LOW),
        (f"1111 {GROUPS} 2222", Level.LOW),
        (synthetic_number(77), Level.LOW),
        (f"card {synthetic_number(77)}", Level.MEDIUM),
        ("6200000000000006", Level.LOW),  # UnionPay without a check digit
        ("card 6200 0000 0000 0006", Level.HIGH),
    ],
)
def test_how_sure_it_is(text: str, level: Level) -> None:
    (finding,) = found(text)
    assert finding.level is level


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (CARD, Kind.TEST),
        (synthetic_number(1), Kind.TEST),
        ("6200000000000006", Kind.CARD),
        ("9942424242424242", Kind.ALIAS),
    ],
)
def test_what_it_is(text: str, kind: Kind) -> None:
    (finding,) = found(text)
    assert finding.kind is kind


def test_the_labelled_set_is_searched_as_well_as_the_documentation_says() -> None:
    """docs/howto/find-card-numbers.md states these; `tests/discovery_set.py` prints them."""
    figures = measured()
    assert figures[Level.LOW].missed_share == 0
    assert figures[Level.MEDIUM].missed_share < 0.0085
    assert figures[Level.MEDIUM].invented_share < 0.002
    assert figures[Level.HIGH].missed_share < 0.40
    assert figures[Level.HIGH].invented_share == 0


def test_sabotage_without_what_stands_around_it_ids_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(judge, "_around", lambda *_: 0)
    assert measured()[Level.MEDIUM].invented_share > 0.05


# --- nothing is given away ----------------------------------------------------------------------------


@pytest.mark.parametrize("number", sorted(TEST_NUMBERS, key=len)[::17])
def test_at_most_the_first_six_and_last_four_are_shown(number: str) -> None:
    shown = masked(number)
    hidden = shown.count("*")
    assert len(shown) == len(number)
    assert hidden >= 6
    head = shown.index("*")
    assert head <= 6
    assert shown[-4:] == number[-4:]


def test_no_finding_holds_its_number() -> None:
    (finding,) = found(f"card {CARD}")
    assert CARD not in repr(finding)
    assert not has_cardlike(repr(finding))
    assert Tagger().tag(CARD) != Tagger().tag(CARD), "the key ends with the search"


def test_a_name_that_is_a_number_is_a_finding_and_not_shown(tmp_path: Path) -> None:
    folder = tmp_path / f"of {CARD}"
    folder.mkdir()
    (folder / f"{GROUPS}.txt").write_text("nothing", "utf-8")
    report = FileSearch().path(tmp_path)
    assert [each.form for each in report.findings] == [Form.NAME, Form.NAME]
    assert not any(has_cardlike(each.place) for each in report.findings)


# --- what is packed -----------------------------------------------------------------------------------


def reasons(data: bytes, limits: Limits) -> list[str]:
    search = FileSearch(limits=limits)
    return [each.reason for each in search.stream(io.BytesIO(data)).unread]


def zipped(*members: tuple[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return made.getvalue()


def test_a_bomb_is_not_unpacked_to_its_end() -> None:
    zeros = bytes(8 * CHUNK_BYTES)
    small = Limits(bytes_max=2 * CHUNK_BYTES)
    for bomb in (gzip.compress(zeros), bz2.compress(zeros), zipped(("a", zeros))):
        assert reasons(bomb, small) == ["too_large_unpacked"]
    many = zipped(*((str(index), b"") for index in range(20)))
    assert reasons(many, Limits(members_max=10)) == ["too_many_members"]
    nested = b"x"
    for _ in range(9):
        nested = gzip.compress(nested)
    assert reasons(nested, Limits()) == ["too_deep"]
    assert reasons(zipped(("a", os.urandom(4_096))), Limits(held_bytes_max=1_024)) == [
        "too_large_to_hold"
    ]


def test_a_bomb_takes_little_memory() -> None:
    bomb = gzip.compress(bytes(12 * CHUNK_BYTES))
    tracemalloc.start()
    assert FileSearch().stream(io.BytesIO(bomb)).unread == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * CHUNK_BYTES


def test_what_is_beside_something_broken_is_still_looked_at() -> None:
    broken = gzip.compress(b"x" * 9_000)[:-20]
    data = zipped(("broken.gz", broken), ("card.txt", f"card {CARD}".encode()))
    report = FileSearch().stream(io.BytesIO(data))
    assert [each.place for each in report.findings] == ["-!card.txt"]
    assert [(each.place, each.reason) for each in report.unread] == [("-!broken.gz", "EOFError")]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"%PDF-1.7 " + b"x" * 50, "pdf_not_unpacked"),
        (b"7z\xbc\xaf\x27\x1c" + b"x" * 50, "7z_not_unpacked"),
        (b"SQLite format 3\x00" + b"x" * 4_000, "DatabaseError"),
        (b"PK\x03\x04" + b"x" * 50, "BadZipFile"),
        (b"\x1f\x8b" + b"x" * 50, "BadGzipFile"),
    ],
)
def test_what_cannot_be_looked_at_is_said(data: bytes, reason: str) -> None:
    assert reasons(data, Limits()) == [reason]


def test_a_member_that_is_encrypted_is_said() -> None:
    made = bytearray(zipped(("secret.txt", b"x")))
    made[6] |= 1  # the flag, in the member's own header
    at = made.index(b"PK\x01\x02")
    made[at + 8] |= 1  # and in the directory
    assert reasons(bytes(made), Limits()) == ["encrypted"]


def test_a_tar_is_not_unpacked_to_disk_and_its_links_lead_nowhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text(f"card {CARD}", "utf-8")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        archive.addfile(link)
        member = tarfile.TarInfo("../../etc/passwd")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"xxxx"))
    assert FileSearch().path(tmp_path / "a.tar").findings == []


# --- SQLite -------------------------------------------------------------------------------------------


def test_a_database_is_read_with_its_write_ahead_log_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    connection = sqlite3.connect(path)
    connection.execute("pragma journal_mode = wal")
    connection.execute("create table card (note text, pan integer)")
    connection.execute("insert into card values ('x', 5555555555554444)")
    connection.commit()
    try:
        report = FileSearch().path(path)
    finally:
        connection.close()
    (finding,) = [each for each in report.findings if each.form is Form.TEXT]
    assert finding.place.endswith("shop.db:card.pan")
    assert (finding.line, finding.level) == (1, Level.HIGH)
    before = path.read_bytes(), sorted(each.name for each in tmp_path.iterdir())
    FileSearch().path(path)
    assert (path.read_bytes(), sorted(each.name for each in tmp_path.iterdir())) == before


def test_rows_are_counted_and_no_number_goes_across_two() -> None:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("create table n (half text)")
        for _ in range(600):
            connection.execute("insert into n values ('4242 4242'), ('4242 4242')")
        connection.execute("insert into n values (?)", (f"card {CARD}",))
        connection.commit()
        report = FileSearch().stream(io.BytesIO(connection.serialize()))
    assert [each.line for each in report.findings if each.form is Form.TEXT] == [1_201]
    assert report.rows == 1_202, "the catalogue is looked at too"


# --- files --------------------------------------------------------------------------------------------


def test_what_is_left_out_is_left_out_and_progress_reaches_the_end(tmp_path: Path) -> None:
    for name in ("a.log", "b.txt", "node_modules/c.js", "d/e.log"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"card {CARD}\n", "utf-8")
    (tmp_path / "d" / "pipe").touch()
    told: list[Progress] = []
    search = FileSearch(excluded=["*.txt", "node_modules"], tell=told.append)
    places = {Path(each.place).name for each in search.path(tmp_path).findings}
    assert places == {"a.log", "e.log"}
    assert told[-1].done == told[-1].total > 0


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode)
    assert FileSearch().path(tmp_path).files == 0


def test_a_report_keeps_a_bounded_number_of_what_is_wanted() -> None:
    report = Report(wanted=lambda each: each.level is Level.HIGH)
    (low,) = found(f"order_id={CARD}")
    (high,) = found(f"card {CARD}")
    for _ in range(FINDINGS_MAX + 5):
        report.add(low)
        report.add(high)
    assert (len(report.findings), report.overflowed) == (FINDINGS_MAX, 5)
    assert report.found[Kind.TEST, Level.LOW] == FINDINGS_MAX + 5


# --- what is known ------------------------------------------------------------------------------------


def test_what_is_known_is_not_told_and_one_more_is(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(baseline.written(found(f"card {CARD}\n")), "utf-8")
    assert not has_cardlike(path.read_text("utf-8"))
    known = baseline.read(path)
    moved = found(f"\n\n\ncard {CARD}\n")
    assert baseline.new(moved, known) == []
    twice = found(f"card {CARD}\ncard {CARD}\n")
    assert [each.line for each in baseline.new(twice, known)] == [2]
    assert baseline.new(found("card 5555555555554444"), known) != []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"version": 2, "known": []}',
        '{"version": 1, "known": [{"place": "a"}]}',
        json.dumps(
            {
                "version": 1,
                "known": [{"place": "a", "scheme": "visa", "masked": CARD, "count": 1}],
            }
        ),
    ],
)
def test_what_is_no_baseline_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(text, "utf-8")
    with pytest.raises(baseline.BaselineRefused):
        baseline.read(path)


def test_random_bytes_hold_no_card() -> None:
    made = random.Random(7)
    assert [
        each for each in found(made.randbytes(4 * CHUNK_BYTES)) if each.level is not Level.LOW
    ] == []
