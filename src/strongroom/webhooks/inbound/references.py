# SPDX-License-Identifier: Apache-2.0
"""Card numbers in notices are refused, and networks' references, of which some look like one, are not.

A notice that is refused is sent again for days, and Adyen sends nothing else before it. Fifteen digits in a field that
holds nothing but such a reference are let through; the same digits anywhere else, or others there, are not.
"""

import re
from typing import Final

from strongroom.kernel.cardlike import has_cardlike_bytes

#: The id that a network gave a transaction: as Adyen, Stripe and Checkout.com call it. Visa's has 15 digits and begins
#: with the year's last digit: one in ten of a year's has the prefix, length and check digit of a Diners or Amex number.
_REFERENCE: Final = re.compile(
    rb'"(?:networkTxReference|network_transaction_id|scheme_id)"\s*:\s*"[0-9]{15}"'
)


def has_card_number(body: bytes) -> bool:
    """Tell whether a notice holds what looks like a card number and is no network's reference."""
    return has_cardlike_bytes(body) and has_cardlike_bytes(_REFERENCE.sub(b'""', body))
