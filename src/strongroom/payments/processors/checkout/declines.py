# SPDX-License-Identifier: Apache-2.0
"""Checkout.com's response codes in our words, as its page "API response codes" lists them.

20xxx are soft declines, 30xxx hard ones, 4xxxx its own rules against fraud.

What a code's text leaves open is read the stricter way; whether a try may follow is `ADVICE`'s, and never more lenient
than the class of the code.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from strongroom.payments.declines import ADVICE, Advice, DeclineCode, advised, stricter

_D = DeclineCode


def _table(words: Mapping[DeclineCode, str]) -> dict[str, DeclineCode]:
    return {code: word for word, codes in words.items() for code in codes.split()}


_SOFT: Final = _table(
    {
        # Of the merchant's own set-up or of the request: another processor may take what this one cannot.
        _D.ACQUIRER_ERROR: "20003 20015 20031 20058 20092 20102 20112 20156 20157",
        _D.AMOUNT_NOT_ALLOWED: "20013 20023 20042 20064 20121",
        _D.AUTHENTICATION_FAILED: "20151 20152 20155 200E2",
        _D.AUTHENTICATION_REQUIRED: "20070 20154",
        _D.AVS_MISMATCH: "20107 20123 20193",
        # 20060 sends to the acquirer: a referral too, and no reason to try at another processor.
        _D.CALL_ISSUER: "20001 20002 20018 20060 20199 2009G 200A4",
        _D.CANCELED_BY_CUSTOMER: "20017",
        _D.CARD_NOT_SUPPORTED: "20103 20122 20150 200T3",
        _D.CARD_VELOCITY_EXCEEDED: "20065",
        _D.CURRENCY_NOT_SUPPORTED: "20106",
        _D.DO_NOT_HONOR: "20005 20046",
        _D.DUPLICATE_TRANSACTION: "20026 20094 20109 20111",
        _D.EXPIRED_CARD: "20054",
        _D.FRAUDULENT: "20059 20183",
        # 20197 is whatever has no code of its own, a wrong CVC among it.
        _D.GENERIC_DECLINE: "20099 20197",
        _D.INCORRECT_CVC: "20087 20124 200N7",
        _D.INCORRECT_NUMBER: "20014",
        _D.INCORRECT_PIN: "20038 20055 20075",
        _D.INSUFFICIENT_FUNDS: "20051",
        _D.INVALID_ACCOUNT: "20016 20025 20039 20044 20052 20053 20056 20072 20083 20101 20108 20114 20120 20179",
        _D.INVALID_EXPIRY: "20100",
        _D.ISSUER_NOT_AVAILABLE: "20068 20091 200A6",
        _D.MANDATE_REVOKED: "200R1 200R3",
        _D.NOT_PERMITTED: "20012 20040 20057 20081 20093 20158 20182 2005C 200E0",
        _D.PICKUP_CARD: "20004 20067",
        _D.PROCESSING_ERROR: (
            "20006 20020 20021 20022 20024 20027 20028 20029 20030 20032 20033 20045 20082 20084 20085 20086 "
            "20088 20089 20095 20096 20097 20098 20104 20105 20110 20113 20115 20116 20117 20119 20153 20159 "
            "200A5 200N0 200S4 200T2 200T5"
        ),
        _D.RESTRICTED_CARD: "20062 20078",
        _D.SECURITY_VIOLATION: "20063 20066 2006P",
        _D.TRY_AGAIN_LATER: "20009 20019 20090 20118 200E3",
        _D.WITHDRAWAL_LIMIT_EXCEEDED: "20061 200P1 200P9",
    }
)
_HARD: Final = _table(
    {
        _D.ACQUIRER_ERROR: "30404 30405",
        _D.AMOUNT_NOT_ALLOWED: "30020 30044 30401 30402 30403",
        _D.CARD_VELOCITY_EXCEEDED: "30022",
        _D.EXPIRED_CARD: "30033",
        _D.FRAUDULENT: "30034",
        _D.INCORRECT_NUMBER: "30015",
        _D.INCORRECT_PIN: "30038",
        _D.INVALID_ACCOUNT: "30046",
        _D.LOST_CARD: "30041",
        _D.NOT_PERMITTED: "30016 30017 30018 30019 30045",
        _D.PICKUP_CARD: "30004 30007 30035 30037",
        _D.RESTRICTED_CARD: "30036",
        _D.STOLEN_CARD: "30043",
        _D.WITHDRAWAL_LIMIT_EXCEEDED: "30021",
    }
)
_RISK: Final = _table(
    {
        # The same rules at three levels: the client's, the entity's, Checkout.com's own.
        _D.BLOCKED_BY_PROCESSOR: " ".join(
            f"4{level}{rule}"
            for level in "123"
            for rule in "101 201 202 203 204 205 206 301".split()
        )
        + " 43102",
        _D.AUTHENTICATION_REQUIRED: "43401",
    }
)
#: Of refunds and payouts: 50003 is the merchant's own balance, which a refund is paid from.
_BALANCE: Final = _table({_D.INSUFFICIENT_FUNDS: "50003", _D.BLOCKED_BY_PROCESSOR: "50001 50002"})
DECLINES: Final[Mapping[str, DeclineCode]] = _SOFT | _HARD | _RISK | _BALANCE


class Declined(NamedTuple):
    """A decline in our words; the reason is theirs."""

    code: DeclineCode
    advice: Advice
    reason: str


def declined(code: str | None, advice_code: str | None = None) -> Declined:
    """Return what a response code says. One that nobody published keeps its class, and stays as the reason.

    `advice_code` is Mastercard's, where it gave one: it counts where it allows less.
    """
    if code is None:
        advice = stricter(ADVICE[_D.GENERIC_DECLINE], advised(advice_code))
        return Declined(_D.GENERIC_DECLINE, advice, "declined")
    unknown = _D.BLOCKED_BY_PROCESSOR if code.startswith("4") else _D.GENERIC_DECLINE
    word = DECLINES.get(code, unknown)
    advice = stricter(ADVICE[word], advised(advice_code))
    if code.startswith("3"):
        # A hard decline: the same card is what its class rules out, another day and through whomever.
        advice = stricter(advice, Advice.NEW_CARD)
    return Declined(word, advice, code)
