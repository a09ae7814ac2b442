# SPDX-License-Identifier: Apache-2.0
"""How what a Transit engine wrapped is kept: bytes and text lead to each other, and nothing else leads anywhere."""

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strongroom.keys import CannotUnwrap, KeyStoreUnavailable
from strongroom.keys.stores.transit_wire import packed, spelt

VERSIONS = st.integers(1, 999_999_999)
CONTENTS = st.binary(min_size=1, max_size=200)


@given(VERSIONS, CONTENTS)
def test_a_text_is_kept_and_spelt_as_it_was(version: int, content: bytes) -> None:
    text = f"vault:v{version}:{base64.b64encode(content).decode()}"
    assert spelt(packed(text)) == text


@given(st.binary(max_size=200))
@example(b"\x01" + (10**9).to_bytes(4, "big") + b"a version beyond what is read")
def test_bytes_are_no_wrapped_key_or_have_one_spelling(wrapped: bytes) -> None:
    try:
        text = spelt(wrapped)
    except CannotUnwrap:
        return
    assert packed(text) == wrapped


@given(st.text(alphabet="vault:v0123456789AZaz+/= \n-", max_size=60))
def test_texts_that_differ_are_kept_apart(text: str) -> None:
    """A server takes several spellings for one; of those it may answer with, one at most is kept."""
    try:
        wrapped = packed(text)
    except KeyStoreUnavailable:
        return
    assert spelt(wrapped) == text


@pytest.mark.parametrize(
    "text",
    [
        "vault:v01:AAAA",
        "vault:v+1:AAAA",
        "vault:v1:AAB=",  # the last two bits are not zero: a server takes it for AAA=
        "vault:v1:AAA",
        "vault:v1:AAA=\n",
        "vault:v1:AA-_",
        "vault:v1:AAAA:AAAA",
        "VAULT:v1:AAAA",
        "vault:v9999999999:AAAA",
    ],
)
def test_other_spellings_are_not_kept(text: str) -> None:
    with pytest.raises(KeyStoreUnavailable):
        packed(text)
