# SPDX-License-Identifier: Apache-2.0
"""What the rules of containers offer to the rest of the vault."""

from typing import Protocol

from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Principal
from strongroom.vault.containers.model import Access, Granted


class ContainerRules(Protocol):
    """Knows the rules of every tenant, at most two seconds old. Fails closed: no rule that matches is a refusal."""

    async def granted(self, principal: Principal, container: str) -> Granted | None:
        """Return what a caller may do with the tokens of a container; None: no rule matches.

        Raises:
            Unavailable: the rules are older than two seconds and cannot be read.
        """

    async def require(self, principal: Principal, container: str, wanted: Access) -> Granted:
        """Return what a caller may do, where it is as much as wanted.

        Raises:
            AccessRefused: no rule matches, or the one that decides gives less (403, `vault_access_refused`).
            Unavailable: as `granted`.
        """

    async def require_payments(
        self, merchant: MerchantId, mode: Mode, container: str, wanted: Access
    ) -> Granted:
        """Likewise for the merchant's own payments, which have no principal. Raises as `require`."""
