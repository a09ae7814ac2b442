# SPDX-License-Identifier: Apache-2.0
"""What keeps secrets for us (`SecretSource`), and what of it can also be changed (`SecretKeeper`)."""

from typing import Protocol

from strongroom.config import SecretReference
from strongroom.kernel.secret import Secret


class SecretSource(Protocol):
    """Follows the references of one scheme. Raises SecretUnreadable, whose words name no value."""

    async def read(self, reference: SecretReference) -> Secret[str]:
        """Return what the reference leads to now."""

    async def pending(self, reference: SecretReference) -> Secret[str] | None:
        """Return the value that is being rotated in and is not current yet; None if there is none."""


class SecretKeeper(SecretSource, Protocol):
    """A source that takes new values, in the four steps of AWS's rotation: create, set, test, finish."""

    async def create(self, reference: SecretReference, value: Secret[str]) -> None:
        """Keep a value as pending beside the current one. Overwrites no pending one that is there already."""

    async def finish(self, reference: SecretReference) -> None:
        """Make the pending value current. Does nothing when there is none pending: it was done before."""
