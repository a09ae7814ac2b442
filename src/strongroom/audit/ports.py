# SPDX-License-Identifier: Apache-2.0
"""What other domains ask of the audit log: make a record, put it into their transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol

from strongroom.audit.actions import Action, Outcome
from strongroom.kernel.ids import AuditId, MerchantId
from strongroom.kernel.mode import Mode

if (
    TYPE_CHECKING
):  # at run time the driver stays out: `verify` works offline, and enters through this package
    from strongroom.db.pool import Transaction

#: The tenant of acts that belong to none.
PLATFORM: Final = MerchantId("platform")


@dataclass(frozen=True, slots=True)
class Origin:
    """Whence an act came: what ties it to a log line, and the salted hash of the caller's address."""

    request_hash: str | None = None
    address_hash: str | None = None


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record that is ready to be inserted."""

    event_id: AuditId
    merchant: MerchantId
    mode: str
    payload: bytes
    leaf_hash: bytes
    row_mac: bytes


class Recorder(Protocol):
    """Makes audit records and puts them into business transactions."""

    def make(
        self,
        action: Action,
        *,
        actor: str,
        merchant: MerchantId | None,
        mode: Mode | None,
        thing: str | None,
        origin: Origin,
        now: datetime,
        details: Mapping[str, str | int] | None = None,
        outcome: Outcome = Outcome.SUCCESS,
        transaction_id: str | None = None,
    ) -> NewRecord:
        """Make a record. `details` are masked facts of the lists in `actions` only."""

    async def insert(self, tx: "Transaction", record: NewRecord) -> None:
        """Put a record into the transaction of what it records."""

    def recent_origin(
        self, merchant: MerchantId, address: str, request_hash: str, now: datetime
    ) -> Origin | None:
        """Return the origin of an address that was seen today, without waiting."""

    async def origin(
        self, merchant: MerchantId, address: str, request_hash: str, now: datetime
    ) -> Origin:
        """Return an origin; a new address gets a salt and a row in the erasable table first."""
