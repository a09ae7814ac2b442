# SPDX-License-Identifier: Apache-2.0
"""Decoys: published test numbers, planted in every form that the search claims to know, made another way than found.

A search that misses a decoy shows nothing by finding no card (PCI DSS A3.2.5.1 asks for the same of data discovery).
"""

import base64
import bz2
import gzip
import io
import json
import lzma
import quopri
import sqlite3
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from strongroom.telemetry.canary import decoys as canary_decoys
from strongroom.telemetry.card_forms import Form as CanaryForm
from strongroom.vault.discovery.files import FileSearch
from strongroom.vault.discovery.model import Finding, Kind, masked
from strongroom.vault.discovery.search import CHUNK_BYTES

#: docs.stripe.com/testing
NUMBER: Final = "4242424242424242"
_AMEX: Final = "378282246310005"
_ALIAS: Final = "9942424242424242"
_WRONG: Final = "4242424242424241"


@dataclass(frozen=True, slots=True)
class Decoy:
    """Bytes with a number in them, or with something that must not be taken for one."""

    name: str
    data: bytes
    number: str | None = NUMBER


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a decoy."""

    name: str
    passed: bool


def self_test() -> Iterator[Trial]:
    """Yield what comes of each decoy, in memory, and of files of a folder that is removed again."""
    for decoy in (*_written(), *_encoded(), *_packed(), *_large(), *_harmless()):
        search = FileSearch()
        report = search.stream(io.BytesIO(decoy.data))
        yield Trial(decoy.name, passed=_told(report.findings, decoy.number) and not report.unread)
    yield from _on_disk()


def _told(findings: list[Finding], number: str | None) -> bool:
    told = {each.masked for each in findings if each.kind is not Kind.ALIAS}
    return told == (set() if number is None else {masked(number)})


def _written() -> Iterator[Decoy]:
    groups = [NUMBER[at : at + 4] for at in range(0, 16, 4)]
    for name, between in (
        ("spaces", " "),
        ("dashes", "-"),
        ("dots", "."),
        ("underscores", "_"),
        ("plus signs", "+"),
        ("no-break spaces", "\u00a0"),
        ("zero-width spaces", "\u200b"),
        ("dashes of typesetters", "\u2013"),
    ):
        yield Decoy(f"groups with {name}", f"paid with {between.join(groups)}.".encode())
    yield Decoy("one word", f"paid with {NUMBER}.".encode())
    yield Decoy("behind letters", f"receipts/card{NUMBER}.pdf".encode())
    yield Decoy("between letters", f"CARD{NUMBER}END".encode())
    yield Decoy("American Express in groups", b"card: 3782 822463 10005", _AMEX)
    yield Decoy("a no-break space of Latin-1", b"card: " + b"\xa0".join(g.encode() for g in groups))
    yield Decoy("JSON", json.dumps({"card": {"number": NUMBER}}).encode())
    yield Decoy("JSON, a number", f'{{"pan":{NUMBER},"x":1}}'.encode())
    yield Decoy("JSON in JSON", json.dumps(json.dumps({"pan": NUMBER})).encode())
    yield Decoy("CSV", f"id,holder,pan,exp\n1,A,{NUMBER},12/34\n".encode())
    yield Decoy("a log line", f"2026-11-20T22:07:31Z INFO charge pan={NUMBER} ok".encode())
    yield Decoy("a form", f"amount=1&card_number={'+'.join(groups)}&cvc=1".encode())
    yield Decoy("track 1", f"%B{NUMBER}^DOE/JANE^34121010000000000?".encode())
    yield Decoy("track 2", f";{NUMBER}=34121010000012300000?".encode())
    yield Decoy("XML", f"<Card><Number>{NUMBER}</Number></Card>".encode())
    for name, zero in (
        ("Arabic-Indic", 0x660),
        ("Persian", 0x6F0),
        ("Devanagari", 0x966),
        ("Thai", 0xE50),
        ("full-width", 0xFF10),
        ("mathematical", 0x1D7CE),
    ):
        digits = "".join(chr(zero + int(each)) for each in NUMBER)
        yield Decoy(f"{name} digits", f"card {digits} end".encode())


def _encoded() -> Iterator[Decoy]:
    for index, (form, data) in enumerate(canary_decoys(NUMBER)):
        if form is not CanaryForm.BCD:
            yield Decoy(f"{form.value} ({index})", b"card: " + data + b" .")
    line = f"card number {NUMBER} exp 12/34\n"
    for codec in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"):
        yield Decoy(codec, line.encode(codec))
    yield Decoy("entities in hexadecimal", "".join(f"&#x{ord(e):x};" for e in NUMBER).encode())
    yield Decoy(
        "no-break entities", "&nbsp;".join(NUMBER[at : at + 4] for at in (0, 4, 8, 12)).encode()
    )
    long = ("x" * 60 + f" card {NUMBER} " + "y" * 60).encode()
    yield Decoy("quoted-printable", quopri.encodestring(long))
    yield Decoy("base64 of JSON", base64.b64encode(json.dumps({"card": NUMBER}).encode()))
    yield Decoy("base64 in lines", base64.encodebytes((line * 9).encode()))
    yield Decoy("base64 of UTF-16", base64.b64encode(line.encode("utf-16-le")))
    twice = base64.b64encode(base64.b64encode((line * 12).encode()))
    yield Decoy("base64 of base64", twice)
    yield Decoy("base64 of gzip", base64.b64encode(gzip.compress(line.encode())))
    yield Decoy("hexadecimal in a dump", line.encode().hex(" ").encode())


def _packed() -> Iterator[Decoy]:
    line = f"card number {NUMBER}\n".encode()
    yield Decoy("gzip", gzip.compress(line))
    yield Decoy("bzip2", bz2.compress(line))
    yield Decoy("xz", lzma.compress(line))
    yield Decoy("zip", _zip("orders.csv", line))
    yield Decoy("zip in zip in gzip", gzip.compress(_zip("inner.zip", _zip("orders.csv", line))))
    yield Decoy("tar", _tar("orders.csv", line))
    yield Decoy("tar.gz", gzip.compress(_tar("orders.csv", line)))
    yield Decoy("a name in a zip", _zip(f"scan-{NUMBER}.txt", b"nothing"))
    for name, kind, value in (
        ("text", "text", NUMBER),
        ("an integer", "integer", int(NUMBER)),
        ("bytes", "blob", NUMBER.encode()),
        ("packed bytes", "blob", gzip.compress(line)),
    ):
        yield Decoy(f"SQLite, {name}", _sqlite(kind, value))
    yield Decoy("SQLite, deleted", _sqlite("text", NUMBER, deleted=True))
    yield Decoy("SQLite in gzip", gzip.compress(_sqlite("text", NUMBER)))


def _large() -> Iterator[Decoy]:
    filler = b"nothing to see here, move along\n" * (CHUNK_BYTES // 32)
    for before in (CHUNK_BYTES - 8, CHUNK_BYTES - 1_030, CHUNK_BYTES + 1, 2 * CHUNK_BYTES - 5):
        data = (filler * 3)[:before] + b"\n" + NUMBER.encode() + b"\n" + filler
        yield Decoy(f"across a chunk's end ({before})", data)


def _harmless() -> Iterator[Decoy]:
    yield Decoy("an alias of ours is none", f"pan_alias {_ALIAS}".encode(), None)
    yield Decoy("a wrong check digit is none", f"card {_WRONG}".encode(), None)
    yield Decoy("an id of ours is none", b"tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB", None)


def _on_disk() -> Iterator[Trial]:
    with tempfile.TemporaryDirectory(prefix="strongroom-scan-") as made:
        folder = Path(made)
        (folder / "deep" / "er").mkdir(parents=True)
        (folder / "deep" / "er" / ".hidden").write_text(f"card {NUMBER}\n", "utf-8")
        (folder / "rows.db").write_bytes(_sqlite("text", _AMEX))
        (folder / "link").symlink_to(folder / "rows.db")
        report = FileSearch().path(folder)
        places = {
            (Path(each.place.partition(":")[0]).name, each.masked) for each in report.findings
        }
        yield Trial("a hidden file", (".hidden", masked(NUMBER)) in places)
        yield Trial("a database's file", ("rows.db", masked(_AMEX)) in places)
        yield Trial("no link is followed", report.files == 2)  # noqa: PLR2004 - those above


def _zip(name: str, data: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return made.getvalue()


def _tar(name: str, data: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return made.getvalue()


def _sqlite(kind: str, value: object, *, deleted: bool = False) -> bytes:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"create table card (id integer primary key, number {kind})")
        connection.executemany("insert into card (number) values (?)", [(value,), (None,)])
        if deleted:
            connection.execute("pragma secure_delete = off")
            connection.execute("delete from card")
        connection.commit()
        return connection.serialize()
