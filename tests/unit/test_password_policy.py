# SPDX-License-Identifier: Apache-2.0
"""Which passwords may be set: a table, and properties over everything that can be typed."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.identity.people.breached import bundled
from strongroom.identity.people.password_policy import (
    PASSWORD_CHARACTERS_MAX,
    PASSWORD_CHARACTERS_MIN,
    Setter,
    faults_of,
    typed,
)
from strongroom.kernel.errors import Invalid

MERCHANT = Setter("noor@lantern.example", "Noor Rahmani", "Corner Bakery", reaches_vault=True)
PLATFORM = Setter("noor@lantern.example", "Noor Rahmani", "the platform", reaches_vault=False)

#: Who, what they choose, what is wrong with it.
PASSWORDS = [
    (MERCHANT, "quiet harbour 7 kettles", ""),
    (MERCHANT, "9 copper kettles whistle", ""),
    (MERCHANT, "Tr0ub4dor&3 zebra", ""),
    (MERCHANT, "ثلاثة جمال في 7 خيام", ""),
    (MERCHANT, "شاي بالنعناع ٧ أكواب", ""),  # a decimal digit is one in any script
    (MERCHANT, "xk7 vq2 mn9 zp4", ""),
    (MERCHANT, "x" * 5 + "k7vq2mn", ""),
    (MERCHANT, "quiet harbour kettles", "password_without_digit"),
    (PLATFORM, "quiet harbour kettles", ""),
    (MERCHANT, "8261 5940 3377 18", "password_without_letter"),
    (MERCHANT, "k7vq2mn9zp4", "password_too_short"),
    (MERCHANT, "k7vq2mn9zp4x", ""),
    (MERCHANT, "e\u0301" * 6 + "k7", "password_too_short password_guessable"),  # NFC: eight characters
    (MERCHANT, "password1234", "password_breached"),
    (MERCHANT, "PASSWORD1234", "password_breached"),
    (MERCHANT, "P@ssword2024", "password_breached"),
    (MERCHANT, "qwertyuiop12", "password_breached"),
    (MERCHANT, "1q2w3e4r5t6y", "password_breached"),
    (MERCHANT, "Summer2026!!!!", "password_guessable"),
    (MERCHANT, "aaaaaaaaaaaa1", "password_guessable"),
    (MERCHANT, "blue42blue42blue42", "password_guessable"),
    (MERCHANT, "Strongroom-2026", "password_guessable"),
    (MERCHANT, "5tr0ngr00m-vault", "password_guessable"),
    (MERCHANT, "payment gateway 1", "password_guessable"),
    (MERCHANT, "noor.rahmani.1990", "password_guessable"),
    (MERCHANT, "lantern.lantern1", "password_guessable"),
    (MERCHANT, "CornerBakery2026", "password_guessable"),
    (MERCHANT, "poiuytrewq_0987", "password_guessable"),
    (MERCHANT, "zyxwvutsrq98765", "password_guessable"),
    (MERCHANT, "short", "password_too_short password_without_digit"),
]  # fmt: skip


@pytest.mark.parametrize(("who", "password", "expected"), PASSWORDS)
def test_what_may_be_set(who: Setter, password: str, expected: str) -> None:
    faults = faults_of(password, who, bundled())
    assert " ".join(fault.code for fault in faults) == expected
    assert all(fault.pointer == "/password" for fault in faults)


def test_the_bundled_list_has_what_the_standard_asks_for() -> None:
    """ASVS 5.0 V6.2.4: at least 3,000 passwords that would otherwise be long enough."""
    assert len(bundled()) > 14_000
    for each in bundled():
        assert len(each) >= PASSWORD_CHARACTERS_MIN
        assert each == each.casefold() == unicodedata.normalize("NFC", each)


@given(st.sampled_from(sorted(bundled())), st.booleans())
def test_what_leaked_is_refused_in_any_case(password: str, upper: bool) -> None:  # noqa: FBT001 - drawn
    spelled = password.upper() if upper else password.title()
    if spelled.casefold() == password:
        assert "password_breached" in {
            fault.code for fault in faults_of(spelled, PLATFORM, bundled())
        }


@given(st.text(max_size=200))
def test_nothing_is_cut_off_and_nothing_says_what_was_typed(text: str) -> None:
    if len(unicodedata.normalize("NFC", text)) > PASSWORD_CHARACTERS_MAX or not _is_text(text):
        with pytest.raises(Invalid) as refused:
            typed(text)
        assert len(text) < 4 or text not in str(refused.value)
        return
    kept = typed(text).expose()
    assert kept == unicodedata.normalize("NFC", text)
    for fault in faults_of(text, MERCHANT, bundled()):
        if len(text) >= PASSWORD_CHARACTERS_MIN:
            assert text not in fault.detail


@given(st.text(min_size=1, max_size=60))
def test_every_spelling_of_the_same_text_is_the_same_password(text: str) -> None:
    if not _is_text(text):
        return
    spelled = typed(unicodedata.normalize("NFD", text)).expose()
    assert spelled == typed(unicodedata.normalize("NFC", text)).expose()


@given(st.text(max_size=140))
def test_a_password_without_faults_has_its_length_and_its_classes(text: str) -> None:
    if faults_of(text, MERCHANT, bundled()):
        return
    plain = unicodedata.normalize("NFC", text)
    assert len(plain) >= PASSWORD_CHARACTERS_MIN
    assert any(each.isalpha() for each in plain)
    assert any(each.isdecimal() for each in plain)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
