# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of retokenizations."""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from strongroom.kernel.clock import rfc3339
from strongroom.vault.retokenize.model import ALIAS_DAYS_MAX, NAMED_MAX, Mapped
from strongroom.vault.work.model import Job

#: What the job says in its result.
ENDS_FROM: Final = "old_ids_end_from"
ENDS_BY: Final = "old_ids_end_by"
MAPPING_SHA256: Final = "mapping_sha256"


class RetokenizeIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which tokens get other ids: those named, those of a container, or all of the merchant's in this mode."""

    tokens: Annotated[
        list[Annotated[str, Meta(max_length=64)]],
        Meta(max_length=NAMED_MAX, description="Tokens by their ids"),
    ] = []
    container: Annotated[str, Meta(max_length=160)] | None = None
    alias_days: Annotated[
        int,
        Meta(
            ge=0,
            le=ALIAS_DAYS_MAX,
            description="For so many days the old ids stand for the new ones; 0: dead at once",
        ),
    ] = 0


class RetokenizationOut(msgspec.Struct, frozen=True):
    """A retokenization that ended: what was asked for, and what became of it."""

    id: str
    object: str
    mode: str
    #: done, failed or canceled; whatever it is, what was replaced has its new id.
    state: str
    #: Which tokens were meant: those that were named (tokens), a container's (container), or all.
    scope: str
    container: str | None
    alias_days: int
    replaced: int
    #: Left as they were: altered, without a key, or changed meanwhile.
    left: int
    #: From here on the first of the old ids are dead, and from `old_ids_end_by` on all are; null: none was replaced.
    old_ids_end_from: str | None
    old_ids_end_by: str | None
    #: Of the mapping file, as `strongroom vault mapping` writes it; null where the job did not come to its end.
    mapping_sha256: str | None
    #: Why it failed.
    problem: str | None
    created_by: str
    created_at: str
    ended_at: str | None


class RetokenizationEvent(msgspec.Struct, frozen=True):
    """What an event about a retokenization carries."""

    retokenization: RetokenizationOut


class MappedOut(msgspec.Struct, frozen=True):
    """An old id, and what it became."""

    old: str
    new: str
    #: From here on the old id is dead.
    until: str


class MappingPage(msgspec.Struct, frozen=True):
    """A page of a mapping, in the order of the old ids."""

    data: list[MappedOut]
    has_more: bool
    next_cursor: str | None


def retokenization_out(job: Job) -> RetokenizationOut:
    """Print one that ended."""
    container = str(job.params.get("container") or "")
    named = bool(job.params.get("tokens"))
    result: dict[str, Any] = dict(job.result)
    return RetokenizationOut(
        job.job_id,
        "retokenization",
        job.mode,
        job.state,
        "tokens" if named else "container" if container else "all",
        container or None,
        int(job.params.get("alias_days") or 0),
        job.done,
        job.refused,
        result.get(ENDS_FROM),
        result.get(ENDS_BY),
        result.get(MAPPING_SHA256),
        job.problem,
        job.created_by,
        rfc3339(job.created_at),
        rfc3339(job.ended_at) if job.ended_at else None,
    )


def mapped_out(mapped: Mapped) -> MappedOut:
    """Print one."""
    return MappedOut(mapped.old, mapped.new, rfc3339(mapped.until))
