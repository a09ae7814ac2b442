# SPDX-License-Identifier: Apache-2.0
"""The canary search finds every decoy, in every form, wherever a chunk is cut; and nothing in clean data.

The decoys here are written out by other means than the search uses (codecs, base64, hex, hand-made bytes).
"""

import base64
import bz2
import gzip
import json
import lzma
import os
import random
import time
import urllib.parse
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import canary as tests_search
from canary import Canary
from strongroom.kernel.published import TEST_NUMBERS
from strongroom.kernel.schemes import synthetic_number
from strongroom.telemetry import card_forms
from strongroom.telemetry.canary import (
    CanaryRefused,
    Finding,
    Progress,
    Report,
    Unread,
    Wanted,
    decoys,
    needles,
    search_stream,
    search_text,
    search_tree,
)
from strongroom.telemetry.card_forms import Form

VISA = "4242424242424242"
ODD = {
    13: "4222222222222",
    14: "30569309025904",
    15: "378282246310005",
    16: "5555555555554444",
    19: "6205500000000000004",
}
WANTED = Wanted([VISA, *ODD.values()])


def found(data: bytes, wanted: Wanted = WANTED) -> list[tuple[int, Form]]:
    return [(finding.card, finding.form) for finding in search_stream([data], wanted, place="x")]


#: (form, VISA as written by someone else)
PLANTED: list[tuple[str, bytes]] = [
    ("clear", VISA.encode()),
    ("clear", f"9{VISA}9".encode()),  # inside a longer number
    ("clear", f"a{VISA}a".encode()),
    ("clear", json.dumps({"n": int(VISA)}).encode()),
    ("grouped", b"4242 4242 4242 4242"),
    ("grouped", b"4242-4242-4242-4242"),
    ("grouped", b"4242.4242.4242.4242"),
    ("grouped", b"4242+4242+4242+4242"),
    ("grouped", b"424242-4242424242"),
    ("grouped", b"42424242 42424242"),
    ("grouped", urllib.parse.quote("4242 4242 4242 4242").encode()),
    ("grouped", "4242\u00a04242\u00a04242\u00a04242".encode()),
    ("grouped", b"4242&nbsp;4242&nbsp;4242&nbsp;4242"),
    ("base64", base64.b64encode(VISA.encode())),
    ("base64", base64.b64encode(b"n" + VISA.encode())),
    ("base64", base64.b64encode(b"nu" + VISA.encode())),
    ("base64", base64.urlsafe_b64encode(b'{"number":"' + VISA.encode() + b'","cvc":"123"}')),
    ("base64", base64.urlsafe_b64encode(b"\xff\xff" + VISA.encode() + b"\xff")),
    ("base64", base64.encodebytes(b"x" * 50 + VISA.encode())),  # broken over two lines
    ("hex", VISA.encode().hex().encode()),
    ("hex", VISA.encode().hex().upper().encode()),
    ("hex", b"\\x" + b"{}".hex().encode() + VISA.encode().hex().encode()),  # a bytea as text
    ("hex", b"a3" + VISA.encode().hex().encode() + b"3"),
    ("hex", VISA.encode().hex(" ").encode()),
    ("hex", b"3432343234323432\n3432343234323432"),
    ("bcd", b"\x42\x42\x42\x42\x42\x42\x42\x42"),
    ("ebcdic", VISA.encode("cp500")),
    ("percent", "".join(f"%{code:02x}" for code in VISA.encode()).encode()),
    ("backslash_u", "".join(f"\\u{ord(digit):04X}" for digit in VISA).encode()),
    ("backslash_x", "".join(f"\\x{ord(digit):02x}" for digit in VISA).encode()),
    ("decimal", json.dumps(list(VISA.encode())).encode()),
    ("entity", "".join(f"&#{ord(digit)};" for digit in VISA).encode()),
    ("utf16", VISA.encode("utf-16")),
    ("utf16", VISA.encode("utf-16-le")),
    ("utf16", VISA.encode("utf-16-be")),
    ("utf32", VISA.encode("utf-32")),
    ("utf32", VISA.encode("utf-32-be")),
    ("arabic_indic", "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢".encode()),
    ("persian", "۴۲۴۲۴۲۴۲۴۲۴۲۴۲۴۲".encode()),
    ("full_width", "４２４２４２４２４２４２４２４２".encode()),
]


@pytest.mark.parametrize(("form", "written"), PLANTED)
def test_each_form_is_found_once_at_its_place(form: str, written: bytes) -> None:
    data = b"\x00 before " + written + b" behind \xff"
    findings = list(search_stream([data], WANTED, place="x"))
    assert [(finding.card, str(finding.form)) for finding in findings] == [(0, form)]
    (finding,) = findings
    assert data.index(written) <= finding.offset < data.index(written) + len(written)
    assert finding.last_four == "4242"


def test_every_form_is_planted() -> None:
    assert {form for form, _ in PLANTED} == {str(form) for form in Form}
    assert {form for form, _ in decoys(VISA)} == set(Form)


@pytest.mark.parametrize("number", [VISA, *ODD.values()])
def test_every_decoy_of_every_length_is_found(number: str) -> None:
    wanted = Wanted([number])
    for form, written in decoys(number):
        for data in (written, b"<" + written + b">"):
            assert (0, form) in found(data, wanted), (form, written)
    assert needles(number) == {written for _, written in decoys(number)}


@pytest.mark.parametrize("form", list(Form))
def test_without_its_layout_a_form_is_missed(form: Form) -> None:
    """The sabotage: take a form's layouts away, and its decoys must be missed."""
    blind = Wanted([VISA])
    blind._layouts = tuple(layout for layout in blind._layouts if layout.form is not form)
    planted = [written for name, written in decoys(VISA) if name is form]
    assert planted
    for written in planted:
        assert form not in {name for _, name in found(written, blind)}


@given(
    st.sampled_from([VISA, *ODD.values()]).flatmap(lambda number: st.sampled_from(decoys(number))),
    st.binary(max_size=40),
    st.binary(max_size=40),
    st.integers(1, 60),
)
def test_found_once_wherever_the_chunks_are_cut(
    decoy: tuple[Form, bytes], before: bytes, behind: bytes, size: int
) -> None:
    form, written = decoy
    data = before + written + behind
    whole = [(f.offset, f.form, f.card) for f in search_stream([data], WANTED, place="x")]
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    pieces = [(f.offset, f.form, f.card) for f in search_stream(chunks, WANTED, place="x")]
    assert sorted(whole) == sorted(pieces)
    assert form in {name for _, name, _ in whole}


@given(st.integers(1, 10**14 - 1), st.binary(max_size=5), st.binary(max_size=5))
def test_any_base64_alignment_and_neighbours(serial: int, before: bytes, behind: bytes) -> None:
    number = synthetic_number(serial)
    encoded = base64.b64encode(before + number.encode() + behind)
    assert found(encoded, Wanted([number])) == [(0, Form.BASE64)]


@given(st.sampled_from(sorted(TEST_NUMBERS)))
def test_another_number_is_not_found(number: str) -> None:
    wanted = Wanted([synthetic_number(12_345_678_901_234)])
    for _, written in decoys(number):
        assert not found(written, wanted)


def test_text() -> None:
    (finding,) = search_text(f"the card {VISA} \ud800", WANTED, place="a page")
    assert finding == Finding("a page", 9, Form.CLEAR, 0, "4242")
    assert VISA not in repr(finding)
    assert not search_text("nothing here", WANTED, place="a page")
    assert not search_text(VISA, Wanted([]), place="a page")


@pytest.mark.parametrize(
    "number",
    ["", "424242424242", "0000000000000000", "42424242424242ab", "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢", "4" * 20],
)
def test_what_cannot_be_searched_for_is_refused_and_not_echoed(number: str) -> None:
    with pytest.raises(CanaryRefused) as refusal:
        Wanted([number])
    assert not number or number not in str(refusal.value)


def test_a_number_given_twice_counts_once() -> None:
    assert found(VISA.encode(), Wanted([VISA, VISA])) == [(0, Form.CLEAR)]


# --- many numbers, much data


def seeded(count: int) -> list[str]:
    numbers = random.Random(7)
    return [synthetic_number(numbers.randrange(10**12, 10**14)) for _ in range(count)]


def test_twenty_five_thousand_numbers_in_every_form() -> None:
    many = seeded(25_000)
    wanted = Wanted(many)
    for card in (0, 12_345, 24_999):
        for form, written in decoys(many[card]):
            assert (card, form) in found(b"." + written + b".", wanted)


@pytest.mark.parametrize("count", [1, 25_000])
def test_fifty_megabytes_of_noise_and_emptiness_hold_nothing_and_take_seconds(count: int) -> None:
    wanted = Wanted(seeded(count))
    noise = [os.urandom(5_000_000)] * 9 + [bytes(5_000_000)]
    started = time.perf_counter()
    assert not list(search_stream(noise, wanted, place="noise"))
    assert time.perf_counter() - started < 20


def test_a_number_at_the_edge_of_emptiness_is_found() -> None:
    number = "4000000000000002"
    wanted = Wanted([number, synthetic_number(10**13)])
    page = bytes(10_000)
    for form, written in decoys(number):
        assert (0, form) in found(page + written + page, wanted)


# --- folders


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "clean.txt").write_text("clean")
    (tmp_path / "deep" / "er" / "log.txt").write_text(f"number {VISA}")
    (tmp_path / "deep" / "dump.gz").write_bytes(gzip.compress(f"x {VISA}".encode()))
    (tmp_path / "dump.bz2").write_bytes(bz2.compress(VISA.encode()))
    (tmp_path / "dump.xz").write_bytes(lzma.compress(VISA.encode()))
    (tmp_path / "link").symlink_to("/")
    os.mkfifo(tmp_path / "pipe")
    steps: list[Progress] = []
    report = search_tree(tmp_path, WANTED, progress=steps.append)
    assert sorted((finding.place, finding.offset) for finding in report.findings) == [
        (f"{tmp_path}/deep/dump.gz (gzip)", 2),
        (f"{tmp_path}/deep/er/log.txt", 7),
        (f"{tmp_path}/dump.bz2 (bzip2)", 0),
        (f"{tmp_path}/dump.xz (xz)", 0),
    ]
    assert not report.unread
    assert not report.clean
    assert report.files == 5
    assert [step.files_done for step in steps] == [1, 2, 3, 4, 5]
    assert steps[-1].bytes_done == steps[-1].bytes_total == report.bytes


def test_a_clean_folder_is_clean(tmp_path: Path) -> None:
    (tmp_path / "clean.txt").write_text("clean")
    assert search_tree(tmp_path, WANTED).clean


def test_a_large_file_is_searched_across_its_chunks(tmp_path: Path) -> None:
    place = 4 * 1024 * 1024 - 5
    (tmp_path / "large").write_bytes(b"x" * place + VISA.encode() + b"y" * 100)
    (finding,) = search_tree(tmp_path, WANTED).findings
    assert finding.offset == place


@pytest.mark.parametrize("name", [VISA, "4242 4242 4242 4242.txt", VISA.encode().hex()])
def test_a_name_can_give_it_away_and_is_not_repeated(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(f"number {VISA}")
    report = search_tree(tmp_path, WANTED)
    assert {finding.place for finding in report.findings} == {f"{tmp_path}/[name withheld]"}
    assert len(report.findings) == 2
    assert name not in repr(report)


def test_a_folder_s_name_can_give_it_away(tmp_path: Path) -> None:
    (tmp_path / VISA).mkdir()
    (tmp_path / VISA / "clean").write_text("clean")
    report = search_tree(tmp_path, WANTED)
    assert len(report.findings) == 1
    assert VISA not in repr(report)


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    whole = gzip.compress(os.urandom(1_000) + VISA.encode())
    (tmp_path / "cut.gz").write_bytes(whole[:-20])
    (tmp_path / "not.gz").write_bytes(b"\x1f\x8b but not gzip")
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(100_000)))
    report = search_tree(tmp_path, WANTED, decompressed_bytes_max=10_000)
    assert sorted((item.place, item.reason) for item in report.unread) == [
        (f"{tmp_path}/bomb.gz (gzip)", "EOFError"),
        (f"{tmp_path}/cut.gz (gzip)", "EOFError"),
        (f"{tmp_path}/not.gz (gzip)", "BadGzipFile"),
    ]
    assert not report.clean
    missing = search_tree(tmp_path / "missing", WANTED)
    assert [item.reason for item in missing.unread] == ["FileNotFoundError"]
    assert not missing.clean


def test_a_file_that_goes_away_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")

    def remove(_step: Progress) -> None:
        (tmp_path / "b").unlink(missing_ok=True)

    report = search_tree(tmp_path, WANTED, progress=remove)
    assert [(item.place, item.reason) for item in report.unread] == [
        (f"{tmp_path}/b", "FileNotFoundError")
    ]


def test_forms_agree_with_their_layouts_in_size() -> None:
    for layout in card_forms.layouts([VISA.encode()]):
        assert 8 <= layout.size <= 16 * 6


def test_what_cannot_be_read_counts_as_found_by_the_tests_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that a server remade meanwhile is read again; one that is broken is told, and one that is gone is not."""
    remade, broken, gone = (tmp_path / name for name in ("remade", "broken", "gone"))
    remade.write_bytes(VISA.encode())
    broken.write_bytes(b"nothing")
    unread = [
        Unread(str(remade), "FileNotFoundError"),
        Unread(str(broken), "EOFError"),
        Unread(str(gone), "FileNotFoundError"),
    ]
    monkeypatch.setattr(tests_search, "search_tree", lambda *_: Report([], unread))
    found = Canary(VISA, "907").in_folder(tmp_path)
    assert [each for each in found if "broken" in each] == [f"{broken}: unread, EOFError"]
    assert any(each.startswith(str(remade)) for each in found)
    assert not any("gone" in each for each in found)
