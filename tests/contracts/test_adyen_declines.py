# SPDX-License-Identifier: Apache-2.0
"""Adyen's refusals in our words, and what a network advises beside them."""

from typing import Final

import pytest

from contracts.adyen_words import ADAPTER, asked, complaints, reply
from strongroom.payments.declines import ADVICE, ADVICE_CODES, Advice, DeclineCode
from strongroom.payments.model import Operation, Outcome
from strongroom.payments.processors.adyen.declines import DECLINES

PSP: Final = "993617895204576J"
#: As Adyen's page of refusal reasons numbers them; 0 comes with approvals.
PUBLISHED: Final = {*range(2, 13), *range(14, 30), *range(31, 47)}


def test_every_published_refusal_has_our_word() -> None:
    assert {int(code) for code in DECLINES} == PUBLISHED
    words = [word.casefold() for word, _ in DECLINES.values()]
    assert len(set(words)) == len(words)


@pytest.mark.parametrize("code", sorted(DECLINES))
def test_a_refusal_is_known_by_its_code_or_its_word(code: str) -> None:
    word, ours = DECLINES[code]
    for said in (
        {"refusalReasonCode": code},
        {"refusalReason": word},
        {"refusalReasonCode": code, "refusalReason": "another wording"},
        {"refusalReasonCode": "999", "refusalReason": word.upper()},
    ):
        body = {"resultCode": "Refused", "pspReference": PSP, **said}
        found = ADAPTER.answer(asked(Operation.SALE), reply(200, body))
        assert (found.outcome, found.decline_code) == (Outcome.DECLINED, ours.value)
        assert found.advice == ADVICE[ours].value
        assert DeclineCode(found.decline_code or "") is ours
        assert found.reason


@pytest.mark.parametrize(
    ("code", "advised", "advice"),
    [
        ("12", None, Advice.LATER),
        ("12", "", Advice.LATER),
        # Each published number, on a refusal that says "later" by itself.
        ("12", "01 : New account information available", Advice.NEW_CARD),
        ("12", "01: New account information available", Advice.NEW_CARD),
        ("12", "1", Advice.NEW_CARD),
        ("12", "02", Advice.LATER),
        ("12", "03 : Do not try again", Advice.NEVER),
        ("12", "04", Advice.NEW_CARD),
        ("12", "21", Advice.NEVER),
        ("12", "22", Advice.NEW_CARD),
        *(("12", str(number), Advice.LATER) for number in range(24, 31)),
        ("12", "40", Advice.NEW_CARD),
        ("12", "41", Advice.NEW_CARD),
        ("12", "42", Advice.NEVER),
        ("12", "43", Advice.NEW_CARD),
        # It never makes a refusal milder.
        ("31", "02", Advice.NEVER),
        ("6", "24", Advice.NEW_CARD),
        ("31", "01", Advice.NEVER),
        # An acquirer's error that the network has spoken on is no matter for another processor now.
        ("4", None, Advice.OTHER_PROCESSOR),
        ("4", "02", Advice.LATER),
        ("4", "03", Advice.NEVER),
        # What nobody published: the network was asked, and that is all it says.
        ("4", "99", Advice.LATER),
        ("4", "031", Advice.LATER),
        ("4", "03x", Advice.NEVER),
        ("4", "novel", Advice.LATER),
        ("12", "novel", Advice.LATER),
        ("6", "novel", Advice.NEW_CARD),
    ],
)
def test_the_networks_advice_counts_where_it_is_stricter(
    code: str, advised: str | None, advice: Advice
) -> None:
    """`merchantAdviceCode` of the description: a scheme's fine is for whoever tries again against it."""
    more = {} if advised is None else {"merchantAdviceCode": advised}
    body = {
        "resultCode": "Refused",
        "pspReference": PSP,
        "refusalReasonCode": code,
        "additionalData": more,
    }
    assert complaints("/payments", "200", body) == []
    found = ADAPTER.answer(asked(Operation.SALE), reply(200, body))
    assert (found.outcome, found.advice) == (Outcome.DECLINED, advice.value)
    assert found.decline_code == DECLINES[code][1].value


def test_every_advice_code_is_tried_above() -> None:
    numbers = {f"{number:02}" for number in (1, 2, 3, 4, 21, 22, *range(24, 31), *range(40, 44))}
    assert set(ADVICE_CODES) == numbers
