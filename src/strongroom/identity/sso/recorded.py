# SPDX-License-Identifier: Apache-2.0
"""How records name a tenant."""

from strongroom.audit import PLATFORM
from strongroom.kernel.ids import MerchantId


def recorded_tenant(merchant: MerchantId) -> MerchantId | None:
    """Return the tenant as a record names it: the platform is none."""
    return None if merchant == PLATFORM else merchant
