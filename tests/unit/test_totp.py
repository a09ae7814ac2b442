# SPDX-License-Identifier: Apache-2.0
"""Codes of authenticator apps against the RFC's own vectors, wrong clocks, and recovery codes as people type them."""

from datetime import UTC, datetime, timedelta

import pyotp
import pytest

from strongroom.crypto.ids import new_id
from strongroom.identity.factors.qr import qr_png
from strongroom.identity.factors.recovery import CODES, new_recovery_codes, recovery_code_hash
from strongroom.identity.factors.totp import (
    NEVER,
    base32,
    matching_step,
    new_totp_secret,
    otpauth_uri,
    step_at,
)
from strongroom.kernel.ids import PersonId
from strongroom.kernel.secret import Secret

RFC_SECRET = Secret(b"12345678901234567890")
#: RFC 6238, appendix B, mode SHA-1: its 8 digits end with our 6.
VECTORS = [
    (59, "94287082"),
    (1111111109, "07081804"),
    (1111111111, "14050471"),
    (1234567890, "89005924"),
    (2000000000, "69279037"),
    (20000000000, "65353130"),
]
NOW = datetime(2026, 11, 26, 9, 0, 10, tzinfo=UTC)


@pytest.mark.parametrize(("seconds", "code"), VECTORS)
def test_the_vectors_of_rfc_6238(seconds: int, code: str) -> None:
    now = datetime.fromtimestamp(seconds, UTC)
    assert matching_step(RFC_SECRET, code[-6:], now, after=NEVER) == seconds // 30
    assert step_at(now) == seconds // 30


@pytest.mark.parametrize(
    ("steps", "holds"),
    [(-3, False), (-2, False), (-1, True), (0, True), (1, True), (2, False), (3, False)],
)
def test_a_clock_may_be_wrong_by_one_step(steps: int, holds: bool) -> None:  # noqa: FBT001 - a table
    code = pyotp.TOTP(base32(RFC_SECRET)).at(NOW + timedelta(seconds=30 * steps))
    expected = step_at(NOW) + steps if holds else None
    assert matching_step(RFC_SECRET, code, NOW, after=NEVER) == expected


def test_a_step_holds_once_and_none_before_it() -> None:
    generator = pyotp.TOTP(base32(RFC_SECRET))
    here = step_at(NOW)
    assert matching_step(RFC_SECRET, generator.at(NOW), NOW, after=here - 1) == here
    assert matching_step(RFC_SECRET, generator.at(NOW), NOW, after=here) is None
    assert (
        matching_step(RFC_SECRET, generator.at(NOW - timedelta(seconds=30)), NOW, after=here)
        is None
    )
    assert (
        matching_step(RFC_SECRET, generator.at(NOW + timedelta(seconds=30)), NOW, after=here)
        == here + 1
    )


@pytest.mark.parametrize("code", ["", "28708", "2870820", "28708a", "٢٨٧٠٨٢", " 287082", "-87082"])
def test_what_has_not_the_form_is_wrong(code: str) -> None:
    assert matching_step(RFC_SECRET, code, datetime.fromtimestamp(59, UTC), after=NEVER) is None


def test_a_secret_has_160_bits_and_the_uri_says_what_apps_read() -> None:
    secret = new_totp_secret()
    assert len(secret.expose()) == 20
    assert base32(secret) != base32(new_totp_secret())
    uri = otpauth_uri(secret, "ada+x@shop.example")
    read = pyotp.parse_uri(uri.expose())
    assert isinstance(read, pyotp.TOTP)
    assert (read.secret, read.digits, read.interval) == (base32(secret), 6, 30)
    assert (read.name, read.issuer) == ("ada+x@shop.example", "Strongroom")
    assert qr_png(uri).startswith(b"\x89PNG\r\n")


def test_recovery_codes_are_ten_of_80_bits() -> None:
    codes = [code.expose() for code in new_recovery_codes()]
    assert len(set(codes)) == CODES == 10
    for code in codes:
        assert [len(group) for group in code.split("-")] == [4, 4, 4, 4]


def test_a_recovery_code_is_read_as_people_type_it() -> None:
    key, person, other = Secret(bytes(32)), PersonId(new_id("usr")), PersonId(new_id("usr"))
    kept = recovery_code_hash(key, person, "K7QX-2M90-TR1B-W8ZC")
    for typed in ("k7qx2m90tr1bw8zc", "K7QX 2M9O TRlB W8ZC", "K7QX-2M9o-TRIB-W8ZC"):
        assert recovery_code_hash(key, person, typed) == kept
    assert recovery_code_hash(key, person, "K7QX-2M90-TR1B-W8ZD") != kept
    assert recovery_code_hash(key, other, "K7QX-2M90-TR1B-W8ZC") != kept
    assert recovery_code_hash(Secret(b"1" * 32), person, "K7QX-2M90-TR1B-W8ZC") != kept


def test_a_code_is_good_for_a_minute_and_a_half_at_most() -> None:
    code = pyotp.TOTP(base32(RFC_SECRET)).at(NOW)
    good = [
        seconds
        for seconds in range(-120, 121)
        if matching_step(RFC_SECRET, code, NOW + timedelta(seconds=seconds), after=NEVER)
    ]
    assert (min(good), max(good), len(good)) == (-40, 49, 90)
