# SPDX-License-Identifier: Apache-2.0
"""Makes audit records and puts them into the business transaction. If it cannot, the act does not happen.

Each row carries an HMAC of its leaf until it is sealed, under a key that is not in the database.
"""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from strongroom.audit.actions import Action, Outcome
from strongroom.audit.merkle import leaf_hash
from strongroom.audit.ports import PLATFORM, NewRecord, Origin, SecurityStream
from strongroom.audit.record import AuditRecord, encode, salt_text, salted
from strongroom.audit.severity import severity_of
from strongroom.crypto.digest import HmacSha256
from strongroom.crypto.ids import new_id
from strongroom.crypto.random import entropy, random_bytes
from strongroom.db.pool import Database, Transaction
from strongroom.db.queries import load_queries
from strongroom.kernel.clock import Clock, rfc3339
from strongroom.kernel.ids import AuditId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.telemetry.security_event import SecurityEvent

ADDRESSES_REMEMBERED_MAX: Final = 10_000
_QUERIES: Final = load_queries("strongroom.audit")


class EventRecorder:
    """Makes the records of one process for one database."""

    def __init__(
        self,
        database: Database,
        row_key: Secret[bytes],
        clock: Clock,
        stream: SecurityStream | None = None,
    ) -> None:
        self.database = database
        self._stream = stream
        self._row_mac = HmacSha256(row_key.expose())
        self._clock = clock
        self._addresses: OrderedDict[tuple[str, str, int], str] = OrderedDict()

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
        """Make a record. `details` are masked facts of the lists in `actions` only. The platform is no merchant."""
        event_id = AuditId(new_id("aud"))
        payload = encode(
            AuditRecord(
                action=action,
                actor=actor,
                details=details or {},
                event_id=event_id,
                merchant=None if merchant == PLATFORM else merchant,
                mode=mode,
                object=thing,
                origin=origin.address_hash,
                outcome=outcome,
                request_hash=origin.request_hash,
                salt=salt_text(entropy(32)),
                time=rfc3339(now),
                transaction_id=transaction_id,
            )
        )
        leaf = leaf_hash(payload)
        mac = self._row_mac.of(leaf)
        severity = severity_of(action)
        event = None
        if severity is not None:
            event = SecurityEvent(
                action.value,
                severity.value,
                actor,
                merchant,
                thing,
                outcome.value,
                event_id,
                leaf,
            )
        return NewRecord(event_id, merchant or PLATFORM, mode or "", payload, leaf, mac, event)

    async def insert(self, tx: Transaction, record: NewRecord) -> None:
        """Put a record into the transaction of what it records. The security stream is told after its commit.

        What is written together past this (tokens, payments) is ordinary business; a test holds it to that.
        """
        await tx.run(
            _QUERIES["insert_event"],
            record.event_id,
            record.merchant,
            record.mode,
            record.payload,
            record.leaf_hash,
            record.row_mac,
        )
        stream, event = self._stream, record.event
        if stream is not None and event is not None:
            tx.after_commit(lambda: stream.tell(event))

    def recent_origin(
        self, merchant: MerchantId, address: str, request_hash: str, now: datetime
    ) -> Origin | None:
        """Return the origin of an address that was seen today, without waiting."""
        known = self._addresses.get((merchant, address, now.toordinal()))
        return None if known is None else Origin(request_hash, known)

    async def origin(
        self, merchant: MerchantId, address: str, request_hash: str, now: datetime
    ) -> Origin:
        """Return an origin; an address that is new today gets a salt and a row in the erasable table first."""
        known = self.recent_origin(merchant, address, request_hash, now)
        if known is not None:
            return known
        salt = random_bytes(32)
        reference = salted(salt, address)
        async with self.database.transaction([merchant]) as tx:
            await tx.run(
                _QUERIES["insert_address"],
                merchant,
                now.date(),
                bytes.fromhex(reference),
                salt,
                address,
            )
        if len(self._addresses) >= ADDRESSES_REMEMBERED_MAX:
            self._addresses.popitem(last=False)
        self._addresses[merchant, address, now.toordinal()] = reference
        return Origin(request_hash, reference)
