# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of imports and exports. None that goes out can hold a card number."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.vault.containers.model import DEFAULT_CONTAINER
from strongroom.vault.transfer.model import (
    BESIDE,
    EXPORTED,
    RATE_DEFAULT,
    RATE_MAX,
    Columns,
    Encryption,
    ExportPurpose,
    ExportWish,
    Format,
    Import,
    ImportWish,
)
from strongroom.vault.transfer.opening import ImportKey
from strongroom.vault.work.model import Job

_Column = Annotated[str, Meta(min_length=1, max_length=80)]
_Container = Annotated[str, Meta(min_length=1, max_length=160)]
_RECIPIENT_CHARACTERS_MAX = 12_000
NOTE_CHARACTERS_MAX = 200


class AddressColumnsIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which columns say where a card's holder gets their bills."""

    country: _Column | None = None
    line1: _Column | None = None
    line2: _Column | None = None
    city: _Column | None = None
    region: _Column | None = None
    postal_code: _Column | None = None


class NetworkTokenColumnsIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which columns say what belongs to a network token. Its cryptogram is never imported."""

    requestor_id: _Column | None = None
    eci: _Column | None = None


class CredentialColumnsIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which columns say what the holder agreed to."""

    initiator: _Column | None = None
    scheme_transaction_id: _Column | None = None
    mandate_reference: _Column | None = None
    mandate_text: _Column | None = None
    agreed_at: _Column | None = None


class ColumnsIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which of the provider's columns say what; in JSON, `card.number` is a member inside another."""

    #: The rows are written as an export writes them: what is not named below is looked for by its own name.
    exported: bool = False
    number: _Column = "number"
    exp_month: _Column = "exp_month"
    exp_year: _Column = "exp_year"
    expiry: (
        Annotated[str, Meta(min_length=1, max_length=80, description="12/34, 12/2034 or 2034-12")]
        | None
    ) = None
    external_id: Annotated[str, Meta(min_length=1, max_length=80)] | None = None
    metadata: Annotated[dict[str, _Column], Meta(max_length=15)] = msgspec.field(
        default_factory=dict
    )
    whole_metadata: (
        Annotated[str, Meta(min_length=1, max_length=80, description="an object, in JSON Lines")]
        | None
    ) = None
    holder: _Column | None = None
    billing_address: AddressColumnsIn | None = None
    network_token: NetworkTokenColumnsIn | None = None
    stored_credential: CredentialColumnsIn | None = None
    #: Where the token stands; a row without one goes where the import does.
    container: _Column | None = None
    expires_at: _Column | None = None
    #: Whether to make a card-shaped alias, too: true, false, 1 or 0.
    alias: _Column | None = None


class ImportIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish for an import."""

    format: Literal["csv", "jsonl"]
    encryption: Literal["none", "jwe", "jwe_lines", "pgp"] = "none"
    columns: ColumnsIn = msgspec.field(default_factory=ColumnsIn)
    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = ","
    container: _Container = DEFAULT_CONTAINER
    deduplicate: bool = True
    #: Take cards whose expiry has passed.
    take_expired: bool = False
    #: Check every row and keep nothing.
    dry_run: bool = False


class ImportOut(msgspec.Struct, frozen=True):
    """An import. `offset` is where the next part begins."""

    id: str
    object: str
    mode: str
    #: open, received, done, failed or canceled
    state: str
    format: str
    encryption: str
    container: str
    dry_run: bool
    offset: int
    rows: int
    created: int
    duplicates: int
    refused: int
    #: `hmac-sha256` over the rows under a key of the vault's, or `sha256` of an encrypted file as it was uploaded.
    digest_kind: str
    digest: str | None
    problem: str | None
    job: str | None
    created_by: str
    created_at: str
    updated_at: str
    ended_at: str | None


class ImportPage(msgspec.Struct, frozen=True):
    """A page of imports, newest first."""

    data: list[ImportOut]
    has_more: bool
    next_cursor: str | None


class ImportKeyOut(msgspec.Struct, frozen=True):
    """What to encrypt to: an OpenPGP certificate and a JWK."""

    id: str
    object: str
    mode: str
    certificate: str
    jwk: dict[str, str]
    created_by: str
    created_at: str


class ExportIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish for an export."""

    encryption: Literal["jwe_lines", "pgp"]
    recipient: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=_RECIPIENT_CHARACTERS_MAX,
            description="the receiver's armored OpenPGP certificate, or its public JWK as JSON",
        ),
    ]
    purpose: Annotated[
        ExportPurpose, Meta(description="Why; stands in the audit record, and the approver sees it")
    ]
    note: (
        Annotated[
            str,
            Meta(
                max_length=NOTE_CHARACTERS_MAX,
                pattern=r"^[^\u0000-\u001f\u007f]*$",
                description="In your words, for whoever approves; in no record",
            ),
        ]
        | None
    ) = None
    container: _Container = DEFAULT_CONTAINER
    #: Cards a second at most.
    rate: Annotated[int, Meta(ge=1, le=RATE_MAX)] = RATE_DEFAULT

    def wish(self) -> ExportWish:
        """Read it.

        Raises:
            Invalid: the note holds a card number.
        """
        if self.note is not None and has_cardlike(self.note):
            raise Invalid(
                FieldError(
                    "/note", "card_number_refused", "the note holds what looks like a card number"
                )
            )
        return ExportWish(
            self.container,
            Encryption(self.encryption),
            self.recipient,
            self.purpose,
            self.note,
            self.rate,
        )


class ExportOut(msgspec.Struct, frozen=True):
    """An export."""

    id: str
    object: str
    mode: str
    #: waiting, running, paused, done, failed or canceled
    state: str
    container: str
    encryption: str
    #: The receiver's key: an OpenPGP fingerprint, or the JWK's thumbprint (RFC 7638).
    fingerprint: str
    total: int | None
    done: int
    pieces: int | None
    #: SHA-256 over the SHA-256s of the pieces, in their order.
    digest: str | None
    problem: str | None
    created_by: str
    created_at: str
    ended_at: str | None


class ImportEvent(msgspec.Struct, frozen=True):
    """What an event about an import carries."""

    #: `import`, which is no name of a member here.
    import_: ImportOut = msgspec.field(name="import")


class ExportEvent(msgspec.Struct, frozen=True):
    """What an event about an export carries."""

    export: ExportOut


def wish_of(given: ImportIn) -> ImportWish:
    """Read a wish."""
    columns = given.columns
    return ImportWish(
        Format(given.format),
        Encryption(given.encryption),
        Columns(
            columns.number,
            columns.exp_month,
            columns.exp_year,
            columns.expiry,
            columns.external_id,
            columns.metadata,
            {**(EXPORTED.beside if columns.exported else {}), **_beside(columns)},
            columns.whole_metadata or (EXPORTED.whole_metadata if columns.exported else None),
        ),
        given.delimiter,
        given.container,
        deduplicate=given.deduplicate,
        take_expired=given.take_expired,
        dry_run=given.dry_run,
    )


def _beside(columns: ColumnsIn) -> dict[str, str]:
    """Return which columns say what stands beside a card, by its path."""
    found: dict[str, str] = {}
    for path in BESIDE:
        value: Any = columns
        for part in path.split("."):
            value = None if value is None else getattr(value, part)
        if value is not None:
            found[path] = value
    return found


def import_out(found: Import) -> ImportOut:
    """Print an import."""
    wish, counts = found.wish, found.counts
    return ImportOut(
        found.import_id,
        "import",
        found.mode,
        found.state,
        wish.file_format,
        wish.encryption,
        wish.container,
        wish.dry_run,
        found.received,
        counts.rows,
        counts.created,
        counts.duplicates,
        counts.refused,
        "sha256" if wish.encryption.is_spooled else "hmac-sha256",
        found.digest.hex() or None,
        found.problem,
        found.job_id,
        found.created_by,
        rfc3339(found.created_at),
        rfc3339(found.updated_at),
        rfc3339(found.ended_at) if found.ended_at else None,
    )


def import_key_out(found: ImportKey, mode: str) -> ImportKeyOut:
    """Print the public parts of a pair."""
    return ImportKeyOut(
        found.key_id,
        "import_key",
        mode,
        found.certificate,
        dict(found.jwk),
        found.created_by,
        rfc3339(found.created_at),
    )


def export_out(job: Job) -> ExportOut:
    """Print an export."""
    result: dict[str, Any] = dict(job.result)
    return ExportOut(
        job.job_id,
        "export",
        job.mode,
        job.state,
        str(job.params["container"]),
        str(job.params["encryption"]),
        str(job.params["fingerprint"]),
        job.total,
        job.done,
        result.get("pieces"),
        result.get("digest"),
        job.problem,
        job.created_by,
        rfc3339(job.created_at),
        rfc3339(job.ended_at) if job.ended_at else None,
    )
