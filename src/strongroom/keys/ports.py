# SPDX-License-Identifier: Apache-2.0
"""What this domain offers (`DataKeys`) and what it needs (`KeyStore`, `DataKeyTable`)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeAlias

from strongroom.db.pool import Transaction
from strongroom.kernel.secret import Secret
from strongroom.keys.model import DataKey, DataKeyRow, KeyChange, NewDataKey, RootInfo
from strongroom.keys.purposes import KeyName, Purpose

#: What commits together with a change of a key: its audit record, the job that follows. Raising undoes the change.
Within: TypeAlias = Callable[[Transaction, DataKeyRow], Awaitable[None]]


class KeyStore(Protocol):
    """Holds one root key per purpose and wraps data keys under them. The root never leaves a KMS or HSM.

    Every method raises KeyStoreUnavailable when the store does not answer, RootDisabled when the root is
    disabled or is to be deleted, and KeyStoreRefused when the store says no for another reason.
    """

    @property
    def name(self) -> str:
        """The store's kind, for people."""

    async def generate(self, purpose: Purpose, context: Mapping[str, str]) -> NewDataKey:
        """Make a data key of 32 random bytes, wrapped for that purpose and context only."""

    async def wrap(self, purpose: Purpose, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        """Wrap 1 to 4096 bytes for that purpose and context only."""

    async def unwrap(
        self, purpose: Purpose, wrapped: bytes, context: Mapping[str, str]
    ) -> Secret[bytes]:
        """Return what was wrapped. Raises CannotUnwrap for another purpose or context, or altered bytes."""

    async def describe(self) -> Sequence[RootInfo]:
        """Say what the roots are, by asking the store."""

    async def close(self) -> None:
        """Let go of connections and of keys in memory. A closed store raises KeyStoreUnavailable."""


class DataKeyTable(Protocol):
    """Keeps the rows of wrapped data keys. It trusts nobody: the keyring checks what it returns."""

    async def current(self, merchant: str, mode: str, name: str) -> DataKeyRow | None:
        """Return the row with the highest version whose state is active."""

    async def version(self, merchant: str, mode: str, name: str, version: int) -> DataKeyRow | None:
        """Return the row of one version, in any state."""

    async def add(self, row: DataKeyRow) -> DataKeyRow:
        """Keep a new row, committed, and return it; if its version exists already, return that one instead.

        Of two that race to add one version, both get the same row back.
        """

    async def versions(self, merchant: str, mode: str, name: str) -> Sequence[DataKeyRow]:
        """Return every version, oldest first, in any state."""

    async def replace(
        self,
        new: DataKeyRow,
        before: DataKeyRow,
        mac_before: bytes,
        within: Within | None = None,
    ) -> DataKeyRow | None:
        """Keep a new version, and the one before as it now is, in one transaction with `within`.

        Only while the one before still carries `mac_before`. Else does nothing, and returns the new version that
        another has made, or None where there is none: the one before was wrapped anew or destroyed since it was read.
        """

    async def destroy(self, row: DataKeyRow, within: Within | None = None) -> None:
        """Keep a version as destroyed, in one transaction with `within`, which comes first and may refuse.

        Does nothing to a row that is destroyed, and makes none.
        """

    async def rewrap(self, row: DataKeyRow, mac_before: bytes) -> bool:
        """Put wrapped and mac of a row that still carries this MAC; tell whether it did."""

    async def changes(self, since: datetime) -> Sequence[KeyChange]:
        """Return what was rotated or destroyed since then, whoever's it is."""


class DataKeys(Protocol):
    """Data keys in clear, for the domains that seal, hash and sign.

    Raises what `KeyStore` raises, and CannotUnwrap, KeyRowAltered, DataKeyDestroyed or DataKeyUnknown.
    """

    def cached(self, merchant: str, mode: str, name: KeyName) -> DataKey | None:
        """Return the current key if it is at hand, without waiting, and count one use."""

    async def current(self, merchant: str, mode: str, name: KeyName) -> DataKey:
        """Return the key that seals now; its first version is made at first use."""

    async def version(self, merchant: str, mode: str, name: KeyName, version: int) -> DataKey:
        """Return the key that sealed then."""

    def cached_older(self, merchant: str, mode: str, name: KeyName) -> Sequence[DataKey] | None:
        """Return the versions before the current one that still open, if they are at hand, without waiting."""

    async def older(self, merchant: str, mode: str, name: KeyName) -> Sequence[DataKey]:
        """Return the versions before the current one that still open, newest first; hardly ever any."""

    async def rotate(
        self, merchant: str, mode: str, name: KeyName, within: Within | None = None
    ) -> DataKey:
        """Make the next version, which seals from now on; the older ones go on opening.

        A process that watches (`Keyring.look`) takes it up within `keyring.LOOK_SECONDS` and a query; one that cannot
        look asks the database each time after `keyring.STALE_SECONDS`; one that does not watch may seal under the
        version before for `keyring.CACHE_SECONDS` more. `within` commits with the new version.
        """

    async def destroy(
        self, merchant: str, mode: str, name: KeyName, version: int, within: Within | None = None
    ) -> None:
        """Destroy one version: what it sealed does not open again. `within` comes first and may refuse.

        Here that holds at once; in other processes as a rotation does.
        """


class WatchedKeys(DataKeys, Protocol):
    """Data keys that know what other processes do to them."""

    async def look(self) -> None:
        """Forget what another process rotated or destroyed. Raises Unavailable."""
