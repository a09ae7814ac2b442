# SPDX-License-Identifier: Apache-2.0
"""Imports and exports: what is asked for, and how far it is. No value here holds a card number."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from strongroom.kernel.ids import ImportId, JobId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.vault.containers.model import DEFAULT_CONTAINER

#: Bytes of a file that one request carries at most; one more row's length is never needed beyond it.
PART_BYTES_MAX: Final = 1024 * 1024
#: Bytes of one row. No provider's row is longer, and what is longer is not a row.
ROW_BYTES_MAX: Final = 16 * 1024
#: Rows that commit together. A killed process loses at most so many, which are then read again.
CHUNK_ROWS: Final = 2_000
#: Likewise, while cards move to another fingerprint key: each then has a lock of its own.
MOVING_ROWS: Final = 500
#: Besides those of `BESIDE`.
COLUMNS_MAX: Final = 20
#: Cards that an export takes a second, unless less is asked for: a vault that leaves at once is not noticed in time.
RATE_MAX: Final = 5_000
RATE_DEFAULT: Final = 1_000
#: A whole file as one JWE is opened in memory: it has one tag, at its end.
JWE_FILE_BYTES_MAX: Final = 16 * 1024 * 1024
#: A spooled file: ten million cards and more; a larger one is given in several.
SPOOL_BYTES_MAX: Final = 1024 * 1024 * 1024
#: Bytes in clear for each sealed one. Rows of cards compress by ten or so; more is a bomb.
CLEAR_PER_SEALED_MAX: Final = 64


#: What a row may give a token beside card and metadata, by the names of `wire.TokenBeside`; a member of a member stands
#: behind a dot. Without the cryptogram, which is never imported.
BESIDE: Final = (
    "holder",
    "billing_address.country",
    "billing_address.line1",
    "billing_address.line2",
    "billing_address.city",
    "billing_address.region",
    "billing_address.postal_code",
    "network_token.requestor_id",
    "network_token.eci",
    "stored_credential.initiator",
    "stored_credential.scheme_transaction_id",
    "stored_credential.mandate_reference",
    "stored_credential.mandate_text",
    "stored_credential.agreed_at",
    "container",
    "expires_at",
    "alias",
)


class Format(enum.StrEnum):
    """How the rows of a file are written."""

    CSV = "csv"
    JSONL = "jsonl"


class Encryption(enum.StrEnum):
    """How a file is sealed on its way. A word once shipped is never given another meaning."""

    NONE = "none"
    #: One compact JWE (RFC 7516 §7.1) around the whole file.
    JWE = "jwe"
    #: One compact JWE a row: the form that streams.
    JWE_LINES = "jwe_lines"
    #: One OpenPGP message (RFC 9580) around the whole file, binary or armored.
    PGP = "pgp"

    @property
    def is_spooled(self) -> bool:
        """Whether nothing can be read before all is there: the file rests, sealed, until then."""
        return self in (Encryption.JWE, Encryption.PGP)


class ExportPurpose(enum.StrEnum):
    """What cards leave for: a word of the audit record. A word once shipped is never given another meaning."""

    #: A court or an authority has a right to them.
    LEGAL_REQUEST = "legal_request"
    #: The merchant leaves, and takes its cards along.
    PORTABILITY = "portability"
    #: Another vault, or a processor's, holds them from now on.
    PROVIDER_CHANGE = "provider_change"
    #: A second place, from which they come back after a disaster.
    RECOVERY = "recovery"


@dataclass(frozen=True, slots=True)
class ExportWish:
    """What is asked for: which cards, and for whom."""

    container: str
    encryption: Encryption
    #: An armored OpenPGP certificate, or a public JWK as JSON.
    recipient: str
    purpose: ExportPurpose
    #: For whoever approves; kept with the approval alone.
    note: str | None = field(default=None, repr=False)
    rate: int = RATE_DEFAULT


class ImportState(enum.StrEnum):
    """Where an import stands: open, (received,) and then done, failed or canceled for ever."""

    #: Takes content.
    OPEN = "open"
    #: Everything is there, and a job opens and reads it.
    RECEIVED = "received"
    DONE = "done"
    FAILED = "failed"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class Columns:
    """Which of a provider's columns (JSON: members, `card.number` for one inside another) say what.

    The expiry stands in two columns, or in one of the form 12/34, 12/2034 or 2034-12.
    """

    number: str = "number"
    exp_month: str = "exp_month"
    exp_year: str = "exp_year"
    #: One column for both; then the two above are not looked for.
    expiry: str | None = None
    #: The provider's own id of the card: kept as the metadata `external_id`, and in the results.
    external_id: str | None = None
    #: Metadata key → column.
    metadata: Mapping[str, str] = field(default_factory=dict)
    #: One of `BESIDE` → column.
    beside: Mapping[str, str] = field(default_factory=dict)
    #: A member (JSON Lines) that is an object, all of whose entries are metadata.
    whole_metadata: str | None = None


#: How an export writes its cards, but for the container: where cards stand is said where they arrive.
EXPORTED: Final = Columns(
    beside={name: name for name in BESIDE if name != "container"}, whole_metadata="metadata"
)


@dataclass(frozen=True, slots=True)
class ImportWish:
    """What is asked for."""

    file_format: Format
    encryption: Encryption = Encryption.NONE
    columns: Columns = field(default_factory=Columns)
    delimiter: str = ","
    container: str = DEFAULT_CONTAINER
    #: A card that has a token keeps it, and its row is a duplicate.
    deduplicate: bool = True
    #: Cards whose expiry has passed are taken as well: providers update them later.
    take_expired: bool = False
    #: Everything is read and checked, and nothing is kept.
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the rows so far. `rows` is the sum of the others."""

    rows: int = 0
    created: int = 0
    duplicates: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Import:
    """An import as its row knows it."""

    merchant_id: MerchantId
    mode: Mode
    import_id: ImportId
    state: ImportState
    wish: ImportWish
    #: Bytes of the file that were taken: where the next part begins.
    received: int
    #: Bytes in clear whose rows are done; of a plain file the same as `received`.
    consumed: int
    #: Where the columns stand in a CSV file, once its first row was read.
    layout: tuple[int, ...] | None
    counts: Counts
    digest: bytes
    problem: str | None
    job_id: JobId | None
    created_by: str
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None
