# SPDX-License-Identifier: Apache-2.0
"""Passphrase files: they open with their passphrase, and a file cannot make the machine work for hours."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.crypto import (
    CannotOpen,
    PassphraseTooShort,
    open_with_passphrase,
    seal_with_passphrase,
)
from strongroom.kernel.secret import Secret

PASSPHRASE = Secret("correct horse battery staple")
HEADER_BYTES = 32
SEALED = seal_with_passphrase(PASSPHRASE, b"roots")


def test_it_opens_with_its_passphrase_only() -> None:
    assert open_with_passphrase(PASSPHRASE, SEALED) == b"roots"
    with pytest.raises(CannotOpen):
        open_with_passphrase(Secret("correct horse battery stable"), SEALED)


def test_a_passphrase_typed_on_another_system_is_the_same() -> None:
    sealed = seal_with_passphrase(Secret("caf\u00e9 cr\u00e8me br\u00fbl\u00e9e"), b"roots")
    decomposed = Secret("cafe\u0301 cre\u0300me bru\u0302le\u0301e")
    assert open_with_passphrase(decomposed, sealed) == b"roots"


def test_the_cost_is_the_second_recommendation_of_rfc_9106() -> None:
    assert struct.unpack(">4sIII", SEALED[:16]) == (b"SRP\x01", 3, 65536, 4)


def test_two_files_share_neither_salt_nor_nonce() -> None:
    other = seal_with_passphrase(PASSPHRASE, b"roots")
    assert other[16:44] != SEALED[16:44]
    assert other[HEADER_BYTES:] != SEALED[HEADER_BYTES:]


@pytest.mark.parametrize(
    "cost",
    [(17, 65536, 4), (3, 1024 * 1024 + 1, 4), (3, 65536, 17), (2**32 - 1,) * 3],
    ids="passes memory lanes all".split(),
)
def test_a_file_that_asks_too_much_is_refused_before_any_work(cost: tuple[int, int, int]) -> None:
    with pytest.raises(CannotOpen):
        open_with_passphrase(PASSPHRASE, SEALED[:4] + struct.pack(">III", *cost) + SEALED[16:])


@pytest.mark.parametrize("cost", [(0, 65536, 4), (3, 0, 4), (3, 65536, 0), (1, 64, 1)])
def test_another_cost_does_not_open(cost: tuple[int, int, int]) -> None:
    with pytest.raises(CannotOpen):
        open_with_passphrase(PASSPHRASE, SEALED[:4] + struct.pack(">III", *cost) + SEALED[16:])


@pytest.mark.parametrize("position", [0, 3, 20, 33, 45, len(SEALED) - 1])
def test_an_altered_byte_does_not_open(position: int) -> None:
    altered = bytearray(SEALED)
    altered[position] ^= 1
    with pytest.raises(CannotOpen):
        open_with_passphrase(PASSPHRASE, bytes(altered))


@pytest.mark.parametrize("length", [0, 3, 31, 32, 43, 44, 59, len(SEALED) - 1])
def test_a_cut_file_does_not_open(length: int) -> None:
    with pytest.raises(CannotOpen):
        open_with_passphrase(PASSPHRASE, SEALED[:length])


@given(st.binary(max_size=100))
def test_only_cannot_open_escapes(garbage: bytes) -> None:
    with pytest.raises(CannotOpen):
        open_with_passphrase(PASSPHRASE, garbage)


def test_a_guessable_passphrase_is_refused() -> None:
    with pytest.raises(PassphraseTooShort):
        seal_with_passphrase(Secret("elevenchars"), b"roots")
