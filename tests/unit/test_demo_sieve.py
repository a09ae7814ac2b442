# SPDX-License-Identifier: Apache-2.0
"""The demo's search finds what it says it finds, wherever it lies, and nothing else. Decoys are the canary's."""

import base64
import random
import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.cli.scenario import dump
from strongroom.cli.scenario.sieve import FORMS, OVERLAP_BYTES, Sieve
from strongroom.kernel.published import TEST_NUMBERS
from strongroom.kernel.schemes import synthetic_number
from strongroom.telemetry.canary import decoys
from strongroom.telemetry.card_forms import Form

FIRST = 41_234_567_890_123
SYNTHETIC = [synthetic_number(FIRST + number) for number in range(2_000)]
SIEVE = Sieve([*SYNTHETIC, *TEST_NUMBERS])
NUMBERS = sorted(TEST_NUMBERS) + SYNTHETIC[:40]


def found(data: bytes) -> set[str]:
    return {last_four for _, last_four in SIEVE.scan(data)}


@pytest.mark.parametrize("form", sorted(FORMS))
def test_every_number_is_found_in_every_form_that_is_claimed(form: Form) -> None:
    for number in NUMBERS:
        for at, (kind, encoded) in enumerate(decoys(number)):
            if kind is form:
                assert number[-4:] in found(b"\x07id=" + encoded + b"; x"), (form, at)


def test_packed_decimal_is_not_claimed() -> None:
    assert frozenset(Form) - FORMS == {Form.BCD}


@given(
    st.sampled_from(NUMBERS),
    st.sampled_from(sorted(FORMS)),
    st.binary(max_size=80),
    st.binary(max_size=80),
)
def test_what_stands_beside_it_does_not_hide_it(
    number: str, form: Form, before: bytes, behind: bytes
) -> None:
    for kind, encoded in decoys(number):
        if kind is not form:
            continue
        if (
            form is Form.BASE64
        ):  # what continues it on either side is no longer base64 of this number alone
            before, behind = before + b"|", b"|" + behind
        assert number[-4:] in found(before + encoded + behind)


@given(st.integers(1, 10**13), st.binary(max_size=200))
def test_other_numbers_are_not_found(serial: int, noise: bytes) -> None:
    other = synthetic_number(serial).encode()
    # The noise may be one of the numbers: what is drawn is also what stands in the code.
    assert SIEVE.scan(other + b" " + noise) == SIEVE.scan(noise)


def test_digits_of_two_scripts_by_turns_are_no_number() -> None:
    """The same fraction, many times over, as PostgreSQL keeps it of a column's most common values."""
    fraction = struct.pack("<f", 1 / 220)
    assert fraction == b"\t\xf2\x94;"
    sieve = Sieve(["4242424242424242"])
    assert not sieve.scan(fraction * 100)
    assert sieve.scan(fraction * 100 + "４２４２４２４２４２４２４２４２".encode())
    assert sieve.scan(fraction * 100 + b"4242 4242 4242 4242")


def test_noise_hexadecimal_and_empty_pages_hold_nothing() -> None:
    noise = random.Random(7).randbytes(1 << 20)
    for data in (
        noise,
        noise.hex().encode(),
        base64.b64encode(noise),
        bytes(1 << 20),
        b"0" * (1 << 20),
    ):
        assert not SIEVE.scan(data)


@pytest.mark.parametrize("cut", [1, 7, 15])
def test_a_number_across_two_chunks_is_found_once(cut: int) -> None:
    number = b"5555555555554444"
    data = bytes(OVERLAP_BYTES * 3) + number + bytes(OVERLAP_BYTES * 3)
    at = OVERLAP_BYTES * 3 + cut
    hits = SIEVE.stream([data[:at], data[at:]], "here").hits
    assert [(hit.place, hit.form, hit.last_four) for hit in hits] == [("here", Form.CLEAR, "4444")]


def test_a_file_is_searched_with_its_name_and_one_that_is_gone_is_nothing(tmp_path: Path) -> None:
    named = tmp_path / "378282246310005.txt"
    named.write_bytes(b"nothing")
    assert {hit.place for hit in SIEVE.file(named).hits} == {"a file's name"}
    assert SIEVE.file(tmp_path / "gone").hits == []
    assert SIEVE.file(tmp_path).unread == [f"{tmp_path}: Is a directory"]


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=20), st.integers(1, 200))
def test_a_dump_is_searched_as_the_bytes_it_holds(values: list[bytes], size: int) -> None:
    """A bytea is printed as hexadecimal: unpacked, a number in it is a number again, however the dump is cut."""
    number = b"4012888888881881"
    rows = [*values, b'{"n":"' + number + b'"}']
    text = b"".join(b"mer_1\t\\\\x" + value.hex().encode() + b"\t\\N\n" for value in rows)
    assert not re.search(number, text)
    chunks = [text[at : at + size] for at in range(0, len(text), size)]
    unpacked = b"".join(dump.unpacked(chunks))
    assert number in unpacked
    assert all(b"mer_1\t " + value + b" \t\\N\n" in unpacked for value in rows)
