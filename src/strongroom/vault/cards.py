# SPDX-License-Identifier: Apache-2.0
"""Decides whether what was typed is a card that this mode takes. Pure; every refusal names its field and no value."""

from datetime import datetime, timedelta
from typing import Final

from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.mode import Mode
from strongroom.kernel.published import is_test_number
from strongroom.kernel.schemes import (
    CARD_DIGITS_MAX,
    CARD_DIGITS_MIN,
    SYNTHETIC,
    Scheme,
    classify,
    luhn_valid,
)
from strongroom.vault.never_kept import holds_code, holds_cryptogram
from strongroom.vault.pan import Pan
from strongroom.vault.wire import CardIn

#: No issuer prints a date further ahead.
EXPIRY_YEARS_AHEAD_MAX: Final = 25
#: A card is good until its last month has ended everywhere on earth (UTC-12).
LAST_ZONE: Final = timedelta(hours=12)


def read_card(card: CardIn, mode: Mode, now: datetime, at: str = "/card") -> Pan:
    """Return the card's number as a Pan.

    Args:
        card: what was typed.
        mode: live refuses numbers for testing, test takes nothing else.
        now: for the expiry.
        at: JSON pointer of the card in the request.

    Raises:
        Invalid: with every field that is wrong.
    """
    wrong: list[FieldError] = []
    scheme = _number(card.number, mode, at, wrong)
    _expiry(card.exp_month, card.exp_year, now, at, wrong)
    if card.cvc is not None and scheme is not None:
        _cvc(card.cvc, scheme, f"{at}/cvc", wrong)
    if wrong or scheme is None:
        raise Invalid(*wrong)
    return Pan(card.number, scheme)


def read_expiry(month: int, year: int, now: datetime, at: str = "") -> None:
    """Check the expiry that a card was given anew.

    Raises:
        Invalid: it has passed, or no card is issued for so long.
    """
    wrong: list[FieldError] = []
    _expiry(month, year, now, at, wrong)
    if wrong:
        raise Invalid(*wrong)


def read_cvc(cvc: str, brand: str, at: str = "/cvc") -> None:
    """Check a CVC that comes alone.

    Raises:
        Invalid: it does not have the brand's form.
    """
    digits = 4 if brand == "amex" else 3
    if not (cvc.isascii() and cvc.isdigit() and len(cvc) == digits):
        raise Invalid(FieldError(at, "cvc_malformed", f"a CVC of this brand has {digits} digits"))


def read_metadata(metadata: dict[str, str] | None, at: str = "/metadata") -> None:
    """Refuse card numbers, security codes and cryptograms in metadata: it is stored and shown in clear.

    Raises:
        Invalid: a key or a value looks like a card number; a value is, by its key, one of the others.
    """
    if not metadata:
        return
    given = metadata.items()
    if any(has_cardlike(key) or has_cardlike(value) for key, value in given):
        raise Invalid(
            FieldError(at, "card_number_refused", "metadata holds what looks like a card number")
        )
    if any(holds_code(key, value) for key, value in given):
        raise Invalid(
            FieldError(at, "cvc_member_refused", "metadata holds what looks like a security code")
        )
    if any(holds_cryptogram(key, value) for key, value in given):
        raise Invalid(
            FieldError(at, "cryptogram_refused", "metadata holds what looks like a cryptogram")
        )


def _number(number: str, mode: Mode, at: str, wrong: list[FieldError]) -> Scheme | None:
    pointer = f"{at}/number"
    if not (
        CARD_DIGITS_MIN <= len(number) <= CARD_DIGITS_MAX and number.isascii() and number.isdigit()
    ):
        wrong.append(
            FieldError(
                pointer, "number_malformed", "a card number has 13 to 19 digits and nothing else"
            )
        )
        return None
    scheme = classify(number)
    if scheme is None:
        wrong.append(
            FieldError(pointer, "scheme_unknown", "no card scheme issues numbers like this")
        )
        return None
    if scheme.luhn_required and not luhn_valid(number):
        wrong.append(
            FieldError(
                pointer, "number_checksum_wrong", "the number's last digit does not check (Luhn)"
            )
        )
        return None
    if mode is Mode.LIVE and (scheme is SYNTHETIC or is_test_number(number)):
        wrong.append(
            FieldError(
                pointer, "test_number_in_live_mode", "live mode refuses numbers made for testing"
            )
        )
        return None
    if mode is Mode.TEST and scheme is not SYNTHETIC and not is_test_number(number):
        wrong.append(
            FieldError(
                pointer, "live_number_in_test_mode", "test mode takes published test numbers only"
            )
        )
        return None
    return scheme


def _expiry(month: int, year: int, now: datetime, at: str, wrong: list[FieldError]) -> None:
    if now.year < year <= now.year + EXPIRY_YEARS_AHEAD_MAX:
        return
    latest = now - LAST_ZONE
    if (year, month) < (latest.year, latest.month):
        wrong.append(FieldError(f"{at}/exp_year", "card_expired", "the card's expiry has passed"))
    elif year > now.year + EXPIRY_YEARS_AHEAD_MAX:
        wrong.append(
            FieldError(f"{at}/exp_year", "expiry_impossible", "no card is issued for so long")
        )


def _cvc(cvc: str, scheme: Scheme, pointer: str, wrong: list[FieldError]) -> None:
    if not (cvc.isascii() and cvc.isdigit() and len(cvc) == scheme.cvc_digits):
        wrong.append(
            FieldError(
                pointer, "cvc_malformed", f"a CVC of this brand has {scheme.cvc_digits} digits"
            )
        )
