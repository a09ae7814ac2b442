# SPDX-License-Identifier: Apache-2.0
"""Money: integer minor units and an ISO 4217 code with its real exponent. No floats anywhere."""

from dataclasses import dataclass
from typing import Final

from strongroom.kernel.errors import FieldError, Invalid

#: ISO 4217 currencies whose minor unit is not a hundredth. Everything else in CURRENCIES has two decimals.
_EXPONENTS: Final = {
    **dict.fromkeys(
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0
    ),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    "CLF": 4,
    "UYW": 4,
}
CURRENCIES: Final = frozenset(
    (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN "
        "BWP BYN BZD CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP "
        "ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR "
        "ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA "
        "MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK "
        "PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC "
        "SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND "
        "VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG "
    ).split()
)


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in minor units: `Money(1050, "AED")` is 10.50 dirhams, in KWD 1.050 dinars."""

    minor_units: int
    currency: str

    def __post_init__(self) -> None:
        if self.currency not in CURRENCIES:
            raise Invalid(
                FieldError("/currency", "currency_unknown", "not an upper-case ISO 4217 currency")
            )
        if isinstance(self.minor_units, bool) or not isinstance(self.minor_units, int):
            raise Invalid(
                FieldError("/amount", "amount_not_integer", "an amount is in whole minor units")
            )

    @property
    def exponent(self) -> int:
        """How many decimals the currency's major unit has (ISO 4217)."""
        return _EXPONENTS.get(self.currency, 2)

    def __str__(self) -> str:
        sign = "-" if self.minor_units < 0 else ""
        digits = str(abs(self.minor_units)).rjust(self.exponent + 1, "0")
        whole, cents = (
            (digits[: -self.exponent], digits[-self.exponent :]) if self.exponent else (digits, "")
        )
        return f"{sign}{whole}{'.' if cents else ''}{cents} {self.currency}"
