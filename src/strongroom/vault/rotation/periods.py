# SPDX-License-Identifier: Apache-2.0
"""Cryptoperiods (PCI DSS 3.7.4, NIST SP 800-57 part 1 §5.3): how long a key may seal, by what it is for."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from strongroom.crypto import Algorithm, CannotOpen, algorithm_of
from strongroom.keys import KEYRING_MAC, DataKeyRow, KeyName, KeyState, RootInfo

#: Seals what lasts.
_SEALING: Final = frozenset(
    {
        KeyName.CARD,
        KeyName.CREDENTIALS,
        KeyName.CUSTOMER_DATA,
        KeyName.PROVIDER_SECRETS,
        KeyName.TOTP_SECRETS,
        KeyName.TRANSFER,
        KeyName.WEBHOOK_SECRETS,
    }
)
#: Signs for others to verify.
_SIGNING: Final = frozenset(
    {KeyName.CHECKPOINT_SEED, KeyName.RECEIPT_SIGNING_SEED, KeyName.TOKEN_SIGNING_SEED}
)


@dataclass(frozen=True, slots=True)
class Periods:
    """Days from a version's making to when another should seal, by class of key."""

    sealing_days: int
    signing_days: int
    #: Whatever hashes and MACs: fingerprints, keys' hashes, records until they are sealed.
    hashing_days: int
    root_days: int

    def days_of(self, name: KeyName) -> int:
        """Return the cryptoperiod of a data key."""
        if name in _SEALING:
            return self.sealing_days
        return self.signing_days if name in _SIGNING else self.hashing_days

    def rotates_at(self, row: DataKeyRow) -> datetime | None:
        """Return when a version's cryptoperiod ends; None where it seals nothing new, or only guards other keys' rows.

        A name that this release does not know is one of a later release's.
        """
        name = next((each for each in KeyName if each == row.name), None)
        if row.state is not KeyState.ACTIVE or name is None or name in KEYRING_MAC.values():
            return None
        return row.made_at + timedelta(days=self.days_of(name))

    def root_rotates_at(self, root: RootInfo) -> datetime:
        """Return when a root's cryptoperiod ends, or when its store makes the next version, if that is before."""
        ends = root.created + timedelta(days=self.root_days)
        return ends if root.rotates_at is None else min(ends, root.rotates_at)


def algorithm_of_key(name: str, cards: Algorithm) -> str:
    """Return the algorithm that a data key is used with from now on, for the inventory (PCI DSS 12.3.3).

    `cards` is what the settings seal card data with; everything else that is sealed has one algorithm. What stored
    cards are sealed with is another thing (`algorithm_stored`).
    """
    if name in _SIGNING:
        return "Ed25519"
    if name == KeyName.CARD:
        return cards.value
    return Algorithm.A256CBC_HS512.value if name in _SEALING else "HMAC-SHA-256"


def algorithm_stored(sealed: bytes) -> str:
    """Return the algorithm that a sealed value's first byte names; `unknown` where it was altered."""
    try:
        return algorithm_of(sealed).value
    except CannotOpen:
        return "unknown"
