# SPDX-License-Identifier: Apache-2.0
"""What forwards need besides the vault's own parts, and what the command line sees of destinations."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.vault.details import Details, SealedDetail


class Beside(Protocol):
    """What is sealed beside cards' numbers, and opened once the use of the cards is recorded."""

    async def sealed(
        self, merchant: MerchantId, mode: Mode, tokens: Collection[str], fields: Collection[str]
    ) -> Mapping[str, Sequence[SealedDetail]]:
        """Return what is sealed of those tokens, of these fields; a token that has none of them is left out."""

    async def opened(
        self, sealed: Sequence[SealedDetail], merchant: MerchantId, mode: Mode, token: TokenId
    ) -> Details:
        """Return it in clear. Record the use first.

        Raises:
            CannotReadCard, KeyStoreUnavailable: it does not open.
        """


class OperatedDestinations(Protocol):
    """Destinations as the command line sees them: JSON in, JSON's values out."""

    async def create(
        self,
        merchant: MerchantId,
        mode: Mode,
        description: bytes,
        credentials: Mapping[str, Secret[str]],
        actor: str,
    ) -> dict[str, Any]:
        """Register a destination from its description in JSON, which holds no credentials.

        Raises:
            Invalid, TooManyDestinations: see each.
            TakesTwoPeople: in live mode.
        """

    async def list(self, merchant: MerchantId, mode: Mode) -> Sequence[dict[str, Any]]:
        """Return a merchant's destinations, newest first."""

    async def read(self, merchant: MerchantId, mode: Mode, destination: str) -> dict[str, Any]:
        """Return a destination. Raises DestinationUnknown."""

    async def update(
        self, merchant: MerchantId, mode: Mode, destination: str, description: bytes, actor: str
    ) -> dict[str, Any]:
        """Change a destination; its credentials stay. Raises as `create`, DestinationUnknown, DestinationDisabled."""

    async def rotate(
        self,
        merchant: MerchantId,
        mode: Mode,
        destination: str,
        credentials: Mapping[str, Secret[str]],
        overlap_seconds: int,
        actor: str,
    ) -> dict[str, Any]:
        """Take new credentials at once, keep those from before for the overlap. Raises as `update`."""

    async def restore(
        self, merchant: MerchantId, mode: Mode, destination: str, actor: str
    ) -> dict[str, Any]:
        """Put the credentials from before back. Raises as `update`, and NothingToRestore."""

    async def disable(
        self, merchant: MerchantId, mode: Mode, destination: str, actor: str
    ) -> dict[str, Any]:
        """End a destination, in live mode too. Raises DestinationUnknown."""
