# SPDX-License-Identifier: Apache-2.0
"""Why customers are refused.

Refused
├── NotThere
│   ├── CustomerUnknown
│   ├── CardNotSaved
│   └── MandateUnknown
├── Conflict
│   └── CustomerFull       more cards or mandates than anybody needs
├── MandateMissing   422   nobody agreed to what the merchant begins
└── MandateRevoked   422   who agreed does so no more
"""

from strongroom.kernel.errors import Conflict, NotThere, Refused


class CustomerUnknown(NotThere):
    """There is no such customer."""

    code = "customer_unknown"


class CardNotSaved(NotThere):
    """This customer has no such saved card."""

    code = "card_not_saved"


class MandateUnknown(NotThere):
    """There is no such mandate."""

    code = "mandate_unknown"


class CustomerFull(Conflict):
    """This customer has as many saved cards or mandates as one may have."""

    code = "customer_full"


class MandateMissing(Refused):
    """The customer agreed to no payment with this card that the merchant begins."""

    code = "mandate_missing"
    status = 422


class MandateRevoked(Refused):
    """The customer revoked what they had agreed to: the merchant begins no payment with this card."""

    code = "mandate_revoked"
    status = 422
