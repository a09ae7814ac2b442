# SPDX-License-Identifier: Apache-2.0
"""What other domains ask of the audit log, and what the log asks of its sinks and tells its routes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from strongroom.audit.actions import Action, Outcome
from strongroom.audit.checkpoint import Checkpoint
from strongroom.audit.note import VerifierKey
from strongroom.audit.proof import TlogProof
from strongroom.audit.record import AuditRecord
from strongroom.kernel.ids import AuditId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Principal
from strongroom.telemetry.security_event import SecurityEvent

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


class NewRecord(msgspec.Struct, frozen=True, gc=False):
    """A record that is ready to be inserted."""

    event_id: AuditId
    merchant: MerchantId
    mode: str
    payload: bytes
    leaf_hash: bytes
    row_mac: bytes
    #: What the security stream is told after the commit; None for ordinary business.
    event: SecurityEvent | None = None


class SecurityStream(Protocol):
    """Who is told of security events. Must not wait or raise (`telemetry.security`)."""

    def tell(self, event: SecurityEvent) -> None:
        """Take an event whose audit record is committed."""


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


@dataclass(frozen=True, slots=True)
class SinkHead:
    """What a sink holds: the newest generation it knows, and that one's head (None: begun, nothing published)."""

    generation: int
    checkpoint: Checkpoint | None

    @property
    def size(self) -> int:
        """How many records its head covers."""
        return 0 if self.checkpoint is None else self.checkpoint.size


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A signed checkpoint and the size it is for."""

    size: int
    note: bytes


class Sink(Protocol):
    """A place outside the database that holds the records and heads of one tree.

    Every method raises SinkFailed, and nothing else; then what it holds is asked again before the next call.
    """

    @property
    def name(self) -> str:
        """The sink's kind, for metrics and log lines."""

    async def last(self, tree: str, keys: Sequence[VerifierKey]) -> SinkHead | None:
        """Return what it holds, read back and verified; None if nothing of this tree was ever begun here.

        `tree` is the origin of the first generation.
        """

    async def publish(
        self, generation: int, first: int, payloads: Sequence[bytes], heads: Sequence[SignedHead]
    ) -> None:
        """Keep records from index `first` on, and then the heads, the last of which may cover them all.

        Safe to repeat: what it holds already must be the same and is left as it is. When this returns, all of it is
        durable.
        """

    async def beat(self, generation: int, note: bytes) -> None:
        """Keep a signed statement that the tree has not grown."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads the log, and whence."""

    principal: Principal
    origin: Origin


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """A record as its tenant reads it. `index` is None until it is sealed."""

    record: AuditRecord
    leaf_hash: bytes
    index: int | None


@dataclass(frozen=True, slots=True)
class ReadPage:
    """Records, newest first, and the cursor of the next page if there is one."""

    records: Sequence[ReadRecord]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class PublishedHead:
    """The newest signed checkpoint, and the public keys that check it."""

    checkpoint: Checkpoint
    note: bytes
    sealed_at: datetime
    keys: Sequence[VerifierKey]


class AuditReader(Protocol):
    """The log as its tenants' routes see it. Reading records is itself recorded, in the same transaction."""

    async def origin(self, merchant: MerchantId, address: str, request_hash: str) -> Origin:
        """Return the origin of a request, for the record of its reading."""

    async def records(
        self, reader: Reader, before: str | None, limit: int
    ) -> tuple[ReadPage, NewRecord]:
        """Return a page of the reader's own records, and the record of this reading."""

    async def record(self, reader: Reader, event_id: str) -> tuple[ReadRecord, NewRecord]:
        """Return one of the reader's own records, and the record of this reading.

        Raises:
            AuditRecordUnknown: not there for this tenant and mode.
        """

    async def proof(self, reader: Reader, event_id: str) -> tuple[TlogProof, NewRecord]:
        """Return the proof that one of the reader's own records is in the tree, and the record of this reading.

        Raises:
            AuditRecordUnknown: not there for this tenant and mode.
            NotSealedYet: not in the signed tree yet.
        """

    async def head(self) -> PublishedHead:
        """Return the newest checkpoint.

        Raises:
            NotSealedYet: nothing was signed yet.
        """


@dataclass(frozen=True, slots=True)
class SinkState:
    """What a sink holds, or why it does not say."""

    name: str
    head: SinkHead | None
    #: A sentence; None where it answers and the tree leads to what it holds.
    fault: str | None


@dataclass(frozen=True, slots=True)
class LogState:
    """How a log stands."""

    #: None: the tree was never begun (nothing has sealed yet).
    origin: str | None
    size: int
    checkpoint_at: datetime | None
    #: Records that are committed and not sealed, at most ten thousand, and since when the oldest of them waits.
    waiting: int
    waiting_since: datetime | None
    #: Why the tree cannot be trusted as it stands in the database; None where it holds together.
    fault: str | None
    sinks: Sequence[SinkState]


@dataclass(frozen=True, slots=True)
class Proven:
    """A record's exact bytes, its proof, and the keys that verify it."""

    payload: bytes
    proof: TlogProof
    keys: Sequence[VerifierKey]


@dataclass(frozen=True, slots=True)
class About:
    """Which record is meant: the one of this thing (an id) whose time is this moment."""

    thing: str
    moment: datetime


@dataclass(frozen=True, slots=True)
class Shown:
    """A record's exact bytes, its leaf hash and its proof."""

    payload: bytes
    leaf_hash: bytes
    proof: TlogProof


@dataclass(frozen=True, slots=True)
class ProvenTogether:
    """Records that one signed head covers."""

    records: Sequence[Shown]
    origin: str
    size: int
    note: bytes


class Evidence(Protocol):
    """A tenant's records with their proofs, for what is handed to others. Whoever asks records that it was shown."""

    async def proven(
        self, merchant: MerchantId, mode: Mode, wanted: Sequence[About]
    ) -> ProvenTogether:
        """Return these records in order, all proven under one head.

        Raises:
            NotSealedYet: one of them is not in the signed tree yet, or not found at its moment.
            TreeDamaged: the tiles do not lead to the head.
        """


class LogView(Protocol):
    """One log as its operators see it. Reading records is itself recorded, before they are handed out."""

    async def keys(self) -> Sequence[VerifierKey]:
        """Return the public keys that verify the log, the present one first."""

    async def state(self) -> LogState:
        """Return how the log stands, with what is wrong with it."""

    async def head(self) -> PublishedHead:
        """Return the newest checkpoint. Raises NotSealedYet."""

    async def latest(self, count: int, *, actor: str) -> Sequence[ReadRecord]:
        """Return the newest records of every tenant, oldest first."""

    async def has(self, event_id: str) -> bool:
        """Tell whether this log has a record of that id, sealed or not."""

    async def proven(self, event_id: str, *, actor: str) -> Proven:
        """Return a record and its proof. Raises AuditRecordUnknown, NotSealedYet."""
