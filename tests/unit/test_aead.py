# SPDX-License-Identifier: Apache-2.0
"""Sealing: it opens in its own place, nowhere else, and only `CannotOpen` says so."""

import json
import pickle
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jwcrypto import jwe, jwk

from strongroom.crypto import CannotOpen, Place, Sealer, algorithm_of, hkdf_sha256
from strongroom.crypto.aead import (
    Algorithm,
    _cbc_hs512_encrypt,
    _cbc_hs512_open,
    _cbc_hs512_tag,
)
from strongroom.crypto.digest import HmacSha512
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.invariant import Bug
from strongroom.kernel.mode import Mode

KEY = bytes(range(32))
SEALERS = {algorithm: Sealer(KEY, algorithm, "card") for algorithm in Algorithm}
PLACES = {
    algorithm: Place(algorithm, Mode.TEST, MerchantId("mer_1"), "tok_1", "number", 1, "card")
    for algorithm in Algorithm
}
BOTH = pytest.mark.parametrize("algorithm", Algorithm)
algorithms = st.sampled_from(Algorithm)

places = st.builds(
    Place,
    algorithm=algorithms,
    mode=st.sampled_from(Mode),
    merchant=st.text(max_size=4),
    object_id=st.text(max_size=4),
    field=st.text(max_size=4),
    key_version=st.integers(),
    purpose=st.text(max_size=4),
)


@given(algorithms, st.binary(max_size=200))
def test_what_was_sealed_opens(algorithm: Algorithm, plaintext: bytes) -> None:
    sealer, place = SEALERS[algorithm], PLACES[algorithm]
    sealed = sealer.seal(plaintext, place)
    assert sealer.open(sealed, place) == plaintext
    assert algorithm_of(sealed) is algorithm


@BOTH
def test_the_same_value_never_seals_to_the_same_bytes(algorithm: Algorithm) -> None:
    sealer, place = SEALERS[algorithm], PLACES[algorithm]
    assert len({sealer.seal(b"4242424242424242", place) for _ in range(1000)}) == 1000


@BOTH
def test_every_flipped_bit_is_refused(algorithm: Algorithm) -> None:
    sealer, place = SEALERS[algorithm], PLACES[algorithm]
    sealed = sealer.seal(b"4242424242424242", place)
    for position in range(len(sealed) * 8):
        altered = bytearray(sealed)
        altered[position // 8] ^= 1 << position % 8
        with pytest.raises(CannotOpen):
            sealer.open(bytes(altered), place)


@BOTH
def test_every_truncation_and_extension_is_refused(algorithm: Algorithm) -> None:
    sealer, place = SEALERS[algorithm], PLACES[algorithm]
    sealed = sealer.seal(b"4242424242424242", place)
    for altered in (
        *(sealed[:length] for length in range(len(sealed))),
        *(sealed[length:] for length in range(1, len(sealed))),
        sealed + bytes(1),
        sealed + bytes(16),
    ):
        with pytest.raises(CannotOpen):
            sealer.open(altered, place)


@BOTH
def test_another_algorithm_byte_opens_nowhere(algorithm: Algorithm) -> None:
    sealed = SEALERS[algorithm].seal(b"4242424242424242", PLACES[algorithm])
    for version in range(256):
        if version == sealed[0]:
            continue
        altered = bytes([version]) + sealed[1:]
        for opener in Algorithm:  # whichever one the reader picks
            for place in PLACES.values():
                with pytest.raises(CannotOpen):
                    SEALERS[opener].open(altered, place)


def test_an_unknown_algorithm_byte_is_refused() -> None:
    for first in (b"", b"\x00", b"\x03", b"\xff"):
        with pytest.raises(CannotOpen):
            algorithm_of(first)


@pytest.mark.parametrize(
    "moved",
    [
        {"mode": Mode.LIVE},
        {"merchant": "mer_2"},
        {"object_id": "tok_2"},
        {"field": "expiry"},
        {"key_version": 2},
        {"purpose": "webhook"},
        {"merchant": "mer_1tok_", "object_id": "1"},
        {"object_id": "tok_1number", "field": ""},
    ],
    ids=" ".join,
)
@BOTH
def test_a_value_moved_elsewhere_does_not_open(
    algorithm: Algorithm, moved: dict[str, object]
) -> None:
    sealer, place = SEALERS[algorithm], PLACES[algorithm]
    sealed = sealer.seal(b"4242424242424242", place)
    elsewhere = place._replace(**moved)  # type: ignore[arg-type]  # a table of fields
    with pytest.raises(CannotOpen):
        sealer.open(sealed, elsewhere)


@BOTH
def test_another_purpose_or_key_does_not_open(algorithm: Algorithm) -> None:
    sealed = SEALERS[algorithm].seal(b"4242424242424242", PLACES[algorithm])
    webhook = Sealer(KEY, algorithm, "webhook")
    with pytest.raises(CannotOpen):
        webhook.open(sealed, PLACES[algorithm]._replace(purpose="webhook"))
    with pytest.raises(CannotOpen):
        Sealer(bytes(32), algorithm, "card").open(sealed, PLACES[algorithm])


@given(algorithms, st.binary(max_size=200), places)
def test_only_cannot_open_escapes(algorithm: Algorithm, garbage: bytes, place: Place) -> None:
    with pytest.raises(CannotOpen):
        SEALERS[algorithm].open(garbage, place)
    with pytest.raises(CannotOpen):
        SEALERS[algorithm].open(bytes([1, 2][algorithm == "A256GCM"]) + garbage, PLACES[algorithm])


@given(places, places)
@settings(max_examples=500)
def test_two_places_never_share_an_encoding(one: Place, other: Place) -> None:
    assume(one != other)
    assert one.encoded() != other.encoded()


@pytest.mark.parametrize("length", [16, 17], ids=["bad padding", "no whole block"])
def test_a_holder_of_the_key_cannot_make_another_error_escape(length: int) -> None:
    iv, ciphertext = bytes(16), bytes(length)
    sealed = b"\x01" + iv + ciphertext + _cbc_hs512_tag(HmacSha512(KEY), iv, ciphertext, b"aad")
    with pytest.raises(CannotOpen):
        _cbc_hs512_open(HmacSha512(KEY), AES256(KEY), sealed, b"aad")


@given(
    st.lists(st.text("1:a", max_size=5), min_size=5, max_size=5),
    st.lists(st.text("1:a", max_size=5), min_size=5, max_size=5),
)
@settings(max_examples=500)
def test_separators_in_the_parts_do_not_blur_places(one: list[str], other: list[str]) -> None:
    assume(one != other)

    def place(parts: list[str]) -> Place:
        merchant, object_id, field, _, purpose = parts
        return Place(
            Algorithm.A256GCM,
            Mode.TEST,
            MerchantId(merchant),
            object_id,
            field,
            len(parts[3]),
            purpose,
        )

    if place(one) != place(other):
        assert place(one).encoded() != place(other).encoded()


def test_the_encoding_is_stable() -> None:
    """What is stored was sealed under these bytes: they never change."""
    expected = b"13:A256CBC-HS5124:test5:mer_15:tok_16:number1:14:card"
    assert PLACES[Algorithm.A256CBC_HS512].encoded() == expected


def test_sealing_for_a_place_of_another_kind_is_a_bug() -> None:
    with pytest.raises(Bug):
        SEALERS[Algorithm.A256GCM].seal(b"x", PLACES[Algorithm.A256CBC_HS512])
    with pytest.raises(Bug):
        Sealer(b"short", Algorithm.A256GCM, "card")


def test_a_sealer_neither_prints_nor_pickles() -> None:
    for sealer in SEALERS.values():
        assert repr(sealer) == f"Sealer({sealer.algorithm}, card)"
        with pytest.raises(TypeError):
            pickle.dumps(sealer)


def test_a_stored_value_has_the_documented_form() -> None:
    """What a second implementation needs: subkey, associated data and envelope, by hand."""
    place = PLACES[Algorithm.A256CBC_HS512]
    sealed = SEALERS[Algorithm.A256CBC_HS512].seal(b"4242424242424242", place)
    subkey = hkdf_sha256(KEY, b"strongroom seal 1\x0013:A256CBC-HS5124:card", 64)
    iv, ciphertext, tag = sealed[1:17], sealed[17:-32], sealed[-32:]
    assert _cbc_hs512_encrypt(
        HmacSha512(subkey[:32]), AES256(subkey[32:]), iv, b"4242424242424242", place.encoded()
    ) == (ciphertext, tag)


# --- another implementation of JWE agrees -----------------------------------------------------------------

_HEADER = json.dumps({"alg": "dir", "enc": "A256CBC-HS512"})


def _b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


# At least one byte: jwcrypto takes an empty plaintext for a failure.
@given(st.binary(min_size=64, max_size=64), st.binary(min_size=1, max_size=100))
@settings(max_examples=25)
def test_jwcrypto_opens_what_we_seal(key: bytes, plaintext: bytes) -> None:
    header = _b64(_HEADER.encode())
    iv = bytes(range(16))
    ciphertext, tag = _cbc_hs512_encrypt(
        HmacSha512(key[:32]), AES256(key[32:]), iv, plaintext, header.encode()
    )
    token = ".".join((header, "", _b64(iv), _b64(ciphertext), _b64(tag)))
    opened = jwe.JWE()
    opened.deserialize(token, key=jwk.JWK(kty="oct", k=_b64(key)))
    assert opened.payload == plaintext


@given(st.binary(min_size=64, max_size=64), st.binary(max_size=100))
@settings(max_examples=25)
def test_we_open_what_jwcrypto_seals(key: bytes, plaintext: bytes) -> None:
    token = jwe.JWE(plaintext, protected=_HEADER, recipient=jwk.JWK(kty="oct", k=_b64(key)))
    header, _, iv, ciphertext, tag = token.serialize(compact=True).split(".")
    sealed = b"\x01" + _unb64(iv) + _unb64(ciphertext) + _unb64(tag)
    assert (
        _cbc_hs512_open(HmacSha512(key[:32]), AES256(key[32:]), sealed, header.encode())
        == plaintext
    )


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_authenticity_is_told_without_the_plaintext(algorithm: Algorithm) -> None:
    sealer = Sealer(bytes(32), algorithm, "card")
    place = Place(algorithm, Mode.TEST, MerchantId("mer_1"), "tok_1", "number", 1, "card")
    other = Place(algorithm, Mode.TEST, MerchantId("mer_1"), "tok_2", "number", 1, "card")
    sealed = sealer.seal(b"737", place)
    sealer.require_authentic(sealed, place)
    for altered, at in (
        (sealed, other),
        (sealed[:-1] + bytes([sealed[-1] ^ 1]), place),
        (b"", place),
    ):
        with pytest.raises(CannotOpen):
            sealer.require_authentic(altered, at)
