# SPDX-License-Identifier: Apache-2.0
"""Begins retokenizations, and says what the old ids became."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, final

from strongroom.audit import Action, Origin, Recorder
from strongroom.db.pool import Database
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import JobId, MerchantId, is_id
from strongroom.kernel.mode import Mode
from strongroom.vault.containers.model import CONTAINER_NAME
from strongroom.vault.retokenize.job import QUERIES
from strongroom.vault.work.errors import JobUnknown
from strongroom.vault.work.model import Job, JobKind
from strongroom.vault.work.ports import Jobs

ALIAS_DAYS_MAX: Final = 90
NAMED_MAX: Final = 1_000
PAGE_ROWS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Wish:
    """Which tokens get other ids: those named, or those of a container (None: all of them)."""

    tokens: Sequence[str] = ()
    container: str | None = None
    #: For so many days the old ids stand for the new ones; 0: they are dead at once.
    alias_days: int = 0


@dataclass(frozen=True, slots=True)
class Mapped:
    """An old id, and what it became."""

    old: str
    new: str
    until: datetime


@final
class Retokenizations:
    """Retokenizations of tenants."""

    def __init__(self, *, database: Database, jobs: Jobs, recorder: Recorder, clock: Clock) -> None:
        self._database = database
        self._jobs = jobs
        self._recorder = recorder
        self._clock = clock

    @staticmethod
    def wish(tokens: Sequence[str], container: str | None, alias_days: int) -> Wish:
        """Return a wish, for whoever may not name its type."""
        return Wish(tokens, container, alias_days)

    async def begin(
        self, merchant: MerchantId, mode: Mode, wish: Wish, *, actor: str, origin: Origin
    ) -> Job:
        """Put the job that replaces ids.

        Raises:
            Invalid: naming the field.
        """
        _check(wish)
        async with self._database.transaction([merchant]) as tx:
            job = await self._jobs.begin(
                tx,
                merchant,
                mode,
                JobKind.RETOKENIZE,
                {
                    "alias_days": wish.alias_days,
                    "container": wish.container or "",
                    "tokens": ",".join(sorted(set(wish.tokens))),
                },
                created_by=actor,
                total=len(set(wish.tokens)) or None,
            )
            record = self._recorder.make(
                Action.VAULT_RETOKENIZATION_STARTED,
                actor=actor,
                merchant=merchant,
                mode=mode,
                thing=job.job_id,
                origin=origin,
                now=self._clock.now(),
                details={"lifetime_seconds": wish.alias_days * 86_400},
            )
            await self._recorder.insert(tx, record)
        return job

    async def mapping(
        self, merchant: MerchantId, mode: Mode, job: str, after: str, limit: int
    ) -> tuple[Sequence[Mapped], str | None]:
        """Return a page of what old ids became, in their order, and the cursor of the next page if there is one.

        Raises:
            JobUnknown: not there for this tenant and mode, or a job of another kind.
        """
        if not is_id("job", job):
            raise JobUnknown
        found = await self._jobs.read(merchant, mode, JobId(job))
        if found.kind is not JobKind.RETOKENIZE:
            raise JobUnknown
        async with self._database.transaction([merchant]) as read:
            rows = await read.rows(QUERIES["mapping"], merchant, mode, job, after, limit + 1)
        page = [Mapped(row["old_id"], row["token_id"], row["until"]) for row in rows[:limit]]
        return page, page[-1].old if len(rows) > limit else None


def _check(wish: Wish) -> None:
    wrong: list[FieldError] = []
    if wish.tokens and wish.container is not None:
        wrong.append(FieldError("/tokens", "one_of", "give tokens or a container"))
    if len(wish.tokens) > NAMED_MAX:
        wrong.append(FieldError("/tokens", "too_many", f"at most {NAMED_MAX} tokens are named"))
    if not all(is_id("tok", token) for token in wish.tokens):
        wrong.append(FieldError("/tokens", "token_malformed", "one of these is no token's id"))
    if wish.container is not None and not CONTAINER_NAME.fullmatch(wish.container):
        wrong.append(FieldError("/container", "container_malformed", "this is no container's name"))
    if not 0 <= wish.alias_days <= ALIAS_DAYS_MAX:
        wrong.append(FieldError("/alias_days", "out_of_range", f"from 0 to {ALIAS_DAYS_MAX} days"))
    if wrong:
        raise Invalid(*wrong)
