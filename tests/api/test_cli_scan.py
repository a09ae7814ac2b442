# SPDX-License-Identifier: Apache-2.0
"""`strongroom scan` as it is run: what it prints, how it ends, and that no number is printed."""

import gzip
from pathlib import Path

import pytest

from command_line import CommandLine
from strongroom.kernel.cardlike import has_cardlike

CARD = "4242424242424242"


@pytest.fixture
def run(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


def test_it_ends_by_what_it_found(run: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "clean.log").write_text("nothing\n", "utf-8")
    clean = run("scan", "clean.log")
    assert (clean.code, clean.out) == (0, "")
    assert clean.err == "0 found in 1 files, 8 bytes\n"
    (tmp_path / "dirty.log").write_text(f"one\ncard={CARD}\npan_alias=9942424242424242\n", "utf-8")
    dirty = run("scan", ".")
    assert dirty.code == 1
    assert "424242******4242  visa (test)  high  text  dirty.log:2:6" in dirty.out
    assert dirty.err == "1 found in 2 files, 61 bytes; 1 aliases of ours\n"
    assert not has_cardlike(dirty.out + dirty.err)
    assert run("scan", ".", "--ignore-test-numbers").code == 0
    (tmp_path / "clean.pdf").write_bytes(b"%PDF-1.7")
    unread = run("scan", "clean.pdf")
    assert (unread.code, unread.err.splitlines()[0]) == (
        2,
        "not looked at: clean.pdf (pdf_not_unpacked)",
    )
    both = run("scan", ".")
    assert (both.code, "1 not looked at" in both.err) == (1, True)
    assert run("scan", ".", "--exclude", "*.pdf", "--exclude", "dirty.*").code == 0


def test_it_takes_standard_input_and_prints_one_document(run: CommandLine) -> None:
    ended = run("scan", "-", "--format", "json", stdin=f"order_id={CARD}\n\ncc: {CARD} 12/34\n")
    assert ended.code == 1
    (finding,) = ended.json["findings"]
    assert finding == {
        "place": "-",
        "line": 3,
        "column": 5,
        "offset": 31,
        "number": "424242******4242",
        "scheme": "visa",
        "kind": "test",
        "confidence": "high",
        "form": "text",
    }
    assert ended.json["counts"]["test"] == {"low": 1, "medium": 0, "high": 1}
    low = run("scan", "-", "--confidence", "low", stdin=f"order_id={CARD}\n")
    assert low.code == 1
    assert run("scan", "-", stdin=f"order_id={CARD}\n").code == 0


def test_what_is_known_is_not_told_again(run: CommandLine, tmp_path: Path) -> None:
    log = tmp_path / "app.log.gz"
    log.write_bytes(gzip.compress(f"card {CARD}\n".encode()))
    made = run("scan", "app.log.gz", "--write-baseline", "known.json")
    assert (made.code, made.err) == (0, "wrote 1 findings to known.json\n")
    known = tmp_path / "known.json"
    assert known.stat().st_mode & 0o777 == 0o600
    assert not has_cardlike(known.read_text("utf-8"))
    again = run("scan", "app.log.gz", "--baseline", "known.json")
    assert (again.code, "0 found" in again.err, "1 known" in again.err) == (0, True, True)
    log.write_bytes(gzip.compress(f"card {CARD}\ncard 5555555555554444\n".encode()))
    more = run("scan", "app.log.gz", "--baseline", "known.json")
    assert (more.code, more.out.count("\n"), "555555******4444" in more.out) == (1, 2, True)
    known.write_text("{}", "utf-8")
    broken = run("scan", "app.log.gz", "--baseline", "known.json")
    assert (broken.code, broken.err.partition(":")[0]) == (2, "scan_baseline_refused")


def test_it_says_whether_it_works(run: CommandLine) -> None:
    ended = run("scan", "--self-test", "--format", "json")
    assert (ended.code, ended.json["missed"]) == (0, [])
    assert "decoys as they should be" in run("scan", "--self-test").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "what is searched is missing"),
        (("nowhere",), "there is no such file or folder"),
        (("postgres://user:word@127.0.0.1/shop",), "give the password with --password-file"),
        ((CARD,), "An argument looks like a card number"),
        ((".", "--confidence", "sure"), "'sure' is not one of"),
    ],
)
def test_wrong_usage_is_said(run: CommandLine, arguments: tuple[str, ...], said: str) -> None:
    ended = run("scan", *arguments)
    assert (ended.code, said in ended.plain) == (2, True), ended.plain


def test_a_database_that_is_not_there_is_not_nothing_found(run: CommandLine) -> None:
    ended = run("scan", "postgres://user@127.0.0.1:1/shop?sslmode=disable")
    assert (ended.code, ended.err.partition(":")[0]) == (2, "database_away")
