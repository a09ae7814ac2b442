# SPDX-License-Identifier: Apache-2.0
"""Hashes, MACs, subkeys, signatures and random text, against published values where there are any."""

import pickle
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.crypto import (
    SignatureInvalid,
    SigningKey,
    base62_length,
    entropy,
    equal,
    hkdf_sha256,
    hmac_sha256,
    new_secret_text,
    random_bytes,
    sha256,
    verify,
)
from strongroom.crypto.digest import HmacSha256, HmacSha512
from strongroom.crypto.ids import new_id, new_ids
from strongroom.kernel.base64url import base64url
from strongroom.kernel.ids import is_id
from strongroom.kernel.invariant import Bug

# RFC 8032 §7.1, test 1: seed, public key, message, signature.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
SIGNATURE = bytes.fromhex(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
    "d25bf5f0595bbe24655141438e7a100b"
)


@pytest.mark.parametrize(
    ("computed", "published"),
    [
        # FIPS 180-4 example "abc"
        (sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        # RFC 4231 §4.3
        (
            hmac_sha256(b"Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            HmacSha256(b"Jefe").of(b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            HmacSha512(b"Jefe").of(b"what do ya want for nothing?"),
            (
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
                "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
            ),
        ),
        # RFC 5869 A.3
        (
            hkdf_sha256(b"\x0b" * 22, b"", 42),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
        (SigningKey.from_seed(SEED).public, PUBLIC.hex()),
        (SigningKey.from_seed(SEED).sign(b""), SIGNATURE.hex()),
    ],
    ids="sha256 hmac keyed_256 keyed_512 hkdf public signature".split(),
)
def test_published_values(computed: bytes, published: str) -> None:
    assert computed.hex() == published


@given(st.binary(max_size=8), st.binary(max_size=8))
def test_equal_is_equality(left: bytes, right: bytes) -> None:
    assert equal(left, right) is (left == right)
    assert equal(left, left)


@given(st.binary(max_size=64))
def test_a_signature_holds_for_its_own_bytes_only(data: bytes) -> None:
    key = SigningKey.from_seed(SEED)
    signature = key.sign(data)
    verify(key.public, data, signature)
    for public, signed, given_signature in (
        (key.public, data + b"x", signature),
        (key.public, data, bytes([signature[0] ^ 1]) + signature[1:]),
        (SigningKey.generate().public, data, signature),
    ):
        with pytest.raises(SignatureInvalid):
            verify(public, signed, given_signature)


@given(st.binary(max_size=64), st.binary(max_size=80))
def test_only_signature_invalid_escapes(public: bytes, signature: bytes) -> None:
    with pytest.raises(SignatureInvalid):
        verify(public, b"data", signature)
    with pytest.raises(SignatureInvalid):
        verify(PUBLIC, b"data", signature)


def test_a_signing_key_survives_its_seed_and_hides_it() -> None:
    key = SigningKey.generate()
    assert SigningKey.from_seed(key.seed.expose()).public == key.public
    assert key.seed.expose().hex() not in repr(key)
    with pytest.raises(TypeError):
        pickle.dumps(key)
    with pytest.raises(Bug):
        SigningKey.from_seed(b"short")


@pytest.mark.parametrize(("bits", "length"), [(128, 22), (160, 27), (256, 43)])
def test_secret_text_has_one_length_and_base62_only(bits: int, length: int) -> None:
    texts = {new_secret_text(bits) for _ in range(500)}
    assert len(texts) == 500
    assert {len(text) for text in texts} == {length} == {base62_length(bits)}
    assert all(text.isascii() and text.isalnum() for text in texts)


def test_every_character_of_secret_text_varies() -> None:
    # Only the leading one is bounded: 62**43 is a little more than 2**256.
    columns = zip(*(new_secret_text(256) for _ in range(2000)), strict=True)
    assert all(len(set(column)) > 30 for column in columns)


def test_random_bytes_are_as_many_as_asked() -> None:
    for source in (random_bytes, entropy):
        assert [len(source(count)) for count in (0, 1, 10, 32)] == [0, 1, 10, 32]
        assert source(32) != source(32)


@pytest.mark.parametrize("count", [0, 1, 7, 1_000])
def test_many_ids_ascend_and_no_two_are_equal(count: int) -> None:
    before, ids, behind = new_id("tok"), new_ids("tok", count), new_id("tok")
    assert len(set(ids)) == count
    assert ids == sorted(ids)
    assert all(is_id("tok", each) for each in ids)
    # Ten characters of time, then random ones.
    assert all(before[:14] <= each[:14] <= behind[:14] for each in ids)


@given(st.binary(max_size=80))
def test_base64url_is_what_the_library_prints(data: bytes) -> None:
    assert base64url(data) == urlsafe_b64encode(data).rstrip(b"=").decode()
