# SPDX-License-Identifier: Apache-2.0
"""Services as the command line sees them."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from strongroom.audit import Origin
from strongroom.identity.services.model import Service, ServiceWish
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode


class ServiceBook(Protocol):
    """Makes and ends services."""

    async def create(self, wish: ServiceWish, *, actor: str, origin: Origin) -> Service:
        """Make a service. Raises Invalid, ServiceRefused or MerchantUnknown."""

    async def all_of(self, merchant: MerchantId, mode: Mode) -> Sequence[Service]:
        """Return a tenant's services of one mode, the newest first."""

    async def rotate(
        self,
        merchant: MerchantId,
        mode: Mode,
        service: str,
        keys: Mapping[str, object],
        *,
        actor: str,
        origin: Origin,
    ) -> Service:
        """Let a service prove itself with other keys from now on. Raises Invalid or ServiceUnknown."""

    async def revoke(
        self, merchant: MerchantId, mode: Mode, service: str, *, actor: str, origin: Origin
    ) -> None:
        """End a service and every token of it, everywhere within two seconds. Raises ServiceUnknown."""

    async def revoke_certificate(
        self, merchant: MerchantId, mode: Mode, thumbprint: str, *, actor: str, origin: Origin
    ) -> None:
        """End a client certificate for a tenant's services. Raises Invalid, MerchantUnknown or ServiceRefused."""
