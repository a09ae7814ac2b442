# SPDX-License-Identifier: Apache-2.0
"""Why identity refuses.

Refused
├── NotThere
│   ├── MerchantUnknown
│   └── KeyUnknown
├── KeyRefused           422   a new key may not be what was asked for
└── http.Unauthenticated 401   a credential does not hold
"""

from strongroom.kernel.errors import NotThere, Refused


class MerchantUnknown(NotThere):
    """There is no such merchant."""

    code = "merchant_unknown"


class KeyUnknown(NotThere):
    """There is no such API key."""

    code = "key_unknown"


class KeyRefused(Refused):
    """A key of this kind may not have that."""

    code = "key_refused"
    status = 422
