# SPDX-License-Identifier: Apache-2.0
"""The book of secrets: read at start, read anew after a bound, kept while its keeper is away, never printed."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from strongroom.config import SecretReference, SecretScheme, parse_reference
from strongroom.kernel.secret import Secret
from strongroom.keys import SecretsMissing, SecretUnreadable
from strongroom.keys.secrets.book import SecretBook
from strongroom.keys.secrets.fields import picked, replaced
from strongroom.keys.secrets.local import LARGEST_BYTES, EnvironmentSecrets, FileSecrets

SECONDS = 60.0


class Source:
    """A source in memory that can be away."""

    def __init__(self, **values: str) -> None:
        self.values = values
        self.coming: dict[str, str] = {}
        self.away = False
        self.reads: Counter[str] = Counter()

    async def read(self, reference: SecretReference) -> Secret[str]:
        self.reads[reference.name] += 1
        await asyncio.sleep(0)
        if self.away or reference.name not in self.values:
            raise SecretUnreadable("away" if self.away else "there is no such secret")
        return Secret(self.values[reference.name])

    async def pending(self, reference: SecretReference) -> Secret[str] | None:
        if self.away:
            raise SecretUnreadable("away")
        found = self.coming.get(reference.name)
        return None if found is None else Secret(found)


class Ground:
    def __init__(self, **values: str) -> None:
        self.now = 0.0
        self.source = Source(**values)
        self.book = SecretBook({SecretScheme.AWS: self.source}, lambda: self.now, SECONDS)


DB = parse_reference("aws-sm:db")


async def test_a_changed_value_is_seen_when_its_time_has_passed() -> None:
    ground = Ground(db="one")
    await ground.book.load({"DB": DB})
    ground.source.values["db"] = "two"
    ground.now = SECONDS - 1
    assert (await ground.book.current(DB)).expose() == "one"
    ground.now = SECONDS
    assert (await ground.book.current(DB)).expose() == "two"
    ground.source.values["db"] = "three"
    ground.now += 2
    assert (await ground.book.anew(DB)).expose() == "three"
    assert ground.book.at_hand(DB).expose() == "three"


async def test_a_keeper_that_is_away_takes_nothing_back() -> None:
    ground = Ground(db="one")
    await ground.book.load({"DB": DB})
    ground.source.away = True
    ground.now = SECONDS * 100
    assert (await ground.book.current(DB)).expose() == "one"
    with pytest.raises(SecretUnreadable):
        await ground.book.anew(DB)
    assert [each.expose() for each in await ground.book.candidates(DB)] == ["one"]


async def test_of_many_who_ask_at_once_one_reads_and_a_refused_login_does_not_hammer() -> None:
    ground = Ground(db="one")
    await asyncio.gather(*(ground.book.current(DB) for _ in range(50)))
    assert ground.source.reads["db"] == 1
    for _ in range(50):
        await ground.book.anew(DB)
    assert ground.source.reads["db"] == 2


async def test_what_is_rotated_in_is_tried_after_what_is_current() -> None:
    ground = Ground(db="one")
    assert [each.expose() for each in await ground.book.candidates(DB)] == ["one"]
    ground.source.coming["db"] = "two"
    assert [each.expose() for each in await ground.book.candidates(DB)] == ["one", "two"]


async def test_a_start_names_every_secret_that_is_missing_and_no_value(tmp_path: Path) -> None:
    there, empty, latin = (tmp_path / name for name in ("there", "empty", "latin"))
    there.write_text("hunter2\n", "utf-8")
    empty.write_text(" \n", "utf-8")
    latin.write_bytes(b"hunter2\xe4")
    book = SecretBook(
        {
            SecretScheme.ENVIRONMENT: EnvironmentSecrets({"THERE": "hunter2", "EMPTY": ""}),
            SecretScheme.FILE: FileSecrets(),
            SecretScheme.AWS: Source(there="hunter2"),
        },
        lambda: 0.0,
        SECONDS,
    )
    wanted = {
        "A": "env:THERE",
        "B": "env:EMPTY",
        "C": "env:GONE",
        "D": f"file:{there}",
        "E": f"file:{empty}",
        "F": f"file:{latin}",
        "G": f"file:{tmp_path}",
        "H": f"file:{tmp_path / 'gone'}",
        "I": "aws-sm:there",
        "J": "aws-sm:gone",
        "K": "vault:secret/db#p",
    }
    with pytest.raises(SecretsMissing) as missing:
        await book.load({name: parse_reference(text) for name, text in wanted.items()})
    assert sorted(missing.value.faults) == ["B", "C", "E", "F", "G", "H", "J", "K"]
    assert "hunter2" not in missing.value.detail
    assert str(missing.value).count("\n") == 8
    assert "hunter2" not in repr(book) + repr(vars(book))


async def test_a_file_is_text_without_the_white_space_around_it(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("  a secret \n", "utf-8")
    reference = parse_reference(f"file:{path}")
    assert (await FileSecrets().read(reference)).expose() == "a secret"
    path.write_bytes(b"x" * (LARGEST_BYTES + 1))
    with pytest.raises(SecretUnreadable, match="too large"):
        await FileSecrets().read(reference)


FIELDS = {
    "no object": ("hunter2", "no JSON"),
    "a list": ('["hunter2"]', "no JSON"),
    "nested too deeply": ("[" * 5_000, "no JSON"),
    "another field": ('{"user": "hunter2"}', "no field"),
    "null": ('{"password": null}', "no field"),
    "a number": ('{"password": 42, "x": "hunter2"}', "no text"),
    "empty": ('{"password": ""}', "no text"),
}


@pytest.mark.parametrize(("text", "words"), FIELDS.values(), ids=FIELDS)
def test_a_field_that_is_not_there_is_told_and_nothing_else(text: str, words: str) -> None:
    with pytest.raises(SecretUnreadable, match=words) as refused:
        picked(text, "password")
    assert "hunter2" not in refused.value.detail
    assert refused.value.__cause__ is None


def test_a_new_value_leaves_the_other_fields_as_they_were() -> None:
    made = replaced('{"user": "app", "password": "one"}', "password", Secret("two"))
    assert picked(made, "password").expose() == "two"
    assert picked(made, "user").expose() == "app"
    assert replaced("one", None, Secret("two")) == "two"
