# SPDX-License-Identifier: Apache-2.0
"""Identity providers as the operators' commands see them."""

from collections.abc import Callable, Sequence
from typing import Protocol

from strongroom.identity.sso.model import Provider, ProviderBy, ProviderTerms
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.secret import Secret


class ProviderBook(Protocol):
    """Makes, changes and ends a tenant's identity providers; each act commits with its audit record."""

    async def all(self, merchant: MerchantId) -> Sequence[Provider]:
        """Return a tenant's providers, oldest first."""

    async def create(self, terms: ProviderTerms, secret: Secret[str], by: ProviderBy) -> Provider:
        """Make a provider.

        Raises:
            Invalid: names every field that is wrong.
            MerchantUnknown: there is no such tenant.
            ProvidersFull: the tenant has as many as it can have.
        """

    async def change(
        self,
        provider_id: str,
        changed: Callable[[ProviderTerms], ProviderTerms],
        secret: Secret[str] | None,
        by: ProviderBy,
    ) -> Provider:
        """Put what is given in place of what was. Who logs in afterwards does so by the new terms.

        Raises:
            ProviderUnknown, ProviderDisabled, Invalid: see each.
        """

    async def disable(self, provider_id: str, by: ProviderBy) -> Provider:
        """End a provider, and the sessions of whoever logged in by it last. To end one twice is no error.

        Raises:
            ProviderUnknown: it is not there.
        """
