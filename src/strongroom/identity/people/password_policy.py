# SPDX-License-Identifier: Apache-2.0
"""Which passwords may be set: how long, made of what, nothing common and nothing about oneself.

PCI DSS 8.3.6 asks for letters and digits; ASVS 5.0 V6.2.5 forbids it: ADR-0009. A password is used as it was
typed but for NFC (NIST SP 800-63B §3.1.1.2): nothing is cut off, and no letter changes its case.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.secret import Secret

PASSWORD_CHARACTERS_MIN: Final = 12
PASSWORD_CHARACTERS_MAX: Final = 128
#: Passwords that may not come back, the one that holds included (PCI DSS 8.3.7).
PASSWORDS_REMEMBERED: Final = 4
#: Letters that must be left when everything that can be guessed is taken away.
LETTERS_LEFT_MIN: Final = 4
DISTINCT_CHARACTERS_MIN: Final = 5
#: Shorter words of a name or an address stand in too many good passwords.
CONTEXT_CHARACTERS_MIN: Final = 4
_RUN_CHARACTERS_MIN: Final = 4

#: Words of this product, its trade and its roles (ASVS 5.0 V6.1.2 asks that they stand somewhere: here).
PRODUCT_WORDS: Final = frozenset(
    (
        "strongroom vault gateway console payment payments merchant processor token tokens card cards cardholder "
        "credit debit visa mastercard amex stripe adyen checkout admin administrator auditor operator developer "
        "service platform password passwort passphrase secret login account user webhook database postgres "
        "production staging testing dubai emirates"
    ).split()
)
#: Words that leaked passwords are built from, whatever follows them.
COMMON_WORDS: Final = frozenset(
    (
        "password passwd letmein welcome qwerty qwertz azerty iloveyou monkey dragon football baseball basketball "
        "superman batman spiderman sunshine princess master shadow michael jennifer jordan charlie starwars "
        "pokemon whatever freedom computer internet samsung google facebook liverpool chelsea arsenal barcelona "
        "realmadrid manchester jesus christ hello world changeme default guest access summer winter spring autumn "
        "january february march april june july august september october november december monday tuesday "
        "wednesday thursday friday saturday sunday cookie cheese chocolate butterfly purple flower orange banana "
        "hunter killer soccer hockey mustang ferrari porsche harley ginger pepper tigger buster summertime "
        "trustno love babygirl lovely angel forever family friends thomas robert daniel andrew joshua matthew "
        "jessica ashley nicole amanda please nothing something temporary company office"
    ).split()
)
#: What fingers walk along, each in both directions.
_WALKS: Final = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "qwertzuiop",
    "azertyuiop",
    "asdfghjkl",
    "yxcvbnm",
    "zxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "1q2w3e4r5t6y7u8i9o0p",
    "q1w2e3r4t5y6u7i8o9p0",
    "qazwsxedcrfvtgbyhnujmikolp",
)
_BOTH_WAYS: Final = tuple(walk for each in _WALKS for walk in (each, each[::-1]))
_STANDS_FOR: Final = str.maketrans("013457@$!|€", "oieastasile")
_LETTERS_OF_NAMES: Final = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Setter:
    """Who sets a password, as far as it matters to what they may choose."""

    email: str
    name: str
    #: The merchant's name; empty for people of the platform.
    tenant: str
    #: Whether their role can reach the vault: then letters and digits are asked for (PCI DSS 8.3.6).
    reaches_vault: bool


def typed(password: str, field: str = "/password") -> Secret[str]:
    """Return what is hashed: the password in NFC, whole.

    Raises:
        Invalid: it is not text (a lone surrogate), or longer than any password that can be set.
    """
    text = unicodedata.normalize("NFC", password[: PASSWORD_CHARACTERS_MAX * 4])
    if len(password) > PASSWORD_CHARACTERS_MAX * 4 or len(text) > PASSWORD_CHARACTERS_MAX:
        raise Invalid(
            FieldError(
                field,
                "password_too_long",
                f"a password has at most {PASSWORD_CHARACTERS_MAX} characters",
            )
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid(FieldError(field, "password_malformed", "the password is not text")) from None
    return Secret(text)


def faults_of(
    password: str, setter: Setter, common: Collection[str], field: str = "/password"
) -> tuple[FieldError, ...]:
    """Say everything that is wrong with a new password; nothing if it may be set.

    Args:
        common: leaked passwords, case-folded.
    """
    text = unicodedata.normalize("NFC", password)
    found = []
    if len(text) < PASSWORD_CHARACTERS_MIN:
        found.append(
            FieldError(
                field,
                "password_too_short",
                f"a password has at least {PASSWORD_CHARACTERS_MIN} characters",
            )
        )
    if setter.reaches_vault:
        if not any(character.isalpha() for character in text):
            found.append(
                FieldError(field, "password_without_letter", "a password has a letter in it")
            )
        if not any(character.isdecimal() for character in text):
            found.append(
                FieldError(field, "password_without_digit", "a password has a digit in it")
            )
    folded = text.casefold()
    if folded in common or _as_letters(folded) in common:
        found.append(
            FieldError(field, "password_breached", "this password is among those that leaked")
        )
    elif _is_monotonous(folded) or _is_guessable(folded, setter):
        found.append(
            FieldError(
                field,
                "password_guessable",
                "this password is made of a pattern, common words, or words about you or this installation",
            )
        )
    return tuple(found)


def _is_monotonous(folded: str) -> bool:
    """A few characters, or one piece repeated."""
    if len(set(folded)) < DISTINCT_CHARACTERS_MIN:
        return True
    return folded in (folded + folded)[1:-1]


def _is_guessable(folded: str, setter: Setter) -> bool:
    """Take away walks along the keyboard and every known word: what is left is what somebody has to guess."""
    words = sorted({*PRODUCT_WORDS, *COMMON_WORDS, *_about(setter)}, key=len, reverse=True)
    for reading in (folded, _as_letters(folded)):
        rest = reading
        for word in words:
            rest = rest.replace(word, " ")
        rest = _without_walks(rest)
        if sum(character.isalpha() for character in rest) < LETTERS_LEFT_MIN and any(
            character.isalpha() for character in reading
        ):
            return True
    return False


def _without_walks(text: str) -> str:
    kept = []
    at = 0
    while at < len(text):
        length = max(_walk_length(text, at, walk) for walk in _BOTH_WAYS)
        if length >= _RUN_CHARACTERS_MIN:
            kept.append(" ")
            at += length
        else:
            kept.append(text[at])
            at += 1
    return "".join(kept)


def _walk_length(text: str, at: int, walk: str) -> int:
    """Return how many characters from `at` on follow the walk."""
    start = walk.find(text[at])
    if start < 0:
        return 0
    length = 0
    while (
        at + length < len(text)
        and start + length < len(walk)
        and text[at + length] == walk[start + length]
    ):
        length += 1
    return length


def _as_letters(folded: str) -> str:
    """Read p4ssw0rd as password."""
    return folded.translate(_STANDS_FOR)


def _about(setter: Setter) -> Iterable[str]:
    for text in (setter.email, setter.name, setter.tenant):
        for word in _LETTERS_OF_NAMES.findall(unicodedata.normalize("NFC", text).casefold()):
            if len(word) >= CONTEXT_CHARACTERS_MIN:
                yield word
