# SPDX-License-Identifier: Apache-2.0
"""What Checkout.com tells beside an outcome: the schemes' letters for address and code, and their id of the payment.

Nothing of it decides. A letter that is not listed says nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from strongroom.payments.model import Check, Found
from strongroom.payments.processors.checkout.wire import ProcessedOut
from strongroom.payments.stored import readable_id

#: Page "AVS codes".
AVS: Final[Mapping[str, Check]] = {
    "A": Check.PARTIAL,  # street
    "B": Check.PARTIAL,
    "C": Check.UNAVAILABLE,
    "D": Check.MATCH,
    "E": Check.UNAVAILABLE,
    "F": Check.MATCH,
    "G": Check.UNAVAILABLE,
    "I": Check.UNAVAILABLE,
    "M": Check.MATCH,
    "N": Check.MISMATCH,
    "O": Check.UNAVAILABLE,
    "P": Check.PARTIAL,  # postal code
    "R": Check.UNAVAILABLE,
    "S": Check.UNAVAILABLE,
    "U": Check.UNAVAILABLE,
    "W": Check.PARTIAL,
    "X": Check.MATCH,
    "Y": Check.MATCH,
    "Z": Check.PARTIAL,
}
#: Page "CVV response codes".
CVV: Final[Mapping[str, Check]] = {
    "D": Check.MISMATCH,
    "N": Check.UNCHECKED,
    "P": Check.UNCHECKED,
    "U": Check.UNAVAILABLE,
    "X": Check.UNAVAILABLE,
    "Y": Check.MATCH,
}


def told_beside(found: Found, payment: ProcessedOut) -> Found:
    """Return what was found, with what is told beside it."""
    source = payment.source
    return replace(
        found,
        scheme_transaction_id=readable_id(payment.scheme_id),
        avs_result=None if source is None else AVS.get(source.avs_check or ""),
        cvc_result=None if source is None else CVV.get(source.cvv_check or ""),
    )
