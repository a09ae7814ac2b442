# SPDX-License-Identifier: Apache-2.0
"""A256CBC-HS512 against the example that RFC 7518 publishes (Appendix B.3)."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.algorithms import AES256

from strongroom.crypto import CannotOpen
from strongroom.crypto.aead import _cbc_hs512_encrypt, _cbc_hs512_open
from strongroom.crypto.digest import HmacSha512

_FILE = Path(__file__).parent / "data" / "rfc7518" / "a256cbc-hs512-b3.json"
_VECTOR = {
    name: bytes.fromhex(value)
    for name, value in json.loads(_FILE.read_text()).items()
    if name not in {"source", "alg"}
}
# RFC 7518 §5.2.2.1: the first half of K is the MAC key, the second half the encryption key.
_MAC_KEY, _ENC_KEY = _VECTOR["K"][:32], _VECTOR["K"][32:]
_SEALED = b"\x01" + _VECTOR["IV"] + _VECTOR["E"] + _VECTOR["T"]


def test_the_published_example_is_what_we_write() -> None:
    ciphertext, tag = _cbc_hs512_encrypt(
        HmacSha512(_MAC_KEY), AES256(_ENC_KEY), _VECTOR["IV"], _VECTOR["P"], _VECTOR["A"]
    )
    assert (ciphertext, tag) == (_VECTOR["E"], _VECTOR["T"])


def test_the_published_example_opens() -> None:
    assert (
        _cbc_hs512_open(HmacSha512(_MAC_KEY), AES256(_ENC_KEY), _SEALED, _VECTOR["A"])
        == _VECTOR["P"]
    )


def test_the_halves_of_the_key_are_not_interchangeable() -> None:
    with pytest.raises(CannotOpen):
        _cbc_hs512_open(HmacSha512(_ENC_KEY), AES256(_MAC_KEY), _SEALED, _VECTOR["A"])
