# SPDX-License-Identifier: Apache-2.0
"""Begins retokenizations, and says what the old ids became."""

from collections.abc import Sequence
from typing import Final, final

from strongroom.audit import Action, Origin, Recorder
from strongroom.db.pool import Database, ReadOnly
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import JobId, MerchantId, is_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Principal
from strongroom.vault.containers.feed import RuleFeed
from strongroom.vault.containers.model import CONTAINER_NAME, DEFAULT_CONTAINER, Access
from strongroom.vault.forwarding.errors import TakesTwoPeople
from strongroom.vault.retokenize.job import QUERIES
from strongroom.vault.retokenize.model import ALIAS_DAYS_MAX, NAMED_MAX, Mapped, Wish
from strongroom.vault.work.errors import JobUnknown
from strongroom.vault.work.model import Job, JobKind
from strongroom.vault.work.ports import Jobs

PAGE_ROWS_MAX: Final = 1_000
TWO_PEOPLE: Final = "in live mode it takes two people: one asks for it by POST /v1/retokenizations, another approves"


@final
class Retokenizations:
    """Retokenizations of tenants."""

    def __init__(
        self,
        *,
        database: Database,
        rules: RuleFeed,
        jobs: Jobs,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._database = database
        self._rules = rules
        self._jobs = jobs
        self._recorder = recorder
        self._clock = clock

    @staticmethod
    def wish(tokens: Sequence[str], container: str | None, alias_days: int) -> Wish:
        """Return a wish, for whoever may not name its type."""
        return Wish(tokens, container, alias_days)

    async def begin(
        self,
        merchant: MerchantId,
        mode: Mode,
        wish: Wish,
        *,
        actor: str,
        origin: Origin,
        principal: Principal | None = None,
    ) -> Job:
        """Put the job that replaces ids. Without a principal it is an operator at the machine itself.

        Raises:
            Invalid: naming the field.
            AccessRefused: the rules of a container that is meant do not let the caller use its tokens.
            TakesTwoPeople: an operator, in live mode: it is asked for over HTTP, with another's approval.
        """
        if principal is None and mode is Mode.LIVE:
            raise TakesTwoPeople(TWO_PEOPLE)
        _check(wish)
        access = None if principal is None else await self._rules.of(principal)
        async with self._database.transaction([merchant]) as tx:
            if access is not None:
                for container in await _containers(tx, merchant, mode, wish):
                    access.require(container, Access.USE)
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


async def _containers(
    read: ReadOnly, merchant: MerchantId, mode: Mode, wish: Wish
) -> Sequence[str]:
    """Return the containers whose tokens are meant."""
    if wish.container is not None:
        return [wish.container]
    if wish.tokens:
        rows = await read.rows(QUERIES["containers_of_tokens"], merchant, mode, list(wish.tokens))
        return [row["container"] for row in rows]
    rows = await read.rows(QUERIES["containers_of_tenant"], merchant, mode)
    return sorted({DEFAULT_CONTAINER, *(row["name"] for row in rows)})


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
