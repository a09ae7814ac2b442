# SPDX-License-Identifier: Apache-2.0
"""The keys that sign access tokens, as the command line sees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SigningKeyInfo:
    """A key that signs access tokens, without its seed."""

    kid: str
    version: int
    public: bytes
    made_at: datetime
    sign_from: datetime
    #: When the last token that it signed has expired; None while no other has taken its place.
    verify_until: datetime | None


class SigningKeyBook(Protocol):
    """Rotates the keys that sign access tokens."""

    async def ensure(self) -> None:
        """Publish the first key, if there is none yet."""

    async def rotate(self, *, actor: str, compromised: bool = False) -> SigningKeyInfo:
        """Make the next key. `compromised`: the keys before are not believed from now on."""

    async def published(self) -> Sequence[SigningKeyInfo]:
        """Return every key, the newest first."""
