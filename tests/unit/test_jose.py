# SPDX-License-Identifier: Apache-2.0
"""The door to JOSE: published vectors hold, one text has one meaning, and any other is refused by a word."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwt_maker import AnyKey, EcKey, EdKey, jws, segment
from strongroom.crypto.sign import SigningKey
from strongroom.identity.jose import (
    Ed25519Signer,
    JoseRefused,
    decode_segment,
    ed25519_public_key,
    encode_segment,
    header_of,
    public_key,
    strict_json,
    verified,
)

#: RFC 8037 appendix A.
SEED = decode_segment("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
PUBLIC = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
SIGNED = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)


def refused(work: Any, *given_: Any) -> str:
    with pytest.raises(JoseRefused) as error:
        work(*given_)
    return error.value.reason


def test_the_vectors_of_rfc_8037() -> None:
    key = ed25519_public_key(SigningKey.from_seed(SEED).public)
    assert key.jwk["x"] == PUBLIC
    assert key.thumbprint == THUMBPRINT
    assert verified(SIGNED, key) == b"Example of Ed25519 signing"
    signer = Ed25519Signer(SigningKey.from_seed(SEED).seed, decode_segment(PUBLIC), "")
    assert signer.sign({"alg": "EdDSA"}, b"Example of Ed25519 signing") == SIGNED


def test_the_thumbprint_of_rfc_7638_is_over_what_a_key_consists_of() -> None:
    key = EcKey()
    assert public_key(key.jwk).thumbprint == public_key({**key.jwk, "kid": "other"}).thumbprint


@pytest.mark.parametrize("key", [EdKey(), EcKey()], ids=["EdDSA", "ES256"])
def test_no_bit_of_a_signed_text_can_be_another(key: AnyKey) -> None:
    text = jws({"alg": key.algorithm}, {"sub": "x"}, key.sign)
    known = public_key(key.jwk)
    assert verified(text, known) == b'{"sub":"x"}'
    for at, letter in enumerate(text):
        other = text[:at] + ("A" if letter != "A" else "B") + text[at + 1 :]
        with pytest.raises(JoseRefused):
            verified(other, known)


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "a.b", "a.b.c.d", "a..c", ".b.c", "a.b.", "é.b.c", "a" * 4_096 + ".b.c"],
)
def test_what_is_no_compact_jws(text: str) -> None:
    assert refused(header_of, text, frozenset({"alg"})) == "form"


@given(st.binary(max_size=64))
def test_bytes_have_one_text(data: bytes) -> None:
    text = encode_segment(data)
    assert decode_segment(text) == data
    for other in (text + "=", text + "\n", " " + text, text + "!", text.replace("-", "+") + "+"):
        assert refused(decode_segment, other) == "encoding"


def test_bits_that_are_left_over_are_zero() -> None:
    assert decode_segment("AA") == b"\0"
    assert refused(decode_segment, "AB") == "encoding"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"a":1,"a":1}', "doubled"),
        (b'{"a":{"b":1,"b":2}}', "doubled"),
        (b'{"a":1,"\\u0061":2}', "doubled"),
        (b"[]", "json"),
        (b'"text"', "json"),
        (b"null", "json"),
        (b"", "json"),
        (b'{"a":NaN}', "json"),
        (b'{"a":-Infinity}', "json"),
        (b'{"a":1}x', "json"),
        (b'\xff{"a":1}', "json"),
        (b'{"a":' + b"[" * 100_000, "json"),
    ],
)
def test_json_means_one_thing(data: bytes, reason: str) -> None:
    assert refused(strict_json, data) == reason


def test_a_header_has_what_is_allowed_and_an_algorithm_of_ours() -> None:
    def header(**members: Any) -> str:
        return f"{segment(members)}.{segment(b'{}')}.AA"

    allowed = frozenset({"alg", "typ"})
    assert header_of(header(alg="EdDSA", typ="JWT"), allowed)["typ"] == "JWT"
    assert refused(header_of, header(alg="EdDSA", kid="1"), allowed) == "header"
    for algorithm in ("none", "HS256", "RS256", "Ed25519", "eddsa", "", None, 1, True):
        assert refused(header_of, header(alg=algorithm), allowed) == "algorithm"
    assert refused(header_of, header(alg=["EdDSA"]), allowed) == "algorithm"


@pytest.mark.parametrize(
    "jwk",
    [
        None,
        "key",
        [],
        {},
        {**EdKey().jwk, "d": "AAAA"},
        {**EdKey().jwk, "x": "AAAA"},
        {**EdKey().jwk, "x": 1},
        {**EdKey().jwk, "x": EdKey().jwk["x"] + "="},
        {**EdKey().jwk, "x5c": "AAAA"},
        {**EdKey().jwk, "key_ops": ["sign"]},
        {**EdKey().jwk, "crv": "Ed448"},
        {**EdKey().jwk, "alg": "ES256"},
        {**EcKey().jwk, "y": EcKey().jwk["x"]},
        {**EcKey().jwk, "crv": "P-384"},
        {"kty": "oct", "k": urlsafe_b64encode(b"k" * 32).decode()},
    ],
    ids=str,
)
def test_what_is_no_public_key_of_ours(jwk: Any) -> None:
    assert refused(public_key, jwk) in ("key", "encoding")


def test_a_key_is_used_with_its_own_algorithm_only() -> None:
    key = EdKey()
    text = jws({"alg": "ES256"}, {"sub": "x"}, key.sign)
    assert refused(verified, text, public_key(key.jwk)) == "signature"
    other = json.dumps({"alg": "none"}).encode()
    assert refused(verified, jws(other, {"sub": "x"}, key.sign), public_key(key.jwk)) == "signature"
