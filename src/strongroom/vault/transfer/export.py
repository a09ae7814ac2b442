# SPDX-License-Identifier: Apache-2.0
"""Exports cards to another provider, sealed for its key: begins exports, and is the handler of `export` jobs.

Asked for by a person with a second factor, approved by another, from a container whose rule gives `reveal`. What is
written is sealed for the receiver; nothing in clear rests or leaves. A security code cannot leave: none is kept.

To export a stretch of cards, in two steps that each commit, and that each ask the rule anew:
 1. Record that these cards will be opened, and keep which.
 2. Open them and what is sealed beside them, seal all for the receiver, keep the piece. What came meanwhile waits.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from strongroom.audit import Action, NewRecord, Origin, Outcome, Recorder
from strongroom.crypto import sha256
from strongroom.db.pool import Database, Transaction
from strongroom.http.approval import ApprovalAbout
from strongroom.kernel.clock import Clock, rfc3339
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.vault.containers.model import CONTAINER_NAME, Access
from strongroom.vault.details import Details, DetailSealer, SealedDetail
from strongroom.vault.finding import Caller
from strongroom.vault.outbox.store import tell
from strongroom.vault.sealing import CardSealer
from strongroom.vault.transfer import jwe, pgp
from strongroom.vault.transfer.errors import ExportUnknown, PieceUnknown, RecipientRefused
from strongroom.vault.transfer.model import RATE_MAX, Encryption, ExportWish
from strongroom.vault.transfer.store import QUERIES
from strongroom.vault.transfer.who import AccessRules, caller_facts, job_caller
from strongroom.vault.transfer.wire import ExportEvent, export_out
from strongroom.vault.watching import UNWATCHED, Watch, Way
from strongroom.vault.work.model import Job, JobKind, JobState, Step
from strongroom.vault.work.pace import batch
from strongroom.vault.work.ports import Jobs

#: Cards of one piece: one OpenPGP message, or so many lines.
PIECE_CARDS: Final = 500
_CARDS_AT_ONCE: Final = 8
_TOLD: Final = {
    JobState.DONE: EventType.EXPORT_COMPLETED,
    JobState.FAILED: EventType.EXPORT_FAILED,
    JobState.CANCELED: EventType.EXPORT_CANCELED,
}
_RECORDED: Final = "recorded"
_WRITTEN: Final = "written"
_encode: Final = msgspec.json.Encoder().encode


class Recipient(Protocol):
    """Who an export is sealed for."""

    fingerprint: str

    def seal(self, clear: bytes) -> bytes:
        """Return what only the receiver opens."""


@dataclass(frozen=True, slots=True)
class ExportPiece:
    """A piece that only the receiver opens."""

    number: int
    cards: int
    content: bytes
    digest: bytes


class Exports:
    """The exports of every tenant."""

    kind = JobKind.EXPORT

    def __init__(
        self,
        *,
        database: Database,
        sealer: CardSealer,
        rules: AccessRules,
        jobs: Jobs,
        recorder: Recorder,
        clock: Clock,
        watch: Watch = UNWATCHED,
    ) -> None:
        self._watch = watch
        self._database = database
        self._sealer = sealer
        self._details = DetailSealer(sealer)
        self._rules = rules
        self._jobs = jobs
        self._recorder = recorder
        self._clock = clock

    async def require_possible(self, caller: Caller, wish: ExportWish) -> ApprovalAbout:
        """Return what the second person is shown of a wish; refuse what could not begin anyway. Raises as `begin`."""
        recipient = await self._possible(caller, wish)
        return ApprovalAbout(
            purpose=wish.purpose.value,
            note=wish.note,
            container=wish.container,
            method=wish.encryption.value,
            recipient=recipient.fingerprint,
            rate=min(wish.rate, RATE_MAX),
        )

    async def begin(self, caller: Caller, wish: ExportWish) -> Job:
        """Begin an export; a job does it.

        Raises:
            RecipientRefused: the receiver's key will not do.
            AccessRefused: the container's rule does not give this caller `reveal`.
        """
        merchant, mode = caller.scope
        recipient = await self._possible(caller, wish)
        now = self._clock.now()
        async with self._database.transaction([merchant]) as tx:
            row = await tx.row(QUERIES["count_tokens"], merchant, mode, wish.container, now)
            total = 0 if row is None else row["cards"]
            job = await self._jobs.begin(
                tx,
                merchant,
                mode,
                JobKind.EXPORT,
                {
                    "container": wish.container,
                    "encryption": wish.encryption.value,
                    "fingerprint": recipient.fingerprint,
                    "recipient": wish.recipient,
                    **caller_facts(caller.principal),
                },
                created_by=caller.principal.subject,
                total=total,
                rate=min(wish.rate, RATE_MAX),
            )
            record = self._recorder.make(
                Action.VAULT_EXPORT_STARTED,
                actor=caller.principal.subject,
                merchant=merchant,
                mode=mode,
                thing=job.job_id,
                origin=caller.origin,
                now=now,
                details={
                    "container": wish.container,
                    "count": total,
                    "digest": sha256(wish.recipient.encode()).hex(),
                    "method": wish.encryption.value,
                    "purpose": wish.purpose.value,
                },
            )
            await self._recorder.insert(tx, record)
        return job

    async def _possible(self, caller: Caller, wish: ExportWish) -> Recipient:
        if CONTAINER_NAME.fullmatch(wish.container) is None:
            raise Invalid(
                FieldError(
                    "/container", "container_malformed", "a container's name has another form"
                )
            )
        recipient = recipient_of(wish.encryption, wish.recipient)
        (await self._rules.of(caller.principal)).require(wish.container, Access.REVEAL)
        return recipient

    async def read(self, merchant: MerchantId, mode: Mode, job_id: str) -> Job:
        """Return an export's job.

        Raises:
            ExportUnknown, JobUnknown: not there for this tenant and mode, or no export.
        """
        job = await self._jobs.read(merchant, mode, job_id)  # type: ignore[arg-type]  # it looks at the form
        if job.kind is not JobKind.EXPORT:
            raise ExportUnknown
        return job

    async def piece(
        self, merchant: MerchantId, mode: Mode, job_id: str, number: int
    ) -> ExportPiece:
        """Return a piece, from 0.

        Raises:
            ExportUnknown, PieceUnknown: see each.
        """
        job = await self.read(merchant, mode, job_id)
        async with self._database.transaction([merchant]) as read:
            row = await read.row(QUERIES["export_piece"], merchant, mode, job.job_id, number)
        if row is None:
            raise PieceUnknown
        return ExportPiece(row["number"], row["cards"], row["content"], row["digest"])

    # --- the job -------------------------------------------------------------------------------------

    async def step(self, job: Job, tx: Transaction) -> Step:
        """Record the next stretch, or export the one that is recorded.

        Raises:
            AccessRefused: the container's rule does not give whoever began this `reveal` any more.
            Unavailable: the rules, or a key, cannot be had; tried again later.
        """
        access = await self._rules.of(job_caller(job))
        access.require(str(job.params["container"]), Access.REVEAL)
        at = _position(job.cursor)
        if at.recorded:
            return await self._write(job, tx, at)
        scope = (job.merchant_id, job.mode)
        rows = await tx.rows(
            QUERIES["ids_to_export"],
            *scope,
            job.params["container"],
            at.after,
            job.created_at,
            batch(job, PIECE_CARDS),
        )
        if not rows:
            digests = await tx.rows(
                QUERIES["export_digests"], job.merchant_id, job.mode, job.job_id
            )
            whole = sha256(b"".join(row["digest"] for row in digests))
            facts: dict[str, str | int | bool | None] = {
                "digest": whole.hex(),
                "pieces": len(digests),
            }
            return Step(job.cursor, ended=True, result=facts)
        leaving = [row["token_id"] for row in rows]
        await self._watch.named(scope, job.created_by, Origin(), Way.EXPORT, leaving)
        await self._recorder.insert(tx, self._stretch(job, len(rows)))
        recorded = ",".join(leaving)
        return Step(f"{_RECORDED}|{at.after}|{at.number}|{recorded}")

    def ended(self, job: Job) -> NewRecord | None:
        """Return the record of an export's end: how many cards, and the digest over its pieces' digests."""
        details: dict[str, str | int] = {
            "container": str(job.params["container"]),
            "count": job.done,
            "refused": job.refused,
            "result": job.state.value,
        }
        if digest := job.result.get("digest"):
            details["digest"] = str(digest)
        return self._recorder.make(
            Action.VAULT_EXPORT_ENDED,
            actor=job.created_by,
            merchant=job.merchant_id,
            mode=job.mode,
            thing=job.job_id,
            origin=Origin(),
            now=self._clock.now(),
            details=details,
            outcome=Outcome.FAILED if job.state is JobState.FAILED else Outcome.SUCCESS,
        )

    async def tell(self, job: Job, tx: Transaction) -> None:
        """Let the merchant hear how an export ended."""
        await tell(
            tx,
            job.merchant_id,
            job.mode,
            _TOLD[job.state],
            job.job_id,
            ExportEvent(export_out(job)),
            job.ended_at or job.updated_at,
        )

    async def _write(self, job: Job, tx: Transaction, at: "_Position") -> Step:
        """Open the cards that are recorded, seal them for the receiver, keep the piece."""
        scope = (job.merchant_id, job.mode)
        rows = await tx.rows(
            QUERIES["tokens_to_export"],
            *scope,
            job.params["container"],
            at.recorded,
            job.created_at,
        )
        upto = at.recorded[-1]
        if not rows:  # deleted since they were recorded
            return Step(f"{_WRITTEN}|{upto}|{at.number}|")
        beside: dict[str, list[SealedDetail]] = {}
        for row in await tx.rows(QUERIES["details_to_export"], *scope, at.recorded):
            detail = SealedDetail(row["field"], row["sealed"], row["key_version"])
            beside.setdefault(row["token_id"], []).append(detail)
        encryption = Encryption(str(job.params["encryption"]))
        recipient = recipient_of(encryption, str(job.params["recipient"]))
        lines = []
        for place, row in enumerate(rows):
            line = await self._line(job, row, beside.get(row["token_id"], ()))
            lines.append(recipient.seal(line) if encryption is Encryption.JWE_LINES else line)
            if place % _CARDS_AT_ONCE == 0:
                await asyncio.sleep(0)
        content = b"".join(line + b"\n" for line in lines)
        if encryption is not Encryption.JWE_LINES:
            content = recipient.seal(content)
        await tx.run(
            QUERIES["insert_export_piece"],
            job.merchant_id,
            job.mode,
            job.job_id,
            at.number,
            len(rows),
            content,
            sha256(content),
            self._clock.now(),
        )
        return Step(f"{_WRITTEN}|{upto}|{at.number + 1}|", done=len(rows))

    async def _line(
        self, job: Job, row: Mapping[str, Any], beside: Sequence[SealedDetail]
    ) -> bytes:
        """Open one card and what is sealed beside it, and print it for the receiver."""
        token = TokenId(row["token_id"])
        pan = await self._sealer.open_number(
            row["sealed_number"],
            mode=job.mode,
            merchant=job.merchant_id,
            token=token,
            key_version=row["key_version"],
        )
        details = await self._details.open(beside, job.mode, job.merchant_id, token)
        return printed(row, pan.digits_for_export(), details)

    def _stretch(self, job: Job, cards: int) -> NewRecord:
        return self._recorder.make(
            Action.VAULT_TOKEN_REVEALED,
            actor=job.created_by,
            merchant=job.merchant_id,
            mode=job.mode,
            thing=job.job_id,
            origin=Origin(),
            now=self._clock.now(),
            details={
                "container": str(job.params["container"]),
                "count": cards,
                "operation": "export",
            },
        )


def recipient_of(encryption: Encryption, given: str) -> Recipient:
    """Read the receiver's public key.

    Raises:
        RecipientRefused: it is none for this encryption.
    """
    if encryption is Encryption.PGP:
        return pgp.Recipient(given)
    if encryption is not Encryption.JWE_LINES:
        raise RecipientRefused
    try:
        jwk = msgspec.json.decode(given, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise RecipientRefused from None
    return jwe.Recipient(jwk)


def printed(row: Mapping[str, Any], number: str, details: Details) -> bytes:
    """Print one card for the receiver, by the names that an import reads (`model.EXPORTED`).

    What is sealed beside the number has its name in the API. A cryptogram is not among it.
    """
    made: datetime = row["created_at"]
    ends: datetime | None = row["expires_at"]
    beside = {each.name: getattr(details, each.name) for each in fields(details)}
    if row["pan_alias"]:
        # The receiver draws one of its own; what this one stands in for is known by it.
        beside |= {"alias": True, "pan_alias": row["pan_alias"]}
    return _encode(
        {
            "id": row["token_id"],
            "number": number,
            "exp_month": row["exp_month"],
            "exp_year": row["exp_year"],
            "brand": row["brand"],
            "metadata": msgspec.json.decode(row["metadata"]) if row["metadata"] else {},
            "created_at": rfc3339(made),
            "container": row["container"],
            **({} if ends is None else {"expires_at": rfc3339(ends)}),
            **{name: value for name, value in beside.items() if value is not None},
        }
    )


class _Position(NamedTuple):
    """How far an export is: the last token that is done with, the next piece, and which tokens are recorded for it."""

    after: str
    number: int
    recorded: Sequence[str]


def _position(cursor: str) -> _Position:
    if not cursor:
        return _Position("", 0, ())
    phase, after, number, recorded = cursor.split("|")
    return _Position(after, int(number), recorded.split(",") if phase == _RECORDED else ())
